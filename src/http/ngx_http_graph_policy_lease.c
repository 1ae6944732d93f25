
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The leases of a probe are renewed while it is under way, and settled by its
 * answer.
 *
 * Lock rule: none of its own.  Memory: the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
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
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict)
{
    ngx_uint_t                        i;
    ngx_http_graph_policy_ref_t      *ref;
    ngx_http_graph_policy_answer_t    answer;
    ngx_http_graph_policy_changes_t   changes;

    if (ctx->renewal != NULL && ctx->renewal->timer_set) {
        ngx_del_timer(ctx->renewal);
    }

    if (ctx->nrefs == 0) {
        return;
    }

    ngx_http_graph_policy_changes_of(&changes, ctx->request, ctx->log_level);
    ngx_http_graph_policy_answer_of(ctx, proof, verdict, &answer);

    for (i = 0; i < ctx->nrefs; i++) {
        ref = &ctx->refs[i];

        if (ref->lease == 0) {
            continue;
        }

        ngx_http_graph_policy_zone_settle(ctx->zone, ref, &answer, &changes);

        ref->lease = 0;
    }

    ctx->query.lease = 0;
}


void
ngx_http_graph_policy_answer_of(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_answer_t *answer)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    answer->proof = proof;
    answer->verdict = verdict;
    answer->facts = (verdict != NULL) ? &ctx->facts : NULL;
    answer->id = &ctx->query.identity;
    answer->message = (proof == NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED)
                      ? ctx->message : 0;
    answer->now = ngx_http_graph_policy_now();
    answer->sent = (r->upstream != NULL) ? ngx_http_graph_policy_sent(r)
                                         : answer->now;
    answer->status = (r->upstream != NULL) ? r->upstream->headers_in.status_n
                                           : 0;
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

    /*
     * The lease isn't renewed while the client still sends the body, as a slow
     * client would keep others from probing.
     */

    if (ctx->parked
        || (r->upstream != NULL && !r->reading_body
            && (r->request_body == NULL || r->request_body->rest == 0)))
    {
        ngx_http_graph_policy_zone_renew(ctx->zone, ctx->refs, ctx->nrefs,
                                         ngx_http_graph_policy_now());
    }

    ngx_add_timer(ev, NGX_HTTP_GRAPH_POLICY_RENEW);
}
