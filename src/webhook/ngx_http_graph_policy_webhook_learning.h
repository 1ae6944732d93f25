
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_WEBHOOK_LEARNING_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_WEBHOOK_LEARNING_H_INCLUDED_


/* This header is private to src/webhook: the state of one walk. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


/*
 * The state of one walk over a payload.  It lies in memory of its own, along
 * with the tree that it walks; the cleanup of the request's pool frees both.
 */

struct ngx_http_graph_policy_learning_s {
    ngx_http_graph_policy_ctx_t             *ctx;
    ngx_http_graph_policy_loc_conf_t        *glcf;
    ngx_http_graph_policy_trust_t            trust;
    ngx_http_graph_policy_payload_t          payload;

    /* while the payload is read; then NULL */
    ngx_http_graph_policy_payload_reader_t  *reader;
    u_char                                  *body;      /* a copy, or NULL */

    /* the last call's, by the request of this slice */
    ngx_http_graph_policy_changes_t         *changes;

    /*
     * The place of the walk.  "change" is NULL at its end; "error" is NULL
     * before an item has been learnt.
     */
    ngx_http_graph_policy_entry_t           *entry;
    ngx_http_graph_policy_change_t          *change;
    ngx_http_graph_policy_item_t            *item;
    ngx_http_graph_policy_contact_t         *contact;
    ngx_http_graph_policy_wh_error_t        *error;
    ngx_uint_t                               room;      /* in this slice */
    ngx_uint_t                               marked;    /* phones, by events */

    /* The members below are about the open change. */
    uint64_t                                 now;
    time_t                                   time;      /* entry's, or 0 */
    time_t                                   oldest;    /* inbound, or 0 */
    unsigned                                 opened:1;
    unsigned                                 trusted:1;

    /* All is learnt; the second walk checks if receiving is paused. */
    unsigned                                 learnt:1;

    unsigned                                 waited:1;  /* for a slice */

    /*
     * The members below are large and aren't zeroed.  The identity, an account
     * and a phone, is the open change's.
     */
    ngx_http_graph_policy_identity_t         identity;
    ngx_http_graph_policy_webhook_result_t   result;
};


/* Move to the first change of the payload, and to the next one. */
void ngx_http_graph_policy_learning_rewind(
    ngx_http_graph_policy_learning_t *learning);
void ngx_http_graph_policy_learning_next(
    ngx_http_graph_policy_learning_t *learning);

/* Learns from the open change, which is an account_update. */
void ngx_http_graph_policy_learn_account(
    ngx_http_graph_policy_learning_t *learning);

/*
 * Returns 1 if the verdict is of a kind that sets a state and "time", in
 * seconds, is recent; then "failure" is filled in, and refers to the facts and
 * the verdict.
 */
ngx_uint_t ngx_http_graph_policy_is_failure(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, time_t time,
    ngx_http_graph_policy_failure_t *failure);

/*
 * learn_failure() sets a state at learning->identity.  learn_resolved() ends
 * the state at "kind" of the identity, if it was set before learning->time.
 */
void ngx_http_graph_policy_learn_failure(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_failure_t *failure);
void ngx_http_graph_policy_learn_resolved(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_key_e kind, ngx_http_graph_policy_reason_e reason);

/* A status tells what became of a message that may be the probe of a state. */
void ngx_http_graph_policy_learn_status(
    ngx_http_graph_policy_learning_t *learning);

/*
 * Fills in what an error says, NULL if a failure has none, and what that means
 * by the rules of the location.
 */
void ngx_http_graph_policy_decide(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_wh_error_t *error,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict);

/* Counts "n" equal errors, and keeps the first if it is the gravest so far. */
void ngx_http_graph_policy_note_error(
    ngx_http_graph_policy_webhook_result_t *result,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t n);

/* Returns 1 if an event of that second is within FRESH of "now". */
ngx_uint_t ngx_http_graph_policy_is_recent(time_t time, uint64_t now);
/* The event's time in milliseconds, which isn't later than "now". */
uint64_t ngx_http_graph_policy_cause_time(time_t time, uint64_t now);


#endif /* _NGX_HTTP_GRAPH_POLICY_WEBHOOK_LEARNING_H_INCLUDED_ */
