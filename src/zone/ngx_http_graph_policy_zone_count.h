
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
 * The retry budget of the zone.  zone_try() counts a first try; zone_retry()
 * takes one retry, or returns NGX_DECLINED if the budget is used up, and counts
 * either in the history of the hour.  Neither takes the mutex.
 */
void ngx_http_graph_policy_zone_try(ngx_http_graph_policy_zone_t *zone);
ngx_int_t ngx_http_graph_policy_zone_retry(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t percent, ngx_uint_t floor);

/* The counters themselves; each is one word, to be read without the lock. */
ngx_http_graph_policy_counters_t *ngx_http_graph_policy_zone_counters(
    ngx_http_graph_policy_zone_t *zone);
/* The history of the last hour; NULL if the zone is too small for one. */
ngx_http_graph_policy_history_t *ngx_http_graph_policy_zone_history(
    ngx_http_graph_policy_zone_t *zone);

/*
 * None of the functions that count takes the mutex.  "reason" is NREASONS if no
 * row of the table matched.
 */
void ngx_http_graph_policy_zone_count_webhook(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_webhook_e kind);
/* Counts "n" at once. */
void ngx_http_graph_policy_zone_count_webhooks(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_webhook_e kind, ngx_uint_t n);
void ngx_http_graph_policy_zone_count_answer(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t category,
    ngx_uint_t reason);
void ngx_http_graph_policy_zone_count_blocked(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason);
/* "result" is ACCEPTED or REFUSED. */
void ngx_http_graph_policy_zone_count_dry_run(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason, ngx_uint_t result);
void ngx_http_graph_policy_zone_count_resent(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason, ngx_uint_t result);
void ngx_http_graph_policy_zone_count_denied(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_denied_e why);
void ngx_http_graph_policy_zone_count_probe(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_probe_e result);
/* Counts states that left a full zone, and those that weren't remembered. */
void ngx_http_graph_policy_zone_count_changes(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
/* Adds "more", which may be negative, to this worker's waiting requests. */
void ngx_http_graph_policy_zone_count_parked(
    ngx_http_graph_policy_zone_t *zone, ngx_int_t more);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_COUNT_H_INCLUDED_ */
