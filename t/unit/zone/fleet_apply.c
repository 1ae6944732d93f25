
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a host takes over from others: states, links, conversations.
 */


#include "host.h"


static void
test_apply(void)
{
    uint64_t    until;
    record_t    first;
    identity_t  id;

    host_start();
    id = zone_who("10001", "20001", 7);
    zone_failure(131045, ANSWER);
    zone_trace("tr_1");
    zone_learn(&id);
    zone_ask(&id);
    host_tell();
    first = record;

    host_another();
    is_int(host_hear(), APPLIED, "another host takes it over");
    is_int(view.transition, SET, "as set");
    is_int(changes.n, 0, "and tells nobody of it");
    is_mem(view.node, view.node_len, "here", 4, "but where it was set");
    is_int(view.blocked, 0, "what is blocked is counted by each");
    is_int(host_next(), NGX_DONE, "nothing is told back");
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

    is_int(host_hear(), SAME, "the same once more is nothing");
    is_int(view.transition, NOTHING, "and changes nothing");

    record.changed--;
    is_int(host_hear(), OLDER, "what is older isn't taken");
    record = first;
    record.changed += 5;
    record.stale = 1;
    is_int(host_hear(), OLDER, "nor what is stale");
    record.stale = 0;
    record.hold = 3 * HOLD;
    record.until = record.changed + record.hold;
    record.node.len = 0;
    is_int(host_hear(), APPLIED, "what is newer is");
    is_int(view.transition, REARMED, "as re-armed");
    is_int(view.node_len, 0, "and nobody knows where");
    is_int(view.hold, 3 * HOLD, "with what it says");
    ok(view.until >= T0 + 3 * HOLD, "until later");

    record.changed += 5;
    record.armed = 0;
    is_int(host_hear(), APPLIED, "an end is taken over");
    is_int(view.transition, CLEARED, "as such");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");
    is_int(zone_ask(&id), PASS, "all pass");
    record.changed += 5;
    is_int(host_hear(), APPLIED, "another end");
    is_int(view.transition, NOTHING, "isn't shown");
    is_int(host_next(), NGX_DONE, "still nothing is told back");
    zone_agrees("after an end");

    /* the jitter is each host's own, but a hastened end is as it is told */

    host_another();
    record = first;
    record.until = T0 + HOLD - 3000;
    host_hear();
    is_int(view.until, T0 + HOLD - 3000, "a hastened end is taken as it is");
    host_another();
    zone_at(now + 500);
    record = first;
    record.since = first.changed + 500;
    host_hear();
    is_int(view.since, first.changed, "a start is no later than the change");
    host_another();
    record.since = first.changed + 500;
    record.source = WEBHOOK;
    host_hear();
    is_int(view.since, first.changed + 500,
           "but where the cause is an event's, that came later");
    host_another();
    record.since = now + AHEAD;
    host_hear();
    is_int(view.since, now, "now at the latest, by a clock ahead");
    host_another();
    record.since = now + AHEAD + 1;
    host_hear();
    is_int(view.since, first.changed, "with its change, by one that is wrong");
    zone_at(now - 500);

    /* nothing is believed that is ahead, or over, or stale */

    host_another();
    record = first;
    record.changed = now + AHEAD + 1;
    is_int(host_hear(), UNREAD, "what is too far ahead is no record");
    record.changed = now + AHEAD;
    record.until = record.changed + HOLD;
    is_int(host_hear(), APPLIED, "a bit ahead it is");
    host_another();
    record = first;
    record.stale = 1;
    is_int(host_hear(), OLDER, "what is stale isn't taken");
    record = first;
    zone_at(now + 2 * HOLD + NGX_HTTP_GRAPH_POLICY_ABANDONED);
    is_int(host_hear(), SAME, "nor what is long over");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");

    zone_at(T0);
    host_another();
    record = first;
    record.key.len = 0;
    is_int(host_hear(), UNREAD, "nor what names nobody");
    record = first;
    record.type = NGX_HTTP_GRAPH_POLICY_RECORD_HEAD;
    is_int(host_hear(), UNREAD, "nor what is no state");
    is_int(zone_sharing.applying, 0, "and it is over with that");

    /* no text may block for longer than a hold can */

    host_another();
    record = first;
    record.hold = (uint64_t) 1 << 40;
    record.until = NEVER - 1;
    is_int(host_hear(), APPLIED, "a long hold is taken over");
    until = now + LONGEST + LONGEST / 10;
    ok(view.until <= until, "as the longest that there is");

    /* frozen by hand it is for good, elsewhere as well */

    host_another();
    record = first;
    record.source = API;
    record.until = NEVER;
    is_int(host_hear(), APPLIED, "a frozen state");
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
        host_start();
        id = zone_to("10001", kinds[i].account, 7, 99);
        zone_failure(kinds[i].code, ANSWER);
        failure.hold = HOLD;
        zone_learn(&id);
        is_int(view.kind, kinds[i].kind, "a state of kind %d", (int) i);
        is_int(host_tell(), 1, "is told");

        host_another();
        is_int(host_hear(), APPLIED, "and taken over");
        is_int(zone_ask(&id), BLOCK, "it blocks");
        is_int(view.kind, kinds[i].kind, "as what it is");
        id.credential = 8;
        is_int(zone_ask(&id), (i == 0 || i == 3) ? PASS : BLOCK,
               "whom it blocked");
        zone_agrees("with it");
    }

    host_another();
    zone_sharing.conversations = 0;
    is_int(host_hear(), SAME, "who shares no conversations takes none over");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");

    /* groups are the same everywhere, as the key is */

    host_start();
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    host_tell();
    host_another();
    host_hear();
    id = zone_who("10002", "20001", 8);
    zone_fail(&id, 131045, ANSWER);
    is_int(view.reason, DISCONNECTEDS, "phones of two hosts are one account's");
    record.changed += 5;
    record.group = 0;
    host_hear();
    zone_ask(&id);
    is_int(view.reason, DISCONNECTED, "until it is told otherwise");
    zone_agrees("after a move");
}


static void
test_apply_link(void)
{
    uint64_t    pos;
    identity_t  id;

    host_start();
    id = zone_who("10001", "20001", 0);
    id.number = 77;
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    host_tell();

    host_another();
    is_int(host_hear(), APPLIED, "a link is taken over");
    is_int(view.transition, NOTHING, "without a word");
    id = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_mem(id.account.data, id.account.len, "20001", 5, "the phone is known");
    is_int(host_hear(), SAME, "once more it is nothing");
    record.confirmed--;
    is_int(host_hear(), OLDER, "an older one isn't taken");
    record.confirmed += 5;
    record.account.len = 4;
    is_int(host_hear(), APPLIED, "a newer one is");
    id = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_int(id.account.len, 4, "with another account");
    record.confirmed = now + AHEAD + 1;
    is_int(host_hear(), UNREAD, "one that is ahead isn't");
    record.confirmed = now + AHEAD;
    is_int(host_hear(), APPLIED, "but a bit ahead");
    record.confirmed++;
    record.account.len = 0;
    zone_at(now + 10);
    is_int(host_hear(), SAME, "nor one that names no account");

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

    host_start();
    id = zone_to("10001", "20001", 7, 99);
    zone_failure(131047, WEBHOOK);
    facts.has_subcode = 1;
    facts.subcode = 12;
    zone_learn(&id);
    host_tell();
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

    host_another();
    is_int(host_hear(), APPLIED, "another host takes it over");
    is_int(view.transition, SET, "as set");
    is_int(view.until, T0 + GATE, "until then");
    is_int(view.code, 131047, "with its code");
    is_int(view.subcode, 12, "and subcode");
    is_int(view.status, 400, "and status");
    is_int(view.source, WEBHOOK, "and source");
    is_mem(view.node, view.node_len, "here", 4, "and its host");
    is_int(changes.n, 0, "and tells nobody of it");
    is_int(host_next(), NGX_DONE, "least of all that host");
    is_int(zone_ask(&id), BLOCK, "it blocks");
    zone_agrees("with a limit");

    is_int(host_hear(), SAME, "the same once more is nothing");
    record.changed -= 1000;
    is_int(host_hear(), OLDER, "an older one isn't taken");
    record = first;
    record.changed += 2000;
    record.dry_run = 1;
    record.fixed = 1;
    is_int(host_hear(), APPLIED, "a newer one is");
    is_int(view.transition, REARMED, "as re-armed");
    is_int(view.dry_run, 1, "as it says");
    is_int(view.blocked, 1, "it goes on counting");
    is_int(zone_ask(&id), DRY_RUN, "in dry run");

    record.changed += 2000;
    record.armed = 0;
    record.inbound = 1;
    record.since = record.changed;
    is_int(host_hear(), APPLIED, "an end is taken over");
    is_int(view.transition, CLEARED, "as such");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    is_int(zone_ask(&id), PASS, "all pass");
    record.changed += 2000;
    is_int(host_hear(), APPLIED, "another end");
    is_int(view.transition, NOTHING, "isn't shown");
    record.changed += 2000;
    record.armed = 1;
    record.inbound = 0;
    record.dry_run = 0;
    is_int(host_hear(), APPLIED, "another limit");
    is_int(view.transition, SET, "is set");
    is_int(view.blocked, 0, "and counts from nothing");

    /* what isn't believed */

    host_another();
    record = first;
    record.changed = now + AHEAD + 1;
    is_int(host_hear(), UNREAD, "what is ahead is no record");
    record.changed = now + AHEAD;
    is_int(host_hear(), APPLIED, "but a bit ahead");

    host_another();
    record = first;
    record.until = now;
    is_int(host_hear(), SAME, "what is over isn't taken");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    record.until = now + 1;
    is_int(host_hear(), APPLIED, "what is nearly over is");
    host_another();
    record = first;
    record.hold = (uint64_t) 1 << 40;
    record.until = now + (record.hold = (uint64_t) 1 << 40);
    host_hear();
    is_int(view.until, now + 24 * HOUR, "no limit is longer than a day");
    host_another();
    record = first;
    record.hold = 1000;
    host_hear();
    is_int(view.until, now + 1000, "nor than its hold");
    host_another();
    record = first;
    record.armed = 0;
    record.hold = 1000;
    record.until = now + GATE;
    is_int(host_hear(), APPLIED, "a memory may be longer");
    zone_at(now + GATE - 1);
    zone_ask(&id);
    ngx_http_graph_policy_zone_lock(zone);
    ok(ngx_http_graph_policy_conversation_find(sh, first.hash) != NULL,
       "as long as it says");
    ngx_http_graph_policy_zone_unlock(zone);
    zone_at(T0);

    host_another();
    zone->conversation_hold = 0;
    record = first;
    is_int(host_hear(), SAME, "who has no gate takes none over");
    zone->conversation_hold = GATE;
    zone_sharing.conversations = 0;
    is_int(host_hear(), SAME, "nor does who shares none");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");
    is_int(zone_sharing.applying, 0, "and it is over with that");
}


int
main(void)
{
    test_apply();
    test_apply_kinds();
    test_apply_link();
    test_apply_conversation();

    return tap_done();
}
