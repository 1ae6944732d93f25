
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Groups of phones that are disconnected at the same time.  The tree is sorted
 * by the account or credential that they share, then by phone.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: nodes are
 * parts of the states.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"


static ngx_uint_t ngx_http_graph_policy_group_counts(
    ngx_http_graph_policy_state_t *state);
static ngx_int_t ngx_http_graph_policy_group_compare(
    ngx_http_graph_policy_state_t *one, ngx_http_graph_policy_state_t *two);
static void ngx_http_graph_policy_group_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


#define ngx_http_graph_policy_group_state(n)                                  \
    ngx_rbtree_data(n, ngx_http_graph_policy_state_t, member)


void
ngx_http_graph_policy_group_join(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id)
{
    uint64_t  account, credential, key;

    if (!ngx_http_graph_policy_group_counts(state)) {
        return;
    }

    account = ngx_http_graph_policy_key_hash(sh, &id->account,
                                             &id->account_hash);

    /*
     * A bound state was set by a credential that may have no access to the
     * account.  It must not change the reason that others are shown, so it
     * stays in the group of its credential.
     */

    if (account != 0 && !state->bound) {
        credential = 0;

    } else {
        account = 0;
        credential = id->credential;

        if (credential == 0) {
            return;
        }
    }

    key = ngx_http_graph_policy_mix(account, credential,
                                    NGX_HTTP_GRAPH_POLICY_NKEYS);

    if (state->member.key == key
        || (state->member.key != 0 && account == 0))
    {
        return;
    }

    ngx_http_graph_policy_group_leave(sh, state);

    state->member.key = key;

    ngx_http_graph_policy_tree_insert(&sh->members, &state->member,
                                      ngx_http_graph_policy_group_insert);
}


static ngx_uint_t
ngx_http_graph_policy_group_counts(ngx_http_graph_policy_state_t *state)
{
    return state->kind == NGX_HTTP_GRAPH_POLICY_KEY_PHONE
           && state->reason == NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED
           && state->category == NGX_HTTP_GRAPH_POLICY_FATAL
           && state->breaker.armed;
}


void
ngx_http_graph_policy_group_rejoin(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t key)
{
    if (key == 0 || state->member.key != 0
        || !ngx_http_graph_policy_group_counts(state))
    {
        return;
    }

    state->member.key = key;

    ngx_http_graph_policy_tree_insert(&sh->members, &state->member,
                                      ngx_http_graph_policy_group_insert);
}


void
ngx_http_graph_policy_group_leave(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    if (state->member.key != 0) {
        ngx_rbtree_delete(&sh->members.tree, &state->member);
        state->member.key = 0;
    }
}


/*
 * Members of one key are sorted by phone, so another phone, if there is one, is
 * found at either end of them.
 */

ngx_uint_t
ngx_http_graph_policy_group_is_alone(ngx_http_graph_policy_shctx_t *sh,
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
                edge = ngx_http_graph_policy_group_state(node);
                node = right ? node->right : node->left;

            } else {
                node = (state->member.key < node->key) ? node->left
                                                       : node->right;
            }
        }

        if (ngx_http_graph_policy_group_compare(state, edge) != 0) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_graph_policy_group_compare(ngx_http_graph_policy_state_t *one,
    ngx_http_graph_policy_state_t *two)
{
    if (one->key_len != two->key_len) {
        return (ngx_int_t) one->key_len - (ngx_int_t) two->key_len;
    }

    return ngx_memcmp(one->data, two->data, one->key_len);
}


static void
ngx_http_graph_policy_group_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            p = (ngx_http_graph_policy_group_compare(
                                     ngx_http_graph_policy_group_state(node),
                                     ngx_http_graph_policy_group_state(temp))
                 < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    ngx_http_graph_policy_tree_attach(p, temp, node, sentinel);
}
