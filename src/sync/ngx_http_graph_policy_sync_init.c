
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Prepares a zone that is shared: the names of the engine's keys and of this
 * host, and the descriptor by which workers notify the one that talks.
 *
 * Lock rule: none.  Memory: the configuration's pool; the descriptor is closed
 * with it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync.h"

#if (NGX_HAVE_SYS_EVENTFD_H)
#include <sys/eventfd.h>
#endif


static ngx_int_t ngx_http_graph_policy_sync_notify(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync);
static void ngx_http_graph_policy_sync_close_notify(void *data);
static ngx_int_t ngx_http_graph_policy_sync_name(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync);


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
