
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Writes lines of the error log, with the text of a state.
 *
 * No lock is taken, as views are copies.  Memory is on the stack.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * The handler of a connection's log appends the request line, which may
 * contain a token, so lines are logged to a copy without the handler.
 */

void
ngx_http_graph_policy_plain_log(ngx_log_t *log, ngx_log_t *plain)
{
    *plain = *log;

    plain->handler = NULL;
    plain->action = NULL;
}


void
ngx_http_graph_policy_log_request(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view, const char *what)
{
    u_char     *p, text[NGX_HTTP_GRAPH_POLICY_STATE_TEXT];
    ngx_log_t   log;

    if (ctx->request->connection->log->log_level < NGX_LOG_INFO) {
        return;
    }

    ngx_http_graph_policy_plain_log(ctx->request->connection->log, &log);

    p = ngx_http_graph_policy_write_state(text, view);

    ngx_log_error(NGX_LOG_INFO, &log, 0,
                  "graph policy %s, %*s, zone: \"%V\"", what,
                  (size_t) (p - text), text, &ctx->zone->name);
}


void
ngx_http_graph_policy_log_no_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_http_graph_policy_view_t *view,
    const char *why)
{
    u_char                    *p, text[NGX_HTTP_GRAPH_POLICY_STATE_TEXT];
    ngx_log_t                  log;
    ngx_http_core_loc_conf_t  *clcf;

    if (glcf->no_probe_told || view->until > ngx_http_graph_policy_now()) {
        return;
    }

    glcf->no_probe_told = 1;

    clcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_core_module);

    ngx_http_graph_policy_plain_log(ctx->request->connection->log, &log);

    p = ngx_http_graph_policy_write_state(text, view);

    ngx_log_error(NGX_LOG_ERR, &log, 0,
                  "graph policy has no probe for a state that is due: a "
                  "request in location \"%V\" %s, %*s, zone: \"%V\"",
                  &clcf->name, why, (size_t) (p - text), text,
                  &ctx->zone->name);
}


/*
 * The text contains fingerprints and the ids of phones and accounts, but no
 * secrets.
 */

u_char *
ngx_http_graph_policy_write_state(u_char *p,
    ngx_http_graph_policy_view_t *view)
{
    ngx_str_t  *scope;

    scope = &ngx_http_graph_policy_scopes[
                            ngx_http_graph_policy_key_scopes[view->kind]];

    p = ngx_http_graph_policy_put(p, "scope: ");
    p = ngx_cpymem(p, scope->data, scope->len);

    if (view->kind == NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE) {
        p = ngx_http_graph_policy_put(p, ", of phone: \"");
        p = ngx_cpymem(p, view->key, view->key_len);
        *p++ = '"';

    } else if (view->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION
               || view->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED)
    {
        p = ngx_sprintf(p, ", key: %016xL", view->hash);

    } else if (view->key_len != 0) {
        p = ngx_http_graph_policy_put(p, ", key: \"");
        p = ngx_cpymem(p, view->key, view->key_len);
        *p++ = '"';
    }

    if (view->credential != 0) {
        p = ngx_sprintf(p, ", credential: %016xL", view->credential);
    }

    p = ngx_http_graph_policy_put(p, ", reason: ");
    p = ngx_cpymem(p, ngx_http_graph_policy_reasons[view->reason].slug.data,
                   ngx_http_graph_policy_reasons[view->reason].slug.len);

    if (view->code != -1) {
        p = ngx_http_graph_policy_put(p, ", code: ");
        p = ngx_http_graph_policy_write_number(p, view->code);
    }

    if (view->subcode != -1) {
        *p++ = '/';
        p = ngx_http_graph_policy_write_number(p, view->subcode);
    }

    if (view->trace_len != 0) {
        p = ngx_http_graph_policy_put(p, ", trace: \"");
        p = ngx_cpymem(p, view->trace, view->trace_len);
        *p++ = '"';
    }

    return p;
}


/*
 * An error_page replaces the body of the upstream's error before the module
 * sees it, so the policy can't work; that is worth a warning.
 */

void
ngx_http_graph_policy_warn_intercepted(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone)
{
    ngx_log_t             log;
    ngx_http_upstream_t  *u;

    static ngx_uint_t  warned;

    u = r->upstream;

    /* A handler that ran out of memory may have set the upstream up in part. */

    if (warned || u == NULL || u->cleanup != NULL || r->cached
        || u->conf == NULL || !u->conf->intercept_errors
        || u->headers_in.status_n < NGX_HTTP_BAD_REQUEST)
    {
        return;
    }

    warned = 1;

    ngx_http_graph_policy_plain_log(r->connection->log, &log);

    ngx_log_error(NGX_LOG_ERR, &log, 0,
                  "graph policy doesn't see errors that "
                  "\"proxy_intercept_errors\" gives to an \"error_page\", "
                  "the first one had the status %ui, zone: \"%V\"",
                  u->headers_in.status_n, &zone->name);
}
