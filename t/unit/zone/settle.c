
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what ends a state: answers to probes, statuses of their messages,
 * later answers, events, operators, and time.
 */


#include "zone.h"


#define PROBE_CLEARED       NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED
#define PROBE_REARMED       NGX_HTTP_GRAPH_POLICY_PROBE_REARMED
#define PROBE_INCONCLUSIVE  NGX_HTTP_GRAPH_POLICY_PROBE_INCONCLUSIVE
#define NO_PROBE            NGX_HTTP_GRAPH_POLICY_NPROBES


/* A state of a phone that has just been given to a probe. */

static identity_t
probing(ngx_uint_t source)
{
    identity_t  id;

    zone_start(ZONE_SIZE);

    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, source);
    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&id), PROBE, "a probe");
    zone_at(now + 500);

    return id;
}


static void
test_settle(void)
{
    identity_t  id;

    id = probing(ANSWER);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    is_int(changes.n, 1, "an accepted message is told");
    is_int(changes.views[0].transition, CLEARED, "as the end of the state");
    is_int(changes.views[0].reason, DISCONNECTED, "of that reason");
    is_int(changes.probe, PROBE_CLEARED, "and as the end of a probe");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");
    is_int(zone_ask(&id), PASS, "and all pass");
    is_int(zone_listed(), 0, "nothing is listed");
    zone_agrees("after an end");

    id = probing(ANSWER);
    zone_failure(131045, ANSWER);
    zone_trace("again");
    zone_answer(&id, ERROR)->status = 403;
    zone_settle(0);
    is_int(changes.views[0].transition, REARMED, "the same error re-arms");
    is_int(changes.views[0].status, 403, "with what the latest one says");
    is_mem(changes.views[0].trace, changes.views[0].trace_len, "again", 5,
           "and its trace");
    is_int(changes.views[0].hold, 2 * HOLD, "for twice as long");
    is_int(changes.views[0].since, T0, "since the first one");
    is_int(changes.probe, PROBE_REARMED, "the probe is counted so");
    is_int(zone_ask(&id), BLOCK, "it blocks");
    ok(view.until >= now + 2 * HOLD, "up to the new end");

    /* an error of the request frees the lease for the next one */

    id = probing(ANSWER);
    zone_failure(100, ANSWER);
    zone_answer(&id, ERROR);
    zone_settle(0);
    is_int(changes.views[0].transition, FREED, "an error of the request frees");
    is_int(changes.probe, PROBE_INCONCLUSIVE, "the probe proves nothing");
    is_int(zone_ask(&id), PROBE, "and the next one may probe at once");

    /* an unknown error holds for a while more */

    id = probing(ANSWER);
    zone_failure(999999, ANSWER);
    zone_answer(&id, ERROR);
    zone_settle(0);
    is_int(changes.views[0].transition, FREED, "an unknown error frees");
    is_int(zone_ask(&id), BLOCK, "but nobody probes at once");
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_RETRY_HOLD,
           "for a short hold");
    zone_at(now + NGX_HTTP_GRAPH_POLICY_RETRY_HOLD);
    is_int(zone_ask(&id), PROBE, "then the next one does");
    zone_agrees("after probes that proved nothing");

    /* the error of another state isn't this one's */

    id = probing(ANSWER);
    zone_failure(131042, ANSWER);
    zone_answer(&id, ERROR);
    zone_settle(0);
    is_int(changes.views[0].transition, FREED, "another fatal error frees");

    id = probing(ANSWER);
    zone_failure(131045, ANSWER);
    zone_answer(&id, ERROR);
    id.phone.data = (u_char *) "10002";
    zone_settle(0);
    is_int(changes.views[0].transition, FREED,
           "and so does that of another phone");

    /* a state that was bound isn't set by an error for everyone */

    id = probing(ANSWER);
    zone_failure(33, ANSWER);
    zone_answer(&id, ERROR);
    zone_settle(0);
    is_int(changes.views[0].transition, FREED,
           "an error that covers one token isn't that of everyone's state");

    id = probing(ANSWER);
    zone_answer(&id, NGX_HTTP_GRAPH_POLICY_PROOF_LEFT);
    zone_settle(0);
    is_int(changes.views[0].transition, FREED, "whoever left has freed it");
    zone_answer(&id, ACCEPTED);
    zone_settle(0);
    is_int(changes.n, 0, "a lease is settled once");
    is_int(changes.probe, PROBE_INCONCLUSIVE, "what comes then is nothing");

    /* the state went meanwhile */

    cover.refs[0].hash++;
    zone_settle(0);
    is_int(changes.n, 0, "a state that is gone isn't settled");
}


static void
test_confirm(void)
{
    identity_t  id, other;

    id = probing(WEBHOOK);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    is_int(changes.views[0].transition, CLEARED,
           "in a zone without webhooks an answer is enough");

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    is_int(changes.views[0].transition, AWAITED, "with them a status must come");
    is_int(changes.probe, NO_PROBE, "until then the probe has no result");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "it is awaited");
    is_int(zone_ask(&id), BLOCK, "meanwhile all are blocked");
    is_int(view.until, now + CONFIRM, "until the wait is over");

    ngx_http_graph_policy_zone_confirm(zone, &id, 56, NULL, now, &changes);
    is_int(changes.n, 0, "another message's status says nothing");
    other = zone_who("10002", NULL, 0);
    ngx_http_graph_policy_zone_confirm(zone, &other, 55, NULL, now, &changes);
    is_int(changes.n, 0, "nor does that of another phone");
    is_int(changes.probe, NO_PROBE, "no probe ends");

    other = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_confirm(zone, &other, 55, NULL, now, &changes);
    is_int(changes.views[0].transition, CLEARED, "its own ends the state");
    is_int(changes.probe, PROBE_CLEARED, "and the probe");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0, "nothing is awaited");
    zone_agrees("after a status");

    /* no status comes */

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    is_int(ngx_http_graph_policy_zone_sweep(zone, now + CONFIRM - 1, &changes),
           now + CONFIRM, "a sweep tells when the wait is over");
    is_int(changes.n, 0, "and ends nothing before");
    is_int(ngx_http_graph_policy_zone_sweep(zone, now + CONFIRM, &changes),
           NGX_HTTP_GRAPH_POLICY_NEVER, "after it nothing is left to wait for");
    is_int(changes.n, 1, "as one state has ended");
    is_int(changes.views[0].transition, CLEARED, "which is told");
    is_int(changes.probe, PROBE_CLEARED, "and as the end of a probe");
    is_int(zone_listed(), 0, "and it isn't listed");
    zone_agrees("after a sweep");

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    zone_at(now + 1000);
    zone_failure(131045, WEBHOOK);
    failure.status = 0;
    zone_trace("late");
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, &failure, now, &changes);
    is_int(changes.views[0].transition, REARMED, "its failure re-arms");
    is_int(changes.views[0].status, 0, "and is described");
    is_mem(changes.views[0].trace, changes.views[0].trace_len, "late", 4,
           "by its trace");
    is_int(changes.probe, PROBE_REARMED, "the probe failed");
    is_int(zone_ask(&id), BLOCK, "it blocks");

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    zone_failure(131026, WEBHOOK);
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, &failure, now, &changes);
    is_int(changes.views[0].transition, FREED, "another failure frees it");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0, "nothing is awaited");
    is_int(changes.probe, PROBE_INCONCLUSIVE, "the probe proved nothing");

    /* the account's state waits for a status of any of its phones */

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131042, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    other = zone_who("10001", "20001", 0);
    ngx_http_graph_policy_zone_confirm(zone, &other, 55, NULL, now, &changes);
    is_int(changes.views[0].transition, CLEARED, "a status ends an account's");

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 131042, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    other = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_confirm(zone, &other, 55, NULL, now, &changes);
    is_int(changes.views[0].transition, CLEARED, "or an unknown account's");
}


static void
test_dry_confirm(void)
{
    identity_t  id;

    /* in dry run messages go on, and aren't probes */

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_who("10001", "20001", 7);
    zone_failure(131045, WEBHOOK);
    verdict.dry_run = 1;
    zone_learn(&id);
    zone_at(T0 + 2 * SECOND);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    ngx_http_graph_policy_zone_clear(zone, &cover.refs[0], &answer, &changes);
    is_int(changes.views[0].transition, AWAITED, "in dry run one is awaited");
    is_int(changes.probe, NO_PROBE, "and isn't a probe");
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, NULL, now, &changes);
    is_int(changes.views[0].transition, CLEARED, "its status ends the state");
    is_int(changes.probe, NO_PROBE, "but no probe");
}


static void
test_wait_over(void)
{
    uint64_t    end;
    identity_t  id;

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    end = now + CONFIRM;

    zone_at(end - 1);
    zone_ask(&id);
    is_int(changes.n, 0, "the wait isn't over");

    zone_at(end + 700);
    is_int(zone_ask(&id), PASS, "a wait that is over ends the state");
    is_int(changes.n, 1, "which is told");
    is_int(changes.views[0].transition, CLEARED, "as its end");
    is_int(changes.probe, PROBE_CLEARED, "and the probe's");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0, "nothing is awaited");

    ngx_http_graph_policy_zone_lock(zone);
    is_int(ngx_http_graph_policy_state_find(sh, changes.views[0].hash,
                                            DISCONNECTED)->breaker.changed,
           end, "its end is remembered as that of the wait");
    ngx_http_graph_policy_zone_unlock(zone);
    zone_agrees("after a wait");

    /* nothing is ended where nobody could be told */

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    zone_at(now + CONFIRM);
    ngx_http_graph_policy_zone_lookup(zone, &id, now, &view);
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1,
           "a lookup doesn't end it");

    ngx_http_graph_policy_zone_confirm(zone, &id, 55, &failure, now, &changes);
    is_int(changes.n, 1, "a late status finds it ended");
    is_int(changes.views[0].transition, CLEARED, "and tells so");

    /* so does an event, which is too old to end it */

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    zone_at(now + CONFIRM);
    ngx_http_graph_policy_zone_resolve(zone, &id, KEY_PHONE, DISCONNECTED,
                                       T0 - HOUR, now, &changes);
    is_int(changes.n, 1, "and so does an old event");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "nothing is armed");

    /* an operator finds nothing to end, and it is remembered from its end on */

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    view = changes.views[0];
    end = now + CONFIRM;
    zone_at(end + 700);
    is_int(ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason,
                                          now, &changes),
           NGX_DECLINED, "nor has an operator anything to end");
    is_int(changes.n, 1, "but tells of the end");
    ngx_http_graph_policy_zone_lock(zone);
    is_int(ngx_http_graph_policy_state_find(sh, view.hash,
                                            DISCONNECTED)->breaker.changed,
           end, "which was that of the wait");
    ngx_http_graph_policy_zone_unlock(zone);

    /* a phone that is registered anew is due before */

    id = probing(WEBHOOK);
    zone->memory = 600000;
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0,
           "of a phone that is registered anew nothing is awaited");
    is_int(zone_ask(&id), PROBE, "and it is probed at once");
}


static void
test_clear(void)
{
    ref_t       ref;
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131045, ANSWER);
    ref.hash = view.hash;
    ref.reason = view.stored_reason;
    ref.kind = view.kind;
    ref.lease = 0;

    zone_at(T0 + 2000);
    zone_answer(&id, ACCEPTED)->sent = T0 - 1;
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.n, 0, "a message sent before proves nothing");

    zone_answer(&id, NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL);
    changes.n = 77;
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.n, 77, "nor does a token that works");
    zone_answer(&id, ERROR);
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.n, 77, "nor an error");

    zone_answer(&id, ACCEPTED);
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.views[0].transition, CLEARED, "a message sent since does");
    is_int(changes.probe, NO_PROBE, "though it was no probe");
    is_int(zone_ask(&id), PASS, "all pass");

    zone_fail(&id, 190, ANSWER);
    ref.hash = view.hash;
    ref.reason = view.stored_reason;
    ref.kind = view.kind;
    zone_at(now + 1000);
    zone_answer(&id, NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL);
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.views[0].transition, CLEARED, "a token that works is cleared");

    zone_fail(&id, 131047, WEBHOOK);
    ref.hash = view.hash;
    ref.reason = view.stored_reason;
    ref.kind = view.kind;
    zone_at(now + 2000);
    zone_answer(&id, ACCEPTED);
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.views[0].transition, CLEARED, "and a limit");
    is_int(changes.views[0].kind, KEY_LIMITED, "by a message to it");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.n, 0, "once");
    ref.hash++;
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.n, 0, "and not another one");

    /* what a webhook has set waits for a status, if they come */

    zone->memory = 600000;
    zone_fail(&id, 131042, WEBHOOK);
    ref.hash = view.hash;
    ref.reason = view.stored_reason;
    ref.kind = view.kind;
    zone_at(now + 2000);
    zone_answer(&id, ACCEPTED)->message = 55;
    ngx_http_graph_policy_zone_clear(zone, &ref, &answer, &changes);
    is_int(changes.views[0].transition, AWAITED, "a status is awaited");
    zone_agrees("after answers");
}


static void
test_make_due(void)
{
    identity_t  id, other, bound;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    bound = zone_who("10002", "20001", 7);

    zone_fail(&id, 131045, WEBHOOK);
    zone_fail(&bound, 33, ANSWER);
    zone_at(T0 + 10);

    ngx_http_graph_policy_zone_make_due(zone, &bound, now);
    is_int(zone_ask(&id), BLOCK, "another phone stays as it is");
    is_int(zone_ask(&bound), PROBE, "what is bound to its token is due");

    other = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_make_due(zone, &other, now);
    is_int(zone_ask(&id), PROBE, "and what is everyone's");
    zone_agrees("when due");

    zone_fail(&id, 130429, ANSWER);
    zone_start(ZONE_SIZE);
    zone_fail(&id, 130429, ANSWER);
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    is_int(zone_ask(&id), BLOCK, "a cool-down goes on");
}


static void
test_sweep(void)
{
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    is_int(changes.views[0].transition, CLEARED, "a state was ended by hand");

    zone_at(T0 + NGX_HTTP_GRAPH_POLICY_MEMORY - 1);
    zone_ask(&id);
    zone_fail(&id, 131045, ANSWER);
    is_int(view.transition, REARMED, "within a minute it goes on");
    is_int(view.since, T0, "since the first time");
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);

    zone_at(now + NGX_HTTP_GRAPH_POLICY_MEMORY);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_state_first(sh, view.hash) == NULL,
       "then it is forgotten");
    ngx_http_graph_policy_zone_unlock(zone);

    /* a day after its end an armed state is dropped, and isn't told */

    zone_fail(&id, 131045, ANSWER);
    zone_at(now + 2 * HOLD + NGX_HTTP_GRAPH_POLICY_ABANDONED);
    is_int(zone_ask(&id), PASS, "what nobody has probed for a day is dropped");
    is_int(changes.n, 0, "which isn't told");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "nothing is armed");
    zone_agrees("after a sweep");
}


static void
test_sweep_rarely(void)
{
    char        phone[16];
    ngx_uint_t  i, used;
    stats_t     stats;
    identity_t  id;

    /* a sweep drops 16 states, and there is none for 100 ms */

    zone_start(ZONE_SIZE);

    for (i = 0; i < 40; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_who(phone, NULL, 7);
        zone_fail(&id, 131045, ANSWER);
    }

    zone_at(now + 2 * HOLD + NGX_HTTP_GRAPH_POLICY_ABANDONED);
    id = zone_who("1", NULL, 7);

    for (i = 0; i < 3; i++) {
        used = ngx_http_graph_policy_zone_armed(zone);
        zone_ask(&id);
        is_int(used - ngx_http_graph_policy_zone_armed(zone), i < 2 ? 16 : 8,
               "a sweep drops some");
        used = ngx_http_graph_policy_zone_armed(zone);
        zone_at(now + 99);
        zone_ask(&id);
        is_int(ngx_http_graph_policy_zone_armed(zone), used, "and not at once");
        zone_at(now + 1);
    }

    ngx_http_graph_policy_zone_stats(zone, &stats);
    is_int(stats.states[NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE]
                       [NGX_HTTP_GRAPH_POLICY_FATAL], 0, "all are gone");
}


int
main(void)
{
    test_settle();
    test_confirm();
    test_dry_confirm();
    test_wait_over();
    test_clear();
    test_make_due();
    test_sweep();
    test_sweep_rarely();

    return tap_done();
}
