
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


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


/*
 * Counts of one second each.  A bucket bears the name of its second in its
 * upper half, so nobody has to clear it: a late writer of another second
 * starts it anew.
 */

typedef struct {
    ngx_atomic_t  tries[NGX_HTTP_GRAPH_POLICY_BUCKETS];
    ngx_atomic_t  retries[NGX_HTTP_GRAPH_POLICY_BUCKETS];
    ngx_atomic_t  webhooks[NGX_HTTP_GRAPH_POLICY_NWEBHOOKS];
    ngx_atomic_t  evicted;
    ngx_atomic_t  lost;             /* had no room */
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


#endif /* _NGX_HTTP_GRAPH_POLICY_COUNTERS_H_INCLUDED_ */
