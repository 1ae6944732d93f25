
/*
 * Copyright (C) the graph_policy authors
 */

/* The lines of a state file: what is written, and what is read. */


#include <stdlib.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_rules.h"
#include "tap.h"


#define HEAD   "{\"graph_policy\":1,"                                         \
               "\"fingerprint_key\":\"00000000000000010000000000000002\","    \
               "\"generation\":\"fedcba9876543210\","                         \
               "\"predecessor\":\"0123456789abcdef\",\"master\":17,\"lease\":5}"
#define STATE  "{\"state\":\"phone\",\"key\":\"1\",\"category\":\"fatal\","   \
               "\"reason\":\"phone-disconnected\",\"code\":133010,"           \
               "\"status\":400,\"source\":\"answer\",\"armed\":true,"         \
               "\"since\":1,\"until\":2,\"changed\":3,\"hold\":4,\"max\":5,"  \
               "\"holds\":6,\"blocked\":7}"
#define NAMED  "{\"link\":\"1\",\"account\":\"2\",\"number\":"             \
               "\"0000000000abcdef\",\"confirmed\":3}"
#define LIMIT  "{\"conversation\":\"0000000000abcdef\",\"reason\":"           \
               "\"window-expired\",\"code\":131047,\"status\":400,"           \
               "\"source\":\"answer\",\"armed\":true,\"since\":1,\"until\":2,"  \
               "\"changed\":3,\"hold\":4,\"fixed\":true}"
#define LINK   "{\"link\":\"1\",\"account\":\"2\",\"confirmed\":3}"


typedef ngx_http_graph_policy_record_t  record_t;


/* the text is one too long for whoever reads behind its end */

static ngx_int_t
read_bytes(const char *text, size_t len, record_t *record)
{
    void       *arena;
    char       *copy;
    ngx_int_t   rc;

    arena = malloc(ngx_http_graph_policy_json_arena(len));
    copy = malloc(len + (len == 0));
    memcpy(copy, text, len);

    rc = ngx_http_graph_policy_record_read((u_char *) copy, len, arena,
                                           record);
    free(copy);
    free(arena);

    return rc;
}


static ngx_int_t
read_text(const char *text, record_t *record)
{
    return read_bytes(text, strlen(text), record);
}


static void
set_text(ngx_http_graph_policy_record_text_t *text, const char *s)
{
    text->len = strlen(s);
    memcpy(text->data, s, text->len);
}


/* is written as "want", and read as it was */

static void
is_line(record_t *record, const char *want, const char *name)
{
    size_t     len;
    char       line[NGX_HTTP_GRAPH_POLICY_RECORD_WRITE + 1];
    record_t   back;

    len = ngx_http_graph_policy_record_write((u_char *) line, record)
          - (u_char *) line;
    line[len] = '\0';

    if (want != NULL) {
        is_str(line, want, "%s: written", name);
    }

    ok(len <= NGX_HTTP_GRAPH_POLICY_RECORD_WRITE, "%s: fits", name);
    is_int(read_bytes(line, len - 1, &back), NGX_OK, "%s: read", name);
    is_mem(&back, sizeof(back), record, sizeof(*record), "%s: the same", name);
}


static void
lines(void)
{
    size_t    i;
    record_t  record;

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_HEAD);
    record.fingerprint_key[0] = 1;
    record.fingerprint_key[1] = 2;
    record.generation = 0xfedcba9876543210ULL;
    record.predecessor = 0x0123456789abcdefULL;
    record.master = 17;
    record.lease = 5;
    is_line(&record, HEAD "\n", "a head");

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_STATE);
    record.kind = 3;
    record.reason = NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED;
    record.code = 133010;
    record.status = 400;
    record.armed = 1;
    record.since = 1;
    record.until = 2;
    record.changed = 3;
    record.hold = 4;
    record.max = 5;
    record.holds = 6;
    record.blocked = 7;
    set_text(&record.key, "1");
    is_line(&record, STATE "\n", "a state");

    record.setter = 0xabcdef;
    record.confirm = 8;
    is_line(&record, "{\"state\":\"phone\",\"key\":\"1\","
            "\"setter\":\"0000000000abcdef\",\"category\":\"fatal\","
            "\"reason\":\"phone-disconnected\",\"code\":133010,"
            "\"status\":400,\"source\":\"answer\",\"armed\":true,"
            "\"since\":1,\"until\":2,\"changed\":3,\"hold\":4,"
            "\"max\":5,\"confirm\":8,\"holds\":6,\"blocked\":7}\n",
            "a state that knows who has set it");

    /* the longest there can be */

    memset(record.key.data, '9', NGX_HTTP_GRAPH_POLICY_RECORD_TEXT);
    memset(record.trace.data, '_', NGX_HTTP_GRAPH_POLICY_RECORD_TEXT);
    record.key.len = NGX_HTTP_GRAPH_POLICY_RECORD_TEXT;
    record.trace.len = NGX_HTTP_GRAPH_POLICY_RECORD_TEXT;
    record.kind = 1;
    record.category = NGX_HTTP_GRAPH_POLICY_TEMPORARY;
    record.reason = NGX_HTTP_GRAPH_POLICY_SERVICE_UNAVAILABLE;
    record.source = 1;
    record.credential = (uint64_t) -1;
    record.group = (uint64_t) -1;
    record.code = INT64_MAX;
    record.subcode = INT64_MAX;
    record.since = record.until = record.changed = 0x1fffffffffffff;
    record.hold = record.max = record.holds = record.blocked = 0xffffffff;
    record.status = 999;
    record.dry_run = 1;
    is_line(&record, NULL, "the longest state");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {

        if (i != NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED) {
            record.reason = i;
            is_line(&record, NULL,
                    (char *) ngx_http_graph_policy_reasons[i].slug.data);
        }
    }

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_STATE);
    record.credential = 0xabcdef;
    record.code = 0;
    is_line(&record,
            "{\"state\":\"credential\",\"credential\":\"0000000000abcdef\","
            "\"category\":\"fatal\",\"reason\":\"token-invalid\",\"code\":0,"
            "\"status\":0,\"source\":\"answer\",\"since\":0,\"until\":0,"
            "\"changed\":0,\"hold\":0,\"max\":0,\"holds\":0,\"blocked\":0}\n",
            "a state of a credential, remembered");

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_LINK);
    set_text(&record.key, "1");
    set_text(&record.account, "2");
    record.confirmed = 3;
    is_line(&record, LINK "\n", "a link");

    record.number = 0xabcdef;
    is_line(&record, NAMED "\n", "a link with a number");

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_STATE);
    record.kind = 4;
    record.pair = 0xabcdef;
    is_line(&record,
            "{\"state\":\"conversation\",\"pair\":\"0000000000abcdef\","
            "\"category\":\"fatal\",\"reason\":\"token-invalid\","
            "\"status\":0,\"source\":\"answer\",\"since\":0,\"until\":0,"
            "\"changed\":0,\"hold\":0,\"max\":0,\"holds\":0,\"blocked\":0}\n",
            "a state of a pair");

    ngx_http_graph_policy_record_init(&record,
                                   NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION);
    record.conversation = 0xabcdef;
    record.reason = NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED;
    record.code = 131047;
    record.status = 400;
    record.armed = 1;
    record.since = 1;
    record.until = 2;
    record.changed = 3;
    record.hold = 4;
    record.fixed = 1;
    is_line(&record, LIMIT "\n", "a conversation that is limited");

    record.armed = 0;
    record.inbound = 1;
    record.dry_run = 1;
    record.source = 1;
    record.code = -1;
    set_text(&record.node, "host-1");
    is_line(&record, NULL, "one in which the customer wrote");

    ngx_http_graph_policy_record_init(&record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_END);
    record.lines = 12345678901234;
    is_line(&record, "{\"lines\":12345678901234}\n", "an end");
}


/* "text" with its first "from" replaced */

static void
without(const char *text, const char *from, const char *to, ngx_int_t want)
{
    char         copy[2048];
    record_t     record;
    const char  *at;

    at = strstr(text, from);

    if (!ok(at != NULL, "there is %s to replace", from)) {
        return;
    }

    snprintf(copy, sizeof(copy), "%.*s%s%s", (int) (at - text), text, to,
             at + strlen(from));

    is_int(read_text(copy, &record), want, "%s in place of %s", to, from);
}


static void
refused(void)
{
    size_t    i;
    record_t  record;

    static const struct {
        const char  *from;
        const char  *to;
    } states[] = {
        { "\"phone\"", "\"conversation\"" },
        { "\"phone\"", "\"\"" },
        { "\"phone\"", "3" },
        { "\"phone\"", "null" },
        { "\"phone\"", "[\"phone\"]" },
        { "\"phone\"", "\"credential\"" },
        { "\"key\":\"1\"", "\"key\":\"\"" },
        { "\"key\":\"1\"", "\"key\":1" },
        { "\"key\":\"1\"", "\"key\":\"a\"" },
        { "\"key\":\"1\"", "\"key\":\"-1\"" },
        { "\"key\":\"1\"", "\"key\":\"1\",\"key\":\"1\"" },
        { "\"key\":\"1\"", "\"key\":\"123456789012345678901\"" },
        { "\"key\":\"1\",", "" },
        { "\"fatal\"", "\"context-limited\"" },
        { "\"fatal\"", "\"FATAL\"" },
        { "\"phone-disconnected\"", "\"phones-disconnected\"" },
        { "\"phone-disconnected\"", "\"\"" },
        { "\"code\":133010", "\"code\":-1" },
        { "\"code\":133010", "\"code\":\"\"" },
        { "\"code\":133010", "\"code\":1.5" },
        { "\"code\":133010", "\"code\":9007199254740992" },
        { "\"code\":133010", "\"code\":\"9223372036854775808\"" },
        { "\"code\":133010", "\"credential\":\"1\"" },
        { "\"code\":133010", "\"credential\":\"00000000000000001\"" },
        { "\"code\":133010", "\"credential\":\"000000000000000G\"" },
        { "\"code\":133010", "\"credential\":\"00000000000000AB\"" },
        { "\"code\":133010", "\"trace\":\"\\\"\"" },
        { "\"code\":133010", "\"trace\":\"a b\"" },
        { "\"code\":133010", "\"trace\":\"\\u0000\"" },
        { "\"status\":400", "\"status\":1000" },
        { "\"status\":400", "\"status\":\"400\"" },
        { "\"status\":400", "\"status\":true" },
        { "\"answer\"", "\"somebody\"" },
        { "\"armed\":true", "\"armed\":1" },
        { "\"armed\":true", "\"armed\":\"true\"" },
        { "\"armed\":true", "\"armed\":null" },
        { "\"since\":1", "\"since\":-1" },
        { "\"since\":1", "\"since\":1e999999999999" },
        { "\"since\":1,", "" },
        { "\"until\":2,", "" },
        { "\"changed\":3,", "" },
        { "\"hold\":4", "\"hold\":4294967296" },
        { "\"holds\":6,", "" },
        { ",\"blocked\":7", "" },
        { ",\"blocked\":7", ",\"blocked\":7,\"lines\":1" },
        { ",\"blocked\":7", ",\"blocked\":7,\"x\":{}" },
        { ",\"blocked\":7", ",\"blocked\":7,\"x\":[]" },
        { ",\"blocked\":7}", ",\"blocked\":7" },
        { ",\"blocked\":7}", ",\"blocked\":7}}" },
        { ",\"blocked\":7}", ",\"blocked\":7} {}" },
        { "{\"state\":\"phone\",", "{" },
    };

    static const char *const  texts[] = {
        "", " ", "{}", "[]", "1", "\"a\"", "true", "null", "{\"a\":1}", "{{}}",
        "[{\"lines\":1}]", "{\"lines\":1", "{\"lines\":\"1\"}",
        "{\"lines\":1,\"lines\":1}", "{\"lines\":-1}", "{\"lines\":1.5}",
        "{\"link\":\"1\",\"account\":\"2\"}",
        "{\"link\":\"a\",\"account\":\"2\",\"confirmed\":1}",
        "{\"link\":\"1\",\"account\":\"\",\"confirmed\":1}",
        "{\"link\":\"1\",\"account\":\"a/b\",\"confirmed\":1}",
        "{\"link\":\"1\",\"account\":\"2\",\"number\":\"1\",\"confirmed\":1}",
        "{\"link\":\"1\",\"confirmed\":1}",
        "{\"link\":\"1\",\"account\":\"2\",\"confirmed\":1,\"key\":\"a\"}",
        "\xff", "{\"\xff\":1,\"lines\":1}"
    };

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        without(STATE, states[i].from, states[i].to, NGX_DECLINED);
    }

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        is_int(read_text(texts[i], &record), NGX_DECLINED, "refused: %s",
               texts[i]);
    }

    without(HEAD, "\"graph_policy\":1", "\"graph_policy\":2", NGX_DECLINED);
    without(HEAD, "\"graph_policy\":1", "\"graph_policy\":0", NGX_DECLINED);
    without(HEAD, "fedcba9876543210", "0000000000000000", NGX_DECLINED);
    without(HEAD, "2\",", "\",", NGX_DECLINED);
    without(HEAD, "\"master\":17", "\"master\":2147483648", NGX_DECLINED);
    without(HEAD, ",\"lease\":5", "", NGX_DECLINED);
    without(HEAD, "\"predecessor\":\"0123456789abcdef\",", "", NGX_OK);

    /* a NUL is a byte like others */

    is_int(read_bytes(LINK "\0", sizeof(LINK), &record), NGX_DECLINED,
           "a NUL behind a line");
}


static void
accepted(void)
{
    record_t  record;

    without(STATE, "{", " { ", NGX_OK);

    without(LIMIT, "0000000000abcdef", "0000000000000000", NGX_DECLINED);
    without(LIMIT, "0000000000abcdef", "0000000000abcde", NGX_DECLINED);
    without(LIMIT, ",\"hold\":4", "", NGX_DECLINED);
    without(LIMIT, "\"hold\":4", "\"hold\":4294967296", NGX_DECLINED);
    without(LIMIT, "\"hold\":4", "\"hold\":4,\"max\":5", NGX_DECLINED);
    without(LIMIT, "\"hold\":4", "\"hold\":4,\"key\":\"1\"", NGX_DECLINED);
    without(LIMIT, ",\"fixed\":true", "", NGX_OK);
    without(LIMIT, "\"fixed\":true", "\"fixed\":1", NGX_DECLINED);
    without(LIMIT, "\"armed\":true,", "\"inbound\":true,", NGX_OK);
    without(STATE, "\"blocked\":7", "\"blocked\":7,\"fixed\":true",
            NGX_DECLINED);
    without(STATE, "\"blocked\":7",
            "\"blocked\":7,\"pair\":\"0000000000abcdef\"", NGX_DECLINED);
    without(STATE, "\"phone\",\"key\":\"1\"", "\"conversation\"", NGX_DECLINED);
    without(STATE, "\"phone\",\"key\":\"1\"",
            "\"conversation\",\"pair\":\"0000000000abcdef\"", NGX_OK);
    without(STATE, "\"phone\"",
            "\"conversation\",\"pair\":\"0000000000abcdef\"", NGX_DECLINED);
    without(STATE, "7}", "7 }\r", NGX_OK);
    without(STATE, "7}", "7,\"later\":1,\"more\":\"a\",\"x\":null}", NGX_OK);
    without(STATE, "\"armed\":true", "\"armed\":false", NGX_OK);
    without(STATE, "\"code\":133010,", "", NGX_OK);
    without(STATE, "\"phone\"", "\"account-phone\"", NGX_OK);
    without(STATE, "\"phone\",\"key\":\"1\"",
            "\"account\",\"key\":\"A.b_c-9\"", NGX_OK);

    is_int(read_text(LINK, &record), NGX_OK, "a link");
    is_int(record.type, NGX_HTTP_GRAPH_POLICY_RECORD_LINK, "is one");
    is_int(record.confirmed, 3, "confirmed");
    is_mem(record.account.data, record.account.len, "2", 1, "its account");
    ok(record.number == 0, "and no number");

    is_int(read_text(NAMED, &record), NGX_OK, "a link with a number");
    ok(record.number == 0xabcdef, "the number");
}


/* Which characters a phone, and any other key, may have, one by one. */

static void
test_characters(void)
{
    int          c, phones, accounts, wrong, letter;
    char         line[512];
    record_t     record;
    const char  *rest;

    phones = accounts = wrong = 0;
    rest = strstr(STATE, ",\"category\"");

    for (c = 0x20; c < 0x7f; c++) {

        if (c == '"' || c == '\\') {
            continue;
        }

        letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.'
                 || c == '_' || c == '-';

        snprintf(line, sizeof(line), "{\"state\":\"phone\",\"key\":\"%c\"%s",
                 c, rest);

        if (read_text(line, &record) == NGX_OK) {
            phones++;
            wrong += (c < '0' || c > '9' || record.key.data[0] != c);
        }

        snprintf(line, sizeof(line), "{\"state\":\"account\",\"key\":\"%c\"%s",
                 c, rest);

        if (read_text(line, &record) == NGX_OK) {
            accounts++;
            wrong += (record.key.data[0] != c
                      || !(letter || (c >= '0' && c <= '9')));
        }
    }

    is_int(phones, 10, "a phone has digits");
    is_int(accounts, 10 + 26 + 26 + 3, "an account letters as well");
    is_int(wrong, 0, "and each is what was read");
}


int
main(void)
{
    test_characters();
    lines();
    refused();
    accepted();

    return tap_done();
}
