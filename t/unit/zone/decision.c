
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a worker keeps of the zone's decisions: it answers the same
 * question as the zone would, and asks the zone whenever that could answer
 * otherwise.  Changes are told once for each time that the zone is asked.
 */


#include "zone.h"


static ngx_uint_t  asked;


/* Asks once more, and notes whether the zone had to be asked. */

static ngx_uint_t
ask(identity_t *id)
{
    ngx_uint_t  admission, before;

    before = zone_tells;
    admission = zone_admit(id);
    asked = zone_tells - before;

    return admission;
}


static void
question(void)
{
    zone_query()->asks_again = 1;
}


static void
test_pass(void)
{
    identity_t  id, other;

    zone_start(ZONE_SIZE);
    id = zone_who("123456789010001", "20001", 7);

    question();
    is_int(ask(&id), PASS, "nothing blocks");
    is_int(asked, 1, "says the zone");

    cover.n = 77;
    is_int(ask(&id), PASS, "nothing blocks yet");
    is_int(asked, 0, "the zone needn't be asked");
    is_int(cover.n, 0, "and nothing covers");

    zone_at(T0 + 99);
    ask(&id);
    is_int(asked, 0, "that holds for a while");
    zone_at(T0 + 100);
    ask(&id);
    is_int(asked, 1, "but not for long");
    zone_at(T0 + 99);
    ask(&id);
    is_int(asked, 1, "nor when the clock is stepped back");
    ask(&id);
    is_int(asked, 0, "and is kept anew");

    /* each other question is one for the zone */

    other = zone_who("223456789010001", "20001", 7);
    ask(&other);
    is_int(asked, 1, "another phone with the same end");
    ask(&id);
    is_int(asked, 1, "has taken the place");

    other = zone_who("123456789010001", "20002", 7);
    ask(&other);
    is_int(asked, 1, "another account");
    ask(&id);
    other = zone_who("123456789010001", "2000", 7);
    ask(&other);
    is_int(asked, 1, "a shorter account");
    ask(&id);
    other = zone_who("123456789010001", NULL, 7);
    ask(&other);
    is_int(asked, 1, "an unknown account");
    ask(&id);
    query.kind = READ;
    ask(&id);
    is_int(asked, 1, "a read");
    query.kind = MESSAGE;
    ask(&id);
    query.cooldown = 0;
    ask(&id);
    is_int(asked, 1, "without cool-downs");
    ask(&id);
    is_int(asked, 0, "which is kept, too");
    query.cooldown = 1;

    ask(&id);
    query.uncounted = 1;
    ask(&id);
    is_int(asked, 1, "what isn't counted");
    query.uncounted = 0;
    query.lease = 5;
    ask(&id);
    is_int(asked, 1, "what has a lease");
    query.lease = 0;
    query.asks_again = 0;
    ask(&id);
    is_int(asked, 1, "what won't ask again");
    query.asks_again = 1;
    other = id;
    other.conversation = 99;
    ask(&other);
    is_int(asked, 1, "what is of a conversation");
    ask(&other);
    is_int(asked, 1, "is never kept");
    ask(&id);
    is_int(asked, 0, "and takes no place");
}


static void
test_tokens(void)
{
    uint64_t    i;
    ngx_uint_t  n;
    identity_t  id;

    zone_start(ZONE_SIZE);
    question();

    /* two tokens may share a place, but never a decision */

    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 33, ANSWER);
    n = 0;

    for (i = 1; i < 1000; i++) {
        id = zone_who("10001", "20001", i);
        n += (ask(&id) == (i == 7 ? BLOCK : PASS));
        id.credential = 7;
        n += (ask(&id) == BLOCK);
    }

    is_int(n, 1998, "tokens are told apart");

    /* 64 phones have a place each, more or less */

    for (i = 0; i < 2; i++) {
        n = 0;

        for (id.credential = 1; id.credential < 40; id.credential++) {
            id = zone_who("123456789010001", "20001", id.credential);
            ask(&id);
            n += asked;
        }
    }

    ok(n < 30, "some of 40 are kept at a time, %d aren't", (int) n);
}


static void
test_lengths(void)
{
    identity_t   id;
    static char  phone[64], account[300];

    zone_start(ZONE_SIZE);
    question();

    memset(phone, '1', 20);
    memset(account, '2', 64);
    id = zone_who(phone, account, 7);
    ask(&id);
    ask(&id);
    is_int(asked, 0, "the longest names are kept");

    phone[20] = '1';
    id = zone_who(phone, account, 7);
    ask(&id);
    ask(&id);
    is_int(asked, 1, "a longer phone isn't");

    phone[20] = '\0';
    account[64] = '2';
    id = zone_who(phone, account, 7);
    ask(&id);
    ask(&id);
    is_int(asked, 1, "nor a longer account");

    /* phones of 8 digits and more are spread, shorter ones have one place */

    id = zone_who("1", NULL, 0);
    ask(&id);
    ask(&id);
    is_int(asked, 0, "a short phone is kept, and needs no token");

    id = zone_who(NULL, NULL, 0);
    is_int(ask(&id), PASS, "nobody in particular passes");
    ask(&id);
    is_int(asked, 0, "and is kept");
}


static void
test_block(void)
{
    view_t      first;
    identity_t  id;

    zone_start(ZONE_SIZE);
    question();

    id = zone_who("123456789010001", "20001", 7);
    ask(&id);
    ask(&id);
    is_int(asked, 0, "it passes");

    zone_failure(131045, WEBHOOK);
    zone_learn(&id);
    question();

    is_int(ask(&id), BLOCK, "a new state blocks at once");
    is_int(asked, 1, "as the zone says");
    is_int(view.blocked, 1, "one send");
    first = view;

    is_int(ask(&id), BLOCK, "another one");
    is_int(asked, 0, "needn't ask");
    is_int(view.blocked, 2, "but is counted");
    is_int(zone_listed(), 1, "in the zone");
    is_int(view.blocked, 2, "itself");

    ask(&id);
    view.blocked = first.blocked;
    is_int(memcmp(&view, &first, sizeof(view_t)), 0, "the same is shown");
    is_int(cover.n, 0, "no lease is taken");

    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    is_int(ask(&id), PASS, "an end lets pass at once");

    zone_failure(131045, WEBHOOK);
    failure.hold = 50;
    zone_learn(&id);
    question();

    /* the first one was cleared just now, so this one has twice its hold */

    zone_at(view.until - 50);
    is_int(ask(&id), BLOCK, "shortly before the end");
    zone_at(now + 49);
    is_int(ask(&id), BLOCK, "it blocks");
    is_int(asked, 0, "as was known");
    zone_at(now + 1);
    is_int(ask(&id), PROBE, "at the end it doesn't");
    is_int(asked, 1, "the zone gives the lease");
    is_int(ask(&id), BLOCK, "the next one is blocked by it");
    is_int(asked, 1, "the zone says so");
    is_int(ask(&id), BLOCK, "and the next");
    is_int(asked, 1, "each time");
    is_int(view.leased, 1, "by the lease");

    zone_answer(&id, ACCEPTED);
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    is_int(ask(&id), PROBE, "a phone that is registered anew probes at once");

    /* what an operator sets once more is shown as it is then */

    zone_start(ZONE_SIZE);
    zone_failure(131045, API);
    ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 0, &changes,
                                   &view);
    question();
    ask(&id);
    ask(&id);
    is_int(asked, 0, "what an operator has set is kept");
    zone_failure(131045, API)->hold = 2 * HOLD;
    ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 0, &changes,
                                   &view);
    is_int(ask(&id), BLOCK, "until they set it once more");
    is_int(view.until, now + 2 * HOLD, "for longer");
}


static void
test_covered(void)
{
    identity_t  id;

    /* what covers without blocking is for the zone, each time */

    zone_start(ZONE_SIZE);
    id = zone_who("123456789010001", "20001", 7);
    zone_failure(131045, ANSWER);
    verdict.dry_run = 1;
    zone_learn(&id);
    question();
    is_int(ask(&id), DRY_RUN, "a state in dry run");
    is_int(ask(&id), DRY_RUN, "covers the next one, too");
    is_int(asked, 1, "the zone says so");

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    question();
    query.kind = READ;
    is_int(ask(&id), PASS, "a read passes what is due");
    is_int(ask(&id), PASS, "and another one");
    is_int(asked, 1, "which the zone decides");

    /* what ends by the clock isn't kept either */

    zone_start(ZONE_SIZE);
    zone->memory = HOLD;
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    question();
    ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "a status is awaited");
    id = zone_who("123456789010002", "20001", 7);
    ask(&id);
    ask(&id);
    is_int(asked, 1, "meanwhile nothing is kept");
}


static void
test_learnt(void)
{
    identity_t  id, link;

    zone_start(ZONE_SIZE);
    link = zone_who("123456789010001", "20001", 0);
    ngx_http_graph_policy_zone_link(zone, &link, NULL, now, &changes);

    id = zone_who("123456789010001", NULL, 7);
    link = zone_who("123456789010009", "20001", 7);
    zone_failure(131042, WEBHOOK);
    zone_learn(&link);
    question();

    is_int(ask(&id), BLOCK, "the account of a phone is known, and blocks");
    is_mem(query.identity.account.data, query.identity.account.len, "20001", 5,
           "it is filled in");
    is_int(ask(&id), BLOCK, "the next one");
    is_int(asked, 0, "is answered by what is kept");
    is_mem(query.identity.account.data, query.identity.account.len, "20001", 5,
           "with the account");
    ok(query.identity.account.data == query.identity.learnt,
       "as a copy of its own");

    id = zone_who("123456789010001", "20001", 7);
    ask(&id);
    is_int(asked, 1, "who names the account asks another question");
    ask(&id);
    is_int(asked, 0, "which is kept");
    ok(query.identity.account.data == id.account.data,
       "and leaves the account as it is");

    link = zone_who("123456789010001", "20002", 0);
    ngx_http_graph_policy_zone_link(zone, &link, NULL, now, &changes);
    id = zone_who("123456789010001", NULL, 7);
    question();
    is_int(ask(&id), PASS, "a phone that moves is free at once");
}


int
main(void)
{
    test_pass();
    test_tokens();
    test_lengths();
    test_block();
    test_covered();
    test_learnt();

    return tap_done();
}
