
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_HTTP_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_event_log.h"


/* graph_policy_pause */
#define NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS  0
#define NGX_HTTP_GRAPH_POLICY_PAUSE_ALL    1

/* graph_policy_status */
#define NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM  0


/* what the gate said, and what became of it */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_PASSED = 0,
    NGX_HTTP_GRAPH_POLICY_PROBE,
    NGX_HTTP_GRAPH_POLICY_BLOCKED,
    NGX_HTTP_GRAPH_POLICY_BLOCKED_DRY_RUN,
    NGX_HTTP_GRAPH_POLICY_RETRIED,
    NGX_HTTP_GRAPH_POLICY_RETRIED_DRY_RUN,
    NGX_HTTP_GRAPH_POLICY_NSTATUSES
} ngx_http_graph_policy_status_e;


/* graph_policy_api */
#define NGX_HTTP_GRAPH_POLICY_API_READ   1
#define NGX_HTTP_GRAPH_POLICY_API_WRITE  2


typedef struct {
    ngx_uint_t                       used;      /* some location enforces */
    ngx_uint_t                       retries;   /* some location retries */
    ngx_http_graph_policy_event_log_t  *event_log;  /* NULL: off */
    ngx_uint_t                       api;       /* some location has it */
    ngx_str_t                        dashboard_policy;  /* where api */
    ngx_array_t                     *zones;     /* where api, all of them, of
                                       ngx_http_graph_policy_zone_t * */
} ngx_http_graph_policy_main_conf_t;


typedef struct {
    ngx_shm_zone_t                  *shm_zone;  /* NULL: off */
    ngx_http_graph_policy_zone_t    *zone;      /* likewise, after merge */
    ngx_conf_file_t                 *place;
                                     /* the directive's, only for errors */

    ngx_http_complex_value_t        *dry_run;   /* NULL: off */
    ngx_http_complex_value_t        *credential;
    ngx_http_complex_value_t        *account;
    ngx_http_complex_value_t        *phone;

    ngx_array_t                     *sends;  /* of ngx_http_complex_value_t */
    ngx_array_t                     *rules;
                                     /* of ngx_http_graph_policy_rule_t */

    ngx_uint_t                       pause;
    ngx_uint_t                       status;
    ngx_uint_t                       log_level;
    ngx_msec_t                       hold;
    ngx_msec_t                       hold_max;
    size_t                           buffer_size;
    ngx_flag_t                       accept_encoding;
    ngx_flag_t                       cooldown;
    ngx_uint_t                       conversations; /* may have states */
    ngx_flag_t                       conversation;  /* is a gate */
    ngx_msec_t                       conversation_hold;

    /* a location of webhooks has its zone here alone: it sends nothing */
    ngx_flag_t                       webhook;
    ngx_flag_t                       webhook_pause;
    ngx_http_graph_policy_zone_t    *webhook_zone;
    ngx_array_t                     *secrets;
                                     /* of ngx_http_graph_policy_signer_t */
    ngx_http_graph_policy_backoff_t  retry;

    /* 0: none; a location of the API enforces nothing */
    ngx_uint_t                       api;
} ngx_http_graph_policy_loc_conf_t;


#define ngx_http_graph_policy_zone_of(glcf)                                   \
    (((glcf)->zone != NULL) ? (glcf)->zone : (glcf)->webhook_zone)


/* of a request before its content phase, to be sent again from there */

typedef struct {
    ngx_http_headers_out_t           headers_out;
    ngx_uint_t                       nheaders;  /* of the list's last part */
    ngx_uint_t                       ntrailers;
    ngx_table_elt_t                **links;     /* of the headers kept */
    ngx_uint_t                       err_status;
    size_t                           limit_rate;
    size_t                           limit_rate_after;
    unsigned                         limit_rate_set:1;
    unsigned                         limit_rate_after_set:1;
    unsigned                         keepalive:1;
} ngx_http_graph_policy_snapshot_t;


/*
 * One request.  Made at first need, so that an accepted send has none; it
 * outlives internal redirects and is found again by its cleanup.
 */

typedef struct {
    ngx_http_request_t              *request;

    /* whose states count, and the key of fingerprints; never NULL */
    ngx_http_graph_policy_zone_t    *zone;
    ngx_uint_t                       log_level;

    ngx_http_graph_policy_identity_t  identity;
    ngx_http_graph_policy_status_e   status;
    ngx_http_graph_policy_kind_e     kind;      /* valid where gated */

    /* leases taken, or states that would have blocked, by status */
    ngx_http_graph_policy_ref_t     *refs;
    ngx_uint_t                       nrefs;
    ngx_event_t                     *renewal;   /* NULL until it's needed */

    /* the error body, as it came */
    u_char                          *body;
    size_t                           size;
    size_t                           capacity;

    /* the upstream's own callback, while its header is held */
    void                           (*finalize_upstream)(ngx_http_request_t *r,
                                        ngx_int_t rc);

    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  verdict;

    /* the state that a local answer shows, and its code as text */
    ngx_http_graph_policy_view_t    *view;
    ngx_str_t                        code;

    /* seconds of the headers Retry-After and X-Graph-Hold, 0: none */
    time_t                           retry_after;
    time_t                           hold_left;

    /* of the location that has verified it as a webhook, or NULL */
    ngx_array_t                     *verified;

    /* where retry is on; attempts is 1 otherwise */
    ngx_http_graph_policy_snapshot_t  *snapshot;
    ngx_event_t                     *parking;
    ngx_uint_t                       attempts;
    ngx_uint_t                       unknown;   /* of uncertain outcome */
    ngx_uint_t                       resent_for;    /* the reason */
    ngx_uint_t                       nstates;   /* before this attempt */
    ngx_msec_t                       hint;      /* Graph's, 0: none */

    unsigned                         identified:1;
    unsigned                         credentialed:1;
    unsigned                         conversed:1;
    unsigned                         body_read:1;
    unsigned                         body_awaited:1;
    unsigned                         gated:1;
    unsigned                         holding:1; /* the header */
    unsigned                         classified:1;
    unsigned                         counted:1; /* among the first tries */
    unsigned                         parked:1;
    unsigned                         again:1;   /* states to be joined */
    unsigned                         exhausted:1;   /* the app's quota */
    unsigned                         would_retry:1;
} ngx_http_graph_policy_ctx_t;


#define ngx_http_graph_policy_is_named(value, literal)                        \
    ((value)->len == sizeof(literal) - 1                                      \
     && ngx_strncasecmp((value)->data, (u_char *) literal,                    \
                        sizeof(literal) - 1)                                  \
        == 0)


/* milliseconds of the wall clock */

static ngx_inline uint64_t
ngx_http_graph_policy_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* the context, or NULL if the request has none yet */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_get_ctx(
    ngx_http_request_t *r);
/* the context, made if need be; NULL if there is no memory */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_make_ctx(
    ngx_http_request_t *r, ngx_http_graph_policy_loc_conf_t *glcf);

/* whether what the policy would do here is only shown */
ngx_uint_t ngx_http_graph_policy_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * What a location of sends does before its upstream: NGX_DECLINED to go on,
 * NGX_DONE, or a status.
 */
ngx_int_t ngx_http_graph_policy_gate(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/*
 * Tells the states whose leases the request holds what came of it; the
 * verdict is NULL where no classified error came.  Settles only once.
 */
void ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_outcome_e outcome,
    ngx_http_graph_policy_verdict_t *verdict);

/*
 * Reads the body before the gate.  NGX_OK: it is there; NGX_DONE: the request
 * waits for it and enters the phase again; or a status.
 */
ngx_int_t ngx_http_graph_policy_read_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * The body that was read, in one piece; where it lies in one it isn't copied,
 * else it is *allocated for the caller to free.  NGX_DECLINED if it is larger
 * than "max" bytes; NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_gather_body(ngx_http_request_t *r, size_t max,
    ngx_str_t *body, u_char **allocated);
/* "len" bytes at "offset" of the file that "b" is in, or NGX_ERROR */
ngx_int_t ngx_http_graph_policy_read_body_part(ngx_http_request_t *r,
    ngx_buf_t *b, u_char *p, size_t len, off_t offset);

/*
 * The status of the upstream's answer, whatever an error_page makes of it;
 * of nginx's own where the upstream isn't answering.
 */
ngx_uint_t ngx_http_graph_policy_answer_status(ngx_http_request_t *r);

/* keeps a probe's leases until they are settled; NGX_ERROR: no memory */
ngx_int_t ngx_http_graph_policy_start_renewal(
    ngx_http_graph_policy_ctx_t *ctx);

/* what users are told of the request */
ngx_http_graph_policy_status_e ngx_http_graph_policy_status_of(
    ngx_http_graph_policy_ctx_t *ctx);

/* the connection's log without the handler that appends the request line */
void ngx_http_graph_policy_plain_log(ngx_http_request_t *r, ngx_log_t *log);

/*
 * Tells of a change of state, view->transition, once: in the error log at
 * "level", and in the event log.  NOTHING tells nothing.
 */
void ngx_http_graph_policy_tell_state(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_view_t *view,
    ngx_uint_t level);
/* the same where a context has the zone and the level */
void ngx_http_graph_policy_log_state(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view);
/* tells, likewise, that the request is the probe of the leases it holds */
void ngx_http_graph_policy_tell_probe(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view);

/* room for one state in a line of the log, lengths of its parts and words */
#define NGX_HTTP_GRAPH_POLICY_STATE_TEXT                                      \
    (NGX_HTTP_GRAPH_POLICY_KEY_LEN + NGX_HTTP_GRAPH_POLICY_TRACE_LEN          \
     + NGX_HTTP_GRAPH_POLICY_FP_LEN + 2 * NGX_INT64_LEN + 192)

/* a state, as the log has it; at most STATE_TEXT bytes */
u_char *ngx_http_graph_policy_write_state(u_char *p,
    ngx_http_graph_policy_view_t *view);

/* logs at info what a state does to the request */
void ngx_http_graph_policy_log_request(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view, const char *what);
/* logs that the zone had no room for a state */
void ngx_http_graph_policy_log_full(ngx_http_graph_policy_ctx_t *ctx);
void ngx_http_graph_policy_log_no_room(ngx_http_request_t *r,
    ngx_http_graph_policy_zone_t *zone);

/*
 * Looks the states up again before another try.  NGX_BUSY if one blocks now;
 * it is in ctx->view then.
 */
ngx_int_t ngx_http_graph_policy_check_again(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/* Keeps what the content phase will change.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_graph_policy_take_snapshot(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
/* what earlier phases put there stays, what the upstream put there goes */
void ngx_http_graph_policy_rewind(ngx_http_request_t *r,
    ngx_http_graph_policy_snapshot_t *snapshot);

/*
 * Counts the request among those that wait, until the timer fires or it goes;
 * the number of those in this worker.
 */
void ngx_http_graph_policy_wait(ngx_http_graph_policy_ctx_t *ctx,
    ngx_event_handler_pt handler, ngx_msec_t delay);
void ngx_http_graph_policy_unpark(ngx_http_graph_policy_ctx_t *ctx);
ngx_uint_t ngx_http_graph_policy_parked(void);

/*
 * Copies what "b" has of an error's body behind what there is.  NGX_DECLINED:
 * the body isn't to be had whole in "bound" bytes, and "b" is untouched;
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_graph_policy_collect_body(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_buf_t *b, size_t bound);

/*
 * Parks the request if its classified answer, whose last buffer is "b", may be
 * had anew.  NGX_DONE: parked, to be returned by the body filter; NGX_DECLINED
 * if the answer is to be delivered; NGX_ERROR.
 */
ngx_int_t ngx_http_graph_policy_retry(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_buf_t *b);

/*
 * Classifies the held answer; what can't be read is unclassified.  Learning
 * it may raise ctx->hint.
 */
void ngx_http_graph_policy_classify(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
void ngx_http_graph_policy_learn_answer(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);

/* when the request that is being answered left for the upstream, in ms */
uint64_t ngx_http_graph_policy_sent(ngx_http_request_t *r);

/* drops the answer that was held */
void ngx_http_graph_policy_forget(ngx_http_graph_policy_ctx_t *ctx);

/* shows the tries of all attempts as those of one */
void ngx_http_graph_policy_join_states(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
void ngx_http_graph_policy_log_retry(ngx_http_graph_policy_ctx_t *ctx,
    ngx_uint_t level, const char *what);

/*
 * Answers for Graph out of ctx->view, with "status", or that of the state if
 * it is NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM; the request is finalized.
 */
void ngx_http_graph_policy_reply(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_uint_t status);

/*
 * Response headers that both local answers and the upstream's bear.
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
/* the same for an accepted probe or retry */
ngx_int_t ngx_http_graph_policy_tag_accepted(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * Takes off what the upstream sent under our names, its Retry-After included
 * unless that is to be kept.
 */
void ngx_http_graph_policy_strip(ngx_http_request_t *r,
    ngx_uint_t keep_retry_after);

/*
 * Adds a response header; the name, of "len" bytes, is a literal, and what the
 * value points to outlives the request.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_graph_policy_add_header(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *value);

/* writes a state's id, NGX_HTTP_GRAPH_POLICY_ID_LEN bytes */
u_char *ngx_http_graph_policy_write_id(u_char *p,
    ngx_http_graph_policy_view_t *view);

ngx_int_t ngx_http_graph_policy_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_graph_policy_filter_init(ngx_conf_t *cf);
/* whether no other filter was put before ours, once all are in place */
ngx_uint_t ngx_http_graph_policy_filter_is_first(void);


extern ngx_module_t  ngx_http_graph_policy_module;

#endif /* _NGX_HTTP_GRAPH_POLICY_HTTP_H_INCLUDED_ */
