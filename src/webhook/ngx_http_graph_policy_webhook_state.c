
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Events of a payload set and end states here; the gravest of the payload's
 * errors is noted for the application.
 *
 * Lock rule: none of its own; each call of the zone is about one event.
 * Memory: none of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_classify.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_webhook_learning.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


ngx_uint_t
ngx_http_graph_policy_is_failure(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, time_t time,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_limits_t   limits;
    ngx_http_graph_policy_outcome_t  outcome;

    ngx_http_graph_policy_limits(learning->glcf,
                                 learning->ctx->zone->conversation_hold,
                                 &limits);

    if (!ngx_http_graph_policy_outcome(verdict,
                                       NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK,
                                       0, &limits, &outcome)
        || !ngx_http_graph_policy_is_recent(time, learning->now))
    {
        return 0;
    }

    failure->verdict = verdict;
    failure->facts = facts;
    failure->source = NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;
    failure->status = NGX_HTTP_BAD_REQUEST;
    failure->lease = 0;
    failure->now = learning->now;
    failure->sent = ngx_http_graph_policy_cause_time(time, learning->now);
    failure->hold = outcome.hold;
    failure->max = outcome.max;
    failure->confirm = outcome.confirm;

    return 1;
}


void
ngx_http_graph_policy_learn_failure(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_int_t                                rc;
    ngx_http_graph_policy_ref_t             *ref;
    ngx_http_graph_policy_view_t             view;
    ngx_http_graph_policy_webhook_result_t  *result;

    rc = ngx_http_graph_policy_zone_learn(learning->ctx->zone,
                                          &learning->identity, failure,
                                          learning->changes, &view);

    if (rc != NGX_OK || view.transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    result = &learning->result;

    if (result->nset++ < NGX_HTTP_GRAPH_POLICY_NSET) {
        ref = &result->set[result->nset - 1];
        ref->hash = view.hash;
        ref->reason = view.stored_reason;
    }
}


void
ngx_http_graph_policy_learn_resolved(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_key_e kind, ngx_http_graph_policy_reason_e reason)
{
    uint64_t  when;

    /*
     * The event may be old: it ends only states that were set before it
     * happened.
     */

    if (!learning->trusted || learning->time == 0) {
        return;
    }

    when = ngx_http_graph_policy_cause_time(learning->time, learning->now);

    ngx_http_graph_policy_zone_resolve(learning->ctx->zone,
                                       &learning->identity, kind, reason, when,
                                       learning->now, learning->changes);
}


void
ngx_http_graph_policy_learn_status(ngx_http_graph_policy_learning_t *learning)
{
    uint64_t                          message;
    ngx_http_graph_policy_item_t     *item;
    ngx_http_graph_policy_facts_t     facts;
    ngx_http_graph_policy_failure_t   failure;
    ngx_http_graph_policy_verdict_t   verdict;

    item = learning->item;

    message = ngx_http_graph_policy_zone_fingerprint(learning->ctx->zone,
                                                     &item->id);

    if (item->status != NGX_HTTP_GRAPH_POLICY_STATUS_FAILED) {
        ngx_http_graph_policy_zone_confirm(learning->ctx->zone,
                                           &learning->identity, message, NULL,
                                           learning->now, learning->changes);
        return;
    }

    ngx_http_graph_policy_decide(learning, item->errors, &facts, &verdict);

    ngx_memzero(&failure, sizeof(ngx_http_graph_policy_failure_t));

    failure.verdict = &verdict;
    failure.facts = &facts;
    failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;
    failure.now = learning->now;
    failure.sent = learning->now;
    failure.status = NGX_HTTP_BAD_REQUEST;

    ngx_http_graph_policy_zone_confirm(learning->ctx->zone,
                                       &learning->identity, message, &failure,
                                       learning->now, learning->changes);
}


void
ngx_http_graph_policy_decide(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_wh_error_t *error,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict)
{
    ngx_memzero(facts, sizeof(ngx_http_graph_policy_facts_t));

    if (error != NULL) {
        facts->code = error->code;
        facts->subcode = error->subcode;
        facts->has_code = error->has_code;
        facts->has_subcode = error->has_subcode;
    }

    ngx_http_graph_policy_rules_decide(facts, learning->glcf->ruleset,
                                       verdict);
}


/*
 * The application is shown the gravest error; of several in its category the
 * first one is shown.
 */

void
ngx_http_graph_policy_note_error(ngx_http_graph_policy_webhook_result_t *result,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t n)
{
    if (verdict->category == NGX_HTTP_GRAPH_POLICY_IGNORE) {
        return;
    }

    if (result->errors == 0
        || verdict->category < result->verdict.category)
    {
        result->facts = *facts;
        result->verdict = *verdict;
    }

    result->errors += n;
}


ngx_uint_t
ngx_http_graph_policy_is_recent(time_t time, uint64_t now)
{
    uint64_t  then;

    then = (uint64_t) time * 1000;

    return time > 0
           && then + NGX_HTTP_GRAPH_POLICY_FRESH > now
           && then < now + NGX_HTTP_GRAPH_POLICY_FRESH;
}


/* Clocks differ, so an event of the future counts as one of now. */

uint64_t
ngx_http_graph_policy_cause_time(time_t time, uint64_t now)
{
    return ngx_min((uint64_t) time, now / 1000) * 1000;
}
