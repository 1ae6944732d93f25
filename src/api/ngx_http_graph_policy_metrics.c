
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The metrics of all zones, as Prometheus reads them.  No id and no code is a
 * label: how many series there are doesn't depend on the traffic.
 *
 * Lock rule: none of its own; counters are read without a lock, what there is
 * of states in batches, so that sends never wait for a scrape.  Memory: the
 * request's pool, a buffer for each metric.
 */


#include "ngx_http_graph_policy_metrics.h"
#include "ngx_http_graph_policy_version.h"


/* states that are looked at for the oldest one, in batches */
#define NGX_HTTP_GRAPH_POLICY_LOOKED_AT  16384

#define NGX_HTTP_GRAPH_POLICY_PREFIX     "graph_policy_"

#define NGX_HTTP_GRAPH_POLICY_NLABELS    2

/* categories of states */
#define NGX_HTTP_GRAPH_POLICY_NSTATES    (NGX_HTTP_GRAPH_POLICY_CONTEXT + 1)

/* scopes of states: all but that of a request alone */
#define NGX_HTTP_GRAPH_POLICY_NHOLDERS   NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST


typedef struct {
    ngx_str_t                          name;
    ngx_str_t                         *values;
    size_t                             step;    /* from value to value */
    ngx_uint_t                         n;       /* 0: there is no label */
} ngx_http_graph_policy_label_t;


/* where the values of a metric are */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_COUNTER = 0,  /* words of the zone's counters */
    NGX_HTTP_GRAPH_POLICY_GAUGE,        /* words of a reading */
    NGX_HTTP_GRAPH_POLICY_AGE           /* likewise, of milliseconds */
} ngx_http_graph_policy_metric_e;


/* values lie in a row, those of the last label side by side */

typedef struct {
    ngx_str_t                          name;
    ngx_str_t                          help;
    ngx_http_graph_policy_metric_e     type;
    size_t                             offset;
    ngx_http_graph_policy_label_t      labels[NGX_HTTP_GRAPH_POLICY_NLABELS];
} ngx_http_graph_policy_metric_t;


/* one zone, at the time of the scrape */

typedef struct {
    ngx_str_t                          zone;        /* escaped */
    ngx_http_graph_policy_counters_t  *counters;
    ngx_uint_t                         states[NGX_HTTP_GRAPH_POLICY_NHOLDERS]
                                             [NGX_HTTP_GRAPH_POLICY_NSTATES];
    ngx_uint_t                         oldest[NGX_HTTP_GRAPH_POLICY_NSTATES];
    ngx_uint_t                         bytes[2];
    ngx_uint_t                         parked;
} ngx_http_graph_policy_reading_t;


static ngx_int_t ngx_http_graph_policy_metrics_read(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_reading_t *reading);
static void ngx_http_graph_policy_metrics_oldest(
    ngx_http_graph_policy_zone_t *zone, uint64_t now, ngx_uint_t *oldest);
static ngx_int_t ngx_http_graph_policy_metrics_escape(ngx_pool_t *pool,
    ngx_str_t *name, ngx_str_t *escaped);
static ngx_uint_t ngx_http_graph_policy_metrics_is_text(u_char *p,
    u_char *last, u_char **next);
static ngx_buf_t *ngx_http_graph_policy_metrics_print(ngx_pool_t *pool,
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n);
static size_t ngx_http_graph_policy_metrics_size(
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n);
static u_char *ngx_http_graph_policy_metrics_zone(u_char *p,
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *reading);
static u_char *ngx_http_graph_policy_metrics_label(u_char *p,
    ngx_http_graph_policy_label_t *label, ngx_uint_t i);
static u_char *ngx_http_graph_policy_metrics_value(u_char *p,
    ngx_http_graph_policy_metric_t *metric, ngx_uint_t value);
static ngx_buf_t *ngx_http_graph_policy_metrics_build(ngx_pool_t *pool);


/* in the order of the enumerations that they name */

static ngx_str_t  ngx_http_graph_policy_results[] = {
    ngx_string("accepted"),
    ngx_string("refused")
};

static ngx_str_t  ngx_http_graph_policy_denials[] = {
    ngx_string("budget"),
    ngx_string("deadline"),
    ngx_string("attempts"),
    ngx_string("unknown"),
    ngx_string("waiting"),
    ngx_string("quota")
};

static ngx_str_t  ngx_http_graph_policy_probe_results[] = {
    ngx_string("cleared"),
    ngx_string("rearmed"),
    ngx_string("inconclusive")
};

static ngx_str_t  ngx_http_graph_policy_webhook_kinds[] = {
    ngx_string("verified"),
    ngx_string("unsigned"),
    ngx_string("forged"),
    ngx_string("unread"),
    ngx_string("too-large"),
    ngx_string("foreign"),
    ngx_string("paused")
};

static ngx_str_t  ngx_http_graph_policy_bytes_kinds[] = {
    ngx_string("size"),
    ngx_string("used")
};


#define ngx_http_graph_policy_label_value(label, i)                           \
    ((ngx_str_t *) ((u_char *) (label)->values + (i) * (label)->step))

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


static ngx_http_graph_policy_metric_t  ngx_http_graph_policy_metric_table[] = {

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
      { ngx_http_graph_policy_label("why", ngx_http_graph_policy_denials,
                                    NGX_HTTP_GRAPH_POLICY_NDENIED),
        ngx_http_graph_policy_no_label } },

    { ngx_string("probes_total"),
      ngx_string("States that were probed, by what came of it."),
      ngx_http_graph_policy_counted(probes),
      { ngx_http_graph_policy_label("result",
                                    ngx_http_graph_policy_probe_results,
                                    NGX_HTTP_GRAPH_POLICY_NPROBES),
        ngx_http_graph_policy_no_label } },

    { ngx_string("webhook_events_total"),
      ngx_string("Webhooks, and what was remarkable about them."),
      ngx_http_graph_policy_counted(webhooks),
      { ngx_http_graph_policy_label("kind",
                                    ngx_http_graph_policy_webhook_kinds,
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
        ngx_http_graph_policy_no_label } }
};

#define NGX_HTTP_GRAPH_POLICY_NMETRICS                                        \
    (sizeof(ngx_http_graph_policy_metric_table)                               \
     / sizeof(ngx_http_graph_policy_metric_t))


ngx_chain_t *
ngx_http_graph_policy_metrics(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t **zones, ngx_uint_t n, size_t *size)
{
    ngx_buf_t                        *b;
    ngx_uint_t                        i;
    ngx_chain_t                      *out, *cl, **ll;
    ngx_http_graph_policy_reading_t  *readings;

    readings = ngx_pcalloc(r->pool,
                           n * sizeof(ngx_http_graph_policy_reading_t));
    if (readings == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {

        if (ngx_http_graph_policy_metrics_read(r, zones[i], &readings[i])
            != NGX_OK)
        {
            return NULL;
        }
    }

    *size = 0;
    ll = &out;

    for (i = 0; i <= NGX_HTTP_GRAPH_POLICY_NMETRICS; i++) {

        if (i < NGX_HTTP_GRAPH_POLICY_NMETRICS) {
            b = ngx_http_graph_policy_metrics_print(r->pool,
                                     &ngx_http_graph_policy_metric_table[i],
                                                    readings, n);
        } else {
            b = ngx_http_graph_policy_metrics_build(r->pool);
        }

        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NULL;
        }

        *size += b->last - b->pos;

        cl->buf = b;
        *ll = cl;
        ll = &cl->next;
    }

    *ll = NULL;

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return out;
}


static ngx_int_t
ngx_http_graph_policy_metrics_read(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_reading_t *reading)
{
    uint64_t                       now;
    ngx_time_t                    *tp;
    ngx_http_graph_policy_stats_t  stats;

    tp = ngx_timeofday();
    now = (uint64_t) tp->sec * 1000 + tp->msec;

    /* it drops what is over, which isn't to be counted then */

    ngx_http_graph_policy_metrics_oldest(zone, now, reading->oldest);
    ngx_http_graph_policy_zone_stats(zone, &stats);

    ngx_memcpy(reading->states, stats.states, sizeof(reading->states));

    reading->bytes[0] = stats.size;
    reading->bytes[1] = stats.used;

    reading->counters = ngx_http_graph_policy_zone_counters(zone);
    reading->parked = ngx_http_graph_policy_counters_parked(
                                                          reading->counters);

    return ngx_http_graph_policy_metrics_escape(r->pool, &zone->name,
                                                &reading->zone);
}


/* of more states than are looked at, the same ones are each time */

static void
ngx_http_graph_policy_metrics_oldest(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_uint_t *oldest)
{
    uint64_t                        since;
    uint64_t                        first[NGX_HTTP_GRAPH_POLICY_NSTATES];
    ngx_int_t                       rc;
    ngx_uint_t                      i, n, batches;
    ngx_http_graph_policy_view_t    views[NGX_HTTP_GRAPH_POLICY_BATCH];
    ngx_http_graph_policy_cursor_t  cursor;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NSTATES; i++) {
        first[i] = now;
    }

    ngx_memzero(&cursor, sizeof(ngx_http_graph_policy_cursor_t));

    batches = NGX_HTTP_GRAPH_POLICY_LOOKED_AT / NGX_HTTP_GRAPH_POLICY_BATCH;

    /* of conversations, which are behind the states, another way is shorter */

    while (batches-- != 0 && !cursor.limited) {
        n = ngx_http_graph_policy_zone_list(zone, &cursor, now, views);

        for (i = 0; i < n; i++) {
            since = views[i].since;

            if (since < first[views[i].category]) {
                first[views[i].category] = since;
            }
        }
    }

    batches = NGX_HTTP_GRAPH_POLICY_LOOKED_AT / NGX_HTTP_GRAPH_POLICY_BATCH;

    do {
        rc = ngx_http_graph_policy_zone_oldest_limit(zone, now, &since);
    } while (rc == NGX_AGAIN && --batches != 0);

    if (rc == NGX_OK && since < first[NGX_HTTP_GRAPH_POLICY_CONTEXT]) {
        first[NGX_HTTP_GRAPH_POLICY_CONTEXT] = since;
    }

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NSTATES; i++) {
        oldest[i] = (ngx_uint_t) (now - first[i]);
    }
}


/* one that isn't UTF-8 would make Prometheus refuse all of it */

static ngx_int_t
ngx_http_graph_policy_metrics_escape(ngx_pool_t *pool, ngx_str_t *name,
    ngx_str_t *escaped)
{
    u_char  *p, *s, *last, *next;

    p = ngx_pnalloc(pool, 2 * name->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    escaped->data = p;

    s = name->data;
    last = s + name->len;

    while (s < last) {

        if (*s == LF) {
            *p++ = '\\';
            *p++ = 'n';
            s++;
            continue;
        }

        if (!ngx_http_graph_policy_metrics_is_text(s, last, &next)) {
            *p++ = '?';
            s++;
            continue;
        }

        if (*s == '\\' || *s == '"') {
            *p++ = '\\';
        }

        p = ngx_cpymem(p, s, next - s);
        s = next;
    }

    escaped->len = p - escaped->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_graph_policy_metrics_is_text(u_char *p, u_char *last, u_char **next)
{
    uint32_t  u;

    if (*p < 0x80) {
        *next = p + 1;
        return 1;
    }

    *next = p;
    u = ngx_utf8_decode(next, last - p);

    return u <= 0x10ffff && (u < 0xd800 || u > 0xdfff);
}


static ngx_buf_t *
ngx_http_graph_policy_metrics_print(ngx_pool_t *pool,
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n)
{
    ngx_buf_t   *b;
    ngx_uint_t   i;
    const char  *type;

    b = ngx_create_temp_buf(pool, ngx_http_graph_policy_metrics_size(metric,
                                                              readings, n));
    if (b == NULL) {
        return NULL;
    }

    type = (metric->type == NGX_HTTP_GRAPH_POLICY_COUNTER) ? "counter"
                                                           : "gauge";

    b->last = ngx_sprintf(b->last,
                          "# HELP " NGX_HTTP_GRAPH_POLICY_PREFIX "%V %V\n"
                          "# TYPE " NGX_HTTP_GRAPH_POLICY_PREFIX "%V %s\n",
                          &metric->name, &metric->help, &metric->name, type);

    for (i = 0; i < n; i++) {
        b->last = ngx_http_graph_policy_metrics_zone(b->last, metric,
                                                     &readings[i]);
    }

    return b;
}


static size_t
ngx_http_graph_policy_metrics_size(ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n)
{
    size_t                          size, line, longest;
    ngx_str_t                      *value;
    ngx_uint_t                      i, j, lines;
    ngx_http_graph_policy_label_t  *label;

    line = sizeof(NGX_HTTP_GRAPH_POLICY_PREFIX) + metric->name.len
           + sizeof("{zone=\"\"} .000\n") + NGX_INT64_LEN;
    lines = 1;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NLABELS; i++) {
        label = &metric->labels[i];

        if (label->n == 0) {
            continue;
        }

        longest = 0;

        for (j = 0; j < label->n; j++) {
            value = ngx_http_graph_policy_label_value(label, j);
            longest = ngx_max(longest, value->len);
        }

        line += sizeof(",=\"\"") + label->name.len + longest;
        lines *= label->n;
    }

    /* two lines more, with the texts of the metric */

    size = 2 * (line + sizeof("# HELP counter")) + metric->help.len;

    for (i = 0; i < n; i++) {
        size += lines * (line + readings[i].zone.len);
    }

    return size;
}


static u_char *
ngx_http_graph_policy_metrics_zone(u_char *p,
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *reading)
{
    u_char                         *base;
    ngx_uint_t                      i, j, n, m;
    ngx_atomic_t                   *word;
    ngx_http_graph_policy_label_t  *labels;

    base = (metric->type == NGX_HTTP_GRAPH_POLICY_COUNTER)
           ? (u_char *) reading->counters : (u_char *) reading;
    word = (ngx_atomic_t *) (base + metric->offset);

    labels = metric->labels;

    n = ngx_max(labels[0].n, 1);
    m = ngx_max(labels[1].n, 1);

    for (i = 0; i < n; i++) {

        for (j = 0; j < m; j++) {
            p = ngx_sprintf(p, NGX_HTTP_GRAPH_POLICY_PREFIX "%V{zone=\"%V\"",
                            &metric->name, &reading->zone);

            p = ngx_http_graph_policy_metrics_label(p, &labels[0], i);
            p = ngx_http_graph_policy_metrics_label(p, &labels[1], j);

            p = ngx_http_graph_policy_metrics_value(p, metric, *word++);
        }
    }

    return p;
}


static u_char *
ngx_http_graph_policy_metrics_label(u_char *p,
    ngx_http_graph_policy_label_t *label, ngx_uint_t i)
{
    if (label->n == 0) {
        return p;
    }

    return ngx_sprintf(p, ",%V=\"%V\"", &label->name,
                       ngx_http_graph_policy_label_value(label, i));
}


static u_char *
ngx_http_graph_policy_metrics_value(u_char *p,
    ngx_http_graph_policy_metric_t *metric, ngx_uint_t value)
{
    if (metric->type == NGX_HTTP_GRAPH_POLICY_AGE) {
        return ngx_sprintf(p, "} %ui.%03ui\n", value / 1000, value % 1000);
    }

    return ngx_sprintf(p, "} %ui\n", value);
}


static ngx_buf_t *
ngx_http_graph_policy_metrics_build(ngx_pool_t *pool)
{
    size_t      len;
    ngx_buf_t  *b;

    static const char  text[] =
        "# HELP " NGX_HTTP_GRAPH_POLICY_PREFIX "build_info "
        "The versions of the module and of nginx.\n"
        "# TYPE " NGX_HTTP_GRAPH_POLICY_PREFIX "build_info gauge\n"
        NGX_HTTP_GRAPH_POLICY_PREFIX "build_info{"
        "version=\"" NGX_HTTP_GRAPH_POLICY_VERSION "\","
        "nginx=\"" NGINX_VERSION "\"} 1\n";

    len = sizeof(text) - 1;

    b = ngx_create_temp_buf(pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last = ngx_cpymem(b->last, text, len);

    return b;
}
