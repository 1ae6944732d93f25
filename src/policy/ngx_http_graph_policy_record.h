
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_RECORD_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The lines of a state file.  Each is a flat JSON object and LF: a head, any
 * number of states and links, and an end with the number of lines before it,
 * so that a torn file is noticed.
 *
 *     {"graph_policy":1,"fingerprint_key":"(32 hex)","generation":"(16 hex)",
 *      "predecessor":"(16 hex)","master":PID,"lease":N}
 *     {"state":"phone","key":"1","category":"fatal","reason":"billing",...}
 *     {"link":"(phone)","account":"(account)","number":"(16 hex)",
 *      "confirmed":MS}
 *     {"lines":N}
 *
 * Hosts of a fleet tell each other such lines, too, and of conversations, which
 * no file has:
 *
 *     {"conversation":"(16 hex)","reason":"window-expired",...}
 *     {"state":"conversation","pair":"(16 hex)",...}
 *
 * Unknown members are ignored, so that a newer version may add some.  Members
 * of another type of line, and unknown values, make the line invalid.
 */

#define NGX_HTTP_GRAPH_POLICY_RECORD_VERSION  1

/*
 * Bytes of a line with its LF: the longest that is read, and the longest that
 * is written.
 */
#define NGX_HTTP_GRAPH_POLICY_RECORD_READ     4096
#define NGX_HTTP_GRAPH_POLICY_RECORD_WRITE    1024

#define NGX_HTTP_GRAPH_POLICY_RECORD_TEXT     64
#define NGX_HTTP_GRAPH_POLICY_RECORD_DIGITS   20


typedef enum {
    NGX_HTTP_GRAPH_POLICY_RECORD_HEAD = 0,
    NGX_HTTP_GRAPH_POLICY_RECORD_STATE,
    NGX_HTTP_GRAPH_POLICY_RECORD_LINK,
    NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_RECORD_END,
    NGX_HTTP_GRAPH_POLICY_RECORD_NTYPES
} ngx_http_graph_policy_record_e;


typedef struct {
    size_t        len;
    u_char        data[NGX_HTTP_GRAPH_POLICY_RECORD_TEXT];
} ngx_http_graph_policy_record_text_t;


/*
 * A line; fields that its type doesn't have are zero.  Times are in
 * milliseconds of the wall clock, holds in milliseconds.
 */

typedef struct {
    ngx_uint_t    type;

    /* A zone that makes a record of a state or a link adds where it lies. */
    uint64_t      hash;
    uint64_t      lease_until;      /* a probe's; 0: none.  In no line */
    ngx_uint_t    stale;            /* it is frozen, and was told long ago */
    ngx_uint_t    known;            /* its lease and end aren't news */

    /* Fields of a head. */
    uint64_t      version;
    uint64_t      fingerprint_key[2];
    uint64_t      generation;       /* the writer's, never 0 */
    uint64_t      predecessor;      /* the read file's, or 0 */
    uint64_t      master;           /* process id of its master */
    uint64_t      lease;

    /*
     * Fields of a state; kind and source are in the order of the zone's enums.
     */
    uint64_t      kind;             /* never KEY_LIMITED */
    uint64_t      pair;             /* KEY_CONVERSATION's place, or 0 */
    uint64_t      category;         /* fatal or temporary */
    uint64_t      reason;
    uint64_t      source;
    uint64_t      credential;       /* 0: any credential */
    uint64_t      setter_leased;    /* the lease is that of "setter" */
    uint64_t      message;          /* a status of it ends the lease, 0: none */
    uint64_t      setter;           /* credential that set it, or 0 */
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
    uint64_t      armed;            /* 0 or 1, as the next ones */
    uint64_t      dry_run;
    uint64_t      frozen;           /* it is, or was */
    uint64_t      moved;            /* "until" isn't the hold's end */
    int64_t       code;             /* -1: none, as the next one */
    int64_t       subcode;
    ngx_http_graph_policy_record_text_t  key;   /* a link has its phone here */
    ngx_http_graph_policy_record_text_t  trace;
    ngx_http_graph_policy_record_text_t  node;  /* that changed it last, of a
                                                   fleet's */

    /* Fields of a link. */
    uint64_t      confirmed;
    uint64_t      number;           /* fingerprint of its digits, 0: none */
    ngx_http_graph_policy_record_text_t  account;

    /*
     * Fields of a conversation, besides those that a state has, too: reason,
     * source, since, until, changed, hold, armed (it is limited), dry_run,
     * status, codes, node.
     */
    uint64_t      conversation;     /* its place, never 0 */
    uint64_t      fixed;            /* the hold is a rule's; 0 or 1 */
    uint64_t      inbound;          /* the customer wrote; 0 or 1 */

    /* Field of an end. */
    uint64_t      lines;
} ngx_http_graph_policy_record_t;


/* Makes an empty record: all fields are zero, and the codes -1. */
void ngx_http_graph_policy_record_init(ngx_http_graph_policy_record_t *record,
    ngx_http_graph_policy_record_e type);

/*
 * Writes the record as a line to "p", where at least RECORD_WRITE bytes are
 * free, and returns the end of the line.  The texts of the record must be such
 * as record_read() accepts.
 */
u_char *ngx_http_graph_policy_record_write(u_char *p,
    ngx_http_graph_policy_record_t *record);

/*
 * Reads a line without its LF.  "arena" is json_arena(len) bytes, aligned as
 * malloc() aligns; the caller may reuse it after the return.  Returns
 * NGX_DECLINED if the line is no record, lacks a required member, or has a
 * value out of bounds; the record is undefined then.
 */
ngx_int_t ngx_http_graph_policy_record_read(u_char *line, size_t len,
    void *arena, ngx_http_graph_policy_record_t *record);

/*
 * Parts of a line, for what is written beside lines: a decimal number, of at
 * most NGX_INT64_LEN bytes, and 16 hexadecimal digits; "count" of the latter
 * read, side by side, 1 if that is what the text is.
 */
u_char *ngx_http_graph_policy_record_number(u_char *p, uint64_t n);
u_char *ngx_http_graph_policy_record_hex(u_char *p, uint64_t n);
ngx_uint_t ngx_http_graph_policy_record_unhex(u_char *text, size_t len,
    uint64_t *n, size_t count);


#endif /* _NGX_HTTP_GRAPH_POLICY_RECORD_H_INCLUDED_ */
