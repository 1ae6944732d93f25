
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The counters of a zone.
 *
 * Lock rule: the mutex isn't taken, as each counter is one atomic word.
 * Memory: the counters lie in the zone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"


#define ngx_http_graph_policy_counter_add(counter)                            \
    (void) ngx_atomic_fetch_add(&(counter), 1)


ngx_http_graph_policy_counters_t *
ngx_http_graph_policy_zone_counters(ngx_http_graph_policy_zone_t *zone)
{
    return &zone->sh->counters;
}


ngx_http_graph_policy_history_t *
ngx_http_graph_policy_zone_history(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->history;
}


void
ngx_http_graph_policy_zone_count_webhook(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_webhook_e kind)
{
    ngx_http_graph_policy_counter_add(zone->sh->counters.webhooks[kind]);
}


void
ngx_http_graph_policy_zone_count_webhooks(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_webhook_e kind, ngx_uint_t n)
{
    (void) ngx_atomic_fetch_add(&zone->sh->counters.webhooks[kind], n);
}


void
ngx_http_graph_policy_zone_count_answer(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t category, ngx_uint_t reason)
{
    time_t                            minute;
    ngx_http_graph_policy_history_t  *history;

    minute = ngx_time() / 60;
    history = zone->sh->history;

    ngx_http_graph_policy_counter_add(zone->sh->counters.responses[category]);

    if (history != NULL) {
        ngx_http_graph_policy_counters_minute(history->categories[category],
                                              minute);
    }

    if (reason == NGX_HTTP_GRAPH_POLICY_NREASONS) {
        return;
    }

    ngx_http_graph_policy_counter_add(zone->sh->counters.errors[reason]);

    if (history != NULL) {
        ngx_http_graph_policy_counters_minute(history->reasons[reason],
                                              minute);
    }
}


void
ngx_http_graph_policy_zone_count_blocked(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t reason)
{
    ngx_http_graph_policy_history_t  *history;

    ngx_http_graph_policy_counter_add(zone->sh->counters.blocked[reason]);

    /*
     * The pointer is read once: another worker may format the zone anew, which
     * leaves it NULL for a moment.
     */

    history = zone->sh->history;

    if (history != NULL) {
        ngx_http_graph_policy_counters_minute(history->blocked,
                                              ngx_time() / 60);
    }
}


void
ngx_http_graph_policy_zone_count_dry_run(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t reason, ngx_uint_t result)
{
    ngx_http_graph_policy_counter_add(
                                  zone->sh->counters.dry_run[reason][result]);
}


void
ngx_http_graph_policy_zone_count_resent(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t reason, ngx_uint_t result)
{
    ngx_http_graph_policy_counter_add(
                                   zone->sh->counters.resent[reason][result]);
}


void
ngx_http_graph_policy_zone_count_denied(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_denied_e why)
{
    ngx_http_graph_policy_counter_add(zone->sh->counters.denied[why]);
}


void
ngx_http_graph_policy_zone_count_probe(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_probe_e result)
{
    ngx_http_graph_policy_counter_add(zone->sh->counters.probes[result]);
}


void
ngx_http_graph_policy_zone_count_changes(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_counters_t  *counters;

    counters = &zone->sh->counters;

    if (changes->evicted != 0) {
        (void) ngx_atomic_fetch_add(&counters->evicted, changes->evicted);
    }

    if (changes->refused != 0) {
        (void) ngx_atomic_fetch_add(&counters->lost, changes->refused);
    }

    if (changes->probe != NGX_HTTP_GRAPH_POLICY_NPROBES) {
        ngx_http_graph_policy_zone_count_probe(zone, changes->probe);
    }
}


void
ngx_http_graph_policy_zone_count_parked(ngx_http_graph_policy_zone_t *zone,
    ngx_int_t more)
{
    zone->parked += more;

    ngx_http_graph_policy_counters_park(&zone->sh->counters, ngx_pid,
                                        zone->parked);
}
