
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_WEBHOOK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_signature.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * Bytes of a payload that is inspected; a larger one is verified and goes on.
 * Meta sends up to 3 MB ("Webhooks from Meta").
 */
#define NGX_HTTP_GRAPH_POLICY_MAX_PAYLOAD  (4 * 1024 * 1024)


/* a line of the secret file; it belongs to the configuration */

typedef struct {
    ngx_http_graph_policy_signature_t *signature;
    ngx_array_t                       *accounts;  /* of ngx_str_t; NULL: all */
} ngx_http_graph_policy_signer_t;


/* those whose secret has signed the payload, a bit each */

typedef struct {
    ngx_array_t                       *signers;
    ngx_uint_t                         matched;
} ngx_http_graph_policy_trust_t;


/*
 * What a webhook's location does before its upstream: NGX_DECLINED to go on,
 * NGX_DONE or NGX_AGAIN to wait, or a status.
 */
ngx_int_t ngx_http_graph_policy_webhook(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Checks the signature "digest" of the whole body, which has been read.  If
 * the body is small enough to be inspected it is in "body" as a whole, which
 * then belongs to the caller where body->data is *allocated.  Returns NGX_OK;
 * NGX_DECLINED if no secret has signed it; NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_verify(ngx_http_request_t *r,
    ngx_http_graph_policy_trust_t *trust, u_char *digest, ngx_str_t *body,
    u_char **allocated);

/* whether what the payload says of an account is believed */
ngx_uint_t ngx_http_graph_policy_is_trusted(
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *account);

/*
 * What a payload has taught: its gravest error, and the states that it has
 * set itself.
 */

#define NGX_HTTP_GRAPH_POLICY_NSET  64

typedef struct {
    ngx_http_graph_policy_facts_t      facts;       /* of the gravest */
    ngx_http_graph_policy_verdict_t    verdict;     /* valid where errors */
    ngx_uint_t                         errors;      /* ignored ones aside */
    ngx_uint_t                         nset;        /* may be over NSET */
    ngx_http_graph_policy_ref_t        set[NGX_HTTP_GRAPH_POLICY_NSET];
} ngx_http_graph_policy_webhook_result_t;


/*
 * What becomes of a verified body: reads it, and then inspects it, as far as
 * one slice goes.  As webhook(), or NGX_AGAIN: inspect() is to be called again
 * when the request comes back to its phase, as long as ctx->learning is there.
 */
ngx_int_t ngx_http_graph_policy_webhook_read(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *body);
ngx_int_t ngx_http_graph_policy_webhook_inspect(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Learns from a payload that has been read, a slice a call: NGX_AGAIN until
 * all of it is learnt, then NGX_OK.
 */
void ngx_http_graph_policy_webhook_begin(
    ngx_http_graph_policy_learning_t *learning);
ngx_int_t ngx_http_graph_policy_webhook_learn(
    ngx_http_graph_policy_learning_t *learning);

/*
 * Whether all of a payload that has been learnt from is for phones that are
 * paused; ctx->view is then the state with the latest end.  A slice a call,
 * too: NGX_AGAIN, NGX_BUSY, NGX_OK, or NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_webhook_paused(
    ngx_http_graph_policy_learning_t *learning);

/*
 * Takes our names off the header of the request that goes on, and adds what
 * the payload's errors are.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_graph_policy_webhook_untag(ngx_http_request_t *r);
ngx_int_t ngx_http_graph_policy_webhook_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_webhook_result_t *result);


#endif /* _NGX_HTTP_GRAPH_POLICY_WEBHOOK_H_INCLUDED_ */
