
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_OVERRIDE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_OVERRIDE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


/*
 * Clears the state with that hash and reason, which are its id.  Returns
 * NGX_OK, or NGX_DECLINED if there is none.
 */
ngx_int_t ngx_http_graph_policy_zone_end(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Sets a state by hand at "kind" of "id", bound to the credential of "id" or,
 * if that is 0, for everyone.  Returns NGX_OK with the state in "view", or
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_zone_put(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_failure_t *failure, ngx_uint_t frozen,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);

/*
 * Returns if the phone of "id" may write to id->conversation now.  Unless it
 * may send any message, "view" is the state that blocks.
 */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_MAY_WRITE = 0,
    NGX_HTTP_GRAPH_POLICY_MAY_SEND_TEMPLATES,
    NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE
} ngx_http_graph_policy_may_write_e;

ngx_http_graph_policy_may_write_e ngx_http_graph_policy_zone_lookup(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    uint64_t now, ngx_http_graph_policy_view_t *view);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_OVERRIDE_H_INCLUDED_ */
