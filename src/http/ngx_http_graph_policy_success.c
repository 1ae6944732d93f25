
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The body of a 2xx that may end a state is read as it passes, and the states
 * are ended by its proof.  A status alone proves nothing, since Graph also
 * answers 200 with an error, and receipts with success while messages are
 * refused.
 *
 * Nothing is held for that: the buffers go on as they are.  The last one goes
 * after the states have been ended, so that a client that has the whole answer
 * isn't blocked by them any more.
 *
 * Lock rule: none of its own.  Memory: the copy of the body belongs to the
 * request's pool; buffers for parsing are freed before the return.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_held.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_lease.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_proof.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_success.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_learn.h"


static void ngx_http_graph_policy_read_proof(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_int_t ngx_http_graph_policy_parse_proof(ngx_http_request_t *r,
    ngx_str_t *text, ngx_http_graph_policy_proof_t *proof);
static void ngx_http_graph_policy_proved(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_proof_e proof);
static void ngx_http_graph_policy_clear_passed(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_proof_e proof);


void
ngx_http_graph_policy_start_proving(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    if (ctx->nrefs == 0 || ctx->query.kind == NGX_HTTP_GRAPH_POLICY_READ) {
        return;
    }

    ngx_http_graph_policy_begin_body(r, ctx);

    ctx->proving = 1;
}


void
ngx_http_graph_policy_prove(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_chain_t *in)
{
    ngx_buf_t  *b;

    for ( /* void */ ; in != NULL; in = in->next) {
        b = in->buf;

        if (ngx_http_graph_policy_copy_body(r, ctx, b, glcf->buffer_size)
            != NGX_OK)
        {
            ngx_http_graph_policy_stop_proving(r, ctx, glcf);
            return;
        }

        /*
         * A client that was told the length has all of the answer before the
         * last buffer comes, and may send again at once.
         */

        if (b->last_buf || b->last_in_chain
            || (off_t) ctx->size == r->upstream->headers_in.content_length_n)
        {
            ngx_http_graph_policy_read_proof(r, ctx, glcf);
            return;
        }

        /* A torn body ends with a flush of a finalized upstream. */

        if (b->flush && r->upstream->cleanup == NULL) {
            ngx_http_graph_policy_proved(r, ctx, glcf,
                                         NGX_HTTP_GRAPH_POLICY_PROOF_NONE);
            return;
        }
    }
}


void
ngx_http_graph_policy_stop_proving(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_proved(r, ctx, glcf,
                                 NGX_HTTP_GRAPH_POLICY_PROOF_NOTHING);
}


static void
ngx_http_graph_policy_read_proof(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    u_char                         *allocated;
    ngx_int_t                       rc;
    ngx_str_t                       text, id;
    ngx_http_graph_policy_proof_t   said;
    ngx_http_graph_policy_proof_e   proof;

    proof = NGX_HTTP_GRAPH_POLICY_PROOF_NOTHING;

    if (ngx_http_graph_policy_plain_body(r, ctx, glcf->buffer_size, &text,
                                         &allocated)
        == NGX_OK)
    {
        rc = ngx_http_graph_policy_parse_proof(r, &text, &said);

        if (rc == NGX_OK && said.accepted
            && ctx->query.kind == NGX_HTTP_GRAPH_POLICY_MESSAGE)
        {
            proof = NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED;

            if (said.id_len != 0) {
                id.data = said.id;
                id.len = said.id_len;

                ctx->message = ngx_http_graph_policy_zone_fingerprint(
                                                              ctx->zone, &id);
            }

        } else if (rc == NGX_OK && said.success) {
            proof = NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL;
        }

        if (allocated != NULL) {
            ngx_free(allocated);
        }
    }

    ngx_http_graph_policy_proved(r, ctx, glcf, proof);
}


static ngx_int_t
ngx_http_graph_policy_parse_proof(ngx_http_request_t *r, ngx_str_t *text,
    ngx_http_graph_policy_proof_t *proof)
{
    void       *arena;
    size_t      need;
    uint64_t    small[NGX_HTTP_GRAPH_POLICY_SMALL / sizeof(uint64_t)];
    ngx_int_t   rc;

    need = ngx_http_graph_policy_json_arena(text->len);

    if (need <= sizeof(small)) {
        return ngx_http_graph_policy_proof_read(text->data, text->len, small,
                                                proof);
    }

    arena = ngx_alloc(need, r->connection->log);
    if (arena == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_graph_policy_proof_read(text->data, text->len, arena, proof);

    ngx_free(arena);

    return rc;
}


static void
ngx_http_graph_policy_proved(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_proof_e proof)
{
    ctx->proving = 0;

    if (proof == NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED) {
        ngx_http_graph_policy_count_dry_run(r, ctx, glcf,
                                            NGX_HTTP_GRAPH_POLICY_ACCEPTED);
    }

    ngx_http_graph_policy_clear_passed(r, ctx, glcf, proof);

    if (ctx->status == NGX_HTTP_GRAPH_POLICY_PROBE) {
        ngx_http_graph_policy_settle(ctx, proof, NULL);
    }
}


/*
 * Clears states that let the request pass without a lease, in dry run for
 * example, if its answer proves that they are over.  A probe of one state may
 * have been let pass by another.
 */

static void
ngx_http_graph_policy_clear_passed(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_proof_e proof)
{
    ngx_uint_t                       i;
    ngx_http_graph_policy_answer_t   answer;
    ngx_http_graph_policy_changes_t  changes;

    if (proof < NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL
        || !ngx_http_graph_policy_is_plain_target(r))
    {
        return;
    }

    ngx_http_graph_policy_identify_credential(r, ctx, glcf);

    if (ctx->query.identity.credential == 0) {
        return;
    }

    ngx_http_graph_policy_changes_of(&changes, r, ctx->log_level);
    ngx_http_graph_policy_answer_of(ctx, proof, NULL, &answer);

    for (i = 0; i < ctx->nrefs; i++) {

        if (ctx->refs[i].lease == 0) {
            ngx_http_graph_policy_zone_clear(ctx->zone, &ctx->refs[i], &answer,
                                             &changes);
        }
    }
}


void
ngx_http_graph_policy_count_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_uint_t result)
{
    if (ctx->status != NGX_HTTP_GRAPH_POLICY_BLOCKED_DRY_RUN
        || ctx->query.kind != NGX_HTTP_GRAPH_POLICY_MESSAGE)
    {
        return;
    }

    /* In dry run the gate may not have read the body for its recipient. */

    ngx_http_graph_policy_identify_message(r, ctx, glcf);

    if (!ctx->receipt) {
        ngx_http_graph_policy_zone_count_dry_run(ctx->zone, ctx->view->reason,
                                                 result);
    }
}


void
ngx_http_graph_policy_note_registration(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_endpoint_t   endpoint;

    /* Nearly no request registers a phone, so the path isn't split for it. */

    if (r->method != NGX_HTTP_POST
        || !ngx_http_graph_policy_ends_with(&r->uri, "/register"))
    {
        return;
    }

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);

    if (!endpoint.registration || !ngx_http_graph_policy_is_plain_target(r)) {
        return;
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return;
    }

    ngx_http_graph_policy_identify(r, ctx, glcf, &endpoint);
    ngx_http_graph_policy_identify_credential(r, ctx, glcf);

    if (ctx->query.identity.credential == 0) {
        return;
    }

    ngx_http_graph_policy_zone_make_due(glcf->zone, &ctx->query.identity,
                                        ngx_http_graph_policy_now());
}
