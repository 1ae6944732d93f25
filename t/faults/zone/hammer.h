
#ifndef _HAMMER_H_INCLUDED_
#define _HAMMER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_list.h"


#define HAMMER_HOLD        2000     /* milliseconds */


/* What one process hammers with. */

typedef struct {
    ngx_http_graph_policy_zone_t      *zone;
    uint64_t                           random;
    uint64_t                           now;
    u_char                             phone[NGX_INT64_LEN];
    u_char                             account[NGX_INT64_LEN + 64];
    ngx_http_graph_policy_query_t      query;
    ngx_http_graph_policy_facts_t      facts;
    ngx_http_graph_policy_verdict_t    verdict;
    ngx_http_graph_policy_failure_t    failure;
    ngx_http_graph_policy_view_t       view;
    ngx_http_graph_policy_cover_t      cover;
    ngx_http_graph_policy_changes_t    changes;
    ngx_http_graph_policy_cursor_t     list;
    ngx_http_graph_policy_cursor_t     save;
    ngx_http_graph_policy_record_t     records[NGX_HTTP_GRAPH_POLICY_BATCH];
    ngx_http_graph_policy_view_t       views[NGX_HTTP_GRAPH_POLICY_BATCH];
} hammer_t;


/*
 * Does with h->zone what requests, webhooks, operators and state files do, one
 * of it at random.  "zone", "now" in milliseconds, "random", which is odd, and
 * changes.log are the caller's; all else is zeroed before the first call.
 */
void hammer_once(hammer_t *h);


#endif /* _HAMMER_H_INCLUDED_ */
