
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Memory in a full zone is made by evicting nodes.  They leave in this order:
 * states that are bound to a credential and due or over, conversations,
 * cool-downs, links of phones, memories of states that ended, states that are
 * due, armed states of answers by soonest end, and last armed states of
 * webhooks and the API.  Anybody who can reach the proxy can make up tokens, so
 * states that are bound to one evict each other once they have a quarter.
 *
 * A slab page has slots of one size, so an evicted node makes memory only for
 * nodes of its size, unless a whole page becomes free.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: the zone's
 * slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"


/* bound states have up to 1/4 of a zone */
#define NGX_HTTP_GRAPH_POLICY_BOUND_SHARE    4

#define ngx_http_graph_policy_order_state(n)                                  \
    ngx_rbtree_data(n, ngx_http_graph_policy_state_t, order)

#define ngx_http_graph_policy_order_conversation(n)                           \
    ngx_rbtree_data(n, ngx_http_graph_policy_conversation_t, order)

#define ngx_http_graph_policy_page(p)                                         \
    ((u_char *) ((uintptr_t) (p) & ~((uintptr_t) ngx_pagesize - 1)))


static void *ngx_http_graph_policy_room(ngx_http_graph_policy_zone_t *zone,
    size_t size, ngx_uint_t all, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static void ngx_http_graph_policy_bound_share(
    ngx_http_graph_policy_zone_t *zone, size_t size, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static ngx_int_t ngx_http_graph_policy_evict_bound(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t large, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static ngx_int_t ngx_http_graph_policy_evict_bound_page(
    ngx_http_graph_policy_zone_t *zone, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static ngx_int_t ngx_http_graph_policy_evict_conversations(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
static ngx_int_t ngx_http_graph_policy_evict_like(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t large, ngx_uint_t all,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);
static void ngx_http_graph_policy_evict_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);
static ngx_int_t ngx_http_graph_policy_evict_page(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t large, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static ngx_uint_t ngx_http_graph_policy_evict_link(
    ngx_http_graph_policy_zone_t *zone, u_char *p);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_victim(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large, ngx_uint_t first,
    uint64_t now, ngx_http_graph_policy_rank_e *rank);
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
            size = ngx_max(head + place->key.len, NGX_HTTP_GRAPH_POLICY_SLOT);
        }
    }

    if (state == NULL) {
        state = ngx_http_graph_policy_room(zone, size, 1, now, changes);
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

    link = ngx_http_graph_policy_room(zone, NGX_HTTP_GRAPH_POLICY_SLOT, 0, now,
                                      changes);
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
ngx_http_graph_policy_room(ngx_http_graph_policy_zone_t *zone, size_t size,
    ngx_uint_t all, uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    void        *p;
    ngx_uint_t   i, large;

    large = (size > NGX_HTTP_GRAPH_POLICY_SLOT);

    zone->sh->editing = 1;

    for (i = 0; /* void */ ; i++) {

        p = ngx_slab_alloc_locked(zone->shpool, size);

        if (p != NULL || i == NGX_HTTP_GRAPH_POLICY_EVICTIONS) {
            return p;
        }

        if (ngx_http_graph_policy_evict_bound(zone, large, now, changes)
            == NGX_OK
            || ngx_http_graph_policy_evict_conversations(zone, changes)
               == NGX_OK
            || ngx_http_graph_policy_evict_like(zone, large, all, now,
                                                changes)
               == NGX_OK)
        {
            continue;
        }

        /*
         * There may be no node of this size yet; a page of the other size is
         * emptied then.
         */

        if (!all
            || ngx_http_graph_policy_evict_page(zone, !large, now, changes)
               != NGX_OK)
        {
            return NULL;
        }
    }
}


/* Evicts a bound state that is due or over. */

static ngx_int_t
ngx_http_graph_policy_evict_bound(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t large, uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_victim(zone->sh, large,
                                         NGX_HTTP_GRAPH_POLICY_BOUND_IDLE, now,
                                         &rank);

    if (rank != NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND) {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_evict_state(zone, state, now, changes);

    return NGX_OK;
}


/*
 * Evicts a bound state that is due or over, and all such states of its page, so
 * that the page may become free.
 */

static ngx_int_t
ngx_http_graph_policy_evict_bound_page(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    u_char                         *p, *last;
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state, *mate;

    state = ngx_http_graph_policy_victim(zone->sh, 0,
                                         NGX_HTTP_GRAPH_POLICY_BOUND_IDLE, now,
                                         &rank);

    if (rank != NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND) {
        return NGX_DECLINED;
    }

    p = ngx_http_graph_policy_page(state);
    last = p + ngx_pagesize;

    for ( /* void */ ; p < last; p += NGX_HTTP_GRAPH_POLICY_SLOT) {
        mate = (ngx_http_graph_policy_state_t *) p;

        if (ngx_http_graph_policy_index_has(&zone->sh->index,
                                    NGX_HTTP_GRAPH_POLICY_INDEXED_STATE, mate)
            && ngx_http_graph_policy_breaker_rank(mate->order_in,
                                                  mate->breaker.until, now)
               == NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND)
        {
            ngx_http_graph_policy_evict_state(zone, mate, now, changes);
        }
    }

    return NGX_OK;
}


/*
 * Evicts all conversations of the page that the oldest one is in: a single free
 * slot would fit only another conversation.
 */

static ngx_int_t
ngx_http_graph_policy_evict_conversations(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes)
{
    u_char                                *p, *last;
    ngx_http_graph_policy_conversation_t  *conversation, *mate;

    conversation = ngx_http_graph_policy_conversation_oldest(zone->sh, 0);

    if (conversation == NULL) {
        conversation = ngx_http_graph_policy_conversation_oldest(zone->sh, 1);
    }

    if (conversation == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_http_graph_policy_page(conversation);
    last = p + ngx_pagesize;

    for ( /* void */ ; p < last; p += NGX_HTTP_GRAPH_POLICY_SMALL_SLOT) {

        /*
         * A free slot has the bytes of an earlier conversation, so it is
         * checked that this one is in the index.
         */

        mate = (ngx_http_graph_policy_conversation_t *) p;

        if (ngx_http_graph_policy_index_has(&zone->sh->index,
                             NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION, mate))
        {
            changes->evicted++;
            ngx_http_graph_policy_conversation_remove(zone, mate);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_evict_like(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t large, ngx_uint_t all, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_queue_t                    *q;
    ngx_http_graph_policy_link_t   *link;
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_victim(zone->sh, large,
                                         NGX_HTTP_GRAPH_POLICY_IDLE, now,
                                         &rank);

    if (!large && rank > NGX_HTTP_GRAPH_POLICY_LEAVES_LINK
        && !ngx_queue_empty(&zone->sh->link_queue))
    {
        q = ngx_queue_head(&zone->sh->link_queue);
        link = ngx_queue_data(q, ngx_http_graph_policy_link_t, queue);

        changes->evicted++;
        ngx_http_graph_policy_link_remove(zone, link);

        return NGX_OK;
    }

    /* A link doesn't evict a state that is worth more than another link. */

    if (state == NULL
        || (!all && rank > NGX_HTTP_GRAPH_POLICY_LEAVES_LINK))
    {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_evict_state(zone, state, now, changes);

    return NGX_OK;
}


static void
ngx_http_graph_policy_evict_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    if (state->breaker.armed) {
        changes->evicted++;
        ngx_http_graph_policy_state_note(zone->sh, state, now,
                                         NGX_HTTP_GRAPH_POLICY_EVICTED,
                                         changes);
    }

    ngx_http_graph_policy_state_remove(zone, state);
}


static ngx_int_t
ngx_http_graph_policy_evict_page(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t large, uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    u_char                         *p, *last;
    size_t                          slot;
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state, *mate;

    state = ngx_http_graph_policy_victim(zone->sh, large,
                                         NGX_HTTP_GRAPH_POLICY_IDLE, now,
                                         &rank);

    if (state == NULL) {
        return NGX_DECLINED;
    }

    slot = large ? 2 * NGX_HTTP_GRAPH_POLICY_SLOT : NGX_HTTP_GRAPH_POLICY_SLOT;

    p = ngx_http_graph_policy_page(state);
    last = p + ngx_pagesize;

    for ( /* void */ ; p < last; p += slot) {

        if (!large && ngx_http_graph_policy_evict_link(zone, p)) {
            changes->evicted++;
            continue;
        }

        mate = (ngx_http_graph_policy_state_t *) p;

        if (ngx_http_graph_policy_index_has(&zone->sh->index,
                                   NGX_HTTP_GRAPH_POLICY_INDEXED_STATE, mate))
        {
            ngx_http_graph_policy_evict_state(zone, mate, now, changes);
        }
    }

    return NGX_OK;
}


/* Links and states of the usual size share pages, so links leave as well. */

static ngx_uint_t
ngx_http_graph_policy_evict_link(ngx_http_graph_policy_zone_t *zone, u_char *p)
{
    if (!ngx_http_graph_policy_index_has(&zone->sh->index,
                                         NGX_HTTP_GRAPH_POLICY_INDEXED_LINK,
                                         p))
    {
        return 0;
    }

    ngx_http_graph_policy_link_remove(zone,
                                      (ngx_http_graph_policy_link_t *) p);

    return 1;
}


/*
 * Returns the state of its size that leaves first, among the orders from
 * "first" on; NULL if there is none.
 */

static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_victim(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t large, ngx_uint_t first, uint64_t now,
    ngx_http_graph_policy_rank_e *rank)
{
    ngx_uint_t                      order;
    ngx_http_graph_policy_rank_e    each;
    ngx_http_graph_policy_state_t  *state, *victim;

    victim = NULL;
    *rank = NGX_HTTP_GRAPH_POLICY_LEAVES_NEVER;

    for (order = first; order < NGX_HTTP_GRAPH_POLICY_NORDERS; order++) {

        state = ngx_http_graph_policy_state_oldest(sh, large, order);

        if (state == NULL) {
            continue;
        }

        each = ngx_http_graph_policy_breaker_rank(order, state->breaker.until,
                                                  now);
        if (each < *rank
            || (victim != NULL && each == *rank
                && state->order.key < victim->order.key))
        {
            victim = state;
            *rank = each;
        }
    }

    return victim;
}


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_oldest(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t large, ngx_uint_t order)
{
    ngx_rbtree_node_t  *node;

    ngx_http_graph_policy_must_hold(sh->index.base);

    node = ngx_http_graph_policy_tree_min(&sh->order[large][order]);

    return (node != NULL) ? ngx_http_graph_policy_order_state(node) : NULL;
}


ngx_http_graph_policy_conversation_t *
ngx_http_graph_policy_conversation_oldest(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t live)
{
    ngx_rbtree_node_t  *node;

    ngx_http_graph_policy_must_hold(sh->index.base);

    node = ngx_http_graph_policy_tree_min(&sh->conversation_order[live]);

    return (node != NULL) ? ngx_http_graph_policy_order_conversation(node)
                          : NULL;
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
