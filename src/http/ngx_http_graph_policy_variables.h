
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


ngx_int_t ngx_http_graph_policy_add_variables(ngx_conf_t *cf);
/*
 * Lets scripts (Lua, njs, SSI) find the variables by name.  It must be called
 * after the configuration has been read: nginx would take any name with one of
 * the prefixes for a known variable before.  Then it is too late to refuse, so
 * room for it is asked for while the configuration is read.
 */
ngx_int_t ngx_http_graph_policy_reserve_names(ngx_conf_t *cf);
void ngx_http_graph_policy_name_variables(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAPH_POLICY_VARIABLES_H_INCLUDED_ */
