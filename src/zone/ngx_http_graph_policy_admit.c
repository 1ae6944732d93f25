
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What requests ask of the zone: may this one pass?  Each call takes the mutex
 * once, and copies out what it tells.
 *
 * Lock and memory: see the zone's own file.  Views and refs are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_state.h"


static ngx_int_t ngx_http_graph_policy_limit(ngx_int_t rc,
    ngx_http_graph_policy_conversation_t *limit, uint64_t end,
    ngx_http_graph_policy_state_t **shown, uint64_t now,
    ngx_http_graph_policy_view_t *view);
static ngx_uint_t ngx_http_graph_policy_collect_states(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_state_t **states);
static ngx_int_t ngx_http_graph_policy_weigh(
    ngx_http_graph_policy_state_t **states, ngx_uint_t n,
    ngx_http_graph_policy_kind_e kind, uint64_t lease, uint64_t now,
    ngx_http_graph_policy_state_t **shown);
static ngx_uint_t ngx_http_graph_policy_blocks(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_kind_e kind,
    uint64_t lease, uint64_t now);


ngx_int_t
ngx_http_graph_policy_zone_admit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_kind_e kind,
    uint64_t now, ngx_http_graph_policy_cover_t *cover,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                               lease, end;
    ngx_int_t                              rc;
    ngx_uint_t                             i, n;
    ngx_http_graph_policy_ref_t           *ref;
    ngx_http_graph_policy_state_t         *shown;
    ngx_http_graph_policy_state_t         *states[NGX_HTTP_GRAPH_POLICY_NREFS];
    ngx_http_graph_policy_conversation_t  *limit;

    if (id->credential == 0 && kind != NGX_HTTP_GRAPH_POLICY_READ) {
        kind = NGX_HTTP_GRAPH_POLICY_ANONYMOUS;
    }

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, now);

    n = ngx_http_graph_policy_collect_states(zone->sh, id, states);
    rc = ngx_http_graph_policy_weigh(states, n, kind, id->lease, now, &shown);

    limit = ngx_http_graph_policy_conversation_limits(zone->sh, id, &end);

    if (limit != NULL && now < end) {
        rc = ngx_http_graph_policy_limit(rc, limit, end, &shown, now, view);
    }

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

        if ((shown == NULL && limit == NULL) || lease != 0) {
            shown = states[i];
        }
    }

    if (limit != NULL && lease == 0 && cover->n < NGX_HTTP_GRAPH_POLICY_NREFS)
    {
        ref = &cover->refs[cover->n++];

        ref->hash = limit->node.key;
        ref->reason = limit->reason;
        ref->kind = NGX_HTTP_GRAPH_POLICY_KEY_LIMITED;
        ref->lease = 0;
    }

    if (shown != NULL) {

        /* who is unknown while a state is due asks once more by name */

        shown->blocked += (rc == NGX_BUSY && !id->uncounted
                           && (id->credential != 0
                               || now < shown->breaker.until));
        ngx_http_graph_policy_state_view(zone->sh, shown, now, view);

    } else if (limit != NULL) {
        limit->blocked += (rc == NGX_BUSY && !id->uncounted);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


/*
 * What the conversation's limit makes of what the states say.  Where it is
 * what is shown it is in "view", and "shown" is NULL.
 */

static ngx_int_t
ngx_http_graph_policy_limit(ngx_int_t rc,
    ngx_http_graph_policy_conversation_t *limit, uint64_t end,
    ngx_http_graph_policy_state_t **shown, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t  wanted;

    wanted = limit->dry_run ? NGX_ABORT : NGX_BUSY;

    if (limit->dry_run && (rc == NGX_BUSY || rc == NGX_DONE)) {
        return rc;
    }

    if (rc != wanted || ngx_http_graph_policy_state_end(*shown, now) < end) {
        *shown = NULL;
        ngx_http_graph_policy_conversation_view(limit, end, view);
    }

    return wanted;
}


/* all that cover a request: at most one of each place and reason */

static ngx_uint_t
ngx_http_graph_policy_collect_states(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_state_t **states)
{
    ngx_uint_t                      n, kind, bound;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    n = 0;

    if (sh->armed == 0) {
        return 0;
    }

    if (sh->live[NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT][0] != 0
        || sh->live[NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT][1] != 0)
    {
        ngx_http_graph_policy_link_account(sh, id);
    }

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
ngx_http_graph_policy_zone_paused(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_ref_t *refs,
    ngx_uint_t n, uint64_t now, ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                      i, j, nstates;
    ngx_http_graph_policy_state_t  *state, *shown;
    ngx_http_graph_policy_state_t  *states[NGX_HTTP_GRAPH_POLICY_NREFS];

    shown = NULL;

    ngx_http_graph_policy_zone_lock(zone);

    nstates = ngx_http_graph_policy_collect_states(zone->sh, id, states);

    for (i = 0; i < nstates; i++) {
        state = states[i];

        if (state->credential != 0 || state->dry_run
            || state->category != NGX_HTTP_GRAPH_POLICY_FATAL
            || now >= state->breaker.until)
        {
            continue;
        }

        for (j = 0; j < n; j++) {
            if (refs[j].hash == state->node.key
                && refs[j].reason == state->reason)
            {
                shown = NULL;
                goto done;
            }
        }

        if (shown == NULL || shown->breaker.until < state->breaker.until) {
            shown = state;
        }
    }

done:

    if (shown != NULL) {
        ngx_http_graph_policy_state_view(zone->sh, shown, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return (shown != NULL) ? NGX_BUSY : NGX_OK;
}
