
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_LIST_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_LIST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"


/* how many states there are, by what users know as scope, and category */

typedef struct {
    size_t                           size;
    size_t                           used;
    ngx_uint_t                       links;
    ngx_uint_t                       states[NGX_HTTP_GRAPH_POLICY_NSCOPES]
                                           [NGX_HTTP_GRAPH_POLICY_CONTEXT + 1];
} ngx_http_graph_policy_stats_t;


/* where a listing is; all zero at its beginning */

typedef struct {
    uint64_t                         hash;
    uint8_t                          reason;
    unsigned                         begun:1;
    unsigned                         tree:1;        /* the second one */
    unsigned                         done:1;
} ngx_http_graph_policy_cursor_t;


/* how many views one call lists, and nodes it looks at, under the mutex */
#define NGX_HTTP_GRAPH_POLICY_BATCH  16

/*
 * Fills up to BATCH views of the states behind the cursor, and moves it; it may
 * find none and not be done.
 */
ngx_uint_t ngx_http_graph_policy_zone_list(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor, uint64_t now,
    ngx_http_graph_policy_view_t *views);

/* The state with that hash and reason, its id.  NGX_DECLINED: there is none. */
ngx_int_t ngx_http_graph_policy_zone_find(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/*
 * Since when the conversation is limited whose limit ends first, as the oldest
 * one isn't known.  NGX_DECLINED: none is; NGX_AGAIN: BATCH of them were over
 * and are dropped, call again.  Other states that are over are swept, too.
 */
ngx_int_t ngx_http_graph_policy_zone_oldest_limit(
    ngx_http_graph_policy_zone_t *zone, uint64_t now, uint64_t *since);

void ngx_http_graph_policy_zone_stats(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_stats_t *stats);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_LIST_H_INCLUDED_ */
