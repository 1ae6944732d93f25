
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The TLS of a connection to the engine, by nginx's own: begun, and the
 * certificate judged.
 *
 * Lock rule: none.  Memory: OpenSSL's, and the connection's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


#if (NGX_SSL)

static void ngx_http_graph_policy_sync_tls_shaken(ngx_connection_t *c);
static ngx_int_t ngx_http_graph_policy_sync_tls_check(ngx_connection_t *c,
    ngx_str_t *name);
static ngx_uint_t ngx_http_graph_policy_sync_tls_is_address(
    ngx_str_t *name);
static ngx_str_t *ngx_http_graph_policy_sync_tls_name(
    ngx_http_graph_policy_sync_conn_t *conn);


void
ngx_http_graph_policy_sync_tls_begin(
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
        conn->shaken(conn, NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                     "can't begin TLS", NULL);
        return;
    }

    name = ngx_http_graph_policy_sync_tls_name(conn);

    /* an address isn't sent as a name (RFC 6066, section 3) */

    if (name->len != 0
        && !ngx_http_graph_policy_sync_tls_is_address(name))
    {
        (void) SSL_set_tlsext_host_name(c->ssl->connection,
                                        (char *) name->data);
    }

    c->ssl->handler = ngx_http_graph_policy_sync_tls_shaken;

    rc = ngx_ssl_handshake(c);

    if (rc != NGX_AGAIN) {
        ngx_http_graph_policy_sync_tls_shaken(c);
    }
}


static void
ngx_http_graph_policy_sync_tls_shaken(ngx_connection_t *c)
{
    long                                rc;
    ngx_str_t                           detail, *name;
    ngx_http_graph_policy_sync_conn_t  *conn;

    conn = c->data;

    if (c->write->timedout || c->read->timedout) {
        conn->shaken(conn, NGX_HTTP_GRAPH_POLICY_FAILURE_TIMEOUT,
                     "the TLS handshake timed out", NULL);
        return;
    }

    if (!c->ssl->handshaked) {
        conn->shaken(conn, NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                     "the TLS handshake failed", NULL);
        return;
    }

    if (conn->run->sync->ssl_verify) {

        rc = SSL_get_verify_result(c->ssl->connection);

        if (rc != X509_V_OK) {
            detail.data = (u_char *) X509_verify_cert_error_string(rc);
            detail.len = ngx_strlen(detail.data);
            conn->shaken(conn, NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                     "its certificate isn't trusted", &detail);
            return;
        }

        name = ngx_http_graph_policy_sync_tls_name(conn);

        if (ngx_http_graph_policy_sync_tls_check(c, name) != NGX_OK) {
            conn->shaken(conn, NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
                     "its certificate isn't for", name);
            return;
        }
    }

    conn->shaken(conn, NGX_HTTP_GRAPH_POLICY_NFAILURES, NULL, NULL);
}


/* nginx compares names alone, and a certificate may be for an address */

static ngx_int_t
ngx_http_graph_policy_sync_tls_check(ngx_connection_t *c, ngx_str_t *name)
{
    int    rc;
    X509  *cert;

    if (!ngx_http_graph_policy_sync_tls_is_address(name)) {
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
ngx_http_graph_policy_sync_tls_is_address(ngx_str_t *name)
{
    return ngx_inet_addr(name->data, name->len) != INADDR_NONE
           || ngx_strlchr(name->data, name->data + name->len, ':') != NULL;
}


static ngx_str_t *
ngx_http_graph_policy_sync_tls_name(ngx_http_graph_policy_sync_conn_t *conn)
{
    if (conn->run->sync->ssl_name.len != 0) {
        return &conn->run->sync->ssl_name;
    }

    return &ngx_http_graph_policy_sync_server(conn->run)->host;
}

#endif
