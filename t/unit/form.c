
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: small objects that people write, and which member of them is
 * said to be wrong.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_json.h"


#define LONGEST  NGX_HTTP_GRAPH_POLICY_FIELD_LEN

#define READ       NGX_HTTP_GRAPH_POLICY_FORM_READ
#define MALFORMED  NGX_HTTP_GRAPH_POLICY_FORM_MALFORMED
#define UNKNOWN    NGX_HTTP_GRAPH_POLICY_FORM_UNKNOWN
#define TWICE      NGX_HTTP_GRAPH_POLICY_FORM_TWICE
#define TYPE       NGX_HTTP_GRAPH_POLICY_FORM_TYPE
#define LONG       NGX_HTTP_GRAPH_POLICY_FORM_LONG


typedef ngx_http_graph_policy_form_t   form_t;
typedef ngx_http_graph_policy_field_t  field_t;


typedef struct {
    const char  *name;
    const char  *text;
    int          result;
    const char  *culprit;           /* or, where read, the text of "key" */
} said_t;


static const said_t  said[] = {

    { "one member", "{\"key\":\"1\"}", READ, "1" },
    { "all", "{\"key\":\"1\",\"probe\":true,\"hold\":\"2h\"}", READ, "1" },
    { "none", "{}", READ, "" },
    { "an empty text", "{\"key\":\"\"}", READ, "" },
    { "a null", "{\"key\":null,\"probe\":null}", READ, "" },
    { "blanks", " {\r\n\t\"key\" : \"1\" } ", READ, "1" },
    { "an escaped name", "{\"\\u006bey\":\"1\"}", READ, "1" },
    { "an escaped text", "{\"key\":\"\\\"\\u00e9\"}", READ, "\"\xc3\xa9" },

    { "nothing", "", MALFORMED, "" },
    { "a blank", " ", MALFORMED, "" },
    { "an end missing", "{\"key\":\"1\"", MALFORMED, "" },
    { "a text torn", "{\"key\":\"1", MALFORMED, "" },
    { "something behind it", "{\"key\":\"1\"} x", MALFORMED, "" },
    { "two objects", "{\"key\":\"1\"}{\"key\":\"1\"}", MALFORMED, "" },
    { "no UTF-8", "{\"key\":\"\xff\"}", MALFORMED, "" },
    { "a list", "[{\"key\":\"1\"}]", MALFORMED, "" },
    { "a text alone", "\"key\"", MALFORMED, "" },
    { "a number alone", "1", MALFORMED, "" },
    { "a boolean alone", "true", MALFORMED, "" },
    { "a null alone", "null", MALFORMED, "" },

    { "another member", "{\"kez\":\"1\"}", UNKNOWN, "kez" },
    { "one that is longer", "{\"keys\":\"1\"}", UNKNOWN, "keys" },
    { "one that is shorter", "{\"ke\":\"1\"}", UNKNOWN, "ke" },
    { "another case", "{\"Key\":\"1\"}", UNKNOWN, "Key" },
    { "one without a name", "{\"\":\"1\"}", UNKNOWN, "" },
    { "another behind it", "{\"key\":\"1\",\"a\\nb\":{}}", UNKNOWN, "a\nb" },
    { "twice the same", "{\"key\":\"1\",\"key\":\"1\"}", TWICE, "key" },
    { "a null first", "{\"key\":null,\"key\":\"1\"}", TWICE, "key" },

    { "a number", "{\"key\":1}", TYPE, "key" },
    { "a number with a fraction", "{\"hold\":1.5}", TYPE, "hold" },
    { "a boolean for a text", "{\"key\":true}", TYPE, "key" },
    { "a text for a boolean", "{\"probe\":\"true\"}", TYPE, "probe" },
    { "a number for a boolean", "{\"probe\":0}", TYPE, "probe" },
    { "an object", "{\"key\":{\"key\":\"1\"}}", TYPE, "key" },
    { "an array", "{\"key\":[\"1\"]}", TYPE, "key" }
};


static ngx_http_graph_policy_form_e
read_form(const char *text, size_t len, form_t *form)
{
    void                          *arena;
    u_char                        *body;
    ngx_http_graph_policy_form_e   rc;

    /* of its very length, so that a byte behind it is found */

    body = malloc(len + (len == 0));
    memcpy(body, text, len);

    arena = malloc(ngx_http_graph_policy_json_arena(len));

    rc = ngx_http_graph_policy_form_read(body, len, arena, form);

    free(arena);
    free(body);

    return rc;
}


static void
init(form_t *form, field_t *fields)
{
    static const field_t  empty[] = {
        ngx_http_graph_policy_field("key", 0),
        ngx_http_graph_policy_field("hold", 0),
        ngx_http_graph_policy_field("probe", 1)
    };

    memcpy(fields, empty, sizeof(empty));

    /* rubbish of an earlier call */

    memset(fields[0].data, 'x', sizeof(fields[0].data));
    fields[0].len = 7;
    fields[0].found = 1;

    form->fields = fields;
    form->nfields = 3;
}


static void
texts(void)
{
    size_t         i;
    form_t         form;
    field_t        fields[3];
    const said_t  *s;

    for (i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        s = &said[i];

        init(&form, fields);

        is_int(read_form(s->text, strlen(s->text), &form), s->result, "%s",
               s->name);

        if (s->result == READ) {
            is_mem(fields[0].data, fields[0].len, s->culprit,
                   strlen(s->culprit), "%s: the text", s->name);

        } else {
            is_mem(form.culprit, form.culprit_len, s->culprit,
                   strlen(s->culprit), "%s: the member", s->name);
        }
    }
}


static void
found(void)
{
    form_t   form;
    field_t  fields[3];

    init(&form, fields);
    (void) read_form("{}", 2, &form);

    ok(!fields[0].found && !fields[1].found && !fields[2].found,
       "what isn't there isn't found");

    init(&form, fields);
    (void) read_form("{\"hold\":\"\",\"probe\":false}", 25, &form);

    ok(!fields[0].found, "nor is a member beside others");
    ok(fields[1].found, "an empty text is there");
    ok(fields[2].found && !fields[2].value, "so is false");

    init(&form, fields);
    (void) read_form("{\"probe\":true}", 14, &form);

    ok(fields[2].found && fields[2].value, "and true");

    init(&form, fields);
    (void) read_form("{\"key\":null}", 12, &form);

    ok(!fields[0].found, "a null is as nothing");
}


/* a document of a member with this name and a text of x, each so long */

static size_t
document(char *body, const char *name, size_t name_len, size_t text_len)
{
    char  *p;

    p = body;

    p += sprintf(p, "{\"%s", name);
    memset(p, 'n', name_len);
    p += name_len;
    p += sprintf(p, "\":\"");
    memset(p, 'x', text_len);
    p += text_len;
    p += sprintf(p, "\"}");

    return p - body;
}


static void
lengths(void)
{
    char     body[70000];
    size_t   len;
    form_t   form;
    field_t  fields[3];

    init(&form, fields);
    len = document(body, "key", 0, LONGEST);

    is_int(read_form(body, len, &form), READ, "the longest text");
    is_int(fields[0].len, LONGEST, "is whole");

    init(&form, fields);
    len = document(body, "key", 0, LONGEST + 1);

    is_int(read_form(body, len, &form), LONG, "a longer one");
    is_mem(form.culprit, form.culprit_len, "key", 3, "is told");

    init(&form, fields);
    len = document(body, "", 60000, 3);

    is_int(read_form(body, len, &form), UNKNOWN, "a long name");
    is_int(form.culprit_len, LONGEST, "is cut");
}


static void
torn(void)
{
    size_t   len;
    form_t   form;
    field_t  fields[3];

    static const char  whole[] =
        "{\"key\":\"1\",\"probe\":false,\"hold\":\"\\u0031h\"}";

    for (len = 0; len < sizeof(whole) - 1; len++) {
        init(&form, fields);

        if (read_form(whole, len, &form) != MALFORMED) {
            break;
        }
    }

    is_int(len, sizeof(whole) - 1, "torn anywhere it is malformed");

    init(&form, fields);
    is_int(read_form(whole, len, &form), READ, "and whole it isn't");
}


int
main(void)
{
    texts();
    found();
    lengths();
    torn();

    return tap_done();
}
