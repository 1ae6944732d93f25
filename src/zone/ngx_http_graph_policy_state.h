
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_


/* the inside of the zone floor; no other floor includes this */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_list.h"


/* the slab class of a state with the key of a phone, and of a link */
#define NGX_HTTP_GRAPH_POLICY_SLOT        256

/* the slab class of a conversation: a million of them are 128m */
#define NGX_HTTP_GRAPH_POLICY_SMALL_SLOT  128


typedef struct {
    ngx_rbtree_node_t                node;      /* by hash, then reason */
    ngx_rbtree_node_t                order;

    /*
     * Of a disconnected phone, by the account or credential that it is one
     * of, then by phone; the key is 0 where it isn't linked.
     */
    ngx_rbtree_node_t                member;

    ngx_http_graph_policy_breaker_t  breaker;

    /*
     * Of a bound state the credential that it covers; of one that covers
     * everyone that whose answer has set it, 0 if no answer has.
     */
    uint64_t                         credential;
    int64_t                          code;          /* -1: none */
    int64_t                          subcode;       /* -1: none */
    uint32_t                         blocked;       /* sends */
    uint16_t                         status;
    uint8_t                          data_size;     /* bytes */
    uint8_t                          reason;
    uint8_t                          key_len;
    uint8_t                          trace_len;
    unsigned                         kind:3;
    unsigned                         category:3;
    unsigned                         order_in:3;    /* which tree of order */
    unsigned                         large:1;       /* likewise */
    unsigned                         bound:1;
    unsigned                         dry_run:1;
    unsigned                         source:2;
    unsigned                         counted_as:2;  /* category, if armed */
    u_char                           data[1];       /* key, trace */
} ngx_http_graph_policy_state_t;


/*
 * A conversation, context-limited or over: nobody probes it, so it needs no
 * breaker, and there may be as many of them as a business has customers.
 */

typedef struct {
    ngx_rbtree_node_t                node;      /* by hash */
    ngx_rbtree_node_t                order;     /* by the end of its hold */
    ngx_http_graph_policy_limit_t    limit;
    int64_t                          code;      /* -1: none */
    int64_t                          subcode;   /* likewise */
    uint32_t                         blocked;   /* sends */
    uint16_t                         status;
    unsigned                         dry_run:1;
    unsigned                         source:2;
} ngx_http_graph_policy_conversation_t;


/* a phone that is known to belong to an account */

typedef struct {
    ngx_rbtree_node_t                node;      /* by hash of the phone */
    ngx_rbtree_node_t                member;    /* by account, then phone */

    /* by account and number, which one phone has; the key is 0 without one */
    ngx_rbtree_node_t                by_number;

    ngx_queue_t                      queue;     /* longest unconfirmed first */
    uint64_t                         confirmed;
    uint64_t                         number;    /* fingerprint of its digits */
    uint32_t                         nphones;   /* of the account, counted in
                                                   the first of its members */
    uint8_t                          phone_len;
    uint8_t                          account_len;
    u_char                           phone[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    u_char                           account[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
} ngx_http_graph_policy_link_t;


typedef struct {
    ngx_rbtree_t                     tree;
    ngx_rbtree_node_t                sentinel;
} ngx_http_graph_policy_tree_t;


/* what it takes of a zone */
#define ngx_http_graph_policy_state_size(state)                               \
    ((size_t) NGX_HTTP_GRAPH_POLICY_SLOT << (state)->large)


/* what the zone and its state file know of each other */

typedef struct {
    uint64_t                         generation;    /* whose file it is */
    uint64_t                         predecessor;   /* whose it was, or 0 */
    uint64_t                         ancestor;      /* before that one, or 0 */
    ngx_atomic_t                     saved;     /* changes that it has */
    ngx_atomic_t                     owned;     /* has been saved ever */
    ngx_atomic_t                     lost;      /* states may be in it only */
} ngx_http_graph_policy_keep_t;


struct ngx_http_graph_policy_shctx_s {

    /* read without the lock by every request, hence a line of their own */
    ngx_atomic_t                     armed;
    ngx_atomic_t                     armed_bound;
    ngx_atomic_t                     armed_conversations;
    ngx_atomic_t                     limited;
    ngx_atomic_t                     linked;
    ngx_atomic_t                     awaited;   /* statuses of messages */
    u_char                           pad[128 - 6 * sizeof(ngx_atomic_t)];

    ngx_http_graph_policy_counters_t  counters;

    uint64_t                         magic;
    ngx_uint_t                       layout;
    ngx_uint_t                       size;
    uint64_t                         key[2];
    uint64_t                         lease;
    uint64_t                         swept;     /* when it last was */
    ngx_uint_t                       editing;
    ngx_atomic_t                     changes;   /* of what is to be kept */
    ngx_http_graph_policy_keep_t     keep;
    ngx_http_graph_policy_history_t *history;   /* NULL: no room */

    /* armed ones as users count them */
    ngx_uint_t                       counts[NGX_HTTP_GRAPH_POLICY_NSCOPES]
                                          [NGX_HTTP_GRAPH_POLICY_CONTEXT + 1];

    ngx_http_graph_policy_tree_t     states;
    ngx_http_graph_policy_tree_t     members;

    /* of the usual size, and of larger ones, which free no room for others */
    ngx_http_graph_policy_tree_t     order[2][NGX_HTTP_GRAPH_POLICY_NORDERS];

    size_t                           bound_size;    /* of all bound ones */

    /* armed ones, everyone's and bound, to skip lookups that find nothing */
    ngx_uint_t                       live[NGX_HTTP_GRAPH_POLICY_NKEYS][2];

    /* the order is of remembered ones, then of live ones */
    ngx_http_graph_policy_tree_t     conversations;
    ngx_http_graph_policy_tree_t     conversation_order[2];
    uint64_t                         over;      /* none of them is before */

    ngx_http_graph_policy_tree_t     links;
    ngx_http_graph_policy_tree_t     link_members;
    ngx_http_graph_policy_tree_t     link_numbers;
    ngx_queue_t                      link_queue;
};


/* where a state is looked up */

typedef struct {
    uint64_t                         hash;
    uint64_t                         credential;    /* 0: everyone's */
    ngx_str_t                        key;
    ngx_uint_t                       kind;
} ngx_http_graph_policy_place_t;


/* the node behind the cursor; cursor->tree: in a tree by hash alone */
ngx_rbtree_node_t *ngx_http_graph_policy_list_behind(
    ngx_http_graph_policy_tree_t *tree,
    ngx_http_graph_policy_cursor_t *cursor);
/* moves a cursor that is behind the last node of its tree */
void ngx_http_graph_policy_list_end(ngx_http_graph_policy_cursor_t *cursor);


/*
 * Makes the zone's memory, or takes over what an earlier cycle left there.
 * NGX_OK: it is new and empty; NGX_DONE: taken over; NGX_ERROR, logged.
 */
ngx_int_t ngx_http_graph_policy_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
/* makes a zone that nobody uses yet empty again, under a key of its own */
ngx_int_t ngx_http_graph_policy_zone_reset(
    ngx_http_graph_policy_zone_t *zone, ngx_log_t *log);

/* takes the mutex, and mends what a dead worker left behind */
void ngx_http_graph_policy_zone_lock(ngx_http_graph_policy_zone_t *zone);
void ngx_http_graph_policy_zone_unlock(ngx_http_graph_policy_zone_t *zone);

/* the same around what changes states: an empty list; and all is told */
void ngx_http_graph_policy_zone_edit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
void ngx_http_graph_policy_zone_publish(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);


/* all that follows is called with the mutex held */

/* a place in the list for what becomes "transition", or NULL */
ngx_http_graph_policy_view_t *ngx_http_graph_policy_change(
    ngx_http_graph_policy_changes_t *changes);

/*
 * Where states of "kind" lie that cover "id".  NGX_DECLINED if what it takes
 * is unknown.
 */
ngx_int_t ngx_http_graph_policy_state_place(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_uint_t kind, ngx_uint_t bound, ngx_http_graph_policy_place_t *place);

/* the states of one hash, in the order of their reasons; NULL at the end */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_first(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_next(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_find(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash, ngx_uint_t reason);

/* a hash may lie, the key doesn't */
ngx_uint_t ngx_http_graph_policy_state_is_at(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_place_t *place);

/*
 * A closed state with room for a trace of "trace_len" bytes, if possible;
 * what left for it is in "changes".  NULL if there is no memory.
 */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_create(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_place_t *place,
    ngx_uint_t reason, size_t trace_len, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/* fills in a closed one in "size" bytes, and puts it into its trees */
void ngx_http_graph_policy_state_init(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, size_t size,
    ngx_http_graph_policy_place_t *place, ngx_uint_t reason);

/* the one with the soonest end in an order; NULL if that is empty */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_oldest(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large, ngx_uint_t order);

/*
 * Where the state lies that such a failure of "id" sets; the account of "id" is
 * filled in if it is known.  NGX_DECLINED if it sets none that is probed.
 */
ngx_int_t ngx_http_graph_policy_state_of_failure(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_place_t *place);

/* Shows the failure that set or re-armed the state. */
void ngx_http_graph_policy_state_describe(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);

/* Under which terms it may be probed. */
void ngx_http_graph_policy_state_terms(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_terms_t *terms);

/* Brings counts, groups and order in line with what the breaker became. */
void ngx_http_graph_policy_state_update(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed);

void ngx_http_graph_policy_state_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state);

void ngx_http_graph_policy_state_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view);
/* puts what becomes of the state into the list; NOTHING is no news */
void ngx_http_graph_policy_state_note(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_transition_e transition,
    ngx_http_graph_policy_changes_t *changes);

/* the keyed hash of a text, made once; 0 of an empty one */
uint64_t ngx_http_graph_policy_key_hash(ngx_http_graph_policy_shctx_t *sh,
    ngx_str_t *key, uint64_t *hash);
/* of keyed hashes: spreads them, and tells kinds apart */
uint64_t ngx_http_graph_policy_mix(uint64_t hash, uint64_t credential,
    ngx_uint_t kind);

void ngx_http_graph_policy_tree_init(ngx_http_graph_policy_tree_t *tree);
void ngx_http_graph_policy_tree_insert(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node, ngx_rbtree_insert_pt insert);
/* what an insert function ends with */
void ngx_http_graph_policy_tree_attach(ngx_rbtree_node_t **p,
    ngx_rbtree_node_t *parent, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel);
/* NULL if the tree is empty */
ngx_rbtree_node_t *ngx_http_graph_policy_tree_min(
    ngx_http_graph_policy_tree_t *tree);
/* the leftmost of a key, NULL if there is none */
ngx_rbtree_node_t *ngx_http_graph_policy_tree_find(
    ngx_http_graph_policy_tree_t *tree, ngx_rbtree_key_t key);


/*
 * Groups: among which phones a disconnected one is counted, those of the
 * account or, while that is unknown, of the credential.  "join" is to be
 * called again when the account becomes known.
 */
void ngx_http_graph_policy_group_join(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id);
void ngx_http_graph_policy_group_leave(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state);
ngx_uint_t ngx_http_graph_policy_group_is_alone(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);
/* "key" is what state->member.key was, in a zone with the same key */
void ngx_http_graph_policy_group_rejoin(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t key);


/* Drops what is over, and clears what no status has told otherwise of. */
void ngx_http_graph_policy_expire(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);


/* the record of id->conversation, NULL if there is none */
ngx_http_graph_policy_conversation_t *ngx_http_graph_policy_conversation_find(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);
/* where it is found, 0 if the conversation is unknown */
uint64_t ngx_http_graph_policy_conversation_hash(
    ngx_http_graph_policy_identity_t *id);
/* likewise; one that is "live" may take the place of the oldest other one */
ngx_http_graph_policy_conversation_t *
    ngx_http_graph_policy_conversation_create(
    ngx_http_graph_policy_zone_t *zone, uint64_t hash, ngx_uint_t live,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);
/* the one whose end is the soonest; NULL if there is none */
ngx_http_graph_policy_conversation_t *
    ngx_http_graph_policy_conversation_oldest(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t live);
void ngx_http_graph_policy_conversation_init(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation, uint64_t hash);
/* sets what limits it, and brings counts and order in line with that */
void ngx_http_graph_policy_conversation_update(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_limit_t *limit, uint64_t until);
void ngx_http_graph_policy_conversation_remove(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation);

/*
 * The record that limits a message send at a location with a gate, and until
 * when, which may be over there; NULL if none does.
 */
ngx_http_graph_policy_conversation_t *
    ngx_http_graph_policy_conversation_limits(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_gate_t *gate, uint64_t now, uint64_t *end);

/* as zone_learn() and zone_clear() */
ngx_int_t ngx_http_graph_policy_conversation_learn(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);
void ngx_http_graph_policy_conversation_clear(
    ngx_http_graph_policy_zone_t *zone, uint64_t hash, uint64_t sent,
    ngx_http_graph_policy_changes_t *changes);

void ngx_http_graph_policy_conversation_view(
    ngx_http_graph_policy_conversation_t *conversation, uint64_t end,
    ngx_http_graph_policy_view_t *view);
/* as state_note() */
void ngx_http_graph_policy_conversation_note(
    ngx_http_graph_policy_conversation_t *conversation, uint64_t end,
    ngx_http_graph_policy_transition_e transition,
    ngx_http_graph_policy_changes_t *changes);


ngx_http_graph_policy_link_t *ngx_http_graph_policy_link_find(
    ngx_http_graph_policy_shctx_t *sh, ngx_str_t *phone, uint64_t *hash);
ngx_http_graph_policy_link_t *ngx_http_graph_policy_link_create(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);
void ngx_http_graph_policy_link_init(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_link_t *link, ngx_http_graph_policy_identity_t *id);
/* how many phones of the account are known, by its hash */
ngx_uint_t ngx_http_graph_policy_link_count(ngx_http_graph_policy_shctx_t *sh,
    uint64_t account);
/* gives the phone a number, which is taken from another one of the account */
void ngx_http_graph_policy_link_give_number(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_link_t *link, uint64_t number);
ngx_uint_t ngx_http_graph_policy_link_is_of(
    ngx_http_graph_policy_link_t *link, ngx_str_t *account);
void ngx_http_graph_policy_link_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_link_t *link);
/* Fills in id->account where it is unknown and a link knows it. */
void ngx_http_graph_policy_link_account(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id);


#endif /* _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_ */
