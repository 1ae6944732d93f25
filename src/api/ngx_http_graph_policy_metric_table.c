
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The table of metrics: their labels, and where their values lie.
 * docs/metrics.md tells users what each one counts.
 *
 * No lock is taken.  All of this is constant.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_metric_table.h"
#include "ngx_http_graph_policy_rules.h"


/* The words are in the order of the enumerations that they name. */

static ngx_str_t  ngx_http_graph_policy_results[] = {
    ngx_string("accepted"),
    ngx_string("refused")
};

static ngx_str_t  ngx_http_graph_policy_bytes_kinds[] = {
    ngx_string("size"),
    ngx_string("used")
};


#define ngx_http_graph_policy_label(name, values, n)                          \
    { ngx_string(name), values, sizeof(ngx_str_t), n }

#define ngx_http_graph_policy_no_label                                        \
    { ngx_null_string, NULL, 0, 0 }

#define ngx_http_graph_policy_by_reason                                       \
    { ngx_string("reason"), &ngx_http_graph_policy_reasons[0].slug,           \
      sizeof(ngx_http_graph_policy_reason_t),                                 \
      NGX_HTTP_GRAPH_POLICY_NREASONS }

#define ngx_http_graph_policy_by_result                                       \
    ngx_http_graph_policy_label("result", ngx_http_graph_policy_results, 2)

#define ngx_http_graph_policy_by_category(n)                                  \
    ngx_http_graph_policy_label("category",                                   \
                                ngx_http_graph_policy_categories, n)

#define ngx_http_graph_policy_counted(field)                                  \
    NGX_HTTP_GRAPH_POLICY_COUNTER,                                            \
    offsetof(ngx_http_graph_policy_counters_t, field)

#define ngx_http_graph_policy_read_as(type, field)                            \
    type, offsetof(ngx_http_graph_policy_reading_t, field)


#define ngx_http_graph_policy_synced(field)                                   \
    NGX_HTTP_GRAPH_POLICY_SYNC_COUNTER,                                       \
    offsetof(ngx_http_graph_policy_fleet_t, field)


ngx_http_graph_policy_metric_t  ngx_http_graph_policy_metric_table[] = {

    { ngx_string("responses_total"),
      ngx_string("Error answers of the upstream, by category."),
      ngx_http_graph_policy_counted(responses),
      { ngx_http_graph_policy_by_category(NGX_HTTP_GRAPH_POLICY_NCOUNTED),
        ngx_http_graph_policy_no_label } },

    { ngx_string("errors_total"),
      ngx_string("Error answers with a code that a rule knows, by reason."),
      ngx_http_graph_policy_counted(errors),
      { ngx_http_graph_policy_by_reason,
        ngx_http_graph_policy_no_label } },

    { ngx_string("blocked_total"),
      ngx_string("Requests that the proxy answered itself, by reason."),
      ngx_http_graph_policy_counted(blocked),
      { ngx_http_graph_policy_by_reason,
        ngx_http_graph_policy_no_label } },

    { ngx_string("dry_run_blocks_total"),
      ngx_string("Requests that would have been blocked, by what Graph said "
                 "to them."),
      ngx_http_graph_policy_counted(dry_run),
      { ngx_http_graph_policy_by_reason,
        ngx_http_graph_policy_by_result } },

    { ngx_string("retries_total"),
      ngx_string("Requests that were sent again and answered, by what Graph "
                 "said to them; the reason is that of the error before."),
      ngx_http_graph_policy_counted(resent),
      { ngx_http_graph_policy_by_reason,
        ngx_http_graph_policy_by_result } },

    { ngx_string("retries_denied_total"),
      ngx_string("Temporary errors that were delivered in place of another "
                 "try, by what stood against it."),
      ngx_http_graph_policy_counted(denied),
      { ngx_http_graph_policy_label("why", ngx_http_graph_policy_denied_words,
                                    NGX_HTTP_GRAPH_POLICY_NDENIED),
        ngx_http_graph_policy_no_label } },

    { ngx_string("probes_total"),
      ngx_string("States that were probed, by what came of it."),
      ngx_http_graph_policy_counted(probes),
      { ngx_http_graph_policy_label("result",
                                    ngx_http_graph_policy_probe_words,
                                    NGX_HTTP_GRAPH_POLICY_NPROBES),
        ngx_http_graph_policy_no_label } },

    { ngx_string("webhook_events_total"),
      ngx_string("Webhooks, and what was remarkable about them."),
      ngx_http_graph_policy_counted(webhooks),
      { ngx_http_graph_policy_label("kind",
                                    ngx_http_graph_policy_webhook_words,
                                    NGX_HTTP_GRAPH_POLICY_NWEBHOOKS),
        ngx_http_graph_policy_no_label } },

    { ngx_string("states"),
      ngx_string("States in force now."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_GAUGE, states),
      { ngx_http_graph_policy_label("scope", ngx_http_graph_policy_scopes,
                                    NGX_HTTP_GRAPH_POLICY_NHOLDERS),
        ngx_http_graph_policy_by_category(NGX_HTTP_GRAPH_POLICY_NSTATES) } },

    { ngx_string("oldest_state_seconds"),
      ngx_string("For how long the oldest state has been in force, 0 if there "
                 "is none."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_AGE, oldest),
      { ngx_http_graph_policy_by_category(NGX_HTTP_GRAPH_POLICY_NSTATES),
        ngx_http_graph_policy_no_label } },

    { ngx_string("zone_bytes"),
      ngx_string("Shared memory of the zone, and how much of it is used, in "
                 "whole pages."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_GAUGE, bytes),
      { ngx_http_graph_policy_label("kind", ngx_http_graph_policy_bytes_kinds,
                                    2),
        ngx_http_graph_policy_no_label } },

    { ngx_string("evictions_total"),
      ngx_string("What had to leave a full zone before its time."),
      ngx_http_graph_policy_counted(evicted),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("lost_total"),
      ngx_string("What wasn't remembered for want of room in the zone."),
      ngx_http_graph_policy_counted(lost),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("parked"),
      ngx_string("Requests that wait to be sent again now."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_GAUGE, parked),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_connected"),
      ngx_string("Whether this host hears its own news from the others' "
                 "engine."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_SYNC_GAUGE,
                                    sync.connected),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_heard_seconds"),
      ngx_string("How long ago news of this host's own came back."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_SYNC_AGE,
                                    sync.heard),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_lag_seconds"),
      ngx_string("How old the last news was when it came."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_SYNC_AGE, sync.lag),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_queue"),
      ngx_string("Changes that aren't told yet."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_SYNC_GAUGE,
                                    sync.queue),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_nodes"),
      ngx_string("Hosts that were heard lately, this one included."),
      ngx_http_graph_policy_read_as(NGX_HTTP_GRAPH_POLICY_SYNC_GAUGE,
                                    sync.nodes),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_sent_total"),
      ngx_string("Changes that were told to the other hosts."),
      ngx_http_graph_policy_synced(sent),
      { ngx_http_graph_policy_no_label,
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_received_total"),
      ngx_string("What came from the engine, by what became of it."),
      ngx_http_graph_policy_synced(received),
      { ngx_http_graph_policy_label("result",
                                    ngx_http_graph_policy_received_words,
                                    NGX_HTTP_GRAPH_POLICY_NRECEIVED),
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_failures_total"),
      ngx_string("Connections to the engine that failed, by why."),
      ngx_http_graph_policy_synced(failures),
      { ngx_http_graph_policy_label("why",
                                    ngx_http_graph_policy_sync_failure_words,
                                    NGX_HTTP_GRAPH_POLICY_NFAILURES),
        ngx_http_graph_policy_no_label } },

    { ngx_string("sync_resyncs_total"),
      ngx_string("How often all states were read, or told, once more, by "
                 "why."),
      ngx_http_graph_policy_synced(resyncs),
      { ngx_http_graph_policy_label("why",
                                    ngx_http_graph_policy_resync_words,
                                    NGX_HTTP_GRAPH_POLICY_NRESYNCS),
        ngx_http_graph_policy_no_label } }
};

ngx_uint_t  ngx_http_graph_policy_metric_table_n =
    sizeof(ngx_http_graph_policy_metric_table)
    / sizeof(ngx_http_graph_policy_metric_t);
