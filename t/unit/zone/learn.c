
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what failures, events and operators set, and of how states are
 * counted and listed.
 */


#include "zone.h"


#define SCOPE_CREDENTIAL    NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL
#define SCOPE_ACCOUNT       NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT
#define SCOPE_PHONE         NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE
#define SCOPE_CONVERSATION  NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION


/* the armed states of a scope, and a category */

static ngx_uint_t
count(ngx_uint_t scope, ngx_uint_t category)
{
    stats_t  stats;

    ngx_http_graph_policy_zone_stats(zone, &stats);

    return stats.states[scope][category];
}


static void
test_learn(void)
{
    identity_t  id, other;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);

    changes.n = 77;
    is_int(zone_fail(&id, 100, ANSWER), NGX_DECLINED,
           "an error of the request sets nothing");
    is_int(changes.n, 77, "and nothing is told");

    other = zone_who("10001", "20001", 0);
    is_int(zone_fail(&other, 131045, ANSWER), NGX_DECLINED,
           "nor does the answer to a request without a token");
    other = zone_who(NULL, "20001", 7);
    is_int(zone_fail(&other, 131045, ANSWER), NGX_DECLINED,
           "nor one of a phone that is unknown");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");

    other = zone_who("10001", "20001", 0);
    is_int(zone_fail(&other, 131045, WEBHOOK), NGX_OK, "an event does");
    is_int(view.source, WEBHOOK, "and is named as what set it");
    is_int(zone_fail(&other, 131045, WEBHOOK), NGX_OK, "the same event");
    is_int(view.transition, NOTHING, "changes nothing");
    is_int(changes.n, 0, "and isn't told");
    is_int(view.reason, DISCONNECTED, "though the state is shown");

    /* a failure that is older than the state is nothing either */

    zone_at(T0 + 2 * HOLD);
    zone_failure(131045, ANSWER)->sent = T0 - 5000;
    zone_learn(&id);
    is_int(view.transition, NOTHING, "an old failure changes nothing");

    zone_fail(&id, 131045, ANSWER);
    is_int(view.transition, REARMED, "a new one re-arms what is due");
    is_int(view.since, T0, "since the first");
    is_int(view.hold, 2 * HOLD, "for twice as long");
    is_int(view.source, ANSWER, "by an answer");

    /* what it has blocked is counted from its start */

    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, ANSWER);
    zone_ask(&id);
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    zone_at(now + NGX_HTTP_GRAPH_POLICY_MEMORY / 2);
    zone_fail(&id, 131045, ANSWER);
    is_int(view.transition, REARMED, "a state that goes on");
    is_int(view.blocked, 1, "goes on counting");
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    zone->memory = 600000;
    zone_at(now + NGX_HTTP_GRAPH_POLICY_MEMORY * 2);
    zone_fail(&id, 131045, ANSWER);
    is_int(view.transition, SET, "one that begins anew");
    is_int(view.blocked, 0, "counts from nothing");
    is_int(view.holds, 1, "and holds for the first time");
}


static void
test_temporary(void)
{
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);

    zone_failure(131016, ANSWER);
    is_int(verdict.grows, 0, "a wait");
    failure.hold = 1000;
    zone_learn(&id);
    is_int(view.until, T0 + 1000, "lasts as long as Graph says");
    is_int(view.hold, 1000, "with no jitter");
    is_int(zone_ask(&id), BLOCK, "it blocks");

    /* the lease of the failing probe lets it re-arm at once */

    zone_at(T0 + 1000);
    is_int(zone_ask(&id), PROBE, "a probe");
    zone_failure(131016, ANSWER)->lease = cover.refs[0].lease;
    failure.hold = 1000;
    zone_learn(&id);
    is_int(view.transition, REARMED, "fails");
    is_int(view.holds, 2, "for the second time");

    zone_at(now + 1000);
    is_int(zone_ask(&id), PROBE, "another probe");
    zone_failure(131016, ANSWER)->hold = 1000;
    zone_learn(&id);
    is_int(view.transition, NOTHING, "nobody re-arms it under that");

    /* a wait that grows */

    zone_start(ZONE_SIZE);
    zone_failure(131016, ANSWER)->hold = 1000;
    verdict.grows = 1;
    zone_learn(&id);
    zone_at(T0 + 2000);
    zone_failure(131016, ANSWER)->hold = 1000;
    verdict.grows = 1;
    zone_learn(&id);
    is_int(view.hold, 4000, "a wait may grow fourfold");

    /* an event is no answer, and an answer has no jitter of its own */

    is_int(count(SCOPE_PHONE, NGX_HTTP_GRAPH_POLICY_TEMPORARY), 1,
           "it is counted as temporary");

    /* a fatal failure takes the state over if it has the same reason */

    zone_failure(131016, ANSWER);
    verdict.category = NGX_HTTP_GRAPH_POLICY_FATAL;
    zone_learn(&id);
    is_int(view.transition, SET, "a fatal failure sets it anew");
    is_int(view.category, NGX_HTTP_GRAPH_POLICY_FATAL, "as fatal");
    is_int(count(SCOPE_PHONE, NGX_HTTP_GRAPH_POLICY_TEMPORARY), 0,
           "it isn't counted as temporary any more");
    is_int(count(SCOPE_PHONE, NGX_HTTP_GRAPH_POLICY_FATAL), 1, "but as fatal");
    is_int(ngx_http_graph_policy_zone_armed(zone), 1, "and once");

    zone_at(now + HOLD / 2);
    zone_failure(131016, ANSWER)->hold = 1000;
    zone_learn(&id);
    is_int(view.transition, NOTHING, "a temporary one doesn't replace that");
    zone_agrees("with it");
}


static void
test_jitter(void)
{
    char        phone[16];
    ngx_uint_t  i, n;
    identity_t  id;

    zone_start(ZONE_SIZE);
    n = 0;

    for (i = 0; i < 20; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_who(phone, NULL, 7);
        zone_fail(&id, 131045, WEBHOOK);
        n += (view.until != T0 + HOLD);
    }

    ok(n > 10, "fatal holds have a jitter, %d of 20", (int) n);
}


static void
test_counts(void)
{
    stats_t     stats;
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);

    ngx_http_graph_policy_zone_stats(zone, &stats);
    is_int(stats.size, ZONE_SIZE, "the size of the zone is shown");
    is_int(stats.links, 0, "and that no phone is known");
    ok(stats.used > ZONE_SIZE / 31 && stats.used < ZONE_SIZE / 4,
       "and the part that is used, %zu", stats.used);

    zone_fail(&id, 190, ANSWER);
    zone_fail(&id, 131042, ANSWER);
    zone_fail(&id, 131031, ANSWER);
    zone_fail(&id, 131045, ANSWER);
    zone_fail(&id, 130429, ANSWER);
    zone_fail(&id, 131056, ANSWER);
    zone_fail(&id, 131047, ANSWER);
    id.account.len = 0;
    zone_fail(&id, 131042, ANSWER);

    is_int(count(SCOPE_CREDENTIAL, NGX_HTTP_GRAPH_POLICY_FATAL), 1, "a token");
    is_int(count(SCOPE_ACCOUNT, NGX_HTTP_GRAPH_POLICY_FATAL), 3,
           "an account twice, and one that isn't known");
    is_int(count(SCOPE_PHONE, NGX_HTTP_GRAPH_POLICY_FATAL), 1, "a phone");
    is_int(count(SCOPE_PHONE, NGX_HTTP_GRAPH_POLICY_TEMPORARY), 1,
           "and a wait of it");
    is_int(count(SCOPE_CONVERSATION, NGX_HTTP_GRAPH_POLICY_TEMPORARY), 1,
           "and one of a pair");
    is_int(count(SCOPE_CONVERSATION, NGX_HTTP_GRAPH_POLICY_CONTEXT), 1,
           "and a limit");
    is_int(ngx_http_graph_policy_zone_limited(zone), 1, "one is limited");
    is_int(ngx_http_graph_policy_zone_armed(zone), 7, "seven states are armed");
    is_int(zone_listed(), 8, "all of them are listed");

    ngx_http_graph_policy_zone_stats(zone, &stats);
    is_int((stats.size - stats.used) % SHIM_PAGE, 0, "pages are free");
    is_int(stats.used, stats.size - zone->shpool->pfree * SHIM_PAGE,
           "the rest is used");
}


static void
test_list(void)
{
    char        phone[16];
    cursor_t    cursor;
    uint64_t    last;
    ngx_int_t   n;
    ngx_uint_t  i, got, sorted, calls;
    view_t      views[NGX_HTTP_GRAPH_POLICY_BATCH];
    identity_t  id;

    zone_start(ZONE_LARGE);

    for (i = 0; i < 100; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_to(phone, NULL, 7, 1 + i);
        zone_fail(&id, 131045, ANSWER);
        zone_fail(&id, 131047, ANSWER);

        if (i % 2) {
            id.conversation = 1001 + i;
            ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
            zone_fail(&id, 131037, ANSWER);
            ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason,
                                           now, &changes);
        }
    }

    ngx_memzero(&cursor, sizeof(cursor_t));
    n = 0;
    last = 0;
    sorted = 1;
    calls = 0;

    while (!cursor.done && calls++ < 1000) {
        got = ngx_http_graph_policy_zone_list(zone, &cursor, now, views);

        for (i = 0; i < got; i++) {

            if (n == 100) {
                last = 0;
            }

            sorted &= (views[i].hash > last);
            sorted &= (views[i].kind == (n < 100 ? KEY_PHONE : KEY_LIMITED));
            last = views[i].hash;
            n++;
        }
    }

    is_int(n, 200, "what is in force is listed, what ended isn't");
    is_int(sorted, 1, "states come first, each kind by its hash");
    ok(calls >= 300 / NGX_HTTP_GRAPH_POLICY_BATCH && calls < 100,
       "a batch at a time, %d calls", (int) calls);

    id = zone_who("10005", NULL, 7);
    zone_ask(&id);
    is_int(ngx_http_graph_policy_zone_find(zone, view.hash, DISCONNECTED, now,
                                           views),
           NGX_OK, "a state is found by its id");
    is_mem(views[0].key, views[0].key_len, "10005", 5, "which is its own");
    is_int(ngx_http_graph_policy_zone_find(zone, view.hash, BILLING, now,
                                           views),
           NGX_DECLINED, "but not by another reason");
    is_int(ngx_http_graph_policy_zone_find(zone, view.hash + 1, DISCONNECTED,
                                           now, views),
           NGX_DECLINED, "nor by another hash");

    id.conversation = 5000;
    zone_fail(&id, 131047, ANSWER);
    is_int(ngx_http_graph_policy_zone_find(zone, view.hash, WINDOW, now,
                                           views),
           NGX_OK, "and so is a limit");
    is_int(views[0].kind, KEY_LIMITED, "as what it is");
    is_int(ngx_http_graph_policy_zone_find(zone, view.hash, BILLING, now,
                                           views),
           NGX_DECLINED, "by its own reason");
    zone_at(now + 2 * GATE);
    is_int(ngx_http_graph_policy_zone_find(zone, view.hash, WINDOW, now,
                                           views),
           NGX_DECLINED, "while it lasts");
}


static void
test_put(void)
{
    view_t      first;
    identity_t  id, each;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 0);

    zone_failure(131045, API);
    failure.confirm = 1234;
    each = id;
    is_int(ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 0,
                                          &changes, &view),
           NGX_OK, "a state is set by hand");
    is_int(view.transition, SET, "as such");
    is_int(changes.n, 1, "and told");
    is_int(changes.full, 0, "there was room");
    is_int(view.source, API, "by the API");
    is_int(view.until, now + HOLD, "for just as long as asked");
    is_int(zone_ask(&id), BLOCK, "it blocks");
    is_int(view.blocked, 1, "and counts");

    zone_failure(131045, API);
    failure.status = 7;
    each = id;
    ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 1,
                                   &changes, &view);
    is_int(view.transition, REARMED, "again it goes on");
    is_int(view.blocked, 1, "and goes on counting");
    is_int(view.until, NGX_HTTP_GRAPH_POLICY_NEVER, "frozen it has no end");
    is_int(view.status, 7, "it shows what was said last");
    first = view;

    is_int(ngx_http_graph_policy_zone_end(zone, first.hash, BILLING, now,
                                          &changes),
           NGX_DECLINED, "what isn't there isn't ended");
    is_int(ngx_http_graph_policy_zone_end(zone, first.hash, DISCONNECTED, now,
                                          &changes),
           NGX_OK, "it is ended by hand");
    is_int(changes.views[0].transition, CLEARED, "and told");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "nothing is armed");
    is_int(zone_ask(&id), PASS, "all pass");
    is_int(ngx_http_graph_policy_zone_end(zone, first.hash, DISCONNECTED, now,
                                          &changes),
           NGX_DECLINED, "once");
    zone_agrees("after an end");

    zone_failure(131045, API);
    each = id;
    ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 0,
                                   &changes, &view);
    is_int(view.blocked, 0, "set anew it counts from nothing");

    id.credential = 8;
    zone_failure(131042, API);
    each = id;
    ngx_http_graph_policy_zone_put(zone, &each, KEY_ACCOUNT, &failure, 0,
                                   &changes, &view);
    is_int(view.credential, 8, "a state may be set for one token");
    is_int(view.kind, KEY_ACCOUNT, "of any kind");

    each = zone_who(NULL, "20001", 0);
    is_int(ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 0,
                                          &changes, &view),
           NGX_ERROR, "but not for a phone that isn't named");
    is_int(changes.full, 1, "which is told");

    each = zone_who("10009", NULL, 0);
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    each = zone_who("10001", NULL, 0);
    is_int(ngx_http_graph_policy_zone_put(zone, &each, KEY_ACCOUNT, &failure, 0,
                                          &changes, &view),
           NGX_OK, "the account of a known phone needn't be named");
    is_mem(view.key, view.key_len, "20001", 5, "it is that one");

    /* a limit is ended by hand, too */

    id = zone_to("10001", NULL, 7, 99);
    zone_fail(&id, 131047, WEBHOOK);
    is_int(ngx_http_graph_policy_zone_end(zone, view.hash, BILLING, now,
                                          &changes),
           NGX_DECLINED, "a limit of another reason isn't there");
    is_int(ngx_http_graph_policy_zone_end(zone, view.hash, WINDOW, now,
                                          &changes),
           NGX_OK, "a limit is ended by hand");
    is_int(ngx_http_graph_policy_zone_limited(zone), 0, "none is limited");

    /* even where its cause is of a clock that is ahead */

    id.conversation = 98;
    zone_failure(131047, WEBHOOK)->sent = now + 5000;
    failure.now = now + 5000;
    zone_learn(&id);
    is_int(ngx_http_graph_policy_zone_end(zone, view.hash, WINDOW, now,
                                          &changes),
           NGX_OK, "even one of a clock that is ahead");

    /* disconnected by hand a phone is in its account's group */

    zone_start(ZONE_SIZE);
    id = zone_who("10002", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    zone_failure(131045, API);
    each = zone_who("10001", "20001", 0);
    ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 0,
                                   &changes, &view);
    is_int(view.reason, DISCONNECTEDS, "by hand it is one of many as well");
}


static void
test_resolve(void)
{
    identity_t  id, each;

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_who("10001", "20001", 7);

    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 5000);
    each = zone_who("10001", "20001", 0);
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, DISCONNECTED,
                                       T0 - 5000, now, &changes);
    is_int(changes.n, 0, "an older event doesn't end it");
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, BILLING,
                                       T0 + 4000, now, &changes);
    is_int(changes.n, 0, "nor one of another reason");
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, DISCONNECTED,
                                       T0 + 4000, now, &changes);
    is_int(changes.n, 1, "a newer one does");
    is_int(changes.views[0].transition, CLEARED, "and is told");
    is_int(ngx_http_graph_policy_zone_armed(zone), 0, "none is armed");
    is_int(zone_ask(&id), PASS, "all pass");

    /* an event that comes before its failure is remembered */

    each = zone_who("10002", NULL, 0);
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, DISCONNECTED,
                                       now, now, &changes);
    is_int(changes.n, 0, "where nothing was, nothing is told");
    zone_failure(131045, WEBHOOK)->sent = now - 3000;
    zone_learn(&each);
    is_int(view.transition, NOTHING, "but an older failure sets nothing");
    zone_failure(131045, WEBHOOK)->sent = now + 1000;
    zone_learn(&each);
    is_int(view.transition, SET, "a newer one does");

    /* a stale event needn't be, nor one of what no event sets */

    each = zone_who("10003", NULL, 0);
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, DISCONNECTED,
                                  now - NGX_HTTP_GRAPH_POLICY_FRESH, now,
                                       &changes);
    zone_failure(131045, WEBHOOK)->sent = now
                                          - NGX_HTTP_GRAPH_POLICY_FRESH - 3000;
    zone_learn(&each);
    is_int(view.transition, SET, "what is stale isn't remembered");

    each = zone_who("10004", NULL, 0);
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_ACCOUNT_PHONE, BILLING,
                                       now, now, &changes);
    zone_failure(131042, WEBHOOK)->sent = now - 3000;
    zone_learn(&each);
    is_int(view.transition, SET, "nor for an account that isn't known");

    each = zone_who(NULL, "20001", 0);
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, DISCONNECTED,
                                       now, now, &changes);
    is_int(changes.n, 0, "nor for a phone that isn't named");
    zone_agrees("after events");

    /* a frozen state stays */

    zone_start(ZONE_SIZE);
    zone_failure(131045, API);
    each = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_put(zone, &each, KEY_PHONE, &failure, 1,
                                   &changes, &view);
    zone_at(now + 5000);
    ngx_http_graph_policy_zone_resolve(zone, &each, KEY_PHONE, DISCONNECTED,
                                       now, now, &changes);
    is_int(changes.n, 0, "what is frozen is ended by hand alone");
}


static void
test_traces(void)
{
    size_t       len;
    ngx_uint_t   i, n;
    identity_t   id;
    static char  trace[65], account[65];

    zone_start(ZONE_LARGE);
    memset(trace, 't', 64);
    n = 0;

    for (len = 1; len <= 64; len++) {
        memset(account, 'a', 64);
        account[len] = '\0';
        (void) sprintf(account, "%u", (unsigned) len);
        account[strlen(account)] = 'a';
        account[len < 4 ? 4 : len] = '\0';
        id = zone_who(NULL, account, 7);
        zone_failure(131042, ANSWER);
        zone_trace(trace);
        zone_learn(&id);
        n += (view.trace_len == 64 && view.key_len == strlen(account)
              && memcmp(view.trace, trace, 64) == 0
              && memcmp(view.key, account, view.key_len) == 0);
    }

    is_int(n, 64, "names and traces of all lengths are kept side by side");

    /* a state keeps the room that it got at first */

    id = zone_who(NULL, account, 7);
    zone_at(now + 3 * HOLD);
    zone_failure(131042, ANSWER);
    zone_trace("short");
    zone_learn(&id);
    is_mem(view.trace, view.trace_len, "short", 5, "a trace may get shorter");

    zone_start(ZONE_LARGE);
    zone_fail(&id, 131042, ANSWER);

    for (i = 1; i <= 64; i++) {
        zone_at(now + 40 * MAX);
        zone_failure(131042, ANSWER);
        trace[i] = '\0';
        facts.trace_len = 0;
        zone_trace(trace);
        trace[i] = 't';
        zone_learn(&id);

        if (view.trace_len == 0) {
            break;
        }
    }

    ok(i < 64, "a trace that has no room is left out, at %d bytes", (int) i);
    is_int(view.transition, REARMED, "though the state is re-armed");
    zone_agrees("with traces");
}


int
main(void)
{
    test_learn();
    test_temporary();
    test_jitter();
    test_counts();
    test_list();
    test_put();
    test_resolve();
    test_traces();

    return tap_done();
}
