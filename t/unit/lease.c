
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of who probes a state: two credentials at a time, a message that a
 * status has to confirm, and clocks that are stepped.
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
#define AWAITED       NGX_HTTP_GRAPH_POLICY_AWAITED

#define SUCCESS       NGX_HTTP_GRAPH_POLICY_SUCCESS
#define FAILURE       NGX_HTTP_GRAPH_POLICY_FAILURE
#define INCONCLUSIVE  NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE
#define NO_PROBE      NGX_HTTP_GRAPH_POLICY_NO_PROBE
#define UNCONFIRMED   NGX_HTTP_GRAPH_POLICY_UNCONFIRMED

#define position(...)  ngx_http_graph_policy_breaker_position(__VA_ARGS__)
#define lease(...)     ngx_http_graph_policy_breaker_lease(__VA_ARGS__)
#define ask(...)       ngx_http_graph_policy_breaker_ask(__VA_ARGS__)
#define trip(...)      ngx_http_graph_policy_breaker_trip(__VA_ARGS__)
#define settle(...)    ngx_http_graph_policy_breaker_settle(__VA_ARGS__)
#define clear(...)     ngx_http_graph_policy_breaker_clear(__VA_ARGS__)
#define confirm(...)   ngx_http_graph_policy_breaker_confirm(__VA_ARGS__)
#define make_due(...)  ngx_http_graph_policy_breaker_make_due(__VA_ARGS__)
#define resolve(...)   ngx_http_graph_policy_breaker_resolve(__VA_ARGS__)
#define blocked_until(...)                                                    \
    ngx_http_graph_policy_breaker_blocked_until(__VA_ARGS__)
#define until_of(...)  ngx_http_graph_policy_breaker_until(__VA_ARGS__)
#define order_of(...)  ngx_http_graph_policy_breaker_order(__VA_ARGS__)
#define order_key(...)  ngx_http_graph_policy_breaker_order_key(__VA_ARGS__)

#define T             1700000000000ULL
#define HOUR          3600000ULL
#define HOLD          10000
#define MAX           900000
#define CONFIRM       8000
#define AHEAD         NGX_HTTP_GRAPH_POLICY_AHEAD

#define OWNER         5
#define STRANGER      6
#define WAMID         0xfedcba9876543210ULL


typedef ngx_http_graph_policy_breaker_t  breaker_t;
typedef ngx_http_graph_policy_asker_t    asker_t;
typedef ngx_http_graph_policy_terms_t    terms_t;


static breaker_t
armed(void)
{
    breaker_t  b;

    memset(&b, 0, sizeof(breaker_t));

    is_int(trip(&b, T - 1000, T, HOLD, MAX, 0), SET, "a failure sets it");
    b.confirm = CONFIRM;

    return b;
}


static asker_t
message(uint64_t credential)
{
    asker_t  asker;

    memset(&asker, 0, sizeof(asker_t));
    asker.kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
    asker.credential = credential;
    asker.may_probe = 1;

    return asker;
}


static terms_t
set_by(uint64_t setter)
{
    terms_t  terms;

    memset(&terms, 0, sizeof(terms_t));
    terms.setter = setter;
    terms.needs_message = 1;

    return terms;
}


static void
test_two(void)
{
    asker_t    owner, stranger, other;
    terms_t    terms;
    uint64_t   now;
    breaker_t  b;

    owner = message(OWNER);
    stranger = message(STRANGER);
    other = message(7);
    terms = set_by(OWNER);
    now = T + HOLD;

    b = armed();
    is_int(ask(&b, &terms, &owner, now - 1), OPEN, "its owner waits, too");
    is_int(ask(&b, &terms, &stranger, now), DUE, "a stranger may probe it");
    lease(&b, 1, &terms, &stranger, now);
    is_int(ask(&b, &terms, &other, now), OPEN, "another one may not then");
    is_int(ask(&b, &terms, &owner, now), DUE, "but its owner may");
    lease(&b, 2, &terms, &owner, now);
    is_int(ask(&b, &terms, &owner, now), OPEN, "once");
    is_int(position(&b, now + 29999), OPEN, "both last as long");
    is_int(position(&b, now + 30000), DUE, "and no longer");

    /* each counts by itself */

    is_int(settle(&b, 1, 0, NO_PROBE, now, 0), FREED, "the stranger is back");
    is_int(until_of(&b, now), now, "and has moved nothing");
    is_int(ask(&b, &terms, &other, now), OPEN, "the owner still probes");
    is_int(settle(&b, 2, 0, SUCCESS, now, 0), CLEARED, "and ends it");

    /* what left before the last change changes nothing */

    b = armed();
    lease(&b, 1, &terms, &stranger, now);
    lease(&b, 2, &terms, &owner, now);
    is_int(settle(&b, 2, 0, FAILURE, now + 1, 0), REARMED, "one fails");
    is_int(settle(&b, 1, 0, SUCCESS, now + 2, 0), NOTHING, "the other is old");
    is_int(b.hold, 2 * HOLD, "the hold is that of one failure");

    /* the owner first: others wait for it */

    b = armed();
    lease(&b, 1, &terms, &owner, now);
    is_int(ask(&b, &terms, &stranger, now), OPEN, "the owner was first");
    is_int(ask(&b, &terms, &owner, now), OPEN, "and has one lease alone");

    /* nobody has set it: one at a time */

    terms = set_by(0);
    b = armed();
    lease(&b, 1, &terms, &stranger, now);
    is_int(ask(&b, &terms, &owner, now), OPEN, "what nobody has set has one");

    /* one that has waited for a probe for long */

    b = armed();
    is_int(blocked_until(&b, now + HOUR), now, "due, it blocks until its end");
    lease(&b, 1, &terms, &stranger, now + HOUR);
    is_int(blocked_until(&b, now + HOUR),
           now + HOUR + NGX_HTTP_GRAPH_POLICY_LEASE,
           "while somebody probes until the lease's");
    is_int(blocked_until(&b, now + HOUR + NGX_HTTP_GRAPH_POLICY_LEASE), now,
           "and no longer");
}


static void
test_stranger(void)
{
    asker_t    stranger;
    terms_t    terms;
    uint32_t   i;
    uint64_t   now;
    breaker_t  b, was;

    stranger = message(STRANGER);
    terms = set_by(OWNER);
    now = T + HOLD;
    b = armed();
    was = b;

    for (i = 1; i <= 1000; i++) {
        lease(&b, i, &terms, &stranger, now + i);

        if (settle(&b, i, 0, NO_PROBE, now + i, i) != FREED
            || position(&b, now + i) != DUE)
        {
            break;
        }
    }

    is_int(i, 1001, "a thousand probes that say nothing leave it due");

    memset(&b.leases, 0, sizeof(b.leases));
    is_mem(&b, sizeof(breaker_t), &was, sizeof(breaker_t),
           "and change nothing of it");
}


static void
test_confirm(void)
{
    asker_t    asker;
    terms_t    terms;
    uint64_t   now;
    breaker_t  b;

    asker = message(OWNER);
    terms = set_by(0);
    now = T + HOLD;

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    is_int(settle(&b, 1, WAMID, UNCONFIRMED, now, 0), AWAITED, "accepted");
    is_int(order_of(&b, 0, 1, 0), NGX_HTTP_GRAPH_POLICY_CONFIRMING,
           "it is kept in an order of its own");
    is_int(order_key(&b, 0, now), now + CONFIRM, "by when a status has to come");
    is_int(ask(&b, &terms, &asker, now + CONFIRM - 1), OPEN,
           "nobody passes meanwhile");
    is_int(settle(&b, 1, 0, SUCCESS, now, 0), NOTHING, "the token is used up");
    is_int(confirm(&b, WAMID + 1, SUCCESS, now + 5, 0), NOTHING,
           "another message's status says nothing");
    is_int(confirm(&b, WAMID, SUCCESS, now + 5, 0), CLEARED, "its own clears");
    is_int(confirm(&b, WAMID, FAILURE, now + 6, 0), NOTHING, "but once");

    b = armed();
    lease(&b, 5, &terms, &asker, now);
    is_int(confirm(&b, 5, SUCCESS, now + 5, 0), NOTHING,
           "a lease is no message");

    /* nor is a message a lease, though it lies where tokens do */

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    settle(&b, 1, WAMID, UNCONFIRMED, now, 0);
    is_int(settle(&b, (uint32_t) WAMID, 0, FAILURE, now, 0), NOTHING,
           "a probe from before doesn't end a wait for a status");
    is_int(settle(&b, WAMID >> 32, 0, FAILURE, now, 0), NOTHING,
           "whichever half of its message its lease is");
    is_int(confirm(&b, WAMID, SUCCESS, now + 5, 0), CLEARED,
           "which goes on");

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    settle(&b, 1, WAMID, UNCONFIRMED, now, 0);
    is_int(confirm(&b, WAMID, FAILURE, now + 5, 0), REARMED,
           "a failed message re-arms");
    is_int(b.hold, 2 * HOLD, "with the double");
    is_int(b.since, T, "since it began");

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    settle(&b, 1, WAMID, UNCONFIRMED, now, 0);
    is_int(confirm(&b, WAMID, INCONCLUSIVE, now + 5, 0), FREED,
           "another failure says nothing");
    is_int(position(&b, now + 5 + 5000), DUE, "and the next one probes");

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    settle(&b, 1, WAMID, UNCONFIRMED, now, 0);
    make_due(&b, now + 1);
    is_int(ask(&b, &terms, &asker, now + 1), DUE,
           "cured meanwhile, the next one probes");
    is_int(confirm(&b, WAMID, SUCCESS, now + 5, 0), NOTHING,
           "and nobody waits for a status");

    /* in dry run, where all pass */

    b = armed();
    is_int(clear(&b, WAMID, T - 1, T + 1), NOTHING, "one sent before it");
    is_int(clear(&b, WAMID, T, T + 1), AWAITED, "one sent since is waited for");
    is_int(clear(&b, WAMID + 1, T, T + 2), NOTHING, "and no later one");
    is_int(confirm(&b, WAMID, SUCCESS, T + 3, 0), CLEARED, "until it came");
}


/*
 * Each worker reads the clock by itself, before it handles its events: what
 * another one has just written may be of a later time.
 */

static void
test_behind(void)
{
    asker_t    asker;
    terms_t    terms;
    uint64_t   now;
    breaker_t  b;

    asker = message(OWNER);
    terms = set_by(0);
    now = T + HOLD;

    b = armed();
    lease(&b, 1, &terms, &asker, now + 1);
    is_int(ask(&b, &terms, &asker, now), OPEN,
           "who is a millisecond behind sees the lease");
    is_int(position(&b, now), OPEN, "and where the state stands");
    lease(&b, 2, &terms, &asker, now + HOUR);
    is_int(ask(&b, &terms, &asker, now + HOUR - AHEAD), OPEN,
           "as does who is behind by as much as may be");
    is_int(ask(&b, &terms, &asker, now + HOUR - AHEAD - 1), DUE,
           "further behind the clock was set back");

    terms = set_by(OWNER);
    b = armed();
    lease(&b, 1, &terms, &asker, now + 1);
    is_int(ask(&b, &terms, &asker, now), OPEN,
           "the one that has set it is no other");

    terms = set_by(0);
    b = armed();
    lease(&b, 1, &terms, &asker, now);
    settle(&b, 1, WAMID, UNCONFIRMED, now + HOUR, 0);
    is_int(ask(&b, &terms, &asker, now + HOUR - AHEAD), OPEN,
           "a message waits for its status");
    is_int(ask(&b, &terms, &asker, now + HOUR - AHEAD - 1), DUE,
           "but not for a wrong clock");

    /* a hold that got all of its jitter */

    memset(&b, 0, sizeof(breaker_t));
    trip(&b, T - 1000, T, HOLD, MAX, HOLD / 10);
    is_int(b.until, T + HOLD + HOLD / 10, "the longest hold");
    is_int(ask(&b, &terms, &asker, T - 1), OPEN, "blocks who is behind");
    is_int(ask(&b, &terms, &asker, T - AHEAD), OPEN, "by as much as may be");
    is_int(ask(&b, &terms, &asker, T - AHEAD - 1), DUE,
           "but not for a wrong clock");
}


static void
test_clock(void)
{
    asker_t    asker;
    terms_t    terms;
    uint64_t   back, now;
    breaker_t  b;

    asker = message(OWNER);
    terms = set_by(0);
    back = T - HOUR;
    now = T + HOLD;

    b = armed();
    is_int(until_of(&b, back), back, "an hour back the hold is over");
    is_int(ask(&b, &terms, &asker, back), DUE, "and the next one probes");

    lease(&b, 1, &terms, &asker, now);
    is_int(ask(&b, &terms, &asker, back), DUE, "whoever had the lease");

    lease(&b, 2, &terms, &asker, back);
    is_int(position(&b, back + 29999), OPEN, "a lease is as long as ever");
    is_int(settle(&b, 2, 0, FAILURE, back + 10, 0), REARMED, "a failure");
    is_int(b.until, back + 10 + 2 * HOLD, "has its hold from now on");
    is_int(b.changed, back + 10, "and is the change that counts");

    b = armed();
    is_int(clear(&b, 0, back, back), CLEARED, "a success ends it");
    is_int(b.changed, back, "now");

    b = armed();
    is_int(clear(&b, 0, T, T), CLEARED, "one that was cleared");
    is_int(trip(&b, back, back, HOLD, MAX, 0), SET,
           "is learnt anew an hour before that");
    is_int(b.until, back + HOLD, "with its first hold");

    b = armed();
    is_int(resolve(&b, back, back), 1, "an event of then ends it");

    /* what is a little ahead is not of a clock that is wrong */

    b = armed();
    is_int(position(&b, T - 500), OPEN, "half a second back it blocks");
    is_int(clear(&b, 0, T - 500, T - 400), NOTHING, "and nothing is newer");

    /* what waits for a status does no longer */

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    settle(&b, 1, WAMID, UNCONFIRMED, now, 0);
    is_int(ask(&b, &terms, &asker, back), DUE, "an hour back it waits not");

    /* forward, all that was is over */

    b = armed();
    lease(&b, 1, &terms, &asker, now);
    is_int(position(&b, now + HOUR), DUE, "an hour ahead it is due");
    is_int(trip(&b, now + HOUR, now + HOUR, HOLD, MAX, 0), REARMED,
           "and learns");
    is_int(b.until, now + HOUR + 2 * HOLD, "from now on");
}


int
main(void)
{
    test_two();
    test_stranger();
    test_confirm();
    test_behind();
    test_clock();

    return tap_done();
}
