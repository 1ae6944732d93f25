
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_json.h"


/* Graph's ids are decimal numbers of 64 bits, which have up to 20 digits. */
#define NGX_HTTP_GRAPH_POLICY_PHONE_LEN    20
#define NGX_HTTP_GRAPH_POLICY_KEY_LEN      64

/* the length of a fingerprint in text, hexadecimal */
#define NGX_HTTP_GRAPH_POLICY_FP_LEN       16

/* the name of a host in a fleet, at most */
#define NGX_HTTP_GRAPH_POLICY_NODE_LEN     40

/* the length of a state's id: its key's hash and its reason, hexadecimal */
#define NGX_HTTP_GRAPH_POLICY_ID_LEN       18


typedef struct ngx_http_graph_policy_shctx_s  ngx_http_graph_policy_shctx_t;
typedef struct ngx_http_graph_policy_state_file_s
    ngx_http_graph_policy_state_file_t;
typedef struct ngx_http_graph_policy_share_s  ngx_http_graph_policy_share_t;
typedef struct ngx_http_graph_policy_decision_s
    ngx_http_graph_policy_decision_t;


typedef struct ngx_http_graph_policy_changes_s  ngx_http_graph_policy_changes_t;
typedef struct ngx_http_graph_policy_sweep_s  ngx_http_graph_policy_sweep_t;
typedef struct ngx_http_graph_policy_zone_s  ngx_http_graph_policy_zone_t;

/*
 * Logs and counts a list of changes.  It is called once for each list, without
 * the mutex; see change.h.
 */
typedef void (*ngx_http_graph_policy_tell_pt)(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);


struct ngx_http_graph_policy_zone_s {
    ngx_str_t                        name;
    ngx_shm_zone_t                  *shm_zone;
    ngx_pool_t                      *pool;      /* the configuration's */
    ngx_http_graph_policy_shctx_t   *sh;
    ngx_slab_pool_t                 *shpool;
    ngx_uint_t                       recovered; /* to be logged on unlock */
    ngx_uint_t                       parked;    /* requests of this worker */
    ngx_http_graph_policy_decision_t  *decisions;   /* this worker's */
    ngx_http_graph_policy_state_file_t  *file;  /* NULL: none */
    ngx_http_graph_policy_share_t   *share;     /* NULL: not in a fleet */

    /* The configuration sets these by the locations that use the zone. */
    uint32_t                         conversation_hold;  /* ms, 0: no gate */
    uint32_t                         memory;    /* ms, of an end */

    ngx_http_graph_policy_tell_pt    tell;
    void                            *data;      /* the teller's */
    ngx_http_graph_policy_sweep_t   *sweep;     /* likewise, its timer; NULL:
                                                   none was needed yet */
};


/*
 * The identity of a sender.  Strings belong to the request; an empty phone or
 * account is unknown, a zero credential says that there is none.  The zone
 * fills in the hashes when it needs them; they are zero at first.
 */

typedef struct {
    ngx_str_t                        phone;
    ngx_str_t                        account;
    uint64_t                         phone_hash;
    uint64_t                         account_hash;
    uint64_t                         credential;    /* fingerprint */
    uint64_t                         conversation;  /* fingerprint, or 0 */
    uint64_t                         number;    /* fingerprint, or 0 */
    ngx_uint_t                       old;       /* 1: an old event, or one
                                                   without a time, says the
                                                   number */
    u_char                           learnt[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
                                                /* data of account, if the
                                                   zone filled it in */
} ngx_http_graph_policy_identity_t;


/* Names a state without pointing at it, for use after the unlock. */

typedef struct {
    uint64_t                         hash;
    uint32_t                         lease;         /* 0 if none was taken */
    uint8_t                          reason;
    uint8_t                          kind;          /* key_e */
} ngx_http_graph_policy_ref_t;


/* A copy of a state, made under the lock, for showing and logging. */

typedef struct {
    ngx_http_graph_policy_transition_e  transition;
    uint64_t                         hash;
    uint64_t                         credential;    /* 0: everyone's */
    uint64_t                         since;
    uint64_t                         until;         /* hold's or lease's end */
    int64_t                          code;
    int64_t                          subcode;       /* -1: none */
    uint32_t                         hold;
    uint32_t                         holds;         /* in a row */
    uint32_t                         blocked;       /* sends, by now */
    uint16_t                         status;
    uint8_t                          category;
    uint8_t                          source;
    uint8_t                          dry_run;
    uint8_t                          kind;          /* key_e */
    uint8_t                          stored_reason;
    uint8_t                          reason;        /* the shown one */
    uint8_t                          key_len;
    uint8_t                          trace_len;
    uint8_t                          leased;        /* a probe is on its way */
    uint8_t                          node_len;
    u_char                           key[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
    u_char                           trace[NGX_HTTP_GRAPH_POLICY_TRACE_LEN];
    u_char                           node[NGX_HTTP_GRAPH_POLICY_NODE_LEN];
                                                /* the host of a fleet
                                                   that changed it last */
} ngx_http_graph_policy_view_t;


/* Returns the wall clock in milliseconds. */

static ngx_inline uint64_t
ngx_http_graph_policy_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/*
 * Defines the zone "name" and sets *zone to it; "tell" is called with the
 * zone's changes, and finds "data" in zone->data.  Returns NGX_OK, NGX_DECLINED
 * if the zone is defined already, or NGX_ERROR with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, void *tag, ngx_http_graph_policy_tell_pt tell, void *data,
    ngx_http_graph_policy_zone_t **zone);

/*
 * Returns the fingerprint of a text under the zone's key, never 0.  The text
 * can't be found from it without the key.
 */
uint64_t ngx_http_graph_policy_zone_fingerprint(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *text);


/* scope_e, as users see it, by key_e */
extern const uint8_t  ngx_http_graph_policy_key_scopes[];


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_ */
