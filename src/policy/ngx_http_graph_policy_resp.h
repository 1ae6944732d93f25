
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_RESP_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_RESP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The protocol of Redis and Valkey, version 2 ("Redis serialization protocol
 * specification" on redis.io).  Who answers may lie: no tree of a reply is
 * built, its values are told one by one as they come, and what is larger than
 * any answer to this module is refused before memory is taken for it.
 */

#define NGX_HTTP_GRAPH_POLICY_RESP_DEPTH     5      /* arrays in arrays */
#define NGX_HTTP_GRAPH_POLICY_RESP_ELEMENTS  4096   /* in an array */
#define NGX_HTTP_GRAPH_POLICY_RESP_SIZE      (1024 * 1024)  /* bytes, a reply */


typedef enum {
    NGX_HTTP_GRAPH_POLICY_RESP_STATUS = 0,
    NGX_HTTP_GRAPH_POLICY_RESP_ERROR,
    NGX_HTTP_GRAPH_POLICY_RESP_STRING,
    NGX_HTTP_GRAPH_POLICY_RESP_INTEGER,
    NGX_HTTP_GRAPH_POLICY_RESP_NIL,
    NGX_HTTP_GRAPH_POLICY_RESP_ARRAY
} ngx_http_graph_policy_resp_e;


/*
 * A value of a reply.  "depth" is 0 for the reply itself; index[d - 1] says as
 * which element of its array at depth d - 1 the value, or what it is part of,
 * came.  "text" is valid until the callback returns.
 */

typedef struct {
    ngx_http_graph_policy_resp_e     type;
    ngx_uint_t                       depth;
    ngx_uint_t                       index[NGX_HTTP_GRAPH_POLICY_RESP_DEPTH];
    ngx_str_t                        text;      /* status, error, string */
    int64_t                          number;    /* integer; of an array, how
                                                   many elements follow */
} ngx_http_graph_policy_resp_value_t;


typedef void (*ngx_http_graph_policy_resp_pt)(void *data,
    ngx_http_graph_policy_resp_value_t *value);

typedef struct ngx_http_graph_policy_resp_s  ngx_http_graph_policy_resp_t;


/*
 * Makes a reader of replies, in malloc()'s memory; NULL: there is none.
 * "handler" is called with "data" by resp_next() alone, and mustn't destroy
 * the reader.
 */
ngx_http_graph_policy_resp_t *ngx_http_graph_policy_resp_create(
    ngx_http_graph_policy_resp_pt handler, void *data);
void ngx_http_graph_policy_resp_destroy(ngx_http_graph_policy_resp_t *resp);

/* Takes bytes, which are copied.  NGX_OK, or NGX_ERROR: no memory. */
ngx_int_t ngx_http_graph_policy_resp_feed(ngx_http_graph_policy_resp_t *resp,
    u_char *data, size_t len);

/*
 * Reads on.  NGX_OK: one reply is complete, there may be another; NGX_AGAIN:
 * more bytes are needed; NGX_DECLINED: the reply is larger than any may be;
 * NGX_ERROR: it isn't of the protocol.  After the last two the reader is of no
 * use any more.
 */
ngx_int_t ngx_http_graph_policy_resp_next(ngx_http_graph_policy_resp_t *resp);


/*
 * Writes a command of "n" arguments to "p".  "command_len" is how many bytes
 * that takes at most.
 */
size_t ngx_http_graph_policy_resp_command_len(ngx_str_t *args, ngx_uint_t n);
u_char *ngx_http_graph_policy_resp_command(u_char *p, ngx_str_t *args,
    ngx_uint_t n);


#endif /* _NGX_HTTP_GRAPH_POLICY_RESP_H_INCLUDED_ */
