
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the stream, from where it was read to, as it grows.
 *
 * Lock rule: none; what is heard is applied under the mutex, in the zone.
 * Memory: of the process's run; the place in the stream is in the zone, for
 * the process that comes after this one.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* entries that are read at once */
#define NGX_HTTP_GRAPH_POLICY_SYNC_ENTRIES  "64"


static void ngx_http_graph_policy_sync_reader_ready(
    ngx_http_graph_policy_sync_conn_t *conn);
static void ngx_http_graph_policy_sync_reader_value(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value);
static void ngx_http_graph_policy_sync_reader_answered(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error);
static void ngx_http_graph_policy_sync_reader_closed(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large);
static void ngx_http_graph_policy_sync_xread(
    ngx_http_graph_policy_sync_run_t *run);
static ngx_int_t ngx_http_graph_policy_sync_stream_id(ngx_str_t *text,
    uint64_t id[2]);


ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_reading = {
    ngx_http_graph_policy_sync_reader_ready,
    ngx_http_graph_policy_sync_reader_value,
    ngx_http_graph_policy_sync_reader_answered,
    ngx_http_graph_policy_sync_reader_closed,
    0
};


void
ngx_http_graph_policy_sync_begin_reading(ngx_http_graph_policy_sync_run_t *run)
{
    uint64_t                        id[2];
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    if (fleet->cursor[0] == 0 || run->cursor_lost) {

        if (ngx_http_graph_policy_sync_stream_id(&run->xadd, id) != NGX_OK) {
            return;
        }

        if (fleet->cursor[0] == 0) {
            ngx_http_graph_policy_sync_resync(run,
                                          NGX_HTTP_GRAPH_POLICY_RESYNC_START);
        }

        fleet->cursor[0] = id[0];
        fleet->cursor[1] = id[1];

        run->cursor_lost = 0;

        /* this very entry isn't heard */

        run->heard_seq = run->told_seq;
    }

    ngx_http_graph_policy_sync_conn_open(&run->reader, 0);
}


void
ngx_http_graph_policy_sync_lose_cursor(ngx_http_graph_policy_sync_run_t *run)
{
    run->cursor_lost = 1;
    ngx_http_graph_policy_sync_conn_close(&run->reader);
}


static void
ngx_http_graph_policy_sync_reader_ready(
    ngx_http_graph_policy_sync_conn_t *conn)
{
    conn->run->unheard = ngx_current_msec;
    conn->wait = NGX_HTTP_GRAPH_POLICY_SYNC_BLOCK;

    ngx_http_graph_policy_sync_xread(conn->run);
}


static void
ngx_http_graph_policy_sync_xread(ngx_http_graph_policy_sync_run_t *run)
{
    u_char                         *p, id[2 * NGX_INT64_LEN + 1];
    u_char                          block[NGX_INT_T_LEN];
    ngx_str_t                       args[8];
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    ngx_str_set(&args[0], "XREAD");
    ngx_str_set(&args[1], "COUNT");
    ngx_str_set(&args[2], NGX_HTTP_GRAPH_POLICY_SYNC_ENTRIES);
    ngx_str_set(&args[3], "BLOCK");

    p = ngx_sprintf(block, "%d", NGX_HTTP_GRAPH_POLICY_SYNC_BLOCK);
    args[4].data = block;
    args[4].len = p - block;

    ngx_str_set(&args[5], "STREAMS");
    args[6] = run->sync->log;

    p = ngx_sprintf(id, "%uL-%uL", fleet->cursor[0], fleet->cursor[1]);
    args[7].data = id;
    args[7].len = p - id;

    run->entry[0] = 0;
    run->entry[1] = 0;

    (void) ngx_http_graph_policy_sync_conn_ask(&run->reader,
                                            NGX_HTTP_GRAPH_POLICY_ASKED_XREAD,
                                               0, args, 8);
}


/* [[stream, [[id, [name, value, ...]], ...]]] */

static void
ngx_http_graph_policy_sync_reader_value(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value)
{
    ngx_http_graph_policy_fleet_t     *fleet;
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    if (value->type != NGX_HTTP_GRAPH_POLICY_RESP_STRING || value->depth < 4) {
        return;
    }

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    if (value->depth == 4) {

        if (value->index[3] == 0
            && ngx_http_graph_policy_sync_stream_id(&value->text, run->entry)
               == NGX_OK)
        {
            fleet->cursor[0] = run->entry[0];
            fleet->cursor[1] = run->entry[1];
        }

        return;
    }

    switch (value->index[4]) {

    case 0:
        run->is_entry = (value->text.len == 1 && value->text.data[0] == 'e');

        if (!run->is_entry) {
            (void) ngx_atomic_fetch_add(
                &fleet->received[NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD], 1);
        }

        break;

    case 1:
        if (run->is_entry) {
            (void) ngx_http_graph_policy_sync_receive(run, &value->text,
                                            NGX_HTTP_GRAPH_POLICY_ASKED_XREAD);
        }

        break;

    default: /* an entry has one field */
        break;
    }
}


static void
ngx_http_graph_policy_sync_reader_answered(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_t *asked, ngx_str_t *error)
{
    if (error != NULL) {

        /* whoever writes is told that, too, and goes there with both */

        if (error->len > 6 && ngx_strncmp(error->data, "MOVED ", 6) == 0) {
            ngx_http_graph_policy_sync_conn_close(conn);
            ngx_http_graph_policy_sync_conn_open(conn,
                                       NGX_HTTP_GRAPH_POLICY_SYNC_MAX_BACKOFF);
            conn->run->beat = ngx_current_msec;
            return;
        }

        ngx_http_graph_policy_sync_conn_fail(conn,
                                        NGX_HTTP_GRAPH_POLICY_FAILURE_REFUSED,
                                             "it refuses", error);
        return;
    }

    ngx_http_graph_policy_sync_conn_works(conn);

    ngx_http_graph_policy_sync_xread(conn->run);
    ngx_http_graph_policy_sync_conn_send(conn);
}


static void
ngx_http_graph_policy_sync_reader_closed(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large)
{
    ngx_http_graph_policy_fleet_t     *fleet;
    ngx_http_graph_policy_sync_run_t  *run;

    run = conn->run;

    /* without the id of an own entry there is no place to read from */

    if (!run->begun) {
        ngx_http_graph_policy_sync_conn_close(conn);
    }

    if (!large) {
        return;
    }

    /* an entry that nobody can read: the ones behind it can be */

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    (void) ngx_atomic_fetch_add(
               &fleet->received[NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD], 1);

    ngx_http_graph_policy_sync_lose_cursor(run);
    ngx_http_graph_policy_sync_resync(run, NGX_HTTP_GRAPH_POLICY_RESYNC_GAP);

    /* not only with the next beat is it known where that is */

    run->beat = ngx_current_msec;
}


/* "MS-N" */

static ngx_int_t
ngx_http_graph_policy_sync_stream_id(ngx_str_t *text, uint64_t id[2])
{
    size_t      i;
    u_char      c;
    ngx_uint_t  part;

    id[0] = 0;
    id[1] = 0;
    part = 0;

    if (text->len == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c == '-' && part == 0 && i != 0) {
            part = 1;
            continue;
        }

        if (c < '0' || c > '9'
            || id[part] > (0xffffffffffffffffULL - (c - '0')) / 10)
        {
            return NGX_DECLINED;
        }

        id[part] = id[part] * 10 + (c - '0');
    }

    return (part == 1) ? NGX_OK : NGX_DECLINED;
}
