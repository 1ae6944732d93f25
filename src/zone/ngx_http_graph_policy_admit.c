
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Requests ask the zone here if they may pass.  Each call takes the mutex once,
 * and copies out its answer.
 *
 * Lock and memory: see the zone's own file.  Views and refs are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_decision.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"


static ngx_http_graph_policy_admission_e ngx_http_graph_policy_admit(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_query_t *query,
    uint64_t now, ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);
static void ngx_http_graph_policy_show(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, ngx_http_graph_policy_state_t *shown,
    ngx_uint_t counted, uint64_t now, ngx_http_graph_policy_view_t *view);
static void ngx_http_graph_policy_take_lease(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    uint32_t lease, ngx_http_graph_policy_asker_t *asker, uint64_t now);
static uint32_t ngx_http_graph_policy_next_lease(
    ngx_http_graph_policy_shctx_t *sh);
static ngx_uint_t ngx_http_graph_policy_collect_states(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_uint_t cooldown, ngx_http_graph_policy_state_t **states);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_weigh(
    ngx_http_graph_policy_state_t **states, ngx_uint_t n,
    ngx_http_graph_policy_asker_t *asker, uint64_t now,
    ngx_http_graph_policy_scales_t *scales);
static ngx_http_graph_policy_position_e ngx_http_graph_policy_ask(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_asker_t *asker, uint64_t now);


ngx_http_graph_policy_admission_e
ngx_http_graph_policy_zone_admit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_admission_e  admission;

    return ngx_http_graph_policy_decision_recall(zone, query, now, &admission,
                                                 cover, view)
           ? admission
           : ngx_http_graph_policy_admit(zone, query, now, changes, cover,
                                         view);
}


static ngx_http_graph_policy_admission_e
ngx_http_graph_policy_admit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view)
{
    size_t                                 asked;
    uint32_t                               lease;
    uint64_t                               end;
    ngx_uint_t                             i, n, counted;
    ngx_http_graph_policy_ref_t           *ref;
    ngx_http_graph_policy_asker_t          asker;
    ngx_http_graph_policy_state_t         *shown;
    ngx_http_graph_policy_state_t         *states[NGX_HTTP_GRAPH_POLICY_NREFS];
    ngx_http_graph_policy_scales_t         scales;
    ngx_http_graph_policy_identity_t      *id;
    ngx_http_graph_policy_admission_e      admission;
    ngx_http_graph_policy_conversation_t  *limit;

    id = &query->identity;
    asked = id->account.len;

    asker.kind = query->kind;
    asker.credential = id->credential;
    asker.lease = query->lease;
    asker.may_probe = query->may_probe;
    asker.asks_again = query->asks_again;

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, now, changes);

    n = ngx_http_graph_policy_collect_states(zone->sh, id, query->cooldown,
                                             states);
    shown = ngx_http_graph_policy_weigh(states, n, &asker, now, &scales);

    limit = ngx_http_graph_policy_conversation_limits(zone->sh, id,
                                                      &query->gate, now, &end);

    if (limit != NULL && now < end
        && ngx_http_graph_policy_breaker_weigh(&scales, end, limit->dry_run))
    {
        shown = NULL;
        ngx_http_graph_policy_conversation_view(zone->sh, limit, end, view);
    }

    admission = ngx_http_graph_policy_breaker_admit(&scales);

    lease = (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE)
            ? ngx_http_graph_policy_next_lease(zone->sh) : 0;
    counted = (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK
               && !query->uncounted);
    cover->n = 0;

    for (i = 0; i < n; i++) {

        ref = &cover->refs[cover->n++];

        ref->hash = states[i]->node.key;
        ref->reason = states[i]->reason;
        ref->kind = states[i]->kind;
        ref->lease = 0;

        if (lease == 0) {
            if (shown == NULL && limit == NULL) {
                shown = states[i];
            }

            continue;
        }

        if (ngx_http_graph_policy_ask(states[i], &asker, now)
            == NGX_HTTP_GRAPH_POLICY_DUE)
        {
            ngx_http_graph_policy_take_lease(zone, states[i], lease, &asker,
                                             now);
            ref->lease = lease;
            shown = states[i];
        }
    }

    if (limit != NULL && cover->n < NGX_HTTP_GRAPH_POLICY_NREFS) {
        ref = &cover->refs[cover->n++];

        ref->hash = limit->node.key;
        ref->reason = limit->limit.reason;
        ref->kind = NGX_HTTP_GRAPH_POLICY_KEY_LIMITED;
        ref->lease = 0;
    }

    if (shown != NULL) {
        ngx_http_graph_policy_show(zone, query, shown, counted, now, view);

    } else if (limit != NULL) {
        limit->blocked += counted;
    }

    ngx_http_graph_policy_decision_keep(zone, query, asked, now, admission,
                                        shown, cover->n, view);

    ngx_http_graph_policy_zone_publish(zone, changes);

    return admission;
}


/*
 * Shows the state that blocks.  A request that will ask again isn't counted yet
 * if that state is due, as it may become the probe.
 */

static void
ngx_http_graph_policy_show(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, ngx_http_graph_policy_state_t *shown,
    ngx_uint_t counted, uint64_t now, ngx_http_graph_policy_view_t *view)
{
    uint64_t  until;

    until = ngx_http_graph_policy_breaker_until(&shown->breaker, now);

    shown->blocked += (counted && (!query->asks_again || now < until));

    ngx_http_graph_policy_state_view(zone->sh, shown, now, view);
}


/* The other hosts of a fleet are told, so that they don't probe, too. */

static void
ngx_http_graph_policy_take_lease(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, uint32_t lease,
    ngx_http_graph_policy_asker_t *asker, uint64_t now)
{
    ngx_http_graph_policy_view_t   view;
    ngx_http_graph_policy_terms_t  terms;

    ngx_http_graph_policy_revise(zone->sh);

    ngx_http_graph_policy_state_terms(state, &terms);
    ngx_http_graph_policy_breaker_lease(&state->breaker, lease, &terms, asker,
                                        now);

    ngx_http_graph_policy_state_view(zone->sh, state, now, &view);
    ngx_http_graph_policy_past_note(zone->sh, &view,
                                    NGX_HTTP_GRAPH_POLICY_STEP_PROBE, now, 0);

    ngx_http_graph_policy_mark(zone, state->node.key, state->reason,
                               NGX_HTTP_GRAPH_POLICY_MARK_STATE);
}


/* Returns the next token of a lease, never 0, which means "no lease". */

static uint32_t
ngx_http_graph_policy_next_lease(ngx_http_graph_policy_shctx_t *sh)
{
    /* 0 is nobody's, the largest one is that of another host's lease */

    do {
        sh->lease++;
    } while ((uint32_t) sh->lease == 0
             || (uint32_t) sh->lease == NGX_HTTP_GRAPH_POLICY_FOREIGN_LEASE);

    return (uint32_t) sh->lease;
}


/* Collects the states that cover a request, one per place and reason. */

static ngx_uint_t
ngx_http_graph_policy_collect_states(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id, ngx_uint_t cooldown,
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
                    && (cooldown
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


/* Returns the state that is to be shown, NULL if none blocks. */

static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_weigh(ngx_http_graph_policy_state_t **states,
    ngx_uint_t n, ngx_http_graph_policy_asker_t *asker, uint64_t now,
    ngx_http_graph_policy_scales_t *scales)
{
    uint64_t                          end;
    ngx_uint_t                        i;
    ngx_http_graph_policy_state_t    *shown;
    ngx_http_graph_policy_position_e  position;

    ngx_memzero(scales, sizeof(ngx_http_graph_policy_scales_t));
    shown = NULL;

    for (i = 0; i < n; i++) {

        position = ngx_http_graph_policy_ask(states[i], asker, now);

        if (position != NGX_HTTP_GRAPH_POLICY_OPEN) {
            scales->due |= (position == NGX_HTTP_GRAPH_POLICY_DUE);
            continue;
        }

        end = ngx_http_graph_policy_breaker_blocked_until(&states[i]->breaker,
                                                          now);

        if (ngx_http_graph_policy_breaker_weigh(scales, end,
                                                states[i]->dry_run))
        {
            shown = states[i];
        }
    }

    return shown;
}


static ngx_http_graph_policy_position_e
ngx_http_graph_policy_ask(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_asker_t *asker, uint64_t now)
{
    ngx_http_graph_policy_terms_t  terms;

    ngx_http_graph_policy_state_terms(state, &terms);

    return ngx_http_graph_policy_breaker_ask(&state->breaker, &terms, asker,
                                             now);
}


ngx_uint_t
ngx_http_graph_policy_zone_is_paused(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_ref_t *refs,
    ngx_uint_t n, uint64_t now, ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                      i, j, nstates;
    ngx_http_graph_policy_state_t  *state, *shown;
    ngx_http_graph_policy_state_t  *states[NGX_HTTP_GRAPH_POLICY_NREFS];

    shown = NULL;

    ngx_http_graph_policy_zone_lock(zone);

    nstates = ngx_http_graph_policy_collect_states(zone->sh, id, 0, states);

    for (i = 0; i < nstates; i++) {
        state = states[i];

        if (state->bound || state->dry_run
            || state->category != NGX_HTTP_GRAPH_POLICY_FATAL
            || ngx_http_graph_policy_breaker_has_ended(&state->breaker, now)
            || now >= ngx_http_graph_policy_breaker_until(&state->breaker,
                                                          now))
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

    return shown != NULL;
}
