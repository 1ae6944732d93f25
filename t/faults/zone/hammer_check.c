
/*
 * Whether a zone agrees with itself: what is in the index is in the orders, the
 * rings and the counts, and the other way round.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "hammer_check.h"


#define KINDS  (NGX_HTTP_GRAPH_POLICY_NWALKED + 1)

/* more than any of the zones that are hammered can have */
#define MOST   1000000


static const char *check_buckets(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t *counts);
static const char *check_node(ngx_http_graph_policy_index_t *index,
    uint32_t bucket, ngx_http_graph_policy_indexed_t *node);
static const char *check_walks(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t *counts);
static const char *check_states(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t *counts);
static const char *check_order(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t large, ngx_uint_t order, ngx_uint_t *n);
static const char *check_groups(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t *counts);
static const char *check_conversations(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t *counts);
static const char *check_links(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t *counts);
static const char *check_counts(ngx_http_graph_policy_shctx_t *sh);
static const char *check_accounts(ngx_http_graph_policy_shctx_t *sh);
static const char *check_numbers(ngx_http_graph_policy_shctx_t *sh);
static ngx_rbtree_node_t *next_of(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node);


const char *
hammer_check(ngx_http_graph_policy_zone_t *zone)
{
    ngx_uint_t                      counts[KINDS];
    const char                     *wrong;
    ngx_http_graph_policy_shctx_t  *sh;

    ngx_memzero(counts, sizeof(counts));

    ngx_http_graph_policy_zone_lock(zone);

    sh = zone->sh;
    wrong = check_buckets(sh, counts);

    if (wrong == NULL) {
        wrong = check_walks(sh, counts);
    }

    if (wrong == NULL) {
        wrong = check_states(sh, counts);
    }

    if (wrong == NULL) {
        wrong = check_groups(sh, counts);
    }

    if (wrong == NULL) {
        wrong = check_conversations(sh, counts);
    }

    if (wrong == NULL) {
        wrong = check_links(sh, counts);
    }

    if (wrong == NULL) {
        wrong = check_counts(sh);
    }

    if (wrong == NULL) {
        wrong = check_accounts(sh);
    }

    if (wrong == NULL) {
        wrong = check_numbers(sh);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return wrong;
}


/* Walks all chains, and counts the nodes of each kind. */

static const char *
check_buckets(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t *counts)
{
    uint32_t                          bucket;
    ngx_uint_t                        n;
    const char                       *wrong;
    ngx_http_graph_policy_index_t    *index;
    ngx_http_graph_policy_indexed_t  *node, *before;

    index = &sh->index;
    n = 0;

    for (bucket = 0; bucket < index->n; bucket++) {

        before = NULL;

        for (node = ngx_http_graph_policy_index_at(index,
                                      index->buckets[bucket] & index->mask);
             node != NULL;
             node = ngx_http_graph_policy_index_at(index, node->next))
        {
            if (n++ == MOST) {
                return "a chain is a ring";
            }

            if (before != NULL
                && (before->key > node->key
                    || (before->key == node->key
                        && before->rank > node->rank)))
            {
                return "a chain isn't sorted";
            }

            wrong = check_node(index, bucket, node);
            if (wrong != NULL) {
                return wrong;
            }

            counts[node->kind]++;
            before = node;
        }

        if (before == NULL && index->buckets[bucket] != 0) {
            return "an empty bucket has a filter";
        }
    }

    return NULL;
}


static const char *
check_node(ngx_http_graph_policy_index_t *index, uint32_t bucket,
    ngx_http_graph_policy_indexed_t *node)
{
    uint32_t  line;

    if ((uint32_t) (((node->key >> 32) * index->n) >> 32) != bucket) {
        return "a node is in a bucket of others";
    }

    if (node->kind >= KINDS) {
        return "a node is of no kind";
    }

    line = bucket / 8;

    if (node->kind < NGX_HTTP_GRAPH_POLICY_NWALKED
        && !(index->maps[node->kind][line / 64] >> line % 64 & 1))
    {
        return "a map hasn't got a node";
    }

    /* the filter lets it be found */

    if (!ngx_http_graph_policy_index_has(index, node->kind, node)) {
        return "a node isn't found";
    }

    return NULL;
}


/* A walk in steps sees each node once, in the order of hashes. */

static const char *
check_walks(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t *counts)
{
    uint64_t                          last;
    ngx_int_t                         rc;
    ngx_uint_t                        kind, n, looked, again;
    ngx_http_graph_policy_cursor_t    cursor;
    ngx_http_graph_policy_indexed_t  *node;

    for (kind = 0; kind < NGX_HTTP_GRAPH_POLICY_NWALKED; kind++) {

        ngx_memzero(&cursor, sizeof(ngx_http_graph_policy_cursor_t));
        n = 0;
        again = 0;
        last = 0;

        do {
            looked = 0;

            while ((rc = ngx_http_graph_policy_index_next(&sh->index, kind,
                                                    &cursor, &looked, &node))
                   == NGX_OK)
            {
                if (node->kind != kind || node->key < last) {
                    return "a walk loses its way";
                }

                last = node->key;
                n++;
            }

            if (again++ == MOST) {
                return "a walk doesn't end";
            }

        } while (rc == NGX_AGAIN);

        if (n != counts[kind]) {
            return "a walk doesn't see all nodes, or some twice";
        }
    }

    return NULL;
}


static const char *
check_states(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t *counts)
{
    ngx_uint_t   large, order, n;
    const char  *wrong;

    n = 0;

    for (large = 0; large < 2; large++) {

        for (order = 0; order < NGX_HTTP_GRAPH_POLICY_NORDERS; order++) {

            wrong = check_order(sh, large, order, &n);
            if (wrong != NULL) {
                return wrong;
            }
        }
    }

    return (n == counts[NGX_HTTP_GRAPH_POLICY_INDEXED_STATE])
           ? NULL : "the index has states that no order has";
}


static const char *
check_order(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large,
    ngx_uint_t order, ngx_uint_t *n)
{
    ngx_rbtree_node_t              *node;
    ngx_http_graph_policy_tree_t   *tree;
    ngx_http_graph_policy_state_t  *state;

    tree = &sh->order[large][order];

    for (node = ngx_http_graph_policy_tree_min(tree);
         node != NULL;
         node = next_of(tree, node))
    {
        state = ngx_rbtree_data(node, ngx_http_graph_policy_state_t, order);

        if (!ngx_http_graph_policy_index_has(&sh->index,
                                    NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
                                             state))
        {
            return "an order has a state that the index hasn't";
        }

        if (state->order_in != order || state->large != large
            || state->node.rank != state->reason)
        {
            return "a state is in an order of others";
        }

        if ((*n)++ == MOST) {
            return "an order doesn't end";
        }
    }

    return NULL;
}


static const char *
check_groups(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t *counts)
{
    ngx_uint_t                        armed, firsts, looked;
    ngx_http_graph_policy_state_t    *state, *next;
    ngx_http_graph_policy_cursor_t    cursor;
    ngx_http_graph_policy_indexed_t  *node, *group;

    ngx_memzero(&cursor, sizeof(ngx_http_graph_policy_cursor_t));
    armed = 0;
    firsts = 0;
    looked = 0;

    for ( ;; ) {

        switch (ngx_http_graph_policy_index_next(&sh->index,
                                          NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
                                                 &cursor, &looked, &node))
        {
        case NGX_AGAIN:
            looked = 0;
            continue;

        case NGX_DONE:

            if (armed != sh->armed) {
                return "armed states aren't counted";
            }

            return (firsts == counts[NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP])
                   ? NULL : "the index has groups without states";
        }

        state = (ngx_http_graph_policy_state_t *) node;
        armed += state->breaker.armed;

        if (state->member.key == 0) {

            if (state->first) {
                return "a state stands for no group";
            }

            continue;
        }

        firsts += state->first;

        group = ngx_http_graph_policy_index_find(&sh->index,
                  NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP, state->member.key);

        if (group == NULL || (group == &state->member) != state->first) {
            return "a group isn't in the index, or twice";
        }

        next = (ngx_http_graph_policy_state_t *)
                   ngx_http_graph_policy_index_at(&sh->index,
                                                  state->mates.next);

        if (next->member.key != state->member.key
            || next->mates.prev
               != ngx_http_graph_policy_index_ref(&sh->index, state))
        {
            return "a ring is broken";
        }
    }
}


static const char *
check_conversations(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t *counts)
{
    ngx_uint_t                             live, n, limited;
    ngx_rbtree_node_t                     *node;
    ngx_http_graph_policy_tree_t          *tree;
    ngx_http_graph_policy_conversation_t  *conversation;

    n = 0;
    limited = 0;

    for (live = 0; live < 2; live++) {

        tree = &sh->conversation_order[live];

        for (node = ngx_http_graph_policy_tree_min(tree);
             node != NULL;
             node = next_of(tree, node))
        {
            conversation = ngx_rbtree_data(node,
                                         ngx_http_graph_policy_conversation_t,
                                           order);

            if (conversation->limit.live != live
                || !ngx_http_graph_policy_index_has(&sh->index,
                                   NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION,
                                                    conversation))
            {
                return "an order has a conversation that the index hasn't";
            }

            if (conversation->order.key < sh->over) {
                return "a conversation ends before any is looked for";
            }

            limited += live;

            if (n++ == MOST) {
                return "an order of conversations doesn't end";
            }
        }
    }

    if (limited != sh->limited) {
        return "limited conversations aren't counted";
    }

    return (n == counts[NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION])
           ? NULL : "the index has conversations that no order has";
}


static const char *
check_links(ngx_http_graph_policy_shctx_t *sh, ngx_uint_t *counts)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_http_graph_policy_link_t  *link;

    n = 0;

    for (q = ngx_queue_head(&sh->link_queue);
         q != ngx_queue_sentinel(&sh->link_queue);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_http_graph_policy_link_t, queue);

        if (!ngx_http_graph_policy_index_has(&sh->index,
                                    NGX_HTTP_GRAPH_POLICY_INDEXED_LINK, link))
        {
            return "the queue has a link that the index hasn't";
        }

        if (n++ == MOST) {
            return "the queue of links doesn't end";
        }
    }

    return (n == counts[NGX_HTTP_GRAPH_POLICY_INDEXED_LINK]
            && n == sh->linked)
           ? NULL : "links aren't counted";
}


/* What is counted of states, so that nobody has to look for none. */

static const char *
check_counts(ngx_http_graph_policy_shctx_t *sh)
{
    size_t                            bound_size;
    ngx_uint_t                        looked, armed_bound, awaited, pairs, i;
    ngx_uint_t                        live[NGX_HTTP_GRAPH_POLICY_NKEYS][2];
    ngx_uint_t                        counts[NGX_HTTP_GRAPH_POLICY_NSCOPES]
                                      [NGX_HTTP_GRAPH_POLICY_CONTEXT + 1];
    ngx_http_graph_policy_state_t    *state;
    ngx_http_graph_policy_cursor_t    cursor;
    ngx_http_graph_policy_indexed_t  *node;

    ngx_memzero(&cursor, sizeof(ngx_http_graph_policy_cursor_t));
    ngx_memzero(live, sizeof(live));
    ngx_memzero(counts, sizeof(counts));

    bound_size = 0;
    armed_bound = 0;
    awaited = 0;
    pairs = 0;

    for ( ;; ) {
        looked = 0;

        i = ngx_http_graph_policy_index_next(&sh->index,
                                          NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
                                             &cursor, &looked, &node);
        if (i == (ngx_uint_t) NGX_DONE) {
            break;
        }

        if (i == (ngx_uint_t) NGX_AGAIN) {
            continue;
        }

        state = (ngx_http_graph_policy_state_t *) node;

        if (state->bound) {
            bound_size += ngx_http_graph_policy_state_size(state);
        }

        if (!state->breaker.armed) {
            continue;
        }

        live[state->kind][state->bound]++;
        counts[ngx_http_graph_policy_key_scopes[state->kind]]
              [state->category]++;
        armed_bound += state->bound;
        awaited += (state->order_in == NGX_HTTP_GRAPH_POLICY_CONFIRMING);
        pairs += (state->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION);
    }

    counts[NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION]
          [NGX_HTTP_GRAPH_POLICY_CONTEXT] = sh->limited;

    if (bound_size != sh->bound_size) {
        return "the bytes of bound states aren't counted";
    }

    if (armed_bound != sh->armed_bound || awaited != sh->awaited
        || pairs != sh->armed_conversations
        || ngx_memcmp(live, sh->live, sizeof(live)) != 0)
    {
        return "armed states aren't counted by what they are";
    }

    return (ngx_memcmp(counts, sh->counts, sizeof(counts)) == 0)
           ? NULL : "armed states aren't counted by scope and category";
}


/* The first link of an account says how many there are. */

static const char *
check_accounts(ngx_http_graph_policy_shctx_t *sh)
{
    ngx_uint_t                     n, all, want;
    ngx_rbtree_key_t               key;
    ngx_rbtree_node_t             *node;
    ngx_http_graph_policy_link_t  *link;

    n = 0;
    all = 0;
    want = 0;
    key = 0;

    for (node = ngx_http_graph_policy_tree_min(&sh->link_members);
         node != NULL;
         node = next_of(&sh->link_members, node))
    {
        if (all++ == MOST) {
            return "the tree of accounts doesn't end";
        }

        if (n != 0 && node->key == key) {
            n++;
            continue;
        }

        if (n != want) {
            return "the links of an account aren't counted";
        }

        link = ngx_rbtree_data(node, ngx_http_graph_policy_link_t, member);
        key = node->key;
        want = link->nphones;
        n = 1;
    }

    return (n == want && all == sh->linked)
           ? NULL : "a link is in no account";
}


/* A number is one phone's, and a link without one isn't in the tree. */

static const char *
check_numbers(ngx_http_graph_policy_shctx_t *sh)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_rbtree_node_t             *node;
    ngx_http_graph_policy_link_t  *link;

    n = 0;

    for (q = ngx_queue_head(&sh->link_queue);
         q != ngx_queue_sentinel(&sh->link_queue);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_http_graph_policy_link_t, queue);

        if ((link->by_number.key != 0) != (link->number != 0)) {
            return "a link has half a number";
        }

        n += (link->number != 0);
    }

    for (node = ngx_http_graph_policy_tree_min(&sh->link_numbers);
         node != NULL;
         node = next_of(&sh->link_numbers, node))
    {
        link = ngx_rbtree_data(node, ngx_http_graph_policy_link_t, by_number);

        if (!ngx_http_graph_policy_index_has(&sh->index,
                                    NGX_HTTP_GRAPH_POLICY_INDEXED_LINK, link))
        {
            return "a number is of a link that the index hasn't";
        }

        if (n-- == 0) {
            break;
        }
    }

    return (n == 0) ? NULL : "a link's number isn't in the tree, or twice";
}


static ngx_rbtree_node_t *
next_of(ngx_http_graph_policy_tree_t *tree, ngx_rbtree_node_t *node)
{
    return ngx_rbtree_next(&tree->tree, node);
}
