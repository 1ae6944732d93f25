
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A walk over the states of a zone: so many in one event only that no other
 * request waits for long, however many there are.
 *
 * Lock rule: none of its own.  Memory: the request's pool, whose cleanup takes
 * the timer back.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"


/*
 * Milliseconds between two steps: so seldom that most of the sends meanwhile
 * meet none.  A timer and not a posted event, as a worker that is told to
 * leave waits for timers alone.
 */
#define NGX_HTTP_GRAPH_POLICY_PACE  8


static void ngx_http_graph_policy_api_walk_on(ngx_event_t *ev);
static void ngx_http_graph_policy_api_walk_cleanup(void *data);


ngx_http_graph_policy_walk_t *
ngx_http_graph_policy_api_new_walk(ngx_http_graph_policy_call_t *call)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_graph_policy_walk_t  *walk;

    cln = ngx_pool_cleanup_add(call->request->pool,
                               sizeof(ngx_http_graph_policy_walk_t));
    if (cln == NULL) {
        return NULL;
    }

    walk = cln->data;

    ngx_memzero(walk, sizeof(ngx_http_graph_policy_walk_t));

    walk->request = call->request;
    walk->conf = call->conf;
    walk->zone = call->zone;
    walk->pace = NGX_HTTP_GRAPH_POLICY_PACE;

    cln->handler = ngx_http_graph_policy_api_walk_cleanup;

    return walk;
}


ngx_int_t
ngx_http_graph_policy_api_walk(ngx_http_graph_policy_walk_t *walk,
    ngx_http_graph_policy_walk_pt step)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = walk->request;

    walk->step = step;

    rc = step(walk);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    walk->event.handler = ngx_http_graph_policy_api_walk_on;
    walk->event.data = walk;
    walk->event.log = r->connection->log;

    ngx_add_timer(&walk->event, walk->pace);

    /* a client that leaves doesn't leave half of it undone */

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_graph_policy_api_walk_on(ngx_event_t *ev)
{
    ngx_int_t                      rc;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_graph_policy_walk_t  *walk;

    walk = ev->data;
    r = walk->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = walk->step(walk);

    if (rc == NGX_DECLINED) {
        ngx_add_timer(ev, walk->pace);
        return;
    }

    ngx_http_finalize_request(r, rc);

    /* the request may be gone */

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_graph_policy_api_walk_cleanup(void *data)
{
    ngx_http_graph_policy_walk_t *walk = data;

    if (walk->event.timer_set) {
        ngx_del_timer(&walk->event);
    }
}
