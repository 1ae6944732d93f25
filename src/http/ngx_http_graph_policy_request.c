
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tells the endpoint of a request, and the phone and account that it is for.
 *
 * No lock is taken; of shared memory only the zone's key is read.  Strings
 * belong to the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_zone.h"


static ngx_uint_t ngx_http_graph_policy_messages_of(ngx_http_request_t *r,
    ngx_str_t *phone);
static void ngx_http_graph_policy_path(ngx_http_request_t *r,
    ngx_str_t *object, ngx_str_t *edge);
static ngx_uint_t ngx_http_graph_policy_overridden(ngx_http_request_t *r,
    ngx_array_t *sends);
static ngx_uint_t ngx_http_graph_policy_never_paused(ngx_http_request_t *r);
static void ngx_http_graph_policy_account_key(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account);


/* The values of graph_policy_send are being evaluated. */
static ngx_uint_t  ngx_http_graph_policy_asks_sends;


#define ngx_http_graph_policy_is(s, literal)                                  \
    ((s)->len == sizeof(literal) - 1                                          \
     && ngx_memcmp((s)->data, literal, sizeof(literal) - 1) == 0)


void
ngx_http_graph_policy_endpoint_of(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint)
{
    ngx_str_t  edge;

    endpoint->send = 0;
    endpoint->read = 0;
    endpoint->messages = 0;
    endpoint->registration = 0;

    if (glcf->sends == NULL
        && ngx_http_graph_policy_messages_of(r, &endpoint->phone))
    {
        endpoint->kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
        endpoint->send = 1;
        endpoint->messages = 1;
        return;
    }

    ngx_http_graph_policy_path(r, &endpoint->phone, &edge);

    if (glcf->sends != NULL) {

        if (ngx_http_graph_policy_overridden(r, glcf->sends)) {
            endpoint->kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
            endpoint->send = 1;
            endpoint->messages = 1;
            return;
        }

    } else if (r->method == NGX_HTTP_POST && endpoint->phone.len != 0) {

        if (ngx_http_graph_policy_is(&edge, "marketing_messages")) {
            endpoint->kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
            endpoint->send = 1;
            return;
        }

        if (ngx_http_graph_policy_is(&edge, "media")
            || ngx_http_graph_policy_is(&edge, "messages_encrypted"))
        {
            endpoint->kind = NGX_HTTP_GRAPH_POLICY_SEND;
            endpoint->send = 1;
            return;
        }
    }

    if (r->method == NGX_HTTP_POST) {
        endpoint->registration = ngx_http_graph_policy_is(&edge, "register");
        return;
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)
        && glcf->pause == NGX_HTTP_GRAPH_POLICY_PAUSE_ALL
        && !ngx_http_graph_policy_never_paused(r))
    {
        endpoint->kind = NGX_HTTP_GRAPH_POLICY_READ;
        endpoint->read = 1;
    }
}


/*
 * Nearly every request is a POST of ".../{digits}/messages", which is known
 * without splitting the path.
 */

static ngx_uint_t
ngx_http_graph_policy_messages_of(ngx_http_request_t *r, ngx_str_t *phone)
{
    u_char  *p, *last, *start;

    if (r->method != NGX_HTTP_POST
        || !ngx_http_graph_policy_ends_with(&r->uri, "/messages"))
    {
        return 0;
    }

    start = r->uri.data;
    last = start + r->uri.len - (sizeof("/messages") - 1);

    for (p = last; p > start && p[-1] >= '0' && p[-1] <= '9'; p--) {
        /* void */
    }

    if (p == last || p == start || p[-1] != '/'
        || last - p > NGX_HTTP_GRAPH_POLICY_PHONE_LEN)
    {
        return 0;
    }

    phone->data = p;
    phone->len = last - p;

    return 1;
}


/*
 * Splits off the last two segments of the path, ".../{object}/{edge}", or a
 * single one, ".../{object}".
 */

static void
ngx_http_graph_policy_path(ngx_http_request_t *r, ngx_str_t *object,
    ngx_str_t *edge)
{
    u_char  *p, *start;

    start = r->uri.data;
    p = start + r->uri.len;

    while (p > start && p[-1] != '/') {
        p--;
    }

    edge->data = p;
    edge->len = start + r->uri.len - p;

    if (ngx_http_graph_policy_is_phone(edge)) {
        *object = *edge;
        ngx_str_null(edge);
        return;
    }

    ngx_str_null(object);

    if (p == start) {
        return;
    }

    edge->data = p--;
    object->data = p;

    while (object->data > start && object->data[-1] >= '0'
           && object->data[-1] <= '9')
    {
        object->data--;
    }

    if (object->data > start && object->data[-1] == '/'
        && p - object->data <= NGX_HTTP_GRAPH_POLICY_PHONE_LEN)
    {
        object->len = p - object->data;
    }
}


ngx_uint_t
ngx_http_graph_policy_is_phone(ngx_str_t *text)
{
    u_char  *p, *last;

    if (text->len == 0 || text->len > NGX_HTTP_GRAPH_POLICY_PHONE_LEN) {
        return 0;
    }

    p = text->data;
    last = p + text->len;

    do {
        if (*p < '0' || *p > '9') {
            return 0;
        }
    } while (++p < last);

    return 1;
}


static ngx_uint_t
ngx_http_graph_policy_overridden(ngx_http_request_t *r, ngx_array_t *sends)
{
    ngx_str_t                  value;
    ngx_uint_t                 i, send;
    ngx_http_complex_value_t  *cv;

    cv = sends->elts;
    send = 0;

    ngx_http_graph_policy_asks_sends = 1;

    for (i = 0; i < sends->nelts && !send; i++) {

        send = (ngx_http_graph_policy_value(r, &cv[i], &value) == NGX_OK
                && value.len != 0
                && (value.len != 1 || value.data[0] != '0'));
    }

    ngx_http_graph_policy_asks_sends = 0;

    return send;
}


ngx_uint_t
ngx_http_graph_policy_is_asking_sends(void)
{
    return ngx_http_graph_policy_asks_sends;
}


/*
 * Endpoints that people need to get a state cleared stay reachable while it is
 * in force.
 */

static ngx_uint_t
ngx_http_graph_policy_never_paused(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t   segment;

    p = r->uri.data;
    last = p + r->uri.len;

    while (p < last) {

        segment.data = ++p;

        while (p < last && *p != '/') {
            p++;
        }

        segment.len = p - segment.data;

        if (ngx_http_graph_policy_is(&segment, "register")
            || ngx_http_graph_policy_is(&segment, "deregister")
            || ngx_http_graph_policy_is(&segment, "settings")
            || ngx_http_graph_policy_is(&segment, "message_templates")
            || ngx_http_graph_policy_is(&segment, "subscribed_apps")
            || ngx_http_graph_policy_is(&segment, "debug_token")
            || ngx_http_graph_policy_is(&segment, "oauth"))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * nginx marks these as it parses the request line, and doesn't copy the marks
 * to subrequests, which have the target of their main request.
 */

ngx_uint_t
ngx_http_graph_policy_is_plain_target(ngx_http_request_t *r)
{
    return !r->main->complex_uri && !r->main->quoted_uri;
}


void
ngx_http_graph_policy_identify(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_endpoint_t *endpoint)
{
    u_char                            *p;
    ngx_str_t                          name, value;
    ngx_http_graph_policy_identity_t  *id;

    if (ctx->identified) {
        return;
    }

    /*
     * The flag is set first, as the values may refer to the module's own
     * variables, which call this function.
     */

    ctx->identified = 1;

    id = &ctx->query.identity;
    id->phone = endpoint->phone;

    if (endpoint->read) {
        p = r->args.data;

        while (ngx_http_graph_policy_next_argument(&p, &r->args, &name,
                                                   &value))
        {
            if (ngx_http_graph_policy_is(&name, "phone_number_id")) {
                id->phone = value;
            }
        }
    }

    if (glcf->phone != NULL
        && ngx_http_graph_policy_value(r, glcf->phone, &value) == NGX_OK
        && value.len != 0)
    {
        id->phone = value;
    }

    if (id->phone.data != endpoint->phone.data
        && !ngx_http_graph_policy_is_phone(&id->phone))
    {
        ngx_str_null(&id->phone);
    }

    if (glcf->account != NULL
        && ngx_http_graph_policy_value(r, glcf->account, &id->account)
           == NGX_OK
        && id->account.len != 0)
    {
        ngx_http_graph_policy_account_key(r, glcf->zone, &id->account);
    }
}


/*
 * An account's name that isn't fit for logs and headers is replaced by its
 * fingerprint.
 */

static void
ngx_http_graph_policy_account_key(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account)
{
    u_char    *p;
    uint64_t   fp;

    if (ngx_http_graph_policy_is_account(account)) {
        return;
    }

    fp = ngx_http_graph_policy_zone_fingerprint(zone, account);

    p = ngx_pnalloc(r->pool, NGX_HTTP_GRAPH_POLICY_FP_LEN);
    if (p == NULL) {
        ngx_str_null(account);
        return;
    }

    account->data = p;
    account->len = ngx_sprintf(p, "%016xL", fp) - p;
}


ngx_uint_t
ngx_http_graph_policy_is_account(ngx_str_t *text)
{
    u_char  c, *p, *last;

    if (text->len == 0 || text->len > NGX_HTTP_GRAPH_POLICY_KEY_LEN) {
        return 0;
    }

    p = text->data;

    for (last = p + text->len; p < last; p++) {
        c = *p;

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_graph_policy_is_json(ngx_http_request_t *r)
{
    size_t      len;
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;
    len = sizeof("application/json") - 1;

    /*
     * Nearly all clients spell it like this, so the exact bytes are compared
     * first.
     */

    return type->len >= len
           && (ngx_memcmp(type->data, "application/json", len) == 0
               || ngx_strncasecmp(type->data, (u_char *) "application/json",
                                  len)
                  == 0)
           && (type->len == len || type->data[len] == ';'
               || type->data[len] == ' ' || type->data[len] == '\t');
}
