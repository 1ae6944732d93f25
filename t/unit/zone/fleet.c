
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a host tells others of its states, and of what it takes over
 * from them.
 */


#include "zone.h"


#define APPLIED      NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED
#define SAME         NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME
#define OLDER        NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER
#define UNREAD       NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD

#define NEVER        NGX_HTTP_GRAPH_POLICY_NEVER
#define AHEAD        NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD
#define LONGEST      (24 * HOUR)      /* a hold */


static uint64_t  told;      /* marks so far */
static record_t  record;


static ngx_int_t
next(void)
{
    return ngx_http_graph_policy_fleet_next(zone, &told, &record);
}


/* the last of what there is to tell, in "record" */

static ngx_uint_t
tell(void)
{
    record_t    last;
    ngx_uint_t  n;

    n = 0;
    last = record;

    while (next() == NGX_OK) {
        last = record;
        n++;
    }

    record = last;

    return n;
}


/* Another host hears "record", which stays as it is. */

static ngx_uint_t
hear(void)
{
    record_t  copy;

    copy = record;

    return ngx_http_graph_policy_fleet_apply(zone, &copy, now, &changes, &view);
}


/* A host that has nothing yet, "there". */

static void
another(void)
{
    uint64_t  at;

    at = now;
    zone_start_shared(ZONE_SIZE);
    zone_at(at);
    ngx_str_set(&zone_sharing.name, "there");
    told = 0;
}


static void
start(void)
{
    zone_start_shared(ZONE_SIZE);
    told = 0;
}


static void
test_tell(void)
{
    identity_t  id;

    start();
    is_int(next(), NGX_DONE, "at first there is nothing to tell");

    id = zone_who("10001", "20001", 7);
    zone_failure(131045, ANSWER);
    zone_trace("tr_1");
    facts.has_subcode = 1;
    facts.subcode = 12;
    zone_learn(&id);
    zone_ask(&id);

    is_int(zone_sharing.marked, 0, "whoever tells is woken");
    is_int(next(), NGX_OK, "a state is told");
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
    is_int(next(), NGX_DONE, "that is all");

    /* whom a bound state covers */

    zone_fail(&id, 33, ANSWER);
    is_int(next(), NGX_OK, "a bound state");
    is_int(record.credential, 7, "names its token");
    is_int(record.setter, 0, "and nobody as who has set it");

    /* a probe that is on its way, and its end */

    zone_at(T0 + 2 * HOLD);
    id.credential = 8;
    is_int(zone_ask(&id), PROBE, "a probe");
    is_int(tell(), 1, "is told");
    is_int(record.lease_until, now + NGX_HTTP_GRAPH_POLICY_LEASE,
           "with its lease");
    is_int(record.setter_leased, 0, "which isn't the setter's");
    zone_at(now + 1000);
    ngx_http_graph_policy_zone_renew(zone, cover.refs, 1, now);
    is_int(tell(), 1, "and so is its renewal");
    is_int(record.lease_until, now + NGX_HTTP_GRAPH_POLICY_LEASE,
           "with its end");
    zone_at(now + NGX_HTTP_GRAPH_POLICY_LEASE);
    id.credential = 7;
    is_int(zone_ask(&id), PROBE, "the setter probes");
    tell();
    ok(record.lease_until != 0, "under a lease");

    start();
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    tell();
    is_int(record.setter_leased, 1, "that is told to be the setter's");

    /* the one that lasts longest is told */

    zone_at(now + NGX_HTTP_GRAPH_POLICY_LEASE - 1);
    ngx_http_graph_policy_fleet_tell(zone, record.hash, record.reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    tell();
    is_int(record.setter_leased, 1, "while it lasts");
    zone_at(now + 1);
    ngx_http_graph_policy_fleet_tell(zone, record.hash, record.reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    is_int(tell(), 1, "what is to be told once more is");
    is_int(record.setter_leased, 0, "and no longer");

    /* a status that is awaited */

    start();
    zone->memory = 600000;
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    tell();
    is_int(record.message, 55, "a status that is awaited is told");
    is_int(record.lease_until, now + CONFIRM, "with the end of the wait");
    is_int(record.setter_leased, 0, "which is nobody's");

    ngx_http_graph_policy_zone_end(zone, record.hash, record.reason, now,
                                   &changes);
    is_int(tell(), 1, "an end is told");
    is_int(record.armed, 0, "as one");
    is_int(record.lease_until, 0, "without a lease");
}


static void
test_marks(void)
{
    uint64_t    pos;
    ngx_uint_t  i, size;
    identity_t  id;

    start();
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

    start();

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

    start();
    id = zone_to("10001", NULL, 7, 99);
    zone_fail(&id, 131056, ANSWER);
    is_int(next(), NGX_OK, "a pair's state is told");
    is_int(record.kind, KEY_CONVERSATION, "as such");
    is_int(record.pair, record.hash, "by its place");
    is_int(record.key.len, 0, "and names nobody");

    /* what a customer writes isn't told, but an end is */

    id.conversation = 98;
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(next(), NGX_DONE, "what customers write isn't told");

    /* a host that shares no conversations tells none */

    start();
    zone_sharing.conversations = 0;
    zone_fail(&id, 131056, ANSWER);
    zone_fail(&id, 131047, ANSWER);
    is_int(next(), NGX_DONE, "who shares no conversations tells of none");
    is_int(sh->fleet->head, 0, "nor marks one");
    ngx_http_graph_policy_fleet_tell(zone, view.hash, view.stored_reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    id.conversation = 97;
    zone_fail(&id, 131056, ANSWER);
    ngx_http_graph_policy_fleet_tell(zone, view.hash, view.stored_reason,
                                     NGX_HTTP_GRAPH_POLICY_MARK_STATE);
    is_int(next(), NGX_DECLINED, "even if it is marked");
    is_int(next(), NGX_DECLINED, "each time");
}


static void
test_apply(void)
{
    uint64_t    until;
    record_t    first;
    identity_t  id;

    start();
    id = zone_who("10001", "20001", 7);
    zone_failure(131045, ANSWER);
    zone_trace("tr_1");
    zone_learn(&id);
    zone_ask(&id);
    tell();
    first = record;

    another();
    is_int(hear(), APPLIED, "another host takes it over");
    is_int(view.transition, SET, "as set");
    is_int(changes.n, 0, "and tells nobody of it");
    is_mem(view.node, view.node_len, "here", 4, "but where it was set");
    is_int(view.blocked, 0, "what is blocked is counted by each");
    is_int(next(), NGX_DONE, "nothing is told back");
    is_int(zone_ask(&id), BLOCK, "it blocks here, too");
    is_int(view.reason, DISCONNECTED, "for that reason");
    is_int(view.code, 131045, "code");
    is_int(view.since, T0, "since then");
    is_mem(view.trace, view.trace_len, "tr_1", 4, "with its trace");
    ok(view.until >= T0 + HOLD && view.until <= T0 + HOLD + HOLD / 10,
       "until about then");
    zone_agrees("after that");

    id.credential = 8;
    is_int(zone_ask(&id), BLOCK, "for everyone");

    is_int(hear(), SAME, "the same once more is nothing");
    is_int(view.transition, NOTHING, "and changes nothing");

    record.changed--;
    is_int(hear(), OLDER, "what is older isn't taken");
    record = first;
    record.changed += 5;
    record.stale = 1;
    is_int(hear(), OLDER, "nor what is stale");
    record.stale = 0;
    record.hold = 3 * HOLD;
    record.until = record.changed + record.hold;
    record.node.len = 0;
    is_int(hear(), APPLIED, "what is newer is");
    is_int(view.transition, REARMED, "as re-armed");
    is_int(view.node_len, 0, "and nobody knows where");
    is_int(view.hold, 3 * HOLD, "with what it says");
    ok(view.until >= T0 + 3 * HOLD, "until later");

    record.changed += 5;
    record.armed = 0;
    is_int(hear(), APPLIED, "an end is taken over");
    is_int(view.transition, CLEARED, "as such");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");
    is_int(zone_ask(&id), PASS, "all pass");
    record.changed += 5;
    is_int(hear(), APPLIED, "another end");
    is_int(view.transition, NOTHING, "isn't shown");
    is_int(next(), NGX_DONE, "still nothing is told back");
    zone_agrees("after an end");

    /* the jitter is each host's own, but a hastened end is as it is told */

    another();
    record = first;
    record.until = T0 + HOLD - 3000;
    hear();
    is_int(view.until, T0 + HOLD - 3000, "a hastened end is taken as it is");
    another();
    record = first;
    record.since = first.changed + 500;
    hear();
    is_int(view.since, first.changed, "a start is no later than the change");

    /* nothing is believed that is ahead, or over, or stale */

    another();
    record = first;
    record.changed = now + AHEAD + 1;
    is_int(hear(), UNREAD, "what is too far ahead is no record");
    record.changed = now + AHEAD;
    record.until = record.changed + HOLD;
    is_int(hear(), APPLIED, "a bit ahead it is");
    another();
    record = first;
    record.stale = 1;
    is_int(hear(), OLDER, "what is stale isn't taken");
    record = first;
    zone_at(now + 2 * HOLD + NGX_HTTP_GRAPH_POLICY_ABANDONED);
    is_int(hear(), SAME, "nor what is long over");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");

    zone_at(T0);
    another();
    record = first;
    record.key.len = 0;
    is_int(hear(), UNREAD, "nor what names nobody");
    record = first;
    record.type = NGX_HTTP_GRAPH_POLICY_RECORD_HEAD;
    is_int(hear(), UNREAD, "nor what is no state");
    is_int(zone_sharing.applying, 0, "and it is over with that");

    /* no text may block for longer than a hold can */

    another();
    record = first;
    record.hold = (uint64_t) 1 << 40;
    record.until = NEVER - 1;
    is_int(hear(), APPLIED, "a long hold is taken over");
    until = now + LONGEST + LONGEST / 10;
    ok(view.until <= until, "as the longest that there is");

    /* frozen by hand it is for good, elsewhere as well */

    another();
    record = first;
    record.source = API;
    record.until = NEVER;
    is_int(hear(), APPLIED, "a frozen state");
    is_int(view.until, NEVER, "has no end");
}


static void
test_apply_kinds(void)
{
    ngx_uint_t  i;
    identity_t  id;

    static struct {
        int64_t      code;
        ngx_uint_t   kind;
        const char  *account;
    } kinds[] = {
        { 190, KEY_CREDENTIAL, "20001" },
        { 131042, KEY_ACCOUNT, "20001" },
        { 131042, KEY_ACCOUNT_PHONE, NULL },
        { 33, KEY_PHONE, NULL },
        { 130429, KEY_PHONE, NULL },
        { 131056, KEY_CONVERSATION, NULL }
    };

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        start();
        id = zone_to("10001", kinds[i].account, 7, 99);
        zone_failure(kinds[i].code, ANSWER);
        failure.hold = HOLD;
        zone_learn(&id);
        is_int(view.kind, kinds[i].kind, "a state of kind %d", (int) i);
        is_int(tell(), 1, "is told");

        another();
        is_int(hear(), APPLIED, "and taken over");
        is_int(zone_ask(&id), BLOCK, "it blocks");
        is_int(view.kind, kinds[i].kind, "as what it is");
        id.credential = 8;
        is_int(zone_ask(&id), (i == 0 || i == 3) ? PASS : BLOCK,
               "whom it blocked");
        zone_agrees("with it");
    }

    another();
    zone_sharing.conversations = 0;
    is_int(hear(), SAME, "who shares no conversations takes none over");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");

    /* groups are the same everywhere, as the key is */

    start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    tell();
    another();
    hear();
    id = zone_who("10002", "20001", 8);
    zone_fail(&id, 131045, ANSWER);
    is_int(view.reason, DISCONNECTEDS, "phones of two hosts are one account's");
    record.changed += 5;
    record.group = 0;
    hear();
    zone_ask(&id);
    is_int(view.reason, DISCONNECTED, "until it is told otherwise");
    zone_agrees("after a move");
}


static void
test_apply_lease(void)
{
    uint32_t    lease;
    record_t    first, leased;
    identity_t  id;

    start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    tell();
    first = record;
    zone_at(T0 + 2 * HOLD);
    is_int(zone_ask(&id), PROBE, "a probe on one host");
    tell();
    leased = record;

    another();
    record = first;
    hear();
    record = leased;
    is_int(hear(), SAME, "is known on the other one");
    is_int(zone_ask(&id), BLOCK, "where nobody else probes");
    is_int(view.leased, 1, "while it is on its way");
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_LEASE, "as long as that");
    record = first;
    is_int(hear(), SAME, "without a lease it is over");
    is_int(zone_ask(&id), PROBE, "and another one probes");
    lease = cover.refs[0].lease;
    record = leased;
    hear();
    zone_query()->lease = lease;
    is_int(zone_admit(&id), PROBE, "its own probe goes on");
    record = first;
    hear();
    zone_query()->lease = cover.refs[0].lease;
    is_int(zone_admit(&id), PROBE, "whatever is heard of others");

    /* a lease of a new state, and one that is too long to be believed */

    another();
    record = leased;
    is_int(hear(), APPLIED, "a state is told while it is probed");
    is_int(zone_ask(&id), BLOCK, "nobody probes here");
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_LEASE, "for as long");
    another();
    record.lease_until = now + HOUR;
    hear();
    zone_ask(&id);
    is_int(view.until, now + NGX_HTTP_GRAPH_POLICY_LEASE,
           "no lease is longer than one can be");
    another();
    record.lease_until = now;
    hear();
    is_int(zone_ask(&id), PROBE, "one that is over is none");

    /* the setter's own doesn't stop others of it, but the others' does */

    start();
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    tell();
    another();
    hear();
    is_int(zone_ask(&id), BLOCK, "the setter's probe stops the setter");
    id.credential = 8;
    is_int(zone_ask(&id), BLOCK, "and others");
    another();
    record.setter_leased = 0;
    hear();
    id.credential = 7;
    is_int(zone_ask(&id), PROBE, "a stranger's doesn't stop the setter");

    /* an awaited status: whoever gets it ends the state */

    start();
    zone->memory = 600000;
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    tell();
    leased = record;
    another();
    hear();
    is_int(zone_ask(&id), BLOCK, "a status is awaited");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1,
           "and is known to be, as else nobody looks at statuses");
    is_int(view.until, now + CONFIRM, "for the wait");
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, NULL, now, &changes);
    is_int(changes.views[0].transition, CLEARED, "and may come here");
    is_int(tell(), 1, "then it is told back");

    another();
    record = leased;
    record.lease_until = now + HOUR;
    hear();
    zone_ask(&id);
    is_int(view.until, now + CONFIRM, "no wait is longer than its own");

    record = leased;
    record.message = 0;
    is_int(hear(), SAME, "who has awaited one awaits it still");
    zone_ask(&id);
    is_int(view.until, now + CONFIRM, "whoever else probes");
    record = leased;
    record.lease_until = 0;
    record.message = 55;
    hear();
    is_int(ngx_http_graph_policy_zone_awaited(zone), 0, "none is awaited");
    is_int(zone_ask(&id), PROBE, "when that is over");

    another();
    record = leased;
    record.message = 0;
    record.lease_until = 0;
    hear();
    record = leased;
    is_int(hear(), SAME, "what is awaited in the same version");
    is_int(ngx_http_graph_policy_zone_awaited(zone), 1, "is awaited, too");
    zone_at(now + CONFIRM);
    is_int(zone_ask(&id), PASS, "the end of the wait ends the state here");
    is_int(changes.views[0].transition, CLEARED, "and is told");
    zone_at(now - CONFIRM);

    /* a wait that is over gives way to another host's */

    another();
    record = leased;
    hear();
    zone_at(now + CONFIRM);
    record.message = 66;
    record.lease_until = now + CONFIRM;
    is_int(hear(), SAME, "another probe's message");
    is_int(zone_ask(&id), BLOCK, "is awaited when the first one's wait is over");
    is_int(view.until, now + CONFIRM, "as long as that");
    zone_at(now - CONFIRM);

    /* a change ends what was on its way */

    another();
    record = leased;
    hear();
    record.changed++;
    record.until = record.changed + record.hold;
    record.message = 0;
    record.lease_until = 0;
    hear();
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
    identity_t  id;

    /* in the same version the time it is due is as heard last */

    start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    tell();
    first = record;

    another();
    hear();
    until = view.until;
    is_int(hear(), SAME, "a plain hold");
    zone_ask(&id);
    is_int(view.until, until, "keeps the jitter that it has");

    ngx_http_graph_policy_zone_lock(zone);
    ngx_http_graph_policy_zone_unlock(zone);

    record.until = T0 + 1000;
    is_int(hear(), SAME, "one that is hastened");
    zone_ask(&id);
    ok(view.until >= T0 + 1000 && view.until <= T0 + 1100,
       "is due when that says, or a bit later");
    record.until = T0;
    hear();
    is_int(zone_ask(&id), PROBE, "or at once");
    zone_agrees("when it is due");

    another();
    record = first;
    record.source = API;
    record.until = NEVER;
    record.changed += 5;
    hear();
    is_int(hear(), SAME, "a frozen one");
    zone_ask(&id);
    is_int(view.until, NEVER, "stays so");

    /* what ended isn't armed again by its own version */

    another();
    record = first;
    record.armed = 0;
    record.group = 0;
    hear();
    is_int(hear(), SAME, "an end");
    is_int(zone_ask(&id), PASS, "stays one");
}


static void
test_apply_link(void)
{
    uint64_t    pos;
    identity_t  id;

    start();
    id = zone_who("10001", "20001", 0);
    id.number = 77;
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    tell();

    another();
    is_int(hear(), APPLIED, "a link is taken over");
    is_int(view.transition, NOTHING, "without a word");
    id = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_mem(id.account.data, id.account.len, "20001", 5, "the phone is known");
    is_int(hear(), SAME, "once more it is nothing");
    record.confirmed--;
    is_int(hear(), OLDER, "an older one isn't taken");
    record.confirmed += 5;
    record.account.len = 4;
    is_int(hear(), APPLIED, "a newer one is");
    id = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_int(id.account.len, 4, "with another account");
    record.confirmed = now + AHEAD + 1;
    is_int(hear(), UNREAD, "one that is ahead isn't");
    record.confirmed = now + AHEAD;
    is_int(hear(), APPLIED, "but a bit ahead");
    record.confirmed++;
    record.account.len = 0;
    zone_at(now + 10);
    is_int(hear(), SAME, "nor one that names no account");

    pos = 0;
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_DONE,
           "nothing is told back");
    zone_agrees("with a link");
}


static void
test_apply_conversation(void)
{
    record_t    first;
    identity_t  id;

    start();
    id = zone_to("10001", "20001", 7, 99);
    zone_failure(131047, WEBHOOK);
    facts.has_subcode = 1;
    facts.subcode = 12;
    zone_learn(&id);
    tell();
    first = record;

    is_int(record.type, NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION,
           "a limit is told as one");
    is_int(record.hash, view.hash, "by its place");
    is_int(record.conversation, view.hash, "twice");
    is_int(record.reason, WINDOW, "with its reason");
    is_int(record.source, WEBHOOK, "source");
    is_int(record.since, T0, "start");
    is_int(record.until, T0 + GATE, "end");
    is_int(record.changed, T0, "cause");
    is_int(record.hold, GATE, "hold");
    is_int(record.status, 400, "status");
    is_int(record.armed, 1, "that it is one");
    is_int(record.fixed, 0, "by no rule");
    is_int(record.inbound, 0, "nobody wrote");
    is_int(record.dry_run, 0, "in force");
    is_int(record.code, 131047, "code");
    is_int(record.subcode, 12, "and subcode");
    is_mem(record.node.data, record.node.len, "here", 4, "and this host");

    another();
    is_int(hear(), APPLIED, "another host takes it over");
    is_int(view.transition, SET, "as set");
    is_int(view.until, T0 + GATE, "until then");
    is_int(view.code, 131047, "with its code");
    is_int(view.subcode, 12, "and subcode");
    is_int(view.status, 400, "and status");
    is_int(view.source, WEBHOOK, "and source");
    is_mem(view.node, view.node_len, "here", 4, "and its host");
    is_int(changes.n, 0, "and tells nobody of it");
    is_int(next(), NGX_DONE, "least of all that host");
    is_int(zone_ask(&id), BLOCK, "it blocks");
    zone_agrees("with a limit");

    is_int(hear(), SAME, "the same once more is nothing");
    record.changed -= 1000;
    is_int(hear(), OLDER, "an older one isn't taken");
    record = first;
    record.changed += 2000;
    record.dry_run = 1;
    record.fixed = 1;
    is_int(hear(), APPLIED, "a newer one is");
    is_int(view.transition, REARMED, "as re-armed");
    is_int(view.dry_run, 1, "as it says");
    is_int(view.blocked, 1, "it goes on counting");
    is_int(zone_ask(&id), DRY_RUN, "in dry run");

    record.changed += 2000;
    record.armed = 0;
    record.inbound = 1;
    record.since = record.changed;
    is_int(hear(), APPLIED, "an end is taken over");
    is_int(view.transition, CLEARED, "as such");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    is_int(zone_ask(&id), PASS, "all pass");
    record.changed += 2000;
    is_int(hear(), APPLIED, "another end");
    is_int(view.transition, NOTHING, "isn't shown");
    record.changed += 2000;
    record.armed = 1;
    record.inbound = 0;
    record.dry_run = 0;
    is_int(hear(), APPLIED, "another limit");
    is_int(view.transition, SET, "is set");
    is_int(view.blocked, 0, "and counts from nothing");

    /* what isn't believed */

    another();
    record = first;
    record.changed = now + AHEAD + 1;
    is_int(hear(), UNREAD, "what is ahead is no record");
    record.changed = now + AHEAD;
    is_int(hear(), APPLIED, "but a bit ahead");

    another();
    record = first;
    record.until = now;
    is_int(hear(), SAME, "what is over isn't taken");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    record.until = now + 1;
    is_int(hear(), APPLIED, "what is nearly over is");
    another();
    record = first;
    record.hold = (uint64_t) 1 << 40;
    record.until = now + (record.hold = (uint64_t) 1 << 40);
    hear();
    is_int(view.until, now + 24 * HOUR, "no limit is longer than a day");
    another();
    record = first;
    record.hold = 1000;
    hear();
    is_int(view.until, now + 1000, "nor than its hold");
    another();
    record = first;
    record.armed = 0;
    record.hold = 1000;
    record.until = now + GATE;
    is_int(hear(), APPLIED, "a memory may be longer");
    zone_at(now + GATE - 1);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh, first.hash) != NULL,
       "as long as it says");
    ngx_http_graph_policy_zone_unlock(zone);
    zone_at(T0);

    another();
    zone->conversation_hold = 0;
    record = first;
    is_int(hear(), SAME, "who has no gate takes none over");
    zone->conversation_hold = GATE;
    zone_sharing.conversations = 0;
    is_int(hear(), SAME, "nor does who shares none");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    is_int(zone_sharing.applying, 0, "and it is over with that");
}


static void
test_is_over(void)
{
    identity_t  id;

    start();
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131045, ANSWER);
    tell();
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
    tell();
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record,
                                               record.until - 1),
           0, "a limit is needed");
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, record.until),
           1, "up to its end");

    id = zone_who("10001", "20001", 0);
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    tell();
    is_int(ngx_http_graph_policy_fleet_is_over(zone, &record, NEVER), 0,
           "a link always");
}


int
main(void)
{
    test_tell();
    test_marks();
    test_limits();
    test_apply();
    test_apply_kinds();
    test_apply_lease();
    test_apply_due();
    test_apply_link();
    test_apply_conversation();
    test_is_over();

    return tap_done();
}
