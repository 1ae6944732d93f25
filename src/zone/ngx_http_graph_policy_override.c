
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Operators and applications set and clear states by hand, and ask if a phone
 * may write to a recipient.
 *
 * Lock and memory: see the zone's own file.  Views are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_override.h"


static void ngx_http_graph_policy_lookup_states(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_uint_t kind, uint64_t now, ngx_http_graph_policy_state_t **shown);


ngx_int_t
ngx_http_graph_policy_zone_put(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_failure_t *failure, ngx_uint_t frozen,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t                           rc;
    ngx_uint_t                          was_armed;
    ngx_http_graph_policy_place_t       place;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    rc = NGX_ERROR;

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, failure->now, changes);
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
        state = ngx_http_graph_policy_state_create(zone, &place,
                                                   failure->verdict->reason,
                                                   failure->facts->trace_len,
                                                   failure->now, changes);
    }

    if (state == NULL || !ngx_http_graph_policy_state_is_at(state, &place)) {
        changes->refused = 1;
        goto done;
    }

    was_armed = state->breaker.armed;

    transition = ngx_http_graph_policy_breaker_put(&state->breaker,
                                                   failure->now, failure->hold,
                                                   failure->max, frozen);
    state->breaker.confirm = failure->confirm;

    if (transition == NGX_HTTP_GRAPH_POLICY_SET) {
        state->blocked = 0;
    }

    ngx_http_graph_policy_state_describe(state, failure);
    ngx_http_graph_policy_state_update(zone, state, was_armed);
    ngx_http_graph_policy_group_join(zone->sh, state, id);

    ngx_http_graph_policy_state_view(zone->sh, state, failure->now, view);
    view->transition = transition;

    ngx_http_graph_policy_view_note(view, changes);

    rc = NGX_OK;

done:

    changes->full = (rc == NGX_ERROR);

    ngx_http_graph_policy_zone_publish(zone, changes);

    return rc;
}


ngx_int_t
ngx_http_graph_policy_zone_end(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_int_t                              rc;
    ngx_http_graph_policy_state_t         *state;
    ngx_http_graph_policy_conversation_t  *conversation;

    rc = NGX_DECLINED;

    ngx_http_graph_policy_zone_edit(zone, changes);

    /* What has ended by itself is remembered from then on, not from now. */

    ngx_http_graph_policy_expire(zone, now, changes);

    state = ngx_http_graph_policy_state_find(zone->sh, hash, reason);

    if (state != NULL && state->breaker.armed) {
        ngx_http_graph_policy_state_note(zone->sh, state, now,
                                         NGX_HTTP_GRAPH_POLICY_CLEARED,
                                         changes);
        (void) ngx_http_graph_policy_breaker_end(&state->breaker, now);
        ngx_http_graph_policy_state_update(zone, state, 1);

        rc = NGX_OK;

        goto done;
    }

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation != NULL && conversation->limit.live
        && conversation->limit.reason == reason)
    {
        rc = NGX_OK;

        ngx_http_graph_policy_conversation_clear(zone, hash,
                                   ngx_max(now, conversation->limit.changed),
                                                 changes);
    }

done:

    ngx_http_graph_policy_zone_publish(zone, changes);

    return rc;
}


ngx_http_graph_policy_may_write_e
ngx_http_graph_policy_zone_lookup(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                               end;
    ngx_uint_t                             kind;
    ngx_http_graph_policy_gate_t           gate;
    ngx_http_graph_policy_state_t         *shown;
    ngx_http_graph_policy_may_write_e      may;
    ngx_http_graph_policy_conversation_t  *limit;

    may = NGX_HTTP_GRAPH_POLICY_MAY_WRITE;
    shown = NULL;

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, now, NULL);
    ngx_http_graph_policy_link_account(zone->sh, id);

    for (kind = NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT;
         kind < NGX_HTTP_GRAPH_POLICY_NKEYS;
         kind++)
    {
        ngx_http_graph_policy_lookup_states(zone->sh, id, kind, now, &shown);
    }

    if (shown != NULL) {
        may = NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE;
        ngx_http_graph_policy_state_view(zone->sh, shown, now, view);
    }

    /*
     * The question is about free text, at the location with the longest hold:
     * a "yes" is then true of each location.
     */

    gate.template = 0;
    gate.hold = zone->conversation_hold;

    limit = ngx_http_graph_policy_conversation_limits(zone->sh, id, &gate,
                                                      now, &end);

    if (limit != NULL && now < end && !limit->dry_run) {

        if (may == NGX_HTTP_GRAPH_POLICY_MAY_WRITE || view->until < end) {
            ngx_http_graph_policy_conversation_view(zone->sh, limit, end,
                                                    view);
        }

        may = (may == NGX_HTTP_GRAPH_POLICY_MAY_WRITE
               && limit->limit.reason == NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED)
              ? NGX_HTTP_GRAPH_POLICY_MAY_SEND_TEMPLATES
              : NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE;
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return may;
}


/*
 * The state with the latest end is shown, as it is to a blocked request.  A
 * state that is due doesn't count, as it lets a probe pass.
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
            && !ngx_http_graph_policy_breaker_has_ended(&state->breaker, now)
            && ngx_http_graph_policy_breaker_position(&state->breaker, now)
               == NGX_HTTP_GRAPH_POLICY_OPEN
            && ngx_http_graph_policy_state_is_at(state, &place)
            && (*shown == NULL
                || ngx_http_graph_policy_breaker_blocked_until(
                                                   &(*shown)->breaker, now)
                   < ngx_http_graph_policy_breaker_blocked_until(
                                                   &state->breaker, now)))
        {
            *shown = state;
        }
    }
}
