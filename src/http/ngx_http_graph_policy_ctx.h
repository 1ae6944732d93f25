
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_CTX_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_CTX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"


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


/* An answer's body, as the upstream has sent it, is coded like this. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_CODING_NONE = 0,
    NGX_HTTP_GRAPH_POLICY_CODING_DEFLATE,       /* or gzip */
    NGX_HTTP_GRAPH_POLICY_CODING_OTHER          /* can't be read */
} ngx_http_graph_policy_coding_e;


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


/* of the floor of webhooks, the only one that looks into it */
typedef struct ngx_http_graph_policy_learning_s
    ngx_http_graph_policy_learning_t;


/*
 * One request.  Made at first need, so that an accepted send has none; it
 * outlives internal redirects and is found again by its cleanup.
 */

typedef struct {
    ngx_http_request_t              *request;

    /* whose states count, and the key of fingerprints; never NULL */
    ngx_http_graph_policy_zone_t    *zone;
    ngx_uint_t                       log_level;

    ngx_http_graph_policy_query_t    query;     /* of the zone */
    ngx_http_graph_policy_status_e   status;

    /* leases taken, or states that would have blocked, by status */
    ngx_http_graph_policy_ref_t     *refs;
    ngx_uint_t                       nrefs;
    ngx_event_t                     *renewal;   /* NULL until it's needed */

    /* the body of an error or of a success that proves, as it came */
    ngx_http_graph_policy_coding_e   coding;
    u_char                          *body;
    size_t                           size;
    size_t                           capacity;

    /* the upstream's own callback, while its header is held */
    void                           (*finalize_upstream)(ngx_http_request_t *r,
                                        ngx_int_t rc);

    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  verdict;

    /* the state that a local answer shows; its code and its id as texts */
    ngx_http_graph_policy_view_t    *view;
    ngx_str_t                        code;
    ngx_str_t                        state;

    /* of the message that Graph has accepted, its id's fingerprint, or 0 */
    uint64_t                         message;

    /* seconds of the headers Retry-After and X-Graph-Hold, 0: none */
    time_t                           retry_after;
    time_t                           hold_left;

    /* of the location that has verified it as a webhook, or NULL */
    ngx_array_t                     *verified;

    /* what a webhook teaches, NULL before and after */
    ngx_http_graph_policy_learning_t  *learning;

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
    unsigned                         conversed:1;   /* its body is read */
    unsigned                         receipt:1; /* a message to nobody */
    unsigned                         body_read:1;
    unsigned                         body_awaited:1;
    unsigned                         gated:1;
    unsigned                         holding:1; /* the header */
    unsigned                         proving:1; /* a success is read */
    unsigned                         classified:1;
    unsigned                         counted:1; /* among the first tries */
    unsigned                         parked:1;
    unsigned                         again:1;   /* states to be joined */
    unsigned                         exhausted:1;   /* the app's quota */
    unsigned                         would_retry:1;

    /* what r->error_page of a webhook is to be again, where it's kept */
    unsigned                         error_page:1;
    unsigned                         error_page_kept:1;
} ngx_http_graph_policy_ctx_t;


/*
 * An internal redirect clears the contexts of a request, so ours is found again
 * by its cleanup; NULL if there is none.
 */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_find_ctx(
    ngx_http_request_t *r);

/* the context, or NULL if the request has none yet */

static ngx_inline ngx_http_graph_policy_ctx_t *
ngx_http_graph_policy_get_ctx(ngx_http_request_t *r)
{
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_graph_policy_module);

    return (ctx == NULL && r->internal) ? ngx_http_graph_policy_find_ctx(r)
                                        : ctx;
}

/* the context, made if need be; NULL if there is no memory */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_make_ctx(
    ngx_http_request_t *r, ngx_http_graph_policy_loc_conf_t *glcf);

/* whether what the policy would do here is only shown */
ngx_uint_t ngx_http_graph_policy_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/* The upstream has a cleanup only while it is answering itself. */
#define ngx_http_graph_policy_is_answering(r)                                 \
    ((r)->upstream != NULL && (r)->upstream->cleanup != NULL && !(r)->cached)

/*
 * The status of the upstream's answer, whatever an error_page makes of it;
 * of nginx's own where the upstream isn't answering.
 */

static ngx_inline ngx_uint_t
ngx_http_graph_policy_answer_status(ngx_http_request_t *r)
{
    return (ngx_http_graph_policy_is_answering(r)
            && r->upstream->headers_in.status_n != 0)
           ? r->upstream->headers_in.status_n : r->headers_out.status;
}


/* what users are told of the request */
ngx_http_graph_policy_status_e ngx_http_graph_policy_status_of(
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_CTX_H_INCLUDED_ */
