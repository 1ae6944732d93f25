
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A verified webhook is read, learnt from in slices and tagged here.  It then
 * goes on to the application, or is refused while receiving is paused, so that
 * Meta delivers it again later.
 *
 * Lock rule: none of its own.  Memory: the tree of the payload is freed before
 * the payload goes on, or by the cleanup of the request's pool; the zone gets
 * fingerprints and ids of it, no text.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_reply.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_webhook_learning.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"


/* milliseconds between two slices, in which the worker serves others */
#define NGX_HTTP_GRAPH_POLICY_SLICE_WAIT  1

/* bytes; reading a payload of this length or more is a slice of its own */
#define NGX_HTTP_GRAPH_POLICY_LONG        262144


static ngx_int_t ngx_http_graph_policy_read_payload(ngx_http_request_t *r,
    ngx_str_t *body, ngx_http_graph_policy_learning_t *learning);
static void ngx_http_graph_policy_learning_cleanup(void *data);
static void ngx_http_graph_policy_learning_end(
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_inspect_slice(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_int_t ngx_http_graph_policy_learnt(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_await_slice(ngx_http_request_t *r);
static void ngx_http_graph_policy_next_slice(ngx_http_request_t *r);
static void ngx_http_graph_policy_count(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_webhook_e kind,
    ngx_uint_t level, const char *what);


ngx_int_t
ngx_http_graph_policy_webhook_read(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *body)
{
    ngx_pool_cleanup_t                *cln;
    ngx_http_graph_policy_learning_t  *learning;

    ngx_http_graph_policy_zone_count_webhook(glcf->webhook_zone,
                                      NGX_HTTP_GRAPH_POLICY_WEBHOOK_VERIFIED);

    if (ngx_http_graph_policy_webhook_untag(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (body->data == NULL && r->request_body != NULL
        && r->request_body->bufs != NULL)
    {
        ngx_http_graph_policy_count(r, glcf->webhook_zone,
                                    NGX_HTTP_GRAPH_POLICY_WEBHOOK_TOO_LARGE,
                                    NGX_LOG_WARN, "is too large to be read");
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_graph_policy_learning_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    learning = cln->data;

    ngx_memzero(learning,
                offsetof(ngx_http_graph_policy_learning_t, changes));

    cln->handler = ngx_http_graph_policy_learning_cleanup;

    learning->ctx = ctx;
    learning->glcf = glcf;
    learning->trust = *trust;

    ngx_http_graph_policy_changes_of(&learning->changes, r, ctx->log_level);

    if (ngx_http_graph_policy_read_payload(r, body, learning) != NGX_OK) {
        ngx_http_graph_policy_learning_cleanup(learning);

        ngx_http_graph_policy_count(r, glcf->webhook_zone,
                                    NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNREAD,
                                    NGX_LOG_WARN, "can't be read");
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_webhook_begin(learning);
    ctx->learning = learning;

    return (body->len < NGX_HTTP_GRAPH_POLICY_LONG)
           ? ngx_http_graph_policy_webhook_inspect(r, ctx, glcf)
           : ngx_http_graph_policy_await_slice(r);
}


static ngx_int_t
ngx_http_graph_policy_read_payload(ngx_http_request_t *r, ngx_str_t *body,
    ngx_http_graph_policy_learning_t *learning)
{
    size_t  arena, tree;

    arena = ngx_align(ngx_http_graph_policy_json_arena(body->len),
                      NGX_ALIGNMENT);
    tree = ngx_http_graph_policy_payload_memory(body->len);

    learning->memory = ngx_alloc(arena + tree, r->connection->log);
    if (learning->memory == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_payload_read(body->data, body->len,
                                              learning->memory,
                                              learning->memory + arena,
                                 ngx_http_graph_policy_zone_awaited(
                                                          learning->ctx->zone),
                                              &learning->payload);
}


static void
ngx_http_graph_policy_learning_cleanup(void *data)
{
    ngx_http_graph_policy_learning_t *learning = data;

    if (learning->memory != NULL) {
        ngx_free(learning->memory);
        learning->memory = NULL;
    }
}


static void
ngx_http_graph_policy_learning_end(ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_learning_cleanup(ctx->learning);
    ctx->learning = NULL;
}


ngx_int_t
ngx_http_graph_policy_webhook_inspect(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t  rc;

    rc = ngx_http_graph_policy_inspect_slice(r, ctx, glcf);

    if (rc == NGX_AGAIN) {
        return ngx_http_graph_policy_await_slice(r);
    }

    /* NGX_DONE says that the request was answered, and ctx may be freed. */

    if (rc != NGX_DONE) {
        ngx_http_graph_policy_learning_end(ctx);
    }

    return rc;
}


static ngx_int_t
ngx_http_graph_policy_await_slice(ngx_http_request_t *r)
{
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_graph_policy_next_slice;

    wev->delayed = 1;
    ngx_add_timer(wev, NGX_HTTP_GRAPH_POLICY_SLICE_WAIT);

    return NGX_AGAIN;
}


static void
ngx_http_graph_policy_next_slice(ngx_http_request_t *r)
{
    if (r->connection->write->delayed) {

        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_graph_policy_inspect_slice(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t                          rc;
    ngx_http_graph_policy_learning_t  *learning;

    learning = ctx->learning;

    if (!learning->learnt) {

        if (ngx_http_graph_policy_webhook_learn(learning) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        rc = ngx_http_graph_policy_learnt(r, ctx);

        if (rc != NGX_OK || !glcf->webhook_pause) {
            return (rc == NGX_OK) ? NGX_DECLINED : rc;
        }

        learning->learnt = 1;
        ngx_http_graph_policy_learning_rewind(learning);
    }

    switch (ngx_http_graph_policy_webhook_paused(learning)) {

    case NGX_OK:
        return NGX_DECLINED;

    case NGX_AGAIN:
        return NGX_AGAIN;

    case NGX_BUSY:
        break;

    default: /* NGX_ERROR */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_graph_policy_dry_run(r, glcf)) {
        ctx->status = NGX_HTTP_GRAPH_POLICY_BLOCKED_DRY_RUN;
        ngx_http_graph_policy_log_request(ctx, ctx->view,
                                          "would keep a webhook back");
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_count_webhook(glcf->webhook_zone,
                                        NGX_HTTP_GRAPH_POLICY_WEBHOOK_PAUSED);

    ctx->status = NGX_HTTP_GRAPH_POLICY_BLOCKED;
    ngx_http_graph_policy_log_request(ctx, ctx->view, "keeps a webhook back");

    ngx_http_graph_policy_learning_end(ctx);

    ngx_http_graph_policy_reply(r, ctx, NGX_HTTP_SERVICE_UNAVAILABLE);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_graph_policy_learnt(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_webhook_result_t  *result;

    result = &ctx->learning->result;

    if (result->errors == 0) {
        return NGX_OK;
    }

    ctx->facts = result->facts;
    ctx->verdict = result->verdict;
    ctx->classified = 1;

    return (ngx_http_graph_policy_webhook_tag(r, result) == NGX_OK)
           ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_http_graph_policy_count(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_webhook_e kind,
    ngx_uint_t level, const char *what)
{
    ngx_log_t  log;

    ngx_http_graph_policy_zone_count_webhook(zone, kind);

    ngx_http_graph_policy_plain_log(r->connection->log, &log);

    ngx_log_error(level, &log, 0,
                  "graph policy lets a webhook pass that %s, zone: \"%V\"",
                  what, &zone->name);
}
