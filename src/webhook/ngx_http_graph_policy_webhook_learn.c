
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * This file learns from a verified payload: errors of messages, the phones of
 * an account, and messages from customers.  webhook_account.c learns from
 * account_update.
 *
 * Each event bears its own time.  An error without a time, or with one that is
 * not within FRESH of now, changes no state: it may be a replay.
 *
 * A payload may say more than a worker should do at one go, so it is walked in
 * slices.  Events of two payloads may then be learnt alternately, as they may
 * be by two workers.
 *
 * Lock rule: none of its own; each call of the zone is about one event.
 * Memory: the payload is the caller's; recipients become fingerprints here.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_webhook_learning.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_learn.h"


/* items and errors that a slice learns, a few milliseconds' work */
#define NGX_HTTP_GRAPH_POLICY_SLICE    1000

/*
 * Contacts are compared with each item of a change if there are no more than
 * this; Meta's changes have one.  More of them would make the work grow as
 * contacts times items.
 */
#define NGX_HTTP_GRAPH_POLICY_MATCHED  16

/* the names of an item and of its contacts */
#define NGX_HTTP_GRAPH_POLICY_NNAMES                                          \
    (NGX_HTTP_GRAPH_POLICY_WHO_NAMES * (1 + NGX_HTTP_GRAPH_POLICY_MATCHED))


static void ngx_http_graph_policy_learning_open(
    ngx_http_graph_policy_learning_t *learning);
static void ngx_http_graph_policy_learning_step(
    ngx_http_graph_policy_learning_t *learning);
static ngx_uint_t ngx_http_graph_policy_learn_link(
    ngx_http_graph_policy_learning_t *learning);
static ngx_uint_t ngx_http_graph_policy_trust_phone(
    ngx_http_graph_policy_learning_t *learning);
static void ngx_http_graph_policy_learn_item(
    ngx_http_graph_policy_learning_t *learning);
static ngx_uint_t ngx_http_graph_policy_is_inbound(
    ngx_http_graph_policy_learning_t *learning);
static void ngx_http_graph_policy_learn_inbound(
    ngx_http_graph_policy_learning_t *learning, ngx_str_t *names, ngx_uint_t n,
    time_t time);
static void ngx_http_graph_policy_learn_error(
    ngx_http_graph_policy_learning_t *learning);
static ngx_uint_t ngx_http_graph_policy_names(
    ngx_http_graph_policy_change_t *change, ngx_http_graph_policy_item_t *item,
    ngx_str_t *names);
static ngx_uint_t ngx_http_graph_policy_same_name(ngx_str_t *one,
    ngx_str_t *two);


void
ngx_http_graph_policy_webhook_begin(ngx_http_graph_policy_learning_t *learning)
{
    learning->result.errors = 0;
    learning->result.nset = 0;

    ngx_http_graph_policy_learning_rewind(learning);
}


void
ngx_http_graph_policy_learning_rewind(
    ngx_http_graph_policy_learning_t *learning)
{
    learning->entry = learning->payload.entries;
    learning->change = NULL;
    learning->opened = 0;

    if (learning->entry != NULL) {
        learning->change = learning->entry->changes;

        if (learning->change == NULL) {
            ngx_http_graph_policy_learning_next(learning);
        }
    }
}


void
ngx_http_graph_policy_learning_next(ngx_http_graph_policy_learning_t *learning)
{
    learning->opened = 0;

    if (learning->change != NULL) {
        learning->change = learning->change->next;
    }

    while (learning->change == NULL && learning->entry->next != NULL) {
        learning->entry = learning->entry->next;
        learning->change = learning->entry->changes;
    }
}


ngx_int_t
ngx_http_graph_policy_webhook_learn(ngx_http_graph_policy_learning_t *learning)
{
    learning->now = ngx_http_graph_policy_now();
    learning->room = NGX_HTTP_GRAPH_POLICY_SLICE;

    while (learning->change != NULL) {

        if (learning->room == 0) {
            return NGX_AGAIN;
        }

        learning->room--;

        ngx_http_graph_policy_learning_step(learning);
    }

    return NGX_OK;
}


static void
ngx_http_graph_policy_learning_step(ngx_http_graph_policy_learning_t *learning)
{
    if (!learning->opened) {
        learning->opened = 1;
        ngx_http_graph_policy_learning_open(learning);
        return;
    }

    if (learning->item != NULL) {
        ngx_http_graph_policy_learn_item(learning);
        return;
    }

    /*
     * A customer may be known by another name in the contacts.  A contact
     * doesn't say which message was its own, so the oldest time is used, which
     * ends the fewest limits.  A message to a group isn't one to the business.
     */

    if (learning->contact != NULL && learning->oldest != 0
        && !learning->change->grouped)
    {
        ngx_http_graph_policy_learn_inbound(learning, learning->contact->who,
                                            NGX_HTTP_GRAPH_POLICY_WHO_NAMES,
                                            learning->oldest);

        learning->contact = learning->contact->next;
        return;
    }

    ngx_http_graph_policy_learning_next(learning);
}


static void
ngx_http_graph_policy_learning_open(ngx_http_graph_policy_learning_t *learning)
{
    ngx_http_graph_policy_change_t    *change;
    ngx_http_graph_policy_identity_t  *id;

    id = &learning->identity;
    change = learning->change;

    ngx_memzero(id, sizeof(ngx_http_graph_policy_identity_t));

    /*
     * The entry of a PARTNER_* event is the partner's business; the account
     * that the event is about is named in the change.
     */

    id->account = change->partner ? change->account : learning->entry->account;
    id->phone = change->phone;

    learning->item = change->items;
    learning->contact = change->contacts;
    learning->error = NULL;
    learning->oldest = 0;
    learning->time = learning->entry->time;
    learning->trusted = ngx_http_graph_policy_is_trusted(&learning->trust,
                                                         &id->account);

    if (!learning->trusted) {
        ngx_http_graph_policy_zone_count_webhooks(learning->ctx->zone,
                                        NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN,
                                        1 + (ngx_uint_t) change->more);
    }

    switch (change->field) {

    case NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT:
        ngx_http_graph_policy_learn_account(learning);

        learning->item = NULL;
        learning->contact = NULL;
        break;

    case NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES:
        if (learning->trusted) {
            learning->trusted = ngx_http_graph_policy_learn_link(learning);
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_FIELD_CALLS:
        if (learning->trusted) {
            learning->trusted = ngx_http_graph_policy_trust_phone(learning);
        }
        break;

    default:
        break;
    }
}


/*
 * Learns which account the phone belongs to.  Returns 1 if the signer may speak
 * for the phone: signers with accounts of their own must not change the states
 * of each other's phones.  Without memory for the link nobody can tell whose
 * the phone is, so only a signer for all accounts is believed then.
 */

static ngx_uint_t
ngx_http_graph_policy_learn_link(ngx_http_graph_policy_learning_t *learning)
{
    time_t                             time;
    u_char                             data[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
    ngx_str_t                          other;
    ngx_uint_t                         recent;
    ngx_http_graph_policy_link_e       rc;
    ngx_http_graph_policy_zone_t      *zone;
    ngx_http_graph_policy_change_t    *change;
    ngx_http_graph_policy_identity_t  *id;

    id = &learning->identity;
    zone = learning->ctx->zone;
    change = learning->change;

    if (id->account.len == 0 || id->phone.len == 0) {
        return 1;
    }

    time = (change->time != 0) ? change->time : learning->time;
    recent = ngx_http_graph_policy_is_recent(time, learning->now);

    if (change->number.len != 0) {
        id->number = ngx_http_graph_policy_zone_fingerprint(zone,
                                                            &change->number);
        id->old = !recent;
    }

    other.data = data;

    rc = ngx_http_graph_policy_zone_link(zone, id, &other, learning->now,
                                         learning->changes);

    if (rc == NGX_HTTP_GRAPH_POLICY_LINK_OTHER) {

        if (!ngx_http_graph_policy_is_trusted(&learning->trust, &other)) {
            ngx_http_graph_policy_zone_count_webhook(zone,
                                       NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN);
            return 0;
        }

        /* An old event doesn't prove that the phone has moved since. */

        if (!recent) {
            return 1;
        }

        rc = ngx_http_graph_policy_zone_link(zone, id, NULL, learning->now,
                                             learning->changes);
    }

    if (rc == NGX_HTTP_GRAPH_POLICY_LINK_NO_ROOM) {
        ngx_str_null(&other);
        return ngx_http_graph_policy_is_trusted(&learning->trust, &other);
    }

    return rc != NGX_HTTP_GRAPH_POLICY_LINK_TOO_MANY;
}


/*
 * Returns 1 if the signer may speak for the phone, like learn_link(), for a
 * field that doesn't say which account a phone belongs to.
 */

static ngx_uint_t
ngx_http_graph_policy_trust_phone(ngx_http_graph_policy_learning_t *learning)
{
    ngx_http_graph_policy_identity_t  id;

    ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));

    id.phone = learning->identity.phone;

    ngx_http_graph_policy_zone_account(learning->ctx->zone, &id);

    if (ngx_http_graph_policy_is_trusted(&learning->trust, &id.account)) {
        return 1;
    }

    ngx_http_graph_policy_zone_count_webhook(learning->ctx->zone,
                                       NGX_HTTP_GRAPH_POLICY_WEBHOOK_FOREIGN);
    return 0;
}


/* Each step learns the item itself, or one of its errors. */

static void
ngx_http_graph_policy_learn_item(ngx_http_graph_policy_learning_t *learning)
{
    time_t                         when;
    ngx_str_t                      names[NGX_HTTP_GRAPH_POLICY_NNAMES];
    ngx_uint_t                     n;
    ngx_http_graph_policy_item_t  *item;

    item = learning->item;

    if (learning->error != NULL) {
        ngx_http_graph_policy_learn_error(learning);
        learning->error = learning->error->next;

    } else {

        if (ngx_http_graph_policy_is_inbound(learning)) {
            when = (item->time != 0) ? item->time : learning->time;

            if (!item->group) {
                learning->oldest = (learning->oldest != 0)
                                   ? ngx_min(learning->oldest, when) : when;
            }

            n = ngx_http_graph_policy_names(learning->change, item, names);
            ngx_http_graph_policy_learn_inbound(learning, names, n, when);
        }

        if (item->id.len != 0 && learning->trusted
            && learning->change->field == NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES)
        {
            ngx_http_graph_policy_learn_status(learning);
        }

        learning->error = item->errors;
    }

    if (learning->error == NULL) {
        learning->item = item->next;
    }
}


/* Returns 1 if the customer wrote or called, which opens the window. */

static ngx_uint_t
ngx_http_graph_policy_is_inbound(ngx_http_graph_policy_learning_t *learning)
{
    ngx_http_graph_policy_item_t  *item;

    item = learning->item;

    if (!learning->trusted) {
        return 0;
    }

    switch (learning->change->field) {

    case NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES:
        return item->place == NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE
               && !item->system;

    case NGX_HTTP_GRAPH_POLICY_FIELD_CALLS:
        return item->place == NGX_HTTP_GRAPH_POLICY_ITEM_CALL;

    default:
        return 0;
    }
}


static void
ngx_http_graph_policy_learn_inbound(ngx_http_graph_policy_learning_t *learning,
    ngx_str_t *names, ngx_uint_t n, time_t time)
{
    uint64_t                           when;
    ngx_uint_t                         i;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_identity_t  *id;

    ctx = learning->ctx;
    id = &learning->identity;

    /* Without a gate nobody asks for conversations. */

    if (time == 0 || ctx->zone->conversation_hold == 0) {
        return;
    }

    when = ngx_http_graph_policy_cause_time(time, learning->now);

    for (i = 0; i < n; i++) {
        id->conversation = ngx_http_graph_policy_conversation_of(ctx->zone,
                                                       &id->phone, &names[i]);
        if (id->conversation == 0) {
            continue;
        }

        ngx_http_graph_policy_zone_inbound(ctx->zone, id, when, learning->now,
                                           learning->changes);
    }
}


static void
ngx_http_graph_policy_learn_error(ngx_http_graph_policy_learning_t *learning)
{
    time_t                             when;
    ngx_str_t                          names[NGX_HTTP_GRAPH_POLICY_NNAMES];
    ngx_uint_t                         i, n;
    ngx_http_graph_policy_item_t      *item;
    ngx_http_graph_policy_facts_t      facts;
    ngx_http_graph_policy_failure_t    failure;
    ngx_http_graph_policy_verdict_t    verdict;
    ngx_http_graph_policy_identity_t  *id;

    item = learning->item;

    ngx_http_graph_policy_decide(learning, learning->error, &facts, &verdict);

    ngx_http_graph_policy_note_error(&learning->result, &facts, &verdict,
                                     1 + (ngx_uint_t) learning->error->more);

    if (!learning->trusted
        || learning->change->field != NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES
        || item->place == NGX_HTTP_GRAPH_POLICY_ITEM_HISTORY)
    {
        return;
    }

    id = &learning->identity;
    when = (item->time != 0) ? item->time : learning->time;

    if (!ngx_http_graph_policy_is_failure(learning, &facts, &verdict, when,
                                          &failure))
    {
        return;
    }

    if (verdict.scope != NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION) {
        ngx_http_graph_policy_learn_failure(learning, &failure);
        return;
    }

    /* An error of one member doesn't limit the whole group. */

    if (item->member) {
        return;
    }

    n = ngx_http_graph_policy_names(learning->change, item, names);

    for (i = 0; i < n; i++) {
        id->conversation = ngx_http_graph_policy_conversation_of(
                                                      learning->ctx->zone,
                                                      &id->phone, &names[i]);
        if (id->conversation == 0) {
            continue;
        }

        ngx_http_graph_policy_learn_failure(learning, &failure);
    }
}


/*
 * Fills in, up to NNAMES, all names of the person an item is about: those of
 * the item, and those of contacts that share one of them.
 */

static ngx_uint_t
ngx_http_graph_policy_names(ngx_http_graph_policy_change_t *change,
    ngx_http_graph_policy_item_t *item, ngx_str_t *names)
{
    ngx_uint_t                        i, n;
    ngx_http_graph_policy_contact_t  *contact;

    n = 0;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_WHO_NAMES; i++) {

        if (item->who[i].len != 0) {
            names[n++] = item->who[i];
        }
    }

    if (change->ncontacts > NGX_HTTP_GRAPH_POLICY_MATCHED) {
        return n;
    }

    for (contact = change->contacts; contact != NULL; contact = contact->next)
    {
        for (i = 0; i < NGX_HTTP_GRAPH_POLICY_WHO_NAMES; i++) {

            if (ngx_http_graph_policy_same_name(&contact->who[i],
                                                &item->who[i]))
            {
                break;
            }
        }

        if (i == NGX_HTTP_GRAPH_POLICY_WHO_NAMES) {
            continue;
        }

        for (i = 0; i < NGX_HTTP_GRAPH_POLICY_WHO_NAMES; i++) {

            if (contact->who[i].len != 0
                && !ngx_http_graph_policy_same_name(&contact->who[i],
                                                    &item->who[i]))
            {
                names[n++] = contact->who[i];
            }
        }
    }

    return n;
}


static ngx_uint_t
ngx_http_graph_policy_same_name(ngx_str_t *one, ngx_str_t *two)
{
    return one->len != 0 && one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}
