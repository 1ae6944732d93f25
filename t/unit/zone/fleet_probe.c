
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what becomes of a probe on several hosts: whoever it is that changes
 * a state's end alone makes no other version of it, all hosts get that end, and
 * a wait for a status ends for all or for none.
 */


#include "host.h"
#include "ngx_http_graph_policy_merge.h"


/* what a state is as it is set on the first host, and due */

static identity_t
state_due(ngx_uint_t source)
{
    identity_t  id;

    host_start();
    zone->memory = 600000;
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, source);
    host_tell();
    zone_at(T0 + 2 * HOLD);

    return id;
}


/* another host that has heard of it, and not of more */

static void
host_with(record_t *first)
{
    record_t  heard;

    heard = record;
    host_another();
    zone->memory = 600000;
    record = *first;
    host_hear();
    record = heard;
}


static void
test_without_outcome(void)
{
    record_t    first;
    identity_t  id;

    id = state_due(ANSWER);
    first = record;

    host_with(&first);
    is_int(zone_ask(&id), PROBE, "another host probes");
    zone_answer(&id, NGX_HTTP_GRAPH_POLICY_PROOF_NOTHING);
    zone_settle(0);
    is_int(host_tell(), 1 + 1, "its lease is told, and that it told nothing");
    is_int(record.changed, first.changed, "that is no change of the state");
    is_mem(record.node.data, record.node.len, "here", 4,
           "nor is it another host's by that");
    is_int(record.moved, 1, "but another end");

    host_with(&first);
    is_int(host_hear(), SAME, "so it is the same state elsewhere");
    is_int(zone_ask(&id), BLOCK, "and nobody probes");
    ok(view.until >= now + NGX_HTTP_GRAPH_POLICY_RETRY_HOLD
       && view.until <= now + NGX_HTTP_GRAPH_POLICY_RETRY_HOLD / 10 * 11,
       "before that end");

    /* while the hold was still running here, as it is longer */

    first.until = now + HOLD;
    first.changed = now - HOLD / 20;
    record.changed = first.changed;
    record.until = now + HOLD / 20;
    host_with(&first);
    zone_ask(&id);
    ok(view.until >= first.changed + HOLD, "a hold that is running");
    host_hear();
    zone_ask(&id);
    ok(view.until <= now + HOLD / 20 + HOLD / 10, "ends there, too");
}


/* a probe that was none leaves the state due, everywhere */

static void
test_given_back(void)
{
    record_t    first;
    identity_t  id;

    id = state_due(ANSWER);
    first = record;

    is_int(zone_ask(&id), PROBE, "a probe");
    is_int(host_tell(), 1, "is told");
    host_with(&first);
    host_hear();
    is_int(zone_ask(&id), BLOCK, "and waited for");

    id = state_due(ANSWER);
    zone_ask(&id);
    host_tell();
    zone_failure(100, ANSWER);
    zone_answer(&id, ERROR);
    zone_settle(0);
    is_int(host_tell(), 1, "that it was none is told");
    is_int(record.lease_until, 0, "as nobody has the lease");

    host_with(&first);
    host_hear();
    is_int(zone_ask(&id), PROBE, "and another host probes at once");
}


/* the probe of the one who set it, and another host's, beside each other */

static void
test_beside(void)
{
    uint32_t    lease;
    record_t    first, other;
    identity_t  id, stranger;

    id = state_due(ANSWER);
    stranger = zone_who("10001", "20001", 8);
    first = record;

    is_int(zone_ask(&id), PROBE, "the setter probes");
    host_tell();
    other = record;
    is_int(other.setter_leased, 1, "which is told");

    host_with(&first);
    is_int(zone_ask(&stranger), PROBE, "and a stranger elsewhere");
    lease = cover.refs[0].lease;
    record = other;
    is_int(host_hear(), SAME, "where the setter's is heard of then");
    is_int(zone_ask(&id), BLOCK, "so there is no third one");
    zone_query()->lease = lease;
    is_int(zone_admit(&stranger), PROBE, "and the stranger's goes on");
    lease = cover.refs[0].lease;

    record = first;
    record.moved = 1;
    record.until = now + HOLD;
    host_hear();
    zone_query()->lease = lease;
    is_int(zone_admit(&stranger), PROBE, "also if the setter's told nothing");
    is_int(zone_ask(&id), BLOCK, "which nobody else probes after at once");

    /* an accepted one takes the place of both, as on one host */

    record = other;
    record.setter_leased = 0;
    record.message = 55;
    record.lease_until = now + CONFIRM;
    host_hear();
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "a status is awaited");
}


/* a wait ends for all hosts, or for none */

static void
test_wait(void)
{
    record_t    first, waits;
    identity_t  id;

    id = state_due(WEBHOOK);
    first = record;
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    host_tell();
    waits = record;
    is_int(waits.message, 55, "a status is awaited");
    is_mem(waits.node.data, waits.node.len, "here", 4, "of the same version");

    host_with(&waits);
    zone_failure(131026, WEBHOOK);
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, &failure, now, &changes);
    host_tell();
    is_int(record.message, 0, "one that says nothing of it ends the wait");
    is_int(record.moved, 1, "and puts the next probe off");

    host_with(&waits);
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "elsewhere");
    is_int(host_hear(), APPLIED, "it is heard of, as a newer version");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0, "and ends it, too");
    zone_at(now + 2 * CONFIRM);
    is_int(zone_ask(&id), PROBE, "so nothing has ended the state");
    zone_at(now - 2 * CONFIRM);

    /* old news of the same version doesn't end a wait that is over */

    host_with(&waits);
    zone_at(now + CONFIRM);
    record = first;
    is_int(host_hear(), SAME, "what was told before that, told again");
    is_int(zone_ask(&id), PASS, "leaves the state ended");
    is_int(changes.views[0].transition, CLEARED, "by the wait");
    zone_at(now - CONFIRM);
}


/* what is read once more is no news of leases */

static void
test_known(void)
{
    record_t    first;
    identity_t  id;

    id = state_due(ANSWER);
    first = record;
    zone_ask(&id);
    host_tell();

    host_with(&first);
    record.known = 1;
    is_int(host_hear(), SAME, "a lease that is read once more");
    is_int(zone_ask(&id), PROBE, "may be over for long");
}


/* made due on one host, it is so on all, and their leases end */

static void
test_made_due(void)
{
    record_t    first;
    identity_t  id;

    id = state_due(ANSWER);
    first = record;
    zone_at(T0 + HOLD / 2);
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    is_int(host_tell(), 1, "made due");
    is_int(record.changed, first.changed + 1, "it is a newer version");

    zone_at(T0 + 2 * HOLD);
    host_with(&first);
    zone_ask(&id);
    is_int(host_hear(), APPLIED, "that ends what another host has given away");
    is_int(zone_ask(&id), PROBE, "so the next message probes there");

    /* where the hold is over here, and still running there */

    id = state_due(ANSWER);
    first = record;
    first.changed = now - HOLD - 1;
    first.until = first.changed + HOLD + 1;
    host_with(&first);
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    is_int(host_tell(), 1, "made due where it is due already");
    is_int(record.moved, 1, "by more than the hold's end");
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    is_int(host_tell(), 0, "which is told once");

    first.until = first.changed + HOLD + HOLD / 10;
    first.moved = 1;
    host_with(&first);
    is_int(zone_ask(&id), BLOCK, "another host's hold runs a little longer");
    is_int(host_hear(), APPLIED, "which hears of it");
    is_int(zone_ask(&id), PROBE, "and lets the next message probe, too");
}


/* a temporary state is the same on the host that hears of it */

static void
test_temporary(void)
{
    record_t    first;
    identity_t  id;

    host_start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 130429, ANSWER);
    host_tell();
    first = record;

    host_another();
    host_hear();
    ngx_http_graph_policy_fleet_tell(zone, view.hash, first.reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    is_int(host_tell(), 1, "a temporary state, told back");

    first.hash = record.hash;
    is_int(ngx_http_graph_policy_merge_compare(&record, &first), 0,
           "is what was told");
}


int
main(void)
{
    test_without_outcome();
    test_given_back();
    test_beside();
    test_wait();
    test_known();
    test_made_due();
    test_temporary();

    return tap_done();
}
