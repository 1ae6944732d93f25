
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_EIGHT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_EIGHT_H_INCLUDED_


/*
 * Texts of which each request has some are looked at eight bytes at a time.
 * Nothing here takes a lock or has memory of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>


/* Eight bytes that are all the same. */
#define NGX_HTTP_GRAPH_POLICY_EIGHT(c)  ((c) * 0x0101010101010101ULL)


/* Returns eight bytes, of which the first is the lowest, at any address. */

static ngx_inline uint64_t
ngx_http_graph_policy_eight(const u_char *p)
{
    uint64_t  eight;

#if (NGX_HAVE_LITTLE_ENDIAN)

    ngx_memcpy(&eight, p, 8);

#else

    ngx_uint_t  i;

    for (eight = 0, i = 0; i < 8; i++) {
        eight |= (uint64_t) p[i] << (8 * i);
    }

#endif

    return eight;
}


/* Returns 1 if two texts of "len" bytes, one at least, are the same. */

static ngx_inline ngx_uint_t
ngx_http_graph_policy_same(const u_char *one, const u_char *two, size_t len)
{
    size_t    i;
    uint32_t  head[2], tail[2];

    if (len >= 8) {

        /* The last eight may begin with some that are compared already. */

        if (ngx_http_graph_policy_eight(one)
            != ngx_http_graph_policy_eight(two)
            || ngx_http_graph_policy_eight(one + len - 8)
               != ngx_http_graph_policy_eight(two + len - 8))
        {
            return 0;
        }

        for (i = 8; i + 8 < len; i += 8) {

            if (ngx_http_graph_policy_eight(one + i)
                != ngx_http_graph_policy_eight(two + i))
            {
                return 0;
            }
        }

        return 1;
    }

    if (len >= 4) {
        ngx_memcpy(&head[0], one, 4);
        ngx_memcpy(&head[1], two, 4);
        ngx_memcpy(&tail[0], one + len - 4, 4);
        ngx_memcpy(&tail[1], two + len - 4, 4);

        return head[0] == head[1] && tail[0] == tail[1];
    }

    /* There is no other byte in up to three. */

    return one[0] == two[0] && one[len / 2] == two[len / 2]
           && one[len - 1] == two[len - 1];
}


/*
 * Most ids and numbers have 8 to 16 digits, and each body has some, so eight of
 * them are looked at at once: the upper half of a digit's byte is 3, and still
 * is when 6 has been added.  A byte of which that carries to the next one has
 * another upper half itself.  Returns 1 if all of "len" bytes are digits.
 */

static ngx_inline ngx_uint_t
ngx_http_graph_policy_are_digits(const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  first, last, three, six;

    if (len < 8 || len > 16) {

        for (i = 0; i < len; i++) {

            if (p[i] < '0' || p[i] > '9') {
                return 0;
            }
        }

        return 1;
    }

    first = ngx_http_graph_policy_eight(p);
    last = ngx_http_graph_policy_eight(p + len - 8);

    three = NGX_HTTP_GRAPH_POLICY_EIGHT(0x30);
    six = NGX_HTTP_GRAPH_POLICY_EIGHT(0x06);

    return (((first ^ three) | ((first + six) ^ three)
             | (last ^ three) | ((last + six) ^ three))
            & NGX_HTTP_GRAPH_POLICY_EIGHT(0xf0))
           == 0;
}


#endif /* _NGX_HTTP_GRAPH_POLICY_EIGHT_H_INCLUDED_ */
