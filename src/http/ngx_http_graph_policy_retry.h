
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_RETRY_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_RETRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"


/*
 * Parks the request if its classified answer, whose last buffer is "b", isn't
 * final and the request may be sent again.  Returns NGX_DONE if it is parked,
 * which the body filter has to return; NGX_DECLINED if the answer is to be
 * delivered; or NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_retry(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_buf_t *b);
void ngx_http_graph_policy_log_retry(ngx_http_graph_policy_ctx_t *ctx,
    ngx_uint_t level, const char *what);


#endif /* _NGX_HTTP_GRAPH_POLICY_RETRY_H_INCLUDED_ */
