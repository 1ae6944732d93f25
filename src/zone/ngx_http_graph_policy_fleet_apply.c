
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * News of another host changes the zone where it is later than what the zone
 * has; nothing of it is told back.
 *
 * Lock and memory: see the zone's own file.  Records and views are the
 * caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_merge.h"
#include "ngx_http_graph_policy_past.h"
#include "ngx_http_graph_policy_state.h"


static ngx_http_graph_policy_received_e ngx_http_graph_policy_apply_state(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);
static ngx_http_graph_policy_received_e ngx_http_graph_policy_apply_to(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record, uint64_t now);
static void ngx_http_graph_policy_apply_until(
    ngx_http_graph_policy_record_t *record, uint64_t now);
static ngx_uint_t ngx_http_graph_policy_apply_is_own(
    ngx_http_graph_policy_breaker_t *b, ngx_uint_t slot, uint64_t now);
static void ngx_http_graph_policy_apply_same(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record, uint64_t now);
static void ngx_http_graph_policy_apply_lease(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record, uint64_t now);
static void ngx_http_graph_policy_take_over_lease(
    ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_record_t *record, uint64_t now);
static ngx_http_graph_policy_received_e ngx_http_graph_policy_apply_link(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);


ngx_http_graph_policy_received_e
ngx_http_graph_policy_fleet_apply(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_received_e  received;

    view->transition = NGX_HTTP_GRAPH_POLICY_NOTHING;

    zone->share->applying = 1;

    switch (record->type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_STATE:
        received = ngx_http_graph_policy_apply_state(zone, record, now, changes,
                                                     view);
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        received = ngx_http_graph_policy_apply_conversation(zone, record, now,
                                                            changes, view);
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_LINK:
        received = ngx_http_graph_policy_apply_link(zone, record, now, changes);
        break;

    default:
        received = NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;
        break;
    }

    zone->share->applying = 0;

    return received;
}


static ngx_http_graph_policy_received_e
ngx_http_graph_policy_apply_state(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                         was_armed;
    ngx_http_graph_policy_place_t      place;
    ngx_http_graph_policy_state_t     *state;
    ngx_http_graph_policy_received_e   received;

    received = NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;

    if (record->changed > now + NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD) {
        return received;
    }

    if (record->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION
        && !zone->share->conversations)
    {
        return NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;
    }

    /* an event's cause may be older than the state that it has set */

    if (record->source != NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK
        || record->since > now + NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD)
    {
        record->since = ngx_min(record->since, record->changed);
    }

    record->blocked = 0;

    ngx_http_graph_policy_zone_edit(zone, changes);

    if (ngx_http_graph_policy_record_place(zone->sh, record, &place) != NGX_OK)
    {
        goto done;
    }

    record->hash = place.hash;

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                             record->reason);

    if (state != NULL
        && !ngx_http_graph_policy_state_is_at(state, &place))
    {
        goto done;
    }

    was_armed = (state != NULL && state->breaker.armed);

    if (state != NULL) {
        received = ngx_http_graph_policy_apply_to(zone, state, record, now);

    } else if (record->stale) {
        received = NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER;

    } else if (ngx_http_graph_policy_record_is_over(zone, record, now)) {
        received = NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;

    } else {
        ngx_http_graph_policy_apply_until(record, now);

        state = ngx_http_graph_policy_record_create(zone, &place, record, now,
                                                    changes);

        if (state == NULL) {
            changes->refused = 1;
            received = NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;

        } else {
            received = NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED;
            ngx_http_graph_policy_apply_lease(zone, state, record, now);
        }
    }

    if (received == NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED
        && (was_armed || state->breaker.armed))
    {
        ngx_http_graph_policy_state_view(zone->sh, state, now, view);
        view->transition = !state->breaker.armed
                           ? NGX_HTTP_GRAPH_POLICY_CLEARED
                           : was_armed ? NGX_HTTP_GRAPH_POLICY_REARMED
                                       : NGX_HTTP_GRAPH_POLICY_SET;

        ngx_http_graph_policy_past_note(zone->sh, view, view->transition, now,
                                        1);
    }

done:

    ngx_http_graph_policy_zone_publish(zone, changes);

    return received;
}


static ngx_http_graph_policy_received_e
ngx_http_graph_policy_apply_to(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record, uint64_t now)
{
    ngx_int_t                       rc;
    ngx_http_graph_policy_record_t  own;

    ngx_http_graph_policy_record_state(zone->sh, state, &own);

    rc = ngx_http_graph_policy_merge_compare(record, &own);

    if (rc < 0 || (rc > 0 && record->stale)) {
        return NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER;
    }

    if (rc == 0) {

        if (!record->known) {
            ngx_http_graph_policy_apply_same(zone, state, record, now);
        }

        return NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;
    }

    /* a probe that left before the last change changes nothing */

    state->breaker.confirming = 0;
    ngx_memzero(&state->breaker.leases,
                sizeof(ngx_http_graph_policy_leases_t));

    ngx_http_graph_policy_apply_until(record, now);
    ngx_http_graph_policy_record_fill(zone, state, record);
    ngx_http_graph_policy_apply_lease(zone, state, record, now);

    return NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED;
}


/* each host has a jitter of its own, so that one comes first and probes */

static void
ngx_http_graph_policy_apply_until(ngx_http_graph_policy_record_t *record,
    uint64_t now)
{
    ngx_uint_t  plain;

    record->until = ngx_http_graph_policy_merge_until(record, now,
                                                      (uint32_t) ngx_random(),
                                                      &plain);

    ngx_http_graph_policy_record_bound(record, now);
}


/* Returns 1 if this host has given away the lease of the slot itself. */

static ngx_uint_t
ngx_http_graph_policy_apply_is_own(ngx_http_graph_policy_breaker_t *b,
    ngx_uint_t slot, uint64_t now)
{
    uint32_t  token;

    token = b->leases.holder.tokens[slot];

    return !b->confirming && token != 0
           && token != NGX_HTTP_GRAPH_POLICY_FOREIGN_LEASE
           && (int32_t) (b->leases.until[slot] - (uint32_t) now) > 0;
}


/* in the same version the lease is as heard last, and the last end stands */

static void
ngx_http_graph_policy_apply_same(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record, uint64_t now)
{
    uint64_t                          tenth;
    ngx_uint_t                        plain, near, waits;
    ngx_http_graph_policy_breaker_t  *b;

    b = &state->breaker;

    if (!b->armed) {
        return;
    }

    /*
     * It has ended when the wait did, though nobody has asked since, unless
     * another host awaits a message by now.
     */

    if (ngx_http_graph_policy_breaker_has_ended(b, now)
        && (record->message == 0 || record->lease_until <= now))
    {
        return;
    }

    ngx_http_graph_policy_revise(zone->sh);

    waits = (b->confirming
             && now < ngx_http_graph_policy_breaker_leased_until(b, now));

    /* Another host that probes hasn't heard yet of the message awaited here. */

    if (waits && record->message != b->leases.holder.message) {
        return;
    }

    ngx_http_graph_policy_apply_lease(zone, state, record, now);

    /*
     * A probe may have come back to another host without an outcome.  That
     * takes the place of the hold's end, and the last one that of those before.
     */

    (void) ngx_http_graph_policy_merge_until(record, now, 0, &plain);

    if (plain || (b->moved && record->until <= b->until)) {
        return;
    }

    /*
     * Each host prolongs it by a tenth at most, and one that is near is what
     * another host has made of the same.
     */

    ngx_http_graph_policy_record_bound(record, now);

    tenth = ngx_min(b->hold, NGX_HTTP_GRAPH_POLICY_RETRY_HOLD) / 10;
    near = (b->moved && record->until <= b->until + tenth);

    b->until = record->until;
    b->moved = 1;

    if (b->until > now && b->until != NGX_HTTP_GRAPH_POLICY_NEVER && !near) {
        b->until += (uint32_t) ngx_random() % ((b->until - now) / 10 + 1);
    }

    ngx_http_graph_policy_state_refresh(zone, state);
}


/*
 * A state that waits for a status is kept with those that do: statuses are
 * looked at only while there are some.
 */

static void
ngx_http_graph_policy_apply_lease(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_state_t *state,
    ngx_http_graph_policy_record_t *record, uint64_t now)
{
    ngx_http_graph_policy_take_over_lease(&state->breaker, record, now);

    if (state->breaker.confirming
        || ngx_http_graph_policy_breaker_is_misplaced(&state->breaker,
                                                      state->order_in))
    {
        ngx_http_graph_policy_state_refresh(zone, state);
    }
}


/*
 * Another host's lease is kept beside those of this host's own probes, each in
 * its slot; with a message it waits for a status of that, which this host may
 * be the one to get, and all leases end, as they do where both are one host's.
 */

static void
ngx_http_graph_policy_take_over_lease(ngx_http_graph_policy_breaker_t *b,
    ngx_http_graph_policy_record_t *record, uint64_t now)
{
    uint64_t    until;
    ngx_uint_t  slot;

    if (b->confirming) {
        b->confirming = 0;
        b->leases.holder.message = 0;
    }

    /* what this host has given away itself stays as it is */

    for (slot = 0; slot < 2; slot++) {

        if (b->leases.holder.tokens[slot]
            == NGX_HTTP_GRAPH_POLICY_FOREIGN_LEASE)
        {
            b->leases.holder.tokens[slot] = 0;
        }
    }

    if (!b->armed || record->lease_until <= now) {
        return;
    }

    if (record->message != 0) {
        until = ngx_min(record->lease_until, now + b->confirm);

        b->leases.until[0] = (uint32_t) until;
        b->leases.holder.message = record->message;
        b->confirming = 1;

        return;
    }

    until = ngx_min(record->lease_until, now + NGX_HTTP_GRAPH_POLICY_LEASE);
    slot = (record->setter_leased != 0);

    if (ngx_http_graph_policy_apply_is_own(b, slot, now)) {
        return;
    }

    b->leases.until[slot] = (uint32_t) until;
    b->leases.holder.tokens[slot] = NGX_HTTP_GRAPH_POLICY_FOREIGN_LEASE;
}


static ngx_http_graph_policy_received_e
ngx_http_graph_policy_apply_link(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_int_t                         rc;
    ngx_http_graph_policy_link_t     *link;
    ngx_http_graph_policy_record_t    own;
    ngx_http_graph_policy_identity_t  id;

    if (record->confirmed > now + NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD) {
        return NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD;
    }

    ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));

    id.phone.data = record->key.data;
    id.phone.len = record->key.len;

    rc = 1;

    ngx_http_graph_policy_zone_lock(zone);

    link = ngx_http_graph_policy_link_find(zone->sh, &id.phone,
                                           &id.phone_hash);

    if (link != NULL) {
        ngx_http_graph_policy_record_link(link, &own);
        rc = ngx_http_graph_policy_merge_compare_links(record, &own);
    }

    ngx_http_graph_policy_zone_unlock(zone);

    record->hash = id.phone_hash;

    if (rc <= 0) {
        return (rc == 0) ? NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME
                         : NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER;
    }

    id.account.data = record->account.data;
    id.account.len = record->account.len;

    id.number = record->number;

    return (ngx_http_graph_policy_zone_link(zone, &id, NULL, record->confirmed,
                                            changes)
            == NGX_HTTP_GRAPH_POLICY_LINK_KNOWN)
           ? NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED
           : NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME;
}
