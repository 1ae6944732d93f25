
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_TELL_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_TELL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_zone.h"


/* Makes an empty list for changes by "r", which are logged at "level". */
void ngx_http_graph_policy_changes_of(ngx_http_graph_policy_changes_t *changes,
    ngx_http_request_t *r, ngx_uint_t level);
/* The teller of all zones; zone->data is the main configuration. */
void ngx_http_graph_policy_tell_changes(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
/* Logs that the request is the probe of the states whose leases it holds. */
void ngx_http_graph_policy_tell_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view);


#endif /* _NGX_HTTP_GRAPH_POLICY_TELL_H_INCLUDED_ */
