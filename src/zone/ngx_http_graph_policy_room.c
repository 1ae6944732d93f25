
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * New states, links and conversations, and room for them in a full zone.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: the zone's
 * slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"


/* bound states have up to 1/4 of a zone */
#define NGX_HTTP_GRAPH_POLICY_BOUND_SHARE    4

/* Without its trace a state with the longest key has the usual size. */

typedef u_char  ngx_http_graph_policy_room_fits_t
    [offsetof(ngx_http_graph_policy_state_t, data)
     + NGX_HTTP_GRAPH_POLICY_KEY_LEN <= NGX_HTTP_GRAPH_POLICY_SLOT ? 1 : -1];


static void *ngx_http_graph_policy_room(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t all, uint64_t now, ngx_http_graph_policy_changes_t *changes);
static void ngx_http_graph_policy_bound_share(
    ngx_http_graph_policy_zone_t *zone, size_t size, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static void *ngx_http_graph_policy_room_for_conversation(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t live, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_create(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_place_t *place, ngx_uint_t reason, size_t trace_len,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    size_t                          size, head;
    ngx_http_graph_policy_state_t  *state;

    head = offsetof(ngx_http_graph_policy_state_t, data);

    /*
     * All states but the longest have one slab class, so that a new one fits
     * into the slot of an evicted one.
     */

    size = head + place->key.len + trace_len;
    size = ngx_max(size, NGX_HTTP_GRAPH_POLICY_SLOT);
    state = NULL;

    if (place->credential != 0) {
        ngx_http_graph_policy_bound_share(zone, size, now, changes);
    }

    if (size > NGX_HTTP_GRAPH_POLICY_SLOT) {

        /* A long trace isn't worth evicting another state. */

        zone->sh->editing = 1;

        state = ngx_slab_alloc_locked(zone->shpool, size);

        if (state == NULL) {
            size = NGX_HTTP_GRAPH_POLICY_SLOT;
        }
    }

    if (state == NULL) {
        state = ngx_http_graph_policy_room(zone, 1, now, changes);
        if (state == NULL) {
            return NULL;
        }
    }

    ngx_http_graph_policy_state_init(zone, state, size, place, reason);

    return state;
}


ngx_http_graph_policy_link_t *
ngx_http_graph_policy_link_create(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_link_t  *link;

    link = ngx_http_graph_policy_room(zone, 0, now, changes);
    if (link == NULL) {
        return NULL;
    }

    ngx_http_graph_policy_link_init(zone, link, id);

    return link;
}


ngx_http_graph_policy_conversation_t *
ngx_http_graph_policy_conversation_create(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t live, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_conversation_t  *conversation;

    conversation = ngx_http_graph_policy_room_for_conversation(zone, live, now,
                                                               changes);
    if (conversation == NULL) {
        return NULL;
    }

    ngx_http_graph_policy_conversation_init(zone, conversation, hash);

    return conversation;
}


/*
 * Evicts bound states until the new one fits into their share of the zone; a
 * large state takes the memory of two of the usual size.
 */

static void
ngx_http_graph_policy_bound_share(ngx_http_graph_policy_zone_t *zone,
    size_t size, uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    size_t                          share;
    ngx_uint_t                      i;
    ngx_http_graph_policy_rank_e    rank, other_rank;
    ngx_http_graph_policy_state_t  *state, *other;

    share = zone->shm_zone->shm.size / NGX_HTTP_GRAPH_POLICY_BOUND_SHARE;
    size = (size > NGX_HTTP_GRAPH_POLICY_SLOT) ? 2 * NGX_HTTP_GRAPH_POLICY_SLOT
                                               : NGX_HTTP_GRAPH_POLICY_SLOT;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_EVICTIONS; i++) {

        if (zone->sh->bound_size + size <= share) {
            return;
        }

        state = ngx_http_graph_policy_victim(zone->sh, 0,
                                        NGX_HTTP_GRAPH_POLICY_BOUND_IDLE, now,
                                        &rank);
        other = ngx_http_graph_policy_victim(zone->sh, 1,
                                        NGX_HTTP_GRAPH_POLICY_BOUND_IDLE, now,
                                        &other_rank);

        if (state == NULL
            || (other != NULL
                && (other_rank < rank
                    || (other_rank == rank
                        && other->order.key < state->order.key))))
        {
            state = other;
        }

        if (state == NULL) {
            return;
        }

        ngx_http_graph_policy_evict_state(zone, state, now, changes);
    }
}


static void *
ngx_http_graph_policy_room(ngx_http_graph_policy_zone_t *zone, ngx_uint_t all,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    void        *p;
    ngx_uint_t   i;

    zone->sh->editing = 1;

    for (i = 0; /* void */ ; i++) {

        p = ngx_slab_alloc_locked(zone->shpool, NGX_HTTP_GRAPH_POLICY_SLOT);

        if (p != NULL || i == NGX_HTTP_GRAPH_POLICY_EVICTIONS) {
            return p;
        }

        if (ngx_http_graph_policy_evict_bound(zone, now, changes) == NGX_OK
            || ngx_http_graph_policy_evict_conversations(zone, changes)
               == NGX_OK
            || ngx_http_graph_policy_evict_like(zone, all, now, changes)
               == NGX_OK)
        {
            continue;
        }

        /* There may be large states alone; a page of them is emptied then. */

        if (!all
            || ngx_http_graph_policy_evict_large(zone, now, changes)
               != NGX_OK)
        {
            return NULL;
        }
    }
}


static void *
ngx_http_graph_policy_room_for_conversation(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t live, uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    void                                  *p;
    ngx_uint_t                             i;
    ngx_http_graph_policy_conversation_t  *oldest;

    zone->sh->editing = 1;

    for (i = 0; /* void */ ; i++) {

        p = ngx_slab_alloc_locked(zone->shpool,
                                  NGX_HTTP_GRAPH_POLICY_SMALL_SLOT);
        if (p != NULL) {
            return p;
        }

        if (i == NGX_HTTP_GRAPH_POLICY_EVICTIONS
            || ngx_http_graph_policy_evict_bound_page(zone, now, changes)
               != NGX_OK)
        {
            break;
        }
    }

    oldest = ngx_http_graph_policy_conversation_oldest(zone->sh, 0);

    if (oldest == NULL && live) {
        oldest = ngx_http_graph_policy_conversation_oldest(zone->sh, 1);
    }

    if (oldest == NULL) {
        return NULL;
    }

    changes->evicted++;
    ngx_http_graph_policy_conversation_remove(zone, oldest);

    return ngx_slab_alloc_locked(zone->shpool,
                                 NGX_HTTP_GRAPH_POLICY_SMALL_SLOT);
}
