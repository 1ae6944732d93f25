
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_CHANGE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_CHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * News of the zone.  Each function that changes states takes a list of changes
 * and fills it under the mutex; before it returns it frees the mutex and calls
 * the zone's teller with the list.  No change can thus go unlogged.
 */


/* the most evictions that one call makes in a full zone */
#define NGX_HTTP_GRAPH_POLICY_EVICTIONS  4

/*
 * A call can change a state, and evict all states of a page for it each time.
 * A page of 4k holds 16 states, so all of them have a place here; if pages are
 * larger, the rest is only counted, in "lost".
 */
#define NGX_HTTP_GRAPH_POLICY_NCHANGES                                        \
    (NGX_HTTP_GRAPH_POLICY_EVICTIONS * 16 + 1)


struct ngx_http_graph_policy_changes_s {

    /* The caller sets these; they say who makes the changes. */
    void                            *request;   /* NULL: nobody's request */
    ngx_log_t                       *log;       /* if there is no request */
    ngx_uint_t                       level;     /* log level of lines */

    /* The zone sets these, and empties the list before. */
    ngx_uint_t                       n;
    ngx_uint_t                       lost;      /* had no place in views */
    ngx_uint_t                       evicted;   /* nodes, for metrics */
    ngx_uint_t                       refused;   /* not remembered */
    ngx_uint_t                       full;      /* for want of memory */
    ngx_http_graph_policy_probe_e    probe;     /* NPROBES: none ended */
    ngx_http_graph_policy_view_t     views[NGX_HTTP_GRAPH_POLICY_NCHANGES];
                                                /* each with its transition */
};


#endif /* _NGX_HTTP_GRAPH_POLICY_CHANGE_H_INCLUDED_ */
