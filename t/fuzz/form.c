
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as an object that a person writes, and as a text that
 * is written.  What was read is written into chunks as small as the first
 * byte says, and read again.  All memory is in blocks of exactly its size, so
 * that the sanitizer sees each byte beyond; chunks are parts of one block, with
 * bytes between them that nobody may touch.
 */


#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_yajl.h"


#define check(expr)  if (!(expr)) abort()

#define LONGEST  NGX_HTTP_GRAPH_POLICY_FIELD_LEN
#define NFIELDS  4
#define CHUNKS   4096
#define GAP      16


/* what is written, chunk by chunk */

typedef struct {
    size_t   size;                  /* of a chunk */
    size_t   n;
    u_char  *chunks[CHUNKS];
    u_char   block[CHUNKS * (8 + GAP)];  /* mostly untouchable */
} paper_t;

#define paper_step(paper)  (((paper)->size + 7) / 8 * 8 + GAP)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
name_fields(ngx_http_graph_policy_form_t *form,
    ngx_http_graph_policy_field_t *fields)
{
    static const ngx_http_graph_policy_field_t  names[NFIELDS] = {
        ngx_http_graph_policy_field("key", 0),
        ngx_http_graph_policy_field("hold", 0),
        ngx_http_graph_policy_field("probe", 1),
        ngx_http_graph_policy_field("dry", 1)
    };

    size_t  i;

    memset(form, 0xa5, sizeof(ngx_http_graph_policy_form_t));

    for (i = 0; i < NFIELDS; i++) {
        fields[i] = names[i];
        fields[i].found = 1;
        fields[i].len = 2 * LONGEST;
    }

    form->fields = fields;
    form->nfields = NFIELDS;
}


static ngx_http_graph_policy_form_e
read_form(const u_char *text, size_t size, ngx_http_graph_policy_form_t *form,
    ngx_http_graph_policy_field_t *fields)
{
    size_t                         i;
    u_char                        *body, *arena;
    ngx_http_graph_policy_form_e   error;

    name_fields(form, fields);

    body = malloc(size);
    arena = malloc(ngx_http_graph_policy_json_arena(size));
    check(arena != NULL && (body != NULL || size == 0));

    if (size != 0) {
        memcpy(body, text, size);
    }

    error = ngx_http_graph_policy_form_read(body, size, arena, form);

    check(size == 0 || memcmp(body, text, size) == 0);
    check(error <= NGX_HTTP_GRAPH_POLICY_FORM_LONG);
    check(form->culprit_len <= LONGEST);

    if (error == NGX_HTTP_GRAPH_POLICY_FORM_READ
        || error == NGX_HTTP_GRAPH_POLICY_FORM_MALFORMED)
    {
        check(form->culprit_len == 0);
    }

    for (i = 0; i < NFIELDS; i++) {
        check(fields[i].len <= LONGEST);
        check(fields[i].found || fields[i].len == 0);
        check(!fields[i].is_bool || fields[i].len == 0);
    }

    free(arena);
    free(body);

    return error;
}


static u_char *
more(void *data, u_char *last, u_char **end)
{
    paper_t *paper = data;

    u_char  *chunk;

    check((last == NULL) == (paper->n == 0));
    check(last == NULL
          || last == paper->chunks[paper->n - 1] + paper->size);
    check(paper->n < CHUNKS);

    chunk = paper->block + paper->n * paper_step(paper);
    check(chunk + paper_step(paper) <= paper->block + sizeof(paper->block));

    __asan_unpoison_memory_region(chunk, paper->size);

    paper->chunks[paper->n++] = chunk;
    *end = chunk + paper->size;

    return chunk;
}


/* a text as it comes back: one that isn't UTF-8 with question marks */

static void
check_text(const u_char *text, const u_char *back, size_t len)
{
    size_t      i;
    ngx_uint_t  utf8;

    utf8 = (ngx_http_graph_policy_yajl_utf8(text, text + len) == NGX_OK);

    for (i = 0; i < len; i++) {
        check(back[i] == ((utf8 || text[i] < 0x80) ? text[i] : '?'));
    }
}


/* the chunks as one text */

static u_char *
joined(paper_t *paper, ngx_http_graph_policy_gen_t *gen, size_t *size)
{
    size_t   i, len;
    u_char  *text;

    check(ngx_http_graph_policy_gen_end(gen) == NGX_OK);

    text = malloc(paper->n * paper->size);
    check(text != NULL);

    *size = 0;

    for (i = 0; i < paper->n; i++) {
        len = (i == paper->n - 1) ? (size_t) (gen->pos - paper->chunks[i])
                                  : paper->size;
        memcpy(text + *size, paper->chunks[i], len);
        *size += len;
    }

    __asan_poison_memory_region(paper->block, paper->n * paper_step(paper));

    return text;
}


/* yajl makes half a surrogate of an escape, so what was read may be no UTF-8 */

static void
write_again(ngx_http_graph_policy_field_t *fields, paper_t *paper)
{
    size_t                         i, size;
    u_char                        *text;
    ngx_http_graph_policy_gen_t    gen;
    ngx_http_graph_policy_form_t   form;
    ngx_http_graph_policy_field_t  again[NFIELDS];

    ngx_http_graph_policy_gen_begin(&gen, more, paper);
    ngx_http_graph_policy_gen_object(&gen, NULL);

    for (i = 0; i < NFIELDS; i++) {

        if (!fields[i].found) {
            continue;
        }

        ngx_http_graph_policy_gen_name(&gen, &fields[i].name);

        if (fields[i].is_bool) {
            ngx_http_graph_policy_gen_bool(&gen, NULL, fields[i].value);

        } else {
            ngx_http_graph_policy_gen_text(&gen, NULL, fields[i].data,
                                           fields[i].len);
        }
    }

    ngx_http_graph_policy_gen_close_object(&gen);

    text = joined(paper, &gen, &size);

    check(read_form(text, size, &form, again)
          == NGX_HTTP_GRAPH_POLICY_FORM_READ);

    for (i = 0; i < NFIELDS; i++) {
        check(again[i].found == fields[i].found);
        check(again[i].len == fields[i].len);
        check_text(fields[i].data, again[i].data, fields[i].len);
        check(!fields[i].is_bool || !fields[i].found
              || again[i].value == fields[i].value);
    }

    free(text);
}


/* whatever its bytes are, a text comes back */

static void
write_any(const u_char *data, size_t len, paper_t *paper)
{
    size_t                         size;
    u_char                        *text;
    ngx_http_graph_policy_gen_t    gen;
    ngx_http_graph_policy_form_t   form;
    ngx_http_graph_policy_field_t  fields[NFIELDS];

    ngx_http_graph_policy_gen_begin(&gen, more, paper);
    ngx_http_graph_policy_gen_object(&gen, NULL);
    ngx_http_graph_policy_gen_text(&gen, "key", data, len);
    ngx_http_graph_policy_gen_close_object(&gen);

    text = joined(paper, &gen, &size);

    check(read_form(text, size, &form, fields)
          == NGX_HTTP_GRAPH_POLICY_FORM_READ);
    check(fields[0].found && fields[0].len == len);
    check_text(data, fields[0].data, len);

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_http_graph_policy_form_t   form;
    ngx_http_graph_policy_field_t  fields[NFIELDS];

    static paper_t  paper;

    if (size == 0) {
        return 0;
    }

    if (paper.size == 0) {
        __asan_poison_memory_region(paper.block, sizeof(paper.block));
    }

    paper.size = data[0] + 1;

    data++;
    size--;

    if (read_form(data, size, &form, fields)
        == NGX_HTTP_GRAPH_POLICY_FORM_READ)
    {
        paper.n = 0;
        write_again(fields, &paper);
    }

    paper.n = 0;
    write_any(data, ngx_min(size, LONGEST), &paper);

    return 0;
}
