
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: reads the error object out of one complete body.  It is the
 * only room that knows yajl.
 *
 * It takes no lock and keeps nothing between two calls.  All memory, the
 * parser's included, is the caller's arena; what is left in it is rubbish.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>
#include "ngx_http_graph_policy_json.h"


/* the parser's own structures and its stack, which the depth keeps small */
#define NGX_HTTP_GRAPH_POLICY_JSON_FIXED   1024

/* what yajl's buffers start with */
#define NGX_HTTP_GRAPH_POLICY_JSON_BUFFER  2048

/* 2^53 - 1, up to which every JSON implementation counts alike */
#define NGX_HTTP_GRAPH_POLICY_JSON_MAX     0x1fffffffffffff


typedef enum {
    NGX_HTTP_GRAPH_POLICY_JSON_CODE = 0,
    NGX_HTTP_GRAPH_POLICY_JSON_SUBCODE,
    NGX_HTTP_GRAPH_POLICY_JSON_TRANSIENT,
    NGX_HTTP_GRAPH_POLICY_JSON_TRACE,
    NGX_HTTP_GRAPH_POLICY_JSON_ERROR,
    NGX_HTTP_GRAPH_POLICY_JSON_ERRORS,
    NGX_HTTP_GRAPH_POLICY_JSON_OTHER
} ngx_http_graph_policy_json_member_e;


typedef struct {
    u_char                         *pos;
    u_char                         *end;
    u_char                         *block;        /* the last one given */

    ngx_http_graph_policy_facts_t  *facts;        /* of the open object */
    ngx_http_graph_policy_facts_t  *error;        /* of "error" */
    ngx_http_graph_policy_facts_t   first;        /* of "errors" */

    ngx_uint_t                      depth;
    ngx_uint_t                      object;       /* depth of the open one */

    /* of a member that counts, until its value comes */
    ngx_uint_t                      member;

    unsigned                        has_error:1;
    unsigned                        has_first:1;
    unsigned                        in_errors:1;
} ngx_http_graph_policy_json_ctx_t;


static ngx_int_t ngx_http_graph_policy_json_run(
    ngx_http_graph_policy_json_ctx_t *ctx, u_char *body, size_t len);

static void *ngx_http_graph_policy_json_malloc(void *data, size_t size);
static void *ngx_http_graph_policy_json_realloc(void *data, void *p,
    size_t size);
static void ngx_http_graph_policy_json_free(void *data, void *p);

static int ngx_http_graph_policy_json_null(void *data);
static int ngx_http_graph_policy_json_boolean(void *data, int value);
static int ngx_http_graph_policy_json_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_json_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_json_start_map(void *data);
static int ngx_http_graph_policy_json_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_json_end_map(void *data);
static int ngx_http_graph_policy_json_start_array(void *data);
static int ngx_http_graph_policy_json_end_array(void *data);

static ngx_uint_t ngx_http_graph_policy_json_take(
    ngx_http_graph_policy_json_ctx_t *ctx);
static void ngx_http_graph_policy_json_code(
    ngx_http_graph_policy_facts_t *facts, ngx_uint_t member, int64_t value);
static void ngx_http_graph_policy_json_trace(
    ngx_http_graph_policy_facts_t *facts, const u_char *p, size_t len);
static int64_t ngx_http_graph_policy_json_integer(const u_char *p,
    const u_char *last);
static int64_t ngx_http_graph_policy_json_exponent(const u_char *p,
    const u_char *last);
static int64_t ngx_http_graph_policy_json_scale(int64_t value, int64_t power);
static int64_t ngx_http_graph_policy_json_digits(const u_char *p, size_t len);


/* a number callback, as the ones for integers and doubles fail on large ones */

static yajl_callbacks  ngx_http_graph_policy_json_callbacks = {
    ngx_http_graph_policy_json_null,
    ngx_http_graph_policy_json_boolean,
    NULL,
    NULL,
    ngx_http_graph_policy_json_number,
    ngx_http_graph_policy_json_string,
    ngx_http_graph_policy_json_start_map,
    ngx_http_graph_policy_json_map_key,
    ngx_http_graph_policy_json_end_map,
    ngx_http_graph_policy_json_start_array,
    ngx_http_graph_policy_json_end_array
};


/* in the order of ngx_http_graph_policy_json_member_e */

static ngx_str_t  ngx_http_graph_policy_json_members[] = {
    ngx_string("code"),
    ngx_string("error_subcode"),
    ngx_string("is_transient"),
    ngx_string("fbtrace_id"),
    ngx_string("error"),
    ngx_string("errors")
};


size_t
ngx_http_graph_policy_json_arena(size_t len)
{
    /*
     * yajl has two buffers: for the decoded text of a string, and for a token
     * that the end of the body cuts.  Each starts with BUFFER bytes and
     * doubles until it is longer than its n bytes of text, hence takes at
     * most BUFFER + 2n, and at most twice that together with all the smaller
     * blocks it had before.  Decoding never lengthens a text, and the two
     * texts are different parts of the body, so their n add up to len, and to
     * one more for the blank that yajl_complete_parse() appends.
     */

    return NGX_HTTP_GRAPH_POLICY_JSON_FIXED
           + 2 * (2 * NGX_HTTP_GRAPH_POLICY_JSON_BUFFER + 2 * (len + 1));
}


ngx_int_t
ngx_http_graph_policy_json_parse(u_char *body, size_t len, void *arena,
    ngx_http_graph_policy_facts_t *facts)
{
    ngx_int_t                         rc;
    ngx_http_graph_policy_json_ctx_t  ctx;

    ngx_memzero(facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_json_ctx_t));

    ctx.pos = arena;
    ctx.end = ctx.pos + ngx_http_graph_policy_json_arena(len);
    ctx.error = facts;
    ctx.member = NGX_HTTP_GRAPH_POLICY_JSON_OTHER;

    rc = ngx_http_graph_policy_json_run(&ctx, body, len);

    if (rc != NGX_OK) {
        ngx_memzero(facts, sizeof(ngx_http_graph_policy_facts_t));
        return rc;
    }

    if (!ctx.has_error && ctx.has_first) {
        *facts = ctx.first;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_json_run(ngx_http_graph_policy_json_ctx_t *ctx,
    u_char *body, size_t len)
{
    size_t            n;
    yajl_handle       handle;
    yajl_alloc_funcs  funcs;

    funcs.malloc = ngx_http_graph_policy_json_malloc;
    funcs.realloc = ngx_http_graph_policy_json_realloc;
    funcs.free = ngx_http_graph_policy_json_free;
    funcs.ctx = ctx;

    handle = yajl_alloc(&ngx_http_graph_policy_json_callbacks, &funcs, ctx);

    /*
     * What follows the document is checked here: yajl's own check lets a
     * string pass that has no end.
     */

    (void) yajl_config(handle, yajl_allow_trailing_garbage, 1);

    if (yajl_parse(handle, body, len) != yajl_status_ok) {
        return NGX_DECLINED;
    }

    n = yajl_get_bytes_consumed(handle);

    if (yajl_complete_parse(handle) != yajl_status_ok) {
        return NGX_DECLINED;
    }

    /* yajl_free() is left out, it would only return blocks to the arena */

    for ( /* void */ ; n < len; n++) {
        if (body[n] != ' ' && body[n] != LF && body[n] != CR
            && body[n] != '\t')
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_graph_policy_json_malloc(void *data, size_t size)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    size = ngx_align(size, NGX_ALIGNMENT);

    if (size > (size_t) (ctx->end - ctx->pos)) {
        return NULL;
    }

    ctx->block = ctx->pos;
    ctx->pos += size;

    return ctx->block;
}


static void *
ngx_http_graph_policy_json_realloc(void *data, void *p, size_t size)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    u_char  *old;
    size_t   n;

    old = p;

    if (old != NULL && old == ctx->block) {
        ctx->pos = old;
        return ngx_http_graph_policy_json_malloc(data, size);
    }

    /* sizes aren't kept: more than the block may be copied, but it is there */

    n = (old != NULL) ? ngx_min(size, (size_t) (ctx->pos - old)) : 0;

    p = ngx_http_graph_policy_json_malloc(data, size);

    if (p != NULL && n != 0) {
        ngx_memcpy(p, old, n);
    }

    return p;
}


static void
ngx_http_graph_policy_json_free(void *data, void *p)
{
    /* the arena goes as a whole */
}


static int
ngx_http_graph_policy_json_null(void *data)
{
    (void) ngx_http_graph_policy_json_take(data);

    return 1;
}


static int
ngx_http_graph_policy_json_boolean(void *data, int value)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    if (ngx_http_graph_policy_json_take(ctx)
        == NGX_HTTP_GRAPH_POLICY_JSON_TRANSIENT)
    {
        ctx->facts->transient = (value != 0);
    }

    return 1;
}


static int
ngx_http_graph_policy_json_number(void *data, const char *text, size_t len)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    int64_t        value;
    ngx_uint_t     member;
    const u_char  *p;

    member = ngx_http_graph_policy_json_take(ctx);

    if (member <= NGX_HTTP_GRAPH_POLICY_JSON_SUBCODE) {
        p = (const u_char *) text;
        value = ngx_http_graph_policy_json_integer(p, p + len);
        ngx_http_graph_policy_json_code(ctx->facts, member, value);
    }

    return 1;
}


static int
ngx_http_graph_policy_json_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    int64_t     value;
    ngx_uint_t  member;

    member = ngx_http_graph_policy_json_take(ctx);

    if (member <= NGX_HTTP_GRAPH_POLICY_JSON_SUBCODE) {
        value = ngx_http_graph_policy_json_digits(text, len);
        ngx_http_graph_policy_json_code(ctx->facts, member, value);

    } else if (member == NGX_HTTP_GRAPH_POLICY_JSON_TRACE) {
        ngx_http_graph_policy_json_trace(ctx->facts, text, len);
    }

    return 1;
}


static int
ngx_http_graph_policy_json_start_map(void *data)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    ngx_uint_t  member;

    member = ngx_http_graph_policy_json_take(ctx);

    if (++ctx->depth > NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
        return 0;
    }

    if (member == NGX_HTTP_GRAPH_POLICY_JSON_ERROR) {
        ctx->has_error = 1;
        ctx->facts = ctx->error;
        ctx->object = ctx->depth;

    } else if (ctx->in_errors && ctx->depth == 3 && !ctx->has_first) {
        ctx->has_first = 1;
        ctx->facts = &ctx->first;
        ctx->object = ctx->depth;
    }

    return 1;
}


static int
ngx_http_graph_policy_json_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    ngx_str_t   *name;
    ngx_uint_t   i, end;

    if (ctx->depth == ctx->object) {
        i = NGX_HTTP_GRAPH_POLICY_JSON_CODE;
        end = NGX_HTTP_GRAPH_POLICY_JSON_ERROR;

    } else if (ctx->depth == 1) {
        i = NGX_HTTP_GRAPH_POLICY_JSON_ERROR;
        end = NGX_HTTP_GRAPH_POLICY_JSON_OTHER;

    } else {
        return 1;
    }

    name = ngx_http_graph_policy_json_members;

    for ( /* void */ ; i < end; i++) {
        if (len == name[i].len && ngx_memcmp(text, name[i].data, len) == 0) {
            ctx->member = i;
            break;
        }
    }

    return 1;
}


static int
ngx_http_graph_policy_json_end_map(void *data)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    if (ctx->depth == ctx->object) {
        ctx->object = 0;
    }

    ctx->depth--;

    return 1;
}


static int
ngx_http_graph_policy_json_start_array(void *data)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    if (ngx_http_graph_policy_json_take(ctx)
        == NGX_HTTP_GRAPH_POLICY_JSON_ERRORS)
    {
        ctx->in_errors = 1;
    }

    return ++ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_json_end_array(void *data)
{
    ngx_http_graph_policy_json_ctx_t *ctx = data;

    if (--ctx->depth == 1) {
        ctx->in_errors = 0;
    }

    return 1;
}


/*
 * Every value comes here first.  Returns the member it belongs to, rid of
 * what an earlier value said: of members with the same name the last counts.
 */

static ngx_uint_t
ngx_http_graph_policy_json_take(ngx_http_graph_policy_json_ctx_t *ctx)
{
    ngx_uint_t  member;

    member = ctx->member;
    ctx->member = NGX_HTTP_GRAPH_POLICY_JSON_OTHER;

    switch (member) {

    case NGX_HTTP_GRAPH_POLICY_JSON_CODE:
        ctx->facts->has_code = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_JSON_SUBCODE:
        ctx->facts->has_subcode = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_JSON_TRANSIENT:
        ctx->facts->transient = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_JSON_TRACE:
        ctx->facts->trace_len = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_JSON_ERROR:
        ngx_memzero(ctx->error, sizeof(ngx_http_graph_policy_facts_t));
        ctx->has_error = 0;
        break;

    case NGX_HTTP_GRAPH_POLICY_JSON_ERRORS:
        ngx_memzero(&ctx->first, sizeof(ngx_http_graph_policy_facts_t));
        ctx->has_first = 0;
        break;

    default: /* NGX_HTTP_GRAPH_POLICY_JSON_OTHER */
        break;
    }

    return member;
}


static void
ngx_http_graph_policy_json_code(ngx_http_graph_policy_facts_t *facts,
    ngx_uint_t member, int64_t value)
{
    if (value < 0) {
        return;
    }

    if (member == NGX_HTTP_GRAPH_POLICY_JSON_CODE) {
        facts->code = value;
        facts->has_code = 1;

    } else {
        facts->subcode = value;
        facts->has_subcode = 1;
    }
}


static void
ngx_http_graph_policy_json_trace(ngx_http_graph_policy_facts_t *facts,
    const u_char *p, size_t len)
{
    u_char  c;
    size_t  i;

    if (len > NGX_HTTP_GRAPH_POLICY_TRACE_LEN) {
        return;
    }

    for (i = 0; i < len; i++) {
        c = p[i];

        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z')
            && (c < 'a' || c > 'z') && c != '_' && c != '-')
        {
            return;
        }

        facts->trace[i] = c;
    }

    facts->trace_len = len;
}


/*
 * The value of a JSON number, or -1 if it is negative, not whole or too
 * large.  strtod() would depend on the locale and on a NUL behind the text.
 */

static int64_t
ngx_http_graph_policy_json_integer(const u_char *p, const u_char *last)
{
    int64_t     value, power, zeros;
    ngx_uint_t  point;

    if (*p == '-') {
        return -1;
    }

    value = 0;
    power = 0;
    zeros = 0;
    point = 0;

    for ( /* void */ ; p < last && *p != 'e' && *p != 'E'; p++) {

        if (*p == '.') {
            point = 1;
            continue;
        }

        /* zeros that nothing follows must not make the value overflow */

        zeros++;

        if (point) {
            power--;
        }

        if (*p != '0') {
            value = ngx_http_graph_policy_json_scale(value, zeros);

            if (value < 0) {
                return -1;
            }

            value += *p - '0';
            zeros = 0;
        }
    }

    if (p < last) {
        power += ngx_http_graph_policy_json_exponent(p + 1, last);
    }

    return ngx_http_graph_policy_json_scale(value, power + zeros);
}


static int64_t
ngx_http_graph_policy_json_exponent(const u_char *p, const u_char *last)
{
    int64_t     value;
    ngx_uint_t  minus;

    minus = (*p == '-');

    if (*p == '-' || *p == '+') {
        p++;
    }

    /* no body is as long as the number of digits this stops at */

    for (value = 0; p < last && value < NGX_HTTP_GRAPH_POLICY_JSON_MAX; p++) {
        value = value * 10 + (*p - '0');
    }

    return minus ? -value : value;
}


/* value * 10^power, or -1 if that isn't whole or above the maximum */

static int64_t
ngx_http_graph_policy_json_scale(int64_t value, int64_t power)
{
    if (value == 0) {
        return 0;
    }

    /* the last digit of the value is never zero */

    if (power < 0) {
        return -1;
    }

    for ( /* void */ ; power > 0; power--) {

        if (value > NGX_HTTP_GRAPH_POLICY_JSON_MAX / 10) {
            return -1;
        }

        value *= 10;
    }

    return (value <= NGX_HTTP_GRAPH_POLICY_JSON_MAX) ? value : -1;
}


/* a code that came as a string */

static int64_t
ngx_http_graph_policy_json_digits(const u_char *p, size_t len)
{
    int64_t        value;
    const u_char  *last;

    if (len == 0 || len > NGX_INT64_LEN - 1) {
        return -1;
    }

    value = 0;

    for (last = p + len; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return -1;
        }

        if (value > (INT64_MAX - (*p - '0')) / 10) {
            return -1;
        }

        value = value * 10 + (*p - '0');
    }

    return value;
}
