
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A worker keeps what the zone has decided on its last requests, and answers
 * the same question again without hashing, looking up and weighing.  Many sends
 * in a row are of the same phone, above all while it is blocked.
 *
 * A decision stands as long as all of this is true.  The zone's revision, which
 * each change of a state, a lease or a link raises before the change is made,
 * is still the same.  The hold that blocks isn't over: neither the end of a
 * hold nor a probe is ever decided here.  The clock wasn't stepped back, and
 * the decision is no older than KEPT_FOR, so that the zone goes on sweeping
 * what is over.
 *
 * Lock rule: a decision that lets pass is recalled without the mutex, since the
 * revision is one word; the zone may change just behind that load, as it may
 * behind an unlock.  One that blocks takes the mutex to count the send.
 * Memory: the decisions are the worker's own and lie in the pool of the
 * configuration, so they go with their zone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_decision.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"


/* ms; also the time between two sweeps of the zone */
#define NGX_HTTP_GRAPH_POLICY_KEPT_FOR  100

/* An odd multiplier, 2^64 over the golden ratio, spreads the phones. */
#define NGX_HTTP_GRAPH_POLICY_SPREAD    0x9e3779b97f4a7c15ULL


/* The lengths of phone and account are at most 255, and so is the kind. */

#define ngx_http_graph_policy_about(query, account)                           \
    ((uint32_t) (query)->kind                                                 \
     | (uint32_t) (query)->cooldown << 8                                      \
     | (uint32_t) (query)->identity.phone.len << 16                           \
     | (uint32_t) (account) << 24)


static ngx_http_graph_policy_decision_t *ngx_http_graph_policy_decision_of(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query);


/*
 * Returns the place of a question's decision; NULL if it can't have one, since
 * its decision depends on more than states and their holds.
 */

static ngx_http_graph_policy_decision_t *
ngx_http_graph_policy_decision_of(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query)
{
    uint64_t                           n;
    ngx_http_graph_policy_identity_t  *id;

    id = &query->identity;

    if (!query->asks_again || query->uncounted || query->lease != 0
        || id->conversation != 0
        || id->phone.len > NGX_HTTP_GRAPH_POLICY_PHONE_LEN
        || id->account.len > NGX_HTTP_GRAPH_POLICY_KEY_LEN)
    {
        return NULL;
    }

    n = 0;

    if (id->phone.len >= sizeof(uint64_t)) {
        ngx_memcpy(&n, id->phone.data + id->phone.len - sizeof(uint64_t),
                   sizeof(uint64_t));
    }

    n = (n ^ id->credential) * NGX_HTTP_GRAPH_POLICY_SPREAD;

    return &zone->decisions[n >> (64 - NGX_HTTP_GRAPH_POLICY_DECISION_BITS)];
}


ngx_uint_t
ngx_http_graph_policy_decision_recall(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, uint64_t now,
    ngx_http_graph_policy_admission_e *admission,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view)
{
    uint32_t                           blocked;
    ngx_http_graph_policy_decision_t  *decision;
    ngx_http_graph_policy_identity_t  *id;

    id = &query->identity;
    decision = ngx_http_graph_policy_decision_of(zone, query);

    /* If "asked" is ahead of the clock, the difference is a huge number. */

    if (decision == NULL
        || decision->revision != zone->sh->revision
        || now - decision->asked >= NGX_HTTP_GRAPH_POLICY_KEPT_FOR
        || now >= decision->until
        || decision->credential != id->credential
        || decision->about != ngx_http_graph_policy_about(query,
                                                          id->account.len)
        || (id->phone.len != 0
            && ngx_memcmp(decision->phone, id->phone.data, id->phone.len) != 0)
        || (id->account.len != 0
            && ngx_memcmp(decision->account, id->account.data, id->account.len)
               != 0))
    {
        return 0;
    }

    if (decision->state == NULL) {
        *admission = NGX_HTTP_GRAPH_POLICY_ADMIT_PASS;

    } else {
        ngx_http_graph_policy_zone_lock(zone);

        if (decision->revision != zone->sh->revision) {
            ngx_http_graph_policy_zone_unlock(zone);
            return 0;
        }

        blocked = ++decision->state->blocked;

        ngx_http_graph_policy_zone_unlock(zone);

        *view = decision->view;
        view->blocked = blocked;

        *admission = NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK;
    }

    cover->n = 0;

    if (decision->learnt_len != 0) {
        ngx_memcpy(id->learnt, decision->learnt, decision->learnt_len);
        id->account.data = id->learnt;
        id->account.len = decision->learnt_len;
    }

    return 1;
}


void
ngx_http_graph_policy_decision_keep(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, size_t asked, uint64_t now,
    ngx_http_graph_policy_admission_e admission,
    ngx_http_graph_policy_state_t *shown, ngx_uint_t covered,
    ngx_http_graph_policy_view_t *view)
{
    ngx_http_graph_policy_decision_t  *decision;
    ngx_http_graph_policy_identity_t  *id;

    /* A state that waits for the status of a message ends by the clock. */

    if (zone->sh->awaited != 0) {
        return;
    }

    switch (admission) {

    case NGX_HTTP_GRAPH_POLICY_ADMIT_PASS:

        /* What is due or in dry run has let it pass, but covers it. */

        if (covered != 0) {
            return;
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK:

        /* A lease ends with the probe, or by the clock. */

        if (shown == NULL || view->leased || view->until <= now) {
            return;
        }

        break;

    default:
        return;
    }

    decision = ngx_http_graph_policy_decision_of(zone, query);

    if (decision == NULL) {
        return;
    }

    id = &query->identity;

    decision->revision = zone->sh->revision;
    decision->asked = now;
    decision->credential = id->credential;
    decision->about = ngx_http_graph_policy_about(query, asked);
    decision->learnt_len = (asked == 0) ? id->account.len : 0;

    if (id->phone.len != 0) {
        ngx_memcpy(decision->phone, id->phone.data, id->phone.len);
    }

    if (id->account.len != 0) {
        ngx_memcpy((asked == 0) ? decision->learnt : decision->account,
                   id->account.data, id->account.len);
    }

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_PASS) {
        decision->state = NULL;
        decision->until = NGX_HTTP_GRAPH_POLICY_NEVER;

    } else {
        decision->state = shown;
        decision->until = view->until;
        decision->view = *view;
    }
}
