
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The ring in which changes of a shared zone are marked, and the names of the
 * hosts that made them.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: the zone's
 * slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_state.h"


/* marks of a ring, and which part of the zone they may take */
#define NGX_HTTP_GRAPH_POLICY_MIN_MARKS   64
#define NGX_HTTP_GRAPH_POLICY_MAX_MARKS   4096
#define NGX_HTTP_GRAPH_POLICY_MARKS_PART  16

/* limits of conversations that are marked in a second */
#define NGX_HTTP_GRAPH_POLICY_MAX_LIMITS  1000


ngx_int_t
ngx_http_graph_policy_mark_init(ngx_http_graph_policy_zone_t *zone)
{
    size_t                          size;
    ngx_uint_t                      n;
    ngx_http_graph_policy_fleet_t  *fleet;

    if (zone->share == NULL) {
        return NGX_OK;
    }

    size = zone->shpool->end - (u_char *) zone->shpool;

    n = NGX_HTTP_GRAPH_POLICY_MAX_MARKS;

    while (n > NGX_HTTP_GRAPH_POLICY_MIN_MARKS
           && n * sizeof(ngx_http_graph_policy_mark_t)
              > size / NGX_HTTP_GRAPH_POLICY_MARKS_PART)
    {
        n /= 2;
    }

    fleet = ngx_slab_calloc_locked(zone->shpool,
                               sizeof(ngx_http_graph_policy_fleet_t)
                               + (n - 1)
                                 * sizeof(ngx_http_graph_policy_mark_t));
    if (fleet == NULL) {
        return NGX_ERROR;
    }

    fleet->size = n;
    zone->sh->fleet = fleet;

    return NGX_OK;
}


void
ngx_http_graph_policy_mark_recover(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fleet_t *before)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = zone->sh->fleet;

    /* the others know what this zone has lost */

    ngx_memcpy(fleet, before, offsetof(ngx_http_graph_policy_fleet_t, walk));

    fleet->scan = 1;
    fleet->head = before->head;
    fleet->tail = before->head;

    zone->share->marked = 1;
}


void
ngx_http_graph_policy_mark(ngx_http_graph_policy_zone_t *zone, uint64_t hash,
    ngx_uint_t reason, ngx_http_graph_policy_mark_e what)
{
    ngx_http_graph_policy_mark_t   *mark;
    ngx_http_graph_policy_fleet_t  *fleet;

    if (zone->share == NULL || zone->share->applying) {
        return;
    }

    fleet = zone->sh->fleet;
    zone->share->marked = 1;

    /* where the ring is full all states are told, this one among them */

    if (fleet->head - fleet->tail == fleet->size) {
        fleet->walk = 1;
        return;
    }

    mark = &fleet->ring[fleet->head & (fleet->size - 1)];

    mark->hash = hash;
    mark->reason = (uint32_t) reason;
    mark->what = (uint32_t) what;

    fleet->head++;
}


/*
 * Limits may come by the thousand, so they get a part of the ring, and of a
 * second: news of states must not wait for them.  What isn't marked others
 * learn by themselves, or when they compare digests.  An end is what somebody
 * may wait for.
 */

void
ngx_http_graph_policy_mark_limit(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, ngx_http_graph_policy_mark_e what,
    ngx_uint_t end)
{
    ngx_uint_t                      waiting;
    ngx_http_graph_policy_fleet_t  *fleet;

    if (zone->share == NULL || !zone->share->conversations
        || zone->share->applying)
    {
        return;
    }

    fleet = zone->sh->fleet;

    if (fleet->second != ngx_time()) {
        fleet->second = ngx_time();
        fleet->limits = 0;
    }

    waiting = fleet->head - fleet->tail;

    if (end ? waiting >= fleet->size / 2
            : waiting >= fleet->size / 4
              || fleet->limits >= NGX_HTTP_GRAPH_POLICY_MAX_LIMITS)
    {
        return;
    }

    fleet->limits += !end;

    ngx_http_graph_policy_mark(zone, hash, reason, what);
}


void
ngx_http_graph_policy_mark_node(ngx_http_graph_policy_zone_t *zone,
    uint8_t *place, u_char *name, size_t len)
{
    ngx_uint_t                          i, free;
    ngx_http_graph_policy_node_name_t  *names;

    if (zone->sh->fleet == NULL) {
        return;
    }

    names = zone->sh->fleet->names;

    if (*place != 0) {
        names[*place - 1].states--;
        *place = 0;
    }

    if (len == 0 || len > NGX_HTTP_GRAPH_POLICY_NODE_LEN) {
        return;
    }

    free = NGX_HTTP_GRAPH_POLICY_NODES;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NODES; i++) {

        if (names[i].states == 0) {
            free = ngx_min(free, i);
            continue;
        }

        if (names[i].len == len
            && ngx_memcmp(names[i].data, name, len) == 0)
        {
            break;
        }
    }

    if (i == NGX_HTTP_GRAPH_POLICY_NODES) {

        if (free == NGX_HTTP_GRAPH_POLICY_NODES) {
            return;
        }

        i = free;
        names[i].len = (uint32_t) len;
        ngx_memcpy(names[i].data, name, len);
    }

    names[i].states++;
    *place = (uint8_t) (i + 1);
}
