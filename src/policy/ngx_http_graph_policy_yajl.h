
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_


/* Shared by the files that call yajl, and private to them. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>


/*
 * Runs "callbacks" with "ctx" over one complete text; "arena" is as for
 * json_parse().  The callbacks must stop at a depth of
 * NGX_HTTP_GRAPH_POLICY_JSON_DEPTH, for which the arena is made.  Returns
 * NGX_OK if the text is one whole document, else NGX_DECLINED.
 */
ngx_int_t ngx_http_graph_policy_yajl_run(yajl_callbacks *callbacks,
    u_char *text, size_t len, void *arena, void *ctx);

/* Returns NGX_OK if the text is valid UTF-8, else NGX_DECLINED. */
ngx_int_t ngx_http_graph_policy_yajl_utf8(const u_char *p,
    const u_char *last);

/*
 * Returns the value of a JSON number, or -1 if it is negative, not whole or
 * above 2^53 - 1.
 */
int64_t ngx_http_graph_policy_yajl_integer(const u_char *p,
    const u_char *last);

/*
 * Returns the value of a string of digits, a form in which some senders give
 * numbers, or -1 if it is anything else or above the largest int64_t.
 */
int64_t ngx_http_graph_policy_yajl_digits(const u_char *p, size_t len);


#endif /* _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_ */
