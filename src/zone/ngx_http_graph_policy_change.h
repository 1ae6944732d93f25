
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
 * News of the zone.  Whatever changes a state takes a list of changes, fills
 * it under the mutex, and has it told by the zone's own teller once the mutex
 * is free, before it returns: a change that nobody tells can't be made.
 */


/* how many times one call makes something leave a full zone */
#define NGX_HTTP_GRAPH_POLICY_EVICTIONS  4

/*
 * What one call can change: a state, and those that left for it.  A page of
 * 4k holds 16 states, so that all of them have a place here; of larger pages
 * the rest is counted as lost.
 */
#define NGX_HTTP_GRAPH_POLICY_NCHANGES                                        \
    (NGX_HTTP_GRAPH_POLICY_EVICTIONS * 16 + 1)


struct ngx_http_graph_policy_changes_s {

    /* by whom, set by the caller */
    void                            *request;   /* NULL: nobody's request */
    ngx_log_t                       *log;       /* if there is no request */
    ngx_uint_t                       level;     /* of lines in the log */

    /* set by the zone, which begins with an empty list */
    ngx_uint_t                       n;
    ngx_uint_t                       lost;      /* had no place in views */
    ngx_uint_t                       evicted;   /* of any kind, for metrics */
    ngx_uint_t                       refused;   /* not remembered, likewise */
    ngx_uint_t                       full;      /* for want of memory */
    ngx_http_graph_policy_probe_e    probe;     /* NPROBES: none ended */
    ngx_http_graph_policy_view_t     views[NGX_HTTP_GRAPH_POLICY_NCHANGES];
                                                /* each with its transition */
};


#endif /* _NGX_HTTP_GRAPH_POLICY_CHANGE_H_INCLUDED_ */
