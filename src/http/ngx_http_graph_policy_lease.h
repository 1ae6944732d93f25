
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_rules.h"


/*
 * Tells the states whose leases the request holds what came of it; the
 * verdict is NULL where no classified error came.  Settles only once.
 */
void ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_probe_outcome_e outcome,
    ngx_http_graph_policy_verdict_t *verdict);

/* keeps a probe's leases until they are settled; NGX_ERROR: no memory */
ngx_int_t ngx_http_graph_policy_start_renewal(
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_ */
