
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
 * To be called before the header of an upstream's 2xx is sent.  Sets
 * ctx->proving if the body is to be read, as it may end a state.
 */
void ngx_http_graph_policy_start_proving(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/* Reads the part of that body that is in "in", and doesn't change it. */
void ngx_http_graph_policy_prove(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_chain_t *in);

/* To be called instead of prove() if the answer has no body. */
void ngx_http_graph_policy_stop_proving(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Counts Graph's answer to a message that would have been blocked but for dry
 * run.  Answers to other requests say nothing of messages and aren't counted.
 */
void ngx_http_graph_policy_count_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_uint_t result);

/* A phone that was registered anew may send: its next message is the probe. */
void ngx_http_graph_policy_note_registration(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);


#endif /* _NGX_HTTP_GRAPH_POLICY_SUCCESS_H_INCLUDED_ */
