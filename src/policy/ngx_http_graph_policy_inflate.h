
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_INFLATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_INFLATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Inflates one complete body into "dst" of "size" bytes.  The body is gzip
 * (RFC 1952, of one or several members), zlib (RFC 1950) or raw deflate (RFC
 * 1951), which some servers send as "deflate".  Returns the number of bytes
 * written, or NGX_DECLINED if the body is corrupt, truncated, or larger than
 * "size".
 */
ssize_t ngx_http_graph_policy_inflate(u_char *src, size_t len, u_char *dst,
    size_t size);


#endif /* _NGX_HTTP_GRAPH_POLICY_INFLATE_H_INCLUDED_ */
