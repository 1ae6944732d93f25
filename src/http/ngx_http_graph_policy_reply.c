
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A blocked request is answered locally, in the shape of Graph's errors.
 *
 * Lock rule: none; the state was copied under the lock.  Memory: the request's
 * pool; the worker keeps the last few bodies for its life.  Of a body only
 * numbers and the trace id, which the JSON reader has checked, go into a header
 * or an answer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_reply.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tag.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"


/* A worker keeps so many bodies, a power of two, and none that is longer. */
#define NGX_HTTP_GRAPH_POLICY_KEPT      16
#define NGX_HTTP_GRAPH_POLICY_KEPT_LEN  1024


/*
 * A body is kept with all that it was made of, because a state answers all that
 * it blocks alike until it changes.  The state's id stands behind the body.
 */

typedef struct {
    uint64_t      hash;
    uint64_t      since;
    uint64_t      until;
    int64_t       code;
    int64_t       subcode;
    size_t        len;              /* of the body; 0: nothing is kept */
    size_t        code_at;          /* the code's place in the body */
    size_t        code_len;
    uint8_t       category;
    uint8_t       reason;
    uint8_t       stored_reason;
    uint8_t       trace_len;
    uint8_t       due;
    u_char        trace[NGX_HTTP_GRAPH_POLICY_TRACE_LEN];
    u_char        text[NGX_HTTP_GRAPH_POLICY_KEPT_LEN];
} ngx_http_graph_policy_kept_t;


static ngx_http_graph_policy_kept_t
    ngx_http_graph_policy_kept[NGX_HTTP_GRAPH_POLICY_KEPT];


static void ngx_http_graph_policy_reply_handler(ngx_http_request_t *r,
    void *data);
static ngx_int_t ngx_http_graph_policy_send(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_uint_t status);
static void ngx_http_graph_policy_facts_of_state(
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_buf_t *ngx_http_graph_policy_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_uint_t ngx_http_graph_policy_is_kept(
    ngx_http_graph_policy_kept_t *kept, ngx_http_graph_policy_view_t *view,
    ngx_uint_t due);
static void ngx_http_graph_policy_keep(ngx_http_graph_policy_kept_t *kept,
    ngx_http_graph_policy_view_t *view, ngx_uint_t due, ngx_buf_t *b,
    ngx_str_t *code);
static ngx_buf_t *ngx_http_graph_policy_write_body(ngx_http_request_t *r,
    ngx_http_graph_policy_view_t *view, ngx_uint_t due, ngx_str_t *code);
static u_char *ngx_http_graph_policy_write_time(u_char *p, time_t sec);
static u_char *ngx_http_graph_policy_write_digits(u_char *p, ngx_uint_t n);


void
ngx_http_graph_policy_reply(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_uint_t status)
{
    ngx_int_t  rc;

    ctx->answer_status = status;

    rc = ngx_http_graph_policy_drop_body(r,
                                         ngx_http_graph_policy_reply_handler,
                                         ctx);

    if (rc == NGX_DECLINED) {
        ngx_http_graph_policy_reply_handler(r, ctx);

    } else {
        ngx_http_finalize_request(r, rc);
    }
}


static void
ngx_http_graph_policy_reply_handler(ngx_http_request_t *r, void *data)
{
    ngx_http_graph_policy_ctx_t *ctx = data;

    /* A returned status would be replaced by an error_page. */

    ngx_http_finalize_request(r, ngx_http_graph_policy_send(r, ctx,
                                                         ctx->answer_status));
}


static ngx_int_t
ngx_http_graph_policy_send(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_uint_t status)
{
    ngx_int_t                      rc;
    ngx_buf_t                     *b;
    ngx_chain_t                    out;
    ngx_http_graph_policy_view_t  *view;

    view = ctx->view;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_graph_policy_facts_of_state(ctx);

    b = ngx_http_graph_policy_body(r, ctx);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status =
                          (status != NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM)
                          ? status : view->status;
    r->headers_out.content_length_n = b->last - b->pos;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_graph_policy_tag(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* A local answer has the facts of the answer that has set its state. */

static void
ngx_http_graph_policy_facts_of_state(ngx_http_graph_policy_ctx_t *ctx)
{
    time_t                          left;
    uint64_t                        now;
    ngx_http_graph_policy_view_t   *view;
    ngx_http_graph_policy_facts_t  *facts;

    view = ctx->view;
    facts = &ctx->facts;
    now = ngx_http_graph_policy_now();

    /*
     * A state that a webhook set without a code shows the first code of its
     * reason.
     */

    if (view->code == -1) {
        view->code = ngx_http_graph_policy_reasons[view->reason].code;
    }

    facts->has_code = 1;
    facts->code = view->code;
    facts->has_subcode = (view->subcode != -1);
    facts->subcode = view->subcode;
    facts->trace_len = view->trace_len;
    ngx_memcpy(facts->trace, view->trace, view->trace_len);

    ctx->verdict.category = view->category;
    ctx->verdict.scope = ngx_http_graph_policy_key_scopes[view->kind];
    ctx->verdict.reason = view->reason;
    ctx->verdict.matched = 1;
    ctx->classified = 1;

    ctx->retry_after = 0;
    ctx->hold_left = 0;

    /*
     * Retry-After is sent to a client only for errors that end by waiting, as
     * some clients retry because of it whatever the code says.  Meta, which
     * sends webhooks, doesn't.
     */

    if (view->until == NGX_HTTP_GRAPH_POLICY_NEVER || view->until <= now) {
        return;
    }

    left = (time_t) ((view->until - now + 999) / 1000);

    if (view->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY
        || ctx->verified != NULL)
    {
        ctx->retry_after = left;

    } else {
        ctx->hold_left = left;
    }
}


static ngx_buf_t *
ngx_http_graph_policy_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    size_t                         size;
    ngx_buf_t                     *b;
    ngx_uint_t                     due;
    ngx_http_graph_policy_view_t  *view;
    ngx_http_graph_policy_kept_t  *kept;

    view = ctx->view;
    due = (ctx->retry_after == 0 && ctx->hold_left == 0);
    kept = &ngx_http_graph_policy_kept[view->hash
                                       & (NGX_HTTP_GRAPH_POLICY_KEPT - 1)];

    if (ngx_http_graph_policy_is_kept(kept, view, due)) {
        size = kept->len + NGX_HTTP_GRAPH_POLICY_ID_LEN;

        b = ngx_create_temp_buf(r->pool, size);
        if (b == NULL) {
            return NULL;
        }

        ngx_memcpy(b->pos, kept->text, size);
        b->last = b->pos + kept->len;

        ctx->code.data = b->pos + kept->code_at;
        ctx->code.len = kept->code_len;

    } else {
        b = ngx_http_graph_policy_write_body(r, view, due, &ctx->code);
        if (b == NULL) {
            return NULL;
        }

        ngx_http_graph_policy_keep(kept, view, due, b, &ctx->code);
    }

    ctx->state.data = b->last;
    ctx->state.len = NGX_HTTP_GRAPH_POLICY_ID_LEN;

    b->last_buf = 1;
    b->last_in_chain = 1;

    return b;
}


static ngx_uint_t
ngx_http_graph_policy_is_kept(ngx_http_graph_policy_kept_t *kept,
    ngx_http_graph_policy_view_t *view, ngx_uint_t due)
{
    return kept->len != 0
           && kept->hash == view->hash
           && kept->since == view->since
           && kept->until == view->until
           && kept->code == view->code
           && kept->subcode == view->subcode
           && kept->category == view->category
           && kept->reason == view->reason
           && kept->stored_reason == view->stored_reason
           && kept->due == due
           && kept->trace_len == view->trace_len
           && ngx_memcmp(kept->trace, view->trace, view->trace_len) == 0;
}


static void
ngx_http_graph_policy_keep(ngx_http_graph_policy_kept_t *kept,
    ngx_http_graph_policy_view_t *view, ngx_uint_t due, ngx_buf_t *b,
    ngx_str_t *code)
{
    size_t  len;

    len = b->last - b->pos;

    if (len + NGX_HTTP_GRAPH_POLICY_ID_LEN > NGX_HTTP_GRAPH_POLICY_KEPT_LEN) {
        return;
    }

    kept->hash = view->hash;
    kept->since = view->since;
    kept->until = view->until;
    kept->code = view->code;
    kept->subcode = view->subcode;
    kept->category = view->category;
    kept->reason = view->reason;
    kept->stored_reason = view->stored_reason;
    kept->due = (uint8_t) due;
    kept->trace_len = view->trace_len;
    ngx_memcpy(kept->trace, view->trace, view->trace_len);

    kept->len = len;
    kept->code_at = code->data - b->pos;
    kept->code_len = code->len;
    ngx_memcpy(kept->text, b->pos, len + NGX_HTTP_GRAPH_POLICY_ID_LEN);
}


/* If "due" is set, the state waits for a probe that this request can't be. */

static ngx_buf_t *
ngx_http_graph_policy_write_body(ngx_http_request_t *r,
    ngx_http_graph_policy_view_t *view, ngx_uint_t due, ngx_str_t *code)
{
    u_char                          *p;
    size_t                           len;
    ngx_buf_t                       *b;
    ngx_http_graph_policy_reason_t  *reason;

    reason = &ngx_http_graph_policy_reasons[view->reason];

    len = 2 * reason->title.len + reason->action.len + view->trace_len
          + 3 * NGX_INT64_LEN + NGX_HTTP_GRAPH_POLICY_ID_LEN + 512;

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    p = b->last;

    p = ngx_http_graph_policy_put(p, "{\"error\":{\"message\":\"(#");

    code->data = p;
    p = ngx_http_graph_policy_write_number(p, view->code);
    code->len = p - code->data;

    p = ngx_http_graph_policy_put(p, ") ");
    p = ngx_cpymem(p, reason->title.data, reason->title.len);
    p = ngx_http_graph_policy_put(p,
                              "\",\"type\":\"OAuthException\",\"code\":");
    p = ngx_cpymem(p, code->data, code->len);

    if (view->subcode != -1) {
        p = ngx_http_graph_policy_put(p, ",\"error_subcode\":");
        p = ngx_http_graph_policy_write_number(p, view->subcode);
    }

    p = (view->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY)
        ? ngx_http_graph_policy_put(p, ",\"is_transient\":true")
        : ngx_http_graph_policy_put(p, ",\"is_transient\":false");

    p = ngx_http_graph_policy_put(p, ",\"error_user_title\":\"");
    p = ngx_cpymem(p, reason->title.data, reason->title.len);
    p = ngx_http_graph_policy_put(p, "\",\"error_user_msg\":\"");
    p = ngx_cpymem(p, reason->action.data, reason->action.len);

    p = ngx_http_graph_policy_put(p,
              "\",\"error_data\":{\"messaging_product\":\"whatsapp\","
              "\"details\":\"Answered by the proxy, Graph was not called. "
              "Paused since ");
    p = ngx_http_graph_policy_write_time(p, view->since / 1000);

    if (view->until == NGX_HTTP_GRAPH_POLICY_NEVER) {
        p = ngx_http_graph_policy_put(p, ", until somebody clears it");

    } else if (due) {

        /* The state is due, but a request of this kind can't probe it. */

        p = ngx_http_graph_policy_put(p, ", and a request like this one "
                                         "can't end that");

    } else {
        p = ngx_http_graph_policy_put(p, ", next try at ");
        p = ngx_http_graph_policy_write_time(p, (view->until + 999) / 1000);
    }

    p = ngx_http_graph_policy_put(p, ".\"}");

    if (view->trace_len != 0) {
        p = ngx_http_graph_policy_put(p, ",\"fbtrace_id\":\"");
        p = ngx_cpymem(p, view->trace, view->trace_len);
        *p++ = '"';
    }

    p = ngx_http_graph_policy_put(p, "}}");

    b->last = p;

    (void) ngx_http_graph_policy_write_id(p, view);

    return b;
}


/* Writes a time as in ISO 8601. */

static u_char *
ngx_http_graph_policy_write_time(u_char *p, time_t sec)
{
    ngx_tm_t  tm;

    ngx_gmtime(sec, &tm);

    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_year / 100);
    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_year % 100);
    *p++ = '-';
    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_mon);
    *p++ = '-';
    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_mday);
    *p++ = 'T';
    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_hour);
    *p++ = ':';
    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_min);
    *p++ = ':';
    p = ngx_http_graph_policy_write_digits(p, tm.ngx_tm_sec);
    *p++ = 'Z';

    return p;
}


/* Writes a number below 100 in two digits. */

static u_char *
ngx_http_graph_policy_write_digits(u_char *p, ngx_uint_t n)
{
    *p++ = (u_char) ('0' + n / 10);
    *p++ = (u_char) ('0' + n % 10);

    return p;
}
