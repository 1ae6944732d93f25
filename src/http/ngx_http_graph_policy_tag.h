
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
 * Response headers that both local answers and the upstream's bear.
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
/* the same for an accepted probe or retry */
ngx_int_t ngx_http_graph_policy_tag_accepted(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * Takes off what the upstream sent under our names, its Retry-After included
 * unless that is to be kept.
 */
void ngx_http_graph_policy_strip(ngx_http_request_t *r,
    ngx_uint_t keep_retry_after);

/*
 * Adds a response header; the name, of "len" bytes, is a literal, and what the
 * value points to outlives the request.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_graph_policy_add_header(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *value);


#endif /* _NGX_HTTP_GRAPH_POLICY_TAG_H_INCLUDED_ */
