
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Adds the module's own response headers, and removes headers of the same
 * names that the upstream has sent.
 *
 * No lock is taken.  Memory comes from the request's pool.  Only numbers and
 * the trace id, which have been checked, get from a body into a header.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tag.h"
#include "ngx_http_graph_policy_text.h"


static ngx_int_t ngx_http_graph_policy_add_number(ngx_http_request_t *r,
    const char *name, size_t len, int64_t value);
static ngx_uint_t ngx_http_graph_policy_is_ours(ngx_str_t *name);


#define ngx_http_graph_policy_header(r, literal, value)                       \
    ngx_http_graph_policy_push(r, literal, sizeof(literal) - 1, value)

#define ngx_http_graph_policy_number(r, literal, value)                       \
    ngx_http_graph_policy_add_number(r, literal, sizeof(literal) - 1, value)


static ngx_str_t  ngx_http_graph_policy_policies[] = {
    ngx_string("passed"),
    ngx_string("probe"),
    ngx_string("blocked"),
    ngx_string("dry-run"),
    ngx_string("retried"),
    ngx_string("dry-run")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_policies,
                               NGX_HTTP_GRAPH_POLICY_NSTATUSES);


static ngx_inline ngx_int_t
ngx_http_graph_policy_push(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value)
{
    ngx_list_t       *headers;
    ngx_table_elt_t  *h;

    headers = &r->headers_out.headers;

    /* There is nearly always room in the last part of the list. */

    if (headers->last->nelts < headers->nalloc) {
        h = (ngx_table_elt_t *) headers->last->elts + headers->last->nelts++;

    } else {
        h = ngx_list_push(headers);
        if (h == NULL) {
            return NGX_ERROR;
        }
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = len;
    h->value = *value;
    h->lowcase_key = NULL;
    ngx_http_graph_policy_unlink_header(h);

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_verdict_t  *verdict;

    verdict = &ctx->verdict;

    if (ngx_http_graph_policy_header(r, "X-Graph-Error-Category",
                     &ngx_http_graph_policy_categories[verdict->category])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->code.len != 0) {

        if (ngx_http_graph_policy_header(r, "X-Graph-Error-Code", &ctx->code)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (ctx->facts.has_code
               && ngx_http_graph_policy_number(r, "X-Graph-Error-Code",
                                               ctx->facts.code)
                  != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->facts.has_subcode
        && ngx_http_graph_policy_number(r, "X-Graph-Error-Subcode",
                                        ctx->facts.subcode)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (verdict->matched
        && (ngx_http_graph_policy_header(r, "X-Graph-Error-Reason",
                       &ngx_http_graph_policy_reasons[verdict->reason].slug)
            != NGX_OK
            || ngx_http_graph_policy_header(r, "X-Graph-Error-Scope",
                             &ngx_http_graph_policy_scopes[verdict->scope])
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (ngx_http_graph_policy_tag_accepted(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED
        && ngx_http_graph_policy_header(r, "X-Graph-State", &ctx->state)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->hold_left != 0
        && ngx_http_graph_policy_number(r, "X-Graph-Hold", ctx->hold_left)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->retry_after != 0) {
        return ngx_http_graph_policy_number(r, "Retry-After",
                                            ctx->retry_after);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_tag_accepted(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_uint_t  status;

    status = ngx_http_graph_policy_status_of(ctx);

    if (ngx_http_graph_policy_header(r, "X-Graph-Policy",
                                     &ngx_http_graph_policy_policies[status])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (ctx->attempts > 1)
           ? ngx_http_graph_policy_number(r, "X-Graph-Attempts",
                                          (int64_t) ctx->attempts)
           : NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_add_number(ngx_http_request_t *r, const char *name,
    size_t len, int64_t number)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_http_graph_policy_write_number(value.data, number)
                - value.data;

    return ngx_http_graph_policy_push(r, name, len, &value);
}


ngx_int_t
ngx_http_graph_policy_add_header(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value)
{
    return ngx_http_graph_policy_push(r, name, len, value);
}


void
ngx_http_graph_policy_strip(ngx_http_request_t *r, ngx_uint_t keep_retry_after)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_graph_policy_is_ours(&h[i].key)
            || (!keep_retry_after
                && ngx_http_graph_policy_is_named(&h[i].key, "Retry-After")))
        {
            h[i].hash = 0;
        }
    }
}


static ngx_uint_t
ngx_http_graph_policy_is_ours(ngx_str_t *name)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("X-Graph-Error-Category"),
        ngx_string("X-Graph-Error-Code"),
        ngx_string("X-Graph-Error-Subcode"),
        ngx_string("X-Graph-Error-Reason"),
        ngx_string("X-Graph-Error-Scope"),
        ngx_string("X-Graph-Policy"),
        ngx_string("X-Graph-State"),
        ngx_string("X-Graph-Hold"),
        ngx_string("X-Graph-Attempts"),
        ngx_null_string
    };

    if (name->len < sizeof("X-Graph-Hold") - 1
        || ngx_strncasecmp(name->data, (u_char *) "X-Graph-",
                           sizeof("X-Graph-") - 1)
           != 0)
    {
        return 0;
    }

    for (i = 0; names[i].len != 0; i++) {

        if (name->len == names[i].len
            && ngx_strncasecmp(name->data, names[i].data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
