
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What this host tells the others: each change of its zone, a heartbeat each
 * second and, after a loss, all that it knows.  A change is put into the hash
 * of states, counted, and put into the stream; it is told when the three
 * answers are there, and told anew where they don't come.
 *
 * The same connection reads the hash: all of it after a start or a loss, and a
 * little each second, to drop what nobody needs.
 *
 * Lock rule: none; marks and states are copied under the mutex, in the zone.
 * Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* how often the engine's clock is asked at first, and beats until again */
#define NGX_HTTP_GRAPH_POLICY_SYNC_TIMES   5
#define NGX_HTTP_GRAPH_POLICY_SYNC_MINUTE  60

/* milliseconds; no clock is before that */
#define NGX_HTTP_GRAPH_POLICY_SYNC_EPOCH   1000000000000ULL

/* milliseconds that the keys outlive the last host */
#define NGX_HTTP_GRAPH_POLICY_SYNC_EXPIRE  "604800000"

/* fields a step: of a scan, of a sweep; and how long others may work then */
#define NGX_HTTP_GRAPH_POLICY_SYNC_COUNT   "64"
#define NGX_HTTP_GRAPH_POLICY_SYNC_PAUSE   1


static void ngx_http_graph_policy_sync_writer_ready(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_writer_value(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value);
static void ngx_http_graph_policy_sync_writer_answered(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error);
static void ngx_http_graph_policy_sync_writer_closed(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large);
static ngx_int_t ngx_http_graph_policy_sync_writer_refused(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error);
static void ngx_http_graph_policy_sync_time(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_timed(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_beat(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_expire(
    ngx_http_graph_policy_sync_run_t *run);
static ngx_int_t ngx_http_graph_policy_sync_record(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record, uint64_t pos);
static ngx_int_t ngx_http_graph_policy_sync_entry(
    ngx_http_graph_policy_sync_run_t *run, uint64_t lease, ngx_str_t *text);
static void ngx_http_graph_policy_sync_add(
    ngx_http_graph_policy_sync_run_t *run, ngx_http_graph_policy_asked_e what,
    uint64_t pos, ngx_str_t *text);
static void ngx_http_graph_policy_sync_walk(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_count(
    ngx_http_graph_policy_sync_run_t *run, int64_t n);
static void ngx_http_graph_policy_sync_scan(
    ngx_http_graph_policy_sync_run_t *run, ngx_http_graph_policy_asked_e what,
    ngx_str_t *cursor);
static void ngx_http_graph_policy_sync_scanned(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value);
static void ngx_http_graph_policy_sync_forget(
    ngx_http_graph_policy_sync_run_t *run, ngx_str_t *field);
static uint64_t ngx_http_graph_policy_sync_number(ngx_str_t *text);


ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_writing = {
    ngx_http_graph_policy_sync_writer_ready,
    ngx_http_graph_policy_sync_writer_value,
    ngx_http_graph_policy_sync_writer_answered,
    ngx_http_graph_policy_sync_writer_closed
};


static void
ngx_http_graph_policy_sync_writer_ready(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    ngx_http_graph_policy_fleet_t     *fleet;
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;
    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    run->pos = fleet->tail;
    run->times = 0;
    run->begun = 0;
    run->scan_waits = 0;
    run->sweep_waits = 0;
    run->beat = ngx_current_msec;

    if (run->walking) {
        ngx_memzero(&run->walk, sizeof(ngx_http_graph_policy_cursor_t));
    }

    fleet->server = run->server;

    ngx_memzero(&run->best, sizeof(ngx_http_graph_policy_engine_clock_t));
    ngx_http_graph_policy_sync_time(run);
}


static void
ngx_http_graph_policy_sync_writer_value(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value)
{
    uint64_t                           n;
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    switch (asked->what) {

    case NGX_HTTP_GRAPH_POLICY_ASKED_TIME:
        if (value->depth == 1) {
            n = ngx_http_graph_policy_sync_number(&value->text);
            run->told_time = (value->index[0] == 0)
                             ? n * 1000 : run->told_time + n / 1000;
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_ASKED_COUNT:
        if (value->type == NGX_HTTP_GRAPH_POLICY_RESP_INTEGER) {
            ngx_http_graph_policy_sync_count(run, value->number);
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_ASKED_XADD:
    case NGX_HTTP_GRAPH_POLICY_ASKED_BEAT:
        if (value->depth == 0
            && value->type == NGX_HTTP_GRAPH_POLICY_RESP_STRING
            && value->text.len <= sizeof(run->xadd_text))
        {
            ngx_memcpy(run->xadd_text, value->text.data, value->text.len);
            run->xadd.data = run->xadd_text;
            run->xadd.len = value->text.len;
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_ASKED_SCAN:
    case NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP:
        ngx_http_graph_policy_sync_scanned(run, asked, value);
        break;

    default: /* the answer's arrival is all that it says */
        break;
    }
}


static void
ngx_http_graph_policy_sync_writer_answered(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error)
{
    ngx_http_graph_policy_fleet_t     *fleet;
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;
    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    if (error != NULL
        && ngx_http_graph_policy_sync_writer_refused(conn, asked, error)
           != NGX_OK)
    {
        return;
    }

    switch (asked->what) {

    case NGX_HTTP_GRAPH_POLICY_ASKED_TIME:
        ngx_http_graph_policy_sync_timed(run);
        return;

    case NGX_HTTP_GRAPH_POLICY_ASKED_XADD:
    case NGX_HTTP_GRAPH_POLICY_ASKED_BEAT:
        if (error != NULL) {
            return;
        }

        ngx_http_graph_policy_sync_conn_works(conn);

        if (run->told_seq <= run->heard_seq) {
            run->unheard = ngx_current_msec;
        }

        run->told_seq++;

        if (asked->what == NGX_HTTP_GRAPH_POLICY_ASKED_XADD) {
            (void) ngx_atomic_fetch_add(&fleet->sent, 1);

            if (asked->pos != 0) {
                ngx_http_graph_policy_fleet_told(run->zone, asked->pos);
            }
        }

        if (!run->begun || run->cursor_lost) {
            run->begun = 1;
            ngx_http_graph_policy_sync_begin_reading(run);
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_ASKED_SCAN:
        run->scan_waits = 0;

        if (run->scan.len == 1 && run->scan.data[0] == '0') {
            run->scanning = 0;
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP:
        run->sweep_waits = 0;
        break;

    default:
        break;
    }

    /* of what is gone by now nobody was told */

    if (conn->nasked == 0 && fleet->tail != run->pos) {
        ngx_http_graph_policy_fleet_told(run->zone, run->pos);
    }

    if (run->walking || (run->scanning && !run->scan_waits)
        || run->pos != fleet->head)
    {
        if (!run->step.timer_set) {
            ngx_add_timer(&run->step, NGX_HTTP_GRAPH_POLICY_SYNC_PAUSE);
        }
    }
}


/* NGX_OK: it is mended, and the connection goes on */

static ngx_int_t
ngx_http_graph_policy_sync_writer_refused(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error)
{
    ngx_str_t                          args[3];
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    /*
     * Somebody wrote the largest id there is, behind which the stream takes no
     * other for ever.  PEXPIRE deletes it, as DEL may be denied.
     */

    if ((asked->what == NGX_HTTP_GRAPH_POLICY_ASKED_XADD
         || asked->what == NGX_HTTP_GRAPH_POLICY_ASKED_BEAT)
        && ngx_strlcasestrn(error->data, error->data + error->len,
                            (u_char *) "last possible ID",
                            sizeof("last possible ID") - 2)
           != NULL)
    {
        ngx_str_set(&args[0], "PEXPIRE");
        args[1] = run->sync->log;
        ngx_str_set(&args[2], "0");

        (void) ngx_http_graph_policy_sync_conn_ask(conn,
                                            NGX_HTTP_GRAPH_POLICY_ASKED_OTHER,
                                                   0, args, 3);
        ngx_http_graph_policy_sync_conn_send(conn);
    }

    /* somebody has put something else where our hash was */

    if (ngx_strncmp(error->data, "WRONGTYPE", 9) == 0) {
        run->lost = 1;
    }

    ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_REFUSED,
                                         "it refuses", error);

    return NGX_ERROR;
}


static void
ngx_http_graph_policy_sync_writer_closed(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large)
{
    ngx_http_graph_policy_asked_t     *asked;
    ngx_http_graph_policy_fleet_t     *fleet;
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;
    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    asked = &conn->asked[conn->first];

    /* the hash has a value that nobody can read */

    if (large && conn->nasked != 0
        && (asked->what == NGX_HTTP_GRAPH_POLICY_ASKED_SCAN
            || asked->what == NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP))
    {
        run->scanning = 0;
        run->scan_failed = 1;
        (void) ngx_atomic_fetch_add(
            &fleet->received[NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD], 1);
    }

    conn->nasked = 0;

    /* what is told anew bears the numbers that nobody may have seen */

    fleet->seq = run->told_seq;

    if (run->sync->servers.nelts > 1) {
        run->server = (run->server + 1) % run->sync->servers.nelts;
        ngx_http_graph_policy_sync_conn_close(&run->reader);
    }
}


static void
ngx_http_graph_policy_sync_time(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_str_t  args[1];

    run->asked_time = ngx_http_graph_policy_sync_own_now();
    run->told_time = 0;

    ngx_str_set(&args[0], "TIME");

    (void) ngx_http_graph_policy_sync_conn_ask(&run->writer,
                                             NGX_HTTP_GRAPH_POLICY_ASKED_TIME,
                                               0, args, 1);
    ngx_http_graph_policy_sync_conn_send(&run->writer);
}


static void
ngx_http_graph_policy_sync_timed(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    /* 2001: an answer that is none, or a clock that was never set */

    if (run->told_time < NGX_HTTP_GRAPH_POLICY_SYNC_EPOCH) {
        ngx_http_graph_policy_sync_conn_fail(&run->writer,
                                       NGX_HTTP_GRAPH_POLICY_FAILURE_PROTOCOL,
                                             "it doesn't know the time", NULL);
        return;
    }

    ngx_http_graph_policy_engine_clock_measure(&run->best, run->asked_time,
                                       ngx_http_graph_policy_sync_own_now(),
                                               run->told_time);

    if (++run->times < NGX_HTTP_GRAPH_POLICY_SYNC_TIMES) {
        ngx_http_graph_policy_sync_time(run);
        return;
    }

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    ngx_http_graph_policy_engine_clock_set(&fleet->clock, &run->best);

    ngx_http_graph_policy_sync_write(run);
}


/* each part returns at once where there is nothing to do */

void
ngx_http_graph_policy_sync_write(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_int_t                        rc;
    ngx_http_graph_policy_fleet_t   *fleet;
    ngx_http_graph_policy_record_t  *record;

    if (!run->writer.ready
        || run->times < NGX_HTTP_GRAPH_POLICY_SYNC_TIMES)
    {
        return;
    }

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    record = &run->records[0];

    if ((ngx_msec_int_t) (ngx_current_msec - run->beat) >= 0) {
        ngx_http_graph_policy_sync_beat(run);
    }

    while (ngx_http_graph_policy_sync_conn_room(&run->writer)
           > NGX_HTTP_GRAPH_POLICY_SYNC_CHANGE)
    {
        rc = ngx_http_graph_policy_fleet_next(run->zone, &run->pos, record);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_OK) {
            (void) ngx_http_graph_policy_sync_record(run, record, run->pos);

        } else if (run->writer.nasked == 0) {
            ngx_http_graph_policy_fleet_told(run->zone, run->pos);
        }
    }

    if (run->begun && fleet->walk) {
        fleet->walk = 0;
        run->walking = 1;
        ngx_memzero(&run->walk, sizeof(ngx_http_graph_policy_cursor_t));
    }

    if (run->begun && run->lost) {
        run->lost = 0;
        ngx_http_graph_policy_sync_resync(run,
                                          NGX_HTTP_GRAPH_POLICY_RESYNC_LOST);
    }

    if (run->begun && fleet->scan) {
        fleet->scan = 0;
        ngx_http_graph_policy_sync_resync(run,
                                          NGX_HTTP_GRAPH_POLICY_RESYNC_START);
    }

    if (run->begun && run->walking) {
        ngx_http_graph_policy_sync_walk(run);
    }

    if (run->begun && run->scanning && !run->scan_waits) {
        run->scan_waits = 1;
        ngx_http_graph_policy_sync_scan(run, NGX_HTTP_GRAPH_POLICY_ASKED_SCAN,
                                        &run->scan);
    }

    ngx_http_graph_policy_sync_conn_send(&run->writer);
}


static void
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

    if (run->begun && !run->scanning && !run->scan_failed
        && !run->sweep_waits)
    {
        run->sweep_waits = 1;
        ngx_http_graph_policy_sync_scan(run, NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP,
                                        &run->sweep);
    }
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


static ngx_int_t
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

    p = (record->type == NGX_HTTP_GRAPH_POLICY_RECORD_LINK)
        ? ngx_sprintf(id, "l%016xL", record->hash)
        : ngx_sprintf(id, "%016xL%02xL", record->hash, record->reason);

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

static void
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


/* the engine counts with us: where it is behind it has lost what we told */

static void
ngx_http_graph_policy_sync_count(ngx_http_graph_policy_sync_run_t *run,
    int64_t n)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    /* it is ahead where an answer was lost */

    if (n <= 0 || (uint64_t) n <= fleet->count) {
        ngx_http_graph_policy_sync_resync(run,
                                          NGX_HTTP_GRAPH_POLICY_RESYNC_LOST);
    }

    fleet->count = ngx_max(n, 0);
}


void
ngx_http_graph_policy_sync_resync(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_resync_e why)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    /* what brings it about again and again must not be all that is done */

    if (run->resynced[why] != 0
        && ngx_current_msec - run->resynced[why]
           < NGX_HTTP_GRAPH_POLICY_SYNC_BEAT)
    {
        return;
    }

    run->resynced[why] = ngx_current_msec | 1;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    (void) ngx_atomic_fetch_add(&fleet->resyncs[why], 1);

    run->scanning = 1;
    run->scan_failed = 0;
    run->scan.data = run->scan_text;
    run->scan.len = 1;
    run->scan_text[0] = '0';

    if (why == NGX_HTTP_GRAPH_POLICY_RESYNC_LOST
        || why == NGX_HTTP_GRAPH_POLICY_RESYNC_DIGEST)
    {
        run->walking = 1;
        ngx_memzero(&run->walk, sizeof(ngx_http_graph_policy_cursor_t));
    }

    if (!run->step.timer_set) {
        ngx_add_timer(&run->step, NGX_HTTP_GRAPH_POLICY_SYNC_PAUSE);
    }
}


static void
ngx_http_graph_policy_sync_scan(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_asked_e what, ngx_str_t *cursor)
{
    ngx_str_t  args[5];

    ngx_str_set(&args[0], "HSCAN");
    args[1] = run->sync->states;
    args[2] = *cursor;
    ngx_str_set(&args[3], "COUNT");
    ngx_str_set(&args[4], NGX_HTTP_GRAPH_POLICY_SYNC_COUNT);

    run->field.len = 0;

    if (ngx_http_graph_policy_sync_conn_ask(&run->writer, what, 0, args, 5)
        != NGX_OK)
    {
        run->scan_waits = 0;
        run->sweep_waits = 0;
    }
}


/* a cursor, then fields and values in turn */

static void
ngx_http_graph_policy_sync_scanned(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value)
{
    ngx_str_t  *cursor;

    if (value->type != NGX_HTTP_GRAPH_POLICY_RESP_STRING) {
        return;
    }

    cursor = (asked->what == NGX_HTTP_GRAPH_POLICY_ASKED_SCAN) ? &run->scan
                                                             : &run->sweep;

    if (value->depth == 1 && value->index[0] == 0) {

        if (value->text.len != 0 && value->text.len <= NGX_INT64_LEN) {
            ngx_memcpy(cursor->data, value->text.data, value->text.len);
            cursor->len = value->text.len;
        }

        return;
    }

    if (value->depth != 2 || value->index[0] != 1) {
        return;
    }

    if (value->index[1] % 2 == 0) {
        run->field.data = run->field_text;
        run->field.len = ngx_min(value->text.len, sizeof(run->field_text));
        ngx_memcpy(run->field_text, value->text.data, run->field.len);
        return;
    }

    if (ngx_http_graph_policy_sync_receive(run, &value->text, &run->field)
        == NGX_DONE)
    {
        ngx_http_graph_policy_sync_forget(run, &run->field);
    }
}


static void
ngx_http_graph_policy_sync_forget(ngx_http_graph_policy_sync_run_t *run,
    ngx_str_t *field)
{
    ngx_str_t  args[3];

    ngx_str_set(&args[0], "HDEL");
    args[1] = run->sync->states;
    args[2] = *field;

    (void) ngx_http_graph_policy_sync_conn_ask(&run->writer,
                                            NGX_HTTP_GRAPH_POLICY_ASKED_OTHER,
                                               0, args, 3);
}


/* decimal, 0 if it is none, or far too large to be a time */

static uint64_t
ngx_http_graph_policy_sync_number(ngx_str_t *text)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] < '0' || text->data[i] > '9' || i == 12) {
            return 0;
        }

        n = n * 10 + (text->data[i] - '0');
    }

    return n;
}
