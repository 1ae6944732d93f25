
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The hash of states, read a few fields at a time: all of it after a start or a
 * loss, and a little each second, so that what nobody needs is dropped from it.
 *
 * Lock rule: none.  Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* fields a step, about */
#define NGX_HTTP_GRAPH_POLICY_SYNC_COUNT   "64"

/* the part that may be dropped of a step, without another one at once */
#define NGX_HTTP_GRAPH_POLICY_SYNC_MUCH    4


static void ngx_http_graph_policy_sync_forget(
    ngx_http_graph_policy_sync_run_t *run, ngx_str_t *field);


void
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
    run->swept[0] = 0;
    run->swept[1] = 0;

    if (ngx_http_graph_policy_sync_conn_ask(&run->writer, what, 0, args, 5)
        != NGX_OK)
    {
        run->scan_waits = 0;
        run->sweep_waits = 0;
    }
}


/* each second, and on at once where much of what comes isn't needed */

void
ngx_http_graph_policy_sync_sweep(ngx_http_graph_policy_sync_run_t *run)
{
    if (!run->sweep_more || run->sweep_waits || run->scanning
        || run->scan_failed)
    {
        return;
    }

    run->sweep_more = 0;
    run->sweep_waits = 1;

    ngx_http_graph_policy_sync_scan(run, NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP,
                                    &run->sweep);
}


void
ngx_http_graph_policy_sync_swept(ngx_http_graph_policy_sync_run_t *run)
{
    run->sweep_waits = 0;
    run->sweep_more = (run->swept[1] != 0
                       && run->swept[1] >= run->swept[0]
                                           / NGX_HTTP_GRAPH_POLICY_SYNC_MUCH);
}


/* a cursor, then fields and values in turn */

void
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

    run->swept[0]++;

    if (ngx_http_graph_policy_sync_receive(run, &value->text, asked->what)
        == NGX_DONE)
    {
        run->swept[1]++;
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
