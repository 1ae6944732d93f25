
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_GEN_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_GEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* bytes for what yajl's generator keeps: a word for each of 128 levels */
#define NGX_HTTP_GRAPH_POLICY_GEN_ARENA  2048

/* bytes that are kept of a text that isn't UTF-8 */
#define NGX_HTTP_GRAPH_POLICY_GEN_TEXT   256


/*
 * Asked for the next chunk of memory when the one that ends at "last" is
 * full; "last" is NULL at first.  Returns its start, with the end in "end",
 * or NULL if there is no memory.  A chunk is the caller's, and not empty.
 */
typedef u_char *(*ngx_http_graph_policy_gen_more_pt)(void *data, u_char *last,
    u_char **end);


/* A document that is being written.  It mustn't be moved. */

typedef struct {
    u_char                            *pos;     /* in the chunk */
    u_char                            *end;
    ngx_http_graph_policy_gen_more_pt  more;
    void                              *data;    /* of "more" */

    void                              *yajl;
    size_t                             used;    /* of the arena */
    ngx_uint_t                         depth;
    unsigned                           failed:1;

    uint64_t                           arena[NGX_HTTP_GRAPH_POLICY_GEN_ARENA
                                             / sizeof(uint64_t)];
} ngx_http_graph_policy_gen_t;


/*
 * Begins a document.  Nothing that follows returns an error: that there was no
 * memory is told at the end.  So is what yajl sees to, such as a member without
 * a name; it doesn't see whether what is closed is what was opened.
 */
void ngx_http_graph_policy_gen_begin(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_gen_more_pt more, void *data);

/*
 * Ends it.  NGX_OK if one whole document was written; gen->pos is then behind
 * its last byte.  Else NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_gen_end(ngx_http_graph_policy_gen_t *gen);

/*
 * Values.  "name" is that of the member, in ASCII, or NULL in an array and
 * where name() has just given it.
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
 * Any bytes; what JSON wants escaped is.  Of a text that isn't valid UTF-8 all
 * that isn't ASCII becomes a question mark, and it is cut at GEN_TEXT bytes.
 */
void ngx_http_graph_policy_gen_text(ngx_http_graph_policy_gen_t *gen,
    const char *name, const u_char *text, size_t len);
#define ngx_http_graph_policy_gen_string(gen, name, s)                        \
    ngx_http_graph_policy_gen_text(gen, name, (s)->data, (s)->len)

/* the name of the member whose value comes next, as text() takes it */
void ngx_http_graph_policy_gen_name(ngx_http_graph_policy_gen_t *gen,
    ngx_str_t *name);

void ngx_http_graph_policy_gen_close_object(
    ngx_http_graph_policy_gen_t *gen);
void ngx_http_graph_policy_gen_close_array(ngx_http_graph_policy_gen_t *gen);


#endif /* _NGX_HTTP_GRAPH_POLICY_GEN_H_INCLUDED_ */
