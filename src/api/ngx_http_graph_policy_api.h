
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_API_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_API_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


/* bytes of a body, above that it's refused */
#define NGX_HTTP_GRAPH_POLICY_API_BODY  65536


/* one call of the API */

typedef struct {
    ngx_http_request_t                *request;
    ngx_http_graph_policy_loc_conf_t  *conf;

    /* what the path names, where it names one */
    ngx_http_graph_policy_zone_t      *zone;
    ngx_str_t                          id;      /* of a state */

    ngx_str_t                          body;    /* of a POST, in one piece */
} ngx_http_graph_policy_call_t;


/*
 * Answers a call; returns what a content handler does.  The call is gone
 * after the return, the request isn't.
 */
typedef ngx_int_t (*ngx_http_graph_policy_call_pt)(
    ngx_http_graph_policy_call_t *call);


/* a document that is being written as the body of an answer */

typedef struct {
    ngx_http_request_t                *request;
    ngx_chain_t                       *out;
    ngx_chain_t                      **next;    /* where a link is added */
    ngx_buf_t                         *buf;     /* that is being filled */
    ngx_http_graph_policy_gen_t        gen;
} ngx_http_graph_policy_api_answer_t;


/* which states are meant; the cursor is at the first that comes next */

typedef struct {
    ngx_uint_t                         scope;
    ngx_uint_t                         category;
    ngx_uint_t                         limit;
    ngx_http_graph_policy_cursor_t     cursor;
} ngx_http_graph_policy_filter_t;


/*
 * A walk over the states of a zone.  A step returns NGX_DECLINED to be called
 * once more, or answers the call and returns what a content handler does,
 * which may be NGX_AGAIN.
 */

typedef struct ngx_http_graph_policy_walk_s  ngx_http_graph_policy_walk_t;

typedef ngx_int_t (*ngx_http_graph_policy_walk_pt)(
    ngx_http_graph_policy_walk_t *walk);

struct ngx_http_graph_policy_walk_s {
    ngx_http_request_t                *request;
    ngx_http_graph_policy_loc_conf_t  *conf;
    ngx_http_graph_policy_zone_t      *zone;
    ngx_http_graph_policy_filter_t     filter;

    /* for the steps: a page, how many it has, and how many were looked at */
    ngx_http_graph_policy_api_answer_t     answer;
    ngx_http_graph_policy_cursor_t     last;
    ngx_uint_t                         listed;
    ngx_uint_t                         looked;
    void                              *data;        /* of other steps */
    ngx_msec_t                         pace;        /* between two of them */

    ngx_http_graph_policy_walk_pt      step;
    ngx_event_t                        event;
};


/* a cursor as text: hash and reason, as an id has them, and how far it is */
#define NGX_HTTP_GRAPH_POLICY_NEXT_LEN  (NGX_HTTP_GRAPH_POLICY_ID_LEN + 1)


/* Begins an answer, and sends it with its headers; see call_pt. */
void ngx_http_graph_policy_api_begin(ngx_http_graph_policy_api_answer_t *answer,
    ngx_http_request_t *r);
ngx_int_t ngx_http_graph_policy_api_end(
    ngx_http_graph_policy_api_answer_t *answer, ngx_uint_t status);

/*
 * Sends any body, in memory and with its last buffer marked, with the headers
 * that all answers have; "out" is NULL for none.  An unread body of the
 * request is discarded.
 */
ngx_int_t ngx_http_graph_policy_api_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_chain_t *out);

/* Answers with an error, whose message may be cut at 1k. */
ngx_int_t ngx_http_graph_policy_api_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *fmt, ...);

/* NGX_ERROR: no memory; the name is a literal */
ngx_int_t ngx_http_graph_policy_api_header(ngx_http_request_t *r,
    const char *name, u_char *value, size_t len);

/* a time in ISO 8601, given in milliseconds, as a value of gen */
void ngx_http_graph_policy_api_time(ngx_http_graph_policy_gen_t *gen,
    const char *name, uint64_t ms);
/* the end of a state, or null if it is frozen */
void ngx_http_graph_policy_api_until(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view);
/* a fingerprint, or null for 0 */
void ngx_http_graph_policy_api_fingerprint(ngx_http_graph_policy_gen_t *gen,
    const char *name, uint64_t fp);
/* a number, or null for -1 */
void ngx_http_graph_policy_api_code(ngx_http_graph_policy_gen_t *gen,
    const char *name, int64_t code);
/* a state */
void ngx_http_graph_policy_api_state(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view, uint64_t now);


/*
 * Reads the body as an object of members.  NGX_DECLINED: it's in the form;
 * else it has been answered, and is to be returned.
 */
ngx_int_t ngx_http_graph_policy_api_form(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_form_t *form);

/* whether the page of another site may have made a browser send it */
ngx_uint_t ngx_http_graph_policy_api_is_foreign(ngx_http_request_t *r);


/*
 * Reads the arguments of the call, with those of pages where "paged".  NULL, or
 * what is wrong.
 */
const char *ngx_http_graph_policy_api_filter(
    ngx_http_graph_policy_call_t *call, ngx_uint_t paged,
    ngx_http_graph_policy_filter_t *filter);

/* the next batch, of which just those are left that the filter lets pass */
ngx_uint_t ngx_http_graph_policy_api_batch(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter, uint64_t now,
    ngx_http_graph_policy_view_t *views);

/*
 * A walk out of the request's pool, NULL: no memory; and its first step, of
 * which the call returns what this does.
 */
ngx_http_graph_policy_walk_t *ngx_http_graph_policy_api_new_walk(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_walk(ngx_http_graph_policy_walk_t *walk,
    ngx_http_graph_policy_walk_pt step);

/* NGX_ERROR: it's no id, or not "n" digits, which are lower case */
ngx_int_t ngx_http_graph_policy_api_id(ngx_str_t *id, uint64_t *hash,
    ngx_uint_t *reason);
ngx_int_t ngx_http_graph_policy_api_hex(u_char *p, size_t n,
    uint64_t *value);


/* the calls */

ngx_int_t ngx_http_graph_policy_api_zones(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_zone(ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_list(ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_one(ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_clear(ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_clear_all(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_put(ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_lookup(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_rules(ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_explain(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_metrics(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_dashboard(
    ngx_http_graph_policy_call_t *call);

/*
 * Makes the policy that the dashboard is sent with, out of what is in it.
 * NGX_ERROR: no memory, or no SHA-256.
 */
ngx_int_t ngx_http_graph_policy_dashboard_init(ngx_conf_t *cf);


/* a content handler */
ngx_int_t ngx_http_graph_policy_api_handler(ngx_http_request_t *r);

/* Finds the zones of the configuration, once all of it is read. */
ngx_int_t ngx_http_graph_policy_api_init(ngx_conf_t *cf);


/* words of counters, by their enums; of the breaker's sources */
extern ngx_str_t  ngx_http_graph_policy_webhook_words[];
extern ngx_str_t  ngx_http_graph_policy_denied_words[];
extern ngx_str_t  ngx_http_graph_policy_probe_words[];
extern ngx_str_t  ngx_http_graph_policy_source_words[];


#endif /* _NGX_HTTP_GRAPH_POLICY_API_H_INCLUDED_ */
