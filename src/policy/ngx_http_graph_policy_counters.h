
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"


/*
 * The retry budget looks back WINDOW seconds.  The ring has BUCKETS buckets, a
 * power of two.
 */
#define NGX_HTTP_GRAPH_POLICY_WINDOW   10
#define NGX_HTTP_GRAPH_POLICY_BUCKETS  16


/* The outcome of a webhook. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_VERIFIED = 0,
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNSIGNED,     /* no header, or malformed */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_FORGED,       /* by no known secret */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNREAD,       /* verified, not parsable */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_TOO_LARGE,    /* verified, not inspected */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN,      /* names another's account */
    NGX_HTTP_GRAPH_POLICY_WEBHOOK_PAUSED,       /* refused, Meta repeats it */
    NGX_HTTP_GRAPH_POLICY_NWEBHOOKS
} ngx_http_graph_policy_webhook_e;


/* Reasons why a temporary error was delivered instead of being retried. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_DENIED_BUDGET = 0,
    NGX_HTTP_GRAPH_POLICY_DENIED_DEADLINE,
    NGX_HTTP_GRAPH_POLICY_DENIED_ATTEMPTS,
    NGX_HTTP_GRAPH_POLICY_DENIED_UNKNOWN,   /* it might be sent twice */
    NGX_HTTP_GRAPH_POLICY_DENIED_WAITING,   /* too many wait already */
    NGX_HTTP_GRAPH_POLICY_DENIED_QUOTA,     /* the app's quota is used up */
    NGX_HTTP_GRAPH_POLICY_NDENIED
} ngx_http_graph_policy_denied_e;


/* The outcome of a probe. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED = 0,
    NGX_HTTP_GRAPH_POLICY_PROBE_REARMED,
    NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE,
    NGX_HTTP_GRAPH_POLICY_NPROBES
} ngx_http_graph_policy_probe_e;


/*
 * Graph's answers to requests that were retried, or that dry run let through:
 * indices of "resent" and "dry_run".
 */

#define NGX_HTTP_GRAPH_POLICY_ACCEPTED  0
#define NGX_HTTP_GRAPH_POLICY_REFUSED   1


/* Answers are counted by the categories below this one. */
#define NGX_HTTP_GRAPH_POLICY_NCOUNTED  NGX_HTTP_GRAPH_POLICY_IGNORE

/*
 * The history has MINUTES buckets, a power of two, and the API shows the last
 * HOUR of them.
 */
#define NGX_HTTP_GRAPH_POLICY_MINUTES   64
#define NGX_HTTP_GRAPH_POLICY_HOUR      60

/* Workers that may have waiting requests, old ones of a reload included. */
#define NGX_HTTP_GRAPH_POLICY_SLOTS     64


/*
 * The last hour.  The buckets count one minute each, and are named as those of
 * a second below.  "retries" are those that the budget let through, and
 * "over_budget" those that it didn't.  All of it fits into three pages.
 */

typedef struct {
    ngx_atomic_t  categories[NGX_HTTP_GRAPH_POLICY_NCOUNTED]
                            [NGX_HTTP_GRAPH_POLICY_MINUTES];
    ngx_atomic_t  reasons[NGX_HTTP_GRAPH_POLICY_NREASONS]
                         [NGX_HTTP_GRAPH_POLICY_MINUTES];
    ngx_atomic_t  blocked[NGX_HTTP_GRAPH_POLICY_MINUTES];
    ngx_atomic_t  retries[NGX_HTTP_GRAPH_POLICY_MINUTES];
    ngx_atomic_t  over_budget[NGX_HTTP_GRAPH_POLICY_MINUTES];
} ngx_http_graph_policy_history_t;


/*
 * The number of waiting requests of one worker.  A worker that dies leaves its
 * pid behind, and another one takes the slot over.
 */

typedef struct {
    ngx_atomic_t  pid;
    ngx_atomic_t  count;
} ngx_http_graph_policy_slot_t;


/*
 * Each bucket counts one second and has the number of its second in its upper
 * half, so nobody has to clear it: the first writer in another second starts
 * it anew.
 */

typedef struct {
    ngx_atomic_t  tries[NGX_HTTP_GRAPH_POLICY_BUCKETS];
    ngx_atomic_t  retries[NGX_HTTP_GRAPH_POLICY_BUCKETS];

    /* The counters from here on run since the zone was made. */
    ngx_atomic_t  responses[NGX_HTTP_GRAPH_POLICY_NCOUNTED];
    ngx_atomic_t  errors[NGX_HTTP_GRAPH_POLICY_NREASONS];
    ngx_atomic_t  blocked[NGX_HTTP_GRAPH_POLICY_NREASONS];
    ngx_atomic_t  dry_run[NGX_HTTP_GRAPH_POLICY_NREASONS][2];
    ngx_atomic_t  resent[NGX_HTTP_GRAPH_POLICY_NREASONS][2];
    ngx_atomic_t  denied[NGX_HTTP_GRAPH_POLICY_NDENIED];
    ngx_atomic_t  probes[NGX_HTTP_GRAPH_POLICY_NPROBES];
    ngx_atomic_t  webhooks[NGX_HTTP_GRAPH_POLICY_NWEBHOOKS];
    ngx_atomic_t  evicted;
    ngx_atomic_t  lost;             /* no memory for the state */

    ngx_http_graph_policy_slot_t  parked[NGX_HTTP_GRAPH_POLICY_SLOTS];
} ngx_http_graph_policy_counters_t;


/* Counts a first try; here and below "now" is in seconds. */
void ngx_http_graph_policy_counters_try(
    ngx_http_graph_policy_counters_t *counters, time_t now);

/*
 * Takes one retry out of the budget, which is "percent" of the first tries of
 * the window, and at least "floor" a second.  Returns NGX_OK, or NGX_DECLINED
 * if the budget is used up; nothing is counted then.
 */
ngx_int_t ngx_http_graph_policy_counters_retry(
    ngx_http_graph_policy_counters_t *counters, ngx_uint_t percent,
    ngx_uint_t floor, time_t now);


/*
 * Counts one in the bucket of a minute; "minute" is in minutes since the
 * epoch.
 */
void ngx_http_graph_policy_counters_minute(ngx_atomic_t *minutes,
    time_t minute);
/*
 * Returns the count of a minute, or 0 if its bucket is in use for another one.
 */
ngx_uint_t ngx_http_graph_policy_counters_of_minute(ngx_atomic_t *minutes,
    time_t minute);

/*
 * Sets how many requests of the worker "pid" wait now; counters_parked()
 * returns the sum over all workers that live.
 */
void ngx_http_graph_policy_counters_park(
    ngx_http_graph_policy_counters_t *counters, ngx_pid_t pid,
    ngx_uint_t count);
ngx_uint_t ngx_http_graph_policy_counters_parked(
    ngx_http_graph_policy_counters_t *counters);


#endif /* _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_ */
