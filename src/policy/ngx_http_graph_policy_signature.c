
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Computes the signature of a webhook; no other file calls OpenSSL.
 *
 * The file is pure: it takes no lock.  Keys are in OpenSSL's own memory until
 * the caller destroys them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include "ngx_http_graph_policy_signature.h"


#define NGX_HTTP_GRAPH_POLICY_SCHEME      "sha256="
#define NGX_HTTP_GRAPH_POLICY_SCHEME_LEN                                      \
    (sizeof(NGX_HTTP_GRAPH_POLICY_SCHEME) - 1)

/* SHA-256 hashes blocks of 64 bytes (FIPS 180-4, 1). */
#define NGX_HTTP_GRAPH_POLICY_BLOCK_LEN   64

/* A table's entry has this bit if its character is a hexadecimal digit. */
#define NGX_HTTP_GRAPH_POLICY_HEX         0x10


/*
 * HMAC (RFC 2104) hashes the key, padded to a block, ahead of the text and
 * ahead of the inner digest.  Both blocks are the same for each body, so they
 * are hashed once, and each body begins with a copy.
 */

struct ngx_http_graph_policy_signature_s {
    EVP_MD_CTX  *inner;
    EVP_MD_CTX  *outer;
    EVP_MD_CTX  *body;      /* of the one that is being hashed */
    ngx_uint_t   begun;
};


static EVP_MD_CTX *ngx_http_graph_policy_signature_pad(u_char *block,
    u_char pad);
static ngx_int_t ngx_http_graph_policy_signature_result(
    ngx_http_graph_policy_signature_t *sig, int rc);


static u_char  ngx_http_graph_policy_hex[256] = {
    ['0'] = NGX_HTTP_GRAPH_POLICY_HEX,
    ['1'] = NGX_HTTP_GRAPH_POLICY_HEX + 1,
    ['2'] = NGX_HTTP_GRAPH_POLICY_HEX + 2,
    ['3'] = NGX_HTTP_GRAPH_POLICY_HEX + 3,
    ['4'] = NGX_HTTP_GRAPH_POLICY_HEX + 4,
    ['5'] = NGX_HTTP_GRAPH_POLICY_HEX + 5,
    ['6'] = NGX_HTTP_GRAPH_POLICY_HEX + 6,
    ['7'] = NGX_HTTP_GRAPH_POLICY_HEX + 7,
    ['8'] = NGX_HTTP_GRAPH_POLICY_HEX + 8,
    ['9'] = NGX_HTTP_GRAPH_POLICY_HEX + 9,
    ['A'] = NGX_HTTP_GRAPH_POLICY_HEX + 10,
    ['B'] = NGX_HTTP_GRAPH_POLICY_HEX + 11,
    ['C'] = NGX_HTTP_GRAPH_POLICY_HEX + 12,
    ['D'] = NGX_HTTP_GRAPH_POLICY_HEX + 13,
    ['E'] = NGX_HTTP_GRAPH_POLICY_HEX + 14,
    ['F'] = NGX_HTTP_GRAPH_POLICY_HEX + 15,
    ['a'] = NGX_HTTP_GRAPH_POLICY_HEX + 10,
    ['b'] = NGX_HTTP_GRAPH_POLICY_HEX + 11,
    ['c'] = NGX_HTTP_GRAPH_POLICY_HEX + 12,
    ['d'] = NGX_HTTP_GRAPH_POLICY_HEX + 13,
    ['e'] = NGX_HTTP_GRAPH_POLICY_HEX + 14,
    ['f'] = NGX_HTTP_GRAPH_POLICY_HEX + 15
};


ngx_int_t
ngx_http_graph_policy_signature_parse(ngx_str_t *value, u_char *digest)
{
    u_char      high, low, all, *p;
    ngx_uint_t  i;

    if (value->len != NGX_HTTP_GRAPH_POLICY_SCHEME_LEN
                      + 2 * NGX_HTTP_GRAPH_POLICY_DIGEST_LEN
        || ngx_memcmp(value->data, NGX_HTTP_GRAPH_POLICY_SCHEME,
                      NGX_HTTP_GRAPH_POLICY_SCHEME_LEN)
           != 0)
    {
        return NGX_DECLINED;
    }

    p = value->data + NGX_HTTP_GRAPH_POLICY_SCHEME_LEN;
    all = NGX_HTTP_GRAPH_POLICY_HEX;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_DIGEST_LEN; i++) {
        high = ngx_http_graph_policy_hex[*p++];
        low = ngx_http_graph_policy_hex[*p++];

        all &= high & low;
        digest[i] = (u_char) (high << 4 | (low & 0xf));
    }

    return (all != 0) ? NGX_OK : NGX_DECLINED;
}


ngx_http_graph_policy_signature_t *
ngx_http_graph_policy_signature_create(u_char *key, size_t len)
{
    u_char                              block[NGX_HTTP_GRAPH_POLICY_BLOCK_LEN];
    ngx_http_graph_policy_signature_t  *sig;

    if (len == 0) {
        return NULL;
    }

    ngx_memzero(block, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN);

    if (len <= NGX_HTTP_GRAPH_POLICY_BLOCK_LEN) {
        ngx_memcpy(block, key, len);

    } else if (ngx_http_graph_policy_sha256(key, len, block) != NGX_OK) {
        return NULL;
    }

    sig = OPENSSL_zalloc(sizeof(ngx_http_graph_policy_signature_t));

    if (sig != NULL) {
        sig->inner = ngx_http_graph_policy_signature_pad(block, 0x36);
        sig->outer = ngx_http_graph_policy_signature_pad(block, 0x5c);
        sig->body = EVP_MD_CTX_new();
    }

    OPENSSL_cleanse(block, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN);

    if (sig == NULL || sig->inner == NULL || sig->outer == NULL
        || sig->body == NULL)
    {
        ngx_http_graph_policy_signature_destroy(sig);
        ERR_clear_error();
        return NULL;
    }

    return sig;
}


static EVP_MD_CTX *
ngx_http_graph_policy_signature_pad(u_char *block, u_char pad)
{
    u_char       padded[NGX_HTTP_GRAPH_POLICY_BLOCK_LEN];
    ngx_uint_t   i;
    EVP_MD_CTX  *md;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_BLOCK_LEN; i++) {
        padded[i] = block[i] ^ pad;
    }

    md = EVP_MD_CTX_new();

    if (md != NULL
        && (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
            || EVP_DigestUpdate(md, padded, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN)
               != 1))
    {
        EVP_MD_CTX_free(md);
        md = NULL;
    }

    OPENSSL_cleanse(padded, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN);

    return md;
}


void
ngx_http_graph_policy_signature_destroy(ngx_http_graph_policy_signature_t *sig)
{
    if (sig == NULL) {
        return;
    }

    /* OpenSSL wipes what a context has hashed when it frees it. */

    EVP_MD_CTX_free(sig->inner);
    EVP_MD_CTX_free(sig->outer);
    EVP_MD_CTX_free(sig->body);

    OPENSSL_free(sig);
}


ngx_int_t
ngx_http_graph_policy_signature_init(ngx_http_graph_policy_signature_t *sig)
{
    sig->begun = 1;

    return ngx_http_graph_policy_signature_result(sig,
               EVP_MD_CTX_copy_ex(sig->body, sig->inner));
}


ngx_int_t
ngx_http_graph_policy_signature_update(ngx_http_graph_policy_signature_t *sig,
    u_char *data, size_t len)
{
    if (!sig->begun) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_signature_result(sig,
               EVP_DigestUpdate(sig->body, data, len));
}


ngx_int_t
ngx_http_graph_policy_signature_final(ngx_http_graph_policy_signature_t *sig,
    u_char *digest)
{
    int  rc;

    if (!sig->begun) {
        return NGX_ERROR;
    }

    rc = EVP_DigestFinal_ex(sig->body, digest, NULL) == 1
         && EVP_MD_CTX_copy_ex(sig->body, sig->outer) == 1
         && EVP_DigestUpdate(sig->body, digest,
                             NGX_HTTP_GRAPH_POLICY_DIGEST_LEN)
            == 1
         && EVP_DigestFinal_ex(sig->body, digest, NULL) == 1;

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

    /*
     * nginx would take errors that are left in OpenSSL's queue for those of a
     * connection, so the queue is emptied.
     */

    ERR_clear_error();

    sig->begun = 0;

    return NGX_ERROR;
}


void
ngx_http_graph_policy_signature_wipe(u_char *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}


ngx_uint_t
ngx_http_graph_policy_signature_equal(u_char *a, u_char *b)
{
    return CRYPTO_memcmp(a, b, NGX_HTTP_GRAPH_POLICY_DIGEST_LEN) == 0;
}


ngx_int_t
ngx_http_graph_policy_sha256(u_char *data, size_t len, u_char *digest)
{
    if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}
