
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_REQUEST_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_REQUEST_H_INCLUDED_


#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * Scratch memory on the stack, in bytes; it is enough for bodies of the usual
 * size.
 */
#define NGX_HTTP_GRAPH_POLICY_SMALL  16384


/* Tells whether a text ends with a literal. */
#define ngx_http_graph_policy_ends_with(s, literal)                           \
    ((s)->len >= sizeof(literal) - 1                                          \
     && ngx_memcmp((s)->data + (s)->len - (sizeof(literal) - 1), literal,     \
                   sizeof(literal) - 1)                                       \
        == 0)


/*
 * An endpoint as the path and the method tell it; the phone points into the
 * request's URI.
 */

typedef struct {
    ngx_str_t                        phone;     /* empty if unknown */
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
 * Returns 1 while endpoint_of() evaluates the values of graph_policy_send,
 * which may come, by way of a "map", to a variable that calls endpoint_of().
 */
ngx_uint_t ngx_http_graph_policy_is_asking_sends(void);

/*
 * Returns 1 if the target, as the client sent it, means the same to nginx and
 * to Graph: its path has no escapes, no empty segments, and none that begins
 * with a dot, and there is no "#".  Either of them may take another one for
 * another phone's.
 */
ngx_uint_t ngx_http_graph_policy_is_plain_target(ngx_http_request_t *r);

/*
 * These fill ctx->query.identity, each part once: identify() the phone and the
 * account, identify_credential() the credential's fingerprint.  Unknown parts
 * are left empty.
 */
void ngx_http_graph_policy_identify(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint);
void ngx_http_graph_policy_identify_credential(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * identify_message() sets the conversation's fingerprint and whether the
 * message is a receipt, once, from a body of at most
 * NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE bytes, in memory or in a file.  A body
 * that can't be read counts as a message to nobody who is known.
 * is_message_body() returns 1 if the body may be a message's, so that it has to
 * be read first.
 */
void ngx_http_graph_policy_identify_message(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
ngx_uint_t ngx_http_graph_policy_is_message_body(ngx_http_request_t *r);
/*
 * Returns the fingerprint of a phone and a folded recipient, or 0 if either is
 * empty.
 */
uint64_t ngx_http_graph_policy_conversation_of(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *phone,
    ngx_str_t *recipient);

/* Returns 1 if the body's content type is JSON. */
ngx_uint_t ngx_http_graph_policy_is_json(ngx_http_request_t *r);

/*
 * These return 1 if the text is the id of a phone number, and if it can be the
 * key of an account.
 */
ngx_uint_t ngx_http_graph_policy_is_phone(ngx_str_t *text);
ngx_uint_t ngx_http_graph_policy_is_account(ngx_str_t *text);

/*
 * Evaluates a complex value.  Returns NGX_OK, or NGX_ERROR with an empty
 * value.
 */
ngx_int_t ngx_http_graph_policy_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, ngx_str_t *value);

/*
 * Moves *p, args->data at first, to the next argument of a query, and sets its
 * name and value as they are, escapes included.  Returns 0 at the end.
 */
ngx_uint_t ngx_http_graph_policy_next_argument(u_char **p, ngx_str_t *args,
    ngx_str_t *name, ngx_str_t *value);
/*
 * Returns 1 if the name of an argument, unescaped, is the expected one: the
 * upstream unescapes names, too.
 */
ngx_uint_t ngx_http_graph_policy_is_argument(ngx_str_t *name,
    const char *expected, size_t len);

/*
 * Limits the Accept-Encoding that goes upstream to encodings that can be
 * inspected, and that of a send to "identity"; none is added if the client has
 * sent none.  The second function is the short way for a send that has one.
 * Both return NGX_OK, or NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_narrow_encoding(ngx_http_request_t *r,
    ngx_uint_t send);
ngx_int_t ngx_http_graph_policy_ask_identity(ngx_http_request_t *r);
/* Resets the list of request headers to those that the client has sent. */
void ngx_http_graph_policy_restore_encoding(ngx_http_request_t *r);

/*
 * Returns 1 if the request may be carried out twice, by the method that was
 * sent to the upstream (RFC 9110, 9.2.2) and Graph's "method" argument; 0 for
 * a send, and in doubt.  The request must have been sent.
 */
ngx_uint_t ngx_http_graph_policy_is_idempotent(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Copies $request with "***" as the values of those arguments that are tokens
 * or secrets.  Returns NGX_OK, or NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_mask_request(ngx_http_request_t *r,
    ngx_str_t *masked);


#endif /* _NGX_HTTP_GRAPH_POLICY_REQUEST_H_INCLUDED_ */
