
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Serves the dashboard: one page, dashboard.html, which the build has made an
 * array of, and a Content-Security-Policy that lets a browser run only the
 * script in it and use only its style.
 *
 * No lock is taken.  The page is in the module itself, the policy belongs to
 * the configuration.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_signature.h"


static ngx_int_t ngx_http_graph_policy_dashboard_hash(const char *begin,
    const char *end, ngx_str_t *hash);
static ngx_int_t ngx_http_graph_policy_dashboard_redirect(
    ngx_http_request_t *r);


static u_char  ngx_http_graph_policy_dashboard_page[] = {
#include "ngx_http_graph_policy_dashboard.inc"
    0
};

static const char  ngx_http_graph_policy_dashboard_policy[] =
    "default-src 'none'; script-src 'sha256-%V'; style-src 'sha256-%V'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";


ngx_int_t
ngx_http_graph_policy_dashboard_init(ngx_conf_t *cf)
{
    u_char                             *p;
    ngx_str_t                           script, style;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    u_char  first[ngx_base64_encoded_length(NGX_HTTP_GRAPH_POLICY_DIGEST_LEN)];
    u_char  second[sizeof(first)];

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);

    script.data = first;
    style.data = second;

    if (ngx_http_graph_policy_dashboard_hash("<script>", "</script>", &script)
        != NGX_OK
        || ngx_http_graph_policy_dashboard_hash("<style>", "</style>", &style)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "OpenSSL can't make SHA-256");
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, sizeof(ngx_http_graph_policy_dashboard_policy)
                              + sizeof(first) + sizeof(second));
    if (p == NULL) {
        return NGX_ERROR;
    }

    gmcf->dashboard_policy.data = p;
    gmcf->dashboard_policy.len =
        ngx_sprintf(p, ngx_http_graph_policy_dashboard_policy, &script, &style)
        - p;

    return NGX_OK;
}


/* CSP hashes every byte between the two tags (CSP Level 3, 6.7.2.3). */

static ngx_int_t
ngx_http_graph_policy_dashboard_hash(const char *begin, const char *end,
    ngx_str_t *hash)
{
    u_char     *p, *last;
    u_char      digest[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN];
    ngx_str_t   text;

    p = (u_char *) ngx_strstr(ngx_http_graph_policy_dashboard_page, begin);
    last = (u_char *) ngx_strstr(ngx_http_graph_policy_dashboard_page, end);

    if (p == NULL || last == NULL) {
        return NGX_ERROR;
    }

    p += ngx_strlen(begin);

    if (ngx_http_graph_policy_sha256(p, last - p, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    text.data = digest;
    text.len = sizeof(digest);

    ngx_encode_base64(hash, &text);

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_api_dashboard(ngx_http_graph_policy_call_t *call)
{
    ngx_buf_t                          *b;
    ngx_chain_t                         out;
    ngx_http_request_t                 *r;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    static ngx_str_t  type = ngx_string("text/html; charset=utf-8");

    r = call->request;

    /* The page asks for URLs beside it, so its own must end with a slash. */

    if (r->uri.data[r->uri.len - 1] != '/') {
        return ngx_http_graph_policy_dashboard_redirect(r);
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_graph_policy_module);

    if (ngx_http_graph_policy_api_header(r, "Content-Security-Policy",
                                         gmcf->dashboard_policy.data,
                                         gmcf->dashboard_policy.len)
        != NGX_OK
        || ngx_http_graph_policy_api_header(r, "Referrer-Policy",
                                            (u_char *) "no-referrer",
                                            sizeof("no-referrer") - 1)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = ngx_http_graph_policy_dashboard_page;
    b->last = b->pos + sizeof(ngx_http_graph_policy_dashboard_page) - 1;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_graph_policy_api_send(r, NGX_HTTP_OK, &type, &out);
}


/*
 * The redirect is relative, as a proxy in front may publish the API under
 * another path.
 */

static ngx_int_t
ngx_http_graph_policy_dashboard_redirect(ngx_http_request_t *r)
{
    u_char  *p, *name;

    name = r->uri.data + r->uri.len;

    while (name > r->uri.data && name[-1] != '/') {
        name--;
    }

    p = ngx_pnalloc(r->pool, 3 * r->uri.len + sizeof("/"));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_clear_location(r);

    if (ngx_http_graph_policy_api_header(r, "Location", p,
              ngx_sprintf((u_char *) ngx_escape_uri(p, name,
                                                    r->uri.data + r->uri.len
                                                    - name,
                                                    NGX_ESCAPE_URI_COMPONENT),
                          "/") - p)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_graph_policy_api_send(r, NGX_HTTP_MOVED_PERMANENTLY, NULL,
                                          NULL);
}
