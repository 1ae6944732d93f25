
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
#include "ngx_http_graph_policy_eight.h"
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


static int ngx_http_graph_policy_payload_null(void *data);
static int ngx_http_graph_policy_payload_boolean(void *data, int value);
static int ngx_http_graph_policy_payload_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_payload_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_payload_start_map(void *data);
static int ngx_http_graph_policy_payload_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_payload_start_array(void *data);
static int ngx_http_graph_policy_payload_end(void *data);

static ngx_http_graph_policy_payload_noinline int
    ngx_http_graph_policy_payload_search(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_word_t *words, const u_char *text, size_t len);
static int ngx_http_graph_policy_payload_value(
    ngx_http_graph_policy_payload_ctx_t *ctx, const void *text, size_t len,
    ngx_uint_t number);
static ngx_http_graph_policy_payload_noinline int
    ngx_http_graph_policy_payload_pass_over(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static ngx_inline int ngx_http_graph_policy_payload_start(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t list);
static ngx_inline int ngx_http_graph_policy_payload_push(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t what);
static ngx_inline void ngx_http_graph_policy_payload_enter(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_node_t *node);


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
    ngx_memzero(ctx, offsetof(ngx_http_graph_policy_payload_ctx_t, text));

    ctx->payload = payload;
    ctx->entries = &payload->entries;
    ctx->pos = (u_char *) reader
               + sizeof(ngx_http_graph_policy_payload_reader_t);
    ctx->end = (u_char *) reader + ngx_http_graph_policy_payload_memory(len);
    ctx->statuses = (statuses != 0);
    ctx->top = ctx->outer;
    ctx->callbacks = ngx_http_graph_policy_payload_callbacks;

    ngx_http_graph_policy_payload_enter(ctx,
             &ngx_http_graph_policy_shape[NGX_HTTP_GRAPH_POLICY_WH_DOCUMENT]);

    reader->begun = ngx_http_graph_policy_yajl_begin(&reader->yajl,
                                                     &ctx->callbacks, body, len,
                                                     arena, size, ctx);
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


static int
ngx_http_graph_policy_payload_null(void *data)
{
    return ngx_http_graph_policy_payload_value(data, NULL, 0, 0);
}


static int
ngx_http_graph_policy_payload_boolean(void *data, int value)
{
    return ngx_http_graph_policy_payload_null(data);
}


static int
ngx_http_graph_policy_payload_number(void *data, const char *text, size_t len)
{
    return ngx_http_graph_policy_payload_value(data, text, len, 1);
}


static int
ngx_http_graph_policy_payload_string(void *data, const unsigned char *text,
    size_t len)
{
    return ngx_http_graph_policy_payload_value(data, text, len, 0);
}


static int
ngx_http_graph_policy_payload_start_map(void *data)
{
    return ngx_http_graph_policy_payload_start(data, 0);
}


/*
 * yajl looks into the table of callbacks with each token, and decodes a string
 * only if there is one for it.  Most strings are of nobody's interest.
 */

static int
ngx_http_graph_policy_payload_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_payload_ctx_t *ctx = data;

    ngx_uint_t                     i;
    ngx_http_graph_policy_word_t  *word;

    i = (len != 0) ? ctx->node->index[ngx_http_graph_policy_place(text, len)]
                   : 0;

    if (i == 0) {
        ctx->next = NGX_HTTP_GRAPH_POLICY_WH_NONE;
        ctx->callbacks.yajl_string = NULL;

        return 1;
    }

    word = &ctx->node->members[i - 1];

    if (word->name.len == len
        && ngx_http_graph_policy_same(word->name.data, text, len))
    {
        ctx->next = word->value;
        ctx->callbacks.yajl_string = ngx_http_graph_policy_payload_string;

        return 1;
    }

    return ngx_http_graph_policy_payload_search(ctx, word + 1, text, len);
}


/* Two names of one place are rare. */

static ngx_http_graph_policy_payload_noinline int
ngx_http_graph_policy_payload_search(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_word_t *words, const u_char *text, size_t len)
{
    ctx->next = ngx_http_graph_policy_shape_word(words, text, len);
    ctx->callbacks.yajl_string = (ctx->next != NGX_HTTP_GRAPH_POLICY_WH_NONE)
                                 ? ngx_http_graph_policy_payload_string : NULL;

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

    ngx_http_graph_policy_node_t  *closed, *none;

    closed = ctx->node;

    ngx_http_graph_policy_payload_enter(ctx, *--ctx->top);

    if (closed->record) {
        return ngx_http_graph_policy_payload_close(ctx,
                                         closed - ngx_http_graph_policy_shape);
    }

    none = &ngx_http_graph_policy_shape[NGX_HTTP_GRAPH_POLICY_WH_NONE];

    if (closed == none && ctx->node != none) {
        ctx->callbacks.yajl_map_key = ngx_http_graph_policy_payload_map_key;
    }

    return 1;
}


static int
ngx_http_graph_policy_payload_value(ngx_http_graph_policy_payload_ctx_t *ctx,
    const void *text, size_t len, ngx_uint_t number)
{
    ngx_uint_t  what;

    what = ctx->next;

    if (what < NGX_HTTP_GRAPH_POLICY_WH_SCALARS) {
        return what != NGX_HTTP_GRAPH_POLICY_WH_ROOT;
    }

    ctx->text.data = text;
    ctx->text.len = len;
    ctx->text.number = number;

    return ngx_http_graph_policy_payload_scalar(ctx, what);
}


static ngx_inline int
ngx_http_graph_policy_payload_start(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t list)
{
    ngx_uint_t  what, fits;

    what = ctx->next;

    fits = (what < NGX_HTTP_GRAPH_POLICY_WH_SCALARS)
           && (list ? ngx_http_graph_policy_shape[what].element
                      != NGX_HTTP_GRAPH_POLICY_WH_NONE
                    : ngx_http_graph_policy_shape[what].members != NULL);

    return fits ? ngx_http_graph_policy_payload_push(ctx, what)
                : ngx_http_graph_policy_payload_pass_over(ctx);
}


/* Nothing is asked for in a list or an object that isn't expected here. */

static ngx_http_graph_policy_payload_noinline int
ngx_http_graph_policy_payload_pass_over(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    if (ctx->next >= NGX_HTTP_GRAPH_POLICY_WH_SCALARS) {
        (void) ngx_http_graph_policy_payload_null(ctx);

    } else if (ctx->next == NGX_HTTP_GRAPH_POLICY_WH_ROOT) {
        return 0;
    }

    ctx->callbacks.yajl_string = NULL;
    ctx->callbacks.yajl_map_key = NULL;

    return ngx_http_graph_policy_payload_push(ctx,
                                              NGX_HTTP_GRAPH_POLICY_WH_NONE);
}


static ngx_inline int
ngx_http_graph_policy_payload_push(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t what)
{
    if (ctx->top == ctx->outer + NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
        return 0;
    }

    *ctx->top++ = ctx->node;

    ngx_http_graph_policy_payload_enter(ctx,
                                        &ngx_http_graph_policy_shape[what]);

    return ctx->node->record ? ngx_http_graph_policy_payload_open(ctx, what)
                             : 1;
}


/* The values of a list are all alike, those of an object go by their names. */

static ngx_inline void
ngx_http_graph_policy_payload_enter(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_node_t *node)
{
    ctx->node = node;
    ctx->next = node->element;
}
