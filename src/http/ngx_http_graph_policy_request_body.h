
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_REQUEST_BODY_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_REQUEST_BODY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"


/*
 * Reads the body before the gate.  NGX_OK: it is there; NGX_DONE: the request
 * waits for it and enters the phase again; or a status.
 */
ngx_int_t ngx_http_graph_policy_read_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * Whether the body goes upstream only when it is there in full, as it does
 * unless "proxy_request_buffering" is off.
 */
ngx_uint_t ngx_http_graph_policy_is_body_buffered(ngx_http_request_t *r);

/*
 * The body that was read, in one piece; where it lies in one it isn't copied,
 * else it is *allocated for the caller to free.  NGX_DECLINED if it is larger
 * than "max" bytes; NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_gather_body(ngx_http_request_t *r, size_t max,
    ngx_str_t *body, u_char **allocated);
/*
 * Keeps the temporary file that the request's body is in, if that may be a
 * message, until the request ends: the upstream would close it with the header
 * of its answer, and the log may ask after that to whom the message went.
 */
void ngx_http_graph_policy_preserve_message(ngx_http_request_t *r);
/* "len" bytes at "offset" of the file that "b" is in, or NGX_ERROR */
ngx_int_t ngx_http_graph_policy_read_body_part(ngx_http_request_t *r,
    ngx_buf_t *b, u_char *p, size_t len, off_t offset);


#endif /* _NGX_HTTP_GRAPH_POLICY_REQUEST_BODY_H_INCLUDED_ */
