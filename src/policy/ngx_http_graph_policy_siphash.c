
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The keyed hash that stands for credentials and keys in shared memory.  The
 * file is pure: it takes no lock and has no memory of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_siphash.h"


/*
 * Numbers of rounds for a word and at the end; the unit tests also build
 * SipHash-2-4, for which its authors have published test vectors.
 */

#ifndef NGX_HTTP_GRAPH_POLICY_SIP_WORD
#define NGX_HTTP_GRAPH_POLICY_SIP_WORD  1
#define NGX_HTTP_GRAPH_POLICY_SIP_END   3
#endif


#define ngx_http_graph_policy_rotl(x, b)                                      \
    (uint64_t) (((x) << (b)) | ((x) >> (64 - (b))))


static ngx_inline void
ngx_http_graph_policy_sipround(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = ngx_http_graph_policy_rotl(v[1], 13) ^ v[0];
    v[3] = ngx_http_graph_policy_rotl(v[3], 16) ^ v[2];
    v[0] = ngx_http_graph_policy_rotl(v[0], 32);

    v[2] += v[1];
    v[0] += v[3];
    v[1] = ngx_http_graph_policy_rotl(v[1], 17) ^ v[2];
    v[3] = ngx_http_graph_policy_rotl(v[3], 21) ^ v[0];
    v[2] = ngx_http_graph_policy_rotl(v[2], 32);
}


static ngx_inline void
ngx_http_graph_policy_sipword(uint64_t v[4], uint64_t m)
{
    ngx_uint_t  i;

    v[3] ^= m;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SIP_WORD; i++) {
        ngx_http_graph_policy_sipround(v);
    }

    v[0] ^= m;
}


uint64_t
ngx_http_graph_policy_siphash(const uint64_t key[2], const u_char *data,
    size_t len)
{
    size_t        n, i;
    uint64_t      v[4], m;
    const u_char  *p, *last;

    v[0] = key[0] ^ 0x736f6d6570736575ULL;
    v[1] = key[1] ^ 0x646f72616e646f6dULL;
    v[2] = key[0] ^ 0x6c7967656e657261ULL;
    v[3] = key[1] ^ 0x7465646279746573ULL;

    n = len & 7;
    last = data + (len - n);

    for (p = data; p != last; p += 8) {
        ngx_http_graph_policy_sipword(v, ngx_http_graph_policy_eight(p));
    }

    m = 0;

    /* The last eight bytes are loaded, and those hashed before shifted out. */

    if (n != 0 && len >= 8) {
        m = ngx_http_graph_policy_eight(last + n - 8) >> (8 * (8 - n));
        n = 0;
    }

    for (i = 0; i < n; i++) {
        m |= (uint64_t) p[i] << (8 * i);
    }

    ngx_http_graph_policy_sipword(v, m | (uint64_t) len << 56);

    v[2] ^= 0xff;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SIP_END; i++) {
        ngx_http_graph_policy_sipround(v);
    }

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
