
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Decides when one state blocks, when it lets a probe pass, and what failures,
 * probes and events make of it: closed, open, due with a lease, doubled holds.
 *
 * Pure: no clock, no random source, no lock.  The caller owns the structure
 * and, where it lies in shared memory, holds the mutex.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


static ngx_http_graph_policy_transition_e
    ngx_http_graph_policy_breaker_fail_fatal(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_trip_t *trip);
static ngx_http_graph_policy_transition_e
    ngx_http_graph_policy_breaker_fail_temporary(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_trip_t *trip);
static void ngx_http_graph_policy_breaker_arm(
    ngx_http_graph_policy_breaker_t *b, uint64_t now, uint32_t hold,
    uint32_t random);
static void ngx_http_graph_policy_breaker_date(
    ngx_http_graph_policy_breaker_t *b, uint64_t changed, uint64_t when);
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

    if (b->lease.token != 0 && now < b->lease.until) {
        return NGX_HTTP_GRAPH_POLICY_OPEN;
    }

    return NGX_HTTP_GRAPH_POLICY_DUE;
}


void
ngx_http_graph_policy_breaker_lease(ngx_http_graph_policy_breaker_t *b,
    uint64_t token, uint64_t until)
{
    /* a holder killed in between leaves a lease that is void */

    b->lease.until = 0;
    b->lease.token = token;
    b->lease.until = until;
}


void
ngx_http_graph_policy_breaker_renew(ngx_http_graph_policy_breaker_t *b,
    uint64_t token, uint64_t until)
{
    if (b->armed && token != 0 && b->lease.token == token) {
        b->lease.until = until;
    }
}


ngx_uint_t
ngx_http_graph_policy_breaker_blocks(ngx_http_graph_policy_breaker_t *b,
    ngx_uint_t needs_message, ngx_http_graph_policy_asker_t *asker,
    uint64_t now)
{
    if (asker->lease != 0 && b->lease.token == asker->lease) {
        return 0;
    }

    if (now < b->until) {
        return 1;
    }

    if (asker->kind == NGX_HTTP_GRAPH_POLICY_READ) {
        return 0;
    }

    return !ngx_http_graph_policy_breaker_may_probe(needs_message, asker)
           || ngx_http_graph_policy_breaker_position(b, now)
              == NGX_HTTP_GRAPH_POLICY_OPEN;
}


ngx_uint_t
ngx_http_graph_policy_breaker_may_probe(ngx_uint_t needs_message,
    ngx_http_graph_policy_asker_t *asker)
{
    /* a request without credential mustn't change a state */

    if (asker->kind == NGX_HTTP_GRAPH_POLICY_READ || asker->credential == 0) {
        return 0;
    }

    return asker->kind == NGX_HTTP_GRAPH_POLICY_MESSAGE || !needs_message;
}


ngx_uint_t
ngx_http_graph_policy_breaker_weigh(ngx_http_graph_policy_scales_t *scales,
    uint64_t end, ngx_uint_t dry_run)
{
    if (scales->blocked
        && (dry_run > scales->dry_run
            || (dry_run == scales->dry_run && end <= scales->end)))
    {
        return 0;
    }

    scales->blocked = 1;
    scales->dry_run = (dry_run != 0);
    scales->end = end;

    return 1;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_fail(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_trip_t *trip)
{
    return trip->fatal
           ? ngx_http_graph_policy_breaker_fail_fatal(b, trip)
           : ngx_http_graph_policy_breaker_fail_temporary(b, trip);
}


static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_fail_fatal(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_trip_t *trip)
{
    uint64_t                             sent, changed;
    ngx_http_graph_policy_transition_e   transition;

    sent = trip->sent;
    changed = b->changed;

    if (trip->event) {

        /* Meta delivers an event more than once, and it is one failure */

        if (b->armed && sent / 1000 == changed / 1000) {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }

        /* an event tells the second, and may have been at the end of it */

        sent += 999;
    }

    /* a wait that was short says nothing of how long this state lasts */

    if (!trip->was_fatal) {
        ngx_memzero(b, sizeof(ngx_http_graph_policy_breaker_t));
    }

    transition = ngx_http_graph_policy_breaker_trip(b, sent, trip->now,
                                                    trip->hold, trip->max,
                                                    trip->random);

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {

        /* events come in any order: what counts is when the cause was */

        ngx_http_graph_policy_breaker_date(b, changed,
                                           trip->event ? trip->sent
                                                       : trip->now);
    }

    return transition;
}


static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_fail_temporary(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_trip_t *trip)
{
    uint64_t    wait;
    ngx_uint_t  n;

    if (trip->was_fatal && b->holds != 0
        && (b->armed || trip->now < b->until))
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    wait = trip->hold;

    if (trip->grows && b->armed) {

        for (n = 0; n < b->holds && wait < trip->max; n++) {
            wait *= 4;
        }

        wait = ngx_min(wait, trip->max);
    }

    return ngx_http_graph_policy_breaker_cool(b, trip->lease, trip->sent,
                                              trip->now, (uint32_t) wait);
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

        if ((token == 0 || b->lease.token != token)
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
    uint64_t token, ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random)
{
    if (!b->armed || b->lease.token != token) {
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
        b->lease.token = 0;
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


ngx_uint_t
ngx_http_graph_policy_breaker_resolve(ngx_http_graph_policy_breaker_t *b,
    uint64_t when, uint64_t now)
{
    uint64_t  changed;

    changed = b->changed;

    if (when / 1000 < changed / 1000
        || b->until == NGX_HTTP_GRAPH_POLICY_NEVER)
    {
        return 0;
    }

    if (!b->armed) {
        b->changed = ngx_max(when, changed);
        return 1;
    }

    ngx_http_graph_policy_breaker_close(b, now);
    ngx_http_graph_policy_breaker_date(b, changed, when);

    return 1;
}


ngx_http_graph_policy_order_e
ngx_http_graph_policy_breaker_order(ngx_http_graph_policy_breaker_t *b,
    ngx_uint_t temporary, ngx_uint_t by_event)
{
    if (!b->armed) {
        return NGX_HTTP_GRAPH_POLICY_IDLE;
    }

    if (temporary) {
        return NGX_HTTP_GRAPH_POLICY_COOLING;
    }

    return by_event ? NGX_HTTP_GRAPH_POLICY_BY_EVENT
                    : NGX_HTTP_GRAPH_POLICY_ARMED;
}


uint64_t
ngx_http_graph_policy_breaker_order_key(ngx_http_graph_policy_breaker_t *b,
    uint32_t memory)
{
    /* a late event must find what is newer than itself */

    return b->armed ? b->until : ngx_max(b->until, b->changed + memory);
}


ngx_uint_t
ngx_http_graph_policy_breaker_is_over(ngx_http_graph_policy_order_e order,
    uint64_t key, uint64_t now)
{
    switch (order) {

    case NGX_HTTP_GRAPH_POLICY_IDLE:
        return now >= key;

    case NGX_HTTP_GRAPH_POLICY_COOLING:
        return now >= key + NGX_HTTP_GRAPH_POLICY_COOLED;

    default: /* NGX_HTTP_GRAPH_POLICY_ARMED, NGX_HTTP_GRAPH_POLICY_BY_EVENT */
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

    default: /* NGX_HTTP_GRAPH_POLICY_BY_EVENT */
        return (now >= until) ? NGX_HTTP_GRAPH_POLICY_LEAVES_DUE_BY_EVENT
                              : NGX_HTTP_GRAPH_POLICY_LEAVES_BY_EVENT;
    }
}


static void
ngx_http_graph_policy_breaker_arm(ngx_http_graph_policy_breaker_t *b,
    uint64_t now, uint32_t hold, uint32_t random)
{
    b->hold = hold;
    b->holds++;
    b->until = now + hold + random % (hold / 10 + 1);
    b->lease.token = 0;
    b->armed = 1;

    ngx_http_graph_policy_breaker_date(b, b->changed, now);
}


/* the change is later than the one before, which was at "changed" */

static void
ngx_http_graph_policy_breaker_date(ngx_http_graph_policy_breaker_t *b,
    uint64_t changed, uint64_t when)
{
    b->changed = ngx_max(when, changed + 1);
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
    b->lease.token = 0;

    ngx_http_graph_policy_breaker_date(b, b->changed, now);

    b->until = now + ngx_max(b->hold, NGX_HTTP_GRAPH_POLICY_MEMORY);
}
