
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_YAJL_H_INCLUDED_


/* Shared by the files that call yajl, and private to them. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>


/* The caller's arena, of which yajl gets its memory. */

typedef struct {
    u_char                             *pos;
    u_char                             *end;
    u_char                             *block;      /* the last one given */
} ngx_http_graph_policy_yajl_arena_t;


/* A text that is being read; it must not move before it is. */

typedef struct {
    yajl_handle                         handle;
    yajl_alloc_funcs                    funcs;
    ngx_http_graph_policy_yajl_arena_t  arena;
    u_char                             *text;
    size_t                              len;
    size_t                              done;       /* bytes read */
    unsigned                            whole:1;    /* the rest is blank */
} ngx_http_graph_policy_yajl_t;


/*
 * Begin to read a text, and read "n" more bytes of it.  The arena has "size"
 * bytes: json_arena(len), or json_arena_in_steps(len) if there will be more
 * than one step.  The callbacks are as for yajl_run().  Both return
 * NGX_DECLINED if the text isn't one whole document; step() returns NGX_OK if
 * it is, or NGX_AGAIN if there is more to be read.
 */
ngx_int_t ngx_http_graph_policy_yajl_begin(ngx_http_graph_policy_yajl_t *y,
    yajl_callbacks *callbacks, u_char *text, size_t len, void *arena,
    size_t size, void *ctx);
ngx_int_t ngx_http_graph_policy_yajl_step(ngx_http_graph_policy_yajl_t *y,
    size_t n);

/* Returns the bytes of an arena for a text that is read in several steps. */
size_t ngx_http_graph_policy_json_arena_in_steps(size_t len);

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
