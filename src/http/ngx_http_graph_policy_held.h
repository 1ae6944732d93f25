
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_HELD_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_HELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"


/*
 * Appends the contents of "b" to the copy of an error's body.  Returns NGX_OK;
 * NGX_DECLINED if the body isn't in memory or is longer than "bound" bytes,
 * "b" is left as it is then; NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_collect_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound);


#endif /* _NGX_HTTP_GRAPH_POLICY_HELD_H_INCLUDED_ */
