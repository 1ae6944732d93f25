
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The header of a webhook that goes on to the application describes the
 * payload's errors in X-Graph-Error-* fields.  Fields of these names that the
 * client has sent are removed, so that the application can believe them.
 *
 * Lock rule: none.  Memory: the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_webhook.h"


/* The name of a field; the hash that nginx looks it up by is made once. */

typedef struct {
    ngx_str_t   name;
    u_char     *lowcase;
    ngx_uint_t  hash;       /* 0: not made yet */
} ngx_http_graph_policy_tag_t;


static ngx_uint_t ngx_http_graph_policy_has_tag(ngx_list_t *headers);
static ngx_uint_t ngx_http_graph_policy_is_tag(ngx_str_t *name);
static ngx_int_t ngx_http_graph_policy_push_number(ngx_http_request_t *r,
    ngx_http_graph_policy_tag_t *tag, int64_t number);
static ngx_int_t ngx_http_graph_policy_push_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_tag_t *tag, ngx_str_t *value);


#define NGX_HTTP_GRAPH_POLICY_TAG_PREFIX  "x-graph-error-"

#define ngx_http_graph_policy_tag(name, lowcase)                              \
    { ngx_string(name), (u_char *) lowcase, 0 }


static ngx_http_graph_policy_tag_t  ngx_http_graph_policy_tag_category =
    ngx_http_graph_policy_tag("X-Graph-Error-Category",
                              "x-graph-error-category");

static ngx_http_graph_policy_tag_t  ngx_http_graph_policy_tag_code =
    ngx_http_graph_policy_tag("X-Graph-Error-Code", "x-graph-error-code");

static ngx_http_graph_policy_tag_t  ngx_http_graph_policy_tag_reason =
    ngx_http_graph_policy_tag("X-Graph-Error-Reason", "x-graph-error-reason");

static ngx_http_graph_policy_tag_t  ngx_http_graph_policy_tag_count =
    ngx_http_graph_policy_tag("X-Graph-Error-Count", "x-graph-error-count");


/*
 * A field is removed by copying the list without it.  proxy_pass sends all
 * elements of the list, even those with a hash of 0, and pointers into the old
 * list (headers_in.host and the like) must stay valid.
 */

ngx_int_t
ngx_http_graph_policy_webhook_untag(ngx_http_request_t *r)
{
    ngx_list_t        headers;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    if (!ngx_http_graph_policy_has_tag(&r->headers_in.headers)) {
        return NGX_OK;
    }

    if (ngx_list_init(&headers, r->pool, 20, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_graph_policy_is_tag(&h[i].key)) {
                continue;
            }

            copy = ngx_list_push(&headers);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];
        }
    }

    r->headers_in.headers = headers;

    /*
     * While a list has one part, its "last" points into the list itself, so the
     * copy must not point to the local variable.
     */

    if (headers.last == &headers.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_graph_policy_has_tag(ngx_list_t *headers)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &headers->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_graph_policy_is_tag(&h[i].key)) {
                return 1;
            }
        }
    }

    return 0;
}


/* Many applications (CGI, WSGI) don't distinguish "_" and "-" in names. */

static ngx_uint_t
ngx_http_graph_policy_is_tag(ngx_str_t *name)
{
    u_char    c, *prefix;
    size_t    i;
    uint64_t  letters;

    prefix = (u_char *) NGX_HTTP_GRAPH_POLICY_TAG_PREFIX;

    /* those of the first eight bytes that are letters, in either case */

    letters = ngx_http_graph_policy_eight((u_char *)
                                          "\377\0\377\377\377\377\377\0");

    /* Most names are shorter, or differ in one of the first letters. */

    if (name->len < sizeof(NGX_HTTP_GRAPH_POLICY_TAG_PREFIX) - 1
        || (((ngx_http_graph_policy_eight(name->data)
              | NGX_HTTP_GRAPH_POLICY_EIGHT(0x20))
             ^ ngx_http_graph_policy_eight(prefix))
            & letters)
           != 0)
    {
        return 0;
    }

    for (i = 0; i < sizeof(NGX_HTTP_GRAPH_POLICY_TAG_PREFIX) - 1; i++) {
        c = ngx_tolower(name->data[i]);

        if (c == '_') {
            c = '-';
        }

        if (c != prefix[i]) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_graph_policy_webhook_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_webhook_result_t *result)
{
    ngx_http_graph_policy_verdict_t  *verdict;

    verdict = &result->verdict;

    if (ngx_http_graph_policy_push_tag(r, &ngx_http_graph_policy_tag_category,
                        &ngx_http_graph_policy_categories[verdict->category])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (result->facts.has_code
        && ngx_http_graph_policy_push_number(r,
                                             &ngx_http_graph_policy_tag_code,
                                             result->facts.code)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (verdict->matched
        && ngx_http_graph_policy_push_tag(r,
                        &ngx_http_graph_policy_tag_reason,
                        &ngx_http_graph_policy_reasons[verdict->reason].slug)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_push_number(r,
                                             &ngx_http_graph_policy_tag_count,
                                             (int64_t) result->errors);
}


static ngx_int_t
ngx_http_graph_policy_push_number(ngx_http_request_t *r,
    ngx_http_graph_policy_tag_t *tag, int64_t number)
{
    ngx_str_t  value;

    static u_char  digits[] = "0123456789";

    if (number >= 0 && number <= 9) {

        /* That is how many errors most payloads have. */

        value.data = &digits[number];
        value.len = 1;

        return ngx_http_graph_policy_push_tag(r, tag, &value);
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_http_graph_policy_write_number(value.data, number)
                - value.data;

    return ngx_http_graph_policy_push_tag(r, tag, &value);
}


static ngx_int_t
ngx_http_graph_policy_push_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_tag_t *tag, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    if (tag->hash == 0) {
        tag->hash = ngx_hash_key(tag->lowcase, tag->name.len);
    }

    h->hash = tag->hash;
    h->key = tag->name;
    h->lowcase_key = tag->lowcase;
    h->value = *value;
    ngx_http_graph_policy_unlink_header(h);

    return NGX_OK;
}
