
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of who is blocked by which state, who probes, and what is shown.
 */


#include "zone.h"


static void
test_covers(void)
{
    identity_t  id, other;

    zone_start(ZONE_SIZE);

    id = zone_who("10001", "20001", 7);
    is_int(zone_ask(&id), PASS, "an empty zone lets pass");
    is_int(cover.n, 0, "and covers nobody");

    is_int(zone_fail(&id, 131045, ANSWER), NGX_OK, "a phone fails");
    is_int(view.transition, SET, "and its state is set");
    is_int(ngx_http_graph_policy_zone_armed(zone), 1, "one is armed");
    is_int(ngx_http_graph_policy_zone_armed_bound(zone), 0, "none is bound");

    other = zone_who("10001", NULL, 8);
    is_int(zone_ask(&other), BLOCK, "it blocks the phone, whoever sends");
    other = zone_who("10002", "20001", 7);
    is_int(zone_ask(&other), PASS, "but no other phone");
    other = zone_who(NULL, "20001", 7);
    is_int(zone_ask(&other), PASS, "nor a request without a phone");

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131042, ANSWER);
    is_int(view.kind, KEY_ACCOUNT, "an account fails");

    other = zone_who("10002", "20001", 8);
    is_int(zone_ask(&other), BLOCK, "its state blocks all its phones");
    other = zone_who("10002", "20002", 8);
    is_int(zone_ask(&other), PASS, "but no other account's");
    other = zone_who("10001", NULL, 8);
    is_int(zone_ask(&other), PASS, "nor a phone whose account is unknown");

    zone_start(ZONE_SIZE);
    other = zone_who("10001", NULL, 7);
    zone_fail(&other, 131042, ANSWER);
    is_int(view.kind, KEY_ACCOUNT_PHONE, "an unknown account fails");
    is_int(zone_ask(&id), BLOCK, "its state blocks the phone that got it");
    other = zone_who("10002", NULL, 7);
    is_int(zone_ask(&other), PASS, "and no other");

    zone_start(ZONE_SIZE);
    zone_fail(&id, 190, ANSWER);
    is_int(view.kind, KEY_CREDENTIAL, "a token fails");
    is_int(ngx_http_graph_policy_zone_armed_bound(zone), 1, "which is bound");
    is_int(zone_ask(&other), BLOCK, "its state blocks the token anywhere");
    other = zone_who("10001", "20001", 8);
    is_int(zone_ask(&other), PASS, "but no other token");
    other = zone_who("10001", "20001", 0);
    is_int(zone_ask(&other), PASS, "nor a request without one");

    zone_start(ZONE_SIZE);
    zone_fail(&id, 33, ANSWER);
    is_int(view.kind, KEY_PHONE, "a phone can't be seen by a token");
    is_int(view.credential, 7, "which is named");
    is_int(zone_ask(&id), BLOCK, "the state blocks that token there");
    other = zone_who("10001", "20001", 8);
    is_int(zone_ask(&other), PASS, "but nobody else's");
    other = zone_who("10002", "20001", 7);
    is_int(zone_ask(&other), PASS, "nor that token at other phones");

    zone_start(ZONE_SIZE);
    other = zone_to("10001", "20001", 7, 99);
    zone_fail(&other, 131056, ANSWER);
    is_int(view.kind, KEY_CONVERSATION, "a pair is too fast");
    is_int(ngx_http_graph_policy_zone_armed_conversations(zone), 1,
           "its state is counted");
    is_int(zone_ask(&other), BLOCK, "and blocks the pair");
    zone_query()->cooldown = 0;
    is_int(zone_admit(&other), PASS, "but not where cool-downs are off");
    is_int(zone_ask(&id), PASS, "nor where the recipient isn't known");
    other.conversation = 98;
    is_int(zone_ask(&other), PASS, "nor another pair");
    zone_agrees("with one state");
}


static void
test_shown(void)
{
    identity_t  id, other;

    zone_start(ZONE_SIZE);

    id = zone_who("10001", "20001", 7);
    zone_failure(131045, ANSWER);
    zone_trace("AbC_1");
    facts.has_subcode = 1;
    facts.subcode = 33;
    zone_learn(&id);

    is_int(view.transition, SET, "the state is told as it was set");
    is_int(changes.n, 1, "in one change");
    is_int(changes.views[0].transition, SET, "of that kind");
    is_int(changes.views[0].blocked, 0, "that has blocked nobody");
    is_int(changes.probe, NGX_HTTP_GRAPH_POLICY_NPROBES, "no probe ended");

    zone_at(T0 + 1);
    is_int(zone_ask(&id), BLOCK, "a send is blocked");
    is_int(zone_ask(&id), BLOCK, "and another one");

    is_int(view.transition, NOTHING, "nothing changes by that");
    is_int(view.blocked, 2, "both are counted");
    is_int(view.since, T0, "since when it is blocked is shown");
    ok(view.until >= T0 + HOLD && view.until <= T0 + HOLD + HOLD / 10,
       "and until when");
    is_int(view.hold, HOLD, "and the hold");
    is_int(view.holds, 1, "which is the first");
    is_int(view.code, 131045, "and the code");
    is_int(view.subcode, 33, "and the subcode");
    is_int(view.status, 400, "and the status");
    is_int(view.category, NGX_HTTP_GRAPH_POLICY_FATAL, "and the category");
    is_int(view.source, ANSWER, "and the source");
    is_int(view.kind, KEY_PHONE, "and whom it covers");
    is_mem(view.key, view.key_len, "10001", 5, "by name");
    is_mem(view.trace, view.trace_len, "AbC_1", 5, "and Meta's trace");
    is_int(view.reason, DISCONNECTED, "and the reason");
    is_int(view.stored_reason, DISCONNECTED, "which is its own");
    is_int(view.credential, 0, "it covers everyone");
    is_int(view.dry_run, 0, "and is in force");
    is_int(view.leased, 0, "nobody probes");
    is_int(view.node_len, 0, "and no other host is named");

    is_int(cover.n, 1, "one state covers");
    is_int(cover.refs[0].hash, view.hash, "the shown one");
    is_int(cover.refs[0].reason, DISCONNECTED, "by its reason");
    is_int(cover.refs[0].kind, KEY_PHONE, "and kind");
    is_int(cover.refs[0].lease, 0, "without a lease");

    zone_query()->uncounted = 1;
    zone_admit(&id);
    is_int(view.blocked, 2, "what isn't a send isn't counted");

    /* an account that ends later is shown instead */

    zone_failure(131042, ANSWER);
    failure.hold = 3 * HOLD;
    zone_learn(&id);

    is_int(zone_ask(&id), BLOCK, "two states block");
    is_int(view.reason, BILLING, "the one with the later end is shown");
    is_int(view.blocked, 1, "and has counted the send");
    is_int(cover.n, 2, "both cover");

    /* what is in dry run is shown only if nothing is in force */

    other = zone_who("10003", "20003", 7);
    zone_failure(131045, ANSWER);
    verdict.dry_run = 1;
    zone_learn(&other);

    is_int(zone_ask(&other), DRY_RUN, "a rule in dry run would block");
    is_int(view.dry_run, 1, "which is shown");
    is_int(view.blocked, 0, "but isn't counted as blocked");
    is_int(cover.n, 1, "the state covers");

    zone_failure(131042, ANSWER);
    failure.hold = HOLD / 2;
    zone_learn(&other);
    is_int(zone_ask(&other), BLOCK, "a state in force blocks");
    is_int(view.reason, BILLING, "and is shown, though it ends sooner");
    zone_agrees("with states of several kinds");
}


static void
test_probe(void)
{
    ref_t       ref;
    uint64_t    end;
    identity_t  id, other;

    zone_start(ZONE_SIZE);

    id = zone_who("10001", "20001", 7);
    other = zone_who("10001", "20001", 8);
    zone_fail(&id, 131045, WEBHOOK);

    zone_at(T0 + 2 * HOLD);

    zone_query()->asks_again = 1;
    query.may_probe = 0;
    is_int(zone_admit(&id), BLOCK, "who can't probe is blocked");
    is_int(view.blocked, 0, "and isn't counted, as they ask again");
    query.asks_again = 0;
    is_int(zone_admit(&id), BLOCK, "for good");
    is_int(view.blocked, 1, "counted");

    zone_query()->kind = SEND;
    is_int(zone_admit(&id), BLOCK, "an upload doesn't probe a phone");
    zone_query()->kind = READ;
    is_int(zone_admit(&id), PASS, "a read passes once it is due");
    other.credential = 0;
    is_int(zone_ask(&other), BLOCK, "nobody probes without a token");
    other.credential = 8;

    is_int(zone_ask(&id), PROBE, "the first message probes");
    is_int(cover.n, 1, "one state");
    ok(cover.refs[0].lease != 0, "under a lease");
    is_int(view.reason, DISCONNECTED, "which is shown");
    is_int(view.leased, 1, "as leased");
    is_int(view.blocked, 3, "and isn't counted as blocked");
    ref = cover.refs[0];
    end = now + NGX_HTTP_GRAPH_POLICY_LEASE;
    is_int(view.until, end, "until the lease ends");

    is_int(zone_ask(&other), BLOCK, "the next one is blocked");
    is_int(view.leased, 1, "by the probe");
    is_int(view.until, end, "as long as that lasts");
    is_int(cover.refs[0].lease, 0, "and has no lease");

    zone_query()->lease = ref.lease;
    is_int(zone_admit(&id), PROBE, "who has the lease may go on");
    ok(cover.refs[0].lease != ref.lease, "under a new one");
    ref = cover.refs[0];

    zone_at(now + NGX_HTTP_GRAPH_POLICY_RENEW);
    ngx_http_graph_policy_zone_renew(zone, &ref, 1, now);
    zone_ask(&other);
    is_int(view.until, end + NGX_HTTP_GRAPH_POLICY_RENEW,
           "a lease can be renewed");

    zone_at(end + NGX_HTTP_GRAPH_POLICY_RENEW);
    is_int(zone_ask(&other), PROBE, "a silent probe loses it");
    ok(cover.refs[0].lease != ref.lease, "to another lease");

    /* the late answer of the first one changes nothing */

    cover.refs[0] = ref;
    zone_answer(&id, ACCEPTED);
    zone_settle(0);
    is_int(changes.n, 0, "its answer is too late");
    is_int(changes.probe, NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE,
           "and counted as inconclusive");
    is_int(ngx_http_graph_policy_zone_armed(zone), 1, "the state stays");
}


static void
test_two_due(void)
{
    uint32_t    lease;
    identity_t  id, other;

    zone_start(ZONE_SIZE);

    id = zone_who("10001", "20001", 7);
    other = zone_who("10001", "20001", 8);

    zone_fail(&id, 131045, WEBHOOK);
    zone_fail(&id, 131042, WEBHOOK);
    zone_at(T0 + 2 * HOLD);

    is_int(zone_ask(&id), PROBE, "two states are probed at once");
    is_int(cover.n, 2, "both");
    lease = cover.refs[0].lease;
    is_int(cover.refs[1].lease, lease, "under one lease");

    /* one of them isn't due: nobody probes, and no lease is taken */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_fail(&id, 131042, WEBHOOK);
    is_int(zone_ask(&id), BLOCK, "what isn't due blocks a probe");
    is_int(view.reason, BILLING, "and is shown");
    is_int(cover.n, 2, "both cover");
    is_int(cover.refs[0].lease + cover.refs[1].lease, 0, "without a lease");

    /* what passes as a read beside a probe takes no lease of it */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 190, ANSWER);
    other = zone_who("10002", NULL, 7);
    zone_fail(&other, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_query()->kind = SEND;
    is_int(zone_admit(&id), PROBE, "an upload probes a token");
    zone_query()->kind = READ;
    is_int(zone_admit(&other), PASS, "a read passes");
    is_int(cover.n, 2, "and is covered");
    is_int(cover.refs[0].lease, 0, "without a lease");

    /* whoever set a state for everyone may probe beside another one */

    zone_start(ZONE_SIZE);
    other = zone_who("10001", "20001", 8);
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&other), PROBE, "another token probes");
    is_int(zone_ask(&id), PROBE, "and so does the one that set the state");
    other.credential = 9;
    is_int(zone_ask(&other), BLOCK, "but nobody else");
    zone_agrees("with two probes");
}


static void
test_lease_tokens(void)
{
    ngx_uint_t  i;
    identity_t  id;

    zone_start(ZONE_SIZE);

    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    sh->lease = 0xfffffffdU;

    for (i = 0; i < 2; i++) {
        zone_at(now + 2 * HOLD + NGX_HTTP_GRAPH_POLICY_LEASE);
        is_int(zone_ask(&id), PROBE, "a probe");
        is_int(cover.refs[0].lease, i == 0 ? 0xfffffffeU : 1,
               "no lease is 0, nor that of another host");
    }
}


static void
test_paused(void)
{
    ref_t       ref;
    identity_t  id, each;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);

    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           0, "an empty zone pauses nobody");

    zone_fail(&id, 33, ANSWER);
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           0, "nor does a state of one token");

    zone_fail(&id, 130429, ANSWER);
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           0, "nor a cool-down");

    zone_failure(131037, ANSWER);
    verdict.dry_run = 1;
    zone_learn(&id);
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           0, "nor what is in dry run");

    zone_fail(&id, 131045, ANSWER);
    ref.hash = view.hash;
    ref.reason = view.stored_reason;
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           1, "a fatal state of everyone does");
    is_int(view.reason, DISCONNECTED, "and is shown");

    zone_failure(131042, ANSWER);
    failure.hold = 2 * HOLD;
    zone_learn(&id);
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           1, "of two");
    is_int(view.reason, BILLING, "the one with the latest end is shown");

    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, &ref, 1, now,
                                                &view),
           0, "what knew of one of them isn't stopped");
    ref.hash++;
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, &ref, 1, now,
                                                &view),
           1, "another place is no such state");
    ref.hash--;
    ref.reason = RESTRICTED;
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, &ref, 1, now,
                                                &view),
           1, "nor is another reason");

    zone_at(T0 + 3 * HOLD);
    each = id;
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &each, NULL, 0, now,
                                                &view),
           0, "a hold that is over pauses nobody");
}


static void
test_lookup(void)
{
    identity_t  id, each;

    zone_start(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);

    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "in an empty zone anybody writes");

    zone_fail(&id, 190, ANSWER);
    zone_fail(&id, 33, ANSWER);
    zone_fail(&id, 130429, ANSWER);
    zone_failure(131037, ANSWER);
    verdict.dry_run = 1;
    zone_learn(&id);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE,
           "what is of a token, a cool-down, or in dry run doesn't count");

    zone_fail(&id, 131047, WEBHOOK);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_SEND_TEMPLATES,
           "a closed window lets templates pass");
    is_int(view.reason, WINDOW, "and is shown");

    zone_fail(&id, 131045, ANSWER);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE, "a fatal state blocks all");
    is_int(view.reason, WINDOW, "the limit ends later, and is shown");

    zone_failure(131042, ANSWER);
    failure.hold = 2 * GATE;
    zone_learn(&id);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE, "and so does another one");
    is_int(view.reason, BILLING, "which ends last, and is shown");

    zone_at(T0 + 2 * HOLD);
    zone_fail(&id, 131045, ANSWER);
    each = id;
    ngx_http_graph_policy_zone_lookup(zone, &each, now, &view);
    is_int(view.reason, BILLING, "whichever was looked at first");

    zone_at(T0 + 3 * GATE);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "what is due lets a probe pass");

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131026, WEBHOOK);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE,
           "to whom nothing can be delivered no template goes either");

    zone_start(ZONE_SIZE);
    zone_failure(131047, WEBHOOK);
    verdict.dry_run = 1;
    zone_learn(&id);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "a limit in dry run limits nobody");

    zone->conversation_hold = 0;
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "nor is there one without a gate");

    /* of two that end together what stops templates, too, is shown */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131047, WEBHOOK);
    each = id;
    each.credential = 0;
    zone_failure(131045, API)->hold = GATE;
    ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 0,
                                   &changes, &view);
    is_int(view.until, T0 + GATE, "a state ends when a limit does");
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE, "nothing may be sent");
    is_int(view.reason, DISCONNECTED, "for the state's reason");

    /* a location that holds for less may write when that is over */

    zone_start(ZONE_SIZE);
    zone->conversation_hold = GATE / 2;
    zone_fail(&id, 131047, WEBHOOK);
    zone_at(T0 + GATE / 2 - 1);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_SEND_TEMPLATES, "a limit holds");
    is_int(view.until, T0 + GATE / 2, "for as long as the longest gate");
    zone_at(T0 + GATE / 2);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "and no longer");

    /* who asks sweeps, as who sends does */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD + NGX_HTTP_GRAPH_POLICY_ABANDONED);
    each = id;
    is_int(ngx_http_graph_policy_zone_lookup(zone, &each, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "what nobody probed blocks nobody");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "and is dropped");
    zone_agrees("after a question");
}


/* what the API tells of the past of a state: it was set, probed, and so on */

static void
test_past(void)
{
    ngx_uint_t                     i, n;
    identity_t                     id;
    ngx_http_graph_policy_step_t   steps[NGX_HTTP_GRAPH_POLICY_STEPS];

    static const ngx_uint_t        what[] = {
        SET, NGX_HTTP_GRAPH_POLICY_STEP_PROBE, REARMED,
        NGX_HTTP_GRAPH_POLICY_STEP_PROBE
    };

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);

    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&id), PROBE, "a send probes");
    zone_failure(131045, ANSWER);
    zone_answer(&id, ERROR);
    zone_settle(0);
    zone_at(now + 4 * HOLD);
    is_int(zone_ask(&id), PROBE, "and later another one");

    is_int(zone_listed(), 1, "there is one state");
    is_int(ngx_http_graph_policy_zone_past(zone, &view, steps, &n), NGX_OK,
           "which has a past");
    is_int(n, 4, "of four steps");

    for (i = 0; i < 4; i++) {
        is_int(steps[i].what, what[i], "what came as number %d", (int) i + 1);
        is_int(steps[i].time, T0 + (i > 2 ? 6 : i > 0 ? 2 : 0) * HOLD, "when");
        is_int(steps[i].code, 131045, "with the code");
        is_int(steps[i].hold, i > 1 ? 2 * HOLD : HOLD, "the hold");
        is_int(steps[i].source, i > 1 ? ANSWER : WEBHOOK, "the source");
        is_int(steps[i].elsewhere, 0, "and on this host");
    }
}


int
main(void)
{
    test_covers();
    test_shown();
    test_probe();
    test_two_due();
    test_lease_tokens();
    test_paused();
    test_lookup();
    test_past();

    return tap_done();
}
