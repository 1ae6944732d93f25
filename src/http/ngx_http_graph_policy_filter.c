
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * These filters run after the upstream, first in both chains.  The header of an
 * error is held while its body is collected; the error is then classified and
 * tagged, and header and body are released.  Other answers aren't held.
 *
 * Lock rule: none of its own.  Memory: the copy of the body belongs to the
 * request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_classify.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_filter.h"
#include "ngx_http_graph_policy_held.h"
#include "ngx_http_graph_policy_lease.h"
#include "ngx_http_graph_policy_log.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_park.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_retry.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_success.h"
#include "ngx_http_graph_policy_tag.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_count.h"


static ngx_int_t ngx_http_graph_policy_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_graph_policy_no_error(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
static ngx_int_t ngx_http_graph_policy_pass_tagged(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_graph_policy_watch_end(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static void ngx_http_graph_policy_upstream_ends(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_graph_policy_release(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_chain_t *in);
static void ngx_http_graph_policy_count_answer(
    ngx_http_graph_policy_ctx_t *ctx);
static void ngx_http_graph_policy_count_retried(
    ngx_http_graph_policy_ctx_t *ctx, ngx_uint_t result);
static ngx_int_t ngx_http_graph_policy_finish(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_graph_policy_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_graph_policy_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_graph_policy_body_filter;

    return NGX_OK;
}


ngx_uint_t
ngx_http_graph_policy_filter_is_first(void)
{
    return ngx_http_top_header_filter == ngx_http_graph_policy_header_filter
           && ngx_http_top_body_filter == ngx_http_graph_policy_body_filter;
}


static ngx_int_t
ngx_http_graph_policy_header_filter(ngx_http_request_t *r)
{
    ngx_http_upstream_t               *u;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    if (glcf->zone == NULL || r != r->main) {

        if (r->internal && r == r->main && r->upstream != NULL) {
            ctx = ngx_http_graph_policy_get_ctx(r);

            if (ctx != NULL) {
                ngx_http_graph_policy_warn_intercepted(r, ctx->zone);
            }
        }

        return ngx_http_next_header_filter(r);
    }

    if (r->request_body != NULL && r->request_body->temp_file != NULL) {
        ngx_http_graph_policy_preserve_message(r);
    }

    ctx = ngx_http_graph_policy_get_ctx(r);

    if (ctx != NULL && ctx->again) {
        ngx_http_graph_policy_join_states(r, ctx);
    }

    if (ngx_http_graph_policy_answer_status(r) < NGX_HTTP_BAD_REQUEST) {
        return ngx_http_graph_policy_no_error(r, ctx, glcf);
    }

    if (ctx != NULL && ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED) {
        return ngx_http_next_header_filter(r);
    }

    u = r->upstream;

    if (!ngx_http_graph_policy_is_answering(r) || r->header_only) {

        ngx_http_graph_policy_warn_intercepted(r, glcf->zone);

        if (ctx != NULL) {
            ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                         NULL);
        }

        return ngx_http_graph_policy_pass_tagged(r, ctx);
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (r->headers_out.content_length_n > (off_t) glcf->buffer_size) {
        return ngx_http_graph_policy_finish(r, ctx, glcf);
    }

    /* With a cache or store the body would go to a file, not to the filter. */

    u->cacheable = 0;
    u->store = 0;

    /* Otherwise the upstream closes the body's file after the first attempt. */

    if (glcf->retry.attempts != 0) {
        r->preserve_body = 1;
    }

    ngx_http_graph_policy_begin_body(r, ctx);

    ctx->holding = 1;
    ngx_http_graph_policy_watch_end(r, ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_no_error(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t   rc;
    ngx_uint_t  status;

    if ((ctx == NULL || (ctx->nrefs == 0 && ctx->attempts == 1))
        && ngx_http_graph_policy_zone_armed(glcf->zone) == 0)
    {
        if (!ngx_http_graph_policy_is_answering(r)) {
            ngx_http_graph_policy_warn_intercepted(r, glcf->zone);
        }

        return ngx_http_next_header_filter(r);
    }

    status = ngx_http_graph_policy_answer_status(r);

    if (!ngx_http_graph_policy_is_answering(r)
        || status < NGX_HTTP_OK || status >= NGX_HTTP_SPECIAL_RESPONSE)
    {
        ngx_http_graph_policy_warn_intercepted(r, glcf->zone);

        if (ctx != NULL && status >= NGX_HTTP_OK) {
            ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                         NULL);
        }

        return ngx_http_graph_policy_pass_tagged(r, ctx);
    }

    ngx_http_graph_policy_note_registration(r, glcf);

    if (ctx == NULL) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_graph_policy_count_retried(ctx, NGX_HTTP_GRAPH_POLICY_ACCEPTED);
    ngx_http_graph_policy_start_proving(r, ctx, glcf);

    rc = ngx_http_graph_policy_pass_tagged(r, ctx);

    if (ctx->proving && r->header_only) {
        ngx_http_graph_policy_stop_proving(r, ctx, glcf);
    }

    return rc;
}


/* Answers to probes and retries are tagged even if they aren't errors. */

static ngx_int_t
ngx_http_graph_policy_pass_tagged(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    if (ctx != NULL
        && (ctx->status == NGX_HTTP_GRAPH_POLICY_PROBE || ctx->attempts > 1))
    {
        ngx_http_graph_policy_strip(r, 0);

        if (ngx_http_graph_policy_tag_accepted(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_graph_policy_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t                         *b;
    ngx_int_t                          rc;
    ngx_chain_t                       *cl;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_graph_policy_module);

    if (ctx == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    if (!ctx->holding && !ctx->proving) {
        return ngx_http_next_body_filter(r, in);
    }

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    if (ctx->proving) {
        ngx_http_graph_policy_prove(r, ctx, glcf, in);
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl != NULL; cl = cl->next) {
        b = cl->buf;

        switch (ngx_http_graph_policy_collect_body(r, ctx, b,
                                                   glcf->buffer_size))
        {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            return ngx_http_graph_policy_release(r, ctx, cl);

        default:
            return NGX_ERROR;
        }

        if (b->last_buf || b->last_in_chain) {
            ngx_http_graph_policy_classify(r, ctx, glcf);
            ngx_http_graph_policy_count_answer(ctx);
            ngx_http_graph_policy_learn_answer(r, ctx, glcf);

            rc = ngx_http_graph_policy_retry(r, ctx, glcf, b);

            if (rc != NGX_DECLINED) {
                return rc;
            }

            return ngx_http_graph_policy_release(r, ctx, cl);
        }

        /*
         * A torn body ends with a flush of a finalized upstream.  The part that
         * came may look whole, but it isn't certain.
         */

        if (!b->flush || r->upstream->cleanup != NULL) {
            continue;
        }

        return ngx_http_graph_policy_release(r, ctx, cl);
    }

    return NGX_OK;
}


/*
 * An upstream usually ends with a buffer that has "last" or "flush" set.  After
 * an invalid chunk, a stream that is reset, or if memory is short, the body
 * filter isn't called any more, and the client would get nothing, not even the
 * header.
 */

static void
ngx_http_graph_policy_watch_end(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ctx->finalize_upstream = r->upstream->finalize_request;
    r->upstream->finalize_request = ngx_http_graph_policy_upstream_ends;
}


static void
ngx_http_graph_policy_upstream_ends(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_buf_t                    *b;
    ngx_chain_t                   flush;
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_graph_policy_get_ctx(r);

    r->upstream->finalize_request = ctx->finalize_upstream;
    ctx->finalize_upstream(r, rc);

    /* After other codes such a buffer follows, or the client has left. */

    if (!ctx->holding || rc != NGX_ERROR || r->connection->error) {
        return;
    }

    /* Closing the connection shows the client that the body is torn. */

    r->keepalive = 0;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return;
    }

    b->flush = 1;

    flush.buf = b;
    flush.next = NULL;

    (void) ngx_http_graph_policy_release(r, ctx, &flush);
}


/* Sends the header, the copy of the body, and the chain "in". */

static ngx_int_t
ngx_http_graph_policy_release(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_int_t                          rc;
    ngx_buf_t                         *b;
    ngx_chain_t                        out;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    ctx->holding = 0;

    rc = ngx_http_graph_policy_finish(r, ctx, glcf);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (ctx->size == 0) {
        return ngx_http_next_body_filter(r, in);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->body;
    b->last = ctx->body + ctx->size;
    b->start = b->pos;
    b->end = b->last;
    b->temporary = 1;

    out.buf = b;
    out.next = in;

    if (in->next == NULL && ngx_buf_size(in->buf) == 0) {
        b->last_buf = in->buf->last_buf;
        b->last_in_chain = in->buf->last_in_chain;
        b->flush = in->buf->flush;
        b->sync = in->buf->sync;

        out.next = NULL;
    }

    return ngx_http_next_body_filter(r, &out);
}


/* Each answer is counted once, even if its request is sent again. */

static void
ngx_http_graph_policy_count_answer(ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_http_graph_policy_verdict_t  *verdict;

    verdict = &ctx->verdict;

    if (verdict->category == NGX_HTTP_GRAPH_POLICY_IGNORE) {
        return;
    }

    ngx_http_graph_policy_zone_count_answer(ctx->zone, verdict->category,
                                            verdict->matched
                                            ? verdict->reason
                                            : NGX_HTTP_GRAPH_POLICY_NREASONS);
}


/* Counts the last answer to a request that was sent again. */

static void
ngx_http_graph_policy_count_retried(ngx_http_graph_policy_ctx_t *ctx,
    ngx_uint_t result)
{
    if (ctx->attempts > 1) {
        ngx_http_graph_policy_zone_count_resent(ctx->zone, ctx->resent_for,
                                                result);
    }
}


/* Settles the leases by the verdict, tags the answer and sends its header. */

static ngx_int_t
ngx_http_graph_policy_finish(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_msec_t                        wait;
    ngx_http_graph_policy_verdict_t  *verdict;

    verdict = &ctx->verdict;

    if (!ctx->classified) {
        verdict->category = NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED;
        ctx->classified = 1;
        ngx_http_graph_policy_count_answer(ctx);
    }

    ngx_http_graph_policy_count_retried(ctx, NGX_HTTP_GRAPH_POLICY_REFUSED);
    ngx_http_graph_policy_count_dry_run(r, ctx, glcf,
                                        NGX_HTTP_GRAPH_POLICY_REFUSED);

    if (verdict->category == NGX_HTTP_GRAPH_POLICY_IGNORE) {
        ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_NONE,
                                     NULL);

        return ngx_http_next_header_filter(r);
    }

    ngx_http_graph_policy_settle(ctx, NGX_HTTP_GRAPH_POLICY_PROOF_ERROR,
                                 verdict);

    /* Graph's own Retry-After is kept only if the module knows no better. */

    ngx_http_graph_policy_strip(r,
                  verdict->category == NGX_HTTP_GRAPH_POLICY_REQUEST
                  || verdict->category == NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED);

    if (verdict->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY) {
        wait = ngx_http_graph_policy_backoff_row_wait(verdict,
                                                      ctx->attempts + 1);
        wait = ngx_max(wait, ctx->hint);

        ctx->retry_after = (time_t) ((wait + 999) / 1000);
    }

    if (ngx_http_graph_policy_tag(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}
