
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


/*
 * OpenSSL 3.0 deprecates HMAC_CTX, and earlier versions have no EVP_MAC.  Both
 * are given the key anew for each body: before 3.0.3 EVP_MAC_init() without a
 * key doesn't start a new body, it goes on with the one before (OpenSSL's
 * issue 17811).
 */

#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

#include <openssl/core_names.h>
#include <openssl/params.h>

typedef EVP_MAC_CTX  ngx_http_graph_policy_hmac_t;

#define ngx_http_graph_policy_hmac_free    EVP_MAC_CTX_free
#define ngx_http_graph_policy_hmac_update  EVP_MAC_update

#define ngx_http_graph_policy_hmac_init(hmac, key, len)                       \
    EVP_MAC_init(hmac, key, len, NULL)
#define ngx_http_graph_policy_hmac_final(hmac, digest)                        \
    EVP_MAC_final(hmac, digest, NULL, NGX_HTTP_GRAPH_POLICY_DIGEST_LEN)

static ngx_http_graph_policy_hmac_t *ngx_http_graph_policy_hmac_new(void);

#else

#include <openssl/hmac.h>

typedef HMAC_CTX  ngx_http_graph_policy_hmac_t;

#define ngx_http_graph_policy_hmac_new     HMAC_CTX_new
#define ngx_http_graph_policy_hmac_free    HMAC_CTX_free
#define ngx_http_graph_policy_hmac_update  HMAC_Update

#define ngx_http_graph_policy_hmac_init(hmac, key, len)                       \
    HMAC_Init_ex(hmac, key, (int) (len), EVP_sha256(), NULL)
#define ngx_http_graph_policy_hmac_final(hmac, digest)                        \
    HMAC_Final(hmac, digest, NULL)

#endif


struct ngx_http_graph_policy_signature_s {
    ngx_http_graph_policy_hmac_t  *hmac;
    u_char                        *key;
    size_t                         len;
    ngx_uint_t                     begun;
};


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
    ngx_http_graph_policy_signature_t  *sig;

    if (len == 0) {
        return NULL;
    }

    sig = OPENSSL_zalloc(sizeof(ngx_http_graph_policy_signature_t));
    if (sig == NULL) {
        ERR_clear_error();
        return NULL;
    }

    sig->hmac = ngx_http_graph_policy_hmac_new();
    sig->key = OPENSSL_memdup(key, len);
    sig->len = len;

    /*
     * The first body may come much later, so a key that OpenSSL refuses is
     * found here, when the configuration is read.
     */

    if (sig->hmac == NULL || sig->key == NULL
        || ngx_http_graph_policy_hmac_init(sig->hmac, key, len) != 1)
    {
        ngx_http_graph_policy_signature_destroy(sig);
        ERR_clear_error();
        return NULL;
    }

    return sig;
}


#if (OPENSSL_VERSION_NUMBER >= 0x30000000L)

static ngx_http_graph_policy_hmac_t *
ngx_http_graph_policy_hmac_new(void)
{
    EVP_MAC      *mac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *hmac;

    mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    if (mac == NULL) {
        return NULL;
    }

    hmac = EVP_MAC_CTX_new(mac);

    EVP_MAC_free(mac);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 OSSL_DIGEST_NAME_SHA2_256, 0);
    params[1] = OSSL_PARAM_construct_end();

    /*
     * The digest is set here because EVP_MAC_init() would otherwise look it up
     * for each body.
     */

    if (hmac != NULL && EVP_MAC_CTX_set_params(hmac, params) != 1) {
        EVP_MAC_CTX_free(hmac);
        return NULL;
    }

    return hmac;
}

#endif


void
ngx_http_graph_policy_signature_destroy(ngx_http_graph_policy_signature_t *sig)
{
    if (sig == NULL) {
        return;
    }

    ngx_http_graph_policy_hmac_free(sig->hmac);

    OPENSSL_clear_free(sig->key, sig->len);
    OPENSSL_free(sig);
}


ngx_int_t
ngx_http_graph_policy_signature_init(ngx_http_graph_policy_signature_t *sig)
{
    sig->begun = 1;

    return ngx_http_graph_policy_signature_result(sig,
               ngx_http_graph_policy_hmac_init(sig->hmac, sig->key, sig->len));
}


ngx_int_t
ngx_http_graph_policy_signature_update(ngx_http_graph_policy_signature_t *sig,
    u_char *data, size_t len)
{
    if (!sig->begun) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_signature_result(sig,
               ngx_http_graph_policy_hmac_update(sig->hmac, data, len));
}


ngx_int_t
ngx_http_graph_policy_signature_final(ngx_http_graph_policy_signature_t *sig,
    u_char *digest)
{
    int  rc;

    if (!sig->begun) {
        return NGX_ERROR;
    }

    rc = ngx_http_graph_policy_hmac_final(sig->hmac, digest);

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
