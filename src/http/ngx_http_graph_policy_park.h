
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PARK_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PARK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"


/* Keeps what the content phase will change.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_graph_policy_take_snapshot(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
/* what earlier phases put there stays, what the upstream put there goes */
void ngx_http_graph_policy_rewind(ngx_http_request_t *r,
    ngx_http_graph_policy_snapshot_t *snapshot);

/*
 * Counts the request among those that wait, until the timer fires or it goes;
 * the number of those in this worker.
 */
void ngx_http_graph_policy_wait(ngx_http_graph_policy_ctx_t *ctx,
    ngx_event_handler_pt handler, ngx_msec_t delay);
void ngx_http_graph_policy_unpark(ngx_http_graph_policy_ctx_t *ctx);
ngx_uint_t ngx_http_graph_policy_parked(void);

/* drops the answer that was held */
void ngx_http_graph_policy_forget(ngx_http_graph_policy_ctx_t *ctx);

/* shows the tries of all attempts as those of one */
void ngx_http_graph_policy_join_states(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_PARK_H_INCLUDED_ */
