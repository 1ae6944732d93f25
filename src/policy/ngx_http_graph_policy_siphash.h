
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SIPHASH_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SIPHASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Returns SipHash-1-3 of "len" bytes under a secret key of 128 bits, after
 * Aumasson and Bernstein (SipHash: a fast short-input PRF, 2012); Rust and
 * Ruby use this variant for their tables.  Nobody without the key can find the
 * input, nor two inputs of the same value.
 */
uint64_t ngx_http_graph_policy_siphash(const uint64_t key[2],
    const u_char *data, size_t len);


#endif /* _NGX_HTTP_GRAPH_POLICY_SIPHASH_H_INCLUDED_ */
