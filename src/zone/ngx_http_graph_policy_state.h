
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_


/* the inside of the zone floor; no other floor includes this */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_zone.h"


/* in which order states leave */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_IDLE = 0,     /* cleared, by the end of memory */
    NGX_HTTP_GRAPH_POLICY_COOLING,      /* temporary, by the end of the wait */
    NGX_HTTP_GRAPH_POLICY_ARMED,        /* fatal, by the end of the hold */
    NGX_HTTP_GRAPH_POLICY_NORDERS
} ngx_http_graph_policy_order_e;


typedef struct {
    ngx_rbtree_node_t                node;      /* by hash, then reason */
    ngx_rbtree_node_t                order;

    /*
     * Of a disconnected phone, by the account or credential that it is one
     * of, then by phone; the key is 0 where it isn't linked.
     */
    ngx_rbtree_node_t                member;

    ngx_http_graph_policy_breaker_t  breaker;
    uint64_t                         credential;    /* 0: everyone's */
    int64_t                          code;
    int64_t                          subcode;       /* -1: none */
    uint16_t                         status;
    uint16_t                         room;          /* of data */
    uint8_t                          kind;
    uint8_t                          category;
    uint8_t                          reason;
    uint8_t                          dry_run;
    uint8_t                          order_in;  /* which tree of order */
    uint8_t                          large;     /* likewise */
    uint8_t                          key_len;
    uint8_t                          trace_len;
    u_char                           data[1];       /* key, trace */
} ngx_http_graph_policy_state_t;


typedef struct {
    ngx_rbtree_t                     tree;
    ngx_rbtree_node_t                sentinel;
} ngx_http_graph_policy_tree_t;


struct ngx_http_graph_policy_shctx_s {

    /* read without the lock by every request, hence a line of their own */
    ngx_atomic_t                     armed;
    ngx_atomic_t                     armed_bound;
    ngx_atomic_t                     armed_conversations;
    u_char                           pad[128 - 3 * sizeof(ngx_atomic_t)];

    ngx_http_graph_policy_counters_t  counters;

    uint64_t                         magic;
    ngx_uint_t                       layout;
    ngx_uint_t                       size;
    uint64_t                         key[2];
    uint64_t                         lease;
    uint64_t                         swept;     /* when it last was */
    ngx_uint_t                       editing;

    ngx_http_graph_policy_tree_t     states;
    ngx_http_graph_policy_tree_t     members;

    /* of the usual size, and of larger ones, which free no room for others */
    ngx_http_graph_policy_tree_t     order[2][NGX_HTTP_GRAPH_POLICY_NORDERS];


    /* armed ones, everyone's and bound, to skip lookups that find nothing */
    ngx_uint_t                       live[NGX_HTTP_GRAPH_POLICY_NKEYS][2];
};


/* where a state is looked up */

typedef struct {
    uint64_t                         hash;
    uint64_t                         credential;
    ngx_str_t                        key;
    ngx_uint_t                       kind;
} ngx_http_graph_policy_place_t;


/* takes the mutex, and mends what a dead worker left behind */
void ngx_http_graph_policy_zone_lock(ngx_http_graph_policy_zone_t *zone);
void ngx_http_graph_policy_zone_unlock(ngx_http_graph_policy_zone_t *zone);


/* all that follows is called with the mutex held */

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
 * A closed state, with room made for it if need be; what left is in
 * failure->evicted.  NULL if there is no room.
 */
ngx_http_graph_policy_state_t *ngx_http_graph_policy_state_create(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_failure_t *failure);

/* Shows the answer that set or re-armed the state. */
void ngx_http_graph_policy_state_describe(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);

/* Brings counts, groups and order in line with what the breaker became. */
void ngx_http_graph_policy_state_update(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed);

/* Drops what is over. */
void ngx_http_graph_policy_state_expire(ngx_http_graph_policy_zone_t *zone,
    uint64_t now);

/* when it ends to block: the end of its hold, or of the probe's lease */
uint64_t ngx_http_graph_policy_state_end(
    ngx_http_graph_policy_state_t *state, uint64_t now);
void ngx_http_graph_policy_state_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/*
 * Among which phones a disconnected one is counted: those of the account or,
 * while that is unknown, of the credential.
 */
void ngx_http_graph_policy_state_join(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id);


#endif /* _NGX_HTTP_GRAPH_POLICY_STATE_H_INCLUDED_ */
