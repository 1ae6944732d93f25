
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Failures, probes and events change one state by these decisions: it is
 * closed, is armed with a hold that doubles, or waits for a status.
 *
 * Pure: no clock, no random source, no lock.  The caller owns the structure
 * and, if it lies in shared memory, holds the mutex.
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
    ngx_http_graph_policy_breaker_t *b, uint64_t changed, uint64_t when,
    uint64_t now);
static ngx_uint_t ngx_http_graph_policy_breaker_is_older(
    ngx_http_graph_policy_breaker_t *b, uint64_t when, uint64_t now,
    uint64_t ahead);
static ngx_int_t ngx_http_graph_policy_breaker_slot(
    ngx_http_graph_policy_breaker_t *b, uint32_t token);
static ngx_http_graph_policy_transition_e
    ngx_http_graph_policy_breaker_outcome(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random);
static void ngx_http_graph_policy_breaker_await(
    ngx_http_graph_policy_breaker_t *b, uint64_t message, uint64_t now);
static void ngx_http_graph_policy_breaker_free(
    ngx_http_graph_policy_breaker_t *b);
static uint32_t ngx_http_graph_policy_breaker_doubled(
    ngx_http_graph_policy_breaker_t *b);
static void ngx_http_graph_policy_breaker_close(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);


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

        /* Meta may deliver an event several times; it is one failure. */

        if (b->armed && sent / 1000 == changed / 1000) {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }

        /*
         * The time of an event is in seconds, so the event may have happened
         * as late as at the end of its second.
         */

        sent += 999;

        if (ngx_http_graph_policy_breaker_is_older(b, sent, trip->now,
                                         NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT))
        {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }
    }

    /*
     * A temporary state doesn't tell how long a fatal one lasts, so the hold
     * starts anew.
     */

    if (!trip->was_fatal) {
        ngx_memzero(b, sizeof(ngx_http_graph_policy_breaker_t));
    }

    transition = ngx_http_graph_policy_breaker_trip(b, sent, trip->now,
                                                    trip->hold, trip->max,
                                                    trip->random);

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {
        b->confirm = trip->confirm;

        /* Events come in any order, so the time of the cause counts. */

        ngx_http_graph_policy_breaker_date(b, changed,
                                           trip->event ? trip->sent
                                                       : trip->now,
                                           trip->now);
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
        && (b->armed
            || trip->now < ngx_http_graph_policy_breaker_until(b, trip->now)))
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
    if (ngx_http_graph_policy_breaker_is_older(b, sent, now,
                                               NGX_HTTP_GRAPH_POLICY_AHEAD))
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    if (!b->armed) {
        b->max = max;

        if (b->holds == 0
            || now >= ngx_http_graph_policy_breaker_until(b, now))
        {
            b->since = now;
            b->holds = 0;
            ngx_http_graph_policy_breaker_arm(b, now, hold, random);

            return NGX_HTTP_GRAPH_POLICY_SET;
        }

        /* The state was cleared lately: the failure continues it. */

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
    uint32_t token, uint64_t sent, uint64_t now, uint32_t wait)
{
    ngx_uint_t                          older;
    ngx_http_graph_policy_transition_e  transition;

    older = ngx_http_graph_policy_breaker_is_older(b, sent, now,
                                                 NGX_HTTP_GRAPH_POLICY_AHEAD);

    if (!b->armed) {

        if (b->holds != 0 && older) {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }

        b->since = now;
        b->holds = 0;
        transition = NGX_HTTP_GRAPH_POLICY_SET;

    } else {

        if (ngx_http_graph_policy_breaker_slot(b, token) == NGX_ERROR
            && (older
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
    uint32_t token, uint64_t message,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random)
{
    ngx_int_t  slot;

    slot = ngx_http_graph_policy_breaker_slot(b, token);

    if (slot == NGX_ERROR) {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    /* Only this probe's lease ends; another probe may be under way. */

    b->leases.holder.tokens[slot] = 0;

    if (outcome == NGX_HTTP_GRAPH_POLICY_UNCONFIRMED) {
        ngx_http_graph_policy_breaker_await(b, message, now);
        return NGX_HTTP_GRAPH_POLICY_AWAITED;
    }

    return ngx_http_graph_policy_breaker_outcome(b, outcome, now, random);
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_clear(ngx_http_graph_policy_breaker_t *b,
    uint64_t message, uint64_t sent, uint64_t now)
{
    if (!b->armed
        || b->until == NGX_HTTP_GRAPH_POLICY_NEVER
        || ngx_http_graph_policy_breaker_is_older(b, sent, now,
                                                  NGX_HTTP_GRAPH_POLICY_AHEAD))
    {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    if (message != 0) {

        /*
         * While the state lets all requests pass, several may be accepted; the
         * status of the first one is waited for.
         */

        if (b->confirming
            && now < ngx_http_graph_policy_breaker_leased_until(b, now))
        {
            return NGX_HTTP_GRAPH_POLICY_NOTHING;
        }

        ngx_http_graph_policy_breaker_await(b, message, now);

        return NGX_HTTP_GRAPH_POLICY_AWAITED;
    }

    ngx_http_graph_policy_breaker_close(b, now);

    return NGX_HTTP_GRAPH_POLICY_CLEARED;
}


ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_confirm(ngx_http_graph_policy_breaker_t *b,
    uint64_t message, ngx_http_graph_policy_probe_outcome_e outcome,
    uint64_t now, uint32_t random)
{
    if (!b->confirming || b->leases.holder.message != message) {
        return NGX_HTTP_GRAPH_POLICY_NOTHING;
    }

    ngx_http_graph_policy_breaker_free(b);

    /* A fleet awaits it everywhere, and has to tell its end from older news. */

    b->changed++;

    return ngx_http_graph_policy_breaker_outcome(b, outcome, now, random);
}


/* Applies the outcome of a probe that has given its lease back. */

static ngx_http_graph_policy_transition_e
ngx_http_graph_policy_breaker_outcome(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random)
{
    switch (outcome) {

    case NGX_HTTP_GRAPH_POLICY_SUCCESS:
        ngx_http_graph_policy_breaker_close(b, now);
        return NGX_HTTP_GRAPH_POLICY_CLEARED;

    case NGX_HTTP_GRAPH_POLICY_FAILURE:
        ngx_http_graph_policy_breaker_arm(b, now,
                                      ngx_http_graph_policy_breaker_doubled(b),
                                      random);
        return NGX_HTTP_GRAPH_POLICY_REARMED;

    case NGX_HTTP_GRAPH_POLICY_NO_PROBE:
        return NGX_HTTP_GRAPH_POLICY_FREED;

    default: /* NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE */
        b->until = now + ngx_min(b->hold, NGX_HTTP_GRAPH_POLICY_RETRY_HOLD);
        b->moved = 1;
        return NGX_HTTP_GRAPH_POLICY_FREED;
    }
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
        b->was_frozen = 1;
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
ngx_http_graph_policy_breaker_has_ended(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    return b->armed && b->confirming
           && now >= ngx_http_graph_policy_breaker_leased_until(b, now);
}


ngx_uint_t
ngx_http_graph_policy_breaker_make_due(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    ngx_uint_t  leased;

    if (!b->armed || b->until == NGX_HTTP_GRAPH_POLICY_NEVER) {
        return 0;
    }

    if (ngx_http_graph_policy_breaker_has_ended(b, now)) {
        return 0;
    }

    /*
     * A probe that is under way was sent before the cause may have gone, so its
     * lease ends.
     */

    leased = (now < ngx_http_graph_policy_breaker_leased_until(b, now));

    ngx_http_graph_policy_breaker_free(b);

    if (now < ngx_http_graph_policy_breaker_until(b, now)) {
        b->until = now;

    } else if (!leased && b->moved) {
        return 0;
    }

    /*
     * A hold that is over here may be running on other hosts, each of which
     * prolongs it by itself.
     */

    b->moved = 1;

    /* Requests that were sent since the last change are as new as before. */

    b->changed++;

    return 1;
}


ngx_uint_t
ngx_http_graph_policy_breaker_resolve(ngx_http_graph_policy_breaker_t *b,
    uint64_t when, uint64_t now)
{
    uint64_t  changed;

    changed = b->changed;

    if (b->until == NGX_HTTP_GRAPH_POLICY_NEVER
        || ngx_http_graph_policy_breaker_is_older(b, when - when % 1000 + 999,
                                          now,
                                          NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT))
    {
        return 0;
    }

    if (!b->armed) {
        b->changed = (changed > now + NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT)
                     ? when : ngx_max(when, changed);
        return 1;
    }

    ngx_http_graph_policy_breaker_close(b, now);
    ngx_http_graph_policy_breaker_date(b, changed, when, now);

    return 1;
}


static void
ngx_http_graph_policy_breaker_arm(ngx_http_graph_policy_breaker_t *b,
    uint64_t now, uint32_t hold, uint32_t random)
{
    ngx_http_graph_policy_breaker_free(b);

    b->hold = hold;
    b->holds += (b->holds != 0xffff);
    b->until = now + hold + random % (hold / 10 + 1);
    b->moved = 0;
    b->armed = 1;

    ngx_http_graph_policy_breaker_date(b, b->changed, now, now);
}


/*
 * Sets the time of a change, which is later than that of the change before, at
 * "changed", unless a wrong clock has written that one.
 */

static void
ngx_http_graph_policy_breaker_date(ngx_http_graph_policy_breaker_t *b,
    uint64_t changed, uint64_t when, uint64_t now)
{
    b->changed = (changed > now + NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT)
                 ? when : ngx_max(when, changed + 1);
}


/*
 * Returns 1 if "when" is older than the last change.  A change that is further
 * ahead of "now" than "ahead" was written by a wrong clock and doesn't count.
 */

static ngx_uint_t
ngx_http_graph_policy_breaker_is_older(ngx_http_graph_policy_breaker_t *b,
    uint64_t when, uint64_t now, uint64_t ahead)
{
    return when < b->changed && b->changed <= now + ahead;
}


/* Returns the slot of the lease of "token", NGX_ERROR if it has none. */

static ngx_int_t
ngx_http_graph_policy_breaker_slot(ngx_http_graph_policy_breaker_t *b,
    uint32_t token)
{
    if (!b->armed || b->confirming || token == 0) {
        return NGX_ERROR;
    }

    if (b->leases.holder.tokens[0] == token) {
        return 0;
    }

    return (b->leases.holder.tokens[1] == token) ? 1 : NGX_ERROR;
}


/*
 * Keeps the lease for a status of "message": nobody else probes until it comes,
 * or the wait is over.
 */

static void
ngx_http_graph_policy_breaker_await(ngx_http_graph_policy_breaker_t *b,
    uint64_t message, uint64_t now)
{
    /* it takes the place of both tokens */

    b->leases.holder.message = message;
    b->leases.until[0] = (uint32_t) (now + b->confirm);
    b->confirming = 1;
}


static void
ngx_http_graph_policy_breaker_free(ngx_http_graph_policy_breaker_t *b)
{
    b->leases.holder.message = 0;
    b->confirming = 0;
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
    b->moved = 0;

    ngx_http_graph_policy_breaker_free(b);
    ngx_http_graph_policy_breaker_date(b, b->changed, now, now);

    b->until = now + ngx_max(b->hold, NGX_HTTP_GRAPH_POLICY_MEMORY);
}
