
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


/* A line of the secret file; it belongs to the configuration. */

typedef struct {
    ngx_http_graph_policy_signature_t *signature;
    ngx_array_t                       *accounts;  /* ngx_str_t; NULL: all */
} ngx_http_graph_policy_signer_t;


/* The signers of a location; bit i of "matched" says that signer i signed. */

typedef struct {
    ngx_array_t                       *signers;
    ngx_uint_t                         matched;
} ngx_http_graph_policy_trust_t;


/*
 * Handles a request of a webhook's location before its upstream.  Returns
 * NGX_DECLINED if the request goes on, NGX_DONE or NGX_AGAIN if it waits or has
 * been answered, or the status to answer with.
 */
ngx_int_t ngx_http_graph_policy_webhook(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Checks the signature "digest" of the whole body, which has been read.  "body"
 * is set to the whole body if that is at most MAX_PAYLOAD long, else its data
 * is NULL.  The caller frees *allocated unless it is NULL.  Returns NGX_OK,
 * NGX_DECLINED if no secret has signed the body, or NGX_ERROR if there is no
 * memory or the body's file can't be read.
 */
ngx_int_t ngx_http_graph_policy_verify(ngx_http_request_t *r,
    ngx_http_graph_policy_trust_t *trust, u_char *digest, ngx_str_t *body,
    u_char **allocated);

/* Returns 1 if a signer of the payload may speak for the account. */
ngx_uint_t ngx_http_graph_policy_is_trusted(
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *account);

/*
 * The result of learning from a payload: its gravest error, and the states that
 * it has set itself, which don't keep it back.
 */

#define NGX_HTTP_GRAPH_POLICY_NSET  64

typedef struct {
    ngx_http_graph_policy_facts_t      facts;       /* gravest error's */
    ngx_http_graph_policy_verdict_t    verdict;     /* valid where errors */
    ngx_uint_t                         errors;      /* ignored ones aside */
    ngx_uint_t                         nset;        /* may be over NSET */
    ngx_http_graph_policy_ref_t        set[NGX_HTTP_GRAPH_POLICY_NSET];
} ngx_http_graph_policy_webhook_result_t;


/*
 * webhook_read() reads a verified body and inspects its first slice; a body
 * that is read in slices itself it takes over from *allocated.  While
 * ctx->learning isn't NULL, webhook_inspect() is to be called each time that
 * the request comes back to its phase, for another slice.  Both return what
 * webhook() returns; NGX_AGAIN says that another slice follows.
 */
ngx_int_t ngx_http_graph_policy_webhook_read(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust, ngx_str_t *body,
    u_char **allocated);
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
 * Checks, a slice a call, if all of a payload is for phones that are paused.
 * Returns NGX_BUSY if so: ctx->view, in the request's pool, is then the state
 * with the latest end; NGX_OK if not; NGX_AGAIN if another slice follows;
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_webhook_paused(
    ngx_http_graph_policy_learning_t *learning);

/*
 * webhook_untag() removes the X-Graph-Error-* fields from the header of the
 * request, as a client could have made them up; webhook_tag() adds those that
 * describe the payload's errors.  Both return NGX_OK, or NGX_ERROR if there is
 * no memory.
 */
ngx_int_t ngx_http_graph_policy_webhook_untag(ngx_http_request_t *r);
ngx_int_t ngx_http_graph_policy_webhook_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_webhook_result_t *result);


#endif /* _NGX_HTTP_GRAPH_POLICY_WEBHOOK_H_INCLUDED_ */
