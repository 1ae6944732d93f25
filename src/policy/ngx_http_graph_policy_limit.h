
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_LIMIT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_LIMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


/* all times are milliseconds of the wall clock, holds are milliseconds */

/*
 * Milliseconds after which an event says nothing more of the present.  What
 * ended a state is remembered for as long, where events are received.
 */
#define NGX_HTTP_GRAPH_POLICY_FRESH   600000


/*
 * A limit is to a conversation what a breaker is to a state: the last that is
 * known of it, either that messages are refused there, or when the customer
 * wrote.  Nobody probes it.  All zero: nothing is known.
 *
 * Its end isn't in here but an argument, as the zone sorts conversations by it
 * and hasn't the memory to keep it twice.
 */

typedef struct {
    uint64_t      since;        /* live: refused since; after an inbound
                                   message: when that was received */
    uint64_t      changed;      /* when the last cause was; an event tells the
                                   second, and this is then its start */
    uint32_t      hold;         /* the end has it in it */
    uint8_t       reason;
    unsigned      live:1;       /* messages are refused, or it's remembered */
    unsigned      fixed:1;      /* the hold is a rule's, for all locations */
    unsigned      inbound:1;    /* the last cause was the customer's message */
} ngx_http_graph_policy_limit_t;


/* An answer or an event says that messages are refused. */

typedef struct {
    uint64_t      sent;         /* when the message left; of an event, the
                                   start of the second that it names */
    uint64_t      now;
    uint32_t      hold;
    uint8_t       reason;
    unsigned      fixed:1;
    unsigned      event:1;      /* told by a webhook, not an answer */
} ngx_http_graph_policy_refusal_t;


/* A message comes to the gate of a location. */

typedef struct {
    uint32_t      hold;         /* 0: the location has no gate */
    unsigned      template:1;   /* the message is a template */
} ngx_http_graph_policy_gate_t;


/* Says whether messages are refused now; an end that can't be is over. */
ngx_uint_t ngx_http_graph_policy_limit_is_live(
    ngx_http_graph_policy_limit_t *limit, uint64_t until, uint64_t now);

/*
 * Returns the time until which the limit blocks a message at the gate, given
 * that it ends at "until", the end of the longest hold in the zone: a location
 * with a shorter one lets pass earlier.  0: it doesn't block that message, or
 * its end is further ahead than a hold can reach, as the clock was stepped back.
 */
uint64_t ngx_http_graph_policy_limit_end(
    ngx_http_graph_policy_limit_t *limit, uint64_t until,
    ngx_http_graph_policy_gate_t *gate, uint64_t now);

/* Returns the end of a refusal's limit; "now" or before if it is over. */
uint64_t ngx_http_graph_policy_limit_until(
    ngx_http_graph_policy_refusal_t *refusal);

/*
 * A refusal: SET, REARMED, or NOTHING if something newer is known or it has
 * been told before.  Events come in any order: what counts is when the cause
 * was.  Within one second an inbound message is newer than a refusal that an
 * event tells, and than one of a message that had left when it came.
 * "until" is the end so far, and for SET and REARMED the new one afterwards.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_limit_refuse(
    ngx_http_graph_policy_limit_t *limit, uint64_t *until,
    ngx_http_graph_policy_refusal_t *refusal);

/*
 * Says whether an inbound message of "when" ends the last that is known, which
 * is so unless that is of a later second.
 */
ngx_uint_t ngx_http_graph_policy_limit_yields(
    ngx_http_graph_policy_limit_t *limit, uint64_t when, uint64_t now);

/* Returns the end of its memory, "hold" being the zone's longest. */
uint64_t ngx_http_graph_policy_limit_memory(uint64_t when, uint32_t hold);

/* The customer wrote: ends the limit, which the caller has seen to yield. */
void ngx_http_graph_policy_limit_open(ngx_http_graph_policy_limit_t *limit,
    uint64_t when, uint64_t now);

/*
 * Says whether a message that left at "sent" and was accepted ends the limit:
 * it must have left after the cause of the limit.
 */
ngx_uint_t ngx_http_graph_policy_limit_clears(
    ngx_http_graph_policy_limit_t *limit, uint64_t sent);

/*
 * Ends the limit, which the caller has seen to be cleared by that message, and
 * returns until when that is remembered: at least for "memory", so that a late
 * event finds what is newer than itself.
 */
uint64_t ngx_http_graph_policy_limit_clear(
    ngx_http_graph_policy_limit_t *limit, uint64_t until, uint64_t sent,
    uint64_t memory);


#endif /* _NGX_HTTP_GRAPH_POLICY_LIMIT_H_INCLUDED_ */
