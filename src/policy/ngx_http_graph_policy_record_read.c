
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads one line of a state file.
 *
 * The file is pure: it takes no lock; the record and the text are the
 * caller's, and all else lies in the caller's arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_record_fields.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_yajl.h"


/* An unknown member, whose value is ignored. */
#define NGX_HTTP_GRAPH_POLICY_RECORD_NONE  ((ngx_uint_t) -1)


typedef struct {
    ngx_http_graph_policy_record_t  *record;
    uint64_t      seen;             /* a bit for each member */
    ngx_uint_t    member;           /* the next value is its, or NONE */
    ngx_uint_t    depth;
    unsigned      typed:1;
} ngx_http_graph_policy_record_ctx_t;


static int ngx_http_graph_policy_record_got_null(void *data);
static int ngx_http_graph_policy_record_got_boolean(void *data, int value);
static int ngx_http_graph_policy_record_got_number(void *data,
    const char *text, size_t len);
static int ngx_http_graph_policy_record_got_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_record_start_map(void *data);
static int ngx_http_graph_policy_record_map_key(void *data,
    const unsigned char *text, size_t len);
static ngx_uint_t ngx_http_graph_policy_record_type(
    ngx_http_graph_policy_member_t *member);
static int ngx_http_graph_policy_record_end_map(void *data);
static int ngx_http_graph_policy_record_array(void *data);

static int ngx_http_graph_policy_record_integer(
    ngx_http_graph_policy_member_t *member, void *field, int64_t n);
static int ngx_http_graph_policy_record_word(
    ngx_http_graph_policy_member_t *member, void *field, u_char *text,
    size_t len);
static int ngx_http_graph_policy_record_text(
    ngx_http_graph_policy_member_t *member, void *field, u_char *text,
    size_t len);
static ngx_int_t ngx_http_graph_policy_record_check(
    ngx_http_graph_policy_record_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_record_check_state(
    ngx_http_graph_policy_record_t *record);


static yajl_callbacks  ngx_http_graph_policy_record_callbacks = {
    ngx_http_graph_policy_record_got_null,
    ngx_http_graph_policy_record_got_boolean,
    NULL,
    NULL,
    ngx_http_graph_policy_record_got_number,
    ngx_http_graph_policy_record_got_string,
    ngx_http_graph_policy_record_start_map,
    ngx_http_graph_policy_record_map_key,
    ngx_http_graph_policy_record_end_map,
    ngx_http_graph_policy_record_array,
    ngx_http_graph_policy_record_array
};


ngx_int_t
ngx_http_graph_policy_record_read(u_char *line, size_t len, void *arena,
    ngx_http_graph_policy_record_t *record)
{
    ngx_http_graph_policy_record_ctx_t  ctx;

    ngx_http_graph_policy_record_init(record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_END);

    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_record_ctx_t));

    ctx.record = record;
    ctx.member = NGX_HTTP_GRAPH_POLICY_RECORD_NONE;

    if (ngx_http_graph_policy_yajl_run(
                                       &ngx_http_graph_policy_record_callbacks,
                                       line, len, arena, &ctx)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_graph_policy_record_check(&ctx);
}


static int
ngx_http_graph_policy_record_got_null(void *data)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    return ctx->depth == 1
           && ctx->member == NGX_HTTP_GRAPH_POLICY_RECORD_NONE;
}


static int
ngx_http_graph_policy_record_got_boolean(void *data, int value)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    ngx_http_graph_policy_member_t  *member;

    if (ctx->depth != 1) {
        return 0;
    }

    if (ctx->member == NGX_HTTP_GRAPH_POLICY_RECORD_NONE) {
        return 1;
    }

    member = &ngx_http_graph_policy_members[ctx->member];

    if (member->value != NGX_HTTP_GRAPH_POLICY_VALUE_FLAG) {
        return 0;
    }

    *(uint64_t *) ngx_http_graph_policy_field(ctx->record, member) = value;

    return 1;
}


static int
ngx_http_graph_policy_record_got_number(void *data, const char *text,
    size_t len)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    const u_char                    *p;
    ngx_http_graph_policy_member_t  *member;

    if (ctx->depth != 1) {
        return 0;
    }

    if (ctx->member == NGX_HTTP_GRAPH_POLICY_RECORD_NONE) {
        return 1;
    }

    p = (const u_char *) text;
    member = &ngx_http_graph_policy_members[ctx->member];

    return ngx_http_graph_policy_record_integer(member,
                            ngx_http_graph_policy_field(ctx->record, member),
                            ngx_http_graph_policy_yajl_integer(p, p + len));
}


static int
ngx_http_graph_policy_record_got_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    void                            *field;
    u_char                          *p;
    ngx_http_graph_policy_member_t  *member;

    if (ctx->depth != 1) {
        return 0;
    }

    if (ctx->member == NGX_HTTP_GRAPH_POLICY_RECORD_NONE) {
        return 1;
    }

    p = (u_char *) text;
    member = &ngx_http_graph_policy_members[ctx->member];
    field = ngx_http_graph_policy_field(ctx->record, member);

    switch (member->value) {

    case NGX_HTTP_GRAPH_POLICY_VALUE_CODE:
        return ngx_http_graph_policy_record_integer(member, field,
                                    ngx_http_graph_policy_yajl_digits(p, len));

    case NGX_HTTP_GRAPH_POLICY_VALUE_HEX:
        return ngx_http_graph_policy_record_unhex(p, len, field, 1);

    case NGX_HTTP_GRAPH_POLICY_VALUE_HEX_PAIR:
        return ngx_http_graph_policy_record_unhex(p, len, field, 2);

    case NGX_HTTP_GRAPH_POLICY_VALUE_WORD:
    case NGX_HTTP_GRAPH_POLICY_VALUE_REASON:
        return ngx_http_graph_policy_record_word(member, field, p, len);

    case NGX_HTTP_GRAPH_POLICY_VALUE_TEXT:
    case NGX_HTTP_GRAPH_POLICY_VALUE_DIGITS:
        return ngx_http_graph_policy_record_text(member, field, p, len);

    default: /* NUMBER, FLAG */
        return 0;
    }
}


static int
ngx_http_graph_policy_record_start_map(void *data)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    return ++ctx->depth == 1;
}


static int
ngx_http_graph_policy_record_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    ngx_str_t                       *name;
    ngx_uint_t                       i;
    ngx_http_graph_policy_member_t  *member;

    ctx->member = NGX_HTTP_GRAPH_POLICY_RECORD_NONE;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NMEMBERS; i++) {
        name = &ngx_http_graph_policy_members[i].name;

        if (name->len == len && ngx_memcmp(name->data, text, len) == 0) {
            break;
        }
    }

    if (i == NGX_HTTP_GRAPH_POLICY_NMEMBERS) {
        return 1;
    }

    member = &ngx_http_graph_policy_members[i];

    /*
     * A member that occurs twice makes the line invalid, as neither value can
     * be trusted.
     */

    if ((ctx->seen & (1ULL << i)) || (member->first && ctx->typed)) {
        return 0;
    }

    if (member->first) {
        ctx->typed = 1;
        ctx->record->type = ngx_http_graph_policy_record_type(member);
    }

    ctx->seen |= 1ULL << i;
    ctx->member = i;

    return 1;
}


/* a member that tells the type is of one alone */

static ngx_uint_t
ngx_http_graph_policy_record_type(ngx_http_graph_policy_member_t *member)
{
    ngx_uint_t  type;

    for (type = 0; !ngx_http_graph_policy_member_is_of(member, type); type++) {
        /* void */
    }

    return type;
}


static int
ngx_http_graph_policy_record_end_map(void *data)
{
    ngx_http_graph_policy_record_ctx_t *ctx = data;

    ctx->depth--;

    return 1;
}


static int
ngx_http_graph_policy_record_array(void *data)
{
    return 0;
}


static int
ngx_http_graph_policy_record_integer(ngx_http_graph_policy_member_t *member,
    void *field, int64_t n)
{
    if (n < 0) {
        return 0;
    }

    if (member->value == NGX_HTTP_GRAPH_POLICY_VALUE_CODE) {
        *(int64_t *) field = n;
        return 1;
    }

    if (member->value != NGX_HTTP_GRAPH_POLICY_VALUE_NUMBER
        || (uint64_t) n > member->max)
    {
        return 0;
    }

    *(uint64_t *) field = n;

    return 1;
}


static int
ngx_http_graph_policy_record_word(ngx_http_graph_policy_member_t *member,
    void *field, u_char *text, size_t len)
{
    ngx_int_t   n;
    ngx_str_t   word;
    ngx_uint_t  i;

    word.data = text;
    word.len = len;

    if (member->value == NGX_HTTP_GRAPH_POLICY_VALUE_REASON) {
        n = ngx_http_graph_policy_rules_reason(&word);

        if (n == NGX_ERROR) {
            return 0;
        }

        *(uint64_t *) field = n;

        return 1;
    }

    for (i = 0; i < member->max; i++) {

        if (member->words[i].len == len
            && ngx_memcmp(member->words[i].data, text, len) == 0)
        {
            *(uint64_t *) field = i;
            return 1;
        }
    }

    return 0;
}


static int
ngx_http_graph_policy_record_text(ngx_http_graph_policy_member_t *member,
    void *field, u_char *text, size_t len)
{
    size_t                                i;
    u_char                                c;
    ngx_uint_t                            digits;
    ngx_http_graph_policy_record_text_t  *to;

    digits = (member->value == NGX_HTTP_GRAPH_POLICY_VALUE_DIGITS);

    if (len == 0
        || len > (digits ? NGX_HTTP_GRAPH_POLICY_RECORD_DIGITS
                         : NGX_HTTP_GRAPH_POLICY_RECORD_TEXT))
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        c = text[i];

        if (c >= '0' && c <= '9') {
            continue;
        }

        if (digits
            || !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                 || c == '.' || c == '_' || c == '-'))
        {
            return 0;
        }
    }

    to = field;
    to->len = len;
    ngx_memcpy(to->data, text, len);

    return 1;
}


ngx_uint_t
ngx_http_graph_policy_record_unhex(u_char *text, size_t len, uint64_t *n,
    size_t count)
{
    size_t  i;
    u_char  c;

    if (len != count * 16) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        c = text[i];

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else if (c >= 'a' && c <= 'f') {
            c -= 'a' - 10;

        } else {
            return 0;
        }

        n[i / 16] = (n[i / 16] << 4) | c;
    }

    return 1;
}


static ngx_int_t
ngx_http_graph_policy_record_check(ngx_http_graph_policy_record_ctx_t *ctx)
{
    ngx_uint_t                       i, seen, is_of;
    ngx_http_graph_policy_member_t  *member;
    ngx_http_graph_policy_record_t  *record;

    record = ctx->record;

    if (!ctx->typed) {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NMEMBERS; i++) {
        member = &ngx_http_graph_policy_members[i];

        seen = ((ctx->seen & (1ULL << i)) != 0);
        is_of = ngx_http_graph_policy_member_is_of(member, record->type);

        /*
         * Members of another type are refused, as they may share a field with
         * one of this type.
         */

        if (seen ? !is_of : is_of && member->required) {
            return NGX_DECLINED;
        }
    }

    switch (record->type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_HEAD:
        return (record->version == NGX_HTTP_GRAPH_POLICY_RECORD_VERSION
                && record->generation != 0)
               ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_GRAPH_POLICY_RECORD_STATE:
        return ngx_http_graph_policy_record_check_state(record);

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        return (record->conversation != 0) ? NGX_OK : NGX_DECLINED;

    default:
        return NGX_OK;
    }
}


/*
 * The key depends on what the state covers: a credential has none, a phone's
 * is decimal digits.
 */

static ngx_int_t
ngx_http_graph_policy_record_check_state(
    ngx_http_graph_policy_record_t *record)
{
    size_t                                i;
    ngx_http_graph_policy_record_text_t  *key;

    key = &record->key;

    if ((record->pair != 0) != (record->kind == 4)) {
        return NGX_DECLINED;
    }

    switch (record->kind) {

    case 4: /* conversation, everyone's */
        return (key->len == 0 && record->credential == 0) ? NGX_OK
                                                          : NGX_DECLINED;

    case 0: /* credential */
        return (key->len == 0 && record->credential != 0) ? NGX_OK
                                                          : NGX_DECLINED;

    case 1: /* account */
        return (key->len != 0) ? NGX_OK : NGX_DECLINED;
    }

    if (key->len == 0 || key->len > NGX_HTTP_GRAPH_POLICY_RECORD_DIGITS) {
        return NGX_DECLINED;
    }

    for (i = 0; i < key->len; i++) {

        if (key->data[i] < '0' || key->data[i] > '9') {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}
