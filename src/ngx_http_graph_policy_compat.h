
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* whatever depends on nginx's version stands here */


#if (nginx_version < 1022000)
#error "nginx 1.22.0 or newer is required"
#endif


/* since 1.23.0 headers of one name are linked */

#if (nginx_version >= 1023000)
#define ngx_http_graph_policy_unlink_header(h)  (h)->next = NULL
#else
#define ngx_http_graph_policy_unlink_header(h)
#endif


/* known only where gzip is compiled in */

#if (NGX_HTTP_GZIP)
#define ngx_http_graph_policy_has_accept_encoding(r)                          \
    ((r)->headers_in.accept_encoding != NULL)
#else
#define ngx_http_graph_policy_has_accept_encoding(r)  1
#endif


#endif /* _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_ */
