
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * When one state blocks, when it lets a probe pass, and what the probe's
 * outcome makes of it.  Closed, open, due with a lease, doubled holds.
 *
 * Pure: no clock, no random source, no lock.  The caller owns the structure
 * and, where it lies in shared memory, holds the mutex.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


static void ngx_http_graph_policy_breaker_arm(
    ngx_http_graph_policy_breaker_t *b, uint64_t now, uint32_t hold,
    uint32_t random);
static uint32_t ngx_http_graph_policy_breaker_doubled(
    ngx_http_graph_policy_breaker_t *b);
static void ngx_http_graph_policy_breaker_close(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);


ngx_http_graph_policy_position_e
ngx_http_graph_policy_breaker_position(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    if (!b->armed) {
        return NGX_HTTP_GRAPH_POLICY_CLOSED;
    }

    if (now < b->until) {
        return NGX_HTTP_GRAPH_POLICY_OPEN;
    }

    if (b->lease != 0 && now < b->lease_until) {
        return NGX_HTTP_GRAPH_POLICY_OPEN;
    }

    return NGX_HTTP_GRAPH_POLICY_DUE;
}


void
ngx_http_graph_policy_breaker_lease(ngx_http_graph_policy_breaker_t *b,
    uint64_t token, uint64_t until)
{
    /* a holder killed in between leaves a lease that is void */

    b->lease_until = 0;
    b->lease = token;
    b->lease_until = until;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_trip(ngx_http_graph_policy_breaker_t *b,
    uint64_t sent, uint64_t now, uint32_t hold, uint32_t max, uint32_t random)
{
    if (sent < b->changed) {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    if (!b->armed) {
        b->max = max;

        if (b->holds == 0 || now >= b->until) {
            b->since = now;
            b->holds = 0;
            ngx_http_graph_policy_breaker_arm(b, now, hold, random);

            return NGX_HTTP_GRAPH_POLICY_SET;
        }

        /* a relapse */

    } else if (ngx_http_graph_policy_breaker_position(b, now)
               != NGX_HTTP_GRAPH_POLICY_DUE)
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    ngx_http_graph_policy_breaker_arm(b, now,
                                      ngx_http_graph_policy_breaker_doubled(b),
                                      random);

    return NGX_HTTP_GRAPH_POLICY_REARMED;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_cool(ngx_http_graph_policy_breaker_t *b,
    uint64_t token, uint64_t sent, uint64_t now, uint32_t wait)
{
    ngx_http_graph_policy_transition_e  transition;

    if (!b->armed) {

        if (b->holds != 0 && sent < b->changed) {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }

        b->since = now;
        b->holds = 0;
        transition = NGX_HTTP_GRAPH_POLICY_SET;

    } else {

        if ((token == 0 || b->lease != token)
            && (sent < b->changed
                || ngx_http_graph_policy_breaker_position(b, now)
                   != NGX_HTTP_GRAPH_POLICY_DUE))
        {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }

        transition = NGX_HTTP_GRAPH_POLICY_REARMED;
    }

    b->max = wait;
    ngx_http_graph_policy_breaker_arm(b, now, wait, 0);

    return transition;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_settle(ngx_http_graph_policy_breaker_t *b,
    uint64_t token, ngx_http_graph_policy_outcome_e outcome, uint64_t now,
    uint32_t random)
{
    if (!b->armed || b->lease != token) {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    switch (outcome) {

    case NGX_HTTP_GRAPH_POLICY_SUCCESS:
        ngx_http_graph_policy_breaker_close(b, now);
        return NGX_HTTP_GRAPH_POLICY_CLEARED;

    case NGX_HTTP_GRAPH_POLICY_FAILURE:
        ngx_http_graph_policy_breaker_arm(b, now,
                                      ngx_http_graph_policy_breaker_doubled(b),
                                      random);
        return NGX_HTTP_GRAPH_POLICY_REARMED;

    default: /* NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE */
        b->lease = 0;
        b->until = now + ngx_min(b->hold, NGX_HTTP_GRAPH_POLICY_RETRY_HOLD);
        return NGX_HTTP_GRAPH_POLICY_FREED;
    }
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_clear(ngx_http_graph_policy_breaker_t *b,
    uint64_t sent, uint64_t now)
{
    if (!b->armed || sent < b->changed
        || b->until == NGX_HTTP_GRAPH_POLICY_NEVER)
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    ngx_http_graph_policy_breaker_close(b, now);

    return NGX_HTTP_GRAPH_POLICY_CLEARED;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_put(ngx_http_graph_policy_breaker_t *b,
    uint64_t now, uint32_t hold, uint32_t max, ngx_uint_t frozen)
{
    ngx_http_graph_policy_transition_e  transition;

    transition = NGX_HTTP_GRAPH_POLICY_REARMED;

    if (!b->armed) {
        b->since = now;
        b->holds = 0;
        transition = NGX_HTTP_GRAPH_POLICY_SET;
    }

    b->max = max;
    ngx_http_graph_policy_breaker_arm(b, now, hold, 0);

    if (frozen) {
        b->until = NGX_HTTP_GRAPH_POLICY_NEVER;
    }

    return transition;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_end(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    if (!b->armed) {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    ngx_http_graph_policy_breaker_close(b, now);

    return NGX_HTTP_GRAPH_POLICY_CLEARED;
}


ngx_uint_t
ngx_http_graph_policy_breaker_make_due(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    if (!b->armed || now >= b->until
        || b->until == NGX_HTTP_GRAPH_POLICY_NEVER)
    {
        return 0;
    }

    b->until = now;

    return 1;
}


static void
ngx_http_graph_policy_breaker_arm(ngx_http_graph_policy_breaker_t *b,
    uint64_t now, uint32_t hold, uint32_t random)
{
    b->hold = hold;
    b->holds++;
    b->until = now + hold + random % (hold / 10 + 1);
    b->changed = now;
    b->lease = 0;
    b->armed = 1;
}


static uint32_t
ngx_http_graph_policy_breaker_doubled(ngx_http_graph_policy_breaker_t *b)
{
    if (b->hold > b->max / 2) {
        return ngx_max(b->hold, b->max);
    }

    return b->hold * 2;
}


static void
ngx_http_graph_policy_breaker_close(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    b->armed = 0;
    b->lease = 0;
    b->changed = now;
    b->until = now + ngx_max(b->hold, NGX_HTTP_GRAPH_POLICY_MEMORY);
}
