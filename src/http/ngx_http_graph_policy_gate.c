
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Before the upstream: let through, let through as probe, or answer locally.
 *
 * Lock rule: none of its own, the zone is asked once.  Memory: the context
 * and what hangs on it belong to the request's pool; see there.
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
static ngx_int_t ngx_http_graph_policy_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);
static ngx_int_t ngx_http_graph_policy_save_refs(
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_cover_t *cover);


/* the words that keep the usual send free of locks */

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


/* first tries feed the budget of retries, those of other locations too */

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

        /* whoever is slow to send its body mustn't keep others from probing */

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


/* whether to whom a message goes matters now */

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

    /* it was sent once, so that its body is there */

    ctx->body_read = 1;

    /* if that fails, the answer that is known by now is worth more than none */

    return ngx_http_graph_policy_ask(r, ctx, glcf, &endpoint) == NGX_OK
           && ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED;
}


/* what the zone has to know of the request; no more than what counts now */

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

        /* marketing_messages takes nothing else */

        if (!endpoint->messages) {
            ctx->query.gate.template = 1;
        }
    }

    ctx->query.cooldown = (glcf->cooldown && endpoint->send);
    ctx->query.gate.hold = glcf->conversation
                         ? (uint32_t) glcf->conversation_hold : 0;
}


/*
 * Whether the request may be the probe of a state that waits for one: NGX_OK,
 * or NGX_DECLINED; NGX_AGAIN: if its body is there.
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
 * ctx->status says what came of it.  NGX_AGAIN: to be asked again once the body
 * is there; NGX_ERROR: no memory.
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
    ngx_http_graph_policy_changes_t     changes;
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

    /* a receipt proves as little of accounts and phones as an upload does */

    ctx->query.kind = ctx->receipt ? NGX_HTTP_GRAPH_POLICY_SEND
                                   : endpoint->kind;

    dry_run = ngx_http_graph_policy_dry_run(r, glcf);

    /* one that waits to be sent again may ask more than once */

    ctx->query.uncounted = (dry_run || ctx->attempts > 1);

    now = ngx_http_graph_policy_now();

    ngx_http_graph_policy_changes_of(&changes, r, ctx->log_level);

    ctx->query.may_probe = 0;
    ctx->query.asks_again = 1;

    admission = ngx_http_graph_policy_zone_admit(glcf->zone, &ctx->query, now,
                                                 &changes, &cover, view);

    /* few may probe, and now it's worth finding out */

    if ((admission == NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK
         || admission == NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN)
        && (view->until <= now || view->leased))
    {
        rc = ngx_http_graph_policy_may_probe(r, ctx, glcf, endpoint);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ctx->query.may_probe = (rc == NGX_OK);
        ctx->query.asks_again = 0;

        admission = ngx_http_graph_policy_zone_admit(glcf->zone, &ctx->query,
                                                     now, &changes, &cover,
                                                     view);
    }

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_PASS) {

        /* what it was to probe is over by now */

        if (ctx->nrefs != 0) {
            ngx_http_graph_policy_settle(ctx,
                                         NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                         NULL);
            ctx->nrefs = 0;
        }

        /* a success ends what longer holds of other locations still keep */

        return (cover.n != 0 && endpoint->send)
               ? ngx_http_graph_policy_save_refs(ctx, &cover) : NGX_OK;
    }

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE) {
        return ngx_http_graph_policy_probe(ctx, &cover, view);
    }

    /* a lease in hand that can't be used, to be given back */

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


static ngx_int_t
ngx_http_graph_policy_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view)
{
    if (ngx_http_graph_policy_save_refs(ctx, cover) != NGX_OK
        || ngx_http_graph_policy_start_renewal(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->status = NGX_HTTP_GRAPH_POLICY_PROBE;
    ctx->query.lease = ctx->refs[0].lease;

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
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->refs, cover->refs, size);
    ctx->nrefs = cover->n;

    return NGX_OK;
}
