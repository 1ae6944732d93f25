
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_PAYLOAD_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_PAYLOAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the most digits that the id of an account or a phone has */
#define NGX_HTTP_GRAPH_POLICY_GRAPH_ID_LEN  20


/*
 * A webhook of Meta is read into a tree: entries have changes, changes have
 * items and contacts, items have errors; all are in the order of the payload.
 * Strings are of length 0 if the payload has none or one that is malformed.
 * The tree lies in the caller's memory and is freed with it.  Recipients are
 * persons' numbers, so the caller makes fingerprints of them and keeps nothing
 * else.
 *
 * Sources: the references of the fields "messages" (with "status", "errors"
 * and "groups"), "calls", "history" and "account_update", WhatsApp Business
 * Platform, Meta.
 */


typedef enum {
    NGX_HTTP_GRAPH_POLICY_FIELD_OTHER = 0,
    NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES,         /* "messages" */
    NGX_HTTP_GRAPH_POLICY_FIELD_CALLS,            /* "calls" */
    NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT           /* "account_update" */
} ngx_http_graph_policy_field_e;


/* The event of an account_update; a NOTICE is shown, but stops nothing. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_EVENT_OTHER = 0,
    NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED,
    NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED,
    NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED,
    NGX_HTTP_GRAPH_POLICY_EVENT_REINSTATED,
    NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE
} ngx_http_graph_policy_event_e;


/* The place of an item in the payload. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_ITEM_VALUE = 0,         /* value.errors[], as one */
    NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE,           /* value.messages[] */
    NGX_HTTP_GRAPH_POLICY_ITEM_STATUS,            /* value.statuses[] */
    NGX_HTTP_GRAPH_POLICY_ITEM_CALL,              /* value.calls[] */
    NGX_HTTP_GRAPH_POLICY_ITEM_HISTORY            /* value.history[] */
} ngx_http_graph_policy_item_e;


/* The fate of a message, as a status reports it. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_STATUS_OTHER = 0,
    NGX_HTTP_GRAPH_POLICY_STATUS_ARRIVED,         /* "sent", "delivered",
                                                     "read" */
    NGX_HTTP_GRAPH_POLICY_STATUS_FAILED
} ngx_http_graph_policy_wh_status_e;


/*
 * The names by which Meta knows somebody: a phone number, or the id of a group
 * in its place; a business-scoped user id; that user's id of the parent form,
 * which all businesses of one owner share ("Business-scoped user IDs", Meta).
 */

#define NGX_HTTP_GRAPH_POLICY_WHO_NUMBER  0
#define NGX_HTTP_GRAPH_POLICY_WHO_USER    1
#define NGX_HTTP_GRAPH_POLICY_WHO_PARENT  2
#define NGX_HTTP_GRAPH_POLICY_WHO_NAMES   3


typedef struct ngx_http_graph_policy_wh_error_s
    ngx_http_graph_policy_wh_error_t;
typedef struct ngx_http_graph_policy_contact_s
    ngx_http_graph_policy_contact_t;
typedef struct ngx_http_graph_policy_item_s    ngx_http_graph_policy_item_t;
typedef struct ngx_http_graph_policy_change_s  ngx_http_graph_policy_change_t;
typedef struct ngx_http_graph_policy_entry_s   ngx_http_graph_policy_entry_t;


struct ngx_http_graph_policy_wh_error_s {
    ngx_http_graph_policy_wh_error_t  *next;

    /* They mean the same as in the facts of an error body. */
    int64_t                            code;
    int64_t                            subcode;
    unsigned                           has_code:1;
    unsigned                           has_subcode:1;

    /* equal errors that came right behind it and have no record of their own */
    uint32_t                           more;
};


/* Contacts without a name aren't in the tree; names are folded like items'. */

struct ngx_http_graph_policy_contact_s {
    ngx_http_graph_policy_contact_t   *next;
    ngx_str_t                          who[NGX_HTTP_GRAPH_POLICY_WHO_NAMES];
};


/*
 * The tree has all messages, the calls that a customer makes, and statuses,
 * values and parts of a history that have errors.  If statuses are wanted, it
 * also has those that report the fate of a message whose id they bear.
 *
 * Messages without an error of which nobody knows who wrote them say only when
 * somebody wrote, so a change has two of them at most: the oldest one that has
 * a time, and one that has none.
 */

struct ngx_http_graph_policy_item_s {
    ngx_http_graph_policy_item_t      *next;
    ngx_http_graph_policy_wh_error_t  *errors;

    /*
     * The names of the person who wrote or called, or to whom a message went,
     * folded like recipients of messages that are sent, so that both give the
     * same fingerprint.  A message to a group has the group's id alone.
     */
    ngx_str_t                          who[NGX_HTTP_GRAPH_POLICY_WHO_NAMES];

    /* seconds since the epoch, 0 if there is none */
    time_t                             time;

    /* if statuses are wanted, the message that a status is about, its fate */
    ngx_str_t                          id;
    unsigned                           status:2;      /* wh_status_e */

    unsigned                           place:3;       /* item_e */

    /* a message that Meta wrote, not the customer */
    unsigned                           system:1;

    /* a message to a group */
    unsigned                           group:1;

    /* a status that speaks of one member of the group that "who" names */
    unsigned                           member:1;
};


struct ngx_http_graph_policy_change_s {
    ngx_http_graph_policy_change_t    *next;
    ngx_http_graph_policy_item_t      *items;
    ngx_http_graph_policy_contact_t   *contacts;

    ngx_str_t                          phone;         /* phone_number_id */
    ngx_str_t                          account;       /* waba_info.waba_id */

    /*
     * The digits of the number that an account_update is about
     * (phone_number, display_phone_number), else of the number of the phone
     * (metadata.display_phone_number).
     */
    ngx_str_t                          number;

    /* the time of its newest item, even if that isn't in the tree, or 0 */
    time_t                             time;

    /* the changes of an entry that say nothing are this one and "more" */
    uint32_t                           more;

    uint32_t                           ncontacts;

    /* field_e and event_e; they are short, as there may be many changes */
    unsigned                           field:8;
    unsigned                           event:8;

    /*
     * The event is one of PARTNER_* that has a waba_info: the entry is the
     * partner's business, and the account is the one that is named there.
     */
    unsigned                           partner:1;

    /* an account_update about one number, though "number" may be empty */
    unsigned                           numbered:1;

    /* there is a message to a group among the items */
    unsigned                           grouped:1;
};


/* Of the entries that have no change the tree has the first one. */

struct ngx_http_graph_policy_entry_s {
    ngx_http_graph_policy_entry_t     *next;
    ngx_http_graph_policy_change_t    *changes;

    ngx_str_t                          account;       /* id */

    /* seconds since the epoch, 0 if there is none */
    time_t                             time;
};


typedef struct {
    ngx_http_graph_policy_entry_t     *entries;

    /* all changes, of any field, with those that say nothing */
    ngx_uint_t                         nchanges;

    /*
     * The number of errors of all items, except those of account_update, plus
     * the account_update changes that say DISCONNECTED, DISABLED or NOTICE.
     */
    ngx_uint_t                         nerrors;
} ngx_http_graph_policy_payload_t;


typedef struct ngx_http_graph_policy_payload_reader_s
    ngx_http_graph_policy_payload_reader_t;


/*
 * Returns the bytes of memory for the tree of a payload of "len" bytes, which
 * are enough whatever the payload says.  Meta's payloads need less than twice
 * their length.
 */
size_t ngx_http_graph_policy_payload_memory(size_t len);

/*
 * Reads one complete payload of "len" bytes, which isn't changed.  "arena" is
 * the same as for json_parse(); "memory" has payload_memory(len) bytes, and the
 * alignment of malloc().  "statuses" is 1 if statuses without an error are
 * wanted, as a state waits for the status of a message.
 *
 * Returns NGX_OK if it is one whole JSON object.  Members may come in any
 * order; unknown ones are passed over, and a known member of a wrong type
 * counts as absent.  If scalars have the same name, the last one counts; lists
 * and objects with the same name add up.  If its "object" is another string
 * than "whatsapp_business_account", there are no entries.
 *
 * Returns NGX_DECLINED if it can't be read: it is truncated, not JSON, no
 * object, nested too deep, or has invalid UTF-8.  The tree is then empty.
 */
ngx_int_t ngx_http_graph_policy_payload_read(u_char *body, size_t len,
    void *arena, void *memory, ngx_uint_t statuses,
    ngx_http_graph_policy_payload_t *payload);

/*
 * Do the same in steps: begin() returns the reader, which lies in "memory", and
 * step() reads "n" more bytes; NGX_AGAIN says that there are more.  Until then
 * neither the body nor "payload" may move.  The arena has payload_arena(len)
 * bytes.
 */
size_t ngx_http_graph_policy_payload_arena(size_t len);
ngx_http_graph_policy_payload_reader_t *ngx_http_graph_policy_payload_begin(
    u_char *body, size_t len, void *arena, void *memory, ngx_uint_t statuses,
    ngx_http_graph_policy_payload_t *payload);
ngx_int_t ngx_http_graph_policy_payload_step(
    ngx_http_graph_policy_payload_reader_t *reader, size_t n);


#endif /* _NGX_HTTP_GRAPH_POLICY_PAYLOAD_H_INCLUDED_ */
