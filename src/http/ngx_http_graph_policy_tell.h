
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


/* an empty list of the changes that "r" makes, told in the log at "level" */
void ngx_http_graph_policy_changes_of(ngx_http_graph_policy_changes_t *changes,
    ngx_http_request_t *r, ngx_uint_t level);
/* the teller of all zones, whose data are the main conf */
void ngx_http_graph_policy_tell_changes(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
/* tells that the request is the probe of the leases it holds */
void ngx_http_graph_policy_tell_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view);


#endif /* _NGX_HTTP_GRAPH_POLICY_TELL_H_INCLUDED_ */
