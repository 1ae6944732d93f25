
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_LIST_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_LIST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_trail.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * The size of the zone and its used part, in bytes, and the number of its
 * states by scope, as users see it, and category.
 */

typedef struct {
    size_t                           size;
    size_t                           used;
    ngx_uint_t                       links;
    ngx_uint_t                       states[NGX_HTTP_GRAPH_POLICY_NSCOPES]
                                           [NGX_HTTP_GRAPH_POLICY_CONTEXT + 1];
} ngx_http_graph_policy_stats_t;


/* The place of a listing; all zero at its beginning. */

typedef struct {
    uint64_t                         hash;
    uint8_t                          reason;
    unsigned                         begun:1;
    unsigned                         tree:2;        /* the next tree: a list
                                                       goes on with
                                                       conversations */
    unsigned                         done:1;
} ngx_http_graph_policy_cursor_t;


/* A call visits at most so many nodes, which bounds its time in the mutex. */
#define NGX_HTTP_GRAPH_POLICY_BATCH  16

/*
 * Fills up to BATCH views of the states behind the cursor, moves it, and
 * returns their number.  That may be 0 before the end, which is cursor->done.
 */
ngx_uint_t ngx_http_graph_policy_zone_list(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor, uint64_t now,
    ngx_http_graph_policy_view_t *views);

/*
 * Copies the state with that hash and reason, which are its id, to "view".
 * Returns NGX_OK, or NGX_DECLINED if there is none.
 */
ngx_int_t ngx_http_graph_policy_zone_find(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/*
 * Copies what became of the state since it began, its latest STEPS steps, the
 * oldest first, and sets "n" to their number.  Returns NGX_OK, or NGX_DECLINED
 * if none are kept: of a conversation, and in a small zone.
 */
ngx_int_t ngx_http_graph_policy_zone_past(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_view_t *view, ngx_http_graph_policy_step_t *steps,
    ngx_uint_t *n);

/*
 * Sets "since" to the start, in milliseconds, of the limit that ends first; the
 * zone isn't sorted by start, so this stands for the oldest limit.  Returns
 * NGX_OK; NGX_DECLINED if no conversation is limited; NGX_AGAIN if BATCH of
 * them were over and have been dropped, and the caller is to call again.  Other
 * states that are over are swept, too.
 */
ngx_int_t ngx_http_graph_policy_zone_oldest_limit(
    ngx_http_graph_policy_zone_t *zone, uint64_t now, uint64_t *since);

/* Takes the mutex once. */
void ngx_http_graph_policy_zone_stats(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_stats_t *stats);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_LIST_H_INCLUDED_ */
