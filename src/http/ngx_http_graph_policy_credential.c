
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Finds the credential of a request, which is its access token, and masks
 * secrets in the request line for the log.
 *
 * No lock is taken; of shared memory only the zone's key is read.  Strings
 * belong to the request's pool.  Only a fingerprint of the credential leaves
 * this file.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_zone.h"


static ngx_uint_t ngx_http_graph_policy_header_credential(
    ngx_http_request_t *r, ngx_http_graph_policy_zone_t *zone,
    uint64_t *credential);
static void ngx_http_graph_policy_bearer(ngx_str_t *value, ngx_str_t *token);
static ngx_uint_t ngx_http_graph_policy_argument_credential(
    ngx_http_request_t *r, ngx_http_graph_policy_zone_t *zone,
    uint64_t *credential);
static ngx_uint_t ngx_http_graph_policy_same_credential(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *token,
    uint64_t *credential);
static ngx_uint_t ngx_http_graph_policy_is_secret(ngx_str_t *name);


void
ngx_http_graph_policy_identify_credential(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    uint64_t   credential;
    ngx_str_t  value;

    if (ctx->credentialed) {
        return;
    }

    ctx->credentialed = 1;

    if (glcf->credential != NULL
        && ngx_http_graph_policy_value(r, glcf->credential, &value) == NGX_OK
        && value.len != 0)
    {
        ctx->query.identity.credential =
                      ngx_http_graph_policy_zone_fingerprint(glcf->zone,
                                                             &value);
        return;
    }

    credential = 0;

    if (ngx_http_graph_policy_header_credential(r, glcf->zone, &credential)
        && ngx_http_graph_policy_argument_credential(r, glcf->zone,
                                                     &credential))
    {
        ctx->query.identity.credential = credential;
    }
}


/* These return 0 if the request has two different credentials. */

static ngx_uint_t
ngx_http_graph_policy_header_credential(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, uint64_t *credential)
{
    ngx_str_t         token;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (r->headers_in.authorization == NULL) {
        return 1;
    }

    /*
     * Some versions of nginx pass a second Authorization header on to the
     * upstream, so each one is read.
     */

    part = &r->headers_in.headers.part;
    h = part->elts;

    i = 0;

    if (r->headers_in.authorization >= h
        && r->headers_in.authorization < h + part->nelts)
    {
        i = r->headers_in.authorization - h;
    }

    for ( /* void */ ; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 1;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof("authorization") - 1
            || ngx_memcmp(h[i].lowcase_key, "authorization",
                          sizeof("authorization") - 1)
               != 0)
        {
            continue;
        }

        ngx_http_graph_policy_bearer(&h[i].value, &token);

        if (!ngx_http_graph_policy_same_credential(zone, &token, credential)) {
            return 0;
        }
    }
}


static void
ngx_http_graph_policy_bearer(ngx_str_t *value, ngx_str_t *token)
{
    size_t  skip;

    /*
     * Most clients spell it like this, so the exact bytes are compared first.
     */

    if (value->len > sizeof("Bearer ") - 1
        && (ngx_memcmp(value->data, "Bearer ", sizeof("Bearer ") - 1) == 0
            || ngx_strncasecmp(value->data, (u_char *) "Bearer ",
                               sizeof("Bearer ") - 1)
               == 0))
    {
        skip = sizeof("Bearer ") - 1;

    } else if (value->len > sizeof("OAuth ") - 1
               && ngx_strncasecmp(value->data, (u_char *) "OAuth ",
                                  sizeof("OAuth ") - 1)
                  == 0)
    {
        skip = sizeof("OAuth ") - 1;

    } else {
        ngx_str_null(token);
        return;
    }

    while (skip < value->len && value->data[skip] == ' ') {
        skip++;
    }

    token->data = value->data + skip;
    token->len = value->len - skip;
}


static ngx_uint_t
ngx_http_graph_policy_argument_credential(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, uint64_t *credential)
{
    u_char     *p, *dst, *src;
    ngx_str_t   name, value;

    p = r->args.data;

    while (ngx_http_graph_policy_next_argument(&p, &r->args, &name, &value)) {
        if (!ngx_http_graph_policy_is_argument(&name, "access_token",
                                               sizeof("access_token") - 1))
        {
            continue;
        }

        if (ngx_strlchr(value.data, value.data + value.len, '%') != NULL) {
            src = value.data;

            dst = ngx_pnalloc(r->pool, value.len);
            if (dst == NULL) {
                return 0;
            }

            value.data = dst;
            ngx_unescape_uri(&dst, &src, value.len, 0);
            value.len = dst - value.data;
        }

        if (!ngx_http_graph_policy_same_credential(zone, &value, credential)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_graph_policy_same_credential(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *token, uint64_t *credential)
{
    uint64_t  fp;

    if (token->len == 0) {
        return 1;
    }

    fp = ngx_http_graph_policy_zone_fingerprint(zone, token);

    if (*credential != 0 && *credential != fp) {
        return 0;
    }

    *credential = fp;

    return 1;
}


/* The last three arguments belong to calls that make and examine tokens. */

static ngx_uint_t
ngx_http_graph_policy_is_secret(ngx_str_t *name)
{
    ngx_uint_t  i;

    static ngx_str_t  secrets[] = {
        ngx_string("access_token"),
        ngx_string("appsecret_proof"),
        ngx_string("hub.verify_token"),
        ngx_string("input_token"),
        ngx_string("client_secret"),
        ngx_string("fb_exchange_token"),
        ngx_null_string
    };

    for (i = 0; secrets[i].len != 0; i++) {

        if (ngx_http_graph_policy_is_argument(name, (char *) secrets[i].data,
                                              secrets[i].len))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_graph_policy_mask_request(ngx_http_request_t *r, ngx_str_t *masked)
{
    u_char     *p, *q, *last, *line;
    ngx_str_t   args, name, value;

    line = r->request_line.data;
    last = line + r->request_line.len;

    p = ngx_strlchr(line, last, '?');

    if (p == NULL) {
        *masked = r->request_line;
        return NGX_OK;
    }

    /*
     * A short value grows by the mask, but by less than the length of its
     * name, so twice the length is enough.
     */

    masked->data = ngx_pnalloc(r->pool, 2 * r->request_line.len);
    if (masked->data == NULL) {
        return NGX_ERROR;
    }

    p++;

    q = ngx_cpymem(masked->data, line, p - line);

    /* The protocol follows the last space; HTTP/0.9 has none. */

    while (last > p && last[-1] != ' ') {
        last--;
    }

    last = (last > p) ? last - 1 : line + r->request_line.len;

    args.data = p;
    args.len = last - p;

    while (ngx_http_graph_policy_next_argument(&p, &args, &name, &value)) {

        q = ngx_cpymem(q, name.data, value.data - name.data);

        if (value.len != 0 && ngx_http_graph_policy_is_secret(&name)) {
            q = ngx_cpymem(q, "***", sizeof("***") - 1);

        } else {
            q = ngx_cpymem(q, value.data, value.len);
        }

        if (p <= last) {
            *q++ = '&';
        }
    }

    q = ngx_cpymem(q, last, line + r->request_line.len - last);

    masked->len = q - masked->data;

    return NGX_OK;
}
