
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_LEARN_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_LEARN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * A failure to be learnt.  "sent" is the time, in milliseconds, when the failed
 * request was sent.  Meta reports events in seconds; for an event, "sent" is
 * the start of its second.
 */

typedef struct {
    ngx_http_graph_policy_verdict_t *verdict;
    ngx_http_graph_policy_facts_t   *facts;
    ngx_http_graph_policy_source_e   source;
    uint64_t                         sent;
    uint64_t                         now;
    ngx_uint_t                       status;
    uint64_t                         credential;    /* the request's, or 0 */
    uint32_t                         lease;     /* the request's, or 0 */
    uint32_t                         hold;      /* temporary: the wait */
    uint32_t                         max;
    uint32_t                         confirm;
} ngx_http_graph_policy_failure_t;


/*
 * The end of a request that holds leases, or that states would have blocked if
 * they weren't in dry run.  "message" is the fingerprint of the id that Graph
 * gave an accepted message, 0 if it is unknown.
 */

typedef struct {
    ngx_http_graph_policy_proof_e    proof;
    ngx_http_graph_policy_verdict_t *verdict;   /* NULL: no error */
    ngx_http_graph_policy_facts_t   *facts;     /* NULL: no error */
    ngx_http_graph_policy_identity_t  *id;
    uint64_t                         message;
    uint64_t                         sent;      /* not needed to settle */
    uint64_t                         now;
    ngx_uint_t                       status;
} ngx_http_graph_policy_answer_t;

/*
 * Learns a failure: a fatal or temporary one, or a context-limited one of a
 * conversation.  Returns NGX_OK with the state in "view"; view->transition is
 * what the failure did to it, which may be NOTHING.  Returns NGX_DECLINED if it
 * sets no state because the identity that it would cover is unknown, NGX_ERROR
 * if there is no memory for the state, which is then lost.  "view" is filled
 * for NGX_OK alone.  The zone's teller logs "changes" before this returns.
 */
ngx_int_t ngx_http_graph_policy_zone_learn(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);

/*
 * Settles the lease of one state by the answer to its probe.  If the zone
 * receives webhooks, an accepted message doesn't clear a state that a webhook
 * has set: the lease then waits for a status of that message.
 */
void ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Ends one state without a lease, if it was set before answer->sent and the
 * answer proves that it is over.
 */
void ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_answer_t *answer,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Learns the status of the message with the fingerprint "message", which the
 * phone of "id" has sent, from a webhook: "failure" is NULL if it was sent,
 * delivered or read.  Nothing changes unless a state waits for this message.
 */
void ngx_http_graph_policy_zone_confirm(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t message,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Ends the states whose wait for a status is over.  Returns when the first wait
 * of those that are left will be, in milliseconds, or NEVER.
 */
uint64_t ngx_http_graph_policy_zone_sweep(ngx_http_graph_policy_zone_t *zone,
    uint64_t now, ngx_http_graph_policy_changes_t *changes);

/*
 * Makes the states of a phone due that was registered anew, so that its next
 * message is the probe.  Nothing is logged before the probe is sent.
 */
void ngx_http_graph_policy_zone_make_due(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now);

/*
 * Ends the state of "reason" at "kind" of "id" for everyone, as a signed event
 * says that its cause was gone at "when", in milliseconds.  The end is
 * remembered, so that an older event doesn't bring the state back.
 */
void ngx_http_graph_policy_zone_resolve(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Ends the limit of id->conversation, as its customer wrote at "when", in
 * milliseconds; the time is remembered.
 */
void ngx_http_graph_policy_zone_inbound(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);

/*
 * Learns that the phone of "id" belongs to the account of "id" and, if "id" has
 * a number, has that number; an old event takes no number from anybody, and
 * id->number is then 0.  Returns LINK_KNOWN; LINK_OTHER if the phone is
 * known to belong to another account, which is copied to "other", whose data is
 * the caller's KEY_LEN bytes; if "other" is NULL, the phone moves to the new
 * account instead.  LINK_TOO_MANY: the account has far too many phones already.
 * LINK_NO_ROOM: there is no memory for another link.
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
 * Fills in the account of "id" if "id" has none and the account of its phone is
 * known.  The mutex isn't taken while the zone knows no phones.
 */
void ngx_http_graph_policy_zone_account(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id);

/*
 * Lists the known phones of an account, one a call: replaces "phone" by the one
 * behind it and returns NGX_OK, or NGX_DONE at the end.  "phone" is empty at
 * first; its data is the caller's PHONE_LEN bytes.
 */
ngx_int_t ngx_http_graph_policy_zone_next_phone(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account, ngx_str_t *phone);

/*
 * Finds the phone of the account of "id" that has the number of "id", and
 * copies it to "phone", whose data is the caller's PHONE_LEN bytes.  Returns
 * NGX_OK, or NGX_DECLINED if none is known.
 */
ngx_int_t ngx_http_graph_policy_zone_numbered(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_str_t *phone);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_LEARN_H_INCLUDED_ */
