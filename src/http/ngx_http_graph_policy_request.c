
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Who is asking, and for what: send or not, credential, account, phone.
 *
 * Lock rule: none, shared memory isn't touched but for the zone's key.
 * Memory: strings belong to the request's pool.  A credential leaves this
 * room only as a fingerprint.
 */


#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_request.h"


/* bytes of a message's body that is read for its recipient */
#define NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE  65536


static void ngx_http_graph_policy_path(ngx_http_request_t *r,
    ngx_str_t *object, ngx_str_t *edge);
static ngx_uint_t ngx_http_graph_policy_overridden(ngx_http_request_t *r,
    ngx_array_t *sends);
static ngx_uint_t ngx_http_graph_policy_never_paused(ngx_http_request_t *r);
static ngx_uint_t ngx_http_graph_policy_digits(ngx_str_t *text);
static ngx_int_t ngx_http_graph_policy_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, ngx_str_t *value);
static void ngx_http_graph_policy_account_key(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account);
static ngx_uint_t ngx_http_graph_policy_header_credential(
    ngx_http_request_t *r, ngx_http_graph_policy_zone_t *zone,
    uint64_t *credential);
static ngx_uint_t ngx_http_graph_policy_argument_credential(
    ngx_http_request_t *r, ngx_http_graph_policy_zone_t *zone,
    uint64_t *credential);
static ngx_uint_t ngx_http_graph_policy_same_credential(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *token,
    uint64_t *credential);
static void ngx_http_graph_policy_bearer(ngx_str_t *value, ngx_str_t *token);
static ngx_uint_t ngx_http_graph_policy_next_argument(u_char **p, u_char *last,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_http_graph_policy_is_argument(ngx_str_t *name,
    const char *expected, size_t len);
static ngx_int_t ngx_http_graph_policy_narrow(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_uint_t ngx_http_graph_policy_next_coding(u_char **p, u_char *last,
    ngx_str_t *coding);
static ngx_uint_t ngx_http_graph_policy_inspectable(ngx_str_t *coding);


#define ngx_http_graph_policy_is(s, literal)                                  \
    ((s)->len == sizeof(literal) - 1                                          \
     && ngx_strncmp((s)->data, literal, sizeof(literal) - 1) == 0)


void
ngx_http_graph_policy_target_of(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_target_t *target)
{
    ngx_str_t  edge;

    ngx_memzero(target, sizeof(ngx_http_graph_policy_target_t));

    ngx_http_graph_policy_path(r, &target->phone, &edge);

    if (glcf->sends != NULL) {

        if (ngx_http_graph_policy_overridden(r, glcf->sends)) {
            target->kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
            target->send = 1;
            target->messages = 1;
            return;
        }

    } else if (r->method == NGX_HTTP_POST && target->phone.len != 0) {

        if (ngx_http_graph_policy_is(&edge, "messages")) {
            target->kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
            target->send = 1;
            target->messages = 1;
            return;
        }

        if (ngx_http_graph_policy_is(&edge, "marketing_messages")) {
            target->kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
            target->send = 1;
            return;
        }

        if (ngx_http_graph_policy_is(&edge, "media")
            || ngx_http_graph_policy_is(&edge, "messages_encrypted"))
        {
            target->kind = NGX_HTTP_GRAPH_POLICY_SEND;
            target->send = 1;
            return;
        }
    }

    if (r->method == NGX_HTTP_POST) {
        target->registration = ngx_http_graph_policy_is(&edge, "register");
        return;
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)
        && glcf->pause == NGX_HTTP_GRAPH_POLICY_PAUSE_ALL
        && !ngx_http_graph_policy_never_paused(r))
    {
        target->kind = NGX_HTTP_GRAPH_POLICY_READ;
        target->read = 1;
    }
}


/* ".../{object}/{edge}", or ".../{object}" where that is the end */

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

    if (ngx_http_graph_policy_digits(edge)) {
        *object = *edge;
        ngx_str_null(edge);
        return;
    }

    ngx_str_null(object);

    if (p == start) {
        return;
    }

    object->data = --p;

    while (object->data > start && object->data[-1] != '/') {
        object->data--;
    }

    object->len = p - object->data;

    if (object->data == start || !ngx_http_graph_policy_digits(object)) {
        ngx_str_null(object);
    }
}


static ngx_uint_t
ngx_http_graph_policy_digits(ngx_str_t *text)
{
    size_t  i;

    if (text->len == 0 || text->len > NGX_HTTP_GRAPH_POLICY_PHONE_LEN) {
        return 0;
    }

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_graph_policy_overridden(ngx_http_request_t *r, ngx_array_t *sends)
{
    ngx_str_t                  value;
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    cv = sends->elts;

    for (i = 0; i < sends->nelts; i++) {

        if (ngx_http_graph_policy_value(r, &cv[i], &value) == NGX_OK
            && value.len != 0
            && (value.len != 1 || value.data[0] != '0'))
        {
            return 1;
        }
    }

    return 0;
}


/* what one needs to cure a state is reachable while it lasts */

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


void
ngx_http_graph_policy_identify(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_target_t *target)
{
    u_char                            *p;
    ngx_str_t                          name, value;
    ngx_http_graph_policy_identity_t  *id;

    if (ctx->identified) {
        return;
    }

    /* first, as the values may refer to our own variables */

    ctx->identified = 1;

    id = &ctx->identity;
    id->phone = target->phone;

    if (target->read && r->args.len != 0) {
        p = r->args.data;

        while (ngx_http_graph_policy_next_argument(&p, r->args.data
                                                       + r->args.len,
                                                   &name, &value))
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

    if (!ngx_http_graph_policy_digits(&id->phone)) {
        ngx_str_null(&id->phone);
    }

    if (id->phone.len != 0) {
        id->phone_hash = ngx_http_graph_policy_zone_fingerprint(glcf->zone,
                                                                &id->phone);
    }

    if (glcf->account != NULL
        && ngx_http_graph_policy_value(r, glcf->account, &id->account)
           == NGX_OK
        && id->account.len != 0)
    {
        ngx_http_graph_policy_account_key(r, glcf->zone, &id->account);
        id->account_hash = ngx_http_graph_policy_zone_fingerprint(glcf->zone,
                                                                &id->account);
    }
}


static ngx_int_t
ngx_http_graph_policy_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, ngx_str_t *value)
{
    if (ngx_http_complex_value(r, cv, value) != NGX_OK) {
        ngx_str_null(value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a name that can't be shown as it is stands for itself as a fingerprint */

static void
ngx_http_graph_policy_account_key(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account)
{
    u_char     c, *p;
    size_t     i;
    uint64_t   fp;

    for (i = 0; i < account->len; i++) {
        c = account->data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-'))
        {
            break;
        }
    }

    if (i == account->len && i <= NGX_HTTP_GRAPH_POLICY_KEY_LEN) {
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


void
ngx_http_graph_policy_identify_credential(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_http_graph_policy_ctx_t *ctx)
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
        ctx->identity.credential =
                      ngx_http_graph_policy_zone_fingerprint(glcf->zone,
                                                             &value);
        return;
    }

    credential = 0;

    if (ngx_http_graph_policy_header_credential(r, glcf->zone, &credential)
        && ngx_http_graph_policy_argument_credential(r, glcf->zone,
                                                     &credential))
    {
        ctx->identity.credential = credential;
    }
}


/* these return 0 if two credentials differ */

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

    /* some versions let a second one pass on to the upstream */

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 1;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != sizeof("authorization") - 1
            || ngx_strncmp(h[i].lowcase_key, "authorization",
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

    if (value->len > sizeof("Bearer ") - 1
        && ngx_strncasecmp(value->data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           == 0)
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

    while (ngx_http_graph_policy_next_argument(&p, r->args.data + r->args.len,
                                               &name, &value))
    {
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


void
ngx_http_graph_policy_identify_conversation(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf, ngx_http_graph_policy_ctx_t *ctx)
{
    u_char                              *body, *p, *arena;
    size_t                               size, need;
    ngx_str_t                            key;
    ngx_chain_t                         *cl;
    ngx_http_graph_policy_recipient_t    recipient;

    if (ctx->conversed || r->request_body == NULL
        || !ngx_http_graph_policy_is_message_body(r))
    {
        return;
    }

    ctx->conversed = 1;

    if (ctx->identity.phone.len == 0) {
        return;
    }

    size = 0;

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {

        if (cl->buf->in_file || cl->buf->temp_file) {
            return;
        }

        size += cl->buf->last - cl->buf->pos;
    }

    if (size == 0 || size > NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE) {
        return;
    }

    need = ngx_http_graph_policy_json_arena(size);

    arena = ngx_alloc(need + size, r->connection->log);
    if (arena == NULL) {
        return;
    }

    body = arena + need;
    p = body;

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    if (ngx_http_graph_policy_message_recipient(body, size, arena, &recipient)
        == NGX_OK
        && recipient.len != 0)
    {
        key.data = arena;
        key.len = ngx_sprintf(arena, "%V:%*s", &ctx->identity.phone,
                              recipient.len, recipient.data)
                  - arena;

        ctx->identity.conversation =
                     ngx_http_graph_policy_zone_fingerprint(glcf->zone, &key);
    }

    ngx_memzero(&recipient, sizeof(ngx_http_graph_policy_recipient_t));
    ngx_free(arena);
}


ngx_uint_t
ngx_http_graph_policy_is_message_body(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL
        || r->headers_in.content_length_n <= 0
        || r->headers_in.content_length_n > NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE)
    {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len >= sizeof("application/json") - 1
           && ngx_strncasecmp(type->data, (u_char *) "application/json",
                              sizeof("application/json") - 1)
              == 0;
}


static ngx_uint_t
ngx_http_graph_policy_next_argument(u_char **p, u_char *last, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *c;

    c = *p;

    if (c >= last) {
        return 0;
    }

    name->data = c;

    while (c < last && *c != '&' && *c != '=') {
        c++;
    }

    name->len = c - name->data;

    if (c < last && *c == '=') {
        c++;
    }

    value->data = c;

    while (c < last && *c != '&') {
        c++;
    }

    value->len = c - value->data;

    *p = c + 1;

    return 1;
}


/* the upstream decodes names, so an escaped one counts as well */

static ngx_uint_t
ngx_http_graph_policy_is_argument(ngx_str_t *name, const char *expected,
    size_t len)
{
    u_char   c, *p, *last;
    size_t   i;

    p = name->data;
    last = p + name->len;

    for (i = 0; i < len; i++) {

        if (p == last) {
            return 0;
        }

        c = *p++;

        if (c == '%' && last - p >= 2) {
            c = (u_char) ngx_hextoi(p, 2);
            p += 2;
        }

        if (c != (u_char) expected[i]) {
            return 0;
        }
    }

    return p == last;
}


ngx_int_t
ngx_http_graph_policy_narrow_encoding(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("accept-encoding") - 1
            && ngx_strncmp(h[i].lowcase_key, "accept-encoding",
                           sizeof("accept-encoding") - 1)
               == 0
            && ngx_http_graph_policy_narrow(r, &h[i].value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}


/* keeps what can be inspected; never adds what the client didn't offer */

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

    /* the value may lie in HTTP/2's static table, so it isn't written to */

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


ngx_int_t
ngx_http_graph_policy_mask_request(ngx_http_request_t *r, ngx_str_t *masked)
{
    u_char     *p, *q, *last, *line;
    ngx_str_t   name, value;

    line = r->request_line.data;
    last = line + r->request_line.len;

    p = ngx_strlchr(line, last, '?');

    if (p == NULL) {
        *masked = r->request_line;
        return NGX_OK;
    }

    /* a masked value may be longer, but its name is longer than the mask */

    masked->data = ngx_pnalloc(r->pool, 2 * r->request_line.len);
    if (masked->data == NULL) {
        return NGX_ERROR;
    }

    p++;

    q = ngx_cpymem(masked->data, line, p - line);

    /* the protocol follows the last space; HTTP/0.9 has none */

    while (last > p && last[-1] != ' ') {
        last--;
    }

    last = (last > p) ? last - 1 : line + r->request_line.len;

    while (ngx_http_graph_policy_next_argument(&p, last, &name, &value)) {

        q = ngx_cpymem(q, name.data, value.data - name.data);

        if (ngx_http_graph_policy_is_argument(&name, "access_token",
                                              sizeof("access_token") - 1)
            || ngx_http_graph_policy_is_argument(&name, "appsecret_proof",
                                                sizeof("appsecret_proof") - 1))
        {
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
