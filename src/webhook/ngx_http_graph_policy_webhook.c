
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The location of webhooks, before its upstream, the application: verified,
 * read, learnt from, tagged, and let through, or kept back while receiving is
 * paused.  Nothing unverified is read or goes on.
 *
 * Lock rule: none of its own.  Memory: what reading takes is freed before the
 * payload goes on; what is kept of it are fingerprints and ids.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_reply.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_signature.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"


static ngx_int_t ngx_http_graph_policy_subrequest(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_int_t ngx_http_graph_policy_post(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_uint_t ngx_http_graph_policy_is_subscription(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_graph_policy_signature_header(ngx_http_request_t *r,
    u_char *digest);
static ngx_int_t ngx_http_graph_policy_refuse(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_webhook_e kind, const char *why);
static ngx_int_t ngx_http_graph_policy_verified(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *body);
static ngx_int_t ngx_http_graph_policy_read_payload(ngx_http_request_t *r,
    ngx_str_t *body, ngx_http_graph_policy_payload_t *payload,
    u_char **memory);
static ngx_int_t ngx_http_graph_policy_inspect(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust,
    ngx_http_graph_policy_payload_t *payload);
static void ngx_http_graph_policy_count(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_webhook_e kind,
    ngx_uint_t level, const char *what);


ngx_int_t
ngx_http_graph_policy_webhook(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t                     rc;
    ngx_uint_t                    error_page;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_graph_policy_get_ctx(r->main);

    /* an internal redirect, which may have made a GET of it */

    if (ctx != NULL && ctx->verified == glcf->secrets) {
        return NGX_DECLINED;
    }

    /* an error_page may lead to the application, and takes the body along */

    error_page = r->error_page;
    r->error_page = 1;

    if (r != r->main) {
        rc = ngx_http_graph_policy_subrequest(r, glcf);

    } else if (r->method == NGX_HTTP_POST) {
        rc = ngx_http_graph_policy_post(r, glcf);

    } else if (r->method != NGX_HTTP_GET) {
        rc = NGX_HTTP_NOT_ALLOWED;

    } else if (!ngx_http_graph_policy_is_subscription(r)) {
        rc = NGX_HTTP_FORBIDDEN;

    } else {
        rc = (ngx_http_graph_policy_webhook_untag(r) == NGX_OK)
             ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        r->error_page = error_page;
    }

    return rc;
}


/* one without a body asks for something of its own */

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
    ngx_http_graph_policy_loc_conf_t *glcf)
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

    rc = ngx_http_graph_policy_read_body(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    trust.signers = glcf->secrets;

    rc = ngx_http_graph_policy_verify(r, &trust, digest, &body, &allocated);

    switch (rc) {

    case NGX_OK:
        ctx->verified = glcf->secrets;
        rc = ngx_http_graph_policy_verified(r, ctx, glcf, &trust, &body);
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
 * Meta asks once whether the address is the application's.  It does so without
 * a body, which nobody would have signed.
 */

static ngx_uint_t
ngx_http_graph_policy_is_subscription(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   name, value;

    if (r->args.len == 0 || r->headers_in.content_length_n > 0
        || r->headers_in.chunked)
    {
        return 0;
    }

    p = r->args.data;

    while (ngx_http_graph_policy_next_argument(&p, r->args.data + r->args.len,
                                               &name, &value))
    {
        if (ngx_http_graph_policy_is_argument(&name, "hub.mode",
                                              sizeof("hub.mode") - 1))
        {
            return 1;
        }
    }

    return 0;
}


/* one header alone: which of two is checked, others might not agree on */

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


static ngx_int_t
ngx_http_graph_policy_verified(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *body)
{
    u_char                           *memory;
    ngx_int_t                         rc;
    ngx_http_graph_policy_payload_t   payload;

    ngx_http_graph_policy_zone_count_webhook(glcf->webhook_zone,
                                      NGX_HTTP_GRAPH_POLICY_WEBHOOK_VERIFIED);

    if (ngx_http_graph_policy_webhook_untag(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (body->data == NULL && r->request_body != NULL
        && r->request_body->bufs != NULL)
    {
        ngx_http_graph_policy_count(r, glcf->webhook_zone,
                                    NGX_HTTP_GRAPH_POLICY_WEBHOOK_TOO_LARGE,
                                    NGX_LOG_WARN, "is too large to be read");
        return NGX_DECLINED;
    }

    rc = ngx_http_graph_policy_read_payload(r, body, &payload, &memory);

    if (rc == NGX_OK) {
        rc = ngx_http_graph_policy_inspect(r, ctx, glcf, trust, &payload);

    } else {
        ngx_http_graph_policy_count(r, glcf->webhook_zone,
                                    NGX_HTTP_GRAPH_POLICY_WEBHOOK_UNREAD,
                                    NGX_LOG_WARN, "can't be read");
        rc = NGX_DECLINED;
    }

    if (memory != NULL) {
        ngx_free(memory);
    }

    return rc;
}


static ngx_int_t
ngx_http_graph_policy_read_payload(ngx_http_request_t *r, ngx_str_t *body,
    ngx_http_graph_policy_payload_t *payload, u_char **memory)
{
    size_t  arena, tree;

    arena = ngx_align(ngx_http_graph_policy_json_arena(body->len),
                      NGX_ALIGNMENT);
    tree = ngx_http_graph_policy_payload_memory(body->len);

    *memory = ngx_alloc(arena + tree, r->connection->log);
    if (*memory == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_payload_read(body->data, body->len, *memory,
                                              *memory + arena, payload);
}


static ngx_int_t
ngx_http_graph_policy_inspect(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust,
    ngx_http_graph_policy_payload_t *payload)
{
    ngx_http_graph_policy_webhook_result_t  result;

    ngx_http_graph_policy_webhook_learn(ctx, glcf, trust, payload, &result);

    if (result.errors != 0) {
        ctx->facts = result.facts;
        ctx->verdict = result.verdict;
        ctx->classified = 1;

        if (ngx_http_graph_policy_webhook_tag(r, &result) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (!glcf->webhook_pause) {
        return NGX_DECLINED;
    }

    switch (ngx_http_graph_policy_webhook_paused(ctx, trust, payload,
                                                 &result))
    {
    case NGX_OK:
        return NGX_DECLINED;

    case NGX_BUSY:
        break;

    default: /* NGX_ERROR */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_graph_policy_dry_run(r, glcf)) {
        ctx->status = NGX_HTTP_GRAPH_POLICY_BLOCKED_DRY_RUN;
        ngx_http_graph_policy_log_request(ctx, ctx->view,
                                          "would keep a webhook back");
        return NGX_DECLINED;
    }

    ngx_http_graph_policy_zone_count_webhook(glcf->webhook_zone,
                                        NGX_HTTP_GRAPH_POLICY_WEBHOOK_PAUSED);

    ctx->status = NGX_HTTP_GRAPH_POLICY_BLOCKED;
    ngx_http_graph_policy_log_request(ctx, ctx->view, "keeps a webhook back");

    ngx_http_graph_policy_reply(r, ctx, NGX_HTTP_SERVICE_UNAVAILABLE);

    return NGX_DONE;
}


static void
ngx_http_graph_policy_count(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_webhook_e kind,
    ngx_uint_t level, const char *what)
{
    ngx_log_t  log;

    ngx_http_graph_policy_zone_count_webhook(zone, kind);

    ngx_http_graph_policy_plain_log(r->connection->log, &log);

    ngx_log_error(level, &log, 0,
                  "graph policy lets a webhook pass that %s, zone: \"%V\"",
                  what, &zone->name);
}
