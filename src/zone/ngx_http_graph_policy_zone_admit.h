
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


/* milliseconds after which a probe that is under way renews its lease */
#define NGX_HTTP_GRAPH_POLICY_RENEW        10000


/* whether somebody may pass */

typedef struct {
    ngx_http_graph_policy_identity_t  identity;
    ngx_http_graph_policy_kind_e      kind;
    ngx_http_graph_policy_gate_t      gate;      /* of conversations */
    uint32_t                         lease;     /* one it has already, or 0 */
    unsigned                         may_probe:1;   /* its target is in normal
                                                       form, its body there */
    unsigned                         asks_again:1;  /* where a state is due */
    unsigned                         cooldown:1;    /* temporary ones count */
    unsigned                         uncounted:1;   /* among the blocked */
} ngx_http_graph_policy_query_t;


/*
 * States of one identity, as many as can cover one request: of each reason
 * one in each place.  A place is everyone's or bound to a credential, but for
 * that of the credential itself.
 */

#define NGX_HTTP_GRAPH_POLICY_NREFS                                           \
    ((2 * NGX_HTTP_GRAPH_POLICY_NKEYS - 1) * NGX_HTTP_GRAPH_POLICY_NREASONS)

typedef struct {
    ngx_uint_t                       n;
    ngx_http_graph_policy_ref_t      refs[NGX_HTTP_GRAPH_POLICY_NREFS];
} ngx_http_graph_policy_cover_t;

/*
 * The number of armed states, one load without the lock.  0 says that no
 * request can be covered.
 */
ngx_uint_t ngx_http_graph_policy_zone_armed(
    ngx_http_graph_policy_zone_t *zone);

/* The same of those that bear a credential: is it worth finding out? */
ngx_uint_t ngx_http_graph_policy_zone_armed_bound(
    ngx_http_graph_policy_zone_t *zone);

/* The same of conversations: is the body worth reading? */
ngx_uint_t ngx_http_graph_policy_zone_armed_conversations(
    ngx_http_graph_policy_zone_t *zone);

/* The same of messages whose status is waited for: is it worth telling? */
ngx_uint_t ngx_http_graph_policy_zone_awaited(
    ngx_http_graph_policy_zone_t *zone);

/* How many conversations are limited: is the body worth reading? */
ngx_uint_t ngx_http_graph_policy_zone_limited(
    ngx_http_graph_policy_zone_t *zone);

/*
 * Looks up the states that cover who asks; a send without a credential mustn't
 * change a state, so it never probes.  Returns
 *   ADMIT_PASS     nothing covers, or nothing that does blocks this request;
 *                  "cover" may name a conversation that this location's hold
 *                  has let go;
 *   ADMIT_PROBE    the request is the probe: "cover" names the states whose
 *                  lease it took, to be settled under their tokens;
 *   ADMIT_BLOCK    blocked; "view" is the state with the latest end, "cover"
 *                  names all, without leases;
 *   ADMIT_DRY_RUN  as ADMIT_BLOCK, but only states of rules in dry run block.
 * "now" is in milliseconds.  What was over is told by "changes".
 */
ngx_http_graph_policy_admission_e ngx_http_graph_policy_zone_admit(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_query_t *query,
    uint64_t now, ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);

/*
 * Keeps the leases of "refs" for another NGX_HTTP_GRAPH_POLICY_LEASE, which is
 * no news.
 */
void ngx_http_graph_policy_zone_renew(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now);

/*
 * Whether fatal states block the phone of "id" for everyone before their hold
 * is over, and none of them is one of the "n" that "refs" names; "view" is the
 * one with the latest end if so.
 */
ngx_uint_t ngx_http_graph_policy_zone_is_paused(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now,
    ngx_http_graph_policy_view_t *view);


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_ADMIT_H_INCLUDED_ */
