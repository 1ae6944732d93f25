
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * This file learns from an account_update: an account, or one of its numbers,
 * was disconnected, restricted or reinstated.
 *
 * Lock rule: none of its own; each call of the zone is about one phone.
 * Memory: none of its own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_webhook_learning.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


/*
 * The account events of one payload can change the states of so many phones, in
 * all; Meta's payloads need far fewer.  Without a bound a payload full of
 * events about an account with many phones would occupy a worker for minutes.
 */
#define NGX_HTTP_GRAPH_POLICY_MARKED  10000


static void ngx_http_graph_policy_learn_phones(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t resolved);
static void ngx_http_graph_policy_learn_phone(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t resolved);
static void ngx_http_graph_policy_learn_event(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict);


void
ngx_http_graph_policy_learn_account(ngx_http_graph_policy_learning_t *learning)
{
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  verdict;

    ngx_memzero(&facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(&verdict, sizeof(ngx_http_graph_policy_verdict_t));

    verdict.category = NGX_HTTP_GRAPH_POLICY_FATAL;
    verdict.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT;
    verdict.reason = NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED;
    verdict.matched = 1;

    if (learning->change->numbered) {
        verdict.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE;
    }

    switch (learning->change->event) {

    case NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED:
        verdict.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE;
        verdict.reason = NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED;

        ngx_http_graph_policy_note_error(&learning->result, &facts, &verdict,
                                         1);
        ngx_http_graph_policy_learn_phones(learning, &verdict, 0);
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED:
        verdict.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE;
        verdict.reason = NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED;

        ngx_http_graph_policy_learn_phones(learning, &verdict, 1);
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED:
        ngx_http_graph_policy_note_error(&learning->result, &facts, &verdict,
                                         1);

        if (learning->change->numbered) {
            ngx_http_graph_policy_learn_phones(learning, &verdict, 0);

        } else if (learning->trusted) {
            ngx_http_graph_policy_learn_event(learning, &facts, &verdict);
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_REINSTATED:
        if (!learning->change->numbered) {
            ngx_http_graph_policy_learn_resolved(learning,
                                     NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT,
                                     NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED);
        }

        ngx_http_graph_policy_learn_phones(learning, &verdict, 1);
        break;

    case NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE:
        ngx_http_graph_policy_note_error(&learning->result, &facts, &verdict,
                                         1);
        break;

    default: /* NGX_HTTP_GRAPH_POLICY_EVENT_OTHER */
        break;
    }
}


/*
 * An event that names a number is about the phone with that number.  While the
 * phone isn't known, the event could be about any of the account's phones, so
 * it changes none.  An event without a number is about all known phones of the
 * account.
 */

static void
ngx_http_graph_policy_learn_phones(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t resolved)
{
    u_char                             data[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    ngx_str_t                          phone, account;
    ngx_http_graph_policy_zone_t      *zone;
    ngx_http_graph_policy_change_t    *change;
    ngx_http_graph_policy_identity_t  *id;

    if (!learning->trusted) {
        return;
    }

    id = &learning->identity;
    zone = learning->ctx->zone;
    change = learning->change;

    account = id->account;
    phone.data = data;
    phone.len = 0;

    if (change->numbered) {

        if (change->number.len == 0) {
            return;
        }

        id->number = ngx_http_graph_policy_zone_fingerprint(zone,
                                                            &change->number);

        if (ngx_http_graph_policy_zone_numbered(zone, id, &phone) == NGX_OK) {
            id->phone = phone;
            ngx_http_graph_policy_learn_phone(learning, verdict, resolved);
        }

        return;
    }

    while (learning->marked < NGX_HTTP_GRAPH_POLICY_MARKED
           && ngx_http_graph_policy_zone_next_phone(zone, &account, &phone)
              == NGX_OK)
    {
        learning->marked++;
        learning->room -= (learning->room != 0);

        ngx_memzero(id, sizeof(ngx_http_graph_policy_identity_t));
        id->account = account;
        id->phone = phone;

        ngx_http_graph_policy_learn_phone(learning, verdict, resolved);
    }
}


static void
ngx_http_graph_policy_learn_phone(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t resolved)
{
    ngx_http_graph_policy_facts_t  facts;

    if (!resolved) {
        ngx_memzero(&facts, sizeof(ngx_http_graph_policy_facts_t));

        ngx_http_graph_policy_learn_event(learning, &facts, verdict);
        return;
    }

    ngx_http_graph_policy_learn_resolved(learning,
                                         NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                         verdict->reason);

    if (verdict->reason != NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED) {
        return;
    }

    /*
     * An earlier restriction of the number may have been stored under the
     * account and the phone; it has ended as well.
     */

    ngx_http_graph_policy_learn_resolved(learning,
                                    NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE,
                                    verdict->reason);
}


static void
ngx_http_graph_policy_learn_event(ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict)
{
    ngx_http_graph_policy_failure_t  failure;

    if (ngx_http_graph_policy_is_failure(learning, facts, verdict,
                                         learning->time, &failure))
    {
        ngx_http_graph_policy_learn_failure(learning, &failure);
    }
}
