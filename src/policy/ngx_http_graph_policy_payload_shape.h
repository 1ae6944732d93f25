
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PAYLOAD_SHAPE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PAYLOAD_SHAPE_H_INCLUDED_


/*
 * Private to the JSON room: what the files that read webhooks share, namely of
 * what Meta's payloads are made, and how far the reader has come.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_payload.h"


/* what a value is: a node, which has members or elements, or a scalar */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_WH_NONE = 0,            /* and all below it */

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
    NGX_HTTP_GRAPH_POLICY_WH_PHONE_NUMBER,        /* of the phone */
    NGX_HTTP_GRAPH_POLICY_WH_ABOUT_NUMBER,        /* of the event */
    NGX_HTTP_GRAPH_POLICY_WH_WABA,
    NGX_HTTP_GRAPH_POLICY_WH_EVENT,
    NGX_HTTP_GRAPH_POLICY_WH_BAN,
    NGX_HTTP_GRAPH_POLICY_WH_NUMBER,              /* a person's, so below */
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


/* a list of words ends with one without a name: the value of all others */

typedef struct {
    ngx_str_t                      name;
    ngx_uint_t                     value;
} ngx_http_graph_policy_word_t;


typedef struct {
    /* words of wh_e; an object has them, of a list it is NULL */
    ngx_http_graph_policy_word_t  *members;

    /* wh_e, of a list */
    ngx_uint_t                     element;
} ngx_http_graph_policy_node_t;


extern ngx_http_graph_policy_node_t  ngx_http_graph_policy_shape[];

/* words of field_e */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_fields[];

/* words of event_e; DISABLED means that the ban's state tells more */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_events[];

/* words of event_e */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_bans[];

/* words of wh_status_e */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_statuses[];

/* whether a call is another's than the customer's */
extern ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_directions[];


/* the value of a word of "len" bytes */
ngx_uint_t ngx_http_graph_policy_shape_word(
    ngx_http_graph_policy_word_t *words, const u_char *text, size_t len);


typedef struct {
    /* the open one of each; there is one at most */
    ngx_http_graph_policy_entry_t      *entry;
    ngx_http_graph_policy_change_t     *change;
    ngx_http_graph_policy_item_t       *item;
    ngx_http_graph_policy_contact_t    *contact;
    ngx_http_graph_policy_wh_error_t   *error;

    /* of the open item or contact, where its names go */
    ngx_str_t                          *who;

    /* where the next one of each is linked */
    ngx_http_graph_policy_entry_t     **entries;
    ngx_http_graph_policy_change_t    **changes;
    ngx_http_graph_policy_item_t      **items;
    ngx_http_graph_policy_contact_t   **contacts;
    ngx_http_graph_policy_wh_error_t  **errors;

    ngx_http_graph_policy_payload_t    *payload;

    /* what is left of the caller's memory */
    u_char                             *pos;
    u_char                             *end;

    ngx_uint_t                          depth;

    /* in an object, what the next value is */
    ngx_uint_t                          member;

    /* of the open change */
    ngx_uint_t                          ban;
    ngx_uint_t                          nerrors;
    ngx_str_t                           about;    /* number of an event */

    /* of the open item */
    ngx_str_t                           group;

    unsigned                            numbered:1;
    unsigned                            named:1;  /* it has a waba_info */
    unsigned                            outgoing:1; /* not the customer's */

    /* those are kept that have no error, too */
    unsigned                            statuses:1;

    /* it isn't about WhatsApp accounts */
    unsigned                            foreign:1;

    /* nodes, the open one is at "depth" */
    u_char                              path[NGX_HTTP_GRAPH_POLICY_JSON_DEPTH
                                             + 1];
} ngx_http_graph_policy_payload_ctx_t;


/* the text of a scalar; NULL of one that is neither number nor string */

typedef struct {
    const u_char  *data;
    size_t         len;
    unsigned       number:1;
} ngx_http_graph_policy_payload_text_t;


/*
 * Puts a scalar into the open record that it belongs to, in place of what an
 * earlier one said; "scalar" is of wh_e.  NGX_ERROR if the memory is used up.
 */
ngx_int_t ngx_http_graph_policy_payload_scalar(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t scalar,
    ngx_http_graph_policy_payload_text_t *text);

/*
 * Opens the record of a node, if it has one, zeroed; NGX_ERROR if the memory is
 * used up.  Closes it again: what needs several scalars is decided, and what
 * nobody needs is dropped.
 */
ngx_int_t ngx_http_graph_policy_payload_open(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t node);
void ngx_http_graph_policy_payload_close(
    ngx_http_graph_policy_payload_ctx_t *ctx, ngx_uint_t node);


#endif /* _NGX_HTTP_GRAPH_POLICY_PAYLOAD_SHAPE_H_INCLUDED_ */
