
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Operators list the states of a zone, one batch at a time, and count them.
 *
 * A listing goes by key, states first and conversations behind them.  It holds
 * no pointer between two batches, so that states may come and go meanwhile.
 *
 * Lock and memory: see the zone's own file.  Views are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


/* a state's beginning may be told by a clock that is a little ahead; ms */
#define NGX_HTTP_GRAPH_POLICY_PAST_SLACK  1000


static ngx_uint_t ngx_http_graph_policy_list_node(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_indexed_t *node,
    uint64_t now, ngx_http_graph_policy_view_t *view);


ngx_uint_t
ngx_http_graph_policy_zone_list(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor, uint64_t now,
    ngx_http_graph_policy_view_t *views)
{
    ngx_int_t                         rc;
    ngx_uint_t                        n, i, looked;
    ngx_http_graph_policy_indexed_t  *node;

    n = 0;
    rc = NGX_OK;
    looked = 0;

    ngx_http_graph_policy_zone_lock(zone);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_BATCH; i++) {

        rc = ngx_http_graph_policy_index_next(&zone->sh->index,
                     cursor->tree ? NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION
                                  : NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
                                              cursor, &looked, &node);
        if (rc != NGX_OK) {
            break;
        }

        n += ngx_http_graph_policy_list_node(zone->sh, node, now, &views[n]);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    if (rc == NGX_DONE) {
        ngx_http_graph_policy_list_end(cursor);
    }

    return n;
}


/* Behind the states come the conversations, or the links. */

void
ngx_http_graph_policy_list_end(ngx_http_graph_policy_cursor_t *cursor)
{
    if (cursor->tree) {
        cursor->done = 1;
        return;
    }

    ngx_memzero(cursor, sizeof(ngx_http_graph_policy_cursor_t));
    cursor->tree = 1;
}


/* A state that is over, but still remembered, isn't listed. */

static ngx_uint_t
ngx_http_graph_policy_list_node(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_indexed_t *node, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t         *state;
    ngx_http_graph_policy_conversation_t  *conversation;

    if (node->kind == NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION) {
        conversation = (ngx_http_graph_policy_conversation_t *) node;

        if (!ngx_http_graph_policy_limit_is_live(&conversation->limit,
                                                 conversation->order.key,
                                                 now))
        {
            return 0;
        }

        ngx_http_graph_policy_conversation_view(sh, conversation,
                                                conversation->order.key, view);
        return 1;
    }

    state = (ngx_http_graph_policy_state_t *) node;

    if (!state->breaker.armed) {
        return 0;
    }

    ngx_http_graph_policy_state_view(sh, state, now, view);

    return 1;
}


ngx_int_t
ngx_http_graph_policy_zone_find(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                             found;
    ngx_http_graph_policy_state_t         *state;
    ngx_http_graph_policy_conversation_t  *conversation;

    found = 0;

    ngx_http_graph_policy_zone_lock(zone);

    state = ngx_http_graph_policy_state_find(zone->sh, hash, reason);

    if (state != NULL) {
        found = ngx_http_graph_policy_list_node(zone->sh, &state->node, now,
                                                view);
    }

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (!found && conversation != NULL
        && conversation->limit.reason == reason)
    {
        found = ngx_http_graph_policy_list_node(zone->sh, &conversation->node,
                                                now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return found ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_graph_policy_zone_past(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_view_t *view, ngx_http_graph_policy_step_t *steps,
    ngx_uint_t *n)
{
    uint64_t                        since;
    ngx_http_graph_policy_trail_t  *trail;

    trail = &zone->sh->trail;

    if (trail->steps == NULL
        || view->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION
        || view->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED)
    {
        return NGX_DECLINED;
    }

    since = (view->since > NGX_HTTP_GRAPH_POLICY_PAST_SLACK)
            ? view->since - NGX_HTTP_GRAPH_POLICY_PAST_SLACK : 0;

    ngx_http_graph_policy_zone_lock(zone);

    *n = ngx_http_graph_policy_trail_of(trail, view->hash, view->stored_reason,
                                        since, steps);

    ngx_http_graph_policy_zone_unlock(zone);

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_zone_oldest_limit(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, uint64_t *since)
{
    ngx_int_t                              rc;
    ngx_uint_t                             i;
    ngx_rbtree_node_t                     *node;
    ngx_http_graph_policy_conversation_t  *conversation;

    rc = NGX_AGAIN;

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, now, NULL);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_BATCH; i++) {
        node = ngx_http_graph_policy_tree_min(
                                          &zone->sh->conversation_order[1]);

        if (node == NULL) {
            rc = NGX_DECLINED;
            break;
        }

        conversation = ngx_rbtree_data(node,
                                       ngx_http_graph_policy_conversation_t,
                                       order);

        if (node->key > now) {
            *since = conversation->limit.since;
            rc = NGX_OK;
            break;
        }

        ngx_http_graph_policy_conversation_remove(zone, conversation);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


void
ngx_http_graph_policy_zone_stats(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_stats_t *stats)
{
    ngx_slab_pool_t  *pool;

    pool = zone->shpool;

    ngx_http_graph_policy_zone_lock(zone);

    ngx_memcpy(stats->states, zone->sh->counts, sizeof(stats->states));

    stats->links = zone->sh->linked;
    stats->size = pool->end - (u_char *) pool;
    stats->used = stats->size - pool->pfree * ngx_pagesize;

    ngx_http_graph_policy_zone_unlock(zone);
}
