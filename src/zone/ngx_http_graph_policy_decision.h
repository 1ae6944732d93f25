
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_DECISION_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_DECISION_H_INCLUDED_


/* This header is private to src/zone: what a worker keeps of its zone. */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"


/* A worker keeps so many decisions of each zone; the number is 2^BITS. */
#define NGX_HTTP_GRAPH_POLICY_DECISION_BITS  6
#define NGX_HTTP_GRAPH_POLICY_DECISIONS                                       \
    (1 << NGX_HTTP_GRAPH_POLICY_DECISION_BITS)


/*
 * An answer of the zone, and the question.  It holds while the zone has the
 * same revision; a revision of 0 says that there is none.
 */

struct ngx_http_graph_policy_decision_s {
    uint64_t                            revision;
    uint64_t                            asked;      /* ms, when it was made */
    uint64_t                            until;      /* ms, it ends before */

    /* the question */
    uint64_t                            credential;
    uint32_t                            about;      /* see decision.c */
    u_char                              phone[
                                           NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    u_char                              account[NGX_HTTP_GRAPH_POLICY_KEY_LEN];

    /* the account that the zone filled in, of length 0 if it did not */
    size_t                              learnt_len;
    u_char                              learnt[NGX_HTTP_GRAPH_POLICY_KEY_LEN];

    /*
     * The state that blocks, NULL if the request passes.  The pointer is used
     * only with the mutex held and the same revision, as each removal of a
     * state raises that.
     */
    ngx_http_graph_policy_state_t      *state;
    ngx_http_graph_policy_view_t        view;
};


/*
 * Sets "admission" as zone_admit() would, with "cover" and "view", and counts
 * what is blocked.  Returns 1 if it did, 0 if the zone has to be asked.  The
 * mutex must not be held.
 */
ngx_uint_t ngx_http_graph_policy_decision_recall(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_query_t *query,
    uint64_t now, ngx_http_graph_policy_admission_e *admission,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);

/*
 * Keeps what the zone has decided, if that can be recalled.  "asked" is the
 * length of the account that the request named itself; "shown" is the state
 * in the view, or NULL; "covered" is the number of states and limits that cover
 * the request.  Called with the mutex held.
 */
void ngx_http_graph_policy_decision_keep(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_query_t *query, size_t asked, uint64_t now,
    ngx_http_graph_policy_admission_e admission,
    ngx_http_graph_policy_state_t *shown, ngx_uint_t covered,
    ngx_http_graph_policy_view_t *view);


#endif /* _NGX_HTTP_GRAPH_POLICY_DECISION_H_INCLUDED_ */
