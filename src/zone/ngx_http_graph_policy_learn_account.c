
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Signed events teach the zone which phones an account has, and end a state
 * whose cause is gone.
 *
 * Lock and memory: see the zone's own file.  Views are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


/* milliseconds for which nobody else may take a phone from its account */
#define NGX_HTTP_GRAPH_POLICY_LINKED   86400000

/*
 * At most so many phones are known of an account, many more than Meta allows.
 * Without a bound the signer of one account could fill the zone, and evict the
 * links of others.
 */
#define NGX_HTTP_GRAPH_POLICY_PHONES   1000


static void ngx_http_graph_policy_link_doubt(
    ngx_http_graph_policy_shctx_t *sh, ngx_http_graph_policy_link_t *link,
    ngx_http_graph_policy_identity_t *id);
static void ngx_http_graph_policy_link_regroup(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id);
static ngx_http_graph_policy_state_t *ngx_http_graph_policy_note(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_reason_e reason, uint64_t now,
    ngx_http_graph_policy_changes_t *changes);


/*
 * The link that was confirmed last.  Each webhook confirms one, and many of a
 * phone come in a second; while nothing has changed the zone needn't hear of it
 * more often than once a second.
 */

typedef struct {
    ngx_http_graph_policy_shctx_t  *sh;
    uint64_t                        revision;
    uint64_t                        second;
    uint64_t                        number;
    size_t                          phone_len;
    size_t                          account_len;
    u_char                          phone[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    u_char                          account[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
} ngx_http_graph_policy_confirmed_t;


static ngx_http_graph_policy_confirmed_t  ngx_http_graph_policy_confirmed;


static ngx_uint_t
ngx_http_graph_policy_is_confirmed(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now)
{
    ngx_http_graph_policy_confirmed_t  *last;

    last = &ngx_http_graph_policy_confirmed;

    return last->sh == zone->sh
           && last->revision == zone->sh->revision
           && last->second == now / 1000
           && last->number == id->number
           && last->phone_len == id->phone.len
           && last->account_len == id->account.len
           && ngx_memcmp(last->phone, id->phone.data, id->phone.len) == 0
           && ngx_memcmp(last->account, id->account.data, id->account.len)
              == 0;
}


static void
ngx_http_graph_policy_keep_confirmed(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now)
{
    ngx_http_graph_policy_confirmed_t  *last;

    last = &ngx_http_graph_policy_confirmed;

    last->sh = zone->sh;
    last->revision = zone->sh->revision;
    last->second = now / 1000;
    last->number = id->number;
    last->phone_len = id->phone.len;
    last->account_len = id->account.len;
    ngx_memcpy(last->phone, id->phone.data, id->phone.len);
    ngx_memcpy(last->account, id->account.data, id->account.len);
}


ngx_http_graph_policy_link_e
ngx_http_graph_policy_zone_link(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_str_t *other, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_http_graph_policy_link_e   rc;
    ngx_http_graph_policy_link_t  *link;

    if (id->phone.len == 0
        || id->phone.len > NGX_HTTP_GRAPH_POLICY_PHONE_LEN
        || id->account.len == 0
        || id->account.len > NGX_HTTP_GRAPH_POLICY_KEY_LEN)
    {
        return NGX_HTTP_GRAPH_POLICY_LINK_NO_ROOM;
    }

    rc = NGX_HTTP_GRAPH_POLICY_LINK_KNOWN;

    /* Without "other" it is another host's, whose time has to be kept. */

    if (other != NULL && ngx_http_graph_policy_is_confirmed(zone, id, now)) {
        return rc;
    }

    ngx_http_graph_policy_zone_edit(zone, changes);

    link = ngx_http_graph_policy_link_find(zone->sh, &id->phone,
                                           &id->phone_hash);

    if (link != NULL && !ngx_http_graph_policy_link_is_of(link, &id->account))
    {
        if (other != NULL
            && now < link->confirmed + NGX_HTTP_GRAPH_POLICY_LINKED)
        {
            ngx_memcpy(other->data, link->account, link->account_len);
            other->len = link->account_len;
            rc = NGX_HTTP_GRAPH_POLICY_LINK_OTHER;
            goto done;
        }

        ngx_http_graph_policy_link_remove(zone, link);
        link = NULL;
    }

    if (link == NULL
        && ngx_http_graph_policy_link_count(zone->sh,
                     ngx_http_graph_policy_key_hash(zone->sh, &id->account,
                                                    &id->account_hash))
           >= NGX_HTTP_GRAPH_POLICY_PHONES)
    {
        changes->refused = 1;
        rc = NGX_HTTP_GRAPH_POLICY_LINK_TOO_MANY;
        goto done;
    }

    if (link == NULL) {
        link = ngx_http_graph_policy_link_create(zone, id, now, changes);

        if (link == NULL) {
            changes->refused = 1;
            changes->full = 1;
            rc = NGX_HTTP_GRAPH_POLICY_LINK_NO_ROOM;
            goto done;
        }

        ngx_http_graph_policy_link_regroup(zone, id);
    }

    zone->sh->editing = 1;

    ngx_http_graph_policy_link_doubt(zone->sh, link, id);

    /* each message confirms it; the others needn't know each time */

    if (link->confirmed == 0
        || now >= link->confirmed + NGX_HTTP_GRAPH_POLICY_FRESH
        || (id->number != 0 && id->number != link->number))
    {
        ngx_http_graph_policy_mark(zone, link->node.key, 0,
                                   NGX_HTTP_GRAPH_POLICY_MARK_LINK);
    }

    if (id->number != 0) {
        ngx_http_graph_policy_link_give_number(zone, link, id->number);
    }

    link->confirmed = now;
    ngx_queue_remove(&link->queue);
    ngx_queue_insert_tail(&zone->sh->link_queue, &link->queue);

    ngx_http_graph_policy_keep_confirmed(zone, id, now);

done:

    ngx_http_graph_policy_zone_publish(zone, changes);

    return rc;
}


/* An old event may name a number that is another phone's by now. */

static void
ngx_http_graph_policy_link_doubt(ngx_http_graph_policy_shctx_t *sh,
    ngx_http_graph_policy_link_t *link, ngx_http_graph_policy_identity_t *id)
{
    if (id->old && id->number != link->number
        && (link->number != 0
            || ngx_http_graph_policy_number_is_taken(sh, link, id->number)))
    {
        id->number = 0;
    }
}


/*
 * A phone that was disconnected before its account was known joins the group of
 * the account.
 */

static void
ngx_http_graph_policy_link_regroup(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id)
{
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    if (ngx_http_graph_policy_state_place(zone->sh, id,
                                          NGX_HTTP_GRAPH_POLICY_KEY_PHONE, 0,
                                          &place)
        != NGX_OK)
    {
        return;
    }

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash,
                                     NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED);

    if (state != NULL && ngx_http_graph_policy_state_is_at(state, &place)) {
        zone->sh->editing = 1;
        ngx_http_graph_policy_revise(zone->sh);
        ngx_http_graph_policy_group_join(zone->sh, state, id);
    }
}


void
ngx_http_graph_policy_zone_resolve(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason, uint64_t when, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_uint_t                      was_armed;
    ngx_http_graph_policy_place_t   place;
    ngx_http_graph_policy_state_t  *state;

    ngx_http_graph_policy_zone_edit(zone, changes);

    if (ngx_http_graph_policy_state_place(zone->sh, id, kind, 0, &place)
        != NGX_OK)
    {
        goto done;
    }

    ngx_http_graph_policy_expire(zone, now, changes);

    state = ngx_http_graph_policy_state_find(zone->sh, place.hash, reason);

    /*
     * The end is remembered so that an older event doesn't bring the state
     * back.  If this event is stale already, older ones aren't believed anyway,
     * and nothing has to be remembered.
     */

    if (state == NULL && now < when + NGX_HTTP_GRAPH_POLICY_FRESH
        && kind != NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE)
    {
        state = ngx_http_graph_policy_note(zone, &place, reason, now, changes);
    }

    if (state == NULL || !ngx_http_graph_policy_state_is_at(state, &place)) {
        goto done;
    }

    was_armed = state->breaker.armed;

    if (!ngx_http_graph_policy_breaker_resolve(&state->breaker, when, now)) {
        goto done;
    }

    if (was_armed) {
        ngx_http_graph_policy_state_note(zone->sh, state, now,
                                         NGX_HTTP_GRAPH_POLICY_CLEARED,
                                         changes);
    }

    ngx_http_graph_policy_state_update(zone, state, was_armed);

done:

    ngx_http_graph_policy_zone_publish(zone, changes);
}


/*
 * Creates a closed state that remembers the time of its end; only from free
 * memory, as it isn't worth evicting another state.
 */

static ngx_http_graph_policy_state_t *
ngx_http_graph_policy_note(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_place_t *place,
    ngx_http_graph_policy_reason_e reason, uint64_t now,
    ngx_http_graph_policy_changes_t *changes)
{
    if (zone->shpool->pfree < 4) {
        return NULL;
    }

    return ngx_http_graph_policy_state_create(zone, place, reason, 0, now,
                                              changes);
}
