
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Who talks to the engine, and when: the first worker, which is notified of
 * changes by a descriptor that all workers write to.  After a reload the new
 * first worker takes over from the old one, which waits for its last requests.
 *
 * Lock rule: none; who owns the talk is one atomic word.  Memory: what a
 * process needs is allocated when it begins, and freed when it stops.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_sync_private.h"

#if (NGX_HAVE_SYS_EVENTFD_H)
#include <sys/eventfd.h>
#endif


/* milliseconds: an owner that wasn't seen for as long is dead */
#define NGX_HTTP_GRAPH_POLICY_SYNC_DEAD  2000

/* and own entries that aren't heard for as long won't be */
#define NGX_HTTP_GRAPH_POLICY_SYNC_DEAF  2000

/* nothing of ours came back for as long: out of touch */
#define NGX_HTTP_GRAPH_POLICY_SYNC_LOST  3000


static ngx_int_t ngx_http_graph_policy_sync_notify(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync);
static void ngx_http_graph_policy_sync_close_notify(void *data);
static ngx_int_t ngx_http_graph_policy_sync_name(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync);
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


ngx_int_t
ngx_http_graph_policy_sync_init(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *names[3];
    ngx_uint_t  i;

    static char  *parts[] = { "log", "states", "nodes" };

    names[0] = &sync->log;
    names[1] = &sync->states;
    names[2] = &sync->nodes;

    len = sync->prefix.len + sync->zone->name.len + sizeof("{}:states");

    for (i = 0; i < 3; i++) {

        p = ngx_pnalloc(cf->pool, len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        names[i]->data = p;
        names[i]->len = ngx_sprintf(p, "%V{%V}:%s", &sync->prefix,
                                    &sync->zone->name, parts[i])
                        - p;
    }

    sync->share.key[0] = sync->keys[0].fingerprint[0];
    sync->share.key[1] = sync->keys[0].fingerprint[1];
    sync->share.notify = NGX_INVALID_FILE;

    sync->zone->share = &sync->share;

    if (ngx_http_graph_policy_sync_name(cf, sync) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_test_config ? NGX_OK
                           : ngx_http_graph_policy_sync_notify(cf, sync);
}


/*
 * Workers of all cycles write to one descriptor, so that those that are
 * leaving notify the new first worker.
 */

static ngx_int_t
ngx_http_graph_policy_sync_notify(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync)
{
#if (NGX_HAVE_SYS_EVENTFD_H)
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_shm_zone_t                 *shm_zone;
    ngx_pool_cleanup_t             *cln;
    ngx_http_graph_policy_zone_t   *old;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;

    for ( /* void */ ; part != NULL; part = part->next) {
        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (shm_zone[i].tag != sync->zone->shm_zone->tag
                || shm_zone[i].shm.name.len != sync->zone->name.len
                || ngx_strncmp(shm_zone[i].shm.name.data,
                               sync->zone->name.data, sync->zone->name.len)
                   != 0)
            {
                continue;
            }

            old = shm_zone[i].data;

            if (old != NULL && old->share != NULL
                && old->share->notify != NGX_INVALID_FILE)
            {
                sync->share.notify = fcntl(old->share->notify,
                                           F_DUPFD_CLOEXEC, 0);
            }
        }
    }

    if (sync->share.notify == NGX_INVALID_FILE) {
        sync->share.notify = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    }

    if (sync->share.notify == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "eventfd() failed");
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        (void) ngx_close_file(sync->share.notify);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_graph_policy_sync_close_notify;
    cln->data = &sync->share;
#endif

    return NGX_OK;
}


static void
ngx_http_graph_policy_sync_close_notify(void *data)
{
    ngx_http_graph_policy_share_t *share = data;

    if (share->notify != NGX_INVALID_FILE) {
        (void) ngx_close_file(share->notify);
        share->notify = NGX_INVALID_FILE;
    }
}


/*
 * A host's name, and what tells several nginx on it apart; it stays the same
 * over restarts.
 */

static ngx_int_t
ngx_http_graph_policy_sync_name(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync)
{
    u_char      *p, c;
    size_t       i, len;
    uint32_t     hash;
    ngx_cycle_t *cycle;

    cycle = cf->cycle;

    ngx_crc32_init(hash);
    ngx_crc32_update(&hash, cycle->prefix.data, cycle->prefix.len);
    ngx_crc32_update(&hash, cycle->conf_file.data, cycle->conf_file.len);
    ngx_crc32_final(hash);

    p = ngx_pnalloc(cf->pool, NGX_HTTP_GRAPH_POLICY_NODE_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    sync->share.name.data = p;

    len = ngx_min(cycle->hostname.len,
                  NGX_HTTP_GRAPH_POLICY_NODE_LEN - sizeof("-0000"));

    for (i = 0; i < len; i++) {
        c = cycle->hostname.data[i];

        *p++ = ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
                || (c >= 'A' && c <= 'Z') || c == '.' || c == '_')
               ? c : '-';
    }

    p = ngx_sprintf(p, "-%04xD", hash & 0xffff);

    sync->share.name.len = p - sync->share.name.data;

    return NGX_OK;
}


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

    ngx_http_graph_policy_sync_conn_init(&run->writer, run,
                                         &ngx_http_graph_policy_sync_writing);
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

    /* what is marked is sent, though nobody waits for the answers */

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


/* NGX_OK: this process is the one that talks */

static ngx_int_t
ngx_http_graph_policy_sync_own(ngx_http_graph_policy_sync_run_t *run)
{
    ngx_atomic_uint_t               owner;
    ngx_http_graph_policy_fleet_t  *fleet;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    owner = fleet->owner;

    if (owner == (ngx_atomic_uint_t) ngx_pid && run->owner) {

        if (fleet->heir == 0 || fleet->heir == owner) {
            fleet->seen = ngx_current_msec;
            return NGX_OK;
        }

        ngx_http_graph_policy_sync_leave(run);
        return NGX_DECLINED;
    }

    /* it was taken for dead, and is one of two now */

    if (run->owner) {
        ngx_http_graph_policy_sync_leave(run);
        return NGX_DECLINED;
    }

    fleet->heir = (ngx_atomic_uint_t) ngx_pid;

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
        fleet->heir = 0;
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


uint64_t
ngx_http_graph_policy_sync_own_now(void)
{
    struct timeval  tv;

    /* nginx's own clock may be an event old */

    ngx_gettimeofday(&tv);

    return (uint64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}


uint64_t
ngx_http_graph_policy_sync_now(ngx_http_graph_policy_sync_run_t *run)
{
    return ngx_http_graph_policy_engine_clock_to(
                        &ngx_http_graph_policy_zone_fleet(run->zone)->clock,
                                       ngx_http_graph_policy_sync_own_now());
}
