
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_FILTER_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_FILTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


ngx_int_t ngx_http_graph_policy_filter_init(ngx_conf_t *cf);
/*
 * Returns 1 if no other module has put a filter before ours; to be called when
 * all filters have been added.
 */
ngx_uint_t ngx_http_graph_policy_filter_is_first(void);


#endif /* _NGX_HTTP_GRAPH_POLICY_FILTER_H_INCLUDED_ */
