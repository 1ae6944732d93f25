
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Shows the contents of a zone and its counters.
 *
 * No lock is taken here.  Counters are read without the lock, one word each,
 * so two of them may be from different moments.  Memory comes from the
 * request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_list.h"


static void ngx_http_graph_policy_api_one_zone(
    ngx_http_graph_policy_gen_t *gen, ngx_http_graph_policy_zone_t *zone);
static void ngx_http_graph_policy_api_sync(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_zone_t *zone);
static void ngx_http_graph_policy_api_states(
    ngx_http_graph_policy_gen_t *gen, ngx_http_graph_policy_stats_t *stats);
static void ngx_http_graph_policy_api_counters(
    ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_counters_t *counters);
static void ngx_http_graph_policy_api_by_reason(
    ngx_http_graph_policy_gen_t *gen, const char *name,
    ngx_atomic_t *counters);
static void ngx_http_graph_policy_api_by_result(
    ngx_http_graph_policy_gen_t *gen, const char *name,
    ngx_atomic_t counters[][2]);
static void ngx_http_graph_policy_api_by_word(
    ngx_http_graph_policy_gen_t *gen, const char *name, ngx_str_t *words,
    ngx_uint_t n, ngx_atomic_t *counters);
static void ngx_http_graph_policy_api_history(
    ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_history_t *history);
static void ngx_http_graph_policy_api_minutes(
    ngx_http_graph_policy_gen_t *gen, const char *name,
    ngx_atomic_t *minutes, time_t minute);
static ngx_uint_t ngx_http_graph_policy_api_any_minute(ngx_atomic_t *minutes,
    time_t minute);


/* In the order of ngx_http_graph_policy_webhook_e. */

ngx_str_t  ngx_http_graph_policy_webhook_words[] = {
    ngx_string("verified"),
    ngx_string("unsigned"),
    ngx_string("forged"),
    ngx_string("unread"),
    ngx_string("too-large"),
    ngx_string("foreign"),
    ngx_string("paused")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_webhook_words,
                               NGX_HTTP_GRAPH_POLICY_NWEBHOOKS);


/* In the order of ngx_http_graph_policy_denied_e. */

ngx_str_t  ngx_http_graph_policy_denied_words[] = {
    ngx_string("budget"),
    ngx_string("deadline"),
    ngx_string("attempts"),
    ngx_string("unknown"),
    ngx_string("waiting"),
    ngx_string("quota")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_denied_words,
                               NGX_HTTP_GRAPH_POLICY_NDENIED);


/* In the order of ngx_http_graph_policy_probe_e. */

ngx_str_t  ngx_http_graph_policy_probe_words[] = {
    ngx_string("cleared"),
    ngx_string("rearmed"),
    ngx_string("inconclusive")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_probe_words,
                               NGX_HTTP_GRAPH_POLICY_NPROBES);


ngx_int_t
ngx_http_graph_policy_api_zones(ngx_http_graph_policy_call_t *call)
{
    ngx_uint_t                           i;
    ngx_http_graph_policy_zone_t       **zone;
    ngx_http_graph_policy_api_answer_t       answer;
    ngx_http_graph_policy_main_conf_t   *gmcf;

    gmcf = ngx_http_get_module_main_conf(call->request,
                                         ngx_http_graph_policy_module);
    zone = gmcf->zones->elts;

    ngx_http_graph_policy_api_begin(&answer, call->request);

    ngx_http_graph_policy_gen_object(&answer.gen, NULL);
    ngx_http_graph_policy_gen_array(&answer.gen, "zones");

    for (i = 0; i < gmcf->zones->nelts; i++) {
        ngx_http_graph_policy_api_one_zone(&answer.gen, zone[i]);
    }

    ngx_http_graph_policy_gen_close_array(&answer.gen);
    ngx_http_graph_policy_gen_bool(&answer.gen, "write",
                                   call->conf->api
                                   == NGX_HTTP_GRAPH_POLICY_API_WRITE);
    ngx_http_graph_policy_gen_close_object(&answer.gen);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}


ngx_int_t
ngx_http_graph_policy_api_zone(ngx_http_graph_policy_call_t *call)
{
    ngx_http_graph_policy_api_answer_t  answer;

    ngx_http_graph_policy_api_begin(&answer, call->request);
    ngx_http_graph_policy_api_one_zone(&answer.gen, call->zone);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}


static void
ngx_http_graph_policy_api_one_zone(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_zone_t *zone)
{
    ngx_http_graph_policy_stats_t  stats;

    ngx_http_graph_policy_zone_stats(zone, &stats);

    ngx_http_graph_policy_gen_object(gen, NULL);

    ngx_http_graph_policy_gen_string(gen, "name", &zone->name);
    ngx_http_graph_policy_gen_integer(gen, "size", stats.size);
    ngx_http_graph_policy_gen_integer(gen, "used", stats.used);

    ngx_http_graph_policy_api_states(gen, &stats);

    ngx_http_graph_policy_gen_integer(gen, "links", stats.links);

    if (ngx_http_graph_policy_zone_fleet(zone) != NULL) {
        ngx_http_graph_policy_api_sync(gen, zone);
    }

    ngx_http_graph_policy_api_counters(gen,
                                   ngx_http_graph_policy_zone_counters(zone));
    ngx_http_graph_policy_api_history(gen,
                                    ngx_http_graph_policy_zone_history(zone));

    ngx_http_graph_policy_gen_close_object(gen);
}


/* whether this host is in touch with the others */

static void
ngx_http_graph_policy_api_sync(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_zone_t *zone)
{
    ngx_http_graph_policy_fleet_status_t  status;

    ngx_http_graph_policy_fleet_status(zone, &status);

    ngx_http_graph_policy_gen_object(gen, "sync");

    ngx_http_graph_policy_gen_bool(gen, "connected", status.connected);
    ngx_http_graph_policy_gen_string(gen, "server", &status.server);
    ngx_http_graph_policy_gen_integer(gen, "lag_ms", status.lag);
    ngx_http_graph_policy_gen_integer(gen, "heard_ms", status.heard);
    ngx_http_graph_policy_gen_integer(gen, "nodes", status.nodes);
    ngx_http_graph_policy_gen_integer(gen, "queue", status.queue);
    ngx_http_graph_policy_gen_string(gen, "node", &zone->share->name);

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_states(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_stats_t *stats)
{
    ngx_uint_t  scope, category;

    ngx_http_graph_policy_gen_object(gen, "states");

    for (scope = 0; scope < NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST; scope++) {

        ngx_http_graph_policy_gen_name(gen,
                                       &ngx_http_graph_policy_scopes[scope]);
        ngx_http_graph_policy_gen_object(gen, NULL);

        for (category = 0; category <= NGX_HTTP_GRAPH_POLICY_CONTEXT;
             category++)
        {
            /* Only conversations have limits of this category. */

            if (category == NGX_HTTP_GRAPH_POLICY_CONTEXT
                && scope != NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION)
            {
                continue;
            }

            ngx_http_graph_policy_gen_name(gen,
                                &ngx_http_graph_policy_categories[category]);
            ngx_http_graph_policy_gen_integer(gen, NULL,
                                              stats->states[scope][category]);
        }

        ngx_http_graph_policy_gen_close_object(gen);
    }

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_counters(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_counters_t *counters)
{
    ngx_http_graph_policy_gen_object(gen, "counters");

    ngx_http_graph_policy_api_by_word(gen, "responses",
                                      ngx_http_graph_policy_categories,
                                      NGX_HTTP_GRAPH_POLICY_NCOUNTED,
                                      counters->responses);
    ngx_http_graph_policy_api_by_reason(gen, "errors", counters->errors);
    ngx_http_graph_policy_api_by_reason(gen, "blocked", counters->blocked);
    ngx_http_graph_policy_api_by_result(gen, "dry_run_blocks",
                                        counters->dry_run);
    ngx_http_graph_policy_api_by_result(gen, "retries", counters->resent);
    ngx_http_graph_policy_api_by_word(gen, "retries_denied",
                                      ngx_http_graph_policy_denied_words,
                                      NGX_HTTP_GRAPH_POLICY_NDENIED,
                                      counters->denied);
    ngx_http_graph_policy_api_by_word(gen, "probes",
                                      ngx_http_graph_policy_probe_words,
                                      NGX_HTTP_GRAPH_POLICY_NPROBES,
                                      counters->probes);
    ngx_http_graph_policy_api_by_word(gen, "webhook_events",
                                      ngx_http_graph_policy_webhook_words,
                                      NGX_HTTP_GRAPH_POLICY_NWEBHOOKS,
                                      counters->webhooks);

    ngx_http_graph_policy_gen_integer(gen, "evictions", counters->evicted);
    ngx_http_graph_policy_gen_integer(gen, "lost", counters->lost);
    ngx_http_graph_policy_gen_integer(gen, "parked",
                             ngx_http_graph_policy_counters_parked(counters));

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_by_reason(ngx_http_graph_policy_gen_t *gen,
    const char *name, ngx_atomic_t *counters)
{
    ngx_uint_t  i;

    ngx_http_graph_policy_gen_object(gen, name);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {
        ngx_http_graph_policy_gen_name(gen,
                                       &ngx_http_graph_policy_reasons[i].slug);
        ngx_http_graph_policy_gen_integer(gen, NULL, counters[i]);
    }

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_by_result(ngx_http_graph_policy_gen_t *gen,
    const char *name, ngx_atomic_t counters[][2])
{
    ngx_uint_t  i;

    ngx_http_graph_policy_gen_object(gen, name);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {
        ngx_http_graph_policy_gen_name(gen,
                                       &ngx_http_graph_policy_reasons[i].slug);
        ngx_http_graph_policy_gen_object(gen, NULL);
        ngx_http_graph_policy_gen_integer(gen, "accepted",
                             counters[i][NGX_HTTP_GRAPH_POLICY_ACCEPTED]);
        ngx_http_graph_policy_gen_integer(gen, "refused",
                             counters[i][NGX_HTTP_GRAPH_POLICY_REFUSED]);
        ngx_http_graph_policy_gen_close_object(gen);
    }

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_by_word(ngx_http_graph_policy_gen_t *gen,
    const char *name, ngx_str_t *words, ngx_uint_t n, ngx_atomic_t *counters)
{
    ngx_uint_t  i;

    ngx_http_graph_policy_gen_object(gen, name);

    for (i = 0; i < n; i++) {
        ngx_http_graph_policy_gen_name(gen, &words[i]);
        ngx_http_graph_policy_gen_integer(gen, NULL, counters[i]);
    }

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_history(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_history_t *history)
{
    time_t      minute;
    ngx_uint_t  i;

    /* A small zone has no memory for a history. */

    if (history == NULL) {
        ngx_http_graph_policy_gen_null(gen, "history");
        return;
    }

    minute = ngx_time() / 60;

    ngx_http_graph_policy_gen_object(gen, "history");
    ngx_http_graph_policy_gen_integer(gen, "minutes",
                                      NGX_HTTP_GRAPH_POLICY_HOUR);
    ngx_http_graph_policy_api_time(gen, "until",
                                   (uint64_t) (minute + 1) * 60 * 1000);

    ngx_http_graph_policy_gen_object(gen, "categories");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NCOUNTED; i++) {
        ngx_http_graph_policy_gen_name(gen,
                                       &ngx_http_graph_policy_categories[i]);
        ngx_http_graph_policy_api_minutes(gen, NULL, history->categories[i],
                                          minute);
    }

    ngx_http_graph_policy_gen_close_object(gen);

    ngx_http_graph_policy_gen_object(gen, "reasons");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {

        if (!ngx_http_graph_policy_api_any_minute(history->reasons[i],
                                                  minute))
        {
            continue;
        }

        ngx_http_graph_policy_gen_name(gen,
                                       &ngx_http_graph_policy_reasons[i].slug);
        ngx_http_graph_policy_api_minutes(gen, NULL, history->reasons[i],
                                          minute);
    }

    ngx_http_graph_policy_gen_close_object(gen);

    ngx_http_graph_policy_api_minutes(gen, "blocked", history->blocked,
                                      minute);
    ngx_http_graph_policy_api_minutes(gen, "retries", history->retries,
                                      minute);
    ngx_http_graph_policy_api_minutes(gen, "over_budget", history->over_budget,
                                      minute);

    ngx_http_graph_policy_gen_close_object(gen);
}


/*
 * Writes the minutes of the last hour, the oldest first; the last one is the
 * minute that isn't over yet.
 */

static void
ngx_http_graph_policy_api_minutes(ngx_http_graph_policy_gen_t *gen,
    const char *name, ngx_atomic_t *minutes, time_t minute)
{
    time_t  m;

    ngx_http_graph_policy_gen_array(gen, name);

    for (m = minute - NGX_HTTP_GRAPH_POLICY_HOUR + 1; m <= minute; m++) {
        ngx_http_graph_policy_gen_integer(gen, NULL,
                      ngx_http_graph_policy_counters_of_minute(minutes, m));
    }

    ngx_http_graph_policy_gen_close_array(gen);
}


static ngx_uint_t
ngx_http_graph_policy_api_any_minute(ngx_atomic_t *minutes, time_t minute)
{
    time_t  m;

    for (m = minute - NGX_HTTP_GRAPH_POLICY_HOUR + 1; m <= minute; m++) {

        if (ngx_http_graph_policy_counters_of_minute(minutes, m) != 0) {
            return 1;
        }
    }

    return 0;
}
