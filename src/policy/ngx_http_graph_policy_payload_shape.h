
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PAYLOAD_SHAPE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PAYLOAD_SHAPE_H_INCLUDED_


/*
 * This header is private to the files that read webhooks (payload*.c): the
 * parts of Meta's payloads, and the state of the reader.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_payload.h"


/* A value is a node, which has members or elements, or a scalar. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_WH_NONE = 0,            /* passed over */

    /* nodes, in the order of ngx_http_graph_policy_shape[] */
    NGX_HTTP_GRAPH_POLICY_WH_DOCUMENT,            /* its element is the root */
    NGX_HTTP_GRAPH_POLICY_WH_ROOT,
    NGX_HTTP_GRAPH_POLICY_WH_ENTRIES,
    NGX_HTTP_GRAPH_POLICY_WH_ENTRY,
    NGX_HTTP_GRAPH_POLICY_WH_CHANGES,
    NGX_HTTP_GRAPH_POLICY_WH_CHANGE,
    NGX_HTTP_GRAPH_POLICY_WH_VALUE,
    NGX_HTTP_GRAPH_POLICY_WH_METADATA,
    NGX_HTTP_GRAPH_POLICY_WH_BAN_INFO,
    NGX_HTTP_GRAPH_POLICY_WH_WABA_INFO,
    NGX_HTTP_GRAPH_POLICY_WH_VALUE_ERRORS,
    NGX_HTTP_GRAPH_POLICY_WH_MESSAGES,
    NGX_HTTP_GRAPH_POLICY_WH_MESSAGE,
    NGX_HTTP_GRAPH_POLICY_WH_STATUSES,
    NGX_HTTP_GRAPH_POLICY_WH_STATUS,
    NGX_HTTP_GRAPH_POLICY_WH_CONTACTS,
    NGX_HTTP_GRAPH_POLICY_WH_CONTACT,
    NGX_HTTP_GRAPH_POLICY_WH_CALLS,
    NGX_HTTP_GRAPH_POLICY_WH_CALL,
    NGX_HTTP_GRAPH_POLICY_WH_HISTORY,
    NGX_HTTP_GRAPH_POLICY_WH_PART,
    NGX_HTTP_GRAPH_POLICY_WH_ERRORS,
    NGX_HTTP_GRAPH_POLICY_WH_ERROR,

    /* scalars */
    NGX_HTTP_GRAPH_POLICY_WH_OBJECT,
    NGX_HTTP_GRAPH_POLICY_WH_ENTRY_ID,
    NGX_HTTP_GRAPH_POLICY_WH_ENTRY_TIME,
    NGX_HTTP_GRAPH_POLICY_WH_FIELD,
    NGX_HTTP_GRAPH_POLICY_WH_PHONE,
    NGX_HTTP_GRAPH_POLICY_WH_PHONE_NUMBER,        /* the phone's */
    NGX_HTTP_GRAPH_POLICY_WH_ABOUT_NUMBER,        /* the event's */
    NGX_HTTP_GRAPH_POLICY_WH_WABA,
    NGX_HTTP_GRAPH_POLICY_WH_EVENT,
    NGX_HTTP_GRAPH_POLICY_WH_BAN,
    NGX_HTTP_GRAPH_POLICY_WH_NUMBER,              /* a person's */
    NGX_HTTP_GRAPH_POLICY_WH_USER,
    NGX_HTTP_GRAPH_POLICY_WH_PARENT,
    NGX_HTTP_GRAPH_POLICY_WH_GROUP,
    NGX_HTTP_GRAPH_POLICY_WH_MEMBER,
    NGX_HTTP_GRAPH_POLICY_WH_MESSAGE_ID,
    NGX_HTTP_GRAPH_POLICY_WH_MESSAGE_STATUS,
    NGX_HTTP_GRAPH_POLICY_WH_TIME,
    NGX_HTTP_GRAPH_POLICY_WH_TYPE,
    NGX_HTTP_GRAPH_POLICY_WH_DIRECTION,
    NGX_HTTP_GRAPH_POLICY_WH_CODE,
    NGX_HTTP_GRAPH_POLICY_WH_SUBCODE
} ngx_http_graph_policy_wh_e;


#define NGX_HTTP_GRAPH_POLICY_WH_SCALARS  NGX_HTTP_GRAPH_POLICY_WH_OBJECT


/* A list of words ends with one without a name, whose value is the default. */

typedef struct {
    ngx_str_t                      name;
    ngx_uint_t                     value;
} ngx_http_graph_policy_word_t;


/* The places of a node's index, a power of two. */
#define NGX_HTTP_GRAPH_POLICY_PLACES  64

typedef struct {
    /* words of wh_e for an object; NULL for a list */
    ngx_http_graph_policy_word_t  *members;

    /* wh_e of the elements of a list, else NONE */
    unsigned                       element:8;

    /* payload_open() and payload_close() have something to do */
    unsigned                       record:1;

    /*
     * The words by their length and first character: 0 where there is none,
     * else the number of the first one plus 1.
     */
    u_char                         index[NGX_HTTP_GRAPH_POLICY_PLACES];
} ngx_http_graph_policy_node_t;


/* The place of a text of one byte at least. */
#define ngx_http_graph_policy_place(text, len)                                \
    (((text)[0] + 4 * (len)) & (NGX_HTTP_GRAPH_POLICY_PLACES - 1))


extern ngx_http_graph_policy_node_t  ngx_http_graph_policy_shape[];

/* words of field_e */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_fields[];

/* words of event_e; with DISABLED the state of the ban decides */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_events[];

/* words of event_e */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_bans[];

/* words of wh_status_e */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_statuses[];

/* words for a call: 1 if it wasn't made by the customer, else 0 */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_directions[];


/* Makes the indexes; it has to be called first. */
void ngx_http_graph_policy_shape_init(void);

/* Returns the value of a word of "len" bytes. */
ngx_uint_t ngx_http_graph_policy_shape_word(
    ngx_http_graph_policy_word_t *words, const u_char *text, size_t len);


/* The text of a scalar; NULL if it is neither a number nor a string. */

typedef struct {
    const u_char  *data;
    size_t         len;
    ngx_uint_t     number;      /* 1 or 0 */
} ngx_http_graph_policy_payload_text_t;


typedef struct {
    /* the open record of each kind, or NULL */
    ngx_http_graph_policy_entry_t      *entry;
    ngx_http_graph_policy_change_t     *change;
    ngx_http_graph_policy_item_t       *item;
    ngx_http_graph_policy_contact_t    *contact;
    ngx_http_graph_policy_wh_error_t   *error;

    /* the names of the open item or contact */
    ngx_str_t                          *who;

    /*
     * The first record of a kind that later ones are merged with, or NULL: of
     * the payload, an entry without a change; of the open entry, a change that
     * says nothing; of the open change, messages of nobody, without a time and
     * with one.
     */
    ngx_http_graph_policy_entry_t      *bare;
    ngx_http_graph_policy_change_t     *silent;
    ngx_http_graph_policy_item_t       *nobody[2];

    /* the last error of the open item, or NULL */
    ngx_http_graph_policy_wh_error_t   *last;

    /* the links to which the next record of each kind is appended */
    ngx_http_graph_policy_entry_t     **entries;
    ngx_http_graph_policy_change_t    **changes;
    ngx_http_graph_policy_item_t      **items;
    ngx_http_graph_policy_contact_t   **contacts;
    ngx_http_graph_policy_wh_error_t  **errors;

    /* the links to the open entry, the open change and the open error */
    ngx_http_graph_policy_entry_t     **entry_link;
    ngx_http_graph_policy_change_t    **change_link;
    ngx_http_graph_policy_wh_error_t  **error_link;

    ngx_http_graph_policy_payload_t    *payload;

    /* the unused part of the caller's memory */
    u_char                             *pos;
    u_char                             *end;

    /* the open node, and the wh_e of the next value in it */
    ngx_http_graph_policy_node_t       *node;
    ngx_uint_t                          next;

    /* the open change's */
    ngx_uint_t                          ban;
    ngx_uint_t                          nerrors;
    ngx_str_t                           about;    /* number of an event */

    /* the open item's */
    ngx_str_t                           group;

    unsigned                            numbered:1;
    unsigned                            named:1;  /* it has a waba_info */
    unsigned                            outgoing:1; /* a call of ours */

    /* statuses without an error are kept, too */
    unsigned                            statuses:1;

    /* the payload isn't about WhatsApp accounts */
    unsigned                            foreign:1;

    /* The members below aren't zeroed. */

    ngx_http_graph_policy_payload_text_t   text;  /* the last scalar's */

    /* those that yajl is to call for the next token */
    yajl_callbacks                         callbacks;

    /* the nodes that the open one is in, the document first; the end of them */
    ngx_http_graph_policy_node_t          *outer[
                                              NGX_HTTP_GRAPH_POLICY_JSON_DEPTH];
    ngx_http_graph_policy_node_t         **top;
} ngx_http_graph_policy_payload_ctx_t;


/*
 * Functions with an array of their own, or that are called seldom, aren't
 * inlined: their callers, which each token comes to, would set up a frame.
 */

#if defined(__GNUC__)
#define ngx_http_graph_policy_payload_noinline  __attribute__((noinline))
#else
#define ngx_http_graph_policy_payload_noinline
#endif


/*
 * The functions below return what yajl's callbacks do: 1, or 0 if the memory is
 * used up.
 *
 * payload_scalar() puts ctx->text into the open record that it belongs to, in
 * place of an earlier one; "scalar" is a wh_e.
 */
int ngx_http_graph_policy_payload_scalar(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t scalar);

/*
 * payload_open() opens a zeroed record for a node.  payload_close() closes it:
 * decisions that need several scalars are taken, and a record that nobody needs
 * is dropped.
 */
int ngx_http_graph_policy_payload_open(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t node);
int ngx_http_graph_policy_payload_close(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t node);


#endif /* _NGX_HTTP_GRAPH_POLICY_PAYLOAD_SHAPE_H_INCLUDED_ */
