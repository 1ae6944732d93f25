
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* All code that depends on nginx's version is in this file. */


#if (nginx_version < 1022000)
#error "nginx 1.22.0 or newer is required"
#endif


/*
 * A function that the usual send doesn't call isn't inlined, because its caller
 * would then save registers and check the stack for each send.
 */

#if defined(__GNUC__)
#define ngx_http_graph_policy_noinline  __attribute__((noinline))
#else
#define ngx_http_graph_policy_noinline
#endif


/* Since 1.23.0 headers of the same name are linked. */

#if (nginx_version >= 1023000)
#define ngx_http_graph_policy_unlink_header(h)  (h)->next = NULL
#else
#define ngx_http_graph_policy_unlink_header(h)
#endif


/*
 * keep_links() saves the links between the headers of a list, and put_links()
 * restores them: a later filter may remove headers from the list and leave
 * links to them.  keep_links() returns NGX_OK, or NGX_ERROR if there is no
 * memory.
 */

static ngx_inline ngx_int_t
ngx_http_graph_policy_keep_links(ngx_pool_t *pool, ngx_list_t *list,
    ngx_table_elt_t ***links)
{
#if (nginx_version >= 1023000)
    ngx_uint_t         i, n;
    ngx_list_part_t   *part;
    ngx_table_elt_t   *h, **link;

    n = 0;

    for (part = &list->part; part != NULL; part = part->next) {
        n += part->nelts;
    }

    *links = NULL;

    if (n == 0) {
        return NGX_OK;
    }

    link = ngx_palloc(pool, n * sizeof(ngx_table_elt_t *));
    if (link == NULL) {
        return NGX_ERROR;
    }

    *links = link;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            *link++ = h[i].next;
        }
    }
#endif

    return NGX_OK;
}


static ngx_inline void
ngx_http_graph_policy_put_links(ngx_list_t *list, ngx_table_elt_t **links)
{
#if (nginx_version >= 1023000)
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (links == NULL) {
        return;
    }

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            h[i].next = *links++;
        }
    }
#endif
}


/* nginx has this field only if the gzip filter is compiled in. */

#if (NGX_HTTP_GZIP)
#define ngx_http_graph_policy_has_accept_encoding(r)                          \
    ((r)->headers_in.accept_encoding != NULL)
#define ngx_http_graph_policy_accept_encoding(r)                              \
    (r)->headers_in.accept_encoding
#define ngx_http_graph_policy_set_accept_encoding(r, h)                       \
    (r)->headers_in.accept_encoding = (h)
#else
#define ngx_http_graph_policy_has_accept_encoding(r)  1
#define ngx_http_graph_policy_accept_encoding(r)      NULL
#define ngx_http_graph_policy_set_accept_encoding(r, h)
#endif


/* HTTP/2, and since 1.25.0 HTTP/3, gives each request a stream of its own. */

#define ngx_http_graph_policy_is_multiplexed(r)                               \
    ((r)->http_version >= NGX_HTTP_VERSION_20)


/* The stream takes what still comes of the body, and nobody is told of it. */

#if (NGX_HTTP_V2)
#define ngx_http_graph_policy_skip_body(r)                                    \
    if ((r)->stream != NULL) {                                                \
        (r)->stream->skip_data = 1;                                           \
    }
#else
#define ngx_http_graph_policy_skip_body(r)
#endif


#endif /* _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_ */
