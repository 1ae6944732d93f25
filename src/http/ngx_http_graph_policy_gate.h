
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
 * Handles a request before its upstream.  Returns NGX_DECLINED if it goes on,
 * NGX_DONE if it was answered or waits for its body, or the status to answer
 * with.
 */
ngx_int_t ngx_http_graph_policy_gate(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Looks the states up again before another attempt.  Returns 1 if one blocks
 * now, which is in ctx->view then.
 */
ngx_uint_t ngx_http_graph_policy_is_blocked_again(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);


#endif /* _NGX_HTTP_GRAPH_POLICY_GATE_H_INCLUDED_ */
