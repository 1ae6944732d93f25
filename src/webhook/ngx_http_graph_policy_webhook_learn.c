
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What a verified payload teaches: errors, where they hold, which phones an
 * account has, who wrote, and what became of an account.
 *
 * Each event bears its own time.  One without a time, or that isn't of these
 * minutes, changes no state: it may be a replay.
 *
 * Lock rule: none of its own, the zone is told of one thing at a time.
 * Memory: the payload is the caller's; recipients become fingerprints here.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_classify.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_learn.h"


/*
 * Phones that the account events of one payload can mark, far more than Meta's
 * have: as many events as fit into one, times all phones, would take minutes.
 */
#define NGX_HTTP_GRAPH_POLICY_MARKED  10000


/* what all that a change says is learnt with */

typedef struct {
    ngx_http_graph_policy_ctx_t             *ctx;
    ngx_http_graph_policy_loc_conf_t        *glcf;
    ngx_http_graph_policy_webhook_result_t  *result;
    ngx_http_graph_policy_identity_t         identity;    /* account, phone */
    uint64_t                                 now;
    time_t                                   time;        /* entry's, or 0 */
    ngx_uint_t                               trusted;
    ngx_uint_t                               marked;      /* by events */
    ngx_http_graph_policy_changes_t          changes;
} ngx_http_graph_policy_learning_t;


static void ngx_http_graph_policy_learn_change(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_trust_t *trust,
    ngx_http_graph_policy_entry_t *entry,
    ngx_http_graph_policy_change_t *change);
static ngx_uint_t ngx_http_graph_policy_learn_link(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_trust_t *trust,
    time_t time);
static void ngx_http_graph_policy_learn_items(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_change_t *change);
static void ngx_http_graph_policy_learn_inbound(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_item_t *item,
    time_t time);
static void ngx_http_graph_policy_learn_error(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_item_t *item,
    ngx_http_graph_policy_wh_error_t *error, ngx_uint_t learns);
static void ngx_http_graph_policy_learn_account(
    ngx_http_graph_policy_learning_t *learning, ngx_uint_t event);
static void ngx_http_graph_policy_learn_phones(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason);
static void ngx_http_graph_policy_learn_failure(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, time_t time);
static void ngx_http_graph_policy_learn_resolved(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason);
static void ngx_http_graph_policy_note_error(
    ngx_http_graph_policy_webhook_result_t *result,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict);
static ngx_uint_t ngx_http_graph_policy_is_recent(time_t time, uint64_t now);
static uint64_t ngx_http_graph_policy_cause_time(time_t time, uint64_t now);


void
ngx_http_graph_policy_webhook_learn(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_http_graph_policy_trust_t *trust,
    ngx_http_graph_policy_payload_t *payload,
    ngx_http_graph_policy_webhook_result_t *result)
{
    ngx_http_graph_policy_entry_t     *entry;
    ngx_http_graph_policy_learning_t   learning;
    ngx_http_graph_policy_change_t    *change;

    result->errors = 0;
    result->nset = 0;

    learning.ctx = ctx;
    learning.glcf = glcf;
    learning.result = result;
    learning.marked = 0;
    learning.now = ngx_http_graph_policy_now();

    ngx_http_graph_policy_changes_of(&learning.changes, ctx->request,
                                     ctx->log_level);

    for (entry = payload->entries; entry != NULL; entry = entry->next) {

        for (change = entry->changes; change != NULL; change = change->next) {
            ngx_http_graph_policy_learn_change(&learning, trust, entry, change);
        }
    }
}


static void
ngx_http_graph_policy_learn_change(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_trust_t *trust,
    ngx_http_graph_policy_entry_t *entry,
    ngx_http_graph_policy_change_t *change)
{
    ngx_http_graph_policy_identity_t  *id;

    id = &learning->identity;

    ngx_memzero(id, sizeof(ngx_http_graph_policy_identity_t));

    /* the entry of PARTNER_* is the partner's own business */

    id->account = change->partner ? change->account : entry->account;
    id->phone = change->phone;

    learning->time = entry->time;
    learning->trusted = ngx_http_graph_policy_is_trusted(trust, &id->account);

    if (!learning->trusted) {
        ngx_http_graph_policy_zone_count_webhook(learning->ctx->zone,
                                       NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN);
    }

    if (change->field == NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT) {
        ngx_http_graph_policy_learn_account(learning, change->event);
        return;
    }

    if (learning->trusted
        && change->field == NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES)
    {
        learning->trusted = ngx_http_graph_policy_learn_link(learning, trust,
                                  (change->time != 0) ? change->time
                                                      : entry->time);
    }

    ngx_http_graph_policy_learn_items(learning, change);
}


/*
 * Of several customers each signs with a secret of its own: none may speak for
 * a phone that is another's.
 */

static ngx_uint_t
ngx_http_graph_policy_learn_link(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_trust_t *trust, time_t time)
{
    u_char                            data[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
    ngx_http_graph_policy_link_e          rc;
    ngx_str_t                         other;
    ngx_http_graph_policy_identity_t  *id;

    id = &learning->identity;

    if (id->account.len == 0 || id->phone.len == 0) {
        return 1;
    }

    other.data = data;

    rc = ngx_http_graph_policy_zone_link(learning->ctx->zone, id, &other,
                                         learning->now, &learning->changes);

    if (rc == NGX_HTTP_GRAPH_POLICY_LINK_OTHER) {

        if (!ngx_http_graph_policy_is_trusted(trust, &other)) {
            ngx_http_graph_policy_zone_count_webhook(learning->ctx->zone,
                                       NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN);
            return 0;
        }

        /* where the phone was when an old event happened says nothing */

        if (!ngx_http_graph_policy_is_recent(time, learning->now)) {
            return 1;
        }

        rc = ngx_http_graph_policy_zone_link(learning->ctx->zone, id, NULL,
                                             learning->now,
                                             &learning->changes);
    }

    return rc != NGX_HTTP_GRAPH_POLICY_LINK_TOO_MANY;
}


static void
ngx_http_graph_policy_learn_items(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_change_t *change)
{
    time_t                             oldest, when;
    ngx_uint_t                         learns;
    ngx_http_graph_policy_item_t      *item;
    ngx_http_graph_policy_wh_error_t  *error;

    oldest = 0;

    learns = (learning->trusted
              && change->field == NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES);

    for (item = change->items; item != NULL; item = item->next) {

        if (learns && item->place == NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE
            && !item->system)
        {
            when = (item->time != 0) ? item->time : learning->time;
            oldest = (oldest != 0) ? ngx_min(oldest, when) : when;

            ngx_http_graph_policy_learn_inbound(learning, item, when);
        }

        for (error = item->errors; error != NULL; error = error->next) {
            ngx_http_graph_policy_learn_error(learning, item, error, learns);
        }
    }

    if (oldest == 0) {
        return;
    }

    /*
     * Who wrote may be known by another spelling, too.  Which of several it
     * was isn't told, so that the time is the one that undoes least.
     */

    for (item = change->items; item != NULL; item = item->next) {

        if (item->place == NGX_HTTP_GRAPH_POLICY_ITEM_CONTACT) {
            ngx_http_graph_policy_learn_inbound(learning, item, oldest);
        }
    }
}


static void
ngx_http_graph_policy_learn_inbound(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_item_t *item, time_t time)
{
    ngx_uint_t                         i;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_identity_t  *id;

    ctx = learning->ctx;
    id = &learning->identity;

    if (time == 0) {
        return;
    }

    for (i = 0; i < 2; i++) {
        id->conversation = ngx_http_graph_policy_conversation_of(ctx->zone,
                                             &id->phone, &item->recipients[i]);

        if (id->conversation == 0) {
            continue;
        }

        ngx_http_graph_policy_zone_inbound(ctx->zone, id,
                         ngx_http_graph_policy_cause_time(time, learning->now),
                                           learning->now,
                                           &learning->changes);
    }
}


static void
ngx_http_graph_policy_learn_error(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_item_t *item,
    ngx_http_graph_policy_wh_error_t *error, ngx_uint_t learns)
{
    time_t                             when;
    ngx_uint_t                         i, n;
    ngx_array_t                       *rules;
    ngx_http_graph_policy_facts_t      facts;
    ngx_http_graph_policy_verdict_t    verdict;
    ngx_http_graph_policy_identity_t  *id;

    ngx_memzero(&facts, sizeof(ngx_http_graph_policy_facts_t));

    facts.code = error->code;
    facts.subcode = error->subcode;
    facts.has_code = error->has_code;
    facts.has_subcode = error->has_subcode;

    rules = learning->glcf->rules;

    ngx_http_graph_policy_rules_decide(&facts,
                                       (rules != NULL) ? rules->elts : NULL,
                                       (rules != NULL) ? rules->nelts : 0,
                                       &verdict);

    ngx_http_graph_policy_note_error(learning->result, &facts, &verdict);

    if (!learns) {
        return;
    }

    id = &learning->identity;
    when = (item->time != 0) ? item->time : learning->time;
    n = (verdict.scope == NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION) ? 2 : 1;

    for (i = 0; i < n; i++) {
        id->conversation = ngx_http_graph_policy_conversation_of(
                                                        learning->ctx->zone,
                                             &id->phone, &item->recipients[i]);

        ngx_http_graph_policy_learn_failure(learning, &facts, &verdict, when);
    }
}


static void
ngx_http_graph_policy_learn_account(ngx_http_graph_policy_learning_t *learning,
    ngx_uint_t event)
{
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  verdict;

    ngx_memzero(&facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(&verdict, sizeof(ngx_http_graph_policy_verdict_t));

    verdict.category = NGX_HTTP_GRAPH_POLICY_FATAL;
    verdict.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT;
    verdict.reason = NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED;
    verdict.matched = 1;

    switch (event) {

    case NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED:
        verdict.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE;
        verdict.reason = NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED;

        ngx_http_graph_policy_note_error(learning->result, &facts, &verdict);
        ngx_http_graph_policy_learn_phones(learning, &verdict,
                                           NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                           verdict.reason);
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED:
        ngx_http_graph_policy_learn_phones(learning, NULL,
                                     NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                     NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED);
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED:
        ngx_http_graph_policy_note_error(learning->result, &facts, &verdict);

        if (learning->trusted) {
            ngx_http_graph_policy_learn_failure(learning, &facts, &verdict,
                                                learning->time);
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_REINSTATED:
        ngx_http_graph_policy_learn_resolved(learning,
                                       NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT,
                                     NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED);

        /* what was set while nobody knew whose phone it is */

        ngx_http_graph_policy_learn_phones(learning, NULL,
                                     NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE,
                                     NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED);
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE:
        ngx_http_graph_policy_note_error(learning->result, &facts, &verdict);
        break;

    default: /* NGX_HTTP_GRAPH_POLICY_EVENT_OTHER */
        break;
    }
}


/*
 * Of all known phones of the account: "verdict" if there is one, or that the
 * cause of its "reason" is gone.
 */

static void
ngx_http_graph_policy_learn_phones(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason)
{
    u_char                             data[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    ngx_str_t                          phone, account;
    ngx_http_graph_policy_facts_t      facts;
    ngx_http_graph_policy_identity_t  *id;

    if (!learning->trusted) {
        return;
    }

    ngx_memzero(&facts, sizeof(ngx_http_graph_policy_facts_t));

    id = &learning->identity;
    account = id->account;

    phone.data = data;
    phone.len = 0;

    while (learning->marked < NGX_HTTP_GRAPH_POLICY_MARKED
           && ngx_http_graph_policy_zone_next_phone(learning->ctx->zone,
                                                    &account, &phone)
              == NGX_OK)
    {
        learning->marked++;

        ngx_memzero(id, sizeof(ngx_http_graph_policy_identity_t));
        id->account = account;
        id->phone = phone;

        if (verdict != NULL) {
            ngx_http_graph_policy_learn_failure(learning, &facts, verdict,
                                                learning->time);
            continue;
        }

        ngx_http_graph_policy_learn_resolved(learning, kind, reason);
    }
}


static void
ngx_http_graph_policy_learn_failure(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, time_t time)
{
    ngx_int_t                                rc;
    ngx_http_graph_policy_ref_t             *ref;
    ngx_http_graph_policy_view_t             view;
    ngx_http_graph_policy_limits_t           limits;
    ngx_http_graph_policy_outcome_t          outcome;
    ngx_http_graph_policy_failure_t          failure;
    ngx_http_graph_policy_webhook_result_t  *result;

    ngx_http_graph_policy_limits(learning->glcf,
                                 learning->ctx->zone->conversation_hold,
                                 &limits);

    if (!ngx_http_graph_policy_outcome(verdict,
                                       NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK,
                                       0, &limits, &outcome)
        || !ngx_http_graph_policy_is_recent(time, learning->now))
    {
        return;
    }

    failure.verdict = verdict;
    failure.facts = facts;
    failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;
    failure.status = NGX_HTTP_BAD_REQUEST;
    failure.lease = 0;
    failure.now = learning->now;
    failure.sent = ngx_http_graph_policy_cause_time(time, learning->now);
    failure.hold = outcome.hold;
    failure.max = outcome.max;

    rc = ngx_http_graph_policy_zone_learn(learning->ctx->zone,
                                          &learning->identity, &failure,
                                          &learning->changes, &view);

    if (rc != NGX_OK || view.transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return;
    }

    result = learning->result;

    if (result->nset++ < NGX_HTTP_GRAPH_POLICY_NSET) {
        ref = &result->set[result->nset - 1];
        ref->hash = view.hash;
        ref->reason = view.stored_reason;
    }
}


static void
ngx_http_graph_policy_learn_resolved(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_key_e kind, ngx_http_graph_policy_reason_e reason)
{
    uint64_t  when;

    /* however late it comes, only what is newer than itself withstands it */

    if (!learning->trusted || learning->time == 0) {
        return;
    }

    when = ngx_http_graph_policy_cause_time(learning->time, learning->now);

    ngx_http_graph_policy_zone_resolve(learning->ctx->zone,
                                       &learning->identity, kind, reason, when,
                                       learning->now, &learning->changes);
}


/* the gravest is the one that is shown, the first of its kind */

static void
ngx_http_graph_policy_note_error(ngx_http_graph_policy_webhook_result_t *result,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict)
{
    if (verdict->category == NGX_HTTP_GRAPH_POLICY_IGNORE) {
        return;
    }

    if (result->errors++ == 0
        || verdict->category < result->verdict.category)
    {
        result->facts = *facts;
        result->verdict = *verdict;
    }
}


static ngx_uint_t
ngx_http_graph_policy_is_recent(time_t time, uint64_t now)
{
    uint64_t  then;

    then = (uint64_t) time * 1000;

    return time > 0
           && then + NGX_HTTP_GRAPH_POLICY_FRESH > now
           && then < now + NGX_HTTP_GRAPH_POLICY_FRESH;
}


/* clocks differ: what seems to come from the future is of now */

static uint64_t
ngx_http_graph_policy_cause_time(time_t time, uint64_t now)
{
    return ngx_min((uint64_t) time, now / 1000) * 1000;
}
