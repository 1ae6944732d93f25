
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* bytes of a phone number or of a business-scoped user id */
#define NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN  128


/*
 * To whom a message goes.  It is a person's number: the caller makes a
 * fingerprint of it and forgets it.
 */

typedef struct {
    u_char        data[NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN];
    size_t        len;              /* 0: none was found */
} ngx_http_graph_policy_recipient_t;


/*
 * Finds the recipient of a message that a client sends, in the JSON body of
 * "len" bytes: the member "to", else "recipient" ("Send messages", Meta: "to"
 * wins).  It is folded so that spellings of one number are equal: without "+",
 * spaces, hyphens and parentheses, and without what Brazil (a ninth digit),
 * Mexico (521) and Argentina (549) may put into a mobile number.  "arena" is
 * as for json_parse().  NGX_DECLINED if the body can't be read.
 */
ngx_int_t ngx_http_graph_policy_message_recipient(u_char *body, size_t len,
    void *arena, ngx_http_graph_policy_recipient_t *recipient);


#endif /* _NGX_HTTP_GRAPH_POLICY_MESSAGE_H_INCLUDED_ */
