
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a temporary failure makes of the breaker, from the side of an
 * outage: who is blocked until when, while failures of all ages come in.
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
#define cool(...)      ngx_http_graph_policy_breaker_cool(__VA_ARGS__)
#define settle(b, token, ...)                                                 \
    ngx_http_graph_policy_breaker_settle(b, token, 0, __VA_ARGS__)
#define clear(b, ...)  ngx_http_graph_policy_breaker_clear(b, 0, __VA_ARGS__)

#define T             1700000000000ULL
#define LEASE         30000


typedef ngx_http_graph_policy_breaker_t  breaker_t;


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


/* one that a request sent a second before T set at T */

static breaker_t
cooling(uint32_t wait)
{
    breaker_t  b;

    memset(&b, 0, sizeof(breaker_t));
    is_int(cool(&b, 0, T - 1000, T, wait), SET, "a failure sets it");

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


/* waits of the table, of a rule and of a hint: to the millisecond */

static void
test_waits(void)
{
    size_t     i;
    breaker_t  b;

    static const uint32_t  waits[] = {
        1, 9, 10, 11, 1000, 4000, 5000, 16000, 60000, 64000, 3600000, 86400000
    };

    for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        b = cooling(waits[i]);
        ok(due_at(&b, T + waits[i]), "a wait of %u ms, without jitter",
           waits[i]);
        is_int(b.hold, waits[i], "is its hold");
    }

    /* none at all is due at once, still alone */

    b = cooling(0);
    is_int(position(&b, T), DUE, "no wait");
    lease(&b, 1, T + LEASE);
    is_int(position(&b, T), OPEN, "lets one pass at a time");
}


/* fifty sends were on their way: one outage, one wait */

static void
test_burst(void)
{
    size_t     i, wrong;
    breaker_t  b, was;

    b = cooling(1000);
    was = b;
    wrong = 0;

    for (i = 0; i < 50; i++) {
        wrong += cool(&b, 0, T - 50 + i, T + i, 64000) != NOTHING;
    }

    is_int(wrong, 0, "failures beside the first");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "change nothing");

    /* those sent before it that come when the wait is over */

    is_int(cool(&b, 0, T - 1, T + 1000, 64000), NOTHING,
           "one that took longer than the wait");
    is_int(position(&b, T + 1000), DUE, "doesn't keep the probe back");

    /* one sent since may: it bypassed the gate, so it is news */

    is_int(cool(&b, 0, T + 1, T + 1000, 4000), REARMED, "one sent since");
    ok(due_at(&b, T + 5000), "asks for its own wait");
}


/* nothing counts while the probe is away but the probe, or who outlives it */

static void
test_probe(void)
{
    breaker_t  b, was;

    b = cooling(1000);
    lease(&b, 5, T + 1000 + LEASE);
    was = b;

    is_int(cool(&b, 0, T + 1000, T + 1500, 9000), NOTHING,
           "a failure without a lease");
    is_int(cool(&b, 4, T + 1000, T + 1500, 9000), NOTHING,
           "one with another's lease");
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t), "change nothing");

    is_int(cool(&b, 5, T + 1000, T + 1500, 4000), REARMED, "the probe fails");
    ok(due_at(&b, T + 5500), "it waits anew, from the answer on");
    is_int(b.leases.holder.message, 0, "the lease is over");
    is_int(b.holds, 2, "two in a row");
    is_int(b.since, T, "since the first");

    is_int(settle(&b, 5, FAILURE, T + 1500, 0), NOTHING,
           "and can't fail twice");
    is_int(settle(&b, 5, INCONCLUSIVE, T + 1500, 0), NOTHING,
           "nor be given back");
    is_int(settle(&b, 5, SUCCESS, T + 1500, 0), NOTHING, "nor succeed");
    ok(due_at(&b, T + 5500), "all of which change nothing");

    /* the holder was killed: its lease runs out */

    b = was;
    is_int(position(&b, T + 1000 + LEASE - 1), OPEN, "nobody while it lasts");
    is_int(position(&b, T + 1000 + LEASE), DUE, "then another");
    lease(&b, 6, T + 1000 + 2 * LEASE);
    is_int(cool(&b, 5, T + 1000, T + 1000 + LEASE, 9000), NOTHING,
           "it was alive after all, and is late");
    is_int(cool(&b, 6, T + 1000 + LEASE, T + 1001 + LEASE, 9000), REARMED,
           "the other's failure counts");

    /* late, with nobody having taken its place */

    b = was;
    is_int(cool(&b, 5, T + 1000, T + 1000 + 2 * LEASE, 2000), REARMED,
           "a late probe that is the only one");
    ok(due_at(&b, T + 1000 + 2 * LEASE + 2000), "counts");

    /* 0 is nobody's lease, also where nobody has one */

    b = cooling(1000);
    is_int(cool(&b, 0, T, T + 1, 9000), NOTHING, "no lease is no probe");
    ok(due_at(&b, T + 1000), "so it waits as before");
}


/* the pair limit: 1, 4, 16, 64 s, counted by whoever gives the wait */

static void
test_row(void)
{
    size_t     i;
    uint32_t   wait;
    uint64_t   now;
    breaker_t  b;

    memset(&b, 0, sizeof(breaker_t));

    for (now = T, wait = 1000, i = 1; i <= 6; i++, wait *= 4) {

        if (i == 1) {
            is_int(cool(&b, 0, now - 1, now, wait), SET, "the first");

        } else {
            lease(&b, i, now + LEASE);
            is_int(cool(&b, i, now, now, wait), REARMED, "number %zu", i);
        }

        is_int(b.holds, i, "counted");
        ok(due_at(&b, now + wait), "for %u ms", wait);
        is_int(b.since, T, "since the first");
        is_int(b.changed, now, "changed by the last");

        now += wait;
    }

    /* waits may shrink */

    lease(&b, 99, now + LEASE);
    is_int(cool(&b, 99, now, now, 7), REARMED, "one that says less");
    ok(due_at(&b, now + 7), "is believed");
}


/* the row ends by an answer that it didn't get, at once or long ago */

static void
test_end(void)
{
    uint64_t   now;
    breaker_t  b;

    b = cooling(1000);
    lease(&b, 1, T + 1000 + LEASE);
    is_int(cool(&b, 1, T + 1000, T + 1000, 4000), REARMED, "twice");

    now = T + 5000;
    lease(&b, 2, now + LEASE);
    is_int(settle(&b, 2, SUCCESS, now + 10, 0), CLEARED, "then accepted");
    is_int(position(&b, now + 10), CLOSED, "all pass");

    is_int(cool(&b, 0, now + 9, now + 20, 1000), NOTHING,
           "a failure that was sent before");
    is_int(position(&b, now + 20), CLOSED, "all pass still");

    is_int(cool(&b, 0, now + 11, now + 30, 1000), SET,
           "one sent after, within the memory of a fatal state");
    is_int(b.holds, 1, "is the first of a new row");
    is_int(b.since, now + 30, "that begins now");
    ok(due_at(&b, now + 1030), "and waits for what it says");

    is_int(clear(&b, now + 29, now + 40), NOTHING,
           "a success that was sent before");
    is_int(clear(&b, now + 30, now + 40), CLEARED, "one sent since");
    is_int(position(&b, now + 40), CLOSED, "ends it");

    is_int(cool(&b, 0, now + 3600000, now + 3600000, 1000), SET,
           "an hour later");
    is_int(b.holds, 1, "it is the first again");
}


/* an outcome without a word leaves the row, and what is waited is bounded */

static void
test_inconclusive(void)
{
    breaker_t  b;

    b = cooling(60000);
    lease(&b, 1, T + 60000 + LEASE);
    is_int(settle(&b, 1, INCONCLUSIVE, T + 60100, 0), FREED, "no outcome");
    ok(due_at(&b, T + 60100 + NGX_HTTP_GRAPH_POLICY_RETRY_HOLD),
       "another soon");
    is_int(b.holds, 1, "the row is as long");

    lease(&b, 2, T + 100000);
    is_int(cool(&b, 2, T + 66000, T + 66000, 60000), REARMED, "which fails");
    ok(due_at(&b, T + 126000), "and waits in full");
    is_int(b.holds, 2, "the second in the row");
}


/* the clock stands still, or goes back */

static void
test_clock(void)
{
    breaker_t  b;

    memset(&b, 0, sizeof(breaker_t));
    is_int(cool(&b, 0, T, T, 1000), SET, "sent and answered in a millisecond");
    is_int(cool(&b, 0, T, T, 1000), NOTHING, "twice");
    is_int(position(&b, T), OPEN, "it blocks");
    is_int(position(&b, T - 1), OPEN, "also if the clock goes back a little");

    is_int(cool(&b, 0, T - 1, T - 1, 9000), NOTHING,
           "a failure then isn't newer");
    ok(due_at(&b, T + 1000), "nor does it change the wait");

    is_int(position(&b, T - 60000), DUE, "a minute back the wait is over");
    is_int(cool(&b, 0, T - 60000, T - 60000, 9000), REARMED,
           "and a failure is learnt");
    ok(due_at(&b, T - 60000 + 9000), "with its own wait");

    /* far off: no sum wraps */

    memset(&b, 0, sizeof(breaker_t));
    is_int(cool(&b, 0, 1ULL << 62, 1ULL << 62, UINT32_MAX), SET,
           "the longest wait");
    ok(due_at(&b, (1ULL << 62) + UINT32_MAX), "ends when it says");
}


int
main(void)
{
    test_waits();
    test_burst();
    test_probe();
    test_row();
    test_end();
    test_inconclusive();
    test_clock();

    return tap_done();
}
