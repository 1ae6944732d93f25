
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Each change of a state is written to the error log and the event log, and
 * counted; one that waits for a status has the worker look again in time.  The
 * zone itself calls this, as soon as it is unlocked, with the list that a call
 * has filled, so that no change can be forgotten.
 *
 * Lock rule: none; lists and views are copies.  Memory: the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_event_log.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_sweep.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_list.h"


/* The names of transitions in the error log and the event log; NULL: none. */

static const struct {
    ngx_str_t    text;
    const char  *event;
} ngx_http_graph_policy_transitions[] = {
    { ngx_null_string, NULL },
    { ngx_string("set"), "set" },
    { ngx_string("re-armed"), "rearmed" },
    { ngx_string("cleared"), "cleared" },
    { ngx_string("probe told nothing"), NULL },
    { ngx_string("evicted"), "evicted" },
    { ngx_string("waits for the status of an accepted message"), NULL }
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_transitions,
                               NGX_HTTP_GRAPH_POLICY_NTRANSITIONS);


static void ngx_http_graph_policy_tell_state(ngx_http_request_t *r,
    ngx_log_t *log, ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_view_t *view, ngx_uint_t level);


void
ngx_http_graph_policy_changes_of(ngx_http_graph_policy_changes_t *changes,
    ngx_http_request_t *r, ngx_uint_t level)
{
    changes->request = r;
    changes->log = r->connection->log;
    changes->level = level;
}


void
ngx_http_graph_policy_tell_changes(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_log_t            log;
    ngx_uint_t           i;
    ngx_http_request_t  *r;

    ngx_http_graph_policy_zone_count_changes(zone, changes);

    /* "nginx -t" reads state files too, but its changes aren't real. */

    if (ngx_test_config
        || (changes->n == 0 && changes->lost == 0 && !changes->full))
    {
        return;
    }

    r = changes->request;

    ngx_http_graph_policy_plain_log(changes->log, &log);

    for (i = 0; i < changes->n; i++) {
        ngx_http_graph_policy_tell_state(r, &log, zone, &changes->views[i],
                                         changes->level);
    }

    if (changes->lost != 0) {
        ngx_log_error(changes->level, &log, 0,
                      "graph policy states evicted, %ui more, zone: \"%V\"",
                      changes->lost, &zone->name);
    }

    /*
     * A state file may have more states than fit into the zone; they are only
     * counted, as no request is affected.
     */

    if (changes->full && r != NULL) {
        ngx_log_error(NGX_LOG_ERR, &log, 0,
                      "graph_policy_zone \"%V\" has no room for a state",
                      &zone->name);
    }
}


static void
ngx_http_graph_policy_tell_state(ngx_http_request_t *r, ngx_log_t *log,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_view_t *view,
    ngx_uint_t level)
{
    u_char      *p, text[NGX_HTTP_GRAPH_POLICY_STATE_TEXT + 128];
    const char  *event;

    event = ngx_http_graph_policy_transitions[view->transition].event;

    if (event != NULL) {
        ngx_http_graph_policy_write_event(r, log, zone, view, event);
    }

    if (view->transition == NGX_HTTP_GRAPH_POLICY_AWAITED) {
        ngx_http_graph_policy_sweep_soon(zone, level);
    }

    if (view->transition == NGX_HTTP_GRAPH_POLICY_FREED
        || view->transition == NGX_HTTP_GRAPH_POLICY_AWAITED)
    {
        level = NGX_LOG_INFO;
    }

    if (log->log_level < level) {
        return;
    }

    /*
     * An error that sets a state is answered when its line is written, and a
     * format is read letter by letter: so most of the line is copied.
     */

    p = ngx_http_graph_policy_put(text, "graph policy state ");
    p = ngx_cpymem(p,
               ngx_http_graph_policy_transitions[view->transition].text.data,
               ngx_http_graph_policy_transitions[view->transition].text.len);
    p = ngx_http_graph_policy_put(p, ", ");
    p = ngx_http_graph_policy_write_state(p, view);
    p = ngx_http_graph_policy_put(p, ", hold: ");

    if (view->until == NGX_HTTP_GRAPH_POLICY_NEVER) {
        p = ngx_http_graph_policy_put(p, "until it is cleared");

    } else {
        p = ngx_http_graph_policy_write_number(p, view->hold);
        p = ngx_http_graph_policy_put(p, "ms");
    }

    p = ngx_http_graph_policy_put(p, ", zone: \"");

    ngx_log_error(level, log, 0, "%*s%V\"", (size_t) (p - text), text,
                  &zone->name);
}


void
ngx_http_graph_policy_tell_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view)
{
    ngx_log_t                           log;
    ngx_uint_t                          i;
    ngx_http_graph_policy_ref_t        *ref;
    ngx_http_graph_policy_view_t        each;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    ngx_http_graph_policy_log_request(ctx, view, "lets a probe pass");

    gmcf = ctx->zone->data;

    if (gmcf->event_log == NULL) {
        return;
    }

    ngx_http_graph_policy_plain_log(ctx->request->connection->log, &log);

    /* A probe may have the leases of several states, and each is an event. */

    for (i = 0; i < ctx->nrefs; i++) {
        ref = &ctx->refs[i];

        if (ref->lease == 0) {
            continue;
        }

        if (ngx_http_graph_policy_zone_find(ctx->zone, ref->hash, ref->reason,
                                            ngx_http_graph_policy_now(),
                                            &each)
            == NGX_OK)
        {
            ngx_http_graph_policy_write_event(ctx->request, &log, ctx->zone,
                                              &each, "probe");
        }
    }
}
