
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a host takes over from others while they probe a state.
 */


#include "host.h"


static void
test_apply_lease(void)
{
    uint32_t    lease;
    record_t    first, leased;
    identity_t  id;

    host_start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    host_tell();
    first = record;
    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&id), PROBE, "a probe on one host");
    host_tell();
    leased = record;

    host_another();
    record = first;
    host_hear();
    record = leased;
    is_int(host_hear(), SAME, "is known on the other one");
    is_int(zone_ask(&id), BLOCK, "where nobody else probes");
    is_int(view.leased, 1, "while it is on its way");
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_LEASE, "as long as that");
    record = first;
    is_int(host_hear(), SAME, "without a lease it is over");
    is_int(zone_ask(&id), PROBE, "and another one probes");
    lease = cover.refs[0].lease;
    record = leased;
    host_hear();
    zone_query()->lease = lease;
    is_int(zone_admit(&id), PROBE, "its own probe goes on");
    record = first;
    host_hear();
    zone_query()->lease = cover.refs[0].lease;
    is_int(zone_admit(&id), PROBE, "whatever is heard of others");

    /* a lease of a new state, and one that is too long to be believed */

    host_another();
    record = leased;
    is_int(host_hear(), APPLIED, "a state is told while it is probed");
    is_int(zone_ask(&id), BLOCK, "nobody probes here");
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_LEASE, "for as long");
    host_another();
    record.lease_until = now + HOUR;
    host_hear();
    zone_ask(&id);
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_LEASE,
           "no lease is longer than one can be");
    host_another();
    record.lease_until = now;
    host_hear();
    is_int(zone_ask(&id), PROBE, "one that is over is none");

    /* the setter's own doesn't stop others of it, but the others' does */

    host_start();
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    host_tell();
    host_another();
    host_hear();
    is_int(zone_ask(&id), BLOCK, "the setter's probe stops the setter");
    id.credential = 8;
    is_int(zone_ask(&id), BLOCK, "and others");
    host_another();
    record.setter_leased = 0;
    host_hear();
    id.credential = 7;
    is_int(zone_ask(&id), PROBE, "a stranger's doesn't stop the setter");

    /* an awaited status: whoever gets it ends the state */

    host_start();
    zone->memory = 600000;
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    host_tell();
    leased = record;
    host_another();
    host_hear();
    is_int(zone_ask(&id), BLOCK, "a status is awaited");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1,
           "and is known to be, as else nobody looks at statuses");
    is_int(view.until, now + CONFIRM, "for the wait");
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, NULL, now, &changes);
    is_int(changes.views[0].transition, CLEARED, "and may come here");
    is_int(host_tell(), 1, "then it is told back");

    host_another();
    record = leased;
    record.lease_until = now + HOUR;
    host_hear();
    zone_ask(&id);
    is_int(view.until, now + CONFIRM, "no wait is longer than its own");

    record = leased;
    record.message = 0;
    is_int(host_hear(), SAME, "who has awaited one awaits it still");
    zone_ask(&id);
    is_int(view.until, now + CONFIRM, "whoever else probes");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "it is its own still");
    record = leased;
    record.lease_until = 0;
    record.message = 55;
    host_hear();
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0, "none is awaited");
    is_int(zone_ask(&id), PROBE, "when that is over");

    host_another();
    record = leased;
    record.message = 0;
    record.lease_until = 0;
    host_hear();
    record = leased;
    is_int(host_hear(), SAME, "what is awaited in the same version");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "is awaited, too");
    zone_at(now + CONFIRM);
    is_int(zone_ask(&id), PASS, "the end of the wait ends the state here");
    is_int(changes.views[0].transition, CLEARED, "and is told");
    zone_at(now - CONFIRM);

    /* a wait that is over gives way to another host's */

    host_another();
    record = leased;
    host_hear();
    zone_at(now + CONFIRM);
    record.message = 66;
    record.lease_until = now + CONFIRM;
    is_int(host_hear(), SAME, "another probe's message");
    is_int(zone_ask(&id), BLOCK, "is awaited when the first one's wait is over");
    is_int(view.until, now + CONFIRM, "as long as that");
    zone_at(now - CONFIRM);

    /* but not to its probe, which is older than the end of that */

    host_another();
    record = leased;
    host_hear();
    zone_at(now + CONFIRM);
    record.message = 0;
    record.lease_until = now + NGX_HTTP_GRAPH_POLICY_LEASE;
    is_int(host_hear(), SAME, "another probe that is under way");
    is_int(zone_ask(&id), PASS, "brings nothing back that a wait has ended");
    zone_at(now - CONFIRM);

    /* a change ends what was on its way */

    host_another();
    record = leased;
    host_hear();
    record.changed++;
    record.until = record.changed + record.hold;
    record.message = 0;
    record.lease_until = 0;
    host_hear();
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0,
           "after a change nothing is awaited");
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, NULL, now, &changes);
    is_int(changes.n, 0, "and no status ends it");
    zone_agrees("after leases");
}


static void
test_apply_due(void)
{
    uint64_t    until;
    record_t    first;
    identity_t  id, other;

    /* in the same version the last end that isn't the hold's stands */

    host_start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    host_tell();
    first = record;

    host_another();
    host_hear();
    until = view.until;
    is_int(host_hear(), SAME, "a plain hold");
    zone_ask(&id);
    is_int(view.until, until, "keeps the jitter that it has");

    ngx_http_graph_policy_zone_lock(zone);
    ngx_http_graph_policy_zone_unlock(zone);

    record.moved = 1;
    record.until = T0 + 1000;
    is_int(host_hear(), SAME, "one whose probe told nothing");
    zone_ask(&id);
    until = view.until;
    ok(until >= T0 + 1000 && until <= T0 + 1100,
       "is due when that says, or a bit later");
    is_int(host_hear(), SAME, "told once more");
    zone_ask(&id);
    is_int(view.until, until, "it is due then");
    record.until = T0 + 2000;
    host_hear();
    zone_ask(&id);
    ok(view.until >= T0 + 2000 && view.until <= T0 + 2200,
       "the next one that told nothing moves it again");
    until = view.until;
    record.until = T0 + 1000;
    host_hear();
    zone_ask(&id);
    is_int(view.until, until, "and the first one, told late, doesn't");
    record.moved = 0;
    record.until = T0 + HOLD;
    host_hear();
    zone_ask(&id);
    is_int(view.until, until, "nor does the hold");

    /* nobody probes it: it is dropped a day after that end, as any other */

    host_another();
    record = first;
    host_hear();
    record.moved = 1;
    record.until = T0 + 1000;
    host_hear();
    zone_at(T0 + 1100 + NGX_HTTP_GRAPH_POLICY_ABANDONED);
    other = zone_who("10002", "20002", 8);
    zone_ask(&other);
    is_int(ngx_http_graph_policy_zone_armed(zone), 0,
           "it is dropped when that is long over");
    zone_agrees("without it");

    /* one that is made due is another version */

    zone_at(T0);
    host_another();
    record = first;
    host_hear();

    record.moved = 1;
    record.changed++;
    record.until = T0;
    is_int(host_hear(), APPLIED, "one that is made due");
    is_int(zone_ask(&id), PROBE, "is so at once");
    zone_agrees("when it is due");

    host_another();
    record = first;
    record.source = API;
    record.until = NEVER;
    record.changed += 5;
    host_hear();
    is_int(host_hear(), SAME, "a frozen one");
    zone_ask(&id);
    is_int(view.until, NEVER, "stays so");

    /* what ended isn't armed again by its own version */

    host_another();
    record = first;
    record.armed = 0;
    record.group = 0;
    host_hear();
    is_int(host_hear(), SAME, "an end");
    is_int(zone_ask(&id), PASS, "stays one");
}


int
main(void)
{
    test_apply_lease();
    test_apply_due();

    return tap_done();
}
