
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
 * Forgets the copy of an earlier answer, and notes how the body of this one is
 * coded, before filters behind ours code it for the client.
 */
void ngx_http_graph_policy_begin_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * Append the contents of "b" to the copy.  They return NGX_OK; NGX_DECLINED if
 * the body can't be had whole in "bound" bytes; NGX_ERROR if there is no
 * memory.  collect_body() marks "b" as consumed, unless it is declined, and
 * takes nothing from a file; copy_body() leaves "b" as it is.
 */
ngx_int_t ngx_http_graph_policy_collect_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound);
ngx_int_t ngx_http_graph_policy_copy_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound);

/*
 * The whole body as plain text; where it is coded it is inflated into what is
 * *allocated for the caller to free.  NGX_DECLINED if that can't be had within
 * "bound" bytes.
 */
ngx_int_t ngx_http_graph_policy_plain_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, size_t bound, ngx_str_t *text,
    u_char **allocated);


#endif /* _NGX_HTTP_GRAPH_POLICY_HELD_H_INCLUDED_ */
