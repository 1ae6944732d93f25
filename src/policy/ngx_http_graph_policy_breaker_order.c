
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * These decisions say in which order states are kept, when one is forgotten,
 * and which of them leaves a full zone first.
 *
 * Pure: no clock, no random source, no lock.  The caller owns the structure
 * and, if it lies in shared memory, holds the mutex.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


ngx_http_graph_policy_order_e
ngx_http_graph_policy_breaker_order(ngx_http_graph_policy_breaker_t *b,
    ngx_uint_t temporary, ngx_uint_t by_event, ngx_uint_t bound)
{
    if (!b->armed) {
        return bound ? NGX_HTTP_GRAPH_POLICY_BOUND_IDLE
                     : NGX_HTTP_GRAPH_POLICY_IDLE;
    }

    if (temporary) {
        return bound ? NGX_HTTP_GRAPH_POLICY_BOUND_COOLING
                     : NGX_HTTP_GRAPH_POLICY_COOLING;
    }

    if (b->confirming) {
        return NGX_HTTP_GRAPH_POLICY_CONFIRMING;
    }

    /* A state that an operator has set leaves last, even if it is bound. */

    if (bound && !by_event) {
        return NGX_HTTP_GRAPH_POLICY_BOUND_ARMED;
    }

    return by_event ? NGX_HTTP_GRAPH_POLICY_BY_EVENT
                    : NGX_HTTP_GRAPH_POLICY_ARMED;
}


uint64_t
ngx_http_graph_policy_breaker_order_key(ngx_http_graph_policy_breaker_t *b,
    uint32_t memory, uint64_t now)
{
    uint64_t  end;

    if (b->confirming) {
        return ngx_http_graph_policy_breaker_leased_until(b, now);
    }

    if (b->armed) {
        return b->until;
    }

    /*
     * An event may come late, and must find the change that is newer.  So must
     * what another host has told of the state, as long as that is believed:
     * until its hold is over, with its jitter, or for a day if it was frozen.
     */

    end = b->was_frozen ? NGX_HTTP_GRAPH_POLICY_FROZEN
                        : b->hold + b->hold / 10;

    return ngx_max(b->until, b->changed + ngx_max(end, memory));
}


ngx_uint_t
ngx_http_graph_policy_breaker_is_over(ngx_http_graph_policy_order_e order,
    uint64_t key, uint64_t now)
{
    switch (order) {

    case NGX_HTTP_GRAPH_POLICY_IDLE:
    case NGX_HTTP_GRAPH_POLICY_BOUND_IDLE:
    case NGX_HTTP_GRAPH_POLICY_CONFIRMING:
        return now >= key;

    case NGX_HTTP_GRAPH_POLICY_COOLING:
    case NGX_HTTP_GRAPH_POLICY_BOUND_COOLING:
        return now >= key + NGX_HTTP_GRAPH_POLICY_COOLED;

    default: /* armed, fatal */
        return now >= key + NGX_HTTP_GRAPH_POLICY_ABANDONED;
    }
}


ngx_http_graph_policy_rank_e
ngx_http_graph_policy_breaker_rank(ngx_http_graph_policy_order_e order,
    uint64_t until, uint64_t now)
{
    switch (order) {

    case NGX_HTTP_GRAPH_POLICY_IDLE:
        return NGX_HTTP_GRAPH_POLICY_LEAVES_IDLE;

    case NGX_HTTP_GRAPH_POLICY_COOLING:
        return NGX_HTTP_GRAPH_POLICY_LEAVES_COOLING;

    case NGX_HTTP_GRAPH_POLICY_ARMED:
        return (now >= until) ? NGX_HTTP_GRAPH_POLICY_LEAVES_DUE
                              : NGX_HTTP_GRAPH_POLICY_LEAVES_ARMED;

    case NGX_HTTP_GRAPH_POLICY_BOUND_IDLE:
        return NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND;

    case NGX_HTTP_GRAPH_POLICY_BOUND_COOLING:
        return (now >= until) ? NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND
                              : NGX_HTTP_GRAPH_POLICY_LEAVES_COOLING;

    case NGX_HTTP_GRAPH_POLICY_BOUND_ARMED:
        return (now >= until) ? NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND
                              : NGX_HTTP_GRAPH_POLICY_LEAVES_ARMED;

    case NGX_HTTP_GRAPH_POLICY_CONFIRMING:
        return NGX_HTTP_GRAPH_POLICY_LEAVES_BY_EVENT;

    default: /* NGX_HTTP_GRAPH_POLICY_BY_EVENT */
        return (now >= until) ? NGX_HTTP_GRAPH_POLICY_LEAVES_DUE_BY_EVENT
                              : NGX_HTTP_GRAPH_POLICY_LEAVES_BY_EVENT;
    }
}
