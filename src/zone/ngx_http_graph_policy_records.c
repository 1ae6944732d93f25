
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * States and links are copied to records, which state files and fleets have in
 * common, and back.
 *
 * Lock rule: what takes a zone and records takes the mutex once, and copies;
 * what takes a state or a link is called with it held.  Memory: records are
 * the caller's, states the zone's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_list.h"


/* milliseconds; graph_policy_hold allows no longer hold */
#define NGX_HTTP_GRAPH_POLICY_LONGEST  86400000


static void ngx_http_graph_policy_record_copy(
    ngx_http_graph_policy_record_text_t *text, u_char *data, size_t len);

static ngx_int_t ngx_http_graph_policy_restore_link(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static ngx_int_t ngx_http_graph_policy_restore_state(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);
static void ngx_http_graph_policy_record_failure(
    ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_failure_t *failure);
static uint64_t ngx_http_graph_policy_record_confirm(uint64_t confirm);
static void ngx_http_graph_policy_restore_breaker(
    ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_record_t *record);


ngx_int_t
ngx_http_graph_policy_record_batch(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor, ngx_uint_t conversations,
    ngx_http_graph_policy_record_t *records)
{
    ngx_int_t                         rc;
    ngx_uint_t                        n, i, looked;
    ngx_http_graph_policy_state_t    *state;
    ngx_http_graph_policy_indexed_t  *node;

    static ngx_http_graph_policy_indexed_e  kinds[] = {
        NGX_HTTP_GRAPH_POLICY_INDEXED_STATE,
        NGX_HTTP_GRAPH_POLICY_INDEXED_LINK,
        NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION
    };

    n = 0;
    rc = NGX_OK;
    looked = 0;

    ngx_http_graph_policy_zone_lock(zone);

    if (zone->sh->keep.lost) {
        ngx_http_graph_policy_zone_unlock(zone);
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_BATCH; i++) {

        rc = ngx_http_graph_policy_index_next(&zone->sh->index,
                                              kinds[cursor->tree], cursor,
                                              &looked, &node);
        if (rc != NGX_OK) {
            break;
        }

        switch (cursor->tree) {

        case 0:
            state = (ngx_http_graph_policy_state_t *) node;

            if (conversations
                || state->kind != NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION)
            {
                ngx_http_graph_policy_record_state(zone->sh, state,
                                                   &records[n++]);
            }

            break;

        case 1:
            ngx_http_graph_policy_record_link(
                        (ngx_http_graph_policy_link_t *) node, &records[n++]);
            break;

        default:
            ngx_http_graph_policy_record_conversation(zone->sh,
                (ngx_http_graph_policy_conversation_t *) node, &records[n++]);
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);

    if (rc == NGX_DONE && cursor->tree == 1 && conversations) {
        ngx_memzero(cursor, sizeof(ngx_http_graph_policy_cursor_t));
        cursor->tree = 2;

    } else if (rc == NGX_DONE) {
        ngx_http_graph_policy_list_end(cursor);
    }

    return n;
}


/* A lease isn't saved, as the request that holds it doesn't survive. */

void
ngx_http_graph_policy_record_state(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record)
{
    uint64_t                            now, until;
    ngx_http_graph_policy_node_name_t  *name;

    ngx_http_graph_policy_record_init(record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_STATE);

    record->hash = state->node.key;
    record->kind = state->kind;
    record->pair = (state->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION)
                   ? state->node.key : 0;
    record->category = state->category;
    record->reason = state->reason;
    record->source = state->source;
    record->credential = state->bound ? state->credential : 0;
    record->setter = state->bound ? 0 : state->credential;
    record->group = state->member.key;
    record->since = state->breaker.since;
    record->until = state->breaker.until;
    record->changed = state->breaker.changed;
    record->hold = state->breaker.hold;
    record->max = state->breaker.max;
    record->confirm = ngx_http_graph_policy_record_confirm(
                                                     state->breaker.confirm);
    record->holds = state->breaker.holds;
    record->blocked = state->blocked;
    record->status = state->status;
    record->armed = state->breaker.armed;
    record->dry_run = state->dry_run;
    record->frozen = state->breaker.was_frozen;
    record->moved = state->breaker.moved;
    record->code = state->code;
    record->subcode = state->subcode;

    ngx_http_graph_policy_record_copy(&record->key, state->data,
                                      state->key_len);
    ngx_http_graph_policy_record_copy(&record->trace,
                                      state->data + state->key_len,
                                      state->trace_len);

    /* other hosts are told of the lease, a file isn't */

    now = ngx_http_graph_policy_now();
    until = ngx_http_graph_policy_breaker_leased_until(&state->breaker, now);

    if (sh->fleet != NULL && state->breaker.armed && until > now) {
        record->lease_until = until;

        if (state->breaker.confirming) {
            record->message = state->breaker.leases.holder.message;

        } else {
            record->setter_leased =
                (state->breaker.leases.holder.tokens[1] != 0
                 && (int32_t) (state->breaker.leases.until[1] - (uint32_t) now)
                    > 0);
        }
    }

    if (state->node_name != 0) {
        name = &sh->fleet->names[state->node_name - 1];
        ngx_http_graph_policy_record_copy(&record->node, name->data,
                                          name->len);
    }
}


void
ngx_http_graph_policy_record_link(ngx_http_graph_policy_link_t *link,
    ngx_http_graph_policy_record_t *record)
{
    ngx_http_graph_policy_record_init(record,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_LINK);

    record->hash = link->node.key;
    record->confirmed = link->confirmed;
    record->number = link->number;

    ngx_http_graph_policy_record_copy(&record->key, link->phone,
                                      link->phone_len);
    ngx_http_graph_policy_record_copy(&record->account, link->account,
                                      link->account_len);
}


static void
ngx_http_graph_policy_record_copy(ngx_http_graph_policy_record_text_t *text,
    u_char *data, size_t len)
{
    text->len = ngx_min(len, NGX_HTTP_GRAPH_POLICY_RECORD_TEXT);
    ngx_memcpy(text->data, data, text->len);
}


ngx_int_t
ngx_http_graph_policy_record_restore(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    if (record->type == NGX_HTTP_GRAPH_POLICY_RECORD_LINK) {
        return ngx_http_graph_policy_restore_link(zone, record, now, changes);
    }

    record->since = ngx_min(record->since, now);
    record->changed = ngx_min(record->changed, now);

    ngx_http_graph_policy_record_bound(record, now);

    if (ngx_http_graph_policy_record_is_over(zone, record, now)) {
        return NGX_DECLINED;
    }

    return ngx_http_graph_policy_restore_state(zone, record, now, changes);
}


static ngx_int_t
ngx_http_graph_policy_restore_link(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_identity_t  id;

    ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));

    id.phone.data = record->key.data;
    id.phone.len = record->key.len;

    ngx_http_graph_policy_zone_account(zone, &id);

    if (id.account.len != 0) {
        return NGX_DECLINED;
    }

    id.account.data = record->account.data;
    id.account.len = record->account.len;
    id.account_hash = 0;
    id.number = record->number;

    return (ngx_http_graph_policy_zone_link(zone, &id, NULL,
                                            ngx_min(record->confirmed, now),
                                            changes)
            == NGX_HTTP_GRAPH_POLICY_LINK_KNOWN)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_graph_policy_restore_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_int_t                       rc;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    rc = NGX_DECLINED;

    ngx_http_graph_policy_zone_edit(zone, changes);

    if (ngx_http_graph_policy_record_place(zone->sh, record, &place) != NGX_OK
        || ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                            record->reason)
           != NULL)
    {
        goto done;
    }

    state = ngx_http_graph_policy_record_create(zone, &place, record, now,
                                                changes);

    if (state == NULL) {
        changes->refused = 1;
        rc = NGX_ERROR;
        goto done;
    }

    rc = NGX_OK;

done:

    ngx_http_graph_policy_zone_publish(zone, changes);

    return rc;
}


ngx_int_t
ngx_http_graph_policy_record_place(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_place_t *place)
{
    ngx_http_graph_policy_identity_t  id;

    /* of a conversation just its place is told */

    if (record->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION) {
        ngx_str_set(&place->key, "");
        place->kind = record->kind;
        place->credential = 0;
        place->hash = record->pair;

        return NGX_OK;
    }

    ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));

    if (record->kind == NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT) {
        id.account.data = record->key.data;
        id.account.len = record->key.len;

    } else {
        id.phone.data = record->key.data;
        id.phone.len = record->key.len;
    }

    id.credential = record->credential;

    return ngx_http_graph_policy_state_place(sh, &id, record->kind,
                                             record->credential != 0, place);
}


ngx_http_graph_policy_state_t *
ngx_http_graph_policy_record_create(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_state_t  *state;

    state = ngx_http_graph_policy_state_create(zone, place, record->reason,
                                               record->trace.len, now,
                                               changes);
    if (state == NULL) {
        return NULL;
    }

    state->blocked = (uint32_t) record->blocked;

    ngx_http_graph_policy_record_fill(zone, state, record);

    return state;
}


void
ngx_http_graph_policy_record_fill(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record)
{
    ngx_uint_t                       was_armed;
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_failure_t  failure;
    ngx_http_graph_policy_verdict_t  verdict;

    ngx_http_graph_policy_record_failure(record, &facts, &verdict, &failure);

    was_armed = state->breaker.armed;

    ngx_http_graph_policy_state_describe(state, &failure);
    ngx_http_graph_policy_restore_breaker(&state->breaker, record);
    ngx_http_graph_policy_state_update(zone, state, was_armed);

    if (state->member.key != record->group) {
        ngx_http_graph_policy_group_leave(zone->sh, state);
        ngx_http_graph_policy_group_rejoin(zone->sh, state, record->group);
    }

    /* a file may say who it was, an entry tells also that nobody knows */

    if (record->node.len != 0
        || (zone->share != NULL && zone->share->applying))
    {
        ngx_http_graph_policy_mark_node(zone, &state->node_name,
                                        record->node.data, record->node.len);
    }
}


static void
ngx_http_graph_policy_record_failure(ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_failure_t *failure)
{
    ngx_memzero(facts, sizeof(ngx_http_graph_policy_facts_t));
    ngx_memzero(verdict, sizeof(ngx_http_graph_policy_verdict_t));
    ngx_memzero(failure, sizeof(ngx_http_graph_policy_failure_t));

    facts->has_code = (record->code >= 0);
    facts->code = record->code;
    facts->has_subcode = (record->subcode >= 0);
    facts->subcode = record->subcode;
    facts->trace_len = record->trace.len;
    ngx_memcpy(facts->trace, record->trace.data, record->trace.len);

    verdict->category = (uint8_t) record->category;
    verdict->reason = (uint8_t) record->reason;
    verdict->dry_run = (record->dry_run != 0);

    failure->facts = facts;
    failure->verdict = verdict;
    failure->source = record->source;
    failure->status = record->status;
    failure->credential = record->setter;
}


static void
ngx_http_graph_policy_restore_breaker(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_record_t *record)
{
    b->since = record->since;
    b->until = record->until;
    b->changed = record->changed;
    b->hold = (uint32_t) record->hold;
    b->max = (uint32_t) record->max;
    b->confirm = (uint32_t) record->confirm;
    b->holds = (uint16_t) ngx_min(record->holds, 0xffff);
    b->armed = (record->armed != 0);
    b->moved = (record->moved != 0);
    b->was_frozen = (b->was_frozen || record->frozen != 0
                     || record->until == NGX_HTTP_GRAPH_POLICY_NEVER);
}


/*
 * A temporary state has no wait for a status, and a file of an earlier version
 * tells none.  Such a record is made as it is read: hosts compare what they
 * have with what they were told.
 */

static uint64_t
ngx_http_graph_policy_record_confirm(uint64_t confirm)
{
    return (confirm != 0) ? ngx_min(confirm, NGX_HTTP_GRAPH_POLICY_LONGEST)
                          : NGX_HTTP_GRAPH_POLICY_CONFIRM;
}


/*
 * Limits the times of a record, so that neither a clock that was wrong nor a
 * file that was edited can block for longer than a hold.
 */

void
ngx_http_graph_policy_record_bound(ngx_http_graph_policy_record_t *record,
    uint64_t now)
{
    uint64_t  last;

    record->hold = ngx_min(record->hold, NGX_HTTP_GRAPH_POLICY_LONGEST);
    record->max = ngx_min(record->max, NGX_HTTP_GRAPH_POLICY_LONGEST);

    record->confirm = ngx_http_graph_policy_record_confirm(record->confirm);

    if (record->armed
        && record->until == NGX_HTTP_GRAPH_POLICY_NEVER
        && record->source == NGX_HTTP_GRAPH_POLICY_SOURCE_API)
    {
        return;
    }

    last = record->armed
           ? now + record->hold + record->hold / 10
           : now + ngx_max(record->hold, NGX_HTTP_GRAPH_POLICY_MEMORY);

    record->until = ngx_min(record->until, last);
}


ngx_uint_t
ngx_http_graph_policy_record_is_over(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now)
{
    ngx_http_graph_policy_breaker_t  b;
    ngx_http_graph_policy_order_e    order;

    ngx_memzero(&b, sizeof(ngx_http_graph_policy_breaker_t));
    ngx_http_graph_policy_restore_breaker(&b, record);

    order = ngx_http_graph_policy_breaker_order(&b,
                      record->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY,
                      record->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER,
                      record->credential != 0);

    return ngx_http_graph_policy_breaker_is_over(order,
                   ngx_http_graph_policy_breaker_order_key(&b, zone->memory,
                                                           now),
                                                 now);
}
