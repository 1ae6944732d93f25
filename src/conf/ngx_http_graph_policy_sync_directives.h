
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SYNC_DIRECTIVES_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SYNC_DIRECTIVES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync.h"


/* bits say which parameters of graph_policy_sync were given */

#define NGX_HTTP_GRAPH_POLICY_GIVEN_ZONE      0x0001
#define NGX_HTTP_GRAPH_POLICY_GIVEN_KEY       0x0002
#define NGX_HTTP_GRAPH_POLICY_GIVEN_USER      0x0004
#define NGX_HTTP_GRAPH_POLICY_GIVEN_PASSWORD  0x0008
#define NGX_HTTP_GRAPH_POLICY_GIVEN_DB        0x0010
#define NGX_HTTP_GRAPH_POLICY_GIVEN_PREFIX    0x0020
#define NGX_HTTP_GRAPH_POLICY_GIVEN_TIMEOUT   0x0040
#define NGX_HTTP_GRAPH_POLICY_GIVEN_LENGTH    0x0080
#define NGX_HTTP_GRAPH_POLICY_GIVEN_MASTER    0x0100


/*
 * Takes one parameter of the directive into "sync", and notes it in "given".
 * Returns as a directive does.
 */
char *ngx_http_graph_policy_sync_parameter(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_http_graph_policy_sync_t *sync, ngx_uint_t *given);


#endif /* _NGX_HTTP_GRAPH_POLICY_SYNC_DIRECTIVES_H_INCLUDED_ */
