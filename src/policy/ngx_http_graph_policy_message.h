
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Bytes of a phone number, of a group's id or of a business-scoped user id.
 * The latter are the longest: two letters, a dot and up to 128 characters, and
 * ".ENT" more in its parent form ("Business-scoped user IDs", Meta).
 */
#define NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN  160


/*
 * The recipient of a message.  It is a person's number, so the caller only
 * makes a fingerprint of it and forgets it.
 */

typedef struct {
    u_char        data[NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN];
    size_t        len;              /* 0: no recipient was found */
} ngx_http_graph_policy_recipient_t;


/* The parts of a client's message that the gate has to know. */

typedef struct {
    ngx_http_graph_policy_recipient_t  recipient;     /* after fold() */
    unsigned                           template:1;
    unsigned                           receipt:1;
} ngx_http_graph_policy_message_t;


/*
 * Reads the JSON body, of "len" bytes, of a message that a client sends.  The
 * recipient is the member "to", else "recipient" ("Send messages", Meta: "to"
 * wins).  The message is a template if its member "type" is the string
 * "template".  It is a receipt, which goes to nobody ("Mark messages as read",
 * "Typing indicators", Meta), if it has a member "status", and no recipient
 * that is anything but null, a boolean or an empty string.  Of members with the
 * same name the last counts.
 *
 * "arena" is as for json_parse().  Returns NGX_OK if the body is one whole
 * document, or NGX_DECLINED if it can't be read; the message has no recipient
 * and is neither template nor receipt then.
 */
ngx_int_t ngx_http_graph_policy_message_read(u_char *body, size_t len,
    void *arena, ngx_http_graph_policy_message_t *message);

/*
 * Folds a recipient, in place, so that all spellings of one number are equal.
 * It drops "+", spaces, hyphens and parentheses, and the digits that Brazil (a
 * ninth digit), Mexico (521) and Argentina (549) may put into a mobile number.
 * The result may be empty.
 */
void ngx_http_graph_policy_message_fold(
    ngx_http_graph_policy_recipient_t *recipient);


#endif /* _NGX_HTTP_GRAPH_POLICY_MESSAGE_H_INCLUDED_ */
