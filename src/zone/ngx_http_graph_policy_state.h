
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_


/*
 * This header is private to src/zone, and to src/statefile, which saves and
 * loads the zone's states.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_index.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_trail.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_list.h"


/* the slab class of a state whose key is a phone, and of a link; bytes */
#define NGX_HTTP_GRAPH_POLICY_SLOT        256

/* the token of a lease that another host has */
#define NGX_HTTP_GRAPH_POLICY_FOREIGN_LEASE  0xffffffffU

/* the slab class of a conversation, bytes; a million of them take 128m */
#define NGX_HTTP_GRAPH_POLICY_SMALL_SLOT  128


/* The neighbours in a ring of states, as units of the index. */

typedef struct {
    uint32_t                         next;
    uint32_t                         prev;
} ngx_http_graph_policy_mates_t;


typedef struct {
    ngx_http_graph_policy_indexed_t  node;      /* ranked by reason */
    ngx_rbtree_node_t                order;
    ngx_http_graph_policy_breaker_t  breaker;

    /*
     * The credential that a bound state covers.  In a state that covers
     * everyone it is the one whose answer has set the state, 0 if it was set
     * otherwise.
     */
    uint64_t                         credential;
    int64_t                          code;          /* -1: none */

    /*
     * A disconnected phone is in the ring of its group, which goes by account
     * or credential; the key is 0 if it is in none.  The node of one of them is
     * in the index, and stands for the group.
     */
    ngx_http_graph_policy_indexed_t  member;
    ngx_http_graph_policy_mates_t    mates;

    int64_t                          subcode;       /* -1: none */
    uint32_t                         blocked;       /* sends */
    uint16_t                         status;
    uint8_t                          data_size;     /* bytes */
    uint8_t                          reason;
    uint8_t                          key_len;
    uint8_t                          trace_len;
    uint8_t                          node_name; /* its place, or 0 */
    unsigned                         kind:3;
    unsigned                         category:3;
    unsigned                         order_in:3;    /* order[large][order_in] */
    unsigned                         large:1;       /* over SLOT bytes */
    unsigned                         bound:1;
    unsigned                         dry_run:1;
    unsigned                         source:2;
    unsigned                         counted_as:2;  /* category, if armed */
    unsigned                         first:1;       /* stands for its group */
    u_char                           data[1];       /* key, trace */
} ngx_http_graph_policy_state_t;


/*
 * A conversation that is limited, or whose last message from the customer is
 * remembered.  Nobody probes it, so it needs no breaker, which keeps it small:
 * there may be as many of them as a business has customers.
 */

typedef struct {
    ngx_http_graph_policy_indexed_t  node;
    ngx_rbtree_node_t                order;     /* by the end of its hold */
    ngx_http_graph_policy_limit_t    limit;
    int64_t                          code;      /* -1: none */
    int64_t                          subcode;   /* -1: none */
    uint32_t                         blocked;   /* sends */
    uint16_t                         status;
    unsigned                         dry_run:1;
    unsigned                         source:2;
    uint8_t                          node_name; /* its place, or 0 */
} ngx_http_graph_policy_conversation_t;


/* A phone that is known to belong to an account. */

typedef struct {
    ngx_http_graph_policy_indexed_t  node;      /* by hash of the phone */
    ngx_rbtree_node_t                member;    /* by account, then phone */

    /*
     * By account and number, which one phone has at most.  The key is 0 if the
     * number of the phone isn't known; it isn't in the tree then.
     */
    ngx_rbtree_node_t                by_number;

    ngx_queue_t                      queue;     /* longest unconfirmed first */
    uint64_t                         confirmed;
    uint64_t                         number;    /* fingerprint of its digits */
    uint32_t                         nphones;   /* the account's; valid in
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


/* the bytes of the zone that a state takes */
#define ngx_http_graph_policy_state_size(state)                               \
    ((size_t) NGX_HTTP_GRAPH_POLICY_SLOT << (state)->large)


/* The relation of the zone and its state file; see src/statefile. */

typedef struct {
    uint64_t                         generation;    /* the file's owner */
    uint64_t                         predecessor;   /* the owner before, or 0 */
    uint64_t                         ancestor;      /* before that one, or 0 */
    ngx_atomic_t                     saved;     /* changes in the file */
    ngx_atomic_t                     owned;     /* a save succeeded */
    ngx_atomic_t                     lost;      /* states may be in it only */
} ngx_http_graph_policy_keep_t;


struct ngx_http_graph_policy_shctx_s {

    /*
     * Every request reads these without the lock, so they have cache lines of
     * their own, which other writes don't invalidate.
     */
    ngx_atomic_t                     armed;
    ngx_atomic_t                     armed_bound;
    ngx_atomic_t                     armed_conversations;
    ngx_atomic_t                     limited;
    ngx_atomic_t                     linked;
    ngx_atomic_t                     awaited;   /* statuses of messages */
    u_char                           pad[64 - 6 * sizeof(ngx_atomic_t)];

    /*
     * Workers keep what was decided under a revision, see decision.c; it is
     * read without the lock, too.
     */
    ngx_atomic_t                     revision;
    u_char                           pad_revision[64 - sizeof(ngx_atomic_t)];

    ngx_http_graph_policy_counters_t  counters;

    uint64_t                         magic;
    ngx_uint_t                       layout;
    ngx_uint_t                       size;
    uint64_t                         key[2];
    ngx_http_graph_policy_index_t    index;
    uint64_t                         lease;
    uint64_t                         swept;     /* when it last was */
    ngx_uint_t                       editing;
    ngx_atomic_t                     changes;   /* to be saved */
    ngx_http_graph_policy_keep_t     keep;
    ngx_http_graph_policy_history_t *history;   /* NULL: small zone */
    ngx_http_graph_policy_trail_t    trail;     /* no steps: small zone */
    ngx_http_graph_policy_fleet_t   *fleet;     /* NULL: not shared */

    /* armed states by scope, as users see it, and category */
    ngx_uint_t                       counts[NGX_HTTP_GRAPH_POLICY_NSCOPES]
                                          [NGX_HTTP_GRAPH_POLICY_CONTEXT + 1];

    /*
     * States of the usual size, then larger ones: evicting one of the other
     * slab class wouldn't free memory that a state can use.
     */
    ngx_http_graph_policy_tree_t     order[2][NGX_HTTP_GRAPH_POLICY_NORDERS];

    size_t                           bound_size;    /* bound states, bytes */

    /* armed states, everyone's and bound, to skip lookups that find nothing */
    ngx_uint_t                       live[NGX_HTTP_GRAPH_POLICY_NKEYS][2];

    /* conversation_order[0] has the remembered ones, [1] the live ones. */
    ngx_http_graph_policy_tree_t     conversation_order[2];
    uint64_t                         over;      /* no end is before it */

    ngx_http_graph_policy_tree_t     link_members;
    ngx_http_graph_policy_tree_t     link_numbers;
    ngx_queue_t                      link_queue;
};


/*
 * To be called with the mutex held, before a change of what decides if a
 * request may pass: states, their leases, and the accounts of phones.
 */
#define ngx_http_graph_policy_revise(sh)  (sh)->revision++


/* A place where states are looked up; "key" belongs to the caller. */

typedef struct {
    uint64_t                         hash;
    uint64_t                         credential;    /* 0: everyone's */
    ngx_str_t                        key;
    ngx_uint_t                       kind;
} ngx_http_graph_policy_place_t;


/* Moves a cursor behind the last node of its kind to the next kind. */
void ngx_http_graph_policy_list_end(ngx_http_graph_policy_cursor_t *cursor);


/*
 * Makes the zone's memory, or takes over that of an earlier cycle.  Returns
 * NGX_OK if it is new and empty, NGX_DONE if it was taken over, or NGX_ERROR
 * with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
/*
 * Makes a zone that nobody uses yet empty again, under a new key.  Returns
 * NGX_OK, or NGX_ERROR with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_zone_reset(
    ngx_http_graph_policy_zone_t *zone, ngx_log_t *log);

/* NGX_OK, NGX_DECLINED if it is over or known already, NGX_ERROR: no room */
ngx_int_t ngx_http_graph_policy_record_restore(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * zone_lock() takes the mutex, and formats the zone anew if a worker died while
 * it changed it.
 */
void ngx_http_graph_policy_zone_lock(ngx_http_graph_policy_zone_t *zone);
void ngx_http_graph_policy_zone_unlock(ngx_http_graph_policy_zone_t *zone);

/*
 * zone_edit() empties the list and takes the mutex; zone_publish() frees the
 * mutex and calls the zone's teller with the list.
 */
void ngx_http_graph_policy_zone_edit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
void ngx_http_graph_policy_zone_publish(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);


/* All functions below are called with the mutex held. */

/* Adds a view to the list and returns it; NULL, and counted, if it is full. */
ngx_http_graph_policy_view_t *ngx_http_graph_policy_change(
    ngx_http_graph_policy_changes_t *changes);

/*
 * Of a zone that is shared: its part of the memory, NGX_ERROR if there is none
 * for it; marks what has changed; says which node changed a state last.  All
 * are nothing where the zone isn't shared.
 */
ngx_int_t ngx_http_graph_policy_mark_init(ngx_http_graph_policy_zone_t *zone);
/* after a zone had to start afresh: what its owner knew "before" */
void ngx_http_graph_policy_mark_recover(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fleet_t *before);
void ngx_http_graph_policy_mark(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, ngx_http_graph_policy_mark_e what);
/* the same of a conversation's state, or of a conversation, with bounds */
void ngx_http_graph_policy_mark_limit(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, ngx_http_graph_policy_mark_e what,
    ngx_uint_t end);
/* "place" is that of a state or a conversation; without a name it is freed */
void ngx_http_graph_policy_mark_node(ngx_http_graph_policy_zone_t *zone,
    uint8_t *place, u_char *name, size_t len);

/* a state as a record; no file has a conversation's */
void ngx_http_graph_policy_record_state(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record);
void ngx_http_graph_policy_record_link(ngx_http_graph_policy_link_t *link,
    ngx_http_graph_policy_record_t *record);
void ngx_http_graph_policy_record_conversation(
    ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_record_t *record);
/* takes over what another host told of a conversation */
ngx_http_graph_policy_received_e ngx_http_graph_policy_apply_conversation(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);
/* where the state of a record lies; NGX_DECLINED: nowhere */
ngx_int_t ngx_http_graph_policy_record_place(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_place_t *place);
/* a new state at "place"; NULL: no room */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_record_create(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
/* makes the state what the record says */
void ngx_http_graph_policy_record_fill(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record);
/* no clock that was wrong, and no text, may block longer than a hold can */
void ngx_http_graph_policy_record_bound(
    ngx_http_graph_policy_record_t *record, uint64_t now);
/* whether nobody needs any more what the record says of a state */
ngx_uint_t ngx_http_graph_policy_record_is_over(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now);

/*
 * Fills in the place of states of "kind" that cover "id", bound to its
 * credential or for everyone.  Returns NGX_OK, or NGX_DECLINED if the part of
 * "id" that the place is made of is unknown.
 */
ngx_int_t ngx_http_graph_policy_state_place(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_uint_t kind, ngx_uint_t bound, ngx_http_graph_policy_place_t *place);

/* Walk the states of one hash in the order of reasons; NULL at the end. */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_first(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_next(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_find(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash, ngx_uint_t reason);

/* Returns 1 if the keys are the same, which equal hashes don't prove. */
ngx_uint_t ngx_http_graph_policy_state_is_at(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_place_t *place);

/*
 * Creates a closed state that has space for a trace of "trace_len" bytes, or
 * without it if memory is short.  States that are evicted for it are added to
 * "changes".  Returns NULL if there is no memory.
 */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_create(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_place_t *place,
    ngx_uint_t reason, size_t trace_len, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Make room by evicting nodes: a bound state of the usual size that is due or
 * over, or all such of its page; the oldest conversation with all of its page;
 * a state of the usual size or a link, for a link ("all" is 0) none that is
 * worth more; a large state with all of its page.  Return NGX_OK, or
 * NGX_DECLINED if there is none.
 */
ngx_int_t ngx_http_graph_policy_evict_bound(
    ngx_http_graph_policy_zone_t *zone, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
ngx_int_t ngx_http_graph_policy_evict_bound_page(
    ngx_http_graph_policy_zone_t *zone, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
ngx_int_t ngx_http_graph_policy_evict_conversations(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
ngx_int_t ngx_http_graph_policy_evict_like(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t all, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
ngx_int_t ngx_http_graph_policy_evict_large(
    ngx_http_graph_policy_zone_t *zone, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
void ngx_http_graph_policy_evict_state(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);
/*
 * Returns the state of its size that leaves first, among the orders from
 * "first" on; NULL if there is none.
 */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_victim(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large, ngx_uint_t first,
    uint64_t now, ngx_http_graph_policy_rank_e *rank);

/* Fills in a closed state of "size" bytes, and puts it in. */
void ngx_http_graph_policy_state_init(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, size_t size,
    ngx_http_graph_policy_place_t *place, ngx_uint_t reason);

/* Returns the state with the soonest end in an order; NULL if it is empty. */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_oldest(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t large, ngx_uint_t order);

/*
 * Fills in the place of the state that such a failure of "id" sets, and the
 * account of "id" if it is known.  Returns NGX_OK, or NGX_DECLINED if the
 * failure sets none that is probed.
 */
ngx_int_t ngx_http_graph_policy_state_of_failure(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_place_t *place);

/* Copies the failure that set or re-armed the state, so that it is shown. */
void ngx_http_graph_policy_state_describe(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);

/* Fills in the terms under which the state may be probed. */
void ngx_http_graph_policy_state_terms(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_terms_t *terms);

/* Brings counts, groups and order in line with a change of the breaker. */
void ngx_http_graph_policy_state_update(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed);

/*
 * The same where just its end or leases have changed.  The name of the host
 * that made the last change stays, as another would make another version.
 */
void ngx_http_graph_policy_state_refresh(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state);

void ngx_http_graph_policy_state_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state);

void ngx_http_graph_policy_state_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view);
/* Adds a copy of the view to the list, unless its transition is NOTHING. */
void ngx_http_graph_policy_view_note(ngx_http_graph_policy_view_t *view,
    ngx_http_graph_policy_changes_t *changes);
/* Adds the state to the list with that transition, unless it is NOTHING. */
void ngx_http_graph_policy_state_note(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_transition_e transition,
    ngx_http_graph_policy_changes_t *changes);

/* Returns *hash, which is made if it is 0; an empty text has the hash 0. */
uint64_t ngx_http_graph_policy_key_hash(ngx_http_graph_policy_shctx_t *sh,
    ngx_str_t *key, uint64_t *hash);
/* Mixes keyed hashes, so that the same key has another hash in each kind. */
uint64_t ngx_http_graph_policy_mix(uint64_t hash, uint64_t credential,
    ngx_uint_t kind);

void ngx_http_graph_policy_tree_init(ngx_http_graph_policy_tree_t *tree);
void ngx_http_graph_policy_tree_insert(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node, ngx_rbtree_insert_pt insert);
/* Attaches a red node at *p; insert functions end with it. */
void ngx_http_graph_policy_tree_attach(ngx_rbtree_node_t **p,
    ngx_rbtree_node_t *parent, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel);
/* Returns the leftmost node; NULL if the tree is empty. */
ngx_rbtree_node_t *ngx_http_graph_policy_tree_min(
    ngx_http_graph_policy_tree_t *tree);
/* Returns the leftmost node of a key; NULL if there is none. */
ngx_rbtree_node_t *ngx_http_graph_policy_tree_find(
    ngx_http_graph_policy_tree_t *tree, ngx_rbtree_key_t key);


/*
 * Groups of disconnected phones: those of an account or, while the account is
 * unknown, of a credential.  group_join() is to be called again when the
 * account becomes known.
 */
void ngx_http_graph_policy_group_join(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id);
void ngx_http_graph_policy_group_leave(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state);
ngx_uint_t ngx_http_graph_policy_group_is_alone(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);
/* Restores state->member.key as "key", saved from a zone with the same key. */
void ngx_http_graph_policy_group_rejoin(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t key);


/*
 * Drops nodes that are over, and clears states whose probe was accepted if no
 * status of its message has said otherwise in time.  "changes" may be NULL.
 */
void ngx_http_graph_policy_expire(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);


/* Returns the conversation of a hash, NULL if there is none. */
ngx_http_graph_policy_conversation_t *ngx_http_graph_policy_conversation_find(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);
/* Returns the hash of id->conversation, 0 if the conversation is unknown. */
uint64_t ngx_http_graph_policy_conversation_hash(
    ngx_http_graph_policy_identity_t *id);
/*
 * Creates a conversation; a "live" one may evict the oldest other one.  Returns
 * NULL if there is no memory.
 */
ngx_http_graph_policy_conversation_t *
    ngx_http_graph_policy_conversation_create(
    ngx_http_graph_policy_zone_t *zone, uint64_t hash, ngx_uint_t live,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);
/* Returns the conversation with the soonest end; NULL if there is none. */
ngx_http_graph_policy_conversation_t *
    ngx_http_graph_policy_conversation_oldest(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t live);
void ngx_http_graph_policy_conversation_init(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation, uint64_t hash);
/* Sets its limit, and brings counts and order in line with that. */
void ngx_http_graph_policy_conversation_update(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_limit_t *limit, uint64_t until);
void ngx_http_graph_policy_conversation_remove(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation);

/*
 * Returns the conversation that limits a message of "id" at a location with a
 * gate, NULL if none does.  "end" is the end of the limit there, which may have
 * passed.
 */
ngx_http_graph_policy_conversation_t *
    ngx_http_graph_policy_conversation_limits(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_gate_t *gate, uint64_t now, uint64_t *end);

/* They are zone_learn() and zone_clear() for conversations. */
ngx_int_t ngx_http_graph_policy_conversation_learn(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);
void ngx_http_graph_policy_conversation_clear(
    ngx_http_graph_policy_zone_t *zone, uint64_t hash, uint64_t sent,
    ngx_http_graph_policy_changes_t *changes);

void ngx_http_graph_policy_conversation_view(
    ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation, uint64_t end,
    ngx_http_graph_policy_view_t *view);
/* Adds the conversation to the list, like state_note(). */
void ngx_http_graph_policy_conversation_note(
    ngx_http_graph_policy_shctx_t *sh,
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
/* Returns the number of known phones of the account with that hash. */
ngx_uint_t ngx_http_graph_policy_link_count(ngx_http_graph_policy_shctx_t *sh,
    uint64_t account);
/* Returns 1 if a phone of the link's account is known to have the number. */
ngx_uint_t ngx_http_graph_policy_number_is_taken(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_link_t *link,
    uint64_t number);
/* Gives the phone a number; another phone of the account loses it. */
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
