
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A state whose probe was accepted ends by itself if no status of the message
 * has told of a failure in time.  Any request that looks into the zone finds it
 * ended; so that operators, metrics and the event log needn't wait for one, the
 * worker that has learnt of the acceptance sets a timer.
 *
 * Lock rule: none; the zone's calls take the mutex.  Memory: the timer's, in
 * the pool that the zone's description is in.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_sweep.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"


/*
 * The timer looks so often, milliseconds: it counts on when the clock is set,
 * by which the waits go.
 */
#define NGX_HTTP_GRAPH_POLICY_SWEEP_LOOK  10000


static ngx_http_graph_policy_sweep_t *ngx_http_graph_policy_sweep_create(
    ngx_http_graph_policy_zone_t *zone);
static void ngx_http_graph_policy_sweep_handler(ngx_event_t *ev);
static void ngx_http_graph_policy_sweep_stop(void *data);


void
ngx_http_graph_policy_sweep_soon(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t level)
{
    ngx_event_t  *ev;

    if (zone->sweep == NULL) {
        zone->sweep = ngx_http_graph_policy_sweep_create(zone);

        if (zone->sweep == NULL) {

            /* a request will find the wait over */

            return;
        }
    }

    zone->sweep->level = level;
    ev = &zone->sweep->event;

    /*
     * The handler finds out when the first wait is over: a new one may be
     * shorter than those that the timer is set for.
     */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, 1);
}


static ngx_http_graph_policy_sweep_t *
ngx_http_graph_policy_sweep_create(ngx_http_graph_policy_zone_t *zone)
{
    ngx_pool_cleanup_t             *cln;
    ngx_http_graph_policy_sweep_t  *sweep;

    cln = ngx_pool_cleanup_add(zone->pool,
                               sizeof(ngx_http_graph_policy_sweep_t));
    if (cln == NULL) {
        return NULL;
    }

    sweep = cln->data;
    ngx_memzero(sweep, sizeof(ngx_http_graph_policy_sweep_t));

    sweep->event.handler = ngx_http_graph_policy_sweep_handler;
    sweep->event.data = zone;
    sweep->event.log = ngx_cycle->log;
    sweep->event.cancelable = 1;

    cln->handler = ngx_http_graph_policy_sweep_stop;

    return sweep;
}


/* In single process mode the process outlives the cycle. */

static void
ngx_http_graph_policy_sweep_stop(void *data)
{
    ngx_http_graph_policy_sweep_t *sweep = data;

    if (sweep->event.timer_set) {
        ngx_del_timer(&sweep->event);
    }
}


static void
ngx_http_graph_policy_sweep_handler(ngx_event_t *ev)
{
    uint64_t                          now, next;
    ngx_http_graph_policy_zone_t     *zone;
    ngx_http_graph_policy_changes_t   changes;

    zone = ev->data;

    if (ngx_http_graph_policy_zone_awaited(zone) == 0) {
        return;
    }

    now = ngx_http_graph_policy_now();

    changes.request = NULL;
    changes.log = ngx_cycle->log;
    changes.level = zone->sweep->level;

    next = ngx_http_graph_policy_zone_sweep(zone, now, &changes);

    if (next != NGX_HTTP_GRAPH_POLICY_NEVER) {
        next = (next > now) ? next - now : 1;
        ngx_add_timer(ev, ngx_min(next, NGX_HTTP_GRAPH_POLICY_SWEEP_LOOK));
    }
}


void
ngx_http_graph_policy_sweeps_start(ngx_cycle_t *cycle, void *tag)
{
    ngx_uint_t                     i;
    ngx_list_part_t               *part;
    ngx_shm_zone_t                *shm_zone;
    ngx_http_graph_policy_zone_t  *zone;

    for (part = &cycle->shared_memory.part; part != NULL; part = part->next) {
        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {

            zone = shm_zone[i].data;

            if (shm_zone[i].tag == tag && zone != NULL
                && ngx_http_graph_policy_zone_awaited(zone) != 0)
            {
                /* the default of graph_policy_log_level */

                ngx_http_graph_policy_sweep_soon(zone, NGX_LOG_ERR);
            }
        }
    }
}
