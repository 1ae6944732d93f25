
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The body of a 2xx is read for its proof: Graph has accepted a message, or at
 * least the credential.
 *
 * Pure: no lock; the result is the caller's, all else is its arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_proof.h"
#include "ngx_http_graph_policy_yajl.h"


/* the depths of a member, of "messages" and of an element of it */
#define NGX_HTTP_GRAPH_POLICY_PROOF_TOP      1
#define NGX_HTTP_GRAPH_POLICY_PROOF_LIST     2
#define NGX_HTTP_GRAPH_POLICY_PROOF_ELEMENT  3


typedef struct {
    ngx_http_graph_policy_proof_t  *proof;
    ngx_uint_t                      depth;
    ngx_uint_t                      elements;   /* in "messages", so far */

    unsigned                        object:1;   /* the text is an object */
    unsigned                        error:1;    /* it has this member */
    unsigned                        messages:1; /* its value comes next */
    unsigned                        in_list:1;
    unsigned                        in_first:1; /* its first element */
    unsigned                        id:1;       /* its value comes next */
} ngx_http_graph_policy_proof_ctx_t;


static int ngx_http_graph_policy_proof_null(void *data);
static int ngx_http_graph_policy_proof_boolean(void *data, int value);
static int ngx_http_graph_policy_proof_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_proof_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_proof_start_map(void *data);
static int ngx_http_graph_policy_proof_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_proof_end_map(void *data);
static int ngx_http_graph_policy_proof_start_array(void *data);
static int ngx_http_graph_policy_proof_end_array(void *data);
static void ngx_http_graph_policy_proof_value(
    ngx_http_graph_policy_proof_ctx_t *ctx);


#define ngx_http_graph_policy_proof_is(text, len, literal)                    \
    ((len) == sizeof(literal) - 1                                             \
     && ngx_memcmp(text, literal, sizeof(literal) - 1) == 0)


static yajl_callbacks  ngx_http_graph_policy_proof_callbacks = {
    ngx_http_graph_policy_proof_null,
    ngx_http_graph_policy_proof_boolean,
    NULL,
    NULL,
    ngx_http_graph_policy_proof_number,
    ngx_http_graph_policy_proof_string,
    ngx_http_graph_policy_proof_start_map,
    ngx_http_graph_policy_proof_map_key,
    ngx_http_graph_policy_proof_end_map,
    ngx_http_graph_policy_proof_start_array,
    ngx_http_graph_policy_proof_end_array
};


ngx_int_t
ngx_http_graph_policy_proof_read(u_char *body, size_t len, void *arena,
    ngx_http_graph_policy_proof_t *proof)
{
    ngx_int_t                          rc;
    ngx_http_graph_policy_proof_ctx_t  ctx;

    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_proof_ctx_t));

    ctx.proof = proof;

    proof->id_len = 0;
    proof->success = 0;
    proof->accepted = 0;

    rc = ngx_http_graph_policy_yajl_run(
                                     &ngx_http_graph_policy_proof_callbacks,
                                     body, len, arena, &ctx);

    if (rc == NGX_OK && ctx.object && !ctx.error) {
        proof->success = 1;
        proof->accepted = (ctx.elements != 0);
    }

    if (!proof->accepted) {
        proof->id_len = 0;
    }

    return rc;
}


static int
ngx_http_graph_policy_proof_null(void *data)
{
    ngx_http_graph_policy_proof_value(data);

    return 1;
}


static int
ngx_http_graph_policy_proof_boolean(void *data, int value)
{
    ngx_http_graph_policy_proof_value(data);

    return 1;
}


static int
ngx_http_graph_policy_proof_number(void *data, const char *text, size_t len)
{
    ngx_http_graph_policy_proof_value(data);

    return 1;
}


static int
ngx_http_graph_policy_proof_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_proof_ctx_t *ctx = data;

    if (ctx->id && ctx->depth == NGX_HTTP_GRAPH_POLICY_PROOF_ELEMENT
        && len <= NGX_HTTP_GRAPH_POLICY_MESSAGE_ID_LEN)
    {
        ngx_memcpy(ctx->proof->id, text, len);
        ctx->proof->id_len = len;
    }

    ngx_http_graph_policy_proof_value(ctx);

    return 1;
}


static int
ngx_http_graph_policy_proof_start_map(void *data)
{
    ngx_http_graph_policy_proof_ctx_t *ctx = data;

    ngx_http_graph_policy_proof_value(ctx);

    if (ctx->depth == 0) {
        ctx->object = 1;

    } else if (ctx->in_list && ctx->depth == NGX_HTTP_GRAPH_POLICY_PROOF_LIST
               && ctx->elements == 1)
    {
        ctx->in_first = 1;
    }

    return ++ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_proof_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_proof_ctx_t *ctx = data;

    if (ctx->depth == NGX_HTTP_GRAPH_POLICY_PROOF_TOP) {

        if (ngx_http_graph_policy_proof_is(text, len, "messages")) {
            ctx->messages = 1;
            ctx->elements = 0;
            ctx->proof->id_len = 0;

        } else if (ngx_http_graph_policy_proof_is(text, len, "error")) {
            ctx->error = 1;
        }

    } else if (ctx->in_first
               && ctx->depth == NGX_HTTP_GRAPH_POLICY_PROOF_ELEMENT
               && ngx_http_graph_policy_proof_is(text, len, "id"))
    {
        ctx->id = 1;
        ctx->proof->id_len = 0;
    }

    return 1;
}


static int
ngx_http_graph_policy_proof_end_map(void *data)
{
    ngx_http_graph_policy_proof_ctx_t *ctx = data;

    if (ctx->depth-- == NGX_HTTP_GRAPH_POLICY_PROOF_ELEMENT) {
        ctx->in_first = 0;
    }

    return 1;
}


static int
ngx_http_graph_policy_proof_start_array(void *data)
{
    ngx_http_graph_policy_proof_ctx_t *ctx = data;

    ngx_uint_t  messages;

    messages = ctx->messages;

    ngx_http_graph_policy_proof_value(ctx);

    if (messages) {
        ctx->in_list = 1;
    }

    return ++ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_proof_end_array(void *data)
{
    ngx_http_graph_policy_proof_ctx_t *ctx = data;

    if (--ctx->depth == NGX_HTTP_GRAPH_POLICY_PROOF_TOP) {
        ctx->in_list = 0;
    }

    return 1;
}


/* Called when a value begins: a name that came before belongs to it alone. */

static void
ngx_http_graph_policy_proof_value(ngx_http_graph_policy_proof_ctx_t *ctx)
{
    ctx->messages = 0;
    ctx->id = 0;

    if (ctx->in_list && ctx->depth == NGX_HTTP_GRAPH_POLICY_PROOF_LIST) {
        ctx->elements++;
    }
}
