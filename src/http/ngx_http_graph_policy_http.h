
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_HTTP_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_compat.h"
#include "ngx_http_graph_policy_zone.h"


/* graph_policy_pause */
#define NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS  0
#define NGX_HTTP_GRAPH_POLICY_PAUSE_ALL    1

/* graph_policy_status */
#define NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM  0


typedef enum {
    NGX_HTTP_GRAPH_POLICY_PASSED = 0,
    NGX_HTTP_GRAPH_POLICY_PROBE,
    NGX_HTTP_GRAPH_POLICY_BLOCKED,
    NGX_HTTP_GRAPH_POLICY_BLOCKED_DRY_RUN
} ngx_http_graph_policy_status_e;


typedef struct {
    ngx_uint_t                       used;      /* some location enforces */
} ngx_http_graph_policy_main_conf_t;


typedef struct {
    ngx_shm_zone_t                  *shm_zone;  /* NULL: off */
    ngx_http_graph_policy_zone_t    *zone;      /* likewise, after merge */

    ngx_http_complex_value_t        *dry_run;   /* NULL: off */
    ngx_http_complex_value_t        *credential;
    ngx_http_complex_value_t        *account;
    ngx_http_complex_value_t        *phone;

    ngx_array_t                     *sends;  /* of ngx_http_complex_value_t */
    ngx_array_t                     *rules;
                                     /* of ngx_http_graph_policy_rule_t */

    ngx_uint_t                       pause;
    ngx_uint_t                       status;
    ngx_uint_t                       log_level;
    ngx_msec_t                       hold;
    ngx_msec_t                       hold_max;
    size_t                           buffer_size;
    ngx_flag_t                       accept_encoding;
} ngx_http_graph_policy_loc_conf_t;


/*
 * One request.  Made at first need, so that an accepted send has none; it
 * outlives internal redirects and is found again by its cleanup.
 */

typedef struct {
    ngx_http_request_t              *request;

    /* whose states were looked up, NULL if none were */
    ngx_http_graph_policy_zone_t    *zone;
    ngx_uint_t                       log_level;

    ngx_http_graph_policy_identity_t  identity;
    ngx_http_graph_policy_status_e   status;
    ngx_http_graph_policy_kind_e     kind;      /* valid where gated */

    /* leases taken, or states that would have blocked, by status */
    ngx_http_graph_policy_ref_t     *refs;
    ngx_uint_t                       nrefs;
    ngx_event_t                      renewal;

    /* the error body, as it came */
    u_char                          *body;
    size_t                           size;
    size_t                           capacity;

    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  verdict;

    /* the state that a local answer shows */
    ngx_http_graph_policy_view_t    *view;

    time_t                           retry_after;   /* seconds, 0: unknown */

    unsigned                         identified:1;
    unsigned                         credentialed:1;
    unsigned                         gated:1;
    unsigned                         hold:1;
    unsigned                         classified:1;
} ngx_http_graph_policy_ctx_t;


/* the context, or NULL if the request has none yet */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_get_ctx(
    ngx_http_request_t *r);
/* the context, made if need be; NULL if there is no memory */
ngx_http_graph_policy_ctx_t *ngx_http_graph_policy_make_ctx(
    ngx_http_request_t *r);

/* milliseconds of the wall clock */
uint64_t ngx_http_graph_policy_now(void);

/* whether what the policy would do here is only shown */
ngx_uint_t ngx_http_graph_policy_dry_run(ngx_http_request_t *r,
    ngx_http_graph_policy_loc_conf_t *glcf);

/* a handler of the precontent phase */
ngx_int_t ngx_http_graph_policy_gate(ngx_http_request_t *r);

/*
 * Tells the states whose leases the request holds what came of it; the
 * verdict is NULL where no classified error came.  Settles only once.
 */
void ngx_http_graph_policy_settle(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_outcome_e outcome,
    ngx_http_graph_policy_verdict_t *verdict);

/* logs a change of state at the location's level, once each */
void ngx_http_graph_policy_log_state(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view);
/* logs that the zone had no room for a state */
void ngx_http_graph_policy_log_full(ngx_http_graph_policy_ctx_t *ctx);

/* answers for Graph out of ctx->view; the request is finalized */
void ngx_http_graph_policy_reply(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);

/*
 * Response headers that both local answers and the upstream's bear.
 * NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_tag(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx);
ngx_int_t ngx_http_graph_policy_tag_probe(ngx_http_request_t *r);

/* writes a state's id, NGX_HTTP_GRAPH_POLICY_ID_LEN bytes */
u_char *ngx_http_graph_policy_write_id(u_char *p,
    ngx_http_graph_policy_view_t *view);

ngx_int_t ngx_http_graph_policy_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_graph_policy_filter_init(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_graph_policy_module;

/* the scope that users know, by ngx_http_graph_policy_key_e */
extern const uint8_t  ngx_http_graph_policy_key_scopes[];


#endif /* _NGX_HTTP_GRAPH_POLICY_HTTP_H_INCLUDED_ */
