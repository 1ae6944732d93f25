
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_OUTCOME_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_OUTCOME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_rules.h"


/*
 * A state covers all sends that share this key.  ACCOUNT_PHONE is used for an
 * account that is unknown: the state covers the phone that got the error.  A
 * bound state covers only sends of its credential.  Values are stored in shared
 * memory.
 */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL = 0,
    NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT,
    NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE,
    NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
    NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_NKEYS,

    /* a context-limited conversation: a record without breaker or probe */
    NGX_HTTP_GRAPH_POLICY_KEY_LIMITED = NGX_HTTP_GRAPH_POLICY_NKEYS
} ngx_http_graph_policy_key_e;


/* The source that set a state; values are stored in shared memory. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER = 0,    /* answer to a send */
    NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK,
    NGX_HTTP_GRAPH_POLICY_SOURCE_API,
    NGX_HTTP_GRAPH_POLICY_NSOURCES
} ngx_http_graph_policy_source_e;


/* The proof that an answer to a send is; each value proves more. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_PROOF_LEFT = 0,   /* the client left before the
                                               upstream was asked */
    NGX_HTTP_GRAPH_POLICY_PROOF_NONE,       /* torn, timeout, no upstream */
    NGX_HTTP_GRAPH_POLICY_PROOF_NOTHING,    /* 2xx: text, "error", unread */
    NGX_HTTP_GRAPH_POLICY_PROOF_ERROR,      /* an error, see verdict */
    NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL, /* 2xx: the token works */
    NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED    /* 2xx: a message was accepted */
} ngx_http_graph_policy_proof_e;


/* A state that a request has probed. */

typedef struct {
    ngx_http_graph_policy_key_e      kind;
    unsigned                         same:1;    /* the error sets this very
                                                   state */
    unsigned                         fatal:1;
    unsigned                         confirmed:1;   /* an accepted message may
                                                   still fail, and a status
                                                   will report it */
} ngx_http_graph_policy_probed_t;


/* The request that got an error; all zero if it isn't a send. */

typedef struct {
    unsigned                         send:1;
    unsigned                         message:1;     /* a message send */
    unsigned                         messages:1;    /* to "messages" */
} ngx_http_graph_policy_asked_t;


/* The holds of a location and its zone, in milliseconds. */

typedef struct {
    ngx_msec_t                       hold;          /* for fatal states */
    ngx_msec_t                       hold_max;
    ngx_msec_t                       confirm;
    ngx_msec_t                       conversation_hold; /* the longest of the
                                                       zone, 0: no gate */
    unsigned                         cooldown:1;
} ngx_http_graph_policy_limits_t;


/* A bit is set if that part of the request's or event's identity is known. */

typedef struct {
    unsigned                         credential:1;
    unsigned                         account:1;
    unsigned                         phone:1;
    unsigned                         recipient:1;
} ngx_http_graph_policy_known_t;


/* The times of the state that an error sets, in milliseconds. */

typedef struct {
    uint32_t                         hold;      /* temporary: the wait */
    uint32_t                         max;       /* it grows up to this */
    uint32_t                         confirm;
} ngx_http_graph_policy_outcome_t;


/* The key of the state that an error sets. */

typedef struct {
    ngx_http_graph_policy_key_e      kind;
    ngx_uint_t                       bound;     /* to the credential, too */
} ngx_http_graph_policy_covered_t;


/*
 * Returns 1 if an error sets a state, else 0, and fills in its times.  Answers,
 * webhooks and the API's "explain" all use this function.  A fatal or temporary
 * error sets a state that is probed, a context-limited one limits its
 * conversation; other errors, and all of scope "request", set nothing.  "hint"
 * is the wait that the answer's headers ask for, 0 if they ask for none.
 */
ngx_uint_t ngx_http_graph_policy_outcome(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source, ngx_msec_t hint,
    ngx_http_graph_policy_limits_t *limits,
    ngx_http_graph_policy_outcome_t *outcome);

/* Returns 1 if the error sets its state as the answer to such a request. */
ngx_uint_t ngx_http_graph_policy_outcome_of_request(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_asked_t *asked);

/*
 * Fills in the key of the state that an error sets; KEY_LIMITED stands for a
 * limit of the conversation.  Returns NGX_OK, or NGX_DECLINED if the error sets
 * no state: that part of the identity is unknown, or the request had no
 * credential and must not change a state.
 */
ngx_int_t ngx_http_graph_policy_outcome_covered(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_known_t *known,
    ngx_http_graph_policy_covered_t *covered);

/*
 * Returns the outcome of a probe for one state.  "verdict" is the answer's for
 * PROOF_ERROR, else NULL.
 */
ngx_http_graph_policy_probe_outcome_e ngx_http_graph_policy_outcome_of_probe(
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_probed_t *probed);

/*
 * Returns the outcome of a status of the message that a state waits for.
 * "verdict" is NULL if the message was sent, delivered or read.
 */
ngx_http_graph_policy_probe_outcome_e ngx_http_graph_policy_outcome_of_status(
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t reason);

/*
 * Fills in the terms under which a state may be probed.  "setter" is the
 * credential whose answer has set it for everyone, or 0.
 */
static ngx_inline void
ngx_http_graph_policy_outcome_terms(ngx_uint_t category, ngx_uint_t kind,
    uint64_t setter, ngx_http_graph_policy_terms_t *terms)
{
    ngx_uint_t  fatal;

    fatal = (category == NGX_HTTP_GRAPH_POLICY_FATAL);

    /* An accepted upload doesn't prove that the account or phone may send. */

    terms->needs_message = (kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL);

    /*
     * After Graph's wait a temporary state is probed by one request alone, so
     * its setter has no second lease.
     */

    terms->setter = fatal ? setter : 0;
    terms->lenient = !fatal;
}


#endif /* _NGX_HTTP_GRAPH_POLICY_OUTCOME_H_INCLUDED_ */
