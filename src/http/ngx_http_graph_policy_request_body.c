
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The body of a request is read whole before its upstream, and given to callers
 * in one piece.  It is in memory, or in a file if it is large.  A body that no
 * upstream will get is read and dropped, where its client needs that.
 *
 * Lock rule: none.  Memory: a body that doesn't lie in one piece is copied
 * into one, which the caller frees unless it is small; one that is dropped
 * passes through a single buffer of the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_request_body.h"


/* The rest of a longer body isn't waited for, as anybody may send one. */
#define NGX_HTTP_GRAPH_POLICY_MAX_DROPPED  65536

#define NGX_HTTP_GRAPH_POLICY_PIECES       16384


/* A request whose body is dropped; its cleanup does nothing but to find it. */

typedef struct {
    ngx_http_graph_policy_answer_pt   answer;
    void                             *data;
    ngx_msec_t                        begun;    /* by ngx_current_msec */
} ngx_http_graph_policy_dropped_t;


/* A small body that has come in pieces is put together here. */
static u_char  ngx_http_graph_policy_pieces[NGX_HTTP_GRAPH_POLICY_PIECES];


static void ngx_http_graph_policy_body_handler(ngx_http_request_t *r);
static void ngx_http_graph_policy_dropped_cleanup(void *data);
static ngx_http_graph_policy_dropped_t *ngx_http_graph_policy_get_dropped(
    ngx_http_request_t *r);
static void ngx_http_graph_policy_dropped(ngx_http_request_t *r);
static void ngx_http_graph_policy_drop_handler(ngx_http_request_t *r);
static void ngx_http_graph_policy_drop_more(ngx_http_request_t *r);
static void ngx_http_graph_policy_drop_part(ngx_http_request_t *r);
static ngx_uint_t ngx_http_graph_policy_is_dropped_enough(
    ngx_http_request_t *r);


ngx_int_t
ngx_http_graph_policy_read_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->body_read) {
        return NGX_OK;
    }

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_graph_policy_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    /*
     * Reading the body took a reference of the request, which is given back
     * both if the body has come at once and if it came later.
     */

    if (ctx->body_read) {
        r->main->count--;
        return NGX_OK;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    ctx->body_awaited = 1;

    return NGX_DONE;
}


static void
ngx_http_graph_policy_body_handler(ngx_http_request_t *r)
{
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_graph_policy_get_ctx(r);

    ctx->body_read = 1;

    if (ctx->body_awaited) {
        ctx->body_awaited = 0;

        r->write_event_handler = ngx_http_core_run_phases;
        ngx_http_core_run_phases(r);
    }
}


ngx_int_t
ngx_http_graph_policy_drop_body(ngx_http_request_t *r,
    ngx_http_graph_policy_answer_pt answer, void *data)
{
    ngx_int_t                         rc;
    ngx_pool_cleanup_t               *cln;
    ngx_http_graph_policy_dropped_t  *dropped;

    if (!ngx_http_graph_policy_is_multiplexed(r)
        || r != r->main || r->request_body != NULL || r->discard_body
        || (r->headers_in.content_length_n < 0 && !r->headers_in.chunked)
        || r->headers_in.content_length_n > NGX_HTTP_GRAPH_POLICY_MAX_DROPPED)
    {
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_graph_policy_dropped_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    dropped = cln->data;

    dropped->answer = answer;
    dropped->data = data;
    dropped->begun = ngx_current_msec;

    cln->handler = ngx_http_graph_policy_dropped_cleanup;

    /* Without buffering nothing is kept, and no file is written. */

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_graph_policy_drop_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_graph_policy_dropped_cleanup(void *data)
{
    /* void */
}


/* Its body is being dropped, so the request has one. */

static ngx_http_graph_policy_dropped_t *
ngx_http_graph_policy_get_dropped(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    cln = r->pool->cleanup;

    while (cln->handler != ngx_http_graph_policy_dropped_cleanup) {
        cln = cln->next;
    }

    return cln->data;
}


static void
ngx_http_graph_policy_dropped(ngx_http_request_t *r)
{
    ngx_http_graph_policy_dropped_t  *dropped;

    dropped = ngx_http_graph_policy_get_dropped(r);
    dropped->answer(r, dropped->data);
}


static void
ngx_http_graph_policy_drop_handler(ngx_http_request_t *r)
{
    if (!r->reading_body) {
        ngx_http_graph_policy_dropped(r);
        return;
    }

    r->read_event_handler = ngx_http_graph_policy_drop_more;
    r->write_event_handler = ngx_http_request_empty_handler;

    /* A part of the body may have come along with the header. */

    ngx_post_event(r->connection->read, &ngx_posted_events);
}


static void
ngx_http_graph_policy_drop_more(ngx_http_request_t *r)
{
    ngx_int_t     rc;
    ngx_event_t  *rev;

    rev = r->connection->read;

    while (!rev->timedout) {
        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (rc == NGX_OK || ngx_http_graph_policy_is_dropped_enough(r)) {
            break;
        }

        if (r->request_body->bufs == NULL) {
            return;
        }

        /* Only the next call makes room for more, with what is dropped here. */

        ngx_http_graph_policy_drop_part(r);
    }

    /* A client that is too slow is answered, too; it may read the answer. */

    rev->timedout = 0;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    r->read_event_handler = ngx_http_block_reading;

    if (r->reading_body) {
        ngx_http_graph_policy_skip_body(r);
    }

    ngx_http_graph_policy_drop_part(r);

    ngx_http_graph_policy_dropped(r);
}


static void
ngx_http_graph_policy_drop_part(ngx_http_request_t *r)
{
    ngx_chain_t  *cl, *next;

    for (cl = r->request_body->bufs; cl != NULL; cl = next) {
        next = cl->next;

        cl->buf->pos = cl->buf->last;
        ngx_free_chain(r->pool, cl);
    }

    r->request_body->bufs = NULL;
}


/*
 * nginx's timer starts again with every byte that comes; all of them together
 * have no longer than it lasts, because nobody has vouched for the client.
 */

static ngx_uint_t
ngx_http_graph_policy_is_dropped_enough(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_graph_policy_dropped_t  *dropped;

    if (r->request_body->received > NGX_HTTP_GRAPH_POLICY_MAX_DROPPED) {
        return 1;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    dropped = ngx_http_graph_policy_get_dropped(r);

    return ngx_current_msec - dropped->begun > clcf->client_body_timeout;
}


ngx_uint_t
ngx_http_graph_policy_is_body_buffered(ngx_http_request_t *r)
{
    ngx_uint_t                 i;
    ngx_module_t             **modules;
    ngx_http_upstream_conf_t  *ucf;

    modules = ngx_cycle->modules;

    for (i = 0; modules[i] != NULL; i++) {

        if (modules[i]->type != NGX_HTTP_MODULE
            || ngx_strcmp(modules[i]->name, "ngx_http_proxy_module") != 0)
        {
            continue;
        }

        /* The proxy module's configuration is private; this is its start. */

        ucf = ngx_http_get_module_loc_conf(r, (*modules[i]));

        return ucf->request_buffering != 0;
    }

    return 1;
}


void
ngx_http_graph_policy_preserve_message(ngx_http_request_t *r)
{
    /* A larger body isn't read as a message, so its file isn't kept. */

    if (r->request_body->temp_file->offset
        <= NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE)
    {
        r->preserve_body = 1;
    }
}


ngx_int_t
ngx_http_graph_policy_gather_body(ngx_http_request_t *r, size_t max,
    ngx_str_t *body, u_char **allocated)
{
    off_t         size;
    u_char       *p;
    size_t        len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *bufs;

    bufs = (r->request_body != NULL) ? r->request_body->bufs : NULL;

    ngx_str_null(body);

    if (bufs == NULL) {
        ngx_str_set(body, "");
        return NGX_OK;
    }

    if (bufs->next == NULL && ngx_buf_in_memory(bufs->buf)
        && (size_t) (bufs->buf->last - bufs->buf->pos) <= max)
    {
        body->data = bufs->buf->pos;
        body->len = bufs->buf->last - bufs->buf->pos;
        return NGX_OK;
    }

    size = 0;

    for (cl = bufs; cl != NULL; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > (off_t) max) {
        return NGX_DECLINED;
    }

    if (size <= (off_t) sizeof(ngx_http_graph_policy_pieces)) {
        p = ngx_http_graph_policy_pieces;

    } else {
        p = ngx_alloc(size, r->connection->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        *allocated = p;
    }

    body->data = p;
    body->len = (size_t) size;

    for (cl = bufs; cl != NULL; cl = cl->next) {
        b = cl->buf;
        len = (size_t) ngx_buf_size(b);

        if (len == 0) {
            continue;
        }

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(p, b->pos, len);

        } else if (ngx_http_graph_policy_read_body_part(r, b, p, len,
                                                        b->file_pos)
                   != NGX_OK)
        {
            return NGX_ERROR;
        }

        p += len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_read_body_part(ngx_http_request_t *r, ngx_buf_t *b,
    u_char *p, size_t len, off_t offset)
{
    ssize_t    n;
    ngx_log_t  log;

    /* The upstream closes the file after sending it, unless preserve_body. */

    if (b->file->fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    n = ngx_read_file(b->file, p, len, offset);

    if (n == (ssize_t) len) {
        return NGX_OK;
    }

    if (n != NGX_ERROR) {
        ngx_http_graph_policy_plain_log(r->connection->log, &log);

        ngx_log_error(NGX_LOG_ERR, &log, 0,
                      "graph policy read %z bytes of a body in place of "
                      "%uz", n, len);
    }

    return NGX_ERROR;
}
