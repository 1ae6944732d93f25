
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The context of a request is made, found and cleaned up here.
 *
 * Lock rule: none of its own.  Memory: the request's pool.  The pool's cleanup
 * gives back leases that nobody settled; the context is found again by it after
 * an internal redirect.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_lease.h"
#include "ngx_http_graph_policy_park.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"


static void ngx_http_graph_policy_adopt(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf);
static void ngx_http_graph_policy_cleanup(void *data);
static ngx_uint_t ngx_http_graph_policy_has_left(
    ngx_http_graph_policy_ctx_t *ctx);


ngx_http_graph_policy_ctx_t *
ngx_http_graph_policy_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    if (r != r->main) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler == ngx_http_graph_policy_cleanup) {
            ngx_http_set_ctx(r, cln->data, ngx_http_graph_policy_module);
            return cln->data;
        }
    }

    return NULL;
}


ngx_http_graph_policy_ctx_t *
ngx_http_graph_policy_make_ctx(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_graph_policy_get_ctx(r);

    if (ctx != NULL) {
        ngx_http_graph_policy_adopt(ctx, glcf);
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_graph_policy_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln->data = ctx;

    ctx->request = r;
    ctx->made = ngx_current_msec;
    ctx->attempts = 1;
    ctx->zone = ngx_http_graph_policy_zone_of(glcf);
    ctx->log_level = glcf->log_level;

    cln->handler = ngx_http_graph_policy_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_graph_policy_module);

    return ctx;
}


/* An internal redirect may lead to a location that uses another zone. */

static void
ngx_http_graph_policy_adopt(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_zone_t  *zone;

    ctx->log_level = glcf->log_level;

    zone = ngx_http_graph_policy_zone_of(glcf);

    if (ctx->zone == zone) {
        return;
    }

    ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                 NULL);

    ngx_memzero(&ctx->query, sizeof(ngx_http_graph_policy_query_t));
    ctx->identified = 0;
    ctx->credentialed = 0;
    ctx->conversed = 0;
    ctx->gated = 0;
    ctx->status = NGX_HTTP_GRAPH_POLICY_PASSED;
    ctx->nrefs = 0;
    ctx->zone = zone;
}


ngx_http_graph_policy_status_e
ngx_http_graph_policy_status_of(ngx_http_graph_policy_ctx_t *ctx)
{
    if (ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED
        || ctx->status == NGX_HTTP_GRAPH_POLICY_PROBE)
    {
        return ctx->status;
    }

    if (ctx->attempts > 1) {
        return NGX_HTTP_GRAPH_POLICY_RETRIED;
    }

    if (ctx->would_retry && ctx->status == NGX_HTTP_GRAPH_POLICY_PASSED) {
        return NGX_HTTP_GRAPH_POLICY_RETRIED_DRY_RUN;
    }

    return ctx->status;
}


static void
ngx_http_graph_policy_cleanup(void *data)
{
    ngx_http_graph_policy_ctx_t *ctx = data;

    if (ctx->parked) {
        ngx_http_graph_policy_unpark(ctx);
    }

    if (ctx->renewal != NULL) {
        ngx_http_graph_policy_settle(ctx,
                                     ngx_http_graph_policy_has_left(ctx)
                                     ? NGX_HTTP_GRAPH_POLICY_PROOF_LEFT
                                     : NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                     NULL);
    }
}


/* Returns 1 if the client has left before the request reached an upstream. */

static ngx_uint_t
ngx_http_graph_policy_has_left(ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->attempts > 1 || ctx->parked
        || (r->headers_out.status != NGX_HTTP_CLIENT_CLOSED_REQUEST
            && !r->connection->error))
    {
        return 0;
    }

    /* An earlier peer may have got the request. */

    return r->upstream == NULL
           || (!r->upstream->request_sent && r->upstream_states != NULL
               && r->upstream_states->nelts <= 1);
}


ngx_uint_t
ngx_http_graph_policy_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_str_t  value;

    if (glcf->dry_run == NULL) {
        return 0;
    }

    /* If the variable can't be evaluated, nothing is blocked. */

    if (ngx_http_complex_value(r, glcf->dry_run, &value) != NGX_OK) {
        return 1;
    }

    return value.len != 0 && (value.len != 1 || value.data[0] != '0');
}
