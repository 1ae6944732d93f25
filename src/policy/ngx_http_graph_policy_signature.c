
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


/*
 * SHA-256 is called directly: by EVP each body would have its contexts
 * allocated, filled and freed, which costs as much as hashing a short one.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include "ngx_http_graph_policy_signature.h"


#define NGX_HTTP_GRAPH_POLICY_SCHEME      "sha256="
#define NGX_HTTP_GRAPH_POLICY_SCHEME_LEN                                      \
    (sizeof(NGX_HTTP_GRAPH_POLICY_SCHEME) - 1)

/* SHA-256 hashes blocks of 64 bytes (FIPS 180-4, 1). */
#define NGX_HTTP_GRAPH_POLICY_BLOCK_LEN   64


/*
 * HMAC (RFC 2104) hashes the key, padded to a block, ahead of the text and
 * ahead of the inner digest.  Both blocks are the same for each body, so they
 * are hashed once, and each body begins with a copy.
 */

struct ngx_http_graph_policy_signature_s {
    SHA256_CTX  inner;
    SHA256_CTX  outer;
    SHA256_CTX  body;       /* of the one that is being hashed */
    ngx_uint_t  begun;
};


static ngx_inline uint32_t ngx_http_graph_policy_signature_byte(
    const u_char *p, u_char *byte);
static ngx_int_t ngx_http_graph_policy_signature_pad(SHA256_CTX *sha,
    u_char *block, u_char pad);
static ngx_int_t ngx_http_graph_policy_signature_result(
    ngx_http_graph_policy_signature_t *sig, int rc);


/* The values of hexadecimal digits; 256, which fits into no byte, is none. */

static const uint16_t  ngx_http_graph_policy_hex[256] = {
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
      0,   1,   2,   3,   4,   5,   6,   7,
      8,   9, 256, 256, 256, 256, 256, 256,
    256,  10,  11,  12,  13,  14,  15, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256,  10,  11,  12,  13,  14,  15, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256,
    256, 256, 256, 256, 256, 256, 256, 256
};


ngx_int_t
ngx_http_graph_policy_signature_parse(ngx_str_t *value, u_char *digest)
{
    u_char    *p, *last;
    uint32_t   all;

    if (value->len != NGX_HTTP_GRAPH_POLICY_SCHEME_LEN
                      + 2 * NGX_HTTP_GRAPH_POLICY_DIGEST_LEN
        || ngx_memcmp(value->data, NGX_HTTP_GRAPH_POLICY_SCHEME,
                      NGX_HTTP_GRAPH_POLICY_SCHEME_LEN)
           != 0)
    {
        return NGX_DECLINED;
    }

    p = value->data + NGX_HTTP_GRAPH_POLICY_SCHEME_LEN;
    last = p + 2 * NGX_HTTP_GRAPH_POLICY_DIGEST_LEN;
    all = 0;

    /* Four bytes in each round, as a round costs as much as some of them. */

    for ( /* void */ ; p < last; p += 8, digest += 4) {
        all |= ngx_http_graph_policy_signature_byte(p, &digest[0]);
        all |= ngx_http_graph_policy_signature_byte(p + 2, &digest[1]);
        all |= ngx_http_graph_policy_signature_byte(p + 4, &digest[2]);
        all |= ngx_http_graph_policy_signature_byte(p + 6, &digest[3]);
    }

    return (all <= 0xff) ? NGX_OK : NGX_DECLINED;
}


/* Returns the value of two digits, more than 255 if one of them is none. */

static ngx_inline uint32_t
ngx_http_graph_policy_signature_byte(const u_char *p, u_char *byte)
{
    uint32_t  value;

    value = (uint32_t) ngx_http_graph_policy_hex[p[0]] << 4
            | ngx_http_graph_policy_hex[p[1]];

    *byte = (u_char) value;

    return value;
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

    /*
     * OpenSSL 3.2 and later queue an error where memory runs out, which nginx
     * would report with the next connection.
     */

    ERR_set_mark();

    sig = OPENSSL_zalloc(sizeof(ngx_http_graph_policy_signature_t));

    ERR_pop_to_mark();

    if (sig != NULL
        && (ngx_http_graph_policy_signature_pad(&sig->inner, block, 0x36)
            != NGX_OK
            || ngx_http_graph_policy_signature_pad(&sig->outer, block, 0x5c)
               != NGX_OK))
    {
        ngx_http_graph_policy_signature_destroy(sig);
        sig = NULL;
    }

    OPENSSL_cleanse(block, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN);

    return sig;
}


static ngx_int_t
ngx_http_graph_policy_signature_pad(SHA256_CTX *sha, u_char *block, u_char pad)
{
    int         rc;
    u_char      padded[NGX_HTTP_GRAPH_POLICY_BLOCK_LEN];
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_BLOCK_LEN; i++) {
        padded[i] = block[i] ^ pad;
    }

    rc = SHA256_Init(sha) == 1
         && SHA256_Update(sha, padded, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN) == 1;

    OPENSSL_cleanse(padded, NGX_HTTP_GRAPH_POLICY_BLOCK_LEN);

    return rc ? NGX_OK : NGX_ERROR;
}


void
ngx_http_graph_policy_signature_destroy(ngx_http_graph_policy_signature_t *sig)
{
    OPENSSL_clear_free(sig, sizeof(ngx_http_graph_policy_signature_t));
}


ngx_int_t
ngx_http_graph_policy_signature_init(ngx_http_graph_policy_signature_t *sig)
{
    sig->body = sig->inner;
    sig->begun = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_signature_update(ngx_http_graph_policy_signature_t *sig,
    u_char *data, size_t len)
{
    if (!sig->begun) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_signature_result(sig,
               SHA256_Update(&sig->body, data, len));
}


ngx_int_t
ngx_http_graph_policy_signature_final(ngx_http_graph_policy_signature_t *sig,
    u_char *digest)
{
    int  rc;

    if (!sig->begun) {
        return NGX_ERROR;
    }

    rc = SHA256_Final(digest, &sig->body);

    sig->body = sig->outer;

    rc = rc == 1
         && SHA256_Update(&sig->body, digest, NGX_HTTP_GRAPH_POLICY_DIGEST_LEN)
            == 1
         && SHA256_Final(digest, &sig->body) == 1;

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

    sig->begun = 0;

    return NGX_ERROR;
}


void
ngx_http_graph_policy_signature_wipe(u_char *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}


/* All bytes are looked at, so that the time doesn't tell how many are right. */

ngx_uint_t
ngx_http_graph_policy_signature_equal(u_char *a, u_char *b)
{
    uint64_t           one[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN / 8];
    uint64_t           two[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN / 8];
    volatile uint64_t  differ;

    ngx_memcpy(one, a, NGX_HTTP_GRAPH_POLICY_DIGEST_LEN);
    ngx_memcpy(two, b, NGX_HTTP_GRAPH_POLICY_DIGEST_LEN);

    differ = (one[0] ^ two[0]) | (one[1] ^ two[1])
             | (one[2] ^ two[2]) | (one[3] ^ two[3]);

    return differ == 0;
}


ngx_int_t
ngx_http_graph_policy_sha256(u_char *data, size_t len, u_char *digest)
{
    SHA256_CTX  sha;

    return (SHA256_Init(&sha) == 1
            && SHA256_Update(&sha, data, len) == 1
            && SHA256_Final(digest, &sha) == 1)
           ? NGX_OK : NGX_ERROR;
}
