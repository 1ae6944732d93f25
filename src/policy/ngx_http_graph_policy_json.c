
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * Reads the error object out of one complete body.  The file is pure: it takes
 * no lock; the result is the caller's, and all else lies in the caller's
 * arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_yajl.h"


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
    ngx_http_graph_policy_facts_t  *facts;        /* in this object */
    ngx_http_graph_policy_facts_t  *error;        /* in "error" */
    ngx_http_graph_policy_facts_t   first;        /* in "errors" */

    ngx_uint_t                      depth;
    ngx_uint_t                      object;       /* depth of the open one */

    /*
     * The member whose value comes next; JSON_OTHER if its value isn't wanted.
     */
    ngx_uint_t                      member;

    unsigned                        has_error:1;
    unsigned                        has_first:1;
    unsigned                        in_errors:1;

    /*
     * Those that yajl is to call for the next token.  It looks into the table
     * each time, and decodes a string only if there is one for it; most texts
     * are of no interest here.
     */
    yajl_callbacks                  callbacks;
} ngx_http_graph_policy_json_ctx_t;


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


/*
 * A number callback gets every number as text: with yajl's integer and double
 * callbacks the parser fails on large ones.
 */

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


/* In the order of ngx_http_graph_policy_json_member_e. */

static ngx_str_t  ngx_http_graph_policy_json_members[] = {
    ngx_string("code"),
    ngx_string("error_subcode"),
    ngx_string("is_transient"),
    ngx_string("fbtrace_id"),
    ngx_string("error"),
    ngx_string("errors")
};


ngx_int_t
ngx_http_graph_policy_json_parse(u_char *body, size_t len, void *arena,
    ngx_http_graph_policy_facts_t *facts)
{
    ngx_int_t                         rc;
    ngx_http_graph_policy_json_ctx_t  ctx;

    ngx_memzero(facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(&ctx, offsetof(ngx_http_graph_policy_json_ctx_t, callbacks));

    ctx.error = facts;
    ctx.member = NGX_HTTP_GRAPH_POLICY_JSON_OTHER;
    ctx.callbacks = ngx_http_graph_policy_json_callbacks;

    rc = ngx_http_graph_policy_yajl_run(&ctx.callbacks, body, len, arena,
                                        &ctx);

    if (rc != NGX_OK) {
        ngx_memzero(facts, sizeof(ngx_http_graph_policy_facts_t));
        return rc;
    }

    if (!ctx.has_error && ctx.has_first) {
        *facts = ctx.first;
    }

    return NGX_OK;
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
        value = ngx_http_graph_policy_yajl_integer(p, p + len);
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
        value = ngx_http_graph_policy_yajl_digits(text, len);
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

    ctx->callbacks.yajl_string = NULL;

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

    /* The names differ in length, so one of them is compared at most. */

    while (i < end && name[i].len != len) {
        i++;
    }

    if (i < end && ngx_memcmp(text, name[i].data, len) == 0) {
        ctx->member = i;
        ctx->callbacks.yajl_string = ngx_http_graph_policy_json_string;
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
 * Every value comes here first.  Returns the member that it belongs to, and
 * clears what an earlier value of that member has set: of members with the
 * same name the last counts.
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
    u_char  all;
    size_t  i;

    /* An id may have digits, letters, "_" and "-", and nothing else. */

    static const u_char  usual[256] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
        0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1,
        0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0
    };

    if (len > NGX_HTTP_GRAPH_POLICY_TRACE_LEN) {
        return;
    }

    all = 1;

    for (i = 0; i < len; i++) {
        all &= usual[p[i]];
    }

    if (!all) {
        return;
    }

    ngx_memcpy(facts->trace, p, len);
    facts->trace_len = len;
}
