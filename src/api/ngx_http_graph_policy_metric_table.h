
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_METRIC_TABLE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_METRIC_TABLE_H_INCLUDED_


/* Shared by the printing of metrics and the table of them. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_rules.h"


#define NGX_HTTP_GRAPH_POLICY_NLABELS    2

/* The number of categories of states. */
#define NGX_HTTP_GRAPH_POLICY_NSTATES    (NGX_HTTP_GRAPH_POLICY_CONTEXT + 1)

/*
 * The number of scopes of states, which are all but that of a single request.
 */
#define NGX_HTTP_GRAPH_POLICY_NHOLDERS   NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST


typedef struct {
    ngx_str_t                          name;
    ngx_str_t                         *values;
    size_t                             step;    /* distance of the values */
    ngx_uint_t                         n;       /* 0: no label */
} ngx_http_graph_policy_label_t;


/* The place of a metric's values. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_COUNTER = 0,  /* in the zone's counters */
    NGX_HTTP_GRAPH_POLICY_GAUGE,        /* in a reading */
    NGX_HTTP_GRAPH_POLICY_AGE,          /* a time in milliseconds */

    /* these are printed for shared zones alone */
    NGX_HTTP_GRAPH_POLICY_SYNC_COUNTER, /* in the zone's fleet */
    NGX_HTTP_GRAPH_POLICY_SYNC_GAUGE,
    NGX_HTTP_GRAPH_POLICY_SYNC_AGE
} ngx_http_graph_policy_metric_e;


/* The values lie in a row; those that differ in the last label are adjacent. */

typedef struct {
    ngx_str_t                          name;
    ngx_str_t                          help;
    ngx_http_graph_policy_metric_e     type;
    size_t                             offset;
    ngx_http_graph_policy_label_t      labels[NGX_HTTP_GRAPH_POLICY_NLABELS];
} ngx_http_graph_policy_metric_t;


/* A zone as the scrape has read it. */

typedef struct {
    ngx_str_t                          zone;        /* escaped */
    ngx_http_graph_policy_counters_t  *counters;
    ngx_uint_t                         states[NGX_HTTP_GRAPH_POLICY_NHOLDERS]
                                             [NGX_HTTP_GRAPH_POLICY_NSTATES];
    ngx_uint_t                         oldest[NGX_HTTP_GRAPH_POLICY_NSTATES];
    ngx_uint_t                         bytes[2];
    ngx_uint_t                         parked;

    /* set for a zone that is shared */
    ngx_http_graph_policy_fleet_t     *fleet;       /* NULL: it isn't */
    ngx_http_graph_policy_fleet_status_t  sync;
} ngx_http_graph_policy_reading_t;


#define ngx_http_graph_policy_metric_is_shown(metric, reading)                \
    ((metric)->type < NGX_HTTP_GRAPH_POLICY_SYNC_COUNTER                      \
     || (reading)->fleet != NULL)

#define ngx_http_graph_policy_label_value(label, i)                           \
    ((ngx_str_t *) ((u_char *) (label)->values + (i) * (label)->step))


/* The metrics but build_info, in the order in which they are printed. */
extern ngx_http_graph_policy_metric_t  ngx_http_graph_policy_metric_table[];
extern ngx_uint_t                      ngx_http_graph_policy_metric_table_n;


#endif /* _NGX_HTTP_GRAPH_POLICY_METRIC_TABLE_H_INCLUDED_ */
