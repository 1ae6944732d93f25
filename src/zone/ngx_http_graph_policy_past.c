
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What became of a zone's states: each change is noted, in memory that is set
 * aside for that, so that the API can tell the past of a state.
 *
 * Conversations are left out.  There may be a million of them, which nobody
 * probes, and one campaign would push out all that is known of the others.
 *
 * Lock rule: called with the mutex held.  Memory: pages of the zone, taken when
 * it is made.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_past.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_trail.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * A part of the zone's pages: 128 steps in 1m, 2048 in 16m and in what is
 * larger, where a reader would hold the mutex for too long otherwise.
 */
#define NGX_HTTP_GRAPH_POLICY_PAST_PART   240
#define NGX_HTTP_GRAPH_POLICY_PAST_PAGES  16


void
ngx_http_graph_policy_past_init(ngx_slab_pool_t *shpool,
    ngx_http_graph_policy_shctx_t *sh)
{
    size_t                          size;
    ngx_uint_t                      pages;
    ngx_http_graph_policy_trail_t  *trail;

    trail = &sh->trail;

    pages = shpool->pfree / NGX_HTTP_GRAPH_POLICY_PAST_PART;
    pages = ngx_min(ngx_max(pages, 1), NGX_HTTP_GRAPH_POLICY_PAST_PAGES);
    size = pages * ngx_pagesize;

    trail->n = 0;
    trail->size = size / sizeof(ngx_http_graph_policy_step_t);
    trail->steps = ngx_slab_alloc_locked(shpool, size);
}


void
ngx_http_graph_policy_past_note(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_view_t *view, ngx_uint_t what, uint64_t now,
    ngx_uint_t elsewhere)
{
    ngx_http_graph_policy_step_t  step;

    if (what == NGX_HTTP_GRAPH_POLICY_NOTHING
        || what == NGX_HTTP_GRAPH_POLICY_EVICTED
        || view->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION
        || view->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED)
    {
        return;
    }

    step.hash = view->hash;
    step.time = now;
    step.code = view->code;
    step.hold = (view->until == NGX_HTTP_GRAPH_POLICY_NEVER) ? 0 : view->hold;
    step.reason = view->stored_reason;
    step.what = (uint8_t) what;
    step.source = view->source;
    step.elsewhere = (uint8_t) elsewhere;

    ngx_http_graph_policy_trail_add(&sh->trail, &step);
}


void
ngx_http_graph_policy_past_publish(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t     now;
    ngx_uint_t   i;

    if (changes->n == 0) {
        return;
    }

    now = ngx_http_graph_policy_now();

    for (i = 0; i < changes->n; i++) {
        ngx_http_graph_policy_past_note(sh, &changes->views[i],
                                        changes->views[i].transition, now, 0);
    }
}
