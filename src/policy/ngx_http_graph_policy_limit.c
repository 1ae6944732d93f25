
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * These decisions say when a conversation's limit blocks a message, and how
 * answers, events and inbound messages change it, in any order.
 *
 * Pure: no clock, no lock.  The caller owns the structure and, if it lies in
 * shared memory, holds the mutex.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_rules.h"


static ngx_uint_t ngx_http_graph_policy_limit_is_newer(
    ngx_http_graph_policy_limit_t *limit,
    ngx_http_graph_policy_refusal_t *refusal);


/* The times of events are in seconds, so times are compared by the second. */

#define ngx_http_graph_policy_second(ms)  ((ms) / 1000)

/* the clock was stepped back since, and what it was then is long past */
#define ngx_http_graph_policy_limit_is_ahead(time, now)                       \
    ((time) > (now) + NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT)


ngx_uint_t
ngx_http_graph_policy_limit_is_live(ngx_http_graph_policy_limit_t *limit,
    uint64_t until, uint64_t now)
{
    return limit->live && now < until
           && !ngx_http_graph_policy_limit_is_ahead(until, now + limit->hold);
}


uint64_t
ngx_http_graph_policy_limit_end(ngx_http_graph_policy_limit_t *limit,
    uint64_t until, ngx_http_graph_policy_gate_t *gate, uint64_t now)
{
    if (gate->hold == 0 || !limit->live
        || ngx_http_graph_policy_limit_is_ahead(until, now + limit->hold))
    {
        return 0;
    }

    /* A template may be sent while the window is closed, and opens it again. */

    if (gate->template
        && limit->reason == NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED)
    {
        return 0;
    }

    if (!limit->fixed && gate->hold < limit->hold) {
        return until - (limit->hold - gate->hold);
    }

    return until;
}


uint64_t
ngx_http_graph_policy_limit_until(ngx_http_graph_policy_refusal_t *refusal)
{
    /*
     * An answer's hold begins when it comes; an event's hold begins with its
     * cause, as the event may come late.
     */

    return (refusal->event ? refusal->sent : refusal->now) + refusal->hold;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_limit_refuse(ngx_http_graph_policy_limit_t *limit,
    uint64_t *until, ngx_http_graph_policy_refusal_t *refusal)
{
    ngx_uint_t  was_live;

    if (!ngx_http_graph_policy_limit_is_newer(limit, refusal)) {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    was_live = ngx_http_graph_policy_limit_is_live(limit, *until,
                                                   refusal->now);

    /* Meta may deliver an event several times; it changes nothing again. */

    if (was_live && refusal->sent == limit->changed
        && refusal->reason == limit->reason)
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    if (!was_live) {
        limit->since = refusal->event ? refusal->sent : refusal->now;
    }

    limit->changed = refusal->sent;
    limit->hold = refusal->hold;
    limit->reason = refusal->reason;
    limit->fixed = refusal->fixed;
    limit->inbound = 0;
    limit->live = 1;

    *until = ngx_http_graph_policy_limit_until(refusal);

    return was_live ? NGX_HTTP_GRAPH_POLICY_REARMED
                    : NGX_HTTP_GRAPH_POLICY_SET;
}


static ngx_uint_t
ngx_http_graph_policy_limit_is_newer(ngx_http_graph_policy_limit_t *limit,
    ngx_http_graph_policy_refusal_t *refusal)
{
    uint64_t  sent, changed;

    if (ngx_http_graph_policy_limit_is_ahead(limit->changed, refusal->now)) {
        return 1;
    }

    sent = ngx_http_graph_policy_second(refusal->sent);
    changed = ngx_http_graph_policy_second(limit->changed);

    if (sent != changed || !limit->inbound) {
        return sent >= changed;
    }

    /*
     * An answer is to a message whose time is known to the millisecond: if that
     * was sent after the customer wrote, it is newer, even within the second.
     */

    return !refusal->event && refusal->sent >= limit->since;
}


ngx_uint_t
ngx_http_graph_policy_limit_yields(ngx_http_graph_policy_limit_t *limit,
    uint64_t when, uint64_t now)
{
    return ngx_http_graph_policy_limit_is_ahead(limit->changed, now)
           || ngx_http_graph_policy_second(when)
              >= ngx_http_graph_policy_second(limit->changed);
}


uint64_t
ngx_http_graph_policy_limit_memory(uint64_t when, uint32_t hold)
{
    /* Events older than FRESH aren't believed, so a memory may end then. */

    return when + ngx_max(hold, NGX_HTTP_GRAPH_POLICY_FRESH);
}


void
ngx_http_graph_policy_limit_open(ngx_http_graph_policy_limit_t *limit,
    uint64_t when, uint64_t now)
{
    limit->changed = when;
    limit->since = now;
    limit->inbound = 1;
    limit->live = 0;
}


ngx_uint_t
ngx_http_graph_policy_limit_clears(ngx_http_graph_policy_limit_t *limit,
    uint64_t sent)
{
    return limit->live && sent >= limit->changed;
}


uint64_t
ngx_http_graph_policy_limit_clear(ngx_http_graph_policy_limit_t *limit,
    uint64_t until, uint64_t sent, uint64_t memory)
{
    limit->changed = sent;
    limit->inbound = 0;
    limit->live = 0;

    return ngx_max(until, sent + memory);
}
