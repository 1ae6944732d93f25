
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PROOF_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PROOF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the longest id of a message ("wamid." and base64) that is kept, in bytes */
#define NGX_HTTP_GRAPH_POLICY_MESSAGE_ID_LEN  256


/*
 * The proof in the body of a 2xx.  Graph answers an accepted message with an
 * object whose "messages" has its id, and a receipt with {"success":true}
 * ("Messages", WhatsApp Cloud API reference, Meta).  A status of 200 alone
 * proves nothing, as an error may come with it.
 */

typedef struct {
    /* messages[0].id, of length 0 if there is none or if it's longer */
    u_char        id[NGX_HTTP_GRAPH_POLICY_MESSAGE_ID_LEN];
    size_t        id_len;

    unsigned      success:1;        /* an object without "error" */
    unsigned      accepted:1;       /* success, "messages" isn't empty */
} ngx_http_graph_policy_proof_t;


/*
 * Reads one complete body of "len" bytes, which isn't changed; "arena" is the
 * same as for json_parse().  Only members of the outermost object count; if
 * several have the same name, the last one does.  If there is an "error", even
 * a null, there is no success.
 *
 * Returns NGX_OK if the body is one whole JSON document, else NGX_DECLINED;
 * nothing is proved then.
 */
ngx_int_t ngx_http_graph_policy_proof_read(u_char *body, size_t len,
    void *arena, ngx_http_graph_policy_proof_t *proof);


#endif /* _NGX_HTTP_GRAPH_POLICY_PROOF_H_INCLUDED_ */
