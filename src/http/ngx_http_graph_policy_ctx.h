
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


/* The decision of the gate, and the retries that followed. */

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
    NGX_HTTP_GRAPH_POLICY_CODING_DEFLATE,       /* deflate, gzip */
    NGX_HTTP_GRAPH_POLICY_CODING_OTHER          /* can't be read */
} ngx_http_graph_policy_coding_e;


/*
 * The state of a request before its content phase, to which it is rewound for a
 * retry.
 */

typedef struct {
    ngx_http_headers_out_t           headers_out;
    ngx_uint_t                       nheaders;  /* in the list's last part */
    ngx_uint_t                       ntrailers;
    ngx_table_elt_t                **links;     /* "next" of the headers */
    ngx_uint_t                       err_status;
    size_t                           limit_rate;
    size_t                           limit_rate_after;
    unsigned                         limit_rate_set:1;
    unsigned                         limit_rate_after_set:1;
    unsigned                         keepalive:1;
} ngx_http_graph_policy_snapshot_t;


/* It is defined in src/webhook; other code only has the pointer. */
typedef struct ngx_http_graph_policy_learning_s
    ngx_http_graph_policy_learning_t;


/*
 * The context of a request.  It is made when it is needed, so that a send which
 * is accepted usually has none.  It outlives internal redirects, after which it
 * is found again by its cleanup.
 */

typedef struct {
    ngx_http_request_t              *request;

    /* the zone of the location in force; never NULL */
    ngx_http_graph_policy_zone_t    *zone;
    ngx_uint_t                       log_level;

    /* when it was made, by ngx_current_msec, which nobody sets back or on */
    ngx_msec_t                       made;

    ngx_http_graph_policy_query_t    query;     /* for the zone */
    ngx_http_graph_policy_status_e   status;

    /* the leases of a PROBE; else states that let the request pass */
    ngx_http_graph_policy_ref_t     *refs;
    ngx_uint_t                       nrefs;
    ngx_event_t                     *renewal;   /* NULL until it's needed */

    /* a copy of the answer's body, as it came, if it has to be read */
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

    /* of the answer that is sent when a body has been dropped */
    ngx_uint_t                       answer_status;

    /* fingerprint of the id of the message that Graph has accepted, or 0 */
    uint64_t                         message;

    /* seconds, for the headers Retry-After and X-Graph-Hold; 0: none */
    time_t                           retry_after;
    time_t                           hold_left;

    /* secrets of the location that has verified it as a webhook, or NULL */
    ngx_array_t                     *verified;

    /* the walk over a webhook's payload; NULL before and after it */
    ngx_http_graph_policy_learning_t  *learning;

    /* set if retries are on; attempts is 1 otherwise */
    ngx_http_graph_policy_snapshot_t  *snapshot;
    ngx_event_t                     *parking;
    ngx_uint_t                       attempts;
    ngx_uint_t                       unknown;   /* uncertain attempts */
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

    /* the saved r->error_page of a webhook, valid if error_page_kept */
    unsigned                         error_page:1;
    unsigned                         error_page_kept:1;
} ngx_http_graph_policy_ctx_t;


/*
 * An internal redirect clears the contexts of a request, so ours is found again
 * by its cleanup; NULL if there is none.
 */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_find_ctx(
    ngx_http_request_t *r);

/* Returns the context, NULL if the request has none yet. */

static ngx_inline ngx_http_graph_policy_ctx_t *
ngx_http_graph_policy_get_ctx(ngx_http_request_t *r)
{
    ngx_http_graph_policy_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_graph_policy_module);

    return (ctx == NULL && r->internal) ? ngx_http_graph_policy_find_ctx(r)
                                        : ctx;
}

/* Returns the context, which it makes if needed; NULL if there is no memory. */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_make_ctx(
    ngx_http_request_t *r, ngx_http_graph_policy_loc_conf_t *glcf);

/* Returns 1 if the request is in dry run, so that nothing is blocked. */
ngx_uint_t ngx_http_graph_policy_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/* The upstream has a cleanup only while it is answering itself. */
#define ngx_http_graph_policy_is_answering(r)                                 \
    ((r)->upstream != NULL && (r)->upstream->cleanup != NULL && !(r)->cached)

/*
 * Returns the status of the upstream's answer, even if an error_page replaces
 * it; if nginx itself answers, the status of that answer.
 */

static ngx_inline ngx_uint_t
ngx_http_graph_policy_answer_status(ngx_http_request_t *r)
{
    return (ngx_http_graph_policy_is_answering(r)
            && r->upstream->headers_in.status_n != 0)
           ? r->upstream->headers_in.status_n : r->headers_out.status;
}


/* Returns the status that users are shown; "ctx" may be NULL. */
ngx_http_graph_policy_status_e ngx_http_graph_policy_status_of(
    ngx_http_graph_policy_ctx_t *ctx);


#endif /* _NGX_HTTP_GRAPH_POLICY_CTX_H_INCLUDED_ */
