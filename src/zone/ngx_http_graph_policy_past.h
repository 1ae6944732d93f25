
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PAST_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PAST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_state.h"


/*
 * What became of a zone's states.  All are called with the mutex held; the
 * memory is the zone's.
 */

/* Of a new zone: sets memory aside for what becomes of its states. */
void ngx_http_graph_policy_past_init(ngx_slab_pool_t *shpool,
    ngx_http_graph_policy_shctx_t *sh);
/* Notes a step of a state; "elsewhere" is 1 if another host told it. */
void ngx_http_graph_policy_past_note(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_view_t *view, ngx_uint_t what, uint64_t now,
    ngx_uint_t elsewhere);
/* Notes all changes of a list. */
void ngx_http_graph_policy_past_publish(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_changes_t *changes);


#endif /* _NGX_HTTP_GRAPH_POLICY_PAST_H_INCLUDED_ */
