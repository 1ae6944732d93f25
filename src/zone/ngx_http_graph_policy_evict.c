
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


#define ngx_http_graph_policy_order_state(n)                                  \
    ngx_rbtree_data(n, ngx_http_graph_policy_state_t, order)

#define ngx_http_graph_policy_order_conversation(n)                           \
    ngx_rbtree_data(n, ngx_http_graph_policy_conversation_t, order)

#define ngx_http_graph_policy_page(p)                                         \
    ((u_char *) ((uintptr_t) (p) & ~((uintptr_t) ngx_pagesize - 1)))


/* Evicts a bound state that is due or over. */

ngx_int_t
ngx_http_graph_policy_evict_bound(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_victim(zone->sh, 0,
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

ngx_int_t
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

ngx_int_t
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


ngx_int_t
ngx_http_graph_policy_evict_like(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t all, uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    ngx_queue_t                    *q;
    ngx_http_graph_policy_link_t   *link;
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_victim(zone->sh, 0,
                                         NGX_HTTP_GRAPH_POLICY_IDLE, now,
                                         &rank);

    if (rank > NGX_HTTP_GRAPH_POLICY_LEAVES_LINK
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


void
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


ngx_int_t
ngx_http_graph_policy_evict_large(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes)
{
    u_char                         *p, *last;
    ngx_http_graph_policy_rank_e    rank;
    ngx_http_graph_policy_state_t  *state, *mate;

    state = ngx_http_graph_policy_victim(zone->sh, 1,
                                         NGX_HTTP_GRAPH_POLICY_IDLE, now,
                                         &rank);

    if (state == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_http_graph_policy_page(state);
    last = p + ngx_pagesize;

    for ( /* void */ ; p < last; p += 2 * NGX_HTTP_GRAPH_POLICY_SLOT) {

        mate = (ngx_http_graph_policy_state_t *) p;

        if (ngx_http_graph_policy_index_has(&zone->sh->index,
                                   NGX_HTTP_GRAPH_POLICY_INDEXED_STATE, mate))
        {
            ngx_http_graph_policy_evict_state(zone, mate, now, changes);
        }
    }

    return NGX_OK;
}


/*
 * Returns the state of its size that leaves first, among the orders from
 * "first" on; NULL if there is none.
 */

ngx_http_graph_policy_state_t *
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
