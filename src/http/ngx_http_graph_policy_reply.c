
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The local answer in Graph's shape, and the headers that it has in common
 * with the upstream's tagged answers.
 *
 * Lock rule: none, the state was copied under the lock.  Memory: the
 * request's pool.  Nothing of a body enters a header or an answer but numbers
 * and the trace id, which the json room has checked.
 */


#include "ngx_http_graph_policy_http.h"


static ngx_int_t ngx_http_graph_policy_send(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_buf_t *ngx_http_graph_policy_body(ngx_http_request_t *r,
    ngx_http_graph_policy_view_t *view);
static u_char *ngx_http_graph_policy_write_time(u_char *p, time_t sec);
static void ngx_http_graph_policy_take_view(
    ngx_http_graph_policy_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_add_number(ngx_http_request_t *r,
    const char *name, size_t len, int64_t value);
static ngx_int_t ngx_http_graph_policy_add_header(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *value);


#define ngx_http_graph_policy_cpylit(p, literal)                              \
    ngx_cpymem(p, literal, sizeof(literal) - 1)

#define ngx_http_graph_policy_header(r, literal, value)                       \
    ngx_http_graph_policy_add_header(r, literal, sizeof(literal) - 1, value)

#define ngx_http_graph_policy_number(r, literal, value)                       \
    ngx_http_graph_policy_add_number(r, literal, sizeof(literal) - 1, value)


static ngx_str_t  ngx_http_graph_policy_policies[] = {
    ngx_string("passed"),
    ngx_string("probe"),
    ngx_string("blocked"),
    ngx_string("dry-run"),
    ngx_string("retried"),
    ngx_string("dry-run")
};


void
ngx_http_graph_policy_reply(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    /* finalized here, as a status returned would bring an error_page */

    ngx_http_finalize_request(r, ngx_http_graph_policy_send(r, ctx));
}


static ngx_int_t
ngx_http_graph_policy_send(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_int_t                          rc;
    ngx_buf_t                         *b;
    ngx_chain_t                        out;
    ngx_http_graph_policy_view_t      *view;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    view = ctx->view;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_graph_policy_take_view(ctx);

    b = ngx_http_graph_policy_body(r, view);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status =
                     (glcf->status != NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM)
                     ? glcf->status : view->status;
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


/* the facts of the answer that set the state are those of this one, too */

static void
ngx_http_graph_policy_take_view(ngx_http_graph_policy_ctx_t *ctx)
{
    uint64_t                        now;
    ngx_http_graph_policy_view_t   *view;
    ngx_http_graph_policy_facts_t  *facts;

    view = ctx->view;
    facts = &ctx->facts;
    now = ngx_http_graph_policy_now();

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

    ctx->retry_after = (view->until > now)
                       ? (time_t) ((view->until - now + 999) / 1000) : 1;
}


static ngx_buf_t *
ngx_http_graph_policy_body(ngx_http_request_t *r,
    ngx_http_graph_policy_view_t *view)
{
    u_char                          *p;
    size_t                           len;
    ngx_buf_t                       *b;
    ngx_http_graph_policy_reason_t  *reason;

    reason = &ngx_http_graph_policy_reasons[view->reason];

    len = 2 * reason->title.len + reason->action.len + view->trace_len
          + 3 * NGX_INT64_LEN + 512;

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    p = b->last;

    p = ngx_http_graph_policy_cpylit(p, "{\"error\":{\"message\":\"(#");
    p = ngx_sprintf(p, "%L", view->code);
    p = ngx_http_graph_policy_cpylit(p, ") ");
    p = ngx_cpymem(p, reason->title.data, reason->title.len);
    p = ngx_http_graph_policy_cpylit(p,
                              "\",\"type\":\"OAuthException\",\"code\":");
    p = ngx_sprintf(p, "%L", view->code);

    if (view->subcode != -1) {
        p = ngx_http_graph_policy_cpylit(p, ",\"error_subcode\":");
        p = ngx_sprintf(p, "%L", view->subcode);
    }

    p = (view->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY)
        ? ngx_http_graph_policy_cpylit(p, ",\"is_transient\":true")
        : ngx_http_graph_policy_cpylit(p, ",\"is_transient\":false");

    p = ngx_http_graph_policy_cpylit(p, ",\"error_user_title\":\"");
    p = ngx_cpymem(p, reason->title.data, reason->title.len);
    p = ngx_http_graph_policy_cpylit(p, "\",\"error_user_msg\":\"");
    p = ngx_cpymem(p, reason->action.data, reason->action.len);

    p = ngx_http_graph_policy_cpylit(p,
              "\",\"error_data\":{\"messaging_product\":\"whatsapp\","
              "\"details\":\"Answered by the proxy, Graph was not called. "
              "Paused since ");
    p = ngx_http_graph_policy_write_time(p, view->since / 1000);
    p = ngx_http_graph_policy_cpylit(p, ", next try at ");
    p = ngx_http_graph_policy_write_time(p, (view->until + 999) / 1000);
    p = ngx_http_graph_policy_cpylit(p, ".\"}");

    if (view->trace_len != 0) {
        p = ngx_http_graph_policy_cpylit(p, ",\"fbtrace_id\":\"");
        p = ngx_cpymem(p, view->trace, view->trace_len);
        *p++ = '"';
    }

    p = ngx_http_graph_policy_cpylit(p, "}}");

    b->last = p;

    return b;
}


/* ISO 8601 */

static u_char *
ngx_http_graph_policy_write_time(u_char *p, time_t sec)
{
    ngx_tm_t  tm;

    ngx_gmtime(sec, &tm);

    return ngx_sprintf(p, "%4d-%02d-%02dT%02d:%02d:%02dZ",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);
}


ngx_int_t
ngx_http_graph_policy_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    u_char                           id[NGX_HTTP_GRAPH_POLICY_ID_LEN];
    ngx_str_t                        value;
    ngx_http_graph_policy_verdict_t  *verdict;

    verdict = &ctx->verdict;

    if (ngx_http_graph_policy_header(r, "X-Graph-Error-Category",
                     &ngx_http_graph_policy_categories[verdict->category])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->facts.has_code
        && ngx_http_graph_policy_number(r, "X-Graph-Error-Code",
                                        ctx->facts.code)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->facts.has_subcode
        && ngx_http_graph_policy_number(r, "X-Graph-Error-Subcode",
                                        ctx->facts.subcode)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (verdict->matched
        && (ngx_http_graph_policy_header(r, "X-Graph-Error-Reason",
                       &ngx_http_graph_policy_reasons[verdict->reason].slug)
            != NGX_OK
            || ngx_http_graph_policy_header(r, "X-Graph-Error-Scope",
                             &ngx_http_graph_policy_scopes[verdict->scope])
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (ngx_http_graph_policy_tag_accepted(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED) {
        value.len = ngx_http_graph_policy_write_id(id, ctx->view) - id;

        value.data = ngx_pnalloc(r->pool, value.len);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(value.data, id, value.len);

        if (ngx_http_graph_policy_header(r, "X-Graph-State", &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ctx->retry_after != 0) {
        return ngx_http_graph_policy_number(r, "Retry-After",
                                            ctx->retry_after);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_tag_accepted(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx)
{
    ngx_uint_t  status;

    status = ngx_http_graph_policy_status_of(ctx);

    if (ngx_http_graph_policy_header(r, "X-Graph-Policy",
                                     &ngx_http_graph_policy_policies[status])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (ctx->attempts > 1)
           ? ngx_http_graph_policy_number(r, "X-Graph-Attempts",
                                          (int64_t) ctx->attempts)
           : NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_add_number(ngx_http_request_t *r, const char *name,
    size_t len, int64_t number)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%L", number) - value.data;

    return ngx_http_graph_policy_add_header(r, name, len, &value);
}


static ngx_int_t
ngx_http_graph_policy_add_header(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = len;
    h->value = *value;
    h->lowcase_key = NULL;
    ngx_http_graph_policy_unlink_header(h);

    return NGX_OK;
}


u_char *
ngx_http_graph_policy_write_id(u_char *p, ngx_http_graph_policy_view_t *view)
{
    return ngx_sprintf(p, "%016xL%02xi", view->hash,
                       (ngx_int_t) view->stored_reason);
}
