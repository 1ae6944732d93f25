
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Copies the body of an answer: of an error, while its header is held, and of a
 * success that may prove something, as it passes.
 *
 * No lock is taken.  The copy belongs to the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_held.h"
#include "ngx_http_graph_policy_inflate.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_text.h"


static u_char *ngx_http_graph_policy_grow_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, size_t size);


void
ngx_http_graph_policy_begin_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_str_t        *coding;
    ngx_table_elt_t  *h;

    ctx->size = 0;

    h = r->headers_out.content_encoding;

    if (h == NULL || h->hash == 0 || h->value.len == 0) {
        ctx->coding = NGX_HTTP_GRAPH_POLICY_CODING_NONE;
        return;
    }

    coding = &h->value;

    if (ngx_http_graph_policy_is_named(coding, "gzip")
        || ngx_http_graph_policy_is_named(coding, "x-gzip")
        || ngx_http_graph_policy_is_named(coding, "deflate"))
    {
        ctx->coding = NGX_HTTP_GRAPH_POLICY_CODING_DEFLATE;

    } else if (ngx_http_graph_policy_is_named(coding, "identity")) {
        ctx->coding = NGX_HTTP_GRAPH_POLICY_CODING_NONE;

    } else {
        ctx->coding = NGX_HTTP_GRAPH_POLICY_CODING_OTHER;
    }
}


ngx_int_t
ngx_http_graph_policy_collect_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound)
{
    ngx_int_t  rc;

    if (ngx_buf_size(b) != 0 && !ngx_buf_in_memory(b)) {
        return NGX_DECLINED;
    }

    rc = ngx_http_graph_policy_copy_body(r, ctx, b, bound);

    if (rc == NGX_OK && ngx_buf_size(b) != 0) {
        b->pos = b->last;

        if (b->in_file) {
            b->file_pos = b->file_last;
        }
    }

    return rc;
}


ngx_int_t
ngx_http_graph_policy_copy_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound)
{
    u_char  *p;
    size_t   size;

    if (ngx_buf_size(b) == 0) {
        return NGX_OK;
    }

    if (ngx_buf_size(b) > (off_t) (bound - ctx->size)) {
        return NGX_DECLINED;
    }

    size = (size_t) ngx_buf_size(b);

    p = ngx_http_graph_policy_grow_body(r, ctx, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(p, b->pos, size);

    } else if (ngx_http_graph_policy_read_body_part(r, b, p, size, b->file_pos)
               != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ctx->size += size;

    return NGX_OK;
}


/* Returns "size" bytes behind the copy, NULL if there is no memory. */

static u_char *
ngx_http_graph_policy_grow_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, size_t size)
{
    off_t    length;
    u_char  *p;
    size_t   capacity;

    if (size > ctx->capacity - ctx->size) {
        length = r->headers_out.content_length_n;

        capacity = (length > 0) ? (size_t) length
                                : ngx_max(2 * ctx->capacity, 1024);
        capacity = ngx_max(capacity, ctx->size + size);

        p = ngx_pnalloc(r->pool, capacity);
        if (p == NULL) {
            return NULL;
        }

        if (ctx->size != 0) {
            ngx_memcpy(p, ctx->body, ctx->size);
        }

        ctx->body = p;
        ctx->capacity = capacity;
    }

    return ctx->body + ctx->size;
}


ngx_int_t
ngx_http_graph_policy_plain_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, size_t bound, ngx_str_t *text,
    u_char **allocated)
{
    u_char   *inflated;
    ssize_t   n;

    *allocated = NULL;

    if (ctx->coding == NGX_HTTP_GRAPH_POLICY_CODING_NONE) {
        text->data = ctx->body;
        text->len = ctx->size;

        return NGX_OK;
    }

    if (ctx->coding == NGX_HTTP_GRAPH_POLICY_CODING_OTHER) {
        return NGX_DECLINED;
    }

    inflated = ngx_alloc(bound, r->connection->log);
    if (inflated == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_http_graph_policy_inflate(ctx->body, ctx->size, inflated, bound);

    if (n < 0) {
        ngx_free(inflated);
        return NGX_DECLINED;
    }

    *allocated = inflated;
    text->data = inflated;
    text->len = n;

    return NGX_OK;
}
