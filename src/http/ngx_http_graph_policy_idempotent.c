
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tells if a request can do no harm when the upstream carries it out twice.
 * The client's method isn't enough to know: nginx may send another one, and
 * Graph takes one from the query.  In doubt the answer is no.
 *
 * No lock is taken and no memory allocated; only the request is read.
 */


#include "ngx_http_graph_policy_request.h"


static ngx_uint_t ngx_http_graph_policy_overrides_method(ngx_str_t *args);
static ngx_uint_t ngx_http_graph_policy_was_sent_idempotent(ngx_buf_t *b);
static ngx_uint_t ngx_http_graph_policy_is_safe_method(u_char *p, size_t len);
static ngx_uint_t ngx_http_graph_policy_is_h2_get(u_char *p, u_char *last);


/* A connection over HTTP/2 begins with these bytes (RFC 9113, 3.4). */
#define NGX_HTTP_GRAPH_POLICY_PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/*
 * The size of a frame's header, and the type of HEADERS (RFC 9113, 4.1 and
 * 6.2).
 */
#define NGX_HTTP_GRAPH_POLICY_FRAME    9
#define NGX_HTTP_GRAPH_POLICY_HEADERS  1

/*
 * ":method: GET" as an index into the static table (RFC 7541, 6.1 and appendix
 * A).
 */
#define NGX_HTTP_GRAPH_POLICY_H2_GET   0x82


ngx_uint_t
ngx_http_graph_policy_is_idempotent(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_endpoint_t  endpoint;

    /* These methods are idempotent (RFC 9110, 9.2.2). */

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_PUT
                       |NGX_HTTP_DELETE|NGX_HTTP_OPTIONS|NGX_HTTP_TRACE)))
    {
        return 0;
    }

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);

    if (endpoint.send || ngx_http_graph_policy_overrides_method(&r->args)) {
        return 0;
    }

    return r->upstream->request_bufs != NULL
           && ngx_http_graph_policy_was_sent_idempotent(
                                              r->upstream->request_bufs->buf);
}


/*
 * Graph takes the argument "method" for the method, even if the request has
 * another one.
 */

static ngx_uint_t
ngx_http_graph_policy_overrides_method(ngx_str_t *args)
{
    u_char     *p;
    ngx_str_t   name, value;

    p = args->data;

    while (ngx_http_graph_policy_next_argument(&p, args, &name, &value)) {
        if (ngx_http_graph_policy_is_argument(&name, "method",
                                              sizeof("method") - 1))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Reads the request as it was written for the upstream, as there is no other
 * way to learn the results of proxy_method and proxy_pass.  For protocols
 * other than HTTP it returns 0.
 */

static ngx_uint_t
ngx_http_graph_policy_was_sent_idempotent(ngx_buf_t *b)
{
    u_char     *p, *uri, *end;
    size_t      len;
    ngx_str_t   args;

    /* The request has been sent, so "pos" is at its end. */

    p = b->start;
    len = sizeof(NGX_HTTP_GRAPH_POLICY_PREFACE) - 1;

    if ((size_t) (b->last - p) > len
        && ngx_memcmp(p, NGX_HTTP_GRAPH_POLICY_PREFACE, len) == 0)
    {
        return ngx_http_graph_policy_is_h2_get(p + len, b->last);
    }

    uri = ngx_strlchr(p, b->last, ' ');

    if (uri == NULL
        || !ngx_http_graph_policy_is_safe_method(p, uri - p))
    {
        return 0;
    }

    uri++;
    end = ngx_strlchr(uri, b->last, ' ');

    if (end == NULL) {
        return 0;
    }

    args.data = ngx_strlchr(uri, end, '?');

    if (args.data == NULL) {
        return 1;
    }

    args.data++;
    args.len = end - args.data;

    return !ngx_http_graph_policy_overrides_method(&args);
}


static ngx_uint_t
ngx_http_graph_policy_is_safe_method(u_char *p, size_t len)
{
    ngx_uint_t  i;

    static ngx_str_t  methods[] = {
        ngx_string("GET"),
        ngx_string("HEAD"),
        ngx_string("PUT"),
        ngx_string("DELETE"),
        ngx_string("OPTIONS"),
        ngx_string("TRACE"),
        ngx_null_string
    };

    for (i = 0; methods[i].len != 0; i++) {

        if (len == methods[i].len
            && ngx_memcmp(p, methods[i].data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * nginx writes ":method" first, GET and POST as an index and other methods as
 * text.
 */

static ngx_uint_t
ngx_http_graph_policy_is_h2_get(u_char *p, u_char *last)
{
    size_t  len;

    while (last - p > NGX_HTTP_GRAPH_POLICY_FRAME) {

        if (p[3] == NGX_HTTP_GRAPH_POLICY_HEADERS) {
            return p[NGX_HTTP_GRAPH_POLICY_FRAME]
                   == NGX_HTTP_GRAPH_POLICY_H2_GET;
        }

        len = ((size_t) p[0] << 16) | ((size_t) p[1] << 8) | p[2];
        p += NGX_HTTP_GRAPH_POLICY_FRAME;

        if (len > (size_t) (last - p)) {
            break;
        }

        p += len;
    }

    return 0;
}
