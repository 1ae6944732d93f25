
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * An entry that came, from whomever: verified, read, applied; and what it
 * tells of the others and of the engine: that entries between were lost, that
 * somebody knows less than this host, how old news is.
 *
 * Lock rule: none; the zone is changed under the mutex, by its own functions.
 * Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* milliseconds until an older version is answered, and how many more */
#define NGX_HTTP_GRAPH_POLICY_SYNC_REPAIR  500
#define NGX_HTTP_GRAPH_POLICY_SYNC_SPREAD  1000


static ngx_int_t ngx_http_graph_policy_sync_verify(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry, ngx_uint_t *key);
static void ngx_http_graph_policy_sync_heard(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry);
static void ngx_http_graph_policy_sync_hear_node(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry);
static ngx_http_graph_policy_received_e ngx_http_graph_policy_sync_apply(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry, ngx_uint_t key,
    ngx_http_graph_policy_asked_e from, ngx_uint_t *over);
static uint64_t ngx_http_graph_policy_sync_age(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_entry_t *entry);
static void ngx_http_graph_policy_sync_mend(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record, ngx_uint_t older);
static void ngx_http_graph_policy_sync_log_applied(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_view_t *view);


ngx_int_t
ngx_http_graph_policy_sync_receive(ngx_http_graph_policy_sync_run_t *run,
    ngx_str_t *text, ngx_http_graph_policy_asked_e from)
{
    ngx_uint_t                          key, over;
    ngx_http_graph_policy_entry_t       entry;
    ngx_http_graph_policy_fleet_t      *fleet;
    ngx_http_graph_policy_received_e    received;
    ngx_http_graph_policy_heartbeat_t   heartbeat;

    over = 0;
    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    if (ngx_http_graph_policy_entry_read(text->data, text->len, &entry)
        != NGX_OK)
    {
        received = NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;
        goto count;
    }

    if (ngx_http_graph_policy_sync_verify(run, &entry, &key) != NGX_OK) {
        received = NGX_HTTP_GRAPH_POLICY_RECEIVED_FORGED;
        goto count;
    }

    if (from == NGX_HTTP_GRAPH_POLICY_ASKED_XREAD) {

        if (entry.node == ngx_http_graph_policy_zone_node(run->zone)) {
            ngx_http_graph_policy_sync_heard(run, &entry);

            if (entry.body.data[0] == 'h') {
                return NGX_OK;
            }

            received = NGX_HTTP_GRAPH_POLICY_RECEIVED_OWN;
            goto count;
        }

        ngx_http_graph_policy_sync_hear_node(run, &entry);

        if (ngx_http_graph_policy_heartbeat_read(&entry.body, &heartbeat)
            == NGX_OK)
        {
            ngx_http_graph_policy_sync_compare(run, entry.node, &heartbeat);
            return NGX_OK;
        }
    }

    received = ngx_http_graph_policy_sync_apply(run, &entry, key, from, &over);

count:

    (void) ngx_atomic_fetch_add(&fleet->received[received], 1);

    return over ? NGX_DONE : NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_sync_verify(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry, ngx_uint_t *key)
{
    ngx_uint_t                     i;
    ngx_http_graph_policy_sync_t  *sync;

    sync = run->sync;

    for (i = 0; i < sync->nkeys; i++) {

        if (ngx_http_graph_policy_entry_verify(entry, &sync->log,
                                               sync->keys[i].signature)
            == NGX_OK)
        {
            *key = i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* Own news has come back: the stream works both ways. */

static void
ngx_http_graph_policy_sync_heard(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry)
{
    uint64_t                        now;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    now = ngx_http_graph_policy_sync_now(run);

    /* an old one that somebody has put there again is no news */

    if (entry->seq <= run->heard_seq) {
        return;
    }

    run->heard_seq = entry->seq;
    run->unheard = ngx_current_msec;

    fleet->heard = ngx_current_msec | 1;
    fleet->connected = 1;
    fleet->lag = (now > entry->sent) ? now - entry->sent : 0;
}


static void
ngx_http_graph_policy_sync_hear_node(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry)
{
    uint64_t                        now;
    ngx_http_graph_policy_node_t   *node, *last, *oldest;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    now = ngx_http_graph_policy_sync_now(run);
    fleet->lag = (now > entry->sent) ? now - entry->sent : 0;

    oldest = fleet->nodes;
    last = fleet->nodes + NGX_HTTP_GRAPH_POLICY_NODES;

    for (node = fleet->nodes; node < last; node++) {

        if (node->id == entry->node) {
            break;
        }

        if (node->heard < oldest->heard) {
            oldest = node;
        }
    }

    if (node == last) {
        node = oldest;
        node->id = entry->node;
        node->seq = entry->seq;

    } else if (entry->seq > node->seq + 1) {

        /* the stream was cut before all of it was read */

        ngx_http_graph_policy_sync_resync(run,
                                          NGX_HTTP_GRAPH_POLICY_RESYNC_GAP);
    }

    node->seq = ngx_max(node->seq, entry->seq);
    node->heard = ngx_current_msec | 1;
}


static ngx_http_graph_policy_received_e
ngx_http_graph_policy_sync_apply(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_entry_t *entry, ngx_uint_t key,
    ngx_http_graph_policy_asked_e from, ngx_uint_t *over)
{
    uint64_t                               now, age;
    ngx_uint_t                             in_hash;
    ngx_http_graph_policy_view_t           view;
    ngx_http_graph_policy_record_t        *record;
    ngx_http_graph_policy_received_e       received;
    ngx_http_graph_policy_engine_clock_t  *clock;

    record = &run->records[NGX_HTTP_GRAPH_POLICY_BATCH - 1];
    clock = &ngx_http_graph_policy_zone_fleet(run->zone)->clock;
    now = ngx_http_graph_policy_sync_own_now();
    in_hash = (from != NGX_HTTP_GRAPH_POLICY_ASKED_XREAD);

    if (entry->body.len > NGX_HTTP_GRAPH_POLICY_RECORD_READ
        || ngx_http_graph_policy_record_read(entry->body.data, entry->body.len,
                                             run->arena, record)
           != NGX_OK
        || (record->type != NGX_HTTP_GRAPH_POLICY_RECORD_STATE
            && record->type != NGX_HTTP_GRAPH_POLICY_RECORD_LINK
            && record->type != NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION))
    {
        return NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;
    }

    /* another key makes other fingerprints, of the same credential too */

    if (key != 0) {

        if (record->credential != 0 || record->pair != 0
            || record->conversation != 0)
        {
            return NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;
        }

        record->group = 0;
        record->number = 0;
        record->setter = 0;
        record->message = 0;
    }

    ngx_http_graph_policy_engine_clock_record(clock, record, 0);

    record->lease_until = 0;

    if (entry->lease != 0) {
        record->lease_until = ngx_http_graph_policy_engine_clock_from(clock,
                                                  entry->sent + entry->lease);
    }

    if (in_hash
        && ngx_http_graph_policy_fleet_is_over(run->zone, record, now))
    {
        *over = 1;
    }

    age = ngx_http_graph_policy_sync_age(run, record, entry);

    record->stale = (age > NGX_HTTP_GRAPH_POLICY_FLEET_BELIEVED);

    /*
     * The hash may be behind the stream, and own leases may have ended since.
     */

    record->known = (from == NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP
                     || entry->node
                        == ngx_http_graph_policy_zone_node(run->zone));

    received = ngx_http_graph_policy_fleet_apply(run->zone, record, now,
                                                 &run->changes, &view);

    if (received == NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD) {
        return received;
    }

    if (received == NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER) {
        *over = 0;
        ngx_http_graph_policy_sync_mend(run, record, 1);

    } else if (in_hash && age > NGX_HTTP_GRAPH_POLICY_FLEET_RENEWED) {
        ngx_http_graph_policy_sync_mend(run, record, 1);

    } else if (!in_hash) {
        ngx_http_graph_policy_sync_mend(run, record, 0);
    }

    if (view.transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {
        ngx_http_graph_policy_sync_log_applied(run, &view);
    }

    return received;
}


/*
 * Whoever can write to the engine can put there again what was told once.  The
 * end of a hold bounds what comes of it; a frozen state has none, so it counts
 * when it was told.
 */

static uint64_t
ngx_http_graph_policy_sync_age(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_entry_t *entry)
{
    uint64_t  now;

    now = ngx_http_graph_policy_sync_now(run);

    return (record->type == NGX_HTTP_GRAPH_POLICY_RECORD_STATE
            && record->armed && record->until == NGX_HTTP_GRAPH_POLICY_NEVER
            && now > entry->sent)
           ? now - entry->sent : 0;
}


/*
 * Somebody who told an older version, or put it into the hash, knows less: the
 * state is told anew in a moment, unless another host does that first.
 */

static void
ngx_http_graph_policy_sync_mend(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record, ngx_uint_t older)
{
    ngx_uint_t                            i, what, reason;
    ngx_http_graph_policy_sync_repair_t  *repair;

    what = NGX_HTTP_GRAPH_POLICY_MARK_STATE;
    reason = 0;

    switch (record->type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_LINK:
        what = NGX_HTTP_GRAPH_POLICY_MARK_LINK;
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        what = NGX_HTTP_GRAPH_POLICY_MARK_CONVERSATION;
        break;

    default:
        reason = record->reason;
    }

    for (i = 0; i < run->nrepairs; i++) {
        repair = &run->repairs[i];

        if (repair->hash == record->hash && repair->what == what
            && repair->reason == reason)
        {
            if (!older) {
                *repair = run->repairs[--run->nrepairs];
            }

            return;
        }
    }

    if (!older) {
        return;
    }

    if (run->nrepairs == NGX_HTTP_GRAPH_POLICY_SYNC_REPAIRS) {
        ngx_http_graph_policy_sync_resync(run,
                                         NGX_HTTP_GRAPH_POLICY_RESYNC_DIGEST);
        return;
    }

    repair = &run->repairs[run->nrepairs++];

    repair->hash = record->hash;
    repair->reason = (uint32_t) reason;
    repair->what = (uint32_t) what;
    repair->due = ngx_current_msec + NGX_HTTP_GRAPH_POLICY_SYNC_REPAIR
                  + (ngx_msec_t) ngx_random()
                    % NGX_HTTP_GRAPH_POLICY_SYNC_SPREAD;
}


void
ngx_http_graph_policy_sync_repair(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_uint_t                            i;
    ngx_http_graph_policy_sync_repair_t  *repair;

    for (i = 0; i < run->nrepairs; /* void */) {
        repair = &run->repairs[i];

        if ((ngx_msec_int_t) (ngx_current_msec - repair->due) < 0) {
            i++;
            continue;
        }

        ngx_http_graph_policy_fleet_tell(run->zone, repair->hash,
                                         repair->reason, repair->what);

        *repair = run->repairs[--run->nrepairs];
    }
}


/* the host where it happened logs it for all */

static void
ngx_http_graph_policy_sync_log_applied(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_view_t *view)
{
    ngx_str_t  node;

    node.data = view->node;
    node.len = view->node_len;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "graph_policy_zone \"%V\" heard from \"%V\" that state "
                  "%016xL%02xd was %s", &run->zone->name, &node, view->hash,
                  (int) view->stored_reason,
                  (view->transition == NGX_HTTP_GRAPH_POLICY_CLEARED)
                  ? "cleared"
                  : (view->transition == NGX_HTTP_GRAPH_POLICY_SET)
                    ? "set" : "set again");
}
