
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The generator: what it writes, wherever chunks end, and that it says so if
 * there is no memory or no document.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_json.h"


#define LONGEST  4096


typedef ngx_http_graph_policy_gen_t  gen_t;


/* chunks of one size each, and how many of them there are to be had */

typedef struct {
    size_t    size;
    size_t    left;
    u_char   *chunk;
    u_char    text[LONGEST];
    size_t    len;
    int       odd;                  /* "last" wasn't the end of the chunk */
} chunks_t;


typedef void (*writer_t)(gen_t *gen);

typedef struct {
    const char  *name;
    writer_t     write;
    const char  *expected;          /* NULL: no document */
} written_t;


static u_char *
more(void *data, u_char *last, u_char **end)
{
    chunks_t  *c = data;

    if (c->chunk == NULL) {
        c->odd |= (last != NULL);

    } else {
        c->odd |= (last != c->chunk + c->size);
        memcpy(c->text + c->len, c->chunk, c->size);
        c->len += c->size;
        free(c->chunk);
        c->chunk = NULL;
    }

    if (c->left == 0) {
        return NULL;
    }

    c->left--;

    /* of exactly this size, so that a byte behind it is found */

    c->chunk = malloc(c->size);
    *end = c->chunk + c->size;

    return c->chunk;
}


/* the result of end(), with the text in "c" */

static ngx_int_t
run(chunks_t *c, size_t size, size_t left, writer_t write)
{
    gen_t      gen;
    ngx_int_t  rc;

    memset(c, 0, sizeof(chunks_t));
    memset(&gen, 0xa5, sizeof(gen));

    c->size = size;
    c->left = left;

    ngx_http_graph_policy_gen_begin(&gen, more, c);
    write(&gen);
    rc = ngx_http_graph_policy_gen_end(&gen);

    if (rc == NGX_OK) {
        memcpy(c->text + c->len, c->chunk, gen.pos - c->chunk);
        c->len += gen.pos - c->chunk;
    }

    free(c->chunk);
    c->chunk = NULL;

    return rc;
}


#define text(gen, name, s)                                                    \
    ngx_http_graph_policy_gen_text(gen, name, (u_char *) (s), sizeof(s) - 1)


static void
values(gen_t *gen)
{
    ngx_str_t  name = ngx_string("n\"ame");

    ngx_http_graph_policy_gen_object(gen, NULL);
    ngx_http_graph_policy_gen_integer(gen, "zero", 0);
    ngx_http_graph_policy_gen_integer(gen, "least", INT64_MIN);
    ngx_http_graph_policy_gen_integer(gen, "most", INT64_MAX);
    ngx_http_graph_policy_gen_bool(gen, "true", 1);
    ngx_http_graph_policy_gen_bool(gen, "any", 256);
    ngx_http_graph_policy_gen_bool(gen, "false", 0);
    ngx_http_graph_policy_gen_null(gen, "null");
    text(gen, "text", "a/b");
    text(gen, "empty", "");
    ngx_http_graph_policy_gen_array(gen, "array");
    ngx_http_graph_policy_gen_integer(gen, NULL, 1);
    ngx_http_graph_policy_gen_integer(gen, NULL, 2);
    ngx_http_graph_policy_gen_object(gen, NULL);
    ngx_http_graph_policy_gen_close_object(gen);
    ngx_http_graph_policy_gen_close_array(gen);
    ngx_http_graph_policy_gen_name(gen, &name);
    ngx_http_graph_policy_gen_string(gen, NULL, &name);
    ngx_http_graph_policy_gen_close_object(gen);
}


static void
hostile(gen_t *gen)
{
    text(gen, NULL, "\"\\\b\f\n\r\t\0\x01\x1f</script>\x7f\xc3\xa9");
}


/* Latin 1, a lone surrogate, too large, cut: no UTF-8, so nothing but ASCII */

static void
foreign(gen_t *gen)
{
    ngx_http_graph_policy_gen_array(gen, NULL);
    text(gen, NULL, "\"caf\xe9\"");
    text(gen, NULL, "a\xed\xa0\x80z");
    text(gen, NULL, "\xf4\x90\x80\x80");
    text(gen, NULL, "\xc3\xa9\xc3");
    text(gen, NULL, "\xc0\xaf");
    ngx_http_graph_policy_gen_close_array(gen);
}


static void
foreign_name(gen_t *gen)
{
    ngx_str_t  name = ngx_string("\xff\x01");

    ngx_http_graph_policy_gen_object(gen, NULL);
    ngx_http_graph_policy_gen_name(gen, &name);
    ngx_http_graph_policy_gen_null(gen, NULL);
    ngx_http_graph_policy_gen_close_object(gen);
}


static void
scalar(gen_t *gen)
{
    ngx_http_graph_policy_gen_integer(gen, NULL, 131056);
}


static void
nothing(gen_t *gen)
{
}


static void
open_object(gen_t *gen)
{
    ngx_http_graph_policy_gen_object(gen, NULL);
}


static void
open_array(gen_t *gen)
{
    ngx_http_graph_policy_gen_array(gen, NULL);
    ngx_http_graph_policy_gen_array(gen, NULL);
    ngx_http_graph_policy_gen_close_array(gen);
}


static void
no_name(gen_t *gen)
{
    ngx_http_graph_policy_gen_object(gen, NULL);
    ngx_http_graph_policy_gen_integer(gen, NULL, 1);
    ngx_http_graph_policy_gen_close_object(gen);
}


static void
two(gen_t *gen)
{
    ngx_http_graph_policy_gen_integer(gen, NULL, 1);
    ngx_http_graph_policy_gen_integer(gen, NULL, 2);
}


static void
closed(gen_t *gen)
{
    ngx_http_graph_policy_gen_close_object(gen);
}


static void
nested(gen_t *gen, int levels)
{
    int  i;

    for (i = 0; i < levels; i++) {
        ngx_http_graph_policy_gen_array(gen, NULL);
    }

    for (i = 0; i < levels; i++) {
        ngx_http_graph_policy_gen_close_array(gen);
    }
}


static void
nested_32(gen_t *gen)
{
    nested(gen, 32);
}


static void
nested_500(gen_t *gen)
{
    nested(gen, 500);
}


static void
long_text(gen_t *gen)
{
    u_char  s[3000];

    memset(s, 'x', sizeof(s));
    ngx_http_graph_policy_gen_text(gen, NULL, s, sizeof(s));
}


static void
long_foreign(gen_t *gen)
{
    u_char  s[3000];

    memset(s, 0xff, sizeof(s));
    ngx_http_graph_policy_gen_text(gen, NULL, s, sizeof(s));
}


static const written_t  written[] = {
    { "values", values,
      "{\"zero\":0,\"least\":-9223372036854775808,"
      "\"most\":9223372036854775807,\"true\":true,\"any\":true,"
      "\"false\":false,\"null\":null,\"text\":\"a/b\",\"empty\":\"\","
      "\"array\":[1,2,{}],\"n\\\"ame\":\"n\\\"ame\"}" },
    { "what has to be escaped", hostile,
      "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u0001\\u001F</script>\x7f\xc3\xa9\"" },
    { "what is no UTF-8", foreign,
      "[\"\\\"caf?\\\"\",\"a???z\",\"????\",\"???\",\"??\"]" },
    { "a name that is none", foreign_name, "{\"?\\u0001\":null}" },
    { "a scalar", scalar, "131056" },
    { "32 levels", nested_32,
      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },

    { "nothing", nothing, NULL },
    { "an object left open", open_object, NULL },
    { "an array left open", open_array, NULL },
    { "a member without a name", no_name, NULL },
    { "two values", two, NULL },
    { "what wasn't opened", closed, NULL },
    { "more levels than there are", nested_500, NULL }
};


static void
documents(void)
{
    size_t            i, size, len;
    chunks_t          c;
    ngx_int_t         rc;
    const written_t  *w;

    for (i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        w = &written[i];

        rc = run(&c, LONGEST, 1, w->write);

        if (w->expected == NULL) {
            is_int(rc, NGX_ERROR, "%s: no document", w->name);
            continue;
        }

        len = strlen(w->expected);

        is_int(rc, NGX_OK, "%s: written", w->name);
        is_mem(c.text, c.len, w->expected, len, "%s: as JSON", w->name);

        for (size = 1; size <= len + 1; size++) {
            rc = run(&c, size, LONGEST, w->write);

            if (rc != NGX_OK || c.odd || c.len != len
                || memcmp(c.text, w->expected, len) != 0)
            {
                break;
            }
        }

        is_int(size, len + 2, "%s: the same in chunks of any size", w->name);

        for (size = 0; size < len; size++) {

            if (run(&c, 1, size, w->write) != NGX_ERROR) {
                break;
            }
        }

        is_int(size, len, "%s: no memory for the next byte", w->name);
    }
}


static void
lengths(void)
{
    chunks_t  c;

    is_int(run(&c, 100, 31, long_text), NGX_OK, "a long text");
    is_int(c.len, 3002, "is whole");

    is_int(run(&c, 100, 31, long_foreign), NGX_OK, "a long text of rubbish");
    is_int(c.len, NGX_HTTP_GRAPH_POLICY_GEN_TEXT + 2, "is cut");
}


/* what is read is what was written */

static void
error_body(gen_t *gen)
{
    ngx_http_graph_policy_gen_object(gen, NULL);
    text(gen, "name", "\xff\"}");
    ngx_http_graph_policy_gen_object(gen, "error");
    ngx_http_graph_policy_gen_integer(gen, "code", 131056);
    text(gen, "message", "\"\\,\"code\":1");
    ngx_http_graph_policy_gen_close_object(gen);
    ngx_http_graph_policy_gen_close_object(gen);
}


static void
round_trip(void)
{
    void                           *arena;
    chunks_t                        c;
    ngx_http_graph_policy_facts_t   facts;

    is_int(run(&c, 7, LONGEST, error_body), NGX_OK, "an error body");

    arena = malloc(ngx_http_graph_policy_json_arena(c.len));

    is_int(ngx_http_graph_policy_json_parse(c.text, c.len, arena, &facts),
           NGX_OK, "can be read again");
    is_int(facts.code, 131056, "with its code");

    free(arena);
}


int
main(void)
{
    documents();
    lengths();
    round_trip();

    return tap_done();
}
