
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * This is the handler of a location that receives webhooks.  It runs before
 * the request goes on to the upstream, the application.  A POST must bear a
 * signature of Meta's; without one it is neither inspected nor passed on.
 *
 * Lock rule: none of its own.  Memory: a copy of the body is freed when it has
 * been read.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_signature.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_zone_count.h"


static ngx_int_t ngx_http_graph_policy_subrequest(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_int_t ngx_http_graph_policy_post(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_uint_t error_page);
static ngx_int_t ngx_http_graph_policy_end(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_int_t status);
static void ngx_http_graph_policy_end_handler(ngx_http_request_t *r,
    void *data);
static ngx_uint_t ngx_http_graph_policy_is_subscription(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_graph_policy_signature_header(ngx_http_request_t *r,
    u_char *digest);
static ngx_int_t ngx_http_graph_policy_refuse(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_webhook_e kind, const char *why);


ngx_int_t
ngx_http_graph_policy_webhook(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t                     rc;
    ngx_uint_t                    error_page;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_graph_policy_get_ctx(r->main);

    /*
     * The webhook was verified and inspected before an internal redirect.  It
     * isn't judged again, as the redirect may have made a GET of it.
     */

    if (ctx != NULL && ctx->learning == NULL
        && ctx->verified == glcf->secrets)
    {
        return NGX_DECLINED;
    }

    /*
     * While error_page is off, an error of ours can't be redirected by it: that
     * could bring the body, unverified, to the application.
     */

    error_page = (ctx != NULL && ctx->error_page_kept) ? ctx->error_page
                                                       : r->error_page;
    r->error_page = 1;

    if (r != r->main) {
        rc = ngx_http_graph_policy_subrequest(r, glcf);

    } else if (ctx != NULL && ctx->learning != NULL) {
        rc = ngx_http_graph_policy_webhook_inspect(r, ctx, glcf);

    } else if (r->method == NGX_HTTP_POST) {
        rc = ngx_http_graph_policy_post(r, glcf, error_page);

    } else if (r->method != NGX_HTTP_GET) {
        rc = NGX_HTTP_NOT_ALLOWED;

    } else if (!ngx_http_graph_policy_is_subscription(r)) {
        rc = NGX_HTTP_FORBIDDEN;

    } else {
        rc = (ngx_http_graph_policy_webhook_untag(r) == NGX_OK)
             ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_HTTP_FORBIDDEN || rc == NGX_HTTP_NOT_ALLOWED) {
        return ngx_http_graph_policy_end(r, glcf, rc);
    }

    if (rc == NGX_DECLINED) {
        r->error_page = error_page;

        ctx = ngx_http_graph_policy_get_ctx(r->main);

        if (ctx != NULL) {
            ctx->error_page_kept = 0;
        }
    }

    return rc;
}


/* Returns what the phase handler is to return for a refusal. */

static ngx_int_t
ngx_http_graph_policy_end(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_int_t status)
{
    ngx_int_t                     rc;
    ngx_http_graph_policy_ctx_t  *ctx;

    if (r != r->main || !ngx_http_graph_policy_is_multiplexed(r)) {
        return status;
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->answer_status = status;

    rc = ngx_http_graph_policy_drop_body(r, ngx_http_graph_policy_end_handler,
                                         ctx);

    if (rc == NGX_DONE) {
        ngx_http_finalize_request(r, NGX_DONE);
    }

    return (rc == NGX_DECLINED) ? status : rc;
}


static void
ngx_http_graph_policy_end_handler(ngx_http_request_t *r, void *data)
{
    ngx_http_graph_policy_ctx_t *ctx = data;

    ngx_http_finalize_request(r, (ngx_int_t) ctx->answer_status);
}


/*
 * A subrequest that bears a body could bring an unverified one to the
 * application.  One without a body asks only for a page.
 */

static ngx_int_t
ngx_http_graph_policy_subrequest(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
        || (r->request_body != NULL && r->request_body->bufs != NULL))
    {
        return ngx_http_graph_policy_refuse(r, glcf,
                                       NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNSIGNED,
                                       "of an unverified request");
    }

    return (ngx_http_graph_policy_webhook_untag(r) == NGX_OK)
           ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_graph_policy_post(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_uint_t error_page)
{
    u_char                          *allocated;
    u_char                           digest[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN];
    ngx_int_t                        rc;
    ngx_str_t                        body;
    ngx_http_graph_policy_ctx_t     *ctx;
    ngx_http_graph_policy_trust_t    trust;

    if (ngx_http_graph_policy_signature_header(r, digest) != NGX_OK) {
        return ngx_http_graph_policy_refuse(r, glcf,
                                       NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNSIGNED,
                                       "without a signature");
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /*
     * The handler runs again when the body has been read, so error_page is
     * saved once, before the handler changes it.
     */

    ctx->error_page = (error_page != 0);
    ctx->error_page_kept = 1;

    rc = ngx_http_graph_policy_read_body(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    trust.signers = glcf->secrets;

    rc = ngx_http_graph_policy_verify(r, &trust, digest, &body, &allocated);

    switch (rc) {

    case NGX_OK:
        ctx->verified = glcf->secrets;
        rc = ngx_http_graph_policy_webhook_read(r, ctx, glcf, &trust,
                                                &body, &allocated);
        break;

    case NGX_DECLINED:
        rc = ngx_http_graph_policy_refuse(r, glcf,
                                         NGX_HTTP_GRAPH_POLICY_WEBHOOK_FORGED,
                                         "whose signature is wrong");
        break;

    default: /* NGX_ERROR */
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        break;
    }

    if (allocated != NULL) {
        ngx_free(allocated);
    }

    return rc;
}


/*
 * Meta checks once, by a GET, that the address is the application's.  Such a
 * request isn't signed, so it must not have a body.
 */

static ngx_uint_t
ngx_http_graph_policy_is_subscription(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   name, value;

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return 0;
    }

    p = r->args.data;

    while (ngx_http_graph_policy_next_argument(&p, &r->args, &name, &value)) {
        if (ngx_http_graph_policy_is_argument(&name, "hub.mode",
                                              sizeof("hub.mode") - 1))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * The header may be there once.  With two of them the application might read
 * the signature that wasn't checked here.
 */

static ngx_int_t
ngx_http_graph_policy_signature_header(ngx_http_request_t *r, u_char *digest)
{
    ngx_uint_t        i;
    ngx_str_t        *value;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    value = NULL;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof("x-hub-signature-256") - 1
            || ngx_memcmp(h[i].lowcase_key, "x-hub-signature-256",
                          sizeof("x-hub-signature-256") - 1)
               != 0)
        {
            continue;
        }

        if (value != NULL) {
            return NGX_DECLINED;
        }

        value = &h[i].value;
    }

    return (value != NULL)
           ? ngx_http_graph_policy_signature_parse(value, digest)
           : NGX_DECLINED;
}


static ngx_int_t
ngx_http_graph_policy_refuse(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_webhook_e kind, const char *why)
{
    ngx_log_t  log;

    ngx_http_graph_policy_zone_count_webhook(glcf->webhook_zone, kind);

    ngx_http_graph_policy_plain_log(r->connection->log, &log);

    ngx_log_error(NGX_LOG_ERR, &log, 0,
                  "graph policy refuses a webhook %s, client: %V, "
                  "zone: \"%V\"", why, &r->connection->addr_text,
                  &glcf->webhook_zone->name);

    return NGX_HTTP_FORBIDDEN;
}
