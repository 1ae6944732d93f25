
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone_learn.h"


/*
 * Tells the states whose leases the request holds what its answer proves; the
 * verdict is that of an error, else NULL.  Settles only once.
 */
void ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict);

/* Fills in what the zone has to know of the answer. */
void ngx_http_graph_policy_answer_of(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_answer_t *answer);

/* keeps a probe's leases until they are settled; NGX_ERROR: no memory */
ngx_int_t ngx_http_graph_policy_start_renewal(
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_ */
