
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The zone learns of failures here.  Each call takes the mutex once, and copies
 * out its answer.
 *
 * Lock and memory: see the zone's own file.  Views and refs are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


static ngx_int_t ngx_http_graph_policy_learn_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);
static ngx_int_t ngx_http_graph_policy_covered(
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_covered_t *covered);
static ngx_http_graph_policy_transition_e ngx_http_graph_policy_trip(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure);


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

    if (ngx_http_graph_policy_covered(id, failure->verdict, failure->source,
                                      &covered) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, failure->now, changes);

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
    ngx_http_graph_policy_transition_e  transition;

    if (ngx_http_graph_policy_state_of_failure(zone->sh, id, failure->verdict,
                                               failure->source, &place)
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

        /*
         * Another key has the same hash.  A failure that sets no state is
         * better than a state that blocks somebody else.
         */

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

    failure->credential = id->credential;

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {
        ngx_http_graph_policy_state_describe(state, failure);
        ngx_http_graph_policy_state_update(zone, state, was_armed);
        ngx_http_graph_policy_group_join(zone->sh, state, id);
    }

    ngx_http_graph_policy_state_view(zone->sh, state, failure->now, view);
    view->transition = transition;

    ngx_http_graph_policy_view_note(view, changes);

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_state_of_failure(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_place_t *place)
{
    ngx_http_graph_policy_covered_t  covered;

    /*
     * The account of the phone may have become known since, and the state then
     * covers the account instead of the phone.
     */

    ngx_http_graph_policy_link_account(sh, id);

    if (ngx_http_graph_policy_covered(id, verdict, source, &covered) != NGX_OK
        || covered.kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED)
    {
        return NGX_DECLINED;
    }

    return ngx_http_graph_policy_state_place(sh, id, covered.kind,
                                             covered.bound, place);
}


static ngx_int_t
ngx_http_graph_policy_covered(ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_covered_t *covered)
{
    ngx_http_graph_policy_known_t  known;

    known.credential = (id->credential != 0);
    known.account = (id->account.len != 0);
    known.phone = (id->phone.len != 0);
    known.recipient = (id->conversation != 0);

    return ngx_http_graph_policy_outcome_covered(verdict, source, &known,
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
    trip.confirm = failure->confirm;
    trip.fatal = (failure->verdict->category == NGX_HTTP_GRAPH_POLICY_FATAL);
    trip.was_fatal = (state->category == NGX_HTTP_GRAPH_POLICY_FATAL);
    trip.grows = failure->verdict->grows;
    trip.event = (failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER);
    trip.random = trip.fatal ? (uint32_t) ngx_random() : 0;

    return ngx_http_graph_policy_breaker_fail(&state->breaker, &trip);
}
