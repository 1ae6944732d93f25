
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The context of a request, and what it holds: leases, a place among those
 * that wait.
 *
 * Lock rule: none of its own.  Memory: the request's pool.  The pool's cleanup
 * gives back leases that nobody settled, and is how the context is found again
 * after an internal redirect.
 */


#include "ngx_http_graph_policy_http.h"


static void ngx_http_graph_policy_adopt(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf);
static void ngx_http_graph_policy_renew(ngx_event_t *ev);
static void ngx_http_graph_policy_cleanup(void *data);


/* requests of this worker that wait to be sent again */
static ngx_uint_t  ngx_http_graph_policy_nparked;


ngx_http_graph_policy_ctx_t *
ngx_http_graph_policy_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_graph_policy_module);

    if (ctx != NULL || !r->internal || r != r->main) {
        return ctx;
    }

    /* an internal redirect forgets contexts, not what they hold */

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler == ngx_http_graph_policy_cleanup) {
            ngx_http_set_ctx(r, cln->data, ngx_http_graph_policy_module);
            return cln->data;
        }
    }

    return NULL;
}


ngx_http_graph_policy_ctx_t *
ngx_http_graph_policy_make_ctx(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_graph_policy_get_ctx(r);

    if (ctx != NULL) {
        ngx_http_graph_policy_adopt(ctx, glcf);
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_graph_policy_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln->data = ctx;

    ctx->request = r;
    ctx->attempts = 1;
    ctx->zone = ngx_http_graph_policy_zone_of(glcf);
    ctx->log_level = glcf->log_level;

    cln->handler = ngx_http_graph_policy_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_graph_policy_module);

    return ctx;
}


/* an internal redirect may lead to where another zone is in force */

static void
ngx_http_graph_policy_adopt(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_zone_t  *zone;

    ctx->log_level = glcf->log_level;

    zone = ngx_http_graph_policy_zone_of(glcf);

    if (ctx->zone == zone) {
        return;
    }

    ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE,
                                 NULL);

    ngx_memzero(&ctx->identity, sizeof(ngx_http_graph_policy_identity_t));
    ctx->identified = 0;
    ctx->credentialed = 0;
    ctx->conversed = 0;
    ctx->gated = 0;
    ctx->status = NGX_HTTP_GRAPH_POLICY_PASSED;
    ctx->nrefs = 0;
    ctx->zone = zone;
}


ngx_uint_t
ngx_http_graph_policy_answer_status(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    /* the cleanup stands just while the upstream itself is answering */

    return (u != NULL && u->cleanup != NULL && !r->cached
            && u->headers_in.status_n != 0)
           ? u->headers_in.status_n : r->headers_out.status;
}


ngx_http_graph_policy_status_e
ngx_http_graph_policy_status_of(ngx_http_graph_policy_ctx_t *ctx)
{
    if (ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED
        || ctx->status == NGX_HTTP_GRAPH_POLICY_PROBE)
    {
        return ctx->status;
    }

    if (ctx->attempts > 1) {
        return NGX_HTTP_GRAPH_POLICY_RETRIED;
    }

    if (ctx->would_retry && ctx->status == NGX_HTTP_GRAPH_POLICY_PASSED) {
        return NGX_HTTP_GRAPH_POLICY_RETRIED_DRY_RUN;
    }

    return ctx->status;
}


uint64_t
ngx_http_graph_policy_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


void
ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_outcome_e outcome,
    ngx_http_graph_policy_verdict_t *verdict)
{
    uint64_t                         now;
    ngx_uint_t                       i;
    ngx_http_graph_policy_ref_t     *ref;
    ngx_http_graph_policy_view_t     view;
    ngx_http_graph_policy_failure_t  failure;
    ngx_http_graph_policy_outcome_e  each;

    if (ctx->renewal != NULL && ctx->renewal->timer_set) {
        ngx_del_timer(ctx->renewal);
    }

    if (ctx->nrefs == 0) {
        return;
    }

    now = ngx_http_graph_policy_now();

    if (verdict != NULL) {
        failure.verdict = verdict;
        failure.facts = &ctx->facts;
        failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER;
        failure.status = ctx->request->upstream->headers_in.status_n;
    }

    for (i = 0; i < ctx->nrefs; i++) {
        ref = &ctx->refs[i];

        if (ref->lease == 0) {
            continue;
        }

        each = outcome;

        if (verdict != NULL && verdict->matched) {

            if (verdict->category == NGX_HTTP_GRAPH_POLICY_FATAL
                && verdict->reason == ref->reason)
            {
                each = NGX_HTTP_GRAPH_POLICY_FAILURE;

            } else if (ref->kind == NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL
                       && verdict->category
                          < NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED)
            {

                /* whatever else is wrong, the token works */

                each = NGX_HTTP_GRAPH_POLICY_SUCCESS;
            }
        }

        ngx_http_graph_policy_zone_settle(ctx->zone, ref, each,
                                          (verdict != NULL) ? &failure : NULL,
                                          now, &view);
        ngx_http_graph_policy_log_state(ctx, &view);

        /* what came of it, not what was meant: somebody may have been faster */

        ngx_http_graph_policy_zone_count_probe(ctx->zone,
                         (view.transition == NGX_HTTP_GRAPH_POLICY_CLEARED)
                         ? NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED
                         : (view.transition == NGX_HTTP_GRAPH_POLICY_REARMED)
                         ? NGX_HTTP_GRAPH_POLICY_PROBE_REARMED
                         : NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE);

        ref->lease = 0;
    }

    ctx->identity.lease = 0;
}


ngx_int_t
ngx_http_graph_policy_start_renewal(ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_event_t  *ev;

    ev = ctx->renewal;

    if (ev == NULL) {
        ev = ngx_pcalloc(ctx->request->pool, sizeof(ngx_event_t));
        if (ev == NULL) {
            return NGX_ERROR;
        }

        ev->handler = ngx_http_graph_policy_renew;
        ev->data = ctx;
        ev->log = ctx->request->connection->log;

        ctx->renewal = ev;
    }

    ngx_add_timer(ev, NGX_HTTP_GRAPH_POLICY_RENEW);

    return NGX_OK;
}


static void
ngx_http_graph_policy_renew(ngx_event_t *ev)
{
    ngx_http_request_t           *r;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;

    /* a client that is slow to send mustn't keep others from probing */

    if (ctx->parked
        || (r->upstream != NULL && !r->reading_body
            && (r->request_body == NULL || r->request_body->rest == 0)))
    {
        ngx_http_graph_policy_zone_renew(ctx->zone, ctx->refs, ctx->nrefs,
                                         ngx_http_graph_policy_now());
    }

    ngx_add_timer(ev, NGX_HTTP_GRAPH_POLICY_RENEW);
}


static void
ngx_http_graph_policy_cleanup(void *data)
{
    ngx_http_graph_policy_ctx_t *ctx = data;

    if (ctx->parked) {
        ngx_http_graph_policy_unpark(ctx);
    }

    if (ctx->renewal != NULL) {
        ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE,
                                     NULL);
    }
}


ngx_int_t
ngx_http_graph_policy_take_snapshot(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_snapshot_t  *snapshot;

    snapshot = ctx->snapshot;

    if (snapshot == NULL) {
        snapshot = ngx_palloc(r->pool,
                              sizeof(ngx_http_graph_policy_snapshot_t));
        if (snapshot == NULL) {
            return NGX_ERROR;
        }

        ctx->snapshot = snapshot;
    }

    if (ngx_http_graph_policy_keep_links(r->pool, &r->headers_out.headers,
                                         &snapshot->links)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    snapshot->headers_out = r->headers_out;
    snapshot->err_status = r->err_status;
    snapshot->nheaders = r->headers_out.headers.last->nelts;
    snapshot->ntrailers = r->headers_out.trailers.last->nelts;
    snapshot->limit_rate = r->limit_rate;
    snapshot->limit_rate_after = r->limit_rate_after;
    snapshot->limit_rate_set = r->limit_rate_set;
    snapshot->limit_rate_after_set = r->limit_rate_after_set;
    snapshot->keepalive = r->keepalive;

    return NGX_OK;
}


void
ngx_http_graph_policy_restore(ngx_http_request_t *r,
    ngx_http_graph_policy_snapshot_t *snapshot)
{
    ngx_list_part_t  *last;

    r->headers_out = snapshot->headers_out;

    last = r->headers_out.headers.last;
    last->nelts = snapshot->nheaders;
    last->next = NULL;

    ngx_http_graph_policy_put_links(&r->headers_out.headers, snapshot->links);

    last = r->headers_out.trailers.last;
    last->nelts = snapshot->ntrailers;
    last->next = NULL;

    r->limit_rate = snapshot->limit_rate;
    r->limit_rate_after = snapshot->limit_rate_after;
    r->limit_rate_set = snapshot->limit_rate_set;
    r->limit_rate_after_set = snapshot->limit_rate_after_set;
    r->keepalive = snapshot->keepalive;

    r->allow_ranges = 0;
    r->single_range = 0;
    r->disable_not_modified = 0;
    r->err_status = snapshot->err_status;
}


void
ngx_http_graph_policy_forget(ngx_http_graph_policy_ctx_t *ctx)
{
    ctx->hold = 0;
    ctx->size = 0;
    ctx->classified = 0;
    ctx->exhausted = 0;
    ctx->hint = 0;

    ngx_memzero(&ctx->facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(&ctx->verdict, sizeof(ngx_http_graph_policy_verdict_t));
}


void
ngx_http_graph_policy_wait(ngx_http_graph_policy_ctx_t *ctx,
    ngx_event_handler_pt handler, ngx_msec_t delay)
{
    ngx_log_t  *log;

    log = ctx->request->connection->log;

    ctx->parking->handler = handler;
    ctx->parking->data = ctx;
    ctx->parking->log = log;

    ngx_add_timer(ctx->parking, delay);

    log->action = "waiting to send again";

    ctx->parked = 1;
    ngx_http_graph_policy_nparked++;
    ngx_http_graph_policy_zone_count_parked(ctx->zone, 1);
}


void
ngx_http_graph_policy_unpark(ngx_http_graph_policy_ctx_t *ctx)
{
    if (!ctx->parked) {
        return;
    }

    ctx->parked = 0;
    ngx_http_graph_policy_nparked--;
    ngx_http_graph_policy_zone_count_parked(ctx->zone, -1);

    if (ctx->parking->timer_set) {
        ngx_del_timer(ctx->parking);
    }
}


ngx_uint_t
ngx_http_graph_policy_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_str_t  value;

    if (glcf->dry_run == NULL) {
        return 0;
    }

    /* in doubt nothing is blocked */

    if (ngx_http_complex_value(r, glcf->dry_run, &value) != NGX_OK) {
        return 1;
    }

    return value.len != 0 && (value.len != 1 || value.data[0] != '0');
}


ngx_uint_t
ngx_http_graph_policy_parked(void)
{
    return ngx_http_graph_policy_nparked;
}
