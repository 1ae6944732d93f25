
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the recipient of a message, and whether the message is a template or a
 * receipt.
 *
 * The file is pure: it takes no lock; the result is the caller's, and all else
 * lies in the caller's arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_yajl.h"


typedef enum {
    NGX_HTTP_GRAPH_POLICY_MESSAGE_TO = 0,
    NGX_HTTP_GRAPH_POLICY_MESSAGE_RECIPIENT,
    NGX_HTTP_GRAPH_POLICY_MESSAGE_TYPE,
    NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER
} ngx_http_graph_policy_message_member_e;


typedef struct {
    /*
     * Every value, also that of "type", fits in as many bytes as a recipient.
     */
    ngx_http_graph_policy_recipient_t
                  values[NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER];

    ngx_uint_t    depth;

    /* The member whose value comes next; MESSAGE_OTHER if it isn't wanted. */
    ngx_uint_t    member;

    /* A bit for each member that has a value by which somebody is found. */
    ngx_uint_t    addressed;

    unsigned      in_object:1;      /* the document is an object */
    unsigned      has_status:1;

    /*
     * Those that yajl is to call for the next token.  It looks into the table
     * each time, and decodes a string or a name only if there is one for it;
     * most texts are of no interest here.
     */
    yajl_callbacks  callbacks;
} ngx_http_graph_policy_message_ctx_t;


static int ngx_http_graph_policy_message_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_message_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_message_start_map(void *data);
static int ngx_http_graph_policy_message_start(void *data);
static int ngx_http_graph_policy_message_end(void *data);
static int ngx_http_graph_policy_message_map_key(void *data,
    const unsigned char *text, size_t len);
static void ngx_http_graph_policy_message_address(
    ngx_http_graph_policy_message_ctx_t *ctx);
static void ngx_http_graph_policy_message_drop(
    ngx_http_graph_policy_recipient_t *recipient, size_t position);


#define ngx_http_graph_policy_message_is(text, len, literal)                  \
    ((len) == sizeof(literal) - 1                                             \
     && ngx_memcmp(text, literal, sizeof(literal) - 1) == 0)


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
    ngx_http_graph_policy_message_start,
    ngx_http_graph_policy_message_end
};


ngx_int_t
ngx_http_graph_policy_message_read(u_char *body, size_t len, void *arena,
    ngx_http_graph_policy_message_t *message)
{
    ngx_uint_t                            i;
    ngx_http_graph_policy_recipient_t    *to, *type;
    ngx_http_graph_policy_message_ctx_t   ctx;

    message->recipient.len = 0;
    message->template = 0;
    message->receipt = 0;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER; i++) {
        ctx.values[i].len = 0;
    }

    ctx.depth = 0;
    ctx.member = NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER;
    ctx.addressed = 0;
    ctx.in_object = 0;
    ctx.has_status = 0;
    ctx.callbacks = ngx_http_graph_policy_message_callbacks;

    if (ngx_http_graph_policy_yajl_run(&ctx.callbacks, body, len, arena, &ctx)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    to = &ctx.values[NGX_HTTP_GRAPH_POLICY_MESSAGE_TO];

    if (to->len == 0) {
        to = &ctx.values[NGX_HTTP_GRAPH_POLICY_MESSAGE_RECIPIENT];
    }

    ngx_memcpy(message->recipient.data, to->data, to->len);
    message->recipient.len = to->len;

    ngx_http_graph_policy_message_fold(&message->recipient);

    type = &ctx.values[NGX_HTTP_GRAPH_POLICY_MESSAGE_TYPE];

    message->template = ngx_http_graph_policy_message_is(type->data, type->len,
                                                         "template");
    message->receipt = (ctx.has_status && !ctx.addressed);

    return NGX_OK;
}


static int
ngx_http_graph_policy_message_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ngx_http_graph_policy_recipient_t  *value;

    if (ctx->member == NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER
        || ctx->depth != 1 || !ctx->in_object)
    {
        return 1;
    }

    if (len != 0) {
        ngx_http_graph_policy_message_address(ctx);
    }

    if (len <= NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN) {
        value = &ctx->values[ctx->member];
        ngx_memcpy(value->data, text, len);
        value->len = len;
    }

    ctx->member = NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER;

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

    if (ctx->depth == 0) {
        ctx->in_object = 1;
    }

    return ngx_http_graph_policy_message_start(ctx);
}


static int
ngx_http_graph_policy_message_start(void *data)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ngx_http_graph_policy_message_address(ctx);

    ctx->member = NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER;
    ctx->callbacks.yajl_string = NULL;

    if (ctx->depth != 0) {
        ctx->callbacks.yajl_map_key = NULL;
    }

    return ++ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_message_end(void *data)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    if (--ctx->depth == 1) {
        ctx->callbacks.yajl_map_key = ngx_http_graph_policy_message_map_key;
    }

    return 1;
}


static int
ngx_http_graph_policy_message_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_message_ctx_t *ctx = data;

    ngx_uint_t  member;

    member = NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER;

    if (ctx->depth == 1) {

        if (ngx_http_graph_policy_message_is(text, len, "to")) {
            member = NGX_HTTP_GRAPH_POLICY_MESSAGE_TO;

        } else if (ngx_http_graph_policy_message_is(text, len, "recipient")) {
            member = NGX_HTTP_GRAPH_POLICY_MESSAGE_RECIPIENT;

        } else if (ngx_http_graph_policy_message_is(text, len, "type")) {
            member = NGX_HTTP_GRAPH_POLICY_MESSAGE_TYPE;

        } else if (ngx_http_graph_policy_message_is(text, len, "status")) {
            ctx->has_status = 1;
        }
    }

    ctx->member = member;
    ctx->callbacks.yajl_string = NULL;

    if (member != NGX_HTTP_GRAPH_POLICY_MESSAGE_OTHER) {
        ctx->callbacks.yajl_string = ngx_http_graph_policy_message_string;

        /*
         * The last of several members with the same name counts, even if it
         * isn't a string.
         */

        ctx->values[member].len = 0;
        ctx->addressed &= ~((ngx_uint_t) 1 << member);
    }

    return 1;
}


/* the value of the member that comes next may name a recipient */

static void
ngx_http_graph_policy_message_address(ngx_http_graph_policy_message_ctx_t *ctx)
{
    if (ctx->depth == 1
        && (ctx->member == NGX_HTTP_GRAPH_POLICY_MESSAGE_TO
            || ctx->member == NGX_HTTP_GRAPH_POLICY_MESSAGE_RECIPIENT))
    {
        ctx->addressed |= (ngx_uint_t) 1 << ctx->member;
    }
}


void
ngx_http_graph_policy_message_fold(
    ngx_http_graph_policy_recipient_t *recipient)
{
    u_char  c, *p;
    size_t  i, len;

    p = recipient->data;

    /* Most names are a number and nothing else. */

    if (!ngx_http_graph_policy_are_digits(p, recipient->len)) {
        len = 0;

        for (i = 0; i < recipient->len; i++) {
            c = p[i];

            if (c != '+' && c != ' ' && c != '-' && c != '(' && c != ')') {
                p[len++] = c;
            }
        }

        recipient->len = len;
    }

    /* In all three countries a number has 13 digits with the optional one. */

    if (recipient->len != 13 || !ngx_http_graph_policy_are_digits(p, 13)) {
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
