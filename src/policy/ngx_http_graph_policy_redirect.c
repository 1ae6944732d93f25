
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The address that a node of a cluster tells instead of an answer.  Who tells
 * it may lie, so it is read in the one form that there is.
 *
 * Pure: no lock, no memory of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_redirect.h"


/* slots of a cluster */
#define NGX_HTTP_GRAPH_POLICY_REDIRECT_SLOTS  16384


static ngx_uint_t ngx_http_graph_policy_redirect_number(u_char *p,
    u_char *last, ngx_uint_t max);


ngx_int_t
ngx_http_graph_policy_redirect_read(ngx_str_t *error,
    ngx_http_graph_policy_redirect_t *redirect)
{
    u_char     *p, *last, *colon;
    ngx_str_t   port;

    static const u_char  moved[] = "MOVED ";

    if (error->len < sizeof(moved)
        || memcmp(error->data, moved, sizeof(moved) - 1) != 0)
    {
        return NGX_DECLINED;
    }

    p = error->data + sizeof(moved) - 1;
    last = error->data + error->len;

    redirect->host.data = memchr(p, ' ', last - p);

    if (redirect->host.data == NULL
        || ngx_http_graph_policy_redirect_number(p, redirect->host.data,
                                     NGX_HTTP_GRAPH_POLICY_REDIRECT_SLOTS - 1)
           == (ngx_uint_t) -1)
    {
        return NGX_DECLINED;
    }

    redirect->host.data++;

    /* an IPv6 address has colons before the port's */

    colon = NULL;

    for (p = redirect->host.data; p < last; p++) {

        if (*p <= ' ' || *p > '~') {
            return NGX_DECLINED;
        }

        if (*p == ':') {
            colon = p;
        }
    }

    if (colon == NULL) {
        return NGX_DECLINED;
    }

    redirect->host.len = colon - redirect->host.data;

    if (redirect->host.len > 2 && redirect->host.data[0] == '['
        && colon[-1] == ']')
    {
        redirect->host.data++;
        redirect->host.len -= 2;
    }

    port.data = colon + 1;
    port.len = last - port.data;

    redirect->port = ngx_http_graph_policy_redirect_port(&port);

    return (redirect->port != 0) ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_http_graph_policy_redirect_port(ngx_str_t *text)
{
    ngx_uint_t  port;

    port = ngx_http_graph_policy_redirect_number(text->data,
                                                 text->data + text->len,
                                                 65535);

    return (port == (ngx_uint_t) -1) ? 0 : port;
}


/* decimal; -1 if it is none, or more than "max" */

static ngx_uint_t
ngx_http_graph_policy_redirect_number(u_char *p, u_char *last, ngx_uint_t max)
{
    ngx_uint_t  n;

    if (p == last) {
        return (ngx_uint_t) -1;
    }

    for (n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return (ngx_uint_t) -1;
        }

        n = n * 10 + (*p - '0');

        if (n > max) {
            return (ngx_uint_t) -1;
        }
    }

    return n;
}
