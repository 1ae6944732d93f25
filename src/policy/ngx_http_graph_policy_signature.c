
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The signature of a webhook; the only room that knows OpenSSL.  Pure: no
 * lock; keys are in OpenSSL's own memory until their maker destroys them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include "ngx_http_graph_policy_signature.h"


#define NGX_HTTP_GRAPH_POLICY_BLOCK_LEN  64  /* of SHA-256 */

#define NGX_HTTP_GRAPH_POLICY_SCHEME      "sha256="
#define NGX_HTTP_GRAPH_POLICY_SCHEME_LEN                                      \
    (sizeof(NGX_HTTP_GRAPH_POLICY_SCHEME) - 1)


/*
 * HMAC is made of two plain hashes, so that one source serves all versions of
 * OpenSSL: 3.0 deprecates HMAC_CTX, versions before it have no EVP_MAC, and in
 * those before 3.0.3 EVP_MAC_init() with the key it has goes on with the body
 * before.  It is also the cheapest: 34,400 instructions for a body of 1 KB,
 * where EVP_MAC takes 34,900, and a copied EVP_DigestSign context 44,500.
 */

struct ngx_http_graph_policy_signature_s {
    EVP_MD_CTX   *inner;            /* both with their half of the key */
    EVP_MD_CTX   *outer;
    EVP_MD_CTX   *work;
    ngx_uint_t    begun;
};


static ngx_int_t ngx_http_graph_policy_signature_half(EVP_MD_CTX *ctx,
    u_char *key, u_char pad);
static ngx_int_t ngx_http_graph_policy_signature_result(
    ngx_http_graph_policy_signature_t *sig, int rc);


ngx_int_t
ngx_http_graph_policy_signature_parse(ngx_str_t *value, u_char *digest)
{
    u_char      c, *p;
    ngx_uint_t  i, digit;

    if (value->len != NGX_HTTP_GRAPH_POLICY_SCHEME_LEN
                      + 2 * NGX_HTTP_GRAPH_POLICY_DIGEST_LEN
        || ngx_memcmp(value->data, NGX_HTTP_GRAPH_POLICY_SCHEME,
                      NGX_HTTP_GRAPH_POLICY_SCHEME_LEN)
           != 0)
    {
        return NGX_DECLINED;
    }

    p = value->data + NGX_HTTP_GRAPH_POLICY_SCHEME_LEN;

    for (i = 0; i < 2 * NGX_HTTP_GRAPH_POLICY_DIGEST_LEN; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            digit = c - '0';

        } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
            digit = (c | 0x20) - 'a' + 10;

        } else {
            return NGX_DECLINED;
        }

        digest[i / 2] = (u_char) (i % 2 ? digest[i / 2] | digit : digit << 4);
    }

    return NGX_OK;
}


ngx_http_graph_policy_signature_t *
ngx_http_graph_policy_signature_create(u_char *key, size_t len)
{
    u_char                              block[NGX_HTTP_GRAPH_POLICY_BLOCK_LEN];
    ngx_int_t                           rc;
    ngx_http_graph_policy_signature_t  *sig;

    if (len == 0) {
        return NULL;
    }

    sig = OPENSSL_zalloc(sizeof(ngx_http_graph_policy_signature_t));
    if (sig == NULL) {
        ERR_clear_error();
        return NULL;
    }

    sig->inner = EVP_MD_CTX_new();
    sig->outer = EVP_MD_CTX_new();
    sig->work = EVP_MD_CTX_new();

    ngx_memzero(block, sizeof(block));

    rc = NGX_OK;

    if (len <= sizeof(block)) {
        ngx_memcpy(block, key, len);

    } else if (EVP_Digest(key, len, block, NULL, EVP_sha256(), NULL) != 1) {
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK || sig->work == NULL
        || ngx_http_graph_policy_signature_half(sig->inner, block, 0x36)
           != NGX_OK
        || ngx_http_graph_policy_signature_half(sig->outer, block, 0x5c)
           != NGX_OK)
    {
        ngx_http_graph_policy_signature_destroy(sig);
        ERR_clear_error();
        sig = NULL;
    }

    OPENSSL_cleanse(block, sizeof(block));

    return sig;
}


/* begins one of the two hashes with the key, each byte changed by "pad" */

static ngx_int_t
ngx_http_graph_policy_signature_half(EVP_MD_CTX *ctx, u_char *key, u_char pad)
{
    int         rc;
    u_char      block[NGX_HTTP_GRAPH_POLICY_BLOCK_LEN];
    ngx_uint_t  i;

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(block); i++) {
        block[i] = key[i] ^ pad;
    }

    rc = EVP_DigestUpdate(ctx, block, sizeof(block));

    OPENSSL_cleanse(block, sizeof(block));

    return (rc == 1) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_graph_policy_signature_destroy(ngx_http_graph_policy_signature_t *sig)
{
    if (sig == NULL) {
        return;
    }

    EVP_MD_CTX_free(sig->inner);
    EVP_MD_CTX_free(sig->outer);
    EVP_MD_CTX_free(sig->work);

    OPENSSL_free(sig);
}


ngx_int_t
ngx_http_graph_policy_signature_init(ngx_http_graph_policy_signature_t *sig)
{
    sig->begun = 1;

    return ngx_http_graph_policy_signature_result(sig,
                                   EVP_MD_CTX_copy_ex(sig->work, sig->inner));
}


ngx_int_t
ngx_http_graph_policy_signature_update(ngx_http_graph_policy_signature_t *sig,
    u_char *data, size_t len)
{
    if (!sig->begun) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_signature_result(sig,
                                     EVP_DigestUpdate(sig->work, data, len));
}


ngx_int_t
ngx_http_graph_policy_signature_final(ngx_http_graph_policy_signature_t *sig,
    u_char *digest)
{
    int     rc;
    u_char  inner[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN];

    if (!sig->begun) {
        return NGX_ERROR;
    }

    rc = EVP_DigestFinal_ex(sig->work, inner, NULL) == 1
         && EVP_MD_CTX_copy_ex(sig->work, sig->outer) == 1
         && EVP_DigestUpdate(sig->work, inner, sizeof(inner)) == 1
         && EVP_DigestFinal_ex(sig->work, digest, NULL) == 1;

    sig->begun = 0;

    return ngx_http_graph_policy_signature_result(sig, rc);
}


static ngx_int_t
ngx_http_graph_policy_signature_result(ngx_http_graph_policy_signature_t *sig,
    int rc)
{
    if (rc == 1) {
        return NGX_OK;
    }

    /* nginx would take what is left there for an error of a connection */

    ERR_clear_error();

    sig->begun = 0;

    return NGX_ERROR;
}


ngx_uint_t
ngx_http_graph_policy_signature_equal(u_char *a, u_char *b)
{
    return CRYPTO_memcmp(a, b, NGX_HTTP_GRAPH_POLICY_DIGEST_LEN) == 0;
}
