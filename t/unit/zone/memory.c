
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the zone's memory itself: how it is made, taken over on reload,
 * formatted anew after a worker died, and counted in.
 */


#include <stdlib.h>
#include <unistd.h>

#include "zone.h"


static ngx_http_graph_policy_zone_t  *old;


/* The next cycle takes over the memory, or it is inherited by an upgrade. */

static ngx_int_t
reload(ngx_http_graph_policy_share_t *share, ngx_uint_t upgrade)
{
    ngx_int_t           rc;
    static ngx_conf_t   cf;
    static ngx_str_t    name = ngx_string("one");

    zone_memory.data = NULL;
    zone_memory.shm.exists = upgrade;
    shim_log[0] = '\0';
    old = zone;

    if (ngx_http_graph_policy_zone_add(&cf, &name, zone_memory.shm.size, &zone,
                                       zone_tell, &changes, &zone)
        != NGX_OK)
    {
        abort();
    }

    zone->share = share;
    rc = zone_memory.init(&zone_memory, upgrade ? NULL : old);
    sh = zone->sh;

    return rc;
}


static void
test_add(void)
{
    ngx_conf_t                     cf;
    static ngx_str_t               name = ngx_string("one");
    ngx_http_graph_policy_zone_t  *another;

    zone_start(ZONE_SIZE);
    is_mem(zone->name.data, zone->name.len, "one", 3, "a zone has a name");
    is_str(zone->shpool->log_ctx, " in graph_policy_zone \"one\"",
           "which its pool logs");
    is_int(zone->shpool->log_nomem, 0, "but not that it is full");
    ok(zone->shpool->data == sh, "another binary finds it there");
    is_str(shim_log, "", "nothing is logged");

    is_int(ngx_http_graph_policy_zone_add(&cf, &name, ZONE_SIZE, &zone,
                                          zone_tell, NULL, &another),
           NGX_DECLINED, "a zone is defined once");

    zone_memory.data = NULL;
    shim_fails = 1;
    is_int(ngx_http_graph_policy_zone_add(&cf, &name, ZONE_SIZE, &zone,
                                          zone_tell, NULL, &another),
           NGX_ERROR, "without memory it isn't");
    zone_memory.data = NULL;
    shim_fails = 2;
    is_int(ngx_http_graph_policy_zone_add(&cf, &name, ZONE_SIZE, &zone,
                                          zone_tell, NULL, &another),
           NGX_ERROR, "nor with little");
    shim_zone = NULL;
    is_int(ngx_http_graph_policy_zone_add(&cf, &name, ZONE_SIZE, &zone,
                                          zone_tell, NULL, &another),
           NGX_ERROR, "nor if nginx has none");

    is_int(zone_new(2 * SHIM_PAGE, NULL), NGX_ERROR,
           "a zone of a page is too small");
}


static void
test_sizes(void)
{
    uint64_t  key[2], generation;

    zone_start(32 * 1024);
    ok(ngx_http_graph_policy_zone_history(zone) == NULL,
       "a small zone has no history");
    zone_start(ZONE_SIZE);
    ok(ngx_http_graph_policy_zone_history(zone) != NULL,
       "a larger one has");
    ok(ngx_http_graph_policy_zone_counters(zone) == &sh->counters,
       "each has counters");
    ok(ngx_http_graph_policy_zone_fleet(zone) == NULL,
       "what isn't shared has no fleet");
    ok(ngx_http_graph_policy_zone_node(zone) != 0, "but an id");

    key[0] = sh->key[0];
    key[1] = sh->key[1];
    generation = sh->keep.generation;
    zone_start(ZONE_SIZE);
    ok(key[0] != sh->key[0] && key[1] != sh->key[1],
       "each zone has a key of its own");
    ok(generation != sh->keep.generation, "and an id of its own");

    key[0] = sh->key[0];
    key[1] = sh->key[1];
    is_int(ngx_http_graph_policy_zone_reset(zone, ngx_cycle->log), NGX_OK,
           "a zone may be emptied");
    sh = zone->sh;
    ok(key[0] != sh->key[0] && key[1] != sh->key[1], "under another key");
    zone_agrees("when emptied");

    zone_start_shared(ZONE_SIZE);
    ok(sh->key[0] == 0x1234 && sh->key[1] == 0x5678,
       "a fleet has one key for all");
    generation = sh->keep.generation;
    zone_start_shared(ZONE_SIZE);
    ok(generation != sh->keep.generation && (generation & 1),
       "but each host its id");
}


static void
test_random(void)
{
    ngx_uint_t  i;

    for (i = 1; i <= 2; i++) {
        zone_start(ZONE_SIZE);
        shim_no_random = i;
        is_int(ngx_http_graph_policy_zone_reset(zone, ngx_cycle->log),
               NGX_ERROR, "without random bytes no zone is emptied");
        ok(strstr((char *) shim_log, "/dev/urandom") != NULL, "which is said");
        is_int(shim_level, NGX_LOG_EMERG, "as an emergency");

        shim_log[0] = '\0';
        is_int(zone_memory.init(&zone_memory, NULL), NGX_ERROR,
               "nor is one made");
        ok(strstr((char *) shim_log, i == 1 ? "failed" : "returned") != NULL,
           "for that reason");
    }
}


static void
test_fingerprint(void)
{
    uint64_t    one;
    ngx_str_t   text;
    identity_t  id;

    zone_start(ZONE_SIZE);
    zone_text(&text, "EAAG1");
    one = ngx_http_graph_policy_zone_fingerprint(zone, &text);
    ok(one != 0, "a token has a fingerprint");
    is_int(ngx_http_graph_policy_zone_fingerprint(zone, &text) == one, 1,
           "the same each time");
    text.len--;
    ok(ngx_http_graph_policy_zone_fingerprint(zone, &text) != one,
       "another one has another");
    zone_start(ZONE_SIZE);
    text.len++;
    ok(ngx_http_graph_policy_zone_fingerprint(zone, &text) != one,
       "and another zone, too");

    /* hashes of keys are the zone's own as well */

    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 131045, ANSWER);
    one = view.hash;
    zone_start(ZONE_SIZE);
    zone_fail(&id, 131045, ANSWER);
    ok(view.hash != one, "and so have the keys of states");
}


static void
test_reload(void)
{
    uint64_t    key;
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 131045, ANSWER);
    key = sh->key[0];

    is_int(reload(NULL, 0), NGX_OK, "a reload takes the memory over");
    ok(zone != old && zone->sh == old->sh, "by another structure");
    is_int(zone_ask(&id), BLOCK, "with its states");
    is_int(reload(NULL, 1), NGX_OK, "and so does an upgrade");
    is_int(zone_ask(&id), BLOCK, "with its states");
    is_int(sh->key[0] == key, 1, "and its key");
    is_str(shim_log, "", "and nothing is logged");

    /* memory of another layout isn't touched */

    sh->magic++;
    is_int(reload(NULL, 1), NGX_ERROR, "what isn't a zone isn't taken over");
    is_str(shim_log, "graph_policy_zone \"one\" was laid out by another version"
           " of the module, restart nginx to start it afresh",
           "which is said, and no error of the system");
    is_int(shim_level, NGX_LOG_EMERG, "as an emergency");
    zone_memory.shm.exists = 0;
    old->sh->magic--;
    old->sh->layout++;
    zone = old;
    is_int(reload(NULL, 0), NGX_ERROR, "nor another layout");
    old->sh->layout--;
    old->sh->size++;
    zone = old;
    is_int(reload(NULL, 0), NGX_ERROR, "nor one of other sizes");
    old->sh->size--;
    zone = old;
    is_int(reload(NULL, 0), NGX_OK, "the same one is");

    /* a zone can't join a fleet, leave one, or change its key */

    is_int(reload(&zone_sharing, 0), NGX_ERROR, "a zone can't join a fleet");
    is_str(shim_log, "graph_policy_zone \"one\" can't join a fleet on reload,"
           " restart nginx or rename the zone", "it is told");

    zone_start_shared(ZONE_SIZE);
    is_int(reload(&zone_sharing, 0), NGX_OK, "one of a fleet stays there");
    is_int(reload(NULL, 0), NGX_ERROR, "but can't leave it");
    is_str(shim_log, "graph_policy_zone \"one\" can't leave a fleet on reload,"
           " restart nginx or rename the zone", "it is told");
    zone = old;
    zone_sharing.key[0]++;
    is_int(reload(&zone_sharing, 0), NGX_ERROR, "nor change its key");
    is_str(shim_log, "graph_policy_zone \"one\" can't change its sync key on"
           " reload, restart nginx or rename the zone", "it is told");
    zone = old;
    zone_sharing.key[0]--;
    zone_sharing.key[1]++;
    is_int(reload(&zone_sharing, 0), NGX_ERROR, "not half of it");
}


static void
test_resized(void)
{
    ngx_shm_zone_t                   before[3];
    ngx_list_part_t                  next;
    ngx_http_graph_policy_zone_t    *z;

    static ngx_str_t                 name = ngx_string("one");
    static ngx_str_t                 other = ngx_string("two");
    static ngx_conf_t                cf;

    /* the old cycle has zones in two parts; the last one is this one */

    zone_start(ZONE_SIZE);
    ngx_memzero(before, sizeof(before));
    ngx_memzero(&next, sizeof(ngx_list_part_t));

    before[0].tag = &name;
    before[0].shm.name = name;
    before[0].shm.size = ZONE_LARGE;
    before[1].tag = &zone;
    before[1].shm.name = other;
    before[1].shm.size = ZONE_LARGE;
    before[2].tag = &zone;
    before[2].shm.name = name;
    before[2].shm.size = ZONE_SIZE;

    shim_get_cycle()->shared_memory.part.elts = before;
    shim_get_cycle()->shared_memory.part.nelts = 2;
    shim_get_cycle()->shared_memory.part.next = &next;
    next.elts = &before[2];
    next.nelts = 1;

    zone_memory.data = NULL;
    (void) ngx_http_graph_policy_zone_add(&cf, &name, ZONE_SIZE, &zone,
                                          zone_tell, NULL, &z);
    ngx_slab_init((ngx_slab_pool_t *) zone_memory.shm.addr);
    is_int(zone_memory.init(&zone_memory, NULL), NGX_OK, "a zone is made");
    is_str(shim_log, "", "one of the same size isn't worth a line");

    before[2].shm.size = ZONE_LARGE;
    ngx_slab_init((ngx_slab_pool_t *) zone_memory.shm.addr);
    is_int(zone_memory.init(&zone_memory, NULL), NGX_OK, "a zone is made");
    is_str(shim_log, "graph_policy_zone \"one\" changed its size from 1048576"
           " to 262144 and starts without its states",
           "one of another size is: its states are gone");
    is_int(shim_level, NGX_LOG_WARN, "as a warning");

    z->file = (ngx_http_graph_policy_state_file_t *) &z;
    ngx_slab_init((ngx_slab_pool_t *) zone_memory.shm.addr);
    is_int(zone_memory.init(&zone_memory, NULL), NGX_OK, "a zone is made");
    is_str(shim_log, "graph_policy_zone \"one\" changed its size from 1048576"
           " to 262144 and starts from its state file",
           "unless there is a file of them");

    shim_get_cycle()->shared_memory.part.nelts = 0;
    shim_get_cycle()->shared_memory.part.next = NULL;
}


static void
test_recover(void)
{
    uint64_t    key, lease, revision, generation;
    identity_t  id;

    zone_start(ZONE_SIZE);
    id = zone_who("10001", NULL, 7);
    zone_fail(&id, 131045, ANSWER);
    zone_at(T0 + 2 * HOLD);
    zone_ask(&id);
    key = sh->key[0];
    lease = cover.refs[0].lease;
    revision = sh->revision;
    generation = sh->keep.generation;
    sh->keep.owned = 1;

    /* a worker died amid a change */

    sh->editing = 1;
    is_int(zone_ask(&id), PASS, "a zone that can't be trusted blocks nobody");
    sh = zone->sh;
    is_str(shim_log, "a worker died while it changed graph_policy_zone \"one\","
           " the zone starts afresh without its states", "which is said");
    is_int(shim_level, NGX_LOG_ALERT, "as an alert");
    shim_log[0] = '\0';
    zone_ask(&id);
    is_str(shim_log, "", "once");
    is_int(sh->key[0] == key, 1, "fingerprints stay the same");
    is_int(sh->keep.generation, generation, "and so does its id");
    is_int(sh->keep.owned, 0, "the file isn't its own any more");
    is_int(sh->keep.lost, 0, "nothing is in a file");
    ok(sh->revision > revision, "what workers kept is void");
    zone_agrees("afresh");

    zone_fail(&id, 131045, ANSWER);
    zone_at(now + 2 * HOLD);
    is_int(zone_ask(&id), PROBE, "and it goes on");
    ok(cover.refs[0].lease > lease, "with other leases than before");

    zone->file = (ngx_http_graph_policy_state_file_t *) &id;
    sh->editing = 1;
    zone_ask(&id);
    is_int(zone->sh->keep.lost, 1, "with a file it says that states are lost");
    is_str(shim_log, "a worker died while it changed graph_policy_zone \"one\","
           " the zone starts afresh from its state file",
           "and that the file has them");

    /* of a fleet the others know all */

    zone_start_shared(ZONE_SIZE);
    zone_fail(&id, 131045, ANSWER);
    sh->fleet->seq = 55;
    sh->fleet->sent = 66;
    ngx_http_graph_policy_fleet_told(zone, 1);
    sh->editing = 1;
    zone_ask(&id);
    sh = zone->sh;
    is_int(sh->fleet->scan, 1, "a host asks the others for all");
    is_int(sh->fleet->walk, 0, "and has nothing to tell");
    is_int(sh->fleet->seq, 55, "knows what it told");
    is_int(sh->fleet->sent, 66, "and how often");
    is_int(sh->fleet->head, 1, "and goes on there");
    is_int(sh->fleet->tail, 1, "with nothing behind");
    is_int(sh->fleet->size, 1024, "in a ring of the same size");
}


static void
test_notify(void)
{
    int         ends[2];
    uint64_t    n;
    identity_t  id;

    zone_start_shared(ZONE_SIZE);
    is_int(pipe(ends), 0, "a pipe");
    zone_sharing.notify = ends[1];

    id = zone_who("10001", NULL, 7);
    zone_ask(&id);
    is_int(zone_sharing.marked, 0, "nothing is marked");
    zone_fail(&id, 131045, ANSWER);
    is_int(zone_sharing.marked, 0, "whoever tells is woken");
    n = 0;
    is_int(read(ends[0], &n, sizeof(n)), sizeof(n), "by a number");
    is_int(n, 1, "which is one");

    (void) close(ends[1]);
    is_int(read(ends[0], &n, sizeof(n)), 0, "once");
    (void) close(ends[0]);
}


static void
test_counters(void)
{
    time_t                             minute;
    ngx_uint_t                         i;
    ngx_http_graph_policy_history_t   *history;
    ngx_http_graph_policy_counters_t  *counters;

    zone_start(ZONE_SIZE);
    counters = ngx_http_graph_policy_zone_counters(zone);
    history = ngx_http_graph_policy_zone_history(zone);
    minute = now / MINUTE;

    for (i = 0; i < 3; i++) {
        ngx_http_graph_policy_zone_count_answer(zone,
                                                NGX_HTTP_GRAPH_POLICY_FATAL,
                                                BILLING);
    }

    ngx_http_graph_policy_zone_count_answer(zone, NGX_HTTP_GRAPH_POLICY_REQUEST,
                                            NGX_HTTP_GRAPH_POLICY_NREASONS);
    is_int(counters->responses[NGX_HTTP_GRAPH_POLICY_FATAL], 3, "answers");
    is_int(counters->responses[NGX_HTTP_GRAPH_POLICY_REQUEST], 1,
           "are counted by category");
    is_int(counters->errors[BILLING], 3, "and by reason");
    is_int(counters->errors[RESTRICTED], 0, "by their own");
    is_int(ngx_http_graph_policy_counters_of_minute(
               history->categories[NGX_HTTP_GRAPH_POLICY_FATAL], minute),
           3, "by the minute");
    is_int(ngx_http_graph_policy_counters_of_minute(
               history->categories[NGX_HTTP_GRAPH_POLICY_REQUEST], minute),
           1, "with those that no row has");
    is_int(ngx_http_graph_policy_counters_of_minute(history->reasons[BILLING],
                                                    minute),
           3, "and by reason");

    ngx_http_graph_policy_zone_count_blocked(zone, BILLING);
    ngx_http_graph_policy_zone_count_blocked(zone, RESTRICTED);
    is_int(counters->blocked[BILLING], 1, "what is blocked, by reason");
    is_int(ngx_http_graph_policy_counters_of_minute(history->blocked, minute),
           2, "and by the minute");

    ngx_http_graph_policy_zone_count_webhook(zone,
                                        NGX_HTTP_GRAPH_POLICY_WEBHOOK_FORGED);
    ngx_http_graph_policy_zone_count_webhooks(zone,
                                        NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN,
                                              5);
    is_int(counters->webhooks[NGX_HTTP_GRAPH_POLICY_WEBHOOK_FORGED], 1,
           "a webhook");
    is_int(counters->webhooks[NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN], 5,
           "or several");

    ngx_http_graph_policy_zone_count_dry_run(zone, BILLING,
                                             NGX_HTTP_GRAPH_POLICY_REFUSED);
    is_int(counters->dry_run[BILLING][NGX_HTTP_GRAPH_POLICY_REFUSED], 1,
           "what dry run let pass");
    ngx_http_graph_policy_zone_count_resent(zone, BILLING,
                                            NGX_HTTP_GRAPH_POLICY_ACCEPTED);
    is_int(counters->resent[BILLING][NGX_HTTP_GRAPH_POLICY_ACCEPTED], 1,
           "what was sent again");
    ngx_http_graph_policy_zone_count_denied(zone,
                                         NGX_HTTP_GRAPH_POLICY_DENIED_QUOTA);
    is_int(counters->denied[NGX_HTTP_GRAPH_POLICY_DENIED_QUOTA], 1,
           "and what wasn't");

    ngx_memzero(&changes, sizeof(changes_t));
    changes.probe = NGX_HTTP_GRAPH_POLICY_NPROBES;
    ngx_http_graph_policy_zone_count_changes(zone, &changes);
    changes.evicted = 3;
    changes.refused = 2;
    changes.probe = NGX_HTTP_GRAPH_POLICY_PROBE_REARMED;
    ngx_http_graph_policy_zone_count_changes(zone, &changes);
    is_int(counters->evicted, 3, "what was evicted");
    is_int(counters->lost, 2, "and lost");
    is_int(counters->probes[NGX_HTTP_GRAPH_POLICY_PROBE_REARMED], 1,
           "and a probe");
    is_int(counters->probes[NGX_HTTP_GRAPH_POLICY_PROBE_CLEARED], 0,
           "by its result");

    ngx_pid = getpid();
    ngx_http_graph_policy_zone_count_parked(zone, 3);
    ngx_http_graph_policy_zone_count_parked(zone, -1);
    is_int(ngx_http_graph_policy_counters_parked(counters), 2,
           "those that wait, as they come and go");
    ngx_pid = 4711;

    /* the budget: ten percent, or one a second */

    for (i = 0; i < 100; i++) {
        ngx_http_graph_policy_zone_try(zone);
    }

    for (i = 0; ngx_http_graph_policy_zone_retry(zone, 20, 1) == NGX_OK; i++) {
        /* void */
    }

    is_int(i, 20, "retries have a budget, of the tries");
    is_int(ngx_http_graph_policy_counters_of_minute(history->retries, minute),
           20, "which are counted");
    is_int(ngx_http_graph_policy_counters_of_minute(history->over_budget,
                                                    minute),
           1, "as well as those over it");

    /* a small zone has no history, and counts as well */

    zone_start(32 * 1024);
    ngx_http_graph_policy_zone_count_answer(zone, NGX_HTTP_GRAPH_POLICY_FATAL,
                                            BILLING);
    ngx_http_graph_policy_zone_count_blocked(zone, BILLING);
    (void) ngx_http_graph_policy_zone_retry(zone, 20, 1);
    is_int(sh->counters.errors[BILLING] + sh->counters.blocked[BILLING], 2,
           "a small zone counts without a history");
}


static void
test_scopes(void)
{
    is_int(ngx_http_graph_policy_key_scopes[KEY_CREDENTIAL],
           NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL, "a token's scope");
    is_int(ngx_http_graph_policy_key_scopes[KEY_ACCOUNT_PHONE],
           NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT, "an unknown account's");
    is_int(ngx_http_graph_policy_key_scopes[KEY_LIMITED],
           NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION, "and a limit's");
}


int
main(void)
{
    test_add();
    test_sizes();
    test_random();
    test_fingerprint();
    test_reload();
    test_resized();
    test_recover();
    test_notify();
    test_counters();
    test_scopes();

    return tap_done();
}
