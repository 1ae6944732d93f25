
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A request that waits to be sent again: the snapshot that it is reset to, its
 * timer, and the number of such requests in this worker.
 *
 * No lock is taken here.  Memory comes from the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_park.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone_count.h"


/*
 * Bytes that a request needs of its pool from the gate until it waits to be
 * sent again, and those of the block that is added to a pool with less.
 */
#define NGX_HTTP_GRAPH_POLICY_NEED  6144
#define NGX_HTTP_GRAPH_POLICY_ROOM  2560


/* The number of requests of this worker that wait to be sent again. */
static ngx_uint_t  ngx_http_graph_policy_nparked;


void
ngx_http_graph_policy_add_room(ngx_pool_t *pool)
{
    u_char      *p;
    ngx_pool_t  *last, *block;

    for (last = pool->current; last->d.next != NULL; last = last->d.next) {
        /* void */
    }

    if (last->d.end - last->d.last >= NGX_HTTP_GRAPH_POLICY_NEED) {
        return;
    }

    p = ngx_memalign(NGX_POOL_ALIGNMENT, NGX_HTTP_GRAPH_POLICY_ROOM,
                     pool->log);
    if (p == NULL) {
        return;
    }

    block = (ngx_pool_t *) p;

    block->d.last = ngx_align_ptr(p + sizeof(ngx_pool_data_t), NGX_ALIGNMENT);
    block->d.end = p + NGX_HTTP_GRAPH_POLICY_ROOM;
    block->d.next = NULL;
    block->d.failed = 0;

    last->d.next = block;
}


ngx_int_t
ngx_http_graph_policy_take_snapshot(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_snapshot_t  *snapshot;

    snapshot = ctx->snapshot;

    if (snapshot == NULL) {
        snapshot = ngx_palloc(r->pool,
                              sizeof(ngx_http_graph_policy_snapshot_t));
        if (snapshot == NULL) {
            return NGX_ERROR;
        }

        ctx->snapshot = snapshot;
    }

    if (ngx_http_graph_policy_keep_links(r->pool, &r->headers_out.headers,
                                         &snapshot->links)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    snapshot->headers_out = r->headers_out;
    snapshot->err_status = r->err_status;
    snapshot->nheaders = r->headers_out.headers.last->nelts;
    snapshot->ntrailers = r->headers_out.trailers.last->nelts;
    snapshot->limit_rate = r->limit_rate;
    snapshot->limit_rate_after = r->limit_rate_after;
    snapshot->limit_rate_set = r->limit_rate_set;
    snapshot->limit_rate_after_set = r->limit_rate_after_set;
    snapshot->keepalive = r->keepalive;

    return NGX_OK;
}


void
ngx_http_graph_policy_rewind(ngx_http_request_t *r,
    ngx_http_graph_policy_snapshot_t *snapshot)
{
    ngx_list_part_t  *last;

    r->headers_out = snapshot->headers_out;

    last = r->headers_out.headers.last;
    last->nelts = snapshot->nheaders;
    last->next = NULL;

    ngx_http_graph_policy_put_links(&r->headers_out.headers, snapshot->links);

    last = r->headers_out.trailers.last;
    last->nelts = snapshot->ntrailers;
    last->next = NULL;

    r->limit_rate = snapshot->limit_rate;
    r->limit_rate_after = snapshot->limit_rate_after;
    r->limit_rate_set = snapshot->limit_rate_set;
    r->limit_rate_after_set = snapshot->limit_rate_after_set;
    r->keepalive = snapshot->keepalive;

    r->allow_ranges = 0;
    r->single_range = 0;
    r->disable_not_modified = 0;
    r->err_status = snapshot->err_status;
}


void
ngx_http_graph_policy_forget(ngx_http_graph_policy_ctx_t *ctx)
{
    ctx->holding = 0;
    ctx->size = 0;
    ctx->classified = 0;
    ctx->exhausted = 0;
    ctx->hint = 0;

    ngx_memzero(&ctx->facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(&ctx->verdict, sizeof(ngx_http_graph_policy_verdict_t));
}


void
ngx_http_graph_policy_wait(ngx_http_graph_policy_ctx_t *ctx,
    ngx_event_handler_pt handler, ngx_msec_t delay)
{
    ngx_log_t  *log;

    log = ctx->request->connection->log;

    ctx->parking->handler = handler;
    ctx->parking->data = ctx;
    ctx->parking->log = log;

    ngx_add_timer(ctx->parking, delay);

    log->action = "waiting to send again";

    ctx->parked = 1;
    ngx_http_graph_policy_nparked++;
    ngx_http_graph_policy_zone_count_parked(ctx->zone, 1);
}


void
ngx_http_graph_policy_unpark(ngx_http_graph_policy_ctx_t *ctx)
{
    if (!ctx->parked) {
        return;
    }

    ctx->parked = 0;
    ngx_http_graph_policy_nparked--;
    ngx_http_graph_policy_zone_count_parked(ctx->zone, -1);

    if (ctx->parking->timer_set) {
        ngx_del_timer(ctx->parking);
    }
}


ngx_uint_t
ngx_http_graph_policy_parked(void)
{
    return ngx_http_graph_policy_nparked;
}


/*
 * When the content phase runs again nginx adds an empty element, which
 * "$upstream_status" would show as ":", so it is removed.
 */

void
ngx_http_graph_policy_join_states(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_array_t                *states;
    ngx_http_upstream_state_t  *state;

    ctx->again = 0;

    states = r->upstream_states;
    state = states->elts;

    if (ctx->nstates == 0 || states->nelts < ctx->nstates + 2
        || state[ctx->nstates].peer != NULL)
    {
        return;
    }

    ngx_memmove(&state[ctx->nstates], &state[ctx->nstates + 1],
                (states->nelts - ctx->nstates - 1)
                * sizeof(ngx_http_upstream_state_t));

    states->nelts--;

    if (r->upstream != NULL) {
        r->upstream->state = &state[states->nelts - 1];
    }
}
