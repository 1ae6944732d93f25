
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of a conversation's limit: until when which message is blocked, and
 * what answers, events and inbound messages make of it in any order.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_rules.h"
#include "tap.h"


#define NOTHING     NGX_HTTP_GRAPH_POLICY_NOTHING
#define SET         NGX_HTTP_GRAPH_POLICY_SET
#define REARMED     NGX_HTTP_GRAPH_POLICY_REARMED

#define WINDOW      NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED
#define SPAM        NGX_HTTP_GRAPH_POLICY_SPAM_QUALITY

#define is_live(...)  ngx_http_graph_policy_limit_is_live(__VA_ARGS__)
#define limit_end(...)  ngx_http_graph_policy_limit_end(__VA_ARGS__)
#define refuse(...)   ngx_http_graph_policy_limit_refuse(__VA_ARGS__)
#define yields(...)   ngx_http_graph_policy_limit_yields(__VA_ARGS__)
#define memory_of(...)  ngx_http_graph_policy_limit_memory(__VA_ARGS__)
#define open_by(...)  ngx_http_graph_policy_limit_open(__VA_ARGS__)
#define clears(...)   ngx_http_graph_policy_limit_clears(__VA_ARGS__)
#define clear(...)    ngx_http_graph_policy_limit_clear(__VA_ARGS__)

/* the start of a second, and what graph_policy_conversation holds by default */

#define T           1700000000000ULL
#define HOLD        900000


typedef ngx_http_graph_policy_limit_t    limit_t;
typedef ngx_http_graph_policy_refusal_t  refusal_t;
typedef ngx_http_graph_policy_gate_t     gate_t;


/* the answer to a message that left 5 ms before */

static refusal_t
answer(uint64_t now)
{
    refusal_t  refusal;

    memset(&refusal, 0, sizeof(refusal_t));

    refusal.sent = now - 5;
    refusal.now = now;
    refusal.hold = HOLD;
    refusal.reason = SPAM;

    return refusal;
}


/* the status that a webhook brings, of the second "sent" */

static refusal_t
event(uint64_t sent, uint64_t now)
{
    refusal_t  refusal;

    refusal = answer(now);
    refusal.sent = sent;
    refusal.event = 1;

    return refusal;
}


/* one that an answer set at T */

static limit_t
limited(uint64_t *until)
{
    limit_t    limit;
    refusal_t  refusal;

    memset(&limit, 0, sizeof(limit_t));
    *until = 0;

    refusal = answer(T);
    is_int(refuse(&limit, until, &refusal), SET, "an answer limits it");

    return limit;
}


static void
test_live(void)
{
    limit_t   limit;
    uint64_t  until;

    memset(&limit, 0, sizeof(limit_t));
    ok(!is_live(&limit, T + 1, T), "a zeroed one limits nothing");

    limit = limited(&until);
    is_int(until, T + HOLD, "the hold begins with the answer");
    is_int(limit.since, T, "so does the limit");
    is_int(limit.changed, T - 5, "its cause was when the message left");
    ok(is_live(&limit, until, T + HOLD - 1), "it is live until its end");
    ok(!is_live(&limit, until, T + HOLD), "and no longer");
}


static void
test_gate(void)
{
    gate_t    gate;
    limit_t   limit;
    uint64_t  until;

    limit = limited(&until);
    memset(&gate, 0, sizeof(gate_t));

    is_int(limit_end(&limit, until, &gate, T), 0, "no gate, no block");

    gate.hold = HOLD;
    is_int(limit_end(&limit, until, &gate, T), until, "the longest hold");
    gate.hold = 2 * HOLD;
    is_int(limit_end(&limit, until, &gate, T), until, "a longer one is no longer");
    gate.hold = HOLD - 100;
    is_int(limit_end(&limit, until, &gate, T), until - 100,
           "a shorter one lets pass earlier");
    limit.fixed = 1;
    is_int(limit_end(&limit, until, &gate, T), until,
           "but not where a rule has set the hold");

    gate.template = 1;
    is_int(limit_end(&limit, until, &gate, T), until,
           "a template is spam like others");
    limit.reason = WINDOW;
    is_int(limit_end(&limit, until, &gate, T), 0,
           "but it passes where the window is closed");
    gate.template = 0;
    is_int(limit_end(&limit, until, &gate, T), until, "as free text doesn't");

    limit.live = 0;
    is_int(limit_end(&limit, until, &gate, T), 0, "what is over blocks nobody");
}


static void
test_refusals(void)
{
    limit_t    limit, was;
    uint64_t   until;
    refusal_t  refusal;

    limit = limited(&until);

    refusal = answer(T + 5000);
    refusal.hold = 1000;
    refusal.reason = WINDOW;
    refusal.fixed = 1;
    is_int(refuse(&limit, &until, &refusal), REARMED, "another answer");
    is_int(until, T + 6000, "has its own hold");
    is_int(limit.since, T, "since the first one");
    is_int(limit.hold, 1000, "which is known");
    is_int(limit.reason, WINDOW, "as is its reason");
    is_int(limit.fixed, 1, "and whose hold it is");

    was = limit;
    refusal = answer(T + 5000);
    refusal.sent = T + 3999;
    is_int(refuse(&limit, &until, &refusal), NOTHING,
           "one sent in an earlier second");
    is_mem(&limit, sizeof(limit_t), &was, sizeof(limit_t), "changes nothing");
    is_int(until, T + 6000, "nor the end");

    refusal = answer(T + 7000);
    is_int(refuse(&limit, &until, &refusal), SET, "one when it is over");
    is_int(limit.since, T + 7000, "begins anew");
    is_int(limit.fixed, 0, "in all");
}


static void
test_events(void)
{
    limit_t    limit, was;
    uint64_t   until;
    refusal_t  refusal;

    memset(&limit, 0, sizeof(limit_t));
    until = 0;

    refusal = event(T, T + 60000);
    is_int(ngx_http_graph_policy_limit_until(&refusal), T + HOLD,
           "the hold of an event begins with its cause");
    is_int(refuse(&limit, &until, &refusal), SET, "an event limits it");
    is_int(until, T + HOLD, "for that hold");
    is_int(limit.since, T, "since its cause");

    was = limit;
    refusal.now += 1000;
    is_int(refuse(&limit, &until, &refusal), NOTHING, "delivered again");
    is_mem(&limit, sizeof(limit_t), &was, sizeof(limit_t), "changes nothing");

    refusal.reason = WINDOW;
    is_int(refuse(&limit, &until, &refusal), REARMED,
           "another reason in that second");

    refusal = event(T - 1000, T + 61000);
    is_int(refuse(&limit, &until, &refusal), NOTHING, "one that is older");

    /* when it is over it may be told once more, which sets it */

    refusal = event(T, T + HOLD);
    refusal.hold = HOLD + 1;
    is_int(refuse(&limit, &until, &refusal), SET, "with a longer hold");
}


static void
test_inbound(void)
{
    limit_t    limit;
    uint64_t   until;
    refusal_t  refusal;

    limit = limited(&until);

    ok(!yields(&limit, T - 1001, T), "an older message ends nothing");
    ok(yields(&limit, T - 1000, T), "one of the same second does");

    open_by(&limit, T + 1000, T + 1500);
    ok(!is_live(&limit, until, T + 1500), "a message ends it");
    is_int(limit.changed, T + 1000, "at its time");
    is_int(limit.since, T + 1500, "when it was received is known");

    is_int(memory_of(T, 1000), T + NGX_HTTP_GRAPH_POLICY_FRESH,
           "it is remembered while events are believed");
    is_int(memory_of(T, HOLD), T + HOLD, "or for the hold, if that is longer");

    /* in the same second */

    until = T + HOLD;
    refusal = event(T + 1000, T + 3000);
    is_int(refuse(&limit, &until, &refusal), NOTHING,
           "an event of its second is older than the message");
    refusal = answer(T + 1600);
    refusal.sent = T + 1499;
    is_int(refuse(&limit, &until, &refusal), NOTHING,
           "so is the answer to what left before it came");
    refusal.sent = T + 1500;
    is_int(refuse(&limit, &until, &refusal), SET,
           "what left as it came is newer");
    is_int(limit.inbound, 0, "and the last that is known");

    open_by(&limit, T + 1000, T + 1500);
    refusal = event(T + 2000, T + 3000);
    is_int(refuse(&limit, &until, &refusal), SET,
           "an event of the next second is newer");

    open_by(&limit, T + 2000, T + 3500);
    refusal = event(T + 1000, T + 4000);
    is_int(refuse(&limit, &until, &refusal), NOTHING,
           "one of the second before is older");
}


/* a clock that was stepped back neither prolongs a limit nor stops learning */

static void
test_clock(void)
{
    gate_t     gate;
    limit_t    limit;
    uint64_t   until, hour;
    refusal_t  refusal;

    hour = 3600000;
    limit = limited(&until);

    memset(&gate, 0, sizeof(gate_t));
    gate.hold = HOLD;

    is_int(limit_end(&limit, until, &gate, T - 1000), until,
           "a second back it still blocks");
    is_int(limit_end(&limit, until, &gate, T - hour), 0,
           "an hour back it doesn't");
    ok(is_live(&limit, until, T - 1000), "a second back the API lists it");
    ok(!is_live(&limit, until, T - hour), "an hour back it doesn't, either");
    ok(yields(&limit, T - hour, T - hour), "an inbound message ends it");

    refusal = answer(T - hour);
    is_int(refuse(&limit, &until, &refusal), SET, "a refusal is learnt anew");
    is_int(until, T - hour + HOLD, "with its own end");
    is_int(limit.since, T - hour, "and its own begin");
}


static void
test_clear(void)
{
    limit_t    limit;
    uint64_t   until;
    refusal_t  refusal;

    limit = limited(&until);

    ok(!clears(&limit, T - 6), "a message sent before says nothing");
    ok(clears(&limit, T - 5), "one sent since proves that it's over");

    is_int(clear(&limit, until, T + 1000, 600000), T + HOLD,
           "that is remembered until its end");
    ok(!is_live(&limit, until, T + 1000), "nobody is blocked");
    is_int(limit.changed, T + 1000, "since it was sent");
    ok(!clears(&limit, T + 2000), "it is cleared once");

    limit = limited(&until);
    is_int(clear(&limit, until, T + HOLD, 600000), T + HOLD + 600000,
           "or as long as late events are believed");

    refusal = event(T - 1000, T + HOLD);
    is_int(refuse(&limit, &until, &refusal), NOTHING, "an older event");
    refusal = event(T + HOLD, T + HOLD);
    is_int(refuse(&limit, &until, &refusal), SET, "and a newer one");
}


int
main(void)
{
    test_live();
    test_gate();
    test_refusals();
    test_events();
    test_inbound();
    test_clock();
    test_clear();

    return tap_done();
}
