
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_ADMIT_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_ADMIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_zone.h"


/* ms; a probe that is under way renews its lease each time they have passed */
#define NGX_HTTP_GRAPH_POLICY_RENEW        10000


/* A request's question if it may pass. */

typedef struct {
    ngx_http_graph_policy_identity_t  identity;
    ngx_http_graph_policy_kind_e      kind;
    ngx_http_graph_policy_gate_t      gate;      /* for conversations */
    uint32_t                         lease;     /* held already, or 0 */
    unsigned                         may_probe:1;   /* target in normal form,
                                                       body was read */
    unsigned                         asks_again:1;  /* if a state is due */
    unsigned                         cooldown:1;    /* temporary states block */
    unsigned                         uncounted:1;   /* not a blocked send */
} ngx_http_graph_policy_query_t;


/*
 * The states that cover one request: at most one of each reason in each place.
 * Each kind of key has two places, for everyone and bound to a credential, but
 * the key of the credential itself has one.
 */

#define NGX_HTTP_GRAPH_POLICY_NREFS                                           \
    ((2 * NGX_HTTP_GRAPH_POLICY_NKEYS - 1) * NGX_HTTP_GRAPH_POLICY_NREASONS)

typedef struct {
    ngx_uint_t                       n;
    ngx_http_graph_policy_ref_t      refs[NGX_HTTP_GRAPH_POLICY_NREFS];
} ngx_http_graph_policy_cover_t;

/*
 * The next five functions return a number, by one load without the lock, so
 * that requests need no further work while it is 0.  zone_armed(): the number
 * of armed states; while it is 0, no request can be covered.
 */
ngx_uint_t ngx_http_graph_policy_zone_armed(
    ngx_http_graph_policy_zone_t *zone);

/* Armed states bound to a credential; 0: it needn't be found out. */
ngx_uint_t ngx_http_graph_policy_zone_armed_bound(
    ngx_http_graph_policy_zone_t *zone);

/* Armed states of conversations; 0: the body needn't be read for them. */
ngx_uint_t ngx_http_graph_policy_zone_armed_conversations(
    ngx_http_graph_policy_zone_t *zone);

/* States that wait for the status of a message; 0: statuses don't matter. */
ngx_uint_t ngx_http_graph_policy_zone_awaited(
    ngx_http_graph_policy_zone_t *zone);

/* Conversations that are limited; 0: the body needn't be read for them. */
ngx_uint_t ngx_http_graph_policy_zone_limited(
    ngx_http_graph_policy_zone_t *zone);

/*
 * Looks up the states that cover a request.  A send without a credential never
 * probes, as an answer to it must not change a state.  Returns
 *   ADMIT_PASS     no state covers the request, or none of them blocks it;
 *                  "cover" may name a conversation that this location's hold
 *                  has let go;
 *   ADMIT_PROBE    the request is the probe: "cover" names the states whose
 *                  lease it took, to be settled under their tokens;
 *   ADMIT_BLOCK    blocked; "view" is the state with the latest end, "cover"
 *                  names all, without leases;
 *   ADMIT_DRY_RUN  as ADMIT_BLOCK, but only states of rules in dry run block.
 * "now" is in milliseconds.  States that were found to be over are told by
 * "changes".
 */
ngx_http_graph_policy_admission_e ngx_http_graph_policy_zone_admit(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_query_t *query,
    uint64_t now, ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);

/*
 * Extends the leases of "refs" by another NGX_HTTP_GRAPH_POLICY_LEASE.
 * Nothing is logged, as the states don't change.
 */
void ngx_http_graph_policy_zone_renew(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now);

/*
 * Returns 1 if fatal states block the phone of "id" for everyone, their hold
 * isn't over, and none of them is among the "n" of "refs"; "view" is then the
 * one with the latest end.
 */
ngx_uint_t ngx_http_graph_policy_zone_is_paused(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now,
    ngx_http_graph_policy_view_t *view);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_ADMIT_H_INCLUDED_ */
