
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Parks a request whose answer is a temporary error, and sends it again.
 *
 * At this point the upstream is finalized.  The body filter takes a reference
 * and returns NGX_DONE, which gives it back, so the request waits for a timer
 * of its own.  The connection's timer can't be used, as limit_rate and
 * subrequests use it.  The timer isn't cancelable, or a worker that shuts down
 * would abandon its clients.  When it fires, the content phase runs again,
 * with the response headers as they were before it.
 *
 * No lock is taken here.  Memory comes from the request's pool, whose cleanup
 * deletes the timer, so a request may be destroyed at any time.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_gate.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_park.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_reply.h"
#include "ngx_http_graph_policy_retry.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone_count.h"


/*
 * The shortest delay, in milliseconds, between two looks at another request's
 * probe.
 */
#define NGX_HTTP_GRAPH_POLICY_STEP  100


static void ngx_http_graph_policy_count_denied(
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_backoff_e why);
static ngx_uint_t ngx_http_graph_policy_can_park(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_graph_policy_park(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_msec_t delay);
static ngx_uint_t ngx_http_graph_policy_wait_longer(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
static void ngx_http_graph_policy_free_buffer(ngx_http_request_t *r);
static void ngx_http_graph_policy_fire(ngx_event_t *ev);


ngx_int_t
ngx_http_graph_policy_retry(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_buf_t *b)
{
    ngx_msec_t                       delay;
    ngx_http_graph_policy_tries_t    tries;
    ngx_http_graph_policy_backoff_e  next;

    if (glcf->retry.attempts == 0 || !ctx->verdict.retry
        || !ngx_http_graph_policy_can_park(r, ctx, b))
    {
        return NGX_DECLINED;
    }

    tries.attempts = ctx->attempts;
    tries.unknown = ctx->unknown;
    tries.elapsed = ngx_current_msec - ctx->made;
    tries.hint = ctx->hint;
    tries.idempotent = ngx_http_graph_policy_is_idempotent(r, glcf);

    if (ctx->exhausted) {
        ngx_http_graph_policy_zone_count_denied(ctx->zone,
                                          NGX_HTTP_GRAPH_POLICY_DENIED_QUOTA);
        return NGX_DECLINED;
    }

    next = ngx_http_graph_policy_backoff_next(&glcf->retry, &ctx->verdict,
                                              &tries, (uint32_t) ngx_random(),
                                              &delay);

    if (next != NGX_HTTP_GRAPH_POLICY_AGAIN) {
        ngx_http_graph_policy_count_denied(ctx, next);
        return NGX_DECLINED;
    }

    if (ctx->verdict.dry_run || ngx_http_graph_policy_dry_run(r, glcf)) {
        ctx->would_retry = 1;
        return NGX_DECLINED;
    }

    if (ngx_http_graph_policy_zone_retry(glcf->zone, glcf->retry.budget,
                                         glcf->retry.budget_min)
        != NGX_OK)
    {
        ngx_http_graph_policy_zone_count_denied(ctx->zone,
                                         NGX_HTTP_GRAPH_POLICY_DENIED_BUDGET);
        ngx_http_graph_policy_log_retry(ctx, NGX_LOG_INFO,
                                        "retry denied by its budget");
        return NGX_DECLINED;
    }

    if (!ctx->verdict.refused && !tries.idempotent) {
        ctx->unknown++;
    }

    ngx_http_graph_policy_log_retry(ctx, NGX_LOG_INFO, "sends again");

    if (ctx->attempts > 1) {
        ngx_http_graph_policy_zone_count_resent(ctx->zone, ctx->resent_for,
                                               NGX_HTTP_GRAPH_POLICY_REFUSED);
    }

    ctx->resent_for = ctx->verdict.reason;

    return ngx_http_graph_policy_park(r, ctx, delay);
}


static void
ngx_http_graph_policy_count_denied(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_backoff_e why)
{
    ngx_http_graph_policy_denied_e  denied;

    switch (why) {

    case NGX_HTTP_GRAPH_POLICY_NO_ATTEMPTS:
        denied = NGX_HTTP_GRAPH_POLICY_DENIED_ATTEMPTS;
        break;

    case NGX_HTTP_GRAPH_POLICY_NO_UNKNOWN:
        denied = NGX_HTTP_GRAPH_POLICY_DENIED_UNKNOWN;
        break;

    case NGX_HTTP_GRAPH_POLICY_NO_TIME:
        denied = NGX_HTTP_GRAPH_POLICY_DENIED_DEADLINE;
        break;

    default: /* not a retry that was denied */
        return;
    }

    ngx_http_graph_policy_zone_count_denied(ctx->zone, denied);
}


static ngx_uint_t
ngx_http_graph_policy_can_park(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b)
{
    static ngx_uint_t  warned;

    /*
     * nginx heeds NGX_DONE only for the empty last buffer of an upstream that
     * is finalized.
     */

    if (r->upstream->cleanup != NULL || ngx_buf_size(b) != 0
        || r->reading_body || r->post_action || r->upstream->upgrade)
    {
        return 0;
    }

    if (r->request_body_no_buffering) {

        if (!warned) {
            warned = 1;
            ngx_http_graph_policy_log_retry(ctx, NGX_LOG_ERR,
                          "can't send again what it didn't keep, "
                          "\"proxy_request_buffering\" is off");
        }

        return 0;
    }

    if (r->connection->error || ngx_exiting || ngx_terminate || ngx_quit) {
        return 0;
    }

    /* Each waiting request occupies a connection and its buffers. */

    if (ngx_http_graph_policy_parked() >= ngx_cycle->connection_n / 4) {
        ngx_http_graph_policy_zone_count_denied(ctx->zone,
                                        NGX_HTTP_GRAPH_POLICY_DENIED_WAITING);
        ngx_http_graph_policy_log_retry(ctx, NGX_LOG_INFO,
                                        "retry denied, too many are waiting");
        return 0;
    }

    return 1;
}


static ngx_int_t
ngx_http_graph_policy_park(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_msec_t delay)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (ctx->parking == NULL) {
        ctx->parking = ngx_pcalloc(r->pool, sizeof(ngx_event_t));
        if (ctx->parking == NULL) {
            return NGX_ERROR;
        }
    }

    /*
     * The error is dropped now: if the client leaves while the request waits,
     * its log line must not show this error.
     */

    ngx_http_graph_policy_rewind(r, ctx->snapshot);
    ngx_http_graph_policy_forget(ctx);
    ngx_http_graph_policy_free_buffer(r);

    ngx_http_graph_policy_wait(ctx, ngx_http_graph_policy_fire, delay);

    r->write_event_handler = ngx_http_request_empty_handler;

    if (r->upstream->conf->ignore_client_abort) {
        r->read_event_handler = ngx_http_block_reading;

    } else {
        r->read_event_handler = ngx_http_test_reading;

        /* The client may have closed the connection already. */

        if (c->read->ready) {
            ngx_post_event(c->read, &ngx_posted_events);

        } else if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
            ngx_http_graph_policy_unpark(ctx);
            return NGX_ERROR;
        }
    }

    r->main->count++;

    return NGX_DONE;
}


/*
 * A request that meets a cool-down waits for the probe of another one, as long
 * as the deadline allows.  Returns 1 if it waits.
 */

static ngx_uint_t
ngx_http_graph_policy_wait_longer(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    uint64_t    now;
    ngx_msec_t  delay;

    if (ctx->view->category != NGX_HTTP_GRAPH_POLICY_TEMPORARY
        || ngx_exiting || ngx_terminate || ngx_quit)
    {
        return 0;
    }

    /*
     * A cool-down's end is known, so one wait is enough; a probe's isn't, so
     * it is looked at again and again.
     */

    now = ngx_http_graph_policy_now();

    if (ctx->view->leased || ctx->view->until <= now) {
        delay = ngx_max(glcf->retry.base, NGX_HTTP_GRAPH_POLICY_STEP);

    } else {
        delay = (ngx_msec_t) (ctx->view->until - now);
    }

    if (ngx_current_msec - ctx->made + delay > glcf->retry.deadline) {
        return 0;
    }

    ctx->status = NGX_HTTP_GRAPH_POLICY_PASSED;
    ctx->nrefs = 0;

    ngx_http_graph_policy_wait(ctx, ngx_http_graph_policy_fire, delay);

    return 1;
}


/*
 * The upstream is finalized, and what the log says of its answer was copied, so
 * that nothing points into the buffer any more.
 */

static void
ngx_http_graph_policy_free_buffer(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    /* It stays if it's small enough to be part of a block of the pool. */

    if (u->buffer.start != NULL
        && ngx_pfree(r->pool, u->buffer.start) == NGX_OK)
    {
        ngx_memzero(&u->buffer, sizeof(ngx_buf_t));
    }
}


static void
ngx_http_graph_policy_fire(ngx_event_t *ev)
{
    ngx_connection_t                  *c;
    ngx_http_request_t                *r;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_graph_policy_unpark(ctx);

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    if (ngx_http_graph_policy_is_blocked_again(r, ctx, glcf)) {

        if (ngx_http_graph_policy_wait_longer(r, ctx, glcf)) {
            return;
        }

        ngx_http_graph_policy_zone_count_blocked(ctx->zone,
                                                 ctx->view->reason);
        ngx_http_graph_policy_reply(r, ctx, glcf->status);

    } else {
        ctx->attempts++;
        ctx->nstates = r->upstream_states->nelts;
        ctx->again = 1;

        r->read_event_handler = ngx_http_block_reading;

        ngx_http_core_run_phases(r);
    }

    /* The request may be gone by now. */

    ngx_http_run_posted_requests(c);
}


void
ngx_http_graph_policy_log_retry(ngx_http_graph_policy_ctx_t *ctx,
    ngx_uint_t level, const char *what)
{
    ngx_log_t  log;

    ngx_http_graph_policy_plain_log(ctx->request->connection->log, &log);

    ngx_log_error(level, &log, 0, "graph policy %s, code: %L, attempts: %ui",
                  what, ctx->facts.code, ctx->attempts);
}
