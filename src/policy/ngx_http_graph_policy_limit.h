
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_LIMIT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_LIMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


/* All times are milliseconds of the wall clock, holds are milliseconds. */

/*
 * An event older than this, in milliseconds, doesn't change a state any more.
 * Zones that receive events remember the end of a state for as long.
 */
#define NGX_HTTP_GRAPH_POLICY_FRESH   600000


/*
 * A limit is to a conversation what a breaker is to a state: the last that is
 * known of it, either that messages are refused there, or when the customer
 * wrote.  Nobody probes it.  If it is all zero, nothing is known.
 *
 * The end of a limit is an argument and not a member: the zone sorts
 * conversations by it, and storing it twice would take too much memory.
 */

typedef struct {
    uint64_t      since;        /* live: refused since; after an inbound
                                   message: its time */
    uint64_t      changed;      /* time of the last cause; an event's is the
                                   start of its second */
    uint32_t      hold;         /* the end includes it */
    uint8_t       reason;
    unsigned      live:1;       /* messages are refused, or it's remembered */
    unsigned      fixed:1;      /* the hold is a rule's, for all locations */
    unsigned      inbound:1;    /* the last cause was the customer's message */
} ngx_http_graph_policy_limit_t;


/* An answer or an event says that messages are refused. */

typedef struct {
    uint64_t      sent;         /* the time of the message; an event's is
                                   the start of its second */
    uint64_t      now;
    uint32_t      hold;
    uint8_t       reason;
    unsigned      fixed:1;
    unsigned      event:1;      /* from a webhook, not an answer */
} ngx_http_graph_policy_refusal_t;


/* A message comes to the gate of a location. */

typedef struct {
    uint32_t      hold;         /* 0: the location has no gate */
    unsigned      template:1;   /* the message is a template */
} ngx_http_graph_policy_gate_t;


/* Returns 1 if messages are refused now; an end that can't be is over. */
ngx_uint_t ngx_http_graph_policy_limit_is_live(
    ngx_http_graph_policy_limit_t *limit, uint64_t until, uint64_t now);

/*
 * Returns the time until which the limit blocks a message at the gate.  "until"
 * is the end by the longest hold of the zone; at a location with a shorter hold
 * the limit ends earlier.  Returns 0 if it doesn't block that message, or if
 * its end is further ahead than a hold can last, as the clock was stepped back.
 */
uint64_t ngx_http_graph_policy_limit_end(
    ngx_http_graph_policy_limit_t *limit, uint64_t until,
    ngx_http_graph_policy_gate_t *gate, uint64_t now);

/* Returns the end of a refusal's limit; "now" or before if it is over. */
uint64_t ngx_http_graph_policy_limit_until(
    ngx_http_graph_policy_refusal_t *refusal);

/*
 * Learns a refusal.  Returns SET, REARMED, or NOTHING if something newer is
 * known or the event was learnt before.  Events come in any order, so the time
 * of the cause counts.  Within one second an inbound message is newer than a
 * refusal by an event, and than the refusal of a message that was sent before
 * it came.  *until is the end so far, and is set to the new one for SET and
 * REARMED.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_limit_refuse(
    ngx_http_graph_policy_limit_t *limit, uint64_t *until,
    ngx_http_graph_policy_refusal_t *refusal);

/*
 * Returns 1 if an inbound message of "when" replaces the last that is known,
 * which it does unless that is of a later second.
 */
ngx_uint_t ngx_http_graph_policy_limit_yields(
    ngx_http_graph_policy_limit_t *limit, uint64_t when, uint64_t now);

/* Returns the end of the memory of a limit; "hold" is the zone's longest. */
uint64_t ngx_http_graph_policy_limit_memory(uint64_t when, uint32_t hold);

/*
 * Ends the limit, as the customer wrote at "when"; limit_yields() must have
 * returned 1.
 */
void ngx_http_graph_policy_limit_open(ngx_http_graph_policy_limit_t *limit,
    uint64_t when, uint64_t now);

/*
 * Returns 1 if an accepted message ends the limit, as it was sent after the
 * cause of the limit.
 */
ngx_uint_t ngx_http_graph_policy_limit_clears(
    ngx_http_graph_policy_limit_t *limit, uint64_t sent);

/*
 * Ends the limit, for which limit_clears() must have returned 1, and returns
 * the time until which the end is remembered: for at least "memory", so that a
 * late event finds the newer message.
 */
uint64_t ngx_http_graph_policy_limit_clear(
    ngx_http_graph_policy_limit_t *limit, uint64_t until, uint64_t sent,
    uint64_t memory);


#endif /* _NGX_HTTP_GRAPH_POLICY_LIMIT_H_INCLUDED_ */
