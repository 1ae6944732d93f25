
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What operators and applications do with states by hand, and what they ask
 * before they write to somebody.
 *
 * Lock and memory: see the zone's own file.  Views are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_state.h"


static void ngx_http_graph_policy_lookup_states(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_uint_t kind, uint64_t now, ngx_http_graph_policy_state_t **shown);


ngx_int_t
ngx_http_graph_policy_zone_put(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_failure_t *failure, ngx_uint_t frozen,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t                           rc;
    ngx_uint_t                          was_armed;
    ngx_http_graph_policy_place_t       place;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    failure->evicted.transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    rc = NGX_ERROR;

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, failure->now);
    ngx_http_graph_policy_link_account(zone->sh, id);

    if (ngx_http_graph_policy_state_place(zone->sh, id, kind,
                                          id->credential != 0, &place)
        != NGX_OK)
    {
        goto done;
    }

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                             failure->verdict->reason);

    if (state == NULL) {
        state = ngx_http_graph_policy_state_create(zone, &place, failure);
    }

    if (state == NULL || !ngx_http_graph_policy_state_is_at(state, &place)) {
        zone->sh->counters.lost++;
        goto done;
    }

    was_armed = state->breaker.armed;

    transition = ngx_http_graph_policy_breaker_put(&state->breaker,
                                                   failure->now, failure->hold,
                                                   failure->max, frozen);

    if (transition == NGX_HTTP_GRAPH_POLICY_SET) {
        state->blocked = 0;
    }

    ngx_http_graph_policy_state_describe(state, failure);
    ngx_http_graph_policy_state_update(zone, state, was_armed);
    ngx_http_graph_policy_group_join(zone->sh, state, id);

    ngx_http_graph_policy_state_view(zone->sh, state, failure->now, view);
    view->transition = transition;

    rc = NGX_OK;

done:

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


ngx_int_t
ngx_http_graph_policy_zone_end(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t         *state;
    ngx_http_graph_policy_conversation_t  *conversation;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    ngx_http_graph_policy_zone_lock(zone);

    state = ngx_http_graph_policy_state_find(zone->sh, hash, reason);

    if (state != NULL && state->breaker.armed) {
        ngx_http_graph_policy_state_view(zone->sh, state, now, view);
        view->transition = ngx_http_graph_policy_breaker_end(&state->breaker,
                                                             now);
        ngx_http_graph_policy_state_update(zone, state, 1);

        goto done;
    }

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation != NULL && conversation->reason == reason) {
        ngx_http_graph_policy_conversation_clear(zone, hash,
                                        ngx_max(now, conversation->changed),
                                                 view);
    }

done:

    ngx_http_graph_policy_zone_unlock(zone);

    return (view->transition == NGX_HTTP_GRAPH_POLICY_CLEARED)
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_graph_policy_zone_lookup(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                               end;
    ngx_int_t                              rc;
    ngx_uint_t                             kind;
    ngx_http_graph_policy_state_t         *shown;
    ngx_http_graph_policy_conversation_t  *limit;

    rc = NGX_OK;
    shown = NULL;

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, now);
    ngx_http_graph_policy_link_account(zone->sh, id);

    for (kind = NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT;
         kind < NGX_HTTP_GRAPH_POLICY_NKEYS;
         kind++)
    {
        ngx_http_graph_policy_lookup_states(zone->sh, id, kind, now, &shown);
    }

    if (shown != NULL) {
        rc = NGX_BUSY;
        ngx_http_graph_policy_state_view(zone->sh, shown, now, view);
    }

    /* as free text, at the gate with the longest hold */

    id->template = 0;
    id->gate = zone->conversation_hold;

    limit = ngx_http_graph_policy_conversation_limits(zone->sh, id, &end);

    if (limit != NULL && now < end && !limit->dry_run) {

        if (rc == NGX_OK || view->until < end) {
            ngx_http_graph_policy_conversation_view(limit, end, view);
        }

        rc = (rc == NGX_OK
              && limit->reason == NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED)
             ? NGX_ABORT : NGX_BUSY;
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


/*
 * Shown is the one with the latest end, as by the gate.  One that is due lets
 * a probe pass, so it doesn't count.
 */

static void
ngx_http_graph_policy_lookup_states(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id, ngx_uint_t kind, uint64_t now,
    ngx_http_graph_policy_state_t **shown)
{
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    if (ngx_http_graph_policy_state_place(sh, id, kind, 0, &place) != NGX_OK) {
        return;
    }

    for (state = ngx_http_graph_policy_state_first(sh, place.hash);
         state != NULL;
         state = ngx_http_graph_policy_state_next(sh, state))
    {
        if (!state->dry_run
            && state->category == NGX_HTTP_GRAPH_POLICY_FATAL
            && ngx_http_graph_policy_breaker_position(&state->breaker, now)
               == NGX_HTTP_GRAPH_POLICY_OPEN
            && ngx_http_graph_policy_state_is_at(state, &place)
            && (*shown == NULL
                || ngx_http_graph_policy_state_end(*shown, now)
                   < ngx_http_graph_policy_state_end(state, now)))
        {
            *shown = state;
        }
    }
}
