
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The end of a connection to the engine, wanted or not; the line in the log and
 * the pause before the next one.
 *
 * Lock rule: none.  Memory: of the process's run; the connection's pool goes
 * with it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


static ngx_uint_t ngx_http_graph_policy_sync_conn_is_news(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_sync_failure_e why, ngx_str_t *detail);
static void ngx_http_graph_policy_sync_conn_complain(
    ngx_http_graph_policy_sync_conn_t *conn, const char *what,
    ngx_str_t *detail);
static void ngx_http_graph_policy_sync_conn_shut(
    ngx_http_graph_policy_sync_conn_t *conn);


void
ngx_http_graph_policy_sync_conn_works(ngx_http_graph_policy_sync_conn_t *conn)
{
    conn->backoff = NGX_HTTP_GRAPH_POLICY_SYNC_BACKOFF;

    if (!conn->failing) {
        return;
    }

    conn->failing = 0;

    /* both connections, as news needs the one there and the other back */

    if (!conn->run->writer.failing && !conn->run->reader.failing) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "graph_policy_zone \"%V\" is in touch with \"%V\" again",
                      &conn->run->zone->name,
                      &ngx_http_graph_policy_sync_server(conn->run)->text);
    }
}


void
ngx_http_graph_policy_sync_conn_fail(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail)
{
    ngx_http_graph_policy_sync_conn_end(conn, why, what, detail, 0);
}


void
ngx_http_graph_policy_sync_conn_end(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail, ngx_uint_t large)
{
    ngx_msec_t                      delay;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(conn->run->zone);
    (void) ngx_atomic_fetch_add(&fleet->failures[why], 1);

    if (!conn->run->writer.failing && !conn->run->reader.failing) {
        conn->run->ncauses = 0;
    }

    if (ngx_http_graph_policy_sync_conn_is_news(conn->run, why, detail)) {
        ngx_http_graph_policy_sync_conn_complain(conn, what, detail);
    }

    conn->failing = 1;

    ngx_http_graph_policy_sync_conn_shut(conn);

    /* not all hosts at once */

    delay = conn->backoff / 2 + (ngx_msec_t) ngx_random()
                                % (conn->backoff / 2 + 1);

    conn->backoff = ngx_min(conn->backoff * 2,
                            NGX_HTTP_GRAPH_POLICY_SYNC_MAX_BACKOFF);

    ngx_add_timer(&conn->again, delay);

    conn->use->closed(conn, why, large);
}


/*
 * Each cause is told once, until it works again: whoever is away may be so for
 * hours, and another trouble may be behind the first one.  A cause is the kind
 * of failure and, where the engine says why, the first word of that, such as
 * NOAUTH.  Being away is one, since a link that is cut is a timeout at first
 * and can't be connected to later.  There are at most so many, as an engine may
 * say anything.
 */

static ngx_uint_t
ngx_http_graph_policy_sync_conn_is_news(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_sync_failure_e why, ngx_str_t *detail)
{
    size_t      len;
    uint32_t    cause;
    ngx_uint_t  i;

    len = 0;

    if (detail != NULL) {

        while (len < detail->len && detail->data[len] >= 'A'
               && detail->data[len] <= 'Z')
        {
            len++;
        }
    }

    cause = (why == NGX_HTTP_GRAPH_POLICY_FAILURE_TIMEOUT)
            ? NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT : (uint32_t) why;

    if (len != 0) {
        cause += ngx_murmur_hash2(detail->data, len);
    }

    for (i = 0; i < run->ncauses; i++) {

        if (run->causes[i] == cause) {
            return 0;
        }
    }

    if (run->ncauses == NGX_HTTP_GRAPH_POLICY_SYNC_CAUSES) {
        return 0;
    }

    run->causes[run->ncauses++] = cause;

    return 1;
}


static void
ngx_http_graph_policy_sync_conn_complain(
    ngx_http_graph_policy_sync_conn_t *conn, const char *what,
    ngx_str_t *detail)
{
    size_t                                len;
    ngx_str_t                             text;
    ngx_http_graph_policy_sync_server_t  *server;

    server = ngx_http_graph_policy_sync_server(conn->run);

    if (detail == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "graph_policy_zone \"%V\" is out of touch with "
                      "\"%V\": %s", &conn->run->zone->name, &server->text,
                      what);
        return;
    }

    /* an engine that lies may say anything */

    for (len = 0; len < detail->len; len++) {

        if (detail->data[len] < 0x20 || detail->data[len] > 0x7e) {
            break;
        }
    }

    text.data = detail->data;
    text.len = len;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "graph_policy_zone \"%V\" is out of touch with \"%V\": "
                  "%s: \"%V\"", &conn->run->zone->name, &server->text, what,
                  &text);
}


void
ngx_http_graph_policy_sync_conn_close(ngx_http_graph_policy_sync_conn_t *conn)
{
    if (conn->again.timer_set) {
        ngx_del_timer(&conn->again);
    }

    ngx_http_graph_policy_sync_conn_shut(conn);
}


static void
ngx_http_graph_policy_sync_conn_shut(ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = conn->peer.connection;

    if (c != NULL) {

#if (NGX_SSL)

        if (c->ssl != NULL) {
            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;
            (void) ngx_ssl_shutdown(c);
        }

#endif

        pool = c->pool;

        ngx_close_connection(c);

        if (pool != NULL) {
            ngx_destroy_pool(pool);
        }

        conn->peer.connection = NULL;
    }

    ngx_http_graph_policy_resp_destroy(conn->resp);

    conn->resp = NULL;
    conn->connected = 0;
    conn->ready = 0;
}
