
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Writes the lines of a state file.  The table of their members, by which they
 * are written and read, is here as well.
 *
 * The file is pure: it takes no lock; the record and the text are the
 * caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_record_fields.h"
#include "ngx_http_graph_policy_rules.h"


#define NGX_HTTP_GRAPH_POLICY_RECORD_32  0xffffffff


static u_char *ngx_http_graph_policy_record_value(u_char *p,
    ngx_http_graph_policy_member_t *member, void *field);
static u_char *ngx_http_graph_policy_record_put(u_char *p, u_char *data,
    size_t len);
static ngx_uint_t ngx_http_graph_policy_record_is_left_out(
    ngx_http_graph_policy_member_t *member, void *field);


/* In the order of ngx_http_graph_policy_key_e, which has more. */

static ngx_str_t  ngx_http_graph_policy_record_kinds[] = {
    ngx_string("credential"),
    ngx_string("account"),
    ngx_string("account-phone"),
    ngx_string("phone"),
    ngx_string("conversation")
};


/* In the order of ngx_http_graph_policy_source_e. */

static ngx_str_t  ngx_http_graph_policy_record_sources[] = {
    ngx_string("answer"),
    ngx_string("webhook"),
    ngx_string("api")
};


#define NGX_HTTP_GRAPH_POLICY_OF_HEAD                                         \
    (1 << NGX_HTTP_GRAPH_POLICY_RECORD_HEAD)
#define NGX_HTTP_GRAPH_POLICY_OF_STATE                                        \
    (1 << NGX_HTTP_GRAPH_POLICY_RECORD_STATE)
#define NGX_HTTP_GRAPH_POLICY_OF_LINK                                         \
    (1 << NGX_HTTP_GRAPH_POLICY_RECORD_LINK)
#define NGX_HTTP_GRAPH_POLICY_OF_CONVERSATION                                 \
    (1 << NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION)
#define NGX_HTTP_GRAPH_POLICY_OF_END                                          \
    (1 << NGX_HTTP_GRAPH_POLICY_RECORD_END)
#define NGX_HTTP_GRAPH_POLICY_OF_BOTH                                         \
    (NGX_HTTP_GRAPH_POLICY_OF_STATE | NGX_HTTP_GRAPH_POLICY_OF_CONVERSATION)


#define ngx_http_graph_policy_member(name, type, value, first, required,      \
                                     field, max, words)                       \
    { ngx_string(name), NGX_HTTP_GRAPH_POLICY_OF_##type,                      \
      NGX_HTTP_GRAPH_POLICY_VALUE_##value, first, required,                   \
      offsetof(ngx_http_graph_policy_record_t, field), max, words }

#define ngx_http_graph_policy_number(name, type, first, field, max)           \
    ngx_http_graph_policy_member(name, type, NUMBER, first, 1, field, max,    \
                                 NULL)


/* Members are written in this order. */

ngx_http_graph_policy_member_t
    ngx_http_graph_policy_members[NGX_HTTP_GRAPH_POLICY_NMEMBERS] = {

    ngx_http_graph_policy_number("graph_policy", HEAD, 1, version,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_VERSION),
    ngx_http_graph_policy_member("fingerprint_key", HEAD, HEX_PAIR, 0, 1,
                                 fingerprint_key, 0, NULL),
    ngx_http_graph_policy_member("generation", HEAD, HEX, 0, 1, generation, 0,
                                 NULL),
    ngx_http_graph_policy_member("predecessor", HEAD, HEX, 0, 0, predecessor,
                                 0, NULL),
    ngx_http_graph_policy_number("master", HEAD, 0, master, 0x7fffffff),
    ngx_http_graph_policy_number("lease", HEAD, 0, lease,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_MAX),

    ngx_http_graph_policy_member("state", STATE, WORD, 1, 1, kind, 5,
                                 ngx_http_graph_policy_record_kinds),
    ngx_http_graph_policy_member("conversation", CONVERSATION, HEX, 1, 1,
                                 conversation, 0, NULL),
    ngx_http_graph_policy_member("pair", STATE, HEX, 0, 0, pair, 0, NULL),
    ngx_http_graph_policy_member("key", STATE, TEXT, 0, 0, key, 0, NULL),
    ngx_http_graph_policy_member("credential", STATE, HEX, 0, 0, credential, 0,
                                 NULL),
    ngx_http_graph_policy_member("setter", STATE, HEX, 0, 0, setter, 0, NULL),
    ngx_http_graph_policy_member("category", STATE, WORD, 0, 1, category,
                                 NGX_HTTP_GRAPH_POLICY_TEMPORARY + 1,
                                 ngx_http_graph_policy_categories),
    ngx_http_graph_policy_member("reason", BOTH, REASON, 0, 1, reason, 0,
                                 NULL),
    ngx_http_graph_policy_member("code", BOTH, CODE, 0, 0, code, 0, NULL),
    ngx_http_graph_policy_member("subcode", BOTH, CODE, 0, 0, subcode, 0,
                                 NULL),
    ngx_http_graph_policy_number("status", BOTH, 0, status, 999),
    ngx_http_graph_policy_member("trace", STATE, TEXT, 0, 0, trace, 0, NULL),
    ngx_http_graph_policy_member("source", BOTH, WORD, 0, 1, source, 3,
                                 ngx_http_graph_policy_record_sources),
    ngx_http_graph_policy_member("armed", BOTH, FLAG, 0, 0, armed, 0, NULL),
    ngx_http_graph_policy_member("dry_run", BOTH, FLAG, 0, 0, dry_run, 0,
                                 NULL),
    ngx_http_graph_policy_number("since", BOTH, 0, since,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_MAX),
    ngx_http_graph_policy_number("until", BOTH, 0, until,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_MAX),
    ngx_http_graph_policy_number("changed", BOTH, 0, changed,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_MAX),
    ngx_http_graph_policy_number("hold", BOTH, 0, hold,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_32),
    ngx_http_graph_policy_number("max", STATE, 0, max,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_32),
    ngx_http_graph_policy_member("confirm", STATE, NUMBER, 0, 0, confirm,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_32, NULL),
    ngx_http_graph_policy_number("holds", STATE, 0, holds,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_32),
    ngx_http_graph_policy_number("blocked", STATE, 0, blocked,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_32),
    ngx_http_graph_policy_member("frozen", STATE, FLAG, 0, 0, frozen, 0, NULL),
    ngx_http_graph_policy_member("moved", STATE, FLAG, 0, 0, moved, 0, NULL),
    ngx_http_graph_policy_member("group", STATE, HEX, 0, 0, group, 0, NULL),
    ngx_http_graph_policy_member("setter_leased", STATE, FLAG, 0, 0,
                                 setter_leased, 0, NULL),
    ngx_http_graph_policy_member("message", STATE, HEX, 0, 0, message, 0,
                                 NULL),
    ngx_http_graph_policy_member("fixed", CONVERSATION, FLAG, 0, 0, fixed, 0,
                                 NULL),
    ngx_http_graph_policy_member("inbound", CONVERSATION, FLAG, 0, 0, inbound,
                                 0, NULL),
    ngx_http_graph_policy_member("node", BOTH, TEXT, 0, 0, node, 0, NULL),

    ngx_http_graph_policy_member("link", LINK, DIGITS, 1, 1, key, 0, NULL),
    ngx_http_graph_policy_member("account", LINK, TEXT, 0, 1, account, 0,
                                 NULL),
    ngx_http_graph_policy_member("number", LINK, HEX, 0, 0, number, 0, NULL),
    ngx_http_graph_policy_number("confirmed", LINK, 0, confirmed,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_MAX),

    ngx_http_graph_policy_number("lines", END, 1, lines,
                                 NGX_HTTP_GRAPH_POLICY_RECORD_MAX)
};


void
ngx_http_graph_policy_record_init(ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_record_e type)
{
    ngx_memzero(record, sizeof(ngx_http_graph_policy_record_t));

    record->type = type;
    record->code = -1;
    record->subcode = -1;

    if (type == NGX_HTTP_GRAPH_POLICY_RECORD_HEAD) {
        record->version = NGX_HTTP_GRAPH_POLICY_RECORD_VERSION;
    }
}


u_char *
ngx_http_graph_policy_record_write(u_char *p,
    ngx_http_graph_policy_record_t *record)
{
    void                            *field;
    u_char                           c;
    ngx_uint_t                       i;
    ngx_http_graph_policy_member_t  *member;

    c = '{';

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NMEMBERS; i++) {
        member = &ngx_http_graph_policy_members[i];
        field = ngx_http_graph_policy_field(record, member);

        if (!ngx_http_graph_policy_member_is_of(member, record->type)
            || ngx_http_graph_policy_record_is_left_out(member, field))
        {
            continue;
        }

        *p++ = c;
        c = ',';

        p = ngx_http_graph_policy_record_put(p, member->name.data,
                                             member->name.len);
        *p++ = ':';

        p = ngx_http_graph_policy_record_value(p, member, field);
    }

    *p++ = '}';
    *p++ = LF;

    return p;
}


static u_char *
ngx_http_graph_policy_record_value(u_char *p,
    ngx_http_graph_policy_member_t *member, void *field)
{
    uint64_t                             *n;
    ngx_str_t                            *word;
    ngx_http_graph_policy_record_text_t  *text;

    n = field;
    text = field;

    switch (member->value) {

    case NGX_HTTP_GRAPH_POLICY_VALUE_FLAG:
        return ngx_cpymem(p, "true", sizeof("true") - 1);

    case NGX_HTTP_GRAPH_POLICY_VALUE_WORD:
        word = &member->words[*n];
        return ngx_http_graph_policy_record_put(p, word->data, word->len);

    case NGX_HTTP_GRAPH_POLICY_VALUE_REASON:
        word = &ngx_http_graph_policy_reasons[*n].slug;
        return ngx_http_graph_policy_record_put(p, word->data, word->len);

    case NGX_HTTP_GRAPH_POLICY_VALUE_TEXT:
    case NGX_HTTP_GRAPH_POLICY_VALUE_DIGITS:
        return ngx_http_graph_policy_record_put(p, text->data, text->len);

    case NGX_HTTP_GRAPH_POLICY_VALUE_HEX:
    case NGX_HTTP_GRAPH_POLICY_VALUE_HEX_PAIR:
        *p++ = '"';
        p = ngx_http_graph_policy_record_hex(p, n[0]);

        if (member->value == NGX_HTTP_GRAPH_POLICY_VALUE_HEX_PAIR) {
            p = ngx_http_graph_policy_record_hex(p, n[1]);
        }

        *p++ = '"';
        return p;

    case NGX_HTTP_GRAPH_POLICY_VALUE_NUMBER:
        return ngx_http_graph_policy_record_number(p,
                                                   ngx_min(*n, member->max));

    default: /* NGX_HTTP_GRAPH_POLICY_VALUE_CODE */

        /*
         * Not every JSON reader represents larger numbers exactly, so they are
         * written as strings.
         */

        if (*n <= NGX_HTTP_GRAPH_POLICY_RECORD_MAX) {
            return ngx_http_graph_policy_record_number(p, *n);
        }

        *p++ = '"';
        p = ngx_http_graph_policy_record_number(p, *n);
        *p++ = '"';

        return p;
    }
}


/*
 * The text isn't escaped: none of the characters that JSON wants escaped can
 * occur in a record.
 */

static u_char *
ngx_http_graph_policy_record_put(u_char *p, u_char *data, size_t len)
{
    *p++ = '"';
    p = ngx_cpymem(p, data, len);
    *p++ = '"';

    return p;
}


u_char *
ngx_http_graph_policy_record_number(u_char *p, uint64_t n)
{
    u_char  *q, digits[NGX_INT64_LEN];

    q = digits + sizeof(digits);

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    return ngx_cpymem(p, q, digits + sizeof(digits) - q);
}


u_char *
ngx_http_graph_policy_record_hex(u_char *p, uint64_t n)
{
    ngx_int_t  shift;

    for (shift = 60; shift >= 0; shift -= 4) {
        *p++ = (u_char) "0123456789abcdef"[(n >> shift) & 0xf];
    }

    return p;
}


static ngx_uint_t
ngx_http_graph_policy_record_is_left_out(
    ngx_http_graph_policy_member_t *member, void *field)
{
    switch (member->value) {

    case NGX_HTTP_GRAPH_POLICY_VALUE_CODE:
        return *(int64_t *) field < 0;

    case NGX_HTTP_GRAPH_POLICY_VALUE_FLAG:
    case NGX_HTTP_GRAPH_POLICY_VALUE_HEX:
        return *(uint64_t *) field == 0;

    case NGX_HTTP_GRAPH_POLICY_VALUE_NUMBER:
        return !member->required && *(uint64_t *) field == 0;

    case NGX_HTTP_GRAPH_POLICY_VALUE_TEXT:
        return ((ngx_http_graph_policy_record_text_t *) field)->len == 0;

    default:
        return 0;
    }
}
