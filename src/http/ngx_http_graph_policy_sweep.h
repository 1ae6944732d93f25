
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SWEEP_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SWEEP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_http_graph_policy_zone.h"


struct ngx_http_graph_policy_sweep_s {
    ngx_event_t                      event;
    ngx_uint_t                       level;     /* log level of lines */
};


/* Has this worker end the states whose wait for a status is over, in time. */
void ngx_http_graph_policy_sweep_soon(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t level);
/*
 * Does so for each zone of the cycle that has such states from before; "tag" is
 * that of the zones' memory.
 */
void ngx_http_graph_policy_sweeps_start(ngx_cycle_t *cycle, void *tag);


#endif /* _NGX_HTTP_GRAPH_POLICY_SWEEP_H_INCLUDED_ */
