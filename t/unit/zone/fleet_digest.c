
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what a zone knows of the hosts of its fleet, and of the digests that
 * they compare.
 */


#include "zone.h"


static void
test_names(void)
{
    u_char      name[NGX_HTTP_GRAPH_POLICY_NODE_LEN + 2];
    uint8_t     place, places[70];
    ngx_uint_t  i, n;

    zone_start_shared(ZONE_SIZE);
    n = 0;

    for (i = 0; i < 70; i++) {
        places[i] = 0;
        (void) sprintf((char *) name, "host%02u", (unsigned) i);
        ngx_http_graph_policy_mark_node(zone, &places[i], name, 6);
        n += (places[i] == (i < 64 ? i + 1 : 0));
    }

    is_int(n, 70, "64 hosts have a place, more have none");

    place = 0;
    ngx_http_graph_policy_mark_node(zone, &place, (u_char *) "host07", 6);
    is_int(place, 8, "a host has one place");
    is_int(sh->fleet->names[7].states, 2, "for two states");
    place = 0;
    ngx_http_graph_policy_mark_node(zone, &place, (u_char *) "host0", 5);
    is_int(place, 0, "a shorter name is another one");

    ngx_http_graph_policy_mark_node(zone, &places[9], NULL, 0);
    is_int(places[9], 0, "a place is given back");
    is_int(sh->fleet->names[9].states, 0, "and is free");
    ngx_http_graph_policy_mark_node(zone, &places[5], NULL, 0);
    ngx_http_graph_policy_mark_node(zone, &place, (u_char *) "host0", 5);
    is_int(place, 6, "the first free one is taken");
    is_mem(sh->fleet->names[5].data, sh->fleet->names[5].len, "host0", 5,
           "by its name");
    ngx_http_graph_policy_mark_node(zone, &place, (u_char *) "host07", 6);
    is_int(place, 8, "a state may change its host");
    is_int(sh->fleet->names[5].states, 0, "and leaves the one before");
    is_int(sh->fleet->names[7].states, 3, "for the other one");

    memset(name, 'n', sizeof(name));
    ngx_http_graph_policy_mark_node(zone, &place, name,
                                    NGX_HTTP_GRAPH_POLICY_NODE_LEN);
    is_int(place, 6, "the longest name has a place");
    ngx_http_graph_policy_mark_node(zone, &place, name,
                                    NGX_HTTP_GRAPH_POLICY_NODE_LEN + 1);
    is_int(place, 0, "a longer one has none");
    is_int(sh->fleet->names[5].states, 0, "nor keeps one");

    zone_start(ZONE_SIZE);
    place = 0;
    ngx_http_graph_policy_mark_node(zone, &place, name, 5);
    is_int(place, 0, "where nothing is shared no host has a name");
}


static void
test_status(void)
{
    ngx_str_t                              text;
    identity_t                             id;
    ngx_http_graph_policy_fleet_status_t   status;

    zone_start(ZONE_SIZE);
    memset(&status, 0xee, sizeof(status));
    ngx_http_graph_policy_fleet_status(zone, &status);
    is_int(status.nodes + status.connected + status.queue + status.heard, 0,
           "where nothing is shared all is 0");

    zone_start_shared(ZONE_SIZE);
    ngx_http_graph_policy_fleet_status(zone, &status);
    is_int(status.nodes, 1, "a host is one itself");
    is_int(status.connected, 0, "it isn't connected");
    is_int(status.heard, 0, "and hasn't started");
    is_int(status.server.len, 0, "nor knows where");

    sh->fleet->started = now - 700;
    sh->fleet->connected = 1;
    sh->fleet->lag = 12;
    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 131045, ANSWER);
    sh->fleet->nodes[3].id = 5;
    sh->fleet->nodes[3].heard = now - NGX_HTTP_GRAPH_POLICY_NODE_HEARD + 1;
    sh->fleet->nodes[63].id = 6;
    sh->fleet->nodes[63].heard = now;
    sh->fleet->nodes[5].id = 7;
    sh->fleet->nodes[5].heard = now - NGX_HTTP_GRAPH_POLICY_NODE_HEARD;
    sh->fleet->nodes[6].heard = now;
    zone_text(&text, "127.0.0.1:6379");
    ngx_http_graph_policy_fleet_server(zone, &text);

    ngx_http_graph_policy_fleet_status(zone, &status);
    is_int(status.nodes, 3, "others count that were heard of late");
    is_int(status.connected, 1, "it is connected");
    is_int(status.heard, 700, "what was heard last was its start");
    is_int(status.lag, 12, "so late");
    is_int(status.queue, 1, "one is to be told");
    is_mem(status.server.data, status.server.len, "127.0.0.1:6379", 14,
           "the engine is there");

    sh->fleet->heard = now - 30;
    ngx_http_graph_policy_fleet_status(zone, &status);
    is_int(status.heard, 30, "something was heard since");
    sh->fleet->heard = now + 30;
    ngx_http_graph_policy_fleet_status(zone, &status);
    is_int(status.heard, 0, "or right now");

    text.data = (u_char *) sh;
    text.len = 4000;
    ngx_http_graph_policy_fleet_server(zone, &text);
    ngx_http_graph_policy_fleet_status(zone, &status);
    is_int(status.server.len, NGX_HTTP_GRAPH_POLICY_SERVER_LEN,
           "a long address is cut");

    is_str(ngx_http_graph_policy_received_words[
               NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD].data, "unread",
           "each has a word");
    is_str(ngx_http_graph_policy_sync_failure_words[
               NGX_HTTP_GRAPH_POLICY_FAILURE_TLS].data, "tls", "in order");
    is_str(ngx_http_graph_policy_resync_words[
               NGX_HTTP_GRAPH_POLICY_RESYNC_DIGEST].data, "digest", "as well");
}


/* the digests of all that there is, changed before "cut" */

static ngx_http_graph_policy_heartbeat_t
digest(uint64_t cut)
{
    cursor_t                           cursor;
    ngx_uint_t                         n;
    ngx_http_graph_policy_heartbeat_t  sum;

    ngx_memzero(&cursor, sizeof(cursor_t));
    ngx_memzero(&sum, sizeof(sum));
    sum.cut = cut;

    for (n = 0; !cursor.done && n < 1000; n++) {
        (void) ngx_http_graph_policy_fleet_digest(zone, &cursor, &sum);
    }

    return sum;
}


static void
test_digest(void)
{
    char                               phone[16];
    cursor_t                           cursor;
    record_t                           records[60], record;
    ngx_uint_t                         i, n;
    uint64_t                           pos;
    identity_t                         id;
    ngx_http_graph_policy_heartbeat_t  one, two;

    zone_start_shared(ZONE_LARGE);
    one = digest(now);
    is_int(one.digest + one.conversations, 0, "an empty zone has none");
    is_int(one.shares, 1, "of either kind");

    pos = 0;
    n = 0;

    for (i = 0; i < 20; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_to(phone, NULL, 7, 1 + i);
        zone_at(T0 + i);
        zone_fail(&id, 131045, ANSWER);
        zone_fail(&id, 131056, ANSWER);
        zone_fail(&id, 131047, ANSWER);

        while (ngx_http_graph_policy_fleet_next(zone, &pos, &records[n])
               == NGX_OK)
        {
            n++;
        }
    }

    is_int(n, 60, "sixty are to be told");
    one = digest(now);
    ok(one.digest != 0 && one.conversations != 0, "both have digests");
    ok(one.digest != one.conversations, "of their own");

    ngx_memzero(&cursor, sizeof(cursor_t));
    ngx_memzero(&two, sizeof(two));
    two.cut = now;
    ok(ngx_http_graph_policy_fleet_digest(zone, &cursor, &two)
       <= NGX_HTTP_GRAPH_POLICY_BATCH, "a batch is looked at, at a time");
    is_int(cursor.done, 0, "which isn't all");

    /* another host that has heard of all, in another order, has the same */

    zone_start_shared(ZONE_LARGE);
    zone_at(T0 + 19);

    for (i = n; i > 0; i--) {
        record = records[i - 1];
        ngx_http_graph_policy_fleet_apply(zone, &record, now, &changes, &view);
    }

    two = digest(now);
    ok(one.digest == two.digest, "who has heard of all has the same");
    ok(one.conversations == two.conversations, "of conversations, too");

    two = digest(now - 1);
    ok(one.digest != two.digest, "what changed since isn't in it");
    ok(one.conversations != two.conversations, "nor what was limited since");

    zone_sharing.conversations = 0;
    two = digest(now);
    ok(one.digest == two.digest, "who shares no conversations has states");
    ok(one.conversations != two.conversations, "but not those");
    is_int(two.shares, 0, "and says so");
    zone_sharing.conversations = 1;

    /* an end isn't in it, nor a limit that is about to end */

    id = zone_to("10003", NULL, 7, 0);
    zone_ask(&id);
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    two = digest(now);
    ok(one.digest != two.digest, "an end isn't in it");
    ok(one.conversations == two.conversations, "conversations stay");

    id = zone_to("10003", NULL, 7, 1000);
    zone_failure(131047, ANSWER)->hold = 120000;
    zone_learn(&id);
    two = digest(now);
    ok(one.conversations == two.conversations, "nor is what ends soon");
    id = zone_to("10003", NULL, 7, 1001);
    zone_failure(131047, ANSWER)->hold = 120001;
    zone_learn(&id);
    two = digest(now);
    ok(one.conversations != two.conversations, "what ends later is");
    one = two;
    ngx_http_graph_policy_zone_end(zone, view.hash, view.stored_reason, now,
                                   &changes);
    two = digest(now);
    ok(one.conversations != two.conversations, "until it has ended");

    /* times are compared by the engine's clock */

    zone_start_shared(ZONE_LARGE);
    id = zone_to("10003", NULL, 7, 0);
    zone_fail(&id, 131045, ANSWER);
    one = digest(now + 50);
    sh->fleet->clock.known = 1;
    sh->fleet->clock.offset = 100;
    two = digest(now + 50);
    ok(one.digest != 0 && two.digest == 0, "a clock that is ahead counts");
    two = digest(now + 100);
    ok(two.digest != 0 && two.digest != one.digest, "as that clock has it");
}


int
main(void)
{
    test_names();
    test_status();
    test_digest();

    return tap_done();
}
