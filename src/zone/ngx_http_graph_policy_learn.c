
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
#include "ngx_http_graph_policy_state.h"


static ngx_int_t ngx_http_graph_policy_learn_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_view_t *view);
static ngx_http_graph_policy_transition_e ngx_http_graph_policy_trip(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure);
static ngx_http_graph_policy_transition_e ngx_http_graph_policy_trip_fatal(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);
static ngx_int_t ngx_http_graph_policy_key_of(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_place_t *place);
static void ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_view_t *view);


/* an event tells the second, so it may have been at the end of that */

#define ngx_http_graph_policy_latest(failure)                                 \
    (((failure)->source == NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER)               \
     ? (failure)->sent : (failure)->sent + 999)


ngx_int_t
ngx_http_graph_policy_zone_learn(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t  rc;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;
    failure->evicted.transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    /* who can't be told apart mustn't change a state */

    if (failure->source == NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER
        && id->credential == 0)
    {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, failure->now);

    rc = (failure->verdict->category == NGX_HTTP_GRAPH_POLICY_CONTEXT)
         ? ngx_http_graph_policy_conversation_learn(zone, id, failure, view)
         : ngx_http_graph_policy_learn_state(zone, id, failure, view);

    if (rc == NGX_ERROR) {
        zone->sh->counters.lost++;
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


static ngx_int_t
ngx_http_graph_policy_learn_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                           was_armed;
    ngx_http_graph_policy_place_t        place;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    ngx_http_graph_policy_link_account(zone->sh, id);

    if (ngx_http_graph_policy_key_of(zone->sh, id, failure, &place)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                             failure->verdict->reason);

    if (state == NULL) {
        state = ngx_http_graph_policy_state_create(zone, &place, failure);

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

    ngx_http_graph_policy_state_view(zone->sh, state, failure->now, view);
    view->transition = transition;

    return NGX_OK;
}


static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_trip(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure)
{
    uint64_t                          wait;
    ngx_uint_t                        n;
    ngx_http_graph_policy_breaker_t  *b;

    b = &state->breaker;

    if (failure->verdict->category == NGX_HTTP_GRAPH_POLICY_FATAL) {
        return ngx_http_graph_policy_trip_fatal(state, failure);
    }

    /* nor may it replace one that is armed, or remembered */

    if (state->category == NGX_HTTP_GRAPH_POLICY_FATAL && b->holds != 0
        && (b->armed || failure->now < b->until))
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    wait = failure->hold;

    if (failure->verdict->grows && b->armed) {

        for (n = 0; n < b->holds && wait < failure->max; n++) {
            wait *= 4;
        }

        wait = ngx_min(wait, failure->max);
    }

    return ngx_http_graph_policy_breaker_cool(b, id->lease, failure->sent,
                                              failure->now, (uint32_t) wait);
}


static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_trip_fatal(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure)
{
    uint64_t                             sent;
    ngx_http_graph_policy_breaker_t     *b;
    ngx_http_graph_policy_transition_e   transition;

    b = &state->breaker;
    sent = ngx_http_graph_policy_latest(failure);

    /* Meta delivers an event more than once, and it isn't a failure more */

    if (failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER
        && b->armed && failure->sent / 1000 == b->changed / 1000)
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    /* a wait that was short says nothing of how long this one lasts */

    if (state->category != NGX_HTTP_GRAPH_POLICY_FATAL) {
        ngx_memzero(b, sizeof(ngx_http_graph_policy_breaker_t));
    }

    transition = ngx_http_graph_policy_breaker_trip(b, sent, failure->now,
                                                    failure->hold,
                                                    failure->max,
                                                    (uint32_t) ngx_random());

    /* events come in any order: what counts is when the cause was */

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING
        && failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER)
    {
        b->changed = failure->sent;
    }

    return transition;
}


/* where the failure sets its state */

static ngx_int_t
ngx_http_graph_policy_key_of(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_place_t *place)
{
    ngx_uint_t                        kind, bound, told;
    ngx_http_graph_policy_verdict_t  *verdict;

    verdict = failure->verdict;

    /* what Meta has signed needs no proof of access, and knows no token */

    told = (failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER);
    bound = (verdict->bound && !told);

    switch (verdict->scope) {

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL:
        if (!told) {
            kind = NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL;
            break;
        }

        /* fall through */

    case NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT:
        kind = (id->account.len != 0) ? NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT
                                    : NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE;
        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE:
        kind = NGX_HTTP_GRAPH_POLICY_KEY_PHONE;
        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION:
        kind = NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION;
        break;

    default: /* NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST */
        return NGX_DECLINED;
    }

    return ngx_http_graph_policy_state_place(sh, id, kind, bound, place);
}


void
ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_outcome_e outcome,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    ngx_http_graph_policy_zone_lock(zone);

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_settle(&state->breaker,
                                                      ref->lease, outcome, now,
                                                      (uint32_t) ngx_random());

        /* the latest failure is the one that is shown */

        if (transition == NGX_HTTP_GRAPH_POLICY_REARMED && failure != NULL) {
            ngx_http_graph_policy_state_describe(state, failure);
        }

        ngx_http_graph_policy_settled(zone, state, transition, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, uint64_t sent, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t       *state;
    ngx_http_graph_policy_transition_e   transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    ngx_http_graph_policy_zone_lock(zone);

    if (ref->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED) {
        ngx_http_graph_policy_conversation_clear(zone, ref->hash, sent, view);
        goto done;
    }

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_clear(&state->breaker, sent,
                                                         now);
        ngx_http_graph_policy_settled(zone, state, transition, now, view);
    }

done:

    ngx_http_graph_policy_zone_unlock(zone);
}


static void
ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    ngx_http_graph_policy_state_view(zone->sh, state, now, view);
    view->transition = transition;

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

        if (state != NULL && state->breaker.armed && refs[i].lease != 0
            && state->breaker.lease == refs[i].lease)
        {
            state->breaker.lease_until = now + NGX_HTTP_GRAPH_POLICY_LEASE;
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
