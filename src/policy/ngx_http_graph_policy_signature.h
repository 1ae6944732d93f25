
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SIGNATURE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SIGNATURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Meta signs each webhook: the header X-Hub-Signature-256 is "sha256=" and, in
 * hexadecimal, the HMAC-SHA256 (RFC 2104, FIPS 180-4) of the raw body, with the
 * app secret as the key.  See Meta's "Webhooks from Meta", "Validate payloads".
 */

#define NGX_HTTP_GRAPH_POLICY_DIGEST_LEN  32


/*
 * A key that is made ready for any number of bodies, one after the other.  It
 * belongs to one thread; after a fork each process has a copy of its own.
 */

typedef struct ngx_http_graph_policy_signature_s
    ngx_http_graph_policy_signature_t;


/*
 * Reads the value of the header into "digest", of DIGEST_LEN bytes.  Returns
 * NGX_OK, or NGX_DECLINED if the value isn't "sha256=" in lower case and 64
 * digits of either case with nothing around them; "digest" is undefined then.
 */
ngx_int_t ngx_http_graph_policy_signature_parse(ngx_str_t *value,
    u_char *digest);

/*
 * Makes a key ready.  It is in OpenSSL's memory until it is destroyed; "key"
 * itself, which may have any length but 0, isn't needed after the return.
 * Returns NULL if OpenSSL fails or the key is empty.
 */
ngx_http_graph_policy_signature_t *ngx_http_graph_policy_signature_create(
    u_char *key, size_t len);

/* Wipes the key from memory and frees it; "sig" may be NULL. */
void ngx_http_graph_policy_signature_destroy(
    ngx_http_graph_policy_signature_t *sig);

/*
 * A body is digested by init(), which forgets an unfinished one, then update()
 * with each of its parts, then final(), which writes the digest of DIGEST_LEN
 * bytes.  All return NGX_OK or NGX_ERROR.  After an error, and after final(),
 * only init() may follow; "digest" is undefined then.
 */
ngx_int_t ngx_http_graph_policy_signature_init(
    ngx_http_graph_policy_signature_t *sig);
ngx_int_t ngx_http_graph_policy_signature_update(
    ngx_http_graph_policy_signature_t *sig, u_char *data, size_t len);
ngx_int_t ngx_http_graph_policy_signature_final(
    ngx_http_graph_policy_signature_t *sig, u_char *digest);

/* overwrites what mustn't stay in memory */
void ngx_http_graph_policy_signature_wipe(u_char *p, size_t len);

/*
 * Returns 1 if the digests are the same, in a time that doesn't depend on
 * where they differ.
 */
ngx_uint_t ngx_http_graph_policy_signature_equal(u_char *a, u_char *b);


/*
 * Writes the SHA-256 of "data", DIGEST_LEN bytes.  Returns NGX_OK or
 * NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_sha256(u_char *data, size_t len,
    u_char *digest);


#endif /* _NGX_HTTP_GRAPH_POLICY_SIGNATURE_H_INCLUDED_ */
