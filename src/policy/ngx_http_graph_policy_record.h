
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_RECORD_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The lines of a state file.  Each is a flat JSON object and LF: a head, any
 * number of states and links, and an end that tells how many lines are before
 * it, so that a torn file is noticed.
 *
 *     {"graph_policy":1,"fingerprint_key":"(32 hex)","generation":"(16 hex)",
 *      "predecessor":"(16 hex)","master":PID,"lease":N}
 *     {"state":"phone","key":"1","category":"fatal","reason":"billing",...}
 *     {"link":"(phone)","account":"(account)","number":"(16 hex)",
 *      "confirmed":MS}
 *     {"lines":N}
 *
 * Members that no line has are passed over; those of another type of line, and
 * values that aren't known, are refused.
 */

#define NGX_HTTP_GRAPH_POLICY_RECORD_VERSION  1

/* bytes with LF, of a line that is read, and of one that is written */
#define NGX_HTTP_GRAPH_POLICY_RECORD_READ     4096
#define NGX_HTTP_GRAPH_POLICY_RECORD_WRITE    1024

#define NGX_HTTP_GRAPH_POLICY_RECORD_TEXT     64
#define NGX_HTTP_GRAPH_POLICY_RECORD_DIGITS   20


typedef enum {
    NGX_HTTP_GRAPH_POLICY_RECORD_HEAD = 0,
    NGX_HTTP_GRAPH_POLICY_RECORD_STATE,
    NGX_HTTP_GRAPH_POLICY_RECORD_LINK,
    NGX_HTTP_GRAPH_POLICY_RECORD_END,
    NGX_HTTP_GRAPH_POLICY_RECORD_NTYPES
} ngx_http_graph_policy_record_e;


typedef struct {
    size_t        len;
    u_char        data[NGX_HTTP_GRAPH_POLICY_RECORD_TEXT];
} ngx_http_graph_policy_record_text_t;


/*
 * A line; what its type doesn't have is zero.  Times are milliseconds of the
 * wall clock, holds are milliseconds.
 */

typedef struct {
    ngx_uint_t    type;

    /* a head */
    uint64_t      version;
    uint64_t      fingerprint_key[2];
    uint64_t      generation;       /* who wrote the file, never 0 */
    uint64_t      predecessor;      /* whose file that one has read, or 0 */
    uint64_t      master;           /* likewise, as a process id */
    uint64_t      lease;

    /* a state; kind and source are in the order of the zone's own enums */
    uint64_t      kind;             /* never of a conversation */
    uint64_t      category;         /* fatal or temporary */
    uint64_t      reason;
    uint64_t      source;
    uint64_t      credential;       /* 0: everyone's */
    uint64_t      setter;           /* whose answer has set it, or 0 */
    uint64_t      group;            /* 0: none */
    uint64_t      since;
    uint64_t      until;
    uint64_t      changed;
    uint64_t      hold;
    uint64_t      max;
    uint64_t      confirm;          /* 0: unknown */
    uint64_t      holds;
    uint64_t      blocked;
    uint64_t      status;
    uint64_t      armed;            /* 0 or 1, so below */
    uint64_t      dry_run;
    int64_t       code;             /* -1: none, so below */
    int64_t       subcode;
    ngx_http_graph_policy_record_text_t  key;   /* of a link: the phone */
    ngx_http_graph_policy_record_text_t  trace;

    /* a link */
    uint64_t      confirmed;
    uint64_t      number;           /* fingerprint of its digits, 0: none */
    ngx_http_graph_policy_record_text_t  account;

    /* an end */
    uint64_t      lines;
} ngx_http_graph_policy_record_t;


/* an empty one: all zero, and without codes */
void ngx_http_graph_policy_record_init(ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_record_e type);

/*
 * Writes the record as a line to "p", where RECORD_WRITE bytes are free, and
 * returns the end of it.  Its texts must be what record_read() takes.
 */
u_char *ngx_http_graph_policy_record_write(u_char *p,
    ngx_http_graph_policy_record_t *record);

/*
 * Reads a line without its LF.  "arena" is json_arena(len) bytes, aligned as
 * malloc() aligns, and free after the return.  NGX_DECLINED if the line is no
 * record, or lacks a member, or a value is out of its bounds; the record is
 * rubbish then.
 */
ngx_int_t ngx_http_graph_policy_record_read(u_char *line, size_t len,
    void *arena, ngx_http_graph_policy_record_t *record);


#endif /* _NGX_HTTP_GRAPH_POLICY_RECORD_H_INCLUDED_ */
