
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The zone learns of the answers to probes, of the statuses of messages that
 * probes have sent, and that a cause may be gone.  Each call takes the mutex
 * once.
 *
 * Lock and memory: see the zone's own file.  Refs are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"


static ngx_http_graph_policy_transition_e ngx_http_graph_policy_settle_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer);
static ngx_uint_t ngx_http_graph_policy_sets(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_answer_t *answer);
static uint64_t ngx_http_graph_policy_to_confirm(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    uint64_t message);
static void ngx_http_graph_policy_confirm_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    uint64_t message, ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static ngx_http_graph_policy_probe_e ngx_http_graph_policy_probe_of(
    ngx_http_graph_policy_transition_e transition);
static void ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, uint64_t changed,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);


void
ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                            changed;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    ngx_http_graph_policy_zone_edit(zone, changes);

    transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        changed = state->breaker.changed;
        transition = ngx_http_graph_policy_settle_state(zone, state, ref,
                                                        answer);
        ngx_http_graph_policy_settled(zone, state, changed, transition,
                                      answer->now, changes);
    }

    /*
     * The transition is counted, not the answer: another request may have
     * changed the state meanwhile, and the probe then has no result.
     */

    changes->probe = ngx_http_graph_policy_probe_of(transition);

    ngx_http_graph_policy_zone_publish(zone, changes);
}


static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_settle_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_ref_t *ref,
    ngx_http_graph_policy_answer_t *answer)
{
    uint64_t                               message;
    ngx_http_graph_policy_probed_t         probed;
    ngx_http_graph_policy_failure_t        failure;
    ngx_http_graph_policy_transition_e     transition;
    ngx_http_graph_policy_probe_outcome_e  outcome;

    message = ngx_http_graph_policy_to_confirm(zone, state, answer->message);

    probed.kind = state->kind;
    probed.fatal = (state->category == NGX_HTTP_GRAPH_POLICY_FATAL);
    probed.same = ngx_http_graph_policy_sets(zone, state, answer);
    probed.confirmed = (message != 0);

    outcome = ngx_http_graph_policy_outcome_of_probe(answer->proof,
                                                     answer->verdict, &probed);

    transition = ngx_http_graph_policy_breaker_settle(&state->breaker,
                                                      ref->lease, message,
                                                      outcome, answer->now,
                                                      (uint32_t) ngx_random());

    /* The state shows the latest failure that re-armed it. */

    if (transition == NGX_HTTP_GRAPH_POLICY_REARMED) {
        failure.verdict = answer->verdict;
        failure.facts = answer->facts;
        failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER;
        failure.status = answer->status;
        failure.credential = answer->id->credential;

        ngx_http_graph_policy_state_describe(state, &failure);
    }

    return transition;
}


/* Returns 1 if the error of an answer sets this very state. */

static ngx_uint_t
ngx_http_graph_policy_sets(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_answer_t *answer)
{
    ngx_http_graph_policy_place_t  place;

    return answer->proof == NGX_HTTP_GRAPH_POLICY_PROOF_ERROR
           && answer->verdict->reason == state->reason
           && ngx_http_graph_policy_state_of_failure(zone->sh, answer->id,
                                          answer->verdict,
                                          NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER,
                                                     &place)
              == NGX_OK
           && ngx_http_graph_policy_state_is_at(state, &place);
}


/* Returns the message whose status confirms the end of the state, or 0. */

static uint64_t
ngx_http_graph_policy_to_confirm(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, uint64_t message)
{
    return (zone->memory != 0
            && state->source == NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK)
           ? message : 0;
}


static ngx_http_graph_policy_probe_e
ngx_http_graph_policy_probe_of(ngx_http_graph_policy_transition_e transition)
{
    switch (transition) {

    case NGX_HTTP_GRAPH_POLICY_CLEARED:
        return NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED;

    case NGX_HTTP_GRAPH_POLICY_REARMED:
        return NGX_HTTP_GRAPH_POLICY_PROBE_REARMED;

    case NGX_HTTP_GRAPH_POLICY_AWAITED:

        /* The result of the probe is counted once the status has come. */

        return NGX_HTTP_GRAPH_POLICY_NPROBES;

    default:
        return NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE;
    }
}


void
ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                            message, changed;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    /*
     * A 2xx that doesn't show an accepted message proves only that the
     * credential works.
     */

    if (answer->proof != NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED
        && (answer->proof != NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL
            || ref->kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL))
    {
        return;
    }

    ngx_http_graph_policy_zone_edit(zone, changes);

    if (ref->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED) {
        ngx_http_graph_policy_conversation_clear(zone, ref->hash, answer->sent,
                                                 changes);
        goto done;
    }

    /* A state whose wait for a status is over mustn't begin another. */

    ngx_http_graph_policy_expire(zone, answer->now, changes);

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        message = ngx_http_graph_policy_to_confirm(zone, state,
                                                   answer->message);

        changed = state->breaker.changed;
        transition = ngx_http_graph_policy_breaker_clear(&state->breaker,
                                                         message, answer->sent,
                                                         answer->now);

        ngx_http_graph_policy_settled(zone, state, changed, transition,
                                      answer->now, changes);
    }

done:

    ngx_http_graph_policy_zone_publish(zone, changes);
}


void
ngx_http_graph_policy_zone_confirm(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t message,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_uint_t                      kind;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_edit(zone, changes);

    /* A status that comes too late finds the state ended. */

    ngx_http_graph_policy_expire(zone, now, changes);

    for (kind = NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT;
         kind <= NGX_HTTP_GRAPH_POLICY_KEY_PHONE;
         kind++)
    {
        if (ngx_http_graph_policy_state_place(zone->sh, id, kind, 0, &place)
            != NGX_OK)
        {
            continue;
        }

        for (state = ngx_http_graph_policy_state_first(zone->sh, place.hash);
             state != NULL;
             state = ngx_http_graph_policy_state_next(zone->sh, state))
        {
            if (ngx_http_graph_policy_state_is_at(state, &place)) {
                ngx_http_graph_policy_confirm_state(zone, state, message,
                                                    failure, now, changes);
            }
        }
    }

    ngx_http_graph_policy_zone_publish(zone, changes);
}


static void
ngx_http_graph_policy_confirm_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, uint64_t message,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                               before;
    ngx_uint_t                             probed;
    ngx_http_graph_policy_verdict_t       *verdict;
    ngx_http_graph_policy_transition_e     transition;
    ngx_http_graph_policy_probe_outcome_e  outcome;

    /* In dry run the message wasn't a probe, so it isn't counted as one. */

    probed = (now >= ngx_http_graph_policy_breaker_until(&state->breaker, now));

    before = state->breaker.changed;
    verdict = (failure != NULL) ? failure->verdict : NULL;
    outcome = ngx_http_graph_policy_outcome_of_status(verdict, state->reason);

    transition = ngx_http_graph_policy_breaker_confirm(&state->breaker,
                                                       message, outcome, now,
                                                       (uint32_t) ngx_random());

    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    if (transition == NGX_HTTP_GRAPH_POLICY_REARMED) {
        ngx_http_graph_policy_state_describe(state, failure);
    }

    if (probed) {
        changes->probe = ngx_http_graph_policy_probe_of(transition);
    }

    ngx_http_graph_policy_settled(zone, state, before, transition, now,
                                  changes);
}


/* "changed" is the time of the last change before this one */

static void
ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, uint64_t changed,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    ngx_http_graph_policy_revise(zone->sh);

    ngx_http_graph_policy_state_note(zone->sh, state, now, transition, changes);

    if (state->breaker.changed != changed) {
        ngx_http_graph_policy_state_update(zone, state, 1);
        return;
    }

    /*
     * Leases are given back often.  If the end of the state stays the same, so
     * do order and file, and just the other hosts of a fleet are told, who
     * wait for the lease.
     */

    if (transition == NGX_HTTP_GRAPH_POLICY_FREED
        && state->order.key == state->breaker.until
        && !ngx_http_graph_policy_breaker_is_misplaced(&state->breaker,
                                                       state->order_in))
    {
        ngx_http_graph_policy_mark(zone, state->node.key, state->reason,
                                   NGX_HTTP_GRAPH_POLICY_MARK_STATE);
        return;
    }

    ngx_http_graph_policy_state_refresh(zone, state);
}


void
ngx_http_graph_policy_zone_renew(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_lock(zone);

    for (i = 0; i < n; i++) {

        if (refs[i].lease == 0) {
            continue;
        }

        state = ngx_http_graph_policy_state_find(zone->sh, refs[i].hash,
                                           refs[i].reason);

        if (state != NULL) {
            ngx_http_graph_policy_revise(zone->sh);

            ngx_http_graph_policy_breaker_renew(&state->breaker,
                                                refs[i].lease, now);
            ngx_http_graph_policy_mark(zone, state->node.key, state->reason,
                                       NGX_HTTP_GRAPH_POLICY_MARK_STATE);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_zone_make_due(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now)
{
    ngx_uint_t                      bound;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_revise(zone->sh);

    for (bound = 0; bound < 2; bound++) {

        if (ngx_http_graph_policy_state_place(zone->sh, id,
                                              NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                              bound, &place)
            != NGX_OK)
        {
            continue;
        }

        state = ngx_http_graph_policy_state_first(zone->sh, place.hash);

        while (state != NULL) {

            if (ngx_http_graph_policy_state_is_at(state, &place)
                && state->category == NGX_HTTP_GRAPH_POLICY_FATAL)
            {
                if (ngx_http_graph_policy_breaker_make_due(&state->breaker,
                                                           now))
                {
                    ngx_http_graph_policy_state_update(zone, state, 1);

                } else if (ngx_http_graph_policy_breaker_is_misplaced(
                                           &state->breaker, state->order_in))
                {
                    ngx_http_graph_policy_state_refresh(zone, state);
                }
            }

            state = ngx_http_graph_policy_state_next(zone->sh, state);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}
