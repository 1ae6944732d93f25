
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Links: signed webhooks say which account a phone belongs to, and which number
 * it has.
 *
 * Lock rule: functions of zone_learn.h take the mutex, those of state.h are
 * called with it held.  Memory: the zone's slab pool; callers get copies.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


static void ngx_http_graph_policy_link_set_count(
    ngx_http_graph_policy_shctx_t *sh, uint64_t account, ngx_uint_t n);
static ngx_int_t ngx_http_graph_policy_link_compare(u_char *one, size_t len,
    u_char *two, size_t two_len);
static void ngx_http_graph_policy_link_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


#define ngx_http_graph_policy_link_member(n)                                  \
    ngx_rbtree_data(n, ngx_http_graph_policy_link_t, member)

/*
 * The key of a number in the tree, made of the hash of its account and the
 * number's fingerprint; it is never 0, as 0 says that there is no number.
 */

#define ngx_http_graph_policy_link_number(account, number)                    \
    (ngx_http_graph_policy_mix(account, number, NGX_HTTP_GRAPH_POLICY_NKEYS)  \
     | 1)


ngx_http_graph_policy_link_t *
ngx_http_graph_policy_link_find(ngx_http_graph_policy_shctx_t *sh,
    ngx_str_t *phone, uint64_t *hash)
{
    ngx_http_graph_policy_link_t     *link;
    ngx_http_graph_policy_indexed_t  *node;

    if (ngx_http_graph_policy_key_hash(sh, phone, hash) == 0) {
        return NULL;
    }

    for (node = ngx_http_graph_policy_index_find(&sh->index,
                                  NGX_HTTP_GRAPH_POLICY_INDEXED_LINK, *hash);
         node != NULL;
         node = ngx_http_graph_policy_index_same(&sh->index, node))
    {
        link = (ngx_http_graph_policy_link_t *) node;

        if (link->phone_len == phone->len
            && ngx_memcmp(link->phone, phone->data, phone->len) == 0)
        {
            return link;
        }
    }

    return NULL;
}


void
ngx_http_graph_policy_link_account(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id)
{
    ngx_http_graph_policy_link_t  *link;

    if (id->account.len != 0 || sh->linked == 0) {
        return;
    }

    link = ngx_http_graph_policy_link_find(sh, &id->phone, &id->phone_hash);

    if (link != NULL) {
        ngx_memcpy(id->learnt, link->account, link->account_len);
        id->account.data = id->learnt;
        id->account.len = link->account_len;
    }
}


void
ngx_http_graph_policy_zone_account(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id)
{
    if (id->account.len != 0 || id->phone.len == 0 || zone->sh->linked == 0) {
        return;
    }

    ngx_http_graph_policy_zone_lock(zone);
    ngx_http_graph_policy_link_account(zone->sh, id);
    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_link_init(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_link_t *link, ngx_http_graph_policy_identity_t *id)
{
    ngx_uint_t  n;

    ngx_memzero(link, sizeof(ngx_http_graph_policy_link_t));

    link->node.key = id->phone_hash;
    link->member.key = ngx_http_graph_policy_key_hash(zone->sh, &id->account,
                                                      &id->account_hash);
    link->phone_len = (uint8_t) id->phone.len;
    link->account_len = (uint8_t) id->account.len;
    ngx_memcpy(link->phone, id->phone.data, id->phone.len);
    ngx_memcpy(link->account, id->account.data, id->account.len);

    n = ngx_http_graph_policy_link_count(zone->sh, link->member.key);

    ngx_http_graph_policy_revise(zone->sh);

    ngx_http_graph_policy_index_insert(&zone->sh->index,
                                       NGX_HTTP_GRAPH_POLICY_INDEXED_LINK,
                                       &link->node);
    ngx_http_graph_policy_tree_insert(&zone->sh->link_members, &link->member,
                                      ngx_http_graph_policy_link_insert);
    ngx_queue_insert_tail(&zone->sh->link_queue, &link->queue);

    ngx_http_graph_policy_link_set_count(zone->sh, link->member.key, n + 1);

    zone->sh->linked++;
    zone->sh->changes++;
}


void
ngx_http_graph_policy_link_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_link_t *link)
{
    uint64_t    account;
    ngx_uint_t  n;

    zone->sh->editing = 1;

    ngx_http_graph_policy_revise(zone->sh);

    /* ngx_rbtree_delete() zeroes the key, so it is read before. */

    account = link->member.key;
    n = ngx_http_graph_policy_link_count(zone->sh, account);

    ngx_http_graph_policy_index_remove(&zone->sh->index, &link->node);
    ngx_rbtree_delete(&zone->sh->link_members.tree, &link->member);
    ngx_queue_remove(&link->queue);

    if (link->by_number.key != 0) {
        ngx_rbtree_delete(&zone->sh->link_numbers.tree, &link->by_number);
    }

    ngx_http_graph_policy_link_set_count(zone->sh, account, n - 1);

    zone->sh->linked--;
    zone->sh->changes++;

    ngx_slab_free_locked(zone->shpool, link);
}


/*
 * The count is stored in the first link of the account, as counting by a walk
 * would visit all phones of the account each time that one is learnt.
 */

ngx_uint_t
ngx_http_graph_policy_link_count(ngx_http_graph_policy_shctx_t *sh,
    uint64_t account)
{
    ngx_rbtree_node_t             *node;
    ngx_http_graph_policy_link_t  *link;

    ngx_http_graph_policy_must_hold(sh->index.base);

    node = ngx_http_graph_policy_tree_find(&sh->link_members, account);

    if (node == NULL) {
        return 0;
    }

    link = ngx_http_graph_policy_link_member(node);

    return link->nphones;
}


/*
 * Phones come and go, so the first link of the account may be another one than
 * before; the count is written to the one that is first now.
 */

static void
ngx_http_graph_policy_link_set_count(ngx_http_graph_policy_shctx_t *sh,
    uint64_t account, ngx_uint_t n)
{
    ngx_rbtree_node_t             *node;
    ngx_http_graph_policy_link_t  *link;

    node = ngx_http_graph_policy_tree_find(&sh->link_members, account);

    if (node != NULL) {
        link = ngx_http_graph_policy_link_member(node);
        link->nphones = (uint32_t) n;
    }
}


ngx_uint_t
ngx_http_graph_policy_number_is_taken(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_link_t *link, uint64_t number)
{
    return ngx_http_graph_policy_tree_find(&sh->link_numbers,
                       ngx_http_graph_policy_link_number(link->member.key,
                                                         number))
           != NULL;
}


void
ngx_http_graph_policy_link_give_number(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_link_t *link, uint64_t number)
{
    uint64_t                       key;
    ngx_rbtree_node_t             *node;
    ngx_http_graph_policy_tree_t  *numbers;
    ngx_http_graph_policy_link_t  *other;

    numbers = &zone->sh->link_numbers;
    key = ngx_http_graph_policy_link_number(link->member.key, number);

    if (link->by_number.key == key) {
        return;
    }

    zone->sh->editing = 1;

    ngx_http_graph_policy_revise(zone->sh);

    node = ngx_http_graph_policy_tree_find(numbers, key);

    if (node != NULL) {
        other = ngx_rbtree_data(node, ngx_http_graph_policy_link_t, by_number);

        ngx_rbtree_delete(&numbers->tree, node);
        other->by_number.key = 0;
        other->number = 0;
    }

    if (link->by_number.key != 0) {
        ngx_rbtree_delete(&numbers->tree, &link->by_number);
    }

    link->by_number.key = key;
    link->number = number;

    ngx_http_graph_policy_tree_insert(numbers, &link->by_number,
                                      ngx_rbtree_insert_value);
    zone->sh->changes++;
}


ngx_int_t
ngx_http_graph_policy_zone_numbered(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_str_t *phone)
{
    uint64_t                        account;
    ngx_int_t                       rc;
    ngx_rbtree_node_t              *node;
    ngx_http_graph_policy_link_t   *link;
    ngx_http_graph_policy_shctx_t  *sh;

    if (id->number == 0 || id->account.len == 0) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    ngx_http_graph_policy_zone_lock(zone);

    sh = zone->sh;

    account = ngx_http_graph_policy_key_hash(sh, &id->account,
                                             &id->account_hash);
    node = ngx_http_graph_policy_tree_find(&sh->link_numbers,
                      ngx_http_graph_policy_link_number(account, id->number));

    if (node != NULL) {
        link = ngx_rbtree_data(node, ngx_http_graph_policy_link_t, by_number);

        if (ngx_http_graph_policy_link_is_of(link, &id->account)) {
            ngx_memcpy(phone->data, link->phone, link->phone_len);
            phone->len = link->phone_len;
            rc = NGX_OK;
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


ngx_int_t
ngx_http_graph_policy_zone_next_phone(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *account, ngx_str_t *phone)
{
    uint64_t                        hash;
    ngx_rbtree_node_t              *node, *sentinel, *found;
    ngx_http_graph_policy_link_t   *link;
    ngx_http_graph_policy_shctx_t  *sh;

    hash = 0;
    found = NULL;

    ngx_http_graph_policy_zone_lock(zone);

    sh = zone->sh;

    (void) ngx_http_graph_policy_key_hash(sh, account, &hash);

    node = sh->link_members.tree.root;
    sentinel = sh->link_members.tree.sentinel;

    /* This finds the first link of the account behind "phone". */

    while (node != sentinel) {
        link = ngx_http_graph_policy_link_member(node);

        if (node->key > hash
            || (node->key == hash
                && ngx_http_graph_policy_link_compare(link->phone,
                                                      link->phone_len,
                                                      phone->data, phone->len)
                   > 0))
        {
            found = node;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    if (found != NULL && found->key == hash) {
        link = ngx_http_graph_policy_link_member(found);

        ngx_memcpy(phone->data, link->phone, link->phone_len);
        phone->len = link->phone_len;

        /*
         * Two accounts may have the same hash.  The walk ends at a phone of the
         * other one: its phones are rather missed than mistaken.
         */

        if (!ngx_http_graph_policy_link_is_of(link, account)) {
            found = NULL;
        }

    } else {
        found = NULL;
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return (found != NULL) ? NGX_OK : NGX_DONE;
}


ngx_uint_t
ngx_http_graph_policy_link_is_of(ngx_http_graph_policy_link_t *link,
    ngx_str_t *account)
{
    return link->account_len == account->len
           && ngx_memcmp(link->account, account->data, account->len) == 0;
}


static ngx_int_t
ngx_http_graph_policy_link_compare(u_char *one, size_t len, u_char *two,
    size_t two_len)
{
    if (len != two_len) {
        return (ngx_int_t) len - (ngx_int_t) two_len;
    }

    return ngx_memcmp(one, two, len);
}


static void
ngx_http_graph_policy_link_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t             **p;
    ngx_http_graph_policy_link_t   *link, *other;

    link = ngx_http_graph_policy_link_member(node);

    for ( ;; ) {
        other = ngx_http_graph_policy_link_member(temp);

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            p = (ngx_http_graph_policy_link_compare(link->phone,
                                                    link->phone_len,
                                                    other->phone,
                                                    other->phone_len)
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
