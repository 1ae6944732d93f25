
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what stands of two records of one state.  Above all that it is an
 * order: whatever two hosts hear, and however they hear it, they end alike.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_engine_clock.h"
#include "ngx_http_graph_policy_merge.h"
#include "ngx_http_graph_policy_outcome.h"
#include "tap.h"


typedef ngx_http_graph_policy_record_t  record_t;

#define cmp   ngx_http_graph_policy_merge_compare
#define conv  ngx_http_graph_policy_merge_compare_conversations

typedef ngx_int_t (*compare_pt)(record_t *one, record_t *two);
typedef record_t (*any_pt)(void);


static record_t
plain(void)
{
    record_t  record;

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_STATE);
    record.changed = 1000;
    record.since = 500;
    record.armed = 1;
    record.holds = 2;
    record.hold = 100;
    record.max = 1000;
    record.until = 1105;

    return record;
}


static void
test_precedence(void)
{
    record_t  a, b;

    a = plain();
    b = plain();
    is_int(cmp(&a, &b), 0, "the same is the same");

    b.until = 1110;
    b.blocked = 7;
    b.lease_until = 9999;
    is_int(cmp(&a, &b), 0, "the end of a hold and what is counted don't count");

    b = plain();
    b.changed = 1001;
    b.holds = 1;
    b.armed = 0;
    ok(cmp(&b, &a) > 0 && cmp(&a, &b) < 0, "the later change stands");

    a.armed = 0;
    b = plain();
    b.changed = 1001;
    ok(cmp(&b, &a) > 0 && cmp(&a, &b) < 0, "even after an end");
    a = plain();

    b = plain();
    b.armed = 0;
    b.holds = 1;
    ok(cmp(&b, &a) > 0 && cmp(&a, &b) < 0,
       "of one millisecond the end stands before the state");

    b = plain();
    b.holds = 3;
    b.since = 900;
    ok(cmp(&b, &a) > 0, "then more holds");

    b = plain();
    b.since = 499;
    ok(cmp(&b, &a) > 0, "then the older beginning");

    b = plain();
    b.until = NGX_HTTP_GRAPH_POLICY_NEVER;
    ok(cmp(&b, &a) > 0, "a frozen one before one that isn't");

    b = plain();
    b.node.len = 1;
    b.node.data[0] = 'a';
    ok(cmp(&b, &a) != 0 && (cmp(&b, &a) > 0) == (cmp(&a, &b) < 0),
       "and whatever tells them apart");
}


/* Two hosts that heard of both records must come to the same one. */

#define tells(field)  { #field, offsetof(record_t, field) }

typedef struct {
    const char  *name;
    size_t       offset;
} tells_t;


static void
test_each(compare_pt compare, record_t (*base)(void), tells_t *each,
    ngx_uint_t n)
{
    ngx_uint_t  i;
    record_t    a, b;

    for (i = 0; i < n; i++) {
        a = base();
        b = base();
        (*(uint64_t *) ((u_char *) &b + each[i].offset))++;

        ok(compare(&a, &b) != 0
           && (compare(&a, &b) > 0) == (compare(&b, &a) < 0),
           "two records that differ in \"%s\" are told apart", each[i].name);
    }
}


static record_t
refused(void)
{
    record_t  r;

    r = plain();
    r.source = NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;

    return r;
}


static void
test_all(void)
{
    tells_t  states[] = {
        tells(changed), tells(armed), tells(holds), tells(since), tells(hold),
        tells(max), tells(category), tells(source), tells(code),
        tells(subcode), tells(status), tells(dry_run), tells(group),
        tells(setter), tells(confirm), tells(trace), tells(node)
    };

    tells_t  limits[] = {
        tells(changed), tells(inbound), tells(armed), tells(hold),
        tells(fixed), tells(since), tells(reason), tells(source), tells(code),
        tells(subcode), tells(status), tells(dry_run), tells(node)
    };

    tells_t  links[] = { tells(confirmed), tells(number), tells(account) };

    test_each(cmp, plain, states, sizeof(states) / sizeof(tells_t));
    test_each(conv, refused, limits, sizeof(limits) / sizeof(tells_t));
    test_each(ngx_http_graph_policy_merge_compare_links, plain, links,
              sizeof(links) / sizeof(tells_t));
}


static record_t
any(void)
{
    record_t  r;

    r = plain();

    /* few values, so that they often tie */

    r.changed = rand() % 3;
    r.armed = rand() % 2;
    r.holds = rand() % 2;
    r.since = rand() % 2;
    r.hold = rand() % 2;
    r.max = rand() % 2;
    r.category = rand() % 2;
    r.source = rand() % 2;
    r.code = rand() % 2;
    r.subcode = rand() % 2 - 1;
    r.status = rand() % 2;
    r.dry_run = rand() % 2;
    r.group = rand() % 2;
    r.until = (rand() % 2) ? 5 : NGX_HTTP_GRAPH_POLICY_NEVER;
    r.trace.len = rand() % 2;
    r.trace.data[0] = 'a' + rand() % 2;
    r.node.len = rand() % 2;
    r.node.data[0] = 'a' + rand() % 2;

    return r;
}


#define sign(n)  (((n) > 0) - ((n) < 0))

static record_t
limited(uint64_t changed, uint64_t source)
{
    record_t  r;

    ngx_http_graph_policy_record_init(&r,
                                   NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION);
    r.conversation = 1;
    r.changed = changed;
    r.since = changed;
    r.source = source;
    r.armed = 1;
    r.hold = 100;
    r.until = changed + 100;

    return r;
}


static record_t
wrote(uint64_t changed, uint64_t since)
{
    record_t  r;

    r = limited(changed, NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK);
    r.armed = 0;
    r.inbound = 1;
    r.since = since;

    return r;
}


static void
test_conversations(void)
{
    record_t  answer, event, in, end;

    answer = limited(5400, NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER);
    event = limited(5000, NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK);

    in = wrote(6000, 9000);
    ok(conv(&in, &answer) > 0 && conv(&answer, &in) < 0,
       "a customer's message of a later second ends a limit");

    in = wrote(4000, 9000);
    ok(conv(&in, &answer) < 0 && conv(&in, &event) < 0,
       "one of an earlier second doesn't, whenever it was told");

    in = wrote(5000, 5100);
    ok(conv(&in, &event) > 0, "within a second it ends what an event limits");
    ok(conv(&in, &answer) < 0,
       "an answer to a message that was sent when it was known limits anew");

    in = wrote(5000, 5500);
    ok(conv(&in, &answer) > 0, "one to a message before that doesn't");

    in = wrote(5000, 5400);
    ok(conv(&in, &answer) < 0, "nor is a tie the customer's");

    end = answer;
    end.armed = 0;
    ok(conv(&end, &answer) > 0 && conv(&end, &event) > 0,
       "an accepted message ends a limit of its time");

    end.changed = 5399;
    ok(conv(&end, &answer) < 0, "but not a later one");

    end = answer;
    end.until = 1;
    is_int(conv(&end, &answer), 0, "the end of a hold isn't compared");

    end.since--;
    ok(conv(&end, &answer) > 0, "an older beginning stands before a later one");
}


static record_t
any_conversation(void)
{
    record_t  r;

    r = limited(rand() % 2 * 1000 + rand() % 3, rand() % 2);

    r.armed = rand() % 2;
    r.inbound = !r.armed && rand() % 2;
    r.since = rand() % 2 * 1000 + rand() % 3;
    r.hold = rand() % 2;
    r.fixed = rand() % 2;
    r.reason = rand() % 2;
    r.code = rand() % 2;
    r.node.len = rand() % 2;
    r.node.data[0] = 'a' + rand() % 2;

    return r;
}


static void
test_order(compare_pt compare, any_pt any, const char *what)
{
    size_t    i, j, k, odd, loose;
    record_t  r[8], end[4];

    odd = 0;
    loose = 0;

    for (i = 0; i < 200000; i++) {

        for (j = 0; j < 3; j++) {
            r[j] = any();
        }

        odd += (sign(compare(&r[0], &r[1])) != -sign(compare(&r[1], &r[0])));
        loose += (compare(&r[0], &r[1]) >= 0 && compare(&r[1], &r[2]) >= 0
                  && compare(&r[0], &r[2]) < 0);
    }

    is_int(odd, 0, "%s: two stand to each other the same from both sides",
           what);
    is_int(loose, 0, "%s: who beats who beats a third beats that, too", what);

    odd = 0;

    for (i = 0; i < 20000; i++) {

        for (j = 0; j < 8; j++) {
            r[j] = any();
        }

        /* each host hears them in an order of its own */

        for (k = 0; k < 4; k++) {
            end[k] = r[rand() % 8];

            for (j = 0; j < 16; j++) {
                record_t  *heard = &r[(j < 8) ? (size_t) rand() % 8 : j - 8];

                if (compare(heard, &end[k]) > 0) {
                    end[k] = *heard;
                }
            }
        }

        for (k = 1; k < 4; k++) {
            odd += (compare(&end[0], &end[k]) != 0);
        }
    }

    is_int(odd, 0, "%s: hosts that heard the same end alike", what);
}


static void
test_until(void)
{
    uint64_t    until;
    record_t    r;
    ngx_uint_t  own;

    r = plain();
    until = ngx_http_graph_policy_merge_until(&r, 1000, 3, &own);
    ok(own && until == 1103, "a plain hold gets a jitter of the host's own");

    until = ngx_http_graph_policy_merge_until(&r, 1000, 4294967295u, &own);
    ok(until >= 1100 && until <= 1110, "of a tenth at most");

    r.moved = 1;
    until = ngx_http_graph_policy_merge_until(&r, 1000, 3, &own);
    ok(!own && until == r.until, "one whose probe told nothing is no such hold");
    r.moved = 0;

    r.until = 1400;
    until = ngx_http_graph_policy_merge_until(&r, 1000, 3, &own);
    ok(!own && until == 1400, "what was prolonged is taken as it is");

    r.until = 1050;
    until = ngx_http_graph_policy_merge_until(&r, 1000, 3, &own);
    ok(!own && until == 1050, "likewise what is due at once");

    r.until = NGX_HTTP_GRAPH_POLICY_NEVER;
    until = ngx_http_graph_policy_merge_until(&r, 1000, 3, &own);
    ok(!own && until == NGX_HTTP_GRAPH_POLICY_NEVER, "likewise a frozen one");

    /* an event that came half a second after its cause */

    r = plain();
    r.source = NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;
    r.until = 1605;
    until = ngx_http_graph_policy_merge_until(&r, 1500, 3, &own);
    ok(own && until == 1603, "the hold of an event is as long as elsewhere");
    until = ngx_http_graph_policy_merge_until(&r, 1550, 3, &own);
    ok(own && until == 1605, "and not shorter where that is heard late");
}


static void
test_links(void)
{
    record_t  a, b;

    a = plain();
    b = plain();
    a.confirmed = 5;
    b.confirmed = 6;
    ok(ngx_http_graph_policy_merge_compare_links(&b, &a) > 0,
       "the link that was confirmed later stands");
    a.confirmed = 6;
    a.account.len = b.account.len = 1;
    a.account.data[0] = '1';
    b.account.data[0] = '2';
    ok(ngx_http_graph_policy_merge_compare_links(&b, &a) > 0
       && ngx_http_graph_policy_merge_compare_links(&a, &b) < 0,
       "of one millisecond one of them does");
}


static void
test_digest(void)
{
    uint64_t  a, b;

    a = ngx_http_graph_policy_merge_digest(1, 2, 3);
    b = ngx_http_graph_policy_merge_digest(4, 5, 6);

    ok(a != b && a != 0, "states have digests");
    ok(ngx_http_graph_policy_merge_digest(1, 2, 4) != a, "of their change");
    ok(ngx_http_graph_policy_merge_digest(1, 3, 3) != a, "of their reason");
    ok(ngx_http_graph_policy_merge_digest(2, 2, 3) != a, "of their key");

    /* hosts of several versions compare them: SplitMix64's first of seed 0 */

    ok(ngx_http_graph_policy_merge_digest((uint64_t) -3, 2, 1)
       == 0xe220a8397b1dcdafULL, "the same ones in each version");
}


static void
test_clock(void)
{
    record_t                              r;
    ngx_http_graph_policy_engine_clock_t  clock, best;

    memset(&clock, 0, sizeof(clock));
    memset(&best, 0, sizeof(best));

    ngx_http_graph_policy_engine_clock_measure(&best, 1000, 1040, 301020);
    ngx_http_graph_policy_engine_clock_measure(&best, 2000, 2002, 302001);
    ngx_http_graph_policy_engine_clock_measure(&best, 3000, 3030, 303030);
    ngx_http_graph_policy_engine_clock_measure(&best, 4000, 3990, 1);
    is_int(best.offset, 300000, "the shortest way there and back is believed");

    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 300000, "and taken over");

    best.offset = 300002;
    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 300000, "it isn't moved by what may be an error");

    clock.error = 2;
    best.error = 3;
    best.offset = 300005;
    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 300000, "all of it, and the clock's own");
    best.offset = 300006;
    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 300006, "but by more");
    is_int(clock.error, 3, "with what that may be wrong");

    best.offset = 299000;
    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 299000, "either way");

    memset(&best, 0, sizeof(best));
    ngx_http_graph_policy_engine_clock_measure(&best, 1000, 1000, 5000);
    is_int(best.error, 1, "a way of no time is wrong by a millisecond");
    ngx_http_graph_policy_engine_clock_measure(&best, 1000, 1000, 6000);
    is_int(best.offset, 4000, "of two that are as good the first one is kept");
    best.known = 1;

    memset(&clock, 0, sizeof(clock));
    best.error = 3;
    best.offset = 1;
    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 0, "a clock that may be right is taken for it");

    memset(&best, 0, sizeof(best));
    clock.offset = 5;
    ngx_http_graph_policy_engine_clock_set(&clock, &best);
    is_int(clock.offset, 5, "what wasn't measured changes nothing");

    clock.offset = -5000;
    is_int(ngx_http_graph_policy_engine_clock_to(&clock, 9000), 4000, "to");
    is_int(ngx_http_graph_policy_engine_clock_from(&clock, 4000), 9000,
           "and back");
    is_int(ngx_http_graph_policy_engine_clock_to(&clock, 10), 0,
           "no time is before all times");
    is_int(ngx_http_graph_policy_engine_clock_to(&clock, 5001), 1,
           "nor after it");

    r = plain();
    ngx_http_graph_policy_engine_clock_record(&clock, &r, 0);
    is_int(r.until, 6105, "an end is told in that clock, too");
    r = plain();
    r.confirmed = 7000;
    ngx_http_graph_policy_engine_clock_record(&clock, &r, 1);
    is_int(r.confirmed, 2000, "and when a link was confirmed");

    r = plain();
    r.until = NGX_HTTP_GRAPH_POLICY_NEVER;
    r.changed = 9000;
    r.since = 8000;
    ngx_http_graph_policy_engine_clock_record(&clock, &r, 1);
    ok(r.changed == 4000 && r.since == 3000
       && r.until == NGX_HTTP_GRAPH_POLICY_NEVER,
       "a record's times are told in the engine's clock, but for no end");
    ngx_http_graph_policy_engine_clock_record(&clock, &r, 0);
    ok(r.changed == 9000 && r.since == 8000, "and taken back");

    r = limited(9000, NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK);
    ngx_http_graph_policy_engine_clock_record(&clock, &r, 1);
    ok(r.changed == 9000 && r.since == 9000 && r.until == 4100,
       "of a conversation only its end is, as its cause is of Meta's clock");
}


int
main(void)
{
    srand(1);

    test_precedence();
    test_all();
    test_conversations();
    test_order(cmp, any, "states");
    test_order(conv, any_conversation, "conversations");
    test_until();
    test_links();
    test_digest();
    test_clock();

    return tap_done();
}
