
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * These decisions say when one state blocks, which request it lets pass as a
 * probe, and how long the probe has the lease.
 *
 * Pure: no clock, no random source, no lock.  The caller owns the structure
 * and, if it lies in shared memory, holds the mutex.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"


static ngx_uint_t ngx_http_graph_policy_breaker_left(
    ngx_http_graph_policy_breaker_t *b, ngx_uint_t slot, uint64_t now);
static ngx_uint_t ngx_http_graph_policy_breaker_is_setter(
    ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker);


ngx_http_graph_policy_position_e
ngx_http_graph_policy_breaker_position(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    if (!b->armed) {
        return NGX_HTTP_GRAPH_POLICY_CLOSED;
    }

    if (now < ngx_http_graph_policy_breaker_until(b, now)
        || now < ngx_http_graph_policy_breaker_leased_until(b, now))
    {
        return NGX_HTTP_GRAPH_POLICY_OPEN;
    }

    return NGX_HTTP_GRAPH_POLICY_DUE;
}


uint64_t
ngx_http_graph_policy_breaker_until(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    uint64_t  reach;

    if (b->armed && b->until == NGX_HTTP_GRAPH_POLICY_NEVER) {
        return b->until;
    }

    reach = b->armed ? (uint64_t) b->hold + b->hold / 10
                     : ngx_max(b->hold, NGX_HTTP_GRAPH_POLICY_MEMORY);

    return (b->until > now + reach + NGX_HTTP_GRAPH_POLICY_AHEAD)
           ? now : b->until;
}


uint64_t
ngx_http_graph_policy_breaker_leased_until(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    ngx_uint_t  left, other;

    left = ngx_http_graph_policy_breaker_left(b, 0, now);
    other = ngx_http_graph_policy_breaker_left(b, 1, now);

    return now + ngx_max(left, other);
}


/* Returns the rest of a slot's lease, in ms; 0 if nobody has one. */

static ngx_uint_t
ngx_http_graph_policy_breaker_left(ngx_http_graph_policy_breaker_t *b,
    ngx_uint_t slot, uint64_t now)
{
    int32_t   left;
    uint32_t  reach;

    if (b->confirming) {

        if (slot != 0) {
            return 0;
        }

        reach = b->confirm;

    } else {

        if (b->leases.holder.tokens[slot] == 0) {
            return 0;
        }

        reach = NGX_HTTP_GRAPH_POLICY_LEASE;
    }

    /*
     * A lease that another worker has just taken lasts longer than any can, if
     * that worker has read the clock later than this one.
     */

    left = (int32_t) (b->leases.until[slot] - (uint32_t) now);

    return (left > 0
            && (uint32_t) left <= reach + NGX_HTTP_GRAPH_POLICY_AHEAD)
           ? (ngx_uint_t) left : 0;
}


void
ngx_http_graph_policy_breaker_lease(ngx_http_graph_policy_breaker_t *b,
    uint32_t token, ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker, uint64_t now)
{
    ngx_uint_t  slot;

    slot = ngx_http_graph_policy_breaker_is_setter(terms, asker);

    /* The status has not come in time, so a new probe replaces the wait. */

    if (b->confirming) {
        b->leases.holder.message = 0;
        b->confirming = 0;
    }

    /*
     * The token is written last: a worker that is killed in between leaves a
     * lease that nobody has.
     */

    b->leases.holder.tokens[slot] = 0;
    b->leases.until[slot] = (uint32_t) (now + NGX_HTTP_GRAPH_POLICY_LEASE);
    b->leases.holder.tokens[slot] = token;
}


void
ngx_http_graph_policy_breaker_renew(ngx_http_graph_policy_breaker_t *b,
    uint32_t token, uint64_t now)
{
    ngx_uint_t  slot;

    if (!b->armed || b->confirming || token == 0) {
        return;
    }

    for (slot = 0; slot < 2; slot++) {

        if (b->leases.holder.tokens[slot] == token) {
            b->leases.until[slot] = (uint32_t)
                                    (now + NGX_HTTP_GRAPH_POLICY_LEASE);
        }
    }
}


uint64_t
ngx_http_graph_policy_breaker_blocked_until(ngx_http_graph_policy_breaker_t *b,
    uint64_t now)
{
    uint64_t  until, leased;

    until = ngx_http_graph_policy_breaker_until(b, now);
    leased = ngx_http_graph_policy_breaker_leased_until(b, now);

    return (now >= until && now < leased) ? leased : until;
}


ngx_http_graph_policy_position_e
ngx_http_graph_policy_breaker_ask(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker, uint64_t now)
{
    uint64_t  leased;

    if (asker->lease != 0 && !b->confirming
        && (b->leases.holder.tokens[0] == asker->lease
            || b->leases.holder.tokens[1] == asker->lease))
    {
        return NGX_HTTP_GRAPH_POLICY_DUE;
    }

    if (now < ngx_http_graph_policy_breaker_until(b, now)) {
        return NGX_HTTP_GRAPH_POLICY_OPEN;
    }

    if (asker->kind == NGX_HTTP_GRAPH_POLICY_READ) {
        return NGX_HTTP_GRAPH_POLICY_CLOSED;
    }

    if (ngx_http_graph_policy_breaker_may_probe(terms, asker)) {

        /*
         * The credential that has set the state has a slot of its own, so the
         * leases of others don't block it.
         */

        leased = ngx_http_graph_policy_breaker_is_setter(terms, asker)
                 ? now + ngx_http_graph_policy_breaker_left(b, 1, now)
                 : ngx_http_graph_policy_breaker_leased_until(b, now);

        return (now < leased) ? NGX_HTTP_GRAPH_POLICY_OPEN
                              : NGX_HTTP_GRAPH_POLICY_DUE;
    }

    /* It is let pass once it is known that it can't be the probe. */

    return (terms->lenient
            && (terms->needs_message || !asker->asks_again)
            && asker->kind == NGX_HTTP_GRAPH_POLICY_SEND
            && now >= ngx_http_graph_policy_breaker_leased_until(b, now))
           ? NGX_HTTP_GRAPH_POLICY_CLOSED : NGX_HTTP_GRAPH_POLICY_OPEN;
}


ngx_uint_t
ngx_http_graph_policy_breaker_may_probe(ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker)
{
    /* A request without a credential must not change a state. */

    if (asker->kind == NGX_HTTP_GRAPH_POLICY_READ || asker->credential == 0
        || !asker->may_probe)
    {
        return 0;
    }

    return asker->kind == NGX_HTTP_GRAPH_POLICY_MESSAGE
           || !terms->needs_message;
}


static ngx_uint_t
ngx_http_graph_policy_breaker_is_setter(ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker)
{
    return terms->setter != 0 && terms->setter == asker->credential;
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
