
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What the zone is told of conversations: that messages are refused there, that
 * the customer wrote, that a message was accepted.
 *
 * Events come in any order.  Each bears the time of its cause, to the second,
 * and never undoes what is newer; within one second an inbound message wins.
 * What is over is remembered for the hold.
 *
 * Lock rule: zone_inbound() takes the mutex, the rest is called with it held.
 * Memory: the zone's slab pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_state.h"


static ngx_uint_t ngx_http_graph_policy_conversation_is_older(
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_failure_t *failure);
static void ngx_http_graph_policy_conversation_describe(
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_failure_t *failure);


/* events tell their time in seconds */

#define ngx_http_graph_policy_second(ms)  ((ms) / 1000)


ngx_int_t
ngx_http_graph_policy_conversation_learn(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    uint64_t                               hash, start, until;
    ngx_uint_t                             was_live;
    ngx_http_graph_policy_conversation_t  *conversation;

    hash = ngx_http_graph_policy_conversation_hash(id);

    /* the hold of an answer begins with it, that of an event with its cause */

    start = (failure->source == NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER)
            ? failure->now : failure->sent;
    until = start + failure->hold;

    if (hash == 0 || until <= failure->now) {
        return NGX_DECLINED;
    }

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation == NULL) {
        conversation = ngx_http_graph_policy_conversation_create(zone, hash,
                                                                 1, changes);
        if (conversation == NULL) {
            return NGX_ERROR;
        }

    } else if (ngx_http_graph_policy_conversation_is_older(conversation,
                                                           failure))
    {
        return NGX_OK;
    }

    was_live = (conversation->live && failure->now < conversation->order.key);

    /* Meta delivers an event more than once */

    if (was_live && failure->sent == conversation->changed
        && failure->verdict->reason == conversation->reason)
    {
        return NGX_OK;
    }

    if (!was_live) {
        conversation->since = start;
        conversation->blocked = 0;
    }

    ngx_http_graph_policy_conversation_describe(conversation, failure);
    ngx_http_graph_policy_conversation_update(zone, conversation, 1, until);

    ngx_http_graph_policy_conversation_view(conversation, until, view);

    view->transition = was_live ? NGX_HTTP_GRAPH_POLICY_REARMED
                                : NGX_HTTP_GRAPH_POLICY_SET;

    ngx_http_graph_policy_conversation_note(conversation, until,
                                            view->transition, changes);

    return NGX_OK;
}


/* whether the failure was before the last that is known */

static ngx_uint_t
ngx_http_graph_policy_conversation_is_older(
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_failure_t *failure)
{
    uint64_t  sent, changed;

    sent = ngx_http_graph_policy_second(failure->sent);
    changed = ngx_http_graph_policy_second(conversation->changed);

    if (sent != changed || !conversation->inbound) {
        return sent < changed;
    }

    /* what was sent after the message came is newer, even if it's a second */

    return failure->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER
           || failure->sent < conversation->since;
}


static void
ngx_http_graph_policy_conversation_describe(
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_http_graph_policy_facts_t    *facts;
    ngx_http_graph_policy_verdict_t  *verdict;

    facts = failure->facts;
    verdict = failure->verdict;

    conversation->changed = failure->sent;
    conversation->code = facts->has_code ? facts->code : -1;
    conversation->subcode = facts->has_subcode ? facts->subcode : -1;
    conversation->hold = failure->hold;
    conversation->status = (uint16_t) failure->status;
    conversation->reason = verdict->reason;
    conversation->fixed = (verdict->hold != 0);
    conversation->inbound = 0;
    conversation->dry_run = verdict->dry_run;
    conversation->source = failure->source;
}


void
ngx_http_graph_policy_zone_inbound(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                               hash, until;
    ngx_http_graph_policy_conversation_t  *conversation;

    hash = ngx_http_graph_policy_conversation_hash(id);

    /* older events than this are not believed anyway */

    until = when + ngx_max(zone->conversation_hold,
                           NGX_HTTP_GRAPH_POLICY_FRESH);

    if (hash == 0 || zone->conversation_hold == 0) {
        return;
    }

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, now);

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation == NULL) {

        if (until > now) {
            conversation = ngx_http_graph_policy_conversation_create(zone,
                                                             hash, 0, changes);
        }

    } else if (ngx_http_graph_policy_second(when)
               < ngx_http_graph_policy_second(conversation->changed))
    {
        conversation = NULL;
    }

    if (conversation == NULL) {
        goto done;
    }

    if (conversation->live && now < conversation->order.key) {
        ngx_http_graph_policy_conversation_note(conversation,
                                                conversation->order.key,
                                                NGX_HTTP_GRAPH_POLICY_CLEARED,
                                                changes);
    }

    conversation->changed = when;
    conversation->since = now;
    conversation->inbound = 1;

    ngx_http_graph_policy_conversation_update(zone, conversation, 0, until);

done:

    ngx_http_graph_policy_zone_publish(zone, changes);
}


void
ngx_http_graph_policy_conversation_clear(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, uint64_t sent,
    ngx_http_graph_policy_changes_t *changes)
{
    uint64_t                               until;
    ngx_http_graph_policy_conversation_t  *conversation;

    conversation = ngx_http_graph_policy_conversation_find(zone->sh, hash);

    if (conversation == NULL || !conversation->live
        || sent < conversation->changed)
    {
        return;
    }

    ngx_http_graph_policy_conversation_note(conversation,
                                            conversation->order.key,
                                            NGX_HTTP_GRAPH_POLICY_CLEARED,
                                            changes);

    conversation->changed = sent;
    conversation->inbound = 0;

    /* a late event must find what is newer than itself */

    until = ngx_max(conversation->order.key, sent + zone->memory);

    ngx_http_graph_policy_conversation_update(zone, conversation, 0, until);
}
