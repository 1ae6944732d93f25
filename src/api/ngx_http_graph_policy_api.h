
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


/* Bytes of a body; a larger one is refused. */
#define NGX_HTTP_GRAPH_POLICY_API_BODY  65536


/* A call of the API. */

typedef struct {
    ngx_http_request_t                *request;
    ngx_http_graph_policy_loc_conf_t  *conf;

    /* The zone and the state that the path names, if it names any. */
    ngx_http_graph_policy_zone_t      *zone;
    ngx_str_t                          id;      /* a state's */

    ngx_str_t                          body;    /* contiguous */
} ngx_http_graph_policy_call_t;


/*
 * Answers a call; returns what a content handler returns.  The call is gone
 * after the return, the request isn't.
 */
typedef ngx_int_t (*ngx_http_graph_policy_call_pt)(
    ngx_http_graph_policy_call_t *call);


/* A document that is being written as the body of an answer. */

typedef struct {
    ngx_http_request_t                *request;
    ngx_chain_t                       *out;
    ngx_chain_t                      **next;    /* end of the chain */
    ngx_buf_t                         *buf;     /* being filled */
    ngx_http_graph_policy_gen_t        gen;
} ngx_http_graph_policy_api_answer_t;


/*
 * The states that a call is for; the cursor is at the first one to look at.
 *
 * The fragment is in lower case, and empty if none is searched for.  A state
 * fits if its key or its credential's fingerprint contains the fragment, or if
 * its id begins with it.  A fragment of few digits would fit the ids of many
 * conversations, which have nothing but an id, by chance.  So "of_id" tells
 * whether it may be the beginning of an id at all; ids with it are those of
 * the hashes from "low" to "high".
 */

typedef struct {
    ngx_uint_t                         scope;
    ngx_uint_t                         category;
    ngx_uint_t                         reason;
    ngx_uint_t                         limit;
    ngx_str_t                          fragment;
    ngx_uint_t                         of_id;
    uint64_t                           low;
    uint64_t                           high;
    u_char                             text[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
                                                /* data of fragment */
    ngx_http_graph_policy_cursor_t     cursor;
} ngx_http_graph_policy_filter_t;


/*
 * A walk over the states of a zone.  A step returns NGX_DECLINED to be called
 * once more; or it answers the call and returns what a content handler
 * returns, NGX_AGAIN included.
 */

typedef struct ngx_http_graph_policy_walk_s  ngx_http_graph_policy_walk_t;

typedef ngx_int_t (*ngx_http_graph_policy_walk_pt)(
    ngx_http_graph_policy_walk_t *walk);

struct ngx_http_graph_policy_walk_s {
    ngx_http_request_t                *request;
    ngx_http_graph_policy_loc_conf_t  *conf;
    ngx_http_graph_policy_zone_t      *zone;
    ngx_http_graph_policy_filter_t     filter;

    /*
     * For the steps of a list: the page, its number of states, and the number
     * of states looked at.
     */
    ngx_http_graph_policy_api_answer_t     answer;
    ngx_http_graph_policy_cursor_t     last;
    ngx_uint_t                         listed;
    ngx_uint_t                         looked;
    void                              *data;        /* for other steps */
    ngx_msec_t                         pace;        /* between two steps */

    ngx_http_graph_policy_walk_pt      step;
    ngx_event_t                        event;
};


/*
 * The text of a cursor: the hash and the reason, as in an id, and a digit for
 * its flags.
 */
#define NGX_HTTP_GRAPH_POLICY_NEXT_LEN  (NGX_HTTP_GRAPH_POLICY_ID_LEN + 1)


/*
 * Begin an answer, and send it with its headers.  api_end() returns what a
 * content handler returns.
 */
void ngx_http_graph_policy_api_begin(ngx_http_graph_policy_api_answer_t *answer,
    ngx_http_request_t *r);
ngx_int_t ngx_http_graph_policy_api_end(
    ngx_http_graph_policy_api_answer_t *answer, ngx_uint_t status);

/*
 * Sends a body with the headers that all answers have.  The body is in memory,
 * and its last buffer is marked; "out" is NULL for none.  "type" is static.  An
 * unread body of the request is discarded; by HTTP/2, it is read before.
 * Returns what a content handler returns.
 */
ngx_int_t ngx_http_graph_policy_api_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_chain_t *out);

/*
 * Answers with an error, whose message is cut at 1k.  Returns what a content
 * handler returns.
 */
ngx_int_t ngx_http_graph_policy_api_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *fmt, ...);

/*
 * Adds a header to the answer; "name" is a literal.  Returns NGX_OK, or
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_api_header(ngx_http_request_t *r,
    const char *name, u_char *value, size_t len);

/* Writes a time, given in milliseconds, in ISO 8601. */
void ngx_http_graph_policy_api_time(ngx_http_graph_policy_gen_t *gen,
    const char *name, uint64_t ms);
/* Writes the end of a state, or null if it is frozen. */
void ngx_http_graph_policy_api_until(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view);
/* Writes a fingerprint, or null for 0. */
void ngx_http_graph_policy_api_fingerprint(ngx_http_graph_policy_gen_t *gen,
    const char *name, uint64_t fp);
/* Writes a number, or null for -1. */
void ngx_http_graph_policy_api_code(ngx_http_graph_policy_gen_t *gen,
    const char *name, int64_t code);
/* Writes a state as an object; the second one leaves the object open. */
void ngx_http_graph_policy_api_state(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view, uint64_t now);
void ngx_http_graph_policy_api_open_state(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_view_t *view, uint64_t now);
/* Writes what became of a state, as the member "events". */
void ngx_http_graph_policy_api_past(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_step_t *steps, ngx_uint_t n);


/*
 * Reads the body of the call, a JSON object, into the form.  Returns
 * NGX_DECLINED on success; else the call has been answered, and the caller
 * returns this value.
 */
ngx_int_t ngx_http_graph_policy_api_form(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_form_t *form);

/* Returns 1 if a page of another site may have made a browser send this. */
ngx_uint_t ngx_http_graph_policy_api_is_foreign(ngx_http_request_t *r);


/*
 * Reads the arguments of the call; those of pages are allowed if "paged" is
 * set.  Returns NULL, or a text that says which argument is wrong.
 */
const char *ngx_http_graph_policy_api_filter(
    ngx_http_graph_policy_call_t *call, ngx_uint_t paged,
    ngx_http_graph_policy_filter_t *filter);

/*
 * Copies the next batch of states into "views", without those that the filter
 * excludes, and moves the cursor.  Returns how many there are.
 */
ngx_uint_t ngx_http_graph_policy_api_batch(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_filter_t *filter, uint64_t now,
    ngx_http_graph_policy_view_t *views);

/*
 * new_walk() makes a walk out of the request's pool, or returns NULL if there
 * is no memory.  walk() runs its first step, and returns what the call has to
 * return.
 */
ngx_http_graph_policy_walk_t *ngx_http_graph_policy_api_new_walk(
    ngx_http_graph_policy_call_t *call);
ngx_int_t ngx_http_graph_policy_api_walk(ngx_http_graph_policy_walk_t *walk,
    ngx_http_graph_policy_walk_pt step);

/*
 * Read an id, and "n" lower-case hexadecimal digits.  Return NGX_OK, or
 * NGX_ERROR if the text is anything else.
 */
ngx_int_t ngx_http_graph_policy_api_id(ngx_str_t *id, uint64_t *hash,
    ngx_uint_t *reason);
ngx_int_t ngx_http_graph_policy_api_hex(u_char *p, size_t n,
    uint64_t *value);


/* The handlers of the calls. */

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
 * Makes the Content-Security-Policy that the dashboard is sent with, from the
 * hashes of its script and style.  Returns NGX_OK, or NGX_ERROR if there is no
 * memory or no SHA-256.
 */
ngx_int_t ngx_http_graph_policy_dashboard_init(ngx_conf_t *cf);


/* The content handler of a location with the API. */
ngx_int_t ngx_http_graph_policy_api_handler(ngx_http_request_t *r);

/*
 * Collects the zones of the configuration, once all of it is read.  Returns
 * NGX_OK, or NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_api_init(ngx_conf_t *cf);


/*
 * Words for the values of the counters' enums, and for the sources of states.
 */
extern ngx_str_t  ngx_http_graph_policy_webhook_words[];
extern ngx_str_t  ngx_http_graph_policy_denied_words[];
extern ngx_str_t  ngx_http_graph_policy_probe_words[];
extern ngx_str_t  ngx_http_graph_policy_source_words[];


#endif /* _NGX_HTTP_GRAPH_POLICY_API_H_INCLUDED_ */
