
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_json.h"


/* Graph's ids are decimal; 20 digits hold any of 64 bits */
#define NGX_HTTP_GRAPH_POLICY_PHONE_LEN    20
#define NGX_HTTP_GRAPH_POLICY_KEY_LEN      64

/* how a fingerprint is written, hexadecimal */
#define NGX_HTTP_GRAPH_POLICY_FP_LEN       16

/* a state's id: its key's hash and its reason, hexadecimal */
#define NGX_HTTP_GRAPH_POLICY_ID_LEN       18


typedef struct ngx_http_graph_policy_shctx_s  ngx_http_graph_policy_shctx_t;
typedef struct ngx_http_graph_policy_state_file_s
    ngx_http_graph_policy_state_file_t;


typedef struct ngx_http_graph_policy_changes_s  ngx_http_graph_policy_changes_t;
typedef struct ngx_http_graph_policy_zone_s  ngx_http_graph_policy_zone_t;

/* tells what has changed, once, without the mutex; see change.h */
typedef void (*ngx_http_graph_policy_tell_pt)(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);


struct ngx_http_graph_policy_zone_s {
    ngx_str_t                        name;
    ngx_shm_zone_t                  *shm_zone;
    ngx_http_graph_policy_shctx_t   *sh;
    ngx_slab_pool_t                 *shpool;
    ngx_uint_t                       recovered; /* to be logged on unlock */
    ngx_uint_t                       parked;    /* requests of this worker */
    ngx_http_graph_policy_state_file_t  *file;  /* NULL: none */

    /* of the configuration: what locations that use the zone do */
    uint32_t                         conversation_hold;  /* ms, 0: no gate */
    uint32_t                         memory;    /* ms, at least, of an end */

    ngx_http_graph_policy_tell_pt    tell;
    void                            *data;      /* the teller's */
};


/*
 * Who sends.  Strings belong to the request; an empty phone or account is
 * unknown, a zero credential is none.  The hashes are the zone's business.
 */

typedef struct {
    ngx_str_t                        phone;
    ngx_str_t                        account;
    uint64_t                         phone_hash;
    uint64_t                         account_hash;
    uint64_t                         credential;    /* fingerprint */
    uint64_t                         conversation;  /* fingerprint, or 0 */
    uint64_t                         number;    /* of the phone, likewise */
    u_char                           learnt[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
                                                /* what account may be in */
} ngx_http_graph_policy_identity_t;


/* names a state without pointing at it, for use after the unlock */

typedef struct {
    uint64_t                         hash;
    uint32_t                         lease;         /* 0 if none was taken */
    uint8_t                          reason;
    uint8_t                          kind;          /* of key */
} ngx_http_graph_policy_ref_t;


/* a copy of a state, made under the lock, for showing and logging */

typedef struct {
    ngx_http_graph_policy_transition_e  transition;
    uint64_t                         hash;
    uint64_t                         credential;    /* 0: everyone's */
    uint64_t                         since;
    uint64_t                         until;         /* of hold or lease */
    int64_t                          code;
    int64_t                          subcode;       /* -1: none */
    uint32_t                         hold;
    uint32_t                         holds;         /* in a row */
    uint32_t                         blocked;       /* sends, by now */
    uint16_t                         status;
    uint8_t                          category;
    uint8_t                          source;
    uint8_t                          dry_run;
    uint8_t                          kind;          /* of key */
    uint8_t                          stored_reason;
    uint8_t                          reason;        /* as shown */
    uint8_t                          key_len;
    uint8_t                          trace_len;
    uint8_t                          leased;        /* a probe is on its way */
    u_char                           key[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
    u_char                           trace[NGX_HTTP_GRAPH_POLICY_TRACE_LEN];
} ngx_http_graph_policy_view_t;


/*
 * Defines the zone "name", which "zone" is set to; "tell" and its "data" tell
 * of its changes.  Returns NGX_OK, NGX_DECLINED if it is defined already, or
 * NGX_ERROR with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, void *tag, ngx_http_graph_policy_tell_pt tell, void *data,
    ngx_http_graph_policy_zone_t **zone);

/* A keyed fingerprint of a secret, never 0. */
uint64_t ngx_http_graph_policy_zone_fingerprint(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *text);


/* the scope that users know, by ngx_http_graph_policy_key_e */
extern const uint8_t  ngx_http_graph_policy_key_scopes[];


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_ */
