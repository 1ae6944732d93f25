
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_TRAIL_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_TRAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


/* the steps that are shown of one state, at most */
#define NGX_HTTP_GRAPH_POLICY_STEPS      50

/* a step of a state: a transition_e, or that a request left as its probe */
#define NGX_HTTP_GRAPH_POLICY_STEP_PROBE  NGX_HTTP_GRAPH_POLICY_NTRANSITIONS
#define NGX_HTTP_GRAPH_POLICY_NSTEPS                                          \
    (NGX_HTTP_GRAPH_POLICY_NTRANSITIONS + 1)


typedef struct {
    uint64_t      hash;         /* of the state; with "reason" its id */
    uint64_t      time;         /* ms of the wall clock */
    int64_t       code;         /* -1: none */
    uint32_t      hold;         /* ms; 0: frozen */
    uint8_t       reason;
    uint8_t       what;
    uint8_t       source;       /* source_e */
    uint8_t       elsewhere;    /* another host of the fleet told it */
} ngx_http_graph_policy_step_t;


/*
 * The latest steps of all states, in a ring: a state has no room for a past of
 * its own, and most of them need none.  "steps" belongs to the caller; without
 * it nothing is kept.  It needs no more than zeroes at first.
 */

typedef struct {
    ngx_http_graph_policy_step_t  *steps;
    ngx_uint_t                     size;
    uint64_t                       n;   /* that were ever added */
} ngx_http_graph_policy_trail_t;


/* Adds a step, in the place of the oldest one if the ring is full. */
void ngx_http_graph_policy_trail_add(ngx_http_graph_policy_trail_t *trail,
    ngx_http_graph_policy_step_t *step);

/*
 * Copies to "steps" the last steps, up to STEPS, of the state "hash" with
 * "reason" that were no earlier than "since", the oldest first.  Returns how
 * many they are.
 */
ngx_uint_t ngx_http_graph_policy_trail_of(
    ngx_http_graph_policy_trail_t *trail, uint64_t hash, ngx_uint_t reason,
    uint64_t since, ngx_http_graph_policy_step_t *steps);


#endif /* _NGX_HTTP_GRAPH_POLICY_TRAIL_H_INCLUDED_ */
