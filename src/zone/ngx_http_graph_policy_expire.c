
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The sweep drops states that nobody has probed for long, memories, and
 * conversations that are over.  It clears states whose probe was accepted if no
 * status of its message has come in time.
 *
 * Lock rule: called with the mutex held, but for zone_sweep(), which takes it.
 * Memory: the zone's slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


/* milliseconds between sweeps, and states that a sweep drops of each order */
#define NGX_HTTP_GRAPH_POLICY_SWEEP    100
#define NGX_HTTP_GRAPH_POLICY_SWEPT    16


static void ngx_http_graph_policy_expire_conversations(
    ngx_http_graph_policy_zone_t *zone, uint64_t now);
static void ngx_http_graph_policy_expire_awaited(
    ngx_http_graph_policy_zone_t *zone, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);


void
ngx_http_graph_policy_expire(ngx_http_graph_policy_zone_t *zone, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_uint_t                      large, order, n;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_expire_conversations(zone, now);

    if (zone->sh->awaited != 0 && changes != NULL) {
        ngx_http_graph_policy_expire_awaited(zone, now, changes);
    }

    /* Others wait for the mutex, so sweeps are rare, and drop a few states. */

    if (now - zone->sh->swept < NGX_HTTP_GRAPH_POLICY_SWEEP) {
        return;
    }

    zone->sh->swept = now;

    for (large = 0; large < 2; large++) {

        for (order = 0; order < NGX_HTTP_GRAPH_POLICY_NORDERS; order++) {

            for (n = 0; n < NGX_HTTP_GRAPH_POLICY_SWEPT; n++) {

                state = ngx_http_graph_policy_state_oldest(zone->sh, large,
                                                           order);

                if (state == NULL
                    || order == NGX_HTTP_GRAPH_POLICY_CONFIRMING
                    || !ngx_http_graph_policy_breaker_is_over(order,
                                                    state->order.key, now))
                {
                    break;
                }

                ngx_http_graph_policy_state_remove(zone, state);
            }
        }
    }
}


/*
 * Each call drops more conversations than it can add, so that they don't pile
 * up if a business has many customers.
 */

static void
ngx_http_graph_policy_expire_conversations(ngx_http_graph_policy_zone_t *zone,
    uint64_t now)
{
    uint64_t                               over;
    ngx_uint_t                             live, n;
    ngx_http_graph_policy_conversation_t  *oldest;

    if (now < zone->sh->over) {
        return;
    }

    over = NGX_HTTP_GRAPH_POLICY_NEVER;

    for (live = 0; live < 2; live++) {

        for (n = 0; n < 4; n++) {
            oldest = ngx_http_graph_policy_conversation_oldest(zone->sh,
                                                               live);

            if (oldest == NULL) {
                break;
            }

            if (oldest->order.key > now) {
                over = ngx_min(over, oldest->order.key);
                break;
            }

            ngx_http_graph_policy_conversation_remove(zone, oldest);
        }

        /* There may be more, whose ends aren't known. */

        if (n == 4) {
            over = 0;
        }
    }

    zone->sh->over = over;
}


/* Clears states whose wait for a status is over, as no failure was reported. */

static void
ngx_http_graph_policy_expire_awaited(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    ngx_uint_t                      large, n;
    ngx_http_graph_policy_state_t  *state;

    for (large = 0; large < 2; large++) {

        for (n = 0; n < NGX_HTTP_GRAPH_POLICY_SWEPT; n++) {

            state = ngx_http_graph_policy_state_oldest(zone->sh, large,
                                            NGX_HTTP_GRAPH_POLICY_CONFIRMING);

            if (state == NULL
                || !ngx_http_graph_policy_breaker_is_over(
                                            NGX_HTTP_GRAPH_POLICY_CONFIRMING,
                                            state->order.key, now))
            {
                break;
            }

            /*
             * It may be due by now, or another probe may be under way.  Else it
             * has ended when the wait did, though nobody has asked since.
             */

            if (state->breaker.confirming) {
                (void) ngx_http_graph_policy_breaker_end(&state->breaker,
                                                         state->order.key);
                ngx_http_graph_policy_state_note(zone->sh, state, now,
                                                 NGX_HTTP_GRAPH_POLICY_CLEARED,
                                                 changes);
                changes->probe = NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED;

                ngx_http_graph_policy_state_update(zone, state, 1);
                continue;
            }

            ngx_http_graph_policy_state_refresh(zone, state);
        }
    }
}


uint64_t
ngx_http_graph_policy_zone_sweep(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                        next;
    ngx_uint_t                      large;
    ngx_http_graph_policy_state_t  *state;

    next = NGX_HTTP_GRAPH_POLICY_NEVER;

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, now, changes);

    for (large = 0; large < 2; large++) {
        state = ngx_http_graph_policy_state_oldest(zone->sh, large,
                                            NGX_HTTP_GRAPH_POLICY_CONFIRMING);

        if (state != NULL) {
            next = ngx_min(next, state->order.key);
        }
    }

    ngx_http_graph_policy_zone_publish(zone, changes);

    return next;
}
