
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tells the others what this host knows: each change of its zone, a heartbeat
 * each second and, after a loss, all of it.  A change is put into the hash of
 * states, counted, and put into the stream; it is told when the three answers
 * are there, and told anew where they don't come.
 *
 * The same connection reads the hash of states.
 *
 * Lock rule: none; marks and states are copied under the mutex, in the zone.
 * Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* how often the engine's clock is asked */
#define NGX_HTTP_GRAPH_POLICY_SYNC_TIMES   5

/* milliseconds; no clock is before that */
#define NGX_HTTP_GRAPH_POLICY_SYNC_EPOCH   1000000000000ULL


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
static void ngx_http_graph_policy_sync_count(
    ngx_http_graph_policy_sync_run_t *run, int64_t n);
static uint64_t ngx_http_graph_policy_sync_number(ngx_str_t *text);


ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_writing = {
    ngx_http_graph_policy_sync_writer_ready,
    ngx_http_graph_policy_sync_writer_value,
    ngx_http_graph_policy_sync_writer_answered,
    ngx_http_graph_policy_sync_writer_closed,
    0
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

    ngx_http_graph_policy_fleet_server(run->zone,
                                &ngx_http_graph_policy_sync_server(run)->text);

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

        run->moved = 0;

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

    /* marks of what is gone by now are done with the last answer */

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

    if (ngx_http_graph_policy_sync_move(run, error) == NGX_OK) {
        return NGX_ERROR;
    }

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

    ngx_http_graph_policy_sync_forget_asked(run);
    ngx_http_graph_policy_sync_next_server(run);
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
