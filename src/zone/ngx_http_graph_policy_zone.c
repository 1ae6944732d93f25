
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The shared memory itself: set-up, reload, the mutex, and recovery after a
 * worker died.
 *
 * Lock rule: src/zone alone takes the mutex.  It is the slab pool's own, which
 * the master unlocks when a worker dies.  Under it nothing is logged, and
 * nothing allocated but from the slab pool.  A function that changes the trees
 * sets sh->editing, and the unlock clears it; a worker that finds it set after
 * taking the mutex knows that another one died amid a change, and formats the
 * zone anew.  No pointer into the zone outlives the unlock.
 *
 * Memory: everything in the zone belongs to the slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_decision.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_past.h"
#include "ngx_http_graph_policy_siphash.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_count.h"


#define NGX_HTTP_GRAPH_POLICY_MAGIC    0x67727068706f6c31ULL
#define NGX_HTTP_GRAPH_POLICY_LAYOUT   15

/*
 * A zone that another version of the module has made must not be walked.  The
 * sum of the sizes differs if members were added or removed; if only the
 * meaning of a member changes, the layout number must be increased by hand.
 */
#define NGX_HTTP_GRAPH_POLICY_SIZES                                           \
    (sizeof(ngx_http_graph_policy_shctx_t)                                    \
     + sizeof(ngx_http_graph_policy_state_t)                                  \
     + sizeof(ngx_http_graph_policy_conversation_t)                           \
     + sizeof(ngx_http_graph_policy_link_t)                                   \
     + sizeof(ngx_http_graph_policy_counters_t)                               \
     + sizeof(ngx_http_graph_policy_history_t)                                \
     + sizeof(ngx_http_graph_policy_step_t)                                   \
     + sizeof(ngx_http_graph_policy_fleet_t))

/* a zone with fewer free pages knows neither the last hour nor states' past */
#define NGX_HTTP_GRAPH_POLICY_HISTORY_PAGES  47


static ngx_int_t ngx_http_graph_policy_zone_init_handler(
    ngx_shm_zone_t *shm_zone, void *data);
static void ngx_http_graph_policy_zone_warn_resized(ngx_shm_zone_t *shm_zone);
static ngx_int_t ngx_http_graph_policy_zone_share(
    ngx_http_graph_policy_zone_t *zone, ngx_log_t *log);
static ngx_int_t ngx_http_graph_policy_zone_random(uint64_t key[2],
    ngx_log_t *log);
static void ngx_http_graph_policy_zone_recover(
    ngx_http_graph_policy_zone_t *zone);
static void ngx_http_graph_policy_zone_notify(
    ngx_http_graph_policy_share_t *share);
static ngx_int_t ngx_http_graph_policy_zone_format(
    ngx_http_graph_policy_zone_t *zone, uint64_t key[2]);


#if (NGX_HTTP_GRAPH_POLICY_CHECK_LOCKS)
ngx_uint_t  ngx_http_graph_policy_locks;
#endif


ngx_int_t
ngx_http_graph_policy_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag, ngx_http_graph_policy_tell_pt tell, void *data,
    ngx_http_graph_policy_zone_t **zonep)
{
    ngx_shm_zone_t                *shm_zone;
    ngx_http_graph_policy_zone_t  *zone;

    shm_zone = ngx_shared_memory_add(cf, name, size, tag);
    if (shm_zone == NULL) {
        return NGX_ERROR;
    }

    if (shm_zone->data != NULL) {
        return NGX_DECLINED;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->name = *name;
    zone->shm_zone = shm_zone;
    zone->pool = cf->pool;
    zone->tell = tell;
    zone->data = data;

    zone->decisions = ngx_pcalloc(cf->pool, NGX_HTTP_GRAPH_POLICY_DECISIONS
                                  * sizeof(ngx_http_graph_policy_decision_t));
    if (zone->decisions == NULL) {
        return NGX_ERROR;
    }

    shm_zone->init = ngx_http_graph_policy_zone_init_handler;
    shm_zone->data = zone;

    *zonep = zone;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_zone_init_handler(ngx_shm_zone_t *shm_zone, void *data)
{
    return (ngx_http_graph_policy_zone_init(shm_zone, data) != NGX_ERROR)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_graph_policy_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    uint64_t                        key[2];
    ngx_http_graph_policy_zone_t   *zone, *old;
    ngx_http_graph_policy_shctx_t  *sh;

    zone = shm_zone->data;
    old = data;

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old != NULL || shm_zone->shm.exists) {
        sh = (old != NULL) ? old->sh : zone->shpool->data;

        if (sh->magic != NGX_HTTP_GRAPH_POLICY_MAGIC
            || sh->layout != NGX_HTTP_GRAPH_POLICY_LAYOUT
            || sh->size != NGX_HTTP_GRAPH_POLICY_SIZES)
        {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "graph_policy_zone \"%V\" was laid out by another "
                          "version of the module, restart nginx to start it "
                          "afresh", &shm_zone->shm.name);
            return NGX_ERROR;
        }

        zone->sh = sh;

        return ngx_http_graph_policy_zone_share(zone, shm_zone->shm.log);
    }

    ngx_http_graph_policy_zone_warn_resized(shm_zone);

    if (ngx_http_graph_policy_zone_random(key, shm_zone->shm.log) != NGX_OK
        || ngx_http_graph_policy_zone_format(zone, key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_zone_reset(ngx_http_graph_policy_zone_t *zone,
    ngx_log_t *log)
{
    uint64_t  key[2];

    if (ngx_http_graph_policy_zone_random(key, log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_slab_init(zone->shpool);

    return ngx_http_graph_policy_zone_format(zone, key);
}


static void
ngx_http_graph_policy_zone_warn_resized(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t                     i;
    ngx_shm_zone_t                *old;
    ngx_list_part_t               *part;
    ngx_http_graph_policy_zone_t  *zone;

    /*
     * nginx hands over the old memory only if the size of the zone is the same.
     * Otherwise the zone starts without its states, or with those of its state
     * file, and the operator should know.
     */

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    old = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            old = part->elts;
            i = 0;
        }

        if (old[i].tag == shm_zone->tag
            && old[i].shm.size != shm_zone->shm.size
            && old[i].shm.name.len == shm_zone->shm.name.len
            && ngx_strncmp(old[i].shm.name.data, shm_zone->shm.name.data,
                           shm_zone->shm.name.len)
               == 0)
        {
            zone = shm_zone->data;

            ngx_log_error(NGX_LOG_WARN, shm_zone->shm.log, 0,
                          "graph_policy_zone \"%V\" changed its size from %uz "
                          "to %uz and starts %s",
                          &shm_zone->shm.name, old[i].shm.size,
                          shm_zone->shm.size,
                          (zone->file != NULL) ? "from its state file"
                                               : "without its states");
            return;
        }
    }
}


static ngx_int_t
ngx_http_graph_policy_zone_random(uint64_t key[2], ngx_log_t *log)
{
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file("/dev/urandom", NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      ngx_open_file_n " \"/dev/urandom\" failed");
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, key, 2 * sizeof(uint64_t));

    if (n != (ssize_t) (2 * sizeof(uint64_t))) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      ngx_read_fd_n " \"/dev/urandom\" returned %z", n);
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    (void) ngx_close_file(fd);

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_zone_format(ngx_http_graph_policy_zone_t *zone,
    uint64_t key[2])
{
    u_char                         *ctx;
    size_t                          len, head, size;
    ngx_uint_t                      i, j;
    ngx_http_graph_policy_shctx_t  *sh;

    /*
     * The header is the first allocation, so that formatting a pool again
     * puts it where the other workers know it.  In a small zone the index takes
     * what is left of the header's pages.
     */

    size = zone->shpool->end - (u_char *) zone->shpool;
    head = ngx_align(sizeof(ngx_http_graph_policy_shctx_t),
                     NGX_CPU_CACHE_LINE);

    sh = ngx_slab_calloc_locked(zone->shpool,
                                head + ngx_http_graph_policy_index_size(size));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    ngx_http_graph_policy_index_init(&sh->index, (u_char *) zone->shpool, size,
                                     (u_char *) sh + head);

    len = sizeof(" in graph_policy_zone \"\"") + zone->name.len;

    ctx = ngx_slab_alloc_locked(zone->shpool, len);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(ctx, " in graph_policy_zone \"%V\"%Z", &zone->name);

    zone->shpool->log_ctx = ctx;
    zone->shpool->log_nomem = 0;

    sh->magic = NGX_HTTP_GRAPH_POLICY_MAGIC;
    sh->layout = NGX_HTTP_GRAPH_POLICY_LAYOUT;
    sh->size = NGX_HTTP_GRAPH_POLICY_SIZES;
    sh->key[0] = (zone->share != NULL) ? zone->share->key[0] : key[0];
    sh->key[1] = (zone->share != NULL) ? zone->share->key[1] : key[1];
    sh->keep.generation = ngx_http_graph_policy_siphash(key, zone->name.data,
                                                        zone->name.len)
                          | 1;

    /* A small zone has memory for states only. */

    if (zone->shpool->pfree >= NGX_HTTP_GRAPH_POLICY_HISTORY_PAGES) {
        sh->history = ngx_slab_calloc_locked(zone->shpool,
                                      sizeof(ngx_http_graph_policy_history_t));
        ngx_http_graph_policy_past_init(zone->shpool, sh);
    }

    zone->shpool->data = sh;
    zone->sh = sh;

    if (ngx_http_graph_policy_mark_init(zone) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_graph_policy_tree_init(&sh->link_members);
    ngx_http_graph_policy_tree_init(&sh->link_numbers);
    ngx_queue_init(&sh->link_queue);

    for (i = 0; i < 2; i++) {
        ngx_http_graph_policy_tree_init(&sh->conversation_order[i]);

        for (j = 0; j < NGX_HTTP_GRAPH_POLICY_NORDERS; j++) {
            ngx_http_graph_policy_tree_init(&sh->order[i][j]);
        }
    }

    return NGX_OK;
}


/* fingerprints of another key would match nothing that is in the zone */

static ngx_int_t
ngx_http_graph_policy_zone_share(ngx_http_graph_policy_zone_t *zone,
    ngx_log_t *log)
{
    if ((zone->share != NULL) != (zone->sh->fleet != NULL)) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "graph_policy_zone \"%V\" can't %s a fleet on reload, "
                      "restart nginx or rename the zone", &zone->name,
                      (zone->share != NULL) ? "join" : "leave");
        return NGX_ERROR;
    }

    if (zone->share != NULL
        && (zone->share->key[0] != zone->sh->key[0]
            || zone->share->key[1] != zone->sh->key[1]))
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "graph_policy_zone \"%V\" can't change its sync key on "
                      "reload, restart nginx or rename the zone",
                      &zone->name);
        return NGX_ERROR;
    }

    return NGX_DONE;
}


void
ngx_http_graph_policy_zone_lock(ngx_http_graph_policy_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    ngx_http_graph_policy_locks_add(1);

    if (zone->sh->editing) {
        ngx_http_graph_policy_zone_recover(zone);
    }
}


static void
ngx_http_graph_policy_zone_recover(ngx_http_graph_policy_zone_t *zone)
{
    uint64_t                        key[2], lease, revision;
    ngx_http_graph_policy_keep_t    keep;
    ngx_http_graph_policy_fleet_t   fleet;
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;

    /*
     * A worker died amid a change, so neither the trees nor the pool can be
     * trusted, and only certainty may block.  The zone is formatted anew under
     * the same key, so that fingerprints stay the same.
     */

    key[0] = sh->key[0];
    key[1] = sh->key[1];
    lease = sh->lease;
    revision = sh->revision;
    keep = sh->keep;

    if (sh->fleet != NULL) {
        fleet = *sh->fleet;
    }

    ngx_slab_init(zone->shpool);

    if (ngx_http_graph_policy_zone_format(zone, key) == NGX_OK) {
        zone->sh->lease = lease + 1;
        zone->sh->revision = revision + 1;
        zone->sh->keep = keep;
        zone->sh->keep.owned = 0;
        zone->sh->keep.lost = (zone->file != NULL);

        if (zone->sh->fleet != NULL) {
            ngx_http_graph_policy_mark_recover(zone, &fleet);
        }
    }

    zone->recovered = 1;
}


void
ngx_http_graph_policy_zone_unlock(ngx_http_graph_policy_zone_t *zone)
{
    zone->sh->editing = 0;

    ngx_http_graph_policy_locks_add(-1);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (zone->share != NULL && zone->share->marked) {
        ngx_http_graph_policy_zone_notify(zone->share);
    }

    if (zone->recovered) {
        zone->recovered = 0;

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "a worker died while it changed graph_policy_zone "
                      "\"%V\", the zone starts afresh %s", &zone->name,
                      (zone->file != NULL) ? "from its state file"
                                           : "without its states");
    }
}


static void
ngx_http_graph_policy_zone_notify(ngx_http_graph_policy_share_t *share)
{
    uint64_t  one;

    share->marked = 0;

    if (share->notify == NGX_INVALID_FILE) {
        return;
    }

    /* it fails if nobody has read for 2^64 times */

    one = 1;

    (void) ngx_write_fd(share->notify, &one, sizeof(uint64_t));
}


void
ngx_http_graph_policy_zone_edit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes)
{
    changes->n = 0;
    changes->lost = 0;
    changes->evicted = 0;
    changes->refused = 0;
    changes->full = 0;
    changes->probe = NGX_HTTP_GRAPH_POLICY_NPROBES;

    ngx_http_graph_policy_zone_lock(zone);
}


void
ngx_http_graph_policy_zone_publish(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_past_publish(zone->sh, changes);

    ngx_http_graph_policy_zone_unlock(zone);

    zone->tell(zone, changes);
}


ngx_uint_t
ngx_http_graph_policy_zone_armed(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->armed;
}


ngx_uint_t
ngx_http_graph_policy_zone_armed_bound(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->armed_bound;
}


ngx_uint_t
ngx_http_graph_policy_zone_armed_conversations(
    ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->armed_conversations;
}


ngx_uint_t
ngx_http_graph_policy_zone_awaited(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->awaited;
}


ngx_uint_t
ngx_http_graph_policy_zone_limited(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->limited;
}


void
ngx_http_graph_policy_zone_try(ngx_http_graph_policy_zone_t *zone)
{
    ngx_http_graph_policy_counters_try(&zone->sh->counters, ngx_time());
}


ngx_int_t
ngx_http_graph_policy_zone_retry(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t percent, ngx_uint_t floor)
{
    time_t                            now;
    ngx_int_t                         rc;
    ngx_http_graph_policy_history_t  *history;

    now = ngx_time();
    history = zone->sh->history;

    rc = ngx_http_graph_policy_counters_retry(&zone->sh->counters, percent,
                                              floor, now);

    if (history != NULL) {
        ngx_http_graph_policy_counters_minute((rc == NGX_OK)
                                              ? history->retries
                                              : history->over_budget,
                                              now / 60);
    }

    return rc;
}


uint64_t
ngx_http_graph_policy_zone_fingerprint(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *text)
{
    uint64_t  fp;

    fp = ngx_http_graph_policy_siphash(zone->sh->key, text->data, text->len);

    return (fp != 0) ? fp : 1;
}
