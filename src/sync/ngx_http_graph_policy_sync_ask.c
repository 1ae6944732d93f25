
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Commands that wait to be sent, and what they were, in the order in which they
 * are answered.
 *
 * Lock rule: none.  Memory: a buffer and a ring of fixed size, in the process's
 * run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


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
