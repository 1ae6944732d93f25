
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

static ngx_uint_t ngx_http_graph_policy_payload_take(
    ngx_http_graph_policy_payload_ctx_t *ctx);
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
    return NGX_HTTP_GRAPH_POLICY_PAYLOAD_GROWS * len
           + NGX_HTTP_GRAPH_POLICY_PAYLOAD_FIXED;
}


ngx_int_t
ngx_http_graph_policy_payload_read(u_char *body, size_t len, void *arena,
    void *memory, ngx_uint_t statuses,
    ngx_http_graph_policy_payload_t *payload)
{
    ngx_int_t                            rc;
    ngx_http_graph_policy_payload_ctx_t  ctx;

    ngx_memzero(payload, sizeof(ngx_http_graph_policy_payload_t));
    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_payload_ctx_t));

    ctx.payload = payload;
    ctx.entries = &payload->entries;
    ctx.pos = memory;
    ctx.end = ctx.pos + ngx_http_graph_policy_payload_memory(len);
    ctx.statuses = (statuses != 0);
    ctx.path[0] = NGX_HTTP_GRAPH_POLICY_WH_DOCUMENT;

    rc = ngx_http_graph_policy_yajl_run(
                                      &ngx_http_graph_policy_payload_callbacks,
                                      body, len, arena, &ctx);

    if (rc != NGX_OK || ctx.foreign) {
        ngx_memzero(payload, sizeof(ngx_http_graph_policy_payload_t));
    }

    return rc;
}


static int
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
    ngx_http_graph_policy_payload_text_t  string;

    string.data = text;
    string.len = len;
    string.number = 0;

    return ngx_http_graph_policy_payload_value(data, &string);
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

    ngx_http_graph_policy_node_t  *node;

    node = &ngx_http_graph_policy_shape[ctx->path[ctx->depth]];

    if (node->members != NULL) {
        ctx->member = ngx_http_graph_policy_shape_word(node->members, text,
                                                       len);
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

    ngx_http_graph_policy_payload_close(ctx, ctx->path[ctx->depth--]);

    return 1;
}


/* Each value comes here first; returns the node or scalar (wh_e) that it is. */

static ngx_uint_t
ngx_http_graph_policy_payload_take(ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_node_t  *node;

    node = &ngx_http_graph_policy_shape[ctx->path[ctx->depth]];

    return (node->members != NULL) ? ctx->member : node->element;
}


static int
ngx_http_graph_policy_payload_start(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t list)
{
    ngx_uint_t                             what;
    ngx_http_graph_policy_payload_text_t   none;

    what = ngx_http_graph_policy_payload_take(ctx);

    if (what >= NGX_HTTP_GRAPH_POLICY_WH_SCALARS) {
        ngx_memzero(&none, sizeof(ngx_http_graph_policy_payload_text_t));
        (void) ngx_http_graph_policy_payload_scalar(ctx, what, &none);

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

    ctx->path[++ctx->depth] = what;

    return ngx_http_graph_policy_payload_open(ctx, what) == NGX_OK;
}


static int
ngx_http_graph_policy_payload_value(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_payload_text_t *text)
{
    ngx_uint_t  what;

    what = ngx_http_graph_policy_payload_take(ctx);

    if (what < NGX_HTTP_GRAPH_POLICY_WH_SCALARS) {
        return what != NGX_HTTP_GRAPH_POLICY_WH_ROOT;
    }

    return ngx_http_graph_policy_payload_scalar(ctx, what, text) == NGX_OK;
}
