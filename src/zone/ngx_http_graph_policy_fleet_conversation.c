
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Conversations between this host's zone and others of its fleet.  A limit's
 * cause is compared as local news of it is; see merge.h.
 *
 * Lock rule: apply_conversation() takes the mutex, record_conversation() is
 * called with it held.  Memory: records and views are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_merge.h"
#include "ngx_http_graph_policy_state.h"


/* milliseconds; no limit is longer, nor is the memory of one */
#define NGX_HTTP_GRAPH_POLICY_LONGEST_LIMIT  86400000


static ngx_int_t ngx_http_graph_policy_apply_compare(
    ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_record_t *record);
static void ngx_http_graph_policy_apply_limit(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_record_t *record);


void
ngx_http_graph_policy_record_conversation(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_record_t *record)
{
    ngx_http_graph_policy_limit_t      *limit;
    ngx_http_graph_policy_node_name_t  *name;

    ngx_http_graph_policy_record_init(record,
                                   NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION);

    limit = &conversation->limit;

    record->hash = conversation->node.key;
    record->conversation = conversation->node.key;
    record->reason = limit->reason;
    record->source = conversation->source;
    record->since = limit->since;
    record->until = conversation->order.key;
    record->changed = limit->changed;
    record->hold = limit->hold;
    record->status = conversation->status;
    record->armed = limit->live;
    record->fixed = limit->fixed;
    record->inbound = limit->inbound;
    record->dry_run = conversation->dry_run;
    record->code = conversation->code;
    record->subcode = conversation->subcode;

    if (conversation->node_name != 0) {
        name = &sh->fleet->names[conversation->node_name - 1];
        record->node.len = name->len;
        ngx_memcpy(record->node.data, name->data, name->len);
    }
}


ngx_http_graph_policy_received_e
ngx_http_graph_policy_apply_conversation(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    ngx_int_t                              rc;
    ngx_uint_t                             was_live;
    ngx_http_graph_policy_received_e       received;
    ngx_http_graph_policy_conversation_t  *conversation;

    record->hash = record->conversation;

    if (record->changed > now + NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD) {
        return NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;
    }

    /* whoever gates none, or shares none, learns none */

    if (!zone->share->conversations || zone->conversation_hold == 0) {
        return NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;
    }

    received = NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;

    ngx_http_graph_policy_zone_edit(zone, changes);

    ngx_http_graph_policy_expire(zone, now, changes);

    conversation = ngx_http_graph_policy_conversation_find(zone->sh,
                                                           record->hash);
    was_live = 0;

    if (conversation != NULL) {
        rc = ngx_http_graph_policy_apply_compare(zone->sh, conversation,
                                                 record);
        if (rc <= 0) {
            received = (rc == 0) ? NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME
                                 : NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER;
            goto done;
        }

        was_live = ngx_http_graph_policy_limit_is_live(&conversation->limit,
                                                 conversation->order.key, now);

    } else if (record->until > now) {
        conversation = ngx_http_graph_policy_conversation_create(zone,
                                                 record->hash, record->armed,
                                                                 now, changes);
        changes->refused = (conversation == NULL);
    }

    if (conversation == NULL) {
        goto done;
    }

    record->hold = ngx_min(record->hold, NGX_HTTP_GRAPH_POLICY_LONGEST_LIMIT);
    record->until = ngx_min(record->until,
                            now + (record->armed ? record->hold
                                        : NGX_HTTP_GRAPH_POLICY_LONGEST_LIMIT));

    ngx_http_graph_policy_apply_limit(zone, conversation, record);

    received = NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED;

    if (was_live || (record->armed && record->until > now)) {
        ngx_http_graph_policy_conversation_view(zone->sh, conversation,
                                                record->until, view);
        view->transition = !record->armed ? NGX_HTTP_GRAPH_POLICY_CLEARED
                           : was_live ? NGX_HTTP_GRAPH_POLICY_REARMED
                                      : NGX_HTTP_GRAPH_POLICY_SET;
    }

done:

    ngx_http_graph_policy_zone_publish(zone, changes);

    return received;
}


static ngx_int_t
ngx_http_graph_policy_apply_compare(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_record_t *record)
{
    ngx_http_graph_policy_record_t  own;

    ngx_http_graph_policy_record_conversation(sh, conversation, &own);

    return ngx_http_graph_policy_merge_compare_conversations(record, &own);
}


static void
ngx_http_graph_policy_apply_limit(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_record_t *record)
{
    ngx_http_graph_policy_limit_t  limit;

    conversation->code = record->code;
    conversation->subcode = record->subcode;
    conversation->status = (uint16_t) record->status;
    conversation->dry_run = (record->dry_run != 0);
    conversation->source = record->source & 3;

    if (!conversation->limit.live) {
        conversation->blocked = 0;
    }

    limit.since = record->since;
    limit.changed = record->changed;
    limit.hold = (uint32_t) record->hold;
    limit.reason = (uint8_t) record->reason;
    limit.live = (record->armed != 0);
    limit.fixed = (record->fixed != 0);
    limit.inbound = (record->inbound != 0);

    ngx_http_graph_policy_conversation_update(zone, conversation, &limit,
                                              record->until);
    ngx_http_graph_policy_mark_node(zone, &conversation->node_name,
                                    record->node.data, record->node.len);
}
