
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The first worker talks to the engine.  It is notified of changes by a
 * descriptor that all workers write to.  After a reload the new
 * first worker takes over from the old one, which waits for its last requests.
 *
 * Lock rule: none; who owns the talk is one atomic word.  Memory: what a
 * process needs is allocated when it begins, and freed when it stops.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_sync_private.h"


/* milliseconds: an owner that wasn't seen for as long is dead */
#define NGX_HTTP_GRAPH_POLICY_SYNC_DEAD  2000

/* own entries that aren't heard for as long won't be */
#define NGX_HTTP_GRAPH_POLICY_SYNC_DEAF  2000

/* nothing of ours came back for as long: out of touch */
#define NGX_HTTP_GRAPH_POLICY_SYNC_LOST  3000


static ngx_http_graph_policy_sync_run_t *ngx_http_graph_policy_sync_start(
    ngx_cycle_t *cycle, ngx_http_graph_policy_sync_t *sync);
static void ngx_http_graph_policy_sync_stop(
    ngx_http_graph_policy_sync_t *sync);
static void ngx_http_graph_policy_sync_tick(ngx_event_t *ev);
static ngx_int_t ngx_http_graph_policy_sync_own(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_take_over(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_leave(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_watch(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_step(ngx_event_t *ev);
static void ngx_http_graph_policy_sync_wake(ngx_event_t *rev);
static void ngx_http_graph_policy_sync_open_wake(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_close_wake(
    ngx_http_graph_policy_sync_run_t *run);


void
ngx_http_graph_policy_syncs_start(ngx_cycle_t *cycle, ngx_array_t *syncs)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_sync_t  **sync;

    if (syncs == NULL) {
        return;
    }

    sync = syncs->elts;

    for (i = 0; i < syncs->nelts; i++) {
        sync[i]->run = ngx_http_graph_policy_sync_start(cycle, sync[i]);
    }
}


void
ngx_http_graph_policy_syncs_stop(ngx_array_t *syncs)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_sync_t  **sync;

    if (syncs == NULL) {
        return;
    }

    sync = syncs->elts;

    for (i = 0; i < syncs->nelts; i++) {
        ngx_http_graph_policy_sync_stop(sync[i]);
    }
}


static ngx_http_graph_policy_sync_run_t *
ngx_http_graph_policy_sync_start(ngx_cycle_t *cycle,
    ngx_http_graph_policy_sync_t *sync)
{
    ngx_http_graph_policy_sync_run_t  *run;

    run = ngx_calloc(sizeof(ngx_http_graph_policy_sync_run_t), cycle->log);
    if (run == NULL) {
        return NULL;
    }

    run->arena = ngx_alloc(ngx_http_graph_policy_json_arena(
                                           NGX_HTTP_GRAPH_POLICY_RECORD_READ),
                           cycle->log);
    if (run->arena == NULL) {
        ngx_free(run);
        return NULL;
    }

    run->sync = sync;
    run->zone = sync->zone;
    run->start = ngx_atomic_fetch_add(
                    &ngx_http_graph_policy_zone_fleet(run->zone)->starts, 1)
                 + 1;
    run->log = *cycle->log;
    run->changes.log = cycle->log;
    run->changes.level = NGX_LOG_WARN;
    run->quiet = NGX_HTTP_GRAPH_POLICY_SYNC_QUIET;
    run->scan.data = run->scan_text;
    run->sweep.data = run->sweep_text;
    run->sweep.len = 1;
    run->sweep_text[0] = '0';

    run->tick.handler = ngx_http_graph_policy_sync_tick;
    run->tick.data = run;
    run->tick.log = cycle->log;
    run->tick.cancelable = 1;

    run->step.handler = ngx_http_graph_policy_sync_step;
    run->step.data = run;
    run->step.log = cycle->log;
    run->step.cancelable = 1;

    run->writing = &ngx_http_graph_policy_sync_writing;
    run->finding = (sync->master.len != 0)
                   ? &ngx_http_graph_policy_sync_finding : NULL;

    ngx_http_graph_policy_sync_conn_init(&run->writer, run,
                                         (run->finding != NULL)
                                         ? run->finding : run->writing);
    ngx_http_graph_policy_sync_conn_init(&run->reader, run,
                                         &ngx_http_graph_policy_sync_reading);

    ngx_add_timer(&run->tick, 1);

    return run;
}


static void
ngx_http_graph_policy_sync_stop(ngx_http_graph_policy_sync_t *sync)
{
    ngx_http_graph_policy_sync_run_t  *run;

    run = sync->run;

    if (run == NULL) {
        return;
    }

    sync->run = NULL;

    /* marked changes are sent, though nobody waits for the answers */

    if (run->owner) {
        ngx_http_graph_policy_sync_write(run);
    }

    ngx_http_graph_policy_sync_leave(run);

    if (run->tick.timer_set) {
        ngx_del_timer(&run->tick);
    }

    ngx_free(run->arena);
    ngx_free(run);
}


static void
ngx_http_graph_policy_sync_tick(ngx_event_t *ev)
{
    ngx_http_graph_policy_sync_run_t *run = ev->data;

    if (run->leaving) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_GRAPH_POLICY_SYNC_TICK);

    if (ngx_http_graph_policy_sync_own(run) != NGX_OK) {
        return;
    }

    if (!run->owner) {
        ngx_http_graph_policy_sync_take_over(run);
        return;
    }

    ngx_http_graph_policy_sync_watch(run);
    ngx_http_graph_policy_sync_repair(run);

    if (run->begun) {
        ngx_http_graph_policy_sync_sum(run);
    }

    ngx_http_graph_policy_sync_write(run);
}


/*
 * NGX_OK: this process is the one that talks.  Only the one that started last
 * may become that: of several reloads in a row workers of all are there at
 * once, and the old ones leave.
 */

static ngx_int_t
ngx_http_graph_policy_sync_own(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_atomic_uint_t               owner;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    owner = fleet->owner;

    /* the one that talks may have been taken for dead, and is one of two */

    if (fleet->starts > run->start
        || (run->owner && owner != 0 && owner != (ngx_atomic_uint_t) ngx_pid))
    {
        ngx_http_graph_policy_sync_leave(run);
        return NGX_DECLINED;
    }

    /* another process is about to make the zone anew: this is for a moment */

    if (fleet->starts != run->start || (run->owner && owner == 0)) {
        return NGX_DECLINED;
    }

    if (run->owner) {
        fleet->seen = ngx_current_msec;
        return NGX_OK;
    }

    if (owner != 0 && owner != (ngx_atomic_uint_t) ngx_pid
        && (ngx_msec_int_t) (ngx_current_msec - fleet->seen)
           < NGX_HTTP_GRAPH_POLICY_SYNC_DEAD
        && (kill((ngx_pid_t) owner, 0) != -1 || ngx_errno == NGX_EPERM))
    {
        return NGX_DECLINED;
    }

    if (!ngx_atomic_cmp_set(&fleet->owner, owner,
                            (ngx_atomic_uint_t) ngx_pid))
    {
        return NGX_DECLINED;
    }

    fleet->seen = ngx_current_msec;

    return NGX_OK;
}


static void
ngx_http_graph_policy_sync_take_over(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    run->owner = 1;
    run->told_seq = fleet->seq;
    run->heard_seq = fleet->seq;
    run->unheard = ngx_current_msec;

    if (fleet->started == 0) {
        fleet->started = ngx_current_msec | 1;
    }

    ngx_http_graph_policy_sync_open_wake(run);
    ngx_http_graph_policy_sync_conn_open(&run->writer, 0);
}


static void
ngx_http_graph_policy_sync_leave(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    run->leaving = 1;

    ngx_http_graph_policy_sync_conn_close(&run->writer);
    ngx_http_graph_policy_sync_conn_close(&run->reader);
    ngx_http_graph_policy_sync_close_wake(run);

    if (run->step.timer_set) {
        ngx_del_timer(&run->step);
    }

    if (!run->owner) {
        return;
    }

    run->owner = 0;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    if (fleet->owner == (ngx_atomic_uint_t) ngx_pid) {
        fleet->seq = run->told_seq;
        (void) ngx_atomic_cmp_set(&fleet->owner, (ngx_atomic_uint_t) ngx_pid,
                                  0);
    }
}


/* connected is whoever hears what they say themselves */

static void
ngx_http_graph_policy_sync_watch(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);

    if (fleet->connected
        && ngx_current_msec - fleet->heard > NGX_HTTP_GRAPH_POLICY_SYNC_LOST)
    {
        fleet->connected = 0;
    }

    /*
     * A blocked XREAD isn't told that its stream was deleted, and waits for
     * ids behind one that may never come (Redis issue 5625).
     */

    if (run->reader.ready && run->told_seq > run->heard_seq
        && ngx_current_msec - run->unheard > NGX_HTTP_GRAPH_POLICY_SYNC_DEAF)
    {
        run->unheard = ngx_current_msec;

        ngx_http_graph_policy_sync_resync(run,
                                          NGX_HTTP_GRAPH_POLICY_RESYNC_DEAF);
        ngx_http_graph_policy_sync_lose_cursor(run);
        run->beat = ngx_current_msec;
    }
}


static void
ngx_http_graph_policy_sync_step(ngx_event_t *ev)
{
    ngx_http_graph_policy_sync_write(ev->data);
}


static void
ngx_http_graph_policy_sync_wake(ngx_event_t *rev)
{
    ssize_t                            n;
    uint64_t                           count;
    ngx_connection_t                  *c;
    ngx_http_graph_policy_sync_run_t  *run;

    c = rev->data;
    run = c->data;

    do {
        n = ngx_read_fd(c->fd, &count, sizeof(uint64_t));
    } while (n == (ssize_t) sizeof(uint64_t));

    (void) ngx_handle_read_event(rev, 0);

    ngx_http_graph_policy_sync_write(run);
}


/* without it, changes are told when they are looked for */

static void
ngx_http_graph_policy_sync_open_wake(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_fd_t           fd;
    ngx_connection_t  *c;

    if (run->sync->share.notify == NGX_INVALID_FILE) {
        return;
    }

    /* nginx closes the descriptor of a connection with it */

    fd = dup(run->sync->share.notify);

    if (fd == NGX_INVALID_FILE) {
        return;
    }

    c = ngx_get_connection(fd, ngx_cycle->log);

    if (c == NULL) {
        (void) ngx_close_file(fd);
        return;
    }

    c->data = run;
    c->read->handler = ngx_http_graph_policy_sync_wake;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;

    run->wake = c;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_graph_policy_sync_close_wake(run);
    }
}


static void
ngx_http_graph_policy_sync_close_wake(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_connection_t  *c;

    c = run->wake;

    if (c == NULL) {
        return;
    }

    run->wake = NULL;

    /* as the other descriptors stay open, epoll would go on to tell of it */

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    ngx_close_connection(c);
}
