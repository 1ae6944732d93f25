
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tells of each change of a state, in the error log and in the event log.  All
 * changes come through here, whoever made them.
 *
 * Lock rule: none; called when the zone is unlocked, with copies.  Memory: the
 * stack's.
 */


#include "ngx_http_graph_policy_http.h"


/* what a change is called in the error log, and as an event; NULL: it's none */

static const struct {
    const char  *text;
    const char  *event;
} ngx_http_graph_policy_transitions[] = {
    { "", NULL },
    { "set", "set" },
    { "re-armed", "rearmed" },
    { "cleared", "cleared" },
    { "probe told nothing", NULL },
    { "evicted", "evicted" }
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_transitions,
                               NGX_HTTP_GRAPH_POLICY_NTRANSITIONS);


void
ngx_http_graph_policy_tell_state(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_view_t *view,
    ngx_uint_t level)
{
    u_char      *p, text[NGX_HTTP_GRAPH_POLICY_STATE_TEXT];
    ngx_log_t    log;
    const char  *event;

    if (view->transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    event = ngx_http_graph_policy_transitions[view->transition].event;

    if (event != NULL) {
        ngx_http_graph_policy_write_event(r, zone, view, event);
    }

    if (view->transition == NGX_HTTP_GRAPH_POLICY_FREED) {
        level = NGX_LOG_INFO;
    }

    ngx_http_graph_policy_plain_log(r, &log);

    if (log.log_level < level) {
        return;
    }

    p = ngx_http_graph_policy_write_state(text, view);

    ngx_log_error(level, &log, 0,
                  "graph policy state %s, %*s, hold: %uDms, zone: \"%V\"",
                  ngx_http_graph_policy_transitions[view->transition].text,
                  (size_t) (p - text), text, view->hold, &zone->name);
}


void
ngx_http_graph_policy_log_state(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_tell_state(ctx->request, ctx->zone, view,
                                     ctx->log_level);
}


void
ngx_http_graph_policy_tell_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                          i;
    ngx_http_graph_policy_ref_t        *ref;
    ngx_http_graph_policy_view_t        each;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    ngx_http_graph_policy_log_request(ctx, view, "lets a probe pass");

    gmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_graph_policy_module);

    if (gmcf->event_log == NULL) {
        return;
    }

    /* one probe may have the leases of several states */

    for (i = 0; i < ctx->nrefs; i++) {
        ref = &ctx->refs[i];

        if (ngx_http_graph_policy_zone_find(ctx->zone, ref->hash, ref->reason,
                                            ngx_http_graph_policy_now(),
                                            &each)
            == NGX_OK)
        {
            ngx_http_graph_policy_write_event(ctx->request, ctx->zone, &each,
                                              "probe");
        }
    }
}
