
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A verified webhook is read, learnt from in slices and tagged here.  It then
 * goes on to the application, or is refused while receiving is paused, so that
 * Meta delivers it again later.
 *
 * Lock rule: none of its own.  Memory: the tree of the payload, and a copy of
 * the body that is read in slices, are freed before the payload goes on, or by
 * the cleanup of the request's pool; the zone gets fingerprints and ids of it,
 * no text.
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
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_webhook_learning.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"


/* milliseconds between two slices, in which the worker serves others */
#define NGX_HTTP_GRAPH_POLICY_SLICE_WAIT  1

/*
 * Bytes; of a longer payload a slice reads so many, which takes a few
 * milliseconds if they are dense.
 */
#define NGX_HTTP_GRAPH_POLICY_LONG        131072


/*
 * A worker keeps memory for one payload of the usual length.  That is enough
 * but for those that wait for their next slice.
 */
#define NGX_HTTP_GRAPH_POLICY_USUAL       32768

static uint64_t     ngx_http_graph_policy_usual[NGX_HTTP_GRAPH_POLICY_USUAL
                                                / sizeof(uint64_t)];
static ngx_uint_t   ngx_http_graph_policy_usual_used;


/* Each call of the zone empties the list, so all walks of a worker share it. */
static ngx_http_graph_policy_changes_t  ngx_http_graph_policy_learnt_changes;


static ngx_int_t ngx_http_graph_policy_begin_payload(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_graph_policy_unread(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);
static void ngx_http_graph_policy_learning_cleanup(void *data);
static void ngx_http_graph_policy_free_body(
    ngx_http_graph_policy_learning_t *learning);
static void ngx_http_graph_policy_learning_end(
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_inspect_slice(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_int_t ngx_http_graph_policy_learnt(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_await_slice(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static void ngx_http_graph_policy_next_slice(ngx_http_request_t *r);
static void ngx_http_graph_policy_count(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_webhook_e kind,
    ngx_uint_t level, const char *what);


ngx_int_t
ngx_http_graph_policy_webhook_read(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *body, u_char **allocated)
{
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

    if (ngx_http_graph_policy_begin_payload(r, ctx, body) != NGX_OK) {
        return ngx_http_graph_policy_unread(r, glcf);
    }

    learning = ctx->learning;

    learning->ctx = ctx;
    learning->glcf = glcf;
    learning->trust = *trust;
    learning->changes = &ngx_http_graph_policy_learnt_changes;

    if (learning->reader != NULL) {

        /* Verifying it has taken its time, too, so others come first. */

        learning->body = *allocated;
        *allocated = NULL;

        return ngx_http_graph_policy_await_slice(r, ctx);
    }

    ngx_http_graph_policy_webhook_begin(learning);

    return ngx_http_graph_policy_webhook_inspect(r, ctx, glcf);
}


/*
 * Makes ctx->learning, and reads a payload unless it is long; that is left to
 * learning->reader.  Returns NGX_OK or NGX_ERROR; ctx->learning is NULL then.
 */

static ngx_int_t
ngx_http_graph_policy_begin_payload(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_str_t *body)
{
    u_char                            *p, *arena;
    size_t                             head, tree, need;
    uint64_t                           small[NGX_HTTP_GRAPH_POLICY_SMALL
                                             / sizeof(uint64_t)];
    ngx_int_t                          rc;
    ngx_uint_t                         slices, statuses;
    ngx_http_graph_policy_learning_t  *learning;

    slices = (body->len > NGX_HTTP_GRAPH_POLICY_LONG);

    head = ngx_align(sizeof(ngx_http_graph_policy_learning_t), NGX_ALIGNMENT);
    tree = ngx_align(ngx_http_graph_policy_payload_memory(body->len),
                     NGX_ALIGNMENT);
    need = slices ? ngx_http_graph_policy_payload_arena(body->len)
                  : ngx_http_graph_policy_json_arena(body->len);

    if (head + tree <= sizeof(ngx_http_graph_policy_usual)
        && need <= sizeof(small) && !ngx_http_graph_policy_usual_used)
    {
        p = (u_char *) ngx_http_graph_policy_usual;
        ngx_http_graph_policy_usual_used = 1;

    } else {
        p = ngx_alloc(head + tree + ((need > sizeof(small)) ? need : 0),
                      r->connection->log);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    learning = (ngx_http_graph_policy_learning_t *) p;
    arena = (need > sizeof(small)) ? p + head + tree : (u_char *) small;
    statuses = ngx_http_graph_policy_zone_awaited(ctx->zone);

    ngx_memzero(learning, offsetof(ngx_http_graph_policy_learning_t, identity));

    if (slices) {
        learning->reader = ngx_http_graph_policy_payload_begin(body->data,
                                       body->len, arena, p + head, statuses,
                                       &learning->payload);
        rc = NGX_OK;

    } else {
        rc = ngx_http_graph_policy_payload_read(body->data, body->len, arena,
                                                p + head, statuses,
                                                &learning->payload);
    }

    ctx->learning = learning;

    if (rc != NGX_OK) {
        ngx_http_graph_policy_learning_end(ctx);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The application gets it all the same, as the payload is its own affair. */

static ngx_int_t
ngx_http_graph_policy_unread(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_count(r, glcf->webhook_zone,
                                NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNREAD,
                                NGX_LOG_WARN, "can't be read");
    return NGX_DECLINED;
}


static void
ngx_http_graph_policy_learning_cleanup(void *data)
{
    ngx_http_graph_policy_ctx_t *ctx = data;

    if (ctx->learning != NULL) {
        ngx_http_graph_policy_learning_end(ctx);
    }
}


static void
ngx_http_graph_policy_free_body(ngx_http_graph_policy_learning_t *learning)
{
    if (learning->body != NULL) {
        ngx_free(learning->body);
        learning->body = NULL;
    }
}


static void
ngx_http_graph_policy_learning_end(ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_free_body(ctx->learning);

    if ((void *) ctx->learning == (void *) ngx_http_graph_policy_usual) {
        ngx_http_graph_policy_usual_used = 0;

    } else {
        ngx_free(ctx->learning);
    }

    ctx->learning = NULL;
}


ngx_int_t
ngx_http_graph_policy_webhook_inspect(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t  rc;

    rc = ngx_http_graph_policy_inspect_slice(r, ctx, glcf);

    if (rc == NGX_AGAIN) {
        return ngx_http_graph_policy_await_slice(r, ctx);
    }

    /* NGX_DONE says that the request was answered, and ctx may be freed. */

    if (rc != NGX_DONE) {
        ngx_http_graph_policy_learning_end(ctx);
    }

    return rc;
}


static ngx_int_t
ngx_http_graph_policy_await_slice(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_event_t         *wev;
    ngx_pool_cleanup_t  *cln;

    /* Only a walk that waits can be ended by a client that leaves. */

    if (!ctx->learning->waited) {
        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            ngx_http_graph_policy_learning_end(ctx);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        cln->data = ctx;
        cln->handler = ngx_http_graph_policy_learning_cleanup;

        ctx->learning->waited = 1;
    }

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

    ngx_http_graph_policy_changes_of(learning->changes, r, ctx->log_level);

    if (learning->reader != NULL) {
        rc = ngx_http_graph_policy_payload_step(learning->reader,
                                                NGX_HTTP_GRAPH_POLICY_LONG);

        if (rc == NGX_DECLINED) {
            return ngx_http_graph_policy_unread(r, glcf);
        }

        if (rc == NGX_OK) {
            learning->reader = NULL;
            ngx_http_graph_policy_free_body(learning);
            ngx_http_graph_policy_webhook_begin(learning);
        }

        return NGX_AGAIN;
    }

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
