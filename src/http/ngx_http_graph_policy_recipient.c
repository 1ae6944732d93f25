
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The body of a message is read for its recipient, which becomes the
 * fingerprint of a conversation.  A receipt has no recipient.
 *
 * Lock rule: none; of shared memory only the zone's key is read.  Memory:
 * buffers are on the stack, or freed at once.  A recipient leaves this file
 * only as a fingerprint.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_zone.h"


static ngx_int_t ngx_http_graph_policy_read_message(ngx_http_request_t *r,
    ngx_str_t *body, ngx_http_graph_policy_message_t *message);


void
ngx_http_graph_policy_identify_message(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    u_char                           *copy;
    ngx_str_t                         body, recipient;
    ngx_http_graph_policy_message_t   message;

    /* Without buffering, the body may have come in part, or be gone already. */

    if (ctx->conversed || r->request_body == NULL
        || r->request_body_no_buffering
        || !ngx_http_graph_policy_is_message_body(r))
    {
        return;
    }

    ctx->conversed = 1;
    copy = NULL;

    if (ngx_http_graph_policy_gather_body(r,
                                          NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE,
                                          &body, &copy)
        == NGX_OK
        && body.len != 0
        && ngx_http_graph_policy_read_message(r, &body, &message) == NGX_OK)
    {
        recipient.data = message.recipient.data;
        recipient.len = message.recipient.len;

        ctx->receipt = message.receipt;
        ctx->query.gate.template = message.template;
        ctx->query.identity.conversation =
                     ngx_http_graph_policy_conversation_of(glcf->zone,
                               &ctx->query.identity.phone, &recipient);
    }

    ngx_memzero(&message, sizeof(ngx_http_graph_policy_message_t));

    if (copy != NULL) {
        ngx_free(copy);
    }
}


static ngx_int_t
ngx_http_graph_policy_read_message(ngx_http_request_t *r, ngx_str_t *body,
    ngx_http_graph_policy_message_t *message)
{
    void       *arena;
    size_t      need;
    uint64_t    small[NGX_HTTP_GRAPH_POLICY_SMALL / sizeof(uint64_t)];
    ngx_int_t   rc;

    need = ngx_http_graph_policy_json_arena(body->len);

    if (need <= sizeof(small)) {
        return ngx_http_graph_policy_message_read(body->data, body->len, small,
                                                  message);
    }

    arena = ngx_alloc(need, r->connection->log);
    if (arena == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_graph_policy_message_read(body->data, body->len, arena,
                                            message);

    ngx_free(arena);

    return rc;
}


uint64_t
ngx_http_graph_policy_conversation_of(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *phone, ngx_str_t *recipient)
{
    u_char     *p;
    u_char      text[NGX_HTTP_GRAPH_POLICY_PHONE_LEN + 1
                     + NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN];
    uint64_t    fp;
    ngx_str_t   key;

    if (phone->len == 0 || phone->len > NGX_HTTP_GRAPH_POLICY_PHONE_LEN
        || recipient->len == 0
        || recipient->len > NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN)
    {
        return 0;
    }

    p = ngx_cpymem(text, phone->data, phone->len);
    *p++ = ':';
    p = ngx_cpymem(p, recipient->data, recipient->len);

    key.data = text;
    key.len = p - text;

    fp = ngx_http_graph_policy_zone_fingerprint(zone, &key);

    ngx_memzero(text, key.len);

    return fp;
}


ngx_uint_t
ngx_http_graph_policy_is_message_body(ngx_http_request_t *r)
{
    if (r->headers_in.content_length_n == 0
        || r->headers_in.content_length_n > NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE)
    {
        return 0;
    }

    /* A body without Content-Length is chunked, or comes by HTTP/2. */

    if (r->headers_in.content_length_n < 0 && !r->headers_in.chunked
        && r->http_version < NGX_HTTP_VERSION_20)
    {
        return 0;
    }

    return ngx_http_graph_policy_is_json(r);
}
