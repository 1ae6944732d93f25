
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * This file checks that a webhook is Meta's: the signature must be that of the
 * whole body under one of the secrets.  The body is in memory, or in a file if
 * it is large.
 *
 * Lock rule: none.  Memory: a body that doesn't lie in one piece is copied
 * into one, which the caller frees.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_signature.h"
#include "ngx_http_graph_policy_webhook.h"


#define NGX_HTTP_GRAPH_POLICY_CHUNK  65536


static ngx_int_t ngx_http_graph_policy_sign(
    ngx_http_graph_policy_trust_t *trust, u_char *data, size_t len);
static ngx_int_t ngx_http_graph_policy_sign_file(ngx_http_request_t *r,
    ngx_http_graph_policy_trust_t *trust, ngx_buf_t *b);


ngx_int_t
ngx_http_graph_policy_verify(ngx_http_request_t *r,
    ngx_http_graph_policy_trust_t *trust, u_char *digest, ngx_str_t *body,
    u_char **allocated)
{
    u_char                           made[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN];
    ngx_int_t                        rc;
    ngx_uint_t                       i;
    ngx_chain_t                     *cl;
    ngx_http_graph_policy_signer_t  *signer;

    signer = trust->signers->elts;
    trust->matched = 0;
    *allocated = NULL;

    for (i = 0; i < trust->signers->nelts; i++) {
        if (ngx_http_graph_policy_signature_init(signer[i].signature)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_graph_policy_gather_body(r,
                                           NGX_HTTP_GRAPH_POLICY_MAX_PAYLOAD,
                                           body, allocated);

    if (rc == NGX_OK) {
        rc = ngx_http_graph_policy_sign(trust, body->data, body->len);

    } else if (rc == NGX_DECLINED) {
        rc = NGX_OK;

        for (cl = r->request_body->bufs; cl != NULL && rc == NGX_OK;
             cl = cl->next)
        {
            rc = ngx_buf_in_memory(cl->buf)
                 ? ngx_http_graph_policy_sign(trust, cl->buf->pos,
                                              cl->buf->last - cl->buf->pos)
                 : ngx_http_graph_policy_sign_file(r, trust, cl->buf);
        }
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    /* All secrets are tried, so that the time doesn't tell which one fits. */

    for (i = 0; i < trust->signers->nelts; i++) {
        if (ngx_http_graph_policy_signature_final(signer[i].signature, made)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        trust->matched |= ngx_http_graph_policy_signature_equal(made, digest)
                          << i;
    }

    return (trust->matched != 0) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_graph_policy_sign(ngx_http_graph_policy_trust_t *trust, u_char *data,
    size_t len)
{
    ngx_uint_t                       i;
    ngx_http_graph_policy_signer_t  *signer;

    signer = trust->signers->elts;

    for (i = 0; len != 0 && i < trust->signers->nelts; i++) {
        if (ngx_http_graph_policy_signature_update(signer[i].signature, data,
                                                   len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_sign_file(ngx_http_request_t *r,
    ngx_http_graph_policy_trust_t *trust, ngx_buf_t *b)
{
    off_t      offset;
    u_char    *chunk;
    size_t     len;
    ngx_int_t  rc;

    chunk = ngx_alloc(NGX_HTTP_GRAPH_POLICY_CHUNK, r->connection->log);
    if (chunk == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (offset = b->file_pos; offset < b->file_last && rc == NGX_OK;
         offset += len)
    {
        len = (size_t) ngx_min(NGX_HTTP_GRAPH_POLICY_CHUNK,
                               b->file_last - offset);

        rc = ngx_http_graph_policy_read_body_part(r, b, chunk, len, offset);

        if (rc == NGX_OK) {
            rc = ngx_http_graph_policy_sign(trust, chunk, len);
        }
    }

    ngx_free(chunk);

    return rc;
}


ngx_uint_t
ngx_http_graph_policy_is_trusted(ngx_http_graph_policy_trust_t *trust,
    ngx_str_t *account)
{
    ngx_str_t                       *id;
    ngx_uint_t                       i, j;
    ngx_http_graph_policy_signer_t  *signer;

    signer = trust->signers->elts;

    for (i = 0; i < trust->signers->nelts; i++) {

        if (!(trust->matched & ((ngx_uint_t) 1 << i))) {
            continue;
        }

        if (signer[i].accounts == NULL) {
            return 1;
        }

        id = signer[i].accounts->elts;

        for (j = 0; j < signer[i].accounts->nelts; j++) {
            if (id[j].len == account->len
                && ngx_memcmp(id[j].data, account->data, account->len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}
