
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Writes JSON by yajl's generator, piece by piece into chunks.
 *
 * The file is pure: it takes no lock.  The text lies in the caller's chunks,
 * and yajl's own data in the structure's arena, so nothing has to be freed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_gen.h>
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_yajl.h"


#define ngx_http_graph_policy_gen_do(gen, call)                               \
    if (!(gen)->failed && (call) != yajl_gen_status_ok) {                     \
        (gen)->failed = 1;                                                    \
    }


static void *ngx_http_graph_policy_gen_malloc(void *data, size_t size);
static void *ngx_http_graph_policy_gen_realloc(void *data, void *p,
    size_t size);
static void ngx_http_graph_policy_gen_free(void *data, void *p);
static void ngx_http_graph_policy_gen_print(void *data, const char *text,
    size_t len);
static void ngx_http_graph_policy_gen_word(ngx_http_graph_policy_gen_t *gen,
    const char *name);
static void ngx_http_graph_policy_gen_replaced(
    ngx_http_graph_policy_gen_t *gen, const u_char *text, size_t len);


void
ngx_http_graph_policy_gen_begin(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_gen_more_pt more, void *data)
{
    yajl_alloc_funcs  funcs;

    gen->pos = NULL;
    gen->end = NULL;
    gen->more = more;
    gen->data = data;
    gen->used = 0;
    gen->depth = 0;

    funcs.malloc = ngx_http_graph_policy_gen_malloc;
    funcs.realloc = ngx_http_graph_policy_gen_realloc;
    funcs.free = ngx_http_graph_policy_gen_free;
    funcs.ctx = gen;

    gen->yajl = yajl_gen_alloc(&funcs);

    gen->failed = (gen->yajl == NULL
                   || !yajl_gen_config(gen->yajl, yajl_gen_print_callback,
                                       ngx_http_graph_policy_gen_print, gen));
}


/*
 * yajl allocates two blocks: its state, and the head of a buffer that it never
 * fills.  It crashes if the second allocation fails, so the first one may take
 * at most half of the arena.
 */

static void *
ngx_http_graph_policy_gen_malloc(void *data, size_t size)
{
    ngx_http_graph_policy_gen_t *gen = data;

    void  *p;

    size = ngx_align(size, sizeof(uint64_t));

    if (size > sizeof(gen->arena) / 2
        || size > sizeof(gen->arena) - gen->used)
    {
        return NULL;
    }

    p = (u_char *) gen->arena + gen->used;
    gen->used += size;

    return p;
}


static void *
ngx_http_graph_policy_gen_realloc(void *data, void *p, size_t size)
{
    /*
     * yajl reallocates only its buffer, and the print callback leaves that
     * unused.
     */

    return NULL;
}


static void
ngx_http_graph_policy_gen_free(void *data, void *p)
{
    /* Blocks aren't freed one by one, the arena goes as a whole. */
}


static void
ngx_http_graph_policy_gen_print(void *data, const char *text, size_t len)
{
    ngx_http_graph_policy_gen_t *gen = data;

    size_t  n;

    while (len != 0 && !gen->failed) {

        if (gen->pos == gen->end) {
            gen->pos = gen->more(gen->data, gen->pos, &gen->end);

            if (gen->pos == NULL) {
                gen->end = NULL;
                gen->failed = 1;
                return;
            }
        }

        n = ngx_min(len, (size_t) (gen->end - gen->pos));

        gen->pos = ngx_cpymem(gen->pos, text, n);
        text += n;
        len -= n;
    }
}


ngx_int_t
ngx_http_graph_policy_gen_end(ngx_http_graph_policy_gen_t *gen)
{
    /*
     * yajl_gen_free() isn't called, as it would only return blocks to the
     * arena.
     */

    return (gen->failed || gen->depth != 0 || gen->pos == NULL) ? NGX_ERROR
                                                                : NGX_OK;
}


static void
ngx_http_graph_policy_gen_word(ngx_http_graph_policy_gen_t *gen,
    const char *name)
{
    if (name != NULL) {
        ngx_http_graph_policy_gen_do(gen,
                                     yajl_gen_string(gen->yajl,
                                               (const unsigned char *) name,
                                               ngx_strlen(name)));
    }
}


void
ngx_http_graph_policy_gen_object(ngx_http_graph_policy_gen_t *gen,
    const char *name)
{
    ngx_http_graph_policy_gen_word(gen, name);
    ngx_http_graph_policy_gen_do(gen, yajl_gen_map_open(gen->yajl));
    gen->depth++;
}


void
ngx_http_graph_policy_gen_array(ngx_http_graph_policy_gen_t *gen,
    const char *name)
{
    ngx_http_graph_policy_gen_word(gen, name);
    ngx_http_graph_policy_gen_do(gen, yajl_gen_array_open(gen->yajl));
    gen->depth++;
}


void
ngx_http_graph_policy_gen_integer(ngx_http_graph_policy_gen_t *gen,
    const char *name, int64_t value)
{
    ngx_http_graph_policy_gen_word(gen, name);
    ngx_http_graph_policy_gen_do(gen, yajl_gen_integer(gen->yajl, value));
}


void
ngx_http_graph_policy_gen_bool(ngx_http_graph_policy_gen_t *gen,
    const char *name, ngx_uint_t value)
{
    ngx_http_graph_policy_gen_word(gen, name);
    ngx_http_graph_policy_gen_do(gen, yajl_gen_bool(gen->yajl, value != 0));
}


void
ngx_http_graph_policy_gen_null(ngx_http_graph_policy_gen_t *gen,
    const char *name)
{
    ngx_http_graph_policy_gen_word(gen, name);
    ngx_http_graph_policy_gen_do(gen, yajl_gen_null(gen->yajl));
}


void
ngx_http_graph_policy_gen_text(ngx_http_graph_policy_gen_t *gen,
    const char *name, const u_char *text, size_t len)
{
    ngx_http_graph_policy_gen_word(gen, name);

    if (ngx_http_graph_policy_yajl_utf8(text, text + len) != NGX_OK) {
        ngx_http_graph_policy_gen_replaced(gen, text, len);
        return;
    }

    ngx_http_graph_policy_gen_do(gen, yajl_gen_string(gen->yajl, text, len));
}


static void
ngx_http_graph_policy_gen_replaced(ngx_http_graph_policy_gen_t *gen,
    const u_char *text, size_t len)
{
    size_t  i;
    u_char  ascii[NGX_HTTP_GRAPH_POLICY_GEN_TEXT];

    len = ngx_min(len, sizeof(ascii));

    for (i = 0; i < len; i++) {
        ascii[i] = (text[i] < 0x80) ? text[i] : '?';
    }

    ngx_http_graph_policy_gen_do(gen, yajl_gen_string(gen->yajl, ascii, len));
}


void
ngx_http_graph_policy_gen_name(ngx_http_graph_policy_gen_t *gen,
    ngx_str_t *name)
{
    ngx_http_graph_policy_gen_text(gen, NULL, name->data, name->len);
}


void
ngx_http_graph_policy_gen_close_object(ngx_http_graph_policy_gen_t *gen)
{
    ngx_http_graph_policy_gen_do(gen, yajl_gen_map_close(gen->yajl));
    gen->depth--;
}


void
ngx_http_graph_policy_gen_close_array(ngx_http_graph_policy_gen_t *gen)
{
    ngx_http_graph_policy_gen_do(gen, yajl_gen_array_close(gen->yajl));
    gen->depth--;
}
