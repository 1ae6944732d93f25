
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_CLASSIFY_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_CLASSIFY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_outcome.h"


/*
 * classify() fills in ctx->facts and ctx->verdict of the held answer; an answer
 * that can't be read is unclassified.  learn_answer() then lets the zone learn
 * it, and may raise ctx->hint.
 */
void ngx_http_graph_policy_classify(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
void ngx_http_graph_policy_learn_answer(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Fills in the holds of a location.  "conversation_hold" is the longest of its
 * zone, or 0 if no location of the zone gates conversations.
 */
void ngx_http_graph_policy_limits(ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_msec_t conversation_hold, ngx_http_graph_policy_limits_t *limits);



#endif /* _NGX_HTTP_GRAPH_POLICY_CLASSIFY_H_INCLUDED_ */
