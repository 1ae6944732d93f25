
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
 * Settles the leases that the request holds by the proof of its answer; the
 * verdict is that of an error, else NULL.  A second call does nothing.
 */
void ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict);

/* Fills in the answer for the zone; "verdict" is NULL if it isn't an error. */
void ngx_http_graph_policy_answer_of(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_answer_t *answer);

/*
 * Starts to renew a probe's leases until they are settled.  Returns NGX_OK, or
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_start_renewal(
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_LEASE_H_INCLUDED_ */
