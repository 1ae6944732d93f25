
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of a zone's states as records: what is saved, what a zone is restored
 * to, and what isn't believed.
 */


#include "zone.h"


#define KEPT   2000

#define NEVER  NGX_HTTP_GRAPH_POLICY_NEVER
#define DAY    (24 * HOUR)


static record_t    kept[KEPT];
static ngx_uint_t  nkept, batches;
static record_t    record;


/* All that a zone has, as records. */

static void
save(ngx_uint_t conversations)
{
    cursor_t    cursor;
    ngx_int_t   n;
    record_t    records[NGX_HTTP_GRAPH_POLICY_BATCH];

    ngx_memzero(&cursor, sizeof(cursor_t));
    nkept = 0;
    batches = 0;

    while (!cursor.done && batches++ < 1000) {
        n = ngx_http_graph_policy_record_batch(zone, &cursor, conversations,
                                               records);
        if (n < 0) {
            return;
        }

        ngx_memcpy(&kept[nkept], records, n * sizeof(record_t));
        nkept += n;
    }
}


/* leaves ones where the next call has its variables */

static __attribute__((noinline)) void
stain(void)
{
    size_t           i;
    volatile u_char  bytes[4096];

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 0xff;
    }
}


static ngx_int_t
restore(void)
{
    record_t  copy;

    copy = record;

    stain();

    return ngx_http_graph_policy_record_restore(zone, &copy, now, &changes);
}


static void
test_save(void)
{
    char        phone[16];
    ngx_uint_t  i, n;
    identity_t  id;

    zone_start(ZONE_LARGE);

    for (i = 0; i < 100; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_to(phone, "20001", 7, 1 + i);
        zone_fail(&id, 131045, ANSWER);
        zone_fail(&id, 131047, ANSWER);
        zone_fail(&id, 131056, ANSWER);
        ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    }

    save(0);
    is_int(nkept, 200, "states and links are saved");
    n = 0;

    for (i = 0; i < nkept; i++) {
        n += (kept[i].type == (i < 100 ? NGX_HTTP_GRAPH_POLICY_RECORD_STATE
                                       : NGX_HTTP_GRAPH_POLICY_RECORD_LINK)
              && kept[i].kind != KEY_CONVERSATION
              && (i % 100 == 0 || kept[i].hash > kept[i - 1].hash));
    }

    is_int(n, 200, "in this order, each by its hash, without conversations");
    ok(batches > 300 / NGX_HTTP_GRAPH_POLICY_BATCH && batches < 60,
       "a batch at a time, %d of them", (int) batches);

    save(1);
    is_int(nkept, 400, "with conversations all is told");
    is_int(kept[199].type, NGX_HTTP_GRAPH_POLICY_RECORD_STATE, "states first");
    is_int(kept[200].type, NGX_HTTP_GRAPH_POLICY_RECORD_LINK, "then links");
    is_int(kept[399].type, NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION,
           "then conversations");
    is_int(kept[0].lease_until, 0, "a file has no leases");

    sh->keep.lost = 1;
    nkept = 0;
    save(1);
    is_int(nkept, 0, "what was lost isn't saved");
    sh->keep.lost = 0;
    save(1);
    is_int(nkept, 400, "what is there is");
}


static void
test_restore(void)
{
    view_t      first;
    ngx_uint_t  i, n, all;
    identity_t  id;

    /* a zone with a state of each kind, and with a group */

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    sh->key[0] = 0x1111;
    sh->key[1] = 0x2222;
    id = zone_who("10001", "20001", 7);
    zone_failure(190, ANSWER);
    zone_trace("tr_1");
    zone_learn(&id);
    zone_fail(&id, 131042, WEBHOOK);
    zone_fail(&id, 33, ANSWER);
    zone_failure(130429, ANSWER);
    facts.has_subcode = 1;
    facts.subcode = 12;
    zone_learn(&id);
    zone_failure(131037, ANSWER);
    verdict.dry_run = 1;
    zone_learn(&id);
    zone_fail(&id, 131031, ANSWER);
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    zone_fail(&id, 131045, ANSWER);
    zone_ask(&id);
    id = zone_who("10002", NULL, 8);
    zone_fail(&id, 131042, ANSWER);
    id = zone_who("10003", "20001", 8);
    id.number = 5;
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    zone_fail(&id, 131045, ANSWER);
    first = view;

    save(0);
    all = nkept;
    is_int(all, 10, "all of them are saved");

    zone_start(ZONE_SIZE);
    zone->memory = 600000;

    /* the keys of hashes are restored with the head of a file */

    sh->key[0] = 0x1111;
    sh->key[1] = 0x2222;
    zone_at(T0 + 500);
    n = 0;

    for (i = 0; i < all; i++) {
        record = kept[i];
        n += (restore() == NGX_OK);
        n += (changes.n == 0);
    }

    is_int(n, 2 * all, "all are restored, without a word");
    n = 0;

    for (i = 0; i < all; i++) {
        record = kept[i];
        n += (restore() == NGX_DECLINED);
    }

    is_int(n, all, "once");
    zone_agrees("after that");

    is_int(ngx_http_graph_policy_zone_armed(zone), 8, "as many are armed");
    is_int(ngx_http_graph_policy_zone_armed_bound(zone), 2, "and bound");
    is_int(zone_listed(), 8, "and listed");

    id = zone_who("10003", NULL, 9);
    is_int(zone_ask(&id), BLOCK, "they block");
    ngx_http_graph_policy_zone_find(zone, first.hash, DISCONNECTED, now, &view);
    is_int(view.since, first.since, "since then");
    is_int(view.until, first.until, "until then");
    is_int(view.reason, DISCONNECTEDS, "and phones are known to be many");
    is_mem(query.identity.account.data, query.identity.account.len, "20001", 5,
           "the account of a phone is known");
    id = zone_who(NULL, "20001", 0);
    id.number = 5;
    {
        u_char     text[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
        ngx_str_t  phone = { 0, text };

        is_int(ngx_http_graph_policy_zone_numbered(zone, &id, &phone), NGX_OK,
               "and its number");
    }

    id = zone_who("10001", NULL, 7);
    zone_query();
    query.cooldown = 1;
    is_int(zone_admit(&id), BLOCK, "tokens are blocked");
    is_int(cover.n, 5, "and all the rest");
    id = zone_who(NULL, NULL, 7);
    zone_ask(&id);
    is_mem(view.trace, view.trace_len, "tr_1", 4, "with its trace");
    is_int(view.code, 190, "and code");
    is_int(view.subcode, -1, "and no subcode");
    is_int(view.credential, 7, "and token");
    is_int(view.status, 400, "and status");

    save(0);
    is_int(nkept, all, "what is saved of it");
    n = 0;

    for (i = 0; i < all && i < nkept; i++) {
        n += (kept[i].changed == T0 && kept[i].holds <= 1);
    }

    is_int(n, all - 2, "is what was restored, but for an end and a link");
}


static void
test_round(void)
{
    record_t    first[20];
    ngx_uint_t  i, n, all;
    identity_t  id;

    /* what is restored and saved again is the same, to the last field */

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    sh->key[0] = 0x1111;
    sh->key[1] = 0x2222;
    id = zone_who("10001", "20001", 7);
    zone_failure(131045, ANSWER);
    zone_trace("tr_1");
    facts.has_subcode = 1;
    facts.subcode = 12;
    zone_learn(&id);
    zone_ask(&id);
    zone_fail(&id, 33, ANSWER);
    zone_failure(131042, WEBHOOK);
    verdict.dry_run = 1;
    zone_learn(&id);
    zone_failure(131037, API);
    id.credential = 0;
    ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 1, &changes,
                                   &view);
    zone_failure(131031, API);
    ngx_http_graph_policy_zone_put(zone, &id, KEY_ACCOUNT, &failure, 1,
                                   &changes, &view);
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);

    save(0);
    all = nkept;
    is_int(all, 5, "some states are saved");
    ngx_memcpy(first, kept, all * sizeof(record_t));

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    sh->key[0] = 0x1111;
    sh->key[1] = 0x2222;
    zone_at(T0 + 500);

    for (i = 0; i < all; i++) {
        record = first[i];
        is_int(restore(), NGX_OK, "one is restored");
    }

    save(0);
    n = 0;

    for (i = 0; i < all && nkept == all; i++) {
        n += (memcmp(&first[i], &kept[i], sizeof(record_t)) == 0);
    }

    is_int(n, all, "and saved as it was, to the last field");
    zone_agrees("after that");
}


static void
test_bounds(void)
{
    record_t    first;
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    save(0);
    first = kept[0];

    /* a file of later, or of a wrong clock */

    zone_start(ZONE_SIZE);
    record = first;
    record.since = now + HOUR;
    record.changed = now + HOUR;
    record.until = now + DAY;
    is_int(restore(), NGX_OK, "a state of a clock that was ahead");
    id = zone_who("10001", NULL, 7);
    is_int(zone_ask(&id), BLOCK, "blocks");
    is_int(view.since, now, "since now");
    is_int(view.until, now + HOLD + HOLD / 10, "for a hold");
    save(0);
    is_int(kept[0].changed, now, "and changed now");
    is_int(kept[0].since, now, "and began now");

    zone_start(ZONE_SIZE);
    record = first;
    record.hold = 2 * DAY;
    record.max = 3 * DAY;
    record.confirm = 2 * DAY;
    record.until = now + 2 * DAY;
    restore();
    save(0);
    is_int(kept[0].hold, DAY, "no hold is longer than a day");
    is_int(kept[0].max, DAY, "nor grows any further");
    is_int(kept[0].confirm, DAY, "nor is a wait for a status");
    is_int(kept[0].until, now + DAY + DAY / 10, "and ends by then");

    zone_start(ZONE_SIZE);
    record = first;
    record.confirm = 0;
    restore();
    save(0);
    is_int(kept[0].confirm, NGX_HTTP_GRAPH_POLICY_CONFIRM,
           "an earlier version's has the usual wait");

    zone_start(ZONE_SIZE);
    record = first;
    record.source = API;
    record.until = NEVER;
    is_int(restore(), NGX_OK, "what is frozen");
    save(0);
    is_int(kept[0].until, NEVER, "stays so");
    is_int(kept[0].frozen, 1, "and is known to be");

    zone_start(ZONE_SIZE);
    record = first;
    record.until = NEVER;
    restore();
    save(0);
    is_int(kept[0].until, now + HOLD + HOLD / 10,
           "but only by hand is anything frozen");

    zone_start(ZONE_SIZE);
    record = first;
    record.armed = 0;
    record.hold = 1000;
    record.until = now + DAY;
    restore();
    save(0);
    is_int(kept[0].until, now + NGX_HTTP_GRAPH_POLICY_MEMORY,
           "an end is remembered for a minute");

    zone_start(ZONE_SIZE);
    record = first;
    record.armed = 0;
    record.hold = HOUR;
    record.until = now + DAY;
    restore();
    save(0);
    is_int(kept[0].until, now + HOUR, "or for its hold");

    zone_start(ZONE_SIZE);
    record = first;
    record.armed = 0;
    record.until = now + DAY;
    record.source = API;
    restore();
    save(0);
    is_int(kept[0].until, now + NGX_HTTP_GRAPH_POLICY_MEMORY,
           "whoever set it");

    /* what is over isn't restored */

    zone_start(ZONE_SIZE);
    zone_at(T0 + HOLD + HOLD / 10 + DAY);
    record = first;
    is_int(restore(), NGX_DECLINED, "what is over for a day isn't restored");
    record.source = WEBHOOK;
    is_int(restore(), NGX_DECLINED, "nor by an event");
    zone_at(T0);
    record = first;
    record.armed = 0;
    record.until = now - HOUR;
    record.changed = now - HOUR;
    is_int(restore(), NGX_DECLINED, "nor an end that is long past");
    record.credential = 7;
    is_int(restore(), NGX_DECLINED, "of a token either");
    zone->memory = 2 * HOUR;
    is_int(restore(), NGX_OK, "unless events may come so late");

    zone_start(ZONE_SIZE);
    record = first;
    record.key.len = 0;
    is_int(restore(), NGX_DECLINED, "what names nobody isn't restored");
    record = first;
    record.holds = 100000;
    restore();
    save(0);
    is_int(kept[0].holds, 0xffff, "holds are counted up to a bound");

    /* a link */

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_LINK);
    record.key.len = 5;
    ngx_memcpy(record.key.data, "10009", 5);
    record.account.len = 5;
    ngx_memcpy(record.account.data, "20001", 5);
    record.confirmed = now + HOUR;
    is_int(restore(), NGX_OK, "a link is restored");
    save(0);
    is_int(kept[1].confirmed, now, "as of now, if it is of later");
    record.account.data[0] = '3';
    is_int(restore(), NGX_DECLINED, "one that is known stays");
    record.key.data[0] = '3';
    record.confirmed = now - HOUR;
    is_int(restore(), NGX_OK, "another phone's");
    save(0);
    is_int(kept[1].confirmed + kept[2].confirmed, 2 * now - HOUR,
           "with its time");
    record.account.len = 0;
    record.key.data[0] = '4';
    is_int(restore(), NGX_ERROR, "one without an account can't be");
}


static void
test_full(void)
{
    char        phone[16];
    record_t    first;
    ngx_int_t   rc;
    ngx_uint_t  i;
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 130429, ANSWER);
    save(0);
    first = kept[0];

    /* a zone that is full of what it has itself */

    zone_start(32 * 1024);
    rc = NGX_OK;

    for (i = 0; i < 300 && rc == NGX_OK; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_to(phone, "20001", 7, 1 + i);
        rc = zone_fail(&id, 131047, ANSWER);
        zone_fail(&id, 131045, WEBHOOK);
        rc = (changes.evicted != 0) ? NGX_ERROR : NGX_OK;
    }

    record = first;
    record.category = NGX_HTTP_GRAPH_POLICY_FATAL;
    is_int(restore(), NGX_OK, "a state that is restored has room");
    is_int(changes.refused, 0, "and isn't lost");
    zone_agrees("when full");
}


static void
test_nodes(void)
{
    identity_t  id;

    /* where a state was changed is known of those of a fleet */

    zone_start_shared(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, ANSWER);
    save(0);
    is_mem(kept[0].node.data, kept[0].node.len, "here", 4, "a host is named");
    is_int(sh->fleet->names[0].states, 1, "by one state");

    zone_start_shared(ZONE_SIZE);
    record = kept[0];
    record.node.len = 5;
    ngx_memcpy(record.node.data, "other", 5);
    is_int(restore(), NGX_OK, "a file may name it");
    save(0);
    is_mem(kept[0].node.data, kept[0].node.len, "other", 5, "as it was");

    record = kept[0];
    record.node.len = 0;
    record.key.data[0] = '2';
    is_int(restore(), NGX_OK, "or may not");
    save(0);
    is_int(kept[0].node.len + kept[1].node.len, 5 + 4,
           "then it is this host's own");
}


int
main(void)
{
    test_save();
    test_restore();
    test_round();
    test_bounds();
    test_full();
    test_nodes();

    return tap_done();
}
