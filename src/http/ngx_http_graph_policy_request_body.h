
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
 * Reads the body before the gate.  Returns NGX_OK if it is there; NGX_DONE if
 * the request waits for it and enters the phase again then; or a status.
 */
ngx_int_t ngx_http_graph_policy_read_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/* Answers a request, and finalizes it. */
typedef void (*ngx_http_graph_policy_answer_pt)(ngx_http_request_t *r,
    void *data);


/*
 * To be called before a request is answered without an upstream.  By HTTP/2 and
 * HTTP/3, nginx resets a stream whose body it doesn't want (RFC 9113, 8.1), and
 * there are clients that throw the complete answer away for it, such as libcurl
 * 7.88.  So the body is read first, and dropped: up to 64 kB of it, for no
 * longer than client_body_timeout lasts.
 *
 * Returns NGX_DECLINED if nothing is read, and the caller answers at once; or a
 * status; or NGX_DONE if answer() was or will be called with "data".  Then the
 * caller has to give a reference of the request back: a content handler by
 * returning NGX_DONE, others by finalizing the request with it.
 */
ngx_int_t ngx_http_graph_policy_drop_body(ngx_http_request_t *r,
    ngx_http_graph_policy_answer_pt answer, void *data);

/*
 * Returns 1 if the body goes to the upstream only when it has been read in
 * full, which it does unless "proxy_request_buffering" is off.
 */
ngx_uint_t ngx_http_graph_policy_is_body_buffered(ngx_http_request_t *r);

/*
 * Sets "body" to the body that was read, in one piece.  Unless it lies in one
 * piece it is copied: a small one to memory that the next call uses again, a
 * larger one to *allocated, which the caller has set to NULL and frees.
 * Returns NGX_OK, NGX_DECLINED if the body is larger than "max" bytes, or
 * NGX_ERROR if there is no memory or the file can't be read.
 */
ngx_int_t ngx_http_graph_policy_gather_body(ngx_http_request_t *r, size_t max,
    ngx_str_t *body, u_char **allocated);
/*
 * Keeps the temporary file that the request's body is in, if that may be a
 * message, until the request ends: the upstream would close it with the header
 * of its answer, and the log may ask after that to whom the message went.
 */
void ngx_http_graph_policy_preserve_message(ngx_http_request_t *r);
/*
 * Reads "len" bytes at "offset" of the file that "b" is in to "p".  Returns
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_read_body_part(ngx_http_request_t *r,
    ngx_buf_t *b, u_char *p, size_t len, off_t offset);


#endif /* _NGX_HTTP_GRAPH_POLICY_REQUEST_BODY_H_INCLUDED_ */
