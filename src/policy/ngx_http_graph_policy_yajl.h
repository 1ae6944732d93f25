
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_


/* Private to the JSON room: what those who know yajl share. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>


/*
 * Runs "callbacks" with "ctx" over one complete text, whose arena is as
 * json_parse() wants it.  The callbacks themselves keep the depth at most
 * NGX_HTTP_GRAPH_POLICY_JSON_DEPTH, for which the arena is made.  Returns
 * NGX_OK if the text is one whole document, else NGX_DECLINED.
 */
ngx_int_t ngx_http_graph_policy_yajl_run(yajl_callbacks *callbacks,
    u_char *text, size_t len, void *arena, void *ctx);

/* Whether a text is valid UTF-8: NGX_OK or NGX_DECLINED. */
ngx_int_t ngx_http_graph_policy_yajl_utf8(const u_char *p,
    const u_char *last);

/*
 * The value of a JSON number, or -1 if it is negative, not whole or above
 * 2^53 - 1.
 */
int64_t ngx_http_graph_policy_yajl_integer(const u_char *p,
    const u_char *last);

/*
 * The value of a string of digits, which some give a number as, or -1 if it
 * is anything else or above the largest int64_t.
 */
int64_t ngx_http_graph_policy_yajl_digits(const u_char *p, size_t len);


#endif /* _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_ */
