
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The leases of a probe: kept while it is under way, and settled by what came
 * of it.
 *
 * Lock rule: none of its own.  Memory: the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_lease.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"


static void ngx_http_graph_policy_renew(ngx_event_t *ev);


void
ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_probe_outcome_e outcome,
    ngx_http_graph_policy_verdict_t *verdict)
{
    uint64_t                               now;
    ngx_uint_t                             i;
    ngx_http_graph_policy_ref_t           *ref;
    ngx_http_graph_policy_changes_t        changes;
    ngx_http_graph_policy_failure_t        failure;
    ngx_http_graph_policy_probe_outcome_e  each;

    if (ctx->renewal != NULL && ctx->renewal->timer_set) {
        ngx_del_timer(ctx->renewal);
    }

    if (ctx->nrefs == 0) {
        return;
    }

    now = ngx_http_graph_policy_now();

    ngx_http_graph_policy_changes_of(&changes, ctx->request, ctx->log_level);

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

        each = (verdict == NULL) ? outcome
               : ngx_http_graph_policy_outcome_of_probe(verdict, ref->kind,
                                                        ref->reason);

        ngx_http_graph_policy_zone_settle(ctx->zone, ref, each,
                                          (verdict != NULL) ? &failure : NULL,
                                          now, &changes);
        ref->lease = 0;
    }

    ctx->query.lease = 0;
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
