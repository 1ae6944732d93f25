
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_LEARN_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_LEARN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * A failure to be learnt.  "sent" is when what failed left; of an event that
 * Meta reports in seconds, the start of the second in which it happened.
 */

typedef struct {
    ngx_http_graph_policy_verdict_t *verdict;
    ngx_http_graph_policy_facts_t   *facts;
    ngx_http_graph_policy_source_e   source;
    uint64_t                         sent;
    uint64_t                         now;
    ngx_uint_t                       status;
    uint64_t                         credential;    /* whose answer it is */
    uint32_t                         lease;     /* the request's, or 0 */
    uint32_t                         hold;      /* temporary: the wait */
    uint32_t                         max;
    uint32_t                         confirm;
} ngx_http_graph_policy_failure_t;


/*
 * What came of a request that holds leases, or that states would have blocked.
 * "message" is the fingerprint of the id that Graph gave an accepted message,
 * 0 if it is unknown.
 */

typedef struct {
    ngx_http_graph_policy_proof_e    proof;
    ngx_http_graph_policy_verdict_t *verdict;   /* of PROOF_ERROR, else NULL */
    ngx_http_graph_policy_facts_t   *facts;     /* likewise */
    ngx_http_graph_policy_identity_t  *id;
    uint64_t                         message;
    uint64_t                         sent;      /* not needed to settle */
    uint64_t                         now;
    ngx_uint_t                       status;
} ngx_http_graph_policy_answer_t;

/*
 * Learns a failure: a fatal or temporary one, or a context-limited one of a
 * conversation.  view->transition says what came of it, NOTHING included.
 * Returns NGX_DECLINED if it sets no state (whom it would cover is unknown),
 * NGX_ERROR if there is no memory for it; the state is then lost.  "view" is
 * filled for NGX_OK alone: what is told of it is in "changes".
 */
ngx_int_t ngx_http_graph_policy_zone_learn(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);

/*
 * Settles the lease of one state by what the answer means to it.  A state that
 * a webhook has set isn't cleared by an accepted message yet where webhooks are
 * received: its lease waits for a status of that message.
 */
void ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Ends one state without lease, likewise, if it was set before answer->sent and
 * the answer proves that it is over.
 */
void ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_changes_t *changes);

/*
 * A webhook tells a status of the message with the fingerprint "message", of
 * the phone and account of "id": "failure" if it has failed, NULL if it was
 * sent, delivered or read.  Nothing changes where nobody waits for it.
 */
void ngx_http_graph_policy_zone_confirm(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t message,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * The phone was registered anew: its next message send is the probe.  What is
 * due is told when it is probed.
 */
void ngx_http_graph_policy_zone_make_due(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now);

/*
 * A signed event says that the cause of "reason" is gone, for everyone, at
 * "kind" of "id"; it happened at "when".  It is remembered, so that an older
 * event doesn't bring the state back.
 */
void ngx_http_graph_policy_zone_resolve(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * The customer of id->conversation wrote at "when", which ends its limit and
 * is remembered.
 */
void ngx_http_graph_policy_zone_inbound(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Learns that the phone of "id" belongs to its account, and has its number,
 * where "id" has one.  LINK_OTHER: it is known to belong to another one, which
 * is then in "other" (in its data of NGX_HTTP_GRAPH_POLICY_KEY_LEN bytes),
 * unless "other" is NULL, which moves it.  LINK_TOO_MANY: the account has far
 * too many phones already.  LINK_NO_ROOM: no memory.
 */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_LINK_KNOWN = 0,
    NGX_HTTP_GRAPH_POLICY_LINK_OTHER,
    NGX_HTTP_GRAPH_POLICY_LINK_TOO_MANY,
    NGX_HTTP_GRAPH_POLICY_LINK_NO_ROOM
} ngx_http_graph_policy_link_e;

ngx_http_graph_policy_link_e ngx_http_graph_policy_zone_link(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_str_t *other, uint64_t now, ngx_http_graph_policy_changes_t *changes);

/*
 * Fills in the account of the phone of "id" if that is known and the account
 * isn't; a word is read without the lock where no phone is known.
 */
void ngx_http_graph_policy_zone_account(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id);

/*
 * The phones that are known of an account, one a call: the one behind "phone",
 * which has room for NGX_HTTP_GRAPH_POLICY_PHONE_LEN bytes; empty at first.
 * NGX_DONE at the end.
 */
ngx_int_t ngx_http_graph_policy_zone_next_phone(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account, ngx_str_t *phone);

/*
 * The phone of the account of "id" that has its number, in "phone" as above.
 * NGX_DECLINED: none is known.
 */
ngx_int_t ngx_http_graph_policy_zone_numbered(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_str_t *phone);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_LEARN_H_INCLUDED_ */
