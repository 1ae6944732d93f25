
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The states in shared memory: set-up, reload, lookup, leases, eviction.
 *
 * Lock rule: the only room that takes the mutex.  It is the slab pool's own,
 * which the master unlocks when a worker dies.  Under it nothing is logged,
 * and nothing allocated but from the slab pool.  Whoever changes the trees
 * marks them as being edited; who finds the mark behind a dead worker starts
 * the zone afresh.  No pointer into the zone outlives the unlock.
 *
 * Memory: states and groups belong to the slab pool, views and refs to the
 * caller.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_siphash.h"
#include "ngx_http_graph_policy_zone.h"


#define NGX_HTTP_GRAPH_POLICY_MAGIC    0x67727068706f6c31ULL
#define NGX_HTTP_GRAPH_POLICY_LAYOUT   1

#define NGX_HTTP_GRAPH_POLICY_EVICTIONS  4      /* at most, for one state */

/* the slab class of a state with the key of a phone */
#define NGX_HTTP_GRAPH_POLICY_SLOT     256


/* in which order states leave */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_IDLE = 0,     /* cleared, by the end of memory */
    NGX_HTTP_GRAPH_POLICY_ARMED,        /* by the end of the hold */
    NGX_HTTP_GRAPH_POLICY_NORDERS
} ngx_http_graph_policy_order_e;


typedef struct {
    ngx_rbtree_node_t                node;      /* by hash, then reason */
    ngx_rbtree_node_t                order;
    ngx_http_graph_policy_breaker_t  breaker;
    uint64_t                         credential;    /* 0: everyone's */
    uint64_t                         group;         /* 0: none */
    int64_t                          code;
    int64_t                          subcode;       /* -1: none */
    uint16_t                         status;
    uint16_t                         room;          /* of data */
    uint8_t                          kind;
    uint8_t                          category;
    uint8_t                          reason;
    uint8_t                          dry_run;
    uint8_t                          key_len;
    uint8_t                          trace_len;
    u_char                           data[1];       /* key, trace */
} ngx_http_graph_policy_state_t;


/*
 * The disconnected phones of one account or credential.  "sum" adds up the
 * hashes of their phones: it is a multiple of one phone's hash just where
 * all of them are that phone.
 */

typedef struct {
    ngx_rbtree_node_t                node;
    uint64_t                         sum;
    ngx_uint_t                       count;
} ngx_http_graph_policy_group_t;


typedef struct {
    ngx_rbtree_t                     tree;
    ngx_rbtree_node_t                sentinel;
} ngx_http_graph_policy_tree_t;


struct ngx_http_graph_policy_shctx_s {

    /* read without the lock by every request, hence a line of their own */
    ngx_atomic_t                     armed;
    ngx_atomic_t                     armed_bound;
    u_char                           pad[128 - 2 * sizeof(ngx_atomic_t)];

    uint64_t                         magic;
    ngx_uint_t                       layout;
    ngx_uint_t                       size;
    uint64_t                         key[2];
    uint64_t                         lease;
    ngx_uint_t                       editing;

    ngx_http_graph_policy_tree_t     states;
    ngx_http_graph_policy_tree_t     groups;
    ngx_http_graph_policy_tree_t     order[NGX_HTTP_GRAPH_POLICY_NORDERS];

    /* armed ones, everyone's and bound, to skip lookups that find nothing */
    ngx_uint_t                       live[NGX_HTTP_GRAPH_POLICY_NKEYS][2];
};


/* where a state is looked up */

typedef struct {
    uint64_t                         hash;
    uint64_t                         credential;
    ngx_str_t                        key;
    ngx_uint_t                       kind;
} ngx_http_graph_policy_place_t;


static ngx_int_t ngx_http_graph_policy_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_graph_policy_zone_warn_resized(ngx_shm_zone_t *shm_zone);
static ngx_int_t ngx_http_graph_policy_zone_random(uint64_t key[2],
    ngx_log_t *log);
static ngx_int_t ngx_http_graph_policy_zone_format(
    ngx_http_graph_policy_zone_t *zone, uint64_t key[2]);
static void ngx_http_graph_policy_zone_lock(
    ngx_http_graph_policy_zone_t *zone);
static void ngx_http_graph_policy_zone_unlock(
    ngx_http_graph_policy_zone_t *zone);

static ngx_int_t ngx_http_graph_policy_place(
    ngx_http_graph_policy_identity_t *id, ngx_uint_t kind, ngx_uint_t bound,
    ngx_http_graph_policy_place_t *place);
static uint64_t ngx_http_graph_policy_mix(uint64_t hash, uint64_t credential,
    ngx_uint_t kind);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_first(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_next(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_find(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash, ngx_uint_t reason);
static ngx_uint_t ngx_http_graph_policy_at(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_place_t *place);

static ngx_int_t ngx_http_graph_policy_target(
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_place_t *place);
static ngx_uint_t ngx_http_graph_policy_collect(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_state_t **states);
static ngx_int_t ngx_http_graph_policy_weigh(
    ngx_http_graph_policy_state_t **states, ngx_uint_t n,
    ngx_http_graph_policy_kind_e kind, uint64_t now,
    ngx_http_graph_policy_state_t **shown);
static ngx_uint_t ngx_http_graph_policy_blocks(
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_kind_e kind,
    uint64_t now);
static uint64_t ngx_http_graph_policy_end(
    ngx_http_graph_policy_state_t *state, uint64_t now);
static void ngx_http_graph_policy_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view);

static ngx_http_graph_policy_state_t *ngx_http_graph_policy_create(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_failure_t *failure);
static void *ngx_http_graph_policy_alloc(ngx_http_graph_policy_zone_t *zone,
    size_t size, ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_describe(
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_account_for(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_uint_t was_armed);
static void ngx_http_graph_policy_settled(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_view_t *view);
static void ngx_http_graph_policy_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state);
static void ngx_http_graph_policy_expire(ngx_http_graph_policy_zone_t *zone,
    uint64_t now);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_oldest(
    ngx_http_graph_policy_shctx_t *sh, ngx_uint_t order);

static void ngx_http_graph_policy_group_of(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_identity_t *id);
static void ngx_http_graph_policy_join(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state);
static void ngx_http_graph_policy_leave(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state);
static ngx_http_graph_policy_group_t *ngx_http_graph_policy_group(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);
static uint64_t ngx_http_graph_policy_phone_hash(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state);

static void ngx_http_graph_policy_insert_state(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static void ngx_http_graph_policy_insert(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node, ngx_rbtree_insert_pt insert);


#define ngx_http_graph_policy_order_state(n)                                  \
    ngx_rbtree_data(n, ngx_http_graph_policy_state_t, order)


ngx_int_t
ngx_http_graph_policy_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag)
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

    shm_zone->init = ngx_http_graph_policy_zone_init;
    shm_zone->data = zone;

    return NGX_OK;
}


static ngx_int_t
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
            || sh->size != sizeof(ngx_http_graph_policy_state_t))
        {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "graph_policy_zone \"%V\" was laid out by another "
                          "version of the module, restart nginx to start it "
                          "afresh", &shm_zone->shm.name);
            return NGX_ERROR;
        }

        zone->sh = sh;

        return NGX_OK;
    }

    ngx_http_graph_policy_zone_warn_resized(shm_zone);

    if (ngx_http_graph_policy_zone_random(key, shm_zone->shm.log) != NGX_OK
        || ngx_http_graph_policy_zone_format(zone, key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_graph_policy_zone_warn_resized(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *old;
    ngx_list_part_t  *part;

    /* nginx hands over old data only where the size stayed the same */

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
            ngx_log_error(NGX_LOG_WARN, shm_zone->shm.log, 0,
                          "graph_policy_zone \"%V\" changed its size from %uz "
                          "to %uz and starts without its states",
                          &shm_zone->shm.name, old[i].shm.size,
                          shm_zone->shm.size);
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
    size_t                          len;
    ngx_uint_t                      i;
    ngx_http_graph_policy_shctx_t  *sh;

    /*
     * The header is the first allocation, so that formatting a pool again
     * puts it where the other workers know it.
     */

    sh = ngx_slab_calloc_locked(zone->shpool,
                                sizeof(ngx_http_graph_policy_shctx_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

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
    sh->size = sizeof(ngx_http_graph_policy_state_t);
    sh->key[0] = key[0];
    sh->key[1] = key[1];

    ngx_rbtree_init(&sh->states.tree, &sh->states.sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->groups.tree, &sh->groups.sentinel,
                    ngx_rbtree_insert_value);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NORDERS; i++) {
        ngx_rbtree_init(&sh->order[i].tree, &sh->order[i].sentinel,
                        ngx_rbtree_insert_value);
    }

    zone->shpool->data = sh;
    zone->sh = sh;

    return NGX_OK;
}


static void
ngx_http_graph_policy_zone_lock(ngx_http_graph_policy_zone_t *zone)
{
    uint64_t                        key[2], lease;
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;

    ngx_shmtx_lock(&zone->shpool->mutex);

    if (!sh->editing) {
        return;
    }

    /*
     * A worker died amid a change.  Neither trees nor pool can be trusted,
     * and states without certainty are worth nothing: start afresh, under the
     * same key, so that fingerprints stay what they are.
     */

    key[0] = sh->key[0];
    key[1] = sh->key[1];
    lease = sh->lease;

    ngx_slab_init(zone->shpool);

    if (ngx_http_graph_policy_zone_format(zone, key) == NGX_OK) {
        zone->sh->lease = lease + 1;
    }

    zone->recovered = 1;
}


static void
ngx_http_graph_policy_zone_unlock(ngx_http_graph_policy_zone_t *zone)
{
    zone->sh->editing = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (zone->recovered) {
        zone->recovered = 0;

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "a worker died while it changed graph_policy_zone "
                      "\"%V\", the zone starts afresh without its states",
                      &zone->name);
    }
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


uint64_t
ngx_http_graph_policy_zone_fingerprint(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *text)
{
    uint64_t  fp;

    fp = ngx_http_graph_policy_siphash(zone->sh->key, text->data, text->len);

    return (fp != 0) ? fp : 1;
}


ngx_int_t
ngx_http_graph_policy_zone_admit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_kind_e kind,
    uint64_t now, ngx_http_graph_policy_cover_t *cover,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                        lease;
    ngx_int_t                       rc;
    ngx_uint_t                      i, n;
    ngx_http_graph_policy_ref_t    *ref;
    ngx_http_graph_policy_state_t  *shown;
    ngx_http_graph_policy_state_t  *states[NGX_HTTP_GRAPH_POLICY_NREFS];

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, now);

    n = ngx_http_graph_policy_collect(zone->sh, id, states);
    rc = ngx_http_graph_policy_weigh(states, n, kind, now, &shown);

    lease = (rc == NGX_DONE) ? ++zone->sh->lease : 0;
    cover->n = 0;

    for (i = 0; i < n; i++) {

        if (lease != 0) {
            if (ngx_http_graph_policy_blocks(states[i], kind, now)) {
                continue;
            }

            ngx_http_graph_policy_breaker_lease(&states[i]->breaker, lease,
                                           now + NGX_HTTP_GRAPH_POLICY_LEASE);
        }

        ref = &cover->refs[cover->n++];

        ref->hash = states[i]->node.key;
        ref->reason = states[i]->reason;
        ref->kind = states[i]->kind;
        ref->lease = lease;

        if (shown == NULL || lease != 0) {
            shown = states[i];
        }
    }

    if (shown != NULL) {
        ngx_http_graph_policy_view(zone->sh, shown, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


/* all that cover a request: at most one of each place and reason */

static ngx_uint_t
ngx_http_graph_policy_collect(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_state_t **states)
{
    ngx_uint_t                      n, kind, bound;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    n = 0;

    for (kind = 0; kind < NGX_HTTP_GRAPH_POLICY_NKEYS; kind++) {

        for (bound = 0; bound < 2; bound++) {

            if (sh->live[kind][bound] == 0
                || ngx_http_graph_policy_place(id, kind, bound, &place)
                   != NGX_OK)
            {
                continue;
            }

            state = ngx_http_graph_policy_first(sh, place.hash);

            while (state != NULL && n < NGX_HTTP_GRAPH_POLICY_NREFS) {

                if (state->breaker.armed
                    && ngx_http_graph_policy_at(state, &place))
                {
                    states[n++] = state;
                }

                state = ngx_http_graph_policy_next(sh, state);
            }
        }
    }

    return n;
}


/* "shown" is the blocking one with the latest end, dry ones last */

static ngx_int_t
ngx_http_graph_policy_weigh(ngx_http_graph_policy_state_t **states,
    ngx_uint_t n, ngx_http_graph_policy_kind_e kind, uint64_t now,
    ngx_http_graph_policy_state_t **shown)
{
    uint64_t                        end, latest;
    ngx_uint_t                      i, due;
    ngx_http_graph_policy_state_t  *state;

    *shown = NULL;
    latest = 0;
    due = 0;

    for (i = 0; i < n; i++) {
        state = states[i];

        if (!ngx_http_graph_policy_blocks(state, kind, now)) {
            due = 1;
            continue;
        }

        end = ngx_http_graph_policy_end(state, now);

        if (*shown == NULL || state->dry_run < (*shown)->dry_run
            || (state->dry_run == (*shown)->dry_run && end > latest))
        {
            *shown = state;
            latest = end;
        }
    }

    if (*shown != NULL && !(*shown)->dry_run) {
        return NGX_BUSY;
    }

    if (due && kind != NGX_HTTP_GRAPH_POLICY_READ) {
        return NGX_DONE;
    }

    return (*shown != NULL) ? NGX_ABORT : NGX_OK;
}


static ngx_uint_t
ngx_http_graph_policy_blocks(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_kind_e kind, uint64_t now)
{
    if (now < state->breaker.until) {
        return 1;
    }

    if (kind == NGX_HTTP_GRAPH_POLICY_READ) {
        return 0;
    }

    /* an accepted upload says nothing of messages */

    if (kind == NGX_HTTP_GRAPH_POLICY_SEND
        && state->kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL)
    {
        return 1;
    }

    return ngx_http_graph_policy_breaker_position(&state->breaker, now)
           == NGX_HTTP_GRAPH_POLICY_OPEN;
}


static uint64_t
ngx_http_graph_policy_end(ngx_http_graph_policy_state_t *state, uint64_t now)
{
    ngx_http_graph_policy_breaker_t  *b;

    b = &state->breaker;

    return (now >= b->until && b->lease != 0) ? b->lease_until : b->until;
}


static void
ngx_http_graph_policy_view(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                        hash;
    ngx_http_graph_policy_group_t  *group;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;
    view->hash = state->node.key;
    view->credential = state->credential;
    view->since = state->breaker.since;
    view->until = ngx_http_graph_policy_end(state, now);
    view->hold = state->breaker.hold;
    view->code = state->code;
    view->subcode = state->subcode;
    view->status = state->status;
    view->category = state->category;
    view->kind = state->kind;
    view->stored_reason = state->reason;
    view->reason = state->reason;
    view->key_len = state->key_len;
    view->trace_len = state->trace_len;

    ngx_memcpy(view->key, state->data, state->key_len);
    ngx_memcpy(view->trace, state->data + state->key_len, state->trace_len);

    if (state->group == 0) {
        return;
    }

    group = ngx_http_graph_policy_group(sh, state->group);

    if (group != NULL) {
        hash = ngx_http_graph_policy_phone_hash(sh, state);

        if (group->sum != hash * group->count) {
            view->reason = NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED;
        }
    }
}


ngx_int_t
ngx_http_graph_policy_zone_learn(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t                           rc;
    ngx_uint_t                          was_armed;
    ngx_http_graph_policy_place_t       place;
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_verdict_t    *verdict;
    ngx_http_graph_policy_transition_e  transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;
    failure->evicted.transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    verdict = failure->verdict;

    if (ngx_http_graph_policy_target(id, verdict, &place) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_lock(zone);

    ngx_http_graph_policy_expire(zone, failure->now);

    rc = NGX_OK;

    state = ngx_http_graph_policy_find(zone->sh, place.hash, verdict->reason);

    if (state == NULL) {
        state = ngx_http_graph_policy_create(zone, &place, failure);

    } else if (!ngx_http_graph_policy_at(state, &place)) {

        /* two keys of one hash: better no state than a wrong one */

        state = NULL;
    }

    if (state == NULL) {
        rc = NGX_ERROR;
        goto done;
    }

    was_armed = state->breaker.armed;

    transition = ngx_http_graph_policy_breaker_trip(&state->breaker,
                                                    failure->sent, failure->now,
                                                    failure->hold, failure->max,
                                                    (uint32_t) ngx_random());

    if (transition != NGX_HTTP_GRAPH_POLICY_NOTHING) {
        ngx_http_graph_policy_describe(state, failure);
        ngx_http_graph_policy_group_of(zone, state, id);
        ngx_http_graph_policy_account_for(zone, state, was_armed);
    }

    ngx_http_graph_policy_view(zone->sh, state, failure->now, view);
    view->transition = transition;

done:

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


/* where the answer sets its state */

static ngx_int_t
ngx_http_graph_policy_target(ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_place_t *place)
{
    ngx_uint_t  kind;

    /* who can't be told apart mustn't change a state */

    if (id->credential == 0) {
        return NGX_DECLINED;
    }

    switch (verdict->scope) {

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL:
        kind = NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL;
        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT:
        kind = (id->account.len != 0) ? NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT
                                    : NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE;
        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE:
        kind = NGX_HTTP_GRAPH_POLICY_KEY_PHONE;
        break;

    default:
        return NGX_DECLINED;
    }

    return ngx_http_graph_policy_place(id, kind, verdict->bound, place);
}


static ngx_int_t
ngx_http_graph_policy_place(ngx_http_graph_policy_identity_t *id,
    ngx_uint_t kind, ngx_uint_t bound, ngx_http_graph_policy_place_t *place)
{
    uint64_t  hash;

    if (kind == NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL) {
        bound = 1;
    }

    if (bound && id->credential == 0) {
        return NGX_DECLINED;
    }

    switch (kind) {

    case NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL:
        ngx_str_null(&place->key);
        hash = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT:
        place->key = id->account;
        hash = id->account_hash;
        break;

    default:
        place->key = id->phone;
        hash = id->phone_hash;
        break;
    }

    if (kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL && place->key.len == 0) {
        return NGX_DECLINED;
    }

    place->kind = kind;
    place->credential = bound ? id->credential : 0;
    place->hash = ngx_http_graph_policy_mix(hash, place->credential, kind);

    return NGX_OK;
}


/* the inputs are keyed hashes, so this need only spread them (MurmurHash3) */

static uint64_t
ngx_http_graph_policy_mix(uint64_t hash, uint64_t credential, ngx_uint_t kind)
{
    uint64_t  h;

    h = hash ^ ((credential << 23) | (credential >> 41));
    h += (uint64_t) (kind + 1) * 0x9e3779b97f4a7c15ULL;

    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 33;

    return h;
}


static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_first(ngx_http_graph_policy_shctx_t *sh, uint64_t hash)
{
    ngx_rbtree_node_t  *node, *sentinel, *found;

    node = sh->states.tree.root;
    sentinel = sh->states.tree.sentinel;
    found = NULL;

    while (node != sentinel) {

        if (hash <= node->key) {
            if (hash == node->key) {
                found = node;
            }

            node = node->left;

        } else {
            node = node->right;
        }
    }

    return (ngx_http_graph_policy_state_t *) found;
}


/* the next one of the same hash */

static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_next(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    ngx_rbtree_node_t  *node;

    node = ngx_rbtree_next(&sh->states.tree, &state->node);

    if (node == NULL || node->key != state->node.key) {
        return NULL;
    }

    return (ngx_http_graph_policy_state_t *) node;
}


static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_find(ngx_http_graph_policy_shctx_t *sh, uint64_t hash,
    ngx_uint_t reason)
{
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_first(sh, hash);

    while (state != NULL && state->reason != reason) {
        state = ngx_http_graph_policy_next(sh, state);
    }

    return state;
}


static ngx_uint_t
ngx_http_graph_policy_at(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_place_t *place)
{
    return state->kind == place->kind
           && state->credential == place->credential
           && state->key_len == place->key.len
           && ngx_memcmp(state->data, place->key.data, place->key.len) == 0;
}


static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_create(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_failure_t *failure)
{
    size_t                          size, head;
    ngx_http_graph_policy_state_t  *state;

    head = offsetof(ngx_http_graph_policy_state_t, data);

    /* one slab class for all but the longest, so that eviction helps */

    size = head + place->key.len + failure->facts->trace_len;
    size = ngx_max(size, NGX_HTTP_GRAPH_POLICY_SLOT);

    state = ngx_http_graph_policy_alloc(zone, size, failure);
    if (state == NULL) {
        return NULL;
    }

    ngx_memzero(state, head);

    state->node.key = place->hash;
    state->credential = place->credential;
    state->kind = (uint8_t) place->kind;
    state->reason = failure->verdict->reason;
    state->room = (uint16_t) (size - head);
    state->key_len = (uint8_t) place->key.len;
    ngx_memcpy(state->data, place->key.data, place->key.len);

    zone->sh->editing = 1;

    ngx_http_graph_policy_insert(&zone->sh->states, &state->node,
                                 ngx_http_graph_policy_insert_state);
    ngx_http_graph_policy_insert(&zone->sh->order[NGX_HTTP_GRAPH_POLICY_IDLE],
                                 &state->order, ngx_rbtree_insert_value);

    return state;
}


static void *
ngx_http_graph_policy_alloc(ngx_http_graph_policy_zone_t *zone, size_t size,
    ngx_http_graph_policy_failure_t *failure)
{
    void                           *p;
    ngx_uint_t                      i;
    ngx_http_graph_policy_state_t  *state;

    zone->sh->editing = 1;

    for (i = 0; /* void */ ; i++) {

        p = ngx_slab_alloc_locked(zone->shpool, size);

        if (p != NULL || i == NGX_HTTP_GRAPH_POLICY_EVICTIONS) {
            return p;
        }

        state = ngx_http_graph_policy_oldest(zone->sh,
                                             NGX_HTTP_GRAPH_POLICY_IDLE);

        if (state == NULL) {
            state = ngx_http_graph_policy_oldest(zone->sh,
                                                 NGX_HTTP_GRAPH_POLICY_ARMED);

            if (state == NULL) {
                return NULL;
            }

            ngx_http_graph_policy_view(zone->sh, state, failure->now,
                                       &failure->evicted);
            failure->evicted.transition = NGX_HTTP_GRAPH_POLICY_EVICTED;
        }

        ngx_http_graph_policy_remove(zone, state);
    }
}


/* the latest answer is the one that is shown */

static void
ngx_http_graph_policy_describe(ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_facts_t  *facts;

    facts = failure->facts;

    state->category = failure->verdict->category;
    state->dry_run = failure->verdict->dry_run;
    state->status = (uint16_t) failure->status;
    state->code = facts->code;
    state->subcode = facts->has_subcode ? facts->subcode : -1;
    state->trace_len = 0;

    if (facts->trace_len <= (size_t) (state->room - state->key_len)) {
        ngx_memcpy(state->data + state->key_len, facts->trace,
                   facts->trace_len);
        state->trace_len = (uint8_t) facts->trace_len;
    }
}


/* brings counts, groups and order in line with what the breaker became */

static void
ngx_http_graph_policy_account_for(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_uint_t was_armed)
{
    ngx_uint_t                      armed, bound;
    ngx_http_graph_policy_shctx_t  *sh;

    sh = zone->sh;
    armed = state->breaker.armed;
    bound = (state->credential != 0);

    sh->editing = 1;

    if (armed && !was_armed) {
        sh->live[state->kind][bound]++;
        sh->armed++;
        sh->armed_bound += bound;
        ngx_http_graph_policy_join(zone, state);
    }

    if (!armed && was_armed) {
        sh->live[state->kind][bound]--;
        sh->armed--;
        sh->armed_bound -= bound;
        ngx_http_graph_policy_leave(zone, state);
    }

    ngx_rbtree_delete(&sh->order[was_armed].tree, &state->order);

    state->order.key = (ngx_rbtree_key_t) state->breaker.until;

    ngx_http_graph_policy_insert(&sh->order[armed], &state->order,
                                 ngx_rbtree_insert_value);
}


static void
ngx_http_graph_policy_remove(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state)
{
    zone->sh->editing = 1;

    if (state->breaker.armed) {
        state->breaker.armed = 0;
        ngx_http_graph_policy_account_for(zone, state, 1);
    }

    ngx_rbtree_delete(&zone->sh->order[NGX_HTTP_GRAPH_POLICY_IDLE].tree,
                      &state->order);
    ngx_rbtree_delete(&zone->sh->states.tree, &state->node);

    ngx_slab_free_locked(zone->shpool, state);
}


/* one of each kind a call keeps pace with what comes in */

static void
ngx_http_graph_policy_expire(ngx_http_graph_policy_zone_t *zone, uint64_t now)
{
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_oldest(zone->sh, NGX_HTTP_GRAPH_POLICY_IDLE);

    if (state != NULL && state->breaker.until <= now) {
        ngx_http_graph_policy_remove(zone, state);
    }

    state = ngx_http_graph_policy_oldest(zone->sh,
                                         NGX_HTTP_GRAPH_POLICY_ARMED);

    if (state != NULL
        && state->breaker.until + NGX_HTTP_GRAPH_POLICY_ABANDONED <= now)
    {
        ngx_http_graph_policy_remove(zone, state);
    }
}


static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_oldest(ngx_http_graph_policy_shctx_t *sh,
    ngx_uint_t order)
{
    ngx_rbtree_t       *tree;
    ngx_rbtree_node_t  *node;

    tree = &sh->order[order].tree;

    if (tree->root == tree->sentinel) {
        return NULL;
    }

    node = ngx_rbtree_min(tree->root, tree->sentinel);

    return ngx_http_graph_policy_order_state(node);
}


void
ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_outcome_e outcome,
    uint64_t now, ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    ngx_http_graph_policy_zone_lock(zone);

    state = ngx_http_graph_policy_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_settle(&state->breaker,
                                                      ref->lease, outcome, now,
                                                      (uint32_t) ngx_random());
        ngx_http_graph_policy_settled(zone, state, transition, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, uint64_t sent, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_transition_e  transition;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    ngx_http_graph_policy_zone_lock(zone);

    state = ngx_http_graph_policy_find(zone->sh, ref->hash, ref->reason);

    if (state != NULL) {
        transition = ngx_http_graph_policy_breaker_clear(&state->breaker, sent,
                                                         now);
        ngx_http_graph_policy_settled(zone, state, transition, now, view);
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


static void
ngx_http_graph_policy_settled(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_transition_e transition, uint64_t now,
    ngx_http_graph_policy_view_t *view)
{
    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    ngx_http_graph_policy_view(zone->sh, state, now, view);
    view->transition = transition;

    ngx_http_graph_policy_account_for(zone, state, 1);
}


void
ngx_http_graph_policy_zone_renew(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_lock(zone);

    for (i = 0; i < n; i++) {
        state = ngx_http_graph_policy_find(zone->sh, refs[i].hash,
                                           refs[i].reason);

        if (state != NULL && state->breaker.armed
            && state->breaker.lease == refs[i].lease)
        {
            state->breaker.lease_until = now + NGX_HTTP_GRAPH_POLICY_LEASE;
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_zone_hasten(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now)
{
    ngx_uint_t                      bound;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_lock(zone);

    for (bound = 0; bound < 2; bound++) {

        if (ngx_http_graph_policy_place(id, NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                        bound, &place)
            != NGX_OK)
        {
            continue;
        }

        state = ngx_http_graph_policy_first(zone->sh, place.hash);

        while (state != NULL) {

            if (ngx_http_graph_policy_at(state, &place)
                && ngx_http_graph_policy_breaker_hasten(&state->breaker, now))
            {
                ngx_http_graph_policy_account_for(zone, state, 1);
            }

            state = ngx_http_graph_policy_next(zone->sh, state);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


/*
 * Which phones count as disconnected together: those of the account or,
 * while that is unknown, of the credential.
 */

static void
ngx_http_graph_policy_group_of(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state, ngx_http_graph_policy_identity_t *id)
{
    if (state->kind != NGX_HTTP_GRAPH_POLICY_KEY_PHONE
        || state->reason != NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED
        || state->group != 0)
    {
        return;
    }

    state->group = (id->account.len != 0)
                   ? ngx_http_graph_policy_mix(id->account_hash, 0,
                                               NGX_HTTP_GRAPH_POLICY_NKEYS)
                   : ngx_http_graph_policy_mix(0, id->credential,
                                               NGX_HTTP_GRAPH_POLICY_NKEYS);
}


static void
ngx_http_graph_policy_join(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state)
{
    ngx_http_graph_policy_shctx_t  *sh;
    ngx_http_graph_policy_group_t  *group;

    sh = zone->sh;

    if (state->group == 0) {
        return;
    }

    group = ngx_http_graph_policy_group(sh, state->group);

    if (group == NULL) {
        group = ngx_slab_alloc_locked(zone->shpool,
                                      sizeof(ngx_http_graph_policy_group_t));
        if (group == NULL) {

            /* the phone is shown as disconnected all the same */

            state->group = 0;
            return;
        }

        group->node.key = state->group;
        group->sum = 0;
        group->count = 0;

        ngx_http_graph_policy_insert(&sh->groups, &group->node,
                                     ngx_rbtree_insert_value);
    }

    group->sum += ngx_http_graph_policy_phone_hash(sh, state);
    group->count++;
}


static void
ngx_http_graph_policy_leave(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state)
{
    ngx_http_graph_policy_shctx_t  *sh;
    ngx_http_graph_policy_group_t  *group;

    sh = zone->sh;

    if (state->group == 0) {
        return;
    }

    group = ngx_http_graph_policy_group(sh, state->group);
    state->group = 0;

    if (group == NULL) {
        return;
    }

    group->sum -= ngx_http_graph_policy_phone_hash(sh, state);
    group->count--;

    if (group->count == 0) {
        ngx_rbtree_delete(&sh->groups.tree, &group->node);
        ngx_slab_free_locked(zone->shpool, group);
    }
}


static ngx_http_graph_policy_group_t *
ngx_http_graph_policy_group(ngx_http_graph_policy_shctx_t *sh, uint64_t hash)
{
    ngx_rbtree_node_t  *node, *sentinel;

    node = sh->groups.tree.root;
    sentinel = sh->groups.tree.sentinel;

    while (node != sentinel) {

        if (hash == node->key) {
            return (ngx_http_graph_policy_group_t *) node;
        }

        node = (hash < node->key) ? node->left : node->right;
    }

    return NULL;
}


static uint64_t
ngx_http_graph_policy_phone_hash(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state)
{
    return ngx_http_graph_policy_siphash(sh->key, state->data, state->key_len);
}


static void
ngx_http_graph_policy_insert_state(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t              **p;
    ngx_http_graph_policy_state_t   *state, *other;

    state = (ngx_http_graph_policy_state_t *) node;

    for ( ;; ) {
        other = (ngx_http_graph_policy_state_t *) temp;

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            p = (state->reason < other->reason) ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static void
ngx_http_graph_policy_insert(ngx_http_graph_policy_tree_t *tree,
    ngx_rbtree_node_t *node, ngx_rbtree_insert_pt insert)
{
    /* the pointer lies in shared memory, a new binary has another one */

    tree->tree.insert = insert;

    ngx_rbtree_insert(&tree->tree, node);
}
