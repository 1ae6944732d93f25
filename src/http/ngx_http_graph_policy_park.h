
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PARK_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PARK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"


/*
 * Adds a small block to the pool of a request that may be sent again.  All that
 * such a request needs is a little more than two of nginx's blocks, of 4k each
 * by default, and a third one would stand nearly empty while the request waits.
 * The pool frees the block with its own.
 */
void ngx_http_graph_policy_add_room(ngx_pool_t *pool);

/*
 * Saves all that the content phase changes.  Returns NGX_OK, or NGX_ERROR if
 * there is no memory.
 */
ngx_int_t ngx_http_graph_policy_take_snapshot(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
/*
 * Resets the response headers to the snapshot: those of earlier phases stay,
 * and those of the upstream go.
 */
void ngx_http_graph_policy_rewind(ngx_http_request_t *r,
    ngx_http_graph_policy_snapshot_t *snapshot);

/*
 * wait() starts the request's timer and counts it among those that wait, until
 * the timer fires or the request is destroyed; unpark() ends that.  parked()
 * returns how many of this worker's wait.
 */
void ngx_http_graph_policy_wait(ngx_http_graph_policy_ctx_t *ctx,
    ngx_event_handler_pt handler, ngx_msec_t delay);
void ngx_http_graph_policy_unpark(ngx_http_graph_policy_ctx_t *ctx);
ngx_uint_t ngx_http_graph_policy_parked(void);

/* Drops the held answer. */
void ngx_http_graph_policy_forget(ngx_http_graph_policy_ctx_t *ctx);

/*
 * Joins the tries of all attempts in r->upstream_states, as if nginx had made
 * them in one.
 */
void ngx_http_graph_policy_join_states(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_PARK_H_INCLUDED_ */
