
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Groups of phones that are disconnected at the same time, by the account or
 * credential that they share.  A group is a ring of states; one of them is in
 * the index.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: the ring
 * goes through the states themselves.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"


static ngx_uint_t ngx_http_graph_policy_group_counts(
    ngx_http_graph_policy_state_t *state);
static void ngx_http_graph_policy_group_enter(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state,
    uint64_t key);


/* The index finds a member as it finds a state, so it lies at a unit, too. */

typedef u_char  ngx_http_graph_policy_group_aligned_t
    [offsetof(ngx_http_graph_policy_state_t, member)
     % NGX_HTTP_GRAPH_POLICY_INDEX_UNIT == 0 ? 1 : -1];

#define ngx_http_graph_policy_group_state(member_)                            \
    ((ngx_http_graph_policy_state_t *)                                        \
         ((u_char *) (member_)                                                \
          - offsetof(ngx_http_graph_policy_state_t, member)))

#define ngx_http_graph_policy_group_mate(sh, ref)                             \
    ((ngx_http_graph_policy_state_t *)                                        \
         ngx_http_graph_policy_index_at(&(sh)->index, ref))

#define ngx_http_graph_policy_group_ref(sh, state)                            \
    ngx_http_graph_policy_index_ref(&(sh)->index, state)


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
    ngx_http_graph_policy_group_enter(sh, state, key);
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

    ngx_http_graph_policy_group_enter(sh, state, key);
}


static void
ngx_http_graph_policy_group_enter(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t key)
{
    uint32_t                          ref;
    ngx_http_graph_policy_state_t    *first, *next;
    ngx_http_graph_policy_indexed_t  *node;

    ref = ngx_http_graph_policy_group_ref(sh, state);

    state->member.key = key;

    node = ngx_http_graph_policy_index_find(&sh->index,
                                    NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP, key);

    if (node == NULL) {
        state->first = 1;
        state->mates.next = ref;
        state->mates.prev = ref;

        ngx_http_graph_policy_index_insert(&sh->index,
                                          NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP,
                                           &state->member);
        return;
    }

    first = ngx_http_graph_policy_group_state(node);
    next = ngx_http_graph_policy_group_mate(sh, first->mates.next);

    state->first = 0;
    state->mates.next = first->mates.next;
    state->mates.prev = ngx_http_graph_policy_group_ref(sh, first);

    first->mates.next = ref;
    next->mates.prev = ref;
}


void
ngx_http_graph_policy_group_leave(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    ngx_http_graph_policy_state_t  *next, *prev;

    if (state->member.key == 0) {
        return;
    }

    next = ngx_http_graph_policy_group_mate(sh, state->mates.next);
    prev = ngx_http_graph_policy_group_mate(sh, state->mates.prev);

    next->mates.prev = state->mates.prev;
    prev->mates.next = state->mates.next;

    if (state->first) {
        ngx_http_graph_policy_index_remove(&sh->index, &state->member);

        if (next != state) {
            next->first = 1;
            ngx_http_graph_policy_index_insert(&sh->index,
                                          NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP,
                                               &next->member);
        }
    }

    state->first = 0;
    state->member.key = 0;
}


/*
 * A phone has two states in a group at most, one for everyone and one that is
 * bound to the credential of the group, so another phone is found soon.
 */

ngx_uint_t
ngx_http_graph_policy_group_is_alone(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    ngx_http_graph_policy_state_t  *mate;

    for (mate = ngx_http_graph_policy_group_mate(sh, state->mates.next);
         mate != state;
         mate = ngx_http_graph_policy_group_mate(sh, mate->mates.next))
    {
        if (mate->key_len != state->key_len
            || ngx_memcmp(mate->data, state->data, state->key_len) != 0)
        {
            return 0;
        }
    }

    return 1;
}
