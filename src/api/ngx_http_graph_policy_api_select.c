
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Selects the states that a call is for: reads its arguments, filters batches,
 * and reads the texts that stand for states and cursors.
 *
 * No lock is taken here.  All memory is the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


#define NGX_HTTP_GRAPH_POLICY_LIMIT      100
#define NGX_HTTP_GRAPH_POLICY_MAX_LIMIT  1000

#define NGX_HTTP_GRAPH_POLICY_ANY        NGX_HTTP_GRAPH_POLICY_UNSET

/* Digits of an id that tell it from others. */
#define NGX_HTTP_GRAPH_POLICY_ID_START   8


static const char *ngx_http_graph_policy_api_argument(ngx_str_t *name,
    ngx_str_t *value, ngx_uint_t paged,
    ngx_http_graph_policy_filter_t *filter);
static ngx_uint_t ngx_http_graph_policy_api_word(ngx_str_t *words,
    ngx_uint_t n, ngx_str_t *value);
static ngx_uint_t ngx_http_graph_policy_api_reason(ngx_str_t *value);
static ngx_int_t ngx_http_graph_policy_api_fragment(ngx_str_t *value,
    ngx_http_graph_policy_filter_t *filter);
static void ngx_http_graph_policy_api_some(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter, uint64_t now,
    ngx_http_graph_policy_view_t *views, ngx_uint_t *n);
static ngx_uint_t ngx_http_graph_policy_api_fits(
    ngx_http_graph_policy_filter_t *filter,
    ngx_http_graph_policy_view_t *view);
static ngx_uint_t ngx_http_graph_policy_api_contains(
    ngx_http_graph_policy_filter_t *filter, u_char *text, size_t len);
static ngx_int_t ngx_http_graph_policy_api_after(ngx_str_t *text,
    ngx_http_graph_policy_cursor_t *cursor);


#define ngx_http_graph_policy_is(name, literal)                               \
    ngx_http_graph_policy_is_argument(name, literal, sizeof(literal) - 1)


const char *
ngx_http_graph_policy_api_filter(ngx_http_graph_policy_call_t *call,
    ngx_uint_t paged, ngx_http_graph_policy_filter_t *filter)
{
    u_char              *p;
    ngx_str_t            name, value;
    const char          *wrong;
    ngx_http_request_t  *r;

    ngx_memzero(filter, sizeof(ngx_http_graph_policy_filter_t));

    filter->scope = NGX_HTTP_GRAPH_POLICY_ANY;
    filter->category = NGX_HTTP_GRAPH_POLICY_ANY;
    filter->reason = NGX_HTTP_GRAPH_POLICY_ANY;
    filter->limit = NGX_HTTP_GRAPH_POLICY_LIMIT;

    r = call->request;
    p = r->args.data;

    while (ngx_http_graph_policy_next_argument(&p, &r->args, &name, &value)) {

        if (name.len == 0 && value.len == 0) {
            continue;
        }

        wrong = ngx_http_graph_policy_api_argument(&name, &value, paged,
                                                   filter);
        if (wrong != NULL) {
            return wrong;
        }
    }

    /*
     * Limits of conversations come after all other states, so the states are
     * skipped.
     */

    if (filter->category == NGX_HTTP_GRAPH_POLICY_CONTEXT
        && !filter->cursor.begun)
    {
        filter->cursor.tree = 1;
    }

    return NULL;
}


static const char *
ngx_http_graph_policy_api_argument(ngx_str_t *name, ngx_str_t *value,
    ngx_uint_t paged, ngx_http_graph_policy_filter_t *filter)
{
    ngx_int_t  n;

    if (ngx_http_graph_policy_is(name, "scope")) {
        filter->scope = ngx_http_graph_policy_api_word(
                                         ngx_http_graph_policy_scopes,
                                         NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST,
                                         value);

        return (filter->scope != NGX_HTTP_GRAPH_POLICY_ANY) ? NULL
               : "\"scope\" must be credential, account, phone, or "
                 "conversation";
    }

    if (ngx_http_graph_policy_is(name, "category")) {
        filter->category = ngx_http_graph_policy_api_word(
                                         ngx_http_graph_policy_categories,
                                         NGX_HTTP_GRAPH_POLICY_CONTEXT + 1,
                                         value);

        return (filter->category != NGX_HTTP_GRAPH_POLICY_ANY) ? NULL
               : "\"category\" must be fatal, temporary, or context-limited";
    }

    if (ngx_http_graph_policy_is(name, "reason")) {
        filter->reason = ngx_http_graph_policy_api_reason(value);

        return (filter->reason != NGX_HTTP_GRAPH_POLICY_ANY) ? NULL
               : "\"reason\" must be one of those that GET /rules lists";
    }

    /* A fragment may fit more than is meant, so nothing is cleared by one. */

    if (paged && ngx_http_graph_policy_is(name, "key")) {
        return (ngx_http_graph_policy_api_fragment(value, filter) == NGX_OK)
               ? NULL : "\"key\" must be 1 to 64 characters of A-Z, a-z, 0-9, "
                        "dot, underscore, and hyphen";
    }

    if (paged && ngx_http_graph_policy_is(name, "limit")) {
        n = ngx_atoi(value->data, value->len);

        filter->limit = n;

        return (n >= 1 && n <= NGX_HTTP_GRAPH_POLICY_MAX_LIMIT) ? NULL
               : "\"limit\" must be a number from 1 to 1000";
    }

    if (paged && ngx_http_graph_policy_is(name, "after")) {
        return (ngx_http_graph_policy_api_after(value, &filter->cursor)
                == NGX_OK)
               ? NULL : "\"after\" must be the \"next\" of another page";
    }

    /*
     * An unknown argument is an error: a mistyped filter must not select all
     * states.
     */

    return paged ? "the arguments must be scope, category, reason, key, "
                   "limit, or after"
                 : "the arguments must be scope, category, or reason";
}


static ngx_uint_t
ngx_http_graph_policy_api_word(ngx_str_t *words, ngx_uint_t n,
    ngx_str_t *value)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (ngx_http_graph_policy_is_argument(value, (char *) words[i].data,
                                              words[i].len))
        {
            return i;
        }
    }

    return NGX_HTTP_GRAPH_POLICY_ANY;
}


static ngx_uint_t
ngx_http_graph_policy_api_reason(ngx_str_t *value)
{
    ngx_str_t   *slug;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {
        slug = &ngx_http_graph_policy_reasons[i].slug;

        if (ngx_http_graph_policy_is_argument(value, (char *) slug->data,
                                              slug->len))
        {
            return i;
        }
    }

    return NGX_HTTP_GRAPH_POLICY_ANY;
}


static ngx_int_t
ngx_http_graph_policy_api_fragment(ngx_str_t *value,
    ngx_http_graph_policy_filter_t *filter)
{
    u_char      c, *p, *last;
    size_t      n;
    ngx_str_t  *fragment;
    ngx_uint_t  bits;

    fragment = &filter->fragment;
    fragment->data = filter->text;
    fragment->len = 0;

    p = value->data;
    last = p + value->len;

    while (p < last) {
        c = *p++;

        if (c == '%' && last - p >= 2) {
            c = (u_char) ngx_hextoi(p, 2);
            p += 2;
        }

        if (fragment->len == sizeof(filter->text)) {
            return NGX_ERROR;
        }

        fragment->data[fragment->len++] = ngx_tolower(c);
    }

    if (!ngx_http_graph_policy_is_account(fragment)) {
        return NGX_ERROR;
    }

    /* The hash is the first 16 digits of an id. */

    n = ngx_min(fragment->len, 16);

    filter->of_id =
        (fragment->len >= NGX_HTTP_GRAPH_POLICY_ID_START
         && fragment->len <= NGX_HTTP_GRAPH_POLICY_ID_LEN
         && ngx_http_graph_policy_api_hex(fragment->data, n, &filter->low)
            == NGX_OK);

    if (filter->of_id) {
        bits = 64 - 4 * n;
        filter->low <<= bits;
        filter->high = filter->low | (((uint64_t) 1 << bits) - 1);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_graph_policy_api_batch(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter, uint64_t now,
    ngx_http_graph_policy_view_t *views)
{
    ngx_uint_t  i, n, passed;

    passed = 0;

    ngx_http_graph_policy_api_some(zone, filter, now, views, &n);

    for (i = 0; i < n; i++) {

        if (!ngx_http_graph_policy_api_fits(filter, &views[i])) {
            continue;
        }

        if (passed != i) {
            views[passed] = views[i];
        }

        passed++;
    }

    return passed;
}


/*
 * Conversations are passed over if none of them can fit, or else up to the
 * first one whose id can; in both cases without looking at the others.
 */

static void
ngx_http_graph_policy_api_some(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter, uint64_t now,
    ngx_http_graph_policy_view_t *views, ngx_uint_t *n)
{
    ngx_http_graph_policy_cursor_t  *cursor;

    cursor = &filter->cursor;

    if (!cursor->tree) {
        *n = ngx_http_graph_policy_zone_list(zone, cursor, now, views);
        return;
    }

    if ((filter->scope != NGX_HTTP_GRAPH_POLICY_ANY
         && filter->scope != NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION)
        || (filter->category != NGX_HTTP_GRAPH_POLICY_ANY
            && filter->category != NGX_HTTP_GRAPH_POLICY_CONTEXT)
        || (filter->fragment.len != 0 && !filter->of_id))
    {
        cursor->done = 1;
        *n = 0;
        return;
    }

    if (filter->fragment.len != 0 && !cursor->begun && filter->low != 0) {
        cursor->begun = 1;
        cursor->hash = filter->low - 1;
    }

    *n = ngx_http_graph_policy_zone_list(zone, cursor, now, views);

    if (filter->fragment.len != 0 && cursor->hash > filter->high) {
        cursor->done = 1;
    }
}


static ngx_uint_t
ngx_http_graph_policy_api_fits(ngx_http_graph_policy_filter_t *filter,
    ngx_http_graph_policy_view_t *view)
{
    u_char  id[NGX_HTTP_GRAPH_POLICY_ID_LEN];
    u_char  credential[NGX_HTTP_GRAPH_POLICY_FP_LEN];

    if (filter->category != NGX_HTTP_GRAPH_POLICY_ANY
        && filter->category != view->category)
    {
        return 0;
    }

    if (filter->reason != NGX_HTTP_GRAPH_POLICY_ANY
        && filter->reason != view->reason)
    {
        return 0;
    }

    if (filter->scope != NGX_HTTP_GRAPH_POLICY_ANY
        && filter->scope != ngx_http_graph_policy_key_scopes[view->kind])
    {
        return 0;
    }

    if (filter->fragment.len == 0
        || ngx_http_graph_policy_api_contains(filter, view->key,
                                              view->key_len))
    {
        return 1;
    }

    if (view->credential != 0) {
        (void) ngx_sprintf(credential, "%016xL", view->credential);

        if (ngx_http_graph_policy_api_contains(filter, credential,
                                               sizeof(credential)))
        {
            return 1;
        }
    }

    if (!filter->of_id) {
        return 0;
    }

    (void) ngx_http_graph_policy_write_id(id, view);

    return ngx_memcmp(id, filter->fragment.data, filter->fragment.len) == 0;
}


static ngx_uint_t
ngx_http_graph_policy_api_contains(ngx_http_graph_policy_filter_t *filter,
    u_char *text, size_t len)
{
    size_t      i;
    ngx_str_t  *fragment;

    fragment = &filter->fragment;

    for (i = 0; i + fragment->len <= len; i++) {

        if (ngx_strncasecmp(text + i, fragment->data, fragment->len) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_graph_policy_api_after(ngx_str_t *text,
    ngx_http_graph_policy_cursor_t *cursor)
{
    u_char      flags;
    ngx_str_t   id;
    ngx_uint_t  reason;

    if (text->len != NGX_HTTP_GRAPH_POLICY_NEXT_LEN) {
        return NGX_ERROR;
    }

    id.data = text->data;
    id.len = NGX_HTTP_GRAPH_POLICY_ID_LEN;

    flags = text->data[NGX_HTTP_GRAPH_POLICY_ID_LEN];

    if (ngx_http_graph_policy_api_id(&id, &cursor->hash, &reason) != NGX_OK
        || flags < '1' || flags > '3')
    {
        return NGX_ERROR;
    }

    cursor->reason = (uint8_t) reason;
    cursor->begun = (flags - '0') & 1;
    cursor->tree = (flags - '0') >> 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_api_id(ngx_str_t *id, uint64_t *hash,
    ngx_uint_t *reason)
{
    uint64_t  value;

    if (id->len != NGX_HTTP_GRAPH_POLICY_ID_LEN
        || ngx_http_graph_policy_api_hex(id->data, 16, hash) != NGX_OK
        || ngx_http_graph_policy_api_hex(id->data + 16, 2, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *reason = (ngx_uint_t) value;

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_api_hex(u_char *p, size_t n, uint64_t *value)
{
    u_char  c, *last;

    *value = 0;

    for (last = p + n; p < last; p++) {
        c = *p;

        if (c >= '0' && c <= '9') {
            *value = (*value << 4) + (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            *value = (*value << 4) + (c - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
