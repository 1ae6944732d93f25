
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the breaker, on a clock of their own.  Each begins with what
 * the service's answers would be and says when the next send goes through.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "tap.h"


#define CLOSED        NGX_HTTP_GRAPH_POLICY_CLOSED
#define DUE           NGX_HTTP_GRAPH_POLICY_DUE
#define OPEN          NGX_HTTP_GRAPH_POLICY_OPEN

#define NOTHING       NGX_HTTP_GRAPH_POLICY_NOTHING
#define SET           NGX_HTTP_GRAPH_POLICY_SET
#define REARMED       NGX_HTTP_GRAPH_POLICY_REARMED
#define CLEARED       NGX_HTTP_GRAPH_POLICY_CLEARED
#define FREED         NGX_HTTP_GRAPH_POLICY_FREED

#define SUCCESS       NGX_HTTP_GRAPH_POLICY_SUCCESS
#define FAILURE       NGX_HTTP_GRAPH_POLICY_FAILURE
#define INCONCLUSIVE  NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE

#define position(...)  ngx_http_graph_policy_breaker_position(__VA_ARGS__)
#define trip(...)      ngx_http_graph_policy_breaker_trip(__VA_ARGS__)
#define cool(...)      ngx_http_graph_policy_breaker_cool(__VA_ARGS__)
#define settle(b, token, ...)                                                 \
    ngx_http_graph_policy_breaker_settle(b, token, 0, __VA_ARGS__)
#define clear(b, ...)  ngx_http_graph_policy_breaker_clear(b, 0, __VA_ARGS__)
#define put(...)       ngx_http_graph_policy_breaker_put(__VA_ARGS__)
#define end(...)       ngx_http_graph_policy_breaker_end(__VA_ARGS__)
#define fail_by(...)   ngx_http_graph_policy_breaker_fail(__VA_ARGS__)
#define resolve(...)   ngx_http_graph_policy_breaker_resolve(__VA_ARGS__)
#define renew(...)     ngx_http_graph_policy_breaker_renew(__VA_ARGS__)
#define ask(...)       ngx_http_graph_policy_breaker_ask(__VA_ARGS__)
#define may_probe(...)  ngx_http_graph_policy_breaker_may_probe(__VA_ARGS__)
#define weigh(...)     ngx_http_graph_policy_breaker_weigh(__VA_ARGS__)
#define admit(...)     ngx_http_graph_policy_breaker_admit(__VA_ARGS__)
#define order_of(...)  ngx_http_graph_policy_breaker_order(__VA_ARGS__)
#define order_key(...)  ngx_http_graph_policy_breaker_order_key(__VA_ARGS__)
#define is_over(...)   ngx_http_graph_policy_breaker_is_over(__VA_ARGS__)
#define rank(...)      ngx_http_graph_policy_breaker_rank(__VA_ARGS__)
#define make_due(...)    ngx_http_graph_policy_breaker_make_due(__VA_ARGS__)
#define blocked_until(...)                                                    \
    ngx_http_graph_policy_breaker_blocked_until(__VA_ARGS__)

/* some day in 2023, and what graph_policy_hold is by default */

#define T             1700000000000ULL
#define HOLD          10000
#define MAX           900000

#define DAY           86400000


typedef ngx_http_graph_policy_breaker_t  breaker_t;
typedef ngx_http_graph_policy_trip_t     trip_t;
typedef ngx_http_graph_policy_asker_t    asker_t;
typedef ngx_http_graph_policy_terms_t    terms_t;
typedef ngx_http_graph_policy_scales_t   scales_t;


/* gives the lease to somebody, with an end of its own */

static void
lease(ngx_http_graph_policy_breaker_t *b, uint32_t token, uint64_t until)
{
    ngx_http_graph_policy_asker_t  asker;
    ngx_http_graph_policy_terms_t  terms;

    memset(&asker, 0, sizeof(ngx_http_graph_policy_asker_t));
    memset(&terms, 0, sizeof(ngx_http_graph_policy_terms_t));

    ngx_http_graph_policy_breaker_lease(b, token, &terms, &asker,
                                        until - NGX_HTTP_GRAPH_POLICY_LEASE);
}


/* one that a request sent a second before T set at T, without jitter */

static breaker_t
armed(uint32_t hold, uint32_t max)
{
    breaker_t  b;

    memset(&b, 0, sizeof(breaker_t));

    is_int(trip(&b, T - 1000, T, hold, max, 0), SET, "a failure sets it");

    return b;
}


/* as above, with its hold over and the probe under way */

static breaker_t
probed(uint32_t hold, uint32_t max)
{
    breaker_t  b;

    b = armed(hold, max);
    is_int(position(&b, T + hold), DUE, "it lets a probe pass");
    lease(&b, 1, T + hold + 30000);
    is_int(position(&b, T + hold), OPEN, "and one only");

    return b;
}


/* 1 if it blocks until just before "when" and then lets a probe pass */

static int
due_at(breaker_t *b, uint64_t when)
{
    if (position(b, when - 1) != OPEN || position(b, when) != DUE) {
        diag("it is due at %llu", (unsigned long long) b->until);
        return 0;
    }

    return 1;
}


static void
test_closed(void)
{
    breaker_t  b, was;

    memset(&b, 0, sizeof(breaker_t));
    was = b;

    is_int(position(&b, 0), CLOSED, "a zeroed one is closed");
    is_int(position(&b, T), CLOSED, "at any time");
    is_int(position(&b, UINT64_MAX), CLOSED, "to the end");

    is_int(settle(&b, 1, SUCCESS, T, 0), NOTHING, "no probe is expected");
    is_int(settle(&b, 1, FAILURE, T, 0), NOTHING, "whatever it found");
    is_int(settle(&b, 1, INCONCLUSIVE, T, 0), NOTHING, "or didn't");
    is_int(clear(&b, T, T), NOTHING, "there is nothing to clear");
    is_int(make_due(&b, T), 0, "nor is it made due");

    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "nothing of this changed it");
}


static void
test_set(void)
{
    breaker_t  b;

    b = armed(HOLD, MAX);

    is_int(position(&b, T), OPEN, "it blocks at once");
    ok(due_at(&b, T + HOLD), "for its hold");
    is_int(position(&b, T + 365ULL * DAY), DUE, "it stays due");

    is_int(b.since, T, "it knows since when");
    is_int(b.hold, HOLD, "its hold");
    is_int(b.max, MAX, "and the longest");
    is_int(b.holds, 1, "it was armed once");

    /* ten sends were on their way: their failures say nothing new */

    is_int(trip(&b, T, T + 1, HOLD, MAX, 0), NOTHING, "more failures");
    is_int(trip(&b, T + 5, T + HOLD - 1, 1, 1, 99), NOTHING,
           "even at the end of the hold");
    ok(due_at(&b, T + HOLD), "don't prolong it");
    is_int(b.hold, HOLD, "nor change its hold");
    is_int(b.holds, 1, "nor count");
}


static void
test_success(void)
{
    breaker_t  b;

    b = probed(HOLD, MAX);

    is_int(settle(&b, 1, SUCCESS, T + HOLD + 200, 0), CLEARED,
           "the probe succeeds");
    is_int(position(&b, T + HOLD + 200), CLOSED, "everybody passes");

    is_int(settle(&b, 1, SUCCESS, T + HOLD + 300, 0), NOTHING,
           "it can't succeed twice");
    is_int(settle(&b, 1, FAILURE, T + HOLD + 300, 0), NOTHING,
           "nor fail afterwards");
    is_int(position(&b, T + HOLD + 300), CLOSED, "everybody passes still");
}


static void
test_failure(void)
{
    uint64_t   now;
    breaker_t  b;

    b = probed(HOLD, MAX);
    now = T + HOLD + 200;

    is_int(settle(&b, 1, FAILURE, now, 0), REARMED, "the probe fails");
    is_int(b.hold, 2 * HOLD, "the hold is doubled");
    ok(due_at(&b, now + 2 * HOLD), "and counts from the answer");
    is_int(b.since, T, "it is the same outage");
    is_int(b.holds, 2, "armed for the second time");

    is_int(settle(&b, 1, SUCCESS, now + 1, 0), NOTHING,
           "the lease is used up");
    is_int(position(&b, now + 1), OPEN, "so that this clears nothing");
}


static void
test_doubling(void)
{
    size_t     i;
    uint64_t   now;
    breaker_t  b;

    static const uint32_t  holds[] = {
        20000, 40000, 80000, 160000, 320000, 640000, 900000, 900000, 900000
    };

    b = armed(HOLD, MAX);
    now = T;

    for (i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
        now = b.until;
        lease(&b, i + 1, now + 30000);
        now += 500;

        is_int(settle(&b, i + 1, FAILURE, now, 0), REARMED, "it fails again");
        is_int(b.hold, holds[i], "hold number %zu", i + 2);
        ok(due_at(&b, now + holds[i]), "blocks as long");
        is_int(b.since, T, "since the first failure");
    }

    /* a success ends the growth, at least when it is forgotten */

    now = b.until;
    lease(&b, 99, now + 30000);
    is_int(settle(&b, 99, SUCCESS, now, 0), CLEARED, "it succeeds");

    now += MAX;
    is_int(trip(&b, now, now, HOLD, MAX, 0), SET, "much later it fails");
    is_int(b.hold, HOLD, "and starts at the beginning");
    is_int(b.since, now, "as an outage of its own");
    is_int(b.holds, 1, "with a count of its own");
}


static void
test_max(void)
{
    breaker_t  b;

    b = probed(HOLD, HOLD);
    is_int(settle(&b, 1, FAILURE, T + HOLD, 0), REARMED,
           "max is the hold itself");
    is_int(b.hold, HOLD, "it doesn't grow");

    b = probed(HOLD, 2 * HOLD);
    is_int(settle(&b, 1, FAILURE, T + HOLD, 0), REARMED,
           "max is just the double");
    is_int(b.hold, 2 * HOLD, "it is reached");

    b = probed(HOLD, 2 * HOLD - 1);
    is_int(settle(&b, 1, FAILURE, T + HOLD, 0), REARMED,
           "max is less than the double");
    is_int(b.hold, 2 * HOLD - 1, "it is not passed");

    b = probed(HOLD, HOLD + 1);
    is_int(settle(&b, 1, FAILURE, T + HOLD, 0), REARMED,
           "max is a little more than the hold");
    is_int(b.hold, HOLD + 1, "that little is added");

    b = probed(HOLD, 1);
    is_int(settle(&b, 1, FAILURE, T + HOLD, 0), REARMED,
           "max is less than the hold");
    is_int(b.hold, HOLD, "the hold is never shortened");
}


static void
test_inconclusive(void)
{
    uint64_t   now;
    breaker_t  b;

    b = probed(HOLD, MAX);
    now = T + HOLD + 200;

    is_int(settle(&b, 1, INCONCLUSIVE, now, 0), FREED,
           "the probe tells nothing");
    ok(due_at(&b, now + 5000), "the next one goes after five seconds");
    is_int(b.hold, HOLD, "the hold is what it was");
    is_int(b.holds, 1, "it counts for nothing");
    is_int(b.since, T, "the outage goes on");
    is_int(settle(&b, 1, SUCCESS, now, 0), NOTHING, "the lease is given back");

    lease(&b, 2, now + 40000);
    is_int(settle(&b, 2, FAILURE, now + 5000, 0), REARMED, "the next fails");
    is_int(b.hold, 2 * HOLD, "and doubles the hold");

    /* again and again */

    for (now = b.until; now < T + 100 * HOLD; now = b.until) {
        lease(&b, 3, now + 30000);

        if (settle(&b, 3, INCONCLUSIVE, now, 0) != FREED
            || !due_at(&b, now + 5000))
        {
            break;
        }
    }

    ok(now >= T + 100 * HOLD, "it may go on so for ever");
    is_int(b.hold, 2 * HOLD, "at the same hold");

    /* a hold of less than five seconds is the pause itself */

    b = probed(4999, MAX);
    is_int(settle(&b, 1, INCONCLUSIVE, T + 4999, 0), FREED, "a short hold");
    ok(due_at(&b, T + 2 * 4999), "is waited for once more");

    b = probed(5001, MAX);
    is_int(settle(&b, 1, INCONCLUSIVE, T + 5001, 0), FREED, "a longer one");
    ok(due_at(&b, T + 5001 + 5000), "only up to five seconds");

    /* no jitter: these five seconds are short enough */

    b = probed(HOLD, MAX);
    is_int(settle(&b, 1, INCONCLUSIVE, T + HOLD, UINT32_MAX), FREED,
           "whatever the random number");
    ok(due_at(&b, T + HOLD + 5000), "five seconds");
}


static void
test_jitter(void)
{
    uint32_t   random, least, most;
    breaker_t  b;

    least = UINT32_MAX;
    most = 0;

    for (random = 0; random < 3 * HOLD; random++) {
        memset(&b, 0, sizeof(breaker_t));
        trip(&b, T, T, HOLD, MAX, random);

        least = ngx_min(least, (uint32_t) (b.until - T));
        most = ngx_max(most, (uint32_t) (b.until - T));
    }

    is_int(least, HOLD, "never shorter than the hold");
    is_int(most, HOLD + HOLD / 10, "up to a tenth longer");

    memset(&b, 0, sizeof(breaker_t));
    trip(&b, T, T, HOLD, MAX, UINT32_MAX);
    ok(b.until >= T + HOLD && b.until <= T + HOLD + HOLD / 10,
       "the largest of random numbers");

    /* the jitter isn't carried into the next hold */

    memset(&b, 0, sizeof(breaker_t));
    trip(&b, T, T, HOLD, MAX, HOLD / 10);
    is_int(b.until, T + HOLD + HOLD / 10, "a hold with all its jitter");
    is_int(b.hold, HOLD, "is remembered without");

    lease(&b, 1, b.until + 30000);
    is_int(settle(&b, 1, FAILURE, b.until, 0), REARMED, "the next one");
    is_int(b.until, T + HOLD + HOLD / 10 + 2 * HOLD, "is the double of that");

    lease(&b, 2, b.until + 30000);
    is_int(settle(&b, 2, FAILURE, T, 4 * HOLD / 10), REARMED,
           "a later one has its share");
    is_int(b.until, T + 4 * HOLD + 4 * HOLD / 10, "of a tenth");

    /* where a tenth is less than a millisecond there is none */

    memset(&b, 0, sizeof(breaker_t));
    trip(&b, T, T, 9, MAX, 12345);
    is_int(b.until, T + 9, "nine milliseconds have no jitter");

    least = UINT32_MAX;
    most = 0;

    for (random = 0; random < 100; random++) {
        memset(&b, 0, sizeof(breaker_t));
        trip(&b, T, T, 10, MAX, random);

        least = ngx_min(least, (uint32_t) (b.until - T));
        most = ngx_max(most, (uint32_t) (b.until - T));
    }

    is_int(least, 10, "ten milliseconds");
    is_int(most, 11, "have one");
}


static void
test_relapse(void)
{
    uint64_t   cleared, now;
    breaker_t  b;

    b = probed(HOLD, MAX);
    cleared = T + HOLD;
    settle(&b, 1, SUCCESS, cleared, 0);

    now = cleared + 59999;
    is_int(trip(&b, now - 10, now, HOLD, MAX, 0), REARMED,
           "the same failure within a minute");
    is_int(b.hold, 2 * HOLD, "doubles the hold");
    ok(due_at(&b, now + 2 * HOLD), "from now on");
    is_int(b.since, T, "and goes on since the first one");
    is_int(b.holds, 2, "counted on");

    /* twice relapsed */

    lease(&b, 2, b.until + 30000);
    cleared = b.until;
    settle(&b, 2, SUCCESS, cleared, 0);
    is_int(trip(&b, cleared, cleared + 1000, HOLD, MAX, 0), REARMED,
           "once more");
    is_int(b.hold, 4 * HOLD, "doubles it again");

    /* after a minute it is forgotten */

    b = probed(HOLD, MAX);
    cleared = T + HOLD;
    settle(&b, 1, SUCCESS, cleared, 0);

    now = cleared + 60000;
    is_int(trip(&b, now - 10, now, HOLD, MAX, 0), SET,
           "after a minute it is a new one");
    is_int(b.hold, HOLD, "with the hold of the beginning");
    is_int(b.since, now, "since now");
    is_int(b.holds, 1, "counted anew");

    /* a hold of more than a minute is remembered as long as it was */

    b = probed(10 * HOLD, MAX);
    cleared = T + 10 * HOLD;
    settle(&b, 1, SUCCESS, cleared, 0);

    now = cleared + 10 * HOLD - 1;
    is_int(trip(&b, now, now, HOLD, MAX, 0), REARMED,
           "a hold of 100 seconds is remembered for 100 seconds");
    is_int(b.hold, 20 * HOLD, "and doubled");

    b = probed(10 * HOLD, MAX);
    cleared = T + 10 * HOLD;
    settle(&b, 1, SUCCESS, cleared, 0);

    now = cleared + 10 * HOLD;
    is_int(trip(&b, now, now, HOLD, MAX, 0), SET, "and no longer");

    /* it counts from the end of the outage, however that came */

    b = armed(HOLD, MAX);
    is_int(clear(&b, T + 5, T + 20), CLEARED, "cleared without a probe");
    is_int(trip(&b, T + 30, T + 20 + 59999, HOLD, MAX, 0), REARMED,
           "it is remembered likewise");

    /* the max is that of the location which now has the failure */

    b = probed(HOLD, MAX);
    settle(&b, 1, SUCCESS, T + HOLD, 0);
    is_int(trip(&b, T + HOLD, T + HOLD, HOLD, HOLD + 500, 0), REARMED,
           "a relapse where max is less");
    is_int(b.hold, HOLD + 500, "grows up to that");
}


static void
test_stale(void)
{
    breaker_t  b, was;

    /* sent before it was set */

    b = armed(HOLD, MAX);
    was = b;

    is_int(clear(&b, T - 1, T + 5000), NOTHING,
           "a success sent before it was set");
    is_int(clear(&b, 0, T + 5000), NOTHING, "or long before");
    is_int(trip(&b, T - 1, T + 5000, HOLD, MAX, 0), NOTHING,
           "a failure sent before it was set");
    is_int(trip(&b, T - 1, T + HOLD + 5, HOLD, MAX, 0), NOTHING,
           "even where it comes when the hold is over");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "changes nothing");

    is_int(clear(&b, T, T + 5000), CLEARED, "one sent since then clears it");
    is_int(position(&b, T + 5000), CLOSED, "and everybody passes");

    /* sent before it was re-armed */

    b = probed(HOLD, MAX);
    settle(&b, 1, FAILURE, T + HOLD + 200, 0);
    is_int(clear(&b, T + HOLD + 199, T + HOLD + 300), NOTHING,
           "a success sent before it was re-armed");
    is_int(clear(&b, T + HOLD + 201, T + HOLD + 300), CLEARED,
           "and one sent after");

    /* sent before it was cleared */

    was = b;
    is_int(trip(&b, T + HOLD + 299, T + HOLD + 400, HOLD, MAX, 0), NOTHING,
           "a failure sent before it was cleared");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "changes nothing");
    is_int(position(&b, T + HOLD + 400), CLOSED, "everybody passes");
    is_int(trip(&b, T + HOLD + 300, T + HOLD + 400, HOLD, MAX, 0), REARMED,
           "one sent after it is a relapse");

    /* a clock may be behind by a little; a change further ahead is of none */

    b = armed(HOLD, MAX);
    is_int(clear(&b, T - NGX_HTTP_GRAPH_POLICY_AHEAD - 1,
                 T - NGX_HTTP_GRAPH_POLICY_AHEAD), NOTHING,
           "a success sent before it was set, by a clock that is behind");
    is_int(clear(&b, T - NGX_HTTP_GRAPH_POLICY_AHEAD - 2,
                 T - NGX_HTTP_GRAPH_POLICY_AHEAD - 1), CLEARED,
           "one that comes so early that the clock was wrong then");

    /* the pause after a probe without outcome is no change of the state */

    b = probed(HOLD, MAX);
    settle(&b, 1, INCONCLUSIVE, T + HOLD + 200, 0);
    is_int(clear(&b, T + 1, T + HOLD + 300), CLEARED,
           "a success sent before a probe that told nothing");

    /* nor is it one that somebody registered the phone */

    b = armed(HOLD, MAX);
    make_due(&b, T + 500);
    is_int(clear(&b, T + 400, T + 600), CLEARED,
           "a success sent before it was made due");

    /* a wait for a status that is over has ended it, though nobody saw that */

    b = armed(HOLD, MAX);
    b.confirm = HOLD;
    b.confirming = 1;
    b.leases.holder.message = 7;
    b.leases.until[0] = (uint32_t) (T + 2 * HOLD);

    is_int(make_due(&b, T + 2 * HOLD), 0, "no wait is left to be made due");
    is_int(b.confirming, 1, "nor is it taken for a failure");

    make_due(&b, T + 2 * HOLD - 1);
    is_int(b.confirming, 0, "a wait that isn't over ends");
}


static void
test_lease(void)
{
    uint64_t   due;
    breaker_t  b;

    b = probed(HOLD, MAX);
    due = T + HOLD;

    is_int(position(&b, due + 29999), OPEN,
           "nobody else passes while the lease lasts");
    is_int(position(&b, due + 30000), DUE, "then somebody does");
    is_int(position(&b, due + DAY), DUE, "or still later");

    /* a failure of somebody who didn't ask, meanwhile */

    is_int(trip(&b, due + 1, due + 2, HOLD, MAX, 0), NOTHING,
           "a failure beside the probe");
    is_int(position(&b, due + 29999), OPEN, "leaves it under way");

    /* renewed, as the probe does every ten seconds */

    lease(&b, 1, due + 40000);
    is_int(position(&b, due + 30000), OPEN, "a renewed lease lasts longer");
    is_int(position(&b, due + 40000), DUE, "by that much");

    /* the next one takes it over */

    lease(&b, 2, due + 70000);
    is_int(settle(&b, 1, SUCCESS, due + 40001, 0), NOTHING,
           "the first probe comes too late");
    is_int(settle(&b, 1, FAILURE, due + 40001, 0), NOTHING,
           "whatever it brings");
    is_int(settle(&b, 1, INCONCLUSIVE, due + 40001, 0), NOTHING,
           "or doesn't");
    is_int(position(&b, due + 69999), OPEN, "the second is under way");
    is_int(settle(&b, 2, SUCCESS, due + 40002, 0), CLEARED,
           "and clears it");

    /* late, but nobody else was there */

    b = probed(HOLD, MAX);
    is_int(settle(&b, 1, SUCCESS, due + 50000, 0), CLEARED,
           "a late success counts while nobody else probes");

    b = probed(HOLD, MAX);
    is_int(settle(&b, 1, FAILURE, due + 50000, 0), REARMED,
           "so does a late failure");
    ok(due_at(&b, due + 50000 + 2 * HOLD), "which re-arms from then on");

    b = probed(HOLD, MAX);
    is_int(settle(&b, 1, INCONCLUSIVE, due + 50000, 0), FREED,
           "and a late nothing");
    ok(due_at(&b, due + 55000), "which costs five seconds");

    /* a failure that no probe found, when the lease is void */

    b = probed(HOLD, MAX);
    is_int(trip(&b, due + 1, due + 30000, HOLD, MAX, 0), REARMED,
           "a failure after the lease has run out re-arms");
    is_int(b.hold, 2 * HOLD, "with twice the hold");
    is_int(settle(&b, 1, SUCCESS, due + 30001, 0), NOTHING,
           "and voids that lease");

    /* a success beside the probe */

    b = probed(HOLD, MAX);
    is_int(clear(&b, due + 1, due + 2), CLEARED, "a success beside the probe");
    is_int(settle(&b, 1, FAILURE, due + 3, 0), NOTHING,
           "leaves the probe without effect");
    is_int(position(&b, due + 3), CLOSED, "everybody passes");

    /* without a probe: the failure of one that passed in dry run */

    b = armed(HOLD, MAX);
    is_int(trip(&b, T + 5, T + HOLD, HOLD, MAX, 0), REARMED,
           "a failure when the hold is over re-arms");
    is_int(b.hold, 2 * HOLD, "with twice the hold");
    is_int(b.since, T, "since the first one");
}


static void
test_clear(void)
{
    breaker_t  b;

    b = armed(HOLD, MAX);
    is_int(clear(&b, T + 1, T + 2), CLEARED, "a success clears");
    is_int(clear(&b, T + 3, T + 4), NOTHING, "but once");
    is_int(position(&b, T + 4), CLOSED, "everybody passes");
    is_int(b.leases.holder.message, 0, "nobody probes");
}


static void
test_make_due(void)
{
    uint64_t   now;
    breaker_t  b;

    b = armed(HOLD, MAX);
    now = T + 100;

    is_int(make_due(&b, now), 1, "somebody cured the cause");
    is_int(position(&b, now), DUE, "the next send is the probe");
    is_int(make_due(&b, now + 1), 0, "that's known");

    lease(&b, 1, now + 30000);
    is_int(position(&b, now + 2), OPEN, "one send only");
    is_int(make_due(&b, now + 3), 1, "cured while it is probed");
    is_int(b.changed, T + 2, "each of which is told to all hosts");
    is_int(position(&b, now + 3), DUE, "the next send is the probe again");
    is_int(settle(&b, 1, FAILURE, now + 100, 0), NOTHING,
           "what left before the cure says nothing");

    lease(&b, 1, now + 30000);
    is_int(settle(&b, 1, FAILURE, now + 200, 0), REARMED,
           "where it was no cure");
    is_int(b.hold, 2 * HOLD, "the hold is doubled as ever");
    is_int(b.since, T, "the outage is the same");

    is_int(make_due(&b, now + 300), 1, "another cure");
    lease(&b, 2, now + 30000);
    is_int(settle(&b, 2, SUCCESS, now + 400, 0), CLEARED, "that worked");
    is_int(make_due(&b, now + 500), 0, "there is nothing left to make due");
    is_int(position(&b, now + 500), CLOSED, "everybody passes");

    /* the memory of a cleared one isn't cut short */

    is_int(trip(&b, now + 600, now + 600, HOLD, MAX, 0), REARMED,
           "it is remembered");

    /* the pause after a probe without outcome is */

    b = probed(HOLD, MAX);
    settle(&b, 1, INCONCLUSIVE, T + HOLD, 0);
    is_int(make_due(&b, T + HOLD + 1), 1, "a pause is made due as well");
    is_int(position(&b, T + HOLD + 1), DUE, "the next send is the probe");

    /* one that is due by its hold may not be so on other hosts */

    b = armed(HOLD, MAX);
    now = T + 2 * HOLD;
    is_int(position(&b, now), DUE, "it is due");
    is_int(make_due(&b, now), 1, "made due all the same");
    ok(b.until < now && b.moved, "from when it was");
    is_int(make_due(&b, now), 0, "once");
}


static void
test_short(void)
{
    breaker_t  b;

    /* the shortest hold */

    b = armed(1, 1);
    ok(due_at(&b, T + 1), "a hold of a millisecond");
    lease(&b, 1, T + 2);
    is_int(settle(&b, 1, FAILURE, T + 1, UINT32_MAX), REARMED, "fails");
    is_int(b.hold, 1, "stays one where max is one");
    ok(due_at(&b, T + 2), "and blocks for one");

    b = armed(1, MAX);
    lease(&b, 1, T + 31000);
    is_int(settle(&b, 1, FAILURE, T + 1, 0), REARMED, "else");
    is_int(b.hold, 2, "it doubles");
    lease(&b, 2, T + 31000);
    is_int(settle(&b, 2, INCONCLUSIVE, T + 10, 0), FREED, "without outcome");
    ok(due_at(&b, T + 12), "the pause is the hold");
    lease(&b, 3, T + 31000);
    is_int(settle(&b, 3, SUCCESS, T + 20, 0), CLEARED, "cleared");
    is_int(trip(&b, T + 20, T + 20 + 59999, 1, MAX, 0), REARMED,
           "it is remembered for a minute");
}


static void
test_long(void)
{
    breaker_t  b;

    /* the longest one */

    b = armed(DAY, DAY);
    ok(due_at(&b, T + DAY), "a hold of a day");
    lease(&b, 1, T + DAY + 30000);
    is_int(settle(&b, 1, FAILURE, T + DAY, UINT32_MAX), REARMED, "fails");
    is_int(b.hold, DAY, "stays a day");
    ok(b.until >= T + 2ULL * DAY && b.until <= T + 2ULL * DAY + DAY / 10,
       "with jitter of up to a tenth");

    b = armed(DAY - 1, DAY);
    lease(&b, 1, T + DAY + 30000);
    is_int(settle(&b, 1, FAILURE, T + DAY, 0), REARMED, "a little less");
    is_int(b.hold, DAY, "becomes a day");
    lease(&b, 2, T + 2ULL * DAY + 30000);
    is_int(settle(&b, 2, SUCCESS, T + 2ULL * DAY, 0), CLEARED, "cleared");
    is_int(trip(&b, T + 2ULL * DAY, T + 3ULL * DAY - 1, HOLD, DAY, 0),
           REARMED, "it is remembered for a day");
    is_int(trip(&b, 0, T + 4ULL * DAY, HOLD, DAY, 0), NOTHING,
           "though not by what is older");
}


static void
test_extremes(void)
{
    uint64_t   now;
    breaker_t  b;

    /* the beginning of time */

    memset(&b, 0, sizeof(breaker_t));
    is_int(trip(&b, 0, 0, HOLD, MAX, 0), SET, "at 0");
    ok(due_at(&b, HOLD), "it blocks for its hold");
    lease(&b, UINT32_MAX, HOLD + 30000);
    is_int(position(&b, HOLD + 29999), OPEN, "a lease");
    is_int(settle(&b, 1, SUCCESS, HOLD, 0), NOTHING, "another's token");
    is_int(settle(&b, UINT32_MAX, SUCCESS, HOLD, 0), CLEARED,
           "the largest of tokens");

    memset(&b, 0, sizeof(breaker_t));
    is_int(trip(&b, 0, 0, HOLD, MAX, 0), SET, "at 0 again");
    is_int(clear(&b, 1, 0), CLEARED, "and cleared at 0");
    is_int(trip(&b, 2, 0, HOLD, MAX, 0), REARMED, "relapsed at 0");
    is_int(b.hold, 2 * HOLD, "is known as such");

    /* holds that only 32 bits unsigned can hold, nothing overflows */

    memset(&b, 0, sizeof(breaker_t));
    is_int(trip(&b, T, T, UINT32_MAX, UINT32_MAX, UINT32_MAX), SET,
           "the longest hold there is");
    ok(b.until >= T + UINT32_MAX
       && b.until <= T + UINT32_MAX + (uint64_t) UINT32_MAX / 10,
       "doesn't wrap");
    lease(&b, 1, b.until + 1);
    is_int(settle(&b, 1, FAILURE, b.until, 0), REARMED, "nor doubled");
    is_int(b.hold, UINT32_MAX, "does it");

    memset(&b, 0, sizeof(breaker_t));
    trip(&b, T, T, 0x80000000U, UINT32_MAX, 0);
    lease(&b, 1, b.until + 1);
    is_int(settle(&b, 1, FAILURE, b.until, 0), REARMED,
           "the double of half of it");
    is_int(b.hold, UINT32_MAX, "is cut to max");

    memset(&b, 0, sizeof(breaker_t));
    trip(&b, T, T, 0x7fffffffU, UINT32_MAX, 0);
    lease(&b, 1, b.until + 1);
    is_int(settle(&b, 1, FAILURE, b.until, 0), REARMED, "a little less");
    is_int(b.hold, 0xfffffffeU, "is doubled");

    b = armed(UINT32_MAX, UINT32_MAX);
    is_int(clear(&b, T, T), CLEARED, "cleared");
    is_int(trip(&b, T + 1, T + UINT32_MAX - 1ULL, HOLD, UINT32_MAX, 0),
           REARMED,
           "it is remembered as long");

    /* a clock that is far ahead */

    now = 1ULL << 62;
    memset(&b, 0, sizeof(breaker_t));
    is_int(trip(&b, now, now, HOLD, MAX, 0), SET, "a time of 63 bits");
    ok(due_at(&b, now + HOLD), "is as good as any");
}


static void
test_cool(void)
{
    uint64_t   now;
    breaker_t  b, was;

    /* a temporary failure holds for just what was asked for */

    memset(&b, 0, sizeof(breaker_t));
    is_int(cool(&b, 0, T - 5, T, 4000), SET, "a temporary failure");
    ok(due_at(&b, T + 4000), "blocks for its wait, without jitter");
    is_int(b.since, T, "since it came");
    is_int(b.holds, 1, "it is the first in a row");

    was = b;
    is_int(cool(&b, 0, T - 1, T + 5000, 9000), NOTHING, "a stale one");
    is_int(cool(&b, 0, T + 1, T + 3999, 9000), NOTHING,
           "one while it blocks");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "change nothing");

    /* its probe fails: another wait, not the double */

    now = T + 4000;
    lease(&b, 7, now + 30000);
    is_int(cool(&b, 0, now, now + 100, 1000), NOTHING,
           "a failure beside the probe");
    is_int(cool(&b, 6, now, now + 100, 1000), NOTHING,
           "a failure of another's probe");
    is_int(cool(&b, 7, now, now + 100, 16000), REARMED, "the probe's own");
    ok(due_at(&b, now + 100 + 16000), "blocks for what was asked for now");
    is_int(b.holds, 2, "the second in a row");
    is_int(b.since, T, "since the first one");
    is_int(settle(&b, 7, SUCCESS, now + 200, 0), NOTHING,
           "the lease is used up");

    /* a failure when the wait is over, nobody probing */

    now = b.until;
    is_int(cool(&b, 0, now - 1, now, 64000), REARMED, "once more");
    is_int(b.holds, 3, "the third in a row");

    /* a success ends the row */

    now = b.until;
    lease(&b, 8, now + 30000);
    is_int(settle(&b, 8, SUCCESS, now, 0), CLEARED, "it succeeds");
    is_int(cool(&b, 0, now - 1, now + 1, 1000), NOTHING,
           "a failure sent before it did");
    is_int(position(&b, now + 1), CLOSED, "blocks nobody");
    is_int(cool(&b, 0, now + 1, now + 2, 1000), SET, "one sent after");
    is_int(b.holds, 1, "is the first in a row");
    is_int(b.since, now + 2, "since now");

    /* without outcome */

    now = b.until;
    lease(&b, 9, now + 30000);
    is_int(settle(&b, 9, INCONCLUSIVE, now, 0), FREED, "no outcome");
    ok(due_at(&b, now + 1000), "waits for the wait once more");
    is_int(b.holds, 1, "the row is as long");

    /* nothing doubles a wait */

    now = b.until;
    lease(&b, 10, now + 30000);
    is_int(settle(&b, 10, FAILURE, now, 0), REARMED,
           "a failure that names no wait");
    is_int(b.hold, 1000, "has the one before");

    b = armed(HOLD, MAX);
    is_int(clear(&b, T, T), CLEARED, "one that was of another kind");
    is_int(cool(&b, 0, T + 1, T, 1000), SET, "and now waits");
    lease(&b, 11, T + 31000);
    is_int(settle(&b, 11, FAILURE, T + 1000, 0), REARMED, "and fails");
    is_int(b.hold, 1000, "is no exception");

    /* sent in the very millisecond of the last change */

    b.changed = b.until - 1;
    is_int(cool(&b, 0, b.until, b.until, 1000), REARMED,
           "one sent as it was re-armed");
    is_int(clear(&b, b.changed, b.changed), CLEARED, "one as it was cleared");
    is_int(cool(&b, 0, b.changed, b.changed, 1000), SET,
           "and one after that");
}


/* The later of two changes has the later time, whatever the clock says. */

static void
test_changed(void)
{
    uint64_t   last;
    breaker_t  b;

    b = armed(HOLD, MAX);
    is_int(b.changed, T, "a change has the time of its answer");

    is_int(clear(&b, T, T), CLEARED, "a success in the same millisecond");
    is_int(b.changed, T + 1, "is the later change");
    is_int(b.until, T + 60000, "but is remembered from when it came");

    is_int(trip(&b, T + 1, T, HOLD, MAX, 0), REARMED, "a relapse in it");
    is_int(b.changed, T + 2, "is later still");
    ok(due_at(&b, T + 2 * HOLD), "and holds from when it came");

    /* a clock that was stepped back by a little */

    last = b.changed;
    is_int(put(&b, T - 500, HOLD, MAX, 0), REARMED, "set by hand before that");
    is_int(b.changed, last + 1, "is the later change");

    is_int(end(&b, T - 500), CLEARED, "and so is");
    is_int(b.changed, last + 2, "its end");

    is_int(cool(&b, 0, b.changed, T - 500, 1000), SET, "a temporary one");
    is_int(b.changed, last + 3, "too");

    lease(&b, 1, T);
    is_int(settle(&b, 1, FAILURE, T - 500, 0), REARMED, "and its probe");
    is_int(b.changed, last + 4, "likewise");

    lease(&b, 2, T);
    is_int(settle(&b, 2, INCONCLUSIVE, T - 500, 0), FREED,
           "a probe that told nothing");
    is_int(b.changed, last + 4, "is no change");

    is_int(clear(&b, b.changed, T + DAY), CLEARED, "when time goes on");
    is_int(b.changed, T + DAY, "it is the clock's again");
}


/* a failure as an answer brings it: "sent" just before it came */

static trip_t
failure(unsigned fatal, uint64_t now)
{
    trip_t  trip;

    memset(&trip, 0, sizeof(trip_t));

    trip.sent = now - 5;
    trip.now = now;
    trip.hold = HOLD;
    trip.max = MAX;
    trip.fatal = fatal;
    trip.was_fatal = 1;

    return trip;
}


/* one by a webhook, of the second that "when" is in */

static trip_t
event(uint64_t when, uint64_t now)
{
    trip_t  trip;

    trip = failure(1, now);
    trip.event = 1;
    trip.sent = when / 1000 * 1000;

    return trip;
}


static void
test_fail(void)
{
    trip_t     trip;
    breaker_t  b, was;

    memset(&b, 0, sizeof(breaker_t));

    trip = failure(0, T);
    is_int(fail_by(&b, &trip), SET, "a temporary one where nothing was");

    memset(&b, 0, sizeof(breaker_t));

    trip = failure(1, T);
    trip.random = HOLD / 10;
    is_int(fail_by(&b, &trip), SET, "a fatal failure");
    ok(due_at(&b, T + HOLD + HOLD / 10), "holds with its jitter");
    is_int(b.max, MAX, "may grow");

    was = b;
    trip = failure(0, T + 2 * HOLD);
    is_int(fail_by(&b, &trip), NOTHING, "a temporary one while it is armed");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "doesn't replace it");

    is_int(clear(&b, T + 2 * HOLD, T + 2 * HOLD), CLEARED, "it is over");
    was = b;
    trip = failure(0, b.until - 1);
    is_int(fail_by(&b, &trip), NOTHING, "a temporary one while it's known");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "doesn't replace what is known");

    trip = failure(0, b.until);
    is_int(fail_by(&b, &trip), SET, "but does afterwards");
    ok(due_at(&b, was.until + HOLD), "for its wait");
    is_int(b.max, HOLD, "which doesn't double");

    /* a fatal one takes the place of what waits */

    trip = failure(1, b.since + 1);
    trip.sent = T;
    trip.was_fatal = 0;
    was = b;
    is_int(fail_by(&b, &trip), SET, "a fatal one while it waits");
    is_int(b.hold, HOLD, "has a hold of its own");
    is_int(b.holds, 1, "is the first in a row");
    is_int(b.since, trip.now, "since now");
    is_int(b.changed, trip.now, "and now");

    b = was;
    trip.now = was.changed;
    is_int(fail_by(&b, &trip), SET, "also in the same millisecond");
    is_int(b.changed, was.changed + 1, "is the later change");
}


static void
test_fail_grows(void)
{
    size_t     i;
    trip_t     trip;
    breaker_t  b;

    static const uint32_t  waits[] = {
        1000, 4000, 16000, 64000, 100000, 100000
    };

    memset(&b, 0, sizeof(breaker_t));

    for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        trip = failure(0, (i == 0) ? T : b.until);
        trip.sent = trip.now;
        trip.hold = 1000;
        trip.max = 100000;
        trip.grows = 1;
        trip.was_fatal = 0;

        is_int(fail_by(&b, &trip), (i == 0) ? SET : REARMED,
               "failure %zu in a row", i + 1);
        is_int(b.hold, waits[i], "is waited for four times as long");
    }

    trip = failure(0, b.until);
    trip.sent = trip.now;
    trip.hold = 1000;
    is_int(fail_by(&b, &trip), NOTHING, "one with no such growth, over a "
           "fatal one");
    trip.was_fatal = 0;
    is_int(fail_by(&b, &trip), REARMED, "and over its like");
    is_int(b.hold, 1000, "has just its wait");

    /* the probe's own failure counts while it has the lease */

    lease(&b, 7, b.until + 30000);
    trip = failure(0, b.until + 100);
    trip.was_fatal = 0;
    is_int(fail_by(&b, &trip), NOTHING, "a failure beside the probe");
    trip.lease = 7;
    is_int(fail_by(&b, &trip), REARMED, "that of the probe");
}


static void
test_fail_event(void)
{
    trip_t     trip;
    breaker_t  b, was;

    memset(&b, 0, sizeof(breaker_t));

    trip = event(T + 2999, T + 4000);
    is_int(fail_by(&b, &trip), SET, "an event sets it");
    is_int(b.changed, T + 2000, "at the time of its cause");
    ok(due_at(&b, T + 4000 + HOLD), "for a hold from its arrival");

    was = b;
    trip = event(T + 2000, T + 5000 + HOLD);
    is_int(fail_by(&b, &trip), NOTHING, "the same event once more");
    trip = event(T + 1000, T + 5000 + HOLD);
    is_int(fail_by(&b, &trip), NOTHING, "an older one");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "change nothing");

    trip = event(T + 3000, T + 5000 + HOLD);
    is_int(fail_by(&b, &trip), REARMED, "a newer one when it's due");

    /* it may have been at the end of its second */

    is_int(clear(&b, T + 20500, T + 20500), CLEARED, "cleared by a success");
    trip = event(T + 20000, T + 21000);
    is_int(fail_by(&b, &trip), REARMED, "an event of that second");
    is_int(b.changed, T + 20501, "is the later change");

    is_int(clear(&b, T + 30000, T + 30000), CLEARED, "cleared again");
    was = b;
    trip = event(T + 29999, T + 31000);
    is_int(fail_by(&b, &trip), NOTHING, "one of the second before");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "changes nothing");
}


/* A state that somebody has frozen by hand ends by hand alone. */

static void
test_frozen(void)
{
    breaker_t  b, was;

    memset(&b, 0, sizeof(breaker_t));

    is_int(end(&b, T), NOTHING, "a closed one can't be ended");
    is_int(put(&b, T, HOLD, MAX, 1), SET, "frozen");

    was = b;
    is_int(clear(&b, T + DAY, T + DAY), NOTHING, "a success");
    is_int(make_due(&b, T + DAY), 0, "or a registration");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "changes nothing");
    is_int(position(&b, T + 365ULL * DAY), OPEN, "it blocks for years");

    is_int(end(&b, T + DAY), CLEARED, "until somebody ends it");
}


static void
test_resolve(void)
{
    breaker_t  b, was;

    b = armed(HOLD, MAX);
    was = b;
    is_int(resolve(&b, T - 1000, T + 5000), 0,
           "the end of an earlier cause");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "changes nothing");

    is_int(resolve(&b, T, T + 5000), 1, "one of the same second");
    is_int(position(&b, T + 5000), CLOSED, "clears it");
    is_int(b.changed, T + 1, "as the later change");
    is_int(b.until, T + 5000 + 60000, "remembered since it was told");

    is_int(resolve(&b, T + 3000, T + 6000), 1, "a later end of what is over");
    is_int(b.changed, T + 3000, "is remembered");
    is_int(resolve(&b, T + 3000, T + 7000), 1, "told twice");
    is_int(b.changed, T + 3000, "it is no other change");
    is_int(b.until, T + 5000 + 60000, "nor remembered longer");

    memset(&b, 0, sizeof(breaker_t));
    is_int(resolve(&b, T, T), 1, "one of what nobody knew");
    is_int(b.changed, T, "is remembered, too");
    is_int(position(&b, T), CLOSED, "and blocks nobody");

    put(&b, T + 5000, HOLD, MAX, 1);
    was = b;
    is_int(resolve(&b, T + 6000, T + 7000), 0, "a frozen one");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "stays");
}


static void
test_renew(void)
{
    uint32_t   end;
    breaker_t  b;

    b = probed(HOLD, MAX);
    end = (uint32_t) (T + HOLD + 50000);

    renew(&b, 1, T + HOLD + 20000);
    is_int(b.leases.until[0], end, "a probe renews its lease");

    renew(&b, 2, T + HOLD + 60000);
    is_int(b.leases.until[0], end, "nobody else does");

    settle(&b, 1, INCONCLUSIVE, T + HOLD, 0);
    renew(&b, 0, T + HOLD + 60000);
    is_int(b.leases.until[0], end, "nor is none renewed");

    b = probed(HOLD, MAX);
    b.armed = 0;
    renew(&b, 1, T + HOLD + 60000);
    is_int(b.leases.until[0], (uint32_t) (T + HOLD + 30000),
           "nor that of one that is over");
}


static void
test_ask(void)
{
    size_t     i;
    terms_t    terms;
    asker_t    asker;
    breaker_t  b;

    static const struct {
        ngx_http_graph_policy_kind_e  kind;
        uint64_t                      credential;
        unsigned                      may_probe, needs_message, probes;
        const char                   *name;
    } askers[] = {
        { NGX_HTTP_GRAPH_POLICY_MESSAGE, 5, 1, 1, 1, "a message" },
        { NGX_HTTP_GRAPH_POLICY_MESSAGE, 5, 1, 0, 1, "a message, of a token" },
        { NGX_HTTP_GRAPH_POLICY_MESSAGE, 5, 0, 1, 0, "one without its body" },
        { NGX_HTTP_GRAPH_POLICY_SEND, 5, 1, 1, 0, "an upload" },
        { NGX_HTTP_GRAPH_POLICY_SEND, 5, 1, 0, 1, "an upload, of a token" },
        { NGX_HTTP_GRAPH_POLICY_MESSAGE, 0, 1, 1, 0, "a nameless message" },
        { NGX_HTTP_GRAPH_POLICY_SEND, 0, 1, 0, 0, "a nameless upload" }
    };

    memset(&terms, 0, sizeof(terms_t));

    for (i = 0; i < sizeof(askers) / sizeof(askers[0]); i++) {
        asker.kind = askers[i].kind;
        asker.credential = askers[i].credential;
        asker.may_probe = askers[i].may_probe & 1;
        asker.lease = 0;
        terms.needs_message = askers[i].needs_message & 1;

        is_int(may_probe(&terms, &asker), askers[i].probes,
               "%s probes or doesn't", askers[i].name);

        b = armed(HOLD, MAX);
        is_int(ask(&b, &terms, &asker, T + HOLD - 1), OPEN,
               "it is blocked by the hold");
        is_int(blocked_until(&b, T), T + HOLD, "as long as that lasts");
        is_int(ask(&b, &terms, &asker, T + HOLD),
               askers[i].probes ? DUE : OPEN, "then if it may not probe");
        is_int(blocked_until(&b, T + HOLD), T + HOLD, "no longer by the hold");

        lease(&b, 3, T + HOLD + 30000);
        is_int(ask(&b, &terms, &asker, T + HOLD), OPEN,
               "and by another's lease");
        is_int(blocked_until(&b, T + HOLD), T + HOLD + 30000,
               "as long as that lasts");

        asker.lease = 3;
        is_int(ask(&b, &terms, &asker, T + HOLD - 1), DUE,
               "by its own it goes on");
        asker.lease = 4;
        is_int(ask(&b, &terms, &asker, T + HOLD), OPEN,
               "by one that is no more it doesn't");
    }

    /* what only reads passes once the hold is over, leased or not */

    memset(&asker, 0, sizeof(asker_t));
    asker.kind = NGX_HTTP_GRAPH_POLICY_READ;
    asker.credential = 5;
    asker.may_probe = 1;

    b = armed(HOLD, MAX);
    is_int(may_probe(&terms, &asker), 0, "a read is no probe");
    is_int(ask(&b, &terms, &asker, T + HOLD - 1), OPEN,
           "it waits for the hold");
    lease(&b, 3, T + HOLD + 30000);
    is_int(ask(&b, &terms, &asker, T + HOLD), CLOSED,
           "and passes beside a probe");

    /* once Graph's wait is over an upload passes, but proves nothing */

    terms.needs_message = 1;
    terms.lenient = 1;
    asker.kind = NGX_HTTP_GRAPH_POLICY_SEND;

    b = armed(HOLD, MAX);
    is_int(ask(&b, &terms, &asker, T + HOLD - 1), OPEN, "an upload waits");
    is_int(ask(&b, &terms, &asker, T + HOLD), CLOSED, "and then passes");
    lease(&b, 3, T + HOLD + 30000);
    is_int(ask(&b, &terms, &asker, T + HOLD), OPEN, "but beside no probe");

    /* of a credential it can be the probe, so it has to ask for that first */

    terms.needs_message = 0;
    asker.may_probe = 0;
    asker.asks_again = 1;

    b = armed(HOLD, MAX);
    is_int(ask(&b, &terms, &asker, T + HOLD), OPEN,
           "an upload that may be the probe doesn't just pass");

    asker.asks_again = 0;
    is_int(ask(&b, &terms, &asker, T + HOLD), CLOSED,
           "it does if it can't be the probe after all");

    asker.may_probe = 1;
    is_int(ask(&b, &terms, &asker, T + HOLD), DUE, "and else is the probe");

    terms.needs_message = 1;

    asker.kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
    asker.may_probe = 0;
    is_int(ask(&b, &terms, &asker, T + HOLD + 30000), OPEN,
           "a message that mustn't probe doesn't");
}


static void
test_admit(void)
{
    scales_t  scales;

    memset(&scales, 0, sizeof(scales_t));
    is_int(admit(&scales), NGX_HTTP_GRAPH_POLICY_ADMIT_PASS,
           "nothing blocks");

    scales.due = 1;
    is_int(admit(&scales), NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE,
           "one is due");

    /* dry ones show only while no other does */

    is_int(weigh(&scales, T + 100, 1), 1, "a dry one is shown");
    is_int(admit(&scales), NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE,
           "and keeps no probe back");
    is_int(weigh(&scales, T + 50, 1), 0, "a dry one that ends sooner isn't");
    is_int(weigh(&scales, T + 200, 1), 1, "one that ends later is");
    is_int(scales.end, T + 200, "with its end");

    scales.due = 0;
    is_int(admit(&scales), NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN,
           "with none due it would have blocked");

    is_int(weigh(&scales, T + 10, 0), 1, "one in force is shown before it");
    is_int(admit(&scales), NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK,
           "and blocks");
    is_int(weigh(&scales, T + 10, 0), 0, "of two alike the first is shown");
    is_int(weigh(&scales, T + 300, 1), 0, "a dry one no more");
    is_int(weigh(&scales, T + 11, 0), 1, "but one that ends later");
    is_int(scales.end, T + 11, "with its end");

    scales.due = 1;
    is_int(admit(&scales), NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK,
           "all must let it pass");
}


/* The order in which things leave is what docs/directives.md promises. */

static void
test_rank(void)
{
    size_t     i;
    breaker_t  b;

    b = armed(HOLD, MAX);

    is_int(order_of(&b, 0, 0, 0), NGX_HTTP_GRAPH_POLICY_ARMED, "an answer's");
    is_int(order_of(&b, 0, 1, 0), NGX_HTTP_GRAPH_POLICY_BY_EVENT,
           "a webhook's");
    is_int(order_of(&b, 1, 0, 0), NGX_HTTP_GRAPH_POLICY_COOLING,
           "a cool-down");
    is_int(order_of(&b, 0, 0, 1), NGX_HTTP_GRAPH_POLICY_BOUND_ARMED,
           "a token's");
    is_int(order_of(&b, 1, 0, 1), NGX_HTTP_GRAPH_POLICY_BOUND_COOLING,
           "a token's cool-down");
    is_int(order_of(&b, 0, 1, 1), NGX_HTTP_GRAPH_POLICY_BY_EVENT,
           "a token's, set by hand");
    is_int(order_key(&b, 600000, T), T + HOLD, "each by its end");

    clear(&b, T + 5, T + 5);
    is_int(order_of(&b, 0, 1, 0), NGX_HTTP_GRAPH_POLICY_IDLE,
           "one that is over");
    is_int(order_of(&b, 0, 0, 1), NGX_HTTP_GRAPH_POLICY_BOUND_IDLE,
           "a token's that is over");
    is_int(order_key(&b, 0, T), T + 5 + 60000, "by the end of its memory");
    is_int(order_key(&b, 600000, T), T + 5 + 600000,
           "which is longer where late events come");

    b.hold = 600000;
    is_int(order_key(&b, 0, T), T + 5 + 660000,
           "at least until what others were told of it is over");

    memset(&b, 0, sizeof(b));
    (void) ngx_http_graph_policy_breaker_put(&b, T, HOLD, MAX, 1);
    clear(&b, T + 5, T + 5);
    (void) ngx_http_graph_policy_breaker_end(&b, T + 5);
    is_int(order_key(&b, 600000, T),
           T + 5 + NGX_HTTP_GRAPH_POLICY_FROZEN,
           "a frozen one's for longer than others believe it");

    {
        const ngx_http_graph_policy_rank_e  ranks[] = {
            rank(NGX_HTTP_GRAPH_POLICY_BOUND_ARMED, T, T),
            NGX_HTTP_GRAPH_POLICY_LEAVES_CONVERSATION,
            rank(NGX_HTTP_GRAPH_POLICY_COOLING, T + 1, T),
            NGX_HTTP_GRAPH_POLICY_LEAVES_LINK,
            rank(NGX_HTTP_GRAPH_POLICY_IDLE, T + 1, T),
            rank(NGX_HTTP_GRAPH_POLICY_ARMED, T, T),
            rank(NGX_HTTP_GRAPH_POLICY_BY_EVENT, T, T),
            rank(NGX_HTTP_GRAPH_POLICY_ARMED, T + 1, T),
            rank(NGX_HTTP_GRAPH_POLICY_BY_EVENT, T + 1, T),
            NGX_HTTP_GRAPH_POLICY_LEAVES_NEVER
        };

        for (i = 1; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
            ok(ranks[i - 1] < ranks[i], "rank %zu leaves before %zu", i - 1,
               i);
        }

        is_int(rank(NGX_HTTP_GRAPH_POLICY_BOUND_IDLE, T + 1, T), ranks[0],
               "a token's memory leaves first");
        is_int(rank(NGX_HTTP_GRAPH_POLICY_BOUND_COOLING, T, T), ranks[0],
               "so does a token's cool-down that is over");
        is_int(rank(NGX_HTTP_GRAPH_POLICY_BOUND_COOLING, T + 1, T), ranks[2],
               "one that isn't leaves as everyone's");
        is_int(rank(NGX_HTTP_GRAPH_POLICY_BOUND_ARMED, T + 1, T), ranks[7],
               "and so does one that isn't due");
        is_int(rank(NGX_HTTP_GRAPH_POLICY_CONFIRMING, T, T), ranks[8],
               "one that waits for a status leaves last");
        is_int(rank(NGX_HTTP_GRAPH_POLICY_COOLING, T, T), ranks[2],
               "a cool-down that is over leaves as one that isn't");
        is_int(rank(NGX_HTTP_GRAPH_POLICY_IDLE, T, T), ranks[4],
               "so does a memory");
    }

    ok(!is_over(NGX_HTTP_GRAPH_POLICY_IDLE, T, T - 1), "a memory");
    ok(is_over(NGX_HTTP_GRAPH_POLICY_IDLE, T, T), "has its end");
    ok(!is_over(NGX_HTTP_GRAPH_POLICY_COOLING, T, T + 599999), "a cool-down");
    ok(is_over(NGX_HTTP_GRAPH_POLICY_COOLING, T, T + 600000),
       "stays for ten minutes more");
    ok(!is_over(NGX_HTTP_GRAPH_POLICY_ARMED, T, T + DAY - 1), "a fatal one");
    ok(is_over(NGX_HTTP_GRAPH_POLICY_ARMED, T, T + DAY), "for a day");
    ok(!is_over(NGX_HTTP_GRAPH_POLICY_BY_EVENT, T, T + DAY - 1), "whoever");
    ok(is_over(NGX_HTTP_GRAPH_POLICY_BY_EVENT, T, T + DAY), "has set it");
}


/* a number below n, the same ones in each run */

static uint32_t
below(uint32_t n)
{
    static uint64_t  x = 1;

    x = x * 6364136223846793005ULL + 1442695040888963407ULL;

    return (uint32_t) (x >> 33) % n;
}


/* any calls in any order: what must hold whatever happens */

static void
test_any(void)
{
    size_t      i;
    uint64_t    now, sent, token;
    unsigned    bad;
    uint32_t    hold, max;
    breaker_t   b, was;

    static const uint32_t  holds[] = { 1, 9, 10, 300, 10000, 900000, DAY };

    ngx_http_graph_policy_position_e       before, after;
    ngx_http_graph_policy_transition_e     what;
    ngx_http_graph_policy_probe_outcome_e  outcome;

    memset(&b, 0, sizeof(breaker_t));

    bad = 0;
    now = T;
    token = 0;

    for (i = 0; i < 1000000 && bad < 5; i++) {

        now += (below(4) == 0) ? below(100000) : below(50);
        sent = now - below(2000);
        hold = holds[below(7)];
        max = ngx_max(hold, holds[below(7)]);

        was = b;
        before = position(&b, now);
        what = NOTHING;

        switch (below(6)) {

        case 0:
            if (before == DUE) {
                lease(&b, ++token, now + 30000);
                bad += position(&b, now) != OPEN;
            }

            continue;

        case 1:
            what = trip(&b, sent, now, hold, max, below(1 << 30));
            bad += before == OPEN && what != NOTHING;
            bad += what == SET && (b.since != now || b.hold != hold);
            bad += what == REARMED
                   && (b.since != was.since || b.hold < was.hold);
            break;

        case 2:
            outcome = (ngx_http_graph_policy_probe_outcome_e) below(3);
            what = settle(&b, ngx_max(token, 2) - below(2), outcome, now,
                          below(1 << 30));
            bad += what == SET;
            break;

        case 3:
            what = clear(&b, sent, now);
            bad += what == SET || what == REARMED || what == FREED;
            bad += what == CLEARED && sent < was.changed;
            break;

        case 4:
            if (below(8) == 0) {
                what = make_due(&b, now);
                bad += what && before == CLOSED;
                bad += what && before == DUE && was.moved;
                bad += before != CLOSED && position(&b, now) != DUE;
                continue;
            }

            break;

        default:
            if (below(2)) {
                what = cool(&b, 0, sent, now, hold);
                bad += before == OPEN && what != NOTHING;
            }
        }

        after = position(&b, now);

        switch (what) {

        case NOTHING:
            bad += memcmp(&b, &was, sizeof(breaker_t)) != 0;
            break;

        case SET:
        case REARMED:
            bad += after != OPEN || b.leases.holder.message != 0
                   || b.changed != ngx_max(now, was.changed + 1)
                   || b.holds == 0 || b.until < now + b.hold
                   || b.until > now + b.hold + b.hold / 10;
            break;

        case CLEARED:
            bad += after != CLOSED || b.leases.holder.message != 0
                   || b.changed != ngx_max(now, was.changed + 1)
                   || b.until < now + 60000;
            break;

        case FREED:
            bad += after != OPEN || b.leases.holder.message != 0
                   || b.changed != was.changed
                   || b.hold != was.hold || b.until > now + 5000;
            break;

        default:
            bad++;
        }

        if (bad) {
            diag("step %zu: %d, from %d to %d", i, (int) what, (int) before,
                 (int) after);
        }
    }

    is_int(bad, 0, "a million calls in any order");
    is_int(i, 1000000, "all of them");
    ok(token > 1000, "with many probes");
}


int
main(void)
{
    test_closed();
    test_set();
    test_success();
    test_failure();
    test_doubling();
    test_max();
    test_inconclusive();
    test_jitter();
    test_relapse();
    test_stale();
    test_lease();
    test_clear();
    test_make_due();
    test_short();
    test_long();
    test_extremes();
    test_cool();
    test_changed();
    test_fail();
    test_fail_grows();
    test_fail_event();
    test_frozen();
    test_resolve();
    test_renew();
    test_ask();
    test_admit();
    test_rank();
    test_any();

    return tap_done();
}
