
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ENTRY_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ENTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_signature.h"


/*
 * An entry is how hosts of a fleet tell each other of a state.  It lies in the
 * stream, and in the hash of states:
 *
 *     1 NODE SEQ SENT LEASE MAC BODY
 *
 * "1" is the version of the format; one space is between two parts.  NODE is
 * the host's zone, 16 hexadecimal digits, never 0.  SEQ, decimal, is one more
 * than that of the node's entry before, SENT is when it was told, and LEASE
 * how many milliseconds a probe's lease lasted from then on.  MAC is the first
 * half of HMAC-SHA256 over the stream's name, LF, all before MAC, LF and BODY,
 * hexadecimal.  BODY is a line of a state file without its LF, or of a
 * heartbeat "h CUT ROUND DIGEST [DIGEST]".
 *
 * Times are milliseconds of the engine's clock.
 */

#define NGX_HTTP_GRAPH_POLICY_ENTRY_VERSION  1

/* bytes of the longest one that is read, and room for one that is written */
#define NGX_HTTP_GRAPH_POLICY_ENTRY_READ                                      \
    (NGX_HTTP_GRAPH_POLICY_RECORD_READ + 128)
#define NGX_HTTP_GRAPH_POLICY_ENTRY_WRITE                                     \
    (NGX_HTTP_GRAPH_POLICY_RECORD_WRITE + 128)

#define NGX_HTTP_GRAPH_POLICY_ENTRY_MAC_LEN  32     /* digits */

/* the longest lease that is believed, in milliseconds */
#define NGX_HTTP_GRAPH_POLICY_ENTRY_LEASE    86400000


typedef struct {
    uint64_t      node;
    uint64_t      seq;
    uint64_t      sent;
    uint64_t      lease;
    ngx_str_t     head;             /* signed, all before MAC */
    ngx_str_t     mac;
    ngx_str_t     body;
} ngx_http_graph_policy_entry_t;


/*
 * A heartbeat sums up the states that its node holds and, where it shares them,
 * its conversations.
 */

typedef struct {
    uint64_t      cut;              /* no state changed since counts */
    uint64_t      round;            /* milliseconds that summing up takes */
    uint64_t      digest;
    uint64_t      conversations;
    ngx_uint_t    shares;           /* 1: "conversations" is told */
} ngx_http_graph_policy_heartbeat_t;


/*
 * Writes the entry with "body" to "p", where ENTRY_WRITE bytes are free, and
 * signs it for the stream "name".  Returns its end, NULL if OpenSSL fails.
 * "head" and "mac" needn't be set.
 */
u_char *ngx_http_graph_policy_entry_write(u_char *p,
    ngx_http_graph_policy_entry_t *entry, ngx_str_t *name,
    ngx_http_graph_policy_signature_t *sig);

/*
 * Reads an entry; its parts point into the text.  NGX_DECLINED if it is none
 * of this version.  Nothing in it may be believed yet.
 */
ngx_int_t ngx_http_graph_policy_entry_read(u_char *text, size_t len,
    ngx_http_graph_policy_entry_t *entry);

/* NGX_OK; NGX_DECLINED if it is signed with another key or for another name */
ngx_int_t ngx_http_graph_policy_entry_verify(
    ngx_http_graph_policy_entry_t *entry, ngx_str_t *name,
    ngx_http_graph_policy_signature_t *sig);

/* Writes the body of a heartbeat to "p", of ENTRY_WRITE bytes. */
u_char *ngx_http_graph_policy_heartbeat_write(u_char *p,
    ngx_http_graph_policy_heartbeat_t *heartbeat);

/* NGX_OK, or NGX_DECLINED if the body is none */
ngx_int_t ngx_http_graph_policy_heartbeat_read(ngx_str_t *body,
    ngx_http_graph_policy_heartbeat_t *heartbeat);


#endif /* _NGX_HTTP_GRAPH_POLICY_ENTRY_H_INCLUDED_ */
