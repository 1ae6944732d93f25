
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Prints the metrics of all zones as Prometheus reads them.  Neither ids nor
 * codes are labels, so the number of series doesn't depend on the traffic.
 *
 * No lock is taken; counters are read where they lie.  Memory comes from the
 * request's pool, a buffer for each metric.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_metric_table.h"
#include "ngx_http_graph_policy_metrics.h"
#include "ngx_http_graph_policy_version.h"


#define NGX_HTTP_GRAPH_POLICY_PREFIX  "graph_policy_"


static ngx_uint_t ngx_http_graph_policy_metrics_is_text(u_char *p,
    u_char *last, u_char **next);
static ngx_buf_t *ngx_http_graph_policy_metrics_print(ngx_pool_t *pool,
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n);
static size_t ngx_http_graph_policy_metrics_size(
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n);
static ngx_uint_t ngx_http_graph_policy_metrics_has_value(
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


ngx_chain_t *
ngx_http_graph_policy_metrics(ngx_http_request_t *r,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n, size_t *size)
{
    ngx_buf_t    *b;
    ngx_uint_t    i;
    ngx_chain_t  *out, *cl, **ll;

    *size = 0;
    ll = &out;
    b = ngx_http_graph_policy_metrics_build(r->pool);

    for (i = 0; /* void */ ; i++) {
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NULL;
        }

        *size += b->last - b->pos;

        /* a metric without a value isn't printed at all */

        while (i < ngx_http_graph_policy_metric_table_n
               && !ngx_http_graph_policy_metrics_has_value(
                                     &ngx_http_graph_policy_metric_table[i],
                                                           readings, n))
        {
            i++;
        }

        cl->buf = b;
        *ll = cl;
        ll = &cl->next;

        if (i == ngx_http_graph_policy_metric_table_n) {
            break;
        }

        b = ngx_http_graph_policy_metrics_print(r->pool,
                                     &ngx_http_graph_policy_metric_table[i],
                                                readings, n);
    }

    *ll = NULL;

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return out;
}


/*
 * Prometheus refuses a whole scrape if one byte isn't UTF-8, so those of a
 * zone's name are replaced.
 */

ngx_int_t
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


static ngx_uint_t
ngx_http_graph_policy_metrics_has_value(
    ngx_http_graph_policy_metric_t *metric,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (ngx_http_graph_policy_metric_is_shown(metric, &readings[i])) {
            return 1;
        }
    }

    return 0;
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

    type = (metric->type == NGX_HTTP_GRAPH_POLICY_COUNTER
            || metric->type == NGX_HTTP_GRAPH_POLICY_SYNC_COUNTER)
           ? "counter" : "gauge";

    b->last = ngx_sprintf(b->last,
                          "# HELP " NGX_HTTP_GRAPH_POLICY_PREFIX "%V %V\n"
                          "# TYPE " NGX_HTTP_GRAPH_POLICY_PREFIX "%V %s\n",
                          &metric->name, &metric->help, &metric->name, type);

    for (i = 0; i < n; i++) {

        if (ngx_http_graph_policy_metric_is_shown(metric, &readings[i])) {
            b->last = ngx_http_graph_policy_metrics_zone(b->last, metric,
                                                         &readings[i]);
        }
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

    /* Each metric has two more lines, HELP and TYPE. */

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

    switch (metric->type) {

    case NGX_HTTP_GRAPH_POLICY_COUNTER:
        base = (u_char *) reading->counters;
        break;

    case NGX_HTTP_GRAPH_POLICY_SYNC_COUNTER:
        base = (u_char *) reading->fleet;
        break;

    default:
        base = (u_char *) reading;
        break;
    }

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
    if (metric->type == NGX_HTTP_GRAPH_POLICY_AGE
        || metric->type == NGX_HTTP_GRAPH_POLICY_SYNC_AGE)
    {
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
