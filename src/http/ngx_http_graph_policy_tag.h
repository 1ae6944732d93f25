
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_TAG_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_TAG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"


/*
 * Adds the headers that local answers and classified answers of the upstream
 * have in common.  Returns NGX_OK, or NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
/* Adds the headers of an accepted probe or retry; returns as tag() does. */
ngx_int_t ngx_http_graph_policy_tag_accepted(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * Removes response headers of the upstream that have the module's own names,
 * and its Retry-After unless "keep_retry_after" is set.
 */
void ngx_http_graph_policy_strip(ngx_http_request_t *r,
    ngx_uint_t keep_retry_after);

/*
 * Adds a response header.  The name, of "len" bytes, is a literal, and the
 * text of the value must live as long as the request.  Returns NGX_OK, or
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_add_header(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *value);


#endif /* _NGX_HTTP_GRAPH_POLICY_TAG_H_INCLUDED_ */
