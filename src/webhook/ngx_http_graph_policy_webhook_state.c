
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What an event of a payload sets or ends, and which of the payload's errors is
 * the one that is shown.
 *
 * Lock rule: none of its own, the zone is told of one thing at a time.
 * Memory: none of its own.
 */


#include "ngx_http_graph_policy_webhook_learning.h"


static uint32_t ngx_http_graph_policy_learn_hold(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict);


void
ngx_http_graph_policy_learn_failure(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, time_t time)
{
    ngx_int_t                                rc;
    ngx_http_graph_policy_ref_t             *ref;
    ngx_http_graph_policy_view_t             view;
    ngx_http_graph_policy_webhook_result_t  *result;
    ngx_http_graph_policy_failure_t          failure;

    failure.hold = ngx_http_graph_policy_learn_hold(learning, verdict);

    if (failure.hold == 0
        || !ngx_http_graph_policy_is_recent(time, learning->now))
    {
        return;
    }

    failure.verdict = verdict;
    failure.facts = facts;
    failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;
    failure.status = NGX_HTTP_BAD_REQUEST;
    failure.now = learning->now;
    failure.sent = ngx_http_graph_policy_cause_time(time, learning->now);
    failure.max = (uint32_t) ngx_max(failure.hold, learning->glcf->hold_max);

    rc = ngx_http_graph_policy_zone_learn(learning->ctx->zone,
                                          &learning->identity, &failure, &view);

    ngx_http_graph_policy_log_state(learning->ctx, &failure.evicted);

    if (rc == NGX_ERROR) {
        ngx_http_graph_policy_log_full(learning->ctx);
    }

    if (rc != NGX_OK) {
        return;
    }

    ngx_http_graph_policy_log_state(learning->ctx, &view);

    if (view.transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    result = &learning->result;

    if (result->nset++ < NGX_HTTP_GRAPH_POLICY_NSET) {
        ref = &result->set[result->nset - 1];
        ref->hash = view.hash;
        ref->reason = view.stored_reason;
    }
}


/* as that of an answer: 0 if the error sets no state */

static uint32_t
ngx_http_graph_policy_learn_hold(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict)
{
    if (verdict->scope == NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST
        || verdict->messages)
    {
        return 0;
    }

    switch (verdict->category) {

    case NGX_HTTP_GRAPH_POLICY_FATAL:
        return (uint32_t) ((verdict->hold != 0) ? verdict->hold
                                                : learning->glcf->hold);

    case NGX_HTTP_GRAPH_POLICY_CONTEXT:

        if (verdict->scope != NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION
            || learning->ctx->zone->conversation_hold == 0)
        {
            return 0;
        }

        return (verdict->hold != 0) ? (uint32_t) verdict->hold
                                    : learning->ctx->zone->conversation_hold;

    default:
        return 0;
    }
}


void
ngx_http_graph_policy_learn_resolved(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_key_e kind, ngx_http_graph_policy_reason_e reason)
{
    uint64_t                      when;
    ngx_http_graph_policy_view_t  view;

    /* however late it comes, only what is newer than itself withstands it */

    if (!learning->trusted || learning->time == 0) {
        return;
    }

    when = ngx_http_graph_policy_cause_time(learning->time, learning->now);

    ngx_http_graph_policy_zone_resolve(learning->ctx->zone,
                                       &learning->identity, kind, reason, when,
                                       learning->now, &view);
    ngx_http_graph_policy_log_state(learning->ctx, &view);
}


/* the gravest is the one that is shown, the first of its kind */

void
ngx_http_graph_policy_note_error(ngx_http_graph_policy_webhook_result_t *result,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict)
{
    if (verdict->category == NGX_HTTP_GRAPH_POLICY_IGNORE) {
        return;
    }

    if (result->errors++ == 0
        || verdict->category < result->verdict.category)
    {
        result->facts = *facts;
        result->verdict = *verdict;
    }
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


/* clocks differ: what seems to come from the future is of now */

uint64_t
ngx_http_graph_policy_cause_time(time_t time, uint64_t now)
{
    return ngx_min((uint64_t) time, now / 1000) * 1000;
}
