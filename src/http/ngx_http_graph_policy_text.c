
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Formats values as logs, headers and the API show them.
 *
 * No lock is taken.  Memory is the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"


/* All 256 bytes in hexadecimal. */

#define ngx_http_graph_policy_hex_row(d)                                      \
    d "0" d "1" d "2" d "3" d "4" d "5" d "6" d "7"                           \
    d "8" d "9" d "a" d "b" d "c" d "d" d "e" d "f"

static const char  ngx_http_graph_policy_hex[] =
    ngx_http_graph_policy_hex_row("0") ngx_http_graph_policy_hex_row("1")
    ngx_http_graph_policy_hex_row("2") ngx_http_graph_policy_hex_row("3")
    ngx_http_graph_policy_hex_row("4") ngx_http_graph_policy_hex_row("5")
    ngx_http_graph_policy_hex_row("6") ngx_http_graph_policy_hex_row("7")
    ngx_http_graph_policy_hex_row("8") ngx_http_graph_policy_hex_row("9")
    ngx_http_graph_policy_hex_row("a") ngx_http_graph_policy_hex_row("b")
    ngx_http_graph_policy_hex_row("c") ngx_http_graph_policy_hex_row("d")
    ngx_http_graph_policy_hex_row("e") ngx_http_graph_policy_hex_row("f");


u_char *
ngx_http_graph_policy_write_id(u_char *p, ngx_http_graph_policy_view_t *view)
{
    ngx_int_t  shift;

    for (shift = 56; shift >= 0; shift -= 8) {
        p = ngx_cpymem(p, &ngx_http_graph_policy_hex[
                                           (view->hash >> shift & 0xff) * 2],
                       2);
    }

    return ngx_cpymem(p, &ngx_http_graph_policy_hex[view->stored_reason * 2],
                      2);
}


u_char *
ngx_http_graph_policy_write_number(u_char *p, int64_t number)
{
    u_char     digits[NGX_INT64_LEN], *first, *last;
    uint64_t   n;

    n = (uint64_t) number;
    last = digits + NGX_INT64_LEN;
    first = last;

    do {
        *--first = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    return ngx_cpymem(p, first, last - first);
}
