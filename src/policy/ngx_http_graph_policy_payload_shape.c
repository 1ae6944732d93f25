
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * These tables describe the parts of Meta's webhook payloads.  Names and events
 * are those of the references of the webhook fields "messages", "calls",
 * "history" and "account_update", WhatsApp Business Platform, Meta.  The pages
 * there spell the parent form of a user's id in different ways, so all of them
 * are known here.
 *
 * Pure: no lock, no memory but these tables, of which only the indexes change,
 * once.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_payload_shape.h"


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_root[] = {
    { ngx_string("object"), NGX_HTTP_GRAPH_POLICY_WH_OBJECT },
    { ngx_string("entry"), NGX_HTTP_GRAPH_POLICY_WH_ENTRIES },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_entry[] = {
    { ngx_string("id"), NGX_HTTP_GRAPH_POLICY_WH_ENTRY_ID },
    { ngx_string("time"), NGX_HTTP_GRAPH_POLICY_WH_ENTRY_TIME },
    { ngx_string("changes"), NGX_HTTP_GRAPH_POLICY_WH_CHANGES },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_change[] = {
    { ngx_string("field"), NGX_HTTP_GRAPH_POLICY_WH_FIELD },
    { ngx_string("value"), NGX_HTTP_GRAPH_POLICY_WH_VALUE },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_value[] = {
    { ngx_string("metadata"), NGX_HTTP_GRAPH_POLICY_WH_METADATA },
    { ngx_string("contacts"), NGX_HTTP_GRAPH_POLICY_WH_CONTACTS },
    { ngx_string("messages"), NGX_HTTP_GRAPH_POLICY_WH_MESSAGES },
    { ngx_string("statuses"), NGX_HTTP_GRAPH_POLICY_WH_STATUSES },
    { ngx_string("errors"), NGX_HTTP_GRAPH_POLICY_WH_VALUE_ERRORS },
    { ngx_string("calls"), NGX_HTTP_GRAPH_POLICY_WH_CALLS },
    { ngx_string("history"), NGX_HTTP_GRAPH_POLICY_WH_HISTORY },
    { ngx_string("event"), NGX_HTTP_GRAPH_POLICY_WH_EVENT },
    { ngx_string("phone_number"), NGX_HTTP_GRAPH_POLICY_WH_ABOUT_NUMBER },
    { ngx_string("display_phone_number"),
      NGX_HTTP_GRAPH_POLICY_WH_ABOUT_NUMBER },
    { ngx_string("ban_info"), NGX_HTTP_GRAPH_POLICY_WH_BAN_INFO },
    { ngx_string("waba_info"), NGX_HTTP_GRAPH_POLICY_WH_WABA_INFO },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_metadata[] = {
    { ngx_string("phone_number_id"), NGX_HTTP_GRAPH_POLICY_WH_PHONE },
    { ngx_string("display_phone_number"),
      NGX_HTTP_GRAPH_POLICY_WH_PHONE_NUMBER },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_ban[] = {
    { ngx_string("waba_ban_state"), NGX_HTTP_GRAPH_POLICY_WH_BAN },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_waba[] = {
    { ngx_string("waba_id"), NGX_HTTP_GRAPH_POLICY_WH_WABA },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_message[] = {
    { ngx_string("from"), NGX_HTTP_GRAPH_POLICY_WH_NUMBER },
    { ngx_string("from_user_id"), NGX_HTTP_GRAPH_POLICY_WH_USER },
    { ngx_string("from_parent_user_id"), NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("parent_from_user_id"), NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("group_id"), NGX_HTTP_GRAPH_POLICY_WH_GROUP },
    { ngx_string("timestamp"), NGX_HTTP_GRAPH_POLICY_WH_TIME },
    { ngx_string("type"), NGX_HTTP_GRAPH_POLICY_WH_TYPE },
    { ngx_string("errors"), NGX_HTTP_GRAPH_POLICY_WH_ERRORS },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_status[] = {
    { ngx_string("id"), NGX_HTTP_GRAPH_POLICY_WH_MESSAGE_ID },
    { ngx_string("status"), NGX_HTTP_GRAPH_POLICY_WH_MESSAGE_STATUS },
    { ngx_string("recipient_id"), NGX_HTTP_GRAPH_POLICY_WH_NUMBER },
    { ngx_string("recipient_user_id"), NGX_HTTP_GRAPH_POLICY_WH_USER },
    { ngx_string("recipient_parent_user_id"),
      NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("parent_recipient_user_id"),
      NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("parent_user_id"), NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("recipient_participant_id"),
      NGX_HTTP_GRAPH_POLICY_WH_MEMBER },
    { ngx_string("recipient_participant_user_id"),
      NGX_HTTP_GRAPH_POLICY_WH_MEMBER },
    { ngx_string("recipient_participant_parent_user_id"),
      NGX_HTTP_GRAPH_POLICY_WH_MEMBER },
    { ngx_string("timestamp"), NGX_HTTP_GRAPH_POLICY_WH_TIME },
    { ngx_string("errors"), NGX_HTTP_GRAPH_POLICY_WH_ERRORS },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_contact[] = {
    { ngx_string("wa_id"), NGX_HTTP_GRAPH_POLICY_WH_NUMBER },
    { ngx_string("user_id"), NGX_HTTP_GRAPH_POLICY_WH_USER },
    { ngx_string("parent_user_id"), NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_call[] = {
    { ngx_string("from"), NGX_HTTP_GRAPH_POLICY_WH_NUMBER },
    { ngx_string("from_user_id"), NGX_HTTP_GRAPH_POLICY_WH_USER },
    { ngx_string("from_parent_user_id"), NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("parent_from_user_id"), NGX_HTTP_GRAPH_POLICY_WH_PARENT },
    { ngx_string("timestamp"), NGX_HTTP_GRAPH_POLICY_WH_TIME },
    { ngx_string("direction"), NGX_HTTP_GRAPH_POLICY_WH_DIRECTION },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_part[] = {
    { ngx_string("errors"), NGX_HTTP_GRAPH_POLICY_WH_ERRORS },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


static ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_error[] = {
    { ngx_string("code"), NGX_HTTP_GRAPH_POLICY_WH_CODE },
    { ngx_string("error_subcode"), NGX_HTTP_GRAPH_POLICY_WH_SUBCODE },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_WH_NONE }
};


ngx_http_graph_policy_node_t  ngx_http_graph_policy_shape[] = {

    { NULL, NGX_HTTP_GRAPH_POLICY_WH_NONE, 0, {0} },        /* NONE */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_ROOT, 0, {0} },        /* DOCUMENT */
    { ngx_http_graph_policy_shape_root, 0, 0, {0} },        /* ROOT */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_ENTRY, 0, {0} },       /* ENTRIES */
    { ngx_http_graph_policy_shape_entry, 0, 1, {0} },       /* ENTRY */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_CHANGE, 0, {0} },      /* CHANGES */
    { ngx_http_graph_policy_shape_change, 0, 1, {0} },      /* CHANGE */
    { ngx_http_graph_policy_shape_value, 0, 0, {0} },       /* VALUE */
    { ngx_http_graph_policy_shape_metadata, 0, 0, {0} },    /* METADATA */
    { ngx_http_graph_policy_shape_ban, 0, 0, {0} },         /* BAN_INFO */
    { ngx_http_graph_policy_shape_waba, 0, 1, {0} },        /* WABA_INFO */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_ERROR, 1, {0} },       /* VALUE_ERRORS */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_MESSAGE, 0, {0} },     /* MESSAGES */
    { ngx_http_graph_policy_shape_message, 0, 1, {0} },     /* MESSAGE */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_STATUS, 0, {0} },      /* STATUSES */
    { ngx_http_graph_policy_shape_status, 0, 1, {0} },      /* STATUS */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_CONTACT, 0, {0} },     /* CONTACTS */
    { ngx_http_graph_policy_shape_contact, 0, 1, {0} },     /* CONTACT */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_CALL, 0, {0} },        /* CALLS */
    { ngx_http_graph_policy_shape_call, 0, 1, {0} },        /* CALL */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_PART, 0, {0} },        /* HISTORY */
    { ngx_http_graph_policy_shape_part, 0, 1, {0} },        /* PART */
    { NULL, NGX_HTTP_GRAPH_POLICY_WH_ERROR, 0, {0} },       /* ERRORS */
    { ngx_http_graph_policy_shape_error, 0, 1, {0} }        /* ERROR */
};


ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_fields[] = {
    { ngx_string("messages"), NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES },
    { ngx_string("calls"), NGX_HTTP_GRAPH_POLICY_FIELD_CALLS },
    { ngx_string("account_update"), NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_FIELD_OTHER }
};


ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_events[] = {
    { ngx_string("PARTNER_REMOVED"),
      NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED },
    { ngx_string("PARTNER_APP_UNINSTALLED"),
      NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED },
    { ngx_string("ACCOUNT_OFFBOARDED"),
      NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED },
    { ngx_string("ACCOUNT_DELETED"),
      NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED },
    { ngx_string("ACCOUNT_RECONNECTED"),
      NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED },
    { ngx_string("PARTNER_ADDED"), NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED },
    { ngx_string("PARTNER_APP_INSTALLED"),
      NGX_HTTP_GRAPH_POLICY_EVENT_RECONNECTED },
    { ngx_string("DISABLED_UPDATE"), NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED },
    { ngx_string("ACCOUNT_RESTRICTION"), NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE },
    { ngx_string("ACCOUNT_VIOLATION"), NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_EVENT_OTHER }
};


ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_bans[] = {
    { ngx_string("DISABLE"), NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED },
    { ngx_string("REINSTATE"), NGX_HTTP_GRAPH_POLICY_EVENT_REINSTATED },
    { ngx_string("SCHEDULE_FOR_DISABLE"), NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_EVENT_OTHER }
};


ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_statuses[] = {
    { ngx_string("sent"), NGX_HTTP_GRAPH_POLICY_STATUS_ARRIVED },
    { ngx_string("delivered"), NGX_HTTP_GRAPH_POLICY_STATUS_ARRIVED },
    { ngx_string("read"), NGX_HTTP_GRAPH_POLICY_STATUS_ARRIVED },
    { ngx_string("failed"), NGX_HTTP_GRAPH_POLICY_STATUS_FAILED },
    { ngx_null_string, NGX_HTTP_GRAPH_POLICY_STATUS_OTHER }
};


ngx_http_graph_policy_word_t  ngx_http_graph_policy_shape_directions[] = {
    { ngx_string("USER_INITIATED"), 0 },
    { ngx_null_string, 1 }
};


void
ngx_http_graph_policy_shape_init(void)
{
    u_char                        *place;
    ngx_uint_t                     i, n;
    ngx_http_graph_policy_word_t  *words;
    ngx_http_graph_policy_node_t  *node;

    static ngx_uint_t  done;

    if (done) {
        return;
    }

    for (n = 0; n < NGX_HTTP_GRAPH_POLICY_WH_SCALARS; n++) {
        node = &ngx_http_graph_policy_shape[n];
        words = node->members;

        for (i = 0; words != NULL && words[i].name.len != 0; i++) {
            place = &node->index[ngx_http_graph_policy_place(
                                          words[i].name.data,
                                          words[i].name.len)];

            if (*place == 0) {
                *place = (u_char) (i + 1);
            }
        }
    }

    done = 1;
}


ngx_uint_t
ngx_http_graph_policy_shape_word(ngx_http_graph_policy_word_t *words,
    const u_char *text, size_t len)
{
    for ( /* void */ ; words->name.len != 0; words++) {

        if (words->name.len == len
            && ngx_http_graph_policy_same(words->name.data, text, len))
        {
            break;
        }
    }

    return words->value;
}
