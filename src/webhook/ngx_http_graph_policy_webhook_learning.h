
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_WEBHOOK_LEARNING_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_WEBHOOK_LEARNING_H_INCLUDED_


/* private to this floor: how far a payload has been learnt from */


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


/*
 * It belongs to the request's pool, the tree that it walks to the memory that
 * the pool's cleanup frees.
 */

struct ngx_http_graph_policy_learning_s {
    ngx_http_graph_policy_ctx_t             *ctx;
    ngx_http_graph_policy_loc_conf_t        *glcf;
    ngx_http_graph_policy_trust_t            trust;
    ngx_http_graph_policy_payload_t          payload;
    ngx_http_graph_policy_webhook_result_t   result;
    u_char                                  *memory;    /* of the tree */

    /* where the walk is; change is NULL at its end, error between two items */
    ngx_http_graph_policy_entry_t           *entry;
    ngx_http_graph_policy_change_t          *change;
    ngx_http_graph_policy_item_t            *item;
    ngx_http_graph_policy_contact_t         *contact;
    ngx_http_graph_policy_wh_error_t        *error;
    ngx_uint_t                               room;      /* in this slice */
    ngx_uint_t                               marked;    /* phones, by events */

    /* of the open change */
    ngx_http_graph_policy_identity_t         identity;  /* account, phone */
    uint64_t                                 now;
    time_t                                   time;      /* entry's, or 0 */
    time_t                                   oldest;    /* of who wrote, or 0 */
    unsigned                                 opened:1;
    unsigned                                 trusted:1;

    /* all is learnt, and whether receiving is paused is asked */
    unsigned                                 learnt:1;

    /* of one call; the last member, as it is large and isn't zeroed */
    ngx_http_graph_policy_changes_t          changes;
};


/* to the first change of the payload, and to the one behind the open one */
void ngx_http_graph_policy_learning_rewind(
    ngx_http_graph_policy_learning_t *learning);
void ngx_http_graph_policy_learning_next(
    ngx_http_graph_policy_learning_t *learning);

/* what the open change says, as an account_update */
void ngx_http_graph_policy_learn_account(
    ngx_http_graph_policy_learning_t *learning);

/*
 * A failure of "time" in seconds, at the learning's identity, sets a state if
 * it is of a kind that does, and recent; or the cause of a state at "kind" is
 * gone, as the entry of the open change says.
 */
void ngx_http_graph_policy_learn_failure(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, time_t time);
void ngx_http_graph_policy_learn_resolved(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_key_e kind, ngx_http_graph_policy_reason_e reason);

/* an error is one of those that are told to the application */
void ngx_http_graph_policy_note_error(
    ngx_http_graph_policy_webhook_result_t *result,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict);

/* whether an event of that second says something of the present */
ngx_uint_t ngx_http_graph_policy_is_recent(time_t time, uint64_t now);
/* its milliseconds */
uint64_t ngx_http_graph_policy_cause_time(time_t time, uint64_t now);


#endif /* _NGX_HTTP_GRAPH_POLICY_WEBHOOK_LEARNING_H_INCLUDED_ */
