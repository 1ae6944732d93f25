
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * These decisions say if an error sets a state, which sends the state covers
 * and for how long, and what an answer means to a state that it has probed.
 *
 * Pure: no clock, no lock, no memory of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_outcome.h"


static ngx_msec_t ngx_http_graph_policy_outcome_hold(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source, ngx_msec_t hint,
    ngx_http_graph_policy_limits_t *limits);


ngx_uint_t
ngx_http_graph_policy_outcome(ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source, ngx_msec_t hint,
    ngx_http_graph_policy_limits_t *limits,
    ngx_http_graph_policy_outcome_t *outcome)
{
    ngx_msec_t  hold, max;

    hold = ngx_http_graph_policy_outcome_hold(verdict, source, hint, limits);

    /*
     * The wait of a temporary error is Graph's, so it is bounded by MAX_HINT
     * and not by the location's graph_policy_hold.
     */

    max = (verdict->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY)
          ? NGX_HTTP_GRAPH_POLICY_MAX_HINT : ngx_max(hold, limits->hold_max);

    outcome->hold = (uint32_t) hold;
    outcome->max = (uint32_t) max;
    outcome->confirm = (uint32_t) limits->confirm;

    return hold != 0;
}


static ngx_msec_t
ngx_http_graph_policy_outcome_hold(ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source, ngx_msec_t hint,
    ngx_http_graph_policy_limits_t *limits)
{
    ngx_msec_t  wait;

    if (verdict->scope == NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST) {
        return 0;
    }

    /* A webhook doesn't say if the failing call was one to "messages". */

    if (verdict->messages && source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER) {
        return 0;
    }

    switch (verdict->category) {

    case NGX_HTTP_GRAPH_POLICY_FATAL:
        return (verdict->hold != 0) ? verdict->hold : limits->hold;

    case NGX_HTTP_GRAPH_POLICY_TEMPORARY:

        /* An event may come too late to say how long to wait now. */

        if (!limits->cooldown
            || source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER)
        {
            return 0;
        }

        wait = ngx_http_graph_policy_backoff_row_wait(verdict, 2);
        wait = ngx_max(wait, hint);

        return ngx_min(wait, NGX_HTTP_GRAPH_POLICY_MAX_HINT);

    case NGX_HTTP_GRAPH_POLICY_CONTEXT:

        if (verdict->scope != NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION
            || limits->conversation_hold == 0)
        {
            return 0;
        }

        return (verdict->hold != 0) ? verdict->hold
                                    : limits->conversation_hold;

    default:
        return 0;
    }
}


ngx_uint_t
ngx_http_graph_policy_outcome_of_request(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_asked_t *asked)
{
    if (!asked->send || (verdict->messages && !asked->messages)) {
        return 0;
    }

    /* An upload has no recipient, so it can't limit a conversation. */

    return asked->message
           || verdict->category != NGX_HTTP_GRAPH_POLICY_CONTEXT;
}


ngx_int_t
ngx_http_graph_policy_outcome_covered(ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_known_t *known,
    ngx_http_graph_policy_covered_t *covered)
{
    ngx_uint_t  answer, found;

    answer = (source == NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER);

    /*
     * Requests without a credential can't be told apart, so they must not
     * change a state.
     */

    if (answer && !known->credential) {
        return NGX_DECLINED;
    }

    /* A webhook is signed by Meta and names no token, so it isn't bound. */

    covered->bound = (verdict->bound && answer);

    if (verdict->category == NGX_HTTP_GRAPH_POLICY_CONTEXT) {
        covered->kind = NGX_HTTP_GRAPH_POLICY_KEY_LIMITED;
        covered->bound = 0;

        return known->recipient ? NGX_OK : NGX_DECLINED;
    }

    switch (verdict->scope) {

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL:

        if (answer) {
            covered->kind = NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL;
            covered->bound = 1;
            return NGX_OK;
        }

        /* fall through */

    case NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT:

        if (known->account) {
            covered->kind = NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT;
            return NGX_OK;
        }

        covered->kind = NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE;
        found = known->phone;
        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE:
        covered->kind = NGX_HTTP_GRAPH_POLICY_KEY_PHONE;
        found = known->phone;
        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION:
        covered->kind = NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION;
        found = known->recipient;
        break;

    default: /* NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST */
        return NGX_DECLINED;
    }

    return found ? NGX_OK : NGX_DECLINED;
}


ngx_http_graph_policy_probe_outcome_e
ngx_http_graph_policy_outcome_of_probe(ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_probed_t *probed)
{
    ngx_uint_t  credential;

    credential = (probed->kind == NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL);

    switch (proof) {

    case NGX_HTTP_GRAPH_POLICY_PROOF_LEFT:
        return NGX_HTTP_GRAPH_POLICY_NO_PROBE;

    case NGX_HTTP_GRAPH_POLICY_PROOF_ERROR:
        break;

    case NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL:
        return credential ? NGX_HTTP_GRAPH_POLICY_SUCCESS
                          : NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE;

    case NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED:
        return probed->confirmed ? NGX_HTTP_GRAPH_POLICY_UNCONFIRMED
                                 : NGX_HTTP_GRAPH_POLICY_SUCCESS;

    default: /* PROOF_NONE, PROOF_NOTHING */
        return NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE;
    }

    if (!verdict->matched
        || verdict->category >= NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED)
    {
        return NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE;
    }

    if (probed->same && probed->fatal
        && verdict->category == NGX_HTTP_GRAPH_POLICY_FATAL)
    {
        return NGX_HTTP_GRAPH_POLICY_FAILURE;
    }

    /* The error isn't about the credential, so the token works. */

    if (credential) {
        return NGX_HTTP_GRAPH_POLICY_SUCCESS;
    }

    /*
     * Such an error is about the request or its credential and says nothing of
     * the state, so another request may probe at once.
     */

    if (verdict->bound
        || verdict->category == NGX_HTTP_GRAPH_POLICY_REQUEST)
    {
        return NGX_HTTP_GRAPH_POLICY_NO_PROBE;
    }

    return NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE;
}


ngx_http_graph_policy_probe_outcome_e
ngx_http_graph_policy_outcome_of_status(
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t reason)
{
    if (verdict == NULL) {
        return NGX_HTTP_GRAPH_POLICY_SUCCESS;
    }

    return (verdict->matched && verdict->reason == reason
            && verdict->category == NGX_HTTP_GRAPH_POLICY_FATAL)
           ? NGX_HTTP_GRAPH_POLICY_FAILURE
           : NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE;
}
