
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What requests ask of the zone: may this one pass, learn that, settle a
 * lease.  Each call takes the mutex once, and copies out what it tells.
 *
 * Lock and memory: see the zone's own file.  Views and refs are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_state.h"


static ngx_uint_t ngx_http_graph_policy_collect(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_state_t **states);
static ngx_int_t ngx_http_graph_policy_weigh(
    ngx_http_graph_policy_state_t **states, ngx_uint_t n,
    ngx_http_graph_policy_kind_e kind, uint64_t lease, uint64_t now,
    ngx_http_graph_policy_state_t **shown);
static ngx_uint_t ngx_http_graph_policy_blocks(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_kind_e kind,
    uint64_t lease, uint64_t now);
static ngx_http_graph_policy_transition_e ngx_http_graph_policy_trip(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure);
static ngx_int_t ngx_http_graph_policy_target(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_place_t *place);
static void ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_view_t *view);


ngx_int_t
ngx_http_graph_policy_zone_admit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_kind_e kind,
    uint64_t now, ngx_http_graph_policy_cover_t *cover,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                        lease;
    ngx_int_t                       rc;
    ngx_uint_t                      i, n;
    ngx_http_graph_policy_ref_t    *ref;
    ngx_http_graph_policy_state_t  *shown;
    ngx_http_graph_policy_state_t  *states[NGX_HTTP_GRAPH_POLICY_NREFS];

    if (id->credential == 0 && kind != NGX_HTTP_GRAPH_POLICY_READ) {
        kind = NGX_HTTP_GRAPH_POLICY_ANONYMOUS;
    }

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_state_expire(zone, now);

    n = ngx_http_graph_policy_collect(zone->sh, id, states);
    rc = ngx_http_graph_policy_weigh(states, n, kind, id->lease, now, &shown);

    lease = (rc == NGX_DONE) ? ++zone->sh->lease : 0;
    cover->n = 0;

    for (i = 0; i < n; i++) {

        if (lease != 0) {
            if (ngx_http_graph_policy_blocks(states[i], kind, id->lease, now))
            {
                continue;
            }

            ngx_http_graph_policy_breaker_lease(&states[i]->breaker, lease,
                                           now + NGX_HTTP_GRAPH_POLICY_LEASE);
        }

        ref = &cover->refs[cover->n++];

        ref->hash = states[i]->node.key;
        ref->reason = states[i]->reason;
        ref->kind = states[i]->kind;
        ref->lease = lease;

        if (shown == NULL || lease != 0) {
            shown = states[i];
        }
    }

    if (shown != NULL) {
        ngx_http_graph_policy_state_view(zone->sh, shown, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


/* all that cover a request: at most one of each place and reason */

static ngx_uint_t
ngx_http_graph_policy_collect(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_state_t **states)
{
    ngx_uint_t                      n, kind, bound;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    n = 0;

    for (kind = 0; kind < NGX_HTTP_GRAPH_POLICY_NKEYS; kind++) {

        for (bound = 0; bound < 2; bound++) {

            if (sh->live[kind][bound] == 0
                || ngx_http_graph_policy_state_place(sh, id, kind, bound,
                                                     &place)
                   != NGX_OK)
            {
                continue;
            }

            state = ngx_http_graph_policy_state_first(sh, place.hash);

            while (state != NULL && n < NGX_HTTP_GRAPH_POLICY_NREFS) {

                if (state->breaker.armed
                    && (id->cooldown
                        || state->category != NGX_HTTP_GRAPH_POLICY_TEMPORARY)
                    && ngx_http_graph_policy_state_is_at(state, &place))
                {
                    states[n++] = state;
                }

                state = ngx_http_graph_policy_state_next(sh, state);
            }
        }
    }

    return n;
}


/* "shown" is the blocking one with the latest end, dry ones last */

static ngx_int_t
ngx_http_graph_policy_weigh(ngx_http_graph_policy_state_t **states,
    ngx_uint_t n, ngx_http_graph_policy_kind_e kind, uint64_t lease,
    uint64_t now, ngx_http_graph_policy_state_t **shown)
{
    uint64_t                        end, latest;
    ngx_uint_t                      i, due;
    ngx_http_graph_policy_state_t  *state;

    *shown = NULL;
    latest = 0;
    due = 0;

    for (i = 0; i < n; i++) {
        state = states[i];

        if (!ngx_http_graph_policy_blocks(state, kind, lease, now)) {
            due = 1;
            continue;
        }

        end = ngx_http_graph_policy_state_end(state, now);

        if (*shown == NULL || state->dry_run < (*shown)->dry_run
            || (state->dry_run == (*shown)->dry_run && end > latest))
        {
            *shown = state;
            latest = end;
        }
    }

    if (*shown != NULL && !(*shown)->dry_run) {
        return NGX_BUSY;
    }

    if (due && kind != NGX_HTTP_GRAPH_POLICY_READ) {
        return NGX_DONE;
    }

    return (*shown != NULL) ? NGX_ABORT : NGX_OK;
}


static ngx_uint_t
ngx_http_graph_policy_blocks(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_kind_e kind, uint64_t lease, uint64_t now)
{
    if (lease != 0 && state->breaker.lease == lease) {
        return 0;
    }

    if (now < state->breaker.until) {
        return 1;
    }

    if (kind == NGX_HTTP_GRAPH_POLICY_READ) {
        return 0;
    }

    if (kind == NGX_HTTP_GRAPH_POLICY_ANONYMOUS) {
        return 1;
    }

    /* an accepted upload says nothing of messages */

    if (kind == NGX_HTTP_GRAPH_POLICY_SEND
        && state->category == NGX_HTTP_GRAPH_POLICY_FATAL
        && state->kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL)
    {
        return 1;
    }

    return ngx_http_graph_policy_breaker_position(&state->breaker, now)
           == NGX_HTTP_GRAPH_POLICY_OPEN;
}


ngx_int_t
ngx_http_graph_policy_zone_learn(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t                           rc;
    ngx_uint_t                          was_armed;
    ngx_http_graph_policy_place_t       place;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_verdict_t    *verdict;
    ngx_http_graph_policy_transition_e  transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;
    failure->evicted.transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    verdict = failure->verdict;

    if (ngx_http_graph_policy_target(zone->sh, id, verdict, &place)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_state_expire(zone, failure->now);

    rc = NGX_OK;

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                             verdict->reason);

    if (state == NULL) {
        state = ngx_http_graph_policy_state_create(zone, &place, failure);

    } else if (!ngx_http_graph_policy_state_is_at(state, &place)) {

        /* two keys of one hash: better no state than a wrong one */

        state = NULL;
    }

    if (state == NULL) {
        rc = NGX_ERROR;
        goto done;
    }

    was_armed = state->breaker.armed;

    transition = ngx_http_graph_policy_trip(state, id, failure);

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {
        ngx_http_graph_policy_state_describe(state, failure);
        ngx_http_graph_policy_state_update(zone, state, was_armed);
        ngx_http_graph_policy_state_join(zone->sh, state, id);
    }

    ngx_http_graph_policy_state_view(zone->sh, state, failure->now, view);
    view->transition = transition;

done:

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
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

        /* a wait that was short says nothing of how long this one lasts */

        if (state->category != NGX_HTTP_GRAPH_POLICY_FATAL) {
            ngx_memzero(b, sizeof(ngx_http_graph_policy_breaker_t));
        }

        return ngx_http_graph_policy_breaker_trip(b, failure->sent,
                                                  failure->now, failure->hold,
                                                  failure->max,
                                                  (uint32_t) ngx_random());
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


/* where the answer sets its state */

static ngx_int_t
ngx_http_graph_policy_target(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_place_t *place)
{
    ngx_uint_t  kind;

    /* who can't be told apart mustn't change a state */

    if (id->credential == 0) {
        return NGX_DECLINED;
    }

    switch (verdict->scope) {

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL:
        kind = NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL;
        break;

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

    return ngx_http_graph_policy_state_place(sh, id, kind, verdict->bound,
                                             place);
}


void
ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_outcome_e outcome,
    uint64_t now, ngx_http_graph_policy_view_t *view)
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
        ngx_http_graph_policy_settled(zone, state, transition, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, uint64_t sent, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    ngx_http_graph_policy_zone_lock(zone);

    state = ngx_http_graph_policy_state_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_clear(&state->breaker, sent,
                                                         now);
        ngx_http_graph_policy_settled(zone, state, transition, now, view);
    }

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

        if (state != NULL && state->breaker.armed
            && state->breaker.lease == refs[i].lease)
        {
            state->breaker.lease_until = now + NGX_HTTP_GRAPH_POLICY_LEASE;
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_zone_hasten(ngx_http_graph_policy_zone_t *zone,
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
                && ngx_http_graph_policy_breaker_hasten(&state->breaker, now))
            {
                ngx_http_graph_policy_state_update(zone, state, 1);
            }

            state = ngx_http_graph_policy_state_next(zone->sh, state);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}
