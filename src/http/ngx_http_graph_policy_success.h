
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SUCCESS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SUCCESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"


/*
 * The upstream answers with a 2xx whose header is about to go.  ctx->proving
 * says from here on that its body is to be read, as it may end a state.
 */
void ngx_http_graph_policy_start_proving(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/* Reads what "in" has of that body, and leaves it as it is. */
void ngx_http_graph_policy_prove(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_chain_t *in);

/* There is no body, and will be none. */
void ngx_http_graph_policy_stop_proving(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Counts Graph's answer to a message that was let through though it would have
 * been blocked; what is no message says nothing of those.
 */
void ngx_http_graph_policy_count_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_uint_t result);

/* A phone that has been registered anew may be probed by its next message. */
void ngx_http_graph_policy_note_registration(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);


#endif /* _NGX_HTTP_GRAPH_POLICY_SUCCESS_H_INCLUDED_ */
