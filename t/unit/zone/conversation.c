
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of conversations that are limited: who is blocked, what ends a limit,
 * how long it is remembered, and what is shown.
 */


#include "zone.h"


static void
test_limit(void)
{
    identity_t  id, other;

    zone_start(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);

    zone_failure(131047, WEBHOOK)->sent = T0 - 3 * SECOND;
    facts.has_subcode = 1;
    facts.subcode = 12;
    is_int(zone_learn(&id), NGX_OK, "messages to somebody are refused");
    is_int(view.transition, SET, "a limit is set");
    is_int(changes.n, 1, "and told");
    is_int(changes.views[0].transition, SET, "as such");
    is_int(ngx_http_graph_policy_zone_limited(zone), 1, "one is limited");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "no state is armed");

    is_int(zone_ask(&id), BLOCK, "it blocks the next message");
    is_int(zone_ask(&id), BLOCK, "and the next");
    is_int(cover.n, 1, "one covers");
    is_int(cover.refs[0].kind, KEY_LIMITED, "of that kind");
    is_int(cover.refs[0].reason, WINDOW, "by that reason");
    is_int(cover.refs[0].lease, 0, "without a lease");

    is_int(zone_listed(), 1, "the limit is listed");
    is_int(view.hash, cover.refs[0].hash, "as what covered");
    is_int(view.blocked, 2, "with the sends that it blocked");
    is_int(view.since, T0 - 3 * SECOND, "since the event's cause");
    is_int(view.until, T0 - 3 * SECOND + GATE, "until the hold after that");
    is_int(view.hold, GATE, "which is the zone's");
    is_int(view.holds, 1, "the first one");
    is_int(view.code, 131047, "with the code");
    is_int(view.subcode, 12, "and the subcode");
    is_int(view.status, 400, "and the status");
    is_int(view.category, NGX_HTTP_GRAPH_POLICY_CONTEXT, "and the category");
    is_int(view.source, WEBHOOK, "and the source");
    is_int(view.kind, KEY_LIMITED, "and the kind");
    is_int(view.reason, WINDOW, "and the reason");
    is_int(view.stored_reason, WINDOW, "which is its own");
    is_int(view.dry_run, 0, "in force");
    is_int(view.key_len + view.trace_len + view.node_len, 0,
           "nobody is named");

    other = id;
    other.conversation = 98;
    is_int(zone_ask(&other), PASS, "another conversation goes on");
    other.conversation = 0;
    is_int(zone_ask(&other), PASS, "and one that isn't known");

    zone_query()->gate.hold = 0;
    is_int(zone_admit(&id), PASS, "and a location without a gate");
    zone_query()->gate.template = 1;
    is_int(zone_admit(&id), PASS, "and a template, as it opens the window");

    zone_at(T0 + 7 * MINUTE);
    zone_query()->gate.hold = 5 * MINUTE;
    is_int(zone_admit(&id), PASS, "a shorter hold is over sooner");
    is_int(cover.n, 1, "though the limit covers still");
    is_int(zone_ask(&id), BLOCK, "the longer one isn't");

    zone_query()->uncounted = 1;
    zone_admit(&id);
    zone_listed();
    is_int(view.blocked, 3, "what isn't a send isn't counted");

    zone_at(T0 - 3 * SECOND + GATE - 1);
    is_int(zone_ask(&id), BLOCK, "up to its end");
    zone_at(now + 1);
    is_int(zone_ask(&id), PASS, "and no longer");
    is_int(cover.n, 0, "nothing covers");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    zone_agrees("after its end");
}


static void
test_learn(void)
{
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);

    zone_failure(131047, WEBHOOK)->sent = T0 - GATE;
    is_int(zone_learn(&id), NGX_DECLINED, "what is over limits nobody");
    zone_failure(131047, WEBHOOK)->sent = T0 - GATE + 1;
    is_int(zone_learn(&id), NGX_OK, "what is nearly over does");
    is_int(changes.n, 1, "and is told");

    zone_failure(131047, ANSWER)->sent = T0 - GATE - 2000;
    is_int(zone_learn(&id), NGX_OK, "an answer counts from when it came");
    is_int(view.transition, NOTHING, "but an older one changes nothing");
    is_int(changes.n, 0, "and isn't told");

    zone_fail(&id, 131047, ANSWER);
    is_int(view.transition, REARMED, "a later one re-arms");
    is_int(view.source, ANSWER, "and is shown");
    is_int(view.until, T0 + GATE, "to its own end");
    is_int(view.blocked, 0, "which has blocked nobody");

    zone_ask(&id);
    zone_at(now + 2000);
    zone_failure(131047, ANSWER);
    facts.has_code = 0;
    zone_learn(&id);
    is_int(view.blocked, 1, "a limit that goes on goes on counting");
    is_int(view.code, -1, "it shows the latest failure");
    is_int(view.subcode, -1, "all of it");
    is_int(view.since, T0 - GATE + 1, "since the first");

    changes.n = 77;
    id.conversation = 0;
    is_int(zone_fail(&id, 131047, ANSWER), NGX_DECLINED,
           "an unknown recipient isn't limited");
    is_int(changes.n, 77, "and nothing is told");

    /* a rule's hold is one for all locations */

    id.conversation = 97;
    zone_failure(131047, ANSWER);
    verdict.hold = 10 * MINUTE;
    failure.hold = 10 * MINUTE;
    zone_learn(&id);
    zone_at(now + 7 * MINUTE);
    zone_query()->gate.hold = 5 * MINUTE;
    is_int(zone_admit(&id), BLOCK, "a rule's hold goes before the location's");

    id.conversation = 96;
    zone_failure(131047, ANSWER)->hold = 10 * MINUTE;
    zone_learn(&id);
    zone_at(now + 7 * MINUTE);
    zone_query()->gate.hold = 5 * MINUTE;
    is_int(zone_admit(&id), PASS, "any other one doesn't");

    /* one that was cleared is set anew */

    zone_start(ZONE_SIZE);
    id.conversation = 99;
    zone_fail(&id, 131047, ANSWER);
    zone_ask(&id);
    zone_at(now + 2000);
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    zone_at(now + 2000);
    zone_failure(131047, ANSWER);
    verdict.dry_run = 1;
    zone_learn(&id);
    is_int(view.transition, SET, "after its end a limit is set anew");
    is_int(view.blocked, 0, "and counts from nothing");
    is_int(view.dry_run, 1, "in dry run, if a rule says so");
    is_int(zone_ask(&id), DRY_RUN, "it would block then");
    is_int(view.kind, KEY_LIMITED, "and is shown");
    zone_listed();
    is_int(view.blocked, 0, "but isn't counted");
}


static void
test_beside(void)
{
    identity_t  id;

    /* a limit and a state: the one that ends last is shown, both cover */

    zone_start(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131045, ANSWER);
    zone_fail(&id, 131047, WEBHOOK);

    is_int(zone_ask(&id), BLOCK, "two block");
    is_int(view.kind, KEY_LIMITED, "the limit ends last");
    is_int(cover.n, 2, "both cover");
    is_int(cover.refs[0].kind, KEY_PHONE, "the state first");
    is_int(cover.refs[1].kind, KEY_LIMITED, "then the limit");
    zone_listed();
    is_int(view.blocked, 1, "which has counted");

    zone_failure(131042, ANSWER)->hold = 2 * GATE;
    zone_learn(&id);
    is_int(zone_ask(&id), BLOCK, "three block");
    is_int(view.reason, BILLING, "the state that ends last is shown");
    is_int(view.blocked, 1, "and has counted");
    is_int(cover.n, 3, "all cover");
    zone_listed();
    is_int(view.blocked, 1, "the limit hasn't");

    /* a probe isn't sent where a limit blocks, a template is */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, WEBHOOK);
    zone_fail(&id, 131047, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&id), BLOCK, "a limit blocks the probe of a state");
    is_int(cover.refs[0].lease, 0, "no lease is taken");
    zone_query()->gate.template = 1;
    is_int(zone_admit(&id), PROBE, "a template probes");
    is_int(cover.n, 1, "what it probes covers");
    is_int(cover.refs[0].kind, KEY_PHONE, "and nothing else");

    /* a limit in dry run lets it probe, and doesn't cover the probe */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, WEBHOOK);
    zone_failure(131047, WEBHOOK);
    verdict.dry_run = 1;
    zone_learn(&id);
    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&id), PROBE, "in dry run a limit lets probe");
    is_int(cover.n, 2, "the probe's state covers, and the limit");
    is_int((cover.refs[0].lease != 0) + (cover.refs[1].lease != 0), 1,
           "one under a lease");
    is_int(view.reason, DISCONNECTED, "and is shown");
}


static void
test_inbound(void)
{
    identity_t  id;

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131047, WEBHOOK);

    zone_at(T0 + 5000);
    ngx_http_graph_policy_zone_inbound(zone, &id, T0 - 1000, now, &changes);
    is_int(changes.n, 0, "what the customer wrote before changes nothing");
    is_int(zone_ask(&id), BLOCK, "it blocks");

    ngx_http_graph_policy_zone_inbound(zone, &id, T0 + 4000, now, &changes);
    is_int(changes.n, 1, "what they write then ends the limit");
    is_int(changes.views[0].transition, CLEARED, "and is told");
    is_int(changes.views[0].until, T0 + GATE, "with the end that it had");
    is_int(zone_ask(&id), PASS, "messages pass");
    is_int(cover.n, 0, "nothing covers");
    is_int(zone_listed(), 0, "nothing is listed");

    zone_failure(131047, WEBHOOK)->sent = T0 + 3000;
    zone_learn(&id);
    is_int(zone_ask(&id), PASS, "an older refusal comes too late");
    zone_failure(131047, WEBHOOK)->sent = T0 + 5000;
    zone_learn(&id);
    is_int(zone_ask(&id), BLOCK, "a newer one limits again");
    zone_agrees("with a limit");

    /* before any limit it is remembered */

    id.conversation = 98;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(changes.n, 0, "an inbound message isn't told");
    zone_failure(131047, WEBHOOK)->sent = now - 2000;
    zone_learn(&id);
    is_int(view.transition, NOTHING, "but remembered");
    is_int(zone_ask(&id), PASS, "and nobody is limited by an older refusal");

    /* for as long as a refusal could be believed */

    zone_at(now + GATE - 1);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh,
                         ngx_http_graph_policy_conversation_hash(&id))
       != NULL, "for the hold");
    ngx_http_graph_policy_zone_unlock(zone);
    zone_at(now + 1);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh,
                         ngx_http_graph_policy_conversation_hash(&id))
       == NULL, "and no longer");
    ngx_http_graph_policy_zone_unlock(zone);

    id.conversation = 97;
    ngx_http_graph_policy_zone_inbound(zone, &id, now - 2 * GATE, now,
                                       &changes);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh,
                         ngx_http_graph_policy_conversation_hash(&id))
       == NULL, "what is over isn't remembered at all");
    ngx_http_graph_policy_zone_unlock(zone);

    changes.n = 77;
    id.conversation = 0;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(changes.n, 77, "nor what is of nobody");
    id.conversation = 96;
    zone->conversation_hold = 0;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(changes.n, 77, "nor where there is no gate");

    /* the end of a limit that would last longer is remembered as long */

    zone_start(ZONE_SIZE);
    id.conversation = 99;
    zone_failure(131047, ANSWER)->hold = 5 * GATE;
    zone_learn(&id);
    zone_at(now + 2000);
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    zone_at(now + 2 * GATE);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh,
                         ngx_http_graph_policy_conversation_hash(&id))
       != NULL, "an end is remembered as long as its limit");
    ngx_http_graph_policy_zone_unlock(zone);
}


static void
test_clear(void)
{
    ref_t       ref;
    identity_t  id;

    zone_start(ZONE_SIZE);
    zone->memory = 2 * GATE;
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131047, WEBHOOK);
    zone_ask(&id);
    ref = cover.refs[0];

    zone_at(T0 + 2000);
    zone_answer(&id, ACCEPTED)->sent = T0 - 1;
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.n, 0, "a message sent before proves nothing");
    zone_answer(&id, ACCEPTED);
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.views[0].transition, CLEARED, "one sent since ends a limit");
    is_int(changes.views[0].until, T0 + GATE, "with the end that it had");

    zone_at(now + 2 * GATE - 1);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh, ref.hash) != NULL,
       "its end is remembered as an event may come late");
    ngx_http_graph_policy_zone_unlock(zone);
    zone_at(now + 1);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh, ref.hash) == NULL,
       "and no longer");
    ngx_http_graph_policy_zone_unlock(zone);
}


static void
test_oldest(void)
{
    uint64_t    since;
    ngx_uint_t  i, n;
    identity_t  id;

    zone_start(ZONE_SIZE);

    is_int(ngx_http_graph_policy_zone_oldest_limit(zone, now, &since),
           NGX_DECLINED, "there is no limit");

    for (i = 0; i < 50; i++) {
        id = zone_to("10001", NULL, 7, 1 + i);
        zone_at(T0 + 1000 * i);
        zone_fail(&id, 131047, WEBHOOK);
    }

    is_int(ngx_http_graph_policy_zone_oldest_limit(zone, now, &since), NGX_OK,
           "there is one");
    is_int(since, T0, "the first to end stands for the oldest");

    zone_at(T0 + GATE + 3000);
    is_int(ngx_http_graph_policy_zone_oldest_limit(zone, now, &since), NGX_OK,
           "some are over");
    is_int(since, T0 + 4000, "those don't count");

    zone_at(T0 + GATE + 49000);
    n = 0;

    while (ngx_http_graph_policy_zone_oldest_limit(zone, now, &since)
           == NGX_AGAIN)
    {
        n++;
    }

    is_int(n, 2, "of many that are over a few go at a time");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "all are gone then");
    zone_agrees("without limits");
}


static void
test_expire(void)
{
    ngx_uint_t  i, limited;
    identity_t  id;

    zone_start(ZONE_SIZE);

    for (i = 0; i < 21; i++) {
        id = zone_to("10001", NULL, 7, 1 + i);
        zone_fail(&id, 131047, WEBHOOK);
        id.conversation = 1001 + i;
        ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    }

    /* each call drops a few of both kinds, so that none of them takes long */

    zone_at(T0 + GATE);
    id = zone_who("10002", NULL, 7);

    for (i = 0; i < 5; i++) {
        limited = ngx_http_graph_policy_zone_limited(zone);
        zone_ask(&id);
        is_int(limited - ngx_http_graph_policy_zone_limited(zone), 4,
               "a call drops four limits");
    }

    zone_ask(&id);
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "and the rest");
    zone_agrees("when all are over");

    zone_query()->asks_again = 1;
    zone_admit(&id);

    /* the next one that ends is dropped when it does */

    id = zone_to("10001", NULL, 7, 1);
    zone_failure(131047, ANSWER)->hold = 5000;
    zone_learn(&id);
    id.conversation = 2;
    zone_failure(131047, ANSWER)->hold = 3000;
    zone_learn(&id);

    zone_at(now + 2999);
    zone_ask(&id);
    is_int(ngx_http_graph_policy_zone_limited(zone), 2, "two are limited");
    zone_at(now + 1);
    zone_ask(&id);
    is_int(ngx_http_graph_policy_zone_limited(zone), 1, "then one");
    zone_at(now + 1999);
    zone_ask(&id);
    is_int(ngx_http_graph_policy_zone_limited(zone), 1, "still");
    zone_at(now + 1);
    zone_ask(&id);
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "then none");
}


int
main(void)
{
    test_limit();
    test_learn();
    test_beside();
    test_inbound();
    test_clear();
    test_oldest();
    test_expire();

    return tap_done();
}
