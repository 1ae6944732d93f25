
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The gate runs before the upstream: it lets a request pass, lets it pass as a
 * probe, or answers it locally.
 *
 * Lock rule: none of its own; each call of the zone takes the mutex once.
 * Memory: the context and all that it points to belong to the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_gate.h"
#include "ngx_http_graph_policy_lease.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_park.h"
#include "ngx_http_graph_policy_reply.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_count.h"


static ngx_http_graph_policy_noinline ngx_uint_t
    ngx_http_graph_policy_is_send(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_http_graph_policy_noinline ngx_int_t
    ngx_http_graph_policy_count_first_try(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_http_graph_policy_noinline ngx_int_t ngx_http_graph_policy_check(
    ngx_http_request_t *r, ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_uint_t ngx_http_graph_policy_reads_messages(
    ngx_http_graph_policy_loc_conf_t *glcf);
static void ngx_http_graph_policy_identify_request(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint);
static ngx_int_t ngx_http_graph_policy_may_probe(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint);
static ngx_int_t ngx_http_graph_policy_ask(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint);
static ngx_int_t ngx_http_graph_policy_ask_zone(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint,
    ngx_http_graph_policy_cover_t *cover, uint64_t now,
    ngx_http_graph_policy_admission_e *admission);
static ngx_int_t ngx_http_graph_policy_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);
static ngx_int_t ngx_http_graph_policy_save_refs(
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_cover_t *cover);


/* These words are read without the lock, so that the usual send needs none. */

#define ngx_http_graph_policy_is_live(glcf)                                   \
    (ngx_http_graph_policy_zone_armed((glcf)->zone) != 0                      \
     || ((glcf)->conversation                                                 \
         && ngx_http_graph_policy_zone_limited((glcf)->zone) != 0))


ngx_int_t
ngx_http_graph_policy_gate(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    size_t                              len;
    ngx_int_t                           rc;
    ngx_uint_t                          send;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    if (glcf->zone == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_graph_policy_module);

    if (ngx_http_graph_policy_is_live(glcf)) {
        rc = ngx_http_graph_policy_check(r, glcf);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (gmcf->retries
        && ngx_http_graph_policy_count_first_try(r, glcf) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!glcf->accept_encoding
        || !ngx_http_graph_policy_has_accept_encoding(r))
    {
        return NGX_DECLINED;
    }

    /* Nearly every send is recognized by its last bytes, without parsing. */

    len = r->uri.len;

    send = (glcf->sends == NULL && r->method == NGX_HTTP_POST
            && ngx_http_graph_policy_ends_with(&r->uri, "/messages")
            && len > sizeof("/messages")
            && (u_char) (r->uri.data[len - sizeof("/messages")] - '0') < 10)
           || ngx_http_graph_policy_is_send(r, glcf);

    rc = send ? ngx_http_graph_policy_ask_identity(r)
              : ngx_http_graph_policy_narrow_encoding(r, 0);

    return (rc == NGX_OK) ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_uint_t
ngx_http_graph_policy_is_send(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_endpoint_t  endpoint;

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);

    return endpoint.send;
}


/* All first tries of the zone count for its retry budget. */

static ngx_int_t
ngx_http_graph_policy_count_first_try(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_ctx_t  *ctx;

    if (glcf->retry.attempts == 0) {
        ctx = ngx_http_graph_policy_get_ctx(r);

        if (ctx == NULL || !ctx->counted) {
            ngx_http_graph_policy_zone_try(glcf->zone);
        }

        return NGX_OK;
    }

    ctx = ngx_http_graph_policy_get_ctx(r);

    if (ctx == NULL || ctx->snapshot == NULL) {
        ngx_http_graph_policy_add_room(r->pool);
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (!ctx->counted) {
        ctx->counted = 1;
        ngx_http_graph_policy_zone_try(glcf->zone);
    }

    return ngx_http_graph_policy_take_snapshot(r, ctx);
}


static ngx_int_t
ngx_http_graph_policy_check(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t                          rc;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_endpoint_t   endpoint;

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);

    if (!endpoint.send && !endpoint.read) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->gated) {
        return NGX_DECLINED;
    }

    if (endpoint.kind == NGX_HTTP_GRAPH_POLICY_MESSAGE
        && ngx_http_graph_policy_reads_messages(glcf)
        && ngx_http_graph_policy_is_message_body(r))
    {
        rc = ngx_http_graph_policy_read_body(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_graph_policy_ask(r, ctx, glcf, &endpoint);

    if (rc == NGX_AGAIN) {

        /*
         * The body is read before a lease is taken, as a client that sends it
         * slowly would keep others from probing.
         */

        rc = ngx_http_graph_policy_read_body(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_graph_policy_ask(r, ctx, glcf, &endpoint);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->gated = 1;

    if (ctx->status != NGX_HTTP_GRAPH_POLICY_BLOCKED) {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_count_blocked(ctx->zone, ctx->view->reason);
    ngx_http_graph_policy_reply(r, ctx, glcf->status);

    return NGX_DONE;
}


/* Returns 1 if a state or limit may depend on a message's recipient. */

static ngx_uint_t
ngx_http_graph_policy_reads_messages(ngx_http_graph_policy_loc_conf_t *glcf)
{
    return (glcf->conversation
            && ngx_http_graph_policy_zone_limited(glcf->zone) != 0)
           || (glcf->conversations
               && ngx_http_graph_policy_zone_armed_conversations(glcf->zone)
                  != 0);
}


ngx_uint_t
ngx_http_graph_policy_is_blocked_again(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_endpoint_t  endpoint;

    if (!ngx_http_graph_policy_is_live(glcf)) {
        return 0;
    }

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);

    if (!endpoint.send && !endpoint.read) {
        return 0;
    }

    /* The request was sent once, so its body has been read. */

    ctx->body_read = 1;

    /* If this fails, the client gets the answer that is known already. */

    return ngx_http_graph_policy_ask(r, ctx, glcf, &endpoint) == NGX_OK
           && ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED;
}


/* Fills in the query for the zone, but only the parts that may matter now. */

static void
ngx_http_graph_policy_identify_request(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint)
{
    ngx_http_graph_policy_identify(r, ctx, glcf, endpoint);

    if (ngx_http_graph_policy_zone_armed_bound(glcf->zone) != 0) {
        ngx_http_graph_policy_identify_credential(r, ctx, glcf);
    }

    if (endpoint->kind == NGX_HTTP_GRAPH_POLICY_MESSAGE
        && (ctx->body_read || ngx_http_graph_policy_reads_messages(glcf)))
    {
        ngx_http_graph_policy_identify_message(r, ctx, glcf);

        /* The endpoint marketing_messages accepts templates only. */

        if (!endpoint->messages) {
            ctx->query.gate.template = 1;
        }
    }

    ctx->query.cooldown = (glcf->cooldown && endpoint->send);
    ctx->query.gate.hold = glcf->conversation
                         ? (uint32_t) glcf->conversation_hold : 0;
}


/*
 * Returns NGX_OK if the request may be the probe of a state, NGX_DECLINED if
 * not, NGX_AGAIN if it may once its body has been read.
 */

static ngx_int_t
ngx_http_graph_policy_may_probe(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint)
{
    if (!endpoint->send) {
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_identify_credential(r, ctx, glcf);

    if (ctx->query.identity.credential == 0) {
        ngx_http_graph_policy_log_no_probe(ctx, glcf, ctx->view,
                         "shows no credential; where the proxy adds the "
                         "token, \"graph_policy_credential\" has to name it");
        return NGX_DECLINED;
    }

    if (!ngx_http_graph_policy_is_plain_target(r)) {
        return NGX_DECLINED;
    }

    if (ctx->body_read) {
        return NGX_OK;
    }

    if (!ngx_http_graph_policy_is_body_buffered(r)) {
        ngx_http_graph_policy_log_no_probe(ctx, glcf, ctx->view,
                         "is sent before it is there in full, "
                         "\"proxy_request_buffering\" has to be on");
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


/*
 * Asks the zone, and sets ctx->status by its decision.  Returns NGX_OK,
 * NGX_AGAIN if the body is to be read before asking again, or NGX_ERROR if
 * there is no memory.
 */

static ngx_int_t
ngx_http_graph_policy_ask(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint)
{
    uint64_t                            now;
    ngx_int_t                           rc;
    ngx_uint_t                          dry_run;
    ngx_http_graph_policy_view_t       *view;
    ngx_http_graph_policy_cover_t       cover;
    ngx_http_graph_policy_admission_e   admission;

    view = ctx->view;

    if (view == NULL) {
        view = ngx_palloc(r->pool, sizeof(ngx_http_graph_policy_view_t));
        if (view == NULL) {
            return NGX_ERROR;
        }

        ctx->view = view;
    }

    ngx_http_graph_policy_identify_request(r, ctx, glcf, endpoint);

    /* Like an upload, a receipt proves nothing of accounts and phones. */

    ctx->query.kind = ctx->receipt ? NGX_HTTP_GRAPH_POLICY_SEND
                                   : endpoint->kind;

    dry_run = ngx_http_graph_policy_dry_run(r, glcf);

    /* A retry asks again before each attempt, but is one blocked send. */

    ctx->query.uncounted = (dry_run || ctx->attempts > 1);

    now = ngx_http_graph_policy_now();

    rc = ngx_http_graph_policy_ask_zone(r, ctx, glcf, endpoint, &cover, now,
                                        &admission);

    if (rc != NGX_OK) {
        return rc;
    }

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_PASS) {

        /* The states it was to probe are gone, so its leases are given back. */

        if (ctx->nrefs != 0) {
            ngx_http_graph_policy_settle(ctx,
                                         NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                         NULL);
            ctx->nrefs = 0;
        }

        /*
         * Other locations may hold these states longer; a success here clears
         * them as well.
         */

        return (cover.n != 0 && endpoint->send)
               ? ngx_http_graph_policy_save_refs(ctx, &cover) : NGX_OK;
    }

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE) {
        return ngx_http_graph_policy_probe(ctx, &cover, view);
    }

    /* The request is blocked, so leases that it has are given back. */

    if (ctx->nrefs != 0) {
        ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                     NULL);
    }

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN || dry_run) {

        if (ngx_http_graph_policy_save_refs(ctx, &cover) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->status = NGX_HTTP_GRAPH_POLICY_BLOCKED_DRY_RUN;
        ngx_http_graph_policy_log_request(ctx, view, "would block a request");

        return NGX_OK;
    }

    ctx->nrefs = 0;
    ctx->status = NGX_HTTP_GRAPH_POLICY_BLOCKED;
    ngx_http_graph_policy_log_request(ctx, view, "blocks a request");

    return NGX_OK;
}


/* The leases of a state that is due are taken by a second question alone. */

static ngx_int_t
ngx_http_graph_policy_ask_zone(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint,
    ngx_http_graph_policy_cover_t *cover, uint64_t now,
    ngx_http_graph_policy_admission_e *admission)
{
    ngx_int_t                         rc;
    ngx_http_graph_policy_changes_t   changes;

    ngx_http_graph_policy_changes_of(&changes, r, ctx->log_level);

    ctx->query.may_probe = 0;
    ctx->query.asks_again = 1;

    *admission = ngx_http_graph_policy_zone_admit(glcf->zone, &ctx->query, now,
                                                  &changes, cover, ctx->view);

    if ((*admission != NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK
         && *admission != NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN)
        || (ctx->view->until > now && !ctx->view->leased))
    {
        return NGX_OK;
    }

    rc = ngx_http_graph_policy_may_probe(r, ctx, glcf, endpoint);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ctx->query.may_probe = (rc == NGX_OK);
    ctx->query.asks_again = 0;

    *admission = ngx_http_graph_policy_zone_admit(glcf->zone, &ctx->query, now,
                                                  &changes, cover, ctx->view);

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t  i;

    if (ngx_http_graph_policy_save_refs(ctx, cover) != NGX_OK
        || ngx_http_graph_policy_start_renewal(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* What covers the request but lets it pass has no lease. */

    for (i = 0; i < ctx->nrefs; i++) {

        if (ctx->refs[i].lease != 0) {
            ctx->query.lease = ctx->refs[i].lease;
        }
    }

    ctx->status = NGX_HTTP_GRAPH_POLICY_PROBE;

    ngx_http_graph_policy_tell_probe(ctx, view);

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_save_refs(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_cover_t *cover)
{
    size_t  size;

    size = cover->n * sizeof(ngx_http_graph_policy_ref_t);

    ctx->refs = ngx_palloc(ctx->request->pool, size);

    if (ctx->refs == NULL) {

        /* Leases that the request can't keep would bar others from probing. */

        ctx->refs = cover->refs;
        ctx->nrefs = cover->n;
        ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                     NULL);
        ctx->refs = NULL;
        ctx->nrefs = 0;

        return NGX_ERROR;
    }

    ngx_memcpy(ctx->refs, cover->refs, size);
    ctx->nrefs = cover->n;

    return NGX_OK;
}
