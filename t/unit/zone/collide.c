
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what happens once in 2^64, and of a zone that has no memory at all:
 * two keys that have the same hash, and a list of changes that is too short.
 * The key that is in the zone is changed for another one, so that it stands
 * where the first one's hash is.
 */


#include "zone.h"


/* The zone has the state in "view"; it is made that of another key. */

static void
another_key(void)
{
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_lock(zone);
    state = ngx_http_graph_policy_state_find(sh, view.hash,
                                             view.stored_reason);
    state->data[0]++;
    ngx_http_graph_policy_zone_unlock(zone);
}


static void
test_states(void)
{
    ref_t       ref;
    uint64_t    hash;
    identity_t  id;

    zone_start_shared(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    hash = view.hash;
    another_key();

    is_int(zone_ask(&id), PASS, "another key with the same hash blocks nobody");
    is_int(cover.n, 0, "nor covers anybody");
    is_int(ngx_http_graph_policy_zone_is_paused(zone, &id, NULL, 0, now,
                                                &view),
           0, "nor pauses anybody");
    is_int(ngx_http_graph_policy_zone_lookup(zone, &id, now, &view),
           NGX_HTTP_GRAPH_POLICY_MAY_WRITE, "nor is found");

    is_int(zone_fail(&id, 131045, ANSWER), NGX_ERROR,
           "a failure sets no state in its place");
    is_int(changes.refused, 1, "and is counted as lost");
    zone_failure(131045, API);
    id.credential = 0;
    is_int(ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 0,
                                          &changes, &view),
           NGX_ERROR, "nor does an operator");
    is_int(changes.refused, 1, "which is lost as well");
    id.credential = 7;

    ngx_http_graph_policy_zone_resolve(zone, &id, KEY_PHONE, DISCONNECTED,
                                       now + 5000, now, &changes);
    is_int(changes.n, 0, "an event doesn't end it");
    zone_at(now + 2 * HOLD);
    ngx_http_graph_policy_zone_make_due(zone, &id, now);
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    zone_agrees("with another key");

    /* an answer of its phone that has the same hash doesn't re-arm it */

    ref.hash = hash;
    ref.reason = DISCONNECTED;
    ref.kind = KEY_PHONE;
    ngx_http_graph_policy_zone_lock(zone);
    ngx_http_graph_policy_state_find(sh, hash, DISCONNECTED)
        ->breaker.leases.holder.tokens[0] = 5;
    ngx_http_graph_policy_zone_unlock(zone);
    ref.lease = 5;
    zone_failure(131045, ANSWER);
    zone_answer(&id, ERROR);
    ngx_http_graph_policy_zone_settle(zone, &ref, &answer, &changes);
    is_int(changes.views[0].transition, FREED,
           "the same error of another phone isn't its own");
}


static void
test_group(void)
{
    identity_t  a, b;

    /* a phone that is linked later isn't moved by another one's hash */

    zone_start(ZONE_SIZE);
    a = zone_who("10001", NULL, 7);
    zone_fail(&a, 131045, ANSWER);
    another_key();
    b = zone_who("10002", "20001", 8);
    zone_fail(&b, 131045, ANSWER);
    a.account.data = b.account.data;
    a.account.len = 5;
    ngx_http_graph_policy_zone_link(zone, &a, NULL, now, &changes);
    zone_ask(&b);
    is_int(view.reason, DISCONNECTED, "another key isn't in the account");
    zone_agrees("after a link");
}


static void
test_confirm(void)
{
    identity_t  id;

    zone_start(ZONE_SIZE);
    zone->memory = 600000;
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    zone_answer(&id, ACCEPTED)->message = 55;
    zone_settle(0);
    view = changes.views[0];
    another_key();
    ngx_http_graph_policy_zone_confirm(zone, &id, 55, NULL, now, &changes);
    is_int(changes.n, 0, "a status of another phone confirms nothing");
}


static void
test_told(void)
{
    uint64_t    pos;
    record_t    record;
    identity_t  id;

    zone_start_shared(ZONE_SIZE);
    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    pos = 0;
    ngx_http_graph_policy_fleet_next(zone, &pos, &record);
    another_key();
    record.changed += 5;
    is_int(ngx_http_graph_policy_fleet_apply(zone, &record, now, &changes,
                                             &view),
           NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD,
           "what others tell of it isn't taken over");
    is_int(view.transition, NOTHING, "and changes nothing");
}


static void
test_links(void)
{
    u_char                         text[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    ngx_str_t                      account, phone;
    identity_t                     id;
    ngx_http_graph_policy_link_t  *link;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", "20001", 0);
    id.number = 77;
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);

    ngx_http_graph_policy_zone_lock(zone);
    link = ngx_http_graph_policy_link_find(sh, &id.phone, &id.phone_hash);
    link->account[0]++;
    ngx_http_graph_policy_zone_unlock(zone);

    zone_text(&account, "20001");
    phone.data = text;
    phone.len = 0;
    is_int(ngx_http_graph_policy_zone_next_phone(zone, &account, &phone),
           NGX_DONE, "another account's phone isn't this one's");
    is_int(ngx_http_graph_policy_zone_numbered(zone, &id, &phone),
           NGX_DECLINED, "nor is its number");

    ngx_http_graph_policy_zone_lock(zone);
    link->account[0]--;
    link->phone[0]++;
    ngx_http_graph_policy_zone_unlock(zone);

    id = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_int(id.account.len, 0, "another phone's account isn't this one's");
    is_int(ngx_http_graph_policy_zone_numbered(zone, &id, &phone),
           NGX_DECLINED, "nor has it a number");

    /* two phones of one hash are known side by side */

    id = zone_who("10001", "20002", 0);
    is_int(ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes),
           NGX_HTTP_GRAPH_POLICY_LINK_KNOWN, "it may have one of its own");
    id = zone_who("10001", NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_mem(id.account.data, id.account.len, "20002", 5, "which is found");
    id = zone_who("20001", NULL, 0);
    id.phone_hash = link->node.key;
    ngx_http_graph_policy_zone_account(zone, &id);
    is_mem(id.account.data, id.account.len, "20001", 5, "beside the first");
}


/* Takes all that is free, but for "n" pages. */

static void
take(ngx_uint_t n)
{
    zone->shpool->mutex.lock = &zone->shpool->lock.lock;

    while (zone->shpool->pfree > n) {
        if (ngx_slab_alloc_locked(zone->shpool, SHIM_PAGE) == NULL) {
            abort();
        }
    }
}


static void
test_none(void)
{
    uint64_t    pos;
    record_t    record;
    identity_t  id;

    zone_start_shared(ZONE_SIZE);
    id = zone_to("10001", "20001", 7, 99);
    zone_fail(&id, 131045, WEBHOOK);
    pos = 0;
    ngx_http_graph_policy_fleet_next(zone, &pos, &record);

    zone_start_shared(ZONE_SIZE);
    take(0);

    is_int(zone_fail(&id, 131045, ANSWER), NGX_ERROR,
           "without memory there is no state");
    is_int(changes.refused, 1, "which is lost");
    is_int(changes.full, 1, "for want of room");
    is_int(view.transition, NOTHING, "nothing changed");
    is_int(zone_fail(&id, 131047, ANSWER), NGX_ERROR, "nor a limit");
    is_int(changes.refused, 1, "which is lost, too");
    ngx_http_graph_policy_zone_inbound(zone, &id, now, now, &changes);
    is_int(changes.n, 0, "nor anything of what customers write");
    is_int(ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes),
           NGX_HTTP_GRAPH_POLICY_LINK_NO_ROOM, "nor a link");
    zone_failure(131045, API);
    is_int(ngx_http_graph_policy_zone_put(zone, &id, KEY_PHONE, &failure, 0,
                                          &changes, &view),
           NGX_ERROR, "nor what an operator sets");
    is_int(changes.refused, 1, "which is lost");
    is_int(changes.full, 1, "for want of room");
    ngx_http_graph_policy_zone_resolve(zone, &id, KEY_PHONE, DISCONNECTED,
                                       now, now, &changes);
    is_int(changes.n, 0, "nor an end");

    is_int(ngx_http_graph_policy_fleet_apply(zone, &record, now, &changes,
                                             &view),
           NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME, "nor what others tell");
    is_int(changes.refused, 1, "which is lost");
    is_int(ngx_http_graph_policy_record_restore(zone, &record, now, &changes),
           NGX_ERROR, "nor what a file has");
    is_int(changes.refused, 1, "which is lost");
    is_int(zone_ask(&id), PASS, "and nobody is blocked");
    is_int(ngx_http_graph_policy_zone_armed(zone)
           + ngx_http_graph_policy_zone_limited(zone), 0, "or limited");
    zone_agrees("though it is full");

    zone_start(ZONE_SIZE);
    take(1);
    is_int(zone_fail(&id, 131045, ANSWER), NGX_OK, "a page is enough for some");
    is_int(zone_ask(&id), BLOCK, "which block");
}


static void
test_changes(void)
{
    ngx_uint_t  i;

    /* what has no place in the list is counted */

    ngx_memzero(&changes, sizeof(changes_t));
    view.transition = SET;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NCHANGES + 3; i++) {
        ngx_http_graph_policy_view_note(&view, &changes);
    }

    is_int(changes.n, NGX_HTTP_GRAPH_POLICY_NCHANGES,
           "a list of changes has an end");
    is_int(changes.lost, 3, "what comes then is counted");

    view.transition = NOTHING;
    changes.n = 0;
    ngx_http_graph_policy_view_note(&view, &changes);
    is_int(changes.n, 0, "what is nothing isn't noted");
}


static void
test_lenient(void)
{
    identity_t  id;

    /* an upload probes its token; what it can't probe lets it pass */

    zone_start(ZONE_SIZE);
    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 190, ANSWER);
    zone_fail(&id, 130429, ANSWER);
    zone_at(now + 2 * HOLD);
    zone_query()->kind = SEND;
    is_int(zone_admit(&id), PROBE, "an upload probes a token");
    is_int(cover.n, 2, "and what let it pass covers it, too");
    is_int(cover.refs[0].kind, KEY_CREDENTIAL, "the token's state");
    is_int(cover.refs[0].lease != 0, 1, "under a lease");
    is_int(cover.refs[1].lease, 0, "the other one without");
    is_int(view.kind, KEY_CREDENTIAL, "which is shown");
    is_int(zone_ask(&id), BLOCK, "a message waits for it");
}


int
main(void)
{
    test_states();
    test_group();
    test_confirm();
    test_told();
    test_links();
    test_none();
    test_changes();
    test_lenient();

    return tap_done();
}
