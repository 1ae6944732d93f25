
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Puts into words and commands what is told: a change of the zone, a heartbeat,
 * and all that the zone knows.
 *
 * Lock rule: none; states are copied under the mutex, in the zone.
 * Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* beats until the keys are told again how long they are to live */
#define NGX_HTTP_GRAPH_POLICY_SYNC_MINUTE  60

/* milliseconds that the keys outlive the last host */
#define NGX_HTTP_GRAPH_POLICY_SYNC_EXPIRE  "604800000"


static void ngx_http_graph_policy_sync_expire(
    ngx_http_graph_policy_sync_run_t *run);
static ngx_int_t ngx_http_graph_policy_sync_entry(
    ngx_http_graph_policy_sync_run_t *run, uint64_t lease, ngx_str_t *text);
static void ngx_http_graph_policy_sync_add(
    ngx_http_graph_policy_sync_run_t *run, ngx_http_graph_policy_asked_e what,
    uint64_t pos, ngx_str_t *text);


void
ngx_http_graph_policy_sync_beat(ngx_http_graph_policy_sync_run_t *run)
{
    u_char                             *p;
    ngx_str_t                           text;
    ngx_http_graph_policy_heartbeat_t   none;

    if (ngx_http_graph_policy_sync_conn_room(&run->writer)
        < NGX_HTTP_GRAPH_POLICY_SYNC_CHANGE)
    {
        return;
    }

    run->beat = ngx_current_msec + NGX_HTTP_GRAPH_POLICY_SYNC_BEAT;

    ngx_memzero(&none, sizeof(ngx_http_graph_policy_heartbeat_t));

    p = ngx_http_graph_policy_heartbeat_write(run->body,
                                           run->summing ? &none : &run->own);
    text.data = run->body;
    text.len = p - run->body;

    if (ngx_http_graph_policy_sync_entry(run, 0, &text) == NGX_OK) {
        ngx_http_graph_policy_sync_add(run, NGX_HTTP_GRAPH_POLICY_ASKED_BEAT,
                                       0, &text);
    }

    if (run->beats++ % NGX_HTTP_GRAPH_POLICY_SYNC_MINUTE == 0) {
        ngx_http_graph_policy_sync_expire(run);
    }

    run->sweep_more = (run->begun != 0);
}


static void
ngx_http_graph_policy_sync_expire(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_str_t   args[3], *keys[3];
    ngx_uint_t  i;

    keys[0] = &run->sync->log;
    keys[1] = &run->sync->states;
    keys[2] = &run->sync->nodes;

    ngx_str_set(&args[0], "PEXPIRE");
    ngx_str_set(&args[2], NGX_HTTP_GRAPH_POLICY_SYNC_EXPIRE);

    for (i = 0; i < 3; i++) {
        args[1] = *keys[i];
        (void) ngx_http_graph_policy_sync_conn_ask(&run->writer,
                                            NGX_HTTP_GRAPH_POLICY_ASKED_OTHER,
                                                   0, args, 3);
    }
}


ngx_int_t
ngx_http_graph_policy_sync_record(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record, uint64_t pos)
{
    u_char                                *p, id[20];
    uint64_t                               now, lease;
    ngx_str_t                              args[4], text;
    ngx_http_graph_policy_engine_clock_t  *clock;

    clock = &ngx_http_graph_policy_zone_fleet(run->zone)->clock;
    now = ngx_http_graph_policy_sync_own_now();

    lease = (record->lease_until > now) ? record->lease_until - now : 0;

    switch (record->type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_LINK:
        p = ngx_sprintf(id, "l%016xL", record->hash);
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        p = ngx_sprintf(id, "c%016xL", record->hash);
        break;

    default:
        p = ngx_sprintf(id, "%016xL%02xL", record->hash, record->reason);
    }

    ngx_str_set(&args[0], "HSET");
    args[1] = run->sync->states;
    args[2].data = id;
    args[2].len = p - id;

    ngx_http_graph_policy_engine_clock_record(clock, record, 1);

    record->blocked = 0;

    p = ngx_http_graph_policy_record_write(run->body, record);

    text.data = run->body;
    text.len = p - run->body - 1;

    if (ngx_http_graph_policy_sync_entry(run, lease, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    args[3] = text;

    (void) ngx_http_graph_policy_sync_conn_ask(&run->writer,
                                             NGX_HTTP_GRAPH_POLICY_ASKED_HSET,
                                               0, args, 4);

    ngx_http_graph_policy_sync_add(run, NGX_HTTP_GRAPH_POLICY_ASKED_XADD, pos,
                                   &text);

    return NGX_OK;
}


/* the entry in run->text, with the body that "text" is; it is "text" then */

static ngx_int_t
ngx_http_graph_policy_sync_entry(ngx_http_graph_policy_sync_run_t *run,
    uint64_t lease, ngx_str_t *text)
{
    u_char                         *p;
    ngx_http_graph_policy_entry_t   entry;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    entry.node = ngx_http_graph_policy_zone_node(run->zone);
    entry.seq = fleet->seq + 1;
    entry.sent = ngx_http_graph_policy_sync_now(run);
    entry.lease = lease;
    entry.body = *text;

    p = ngx_http_graph_policy_entry_write(run->text, &entry, &run->sync->log,
                                          run->sync->keys[0].signature);
    if (p == NULL) {
        return NGX_ERROR;
    }

    fleet->seq++;

    text->data = run->text;
    text->len = p - run->text;

    return NGX_OK;
}


/* counts an entry and puts it into the stream */

static void
ngx_http_graph_policy_sync_add(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_asked_e what, uint64_t pos, ngx_str_t *text)
{
    u_char     *p, node[16], length[NGX_INT_T_LEN];
    ngx_str_t   args[8];

    p = ngx_sprintf(node, "%016xL",
                    ngx_http_graph_policy_zone_node(run->zone));

    ngx_str_set(&args[0], "HINCRBY");
    args[1] = run->sync->nodes;
    args[2].data = node;
    args[2].len = p - node;
    ngx_str_set(&args[3], "1");

    (void) ngx_http_graph_policy_sync_conn_ask(&run->writer,
                                            NGX_HTTP_GRAPH_POLICY_ASKED_COUNT,
                                               0, args, 4);

    p = ngx_sprintf(length, "%ui", run->sync->length);

    ngx_str_set(&args[0], "XADD");
    args[1] = run->sync->log;
    ngx_str_set(&args[2], "MAXLEN");
    ngx_str_set(&args[3], "~");
    args[4].data = length;
    args[4].len = p - length;
    ngx_str_set(&args[5], "*");
    ngx_str_set(&args[6], "e");
    args[7] = *text;

    (void) ngx_http_graph_policy_sync_conn_ask(&run->writer, what, pos, args,
                                               8);
}


/* all that the zone knows, ends of states included */

void
ngx_http_graph_policy_sync_walk(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_int_t  i, n;

    if (ngx_http_graph_policy_sync_conn_room(&run->writer)
        < (NGX_HTTP_GRAPH_POLICY_BATCH + 1)
          * NGX_HTTP_GRAPH_POLICY_SYNC_CHANGE
        || run->writer.nasked > NGX_HTTP_GRAPH_POLICY_SYNC_PENDING / 2)
    {
        return;
    }

    n = ngx_http_graph_policy_record_batch(run->zone, &run->walk,
                                           run->sync->share.conversations,
                                           run->records);

    for (i = 0; i < n; i++) {
        (void) ngx_http_graph_policy_sync_record(run, &run->records[i], 0);
    }

    if (n == NGX_ERROR || run->walk.done) {
        run->walking = 0;
        return;
    }

    if (!run->step.timer_set) {
        ngx_add_timer(&run->step, NGX_HTTP_GRAPH_POLICY_SYNC_PAUSE);
    }
}
