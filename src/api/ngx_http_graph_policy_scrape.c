
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the values of the metrics, zone by zone.  This is a walk, as many
 * states have to be looked at to find the oldest one.
 *
 * No lock is taken here.  Counters are read without a lock, and states in
 * batches, so that sends never wait for a scrape.  Memory comes from the
 * request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_metric_table.h"
#include "ngx_http_graph_policy_metrics.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_list.h"


/* Batches that one step looks at, and that all steps of a zone do. */
#define NGX_HTTP_GRAPH_POLICY_LOOKS      8
#define NGX_HTTP_GRAPH_POLICY_LOOKED_AT  (16384 / NGX_HTTP_GRAPH_POLICY_BATCH)


typedef struct {
    ngx_http_graph_policy_zone_t    **zones;
    ngx_http_graph_policy_reading_t  *readings;
    ngx_uint_t                        n;
    ngx_uint_t                        done;     /* zones read */

    /* The state of the walk over the zone that is being read. */
    ngx_http_graph_policy_cursor_t    cursor;
    ngx_uint_t                        batches;  /* in this tree */
    uint64_t                          first[NGX_HTTP_GRAPH_POLICY_NSTATES];
} ngx_http_graph_policy_scrape_t;


static void ngx_http_graph_policy_scrape_zone(
    ngx_http_graph_policy_scrape_t *scrape);
static ngx_int_t ngx_http_graph_policy_scrape_some(
    ngx_http_graph_policy_walk_t *walk);
static ngx_int_t ngx_http_graph_policy_scrape_first(
    ngx_http_graph_policy_scrape_t *scrape, uint64_t now);
static void ngx_http_graph_policy_scrape_batch(
    ngx_http_graph_policy_scrape_t *scrape, uint64_t now);
static ngx_int_t ngx_http_graph_policy_scrape_read(ngx_http_request_t *r,
    ngx_http_graph_policy_scrape_t *scrape, uint64_t now);


ngx_int_t
ngx_http_graph_policy_api_metrics(ngx_http_graph_policy_call_t *call)
{
    ngx_pool_t                         *pool;
    ngx_http_graph_policy_walk_t       *walk;
    ngx_http_graph_policy_scrape_t     *scrape;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(call->request,
                                         ngx_http_graph_policy_module);
    pool = call->request->pool;

    walk = ngx_http_graph_policy_api_new_walk(call);
    scrape = ngx_pcalloc(pool, sizeof(ngx_http_graph_policy_scrape_t));

    if (walk == NULL || scrape == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    scrape->zones = gmcf->zones->elts;
    scrape->n = gmcf->zones->nelts;
    scrape->readings = ngx_pcalloc(pool,
                         scrape->n * sizeof(ngx_http_graph_policy_reading_t));

    if (scrape->readings == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_graph_policy_scrape_zone(scrape);

    walk->data = scrape;

    return ngx_http_graph_policy_api_walk(walk,
                                          ngx_http_graph_policy_scrape_some);
}


static void
ngx_http_graph_policy_scrape_zone(ngx_http_graph_policy_scrape_t *scrape)
{
    ngx_uint_t  i;

    ngx_memzero(&scrape->cursor, sizeof(ngx_http_graph_policy_cursor_t));
    scrape->batches = 0;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NSTATES; i++) {
        scrape->first[i] = NGX_HTTP_GRAPH_POLICY_NEVER;
    }
}


static ngx_int_t
ngx_http_graph_policy_scrape_some(ngx_http_graph_policy_walk_t *walk)
{
    size_t                           size;
    uint64_t                         now;
    ngx_chain_t                     *out;
    ngx_http_request_t              *r;
    ngx_http_graph_policy_scrape_t  *scrape;

    static ngx_str_t  type = ngx_string(NGX_HTTP_GRAPH_POLICY_METRICS_TYPE);

    r = walk->request;
    scrape = walk->data;
    now = ngx_http_graph_policy_now();

    while (scrape->done < scrape->n) {

        if (ngx_http_graph_policy_scrape_first(scrape, now) == NGX_AGAIN) {
            return NGX_DECLINED;
        }

        if (ngx_http_graph_policy_scrape_read(r, scrape, now) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        scrape->done++;

        ngx_http_graph_policy_scrape_zone(scrape);
    }

    out = ngx_http_graph_policy_metrics(r, scrape->readings, scrape->n, &size);

    return (out != NULL) ? ngx_http_graph_policy_api_send(r, NGX_HTTP_OK,
                                                          &type, out)
                         : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * If there are more states than are looked at, each scrape looks at the same
 * ones, so that the age doesn't jump.
 */

static ngx_int_t
ngx_http_graph_policy_scrape_first(ngx_http_graph_policy_scrape_t *scrape,
    uint64_t now)
{
    uint64_t    since, *first;
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_LOOKS; i++) {

        if (!scrape->cursor.tree) {
            ngx_http_graph_policy_scrape_batch(scrape, now);
            continue;
        }

        /*
         * The zone has the limits of conversations in the order of their ends,
         * so the one that ends first stands for the oldest, without a walk.
         */

        rc = ngx_http_graph_policy_zone_oldest_limit(
                                          scrape->zones[scrape->done], now,
                                          &since);

        if (rc == NGX_AGAIN
            && ++scrape->batches < NGX_HTTP_GRAPH_POLICY_LOOKED_AT)
        {
            continue;
        }

        first = &scrape->first[NGX_HTTP_GRAPH_POLICY_CONTEXT];

        if (rc == NGX_OK && since < *first) {
            *first = since;
        }

        return NGX_OK;
    }

    return NGX_AGAIN;
}


static void
ngx_http_graph_policy_scrape_batch(ngx_http_graph_policy_scrape_t *scrape,
    uint64_t now)
{
    uint64_t                      *first;
    ngx_uint_t                     i, n;
    ngx_http_graph_policy_view_t   views[NGX_HTTP_GRAPH_POLICY_BATCH];

    n = ngx_http_graph_policy_zone_list(scrape->zones[scrape->done],
                                        &scrape->cursor, now, views);

    for (i = 0; i < n; i++) {
        first = &scrape->first[views[i].category];
        *first = ngx_min(*first, views[i].since);
    }

    if (++scrape->batches == NGX_HTTP_GRAPH_POLICY_LOOKED_AT) {
        scrape->cursor.tree = 1;
    }

    if (scrape->cursor.tree) {
        scrape->batches = 0;
    }
}


static ngx_int_t
ngx_http_graph_policy_scrape_read(ngx_http_request_t *r,
    ngx_http_graph_policy_scrape_t *scrape, uint64_t now)
{
    ngx_uint_t                        i;
    ngx_http_graph_policy_zone_t     *zone;
    ngx_http_graph_policy_stats_t     stats;
    ngx_http_graph_policy_reading_t  *reading;

    zone = scrape->zones[scrape->done];
    reading = &scrape->readings[scrape->done];

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NSTATES; i++) {
        reading->oldest[i] = (scrape->first[i] < now)
                             ? (ngx_uint_t) (now - scrape->first[i]) : 0;
    }

    /* The walk has dropped expired states, so they aren't counted here. */

    ngx_http_graph_policy_zone_stats(zone, &stats);

    ngx_memcpy(reading->states, stats.states, sizeof(reading->states));

    reading->bytes[0] = stats.size;
    reading->bytes[1] = stats.used;

    reading->counters = ngx_http_graph_policy_zone_counters(zone);
    reading->fleet = ngx_http_graph_policy_zone_fleet(zone);
    ngx_http_graph_policy_fleet_status(zone, &reading->sync);

    reading->parked = ngx_http_graph_policy_counters_parked(
                                                          reading->counters);

    return ngx_http_graph_policy_metrics_escape(r->pool, &zone->name,
                                                &reading->zone);
}
