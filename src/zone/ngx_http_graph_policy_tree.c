
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The trees of the zone, and the hashes that nodes are found by.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: a node is a
 * member of the state, conversation or link that it stands for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_siphash.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"


uint64_t
ngx_http_graph_policy_key_hash(ngx_http_graph_policy_shctx_t *sh,
    ngx_str_t *key, uint64_t *hash)
{
    if (*hash == 0 && key->len != 0) {
        *hash = ngx_http_graph_policy_siphash(sh->key, key->data, key->len)
                | 1;
    }

    return *hash;
}


/*
 * The inputs are keyed hashes already, so it is enough to spread them; this is
 * the finalizer of MurmurHash3.
 */

uint64_t
ngx_http_graph_policy_mix(uint64_t hash, uint64_t credential,
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


void
ngx_http_graph_policy_tree_init(ngx_http_graph_policy_tree_t *tree)
{
    ngx_rbtree_init(&tree->tree, &tree->sentinel, ngx_rbtree_insert_value);
}


void
ngx_http_graph_policy_tree_insert(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node, ngx_rbtree_insert_pt insert)
{
    /*
     * The tree lies in shared memory, where another binary may have left the
     * address of its own function.
     */

    tree->tree.insert = insert;

    ngx_rbtree_insert(&tree->tree, node);
}


void
ngx_http_graph_policy_tree_attach(ngx_rbtree_node_t **p,
    ngx_rbtree_node_t *parent, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    *p = node;
    node->parent = parent;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


ngx_rbtree_node_t *
ngx_http_graph_policy_tree_min(ngx_http_graph_policy_tree_t *tree)
{
    return (tree->tree.root != tree->tree.sentinel)
           ? ngx_rbtree_min(tree->tree.root, tree->tree.sentinel) : NULL;
}


ngx_rbtree_node_t *
ngx_http_graph_policy_tree_find(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_key_t key)
{
    ngx_rbtree_node_t  *node, *sentinel, *found;

    node = tree->tree.root;
    sentinel = tree->tree.sentinel;
    found = NULL;

    while (node != sentinel) {

        if (key <= node->key) {
            if (key == node->key) {
                found = node;
            }

            node = node->left;

        } else {
            node = node->right;
        }
    }

    return found;
}
