
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
 * A state covers all sends with this in common.  An account's covers the one
 * phone that got it while the account is unknown; a bound one only the
 * credential that got it.
 * Values are stored in shared memory.
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


/* A state is set by one of these; values are stored in shared memory. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER = 0,    /* to a send */
    NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK,
    NGX_HTTP_GRAPH_POLICY_SOURCE_API,
    NGX_HTTP_GRAPH_POLICY_NSOURCES
} ngx_http_graph_policy_source_e;


/* The answer to a send proves as much; more with each value. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_PROOF_LEFT = 0,   /* the client left before the
                                               upstream was asked */
    NGX_HTTP_GRAPH_POLICY_PROOF_NONE,       /* torn, timeout, no upstream */
    NGX_HTTP_GRAPH_POLICY_PROOF_NOTHING,    /* 2xx: text, "error", unread */
    NGX_HTTP_GRAPH_POLICY_PROOF_ERROR,      /* it is in the verdict */
    NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL, /* 2xx: the token works */
    NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED    /* 2xx: a message was accepted */
} ngx_http_graph_policy_proof_e;


/* A state is asked what an answer means to it. */

typedef struct {
    ngx_http_graph_policy_key_e      kind;
    unsigned                         same:1;    /* the error sets this state,
                                                   of all */
    unsigned                         fatal:1;
    unsigned                         confirmed:1;   /* what a probe of it has
                                                   sent may fail later, and a
                                                   status will tell */
} ngx_http_graph_policy_probed_t;


/* A request got an error; all zero: it isn't a send. */

typedef struct {
    unsigned                         send:1;
    unsigned                         message:1;     /* a message send */
    unsigned                         messages:1;    /* to "messages" */
} ngx_http_graph_policy_asked_t;


/* A location and its zone have these holds, in milliseconds. */

typedef struct {
    ngx_msec_t                       hold;          /* for fatal states */
    ngx_msec_t                       hold_max;
    ngx_msec_t                       confirm;
    ngx_msec_t                       conversation_hold; /* the longest of the
                                                       zone, 0: no gate */
    unsigned                         cooldown:1;
} ngx_http_graph_policy_limits_t;


/* Each bit says that this is known of the request or event. */

typedef struct {
    unsigned                         credential:1;
    unsigned                         account:1;
    unsigned                         phone:1;
    unsigned                         recipient:1;
} ngx_http_graph_policy_known_t;


/* The state of an error lasts as long, in milliseconds. */

typedef struct {
    uint32_t                         hold;      /* temporary: the wait */
    uint32_t                         max;       /* it grows up to this */
    uint32_t                         confirm;
} ngx_http_graph_policy_outcome_t;


/* The state of an error covers whatever has this key. */

typedef struct {
    ngx_http_graph_policy_key_e      kind;
    ngx_uint_t                       bound;     /* to the credential, too */
} ngx_http_graph_policy_covered_t;


/*
 * Says whether an error sets a state (1, else 0) and for how long.  Answers,
 * webhooks and the API's "explain" ask this one function.  A fatal or temporary
 * error sets a state that is probed, a context-limited one limits its
 * conversation; any other error, and any of scope "request", sets nothing.
 * "hint" is the wait that the answer's headers ask for, 0 if they ask for none.
 */
ngx_uint_t ngx_http_graph_policy_outcome(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source, ngx_msec_t hint,
    ngx_http_graph_policy_limits_t *limits,
    ngx_http_graph_policy_outcome_t *outcome);

/* Says whether it sets its state as the answer to such a request. */
ngx_uint_t ngx_http_graph_policy_outcome_of_request(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_asked_t *asked);

/*
 * Says whom the state covers.  NGX_DECLINED: it sets none, as that is unknown,
 * or as the answer is to a request without credential, which mustn't change a
 * state.  KEY_LIMITED stands for a limit of the conversation.
 */
ngx_int_t ngx_http_graph_policy_outcome_covered(
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_source_e source,
    ngx_http_graph_policy_known_t *known,
    ngx_http_graph_policy_covered_t *covered);

/*
 * Says what an answer that proves "proof" means to a state which its request
 * has probed; the verdict is that of PROOF_ERROR, else NULL.
 */
ngx_http_graph_policy_probe_outcome_e ngx_http_graph_policy_outcome_of_probe(
    ngx_http_graph_policy_proof_e proof,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_probed_t *probed);

/*
 * Says what a status of the message that is to confirm a state means to it; the
 * verdict is NULL where it was sent, delivered or read.
 */
ngx_http_graph_policy_probe_outcome_e ngx_http_graph_policy_outcome_of_status(
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t reason);

/*
 * Says under which terms a state may be probed.  "setter" is the credential
 * whose answer has set it for everyone, or 0.
 */
static ngx_inline void
ngx_http_graph_policy_outcome_terms(ngx_uint_t category, ngx_uint_t kind,
    uint64_t setter, ngx_http_graph_policy_terms_t *terms)
{
    ngx_uint_t  fatal;

    fatal = (category == NGX_HTTP_GRAPH_POLICY_FATAL);

    /* an accepted upload says nothing of an account or a phone */

    terms->needs_message = (kind != NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL);

    /* after a wait of Graph's one goes out alone */

    terms->setter = fatal ? setter : 0;
    terms->lenient = !fatal;
}


#endif /* _NGX_HTTP_GRAPH_POLICY_OUTCOME_H_INCLUDED_ */
