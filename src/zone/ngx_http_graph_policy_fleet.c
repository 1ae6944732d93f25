
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The process that talks to other hosts gets from here what has changed.
 *
 * Lock and memory: see the zone's own file.  Records and views are the
 * caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_merge.h"
#include "ngx_http_graph_policy_state.h"


/* milliseconds; a limit that ends by then isn't compared */
#define NGX_HTTP_GRAPH_POLICY_ENDING  120000


static void ngx_http_graph_policy_digest_state(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_heartbeat_t *sum);
static void ngx_http_graph_policy_digest_conversation(
    ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_heartbeat_t *sum);
static ngx_http_graph_policy_link_t *ngx_http_graph_policy_fleet_link(
    ngx_http_graph_policy_shctx_t *sh, uint64_t hash);


ngx_str_t  ngx_http_graph_policy_received_words[] = {
    ngx_string("applied"),
    ngx_string("same"),
    ngx_string("older"),
    ngx_string("own"),
    ngx_string("forged"),
    ngx_string("unread")
};

ngx_str_t  ngx_http_graph_policy_sync_failure_words[] = {
    ngx_string("connect"),
    ngx_string("timeout"),
    ngx_string("auth"),
    ngx_string("refused"),
    ngx_string("protocol"),
    ngx_string("tls")
};

ngx_str_t  ngx_http_graph_policy_resync_words[] = {
    ngx_string("start"),
    ngx_string("gap"),
    ngx_string("lost"),
    ngx_string("deaf"),
    ngx_string("digest")
};


ngx_http_graph_policy_fleet_t *
ngx_http_graph_policy_zone_fleet(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->fleet;
}


void
ngx_http_graph_policy_fleet_status(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fleet_status_t *status)
{
    uint64_t                        since;
    ngx_uint_t                      i;
    ngx_http_graph_policy_node_t   *node;
    ngx_http_graph_policy_fleet_t  *fleet;

    ngx_memzero(status, sizeof(ngx_http_graph_policy_fleet_status_t));

    fleet = zone->sh->fleet;

    if (fleet == NULL) {
        return;
    }

    since = (fleet->heard != 0) ? fleet->heard : fleet->started;

    status->connected = fleet->connected;
    status->heard = (since != 0 && ngx_current_msec > since)
                    ? ngx_current_msec - since : 0;
    status->lag = fleet->lag;
    status->queue = fleet->head - fleet->tail;
    status->nodes = 1;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NODES; i++) {
        node = &fleet->nodes[i];

        status->nodes += (node->id != 0
                          && ngx_current_msec - node->heard
                             < NGX_HTTP_GRAPH_POLICY_NODE_HEARD);
    }

    status->server.data = status->text;

    ngx_http_graph_policy_zone_lock(zone);

    fleet = zone->sh->fleet;
    status->server.len = fleet->server_len;
    ngx_memcpy(status->text, fleet->server, fleet->server_len);

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_fleet_server(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *text)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    ngx_http_graph_policy_zone_lock(zone);

    fleet = zone->sh->fleet;
    fleet->server_len = ngx_min(text->len, NGX_HTTP_GRAPH_POLICY_SERVER_LEN);
    ngx_memcpy(fleet->server, text->data, fleet->server_len);

    ngx_http_graph_policy_zone_unlock(zone);
}


uint64_t
ngx_http_graph_policy_zone_node(ngx_http_graph_policy_zone_t *zone)
{
    return zone->sh->keep.generation;
}


ngx_int_t
ngx_http_graph_policy_fleet_next(ngx_http_graph_policy_zone_t *zone,
    uint64_t *pos, ngx_http_graph_policy_record_t *record)
{
    ngx_int_t                              rc;
    ngx_http_graph_policy_mark_t          *mark;
    ngx_http_graph_policy_link_t          *link;
    ngx_http_graph_policy_state_t         *state;
    ngx_http_graph_policy_fleet_t         *fleet;
    ngx_http_graph_policy_conversation_t  *conversation;

    fleet = zone->sh->fleet;
    rc = NGX_DECLINED;

    /* a mark that comes right now notifies */

    if (*pos == fleet->head) {
        return NGX_DONE;
    }

    ngx_http_graph_policy_zone_lock(zone);

    fleet = zone->sh->fleet;

    /* the zone may have started afresh */

    if (*pos < fleet->tail || *pos >= fleet->head) {
        *pos = fleet->tail;
        goto done;
    }

    mark = &fleet->ring[*pos & (fleet->size - 1)];
    (*pos)++;

    switch (mark->what) {

    case NGX_HTTP_GRAPH_POLICY_MARK_LINK:
        link = ngx_http_graph_policy_fleet_link(zone->sh, mark->hash);

        if (link != NULL) {
            ngx_http_graph_policy_record_link(link, record);
            rc = NGX_OK;
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_MARK_CONVERSATION:
        conversation = ngx_http_graph_policy_conversation_find(zone->sh,
                                                               mark->hash);
        if (conversation != NULL) {
            ngx_http_graph_policy_record_conversation(zone->sh, conversation,
                                                      record);
            rc = NGX_OK;
        }

        break;

    default:
        state = ngx_http_graph_policy_state_find(zone->sh, mark->hash,
                                                 mark->reason);

        if (state != NULL
            && (zone->share->conversations
                || state->kind != NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION))
        {
            ngx_http_graph_policy_record_state(zone->sh, state, record);
            rc = NGX_OK;
        }
    }

done:

    ngx_http_graph_policy_zone_unlock(zone);

    return rc;
}


static ngx_http_graph_policy_link_t *
ngx_http_graph_policy_fleet_link(ngx_http_graph_policy_shctx_t *sh,
    uint64_t hash)
{
    return (ngx_http_graph_policy_link_t *)
               ngx_http_graph_policy_index_find(&sh->index,
                                    NGX_HTTP_GRAPH_POLICY_INDEXED_LINK, hash);
}


void
ngx_http_graph_policy_fleet_told(ngx_http_graph_policy_zone_t *zone,
    uint64_t pos)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    ngx_http_graph_policy_zone_lock(zone);

    fleet = zone->sh->fleet;

    if (pos > fleet->tail && pos <= fleet->head) {
        fleet->tail = pos;
    }

    ngx_http_graph_policy_zone_unlock(zone);
}


void
ngx_http_graph_policy_fleet_tell(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, ngx_http_graph_policy_mark_e what)
{
    ngx_http_graph_policy_zone_lock(zone);
    ngx_http_graph_policy_mark(zone, hash, reason, what);
    ngx_http_graph_policy_zone_unlock(zone);
}


ngx_uint_t
ngx_http_graph_policy_fleet_is_over(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now)
{
    switch (record->type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_STATE:
        return ngx_http_graph_policy_record_is_over(zone, record, now);

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        return record->until <= now;

    default:
        return 0;
    }
}


ngx_uint_t
ngx_http_graph_policy_fleet_digest(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor,
    ngx_http_graph_policy_heartbeat_t *sum)
{
    ngx_int_t                         rc;
    ngx_uint_t                        i, looked;
    ngx_http_graph_policy_indexed_t  *node;

    rc = NGX_OK;
    looked = 0;
    sum->shares = zone->share->conversations;

    ngx_http_graph_policy_zone_lock(zone);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_BATCH; i++) {

        rc = ngx_http_graph_policy_index_next(&zone->sh->index,
                     cursor->tree ? NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION
                                  : NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
                                              cursor, &looked, &node);
        if (rc != NGX_OK) {
            break;
        }

        if (cursor->tree) {
            ngx_http_graph_policy_digest_conversation(zone->sh,
                          (ngx_http_graph_policy_conversation_t *) node, sum);

        } else {
            ngx_http_graph_policy_digest_state(zone->sh,
                                 (ngx_http_graph_policy_state_t *) node, sum);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);

    if (rc == NGX_DONE && sum->shares) {
        ngx_http_graph_policy_list_end(cursor);

    } else if (rc == NGX_DONE) {
        cursor->done = 1;
    }

    return i;
}


static void
ngx_http_graph_policy_digest_state(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_heartbeat_t *sum)
{
    uint64_t  changed, digest;

    changed = ngx_http_graph_policy_engine_clock_to(&sh->fleet->clock,
                                                    state->breaker.changed);

    if (!state->breaker.armed || changed > sum->cut) {
        return;
    }

    digest = ngx_http_graph_policy_merge_digest(state->node.key, state->reason,
                                                changed);

    if (state->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION) {
        sum->conversations += digest;

    } else {
        sum->digest += digest;
    }
}


/* the time of a cause is told as it is, and an end may be near */

static void
ngx_http_graph_policy_digest_conversation(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_conversation_t *conversation,
    ngx_http_graph_policy_heartbeat_t *sum)
{
    uint64_t                       until;
    ngx_http_graph_policy_limit_t  *limit;

    limit = &conversation->limit;
    until = ngx_http_graph_policy_engine_clock_to(&sh->fleet->clock,
                                                  conversation->order.key);

    if (limit->live && limit->changed <= sum->cut
        && until > sum->cut + NGX_HTTP_GRAPH_POLICY_ENDING)
    {
        sum->conversations +=
            ngx_http_graph_policy_merge_digest(conversation->node.key,
                                               limit->reason, limit->changed);
    }
}
