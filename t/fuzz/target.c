
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a request line, behind a byte that says how the
 * location is configured.  What follows the first newline is the request as
 * nginx wrote it for the upstream.  Endpoint, phone, plainness, the masked line
 * and idempotence are compared with readings of their own.
 */


#include "http/nginx.h"
#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_request.h"


#define check(expr)  if (!(expr)) abort()

#define MERGE_SLASHES  0x01
#define PAUSE_ALL      0x02
#define PHONE          0x04
#define PREFACE        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


typedef ngx_http_graph_policy_endpoint_t  endpoint_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
is(const u_char *p, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(p, word, len) == 0;
}


static int
is_one_of(const u_char *p, size_t len, const char *const *words)
{
    for ( /* void */ ; *words != NULL; words++) {
        if (is(p, len, *words)) {
            return 1;
        }
    }

    return 0;
}


static int
is_id(const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }
    }

    return len >= 1 && len <= 20;
}


/* whether a name, unescaped, is one of the words; a broken escape is in none */

static int
is_named(const u_char *p, size_t len, const char *const *words)
{
    u_char   name[64];
    ssize_t  n;

    if (len > 3 * sizeof(name)) {
        return 0;
    }

    n = unescape(p, len, name, sizeof(name));

    return n != -1 && is_one_of(name, (size_t) n, words);
}


/* the next argument of a query: its name, and its value with the "=" */

static int
argument(const u_char **p, const u_char *last, ngx_str_t *name,
    ngx_str_t *value)
{
    const u_char  *end, *sign;

    if (*p >= last) {
        return 0;
    }

    end = memchr(*p, '&', last - *p);
    end = (end != NULL) ? end : last;

    sign = memchr(*p, '=', end - *p);
    sign = (sign != NULL) ? sign : end;

    name->data = (u_char *) *p;
    name->len = sign - *p;
    value->data = (u_char *) sign;
    value->len = end - sign;

    *p = end + 1;

    return 1;
}


/* the segments of the path one by one, and what they make of the request */

static void
read_endpoint(ngx_http_request_t *r, int pause_all, endpoint_t *e)
{
    int            reachable;
    ngx_str_t      edge, object, segment;
    const u_char  *p, *last;

    static const char *const  sends[] = { "messages", "marketing_messages",
        "messages_encrypted", "media", NULL };
    static const char *const  always[] = { "register", "deregister",
        "settings", "message_templates", "subscribed_apps", "debug_token",
        "oauth", NULL };

    memset(e, 0, sizeof(endpoint_t));
    ngx_str_null(&edge);
    ngx_str_null(&object);

    p = r->uri.data;
    last = p + r->uri.len;
    reachable = 0;

    while (p < last) {
        p++;
        segment.data = (u_char *) p;

        while (p < last && *p != '/') {
            p++;
        }

        segment.len = p - segment.data;
        reachable |= is_one_of(segment.data, segment.len, always);

        object = edge;
        edge = segment;
    }

    if (is_id(edge.data, edge.len)) {
        e->phone = edge;
        ngx_str_null(&edge);

    } else if (is_id(object.data, object.len)) {
        e->phone = object;
    }

    if (r->method == NGX_HTTP_POST) {
        e->send = (e->phone.len != 0
                   && is_one_of(edge.data, edge.len, sends));
        e->messages = (e->send && is(edge.data, edge.len, "messages"));
        e->registration = is(edge.data, edge.len, "register");

        e->kind = (e->messages
                   || is(edge.data, edge.len, "marketing_messages"))
                  ? NGX_HTTP_GRAPH_POLICY_MESSAGE
                  : NGX_HTTP_GRAPH_POLICY_SEND;
        return;
    }

    e->read = ((r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) && pause_all
               && !reachable);
    e->kind = NGX_HTTP_GRAPH_POLICY_READ;
}


static void
check_endpoint(ngx_http_request_t *r, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_str_t                     name, value;
    endpoint_t                    e, own;
    const u_char                 *p;
    ngx_http_graph_policy_ctx_t   ctx;

    memset(&e, 0xa5, sizeof(endpoint_t));
    ngx_http_graph_policy_endpoint_of(r, glcf, &e);
    read_endpoint(r, glcf->pause == NGX_HTTP_GRAPH_POLICY_PAUSE_ALL, &own);

    check(e.send == own.send && e.read == own.read);
    check(e.messages == own.messages && e.registration == own.registration);
    check((!e.send && !e.read) || e.kind == own.kind);
    check(e.phone.len == own.phone.len);
    check(e.phone.len == 0 || e.phone.data == own.phone.data);

    memset(&ctx, 0, sizeof(ctx));
    ngx_http_graph_policy_identify(r, &ctx, glcf, &e);

    /* the configured phone first, then the argument of a read, then the path */

    p = r->args.data;

    while (own.read && r->args.len != 0
           && argument(&p, r->args.data + r->args.len, &name, &value))
    {
        if (is(name.data, name.len, "phone_number_id")) {
            own.phone.data = value.data + (value.len != 0);
            own.phone.len = value.len - (value.len != 0);
        }
    }

    if (glcf->phone != NULL && glcf->phone->value.len != 0) {
        own.phone = glcf->phone->value;
    }

    if (!is_id(own.phone.data, own.phone.len)) {
        own.phone.len = 0;
    }

    check(ctx.query.identity.phone.len == own.phone.len);
    check(own.phone.len == 0
          || memcmp(ctx.query.identity.phone.data, own.phone.data,
                    own.phone.len) == 0);

    check(ctx.query.identity.account.len != 0
          && ngx_http_graph_policy_is_account(&ctx.query.identity.account));
}


/* a plain target has the path that nginx goes by, byte for byte */

static void
check_plain(ngx_http_request_t *r)
{
    int        plain, judged;
    char      *path;
    size_t     len;
    u_char    *end;

    end = memchr(r->unparsed_uri.data, '?', r->unparsed_uri.len);
    len = (end != NULL) ? (size_t) (end - r->unparsed_uri.data)
                        : r->unparsed_uri.len;

    path = malloc(len + 2);
    check(path != NULL);
    memcpy(path, r->unparsed_uri.data, len);
    path[len] = '\0';

    plain = (memchr(r->unparsed_uri.data, '#', r->unparsed_uri.len) == NULL
             && (path[0] == '/' || len == 0) && strchr(path, '%') == NULL
             && strstr(path, "//") == NULL && strstr(path, "/.") == NULL);

    judged = (ngx_http_graph_policy_is_plain_target(r) != 0);

    /* nginx is stricter behind a plus, which no target of Graph has */

    check(judged ? plain : !plain || strstr(path, "/+") != NULL);

    check(!plain || len == 0
          || (r->uri.len == len && memcmp(r->uri.data, path, len) == 0));

    free(path);
}


/* the line with each value that is secret replaced, and nothing else */

static void
check_masked(ngx_http_request_t *r)
{
    u_char        *own, *q;
    ngx_str_t      line, masked, name, value;
    const u_char  *p, *last;

    static const char *const  secrets[] = { "access_token", "appsecret_proof",
        "hub.verify_token", "input_token", "client_secret",
        "fb_exchange_token", NULL };

    line = r->request_line;

    check(ngx_http_graph_policy_mask_request(r, &masked) == NGX_OK);

    p = memchr(line.data, '?', line.len);

    if (p == NULL) {
        check(masked.len == line.len
              && memcmp(masked.data, line.data, line.len) == 0);
        return;
    }

    p++;
    own = malloc(4 * line.len);
    check(own != NULL);

    memcpy(own, line.data, p - line.data);
    q = own + (p - line.data);

    /* without a protocol all the rest is the query */

    last = memrchr(p, ' ', line.data + line.len - p);
    last = (last != NULL) ? last : line.data + line.len;

    while (argument(&p, last, &name, &value)) {
        memcpy(q, name.data, name.len);
        q += name.len;

        if (value.len > 1 && is_named(name.data, name.len, secrets)) {
            memcpy(q, "=***", 4);
            q += 4;

        } else {
            memcpy(q, value.data, value.len);
            q += value.len;
        }

        if (p <= last) {
            *q++ = '&';
        }
    }

    memcpy(q, last, line.data + line.len - last);
    q += line.data + line.len - last;

    check(masked.len == (size_t) (q - own)
          && memcmp(masked.data, own, masked.len) == 0);

    free(own);
}


static int
has_method(const u_char *p, const u_char *last)
{
    ngx_str_t  name, value;

    static const char *const  method[] = { "method", NULL };

    while (argument(&p, last, &name, &value)) {
        if (is_named(name.data, name.len, method)) {
            return 1;
        }
    }

    return 0;
}


/* may it be carried out twice? */

static void
check_idempotent(ngx_http_request_t *r, ngx_http_graph_policy_loc_conf_t *glcf,
    const uint8_t *sent, size_t len)
{
    int                   safe;
    ngx_buf_t             b;
    ngx_chain_t           cl;
    const u_char         *uri, *end, *args;
    ngx_http_upstream_t  *u;

    static const char *const  methods[] = { "GET", "HEAD", "PUT", "DELETE",
        "OPTIONS", "TRACE", NULL };

    memset(&b, 0, sizeof(ngx_buf_t));
    b.start = copy_text(r, sent, len);
    b.last = b.start + len;
    b.pos = b.last;

    cl.buf = &b;
    cl.next = NULL;

    u = malloc(sizeof(ngx_http_upstream_t));
    check(u != NULL);
    memset(u, 0, sizeof(ngx_http_upstream_t));
    r->upstream = u;

    check(!ngx_http_graph_policy_is_idempotent(r, glcf));

    u->request_bufs = &cl;
    safe = (ngx_http_graph_policy_is_idempotent(r, glcf) != 0);

    r->upstream = NULL;
    free(u);

    if (!safe || (len > sizeof(PREFACE) - 1
                  && memcmp(sent, PREFACE, sizeof(PREFACE) - 1) == 0))
    {
        return;
    }

    /* no other one may be sent twice */

    check(r->method != NGX_HTTP_POST && r->method != NGX_HTTP_PATCH);
    check(r->args.len == 0
          || !has_method(r->args.data, r->args.data + r->args.len));

    uri = memchr(sent, ' ', len);
    check(uri != NULL && is_one_of(sent, uri - sent, methods));

    uri++;
    end = memchr(uri, ' ', sent + len - uri);
    check(end != NULL);

    args = memchr(uri, '?', end - uri);
    check(args == NULL || !has_method(args + 1, end));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                             len;
    uint8_t                           *line;
    const uint8_t                     *sent;
    ngx_http_request_t                *r;
    ngx_http_complex_value_t           phone, account;
    ngx_http_graph_policy_loc_conf_t   glcf;

    if (size < 2) {
        return 0;
    }

    sent = memchr(data + 1, '\n', size - 1);
    len = (sent != NULL) ? (size_t) (sent - data) - 1 : size - 1;

    line = malloc(len + 2);
    check(line != NULL);
    memcpy(line, data + 1, len);
    memcpy(line + len, "\r\n", 2);

    r = begin_request(line, len + 2, data[0] & MERGE_SLASHES);

    if (r == NULL) {
        free(line);
        return 0;
    }

    memset(&phone, 0, sizeof(phone));
    memset(&account, 0, sizeof(account));
    memset(&glcf, 0, sizeof(glcf));

    account.value.data = line;
    account.value.len = len;
    glcf.account = &account;

    if (data[0] & PAUSE_ALL) {
        glcf.pause = NGX_HTTP_GRAPH_POLICY_PAUSE_ALL;
    }

    if (data[0] & PHONE) {
        phone.value = r->args;
        glcf.phone = &phone;
    }

    check_endpoint(r, &glcf);
    check_plain(r);
    check_masked(r);
    check_idempotent(r, &glcf, line, len + 2);

    if (sent != NULL) {
        check_idempotent(r, &glcf, sent + 1, data + size - sent - 1);
    }

    end_request();
    free(line);

    return 0;
}
