
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Where the engine is.  The servers of the configuration are tried in turn;
 * where they are Sentinels, each is asked for the primary, and a node of a
 * cluster may tell that another one has the zone's keys.  Nobody looks up a
 * name here, as a worker would stand still meanwhile: what is told has to be an
 * address, or the name of a server, whose address is known since the start.
 *
 * Lock rule: none.  Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_redirect.h"
#include "ngx_http_graph_policy_sync_private.h"


static void ngx_http_graph_policy_sync_finder_ready(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_finder_value(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value);
static void ngx_http_graph_policy_sync_finder_answered(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error);
static void ngx_http_graph_policy_sync_finder_closed(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large);
static ngx_int_t ngx_http_graph_policy_sync_found(
    ngx_http_graph_policy_sync_run_t *run, ngx_str_t *host, ngx_uint_t port);
static ngx_int_t ngx_http_graph_policy_sync_address(
    ngx_http_graph_policy_sync_run_t *run, ngx_str_t *host, ngx_uint_t port,
    ngx_sockaddr_t *sa, socklen_t *socklen);


ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_finding = {
    ngx_http_graph_policy_sync_finder_ready,
    ngx_http_graph_policy_sync_finder_value,
    ngx_http_graph_policy_sync_finder_answered,
    ngx_http_graph_policy_sync_finder_closed,
    1
};


void
ngx_http_graph_policy_sync_next_server(ngx_http_graph_policy_sync_run_t *run)
{
    run->times = 0;
    run->moved = 0;
    run->sentinel_auth = 0;

    if (run->sync->servers.nelts == 1 && !run->is_found) {
        return;
    }

    run->server = (run->server + 1) % run->sync->servers.nelts;
    run->is_found = 0;

    if (run->finding != NULL) {
        run->writer.use = run->finding;
    }

    ngx_http_graph_policy_sync_conn_close(&run->reader);
}


ngx_int_t
ngx_http_graph_policy_sync_move(ngx_http_graph_policy_sync_run_t *run,
    ngx_str_t *error)
{
    ngx_http_graph_policy_redirect_t  redirect;

    /* nodes that tell of each other would never come to an end */

    if (run->moved
        || ngx_http_graph_policy_redirect_read(error, &redirect) != NGX_OK
        || ngx_http_graph_policy_sync_found(run, &redirect.host,
                                            redirect.port)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    run->moved = 1;

    ngx_http_graph_policy_sync_conn_close(&run->reader);
    ngx_http_graph_policy_sync_conn_close(&run->writer);
    ngx_http_graph_policy_sync_forget_asked(run);
    ngx_http_graph_policy_sync_conn_open(&run->writer, 0);

    return NGX_OK;
}


void
ngx_http_graph_policy_sync_forget_asked(ngx_http_graph_policy_sync_run_t *run)
{
    run->writer.nasked = 0;

    /* entries told anew bear the numbers that nobody may have seen */

    ngx_http_graph_policy_zone_fleet(run->zone)->seq = run->told_seq;
}


static void
ngx_http_graph_policy_sync_finder_ready(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_str_t                          args[3];
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    run->told_host.len = 0;
    run->told_port = 0;

    ngx_str_set(&args[0], "SENTINEL");
    ngx_str_set(&args[1], "GET-MASTER-ADDR-BY-NAME");
    args[2] = run->sync->master;

    (void) ngx_http_graph_policy_sync_conn_ask(conn,
                                           NGX_HTTP_GRAPH_POLICY_ASKED_MASTER,
                                               0, args, 3);
}


/* [host, port], or nil */

static void
ngx_http_graph_policy_sync_finder_value(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value)
{
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    if (value->type != NGX_HTTP_GRAPH_POLICY_RESP_STRING
        || value->depth != 1)
    {
        return;
    }

    if (value->index[0] == 0 && value->text.len < sizeof(run->told_text)) {
        ngx_memcpy(run->told_text, value->text.data, value->text.len);
        run->told_host.data = run->told_text;
        run->told_host.len = value->text.len;
    }

    if (value->index[0] == 1) {
        run->told_port = ngx_http_graph_policy_redirect_port(&value->text);
    }
}


static void
ngx_http_graph_policy_sync_finder_answered(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error)
{
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    if (error != NULL) {

        /* most Sentinels want no password, and refuse any: this one wants it */

        if (!run->sentinel_auth && run->sync->password.len != 0
            && error->len >= 6 && ngx_strncmp(error->data, "NOAUTH", 6) == 0)
        {
            run->sentinel_auth = 1;
            ngx_http_graph_policy_sync_conn_close(conn);
            ngx_http_graph_policy_sync_conn_open(conn, 0);
            return;
        }

        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_REFUSED,
                                             "it refuses", error);
        return;
    }

    if (run->told_host.len == 0) {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_REFUSED,
                                             "it knows no primary",
                                             &run->sync->master);
        return;
    }

    if (ngx_http_graph_policy_sync_found(run, &run->told_host, run->told_port)
        != NGX_OK)
    {
        ngx_http_graph_policy_sync_conn_fail(conn,
                                       NGX_HTTP_GRAPH_POLICY_FAILURE_PROTOCOL,
                                             "its primary has no address",
                                             &run->told_host);
        return;
    }

    ngx_http_graph_policy_sync_conn_close(conn);
    conn->use = run->writing;
    ngx_http_graph_policy_sync_conn_open(conn, 0);
}


static void
ngx_http_graph_policy_sync_finder_closed(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large)
{
    conn->nasked = 0;

    ngx_http_graph_policy_sync_next_server(conn->run);
}


/* the connections lead there, until one fails */

static ngx_int_t
ngx_http_graph_policy_sync_found(ngx_http_graph_policy_sync_run_t *run,
    ngx_str_t *host, ngx_uint_t port)
{
    size_t                                len;
    socklen_t                             socklen;
    ngx_str_t                            *name;
    ngx_sockaddr_t                        sa;
    ngx_http_graph_policy_sync_server_t  *found;

    if (port == 0
        || ngx_http_graph_policy_sync_address(run, host, port, &sa, &socklen)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    found = &run->found;

    /* the name by which its certificate is judged, for a node without: ours */

    name = (host->len != 0) ? host
                            : &ngx_http_graph_policy_sync_server(run)->host;

    len = ngx_min(name->len, sizeof(run->found_host) - 1);
    ngx_memmove(run->found_host, name->data, len);
    run->found_host[len] = '\0';

    found->host.data = run->found_host;
    found->host.len = len;

    run->found_addr = sa;
    found->sockaddr = &run->found_addr.sockaddr;
    found->socklen = socklen;

    found->text.data = run->found_text;
    found->text.len = ngx_sock_ntop(found->sockaddr, socklen, run->found_text,
                                    sizeof(run->found_text), 1);

    run->is_found = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_sync_address(ngx_http_graph_policy_sync_run_t *run,
    ngx_str_t *host, ngx_uint_t port, ngx_sockaddr_t *sa, socklen_t *socklen)
{
    in_addr_t                             in;
    ngx_uint_t                            i;
    ngx_http_graph_policy_sync_server_t  *server;

    ngx_memzero(sa, sizeof(ngx_sockaddr_t));

    in = ngx_inet_addr(host->data, host->len);

    if (in != INADDR_NONE) {
        sa->sockaddr_in.sin_family = AF_INET;
        sa->sockaddr_in.sin_addr.s_addr = in;
        sa->sockaddr_in.sin_port = htons((in_port_t) port);
        *socklen = sizeof(struct sockaddr_in);
        return NGX_OK;
    }

#if (NGX_HAVE_INET6)

    if (ngx_inet6_addr(host->data, host->len,
                       sa->sockaddr_in6.sin6_addr.s6_addr)
        == NGX_OK)
    {
        sa->sockaddr_in6.sin6_family = AF_INET6;
        sa->sockaddr_in6.sin6_port = htons((in_port_t) port);
        *socklen = sizeof(struct sockaddr_in6);
        return NGX_OK;
    }

#endif

    /* no host: it is on that of the one who tells */

    server = (host->len == 0) ? ngx_http_graph_policy_sync_server(run) : NULL;

    for (i = 0; server == NULL && i < run->sync->servers.nelts; i++) {
        server = (ngx_http_graph_policy_sync_server_t *)
                 run->sync->servers.elts + i;

        if (server->host.len != host->len
            || ngx_strncasecmp(server->host.data, host->data, host->len) != 0)
        {
            server = NULL;
        }
    }

    if (server == NULL || server->sockaddr->sa_family == AF_UNIX) {
        return NGX_DECLINED;
    }

    *socklen = server->socklen;
    ngx_memcpy(sa, server->sockaddr, server->socklen);
    ngx_inet_set_port(&sa->sockaddr, (in_port_t) port);

    return NGX_OK;
}
