
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Makes a private, bounded copy of a compressed body; no other file calls
 * zlib's inflate.
 *
 * The file is pure: it takes no lock.  Both buffers are the caller's; zlib's
 * own memory is freed before the return.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <zlib.h>
#include "ngx_http_graph_policy_inflate.h"


#define NGX_HTTP_GRAPH_POLICY_WRAPPED  (MAX_WBITS + 32)  /* gzip or zlib */
#define NGX_HTTP_GRAPH_POLICY_RAW      (-MAX_WBITS)


static ssize_t ngx_http_graph_policy_inflate_as(int bits, u_char *src,
    size_t len, u_char *dst, size_t size);
static int ngx_http_graph_policy_inflate_members(z_stream *z);


ssize_t
ngx_http_graph_policy_inflate(u_char *src, size_t len, u_char *dst,
    size_t size)
{
    ssize_t  n;

    n = ngx_http_graph_policy_inflate_as(NGX_HTTP_GRAPH_POLICY_WRAPPED, src,
                                         len, dst, size);
    if (n != NGX_DECLINED) {
        return n;
    }

    return ngx_http_graph_policy_inflate_as(NGX_HTTP_GRAPH_POLICY_RAW, src,
                                            len, dst, size);
}


static ssize_t
ngx_http_graph_policy_inflate_as(int bits, u_char *src, size_t len,
    u_char *dst, size_t size)
{
    int       rc;
    ssize_t   n;
    z_stream  z;

    ngx_memzero(&z, sizeof(z_stream));

    if (len > NGX_MAX_INT32_VALUE || size > NGX_MAX_INT32_VALUE
        || inflateInit2(&z, bits) != Z_OK)
    {
        return NGX_DECLINED;
    }

    z.next_in = src;
    z.avail_in = (uInt) len;
    z.next_out = dst;
    z.avail_out = (uInt) size;

    rc = ngx_http_graph_policy_inflate_members(&z);

    n = (rc == Z_STREAM_END && z.avail_in == 0) ? z.next_out - dst
                                                : NGX_DECLINED;
    (void) inflateEnd(&z);

    return n;
}


static int
ngx_http_graph_policy_inflate_members(z_stream *z)
{
    int  rc;

    for ( ;; ) {
        rc = inflate(z, Z_FINISH);

        if (rc != Z_STREAM_END || z->avail_in == 0) {
            return rc;
        }

        /*
         * Another member may follow only in gzip, whose magic number tells a
         * member from garbage.
         */

        if (z->next_in[0] != 0x1f || inflateReset(z) != Z_OK) {
            return Z_DATA_ERROR;
        }
    }
}
