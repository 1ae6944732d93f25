
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The answers of the API: documents in chunks, errors, headers.  An error is
 * sent with a body, not returned as a status, so that no error_page replaces
 * it.
 *
 * No lock is taken.  Memory comes from the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tag.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * Most answers fit into the first chunk, and a page of states into the second.
 */
#define NGX_HTTP_GRAPH_POLICY_FIRST_CHUNK  2048
#define NGX_HTTP_GRAPH_POLICY_CHUNK        32768

#define NGX_HTTP_GRAPH_POLICY_MESSAGE_LEN  1024


/* An answer that waits until the body of its request has been dropped. */

typedef struct {
    ngx_uint_t    status;
    ngx_str_t    *type;
    ngx_chain_t   first;    /* the caller's, which may be on the stack */
    ngx_chain_t  *out;
} ngx_http_graph_policy_api_waiting_t;


static void ngx_http_graph_policy_api_send_handler(ngx_http_request_t *r,
    void *data);
static ngx_int_t ngx_http_graph_policy_api_send_now(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_chain_t *out);
static u_char *ngx_http_graph_policy_api_more(void *data, u_char *last,
    u_char **end);


ngx_str_t  ngx_http_graph_policy_source_words[] = {
    ngx_string("answer"),
    ngx_string("webhook"),
    ngx_string("api")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_source_words,
                               NGX_HTTP_GRAPH_POLICY_NSOURCES);


/* by transition; the names are those of the event log, where it has one */

static ngx_str_t  ngx_http_graph_policy_step_words[] = {
    ngx_null_string,
    ngx_string("set"),
    ngx_string("rearmed"),
    ngx_string("cleared"),
    ngx_string("inconclusive"),
    ngx_string("evicted"),
    ngx_string("accepted"),
    ngx_string("probe")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_step_words,
                               NGX_HTTP_GRAPH_POLICY_NSTEPS);


void
ngx_http_graph_policy_api_begin(ngx_http_graph_policy_api_answer_t *answer,
    ngx_http_request_t *r)
{
    answer->request = r;
    answer->out = NULL;
    answer->next = &answer->out;
    answer->buf = NULL;

    ngx_http_graph_policy_gen_begin(&answer->gen,
                                    ngx_http_graph_policy_api_more, answer);
}


static u_char *
ngx_http_graph_policy_api_more(void *data, u_char *last, u_char **end)
{
    ngx_http_graph_policy_api_answer_t *answer = data;

    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (answer->buf != NULL) {
        answer->buf->last = last;
    }

    b = ngx_create_temp_buf(answer->request->pool,
                            (answer->buf == NULL)
                            ? NGX_HTTP_GRAPH_POLICY_FIRST_CHUNK
                            : NGX_HTTP_GRAPH_POLICY_CHUNK);
    if (b == NULL) {
        return NULL;
    }

    cl = ngx_alloc_chain_link(answer->request->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf = b;
    cl->next = NULL;

    *answer->next = cl;
    answer->next = &cl->next;
    answer->buf = b;

    *end = b->end;

    return b->pos;
}


ngx_int_t
ngx_http_graph_policy_api_end(ngx_http_graph_policy_api_answer_t *answer,
    ngx_uint_t status)
{
    static ngx_str_t  type = ngx_string("application/json");

    if (ngx_http_graph_policy_gen_end(&answer->gen) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    answer->buf->last = answer->gen.pos;
    answer->buf->last_buf = (answer->request == answer->request->main);
    answer->buf->last_in_chain = 1;

    return ngx_http_graph_policy_api_send(answer->request, status, &type,
                                          answer->out);
}


ngx_int_t
ngx_http_graph_policy_api_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_chain_t *out)
{
    ngx_int_t                             rc;
    ngx_http_graph_policy_api_waiting_t  *waiting;

    waiting = ngx_palloc(r->pool, sizeof(ngx_http_graph_policy_api_waiting_t));
    if (waiting == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    waiting->status = status;
    waiting->type = type;
    waiting->out = NULL;

    if (out != NULL) {
        waiting->first = *out;
        waiting->out = &waiting->first;
    }

    rc = ngx_http_graph_policy_drop_body(r,
                                       ngx_http_graph_policy_api_send_handler,
                                         waiting);

    return (rc == NGX_DECLINED)
           ? ngx_http_graph_policy_api_send_now(r, status, type, out) : rc;
}


static void
ngx_http_graph_policy_api_send_handler(ngx_http_request_t *r, void *data)
{
    ngx_http_graph_policy_api_waiting_t *waiting = data;

    ngx_http_finalize_request(r,
               ngx_http_graph_policy_api_send_now(r, waiting->status,
                                                  waiting->type,
                                                  waiting->out));
}


static ngx_int_t
ngx_http_graph_policy_api_send_now(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_chain_t *out)
{
    off_t         size;
    u_char       *p;
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    size = 0;

    for (cl = out; cl != NULL; cl = cl->next) {
        size += cl->buf->last - cl->buf->pos;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = size;

    if (out != NULL) {
        /* filters such as gzip compare the type without its parameters */

        p = ngx_strlchr(type->data, type->data + type->len, ';');

        r->headers_out.content_type = *type;
        r->headers_out.content_type_len = (p != NULL)
                                          ? (size_t) (p - type->data)
                                          : type->len;
        r->headers_out.content_type_lowcase = NULL;
    }

    if (ngx_http_graph_policy_api_header(r, "Cache-Control",
                                         (u_char *) "no-store",
                                         sizeof("no-store") - 1)
        != NGX_OK
        || ngx_http_graph_policy_api_header(r, "X-Content-Type-Options",
                                            (u_char *) "nosniff",
                                            sizeof("nosniff") - 1)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return (out != NULL) ? ngx_http_output_filter(r, out)
                         : ngx_http_send_special(r, NGX_HTTP_LAST);
}


ngx_int_t
ngx_http_graph_policy_api_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    u_char                          *p, text[NGX_HTTP_GRAPH_POLICY_MESSAGE_LEN];
    va_list                          args;
    ngx_http_graph_policy_api_answer_t   answer;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    ngx_http_graph_policy_api_begin(&answer, r);

    ngx_http_graph_policy_gen_object(&answer.gen, NULL);
    ngx_http_graph_policy_gen_object(&answer.gen, "error");
    ngx_http_graph_policy_gen_integer(&answer.gen, "code", status);
    ngx_http_graph_policy_gen_text(&answer.gen, "message", text, p - text);
    ngx_http_graph_policy_gen_close_object(&answer.gen);
    ngx_http_graph_policy_gen_close_object(&answer.gen);

    return ngx_http_graph_policy_api_end(&answer, status);
}


ngx_int_t
ngx_http_graph_policy_api_header(ngx_http_request_t *r, const char *name,
    u_char *value, size_t len)
{
    ngx_str_t  text;

    text.data = value;
    text.len = len;

    return ngx_http_graph_policy_add_header(r, name, ngx_strlen(name), &text);
}


void
ngx_http_graph_policy_api_time(ngx_http_graph_policy_gen_t *gen,
    const char *name, uint64_t ms)
{
    u_char    *p, text[sizeof("2026-01-01T00:00:00.000Z") + 4 * NGX_INT_T_LEN];
    ngx_tm_t   tm;

    ngx_gmtime((time_t) (ms / 1000), &tm);

    p = ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02d.%03uLZ",
                    tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                    tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec, ms % 1000);

    ngx_http_graph_policy_gen_text(gen, name, text, p - text);
}


void
ngx_http_graph_policy_api_until(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view)
{
    if (view->until == NGX_HTTP_GRAPH_POLICY_NEVER) {
        ngx_http_graph_policy_gen_null(gen, "until");

    } else {
        ngx_http_graph_policy_api_time(gen, "until", view->until);
    }
}


void
ngx_http_graph_policy_api_fingerprint(ngx_http_graph_policy_gen_t *gen,
    const char *name, uint64_t fp)
{
    u_char  *p, text[NGX_HTTP_GRAPH_POLICY_FP_LEN];

    if (fp == 0) {
        ngx_http_graph_policy_gen_null(gen, name);
        return;
    }

    p = ngx_sprintf(text, "%016xL", fp);

    ngx_http_graph_policy_gen_text(gen, name, text, p - text);
}


void
ngx_http_graph_policy_api_code(ngx_http_graph_policy_gen_t *gen,
    const char *name, int64_t code)
{
    if (code == -1) {
        ngx_http_graph_policy_gen_null(gen, name);

    } else {
        ngx_http_graph_policy_gen_integer(gen, name, code);
    }
}


void
ngx_http_graph_policy_api_state(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view, uint64_t now)
{
    ngx_http_graph_policy_api_open_state(gen, view, now);
    ngx_http_graph_policy_gen_close_object(gen);
}


void
ngx_http_graph_policy_api_open_state(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view, uint64_t now)
{
    u_char                           id[NGX_HTTP_GRAPH_POLICY_ID_LEN];
    ngx_http_graph_policy_reason_t  *reason;

    reason = &ngx_http_graph_policy_reasons[view->reason];

    (void) ngx_http_graph_policy_write_id(id, view);

    ngx_http_graph_policy_gen_object(gen, NULL);

    ngx_http_graph_policy_gen_text(gen, "id", id, sizeof(id));
    ngx_http_graph_policy_gen_string(gen, "scope",
           &ngx_http_graph_policy_scopes[
                             ngx_http_graph_policy_key_scopes[view->kind]]);

    if (view->key_len != 0) {
        ngx_http_graph_policy_gen_text(gen, "key", view->key, view->key_len);

    } else {
        ngx_http_graph_policy_gen_null(gen, "key");
    }

    if (view->kind == NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE) {
        ngx_http_graph_policy_gen_bool(gen, "of_phone", 1);
    }

    ngx_http_graph_policy_api_fingerprint(gen, "credential",
                                          view->credential);
    ngx_http_graph_policy_gen_string(gen, "category",
                          &ngx_http_graph_policy_categories[view->category]);
    ngx_http_graph_policy_gen_string(gen, "reason", &reason->slug);
    ngx_http_graph_policy_api_code(gen, "code", view->code);
    ngx_http_graph_policy_api_code(gen, "subcode", view->subcode);
    ngx_http_graph_policy_gen_string(gen, "title", &reason->title);
    ngx_http_graph_policy_gen_string(gen, "action", &reason->action);
    ngx_http_graph_policy_api_time(gen, "since", view->since);

    ngx_http_graph_policy_api_until(gen, view);
    ngx_http_graph_policy_gen_bool(gen, "due",
                                   view->leased || view->until <= now);
    ngx_http_graph_policy_gen_bool(gen, "probing",
                                   view->leased && view->until > now);
    ngx_http_graph_policy_gen_integer(gen, "holds", view->holds);
    ngx_http_graph_policy_gen_integer(gen, "blocked", view->blocked);

    if (view->trace_len != 0) {
        ngx_http_graph_policy_gen_text(gen, "trace", view->trace,
                                       view->trace_len);

    } else {
        ngx_http_graph_policy_gen_null(gen, "trace");
    }

    ngx_http_graph_policy_gen_string(gen, "source",
                          &ngx_http_graph_policy_source_words[view->source]);
    ngx_http_graph_policy_gen_bool(gen, "dry_run", view->dry_run);

    if (view->node_len != 0) {
        ngx_http_graph_policy_gen_text(gen, "node", view->node,
                                       view->node_len);
    }
}


void
ngx_http_graph_policy_api_past(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_step_t *steps, ngx_uint_t n)
{
    ngx_uint_t                     i;
    ngx_http_graph_policy_step_t  *step;

    ngx_http_graph_policy_gen_array(gen, "events");

    for (i = 0; i < n; i++) {
        step = &steps[i];

        ngx_http_graph_policy_gen_object(gen, NULL);

        ngx_http_graph_policy_api_time(gen, "time", step->time);
        ngx_http_graph_policy_gen_string(gen, "event",
                              &ngx_http_graph_policy_step_words[step->what]);

        /* what concerns a failure, or somebody's hand */

        if (step->what == NGX_HTTP_GRAPH_POLICY_SET
            || step->what == NGX_HTTP_GRAPH_POLICY_REARMED)
        {
            ngx_http_graph_policy_api_code(gen, "code", step->code);
            ngx_http_graph_policy_gen_string(gen, "source",
                          &ngx_http_graph_policy_source_words[step->source]);

            if (step->hold == 0) {
                ngx_http_graph_policy_gen_null(gen, "hold");

            } else {
                ngx_http_graph_policy_gen_integer(gen, "hold",
                                                  (step->hold + 999) / 1000);
            }
        }

        if (step->elsewhere) {
            ngx_http_graph_policy_gen_bool(gen, "told", 1);
        }

        ngx_http_graph_policy_gen_close_object(gen);
    }

    ngx_http_graph_policy_gen_close_array(gen);
}
