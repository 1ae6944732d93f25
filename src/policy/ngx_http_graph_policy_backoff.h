
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_BACKOFF_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_BACKOFF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"


/* A wait that Graph asks for is believed up to a day, in milliseconds. */
#define NGX_HTTP_GRAPH_POLICY_MAX_HINT  86400000


/* The parameters of graph_policy_retry; all times are in milliseconds. */

typedef struct {
    ngx_uint_t    attempts;         /* tries in all, 0: off */
    ngx_msec_t    base;
    ngx_uint_t    factor;
    ngx_msec_t    max;
    ngx_msec_t    deadline;         /* from the request's start */
    ngx_uint_t    budget;           /* percent */
    ngx_uint_t    budget_min;       /* a second */
    ngx_uint_t    unknown;          /* re-sends whose outcome is unknown */
} ngx_http_graph_policy_backoff_t;


/*
 * The history of a request that got a temporary error; times in milliseconds.
 */

typedef struct {
    ngx_uint_t    attempts;         /* tries made, at least 1 */
    ngx_uint_t    unknown;          /* re-sends made after unknown outcomes */
    ngx_msec_t    elapsed;          /* since the request's start */
    ngx_msec_t    hint;             /* wait Graph asked for, 0: none */
    unsigned      idempotent:1;     /* the method, RFC 9110, 9.2.2 */
} ngx_http_graph_policy_tries_t;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_AGAIN = 0,
    NGX_HTTP_GRAPH_POLICY_NO_RETRY,     /* the table's row forbids it */
    NGX_HTTP_GRAPH_POLICY_NO_ATTEMPTS,
    NGX_HTTP_GRAPH_POLICY_NO_UNKNOWN,
    NGX_HTTP_GRAPH_POLICY_NO_TIME
} ngx_http_graph_policy_backoff_e;


/*
 * Returns the wait, in milliseconds, that the row of "verdict" asks for before
 * try n >= 2, without backoff.  For the pair limit it grows as 4^(n-2), up to
 * MAX_HINT ("About the platform", Meta: 4^X seconds, X = 0 after the first
 * failure).
 */
ngx_msec_t ngx_http_graph_policy_backoff_row_wait(
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t n);

/*
 * Decides whether the request may be sent again.  "delay" is set only for
 * AGAIN: it is min(max, base * factor^(n-2)) for try n, with a jitter of [1/2,
 * 1] out of "random", but at least the row's wait and the hint.  NO_TIME means
 * that the next try would start past the deadline.
 */
ngx_http_graph_policy_backoff_e ngx_http_graph_policy_backoff_next(
    ngx_http_graph_policy_backoff_t *conf,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_tries_t *tries, uint32_t random,
    ngx_msec_t *delay);


#endif /* _NGX_HTTP_GRAPH_POLICY_BACKOFF_H_INCLUDED_ */
