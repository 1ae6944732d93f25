
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The zone learns that messages to a conversation are refused, that one was
 * accepted, or that the customer wrote.
 *
 * Events come in any order.  Each bears the time of its cause, to the second,
 * and never undoes a newer one; within one second an inbound message wins.  The
 * end of a limit is remembered for the hold.
 *
 * Lock rule: zone_inbound() takes the mutex, the rest is called with it held.
 * Memory: the zone's slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


static void ngx_http_graph_policy_conversation_describe(
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_failure_t *failure);


ngx_int_t
ngx_http_graph_policy_conversation_learn(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                               hash, until;
    ngx_http_graph_policy_limit_t          limit;
    ngx_http_graph_policy_refusal_t        refusal;
    ngx_http_graph_policy_transition_e     transition;
    ngx_http_graph_policy_conversation_t  *conversation;

    refusal.sent = failure->sent;
    refusal.now = failure->now;
    refusal.hold = failure->hold;
    refusal.reason = failure->verdict->reason;
    refusal.fixed = (failure->verdict->hold != 0);
    refusal.event = (failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER);

    if (ngx_http_graph_policy_limit_until(&refusal) <= failure->now) {
        return NGX_DECLINED;
    }

    hash = ngx_http_graph_policy_conversation_hash(id);

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation == NULL) {
        conversation = ngx_http_graph_policy_conversation_create(zone, hash, 1,
                                                                 failure->now,
                                                                 changes);
        if (conversation == NULL) {
            return NGX_ERROR;
        }
    }

    limit = conversation->limit;
    until = conversation->order.key;

    transition = ngx_http_graph_policy_limit_refuse(&limit, &until, &refusal);

    if (transition == NGX_HTTP_GRAPH_POLICY_NOTHING) {
        return NGX_OK;
    }

    if (transition == NGX_HTTP_GRAPH_POLICY_SET) {
        conversation->blocked = 0;
    }

    ngx_http_graph_policy_conversation_describe(conversation, failure);
    ngx_http_graph_policy_conversation_update(zone, conversation, &limit,
                                              until);

    ngx_http_graph_policy_conversation_view(conversation, until, view);
    view->transition = transition;

    ngx_http_graph_policy_view_note(view, changes);

    return NGX_OK;
}


static void
ngx_http_graph_policy_conversation_describe(
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_facts_t  *facts;

    facts = failure->facts;

    conversation->code = facts->has_code ? facts->code : -1;
    conversation->subcode = facts->has_subcode ? facts->subcode : -1;
    conversation->status = (uint16_t) failure->status;
    conversation->dry_run = failure->verdict->dry_run;
    conversation->source = failure->source;
}


void
ngx_http_graph_policy_zone_inbound(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                               hash, until;
    ngx_http_graph_policy_limit_t          limit;
    ngx_http_graph_policy_conversation_t  *conversation;

    hash = ngx_http_graph_policy_conversation_hash(id);

    if (hash == 0 || zone->conversation_hold == 0) {
        return;
    }

    until = ngx_http_graph_policy_limit_memory(when, zone->conversation_hold);

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, now, changes);

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation == NULL && until > now) {
        conversation = ngx_http_graph_policy_conversation_create(zone, hash, 0,
                                                                 now, changes);
    }

    if (conversation == NULL) {
        goto done;
    }

    limit = conversation->limit;

    if (!ngx_http_graph_policy_limit_yields(&limit, when, now)) {
        goto done;
    }

    if (ngx_http_graph_policy_limit_is_live(&limit, conversation->order.key,
                                            now))
    {
        ngx_http_graph_policy_conversation_note(conversation,
                                                conversation->order.key,
                                                NGX_HTTP_GRAPH_POLICY_CLEARED,
                                                changes);
    }

    ngx_http_graph_policy_limit_open(&limit, when, now);
    ngx_http_graph_policy_conversation_update(zone, conversation, &limit,
                                              until);

done:

    ngx_http_graph_policy_zone_publish(zone, changes);
}


void
ngx_http_graph_policy_conversation_clear(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, uint64_t sent,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                               until;
    ngx_http_graph_policy_limit_t          limit;
    ngx_http_graph_policy_conversation_t  *conversation;

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation == NULL) {
        return;
    }

    limit = conversation->limit;
    until = conversation->order.key;

    if (!ngx_http_graph_policy_limit_clears(&limit, sent)) {
        return;
    }

    ngx_http_graph_policy_conversation_note(conversation, until,
                                            NGX_HTTP_GRAPH_POLICY_CLEARED,
                                            changes);

    until = ngx_http_graph_policy_limit_clear(&limit, until, sent,
                                              zone->memory);

    ngx_http_graph_policy_conversation_update(zone, conversation, &limit,
                                              until);
}
