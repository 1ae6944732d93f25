
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_METRICS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_metric_table.h"


/* The content type of Prometheus' text format. */
#define NGX_HTTP_GRAPH_POLICY_METRICS_TYPE                                    \
    "text/plain; version=0.0.4; charset=utf-8"


/*
 * Prints all metrics of "n" zones, in the text format of Prometheus, version
 * 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).  Each
 * combination of labels is there from the start, so the number of series
 * depends on "n" alone.
 *
 * Returns a chain in memory of the request's pool, with the last buffer marked
 * as the answer's last, and the number of its bytes in "size"; or NULL if
 * there is no memory.
 */
ngx_chain_t *ngx_http_graph_policy_metrics(ngx_http_request_t *r,
    ngx_http_graph_policy_reading_t *readings, ngx_uint_t n, size_t *size);

/*
 * Escapes a zone's name for use as the value of a label.  Returns NGX_OK, or
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_metrics_escape(ngx_pool_t *pool,
    ngx_str_t *name, ngx_str_t *escaped);


#endif /* _NGX_HTTP_GRAPH_POLICY_METRICS_H_INCLUDED_ */
