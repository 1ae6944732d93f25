
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the arguments of a request's query, and evaluates complex values.
 *
 * No lock is taken.  Memory belongs to the request.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_request.h"


ngx_uint_t
ngx_http_graph_policy_next_argument(u_char **p, ngx_str_t *args,
    ngx_str_t *name, ngx_str_t *value)
{
    u_char  *c, *last;

    /* Without a query its data is NULL, to which C lets nothing be added. */

    if (args->len == 0) {
        return 0;
    }

    c = *p;
    last = args->data + args->len;

    if (c >= last) {
        return 0;
    }

    name->data = c;

    while (c < last && *c != '&' && *c != '=') {
        c++;
    }

    name->len = c - name->data;

    if (c < last && *c == '=') {
        c++;
    }

    value->data = c;

    while (c < last && *c != '&') {
        c++;
    }

    value->len = c - value->data;

    *p = c + 1;

    return 1;
}


ngx_uint_t
ngx_http_graph_policy_is_argument(ngx_str_t *name, const char *expected,
    size_t len)
{
    u_char   c, *p, *last;
    size_t   i;

    p = name->data;
    last = p + name->len;

    for (i = 0; i < len; i++) {

        if (p == last) {
            return 0;
        }

        c = *p++;

        if (c == '%' && last - p >= 2) {
            c = (u_char) ngx_hextoi(p, 2);
            p += 2;
        }

        if (c != (u_char) expected[i]) {
            return 0;
        }
    }

    return p == last;
}


ngx_int_t
ngx_http_graph_policy_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, ngx_str_t *value)
{
    if (ngx_http_complex_value(r, cv, value) != NGX_OK) {
        ngx_str_null(value);
        return NGX_ERROR;
    }

    return NGX_OK;
}
