
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * What the targets of requests need of nginx.  Its parser and its strings are
 * nginx's own, linked in; its pool is replaced by one that makes a block of
 * exactly the size for each allocation, so that the sanitizer sees each byte
 * beyond.
 */


#include <stdlib.h>
#include "nginx.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_siphash.h"


#define MAX_BLOCKS  512


static int hex(u_char c);
static ngx_int_t process_uri(ngx_http_request_t *r, int merge_slashes);


ngx_module_t            ngx_http_graph_policy_module;
ngx_module_t            ngx_http_core_module;
volatile ngx_cycle_t   *ngx_cycle;
ngx_uint_t              ngx_pagesize = 4096;

static void            *blocks[MAX_BLOCKS];
static size_t           nblocks;
static ngx_log_t        nowhere;
static ngx_connection_t connection;


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = malloc(size);

    if (p == NULL || nblocks == MAX_BLOCKS) {
        abort();
    }

    blocks[nblocks++] = p;

    return p;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    return ngx_pnalloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_pnalloc(pool, size);
    ngx_memzero(p, size);

    return p;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}


/* The values of these targets have no variables. */

ngx_int_t
ngx_http_complex_value(ngx_http_request_t *r, ngx_http_complex_value_t *val,
    ngx_str_t *value)
{
    *value = val->value;

    return NGX_OK;
}


uint64_t
ngx_http_graph_policy_zone_fingerprint(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *text)
{
    uint64_t  fp;

    static uint64_t  key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

    fp = ngx_http_graph_policy_siphash(key, text->data, text->len);

    return (fp != 0) ? fp : 1;
}


u_char *
copy_text(ngx_http_request_t *r, const uint8_t *text, size_t len)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, len);

    if (len != 0) {
        ngx_memcpy(p, text, len);
    }

    return p;
}


ngx_http_request_t *
begin_request(const uint8_t *line, size_t len, int merge_slashes)
{
    ngx_buf_t            b;
    ngx_http_request_t  *r;

    connection.log = &nowhere;

    r = ngx_pcalloc(NULL, sizeof(ngx_http_request_t));
    r->connection = &connection;
    r->main = r;

    ngx_memzero(&b, sizeof(ngx_buf_t));
    b.start = copy_text(r, line, len);
    b.pos = b.start;
    b.last = b.start + len;
    b.end = b.last;

    if (ngx_http_parse_request_line(r, &b) != NGX_OK
        || process_uri(r, merge_slashes) != NGX_OK)
    {
        end_request();
        return NULL;
    }

    return r;
}


/* does what nginx does when it has parsed a request line */

static ngx_int_t
process_uri(ngx_http_request_t *r, int merge_slashes)
{
    u_char  *path_end;

    r->request_line.data = r->request_start;
    r->request_line.len = r->request_end - r->request_start;

    path_end = (r->args_start != NULL) ? r->args_start - 1 : r->uri_end;

    r->uri.data = r->uri_start;
    r->uri.len = path_end - r->uri_start;

    if (r->complex_uri || r->quoted_uri || r->empty_path_in_uri) {

        if (r->empty_path_in_uri) {
            r->uri.len++;
        }

        r->uri.data = ngx_pnalloc(r->pool, r->uri.len);

        if (ngx_http_parse_complex_uri(r, merge_slashes) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    r->unparsed_uri.data = r->uri_start;
    r->unparsed_uri.len = r->uri_end - r->uri_start;

    if (r->args_start != NULL && r->uri_end > r->args_start) {
        r->args.data = r->args_start;
        r->args.len = r->uri_end - r->args_start;
    }

    return NGX_OK;
}


void
end_request(void)
{
    while (nblocks != 0) {
        free(blocks[--nblocks]);
    }
}


void
add_header(ngx_http_request_t *r, const char *name, const uint8_t *value,
    size_t len, ngx_uint_t n)
{
    size_t            i;
    ngx_list_t       *list;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    list = &r->headers_in.headers;

    if (list->last == NULL) {
        list->last = &list->part;

    } else if (list->last->nelts == n) {
        part = ngx_pcalloc(NULL, sizeof(ngx_list_part_t));
        list->last->next = part;
        list->last = part;
    }

    part = list->last;

    if (part->elts == NULL) {
        part->elts = ngx_pcalloc(NULL, n * sizeof(ngx_table_elt_t));
    }

    h = (ngx_table_elt_t *) part->elts + part->nelts++;

    h->key.len = ngx_strlen(name);
    h->key.data = copy_text(r, (const uint8_t *) name, h->key.len);
    h->lowcase_key = ngx_pnalloc(NULL, h->key.len);
    h->value.data = copy_text(r, value, len);
    h->value.len = len;

    for (i = 0; i < h->key.len; i++) {
        h->lowcase_key[i] = ngx_tolower(h->key.data[i]);
    }

    if (r->headers_in.authorization == NULL
        && h->key.len == sizeof("authorization") - 1
        && ngx_memcmp(h->lowcase_key, "authorization", h->key.len) == 0)
    {
        r->headers_in.authorization = h;
    }
}


static int
hex(u_char c)
{
    return (c >= '0' && c <= '9') ? c - '0'
           : (c >= 'a' && c <= 'f') ? c - 'a' + 10
           : (c >= 'A' && c <= 'F') ? c - 'A' + 10 : -1;
}


ssize_t
unescape(const u_char *text, size_t len, u_char *to, size_t n)
{
    size_t  i, done;

    for (i = 0, done = 0; i < len; i++, done++) {

        if (done == n) {
            return -1;
        }

        to[done] = text[i];

        if (text[i] != '%') {
            continue;
        }

        if (len - i < 3 || hex(text[i + 1]) == -1 || hex(text[i + 2]) == -1) {
            return -1;
        }

        to[done] = (u_char) (hex(text[i + 1]) * 16 + hex(text[i + 2]));
        i += 2;
    }

    return (ssize_t) done;
}
