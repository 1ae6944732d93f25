
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
 * Lets scripts (Lua, njs, SSI) find the variables by name.  To be called when
 * the configuration has been read: before that, nginx would take any name that
 * begins like these for a known variable.
 */
ngx_int_t ngx_http_graph_policy_name_variables(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_GRAPH_POLICY_VARIABLES_H_INCLUDED_ */
