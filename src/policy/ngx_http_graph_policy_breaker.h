
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* all times are milliseconds of the wall clock, holds are milliseconds */

#define NGX_HTTP_GRAPH_POLICY_RETRY_HOLD   5000       /* after no outcome */
#define NGX_HTTP_GRAPH_POLICY_MEMORY       60000      /* of a cleared state */
#define NGX_HTTP_GRAPH_POLICY_ABANDONED    86400000   /* nobody probes */
#define NGX_HTTP_GRAPH_POLICY_COOLED       600000     /* likewise, temporary */

/* the end of a hold that has none: it is frozen until somebody ends it */
#define NGX_HTTP_GRAPH_POLICY_NEVER        253402300799000ULL


typedef struct {
    uint64_t      since;            /* first set; kept while it continues */
    uint64_t      until;            /* armed: blocks before, cleared: known */
    uint64_t      changed;          /* last set, re-armed or cleared */
    uint64_t      lease;            /* the probe's token, 0 if none */
    uint64_t      lease_until;      /* the lease is void from here on */
    uint32_t      hold;             /* without its jitter */
    uint32_t      max;
    uint32_t      holds;            /* how often it was armed in a row */
    unsigned      armed:1;
} ngx_http_graph_policy_breaker_t;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_CLOSED = 0,   /* lets pass */
    NGX_HTTP_GRAPH_POLICY_DUE,          /* lets one probe pass */
    NGX_HTTP_GRAPH_POLICY_OPEN          /* blocks */
} ngx_http_graph_policy_position_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_NOTHING = 0,
    NGX_HTTP_GRAPH_POLICY_SET,
    NGX_HTTP_GRAPH_POLICY_REARMED,
    NGX_HTTP_GRAPH_POLICY_CLEARED,
    NGX_HTTP_GRAPH_POLICY_FREED,        /* the probe told nothing */
    NGX_HTTP_GRAPH_POLICY_EVICTED,
    NGX_HTTP_GRAPH_POLICY_NTRANSITIONS
} ngx_http_graph_policy_transition_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_SUCCESS = 0,
    NGX_HTTP_GRAPH_POLICY_FAILURE,      /* the same reason again */
    NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE
} ngx_http_graph_policy_outcome_e;


/*
 * The functions change nothing but the structure.  A zeroed one is closed.
 * "random" is any number; a hold gets up to a tenth of it on top.
 */

ngx_http_graph_policy_position_e ngx_http_graph_policy_breaker_position(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/* Gives the probe to "token", never 0, until it ends or "until" passes. */
void ngx_http_graph_policy_breaker_lease(ngx_http_graph_policy_breaker_t *b,
    uint64_t token, uint64_t until);

/*
 * A failure that no probe found, of a request sent at "sent".  SET: it was
 * closed.  REARMED: it was closed lately, or armed and due: since is kept and
 * the hold doubled, up to max.  NOTHING: it blocks already, a probe is on its
 * way, or the request is older than the last change.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_trip(
    ngx_http_graph_policy_breaker_t *b, uint64_t sent, uint64_t now,
    uint32_t hold, uint32_t max, uint32_t random);

/*
 * A temporary failure of a request sent at "sent", or of the probe "token",
 * after which Graph wants "wait" milliseconds.  SET, REARMED, or NOTHING as
 * above; "holds" counts the failures in a row.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_cool(
    ngx_http_graph_policy_breaker_t *b, uint64_t token, uint64_t sent,
    uint64_t now, uint32_t wait);

/*
 * The probe "token" is back: CLEARED, REARMED or FREED; NOTHING if the lease
 * has passed to another since.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_settle(
    ngx_http_graph_policy_breaker_t *b, uint64_t token,
    ngx_http_graph_policy_outcome_e outcome, uint64_t now, uint32_t random);

/* A success that no probe found: CLEARED if it was sent after the last set. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_clear(
    ngx_http_graph_policy_breaker_t *b, uint64_t sent, uint64_t now);

/* Armed by hand, whatever it was: SET or, if it was armed, REARMED. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_put(
    ngx_http_graph_policy_breaker_t *b, uint64_t now, uint32_t hold,
    uint32_t max, ngx_uint_t frozen);

/* Ended by hand; CLEARED, or NOTHING if it wasn't armed. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_end(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/* The cause may be cured: the next send is the probe.  1 if that's new. */
ngx_uint_t ngx_http_graph_policy_breaker_make_due(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);


#endif /* _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_ */
