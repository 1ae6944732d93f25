
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_COUNT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_COUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * The retry budget of the zone: counts a first try; takes one retry, or
 * NGX_DECLINED if it is used up.  Neither takes the mutex.
 */
void ngx_http_graph_policy_zone_try(ngx_http_graph_policy_zone_t *zone);
ngx_int_t ngx_http_graph_policy_zone_retry(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t percent, ngx_uint_t floor);

/* the counters themselves, to be read without the lock, one word each */
ngx_http_graph_policy_counters_t *ngx_http_graph_policy_zone_counters(
    ngx_http_graph_policy_zone_t *zone);
/* NULL where the zone is too small to keep one */
ngx_http_graph_policy_history_t *ngx_http_graph_policy_zone_history(
    ngx_http_graph_policy_zone_t *zone);

/*
 * Counting; none of these takes the mutex.  "reason" is NREASONS where no row
 * matched.
 */
void ngx_http_graph_policy_zone_count_webhook(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_webhook_e kind);
void ngx_http_graph_policy_zone_count_answer(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t category,
    ngx_uint_t reason);
void ngx_http_graph_policy_zone_count_blocked(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason);
/* "result" is ACCEPTED or REFUSED */
void ngx_http_graph_policy_zone_count_dry_run(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason, ngx_uint_t result);
void ngx_http_graph_policy_zone_count_resent(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason, ngx_uint_t result);
void ngx_http_graph_policy_zone_count_denied(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_denied_e why);
void ngx_http_graph_policy_zone_count_probe(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_probe_e result);
/* what left a full zone, and what wasn't remembered */
void ngx_http_graph_policy_zone_count_changes(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
/* how many requests more, or less, of this worker wait */
void ngx_http_graph_policy_zone_count_parked(
    ngx_http_graph_policy_zone_t *zone, ngx_int_t more);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_COUNT_H_INCLUDED_ */
