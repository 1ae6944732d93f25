
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_REPLY_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_REPLY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"


/*
 * Answers the request in Graph's place with the state in ctx->view, and
 * finalizes it.  STATUS_UPSTREAM as "status" stands for that of the state.
 */
void ngx_http_graph_policy_reply(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_uint_t status);


#endif /* _NGX_HTTP_GRAPH_POLICY_REPLY_H_INCLUDED_ */
