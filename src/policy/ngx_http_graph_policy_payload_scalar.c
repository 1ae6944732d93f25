
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The scalars of a webhook's payload are checked and stored here.
 *
 * Pure: no lock; strings are copied into the memory of the payload's reader.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_payload_shape.h"
#include "ngx_http_graph_policy_proof.h"
#include "ngx_http_graph_policy_yajl.h"


/* seconds; a number of more than ten digits has another unit */
#define NGX_HTTP_GRAPH_POLICY_MAX_TIME  9999999999


static int ngx_http_graph_policy_payload_item(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t scalar,
    ngx_http_graph_policy_payload_text_t *text);
static void ngx_http_graph_policy_payload_event(
    ngx_http_graph_policy_change_t *change,
    ngx_http_graph_policy_payload_text_t *text);
static ngx_uint_t ngx_http_graph_policy_payload_is(
    ngx_http_graph_policy_payload_text_t *text, const char *word);
static int64_t ngx_http_graph_policy_payload_integer(
    ngx_http_graph_policy_payload_text_t *text);
static time_t ngx_http_graph_policy_payload_time(
    ngx_http_graph_policy_payload_text_t *text);
static int ngx_http_graph_policy_payload_id(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_str_t *id,
    ngx_http_graph_policy_payload_text_t *text);
static ngx_inline ngx_uint_t ngx_http_graph_policy_payload_is_id(
    ngx_http_graph_policy_payload_text_t *text);
static int ngx_http_graph_policy_payload_number(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_str_t *number,
    ngx_http_graph_policy_payload_text_t *text);
static ngx_http_graph_policy_payload_noinline int
    ngx_http_graph_policy_payload_who(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_str_t *who,
    ngx_http_graph_policy_payload_text_t *text);
static int ngx_http_graph_policy_payload_copy(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_str_t *dst,
    const u_char *data, size_t len);


int
ngx_http_graph_policy_payload_scalar(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t scalar)
{
    int64_t                                value;
    ngx_http_graph_policy_word_t          *words;
    ngx_http_graph_policy_change_t        *change;
    ngx_http_graph_policy_payload_text_t  *text;

    text = &ctx->text;
    change = ctx->change;

    switch (scalar) {

    case NGX_HTTP_GRAPH_POLICY_WH_OBJECT:
        ctx->foreign = (text->data != NULL && !text->number
                        && !ngx_http_graph_policy_payload_is(text,
                                                 "whatsapp_business_account"));
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_ENTRY_ID:
        return ngx_http_graph_policy_payload_id(ctx, &ctx->entry->account,
                                                text);

    case NGX_HTTP_GRAPH_POLICY_WH_ENTRY_TIME:
        ctx->entry->time = ngx_http_graph_policy_payload_time(text);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_FIELD:
        words = ngx_http_graph_policy_shape_fields;
        change->field = ngx_http_graph_policy_shape_word(words, text->data,
                                                         text->len);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_PHONE:
        return ngx_http_graph_policy_payload_id(ctx, &change->phone, text);

    case NGX_HTTP_GRAPH_POLICY_WH_PHONE_NUMBER:
        return ngx_http_graph_policy_payload_number(ctx, &change->number,
                                                    text);

    case NGX_HTTP_GRAPH_POLICY_WH_ABOUT_NUMBER:

        /* The number has two names; a null must not erase the other one. */

        if (text->data == NULL) {
            return 1;
        }

        ctx->numbered = 1;

        return ngx_http_graph_policy_payload_number(ctx, &ctx->about, text);

    case NGX_HTTP_GRAPH_POLICY_WH_WABA:
        return ngx_http_graph_policy_payload_id(ctx, &change->account, text);

    case NGX_HTTP_GRAPH_POLICY_WH_EVENT:
        ngx_http_graph_policy_payload_event(change, text);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_BAN:
        words = ngx_http_graph_policy_shape_bans;
        ctx->ban = ngx_http_graph_policy_shape_word(words, text->data,
                                                    text->len);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_CODE:
        value = ngx_http_graph_policy_payload_integer(text);
        ctx->error->has_code = (value >= 0);
        ctx->error->code = ngx_max(value, 0);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_SUBCODE:
        value = ngx_http_graph_policy_payload_integer(text);
        ctx->error->has_subcode = (value >= 0);
        ctx->error->subcode = ngx_max(value, 0);
        return 1;

    default:
        return ngx_http_graph_policy_payload_item(ctx, scalar, text);
    }
}


/* Stores a scalar of an item or a contact. */

static int
ngx_http_graph_policy_payload_item(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t scalar, ngx_http_graph_policy_payload_text_t *text)
{
    ngx_http_graph_policy_word_t  *words;

    switch (scalar) {

    case NGX_HTTP_GRAPH_POLICY_WH_NUMBER:
        return ngx_http_graph_policy_payload_who(ctx,
                            &ctx->who[NGX_HTTP_GRAPH_POLICY_WHO_NUMBER], text);

    case NGX_HTTP_GRAPH_POLICY_WH_USER:
        return ngx_http_graph_policy_payload_who(ctx,
                            &ctx->who[NGX_HTTP_GRAPH_POLICY_WHO_USER], text);

    case NGX_HTTP_GRAPH_POLICY_WH_PARENT:

        /* The id has several spellings; an empty one must not erase another. */

        if (text->len == 0) {
            return 1;
        }

        return ngx_http_graph_policy_payload_who(ctx,
                            &ctx->who[NGX_HTTP_GRAPH_POLICY_WHO_PARENT], text);

    case NGX_HTTP_GRAPH_POLICY_WH_GROUP:
        ctx->item->group = (text->len != 0);
        return ngx_http_graph_policy_payload_who(ctx, &ctx->group, text);

    case NGX_HTTP_GRAPH_POLICY_WH_MEMBER:
        ctx->item->member |= (text->len != 0);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_MESSAGE_ID:
        ctx->item->id.len = 0;

        if (!ctx->statuses
            || text->len > NGX_HTTP_GRAPH_POLICY_MESSAGE_ID_LEN)
        {
            return 1;
        }

        return ngx_http_graph_policy_payload_copy(ctx, &ctx->item->id,
                                                  text->data, text->len);

    case NGX_HTTP_GRAPH_POLICY_WH_MESSAGE_STATUS:
        words = ngx_http_graph_policy_shape_statuses;
        ctx->item->status = ngx_http_graph_policy_shape_word(words, text->data,
                                                             text->len);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_TIME:
        ctx->item->time = ngx_http_graph_policy_payload_time(text);
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_TYPE:
        ctx->item->system = ngx_http_graph_policy_payload_is(text, "system");
        return 1;

    default: /* NGX_HTTP_GRAPH_POLICY_WH_DIRECTION */
        words = ngx_http_graph_policy_shape_directions;
        ctx->outgoing = ngx_http_graph_policy_shape_word(words, text->data,
                                                         text->len);
        return 1;
    }
}


static void
ngx_http_graph_policy_payload_event(ngx_http_graph_policy_change_t *change,
    ngx_http_graph_policy_payload_text_t *text)
{
    ngx_http_graph_policy_word_t  *words;

    static const char  partner[] = "PARTNER_";

    words = ngx_http_graph_policy_shape_events;
    change->event = ngx_http_graph_policy_shape_word(words, text->data,
                                                     text->len);

    change->partner = (text->len >= sizeof(partner) - 1
                       && ngx_memcmp(text->data, partner, sizeof(partner) - 1)
                          == 0);
}


static ngx_uint_t
ngx_http_graph_policy_payload_is(ngx_http_graph_policy_payload_text_t *text,
    const char *word)
{
    return text->len == ngx_strlen(word)
           && ngx_memcmp(text->data, word, text->len) == 0;
}


/* Reads a code by the rules of an error body; returns -1 if it isn't one. */

static int64_t
ngx_http_graph_policy_payload_integer(
    ngx_http_graph_policy_payload_text_t *text)
{
    if (text->number) {
        return ngx_http_graph_policy_yajl_integer(text->data,
                                                  text->data + text->len);
    }

    return ngx_http_graph_policy_yajl_digits(text->data, text->len);
}


static time_t
ngx_http_graph_policy_payload_time(ngx_http_graph_policy_payload_text_t *text)
{
    int64_t  value;

    value = ngx_http_graph_policy_payload_integer(text);

    return (value >= 0 && value <= NGX_HTTP_GRAPH_POLICY_MAX_TIME) ? value : 0;
}


static int
ngx_http_graph_policy_payload_id(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_str_t *id, ngx_http_graph_policy_payload_text_t *text)
{
    id->len = 0;

    return ngx_http_graph_policy_payload_is_id(text)
           ? ngx_http_graph_policy_payload_copy(ctx, id, text->data, text->len)
           : 1;
}


static ngx_inline ngx_uint_t
ngx_http_graph_policy_payload_is_id(ngx_http_graph_policy_payload_text_t *text)
{
    return text->len != 0 && text->len <= NGX_HTTP_GRAPH_POLICY_GRAPH_ID_LEN
           && ngx_http_graph_policy_are_digits(text->data, text->len);
}


/* Copies the digits of a number, without the signs it may be written with. */

static int
ngx_http_graph_policy_payload_number(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_str_t *number,
    ngx_http_graph_policy_payload_text_t *text)
{
    u_char  digits[NGX_HTTP_GRAPH_POLICY_GRAPH_ID_LEN];
    size_t  i, len;

    number->len = 0;

    if (ngx_http_graph_policy_payload_is_id(text)) {
        return ngx_http_graph_policy_payload_copy(ctx, number, text->data,
                                                  text->len);
    }

    len = 0;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] < '0' || text->data[i] > '9') {
            continue;
        }

        if (len == sizeof(digits)) {
            return 1;
        }

        digits[len++] = text->data[i];
    }

    return ngx_http_graph_policy_payload_copy(ctx, number, digits, len);
}


static ngx_http_graph_policy_payload_noinline int
ngx_http_graph_policy_payload_who(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_str_t *who, ngx_http_graph_policy_payload_text_t *text)
{
    ngx_http_graph_policy_recipient_t  folded;

    who->len = 0;

    if (text->len == 0 || text->len > NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN) {
        return 1;
    }

    ngx_memcpy(folded.data, text->data, text->len);
    folded.len = text->len;

    ngx_http_graph_policy_message_fold(&folded);

    return ngx_http_graph_policy_payload_copy(ctx, who, folded.data,
                                              folded.len);
}


static int
ngx_http_graph_policy_payload_copy(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_str_t *dst, const u_char *data, size_t len)
{
    u_char    *p;
    uint64_t   first, last;

    if (len == 0) {
        return 1;
    }

    if (len > (size_t) (ctx->end - ctx->pos)) {
        return 0;
    }

    p = ctx->pos;

    dst->data = p;
    dst->len = len;

    ctx->pos += len;

    /* Most ids and numbers have 8 to 16 digits, and a call costs more. */

    if (len >= 8 && len <= 16) {
        ngx_memcpy(&first, data, 8);
        ngx_memcpy(&last, data + len - 8, 8);
        ngx_memcpy(p, &first, 8);
        ngx_memcpy(p + len - 8, &last, 8);

        return 1;
    }

    ngx_memcpy(p, data, len);

    return 1;
}
