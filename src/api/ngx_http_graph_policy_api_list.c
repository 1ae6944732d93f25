
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Shows states, one page at a time, or a single one.
 *
 * No lock is taken here; a batch of copies is formatted after the zone is
 * unlocked.  Memory comes from the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


/* States that a step writes, and nodes that it looks at. */
#define NGX_HTTP_GRAPH_POLICY_STEP   16
#define NGX_HTTP_GRAPH_POLICY_LOOKS  128

/*
 * Nodes that a page looks at, so a page may be short if a filter excludes
 * many.
 */
#define NGX_HTTP_GRAPH_POLICY_PAGE   16384


static ngx_int_t ngx_http_graph_policy_api_list_some(
    ngx_http_graph_policy_walk_t *walk);
static ngx_uint_t ngx_http_graph_policy_api_list_batch(
    ngx_http_graph_policy_walk_t *walk);
static void ngx_http_graph_policy_api_next(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_cursor_t *cursor);


ngx_int_t
ngx_http_graph_policy_api_list(ngx_http_graph_policy_call_t *call)
{
    const char                    *wrong;
    ngx_http_graph_policy_walk_t  *walk;

    walk = ngx_http_graph_policy_api_new_walk(call);
    if (walk == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wrong = ngx_http_graph_policy_api_filter(call, 1, &walk->filter);

    if (wrong != NULL) {
        return ngx_http_graph_policy_api_error(call->request,
                                               NGX_HTTP_BAD_REQUEST, "%s",
                                               wrong);
    }

    ngx_http_graph_policy_api_begin(&walk->answer, call->request);

    ngx_http_graph_policy_gen_object(&walk->answer.gen, NULL);
    ngx_http_graph_policy_gen_array(&walk->answer.gen, "states");

    return ngx_http_graph_policy_api_walk(walk,
                                         ngx_http_graph_policy_api_list_some);
}


/* A step of a list.  "next" is null only if certainly nothing follows. */

static ngx_int_t
ngx_http_graph_policy_api_list_some(ngx_http_graph_policy_walk_t *walk)
{
    ngx_uint_t                       listed, looked;
    ngx_http_graph_policy_gen_t     *gen;
    ngx_http_graph_policy_cursor_t  *next;

    listed = walk->listed;
    looked = walk->looked;
    next = &walk->filter.cursor;

    while (!walk->filter.cursor.done
           && walk->looked < NGX_HTTP_GRAPH_POLICY_PAGE)
    {
        if (walk->listed - listed >= NGX_HTTP_GRAPH_POLICY_STEP
            || walk->looked - looked >= NGX_HTTP_GRAPH_POLICY_LOOKS)
        {
            return NGX_DECLINED;
        }

        if (!ngx_http_graph_policy_api_list_batch(walk)) {
            next = &walk->last;
            break;
        }
    }

    gen = &walk->answer.gen;

    ngx_http_graph_policy_gen_close_array(gen);
    ngx_http_graph_policy_api_next(gen, next);
    ngx_http_graph_policy_gen_close_object(gen);

    return ngx_http_graph_policy_api_end(&walk->answer, NGX_HTTP_OK);
}


/* Returns 0 if there are more states than the page takes. */

static ngx_uint_t
ngx_http_graph_policy_api_list_batch(ngx_http_graph_policy_walk_t *walk)
{
    uint64_t                       now;
    ngx_uint_t                     i, n;
    ngx_http_graph_policy_view_t   views[NGX_HTTP_GRAPH_POLICY_BATCH], *view;

    now = ngx_http_graph_policy_now();

    n = ngx_http_graph_policy_api_batch(walk->zone, &walk->filter, now, views);
    walk->looked += NGX_HTTP_GRAPH_POLICY_BATCH;

    for (i = 0; i < n; i++) {
        view = &views[i];

        if (walk->listed == walk->filter.limit) {
            return 0;
        }

        ngx_http_graph_policy_api_state(&walk->answer.gen, view, now);
        walk->listed++;

        walk->last.hash = view->hash;
        walk->last.reason = view->stored_reason;
        walk->last.tree = (view->kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED);
        walk->last.begun = 1;
    }

    return 1;
}


static void
ngx_http_graph_policy_api_next(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_cursor_t *cursor)
{
    u_char  *p, text[NGX_HTTP_GRAPH_POLICY_NEXT_LEN];

    if (cursor->done) {
        ngx_http_graph_policy_gen_null(gen, "next");
        return;
    }

    p = ngx_sprintf(text, "%016xL%02xd%d", cursor->hash, (int) cursor->reason,
                    (int) (cursor->begun | cursor->tree << 1));

    ngx_http_graph_policy_gen_text(gen, "next", text, p - text);
}


ngx_int_t
ngx_http_graph_policy_api_one(ngx_http_graph_policy_call_t *call)
{
    uint64_t                         hash, now;
    ngx_uint_t                       reason, n;
    ngx_http_graph_policy_view_t     view;
    ngx_http_graph_policy_step_t     steps[NGX_HTTP_GRAPH_POLICY_STEPS];
    ngx_http_graph_policy_api_answer_t   answer;

    now = ngx_http_graph_policy_now();

    if (ngx_http_graph_policy_api_id(&call->id, &hash, &reason) != NGX_OK
        || ngx_http_graph_policy_zone_find(call->zone, hash, reason, now,
                                           &view)
           != NGX_OK)
    {
        return ngx_http_graph_policy_api_error(call->request,
                                               NGX_HTTP_NOT_FOUND,
                                               "there is no such state");
    }

    ngx_http_graph_policy_api_begin(&answer, call->request);
    ngx_http_graph_policy_api_open_state(&answer.gen, &view, now);

    if (ngx_http_graph_policy_zone_past(call->zone, &view, steps, &n)
        == NGX_OK)
    {
        ngx_http_graph_policy_api_past(&answer.gen, steps, n);

    } else {
        ngx_http_graph_policy_gen_null(&answer.gen, "events");
    }

    ngx_http_graph_policy_gen_close_object(&answer.gen);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}
