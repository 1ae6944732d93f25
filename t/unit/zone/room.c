
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of a zone that is full: who leaves for whom, and that no call evicts
 * more than it has to.
 */


#include "zone.h"


#define SMALL     (32 * 1024)

/* states of the usual size in a page, and conversations */
#define IN_PAGE   (SHIM_PAGE / NGX_HTTP_GRAPH_POLICY_SLOT)
#define CONV      (SHIM_PAGE / NGX_HTTP_GRAPH_POLICY_SMALL_SLOT)


static char  phone[24];


static identity_t
numbered(ngx_uint_t i, uint64_t credential)
{
    (void) sprintf(phone, "%u", (unsigned) (10000 + i));

    return zone_who(phone, NULL, credential);
}


/* Fills the zone with states of phones; returns how many have room. */

static ngx_uint_t
fill(int64_t code, ngx_uint_t source)
{
    ngx_uint_t  i;
    identity_t  id;

    for (i = 0; i < 10000; i++) {
        id = numbered(i, 7);
        zone_fail(&id, code, source);

        if (changes.evicted != 0 || changes.n != 1) {
            return i;
        }
    }

    return 0;
}


static void
test_armed(void)
{
    ngx_uint_t  i, n, room;
    identity_t  id;

    zone_start(SMALL);
    room = fill(131045, ANSWER);
    ok(room > 3 * IN_PAGE && room < 8 * IN_PAGE, "%d states have room",
       (int) room);
    is_int(changes.evicted, 1, "another one evicts one");
    is_int(changes.n, 2, "both are told");
    is_int(changes.views[0].transition, EVICTED, "one left");
    is_int(changes.views[1].transition, SET, "for the other one");
    is_int(ngx_http_graph_policy_zone_armed(zone), room, "as many are armed");
    is_int(changes.refused, 0, "nothing was lost");
    zone_agrees("when full");

    /* the one that ends first leaves first */

    zone_start(SMALL);

    for (i = 0; i < room; i++) {
        id = numbered(i, 7);
        zone_failure(131045, API);
        failure.hold = HOLD + (i * 7 % room) * 10;
        ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 0,
                                       &changes, &view);
    }

    n = 0;

    for (i = 0; i < 10; i++) {
        id = numbered(20000 + i, 7);
        zone_failure(131045, API)->hold = MAX;
        ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 0,
                                       &changes, &view);
        n += (changes.n == 2 && changes.views[0].hold == HOLD + i * 10);
    }

    is_int(n, 10, "the one that ends first leaves first");
    zone_agrees("after that");

    /* what events have set stays longer than what answers have */

    zone_start(SMALL);

    for (i = 0; i < room; i++) {
        id = numbered(i, 7);
        zone_failure(131045, i == 3 ? ANSWER : WEBHOOK);
        failure.hold = (i == 3) ? MAX : HOLD;
        zone_learn(&id);
    }

    id = numbered(20000, 7);
    zone_failure(131045, WEBHOOK)->sent = now + 1;
    zone_learn(&id);
    is_int(changes.views[0].source, ANSWER, "what an answer has set leaves");
    id = numbered(20001, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.views[0].source, WEBHOOK, "then what events have");
    is_int(changes.evicted, 1, "one at a time");

    /* what is due leaves before what isn't */

    zone_start(SMALL);

    for (i = 0; i < room; i++) {
        id = numbered(i, 7);
        zone_failure(131045, i == 3 ? WEBHOOK : ANSWER);
        failure.hold = (i == 3) ? HOLD : MAX;
        zone_learn(&id);
    }

    zone_at(now + 2 * HOLD);
    id = numbered(20000, 7);
    zone_fail(&id, 131045, ANSWER);
    is_int(changes.views[0].source, WEBHOOK, "what is due leaves first");
}


static void
test_order(void)
{
    ngx_uint_t  i, room;
    stats_t     stats;
    identity_t  id;

    /* a state of each kind that may leave: they do so in this order */

    zone_start(SMALL);
    room = fill(131045, WEBHOOK);

    zone_start(SMALL);
    zone->memory = 600000;
    id = zone_who("1", NULL, 7);
    zone_fail(&id, 131045, ANSWER);
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    id = zone_who("2", "20001", 7);
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    id = zone_who("3", NULL, 7);
    zone_failure(130429, ANSWER)->hold = MAX;
    zone_learn(&id);
    id = zone_who("4", NULL, 7);
    zone_failure(33, ANSWER);
    failure.hold = 50;
    zone_learn(&id);

    for (i = 4; i < room; i++) {
        id = numbered(i, 7);
        zone_fail(&id, 131045, WEBHOOK);
    }

    zone_at(now + 90);
    is_int(changes.evicted, 0, "the zone is full");

    id = numbered(20000, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.evicted, 1, "what is bound and due");
    is_int(changes.views[0].kind, KEY_PHONE, "of a phone");
    is_int(changes.views[0].credential, 7, "by a token");
    is_int(changes.views[0].transition, EVICTED, "leaves first");

    id = numbered(20001, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.views[0].category, NGX_HTTP_GRAPH_POLICY_TEMPORARY,
           "then what cools down");

    id = numbered(20002, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.n, 1, "then, without a word,");
    is_int(changes.evicted, 1, "a link");
    ngx_http_graph_policy_zone_stats(zone, &stats);
    is_int(stats.links, 0, "and there is none then");

    id = numbered(20003, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.n, 1, "then what is remembered");
    is_int(changes.evicted, 0, "which isn't counted as evicted");

    id = numbered(20004, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.n, 2, "then what is armed");
    is_int(changes.views[0].source, WEBHOOK, "by an event");
    zone_agrees("after each of them left");
}


static void
test_bound(void)
{
    size_t      share;
    uint64_t    i, n;
    identity_t  id, other;

    /* made-up tokens have a quarter of the zone */

    zone_start(SMALL);
    other = zone_who("10001", NULL, 7);
    zone_fail(&other, 131045, ANSWER);
    share = SMALL / 4 / NGX_HTTP_GRAPH_POLICY_SLOT;
    n = 0;

    for (i = 1; i <= 1000; i++) {
        id = zone_who(NULL, NULL, i);
        zone_failure(190, ANSWER)->hold = HOLD + 10 * i;
        zone_learn(&id);
        n += (changes.evicted == (i > share));
        n += (changes.n == 1 + (i > share));
        n += (ngx_http_graph_policy_zone_armed_bound(zone)
              == (i > share ? share : i));
    }

    is_int(n, 3000, "tokens evict each other once they have a quarter");
    is_int(sh->bound_size, SMALL / 4, "of the zone");
    is_int(zone_ask(&other), BLOCK, "and nobody else");
    id.credential = 1000;
    is_int(zone_ask(&id), BLOCK, "the last one is there");
    id.credential = 1;
    is_int(zone_ask(&id), PASS, "the first one isn't");
    zone_agrees("with tokens");

    /* a large state has the place of two */

    zone_start(ZONE_SIZE);
    share = ZONE_SIZE / 4 / NGX_HTTP_GRAPH_POLICY_SLOT / 2;
    n = 0;

    for (i = 1; i <= 2 * share; i++) {
        id = zone_who("12345678901234567890", NULL, i);
        zone_failure(33, ANSWER)->hold = HOLD + 10 * i;
        zone_trace("1234567890123456789012345678901234567890123456789012345"
                   "678901234");
        zone_learn(&id);
        n += (ngx_http_graph_policy_zone_armed_bound(zone)
              == (i > share ? share : i));
    }

    is_int(n, 2 * share, "long traces take twice as much");
    is_int(view.trace_len, 64, "and are kept");
    is_int(sh->bound_size, ZONE_SIZE / 4, "of the same quarter");

    /* of small and large ones the one that ends first leaves */

    zone_start(ZONE_SIZE);
    n = 0;

    for (i = 1; i <= 3 * share; i++) {
        id = zone_who("12345678901234567890", NULL, i);
        zone_failure(33, ANSWER)->hold = HOLD + 1000 * i;

        if (i % 2) {
            zone_trace("12345678901234567890123456789012345678901234567890123"
                       "45678901234");
        }

        zone_learn(&id);

        if (changes.n > 1) {
            n += (changes.views[0].since > T0);
        }
    }

    id.credential = 3 * share;
    is_int(zone_ask(&id), BLOCK, "the last one is there");
    zone_agrees("with traces");

    for (i = 1; i <= 3 * share; i++) {
        id.credential = i;

        if (zone_ask(&id) == BLOCK) {
            break;
        }
    }

    for (n = 0; i <= 3 * share; i++) {
        id.credential = i;
        n += (zone_ask(&id) != BLOCK);
    }

    ok(n <= 20, "of each size those that end first have left, but for %d",
       (int) n);
}


static void
test_conversations(void)
{
    ngx_uint_t  i, n, room;
    identity_t  id;

    /* what is remembered leaves before what limits */

    zone_start(SMALL);

    for (room = 0; room < 10000; room++) {
        id = zone_to("1", NULL, 7, 1 + room);
        zone_fail(&id, 131047, WEBHOOK);

        if (changes.evicted != 0) {
            break;
        }
    }

    ok(room >= 3 * CONV && room % CONV == 0, "%d limits have room",
       (int) room);
    is_int(changes.evicted, 1, "another one evicts one");
    is_int(changes.n, 1, "without a word");
    is_int(ngx_http_graph_policy_zone_limited(zone), room, "as many are left");
    id = zone_to("1", NULL, 7, 1);
    n = (zone_ask(&id) == PASS);
    zone_agrees("full of limits");

    id.conversation = 20000;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(changes.evicted, 0, "what customers write evicts no limit");
    is_int(ngx_http_graph_policy_zone_limited(zone), room, "all are left");

    id.conversation = 5;
    zone_at(now + 2000);
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(ngx_http_graph_policy_zone_limited(zone), room - 1, "one ends");
    id.conversation = 20001;
    zone_fail(&id, 131047, WEBHOOK);
    is_int(changes.evicted, 1, "its memory leaves for the next limit");
    is_int(ngx_http_graph_policy_zone_limited(zone), room, "which is one");

    /* a state evicts a page of them */

    id = zone_who("1", NULL, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(view.transition, SET, "a state has room among limits");
    is_int(changes.evicted, CONV, "in a page of theirs");
    is_int(ngx_http_graph_policy_zone_limited(zone), room - CONV,
           "which are gone");

    for (i = 1; i < IN_PAGE; i++) {
        id = numbered(i, 7);
        zone_fail(&id, 131045, WEBHOOK);
        n += changes.evicted;
    }

    is_int(n, 1, "with room for more states");
    zone_agrees("with states among limits");

    /* remembered ones leave first, with the limits of their page */

    zone_start(SMALL);

    for (i = 0; i < room; i++) {
        id = zone_to("1", NULL, 7, 1 + i);
        zone_fail(&id, 131047, WEBHOOK);
    }

    zone_at(now + 2000);
    id.conversation = room - 2;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    id = zone_who("1", NULL, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.evicted, CONV, "a page leaves");
    id = zone_to("1", NULL, 7, room - 1);
    zone_query();
    is_int(ngx_http_graph_policy_zone_limited(zone), room - CONV,
           "all of its limits");
    id = zone_to("2", NULL, 8, room - 1);
    is_int(zone_ask(&id), PASS, "that of the remembered one");
    id.conversation = 1;
    is_int(zone_ask(&id), BLOCK, "not that of the first one");

    /* bound states leave for a conversation, by the page */

    zone_start(SMALL);

    for (i = 0; i < 2 * IN_PAGE; i++) {
        id = zone_who(NULL, NULL, 1 + i);
        zone_failure(190, ANSWER)->hold = 50 + i;
        zone_learn(&id);
    }

    room = fill(131045, WEBHOOK);
    zone_at(now + 99);
    n = ngx_http_graph_policy_zone_armed_bound(zone);
    id = zone_to("1", NULL, 7, 99);
    zone_fail(&id, 131047, WEBHOOK);
    is_int(view.transition, SET, "a limit has room among tokens");
    is_int(changes.evicted, 2 * IN_PAGE - 1,
           "two pages of which leave, as somebody else is in the first");
    is_int(n - ngx_http_graph_policy_zone_armed_bound(zone), changes.evicted,
           "due ones alone");
    zone_agrees("with a limit among tokens");

    /* but not for it, if they aren't due: then there is no room at all */

    zone_start(SMALL);
    fill(131045, WEBHOOK);
    is_int(zone_fail(&id, 131047, WEBHOOK), NGX_ERROR,
           "no state leaves for a limit");
    is_int(changes.refused, 1, "it is lost, and counted");
    is_int(changes.full, 1, "for want of room");
    is_int(changes.evicted, 0, "nothing left");
}


static void
test_large(void)
{
    ngx_uint_t   i, room;
    identity_t   id;
    static char  account[65];

    /* states with long names and traces alone: a page of them leaves */

    zone_start(SMALL);
    memset(account, 'a', 64);

    for (i = 0; i < 200; i++) {
        (void) sprintf(account, "%03u", (unsigned) i);
        account[3] = 'a';
        id = zone_who(NULL, account, 7);
        zone_failure(131042, WEBHOOK)->hold = HOLD + 1000 * i;
        zone_trace("1234567890123456789012345678901234567890123456789012345"
                   "678901234");
        zone_learn(&id);

        if (view.trace_len == 0) {
            break;
        }
    }

    room = i;
    ok(room % (IN_PAGE / 2) == 0 && room > IN_PAGE, "%d large ones have room",
       (int) room);
    is_int(view.transition, SET, "another one has room");
    is_int(changes.evicted, IN_PAGE / 2, "where a page of them left");
    is_int(changes.n, IN_PAGE / 2 + 1, "each of them is told");
    is_int(changes.views[0].hold, HOLD, "those that end first");
    is_int(view.trace_len, 0, "a trace isn't worth evicting a state");
    is_int(ngx_http_graph_policy_zone_armed(zone), room + 1 - IN_PAGE / 2,
           "the rest is left");
    zone_agrees("with large ones");
}


static void
test_note(void)
{
    ngx_uint_t  i;
    identity_t  id;

    /* an end is remembered where there is free memory, and evicts nobody */

    zone_start(SMALL);
    zone->memory = 600000;

    for (i = 0; i < 200 && zone->shpool->pfree >= 4; i++) {
        id = numbered(i, 7);
        zone_fail(&id, 131045, ANSWER);
    }

    is_int(zone->shpool->pfree, 3, "little memory is free");
    id = zone_who("1", NULL, 0);
    ngx_http_graph_policy_zone_resolve(zone, &id, KEY_PHONE, DISCONNECTED,
                                       now, now, &changes);
    zone_failure(131045, WEBHOOK)->sent = now - 3000;
    zone_learn(&id);
    is_int(view.transition, SET, "then an end isn't remembered");

    zone_start(SMALL);
    zone->memory = 600000;

    for (i = 0; i < 200 && zone->shpool->pfree > 4; i++) {
        id = numbered(i, 7);
        zone_fail(&id, 131045, ANSWER);
    }

    id = zone_who("1", NULL, 0);
    ngx_http_graph_policy_zone_resolve(zone, &id, KEY_PHONE, DISCONNECTED,
                                       now, now, &changes);
    zone_failure(131045, WEBHOOK)->sent = now - 3000;
    zone_learn(&id);
    is_int(view.transition, NOTHING, "with some more it is");
}


static void
test_shared(void)
{
    record_t    record;
    ngx_uint_t  i, n;
    identity_t  id;

    /* a full zone of a fleet loses what it hears of */

    zone_start_shared(ZONE_SIZE);
    fill(131045, WEBHOOK);

    ngx_http_graph_policy_record_init(&record,
                                   NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION);
    record.conversation = 99;
    record.armed = 1;
    record.hold = HOLD;
    record.since = now;
    record.changed = now;
    record.until = now + HOLD;
    is_int(ngx_http_graph_policy_fleet_apply(zone, &record, now, &changes,
                                             &view),
           NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME, "a limit has no room");
    is_int(changes.refused, 1, "and is counted as lost");

    /* who evicts one says nothing of it to others */

    n = sh->fleet->head;
    id = zone_who("1", NULL, 7);
    zone_fail(&id, 131045, WEBHOOK);
    is_int(changes.evicted, 1, "one leaves for another one");
    is_int(sh->fleet->names[0].states, ngx_http_graph_policy_zone_armed(zone),
           "each state that is left bears a name");
    ok(sh->fleet->head >= n, "and others hear of the new one");

    for (i = 0; i < 20; i++) {
        id = numbered(i, 7);
        zone_ask(&id);
        ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason,
                                       now, &changes);
    }

    is_int(sh->fleet->names[0].states, ngx_http_graph_policy_zone_armed(zone)
           + 20, "what is remembered bears one, too");
    zone_agrees("in a fleet");
}


int
main(void)
{
    test_armed();
    test_order();
    test_bound();
    test_conversations();
    test_large();
    test_note();
    test_shared();

    return tap_done();
}
