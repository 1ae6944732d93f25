
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_GEN_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_GEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Bytes of yajl's own data: its generator remembers a word for each of 128
 * levels.
 */
#define NGX_HTTP_GRAPH_POLICY_GEN_ARENA  2048

/* A text that isn't valid UTF-8 is cut to this many bytes. */
#define NGX_HTTP_GRAPH_POLICY_GEN_TEXT   256


/*
 * Returns the start of another chunk of memory, with its end in "end", when
 * the chunk that ends at "last" is full; "last" is NULL at first.  Returns
 * NULL if there is no memory.  A chunk is owned by the caller and never empty.
 */
typedef u_char *(*ngx_http_graph_policy_gen_more_pt)(void *data, u_char *last,
    u_char **end);


/*
 * A document that is being written.  The structure must not be moved, as yajl
 * points into it.
 */

typedef struct {
    u_char                            *pos;     /* in the current chunk */
    u_char                            *end;
    ngx_http_graph_policy_gen_more_pt  more;
    void                              *data;    /* argument of "more" */

    void                              *yajl;
    size_t                             used;    /* bytes used of the arena */
    ngx_uint_t                         depth;
    unsigned                           failed:1;

    uint64_t                           arena[NGX_HTTP_GRAPH_POLICY_GEN_ARENA
                                             / sizeof(uint64_t)];
} ngx_http_graph_policy_gen_t;


/*
 * Begins a document.  The functions below return no errors: gen_end() reports
 * that memory has run out, and what yajl refuses, such as a member without a
 * name.  yajl doesn't check that a closing bracket is of the same kind as the
 * opening one.
 */
void ngx_http_graph_policy_gen_begin(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_gen_more_pt more, void *data);

/*
 * Ends the document.  Returns NGX_OK if one whole document was written, with
 * gen->pos behind its last byte; else NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_gen_end(ngx_http_graph_policy_gen_t *gen);

/*
 * These write a value.  "name" is the name of the member, in ASCII; it is NULL
 * in an array, and after gen_name().
 */
void ngx_http_graph_policy_gen_object(ngx_http_graph_policy_gen_t *gen,
    const char *name);
void ngx_http_graph_policy_gen_array(ngx_http_graph_policy_gen_t *gen,
    const char *name);
void ngx_http_graph_policy_gen_integer(ngx_http_graph_policy_gen_t *gen,
    const char *name, int64_t value);
void ngx_http_graph_policy_gen_bool(ngx_http_graph_policy_gen_t *gen,
    const char *name, ngx_uint_t value);
void ngx_http_graph_policy_gen_null(ngx_http_graph_policy_gen_t *gen,
    const char *name);

/*
 * Writes any bytes, escaped where JSON demands it.  If the text isn't valid
 * UTF-8, it is cut at GEN_TEXT bytes, and each byte that isn't ASCII becomes a
 * question mark.
 */
void ngx_http_graph_policy_gen_text(ngx_http_graph_policy_gen_t *gen,
    const char *name, const u_char *text, size_t len);
#define ngx_http_graph_policy_gen_string(gen, name, s)                        \
    ngx_http_graph_policy_gen_text(gen, name, (s)->data, (s)->len)

/*
 * Writes the name of the member whose value comes next; it may be any bytes,
 * as for gen_text().
 */
void ngx_http_graph_policy_gen_name(ngx_http_graph_policy_gen_t *gen,
    ngx_str_t *name);

void ngx_http_graph_policy_gen_close_object(
    ngx_http_graph_policy_gen_t *gen);
void ngx_http_graph_policy_gen_close_array(ngx_http_graph_policy_gen_t *gen);


#endif /* _NGX_HTTP_GRAPH_POLICY_GEN_H_INCLUDED_ */
