
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_LOG_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_LOG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * Copies a connection's log without the handler that appends the request line.
 */
void ngx_http_graph_policy_plain_log(ngx_log_t *log, ngx_log_t *plain);

/*
 * The greatest length of a state in a line of the log: its fields and the
 * words between them.
 */
#define NGX_HTTP_GRAPH_POLICY_STATE_TEXT                                      \
    (NGX_HTTP_GRAPH_POLICY_KEY_LEN + NGX_HTTP_GRAPH_POLICY_TRACE_LEN          \
     + NGX_HTTP_GRAPH_POLICY_FP_LEN + 2 * NGX_INT64_LEN + 192)

/*
 * Writes a state as the log shows it, at most STATE_TEXT bytes.  Returns the
 * end of the text.
 */
u_char *ngx_http_graph_policy_write_state(u_char *p,
    ngx_http_graph_policy_view_t *view);

/* Logs at level "info" the effect of a state on the request. */
void ngx_http_graph_policy_log_request(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view, const char *what);

/*
 * Warns, once for each worker, that another answer has replaced the upstream's
 * error, so that the policy can't read it.
 */
void ngx_http_graph_policy_warn_intercepted(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone);

/*
 * Logs, once for each location and worker, that "view" is due for a probe, but
 * that a request there can't be one, since it "why".
 */
void ngx_http_graph_policy_log_no_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_http_graph_policy_view_t *view,
    const char *why);


#endif /* _NGX_HTTP_GRAPH_POLICY_LOG_H_INCLUDED_ */
