
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_rules.h"


/* Graph's ids are decimal; 20 digits hold any of 64 bits */
#define NGX_HTTP_GRAPH_POLICY_PHONE_LEN    20
#define NGX_HTTP_GRAPH_POLICY_KEY_LEN      64

/* how a fingerprint is written, hexadecimal */
#define NGX_HTTP_GRAPH_POLICY_FP_LEN       16

/* a state's id: its key's hash and its reason, hexadecimal */
#define NGX_HTTP_GRAPH_POLICY_ID_LEN       18

/*
 * Milliseconds after which an event says nothing more of the present.  What
 * ended a state is remembered for as long, where events are received.
 */
#define NGX_HTTP_GRAPH_POLICY_FRESH        600000

/* milliseconds that a probe may stay silent; it renews its lease meanwhile */
#define NGX_HTTP_GRAPH_POLICY_LEASE        30000
#define NGX_HTTP_GRAPH_POLICY_RENEW        10000


/*
 * Whom a state covers.  An account's state covers the one phone that got it
 * while the account is unknown; a bound one only the credential that got it.
 */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL = 0,
    NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT,
    NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE,
    NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
    NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_NKEYS,

    /* a context-limited conversation: a record without breaker or probe */
    NGX_HTTP_GRAPH_POLICY_KEY_LIMITED = NGX_HTTP_GRAPH_POLICY_NKEYS
} ngx_http_graph_policy_key_e;


/* what set a state; values are stored in shared memory */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER = 0,    /* to a send */
    NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK,
    NGX_HTTP_GRAPH_POLICY_SOURCE_API,
    NGX_HTTP_GRAPH_POLICY_NSOURCES
} ngx_http_graph_policy_source_e;


/* how a request meets the states */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_READ = 0, /* passes once a state is due */
    NGX_HTTP_GRAPH_POLICY_ANONYMOUS,    /* a send that mustn't probe */
    NGX_HTTP_GRAPH_POLICY_SEND,     /* probes credentials */
    NGX_HTTP_GRAPH_POLICY_MESSAGE   /* probes credentials, accounts, phones */
} ngx_http_graph_policy_kind_e;


typedef struct ngx_http_graph_policy_shctx_s  ngx_http_graph_policy_shctx_t;
typedef struct ngx_http_graph_policy_state_file_s
    ngx_http_graph_policy_state_file_t;


typedef struct {
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
} ngx_http_graph_policy_zone_t;


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
    uint64_t                         lease;     /* one it has already, or 0 */
    uint32_t                         gate;      /* of conversations: the
                                                   hold, or 0: off */
    unsigned                         cooldown:1;    /* temporary ones count */
    unsigned                         template:1;    /* opens a window */
    unsigned                         uncounted:1;   /* among the blocked */
    u_char                           learnt[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
                                                /* what account may be in */
} ngx_http_graph_policy_identity_t;


/* names a state without pointing at it, for use after the unlock */

typedef struct {
    uint64_t                         hash;
    uint64_t                         lease;         /* 0 if none was taken */
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


/* how many states there are, by what users know as scope, and category */

typedef struct {
    size_t                           size;
    size_t                           used;
    ngx_uint_t                       links;
    ngx_uint_t                       states[NGX_HTTP_GRAPH_POLICY_NSCOPES]
                                           [NGX_HTTP_GRAPH_POLICY_CONTEXT + 1];
} ngx_http_graph_policy_stats_t;


/* where a listing is; all zero at its beginning */

typedef struct {
    uint64_t                         hash;
    uint8_t                          reason;
    unsigned                         begun:1;
    unsigned                         tree:1;        /* the second one */
    unsigned                         done:1;
} ngx_http_graph_policy_cursor_t;


/* how many views one call lists, and nodes it looks at, under the mutex */
#define NGX_HTTP_GRAPH_POLICY_BATCH  16


/* states of one identity, as many as can cover one request */

#define NGX_HTTP_GRAPH_POLICY_NREFS                                           \
    (8 * NGX_HTTP_GRAPH_POLICY_NREASONS)

typedef struct {
    ngx_uint_t                       n;
    ngx_http_graph_policy_ref_t      refs[NGX_HTTP_GRAPH_POLICY_NREFS];
} ngx_http_graph_policy_cover_t;


/*
 * A failure to be learnt.  "sent" is when what failed left; of an event that
 * Meta reports in seconds, the start of the second in which it happened.
 */

typedef struct {
    ngx_http_graph_policy_verdict_t *verdict;
    ngx_http_graph_policy_facts_t   *facts;
    ngx_http_graph_policy_source_e   source;
    uint64_t                         sent;
    uint64_t                         now;
    ngx_uint_t                       status;
    uint32_t                         hold;      /* temporary: the wait */
    uint32_t                         max;

    /* what had to leave for it; the last one, if there were several */
    ngx_http_graph_policy_view_t     evicted;
} ngx_http_graph_policy_failure_t;


/*
 * Defines the zone "name", which "zone" is set to.  Returns NGX_OK,
 * NGX_DECLINED if it is defined already, or NGX_ERROR with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, void *tag, ngx_http_graph_policy_zone_t **zone);

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

/* How many conversations are limited: is the body worth reading? */
ngx_uint_t ngx_http_graph_policy_zone_limited(
    ngx_http_graph_policy_zone_t *zone);

/* A keyed fingerprint of a secret, never 0. */
uint64_t ngx_http_graph_policy_zone_fingerprint(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *text);

/*
 * Looks up the states that cover "id"; a send without a credential, which
 * mustn't change a state, is anonymous.  Returns
 *   NGX_OK      nothing covers, or nothing blocks a READ; "cover" may name a
 *               conversation that this location's hold has let go;
 *   NGX_DONE    the request is the probe: "cover" names the states whose
 *               lease it took, to be settled under their tokens;
 *   NGX_BUSY    blocked; "view" is the state with the latest end, "cover"
 *               names all, without leases;
 *   NGX_ABORT   as NGX_BUSY, but only states of rules in dry run block.
 * "now" is in milliseconds.
 */
ngx_int_t ngx_http_graph_policy_zone_admit(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_kind_e kind, uint64_t now,
    ngx_http_graph_policy_cover_t *cover, ngx_http_graph_policy_view_t *view);

/*
 * Learns a failure: a fatal or temporary one, or a context-limited one of a
 * conversation.  view->transition says what came of it, NOTHING included.
 * Returns NGX_DECLINED if it sets no state (whom it would cover is unknown),
 * NGX_ERROR if there is no memory for it; the state is then lost.  "view" is
 * filled for NGX_OK alone.
 */
ngx_int_t ngx_http_graph_policy_zone_learn(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_failure_t *failure,
    ngx_http_graph_policy_view_t *view);

/*
 * Settles the lease of one state, "failure" being what the probe found, or
 * NULL; likewise clears without lease what was set before "sent".
 * view->transition says what came of it.
 */
void ngx_http_graph_policy_zone_settle(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, ngx_http_graph_policy_outcome_e outcome,
    ngx_http_graph_policy_failure_t *failure, uint64_t now,
    ngx_http_graph_policy_view_t *view);
void ngx_http_graph_policy_zone_clear(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *ref, uint64_t sent, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/* Keeps the leases of "refs" for another NGX_HTTP_GRAPH_POLICY_LEASE. */
void ngx_http_graph_policy_zone_renew(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now);

/*
 * The retry budget of the zone: counts a first try; takes one retry, or
 * NGX_DECLINED if it is used up.  Neither takes the mutex.
 */
void ngx_http_graph_policy_zone_try(ngx_http_graph_policy_zone_t *zone);
ngx_int_t ngx_http_graph_policy_zone_retry(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t percent, ngx_uint_t floor);

/* The phone was registered anew: its next message send is the probe. */
void ngx_http_graph_policy_zone_make_due(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t now);

/*
 * A signed event says that the cause of "reason" is gone, for everyone, at
 * "kind" of "id"; it happened at "when".  It is remembered, so that an older
 * event doesn't bring the state back.  view->transition is CLEARED or NOTHING.
 */
void ngx_http_graph_policy_zone_resolve(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_reason_e reason, uint64_t when, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/*
 * The customer of id->conversation wrote at "when", which ends its limit and
 * is remembered.  view->transition is CLEARED or NOTHING.
 */
void ngx_http_graph_policy_zone_inbound(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, uint64_t when, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/*
 * Whether fatal states block the phone of "id" for everyone before their hold
 * is over, and none of them is one of the "n" that "refs" names; "view" is the
 * one with the latest end.  NGX_BUSY or NGX_OK.
 */
ngx_int_t ngx_http_graph_policy_zone_paused(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    ngx_http_graph_policy_ref_t *refs, ngx_uint_t n, uint64_t now,
    ngx_http_graph_policy_view_t *view);

/*
 * Learns that the phone of "id" belongs to its account.  NGX_OK: it does now.
 * NGX_DECLINED: it is known to belong to another one, which is then in
 * "other" (in its data of NGX_HTTP_GRAPH_POLICY_KEY_LEN bytes), unless
 * "other" is NULL: it is then moved.  NGX_ABORT: the account has far too many
 * phones already.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_graph_policy_zone_link(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_str_t *other, uint64_t now);

/*
 * Fills in the account of the phone of "id" if that is known and the account
 * isn't; a word is read without the lock where no phone is known.
 */
void ngx_http_graph_policy_zone_account(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id);

/*
 * The phones that are known of an account, one a call: the one behind "phone",
 * which has room for NGX_HTTP_GRAPH_POLICY_PHONE_LEN bytes; empty at first.
 * NGX_DONE at the end.
 */
ngx_int_t ngx_http_graph_policy_zone_next_phone(
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *account, ngx_str_t *phone);

/*
 * What operators do.  "list" fills up to BATCH views of the states behind the
 * cursor, and moves it; it may find none and not be done.  "find" and "end"
 * take a state's id; NGX_DECLINED if there is none.  "put" sets a state by
 * hand, at "kind" of "id", for everyone or, with its credential, bound to
 * that; NGX_ERROR: no memory.
 */
ngx_uint_t ngx_http_graph_policy_zone_list(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor, uint64_t now,
    ngx_http_graph_policy_view_t *views);
ngx_int_t ngx_http_graph_policy_zone_find(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_view_t *view);
ngx_int_t ngx_http_graph_policy_zone_end(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, uint64_t now,
    ngx_http_graph_policy_view_t *view);
ngx_int_t ngx_http_graph_policy_zone_put(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_identity_t *id, ngx_http_graph_policy_key_e kind,
    ngx_http_graph_policy_failure_t *failure, ngx_uint_t frozen,
    ngx_http_graph_policy_view_t *view);

/*
 * Whether the phone of "id" may write to its conversation now.  NGX_OK: yes;
 * NGX_ABORT: a template alone; NGX_BUSY: no.  "view" is why, if not NGX_OK.
 */
ngx_int_t ngx_http_graph_policy_zone_lookup(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_identity_t *id,
    uint64_t now, ngx_http_graph_policy_view_t *view);

/*
 * Since when the conversation is limited whose limit ends first, as the oldest
 * one isn't known.  NGX_DECLINED: none is; NGX_AGAIN: BATCH of them were over
 * and are dropped, call again.  Other states that are over are swept, too.
 */
ngx_int_t ngx_http_graph_policy_zone_oldest_limit(
    ngx_http_graph_policy_zone_t *zone, uint64_t now, uint64_t *since);

void ngx_http_graph_policy_zone_stats(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_stats_t *stats);

/* the counters themselves, to be read without the lock, one word each */
ngx_http_graph_policy_counters_t *ngx_http_graph_policy_zone_counters(
    ngx_http_graph_policy_zone_t *zone);
/* NULL where the zone is too small to keep one */
ngx_http_graph_policy_history_t *ngx_http_graph_policy_zone_history(
    ngx_http_graph_policy_zone_t *zone);

/*
 * Counting; none of these takes the mutex.  "reason" is NREASONS where no row
 * matched.
 */
void ngx_http_graph_policy_zone_count_webhook(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_webhook_e kind);
void ngx_http_graph_policy_zone_count_answer(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t category,
    ngx_uint_t reason);
void ngx_http_graph_policy_zone_count_blocked(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason);
/* "result" is ACCEPTED or REFUSED */
void ngx_http_graph_policy_zone_count_dry_run(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason, ngx_uint_t result);
void ngx_http_graph_policy_zone_count_resent(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t reason, ngx_uint_t result);
void ngx_http_graph_policy_zone_count_denied(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_denied_e why);
void ngx_http_graph_policy_zone_count_probe(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_probe_e result);
/* how many requests more, or less, of this worker wait */
void ngx_http_graph_policy_zone_count_parked(
    ngx_http_graph_policy_zone_t *zone, ngx_int_t more);


/* the scope that users know, by ngx_http_graph_policy_key_e */
extern const uint8_t  ngx_http_graph_policy_key_scopes[];


#endif /* _NGX_HTTP_GRAPH_POLICY_ZONE_H_INCLUDED_ */
