
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* whatever depends on nginx's version stands here */


#if (nginx_version < 1022000)
#error "nginx 1.22.0 or newer is required"
#endif


/*
 * What the usual send doesn't come to is kept out of the functions that it runs
 * through, which would save registers and check the stack for it.
 */

#if defined(__GNUC__)
#define ngx_http_graph_policy_noinline  __attribute__((noinline))
#else
#define ngx_http_graph_policy_noinline
#endif


/* since 1.23.0 headers of one name are linked */

#if (nginx_version >= 1023000)
#define ngx_http_graph_policy_unlink_header(h)  (h)->next = NULL
#else
#define ngx_http_graph_policy_unlink_header(h)
#endif


/*
 * The links of the headers in a list, kept and put back, as what comes behind
 * them may be taken away.  NGX_ERROR: no memory.
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


/* known only where gzip is compiled in */

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


#endif /* _NGX_HTTP_GRAPH_POLICY_COMPAT_H_INCLUDED_ */
