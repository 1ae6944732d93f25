
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * States, one page at a time, and one alone.
 *
 * Lock rule: none of its own, a batch is formatted when the zone is free
 * again.  However many states there are, a page looks at so many only that no
 * other request waits for long.  Memory: the request's pool.
 */


#include "ngx_http_graph_policy_api.h"


/* nodes of the zone that a page looks at */
#define NGX_HTTP_GRAPH_POLICY_LOOKS  8192


static void ngx_http_graph_policy_api_page(
    ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter);
static void ngx_http_graph_policy_api_next(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_cursor_t *cursor);


ngx_int_t
ngx_http_graph_policy_api_list(ngx_http_graph_policy_call_t *call)
{
    const char                      *wrong;
    ngx_http_graph_policy_answer_t   answer;
    ngx_http_graph_policy_filter_t   filter;

    wrong = ngx_http_graph_policy_api_filter(call, 1, &filter);

    if (wrong != NULL) {
        return ngx_http_graph_policy_api_error(call->request,
                                               NGX_HTTP_BAD_REQUEST, "%s",
                                               wrong);
    }

    ngx_http_graph_policy_api_begin(&answer, call->request);

    ngx_http_graph_policy_gen_object(&answer.gen, NULL);
    ngx_http_graph_policy_api_page(&answer, call->zone, &filter);
    ngx_http_graph_policy_gen_close_object(&answer.gen);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}


/* "next" is there only if there is something behind it, or may be */

static void
ngx_http_graph_policy_api_page(ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter)
{
    uint64_t                         now;
    ngx_uint_t                       i, n, listed, looked;
    ngx_http_graph_policy_gen_t     *gen;
    ngx_http_graph_policy_view_t     views[NGX_HTTP_GRAPH_POLICY_BATCH];
    ngx_http_graph_policy_cursor_t   last, *next;

    gen = &answer->gen;
    now = ngx_http_graph_policy_now();
    next = &filter->cursor;
    listed = 0;
    looked = 0;

    ngx_memzero(&last, sizeof(ngx_http_graph_policy_cursor_t));

    ngx_http_graph_policy_gen_array(gen, "states");

    while (!filter->cursor.done && looked < NGX_HTTP_GRAPH_POLICY_LOOKS) {

        n = ngx_http_graph_policy_api_batch(zone, filter, now, views);
        looked += NGX_HTTP_GRAPH_POLICY_BATCH;

        for (i = 0; i < n && listed < filter->limit; i++) {

            ngx_http_graph_policy_api_state(gen, &views[i], now);
            listed++;

            last.hash = views[i].hash;
            last.reason = views[i].stored_reason;
            last.limited = (views[i].kind == NGX_HTTP_GRAPH_POLICY_KEY_LIMITED);
            last.begun = 1;
        }

        if (i < n) {
            next = &last;
            break;
        }
    }

    ngx_http_graph_policy_gen_close_array(gen);

    ngx_http_graph_policy_api_next(gen, next);
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
                    (int) (cursor->begun | cursor->limited << 1));

    ngx_http_graph_policy_gen_text(gen, "next", text, p - text);
}


ngx_int_t
ngx_http_graph_policy_api_one(ngx_http_graph_policy_call_t *call)
{
    uint64_t                         hash, now;
    ngx_uint_t                       reason;
    ngx_http_graph_policy_view_t     view;
    ngx_http_graph_policy_answer_t   answer;

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
    ngx_http_graph_policy_api_state(&answer.gen, &view, now);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}
