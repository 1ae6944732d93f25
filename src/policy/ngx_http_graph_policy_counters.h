
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"


/* seconds that the retry budget looks back, and buckets, a power of two */
#define NGX_HTTP_GRAPH_POLICY_WINDOW   10
#define NGX_HTTP_GRAPH_POLICY_BUCKETS  16


/* what came to a webhook */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_VERIFIED = 0,
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNSIGNED,     /* no header, or malformed */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_FORGED,       /* signed with no secret */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNREAD,       /* verified, but no payload */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_TOO_LARGE,    /* verified, not inspected */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN,      /* of another's account */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_PAUSED,       /* to be delivered again */
    NGX_HTTP_GRAPH_POLICY_NWEBHOOKS
} ngx_http_graph_policy_webhook_e;


/* why a temporary error was delivered in place of another try */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_DENIED_BUDGET = 0,
    NGX_HTTP_GRAPH_POLICY_DENIED_DEADLINE,
    NGX_HTTP_GRAPH_POLICY_DENIED_ATTEMPTS,
    NGX_HTTP_GRAPH_POLICY_DENIED_UNKNOWN,   /* it might send a second time */
    NGX_HTTP_GRAPH_POLICY_DENIED_WAITING,   /* too many wait already */
    NGX_HTTP_GRAPH_POLICY_DENIED_QUOTA,     /* of the app, used up */
    NGX_HTTP_GRAPH_POLICY_NDENIED
} ngx_http_graph_policy_denied_e;


/* what became of a probe */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED = 0,
    NGX_HTTP_GRAPH_POLICY_PROBE_REARMED,
    NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE,
    NGX_HTTP_GRAPH_POLICY_NPROBES
} ngx_http_graph_policy_probe_e;


/* what Graph said to what was repeated, or would have been blocked */

#define NGX_HTTP_GRAPH_POLICY_ACCEPTED  0
#define NGX_HTTP_GRAPH_POLICY_REFUSED   1


/* categories that answers are counted by */
#define NGX_HTTP_GRAPH_POLICY_NCOUNTED  NGX_HTTP_GRAPH_POLICY_IGNORE

/* minutes that are kept, a power of two, and how many of them are shown */
#define NGX_HTTP_GRAPH_POLICY_MINUTES   64
#define NGX_HTTP_GRAPH_POLICY_HOUR      60

/* workers that may have requests waiting, old ones of a reload included */
#define NGX_HTTP_GRAPH_POLICY_SLOTS     64


/* the last hour; buckets of a minute, as those of a second below */

typedef struct {
    ngx_atomic_t  categories[NGX_HTTP_GRAPH_POLICY_NCOUNTED]
                            [NGX_HTTP_GRAPH_POLICY_MINUTES];
    ngx_atomic_t  reasons[NGX_HTTP_GRAPH_POLICY_NREASONS]
                         [NGX_HTTP_GRAPH_POLICY_MINUTES];
    ngx_atomic_t  blocked[NGX_HTTP_GRAPH_POLICY_MINUTES];
} ngx_http_graph_policy_history_t;


/* how many requests of a worker wait; who dies leaves its pid behind */

typedef struct {
    ngx_atomic_t  pid;
    ngx_atomic_t  count;
} ngx_http_graph_policy_slot_t;


/*
 * Counts of one second each.  A bucket bears the name of its second in its
 * upper half, so nobody has to clear it: a late writer of another second
 * starts it anew.
 */

typedef struct {
    ngx_atomic_t  tries[NGX_HTTP_GRAPH_POLICY_BUCKETS];
    ngx_atomic_t  retries[NGX_HTTP_GRAPH_POLICY_BUCKETS];

    /* from here on since the zone was made */
    ngx_atomic_t  responses[NGX_HTTP_GRAPH_POLICY_NCOUNTED];
    ngx_atomic_t  errors[NGX_HTTP_GRAPH_POLICY_NREASONS];
    ngx_atomic_t  blocked[NGX_HTTP_GRAPH_POLICY_NREASONS];
    ngx_atomic_t  dry_run[NGX_HTTP_GRAPH_POLICY_NREASONS][2];
    ngx_atomic_t  resent[NGX_HTTP_GRAPH_POLICY_NREASONS][2];
    ngx_atomic_t  denied[NGX_HTTP_GRAPH_POLICY_NDENIED];
    ngx_atomic_t  probes[NGX_HTTP_GRAPH_POLICY_NPROBES];
    ngx_atomic_t  webhooks[NGX_HTTP_GRAPH_POLICY_NWEBHOOKS];
    ngx_atomic_t  evicted;
    ngx_atomic_t  lost;             /* had no room */

    ngx_http_graph_policy_slot_t  parked[NGX_HTTP_GRAPH_POLICY_SLOTS];
} ngx_http_graph_policy_counters_t;


/* Counts a first try; "now" is in seconds, here and below. */
void ngx_http_graph_policy_counters_try(
    ngx_http_graph_policy_counters_t *counters, time_t now);

/*
 * Takes one retry out of the budget: at most "percent" of the first tries of
 * the window, and "floor" a second whatever these are.  NGX_DECLINED if it is
 * used up; then nothing is counted.
 */
ngx_int_t ngx_http_graph_policy_counters_retry(
    ngx_http_graph_policy_counters_t *counters, ngx_uint_t percent,
    ngx_uint_t floor, time_t now);


/* Adds to one of the buckets of a minute; "minute" since the epoch. */
void ngx_http_graph_policy_counters_minute(ngx_atomic_t *minutes,
    time_t minute);
/* what the minute has, 0 if its bucket is another's by now */
ngx_uint_t ngx_http_graph_policy_counters_of_minute(ngx_atomic_t *minutes,
    time_t minute);

/*
 * Tells how many requests of the worker "pid" wait now; the sum over all
 * workers that live.
 */
void ngx_http_graph_policy_counters_park(
    ngx_http_graph_policy_counters_t *counters, ngx_pid_t pid,
    ngx_uint_t count);
ngx_uint_t ngx_http_graph_policy_counters_parked(
    ngx_http_graph_policy_counters_t *counters);


#endif /* _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_ */
