
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What the zone is told: a failure, what became of a probe, that a cause is
 * gone.  Each call takes the mutex once, and copies out what it tells.
 *
 * Lock and memory: see the zone's own file.  Views and refs are the caller's.
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


static ngx_int_t ngx_http_graph_policy_learn_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);
static ngx_int_t ngx_http_graph_policy_covered(
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_covered_t *covered);
static ngx_http_graph_policy_transition_e ngx_http_graph_policy_trip(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);


ngx_int_t
ngx_http_graph_policy_zone_learn(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t                        rc;
    ngx_http_graph_policy_covered_t  covered;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    if (ngx_http_graph_policy_covered(id, failure, &covered) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, failure->now);

    rc = (covered.kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED)
         ? ngx_http_graph_policy_conversation_learn(zone, id, failure, changes,
                                                    view)
         : ngx_http_graph_policy_learn_state(zone, id, failure, changes, view);

    if (rc == NGX_ERROR) {
        changes->refused = 1;
        changes->full = 1;
    }

    ngx_http_graph_policy_zone_publish(zone, changes);

    return rc;
}


static ngx_int_t
ngx_http_graph_policy_learn_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                          was_armed;
    ngx_http_graph_policy_place_t       place;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_covered_t     covered;
    ngx_http_graph_policy_transition_e  transition;

    /* the account may have become known, and is then what is covered */

    ngx_http_graph_policy_link_account(zone->sh, id);

    if (ngx_http_graph_policy_covered(id, failure, &covered) != NGX_OK
        || ngx_http_graph_policy_state_place(zone->sh, id, covered.kind,
                                             covered.bound, &place)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                             failure->verdict->reason);

    if (state == NULL) {
        state = ngx_http_graph_policy_state_create(zone, &place,
                                                   failure->verdict->reason,
                                                   failure->facts->trace_len,
                                                   failure->now, changes);

    } else if (!ngx_http_graph_policy_state_is_at(state, &place)) {

        /* two keys of one hash: better no state than a wrong one */

        state = NULL;
    }

    if (state == NULL) {
        return NGX_ERROR;
    }

    was_armed = state->breaker.armed;

    transition = ngx_http_graph_policy_trip(state, id, failure);

    if (transition == NGX_HTTP_GRAPH_POLICY_SET) {
        state->blocked = 0;
    }

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {
        ngx_http_graph_policy_state_describe(state, failure);
        ngx_http_graph_policy_state_update(zone, state, was_armed);
        ngx_http_graph_policy_group_join(zone->sh, state, id);
    }

    ngx_http_graph_policy_state_note(zone->sh, state, failure->now, transition,
                                     changes);
    ngx_http_graph_policy_state_view(zone->sh, state, failure->now, view);
    view->transition = transition;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_covered(ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_covered_t *covered)
{
    ngx_http_graph_policy_known_t  known;

    known.credential = (id->credential != 0);
    known.account = (id->account.len != 0);
    known.phone = (id->phone.len != 0);
    known.recipient = (id->conversation != 0);

    return ngx_http_graph_policy_outcome_covered(failure->verdict,
                                                 failure->source, &known,
                                                 covered);
}


static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_trip(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_trip_t  trip;

    trip.sent = failure->sent;
    trip.now = failure->now;
    trip.lease = failure->lease;
    trip.hold = failure->hold;
    trip.max = failure->max;
    trip.fatal = (failure->verdict->category == NGX_HTTP_GRAPH_POLICY_FATAL);
    trip.was_fatal = (state->category == NGX_HTTP_GRAPH_POLICY_FATAL);
    trip.grows = failure->verdict->grows;
    trip.event = (failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER);
    trip.random = trip.fatal ? (uint32_t) ngx_random() : 0;

    return ngx_http_graph_policy_breaker_fail(&state->breaker, &trip);
}


void
ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref,
    ngx_http_graph_policy_probe_outcome_e outcome,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    ngx_http_graph_policy_zone_edit(zone, changes);

    transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_settle(&state->breaker,
                                                      ref->lease, outcome, now,
                                                      (uint32_t) ngx_random());

        /* the latest failure is the one that is shown */

        if (transition == NGX_HTTP_GRAPH_POLICY_REARMED && failure != NULL) {
            ngx_http_graph_policy_state_describe(state, failure);
        }

        ngx_http_graph_policy_settled(zone, state, transition, now, changes);
    }

    /* what came of it, not what was meant: somebody may have been faster */

    changes->probe = (transition == NGX_HTTP_GRAPH_POLICY_CLEARED)
                     ? NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED
                     : (transition == NGX_HTTP_GRAPH_POLICY_REARMED)
                     ? NGX_HTTP_GRAPH_POLICY_PROBE_REARMED
                     : NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE;

    ngx_http_graph_policy_zone_publish(zone, changes);
}


void
ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, uint64_t sent, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_state_t       *state;
    ngx_http_graph_policy_transition_e   transition;

    ngx_http_graph_policy_zone_edit(zone, changes);

    if (ref->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED) {
        ngx_http_graph_policy_conversation_clear(zone, ref->hash, sent,
                                                 changes);
        goto done;
    }

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_clear(&state->breaker, sent,
                                                         now);
        ngx_http_graph_policy_settled(zone, state, transition, now, changes);
    }

done:

    ngx_http_graph_policy_zone_publish(zone, changes);
}


static void
ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    ngx_http_graph_policy_state_note(zone->sh, state, now, transition, changes);
    ngx_http_graph_policy_state_update(zone, state, 1);
}


void
ngx_http_graph_policy_zone_renew(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_lock(zone);

    for (i = 0; i < n; i++) {
        state = ngx_http_graph_policy_state_find(zone->sh, refs[i].hash,
                                           refs[i].reason);

        if (state != NULL) {
            ngx_http_graph_policy_breaker_renew(&state->breaker,
                                                refs[i].lease,
                                           now + NGX_HTTP_GRAPH_POLICY_LEASE);
            ngx_http_graph_policy_mark(zone, state->node.key, state->reason,
                                       0);
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
                && state->category == NGX_HTTP_GRAPH_POLICY_FATAL
                && ngx_http_graph_policy_breaker_make_due(&state->breaker, now))
            {
                ngx_http_graph_policy_state_update(zone, state, 1);
            }

            state = ngx_http_graph_policy_state_next(zone->sh, state);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}
