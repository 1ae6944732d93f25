
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Copies the body of an error while its header is held.
 *
 * No lock is taken.  The copy belongs to the request's pool.
 */


#include "ngx_http_graph_policy_held.h"


ngx_int_t
ngx_http_graph_policy_collect_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound)
{
    off_t    length;
    u_char  *p;
    size_t   size, capacity;

    if (ngx_buf_size(b) == 0) {
        return NGX_OK;
    }

    if (!ngx_buf_in_memory(b) || ngx_buf_size(b) > (off_t) bound) {
        return NGX_DECLINED;
    }

    size = b->last - b->pos;

    if (size > bound - ctx->size) {
        return NGX_DECLINED;
    }

    if (size > ctx->capacity - ctx->size) {
        length = r->headers_out.content_length_n;

        capacity = (length > 0) ? (size_t) length
                                : ngx_max(2 * ctx->capacity, 1024);
        capacity = ngx_max(capacity, ctx->size + size);

        p = ngx_pnalloc(r->pool, capacity);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (ctx->size != 0) {
            ngx_memcpy(p, ctx->body, ctx->size);
        }

        ctx->body = p;
        ctx->capacity = capacity;
    }

    ngx_memcpy(ctx->body + ctx->size, b->pos, size);
    ctx->size += size;

    b->pos = b->last;

    if (b->in_file) {
        b->file_pos = b->file_last;
    }

    return NGX_OK;
}
