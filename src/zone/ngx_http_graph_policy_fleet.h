
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_FLEET_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_FLEET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_engine_clock.h"
#include "ngx_http_graph_policy_entry.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


/*
 * A zone whose states other hosts share.  What changes in it is marked in a
 * ring, under the mutex; one process of the host takes the marks from there
 * and tells the others, and applies what they tell.
 */


/* the nodes that are known by id, at most, and the names of nodes in states */
#define NGX_HTTP_GRAPH_POLICY_NODES       64

/* bytes that are kept of the engine's address, a Unix socket's path included */
#define NGX_HTTP_GRAPH_POLICY_SERVER_LEN  128

/* milliseconds: who is silent for longer isn't counted, or has lost its job */
#define NGX_HTTP_GRAPH_POLICY_NODE_HEARD  5000

/*
 * A frozen state has no end, so what was told of it is believed for just so
 * long, in milliseconds; its end is remembered for longer (FROZEN, breaker.h),
 * and what is to be told of it is told anew well before.
 */
#define NGX_HTTP_GRAPH_POLICY_FLEET_BELIEVED    86400000
#define NGX_HTTP_GRAPH_POLICY_FLEET_RENEWED     21600000

/* how far ahead of the clock a change may be, in milliseconds */
#define NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD       60000


/* An entry that was received is counted as one of these. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED = 0,
    NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME,
    NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER,
    NGX_HTTP_GRAPH_POLICY_RECEIVED_OWN,
    NGX_HTTP_GRAPH_POLICY_RECEIVED_FORGED,
    NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD,
    NGX_HTTP_GRAPH_POLICY_NRECEIVED
} ngx_http_graph_policy_received_e;


/* why a connection failed */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_FAILURE_CONNECT = 0,
    NGX_HTTP_GRAPH_POLICY_FAILURE_TIMEOUT,
    NGX_HTTP_GRAPH_POLICY_FAILURE_AUTH,
    NGX_HTTP_GRAPH_POLICY_FAILURE_REFUSED,
    NGX_HTTP_GRAPH_POLICY_FAILURE_PROTOCOL,
    NGX_HTTP_GRAPH_POLICY_FAILURE_TLS,
    NGX_HTTP_GRAPH_POLICY_NFAILURES
} ngx_http_graph_policy_sync_failure_e;


/* why all was read or told once more */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_RESYNC_START = 0,
    NGX_HTTP_GRAPH_POLICY_RESYNC_GAP,
    NGX_HTTP_GRAPH_POLICY_RESYNC_LOST,
    NGX_HTTP_GRAPH_POLICY_RESYNC_DEAF,
    NGX_HTTP_GRAPH_POLICY_RESYNC_DIGEST,
    NGX_HTTP_GRAPH_POLICY_NRESYNCS
} ngx_http_graph_policy_resync_e;


/*
 * This is of one process, in the configuration's memory.  A zone has it if and
 * only if it has its part in shared memory, see zone_share().
 */

struct ngx_http_graph_policy_share_s {
    uint64_t                         key[2];    /* fingerprints' */
    ngx_str_t                        zone_name;
    ngx_str_t                        name;      /* this host's */
    ngx_fd_t                         notify;    /* -1: look from time to time */
    unsigned                         marked:1;  /* since the lock */
    unsigned                         applying:1;    /* isn't to be told */
    unsigned                         conversations:1;   /* are shared */
};


/* A mark is of a change: of a state, a phone's link, or a conversation. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_MARK_STATE = 0,
    NGX_HTTP_GRAPH_POLICY_MARK_LINK,
    NGX_HTTP_GRAPH_POLICY_MARK_CONVERSATION
} ngx_http_graph_policy_mark_e;

typedef struct {
    uint64_t                         hash;
    uint32_t                         reason;    /* a state's */
    uint32_t                         what;      /* mark_e */
} ngx_http_graph_policy_mark_t;


/* another host, or an earlier start of it */

typedef struct {
    uint64_t                         id;        /* 0: free */
    uint64_t                         seq;       /* the last one heard */
    uint64_t                         heard;     /* when, ngx_current_msec */
} ngx_http_graph_policy_node_t;


typedef struct {
    uint32_t                         states;    /* that bear it */
    uint32_t                         len;
    u_char                           data[NGX_HTTP_GRAPH_POLICY_NODE_LEN];
} ngx_http_graph_policy_node_name_t;


/* in shared memory.  Words that are shown are read without the lock. */

typedef struct {

    /* the process that talks, when it was last seen; how many have started */
    ngx_atomic_t                     owner;
    ngx_atomic_t                     seen;
    ngx_atomic_t                     starts;

    /* for metrics and the API; times are of ngx_current_msec, 0: never */
    ngx_atomic_t                     connected;
    ngx_atomic_t                     heard;
    ngx_atomic_t                     started;
    ngx_atomic_t                     lag;       /* milliseconds */
    ngx_atomic_t                     sent;
    ngx_atomic_t                     received[NGX_HTTP_GRAPH_POLICY_NRECEIVED];
    ngx_atomic_t                     failures[NGX_HTTP_GRAPH_POLICY_NFAILURES];
    ngx_atomic_t                     resyncs[NGX_HTTP_GRAPH_POLICY_NRESYNCS];

    /* the owner's own, kept for the process that comes after it */
    ngx_http_graph_policy_engine_clock_t  clock;
    uint64_t                         seq;       /* the last told */
    uint64_t                         count;     /* the engine's, of ours */
    uint64_t                         cursor[2]; /* in the stream */
    ngx_http_graph_policy_node_t     nodes[NGX_HTTP_GRAPH_POLICY_NODES];

    /* under the mutex */
    size_t                           server_len;
    u_char                           server[NGX_HTTP_GRAPH_POLICY_SERVER_LEN];
    ngx_atomic_t                     walk;      /* all is to be told */
    ngx_atomic_t                     scan;      /* all is to be read */
    time_t                           second;    /* of which these are */
    ngx_uint_t                       limits;    /* conversations marked */
    ngx_atomic_t                     head;      /* in the ring: never wraps */
    ngx_atomic_t                     tail;
    ngx_uint_t                       size;      /* a power of 2 */
    ngx_http_graph_policy_node_name_t  names[NGX_HTTP_GRAPH_POLICY_NODES];
    ngx_http_graph_policy_mark_t     ring[1];
} ngx_http_graph_policy_fleet_t;


/* NULL where the zone isn't shared */
ngx_http_graph_policy_fleet_t *ngx_http_graph_policy_zone_fleet(
    ngx_http_graph_policy_zone_t *zone);

/* Numbers are read without the lock; all are 0 where it isn't shared. */
typedef struct {
    ngx_uint_t                       connected; /* hears its own news */
    ngx_uint_t                       heard;     /* milliseconds since that */
    ngx_uint_t                       lag;       /* milliseconds */
    ngx_uint_t                       queue;     /* not told yet */
    ngx_uint_t                       nodes;     /* this one included */
    ngx_str_t                        server;    /* empty: never connected */
    u_char                           text[NGX_HTTP_GRAPH_POLICY_SERVER_LEN];
} ngx_http_graph_policy_fleet_status_t;

void ngx_http_graph_policy_fleet_status(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fleet_status_t *status);

/* Notes where the engine is, for those who ask for the status. */
void ngx_http_graph_policy_fleet_server(ngx_http_graph_policy_zone_t *zone,
    ngx_str_t *text);

/* this zone's id among the nodes, never 0 */
uint64_t ngx_http_graph_policy_zone_node(ngx_http_graph_policy_zone_t *zone);


/*
 * The mark at *pos as a record, which tells how the state is now; *pos moves.
 * NGX_OK; NGX_DECLINED: it is gone, there is nothing to tell; NGX_DONE: there
 * is no mark more.  Times of records are of the own clock.
 */
ngx_int_t ngx_http_graph_policy_fleet_next(ngx_http_graph_policy_zone_t *zone,
    uint64_t *pos, ngx_http_graph_policy_record_t *record);

/* All before "pos" is told. */
void ngx_http_graph_policy_fleet_told(ngx_http_graph_policy_zone_t *zone,
    uint64_t pos);

/* Marks a state, a phone's link or a conversation, to be told once more. */
void ngx_http_graph_policy_fleet_tell(ngx_http_graph_policy_zone_t *zone,
    uint64_t hash, ngx_uint_t reason, ngx_http_graph_policy_mark_e what);

/*
 * Copies what is behind the cursor, under the mutex once, moves it, and
 * returns how many records that are, at most NGX_HTTP_GRAPH_POLICY_BATCH;
 * states that ended are among them.  cursor->tree is 1 for links, which come
 * behind states, and 2 for "conversations", which come last, if at all.
 * NGX_ERROR if the zone has lost its states.
 */
ngx_int_t ngx_http_graph_policy_record_batch(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_cursor_t *cursor, ngx_uint_t conversations,
    ngx_http_graph_policy_record_t *records);

/*
 * Takes over what another host told; record->hash is set to where it lies.
 * Returns what became of it.  "view" is what was set or ended, its transition
 * NOTHING if nothing was; the host where it happened tells it.  "changes" is
 * for what had to leave for it.
 */
ngx_http_graph_policy_received_e ngx_http_graph_policy_fleet_apply(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now,
    ngx_http_graph_policy_changes_t *changes,
    ngx_http_graph_policy_view_t *view);

/* whether the record is of something that nobody needs any more */
ngx_uint_t ngx_http_graph_policy_fleet_is_over(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_record_t *record, uint64_t now);

/*
 * Sums up, a batch at a time, the digests of armed states that weren't changed
 * after sum->cut, which is of the engine's clock; behind them those of
 * conversations, where they are shared.  Returns how many it looked at.
 */
ngx_uint_t ngx_http_graph_policy_fleet_digest(
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_cursor_t *cursor,
    ngx_http_graph_policy_heartbeat_t *sum);


/* as users know the enumerations above */
extern ngx_str_t  ngx_http_graph_policy_received_words[];
extern ngx_str_t  ngx_http_graph_policy_sync_failure_words[];
extern ngx_str_t  ngx_http_graph_policy_resync_words[];


#endif /* _NGX_HTTP_GRAPH_POLICY_FLEET_H_INCLUDED_ */
