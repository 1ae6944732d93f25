
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_REDIRECT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_REDIRECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A node of a cluster that doesn't hold a key's slot answers with the error
 *
 *     MOVED SLOT HOST:PORT
 *
 * ("Redis cluster specification" on redis.io, "MOVED Redirection").  HOST is
 * an address, an IPv6 one with or without brackets, or a name; it is empty
 * where the node knows none for the other (redis.conf,
 * cluster-preferred-endpoint-type): then it is that of the node itself.
 */

typedef struct {
    ngx_str_t      host;            /* without brackets; in the text */
    ngx_uint_t     port;            /* 1 to 65535 */
} ngx_http_graph_policy_redirect_t;


/* NGX_OK; NGX_DECLINED if the error is another one */
ngx_int_t ngx_http_graph_policy_redirect_read(ngx_str_t *error,
    ngx_http_graph_policy_redirect_t *redirect);

/* A port as text, decimal; 0 if it is none. */
ngx_uint_t ngx_http_graph_policy_redirect_port(ngx_str_t *text);


#endif /* _NGX_HTTP_GRAPH_POLICY_REDIRECT_H_INCLUDED_ */
