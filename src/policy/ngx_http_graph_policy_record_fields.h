
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_RECORD_FIELDS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_RECORD_FIELDS_H_INCLUDED_


/*
 * The description of a line's members, shared by the writer and the reader of
 * state files, and private to them.
 */


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Larger codes are written as strings of digits, as not every JSON reader
 * represents larger numbers exactly.
 */
#define NGX_HTTP_GRAPH_POLICY_RECORD_MAX   0x1fffffffffffff


/* The form of a value.  The field is a uint64_t, unless said otherwise. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_VALUE_NUMBER = 0, /* up to "max"; 0 is left out
                                               where it isn't required */
    NGX_HTTP_GRAPH_POLICY_VALUE_CODE,       /* int64_t, -1 is left out */
    NGX_HTTP_GRAPH_POLICY_VALUE_FLAG,       /* false is left out */
    NGX_HTTP_GRAPH_POLICY_VALUE_HEX,        /* 64 bits, 0 is left out */
    NGX_HTTP_GRAPH_POLICY_VALUE_HEX_PAIR,   /* two of them */
    NGX_HTTP_GRAPH_POLICY_VALUE_WORD,       /* in "words", "max" of them */
    NGX_HTTP_GRAPH_POLICY_VALUE_REASON,
    NGX_HTTP_GRAPH_POLICY_VALUE_TEXT,       /* record_text_t; an empty one is
                                               left out */
    NGX_HTTP_GRAPH_POLICY_VALUE_DIGITS      /* a text of digits */
} ngx_http_graph_policy_value_e;


typedef struct {
    ngx_str_t     name;
    uint8_t       types;            /* bits: the records with this member */
    uint8_t       value;
    unsigned      first:1;          /* its name tells the record's type */
    unsigned      required:1;
    size_t        offset;
    uint64_t      max;
    ngx_str_t    *words;
} ngx_http_graph_policy_member_t;


#define NGX_HTTP_GRAPH_POLICY_NMEMBERS  42

extern ngx_http_graph_policy_member_t
    ngx_http_graph_policy_members[NGX_HTTP_GRAPH_POLICY_NMEMBERS];


#define ngx_http_graph_policy_member_is_of(member, type)                      \
    (((member)->types >> (type)) & 1)

#define ngx_http_graph_policy_field(record, member)                           \
    ((void *) ((u_char *) (record) + (member)->offset))


#endif /* _NGX_HTTP_GRAPH_POLICY_RECORD_FIELDS_H_INCLUDED_ */
