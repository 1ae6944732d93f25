
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A state in the zone: its place, its node in each tree, and the view of it
 * that users are shown.
 *
 * Lock rule: called with the mutex held; never takes it.  A state is filled
 * in before it is linked.  Memory: the zone's slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


static void ngx_http_graph_policy_state_arrange(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_uint_t was_armed);


const uint8_t  ngx_http_graph_policy_key_scopes[] = {
    NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL,
    NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT,
    NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT,
    NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE,
    NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION
};


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
        hash = ngx_http_graph_policy_key_hash(sh, &id->account,
                                              &id->account_hash);
        break;

    case NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION:
        ngx_str_set(&place->key, "");
        hash = id->conversation;
        break;

    default:
        place->key = id->phone;
        hash = ngx_http_graph_policy_key_hash(sh, &id->phone,
                                              &id->phone_hash);
        break;
    }

    /*
     * An empty key has the hash 0, so the place is unknown.  The place of a
     * credential is made of the credential alone.
     */

    if (kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL && hash == 0) {
        return NGX_DECLINED;
    }

    place->kind = kind;
    place->credential = bound ? id->credential : 0;
    place->hash = ngx_http_graph_policy_mix(hash, place->credential, kind);

    return NGX_OK;
}


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_first(ngx_http_graph_policy_shctx_t *sh,
    uint64_t hash)
{
    return (ngx_http_graph_policy_state_t *)
               ngx_http_graph_policy_index_find(&sh->index,
                                   NGX_HTTP_GRAPH_POLICY_INDEXED_STATE, hash);
}


/* Returns the next state of the same hash, NULL if there is none. */

ngx_http_graph_policy_state_t *
ngx_http_graph_policy_state_next(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    return (ngx_http_graph_policy_state_t *)
               ngx_http_graph_policy_index_same(&sh->index, &state->node);
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
           && state->bound == (place->credential != 0)
           && (!state->bound || state->credential == place->credential)
           && state->key_len == place->key.len
           && ngx_memcmp(state->data, place->key.data, place->key.len) == 0;
}


void
ngx_http_graph_policy_state_init(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, size_t size,
    ngx_http_graph_policy_place_t *place, ngx_uint_t reason)
{
    size_t  head;

    head = offsetof(ngx_http_graph_policy_state_t, data);

    ngx_memzero(state, head);

    state->node.key = place->hash;
    state->node.rank = (uint8_t) reason;
    state->credential = place->credential;
    state->bound = (place->credential != 0);
    state->kind = place->kind & 7;
    state->reason = (uint8_t) reason;
    state->code = -1;
    state->subcode = -1;
    state->data_size = (uint8_t) (size - head);
    state->large = (size > NGX_HTTP_GRAPH_POLICY_SLOT);
    state->key_len = (uint8_t) place->key.len;
    ngx_memcpy(state->data, place->key.data, place->key.len);

    zone->sh->editing = 1;

    ngx_http_graph_policy_revise(zone->sh);

    ngx_http_graph_policy_index_insert(&zone->sh->index,
                                       NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
                                       &state->node);

    if (state->bound) {
        state->order_in = NGX_HTTP_GRAPH_POLICY_BOUND_IDLE;
        zone->sh->bound_size += ngx_http_graph_policy_state_size(state);
    }

    ngx_http_graph_policy_tree_insert(
                            &zone->sh->order[state->large][state->order_in],
                            &state->order, ngx_rbtree_insert_value);
}


/* The state shows the latest failure that set or re-armed it. */

void
ngx_http_graph_policy_state_describe(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_facts_t  *facts;

    facts = failure->facts;

    state->category = failure->verdict->category & 7;
    state->dry_run = failure->verdict->dry_run;
    state->status = (uint16_t) failure->status;
    state->source = failure->source;
    state->code = facts->has_code ? facts->code : -1;
    state->subcode = facts->has_subcode ? facts->subcode : -1;
    state->trace_len = 0;

    if (!state->bound) {
        state->credential = (failure->source
                             == NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER)
                            ? failure->credential : 0;
    }

    if (facts->trace_len <= (size_t) (state->data_size - state->key_len)) {
        ngx_memcpy(state->data + state->key_len, facts->trace,
                   facts->trace_len);
        state->trace_len = (uint8_t) facts->trace_len;
    }
}


void
ngx_http_graph_policy_state_terms(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_terms_t *terms)
{
    ngx_http_graph_policy_outcome_terms(state->category, state->kind,
                                        state->bound ? 0 : state->credential,
                                        terms);
}


void
ngx_http_graph_policy_state_update(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed)
{
    if (zone->share != NULL && !zone->share->applying) {
        ngx_http_graph_policy_mark_node(zone, &state->node_name,
                                        zone->share->name.data,
                                        zone->share->name.len);
    }

    ngx_http_graph_policy_state_arrange(zone, state, was_armed);
}


void
ngx_http_graph_policy_state_refresh(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state)
{
    ngx_http_graph_policy_state_arrange(zone, state, state->breaker.armed);
}


static void
ngx_http_graph_policy_state_arrange(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed)
{
    uint64_t                        now;
    ngx_uint_t                      armed, bound, conversation, scope;
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;

    ngx_http_graph_policy_must_hold(zone->shpool);

    armed = state->breaker.armed;
    bound = state->bound;
    conversation = (state->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION);

    sh->editing = 1;

    ngx_http_graph_policy_revise(sh);

    sh->changes++;

    if (conversation) {
        ngx_http_graph_policy_mark_limit(zone, state->node.key, state->reason,
                                         NGX_HTTP_GRAPH_POLICY_MARK_STATE,
                                         !armed);

    } else {
        ngx_http_graph_policy_mark(zone, state->node.key, state->reason,
                                   NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    }

    /*
     * A fatal failure may have taken over the state of a temporary one, so the
     * state is counted anew in its present category.
     */

    scope = ngx_http_graph_policy_key_scopes[state->kind];

    if (was_armed) {
        sh->counts[scope][state->counted_as]--;
    }

    if (armed) {
        state->counted_as = state->category & 3;
        sh->counts[scope][state->counted_as]++;
    }

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

        ngx_http_graph_policy_group_leave(sh, state);
    }

    ngx_rbtree_delete(&sh->order[state->large][state->order_in].tree,
                      &state->order);

    sh->awaited -= (state->order_in == NGX_HTTP_GRAPH_POLICY_CONFIRMING);

    state->order_in = 7 & ngx_http_graph_policy_breaker_order(&state->breaker,
                        state->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY,
                        state->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER,
                        bound);

    sh->awaited += (state->order_in == NGX_HTTP_GRAPH_POLICY_CONFIRMING);

    now = ngx_http_graph_policy_now();

    state->order.key = (ngx_rbtree_key_t)
                       ngx_http_graph_policy_breaker_order_key(&state->breaker,
                                                               zone->memory,
                                                               now);

    ngx_http_graph_policy_tree_insert(&sh->order[state->large]
                                                [state->order_in],
                                      &state->order, ngx_rbtree_insert_value);
}


void
ngx_http_graph_policy_state_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state)
{
    zone->sh->editing = 1;

    ngx_http_graph_policy_revise(zone->sh);

    if (state->breaker.armed) {
        state->breaker.armed = 0;
        ngx_http_graph_policy_state_update(zone, state, 1);
    }

    if (state->bound) {
        zone->sh->bound_size -= ngx_http_graph_policy_state_size(state);
    }

    ngx_rbtree_delete(&zone->sh->order[state->large][state->order_in].tree,
                      &state->order);
    ngx_http_graph_policy_index_remove(&zone->sh->index, &state->node);

    ngx_http_graph_policy_mark_node(zone, &state->node_name, NULL, 0);

    ngx_slab_free_locked(zone->shpool, state);
}


void
ngx_http_graph_policy_state_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_node_name_t  *name;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;
    view->hash = state->node.key;
    view->credential = state->bound ? state->credential : 0;
    view->since = ngx_min(state->breaker.since, now);
    view->until = ngx_http_graph_policy_breaker_blocked_until(&state->breaker,
                                                              now);
    view->leased = (now < view->until
                    && now >= ngx_http_graph_policy_breaker_until(
                                                     &state->breaker, now));
    view->hold = state->breaker.hold;
    view->holds = state->breaker.holds;
    view->blocked = state->blocked;
    view->dry_run = state->dry_run;
    view->code = state->code;
    view->subcode = state->subcode;
    view->status = state->status;
    view->category = state->category;
    view->source = state->source;
    view->kind = state->kind;
    view->stored_reason = state->reason;
    view->reason = state->reason;
    view->key_len = state->key_len;
    view->trace_len = state->trace_len;
    view->node_len = 0;

    if (state->node_name != 0) {
        name = &sh->fleet->names[state->node_name - 1];
        view->node_len = (uint8_t) name->len;
        ngx_memcpy(view->node, name->data, name->len);
    }

    ngx_memcpy(view->key, state->data, state->key_len);
    ngx_memcpy(view->trace, state->data + state->key_len, state->trace_len);

    if (state->member.key != 0
        && !ngx_http_graph_policy_group_is_alone(sh, state))
    {
        view->reason = NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED;
    }
}


ngx_http_graph_policy_view_t *
ngx_http_graph_policy_change(ngx_http_graph_policy_changes_t *changes)
{
    if (changes->n == NGX_HTTP_GRAPH_POLICY_NCHANGES) {
        changes->lost++;
        return NULL;
    }

    return &changes->views[changes->n++];
}


void
ngx_http_graph_policy_view_note(ngx_http_graph_policy_view_t *view,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_view_t  *copy;

    if (view->transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    copy = ngx_http_graph_policy_change(changes);

    if (copy != NULL) {
        *copy = *view;
    }
}


void
ngx_http_graph_policy_state_note(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_transition_e transition,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_view_t  *view;

    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    view = ngx_http_graph_policy_change(changes);

    if (view != NULL) {
        ngx_http_graph_policy_state_view(sh, state, now, view);
        view->transition = transition;
    }
}
