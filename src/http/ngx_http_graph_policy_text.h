
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_TEXT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_zone.h"

#define ngx_http_graph_policy_is_named(value, literal)                        \
    ((value)->len == sizeof(literal) - 1                                      \
     && ngx_strncasecmp((value)->data, (u_char *) literal,                    \
                        sizeof(literal) - 1)                                  \
        == 0)

/* Copies a literal text to p, and returns its end. */

#define ngx_http_graph_policy_put(p, literal)                                 \
    ngx_cpymem(p, literal, sizeof(literal) - 1)


/* The time when the request that is being answered left for the upstream. */

static ngx_inline uint64_t
ngx_http_graph_policy_sent(ngx_http_request_t *r)
{
    return ngx_http_graph_policy_now()
           - (uint64_t) (ngx_current_msec - r->upstream->start_time);
}

/*
 * Writes the id of a state, NGX_HTTP_GRAPH_POLICY_ID_LEN bytes, and returns
 * its end.
 */
u_char *ngx_http_graph_policy_write_id(u_char *p,
    ngx_http_graph_policy_view_t *view);

/*
 * Writes a number that isn't negative in decimal, at most NGX_INT64_LEN bytes,
 * and returns its end.  Each error that is told has some, for which
 * ngx_sprintf() takes four times as long.
 */
u_char *ngx_http_graph_policy_write_number(u_char *p, int64_t number);


#endif /* _NGX_HTTP_GRAPH_POLICY_TEXT_H_INCLUDED_ */
