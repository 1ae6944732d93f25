
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A conversation is the last that is known of a phone and a recipient: messages
 * are refused there, or the customer wrote.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: the zone's
 * slab pool.  Neither recipient nor trace is kept.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"


static void ngx_http_graph_policy_conversation_count(
    ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation, ngx_uint_t live);


uint64_t
ngx_http_graph_policy_conversation_hash(ngx_http_graph_policy_identity_t *id)
{
    return (id->conversation != 0)
           ? ngx_http_graph_policy_mix(id->conversation, 0,
                                       NGX_HTTP_GRAPH_POLICY_KEY_LIMITED)
           : 0;
}


ngx_http_graph_policy_conversation_t *
ngx_http_graph_policy_conversation_find(ngx_http_graph_policy_shctx_t *sh,
    uint64_t hash)
{
    return (ngx_http_graph_policy_conversation_t *)
               ngx_http_graph_policy_index_find(&sh->index,
                            NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION, hash);
}


void
ngx_http_graph_policy_conversation_init(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation, uint64_t hash)
{
    ngx_memzero(conversation, sizeof(ngx_http_graph_policy_conversation_t));

    conversation->node.key = hash;
    conversation->code = -1;
    conversation->subcode = -1;

    ngx_http_graph_policy_index_insert(&zone->sh->index,
                                   NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION,
                                       &conversation->node);
    ngx_http_graph_policy_tree_insert(&zone->sh->conversation_order[0],
                                      &conversation->order,
                                      ngx_rbtree_insert_value);
}


void
ngx_http_graph_policy_conversation_update(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_limit_t *limit, uint64_t until)
{
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;

    ngx_http_graph_policy_must_hold(zone->shpool);

    sh->editing = 1;

    ngx_rbtree_delete(&sh->conversation_order[conversation->limit.live].tree,
                      &conversation->order);

    ngx_http_graph_policy_conversation_count(sh, conversation, limit->live);

    conversation->limit = *limit;
    conversation->order.key = (ngx_rbtree_key_t) until;

    sh->over = ngx_min(sh->over, until);

    ngx_http_graph_policy_tree_insert(&sh->conversation_order[limit->live],
                                      &conversation->order,
                                      ngx_rbtree_insert_value);
}


static void
ngx_http_graph_policy_conversation_count(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation, ngx_uint_t live)
{
    ngx_uint_t  *count;

    count = &sh->counts[NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION]
                       [NGX_HTTP_GRAPH_POLICY_CONTEXT];

    if (live && !conversation->limit.live) {
        sh->limited++;
        (*count)++;

    } else if (!live && conversation->limit.live) {
        sh->limited--;
        (*count)--;
    }
}


void
ngx_http_graph_policy_conversation_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation)
{
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;
    sh->editing = 1;

    ngx_http_graph_policy_conversation_count(sh, conversation, 0);

    ngx_rbtree_delete(&sh->conversation_order[conversation->limit.live].tree,
                      &conversation->order);
    ngx_http_graph_policy_index_remove(&sh->index, &conversation->node);

    ngx_slab_free_locked(zone->shpool, conversation);
}


ngx_http_graph_policy_conversation_t *
ngx_http_graph_policy_conversation_limits(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_gate_t *gate,
    uint64_t now, uint64_t *end)
{
    ngx_http_graph_policy_conversation_t  *conversation;

    if (gate->hold == 0 || id->conversation == 0 || sh->limited == 0) {
        return NULL;
    }

    conversation = ngx_http_graph_policy_conversation_find(sh,
                                 ngx_http_graph_policy_conversation_hash(id));

    if (conversation == NULL) {
        return NULL;
    }

    *end = ngx_http_graph_policy_limit_end(&conversation->limit,
                                           conversation->order.key, gate, now);

    return (*end != 0) ? conversation : NULL;
}


void
ngx_http_graph_policy_conversation_view(
    ngx_http_graph_policy_conversation_t *conversation, uint64_t end,
    ngx_http_graph_policy_view_t *view)
{
    ngx_memzero(view, sizeof(ngx_http_graph_policy_view_t));

    view->hash = conversation->node.key;
    view->since = conversation->limit.since;
    view->until = end;
    view->hold = conversation->limit.hold;
    view->holds = 1;
    view->blocked = conversation->blocked;
    view->dry_run = conversation->dry_run;
    view->code = conversation->code;
    view->subcode = conversation->subcode;
    view->status = conversation->status;
    view->category = NGX_HTTP_GRAPH_POLICY_CONTEXT;
    view->source = conversation->source;
    view->kind = NGX_HTTP_GRAPH_POLICY_KEY_LIMITED;
    view->stored_reason = conversation->limit.reason;
    view->reason = conversation->limit.reason;
}


void
ngx_http_graph_policy_conversation_note(
    ngx_http_graph_policy_conversation_t *conversation, uint64_t end,
    ngx_http_graph_policy_transition_e transition,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_view_t  *view;

    view = ngx_http_graph_policy_change(changes);

    if (view != NULL) {
        ngx_http_graph_policy_conversation_view(conversation, end, view);
        view->transition = transition;
    }
}
