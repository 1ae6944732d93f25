
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_GATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"


/*
 * What a location of sends does before its upstream: NGX_DECLINED to go on,
 * NGX_DONE, or a status.
 */
ngx_int_t ngx_http_graph_policy_gate(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Looks the states up again before another try: whether one blocks now, which
 * is in ctx->view then.
 */
ngx_uint_t ngx_http_graph_policy_is_blocked_again(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);


#endif /* _NGX_HTTP_GRAPH_POLICY_GATE_H_INCLUDED_ */
