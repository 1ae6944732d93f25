
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Clears states by hand, one or all.
 *
 * Lock rule: none of its own.  However many states there are, one event clears
 * so many only that no other request waits for long; a timer goes on.  Memory:
 * the request's pool, whose cleanup takes the timer back.
 */


#include "ngx_http_graph_policy_api.h"


/* nodes of the zone that one event looks at */
#define NGX_HTTP_GRAPH_POLICY_CLEARS  1024


typedef struct {
    ngx_http_request_t              *request;
    ngx_http_graph_policy_zone_t    *zone;
    ngx_uint_t                       log_level;
    ngx_http_graph_policy_filter_t   filter;
    ngx_event_t                      event;
} ngx_http_graph_policy_clearing_t;


static ngx_uint_t ngx_http_graph_policy_api_clear_some(
    ngx_http_graph_policy_clearing_t *clearing);
static void ngx_http_graph_policy_api_clear_more(ngx_event_t *ev);
static void ngx_http_graph_policy_api_clear_cleanup(void *data);


ngx_int_t
ngx_http_graph_policy_api_clear(ngx_http_graph_policy_call_t *call)
{
    uint64_t                       hash;
    ngx_uint_t                     reason;
    ngx_http_graph_policy_view_t   view;

    if (ngx_http_graph_policy_api_id(&call->id, &hash, &reason) != NGX_OK
        || ngx_http_graph_policy_zone_end(call->zone, hash, reason,
                                          ngx_http_graph_policy_now(), &view)
           != NGX_OK)
    {
        return ngx_http_graph_policy_api_error(call->request,
                                               NGX_HTTP_NOT_FOUND,
                                               "there is no such state");
    }

    ngx_http_graph_policy_log_transition(call->request, call->zone,
                                         call->conf->log_level, &view);

    return ngx_http_graph_policy_api_send(call->request, NGX_HTTP_NO_CONTENT,
                                          NULL, NULL);
}


ngx_int_t
ngx_http_graph_policy_api_clear_all(ngx_http_graph_policy_call_t *call)
{
    const char                        *wrong;
    ngx_http_request_t                *r;
    ngx_pool_cleanup_t                *cln;
    ngx_http_graph_policy_clearing_t  *clearing;

    r = call->request;

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_graph_policy_clearing_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    clearing = cln->data;

    ngx_memzero(clearing, sizeof(ngx_http_graph_policy_clearing_t));

    cln->handler = ngx_http_graph_policy_api_clear_cleanup;

    wrong = ngx_http_graph_policy_api_filter(call, 0, &clearing->filter);

    if (wrong != NULL) {
        return ngx_http_graph_policy_api_error(r, NGX_HTTP_BAD_REQUEST, "%s",
                                               wrong);
    }

    clearing->request = r;
    clearing->zone = call->zone;
    clearing->log_level = call->conf->log_level;

    if (ngx_http_graph_policy_api_clear_some(clearing)) {
        return ngx_http_graph_policy_api_send(r, NGX_HTTP_NO_CONTENT, NULL,
                                              NULL);
    }

    clearing->event.handler = ngx_http_graph_policy_api_clear_more;
    clearing->event.data = clearing;
    clearing->event.log = r->connection->log;

    ngx_add_timer(&clearing->event, 1);

    /* a client that leaves doesn't leave half of it undone */

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    r->main->count++;

    return NGX_DONE;
}


/* 1 if that was all */

static ngx_uint_t
ngx_http_graph_policy_api_clear_some(
    ngx_http_graph_policy_clearing_t *clearing)
{
    uint64_t                         now;
    ngx_uint_t                       i, n, looked;
    ngx_http_graph_policy_view_t     views[NGX_HTTP_GRAPH_POLICY_BATCH], view;
    ngx_http_graph_policy_filter_t  *filter;

    filter = &clearing->filter;
    now = ngx_http_graph_policy_now();
    looked = 0;

    while (!filter->cursor.done && looked < NGX_HTTP_GRAPH_POLICY_CLEARS) {

        n = ngx_http_graph_policy_api_batch(clearing->zone, filter, now,
                                            views);
        looked += NGX_HTTP_GRAPH_POLICY_BATCH;

        for (i = 0; i < n; i++) {

            if (ngx_http_graph_policy_zone_end(clearing->zone, views[i].hash,
                                               views[i].stored_reason, now,
                                               &view)
                == NGX_OK)
            {
                ngx_http_graph_policy_log_transition(clearing->request,
                                                     clearing->zone,
                                                     clearing->log_level,
                                                     &view);
            }
        }
    }

    return filter->cursor.done;
}


static void
ngx_http_graph_policy_api_clear_more(ngx_event_t *ev)
{
    ngx_connection_t                  *c;
    ngx_http_request_t                *r;
    ngx_http_graph_policy_clearing_t  *clearing;

    clearing = ev->data;
    r = clearing->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (!ngx_http_graph_policy_api_clear_some(clearing)) {
        ngx_add_timer(ev, 1);
        return;
    }

    ngx_http_finalize_request(r,
                              ngx_http_graph_policy_api_send(r,
                                                         NGX_HTTP_NO_CONTENT,
                                                         NULL, NULL));

    /* the request may be gone */

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_graph_policy_api_clear_cleanup(void *data)
{
    ngx_http_graph_policy_clearing_t *clearing = data;

    if (clearing->event.timer_set) {
        ngx_del_timer(&clearing->event);
    }
}
