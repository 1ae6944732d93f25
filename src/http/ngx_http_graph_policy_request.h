
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_REQUEST_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_REQUEST_H_INCLUDED_


#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_zone.h"


/* scratch memory on the stack, enough for bodies of the usual size */
#define NGX_HTTP_GRAPH_POLICY_SMALL  16384


/* whether the end of a text is a literal */
#define ngx_http_graph_policy_ends_with(s, literal)                           \
    ((s)->len >= sizeof(literal) - 1                                          \
     && ngx_memcmp((s)->data + (s)->len - (sizeof(literal) - 1), literal,     \
                   sizeof(literal) - 1)                                       \
        == 0)


/* what the path and method say, without memory of their own */

typedef struct {
    ngx_str_t                        phone;     /* empty if there is none */
    ngx_http_graph_policy_kind_e     kind;      /* valid if send or read */
    unsigned                         send:1;
    unsigned                         read:1;    /* a GET that may be paused */
    unsigned                         messages:1;
    unsigned                         registration:1;
} ngx_http_graph_policy_endpoint_t;


void ngx_http_graph_policy_endpoint_of(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint);

/*
 * Fills ctx->query.identity, each part once: phone, account; the credential's
 * fingerprint.  What can't be known is left empty.
 */
void ngx_http_graph_policy_identify(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint);
void ngx_http_graph_policy_identify_credential(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Fills in the conversation's fingerprint, once, from a body of at most
 * NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE bytes, in memory or in a file; and whether
 * it's worth the wait to read the body for that.
 */
void ngx_http_graph_policy_identify_conversation(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
ngx_uint_t ngx_http_graph_policy_is_message_body(ngx_http_request_t *r);
/* the fingerprint of a phone and a folded recipient, 0 if one is unknown */
uint64_t ngx_http_graph_policy_conversation_of(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *phone,
    ngx_str_t *recipient);

/* whether the type of the body is JSON */
ngx_uint_t ngx_http_graph_policy_is_json(ngx_http_request_t *r);

/* whether it's the id of a phone number; a key of an account */
ngx_uint_t ngx_http_graph_policy_is_phone(ngx_str_t *text);
ngx_uint_t ngx_http_graph_policy_is_account(ngx_str_t *text);

/* the value, empty with NGX_ERROR if it can't be had */
ngx_int_t ngx_http_graph_policy_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, ngx_str_t *value);

/* walks over the arguments of a request; 0 at the end */
ngx_uint_t ngx_http_graph_policy_next_argument(u_char **p, u_char *last,
    ngx_str_t *name, ngx_str_t *value);
/* the upstream decodes names, so an escaped one counts as well */
ngx_uint_t ngx_http_graph_policy_is_argument(ngx_str_t *name,
    const char *expected, size_t len);

/*
 * Narrows the Accept-Encoding that goes upstream to what can be inspected, that
 * of a send to "identity", for which the second one is the short way; never
 * adds one.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_graph_policy_narrow_encoding(ngx_http_request_t *r,
    ngx_uint_t send);
ngx_int_t ngx_http_graph_policy_ask_identity(ngx_http_request_t *r);
/* the request's headers are again as the client sent them */
void ngx_http_graph_policy_restore_encoding(ngx_http_request_t *r);

/*
 * Whether what the upstream has answered may be carried out twice: by its
 * method as sent (RFC 9110, 9.2.2), and Graph's "method" argument.  A send
 * never may.
 */
ngx_uint_t ngx_http_graph_policy_is_idempotent(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * $request with the values of arguments masked that are tokens or secrets.
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_mask_request(ngx_http_request_t *r,
    ngx_str_t *masked);


#endif /* _NGX_HTTP_GRAPH_POLICY_REQUEST_H_INCLUDED_ */
