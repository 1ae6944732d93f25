
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A connection to the engine: made by nginx's own events and TLS, named and
 * authenticated, with commands that wait and answers that are read to the end
 * of what is there.  Whoever answers may be slow, gone or lying.
 *
 * Lock rule: none.  Memory: of the process's run; a pool for as long as it is
 * connected, which nginx's TLS wants.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* bytes that are read at once, and for how many others have to wait */
#define NGX_HTTP_GRAPH_POLICY_SYNC_READ   16384
#define NGX_HTTP_GRAPH_POLICY_SYNC_TURNS  16


static void ngx_http_graph_policy_sync_conn_again(ngx_event_t *ev);
static ngx_int_t ngx_http_graph_policy_sync_conn_connect(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_conn_connected(
    ngx_http_graph_policy_sync_conn_t *conn);
#if (NGX_SSL)
static void ngx_http_graph_policy_sync_conn_shaken(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail);
#endif
static void ngx_http_graph_policy_sync_conn_begin(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_conn_read(ngx_event_t *rev);
static ngx_int_t ngx_http_graph_policy_sync_conn_take(
    ngx_http_graph_policy_sync_conn_t *conn, u_char *data, size_t len);
static void ngx_http_graph_policy_sync_conn_write(ngx_event_t *wev);
static void ngx_http_graph_policy_sync_conn_value(void *data,
    ngx_http_graph_policy_resp_value_t *value);
static void ngx_http_graph_policy_sync_conn_answered(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_conn_await(
    ngx_http_graph_policy_sync_conn_t *conn);


void
ngx_http_graph_policy_sync_conn_init(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_sync_use_t *use)
{
    conn->run = run;
    conn->use = use;
    conn->backoff = NGX_HTTP_GRAPH_POLICY_SYNC_BACKOFF;

    conn->again.handler = ngx_http_graph_policy_sync_conn_again;
    conn->again.data = conn;
    conn->again.log = ngx_cycle->log;
    conn->again.cancelable = 1;
}


void
ngx_http_graph_policy_sync_conn_open(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_msec_t delay)
{
    if (conn->peer.connection != NULL || conn->again.timer_set) {
        return;
    }

    ngx_add_timer(&conn->again, delay);
}


static void
ngx_http_graph_policy_sync_conn_again(ngx_event_t *ev)
{
    ngx_http_graph_policy_sync_conn_t *conn = ev->data;

    if (ngx_http_graph_policy_sync_conn_connect(conn) == NGX_ERROR) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT,
                                             "can't connect", NULL);
    }
}


static ngx_int_t
ngx_http_graph_policy_sync_conn_connect(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_int_t                             rc;
    ngx_connection_t                     *c;
    ngx_http_graph_policy_sync_server_t  *server;

    server = ngx_http_graph_policy_sync_server(conn->run);

    conn->resp = ngx_http_graph_policy_resp_create(
                                 ngx_http_graph_policy_sync_conn_value, conn);
    if (conn->resp == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&conn->peer, sizeof(ngx_peer_connection_t));

    conn->pos = conn->out;
    conn->last = conn->out;
    conn->first = 0;
    conn->nasked = 0;
    conn->has_error = 0;
    conn->connected = 0;
    conn->ready = 0;
    conn->wait = 0;

    conn->peer.sockaddr = server->sockaddr;
    conn->peer.socklen = server->socklen;
    conn->peer.name = &server->text;
    conn->peer.get = ngx_event_get_peer;
    conn->peer.log = &conn->run->log;
    conn->peer.log_error = NGX_ERROR_ERR;

    /* nginx's own lines of a failure are logged the first time alone */

    conn->run->log.log_level = conn->failing ? NGX_LOG_ALERT
                                             : ngx_cycle->log->log_level;

    rc = ngx_event_connect_peer(&conn->peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return NGX_ERROR;
    }

    c = conn->peer.connection;

    c->data = conn;
    c->pool = ngx_create_pool(1024, ngx_cycle->log);

    if (c->pool == NULL) {
        return NGX_ERROR;
    }

    /* a worker that leaves doesn't stay for it */

    c->read->cancelable = 1;
    c->write->cancelable = 1;
    c->read->handler = ngx_http_graph_policy_sync_conn_read;
    c->write->handler = ngx_http_graph_policy_sync_conn_write;

    ngx_add_timer(c->write, conn->run->sync->timeout);

    if (rc == NGX_OK) {
        ngx_http_graph_policy_sync_conn_connected(conn);
    }

    return NGX_OK;
}


static void
ngx_http_graph_policy_sync_conn_connected(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = conn->peer.connection;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_log_error(NGX_LOG_ERR, c->log, err, "connect() to %V failed",
                      conn->peer.name);
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT,
                                             "can't connect", NULL);
        return;
    }

    if (conn->peer.sockaddr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(c);
    }

#if (NGX_SSL)

    if (conn->run->sync->ssl != NULL) {
        conn->shaken = ngx_http_graph_policy_sync_conn_shaken;
        ngx_http_graph_policy_sync_tls_begin(conn);
        return;
    }

#endif

    ngx_http_graph_policy_sync_conn_begin(conn);
}


#if (NGX_SSL)

static void
ngx_http_graph_policy_sync_conn_shaken(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail)
{
    ngx_connection_t  *c;

    if (what != NULL) {
        ngx_http_graph_policy_sync_conn_fail(conn, why, what, detail);
        return;
    }

    c = conn->peer.connection;

    c->read->handler = ngx_http_graph_policy_sync_conn_read;
    c->write->handler = ngx_http_graph_policy_sync_conn_write;

    ngx_http_graph_policy_sync_conn_begin(conn);
}

#endif


static void
ngx_http_graph_policy_sync_conn_begin(ngx_http_graph_policy_sync_conn_t *conn)
{
    u_char                        *p, db[NGX_INT_T_LEN];
    ngx_str_t                      args[3];
    ngx_uint_t                     n;
    ngx_connection_t              *c;
    ngx_http_graph_policy_sync_t  *sync;

    c = conn->peer.connection;
    sync = conn->run->sync;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    conn->connected = 1;

    /* a server without a password takes none, a cluster no other database */

    if (sync->password.len != 0 && (!conn->use->sentinel
                                    || conn->run->sentinel_auth))
    {
        n = 1;
        ngx_str_set(&args[0], "AUTH");

        if (sync->user.len != 0) {
            args[n++] = sync->user;
        }

        args[n++] = sync->password;

        (void) ngx_http_graph_policy_sync_conn_ask(conn,
                                             NGX_HTTP_GRAPH_POLICY_ASKED_AUTH,
                                                   0, args, n);
    }

    if (sync->db != 0 && !conn->use->sentinel) {
        p = ngx_sprintf(db, "%ui", sync->db);
        ngx_str_set(&args[0], "SELECT");
        args[1].data = db;
        args[1].len = p - db;

        (void) ngx_http_graph_policy_sync_conn_ask(conn,
                                           NGX_HTTP_GRAPH_POLICY_ASKED_SELECT,
                                                   0, args, 2);
    }

    if (conn->nasked == 0) {
        conn->ready = 1;
        conn->use->ready(conn);
    }

    if (conn->peer.connection == c) {
        ngx_http_graph_policy_sync_conn_send(conn);
    }
}


void
ngx_http_graph_policy_sync_conn_send(ngx_http_graph_policy_sync_conn_t *conn)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = conn->peer.connection;

    if (c == NULL || !conn->connected) {
        return;
    }

    while (conn->pos < conn->last) {

        n = c->send(c, conn->pos, conn->last - conn->pos);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT,
                                             "lost the connection", NULL);
            return;
        }

        conn->pos += n;
    }

    if (conn->pos == conn->last) {
        conn->pos = conn->out;
        conn->last = conn->out;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT,
                                             "lost the connection", NULL);
        return;
    }

    if (conn->nasked != 0 && !c->read->timer_set) {
        ngx_http_graph_policy_sync_conn_await(conn);
    }
}


static void
ngx_http_graph_policy_sync_conn_await(ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_event_t  *rev;

    rev = conn->peer.connection->read;

    if (conn->nasked == 0) {

        if (rev->timer_set) {
            ngx_del_timer(rev);
        }

        return;
    }

    ngx_add_timer(rev, conn->run->sync->timeout + conn->wait);
}


static void
ngx_http_graph_policy_sync_conn_write(ngx_event_t *wev)
{
    ngx_connection_t                   *c;
    ngx_http_graph_policy_sync_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (wev->timedout) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_TIMEOUT,
                                             "connecting timed out", NULL);
        return;
    }

    if (!conn->connected) {
        ngx_http_graph_policy_sync_conn_connected(conn);
        return;
    }

    ngx_http_graph_policy_sync_conn_send(conn);
}


static void
ngx_http_graph_policy_sync_conn_read(ngx_event_t *rev)
{
    ssize_t                             n;
    ngx_uint_t                          i;
    ngx_connection_t                   *c;
    ngx_http_graph_policy_sync_conn_t  *conn;

    static u_char  buf[NGX_HTTP_GRAPH_POLICY_SYNC_READ];

    c = rev->data;
    conn = c->data;

    if (rev->timedout) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_TIMEOUT,
                                             "no answer in time", NULL);
        return;
    }

    if (!conn->connected) {
        return;
    }

    /* nginx's epoll tells once: all that is there has to be read */

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SYNC_TURNS; i++) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) == NGX_OK) {
                return;
            }

            n = NGX_ERROR;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT,
                                             "lost the connection", NULL);
            return;
        }

        if (ngx_http_graph_policy_sync_conn_take(conn, buf, n) != NGX_OK) {
            return;
        }
    }

    /* whoever answers without an end doesn't keep the requests waiting */

    ngx_post_event(rev, &ngx_posted_next_events);
}


/* NGX_DONE: the connection is closed */

static ngx_int_t
ngx_http_graph_policy_sync_conn_take(ngx_http_graph_policy_sync_conn_t *conn,
    u_char *data, size_t len)
{
    ngx_int_t          rc;
    ngx_uint_t         asked;
    ngx_connection_t  *c;

    c = conn->peer.connection;

    rc = ngx_http_graph_policy_resp_feed(conn->resp, data, len);

    /*
     * What is asked on account of an answer can't have been answered before:
     * an engine that does would keep the worker asking without an end.
     */

    asked = conn->nasked;

    while (rc == NGX_OK) {

        rc = ngx_http_graph_policy_resp_next(conn->resp);

        if (rc != NGX_OK) {
            break;
        }

        if (asked-- == 0) {
            rc = NGX_ERROR;
            break;
        }

        ngx_http_graph_policy_sync_conn_answered(conn);

        if (conn->peer.connection != c) {
            return NGX_DONE;
        }
    }

    if (rc == NGX_AGAIN) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_graph_policy_sync_conn_end(conn,
                                       NGX_HTTP_GRAPH_POLICY_FAILURE_PROTOCOL,
                                        "an answer is too large", NULL, 1);

    } else {
        ngx_http_graph_policy_sync_conn_end(conn,
                                       NGX_HTTP_GRAPH_POLICY_FAILURE_PROTOCOL,
                                    "an answer isn't of Redis", NULL, 0);
    }

    return NGX_DONE;
}


static void
ngx_http_graph_policy_sync_conn_value(void *data,
    ngx_http_graph_policy_resp_value_t *value)
{
    ngx_http_graph_policy_sync_conn_t *conn = data;

    ngx_http_graph_policy_asked_t  *asked;

    if (conn->nasked == 0) {
        return;
    }

    if (value->depth == 0 && value->type == NGX_HTTP_GRAPH_POLICY_RESP_ERROR) {
        conn->has_error = 1;
        conn->error.data = conn->error_text;
        conn->error.len = ngx_min(value->text.len, sizeof(conn->error_text));
        ngx_memcpy(conn->error_text, value->text.data, conn->error.len);
        return;
    }

    asked = &conn->asked[conn->first];

    if (asked->what > NGX_HTTP_GRAPH_POLICY_ASKED_SELECT) {
        conn->use->value(conn, asked, value);
    }
}


static void
ngx_http_graph_policy_sync_conn_answered(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_str_t                       error;
    ngx_connection_t               *c;
    ngx_http_graph_policy_asked_t   asked;

    c = conn->peer.connection;
    asked = conn->asked[conn->first];
    error = conn->error;

    if (!conn->has_error) {
        ngx_str_null(&error);
    }

    conn->has_error = 0;
    conn->first = (conn->first + 1) % NGX_HTTP_GRAPH_POLICY_SYNC_PENDING;
    conn->nasked--;

    ngx_http_graph_policy_sync_conn_await(conn);

    if (asked.what > NGX_HTTP_GRAPH_POLICY_ASKED_SELECT) {
        conn->use->answered(conn, &asked, error.len ? &error : NULL);
        return;
    }

    if (error.len != 0) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                           (asked.what == NGX_HTTP_GRAPH_POLICY_ASKED_AUTH)
                           ? NGX_HTTP_GRAPH_POLICY_FAILURE_AUTH
                           : NGX_HTTP_GRAPH_POLICY_FAILURE_REFUSED,
                                             "it refuses", &error);
        return;
    }

    if (conn->nasked == 0) {
        conn->ready = 1;
        conn->use->ready(conn);

        if (conn->peer.connection == c) {
            ngx_http_graph_policy_sync_conn_send(conn);
        }
    }
}
