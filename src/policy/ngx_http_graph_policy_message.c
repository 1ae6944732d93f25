
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The JSON room: reads to whom a message goes.
 *
 * Pure: no lock; the recipient is the caller's, all else is its arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_yajl.h"


typedef struct {
    ngx_http_graph_policy_recipient_t   to;
    ngx_http_graph_policy_recipient_t   recipient;

    /* where the value of the last key goes, NULL if it doesn't count */
    ngx_http_graph_policy_recipient_t  *member;

    ngx_uint_t                          depth;
    unsigned                            in_object:1;
} ngx_http_graph_policy_message_ctx_t;


static int ngx_http_graph_policy_message_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_message_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_message_start_map(void *data);
static int ngx_http_graph_policy_message_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_message_end(void *data);
static int ngx_http_graph_policy_message_start_array(void *data);
static void ngx_http_graph_policy_message_fold(
    ngx_http_graph_policy_recipient_t *recipient);
static void ngx_http_graph_policy_message_drop(
    ngx_http_graph_policy_recipient_t *recipient, size_t position);


static yajl_callbacks  ngx_http_graph_policy_message_callbacks = {
    NULL,
    NULL,
    NULL,
    NULL,
    ngx_http_graph_policy_message_number,
    ngx_http_graph_policy_message_string,
    ngx_http_graph_policy_message_start_map,
    ngx_http_graph_policy_message_map_key,
    ngx_http_graph_policy_message_end,
    ngx_http_graph_policy_message_start_array,
    ngx_http_graph_policy_message_end
};


ngx_int_t
ngx_http_graph_policy_message_recipient(u_char *body, size_t len, void *arena,
    ngx_http_graph_policy_recipient_t *recipient)
{
    ngx_http_graph_policy_message_ctx_t  ctx;

    recipient->len = 0;

    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_message_ctx_t));

    if (ngx_http_graph_policy_yajl_run(
                                      &ngx_http_graph_policy_message_callbacks,
                                      body, len, arena, &ctx)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *recipient = (ctx.to.len != 0) ? ctx.to : ctx.recipient;

    ngx_http_graph_policy_message_fold(recipient);

    return NGX_OK;
}


static int
ngx_http_graph_policy_message_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    if (ctx->member == NULL || ctx->depth != 1 || !ctx->in_object) {
        return 1;
    }

    ctx->member->len = 0;

    if (len <= NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN) {
        ngx_memcpy(ctx->member->data, text, len);
        ctx->member->len = len;
    }

    ctx->member = NULL;

    return 1;
}


static int
ngx_http_graph_policy_message_number(void *data, const char *text, size_t len)
{
    return ngx_http_graph_policy_message_string(data,
                                                (const unsigned char *) text,
                                                len);
}


static int
ngx_http_graph_policy_message_start_map(void *data)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ctx->member = NULL;

    if (ctx->depth++ == 0) {
        ctx->in_object = 1;
    }

    return ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_message_start_array(void *data)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ctx->member = NULL;
    ctx->depth++;

    return ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_message_end(void *data)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ctx->depth--;

    return 1;
}


static int
ngx_http_graph_policy_message_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ctx->member = NULL;

    if (ctx->depth != 1) {
        return 1;
    }

    if (len == 2 && ngx_memcmp(text, "to", 2) == 0) {
        ctx->member = &ctx->to;
        ctx->to.len = 0;

    } else if (len == 9 && ngx_memcmp(text, "recipient", 9) == 0) {
        ctx->member = &ctx->recipient;
        ctx->recipient.len = 0;
    }

    return 1;
}


static void
ngx_http_graph_policy_message_fold(
    ngx_http_graph_policy_recipient_t *recipient)
{
    u_char  c, *p;
    size_t  i, len;

    p = recipient->data;
    len = 0;

    for (i = 0; i < recipient->len; i++) {
        c = p[i];

        if (c != '+' && c != ' ' && c != '-' && c != '(' && c != ')') {
            p[len++] = c;
        }
    }

    recipient->len = len;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return;
        }
    }

    /* each of the three has 13 digits with the one that may be missing */

    if (len != 13) {
        return;
    }

    if (p[0] == '5' && p[1] == '5' && p[4] == '9') {
        ngx_http_graph_policy_message_drop(recipient, 4);

    } else if (p[0] == '5' && p[1] == '2' && p[2] == '1') {
        ngx_http_graph_policy_message_drop(recipient, 2);

    } else if (p[0] == '5' && p[1] == '4' && p[2] == '9') {
        ngx_http_graph_policy_message_drop(recipient, 2);
    }
}


static void
ngx_http_graph_policy_message_drop(
    ngx_http_graph_policy_recipient_t *recipient, size_t position)
{
    recipient->len--;

    ngx_memmove(recipient->data + position, recipient->data + position + 1,
                recipient->len - position);
}
