
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SYNC_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SYNC_PRIVATE_H_INCLUDED_


/* Private to the folder: one process's side of a fleet. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include "ngx_http_graph_policy_entry.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_resp.h"
#include "ngx_http_graph_policy_sync.h"


/* milliseconds: between two looks, heartbeats, and how long a read waits */
#define NGX_HTTP_GRAPH_POLICY_SYNC_TICK    100
#define NGX_HTTP_GRAPH_POLICY_SYNC_BEAT    1000
#define NGX_HTTP_GRAPH_POLICY_SYNC_BLOCK   2000

/* how long others may work between two steps of a scan, or of a walk */
#define NGX_HTTP_GRAPH_POLICY_SYNC_PAUSE   1

/* pauses after a failure, the first and the longest, in milliseconds */
#define NGX_HTTP_GRAPH_POLICY_SYNC_BACKOFF      100
#define NGX_HTTP_GRAPH_POLICY_SYNC_MAX_BACKOFF  1000

/* causes of one outage that the log is told, at most */
#define NGX_HTTP_GRAPH_POLICY_SYNC_CAUSES   8

/* requests that aren't answered yet, and bytes that aren't sent, at most */
#define NGX_HTTP_GRAPH_POLICY_SYNC_PENDING  1024
#define NGX_HTTP_GRAPH_POLICY_SYNC_OUT      (128 * 1024)

/* bytes that a change may take there, with its entry twice */
#define NGX_HTTP_GRAPH_POLICY_SYNC_CHANGE                                     \
    (2 * NGX_HTTP_GRAPH_POLICY_ENTRY_WRITE + 2048)

/* how long nothing more is done where digests differ, in milliseconds */
#define NGX_HTTP_GRAPH_POLICY_SYNC_QUIET    15000

/* older versions heard of that are to be told anew, at most */
#define NGX_HTTP_GRAPH_POLICY_SYNC_REPAIRS  256


typedef struct ngx_http_graph_policy_sync_conn_s
    ngx_http_graph_policy_sync_conn_t;


/* requests by kind; the first ones are the connection's own business */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_ASKED_AUTH = 0,
    NGX_HTTP_GRAPH_POLICY_ASKED_SELECT,
    NGX_HTTP_GRAPH_POLICY_ASKED_MASTER,     /* a Sentinel, for the primary */
    NGX_HTTP_GRAPH_POLICY_ASKED_TIME,
    NGX_HTTP_GRAPH_POLICY_ASKED_HSET,
    NGX_HTTP_GRAPH_POLICY_ASKED_COUNT,
    NGX_HTTP_GRAPH_POLICY_ASKED_XADD,
    NGX_HTTP_GRAPH_POLICY_ASKED_BEAT,       /* XADD of a heartbeat */
    NGX_HTTP_GRAPH_POLICY_ASKED_SCAN,       /* HSCAN after a loss */
    NGX_HTTP_GRAPH_POLICY_ASKED_SWEEP,      /* HSCAN for what is over */
    NGX_HTTP_GRAPH_POLICY_ASKED_OTHER,      /* its answer says nothing */
    NGX_HTTP_GRAPH_POLICY_ASKED_XREAD
} ngx_http_graph_policy_asked_e;


typedef struct {
    ngx_http_graph_policy_asked_e        what;
    uint64_t                             pos;   /* the mark's */
} ngx_http_graph_policy_asked_t;


/*
 * A connection has a use.  "value" is told each value of an answer and
 * mustn't close the connection; "answered" is called behind the last one, with
 * the text of the error if it was one, and may; "ready" is called when
 * commands may be sent; "closed" after it is closed, "why" NFAILURES: by us.
 */

typedef struct {
    void  (*ready)(ngx_http_graph_policy_sync_conn_t *conn);
    void  (*value)(ngx_http_graph_policy_sync_conn_t *conn,
               ngx_http_graph_policy_asked_t *asked,
               ngx_http_graph_policy_resp_value_t *value);
    void  (*answered)(ngx_http_graph_policy_sync_conn_t *conn,
               ngx_http_graph_policy_asked_t *asked, ngx_str_t *error);
    void  (*closed)(ngx_http_graph_policy_sync_conn_t *conn,
               ngx_http_graph_policy_sync_failure_e why, ngx_uint_t large);
    ngx_uint_t  sentinel;           /* that is whom it leads to */
} ngx_http_graph_policy_sync_use_t;


struct ngx_http_graph_policy_sync_conn_s {
    ngx_http_graph_policy_sync_run_t    *run;
    ngx_http_graph_policy_sync_use_t    *use;
    ngx_peer_connection_t                peer;
    ngx_http_graph_policy_resp_t        *resp;
    ngx_event_t                          again;     /* connects anew */
    ngx_msec_t                           backoff;

    /* told what became of the handshake of TLS; "what" is NULL: all is well */
    void                               (*shaken)(
                                  ngx_http_graph_policy_sync_conn_t *conn,
                                  ngx_http_graph_policy_sync_failure_e why,
                                  const char *what, ngx_str_t *detail);
    ngx_msec_t                           wait;      /* more for an answer */
    unsigned                             connected:1;   /* TLS included */
    unsigned                             ready:1;
    unsigned                             failing:1; /* since it worked */

    /* the error that the answer now read is */
    ngx_uint_t                           has_error;
    ngx_str_t                            error;
    u_char                               error_text[128];

    u_char                              *pos;       /* to be sent */
    u_char                              *last;
    ngx_uint_t                           first;     /* in asked, a ring */
    ngx_uint_t                           nasked;
    ngx_http_graph_policy_asked_t        asked[
                                          NGX_HTTP_GRAPH_POLICY_SYNC_PENDING];
    u_char                               out[NGX_HTTP_GRAPH_POLICY_SYNC_OUT];
};


/* a state of which somebody told an older version */

typedef struct {
    uint64_t                             hash;
    uint32_t                             reason;
    uint32_t                             what;      /* mark_e */
    ngx_msec_t                           due;
} ngx_http_graph_policy_sync_repair_t;


/* a round of comparing: what this host and another one know */

typedef struct {
    uint64_t                             node;
    ngx_http_graph_policy_heartbeat_t    told;
    ngx_uint_t                           differs;   /* rounds in a row */
} ngx_http_graph_policy_sync_round_t;


struct ngx_http_graph_policy_sync_run_s {
    ngx_http_graph_policy_sync_t        *sync;
    ngx_http_graph_policy_zone_t        *zone;
    ngx_log_t                            log;       /* for connections */
    ngx_event_t                          tick;
    ngx_event_t                          step;      /* for scans and walks */
    ngx_connection_t                    *wake;
    ngx_uint_t                           server;
    ngx_atomic_uint_t                    start;     /* its number */
    unsigned                             owner:1;
    unsigned                             leaving:1;

    ngx_http_graph_policy_sync_use_t    *finding;   /* NULL: no Sentinels */
    ngx_http_graph_policy_sync_use_t    *writing;

    /* where the engine is, if that isn't a server of the configuration */
    unsigned                             is_found:1;
    unsigned                             moved:1;   /* since it last worked */
    unsigned                             sentinel_auth:1;   /* it wants that */
    ngx_http_graph_policy_sync_server_t  found;
    ngx_sockaddr_t                       found_addr;
    u_char                               found_text[
                                           NGX_HTTP_GRAPH_POLICY_SERVER_LEN];
    u_char                               found_host[256];
    ngx_str_t                            told_host; /* a Sentinel's answer */
    u_char                               told_text[256];
    ngx_uint_t                           told_port;

    ngx_http_graph_policy_sync_conn_t    writer;
    ngx_http_graph_policy_sync_conn_t    reader;

    /* of the present outage, those that were logged */
    ngx_uint_t                           ncauses;
    uint32_t                             causes[
                                           NGX_HTTP_GRAPH_POLICY_SYNC_CAUSES];

    /* the writer */
    uint64_t                             pos;       /* the next mark's */
    ngx_msec_t                           beat;      /* when the next is due */
    ngx_uint_t                           beats;
    ngx_uint_t                           times;     /* TIMEs answered */
    uint64_t                             asked_time;
    uint64_t                             told_time;
    ngx_http_graph_policy_engine_clock_t  best;
    unsigned                             begun:1;   /* the first beat is in */
    unsigned                             lost:1;    /* all is to be told */
    unsigned                             walking:1;
    unsigned                             scanning:1;
    unsigned                             scan_waits:1;  /* for an answer */
    unsigned                             sweep_waits:1;
    unsigned                             sweep_more:1;
    unsigned                             scan_failed:1;
    ngx_http_graph_policy_cursor_t       walk;
    ngx_str_t                            scan;      /* HSCAN's cursor */
    u_char                               scan_text[NGX_INT64_LEN];
    ngx_str_t                            sweep;     /* HSCAN's, too */
    u_char                               sweep_text[NGX_INT64_LEN];
    ngx_uint_t                           swept[2];  /* fields; dropped ones */
    ngx_str_t                            field;     /* its value comes next */
    u_char                               field_text[32];
    ngx_str_t                            xadd;      /* the id of the last */
    u_char                               xadd_text[48];

    /* the reader */
    uint64_t                             entry[2];  /* its fields come next */
    unsigned                             cursor_lost:1;
    ngx_uint_t                           is_entry;

    /* own entries: the last one in the stream, and since when unheard */
    uint64_t                             told_seq;
    uint64_t                             heard_seq;
    ngx_msec_t                           unheard;

    ngx_msec_t                           resynced[
                                             NGX_HTTP_GRAPH_POLICY_NRESYNCS];

    ngx_uint_t                           nrepairs;
    ngx_http_graph_policy_sync_repair_t  repairs[
                                          NGX_HTTP_GRAPH_POLICY_SYNC_REPAIRS];

    /* digests, to be compared */
    ngx_http_graph_policy_heartbeat_t    sum;       /* being made */
    ngx_http_graph_policy_cursor_t       sum_cursor;
    ngx_uint_t                           summed;    /* states so far */
    uint64_t                             round;     /* what that takes, ms */
    ngx_http_graph_policy_heartbeat_t    own;       /* the last one */
    unsigned                             summing:1;
    ngx_msec_t                           quiet;     /* after a difference */
    ngx_msec_t                           differed;
    ngx_http_graph_policy_sync_round_t   rounds[NGX_HTTP_GRAPH_POLICY_NODES];

    ngx_http_graph_policy_changes_t      changes;   /* who had to leave */
    void                                *arena;     /* for JSON */
    ngx_http_graph_policy_record_t       records[NGX_HTTP_GRAPH_POLICY_BATCH];
    u_char                               text[
                                           NGX_HTTP_GRAPH_POLICY_ENTRY_WRITE];
    u_char                               body[
                                           NGX_HTTP_GRAPH_POLICY_ENTRY_WRITE];
};


/* where both connections lead */

#define ngx_http_graph_policy_sync_server(run)                                \
    ((run)->is_found                                                          \
     ? &(run)->found                                                          \
     : (ngx_http_graph_policy_sync_server_t *) (run)->sync->servers.elts      \
       + (run)->server)


/* connections */

void ngx_http_graph_policy_sync_conn_init(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_sync_use_t *use);
/* connects, in a moment; nothing if it is about to, or connected */
void ngx_http_graph_policy_sync_conn_open(
    ngx_http_graph_policy_sync_conn_t *conn, ngx_msec_t delay);
/* closes it without a failure, and doesn't connect again */
void ngx_http_graph_policy_sync_conn_close(
    ngx_http_graph_policy_sync_conn_t *conn);
/* closes it for a failure, which is counted and logged, and tries again */
void ngx_http_graph_policy_sync_conn_fail(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail);
/* Fails it; "large": an answer was, and mustn't be asked for again. */
void ngx_http_graph_policy_sync_conn_end(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_sync_failure_e why, const char *what,
    ngx_str_t *detail, ngx_uint_t large);
/* all is well: the next failure is logged, and is tried after a short pause */
void ngx_http_graph_policy_sync_conn_works(
    ngx_http_graph_policy_sync_conn_t *conn);
/* begins the handshake of TLS, which conn->shaken is told of */
void ngx_http_graph_policy_sync_tls_begin(
    ngx_http_graph_policy_sync_conn_t *conn);
/* bytes that may be asked for yet, 0 if nothing may */
size_t ngx_http_graph_policy_sync_conn_room(
    ngx_http_graph_policy_sync_conn_t *conn);
/* Puts a command behind the others; NGX_BUSY: no room.  Nothing is sent. */
ngx_int_t ngx_http_graph_policy_sync_conn_ask(
    ngx_http_graph_policy_sync_conn_t *conn,
    ngx_http_graph_policy_asked_e what, uint64_t pos, ngx_str_t *args,
    ngx_uint_t n);
/* Sends what was asked; may close the connection. */
void ngx_http_graph_policy_sync_conn_send(
    ngx_http_graph_policy_sync_conn_t *conn);


/* the uses of connections: the writer's first may be to find the engine */

extern ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_finding;
extern ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_writing;
extern ngx_http_graph_policy_sync_use_t  ngx_http_graph_policy_sync_reading;

/*
 * The id of the last entry that the engine took of ours is known: begins to
 * read the stream, behind it where it is unknown how far it was read.
 */
void ngx_http_graph_policy_sync_begin_reading(
    ngx_http_graph_policy_sync_run_t *run);
/* Forgets how far it was read. */
void ngx_http_graph_policy_sync_lose_cursor(
    ngx_http_graph_policy_sync_run_t *run);

/* Asks for a heartbeat, when one is due; a record; some of all there is. */
void ngx_http_graph_policy_sync_beat(ngx_http_graph_policy_sync_run_t *run);
ngx_int_t ngx_http_graph_policy_sync_record(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_record_t *record, uint64_t pos);
void ngx_http_graph_policy_sync_walk(ngx_http_graph_policy_sync_run_t *run);

/* Asks for fields of the hash, behind the cursor; takes what is answered. */
void ngx_http_graph_policy_sync_scan(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_asked_e what, ngx_str_t *cursor);
void ngx_http_graph_policy_sync_sweep(ngx_http_graph_policy_sync_run_t *run);
void ngx_http_graph_policy_sync_swept(ngx_http_graph_policy_sync_run_t *run);
void ngx_http_graph_policy_sync_scanned(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_asked_t *asked,
    ngx_http_graph_policy_resp_value_t *value);

/* The writer's connection has failed: the next one is to another server. */
void ngx_http_graph_policy_sync_next_server(
    ngx_http_graph_policy_sync_run_t *run);
/*
 * The engine answered a command of the writer's with an error.  NGX_OK: it told
 * who has the keys, both connections are closed, and the writer connects there;
 * NGX_DECLINED: it is another error, or nobody can go there.
 */
ngx_int_t ngx_http_graph_policy_sync_move(
    ngx_http_graph_policy_sync_run_t *run, ngx_str_t *error);
/* What the writer has asked won't be answered: it is to be told anew. */
void ngx_http_graph_policy_sync_forget_asked(
    ngx_http_graph_policy_sync_run_t *run);

/* Tells marks, heartbeats, and what of a walk or a scan is due. */
void ngx_http_graph_policy_sync_write(ngx_http_graph_policy_sync_run_t *run);

/* the clock that all hosts go by, in milliseconds; and the own one */
uint64_t ngx_http_graph_policy_sync_now(ngx_http_graph_policy_sync_run_t *run);
uint64_t ngx_http_graph_policy_sync_own_now(void);

/* Reads all states anew and, where it needs that, tells all. */
void ngx_http_graph_policy_sync_resync(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_resync_e why);

/*
 * Takes an entry: from the stream (XREAD), or from the hash, after a loss
 * (SCAN) or once more (SWEEP).  NGX_DONE: it is in the hash, and nobody needs
 * it any more.
 */
ngx_int_t ngx_http_graph_policy_sync_receive(
    ngx_http_graph_policy_sync_run_t *run, ngx_str_t *text,
    ngx_http_graph_policy_asked_e from);
/* Tells anew what is due of that which others told too old. */
void ngx_http_graph_policy_sync_repair(ngx_http_graph_policy_sync_run_t *run);

/* Digests: makes the own one, some states a call; compares another's. */
void ngx_http_graph_policy_sync_sum(ngx_http_graph_policy_sync_run_t *run);
void ngx_http_graph_policy_sync_compare(ngx_http_graph_policy_sync_run_t *run,
    uint64_t node, ngx_http_graph_policy_heartbeat_t *told);


#endif /* _NGX_HTTP_GRAPH_POLICY_SYNC_PRIVATE_H_INCLUDED_ */
