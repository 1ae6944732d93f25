
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Limits the compression that the upstream may use.  The answer to a send may
 * not be compressed at all, as it is short and has to be read.  Other answers
 * may be compressed only in ways that the module can inflate.
 *
 * The limited value of Accept-Encoding is put into the request's list of
 * headers, which goes upstream.  The client's own value is saved, and
 * headers_in.accept_encoding points to it, as nginx's filters (gzip, gunzip,
 * brotli, zstd) decide by that.
 *
 * No lock is taken.  Memory comes from the request's pool.  A worker also
 * remembers a few values for its lifetime, as it has few clients, which send
 * the same values again and again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_request.h"


#define NGX_HTTP_GRAPH_POLICY_MEMORIES    8
#define NGX_HTTP_GRAPH_POLICY_MEMORY_LEN  64


typedef struct {
    ngx_str_t    value;
    ngx_str_t    narrowed;
    u_char       text[NGX_HTTP_GRAPH_POLICY_MEMORY_LEN];

    /* The text ends with a zero, as all values of nginx's do. */
    u_char       narrowed_text[NGX_HTTP_GRAPH_POLICY_MEMORY_LEN];
} ngx_http_graph_policy_narrowed_t;


/*
 * An Accept-Encoding line as the client has sent it, and its element in the
 * list of headers.
 */

typedef struct ngx_http_graph_policy_line_s  ngx_http_graph_policy_line_t;

struct ngx_http_graph_policy_line_s {
    ngx_table_elt_t                  sent;
    ngx_table_elt_t                 *listed;
    ngx_http_graph_policy_line_t    *next;
};


static ngx_int_t ngx_http_graph_policy_offer(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_str_t *value);
static ngx_int_t ngx_http_graph_policy_recall(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_graph_policy_narrow(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_uint_t ngx_http_graph_policy_next_coding(u_char **p, u_char *last,
    ngx_str_t *coding);
static ngx_uint_t ngx_http_graph_policy_inspectable(ngx_str_t *coding);


/* A saved line is recognized by the address of this name. */

static u_char  ngx_http_graph_policy_name[] = "accept-encoding";

static ngx_str_t  ngx_http_graph_policy_plain = ngx_string("identity");


/* Nearly every send has one such line, which is put aside without a search. */

ngx_int_t
ngx_http_graph_policy_ask_identity(ngx_http_request_t *r)
{
    ngx_list_part_t               *part;
    ngx_table_elt_t               *h, *first, *last;
    ngx_http_graph_policy_line_t  *line;

    part = &r->headers_in.headers.part;
    first = ngx_http_graph_policy_accept_encoding(r);
    last = (ngx_table_elt_t *) part->elts + part->nelts;

    if (part->next != NULL || first < (ngx_table_elt_t *) part->elts
        || first >= last)
    {
        return ngx_http_graph_policy_narrow_encoding(r, 1);
    }

    for (h = first + 1; h < last; h++) {
        if (h->key.len == sizeof(ngx_http_graph_policy_name) - 1) {
            return ngx_http_graph_policy_narrow_encoding(r, 1);
        }
    }

    line = ngx_palloc(r->pool, sizeof(ngx_http_graph_policy_line_t));
    if (line == NULL) {
        return NGX_ERROR;
    }

    line->sent = *first;
    line->sent.lowcase_key = ngx_http_graph_policy_name;
    line->listed = first;
    line->next = NULL;

    first->value = ngx_http_graph_policy_plain;

    ngx_http_graph_policy_set_accept_encoding(r, &line->sent);

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_narrow_encoding(ngx_http_request_t *r, ngx_uint_t send)
{
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *first;

    part = &r->headers_in.headers.part;
    h = part->elts;
    i = 0;

    /* More lines of the same name can only follow the first one. */

    first = ngx_http_graph_policy_accept_encoding(r);

    if (first >= h && first < h + part->nelts) {
        i = first - h;
    }

    for ( /* void */ ; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof(ngx_http_graph_policy_name) - 1
            || ngx_memcmp(h[i].lowcase_key, ngx_http_graph_policy_name,
                          sizeof(ngx_http_graph_policy_name) - 1)
               != 0)
        {
            continue;
        }

        value = h[i].value;

        if (send) {
            value = ngx_http_graph_policy_plain;

        } else if (ngx_http_graph_policy_recall(r, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (value.data != h[i].value.data
            && ngx_http_graph_policy_offer(r, &h[i], &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}


/* Replaces the value of a line in the list of headers, and saves the line. */

static ngx_int_t
ngx_http_graph_policy_offer(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_str_t *value)
{
    ngx_table_elt_t               *first;
    ngx_http_graph_policy_line_t  *line, *last;

    first = ngx_http_graph_policy_accept_encoding(r);

    if (first == NULL) {
        h->value = *value;
        return NGX_OK;
    }

    /*
     * The first line has to be saved as well, as the saved ones are linked to
     * it.
     */

    if (first != h && first->lowcase_key != ngx_http_graph_policy_name
        && ngx_http_graph_policy_offer(r, first, &first->value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    line = ngx_palloc(r->pool, sizeof(ngx_http_graph_policy_line_t));
    if (line == NULL) {
        return NGX_ERROR;
    }

    line->sent = *h;
    line->sent.lowcase_key = ngx_http_graph_policy_name;
    line->listed = h;
    line->next = NULL;

    h->value = *value;

    if (first == h) {
        ngx_http_graph_policy_set_accept_encoding(r, &line->sent);
        return NGX_OK;
    }

    last = (ngx_http_graph_policy_line_t *)
                                     ngx_http_graph_policy_accept_encoding(r);

    while (last->next != NULL) {
        last = last->next;
    }

    last->next = line;

    return NGX_OK;
}


void
ngx_http_graph_policy_restore_encoding(ngx_http_request_t *r)
{
    ngx_table_elt_t               *first;
    ngx_http_graph_policy_line_t  *line;

    first = ngx_http_graph_policy_accept_encoding(r);

    if (first == NULL || first->lowcase_key != ngx_http_graph_policy_name) {
        return;
    }

    line = (ngx_http_graph_policy_line_t *) first;

    ngx_http_graph_policy_set_accept_encoding(r, line->listed);

    for ( /* void */ ; line != NULL; line = line->next) {
        line->listed->value = line->sent.value;
    }
}


static ngx_int_t
ngx_http_graph_policy_recall(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_t                          narrowed;
    ngx_uint_t                         i;
    ngx_http_graph_policy_narrowed_t  *memory;

    static ngx_uint_t                        n;
    static ngx_http_graph_policy_narrowed_t  memories[
                                             NGX_HTTP_GRAPH_POLICY_MEMORIES];

    for (i = 0; i < n; i++) {
        memory = &memories[i];

        if (memory->value.len == value->len
            && ngx_memcmp(memory->value.data, value->data, value->len) == 0)
        {
            *value = memory->narrowed;
            return NGX_OK;
        }
    }

    narrowed = *value;

    if (ngx_http_graph_policy_narrow(r, &narrowed) != NGX_OK) {
        return NGX_ERROR;
    }

    /* Requests point to remembered values, so these are never removed. */

    if (n < NGX_HTTP_GRAPH_POLICY_MEMORIES
        && value->len < NGX_HTTP_GRAPH_POLICY_MEMORY_LEN
        && narrowed.len < NGX_HTTP_GRAPH_POLICY_MEMORY_LEN)
    {
        memory = &memories[n++];

        memory->value.len = value->len;
        memory->value.data = memory->text;
        ngx_memcpy(memory->text, value->data, value->len);

        memory->narrowed.len = narrowed.len;
        memory->narrowed.data = memory->narrowed_text;
        ngx_memcpy(memory->narrowed_text, narrowed.data, narrowed.len);
    }

    *value = narrowed;

    return NGX_OK;
}


/*
 * Leaves only encodings that can be inspected, and adds none that the client
 * hasn't offered.
 */

static ngx_int_t
ngx_http_graph_policy_narrow(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char     *p, *last, *dst;
    ngx_str_t   coding, narrowed;

    last = value->data + value->len;

    for (p = value->data;
         ngx_http_graph_policy_next_coding(&p, last, &coding); )
    {
        if (!ngx_http_graph_policy_inspectable(&coding)) {
            goto narrow;
        }
    }

    return NGX_OK;

narrow:

    /*
     * The value may lie in HTTP/2's static table, so it must not be changed in
     * place.
     */

    narrowed.data = ngx_pnalloc(r->pool, value->len + 2 + sizeof("identity"));
    if (narrowed.data == NULL) {
        return NGX_ERROR;
    }

    dst = narrowed.data;

    for (p = value->data;
         ngx_http_graph_policy_next_coding(&p, last, &coding); )
    {
        if (!ngx_http_graph_policy_inspectable(&coding)) {
            continue;
        }

        if (dst != narrowed.data) {
            *dst++ = ',';
        }

        dst = ngx_cpymem(dst, coding.data, coding.len);
    }

    if (dst == narrowed.data) {
        dst = ngx_cpymem(dst, "identity", sizeof("identity") - 1);
    }

    narrowed.len = dst - narrowed.data;
    *dst = '\0';

    *value = narrowed;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_graph_policy_next_coding(u_char **p, u_char *last, ngx_str_t *coding)
{
    u_char  *c, *end;

    c = *p;

    while (c < last && (*c == ',' || *c == ' ' || *c == '\t')) {
        c++;
    }

    if (c == last) {
        return 0;
    }

    coding->data = c;

    while (c < last && *c != ',') {
        c++;
    }

    for (end = c; end[-1] == ' ' || end[-1] == '\t'; end--) { /* void */ }

    coding->len = end - coding->data;

    *p = c;

    return 1;
}


static ngx_uint_t
ngx_http_graph_policy_inspectable(ngx_str_t *coding)
{
    size_t   i;
    u_char  *p;

    p = coding->data;

    for (i = 0; i < coding->len; i++) {
        if (p[i] == ';' || p[i] == ' ' || p[i] == '\t') {
            break;
        }
    }

    switch (i) {

    case sizeof("gzip") - 1:
        return ngx_strncasecmp(p, (u_char *) "gzip", i) == 0;

    case sizeof("x-gzip") - 1:
        return ngx_strncasecmp(p, (u_char *) "x-gzip", i) == 0;

    case sizeof("deflate") - 1:
        return ngx_strncasecmp(p, (u_char *) "deflate", i) == 0;

    case sizeof("identity") - 1:
        return ngx_strncasecmp(p, (u_char *) "identity", i) == 0;

    default:
        return 0;
    }
}
