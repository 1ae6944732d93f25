
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a host tells others of its states.
 */


#include "host.h"


static void
test_tell(void)
{
    identity_t  id;

    host_start();
    is_int(host_next(), NGX_DONE, "at first there is nothing to tell");

    id = zone_who("10001", "20001", 7);
    zone_failure(131045, ANSWER);
    zone_trace("tr_1");
    facts.has_subcode = 1;
    facts.subcode = 12;
    zone_learn(&id);
    zone_ask(&id);

    is_int(zone_sharing.marked, 0, "whoever tells is woken");
    is_int(host_next(), NGX_OK, "a state is told");
    is_int(record.type, NGX_HTTP_GRAPH_POLICY_RECORD_STATE, "as a state");
    is_int(record.hash, view.hash, "by its place");
    is_int(record.kind, KEY_PHONE, "its kind");
    is_int(record.pair, 0, "of no pair");
    is_mem(record.key.data, record.key.len, "10001", 5, "its name");
    is_mem(record.trace.data, record.trace.len, "tr_1", 4, "its trace");
    is_mem(record.node.data, record.node.len, "here", 4, "and this host's");
    is_int(record.category, NGX_HTTP_GRAPH_POLICY_FATAL, "its category");
    is_int(record.reason, DISCONNECTED, "reason");
    is_int(record.source, ANSWER, "source");
    is_int(record.credential, 0, "for everyone");
    is_int(record.setter, 7, "who has set it");
    ok(record.group != 0, "its group");
    is_int(record.since, T0, "its start");
    is_int(record.until, view.until, "its end");
    is_int(record.changed, T0, "when it changed");
    is_int(record.hold, HOLD, "its hold");
    is_int(record.max, MAX, "how far that grows");
    is_int(record.confirm, CONFIRM, "the wait for a status");
    is_int(record.holds, 1, "that it is the first");
    is_int(record.blocked, 1, "what it has blocked");
    is_int(record.status, 400, "its status");
    is_int(record.armed, 1, "that it is armed");
    is_int(record.dry_run, 0, "in force");
    is_int(record.frozen, 0, "not frozen");
    is_int(record.code, 131045, "its code");
    is_int(record.subcode, 12, "and subcode");
    is_int(record.lease_until, 0, "nobody probes");
    is_int(record.message, 0, "no status is awaited");
    is_int(host_next(), NGX_DONE, "that is all");

    /* whom a bound state covers */

    zone_fail(&id, 33, ANSWER);
    is_int(host_next(), NGX_OK, "a bound state");
    is_int(record.credential, 7, "names its token");
    is_int(record.setter, 0, "and nobody as who has set it");

    /* a probe that is on its way, and its end */

    zone_at(T0 + 2 * HOLD);
    id.credential = 8;
    is_int(zone_ask(&id), PROBE, "a probe");
    is_int(host_tell(), 1, "is told");
    is_int(record.lease_until, now + NGX_HTTP_GRAPH_POLICY_LEASE,
           "with its lease");
    is_int(record.setter_leased, 0, "which isn't the setter's");
    zone_at(now + 1000);
    ngx_http_graph_policy_zone_renew(zone, cover.refs, 1, now);
    is_int(host_tell(), 1, "and so is its renewal");
    is_int(record.lease_until, now + NGX_HTTP_GRAPH_POLICY_LEASE,
           "with its end");
    zone_at(now + NGX_HTTP_GRAPH_POLICY_LEASE);
    id.credential = 7;
    is_int(zone_ask(&id), PROBE, "the setter probes");
    host_tell();
    ok(record.lease_until != 0, "under a lease");

    host_start();
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    host_tell();
    is_int(record.setter_leased, 1, "that is told to be the setter's");

    /* the one that lasts longest is told */

    zone_at(now + NGX_HTTP_GRAPH_POLICY_LEASE - 1);
    ngx_http_graph_policy_fleet_tell(zone, record.hash, record.reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    host_tell();
    is_int(record.setter_leased, 1, "while it lasts");
    zone_at(now + 1);
    ngx_http_graph_policy_fleet_tell(zone, record.hash, record.reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    is_int(host_tell(), 1, "what is to be told once more is");
    is_int(record.setter_leased, 0, "and no longer");

    /* a status that is awaited */

    host_start();
    zone->memory = 600000;
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    host_tell();
    is_int(record.message, 55, "a status that is awaited is told");
    is_int(record.lease_until, now + CONFIRM, "with the end of the wait");
    is_int(record.setter_leased, 0, "which is nobody's");

    ngx_http_graph_policy_zone_end(zone, record.hash, record.reason, now,
                                   &changes);
    is_int(host_tell(), 1, "an end is told");
    is_int(record.armed, 0, "as one");
    is_int(record.lease_until, 0, "without a lease");
}


static void
test_marks(void)
{
    uint64_t    pos;
    ngx_uint_t  i, size;
    identity_t  id;

    host_start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    zone_fail(&id, 131042, ANSWER);

    pos = 0;
    is_int(sh->fleet->head - sh->fleet->tail, 2, "two are to be told");
    ngx_http_graph_policy_fleet_next(zone, &pos, &record);
    is_int(pos, 1, "each is told in its turn");
    is_int(record.reason, DISCONNECTED, "the first one first");
    ngx_http_graph_policy_fleet_told(zone, 1);
    is_int(sh->fleet->tail, 1, "one was");
    ngx_http_graph_policy_fleet_told(zone, 3);
    is_int(sh->fleet->tail, 1, "what isn't there wasn't");
    ngx_http_graph_policy_fleet_told(zone, 0);
    is_int(sh->fleet->tail, 1, "what was told stays so");
    pos = 0;
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record),
           NGX_DECLINED, "and isn't told again");
    is_int(pos, 1, "but what comes behind it");
    pos = 9;
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record),
           NGX_DECLINED, "nor is there anything ahead");
    is_int(pos, 1, "it goes on where it was");
    ngx_http_graph_policy_fleet_told(zone, 2);
    is_int(sh->fleet->tail, 2, "all are told");

    /* what is gone isn't told */

    ngx_http_graph_policy_fleet_tell(zone, 12345, DISCONNECTED,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    ngx_http_graph_policy_fleet_tell(zone, 12345, 0,
                                     NGX_HTTP_GRAPH_POLICY_MARK_LINK);
    ngx_http_graph_policy_fleet_tell(zone, 12345, 0,
                                     NGX_HTTP_GRAPH_POLICY_MARK_CONVERSATION);
    pos = 2;

    for (i = 0; i < 3; i++) {
        is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record),
               NGX_DECLINED, "what is gone isn't told");
    }

    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_DONE,
           "and that is all");
    ngx_http_graph_policy_fleet_told(zone, pos);

    /* a ring that is full: all is told anew */

    size = sh->fleet->size;

    for (i = 0; i < size; i++) {
        ngx_http_graph_policy_fleet_tell(zone, 12345, 0,
                                         NGX_HTTP_GRAPH_POLICY_MARK_LINK);
    }

    is_int(sh->fleet->walk, 0, "a ring may be full");
    is_int(sh->fleet->head - sh->fleet->tail, size, "up to its size");
    ngx_http_graph_policy_fleet_tell(zone, 12345, 0,
                                     NGX_HTTP_GRAPH_POLICY_MARK_LINK);
    is_int(sh->fleet->walk, 1, "one more, and all is to be told");
    is_int(sh->fleet->head - sh->fleet->tail, size, "nothing is lost of it");
    is_int(size, 1024, "a sixteenth of the zone is for marks");

    zone_start_shared(16 * ZONE_LARGE / 4);
    is_int(sh->fleet->size, 4096, "but no more than so many");
    zone_start_shared(32 * 1024);
    is_int(sh->fleet->size, 128, "of a small zone a few");
    is_int(zone_new(12 * 1024, &zone_sharing), NGX_ERROR,
           "in a tiny one a fleet has no room");
}


static void
test_limits(void)
{
    ngx_uint_t  i, n;
    identity_t  id;

    /* limits take a part of the ring, ends of them some more */

    host_start();

    for (i = 0; i < 300; i++) {
        id = zone_to("10001", NULL, 7, 1 + i);
        zone_fail(&id, 131047, ANSWER);
    }

    is_int(sh->fleet->head - sh->fleet->tail, 256,
           "limits take a quarter of the ring");

    n = ngx_http_graph_policy_zone_limited(zone);
    ok(n > 256, "of %d", (int) n);

    for (i = 0; i < 300; i++) {
        id = zone_to("10001", NULL, 7, 300 - i);
        ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    }

    is_int(sh->fleet->head - sh->fleet->tail, 512,
           "their ends take a half of it");

    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 131045, ANSWER);
    is_int(sh->fleet->head - sh->fleet->tail, 513, "states have the rest");

    /* a thousand a second, whoever reads them */

    zone_start_shared(ZONE_LARGE);

    for (i = 0; i < 1100; i++) {
        id = zone_to("10001", NULL, 7, 1 + i);
        zone_fail(&id, 131047, ANSWER);
        ngx_http_graph_policy_fleet_told(zone, sh->fleet->head);
    }

    is_int(sh->fleet->head, 1000, "a thousand limits are told in a second");
    id.conversation = 500;
    zone_at(now + 10);
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(sh->fleet->head, 1001, "an end always is");
    zone_at(now + 1000);
    id = zone_to("10001", NULL, 7, 5000);
    zone_fail(&id, 131047, ANSWER);
    is_int(sh->fleet->head, 1002, "the next second has its own thousand");

    /* states of pairs go by the same */

    host_start();
    id = zone_to("10001", NULL, 7, 99);
    zone_fail(&id, 131056, ANSWER);
    is_int(host_next(), NGX_OK, "a pair's state is told");
    is_int(record.kind, KEY_CONVERSATION, "as such");
    is_int(record.pair, record.hash, "by its place");
    is_int(record.key.len, 0, "and names nobody");

    /* what a customer writes isn't told, but an end is */

    id.conversation = 98;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(host_next(), NGX_DONE, "what customers write isn't told");

    /* a host that shares no conversations tells none */

    host_start();
    zone_sharing.conversations = 0;
    zone_fail(&id, 131056, ANSWER);
    zone_fail(&id, 131047, ANSWER);
    is_int(host_next(), NGX_DONE, "who shares no conversations tells of none");
    is_int(sh->fleet->head, 0, "nor marks one");
    ngx_http_graph_policy_fleet_tell(zone, view.hash, view.stored_reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    id.conversation = 97;
    zone_fail(&id, 131056, ANSWER);
    ngx_http_graph_policy_fleet_tell(zone, view.hash, view.stored_reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    is_int(host_next(), NGX_DECLINED, "even if it is marked");
    is_int(host_next(), NGX_DECLINED, "each time");
}


static void
test_is_over(void)
{
    identity_t  id;

    host_start();
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131045, ANSWER);
    host_tell();
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, now), 0,
           "a state that is armed is needed");
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, record.until
                                         + NGX_HTTP_GRAPH_POLICY_ABANDONED),
           1, "a day after its end it isn't");
    record.category = NGX_HTTP_GRAPH_POLICY_TEMPORARY;
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, record.until
                                               + NGX_HTTP_GRAPH_POLICY_COOLED),
           1, "a wait isn't after minutes");
    record.category = NGX_HTTP_GRAPH_POLICY_FATAL;
    record.armed = 0;
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record,
                                               T0 + HOLD + HOLD / 10 - 1),
           0, "an end is needed as long as its hold could last");
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record,
                                               T0 + HOLD + HOLD / 10),
           1, "and no longer");
    record.frozen = 1;
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record,
                                               T0 + HOLD + HOLD / 10),
           0, "that of a frozen one is");

    zone_fail(&id, 131047, WEBHOOK);
    host_tell();
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record,
                                               record.until - 1),
           0, "a limit is needed");
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, record.until),
           1, "up to its end");

    id = zone_who("10001", "20001", 0);
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    host_tell();
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, NEVER), 0,
           "a link always");
}


int
main(void)
{
    test_tell();
    test_marks();
    test_limits();
    test_is_over();

    return tap_done();
}
