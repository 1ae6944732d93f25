
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
static void ngx_http_graph_policy_sync_conn_shut(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_conn_end(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail, ngx_uint_t large);

static void ngx_http_graph_policy_sync_conn_complain(
    ngx_http_graph_policy_sync_conn_t *conn, const char *what,
    ngx_str_t *detail);

#if (NGX_SSL)
static void ngx_http_graph_policy_sync_conn_handshake(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_conn_shaken(ngx_connection_t *c);
static ngx_int_t ngx_http_graph_policy_sync_conn_check(ngx_connection_t *c,
    ngx_str_t *name);
static ngx_uint_t ngx_http_graph_policy_sync_conn_is_address(
    ngx_str_t *name);
static ngx_str_t *ngx_http_graph_policy_sync_conn_name(
    ngx_http_graph_policy_sync_conn_t *conn);
#endif


#define ngx_http_graph_policy_sync_conn_server(conn)                          \
    ((ngx_http_graph_policy_sync_server_t *)                                  \
     (conn)->run->sync->servers.elts + (conn)->run->server)


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

    server = ngx_http_graph_policy_sync_conn_server(conn);

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

    /* what nginx logs of a failure is logged the first time alone */

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
        ngx_http_graph_policy_sync_conn_handshake(conn);
        return;
    }

#endif

    ngx_http_graph_policy_sync_conn_begin(conn);
}


#if (NGX_SSL)

static void
ngx_http_graph_policy_sync_conn_handshake(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_int_t                      rc;
    ngx_str_t                     *name;
    ngx_connection_t              *c;
    ngx_http_graph_policy_sync_t  *sync;

    c = conn->peer.connection;
    sync = conn->run->sync;

    if (ngx_ssl_create_connection(sync->ssl, c, NGX_SSL_CLIENT|NGX_SSL_BUFFER)
        != NGX_OK)
    {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                             NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                                             "can't begin TLS", NULL);
        return;
    }

    name = ngx_http_graph_policy_sync_conn_name(conn);

    /* an address isn't sent as a name (RFC 6066, section 3) */

    if (name->len != 0
        && !ngx_http_graph_policy_sync_conn_is_address(name))
    {
        (void) SSL_set_tlsext_host_name(c->ssl->connection,
                                        (char *) name->data);
    }

    c->ssl->handler = ngx_http_graph_policy_sync_conn_shaken;

    rc = ngx_ssl_handshake(c);

    if (rc != NGX_AGAIN) {
        ngx_http_graph_policy_sync_conn_shaken(c);
    }
}


static void
ngx_http_graph_policy_sync_conn_shaken(ngx_connection_t *c)
{
    long                                rc;
    ngx_str_t                           detail, *name;
    ngx_http_graph_policy_sync_conn_t  *conn;

    conn = c->data;

    if (c->write->timedout || c->read->timedout) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_TIMEOUT,
                                             "the TLS handshake timed out",
                                             NULL);
        return;
    }

    if (!c->ssl->handshaked) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                             NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                                             "the TLS handshake failed", NULL);
        return;
    }

    if (conn->run->sync->ssl_verify) {

        rc = SSL_get_verify_result(c->ssl->connection);

        if (rc != X509_V_OK) {
            detail.data = (u_char *) X509_verify_cert_error_string(rc);
            detail.len = ngx_strlen(detail.data);
            ngx_http_graph_policy_sync_conn_fail(conn,
                                             NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                                  "its certificate isn't trusted", &detail);
            return;
        }

        name = ngx_http_graph_policy_sync_conn_name(conn);

        if (ngx_http_graph_policy_sync_conn_check(c, name) != NGX_OK) {
            ngx_http_graph_policy_sync_conn_fail(conn,
                                             NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                                       "its certificate isn't for", name);
            return;
        }
    }

    c->read->handler = ngx_http_graph_policy_sync_conn_read;
    c->write->handler = ngx_http_graph_policy_sync_conn_write;

    ngx_http_graph_policy_sync_conn_begin(conn);
}


/* nginx compares names alone, and a certificate may be for an address */

static ngx_int_t
ngx_http_graph_policy_sync_conn_check(ngx_connection_t *c, ngx_str_t *name)
{
    int    rc;
    X509  *cert;

    if (!ngx_http_graph_policy_sync_conn_is_address(name)) {
        return ngx_ssl_check_host(c, name);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return NGX_ERROR;
    }

    rc = X509_check_ip_asc(cert, (char *) name->data, 0);

    X509_free(cert);

    return (rc == 1) ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_graph_policy_sync_conn_is_address(ngx_str_t *name)
{
    return ngx_inet_addr(name->data, name->len) != INADDR_NONE
           || ngx_strlchr(name->data, name->data + name->len, ':') != NULL;
}


static ngx_str_t *
ngx_http_graph_policy_sync_conn_name(ngx_http_graph_policy_sync_conn_t *conn)
{
    if (conn->run->sync->ssl_name.len != 0) {
        return &conn->run->sync->ssl_name;
    }

    return &ngx_http_graph_policy_sync_conn_server(conn)->host;
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

    if (sync->password.len != 0) {
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

    if (sync->db != 0) {
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


size_t
ngx_http_graph_policy_sync_conn_room(ngx_http_graph_policy_sync_conn_t *conn)
{
    /* a change takes three commands, and others may come between */

    if (conn->nasked + 8 > NGX_HTTP_GRAPH_POLICY_SYNC_PENDING) {
        return 0;
    }

    return NGX_HTTP_GRAPH_POLICY_SYNC_OUT - (conn->last - conn->pos);
}


ngx_int_t
ngx_http_graph_policy_sync_conn_ask(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_e what, uint64_t pos, ngx_str_t *args,
    ngx_uint_t n)
{
    size_t                          len;
    ngx_http_graph_policy_asked_t  *asked;

    len = ngx_http_graph_policy_resp_command_len(args, n);

    if (conn->nasked == NGX_HTTP_GRAPH_POLICY_SYNC_PENDING
        || len > (size_t) (NGX_HTTP_GRAPH_POLICY_SYNC_OUT
                           - (conn->last - conn->pos)))
    {
        return NGX_BUSY;
    }

    if (len > (size_t) (conn->out + NGX_HTTP_GRAPH_POLICY_SYNC_OUT
                        - conn->last))
    {
        ngx_memmove(conn->out, conn->pos, conn->last - conn->pos);
        conn->last = conn->out + (conn->last - conn->pos);
        conn->pos = conn->out;
    }

    conn->last = ngx_http_graph_policy_resp_command(conn->last, args, n);

    asked = &conn->asked[(conn->first + conn->nasked++)
                         % NGX_HTTP_GRAPH_POLICY_SYNC_PENDING];
    asked->what = what;
    asked->pos = pos;

    return NGX_OK;
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
    ngx_connection_t  *c;

    c = conn->peer.connection;

    rc = ngx_http_graph_policy_resp_feed(conn->resp, data, len);

    while (rc == NGX_OK) {

        rc = ngx_http_graph_policy_resp_next(conn->resp);

        if (rc != NGX_OK) {
            break;
        }

        if (conn->nasked == 0) {
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
                      &ngx_http_graph_policy_sync_conn_server(conn)->text);
    }
}


void
ngx_http_graph_policy_sync_conn_fail(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail)
{
    ngx_http_graph_policy_sync_conn_end(conn, why, what, detail, 0);
}


static void
ngx_http_graph_policy_sync_conn_end(ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail, ngx_uint_t large)
{
    ngx_msec_t                      delay;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(conn->run->zone);
    (void) ngx_atomic_fetch_add(&fleet->failures[why], 1);

    if (!conn->run->writer.failing && !conn->run->reader.failing) {
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


/* once, until it works again: whoever is away may be so for hours */

static void
ngx_http_graph_policy_sync_conn_complain(
    ngx_http_graph_policy_sync_conn_t *conn, const char *what,
    ngx_str_t *detail)
{
    size_t                                len;
    ngx_str_t                             text;
    ngx_http_graph_policy_sync_server_t  *server;

    server = ngx_http_graph_policy_sync_conn_server(conn);

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
