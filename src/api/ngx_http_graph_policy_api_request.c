
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the headers and the body of a call: from which site's page it comes,
 * and which members the body has.
 *
 * No lock is taken.  Memory comes from the request's pool; the parser's is
 * freed before the return.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_text.h"


static ngx_uint_t ngx_http_graph_policy_api_is_origin(ngx_http_request_t *r,
    ngx_str_t *origin);


/*
 * Browsers send Origin and Sec-Fetch-Site, and a page can neither forge nor
 * suppress them.
 */

ngx_uint_t
ngx_http_graph_policy_api_is_foreign(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_graph_policy_is_named(&h[i].key, "Origin")
            && !ngx_http_graph_policy_api_is_origin(r, &h[i].value))
        {
            return 1;
        }

        if (ngx_http_graph_policy_is_named(&h[i].key, "Sec-Fetch-Site")
            && !ngx_http_graph_policy_is_named(&h[i].value, "same-origin")
            && !ngx_http_graph_policy_is_named(&h[i].value, "none"))
        {
            return 1;
        }
    }
}


/*
 * Returns 1 if the origin is the host that the request was sent to.  Over
 * plain HTTP either scheme is accepted, as another proxy may terminate TLS in
 * front of this one.
 */

static ngx_uint_t
ngx_http_graph_policy_api_is_origin(ngx_http_request_t *r, ngx_str_t *origin)
{
    size_t      len;
    ngx_str_t  *host;

    host = (r->headers_in.host != NULL) ? &r->headers_in.host->value
                                        : &r->headers_in.server;

    if (origin->len > sizeof("https://") - 1
        && ngx_strncasecmp(origin->data, (u_char *) "https://",
                           sizeof("https://") - 1)
           == 0)
    {
        len = sizeof("https://") - 1;

    } else if (origin->len > sizeof("http://") - 1
               && ngx_strncasecmp(origin->data, (u_char *) "http://",
                                  sizeof("http://") - 1)
                  == 0)
    {

#if (NGX_HTTP_SSL)
        if (r->connection->ssl != NULL) {
            return 0;
        }
#endif

        len = sizeof("http://") - 1;

    } else {
        return 0;
    }

    return origin->len - len == host->len
           && ngx_strncasecmp(origin->data + len, host->data, host->len) == 0;
}


ngx_int_t
ngx_http_graph_policy_api_form(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_form_t *form)
{
    void        *arena;
    ngx_uint_t   error;

    static const char  *wrong[] = {
        "",
        "",
        "there is no member \"%*s\"",
        "member \"%*s\" is there twice",
        "member \"%*s\" has the wrong type",
        "member \"%*s\" is too long"
    };

    arena = ngx_alloc(ngx_http_graph_policy_json_arena(call->body.len),
                      call->request->connection->log);
    if (arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    error = ngx_http_graph_policy_form_read(call->body.data, call->body.len,
                                            arena, form);
    ngx_free(arena);

    switch (error) {

    case NGX_HTTP_GRAPH_POLICY_FORM_READ:
        return NGX_DECLINED;

    case NGX_HTTP_GRAPH_POLICY_FORM_MALFORMED:
        return ngx_http_graph_policy_api_error(call->request,
                                         NGX_HTTP_BAD_REQUEST,
                                         "the body must be an object of JSON");

    default:
        return ngx_http_graph_policy_api_error(call->request,
                                         NGX_HTTP_BAD_REQUEST, wrong[error],
                                         form->culprit_len, form->culprit);
    }
}
