
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A walk over the states of a zone.  One event handles only so many that other
 * requests don't wait for long.
 *
 * No lock is taken here.  Memory comes from the request's pool, whose cleanup
 * deletes the timer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"


/*
 * Milliseconds between two steps, so that most sends meet none.  A timer is
 * used rather than a posted event, as an exiting worker waits only for timers.
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

    /*
     * A client that closes the connection must not leave the walk half done,
     * so that isn't looked at.
     */

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

    /* The request may be gone by now. */

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
