
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_FLEET_KEY_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_FLEET_KEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_signature.h"


/*
 * The text of a key file: 1 to 4 lines, each a secret that all hosts of a
 * fleet share, of 32 to 1024 bytes of printable ASCII.  The first one writes,
 * all of them verify.  Lines that are empty or begin with "#" are passed over;
 * blanks around a secret aren't part of it.  A line ends with LF, or CR and
 * LF, the last one also with the text.
 */

#define NGX_HTTP_GRAPH_POLICY_MAX_FLEET_KEYS     4
#define NGX_HTTP_GRAPH_POLICY_MIN_FLEET_KEY_LEN  32
#define NGX_HTTP_GRAPH_POLICY_MAX_FLEET_KEY_LEN  1024


/*
 * A line gives two keys.  Both are HMAC-SHA256 (RFC 2104) of a label of
 * their own under the secret, so that neither tells anything of the other.
 */

typedef struct {
    uint64_t                             fingerprint[2];  /* SipHash's key */
    ngx_http_graph_policy_signature_t   *signature;       /* signs entries */
} ngx_http_graph_policy_fleet_key_t;


/*
 * The next secret at *p, which moves behind its line; "line" is its number,
 * 0 before the first call.  Returns NGX_OK; NGX_DONE at the end of the text;
 * NGX_DECLINED if the secret of that line is too short, NGX_ERROR if it is too
 * long or has a byte that isn't allowed.  "secret" points into the text.
 */
ngx_int_t ngx_http_graph_policy_fleet_key_next(u_char **p, u_char *last,
    ngx_uint_t *line, ngx_str_t *secret);

/*
 * Derives the keys.  NGX_ERROR if OpenSSL fails.  The signature is in
 * OpenSSL's memory until signature_destroy().
 */
ngx_int_t ngx_http_graph_policy_fleet_key_derive(ngx_str_t *secret,
    ngx_http_graph_policy_fleet_key_t *key);


#endif /* _NGX_HTTP_GRAPH_POLICY_FLEET_KEY_H_INCLUDED_ */
