
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PAYLOAD_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PAYLOAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* digits of an account's or a phone's id */
#define NGX_HTTP_GRAPH_POLICY_GRAPH_ID_LEN  20


/*
 * What a webhook of Meta says, as a tree: entries, in each its changes, in
 * each its items, in each their errors; all in the order of the payload.
 * Strings are of length 0 where the payload has none or one that is malformed.
 * Everything stands in the memory that the caller gave, and goes with it.
 * Recipients are persons' numbers: the caller makes fingerprints of them and
 * forgets them.
 *
 * Sources: the references of the fields "messages" (with "status" and
 * "errors") and "account_update", WhatsApp Business Platform, Meta.
 */


typedef enum {
    NGX_HTTP_GRAPH_POLICY_FIELD_OTHER = 0,
    NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES,         /* "messages" */
    NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT           /* "account_update" */
} ngx_http_graph_policy_field_e;


/* what an account_update says; NOTICE is what was said and stops nothing */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_EVENT_OTHER = 0,
    NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED,
    NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED,
    NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED,
    NGX_HTTP_GRAPH_POLICY_EVENT_REINSTATED,
    NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE
} ngx_http_graph_policy_event_e;


/* where an item stands */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_ITEM_VALUE = 0,         /* value.errors[], as one */
    NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE,           /* value.messages[] */
    NGX_HTTP_GRAPH_POLICY_ITEM_STATUS,            /* value.statuses[] */
    NGX_HTTP_GRAPH_POLICY_ITEM_CONTACT            /* value.contacts[] */
} ngx_http_graph_policy_item_e;


typedef struct ngx_http_graph_policy_wh_error_s
    ngx_http_graph_policy_wh_error_t;
typedef struct ngx_http_graph_policy_item_s    ngx_http_graph_policy_item_t;
typedef struct ngx_http_graph_policy_change_s  ngx_http_graph_policy_change_t;
typedef struct ngx_http_graph_policy_entry_s   ngx_http_graph_policy_entry_t;


struct ngx_http_graph_policy_wh_error_s {
    ngx_http_graph_policy_wh_error_t  *next;

    /* as in the facts of an error body */
    int64_t                            code;
    int64_t                            subcode;
    unsigned                           has_code:1;
    unsigned                           has_subcode:1;
};


/*
 * Kept are all messages, statuses and values that have errors, and contacts
 * that have a recipient.
 */

struct ngx_http_graph_policy_item_s {
    ngx_http_graph_policy_item_t      *next;
    ngx_http_graph_policy_wh_error_t  *errors;

    /*
     * Whom it is about, folded as those of messages that are sent: the number
     * (recipient_id, from, wa_id) and the business-scoped id
     * (recipient_user_id, from_user_id, user_id).
     */
    ngx_str_t                          recipients[2];

    /* seconds since the epoch, 0 if there is none */
    time_t                             time;

    ngx_http_graph_policy_item_e       place;

    /* a message that Meta wrote, not the customer */
    unsigned                           system:1;
};


struct ngx_http_graph_policy_change_s {
    ngx_http_graph_policy_change_t    *next;
    ngx_http_graph_policy_item_t      *items;

    ngx_str_t                          phone;         /* phone_number_id */
    ngx_str_t                          account;       /* waba_info.waba_id */

    /* of its newest item, one that isn't kept too; 0 if there is none */
    time_t                             time;

    /* one byte each, for there may be many */
    unsigned                           field:8;
    unsigned                           event:8;

    /* the event is one of PARTNER_*: the account isn't the entry's */
    unsigned                           partner:1;
};


struct ngx_http_graph_policy_entry_s {
    ngx_http_graph_policy_entry_t     *next;
    ngx_http_graph_policy_change_t    *changes;

    ngx_str_t                          account;       /* id */

    /* seconds since the epoch, 0 if there is none */
    time_t                             time;
};


typedef struct {
    ngx_http_graph_policy_entry_t     *entries;

    /* all of them, of any field */
    ngx_uint_t                         nchanges;

    /*
     * All errors of the items of changes that aren't account_update, and of
     * those that are, the ones that say DISCONNECTED, DISABLED or NOTICE.
     */
    ngx_uint_t                         nerrors;
} ngx_http_graph_policy_payload_t;


/*
 * The bytes of memory for the tree of a payload of "len" bytes.  A tree is
 * smaller than its text, unless that was made to be as short as can be.
 */
size_t ngx_http_graph_policy_payload_memory(size_t len);

/*
 * Reads one complete payload of "len" bytes, which isn't changed.  "arena" is
 * as for json_parse(), "memory" is of payload_memory(len) bytes, aligned as
 * malloc() aligns.
 *
 * Returns NGX_OK if it is one whole JSON object.  Members may come in any
 * order; what isn't known is passed over, and a known member of a wrong type
 * counts as absent.  Of scalars with the same name the last counts, lists and
 * objects with the same name add up.  If its "object" is another string than
 * "whatsapp_business_account" there are no entries.
 *
 * Returns NGX_DECLINED if it can't be read: truncated, not JSON, no object,
 * invalid UTF-8, nested too deep, or "memory" didn't suffice.  The tree is
 * then empty.
 */
ngx_int_t ngx_http_graph_policy_payload_read(u_char *body, size_t len,
    void *arena, void *memory, ngx_http_graph_policy_payload_t *payload);


#endif /* _NGX_HTTP_GRAPH_POLICY_PAYLOAD_H_INCLUDED_ */
