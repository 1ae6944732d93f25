
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: to whom a message goes, whether it is a template, and that no
 * body harms.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"


#define POISON     0xa5
#define GUARD      4096
#define LONGEST    NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN


typedef ngx_http_graph_policy_recipient_t  recipient_t;
typedef ngx_http_graph_policy_message_t    message_t;


typedef struct {
    const char  *name;
    const char  *text;
    const char  *recipient;
} said_t;


/* values that are whole documents, and to whom they go */

static const said_t  shapes[] = {

    /* as applications send them */

    { "a text",
      "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\","
      "\"to\":\"+16505551234\",\"type\":\"text\",\"text\":{\"body\":\"hi\"}}",
      "16505551234" },
    { "a template, the number first",
      "{\"to\":\"16505551234\",\"type\":\"template\",\"template\":{\"name\":"
      "\"a\",\"language\":{\"code\":\"en\"},\"components\":[{\"type\":"
      "\"body\",\"parameters\":[{\"type\":\"text\",\"text\":\"b\"}]}]}}",
      "16505551234" },
    { "the number last",
      "{\"type\":\"image\",\"image\":{\"id\":\"5\"},\"to\":\"16505551234\"}",
      "16505551234" },
    { "a business-scoped user",
      "{\"messaging_product\":\"whatsapp\",\"recipient\":"
      "\"US.13491208655302741918\"}", "US.13491208655302741918" },
    { "a parent's user",
      "{\"recipient\":\"US.ENT.11815799212886844830\"}",
      "US.ENT.11815799212886844830" },
    { "both, \"to\" first",
      "{\"to\":\"16505551234\",\"recipient\":\"US.1349\"}", "16505551234" },
    { "both, \"to\" last",
      "{\"recipient\":\"US.1349\",\"to\":\"16505551234\"}", "16505551234" },
    { "an empty \"to\"", "{\"to\":\"\",\"recipient\":\"US.1349\"}",
      "US.1349" },
    { "\"to\" is null", "{\"to\":null,\"recipient\":\"US.1349\"}",
      "US.1349" },
    { "\"to\" is an object", "{\"to\":{\"to\":\"1\"},\"recipient\":\"US.2\"}",
      "US.2" },
    { "\"to\" is an array", "{\"to\":[\"1\",\"2\"],\"recipient\":\"US.2\"}",
      "US.2" },
    { "a group", "{\"recipient_type\":\"group\",\"to\":\"Y2FwaV9ncm91cA==\"}",
      "Y2FwaV9ncm91cA==" },
    { "white space everywhere",
      " \t{ \"to\" : \"16505551234\" } \r\n", "16505551234" },
    { "an escaped name", "{\"\\u0074o\":\"1650\"}", "1650" },
    { "an escaped number", "{\"to\":\"\\u0031\\u0036\\u0035\\u0030\"}",
      "1650" },
    { "an escaped sign", "{\"to\":\"\\u002b1650\"}", "1650" },

    /* numbers that aren't texts */

    { "a number", "{\"to\":16505551234}", "16505551234" },
    { "a number, \"recipient\"", "{\"recipient\":16505551234}",
      "16505551234" },
    { "zero", "{\"to\":0}", "0" },
    { "larger than 64 bits", "{\"to\":123456789012345678901234567890}",
      "123456789012345678901234567890" },
    { "a number is folded, too", "{\"to\":5511998765432}", "551198765432" },

    /* nobody */

    { "an empty object", "{}", "" },
    { "an empty array", "[]", "" },
    { "a text alone", "\"to\"", "" },
    { "a number alone", "16505551234", "" },
    { "null alone", "null", "" },
    { "true", "{\"to\":true}", "" },
    { "false", "{\"recipient\":false}", "" },
    { "null", "{\"to\":null}", "" },
    { "signs alone", "{\"to\":\"+ (-)\"}", "" },

    /* "to" elsewhere is another's */

    { "in an object", "{\"text\":{\"to\":\"1\"},\"type\":\"text\"}", "" },
    { "in an array", "[{\"to\":\"1\"}]", "" },
    { "in an array at the top, behind another", "[[],{\"to\":\"1\"}]", "" },
    { "in an array of an object", "{\"a\":[{\"to\":\"1\"}]}", "" },
    { "a name in an array", "[\"to\",\"1\"]", "" },
    { "a name as the value", "{\"a\":\"to\",\"b\":\"1\"}", "" },
    { "deeper, then at the top",
      "{\"text\":{\"to\":\"1\",\"recipient\":\"2\"},\"to\":\"3\"}", "3" },
    { "at the top, then deeper",
      "{\"to\":\"3\",\"text\":{\"to\":\"1\"},\"a\":[{\"to\":\"2\"}]}", "3" },
    { "behind arrays", "{\"a\":[[[]],[{}]],\"to\":\"3\"}", "3" },
    { "a text behind an object that \"to\" is",
      "{\"to\":{},\"a\":\"1\"}", "" },
    { "a text behind an array that \"to\" is",
      "{\"to\":[],\"a\":\"1\"}", "" },
    { "a text behind null", "{\"to\":null,\"a\":\"1\"}", "" },
    { "a text behind true", "{\"to\":true,\"a\":\"1\"}", "" },
    { "other case", "{\"To\":\"1\",\"TO\":\"2\",\"Recipient\":\"3\"}", "" },
    { "names that begin alike",
      "{\"t\":\"1\",\"too\":\"2\",\"recipien\":\"3\",\"recipients\":\"4\","
      "\"recipient_type\":\"individual\"}", "" },
    { "a NUL in a name", "{\"to\\u0000\":\"1\"}", "" },
    { "no name", "{\"\":\"1\"}", "" },

    /* twice: the last one counts, as for most parsers */

    { "twice", "{\"to\":\"1\",\"to\":\"2\"}", "2" },
    { "\"recipient\" twice", "{\"recipient\":\"1\",\"recipient\":\"2\"}",
      "2" },
    { "twice, then null", "{\"to\":\"1\",\"to\":null,\"recipient\":\"2\"}",
      "2" },
    { "twice, then an object", "{\"to\":\"1\",\"to\":{}}", "" },
    { "null, then once", "{\"to\":null,\"to\":\"2\"}", "2" },
    { "twice, the first one longer", "{\"to\":\"123456\",\"to\":\"78\"}",
      "78" }
};


/* spellings, and what they are folded to */

static const said_t  spellings[] = {
    { NULL, "16505551234", "16505551234" },
    { NULL, "+16505551234", "16505551234" },
    { NULL, "+1 (650) 555-1234", "16505551234" },
    { NULL, "1-650-555-1234", "16505551234" },
    { NULL, "(((1650)))5551234", "16505551234" },
    { NULL, " 16505551234 ", "16505551234" },
    { NULL, "--16505551234++", "16505551234" },
    { NULL, "0016505551234", "0016505551234" },

    /* other separators aren't known */

    { NULL, "1.650.555.1234", "1.650.555.1234" },
    { NULL, "1/650", "1/650" },
    { NULL, "1\xc2\xa0""650", "1\xc2\xa0""650" },
    { NULL, "1\\t650", "1\t650" },
    { NULL, "1\\n650", "1\n650" },

    /* Brazil: 55, two digits of an area, 9, eight digits */

    { NULL, "5511998765432", "551198765432" },
    { NULL, "+55 11 99876-5432", "551198765432" },
    { NULL, "+55 (11) 9 9876-5432", "551198765432" },
    { NULL, "551198765432", "551198765432" },
    { NULL, "+55 (11) 9876-5432", "551198765432" },
    { NULL, "5521912345678", "552112345678" },
    { NULL, "5599999999999", "559999999999" },
    { NULL, "551132345678", "551132345678" },
    { NULL, "5511898765432", "5511898765432" },
    { NULL, "55119987654321", "55119987654321" },
    { NULL, "55119987654", "55119987654" },

    /* Mexico: 52, 1, ten digits */

    { NULL, "5215512345678", "525512345678" },
    { NULL, "+521 55 1234 5678", "525512345678" },
    { NULL, "525512345678", "525512345678" },
    { NULL, "+52 55 1234 5678", "525512345678" },
    { NULL, "5225512345678", "5225512345678" },
    { NULL, "52155123456789", "52155123456789" },
    { NULL, "521551234567", "521551234567" },

    /* Argentina: 54, 9, ten digits */

    { NULL, "5491123456789", "541123456789" },
    { NULL, "+54 9 11 2345-6789", "541123456789" },
    { NULL, "541123456789", "541123456789" },
    { NULL, "+54 11 2345-6789", "541123456789" },
    { NULL, "5481123456789", "5481123456789" },
    { NULL, "54911234567890", "54911234567890" },
    { NULL, "549112345678", "549112345678" },

    /* as long, and of another country */

    { NULL, "4915123456789", "4915123456789" },
    { NULL, "5691234567890", "5691234567890" },
    { NULL, "5311912345678", "5311912345678" },
    { NULL, "1551199876543", "1551199876543" },

    /* ids that look like numbers in part are left as they are */

    { NULL, "BR.5511998765432", "BR.5511998765432" },
    { NULL, "55119987654AB", "55119987654AB" },
    { NULL, "5215512345 67x8", "521551234567x8" },
    { NULL, "us.1349", "us.1349" },
    { NULL, "US.1349", "US.1349" }
};


/* whether these are templates */

static const struct {
    int          template;
    const char  *text;
} types[] = {
    { 1, "{\"to\":\"1\",\"type\":\"template\",\"template\":{}}" },
    { 1, "{\"template\":{},\"type\":\"template\",\"to\":\"1\"}" },
    { 1, "{\"type\":\"template\"}" },
    { 1, "{\"ty\\u0070e\":\"templ\\u0061te\"}" },
    { 1, "{\"type\":\"text\",\"type\":\"template\"}" },
    { 1, "{\"type\":null,\"type\":\"template\"}" },
    { 0, "{\"type\":\"template\",\"type\":\"text\"}" },
    { 0, "{\"type\":\"template\",\"type\":null}" },
    { 0, "{\"type\":\"template\",\"type\":{}}" },
    { 0, "{\"type\":\"template\",\"type\":[\"template\"]}" },
    { 0, "{\"to\":\"1\",\"type\":\"text\",\"text\":{\"body\":\"a\"}}" },
    { 0, "{\"to\":\"1\",\"template\":{\"type\":\"template\"}}" },
    { 0, "{\"to\":\"template\",\"recipient\":\"template\"}" },
    { 0, "{\"type\":{\"type\":\"template\"}}" },
    { 0, "{\"a\":{\"type\":\"template\"}}" },
    { 0, "[{\"type\":\"template\"}]" },
    { 0, "[\"type\",\"template\"]" },
    { 0, "{\"type\":\"Template\"}" },
    { 0, "{\"type\":\"templates\"}" },
    { 0, "{\"type\":\"templat\"}" },
    { 0, "{\"type\":\"template\\u0000\"}" },
    { 0, "{\"type\":\"\"}" },
    { 0, "{\"Type\":\"template\"}" },
    { 0, "{\"type\":true}" },
    { 0, "{\"type\":1}" },
    { 0, "{}" }
};


/* whether these are receipts: they have a status, and go to nobody */

static const struct {
    int          receipt;
    const char  *text;
} receipts[] = {
    { 1, "{\"messaging_product\":\"whatsapp\",\"status\":\"read\","
         "\"message_id\":\"wamid.A\"}" },
    { 1, "{\"messaging_product\":\"whatsapp\",\"status\":\"read\","
         "\"message_id\":\"wamid.A\",\"typing_indicator\":{\"type\":"
         "\"text\"}}" },
    { 1, "{\"st\\u0061tus\":\"read\"}" },
    { 1, "{\"status\":null}" },
    { 1, "{\"status\":\"read\",\"to\":\"\"}" },
    { 1, "{\"to\":null,\"status\":\"read\",\"recipient\":\"\"}" },
    { 1, "{\"to\":\"1\",\"status\":\"read\",\"to\":\"\"}" },
    { 1, "{\"to\":{},\"status\":\"read\",\"to\":null}" },
    { 1, "{\"status\":{\"to\":\"1\"}}" },
    { 1, "{\"status\":\"read\",\"context\":{\"to\":\"1\"}}" },
    { 1, "{\"status\":\"read\",\"a\":[{\"recipient\":\"1\"}]}" },
    { 0, "{\"status\":\"read\",\"to\":\"16505551234\"}" },
    { 0, "{\"recipient\":\"US.1349\",\"status\":\"read\"}" },
    { 0, "{\"to\":\"\",\"recipient\":\"1\",\"status\":\"read\"}" },
    { 0, "{\"to\":1,\"status\":\"read\"}" },
    { 0, "{\"to\":\"\",\"to\":\"1\",\"status\":\"read\"}" },
    { 0, "{\"recipient\":{\"id\":\"1\"},\"status\":\"read\"}" },
    { 0, "{\"to\":[\"1\"],\"status\":\"read\"}" },
    { 0, "{\"to\":\"16505551234\",\"type\":\"text\"}" },
    { 0, "{\"recipient\":{\"id\":\"1\"},\"sender_action\":\"typing_on\"}" },
    { 0, "{\"a\":{\"status\":\"read\"}}" },
    { 0, "[{\"status\":\"read\"}]" },
    { 0, "[\"status\"]" },
    { 0, "{\"Status\":\"read\"}" },
    { 0, "{\"statuses\":\"read\"}" },
    { 0, "\"status\"" },
    { 0, "{}" }
};


/* no documents */

static const char  *broken[] = {
    "",
    " ",
    "{",
    "x",
    "to=16505551234",
    "{\"to\":\"1\"",
    "{\"to\":\"1",
    "{\"to\":\"1\",}",
    "{\"status\":\"read\"",
    "{\"to\":\"1\"}}",
    "{\"to\":\"1\"} x",
    "{\"to\":\"1\"}{\"to\":\"1\"}",
    "{\"to\":\"1\"} \"",
    "{\"to\":\"1\"]",
    "{\"to\":+1}",
    "{\"to\":01}",
    "{\"to\":0x10}",
    "{\"to\":\"1\",\"a\":NaN}",
    "{\"to\":\"1\",\"a\":undefined}",
    "{'to':'1'}",
    "{to:\"1\"}",
    "{\"to\":\"1\\x\"}",
    "{\"to\":\"1\\u12\"}",
    "{\"to\":\"1\n\"}",
    "{\"to\":\"1\",\"a\":\"\xff\"}",
    "{\"to\":\"\x80\"}",
    "{\"to\":\"\xed\xa0\"}",
    "\xef\xbb\xbf{\"to\":\"1\"",
    "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n1\r\n--b--\r\n"
};


/* as in json.c: a guard behind the arena, blocks of the exact size */

static ngx_int_t
read_message(const void *data, size_t len, message_t *message)
{
    size_t      size, i;
    u_char     *arena, *text;
    ngx_int_t   rc;

    struct {
        message_t  message;
        u_char     guard[64];
    } guarded;

    size = ngx_http_graph_policy_json_arena(len);

    arena = malloc(size + GUARD);
    text = malloc(len ? len : 1);

    if (arena == NULL || text == NULL) {
        abort();
    }

    memcpy(text, data, len);
    memset(arena, POISON, size + GUARD);
    memset(&guarded, POISON, sizeof(guarded));

    rc = ngx_http_graph_policy_message_read(text, len, arena,
                                            &guarded.message);

    for (i = size + GUARD; i > 0 && arena[i - 1] == POISON; i--) { /* void */ }

    if (i > size || memcmp(text, data, len) != 0) {
        diag("a body of %zu bytes took %zu of %zu", len, i, size);
        rc = NGX_ERROR;
    }

    for (i = 0; i < sizeof(guarded.guard); i++) {
        if (guarded.guard[i] != POISON) {
            diag("a message wrote behind its room");
            rc = NGX_ERROR;
            break;
        }
    }

    *message = guarded.message;

    if (message->recipient.len > LONGEST) {
        diag("a recipient of %zu bytes", message->recipient.len);
        message->recipient.len = 0;
        rc = NGX_ERROR;
    }

    if (rc == NGX_DECLINED && (message->template || message->receipt)) {
        diag("no document, and a template or a receipt");
        rc = NGX_ERROR;
    }

    free(arena);
    free(text);

    return rc;
}


static ngx_int_t
to_whom(const void *data, size_t len, recipient_t *recipient)
{
    ngx_int_t  rc;
    message_t  message;

    rc = read_message(data, len, &message);

    *recipient = message.recipient;

    return rc;
}


static void
says(const char *text, size_t len, const char *want, const char *name)
{
    ngx_int_t    rc;
    recipient_t  r;

    rc = to_whom(text, len, &r);

    if (rc != NGX_OK) {
        fail("%s: rc %d", name, (int) rc);
        return;
    }

    is_mem(r.data, r.len, want, strlen(want), "%s", name);
}


static void
test_shapes(void)
{
    size_t  i;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        says(shapes[i].text, strlen(shapes[i].text), shapes[i].recipient,
             shapes[i].name);
    }
}


static void
test_receipts(void)
{
    char       text[4096];
    size_t     i;
    ngx_int_t  rc;
    message_t  m;

    for (i = 0; i < sizeof(receipts) / sizeof(receipts[0]); i++) {
        rc = read_message(receipts[i].text, strlen(receipts[i].text), &m);

        ok(rc == NGX_OK && m.receipt == (unsigned) receipts[i].receipt,
           "a receipt? %d: %s", receipts[i].receipt, receipts[i].text);
    }

    /* somebody whose name is too long to be kept is somebody */

    i = sprintf(text, "{\"status\":\"read\",\"to\":\"");
    memset(text + i, 'a', LONGEST + 1);
    i += LONGEST + 1;
    i += sprintf(text + i, "\"}");

    rc = read_message(text, i, &m);
    ok(rc == NGX_OK && !m.receipt && m.recipient.len == 0,
       "a message to a name of %d bytes is no receipt", LONGEST + 1);
}


static void
test_types(void)
{
    size_t     i;
    ngx_int_t  rc;
    message_t  m;

    static const char  text[] = "{\"type\":\"template\",\"to\":\"+1650\"}";

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        rc = read_message(types[i].text, strlen(types[i].text), &m);

        ok(rc == NGX_OK && m.template == (unsigned) types[i].template,
           "a template? %d: %s", types[i].template, types[i].text);
    }

    /* one doesn't change the other */

    rc = read_message(text, sizeof(text) - 1, &m);
    is_int(rc, NGX_OK, "a template to somebody");
    is_mem(m.recipient.data, m.recipient.len, "1650", 4, "goes there");
}


static void
test_spellings(void)
{
    char    text[256], name[256];
    size_t  i, len;

    for (i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        len = snprintf(text, sizeof(text), "{\"to\":\"%s\"}",
                       spellings[i].text);
        snprintf(name, sizeof(name), "to %s", spellings[i].text);
        says(text, len, spellings[i].recipient, name);

        len = snprintf(text, sizeof(text), "{\"a\":[],\"recipient\":\"%s\"}",
                       spellings[i].text);
        snprintf(name, sizeof(name), "recipient %s", spellings[i].text);
        says(text, len, spellings[i].recipient, name);
    }
}


/* what is folded stays so: each spelling and its fold are one recipient */

static void
test_stable(void)
{
    char    text[256];
    size_t  i, len, wrong;

    recipient_t  r, again;

    wrong = 0;

    for (i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {

        if (strpbrk(spellings[i].text, "\\") != NULL) {
            continue;
        }

        len = snprintf(text, sizeof(text), "{\"to\":\"%s\"}",
                       spellings[i].text);
        wrong += (to_whom(text, len, &r) != NGX_OK);

        len = snprintf(text, sizeof(text), "{\"to\":\"%.*s\"}", (int) r.len,
                       r.data);
        wrong += (to_whom(text, len, &again) != NGX_OK
                  || again.len != r.len
                  || memcmp(again.data, r.data, r.len) != 0);
    }

    is_int(wrong, 0, "a fold of a fold is the same");
}


static void
test_lengths(void)
{
    char         text[1024];
    size_t       n, len, wrong;
    ngx_int_t    rc;
    recipient_t  r;

    wrong = 0;

    for (n = 0; n < 500; n++) {
        len = sprintf(text, "{\"to\":\"");
        memset(text + len, 'a', n);
        len += n;
        len += sprintf(text + len, "\"}");

        rc = to_whom(text, len, &r);

        if (rc != NGX_OK || r.len != (n <= LONGEST ? n : 0)
            || (r.len != 0 && memcmp(r.data, text + 7, n) != 0))
        {
            diag("%zu bytes: rc %d, %zu", n, (int) rc, r.len);
            wrong++;
        }
    }

    is_int(wrong, 0, "up to %d bytes are a recipient, more are none",
           LONGEST);

    /* no other takes its place, and none is cut */

    len = sprintf(text, "{\"to\":\"1\",\"to\":\"");
    memset(text + len, '2', LONGEST + 1);
    len += LONGEST + 1;
    len += sprintf(text + len, "\"}");
    says(text, len, "", "a \"to\" too long after one that isn't");

    len = sprintf(text, "{\"to\":");
    memset(text + len, '2', LONGEST + 1);
    len += LONGEST + 1;
    len += sprintf(text + len, "}");
    says(text, len, "", "a number too long");

    /* counted before it is folded */

    len = sprintf(text, "{\"to\":\"");
    memset(text + len, '+', LONGEST - 4);
    len += LONGEST - 4;
    len += sprintf(text + len, "1650\"}");
    says(text, len, "1650", "many signs");
}


static void
test_bytes(void)
{
    recipient_t  r;

    is_int(to_whom("{\"to\":\"1\\u00002\"}", 17, &r), NGX_OK, "a NUL");
    is_mem(r.data, r.len, "1\0002", 3, "is a byte as any other");

    is_int(to_whom("{\"to\":\"\\u00e9\\ud83d\\ude00\"}", 27, &r), NGX_OK,
           "escapes");
    is_mem(r.data, r.len, "\xc3\xa9\xf0\x9f\x98\x80", 6, "are UTF-8");

    is_int(to_whom("{\"to\":\"1\"}\0", 11, &r), NGX_DECLINED,
           "a NUL behind the document");
    is_int(r.len, 0, "isn't read");
}


static void
test_broken(void)
{
    size_t       i, n, len, wrong;
    ngx_int_t    rc;
    recipient_t  r;

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        rc = to_whom(broken[i], strlen(broken[i]), &r);
        ok(rc == NGX_DECLINED && r.len == 0, "no document: %s", broken[i]);
    }

    wrong = 0;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {

        if (shapes[i].text[0] != '{') {
            continue;
        }

        len = strlen(shapes[i].text);

        for (n = 0; n < len; n++) {
            rc = to_whom(shapes[i].text, n, &r);
            wrong += (rc != NGX_DECLINED || r.len != 0);
        }
    }

    is_int(wrong, 0, "no truncation of an object goes to anybody");
}


static void
test_depth(void)
{
    char         text[1024];
    size_t       n;
    ngx_int_t    rc;
    recipient_t  r;

    static const char  start[] = "{\"to\":\"1\",\"a\":";

    /* the object is a level of its own */

    memcpy(text, start, sizeof(start) - 1);

    for (n = 1; n < 100; n++) {
        memset(text + sizeof(start) - 1, '[', n);
        memset(text + sizeof(start) - 1 + n, ']', n);
        text[sizeof(start) - 1 + 2 * n] = '}';

        rc = to_whom(text, sizeof(start) + 2 * n, &r);

        if (n < NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
            if (rc != NGX_OK || r.len != 1) {
                break;
            }

        } else if (rc != NGX_DECLINED || r.len != 0) {
            break;
        }
    }

    is_int(n, 100, "depth counts up to %d levels",
           NGX_HTTP_GRAPH_POLICY_JSON_DEPTH);

    memset(text, '[', sizeof(text));
    is_int(to_whom(text, sizeof(text), &r), NGX_DECLINED, "only openings");

    for (n = 0; n + 6 <= sizeof(text); n += 6) {
        memcpy(text + n, "{\"to\":", 6);
    }

    is_int(to_whom(text, n, &r), NGX_DECLINED, "only openings of objects");
    is_int(r.len, 0, "go to nobody");
}


/* lengths around those of yajl's buffers, which the arena must hold */

static void
test_large(void)
{
    char         *text;
    size_t        n, len, wrong;
    recipient_t   r;

    text = malloc(70000);

    if (text == NULL) {
        abort();
    }

    wrong = 0;

    for (n = 1; n < 66000; n += (n < 2100 || n % 4096 > 4000) ? 1 : 97) {

        /* the escape makes yajl decode the text in a buffer */

        len = sprintf(text, "{\"text\":{\"body\":\"\\n");
        memset(text + len, 'a', n);
        len += n;
        len += sprintf(text + len, "\"},\"to\":\"+1650\"}");

        wrong += (to_whom(text, len, &r) != NGX_OK || r.len != 4
                  || memcmp(r.data, "1650", 4) != 0);
        wrong += (to_whom(text, len - 1, &r) != NGX_DECLINED || r.len != 0);
    }

    is_int(wrong, 0, "long texts, whole and cut");

    free(text);
}


int
main(void)
{
    test_shapes();
    test_types();
    test_receipts();
    test_spellings();
    test_stable();
    test_lengths();
    test_bytes();
    test_broken();
    test_depth();
    test_large();

    return tap_done();
}
