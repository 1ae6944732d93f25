
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * One state among its like: the trees by key and by end, eviction, and the
 * groups of phones that are disconnected together.
 *
 * Lock rule: called with the mutex held; never takes it.  A state is filled
 * in before it is linked.  Memory: the zone's slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_siphash.h"
#include "ngx_http_graph_policy_state.h"


#define NGX_HTTP_GRAPH_POLICY_EVICTIONS  4      /* at most, for one state */

/* milliseconds between sweeps, and states that one drops of each order */
#define NGX_HTTP_GRAPH_POLICY_SWEEP    100
#define NGX_HTTP_GRAPH_POLICY_SWEPT    16

/* the slab class of a state with the key of a phone */
#define NGX_HTTP_GRAPH_POLICY_SLOT       256


#define ngx_http_graph_policy_member_state(n)                                 \
    ngx_rbtree_data(n, ngx_http_graph_policy_state_t, member)

#define ngx_http_graph_policy_order_state(n)                                  \
    ngx_rbtree_data(n, ngx_http_graph_policy_state_t, order)


static uint64_t ngx_http_graph_policy_state_key(
    ngx_http_graph_policy_shctx_t *sh, ngx_str_t *key, uint64_t *hash);
static ngx_uint_t ngx_http_graph_policy_member_is_alone(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);
static ngx_int_t ngx_http_graph_policy_member_compare(
    ngx_http_graph_policy_state_t *one, ngx_http_graph_policy_state_t *two);
static void ngx_http_graph_policy_member_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static uint64_t ngx_http_graph_policy_state_hash(uint64_t hash,
    uint64_t credential, ngx_uint_t kind);
static void *ngx_http_graph_policy_state_alloc(
    ngx_http_graph_policy_zone_t *zone, size_t size,
    ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_state_evict(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_state_evict_page(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_state_remove(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_victim(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_oldest(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large, ngx_uint_t order);
static void ngx_http_graph_policy_state_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static void ngx_http_graph_policy_tree_insert(
    ngx_http_graph_policy_tree_t *tree, ngx_rbtree_node_t *node,
    ngx_rbtree_insert_pt insert);


ngx_int_t
ngx_http_graph_policy_state_place(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id, ngx_uint_t kind, ngx_uint_t bound,
    ngx_http_graph_policy_place_t *place)
{
    uint64_t  hash;

    if (kind == NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL) {
        bound = 1;
    }

    if (bound && id->credential == 0) {
        return NGX_DECLINED;
    }

    switch (kind) {

    case NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL:
        ngx_str_set(&place->key, "");
        hash = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT:
        place->key = id->account;
        hash = ngx_http_graph_policy_state_key(sh, &id->account,
                                               &id->account_hash);
        break;

    case NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION:
        ngx_str_set(&place->key, "");
        hash = id->conversation;
        break;

    default:
        place->key = id->phone;
        hash = ngx_http_graph_policy_state_key(sh, &id->phone,
                                               &id->phone_hash);
        break;
    }

    /* an empty key has no hash, a credential none but its own */

    if (kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL && hash == 0) {
        return NGX_DECLINED;
    }

    place->kind = kind;
    place->credential = bound ? id->credential : 0;
    place->hash = ngx_http_graph_policy_state_hash(hash, place->credential,
                                                   kind);

    return NGX_OK;
}


/* hashed where it is looked for, and once; 0 if there is none */

static uint64_t
ngx_http_graph_policy_state_key(ngx_http_graph_policy_shctx_t *sh,
    ngx_str_t *key, uint64_t *hash)
{
    if (*hash == 0 && key->len != 0) {
        *hash = ngx_http_graph_policy_siphash(sh->key, key->data, key->len)
                | 1;
    }

    return *hash;
}


/* the inputs are keyed hashes, so this need only spread them (MurmurHash3) */

static uint64_t
ngx_http_graph_policy_state_hash(uint64_t hash, uint64_t credential,
    ngx_uint_t kind)
{
    uint64_t  h;

    h = hash ^ ((credential << 23) | (credential >> 41));
    h += (uint64_t) (kind + 1) * 0x9e3779b97f4a7c15ULL;

    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 33;

    return h;
}


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_first(ngx_http_graph_policy_shctx_t *sh,
    uint64_t hash)
{
    ngx_rbtree_node_t  *node, *sentinel, *found;

    node = sh->states.tree.root;
    sentinel = sh->states.tree.sentinel;
    found = NULL;

    while (node != sentinel) {

        if (hash <= node->key) {
            if (hash == node->key) {
                found = node;
            }

            node = node->left;

        } else {
            node = node->right;
        }
    }

    return (ngx_http_graph_policy_state_t *) found;
}


/* the next one of the same hash */

ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_next(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    ngx_rbtree_node_t  *node;

    node = ngx_rbtree_next(&sh->states.tree, &state->node);

    if (node == NULL || node->key != state->node.key) {
        return NULL;
    }

    return (ngx_http_graph_policy_state_t *) node;
}


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_find(ngx_http_graph_policy_shctx_t *sh,
    uint64_t hash, ngx_uint_t reason)
{
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_state_first(sh, hash);

    while (state != NULL && state->reason != reason) {
        state = ngx_http_graph_policy_state_next(sh, state);
    }

    return state;
}


ngx_uint_t
ngx_http_graph_policy_state_is_at(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_place_t *place)
{
    return state->kind == place->kind
           && state->credential == place->credential
           && state->key_len == place->key.len
           && ngx_memcmp(state->data, place->key.data, place->key.len) == 0;
}


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_create(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_failure_t *failure)
{
    size_t                          size, head;
    ngx_http_graph_policy_state_t  *state;

    head = offsetof(ngx_http_graph_policy_state_t, data);

    /* one slab class for all but the longest, so that eviction helps */

    size = head + place->key.len + failure->facts->trace_len;
    size = ngx_max(size, NGX_HTTP_GRAPH_POLICY_SLOT);
    state = NULL;

    if (size > NGX_HTTP_GRAPH_POLICY_SLOT) {

        /* nothing has to leave for the sake of a long trace */

        zone->sh->editing = 1;

        state = ngx_slab_alloc_locked(zone->shpool, size);

        if (state == NULL) {
            size = ngx_max(head + place->key.len, NGX_HTTP_GRAPH_POLICY_SLOT);
        }
    }

    if (state == NULL) {
        state = ngx_http_graph_policy_state_alloc(zone, size, failure);
        if (state == NULL) {
            return NULL;
        }
    }

    ngx_memzero(state, head);

    state->node.key = place->hash;
    state->credential = place->credential;
    state->kind = (uint8_t) place->kind;
    state->reason = failure->verdict->reason;
    state->room = (uint16_t) (size - head);
    state->large = (size > NGX_HTTP_GRAPH_POLICY_SLOT);
    state->key_len = (uint8_t) place->key.len;
    ngx_memcpy(state->data, place->key.data, place->key.len);

    zone->sh->editing = 1;

    ngx_http_graph_policy_tree_insert(&zone->sh->states, &state->node,
                                 ngx_http_graph_policy_state_insert);
    ngx_http_graph_policy_tree_insert(
                &zone->sh->order[state->large][NGX_HTTP_GRAPH_POLICY_IDLE],
                                 &state->order, ngx_rbtree_insert_value);

    return state;
}


static void *
ngx_http_graph_policy_state_alloc(ngx_http_graph_policy_zone_t *zone,
    size_t size, ngx_http_graph_policy_failure_t *failure)
{
    void                           *p;
    ngx_uint_t                      i, large;
    ngx_http_graph_policy_state_t  *state;

    zone->sh->editing = 1;

    for (i = 0; /* void */ ; i++) {

        p = ngx_slab_alloc_locked(zone->shpool, size);

        if (p != NULL || i == NGX_HTTP_GRAPH_POLICY_EVICTIONS) {
            return p;
        }

        /* its like first: what they leave is room for just such a one */

        large = (size > NGX_HTTP_GRAPH_POLICY_SLOT);

        state = ngx_http_graph_policy_state_victim(zone->sh, large);

        if (state != NULL) {
            ngx_http_graph_policy_state_evict(zone, state, failure);
            continue;
        }

        state = ngx_http_graph_policy_state_victim(zone->sh, !large);

        if (state == NULL) {
            return NULL;
        }

        ngx_http_graph_policy_state_evict_page(zone, state, failure);
    }
}


static void
ngx_http_graph_policy_state_evict(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure)
{
    if (state->breaker.armed) {
        ngx_http_graph_policy_state_view(zone->sh, state, failure->now,
                                         &failure->evicted);
        failure->evicted.transition = NGX_HTTP_GRAPH_POLICY_EVICTED;
    }

    ngx_http_graph_policy_state_remove(zone, state);
}


/* the first of its size in a full zone takes a page that others hold */

static void
ngx_http_graph_policy_state_evict_page(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure)
{
    u_char                         *p, *last;
    size_t                          slot;
    ngx_http_graph_policy_state_t  *mate;

    slot = state->large ? 2 * NGX_HTTP_GRAPH_POLICY_SLOT
                        : NGX_HTTP_GRAPH_POLICY_SLOT;

    p = (u_char *) ((uintptr_t) state & ~((uintptr_t) ngx_pagesize - 1));
    last = p + ngx_pagesize;

    for ( /* void */ ; p < last; p += slot) {

        /* a free slot holds what was there before, which isn't linked */

        mate = (ngx_http_graph_policy_state_t *) p;

        if (ngx_http_graph_policy_state_find(zone->sh, mate->node.key,
                                             mate->reason)
            == mate)
        {
            ngx_http_graph_policy_state_evict(zone, mate, failure);
        }
    }
}


/* the latest answer is the one that is shown */

void
ngx_http_graph_policy_state_describe(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_facts_t  *facts;

    facts = failure->facts;

    state->category = failure->verdict->category;
    state->dry_run = failure->verdict->dry_run;
    state->status = (uint16_t) failure->status;
    state->code = facts->code;
    state->subcode = facts->has_subcode ? facts->subcode : -1;
    state->trace_len = 0;

    if (facts->trace_len <= (size_t) (state->room - state->key_len)) {
        ngx_memcpy(state->data + state->key_len, facts->trace,
                   facts->trace_len);
        state->trace_len = (uint8_t) facts->trace_len;
    }
}


/* brings counts, groups and order in line with what the breaker became */

void
ngx_http_graph_policy_state_update(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed)
{
    ngx_uint_t                      armed, bound, conversation;
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;
    armed = state->breaker.armed;
    bound = (state->credential != 0);
    conversation = (state->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION);

    sh->editing = 1;

    if (armed && !was_armed) {
        sh->live[state->kind][bound]++;
        sh->armed++;
        sh->armed_bound += bound;
        sh->armed_conversations += conversation;
    }

    if (!armed && was_armed) {
        sh->live[state->kind][bound]--;
        sh->armed--;
        sh->armed_bound -= bound;
        sh->armed_conversations -= conversation;

        if (state->member.key != 0) {
            ngx_rbtree_delete(&sh->members.tree, &state->member);
            state->member.key = 0;
        }
    }

    ngx_rbtree_delete(&sh->order[state->large][state->order_in].tree,
                      &state->order);

    if (!armed) {
        state->order_in = NGX_HTTP_GRAPH_POLICY_IDLE;

    } else if (state->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY) {
        state->order_in = NGX_HTTP_GRAPH_POLICY_COOLING;

    } else {
        state->order_in = NGX_HTTP_GRAPH_POLICY_ARMED;
    }

    state->order.key = (ngx_rbtree_key_t) state->breaker.until;

    ngx_http_graph_policy_tree_insert(&sh->order[state->large]
                                                [state->order_in],
                                      &state->order, ngx_rbtree_insert_value);
}


static void
ngx_http_graph_policy_state_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state)
{
    zone->sh->editing = 1;

    if (state->breaker.armed) {
        state->breaker.armed = 0;
        ngx_http_graph_policy_state_update(zone, state, 1);
    }

    ngx_rbtree_delete(&zone->sh->order[state->large]
                                      [NGX_HTTP_GRAPH_POLICY_IDLE].tree,
                      &state->order);
    ngx_rbtree_delete(&zone->sh->states.tree, &state->node);

    ngx_slab_free_locked(zone->shpool, state);
}


void
ngx_http_graph_policy_state_expire(ngx_http_graph_policy_zone_t *zone,
    uint64_t now)
{
    ngx_uint_t                      large, order, n;
    ngx_http_graph_policy_state_t  *state;

    static const uint64_t  grace[NGX_HTTP_GRAPH_POLICY_NORDERS] = {
        0,
        NGX_HTTP_GRAPH_POLICY_COOLED,
        NGX_HTTP_GRAPH_POLICY_ABANDONED
    };

    /* now and then, and a few at a time, as others wait for the lock */

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
                    || state->breaker.until + grace[order] > now)
                {
                    break;
                }

                ngx_http_graph_policy_state_remove(zone, state);
            }
        }
    }
}


static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_victim(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t large)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_state_t  *state;

    static const ngx_uint_t  order[NGX_HTTP_GRAPH_POLICY_NORDERS] = {
        NGX_HTTP_GRAPH_POLICY_COOLING,
        NGX_HTTP_GRAPH_POLICY_IDLE,
        NGX_HTTP_GRAPH_POLICY_ARMED
    };

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NORDERS; i++) {
        state = ngx_http_graph_policy_state_oldest(sh, large, order[i]);

        if (state != NULL) {
            return state;
        }
    }

    return NULL;
}


static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_oldest(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t large, ngx_uint_t order)
{
    ngx_rbtree_t       *tree;
    ngx_rbtree_node_t  *node;

    tree = &sh->order[large][order].tree;

    if (tree->root == tree->sentinel) {
        return NULL;
    }

    node = ngx_rbtree_min(tree->root, tree->sentinel);

    return ngx_http_graph_policy_order_state(node);
}


uint64_t
ngx_http_graph_policy_state_end(ngx_http_graph_policy_state_t *state,
    uint64_t now)
{
    ngx_http_graph_policy_breaker_t  *b;

    b = &state->breaker;

    return (now >= b->until && b->lease != 0) ? b->lease_until : b->until;
}


void
ngx_http_graph_policy_state_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;
    view->hash = state->node.key;
    view->credential = state->credential;
    view->since = state->breaker.since;
    view->until = ngx_http_graph_policy_state_end(state, now);
    view->leased = (view->until != state->breaker.until);
    view->hold = state->breaker.hold;
    view->code = state->code;
    view->subcode = state->subcode;
    view->status = state->status;
    view->category = state->category;
    view->kind = state->kind;
    view->stored_reason = state->reason;
    view->reason = state->reason;
    view->key_len = state->key_len;
    view->trace_len = state->trace_len;

    ngx_memcpy(view->key, state->data, state->key_len);
    ngx_memcpy(view->trace, state->data + state->key_len, state->trace_len);

    if (state->member.key != 0
        && !ngx_http_graph_policy_member_is_alone(sh, state))
    {
        view->reason = NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED;
    }
}


void
ngx_http_graph_policy_state_join(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id)
{
    uint64_t  account, credential;

    if (state->kind != NGX_HTTP_GRAPH_POLICY_KEY_PHONE
        || state->reason != NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED
        || state->category != NGX_HTTP_GRAPH_POLICY_FATAL
        || state->member.key != 0)
    {
        return;
    }

    account = ngx_http_graph_policy_state_key(sh, &id->account,
                                              &id->account_hash);

    /* who may not have access must not change what others are shown */

    if (account != 0 && state->credential == 0) {
        credential = 0;

    } else {
        account = 0;
        credential = id->credential;
    }

    state->member.key = ngx_http_graph_policy_state_hash(account, credential,
                                                  NGX_HTTP_GRAPH_POLICY_NKEYS);

    ngx_http_graph_policy_tree_insert(&sh->members, &state->member,
                                      ngx_http_graph_policy_member_insert);
}


/* members of one key lie in the order of their phones */

static ngx_uint_t
ngx_http_graph_policy_member_is_alone(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    ngx_uint_t                      right;
    ngx_rbtree_node_t              *node, *sentinel;
    ngx_http_graph_policy_state_t  *edge;

    sentinel = sh->members.tree.sentinel;

    for (right = 0; right < 2; right++) {

        node = sh->members.tree.root;
        edge = state;

        while (node != sentinel) {

            if (node->key == state->member.key) {
                edge = ngx_http_graph_policy_member_state(node);
                node = right ? node->right : node->left;

            } else {
                node = (state->member.key < node->key) ? node->left
                                                       : node->right;
            }
        }

        if (ngx_http_graph_policy_member_compare(state, edge) != 0) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_graph_policy_member_compare(ngx_http_graph_policy_state_t *one,
    ngx_http_graph_policy_state_t *two)
{
    if (one->key_len != two->key_len) {
        return (ngx_int_t) one->key_len - (ngx_int_t) two->key_len;
    }

    return ngx_memcmp(one->data, two->data, one->key_len);
}


static void
ngx_http_graph_policy_member_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            p = (ngx_http_graph_policy_member_compare(
                                     ngx_http_graph_policy_member_state(node),
                                     ngx_http_graph_policy_member_state(temp))
                 < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static void
ngx_http_graph_policy_state_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t              **p;
    ngx_http_graph_policy_state_t   *state, *other;

    state = (ngx_http_graph_policy_state_t *) node;

    for ( ;; ) {
        other = (ngx_http_graph_policy_state_t *) temp;

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            p = (state->reason < other->reason) ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static void
ngx_http_graph_policy_tree_insert(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node, ngx_rbtree_insert_pt insert)
{
    /* the pointer lies in shared memory, a new binary has another one */

    tree->tree.insert = insert;

    ngx_rbtree_insert(&tree->tree, node);
}
