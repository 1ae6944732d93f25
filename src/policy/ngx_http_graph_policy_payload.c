
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * This file reads the payload of a webhook into a tree of records.
 *
 * Pure: no lock; the tree is in the caller's memory, all else in its arena.
 *
 * The way from the document to the open value is a stack of nodes, see
 * ngx_http_graph_policy_shape[].  As members come in any order, a scalar goes
 * to the open record (entry, change, item, contact, error) as it comes;
 * decisions that need several scalars are taken when the record is closed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_payload_shape.h"
#include "ngx_http_graph_policy_yajl.h"


/*
 * A record is larger than the shortest text that makes one.  The tree grows
 * fastest, by 104 bytes for 11 of the payload, with messages {"from":1}, and a
 * little slower with further lists of errors in a value, each of which is an
 * item: 128 bytes for the 14 of "errors":[{}].  Records for which {} is enough
 * would make it grow faster, so they are merged, see payload_close().
 */
#define NGX_HTTP_GRAPH_POLICY_PAYLOAD_GROWS  10

/* bytes of the records that are open, and of those that others merge with */
#define NGX_HTTP_GRAPH_POLICY_PAYLOAD_FIXED  4096


struct ngx_http_graph_policy_payload_reader_s {
    ngx_http_graph_policy_yajl_t         yajl;
    ngx_http_graph_policy_payload_ctx_t  ctx;
    ngx_int_t                            begun;     /* what begin() came to */
};


static void ngx_http_graph_policy_payload_start_reading(
    ngx_http_graph_policy_payload_reader_t *reader, u_char *body, size_t len,
    void *arena, size_t size, ngx_uint_t statuses);


/*
 * These aren't inlined, because their callers, which each value comes to, would
 * then check the stack.
 */

#if defined(__GNUC__)
#define ngx_http_graph_policy_payload_noinline  __attribute__((noinline))
#else
#define ngx_http_graph_policy_payload_noinline
#endif


static ngx_http_graph_policy_payload_noinline int
    ngx_http_graph_policy_payload_null(void *data);
static int ngx_http_graph_policy_payload_boolean(void *data, int value);
static int ngx_http_graph_policy_payload_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_payload_string(void *data,
    const unsigned char *text, size_t len);
static ngx_http_graph_policy_payload_noinline int
    ngx_http_graph_policy_payload_text(
    ngx_http_graph_policy_payload_ctx_t *ctx, const u_char *text, size_t len);
static int ngx_http_graph_policy_payload_start_map(void *data);
static int ngx_http_graph_policy_payload_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_payload_start_array(void *data);
static int ngx_http_graph_policy_payload_end(void *data);

static void ngx_http_graph_policy_payload_enter(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t depth);
static int ngx_http_graph_policy_payload_start(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t list);
static int ngx_http_graph_policy_payload_value(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_payload_text_t *text);


/*
 * With a number callback yajl hands over the digits; its callbacks for integers
 * and doubles would refuse the whole payload for one number that is too large.
 */

static yajl_callbacks  ngx_http_graph_policy_payload_callbacks = {
    ngx_http_graph_policy_payload_null,
    ngx_http_graph_policy_payload_boolean,
    NULL,
    NULL,
    ngx_http_graph_policy_payload_number,
    ngx_http_graph_policy_payload_string,
    ngx_http_graph_policy_payload_start_map,
    ngx_http_graph_policy_payload_map_key,
    ngx_http_graph_policy_payload_end,
    ngx_http_graph_policy_payload_start_array,
    ngx_http_graph_policy_payload_end
};


size_t
ngx_http_graph_policy_payload_memory(size_t len)
{
    return sizeof(ngx_http_graph_policy_payload_reader_t)
           + NGX_HTTP_GRAPH_POLICY_PAYLOAD_GROWS * len
           + NGX_HTTP_GRAPH_POLICY_PAYLOAD_FIXED;
}


size_t
ngx_http_graph_policy_payload_arena(size_t len)
{
    return ngx_http_graph_policy_json_arena_in_steps(len);
}


ngx_int_t
ngx_http_graph_policy_payload_read(u_char *body, size_t len, void *arena,
    void *memory, ngx_uint_t statuses,
    ngx_http_graph_policy_payload_t *payload)
{
    ngx_http_graph_policy_payload_reader_t  *reader;

    reader = memory;
    reader->ctx.payload = payload;

    ngx_http_graph_policy_payload_start_reading(reader, body, len, arena,
                                       ngx_http_graph_policy_json_arena(len),
                                                statuses);

    return ngx_http_graph_policy_payload_step(reader, len);
}


ngx_http_graph_policy_payload_reader_t *
ngx_http_graph_policy_payload_begin(u_char *body, size_t len, void *arena,
    void *memory, ngx_uint_t statuses,
    ngx_http_graph_policy_payload_t *payload)
{
    ngx_http_graph_policy_payload_reader_t  *reader;

    reader = memory;
    reader->ctx.payload = payload;

    ngx_http_graph_policy_payload_start_reading(reader, body, len, arena,
                                    ngx_http_graph_policy_payload_arena(len),
                                                statuses);

    return reader;
}


static void
ngx_http_graph_policy_payload_start_reading(
    ngx_http_graph_policy_payload_reader_t *reader, u_char *body, size_t len,
    void *arena, size_t size, ngx_uint_t statuses)
{
    ngx_http_graph_policy_payload_t      *payload;
    ngx_http_graph_policy_payload_ctx_t  *ctx;

    ngx_http_graph_policy_shape_init();

    ctx = &reader->ctx;
    payload = ctx->payload;

    ngx_memzero(payload, sizeof(ngx_http_graph_policy_payload_t));
    ngx_memzero(ctx, offsetof(ngx_http_graph_policy_payload_ctx_t, path));

    ctx->payload = payload;
    ctx->entries = &payload->entries;
    ctx->pos = (u_char *) reader
               + sizeof(ngx_http_graph_policy_payload_reader_t);
    ctx->end = (u_char *) reader + ngx_http_graph_policy_payload_memory(len);
    ctx->statuses = (statuses != 0);
    ctx->path[0] = NGX_HTTP_GRAPH_POLICY_WH_DOCUMENT;

    ngx_http_graph_policy_payload_enter(ctx, 0);

    reader->begun = ngx_http_graph_policy_yajl_begin(&reader->yajl,
                                      &ngx_http_graph_policy_payload_callbacks,
                                                     body, len, arena, size,
                                                     ctx);
}


ngx_int_t
ngx_http_graph_policy_payload_step(
    ngx_http_graph_policy_payload_reader_t *reader, size_t n)
{
    ngx_int_t  rc;

    rc = reader->begun;

    if (rc == NGX_OK) {
        rc = ngx_http_graph_policy_yajl_step(&reader->yajl, n);
    }

    if (rc == NGX_DECLINED || (rc == NGX_OK && reader->ctx.foreign)) {
        ngx_memzero(reader->ctx.payload,
                    sizeof(ngx_http_graph_policy_payload_t));
    }

    return rc;
}


static ngx_http_graph_policy_payload_noinline int
ngx_http_graph_policy_payload_null(void *data)
{
    ngx_http_graph_policy_payload_text_t  text;

    ngx_memzero(&text, sizeof(ngx_http_graph_policy_payload_text_t));

    return ngx_http_graph_policy_payload_value(data, &text);
}


static int
ngx_http_graph_policy_payload_boolean(void *data, int value)
{
    return ngx_http_graph_policy_payload_null(data);
}


static int
ngx_http_graph_policy_payload_number(void *data, const char *text, size_t len)
{
    ngx_http_graph_policy_payload_text_t  number;

    number.data = (const u_char *) text;
    number.len = len;
    number.number = 1;

    return ngx_http_graph_policy_payload_value(data, &number);
}


static int
ngx_http_graph_policy_payload_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_payload_ctx_t *ctx = data;

    /* Most strings are of nobody's interest. */

    return (ctx->next == NGX_HTTP_GRAPH_POLICY_WH_NONE)
           ? 1 : ngx_http_graph_policy_payload_text(ctx, text, len);
}


static ngx_http_graph_policy_payload_noinline int
ngx_http_graph_policy_payload_text(ngx_http_graph_policy_payload_ctx_t *ctx,
    const u_char *text, size_t len)
{
    ngx_http_graph_policy_payload_text_t  string;

    string.data = text;
    string.len = len;
    string.number = 0;

    return ngx_http_graph_policy_payload_value(ctx, &string);
}


static int
ngx_http_graph_policy_payload_start_map(void *data)
{
    return ngx_http_graph_policy_payload_start(data, 0);
}


static int
ngx_http_graph_policy_payload_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_payload_ctx_t *ctx = data;

    if (ctx->node->members != NULL) {
        ctx->next = ngx_http_graph_policy_shape_member(ctx->node, text, len);
    }

    return 1;
}


static int
ngx_http_graph_policy_payload_start_array(void *data)
{
    return ngx_http_graph_policy_payload_start(data, 1);
}


static int
ngx_http_graph_policy_payload_end(void *data)
{
    ngx_http_graph_policy_payload_ctx_t *ctx = data;

    ngx_uint_t  closed;

    closed = ctx->path[ctx->depth];

    ngx_http_graph_policy_payload_enter(ctx, ctx->depth - 1);
    ngx_http_graph_policy_payload_close(ctx, closed);

    return 1;
}


/* The values of a list are all alike, those of an object go by their names. */

static void
ngx_http_graph_policy_payload_enter(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t depth)
{
    ctx->depth = depth;
    ctx->node = &ngx_http_graph_policy_shape[ctx->path[depth]];
    ctx->next = ctx->node->element;
}


static int
ngx_http_graph_policy_payload_start(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t list)
{
    ngx_uint_t  what;

    what = ctx->next;

    if (what >= NGX_HTTP_GRAPH_POLICY_WH_SCALARS) {
        (void) ngx_http_graph_policy_payload_null(ctx);
        what = NGX_HTTP_GRAPH_POLICY_WH_NONE;

    } else if (list != (ngx_http_graph_policy_shape[what].members == NULL)) {

        if (what == NGX_HTTP_GRAPH_POLICY_WH_ROOT) {
            return 0;
        }

        what = NGX_HTTP_GRAPH_POLICY_WH_NONE;
    }

    if (ctx->depth == NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
        return 0;
    }

    ctx->path[ctx->depth + 1] = what;
    ngx_http_graph_policy_payload_enter(ctx, ctx->depth + 1);

    return ngx_http_graph_policy_payload_open(ctx, what) == NGX_OK;
}


static int
ngx_http_graph_policy_payload_value(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_payload_text_t *text)
{
    ngx_uint_t  what;

    what = ctx->next;

    if (what < NGX_HTTP_GRAPH_POLICY_WH_SCALARS) {
        return what != NGX_HTTP_GRAPH_POLICY_WH_ROOT;
    }

    return ngx_http_graph_policy_payload_scalar(ctx, what, text) == NGX_OK;
}
