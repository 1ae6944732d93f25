
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: what a webhook's payload says, in whatever order it says it,
 * and that no payload harms.  Trees are compared as texts, see show().
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_payload.h"


#ifndef T_SAMPLES
#define T_SAMPLES  "../samples"
#endif

#define POISON     0xa5
#define GUARD      4096
#define SHOWN      65536

/* around what stands in a change, an entry */

#define VALUE(value, field)                                                   \
    "{\"entry\":[{\"id\":\"2\",\"changes\":[{\"value\":{" value "},"          \
    "\"field\":\"" field "\"}]}]}"
#define MESSAGES(value)      VALUE(value, "messages")
#define ACCOUNT(value)       VALUE(value, "account_update")
#define STATUS(members)      MESSAGES("\"statuses\":[{" members "}]")
#define FAILED(members)      STATUS(members ",\"errors\":[{\"code\":1}]")
#define MESSAGE(members)     MESSAGES("\"messages\":[{" members "}]")
#define CONTACT(members)     MESSAGES("\"contacts\":[{" members "}]")
#define ERROR(members)       MESSAGES("\"errors\":[{" members "}]")

#define DIGITS20             "12345678901234567890"


typedef ngx_http_graph_policy_payload_t   payload_t;
typedef ngx_http_graph_policy_entry_t     entry_t;
typedef ngx_http_graph_policy_change_t    change_t;
typedef ngx_http_graph_policy_item_t      item_t;
typedef ngx_http_graph_policy_contact_t   contact_t;
typedef ngx_http_graph_policy_wh_error_t  error_t;


typedef struct {
    const char  *name;
    const char  *text;
    const char  *tree;
} said_t;


/*
 * A tree as a text:
 *
 *     ACCOUNT@TIME( FIELD EVENT PHONE ACCOUNT NUMBER
 *         { CONTACT NUMBER USER PARENT }
 *         { PLACE NUMBER USER PARENT @TIME [ CODE.SUBCODE ] } ) CHANGES/ERRORS
 *
 * without white space; what is absent is left out.  Fields are M, C, A and o,
 * events D, R, X (disabled), I (reinstated), N and nothing, places v, m, s, k
 * (calls) and h, contacts c.  "p" is a partner's event, "?" one about a single
 * number, "!" a message of the system, "&" one to a group, "~" a status of one
 * member of a group, "-" an error without a code, "x2" two that are alike.
 */

static const said_t  samples[] = {
    { "wh_status_failed_131047.json", NULL,
      "200000000000001(M#100000000000001:15550002222"
      "{s+15550001111@1744609253[131047]})"
      "1/1" },
    { "wh_status_failed_130472_bsuid.json", NULL,
      "200000000000001(M#100000000000001:15550002222"
      "{c+15550001111*US.13491208655302741918^US.ENT.11815799212886844830}"
      "{s+15550001111@1689380458[130472]})1/1" },
    { "wh_value_errors_130429.json", NULL,
      "200000000000001(M#100000000000001:15550002222{v[130429]})1/1" },
    { "wh_message_unsupported_131051.json", NULL,
      "200000000000001(M#100000000000001:15550002222{c+15550001111}"
      "{m+15550001111@1750090702[131051]})1/1" },
    { "wh_message_media_131052.json", NULL,
      "200000000000001(M#100000000000001:15550002222"
      "{m+15550001111@1750090703[131052]})1/1" },
    { "wh_message_parent_bsuid.json", NULL,
      "200000000000001(M#100000000000001:15550002001"
      "{c*US.13491208655302741918^US.ENT.11815799212886844830}"
      "{m*US.13491208655302741918^US.ENT.11815799212886844830"
      "@1748477359[]})1/0" },
    { "wh_message_group.json", NULL,
      "200000000000001(M#100000000000001:15550002001{c+15551110001}"
      "{m&+Z3JvdXAtZmFrZS1pZA@1748477359[]})1/0" },
    { "wh_call_user_initiated.json", NULL,
      "200000000000001(C#100000000000001{c+15551110001}"
      "{k+15551110001@1748477359[]})1/0" },
    { "wh_account_update_partner_removed_coexistence.json", NULL,
      "200000000000001@1748477359(AD:15550002001?)1/1" },
    { "wh_account_update_partner_removed.json", NULL,
      "400000000000001@1748477359(ADp=200000000000001)1/1" },
    { "wh_account_update_reconnected.json", NULL,
      "200000000000001@1743451904(AR)1/0" },
    { "wh_account_update_restriction.json", NULL,
      "200000000000001@1641330498(AN)1/1" },
    { "wh_account_update_disabled.json", NULL,
      "200000000000001@1743451903(AX)1/1" },
    { "wh_phone_number_quality_update.json", NULL,
      "200000000000001@1748454394(o)1/0" }
};


static const said_t  shapes[] = {

    /* nothing said */

    { "an empty object", "{}", "0/0" },
    { "white space everywhere", " \t{ \"entry\" : [ ] } \r\n", "0/0" },
    { "an entry", "{\"entry\":[{}]}", "()0/0" },
    { "no changes", "{\"entry\":[{\"changes\":[]}]}", "()0/0" },
    { "a change", "{\"entry\":[{\"changes\":[{}]}]}", "(o)1/0" },
    { "no value", "{\"entry\":[{\"changes\":[{\"field\":\"messages\"}]}]}",
      "(M)1/0" },
    { "an empty value", MESSAGES(""), "2(M)1/0" },
    { "empty lists",
      MESSAGES("\"contacts\":[],\"messages\":[],\"statuses\":[],"
               "\"errors\":[]"), "2(M)1/0" },
    { "empty items",
      MESSAGES("\"contacts\":[{}],\"messages\":[{}],\"statuses\":[{}],"
               "\"errors\":[{}]"), "2(M{m[]}{v[-]})1/1" },

    /* the object */

    { "a WhatsApp account",
      "{\"object\":\"whatsapp_business_account\",\"entry\":[{}]}", "()0/0" },
    { "another object", "{\"object\":\"page\",\"entry\":[{\"changes\":[{}]}]}",
      "0/0" },
    { "another object, last",
      "{\"entry\":[{\"changes\":[{}]}],\"object\":\"instagram\"}", "0/0" },
    { "an object without a name", "{\"object\":\"\",\"entry\":[{}]}", "0/0" },
    { "an object that begins alike",
      "{\"object\":\"whatsapp_business_accounts\",\"entry\":[{}]}", "0/0" },
    { "a number as the object", "{\"object\":1,\"entry\":[{}]}", "()0/0" },
    { "null as the object", "{\"object\":null,\"entry\":[{}]}", "()0/0" },
    { "true as the object", "{\"object\":true,\"entry\":[{}]}", "()0/0" },
    { "an object as the object", "{\"object\":{},\"entry\":[{}]}", "()0/0" },
    { "a list as the object", "{\"object\":[\"page\"],\"entry\":[{}]}",
      "()0/0" },
    { "an object, then WhatsApp",
      "{\"object\":\"page\",\"entry\":[{}],"
      "\"object\":\"whatsapp_business_account\"}", "()0/0" },
    { "WhatsApp, then an object",
      "{\"object\":\"whatsapp_business_account\",\"entry\":[{}],"
      "\"object\":\"page\"}", "0/0" },
    { "an object, then null",
      "{\"object\":\"page\",\"entry\":[{}],\"object\":null}", "()0/0" },

    /* any order */

    { "everything the other way round",
      "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[{\"errors\":"
      "[{\"title\":\"a\",\"error_subcode\":3,\"code\":2}],\"timestamp\":\"7\","
      "\"recipient_user_id\":\"US.1\",\"recipient_id\":\"16\"}],"
      "\"metadata\":{\"phone_number_id\":\"5\"}},\"field\":\"messages\"}],"
      "\"time\":9,\"id\":\"2\"}],\"object\":\"whatsapp_business_account\"}",
      "2@9(M#5{s+16*US.1@7[2.3]})1/1" },
    { "the usual way",
      "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"2\","
      "\"time\":9,\"changes\":[{\"field\":\"messages\",\"value\":{"
      "\"metadata\":{\"phone_number_id\":\"5\"},\"statuses\":["
      "{\"recipient_id\":\"16\",\"recipient_user_id\":\"US.1\","
      "\"timestamp\":\"7\",\"errors\":[{\"code\":2,\"error_subcode\":3}]}]"
      "}}]}]}", "2@9(M#5{s+16*US.1@7[2.3]})1/1" },
    { "the field before an event",
      "{\"entry\":[{\"changes\":[{\"field\":\"account_update\",\"value\":"
      "{\"event\":\"ACCOUNT_DELETED\"}}]}]}", "(AD)1/1" },
    { "the ban before its event",
      ACCOUNT("\"ban_info\":{\"waba_ban_state\":\"REINSTATE\"},"
              "\"event\":\"DISABLED_UPDATE\""), "2(AI)1/0" },
    { "the account before its event",
      ACCOUNT("\"waba_info\":{\"waba_id\":\"3\"},"
              "\"event\":\"PARTNER_ADDED\""), "2(ARp=3)1/0" },

    /* several of each, in their order */

    { "two entries",
      "{\"entry\":[{\"id\":\"1\",\"time\":3,\"changes\":[{}]},"
      "{\"id\":\"2\",\"changes\":[{}]}]}", "1@3(o)2(o)2/0" },
    { "of entries without a change the first one",
      "{\"entry\":[{\"id\":\"1\"},{\"id\":\"2\"},{\"changes\":[{}]},{},"
      "{\"id\":\"3\",\"changes\":[{}]},{\"id\":\"4\"}]}",
      "1()(o)3(o)2/0" },
    { "changes that say nothing are one",
      "{\"entry\":[{\"changes\":[{},{\"field\":\"calls\"},{},"
      "{\"field\":\"flows\",\"value\":{\"messages\":[{}]}},{},"
      "{\"field\":\"messages\"}]},{\"changes\":[{},{}]}]}",
      "(ox4)(C)(M)(ox2)8/0" },
    { "a change that isn't known, with an error, is its own",
      "{\"entry\":[{\"changes\":[{},{\"value\":{\"errors\":[{\"code\":1}]}},"
      "{}]}]}", "(ox2)(o{v[1]})3/1" },
    { "equal errors in a row are one",
      STATUS("\"errors\":[{},{},{\"code\":1},{\"code\":1},{\"code\":1},{},"
             "{\"code\":1},{\"code\":1,\"error_subcode\":2},"
             "{\"error_subcode\":2,\"code\":1},{\"code\":0},{}]"),
      "2(M{s[-x2,1x3,-,1,1.2x2,0,-]})1/11" },
    { "equal errors of two lists are one, of two items two",
      MESSAGES("\"statuses\":[{\"errors\":[{\"code\":1}],"
               "\"errors\":[{\"code\":1}]},{\"errors\":[{\"code\":1}]}],"
               "\"errors\":[{\"code\":1},{\"code\":1}]"),
      "2(M{s[1x2]}{s[1]}{v[1x2]})1/5" },
    { "of messages of nobody the oldest, and one without a time",
      MESSAGES("\"messages\":[{\"timestamp\":7},{},{\"timestamp\":5},{},"
               "{\"timestamp\":6},{\"from\":\"1\"},{\"from\":\"1\"},"
               "{\"type\":\"system\",\"timestamp\":1},"
               "{\"errors\":[{}]}]"),
      "2(M{m@5[]}{m[]}{m+1[]}{m+1[]}{m[-]})1/1" },
    { "messages of nobody in two changes",
      "{\"entry\":[{\"changes\":[{\"field\":\"messages\",\"value\":{"
      "\"messages\":[{},{}]}},{\"field\":\"messages\",\"value\":{"
      "\"messages\":[{},{}]}}]}]}", "(M{m[]})(M{m[]})2/0" },
    { "two changes",
      "{\"entry\":[{\"changes\":[{\"field\":\"messages\",\"value\":"
      "{\"metadata\":{\"phone_number_id\":\"5\"}}},{\"field\":"
      "\"account_update\",\"value\":{\"event\":\"ACCOUNT_VIOLATION\"}}]},"
      "{\"changes\":[{\"value\":{}}]}]}", "(M#5)(AN)(o)3/1" },
    { "two changes with errors",
      "{\"entry\":[{\"changes\":[{\"value\":{\"errors\":[{\"code\":1},{"
      "\"code\":2}]}},{\"value\":{\"errors\":[{\"code\":3}]}}]}]}",
      "(o{v[1,2]})(o{v[3]})2/3" },
    { "two errors", ERROR("\"code\":1},{\"code\":2,\"error_subcode\":3"),
      "2(M{v[1,2.3]})1/2" },
    { "two statuses, each with errors",
      STATUS("\"errors\":[{\"code\":1},{\"code\":2}]},{\"errors\":[{"
             "\"code\":3}]"), "2(M{s[1,2]}{s[3]})1/3" },
    { "items of each place, as they come",
      MESSAGES("\"statuses\":[{\"errors\":[{\"code\":1}]}],\"errors\":[{"
               "\"code\":2}],\"messages\":[{\"from\":\"1\"},{\"from\":\"2\","
               "\"errors\":[{\"code\":3}]}],\"contacts\":[{\"wa_id\":\"1\"},{"
               "\"user_id\":\"US.2\"}]"),
      "2(M{c+1}{c*US.2}{s[1]}{v[2]}{m+1[]}{m+2[3]})1/3" },
    { "several names of one person",
      MESSAGES("\"messages\":[{\"from_parent_user_id\":\"US.ENT.3\","
               "\"from_user_id\":\"US.2\",\"from\":\"1\"}],"
               "\"contacts\":[{\"parent_user_id\":\"US.ENT.6\","
               "\"user_id\":\"US.5\",\"wa_id\":\"4\"}]"),
      "2(M{c+4*US.5^US.ENT.6}{m+1*US.2^US.ENT.3[]})1/0" },

    /* what doesn't matter is dropped */

    { "a status without errors",
      STATUS("\"recipient_id\":\"1\",\"status\":\"sent\""), "2(M)1/0" },
    { "a status with an empty list of errors", STATUS("\"errors\":[]"),
      "2(M)1/0" },
    { "failed between delivered",
      STATUS("\"recipient_id\":\"1\"},{\"recipient_id\":\"2\",\"errors\":"
             "[{\"code\":5}]},{\"recipient_id\":\"3\""),
      "2(M{s+2[5]})1/1" },
    { "a contact without an id", CONTACT("\"profile\":{\"name\":\"a\"}"),
      "2(M)1/0" },
    { "errors of a contact", CONTACT("\"errors\":[{\"code\":1}]"), "2(M)1/0" },

    /* messages to groups, and statuses of their members */

    { "a message to a group",
      MESSAGE("\"from\":\"1\",\"from_user_id\":\"US.1\","
              "\"from_parent_user_id\":\"US.ENT.1\",\"group_id\":\"g-1\""),
      "2(M{m&+g1[]})1/0" },
    { "the group first",
      MESSAGE("\"group_id\":\"g1\",\"from\":\"1\""), "2(M{m&+g1[]})1/0" },
    { "a group without a name", MESSAGE("\"from\":\"1\",\"group_id\":\"\""),
      "2(M{m+1[]})1/0" },
    { "a group, then null",
      MESSAGE("\"group_id\":\"g\",\"from\":\"1\",\"group_id\":null"),
      "2(M{m+1[]})1/0" },
    { "a message to a group, and one to the business",
      MESSAGE("\"from\":\"1\",\"group_id\":\"g1\"},{\"from\":\"2\""),
      "2(M{m&+g1[]}{m+2[]})1/0" },
    { "a status of a group",
      FAILED("\"recipient_id\":\"g1\",\"recipient_type\":\"group\""),
      "2(M{s+g1[1]})1/1" },
    { "a status of a member",
      FAILED("\"recipient_id\":\"g1\",\"recipient_participant_id\":\"1\""),
      "2(M{s~+g1[1]})1/1" },
    { "a status of a member by a user id",
      FAILED("\"recipient_participant_user_id\":\"US.1\","
             "\"recipient_id\":\"g1\""), "2(M{s~+g1[1]})1/1" },
    { "a status of a member by the parent id",
      FAILED("\"recipient_participant_parent_user_id\":\"US.ENT.1\","
             "\"recipient_id\":\"g1\""), "2(M{s~+g1[1]})1/1" },
    { "a status of no member",
      FAILED("\"recipient_id\":\"1\",\"recipient_participant_id\":null"),
      "2(M{s+1[1]})1/1" },

    /* calls */

    { "a call by the customer",
      VALUE("\"calls\":[{\"from\":\"1\",\"to\":\"2\",\"timestamp\":\"3\","
            "\"direction\":\"USER_INITIATED\"}]", "calls"),
      "2(C{k+1@3[]})1/0" },
    { "a call by the customer, the other way round",
      VALUE("\"calls\":[{\"direction\":\"USER_INITIATED\","
            "\"from_parent_user_id\":\"US.ENT.1\","
            "\"from_user_id\":\"US.1\"}]", "calls"),
      "2(C{k*US.1^US.ENT.1[]})1/0" },
    { "a call by the business",
      VALUE("\"calls\":[{\"from\":\"2\",\"to\":\"1\","
            "\"direction\":\"BUSINESS_INITIATED\"}]", "calls"), "2(C)1/0" },
    { "a call by nobody", VALUE("\"calls\":[{\"from\":\"1\"}]", "calls"),
      "2(C)1/0" },
    { "a call by the customer between others",
      VALUE("\"calls\":[{\"from\":\"1\"},{\"from\":\"2\",\"direction\":"
            "\"USER_INITIATED\"},{\"from\":\"3\"}]", "calls"),
      "2(C{k+2[]})1/0" },
    { "a direction, then null",
      VALUE("\"calls\":[{\"from\":\"1\",\"direction\":\"USER_INITIATED\","
            "\"direction\":null}]", "calls"), "2(C)1/0" },

    /* what the business wrote itself */

    { "echoes of what a person wrote on the phone",
      VALUE("\"message_echoes\":[{\"from\":\"1\",\"to\":\"2\"}]",
            "smb_message_echoes"), "2(o)1/0" },

    /* a history's errors */

    { "errors of a history",
      VALUE("\"history\":[{\"errors\":[{\"code\":2593109}]}]", "history"),
      "2(o{h[2593109]})1/1" },
    { "errors of each part of a history",
      VALUE("\"history\":[{\"errors\":[{\"code\":1}]},{\"metadata\":{},"
            "\"threads\":[{\"messages\":[{\"errors\":[{\"code\":8}]}]}]},"
            "{\"errors\":[{\"code\":2},{\"code\":3}]}]", "history"),
      "2(o{h[1]}{h[2,3]})1/3" },
    { "a history among messages",
      MESSAGES("\"history\":[{\"errors\":[{\"code\":1}]}]"),
      "2(M{h[1]})1/1" },

    /* numbers */

    { "the number of a phone",
      MESSAGES("\"metadata\":{\"display_phone_number\":\"+1 (555) 000-20.01\","
               "\"phone_number_id\":\"5\"}"), "2(M#5:15550002001)1/0" },
    { "the number of a phone as a number",
      MESSAGES("\"metadata\":{\"display_phone_number\":15550002001}"),
      "2(M:15550002001)1/0" },
    { "a number that isn't the phone's",
      MESSAGES("\"phone_number\":\"1\",\"display_phone_number\":\"2\""),
      "2(M)1/0" },
    { "a number of another field",
      VALUE("\"metadata\":{\"display_phone_number\":\"1\"}", "calls"),
      "2(C)1/0" },
    { "an event's number", ACCOUNT("\"phone_number\":\"+1 555\""),
      "2(A:1555?)1/0" },
    { "an event's number, by its other name",
      ACCOUNT("\"display_phone_number\":\"1555\""), "2(A:1555?)1/0" },
    { "an event's number under both names",
      ACCOUNT("\"phone_number\":\"1\",\"display_phone_number\":\"2\""),
      "2(A:2?)1/0" },
    { "an event's number under one of both names",
      ACCOUNT("\"phone_number\":\"1\",\"display_phone_number\":null"),
      "2(A:1?)1/0" },
    { "an event of no number",
      ACCOUNT("\"phone_number\":null,\"display_phone_number\":null"),
      "2(A)1/0" },
    { "an event's number without a digit", ACCOUNT("\"phone_number\":\"a\""),
      "2(A?)1/0" },
    { "an empty number of an event", ACCOUNT("\"phone_number\":\"\""),
      "2(A?)1/0" },
    { "an event's number that is too long",
      ACCOUNT("\"phone_number\":\"" DIGITS20 "1\""), "2(A?)1/0" },
    { "an event's number of the longest kind",
      ACCOUNT("\"phone_number\":\"" DIGITS20 "\""), "2(A:" DIGITS20 "?)1/0" },
    { "the number of a phone in an event",
      ACCOUNT("\"metadata\":{\"display_phone_number\":\"1\"}"), "2(A)1/0" },
    { "a change's number isn't the next one's",
      "{\"entry\":[{\"changes\":[{\"field\":\"account_update\",\"value\":"
      "{\"phone_number\":\"1\"}},{\"field\":\"account_update\",\"value\":{"
      "}}]}]}", "(A:1?)(A)2/0" },

    /* accounts of partners' events */

    { "a partner's event without the account's object",
      ACCOUNT("\"event\":\"PARTNER_REMOVED\""), "2(AD)1/1" },
    { "a partner's event without an account",
      ACCOUNT("\"waba_info\":{},\"event\":\"PARTNER_REMOVED\""),
      "2(ADp)1/1" },
    { "a partner's event with a bad account",
      ACCOUNT("\"event\":\"PARTNER_REMOVED\",\"waba_info\":{"
              "\"waba_id\":\"x\"}"), "2(ADp)1/1" },
    { "a partner's event with null for an account",
      ACCOUNT("\"event\":\"PARTNER_REMOVED\",\"waba_info\":null"),
      "2(AD)1/1" },
    { "an account's object isn't the next change's",
      "{\"entry\":[{\"changes\":[{\"field\":\"account_update\",\"value\":"
      "{\"waba_info\":{}}},{\"field\":\"account_update\",\"value\":{"
      "\"event\":\"PARTNER_ADDED\"}}]}]}", "(A)(AR)2/0" },

    /* spellings of one name */

    { "a parent id, and null under its other names",
      FAILED("\"parent_recipient_user_id\":\"US.ENT.1\","
             "\"recipient_parent_user_id\":null,\"parent_user_id\":\"\""),
      "2(M{s^US.ENT.1[1]})1/1" },

    /* unknown members, of any type and depth */

    { "unknown members",
      "{\"a\":[{\"entry\":[{\"id\":\"8\"}]}],\"entry\":[{\"b\":{\"id\":\"8\","
      "\"changes\":[{}]},\"id\":\"1\",\"c\":null,\"changes\":[{\"d\":"
      "{\"value\":{\"errors\":[{\"code\":8}]},\"field\":\"messages\"},"
      "\"value\":{\"e\":[[[{\"errors\":[{\"code\":8}]}]]],\"f\":{\"event\":"
      "\"ACCOUNT_DELETED\"},\"errors\":[{\"g\":{\"code\":8},\"code\":4,"
      "\"h\":[{\"code\":8}]}]}}],\"i\":1.5}],\"j\":true}",
      "1(o{v[4]})1/1" },
    { "known names elsewhere",
      "{\"id\":\"8\",\"time\":8,\"changes\":[{}],\"field\":\"messages\","
      "\"value\":{\"errors\":[{\"code\":8}]},\"errors\":[{\"code\":8}],"
      "\"entry\":[{\"field\":\"messages\",\"object\":\"page\",\"errors\":[{}],"
      "\"changes\":[{\"id\":\"8\",\"phone_number_id\":\"8\",\"event\":"
      "\"ACCOUNT_DELETED\",\"errors\":[{}],\"value\":{\"phone_number_id\":"
      "\"8\",\"waba_id\":\"8\",\"from\":\"8\",\"code\":8,\"waba_ban_state\":"
      "\"DISABLE\",\"field\":\"messages\"}}]}]}", "(o)1/0" },
    { "members of another item",
      MESSAGES("\"messages\":[{\"recipient_id\":\"1\",\"wa_id\":\"1\","
               "\"user_id\":\"1\"}],\"statuses\":[{\"from\":\"1\","
               "\"from_user_id\":\"1\",\"type\":\"system\",\"errors\":[{}]}],"
               "\"contacts\":[{\"from\":\"1\",\"recipient_id\":\"1\"}]"),
      "2(M{m[]}{s[-]})1/1" },
    { "the texts of an error",
      ERROR("\"title\":\"code\",\"message\":\"\\\"code\\\":8\",\"error_data\":"
            "{\"details\":\"errors\",\"code\":8},\"href\":\"a\",\"code\":4"),
      "2(M{v[4]})1/1" },
    { "an error of a text in a message",
      MESSAGE("\"text\":{\"errors\":[{\"code\":8}],\"body\":\"errors\"},"
              "\"context\":{\"from\":\"8\"},\"from\":\"1\""),
      "2(M{m+1[]})1/0" },
    { "escaped names",
      "{\"\\u0065ntry\":[{\"\\u0069d\":\"\\u0031\",\"changes\":[{\"field\":"
      "\"m\\u0065ssages\",\"value\":{\"errors\":[{\"c\\u006fde\":4}]}}]}]}",
      "1(M{v[4]})1/1" },
    { "names with a NUL",
      "{\"entry\\u0000\":[{}],\"entry\":[{\"id\\u0000\":\"1\",\"\":\"1\"}]}",
      "()0/0" },
    { "names of another case",
      "{\"Entry\":[{}],\"entry\":[{\"ID\":\"1\",\"Changes\":[{}]}]}", "()0/0"
    },

    /* fields */

    { "another field", VALUE("\"errors\":[{\"code\":4}]", "security"),
      "2(o{v[4]})1/1" },
    { "a field that begins alike", VALUE("", "messages_"), "2(o)1/0" },
    { "a field without a name", VALUE("", ""), "2(o)1/0" },
    { "errors of an account_update aren't counted",
      ACCOUNT("\"errors\":[{\"code\":4}]"), "2(A{v[4]})1/0" },

    /* times */

    { "a time as a text", FAILED("\"timestamp\":\"1744609253\""),
      "2(M{s@1744609253[1]})1/1" },
    { "a time as a number", FAILED("\"timestamp\":1744609253"),
      "2(M{s@1744609253[1]})1/1" },
    { "a time of a message", MESSAGE("\"timestamp\":\"3\""), "2(M{m@3[]})1/0"
    },
    { "a time as a decimal", FAILED("\"timestamp\":1744609253.0"),
      "2(M{s@1744609253[1]})1/1" },
    { "a fraction", FAILED("\"timestamp\":1744609253.5"), "2(M{s[1]})1/1" },
    { "a fraction as a text", FAILED("\"timestamp\":\"1744609253.5\""),
      "2(M{s[1]})1/1" },
    { "a negative time", FAILED("\"timestamp\":-3"), "2(M{s[1]})1/1" },
    { "a negative time as a text", FAILED("\"timestamp\":\"-3\""),
      "2(M{s[1]})1/1" },
    { "milliseconds", FAILED("\"timestamp\":\"1744609253000\""),
      "2(M{s[1]})1/1" },
    { "milliseconds as a number", FAILED("\"timestamp\":1744609253000"),
      "2(M{s[1]})1/1" },
    { "the last second", FAILED("\"timestamp\":\"9999999999\""),
      "2(M{s@9999999999[1]})1/1" },
    { "larger than 64 bits", FAILED("\"timestamp\":99999999999999999999"),
      "2(M{s[1]})1/1" },
    { "larger than 64 bits, as a text",
      FAILED("\"timestamp\":\"99999999999999999999\""), "2(M{s[1]})1/1" },
    { "a date", FAILED("\"timestamp\":\"2025-04-17\""), "2(M{s[1]})1/1" },
    { "an empty time", FAILED("\"timestamp\":\"\""), "2(M{s[1]})1/1" },
    { "a time of an entry as a text", "{\"entry\":[{\"time\":\"9\"}]}",
      "@9()0/0" },

    /* messages of the system */

    { "a system's", MESSAGE("\"type\":\"system\",\"from\":\"1\""),
      "2(M{m!+1[]})1/0" },
    { "a system's of nobody", MESSAGE("\"type\":\"system\""), "2(M)1/0" },
    { "a customer's", MESSAGE("\"type\":\"text\""), "2(M{m[]})1/0" },
    { "of a type that begins alike", MESSAGE("\"type\":\"systems\""),
      "2(M{m[]})1/0" },
    { "of a shorter type", MESSAGE("\"type\":\"syste\""), "2(M{m[]})1/0" },

    /* codes */

    { "code 0", ERROR("\"code\":0"), "2(M{v[0]})1/1" },
    { "a code as a text", ERROR("\"code\":\"131047\""), "2(M{v[131047]})1/1" },
    { "a code as a decimal", ERROR("\"code\":131047.0"),
      "2(M{v[131047]})1/1" },
    { "a code with an exponent", ERROR("\"code\":1e3"), "2(M{v[1000]})1/1" },
    { "a negative code", ERROR("\"code\":-1"), "2(M{v[-]})1/1" },
    { "a fraction of a code", ERROR("\"code\":1.5"), "2(M{v[-]})1/1" },
    { "no digits", ERROR("\"code\":\"x\""), "2(M{v[-]})1/1" },
    { "an empty code", ERROR("\"code\":\"\""), "2(M{v[-]})1/1" },
    { "a code too large", ERROR("\"code\":9007199254740992"),
      "2(M{v[-]})1/1" },
    { "a subcode alone", ERROR("\"error_subcode\":5"), "2(M{v[-.5]})1/1" },
    { "subcode 0", ERROR("\"code\":100,\"error_subcode\":0"),
      "2(M{v[100.0]})1/1" },
    { "a subcode as a text", ERROR("\"code\":100,\"error_subcode\":\"33\""),
      "2(M{v[100.33]})1/1" },
    { "an error without a code", ERROR("\"title\":\"a\""), "2(M{v[-]})1/1" },
    { "elements that are no objects",
      MESSAGES("\"errors\":[null,1,\"a\",[{\"code\":1}],true,{\"code\":2}]"),
      "2(M{v[2]})1/1" },

    /* twice: the last one counts; lists add up */

    { "ids twice", "{\"entry\":[{\"id\":\"1\",\"id\":\"2\"}]}", "2()0/0" },
    { "an id, then null", "{\"entry\":[{\"id\":\"1\",\"id\":null}]}",
      "()0/0" },
    { "an id, then an object", "{\"entry\":[{\"id\":\"1\",\"id\":{}}]}",
      "()0/0" },
    { "an id, then a bad one", "{\"entry\":[{\"id\":\"1\",\"id\":\"x\"}]}",
      "()0/0" },
    { "an id, then an empty one", "{\"entry\":[{\"id\":\"1\",\"id\":\"\"}]}",
      "()0/0" },
    { "a bad id, then one", "{\"entry\":[{\"id\":[],\"id\":\"2\"}]}",
      "2()0/0" },
    { "times twice", "{\"entry\":[{\"time\":1,\"time\":\"2\"}]}", "@2()0/0" },
    { "a time, then null", "{\"entry\":[{\"time\":1,\"time\":null}]}",
      "()0/0" },
    { "fields twice",
      "{\"entry\":[{\"changes\":[{\"field\":\"messages\",\"value\":{"
      "\"event\":\"ACCOUNT_DELETED\"},\"field\":\"account_update\"}]}]}",
      "(AD)1/1" },
    { "a field, then null",
      "{\"entry\":[{\"changes\":[{\"field\":\"messages\",\"field\":null}]}]}",
      "(o)1/0" },
    { "phones twice",
      MESSAGES("\"metadata\":{\"phone_number_id\":\"5\","
               "\"phone_number_id\":\"6\"}"), "2(M#6)1/0" },
    { "recipients twice",
      FAILED("\"recipient_id\":\"12345\",\"recipient_id\":\"67\""),
      "2(M{s+67[1]})1/1" },
    { "a recipient, then true",
      FAILED("\"recipient_id\":\"12345\",\"recipient_id\":true"),
      "2(M{s[1]})1/1" },
    { "a contact's id, then null",
      CONTACT("\"wa_id\":\"1\",\"wa_id\":null"), "2(M)1/0" },
    { "types twice", MESSAGE("\"type\":\"system\",\"type\":\"text\""),
      "2(M{m[]})1/0" },
    { "a type, then null", MESSAGE("\"type\":\"system\",\"type\":null"),
      "2(M{m[]})1/0" },
    { "codes twice", ERROR("\"code\":1,\"code\":2"), "2(M{v[2]})1/1" },
    { "a code, then null", ERROR("\"code\":1,\"code\":null"), "2(M{v[-]})1/1"
    },
    { "a subcode, then a list",
      ERROR("\"code\":1,\"error_subcode\":2,\"error_subcode\":[3]"),
      "2(M{v[1]})1/1" },
    { "events twice",
      ACCOUNT("\"event\":\"PARTNER_REMOVED\",\"event\":\"ACCOUNT_VIOLATION\""),
      "2(AN)1/1" },
    { "an event, then null",
      ACCOUNT("\"event\":\"PARTNER_REMOVED\",\"event\":null"), "2(A)1/0" },
    { "bans twice",
      ACCOUNT("\"event\":\"DISABLED_UPDATE\",\"ban_info\":{\"waba_ban_state\":"
              "\"DISABLE\",\"waba_ban_state\":\"REINSTATE\"}"), "2(AI)1/0" },
    { "a ban, then null",
      ACCOUNT("\"event\":\"DISABLED_UPDATE\",\"ban_info\":{\"waba_ban_state\":"
              "\"DISABLE\",\"waba_ban_state\":null}"), "2(A)1/0" },
    { "lists twice",
      "{\"entry\":[{\"id\":\"1\",\"changes\":[{}],\"changes\":[{\"value\":"
      "{\"errors\":[{\"code\":1}],\"statuses\":[{\"errors\":[{\"code\":2}],"
      "\"errors\":[{\"code\":3}]}],\"errors\":[{\"code\":4}]}}]}],"
      "\"entry\":[{\"id\":\"2\"}]}",
      "1(o)(o{v[1]}{s[2,3]}{v[4]})2()2/4" },
    { "objects twice",
      MESSAGES("\"metadata\":{\"phone_number_id\":\"5\"},\"metadata\":{},"
               "\"metadata\":null"), "2(M#5)1/0" }
};


/* where ids stand, recipients and events: what stands at "%s" */

static const char  *id_places[][2] = {
    { "{\"entry\":[{\"id\":%s}]}", "%s()0/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"metadata\":"
      "{\"phone_number_id\":%s}}}]}]}", "(o#%s)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"waba_info\":{\"waba_id\":%s}"
      "}}]}]}", "(o=%s)1/0" }
};


static const char  *ids[][2] = {
    { "\"1\"", "1" },
    { "\"200000000000001\"", "200000000000001" },
    { "200000000000001", "200000000000001" },
    { "\"" DIGITS20 "\"", DIGITS20 },
    { DIGITS20, DIGITS20 },
    { "0", "0" },
    { "\"007\"", "007" },
    { "\"\\u0031\\u0032\"", "12" },
    { "\"" DIGITS20 "1\"", "" },
    { DIGITS20 "1", "" },
    { "\"\"", "" },
    { "-1", "" },
    { "1.5", "" },
    { "1e3", "" },
    { "\"1 \"", "" },
    { "\"+1\"", "" },
    { "\"1\\u0000\"", "" },
    { "\"a1\"", "" },
    { "\"1/\"", "" },
    { "\"1:\"", "" },
    { "null", "" },
    { "true", "" },
    { "false", "" },
    { "{}", "" },
    { "{\"id\":\"1\",\"phone_number_id\":\"1\",\"waba_id\":\"1\"}", "" },
    { "[]", "" },
    { "[\"1\"]", "" }
};


/* three lines a place: the number, the user id and its parent form */

static const char  *recipient_places[][2] = {
    { FAILED("\"recipient_id\":%s"), "2(M{s%s[1]})1/1" },
    { FAILED("\"recipient_user_id\":%s"), "2(M{s%s[1]})1/1" },
    { FAILED("\"parent_recipient_user_id\":%s"), "2(M{s%s[1]})1/1" },
    { MESSAGE("\"from\":%s"), "2(M{m%s[]})1/0" },
    { MESSAGE("\"from_user_id\":%s"), "2(M{m%s[]})1/0" },
    { MESSAGE("\"from_parent_user_id\":%s"), "2(M{m%s[]})1/0" },
    { CONTACT("\"wa_id\":%s"), "2(M{c%s})1/0" },
    { CONTACT("\"user_id\":%s"), "2(M{c%s})1/0" },
    { CONTACT("\"parent_user_id\":%s"), "2(M{c%s})1/0" }
};


static const char  *parent_spellings[] = {
    "recipient_parent_user_id", "parent_recipient_user_id", "parent_user_id"
};


static const char  *recipients[][2] = {
    { "\"15550001111\"", "15550001111" },
    { "15550001111", "15550001111" },
    { "\"+1 (555) 000-1111\"", "15550001111" },
    { "\"5511998765432\"", "551198765432" },
    { "5215512345678", "525512345678" },
    { "\"5491123456789\"", "541123456789" },
    { "\"US.13491208655302741918\"", "US.13491208655302741918" },
    { "\"US.ENT.11815799212886844830\"", "US.ENT.11815799212886844830" },
    { "\"\\u0031\\u0036\"", "16" },
    { "\"\"", "" },
    { "\"+ (-)\"", "" },
    { "null", "" },
    { "true", "" },
    { "{}", "" },
    { "{\"from\":\"1\",\"wa_id\":\"1\"}", "" },
    { "[]", "" },
    { "[\"1\"]", "" }
};


static const char  *events[][2] = {
    { "\"PARTNER_REMOVED\"", "D" },
    { "\"PARTNER_APP_UNINSTALLED\"", "D" },
    { "\"ACCOUNT_OFFBOARDED\"", "D" },
    { "\"ACCOUNT_DELETED\"", "D" },
    { "\"ACCOUNT_RECONNECTED\"", "R" },
    { "\"PARTNER_ADDED\"", "R" },
    { "\"PARTNER_APP_INSTALLED\"", "R" },
    { "\"ACCOUNT_RESTRICTION\"", "N" },
    { "\"ACCOUNT_VIOLATION\"", "N" },
    { "\"DISABLED_UPDATE\"", "" },
    { "\"PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE\"", "" },
    { "\"PARTNER_\"", "" },
    { "\"PARTNER\"", "" },
    { "\"VERIFIED_ACCOUNT\"", "" },
    { "\"account_deleted\"", "" },
    { "\"ACCOUNT_DELETED \"", "" },
    { "\"ACCOUNT_DELETE\"", "" },
    { "\"\"", "" },
    { "1", "" },
    { "null", "" },
    { "true", "" },
    { "{}", "" },
    { "[\"ACCOUNT_DELETED\"]", "" }
};


static const char  *bans[][2] = {
    { "\"DISABLE\"", "X" },
    { "\"REINSTATE\"", "I" },
    { "\"SCHEDULE_FOR_DISABLE\"", "N" },
    { "\"DISABLED\"", "" },
    { "\"\"", "" },
    { "1", "" },
    { "null", "" },
    { "{}", "" },
    { "[\"DISABLE\"]", "" }
};


/* values that are none, where an object or a list should stand */

static const char  *wrong_types[] = {
    "null", "true", "1", "\"a\"", "\"\"", "{}", "[]", "{\"a\":1}", "[1]",
    "[null,[],\"a\",true]", "[[{\"code\":1,\"id\":\"1\"}]]",
    "{\"errors\":[{\"code\":1}]}", "{\"0\":{\"id\":\"1\"}}"
};


static const char  *wrong_places[][2] = {
    { "{\"entry\":%s}", "0/0" },
    { "{\"entry\":[{\"changes\":%s}]}", "()0/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"metadata\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"contacts\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"calls\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"history\":[{\"errors\":%s}"
      "]}}]}]}", "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"errors\":%s}}]}]}", "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"ban_info\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"waba_info\":%s}}]}]}",
      "(o)1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":[{\"errors\":%s}]}"
      "}]}]}", "(o{m[]})1/0" },
    { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[{\"errors\":%s}]}"
      "}]}]}", "(o)1/0" }
};


/* no payloads */

static const char  *broken[] = {
    "",
    " ",
    "{",
    "x",
    "[]",
    "[{\"entry\":[]}]",
    "null",
    "true",
    "1",
    "1 ",
    "\"entry\"",
    "{}}",
    "{} x",
    "{}{}",
    "{} \"",
    "{\"entry\":[}",
    "{\"entry\":[{]}",
    "{\"entry\":[{}]},",
    "{\"entry\":[{\"id\":01}]}",
    "{\"entry\":[{\"id\":\"1]}]}",
    "{\"entry\":[{\"id\":\"\\x\"}]}",
    "{\"entry\":[{\"id\":\"\xff\"}]}",
    "{\"entry\":[{}],\"a\":\"\xed\xa0\x80\"}",
    "{\"entry\":[{}],\"a\":NaN}",
    "\xef\xbb\xbf{\"entry\":[]}",
    "{'entry':[]}",
    "object=whatsapp_business_account"
};


/* appends to the text of a tree */

static void
put(char *out, const char *fmt, ...)
{
    size_t   n;
    va_list  args;

    n = strlen(out);

    va_start(args, fmt);
    vsnprintf(out + n, SHOWN - n, fmt, args);
    va_end(args);
}


static void
put_text(char *out, const char *mark, ngx_str_t *text)
{
    if (text->len != 0) {
        put(out, "%s%.*s", mark, (int) text->len, text->data);
    }
}


static void
show_who(char *out, ngx_str_t *who)
{
    put_text(out, "+", &who[NGX_HTTP_GRAPH_POLICY_WHO_NUMBER]);
    put_text(out, "*", &who[NGX_HTTP_GRAPH_POLICY_WHO_USER]);
    put_text(out, "^", &who[NGX_HTTP_GRAPH_POLICY_WHO_PARENT]);
}


static void
show_items(char *out, item_t *item)
{
    error_t  *error;

    for ( /* void */ ; item != NULL; item = item->next) {
        put(out, "{%c%s%s%s", "vmskh"[item->place], item->system ? "!" : "",
            item->group ? "&" : "", item->member ? "~" : "");
        show_who(out, item->who);

        if (item->time != 0) {
            put(out, "@%jd", (intmax_t) item->time);
        }

        if (item->id.len != 0) {
            put(out, "#%.*s%c", (int) item->id.len, (char *) item->id.data,
                "?+-"[item->status]);
        }

        put(out, "[");

        for (error = item->errors; error != NULL; error = error->next) {

            if (error->has_code) {
                put(out, "%jd", (intmax_t) error->code);

            } else {
                put(out, "-");
            }

            if (error->has_subcode) {
                put(out, ".%jd", (intmax_t) error->subcode);
            }

            if (error->more != 0) {
                put(out, "x%u", 1 + error->more);
            }

            put(out, error->next ? "," : "");
        }

        put(out, "]}");
    }
}


static void
show(char *out, payload_t *payload)
{
    entry_t    *entry;
    change_t   *change;
    contact_t  *contact;

    static const char  *event[] = { "", "D", "R", "X", "I", "N" };

    out[0] = '\0';

    for (entry = payload->entries; entry != NULL; entry = entry->next) {
        put_text(out, "", &entry->account);

        if (entry->time != 0) {
            put(out, "@%jd", (intmax_t) entry->time);
        }

        if (entry->changes == NULL) {
            put(out, "()");
        }

        for (change = entry->changes; change != NULL; change = change->next) {
            put(out, "(%c%s%s", "oMCA"[change->field], event[change->event],
                change->partner ? "p" : "");
            put_text(out, "#", &change->phone);
            put_text(out, "=", &change->account);
            put_text(out, ":", &change->number);
            put(out, change->numbered ? "?" : "");

            if (change->more != 0) {
                put(out, "x%u", 1 + change->more);
            }

            for (contact = change->contacts; contact != NULL;
                 contact = contact->next)
            {
                put(out, "{c");
                show_who(out, contact->who);
                put(out, "}");
            }

            show_items(out, change->items);
            put(out, ")");
        }
    }

    put(out, "%ju/%ju", (uintmax_t) payload->nchanges,
        (uintmax_t) payload->nerrors);
}


/* whether somebody waits for what became of messages */
static ngx_uint_t  wanted;

/* bytes of a step, 0: the whole payload at once */
static size_t      slice;


/*
 * Reads a payload: as in json.c there are guards behind arena and memory, and
 * the text is a block of the exact size.  "tree" is shown while the memory is
 * there, unless it is NULL; "used" is what of the memory was taken.
 */

static ngx_int_t
read_payload(const void *data, size_t len, char *tree, size_t *used)
{
    size_t      arena_size, size, i, n;
    u_char     *arena, *memory, *text;
    ngx_int_t   rc;
    payload_t   payload;

    ngx_http_graph_policy_payload_reader_t  *reader;

    arena_size = slice ? ngx_http_graph_policy_payload_arena(len)
                       : ngx_http_graph_policy_json_arena(len);
    size = ngx_http_graph_policy_payload_memory(len);

    arena = malloc(arena_size + GUARD);
    memory = malloc(size + GUARD);
    text = malloc(len ? len : 1);

    if (arena == NULL || memory == NULL || text == NULL) {
        abort();
    }

    memcpy(text, data, len);
    memset(arena, POISON, arena_size + GUARD);
    memset(memory, POISON, size + GUARD);
    memset(&payload, POISON, sizeof(payload_t));

    if (slice == 0) {
        rc = ngx_http_graph_policy_payload_read(text, len, arena, memory,
                                                wanted, &payload);

    } else {
        reader = ngx_http_graph_policy_payload_begin(text, len, arena, memory,
                                                     wanted, &payload);
        i = 0;

        do {
            rc = ngx_http_graph_policy_payload_step(reader, slice);
        } while (rc == NGX_AGAIN && i++ < len);
    }

    for (i = arena_size + GUARD; i > 0 && arena[i - 1] == POISON; i--) {
        /* void */
    }

    for (n = size + GUARD; n > 0 && memory[n - 1] == POISON; n--) {
        /* void */
    }

    if (i > arena_size || n > size || memcmp(text, data, len) != 0) {
        diag("%zu bytes: took %zu of %zu, %zu of %zu", len, i, arena_size, n,
             size);
        rc = NGX_ERROR;
    }

    /* nothing of the tree may stand in what is gone then */

    memset(arena, POISON, arena_size);
    memset(text, POISON, len);

    if (tree != NULL) {
        show(tree, &payload);
    }

    if (used != NULL) {
        *used = n;
    }

    free(arena);
    free(memory);
    free(text);

    return rc;
}


static void
says(const char *text, size_t len, const char *want, const char *name)
{
    ngx_int_t  rc;

    static char  tree[SHOWN];

    rc = read_payload(text, len, tree, NULL);

    if (rc != NGX_OK) {
        fail("%s: rc %d", name, (int) rc);
        return;
    }

    /* in steps the same comes out */

    for (slice = 1; slice <= 64 && strcmp(tree, want) == 0; slice *= 64) {
        rc = read_payload(text, len, tree, NULL);

        if (rc != NGX_OK) {
            fail("%s: rc %d, in steps of %zu", name, (int) rc, slice);
            slice = 0;
            return;
        }
    }

    slice = 0;

    is_str(tree, want, "%s", name);
}


/* whether a payload can't be read, and its tree is empty */

static int
declined(const char *text, size_t len)
{
    ngx_int_t  rc;

    static char  tree[SHOWN];

    rc = read_payload(text, len, tree, NULL);

    if (rc == NGX_DECLINED) {
        slice = 3;
        rc = read_payload(text, len, tree, NULL);
        slice = 0;
    }

    if (rc != NGX_DECLINED || strcmp(tree, "0/0") != 0) {
        diag("%zu bytes: rc %d, %s", len, (int) rc, tree);
        return 0;
    }

    return 1;
}


static size_t
load(const char *name, char *text, size_t size)
{
    char     path[4096];
    FILE    *file;
    size_t   len;

    snprintf(path, sizeof(path), "%s/%s", T_SAMPLES, name);

    file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        exit(1);
    }

    len = fread(text, 1, size, file);
    fclose(file);

    return len;
}


/* in the value of a change, and what is kept of it when statuses are wanted */

static const char  *waited[][2] = {
    { "{\"id\":\"wamid.A\",\"status\":\"sent\"}", "{s#wamid.A+[]}" },
    { "{\"status\":\"delivered\",\"id\":\"wamid.A\"}", "{s#wamid.A+[]}" },
    { "{\"id\":\"wamid.A\",\"status\":\"read\",\"recipient_id\":\"1\"}",
      "{s+1#wamid.A+[]}" },
    { "{\"id\":\"wamid.A\",\"status\":\"failed\",\"errors\":[{\"code\":"
      "131042}]}", "{s#wamid.A-[131042]}" },
    { "{\"id\":\"wamid.A\",\"status\":\"failed\"}", "{s#wamid.A-[]}" },
    { "{\"id\":\"wamid.A\",\"errors\":[{\"code\":1}]}",
      "{s#wamid.A?[1]}" },
    { "{\"id\":\"wamid.A\",\"status\":\"deleted\"}", "" },
    { "{\"id\":\"wamid.A\",\"status\":\"Sent\"}", "" },
    { "{\"id\":\"wamid.A\"}", "" },
    { "{\"status\":\"sent\"}", "" },
    { "{\"id\":\"\",\"status\":\"sent\"}", "" },
    { "{\"id\":null,\"status\":\"sent\"}", "" },
    { "{\"id\":{\"id\":\"wamid.A\"},\"status\":\"sent\"}", "" },
    { "{\"id\":\"wamid.A\",\"status\":\"sent\",\"status\":1}", "" },
    { "{\"id\":\"wamid.A\",\"id\":\"wamid.B\",\"status\":\"sent\"}",
      "{s#wamid.B+[]}" },
    { "{\"id\":\"a\",\"status\":\"sent\"},{\"id\":\"b\",\"status\":"
      "\"failed\"}", "{s#a+[]}{s#b-[]}" }
};


static void
test_statuses(void)
{
    char    text[2048], want[1024], id[400];
    size_t  i, len;

    for (i = 0; i < sizeof(waited) / sizeof(waited[0]); i++) {
        len = sprintf(text, "{\"entry\":[{\"changes\":[{\"field\":\"messages\","
                      "\"value\":{\"statuses\":[%s]}}]}]}", waited[i][0]);

        wanted = 1;
        sprintf(want, "%s%s%s", "(M", waited[i][1],
                strchr(waited[i][1], '[') && strpbrk(waited[i][1], "?-")
                && strstr(waited[i][1], "[1") ? ")1/1" : ")1/0");
        says(text, len, want, waited[i][0]);

        wanted = 0;
    }

    len = sprintf(text, "{\"entry\":[{\"changes\":[{\"field\":\"messages\","
                  "\"value\":{\"statuses\":[%s]}}]}]}", waited[0][0]);
    says(text, len, "(M" ")1/0",
         "none is kept where nobody waits for it");

    /* an id that is as long as can be, and a longer one */

    memset(id, 'x', sizeof(id));

    wanted = 1;

    for (i = 256; i <= 257; i++) {
        len = sprintf(text, "{\"entry\":[{\"changes\":[{\"field\":\"messages\","
                      "\"value\":{\"statuses\":[{\"status\":\"sent\",\"id\":"
                      "\"%.*s\"}]}}]}]}", (int) i, id);

        if (i == 256) {
            sprintf(want, "(M" "{s#%.*s+[]})1/0", (int) i, id);

        } else {
            sprintf(want, "(M" ")1/0");
        }

        says(text, len, want, "an id as long as can be, or longer");
    }

    wanted = 0;
}


static void
test_samples(void)
{
    char    text[8192];
    size_t  i, n, len, wrong;

    for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        len = load(samples[i].name, text, sizeof(text));
        says(text, len, samples[i].tree, samples[i].name);

        while (text[len - 1] != '}') {
            len--;
        }

        wrong = 0;

        for (n = 0; n < len; n++) {
            wrong += !declined(text, n);
        }

        is_int(wrong, 0, "no truncation of %s says anything", samples[i].name);
    }

    len = load("e131047_sync_400.json", text, sizeof(text));
    says(text, len, "0/0", "the body of an error");
}


static void
test_shapes(void)
{
    size_t  i;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        says(shapes[i].text, strlen(shapes[i].text), shapes[i].tree,
             shapes[i].name);
    }
}


/* "value" instead of the first "%s" of a form */

static size_t
fill(char *out, const char *form, const char *value)
{
    const char  *at;

    at = strstr(form, "%s");

    return sprintf(out, "%.*s%s%s", (int) (at - form), form, value, at + 2);
}


static void
test_ids(void)
{
    char    text[1024], tree[1024];
    size_t  i, n, len;

    for (n = 0; n < sizeof(id_places) / sizeof(id_places[0]); n++) {
        for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {

            len = fill(text, id_places[n][0], ids[i][0]);
            fill(tree, id_places[n][1], ids[i][1]);

            /* no id, no mark */

            if (ids[i][1][0] == '\0' && n != 0) {
                strcpy(tree, "(o)1/0");
            }

            says(text, len, tree, text);
        }
    }
}


/* an id of each length, with bytes by turns that are near to a digit's */

static void
test_digits(void)
{
    char         id[32], value[64], text[1024], tree[SHOWN], want[64];
    size_t       i, len, n;
    unsigned     wrong;
    const char  *c;

    static const char  others[] = "/:09?@ pP";

    wrong = 0;

    for (n = 1; n <= 20; n++) {
        for (i = 0; i < n; i++) {
            for (c = others; *c != '\0'; c++) {

                sprintf(id, "%.*s", (int) n, "98765432100123456789");
                id[i] = *c;

                sprintf(value, "\"%s\"", id);
                len = fill(text, id_places[0][0], value);
                fill(want, id_places[0][1],
                     (*c >= '0' && *c <= '9') ? id : "");

                if (read_payload(text, len, tree, NULL) != NGX_OK
                    || strcmp(tree, want) != 0)
                {
                    diag("%s: %s", id, tree);
                    wrong++;
                }
            }
        }
    }

    ok(wrong == 0, "an id has nothing but digits, wherever they stand");
}


static void
test_recipients(void)
{
    char    text[1024], tree[1024], marked[1024];
    size_t  i, n, len;

    for (n = 0; n < sizeof(recipient_places) / sizeof(recipient_places[0]);
         n++)
    {
        for (i = 0; i < sizeof(recipients) / sizeof(recipients[0]); i++) {

            marked[0] = '\0';

            if (recipients[i][1][0] != '\0') {
                sprintf(marked, "%c%s", "+*^"[n % 3], recipients[i][1]);
            }

            len = fill(text, recipient_places[n][0], recipients[i][0]);
            fill(tree, recipient_places[n][1], marked);

            /* a contact without an id is none */

            if (marked[0] == '\0' && n >= 6) {
                strcpy(tree, "2(M)1/0");
            }

            says(text, len, tree, text);
        }
    }
}


/* each page of Meta's spells the parent form of a recipient in its own way */

static void
test_spellings(void)
{
    char    text[1024];
    size_t  i, len;

    for (i = 0; i < sizeof(parent_spellings) / sizeof(parent_spellings[0]);
         i++)
    {
        len = sprintf(text, STATUS("\"%s\":\"US.ENT.1\",\"errors\":[{"
                                   "\"code\":1}]"), parent_spellings[i]);
        says(text, len, "2(M{s^US.ENT.1[1]})1/1", parent_spellings[i]);
    }
}


static void
test_lengths(void)
{
    char    text[1024], value[512], marked[512], tree[1024];
    size_t  i, n, len;

    static const size_t  lengths[] = {
        1, NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN - 1,
        NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN,
        NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN + 1, 400
    };

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        n = lengths[i];

        marked[0] = '\0';

        sprintf(value, "\"%0*d\"", (int) n, 0);

        if (n <= NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN) {
            sprintf(marked, "+%0*d", (int) n, 0);
        }

        len = fill(text, recipient_places[0][0], value);
        fill(tree, recipient_places[0][1], marked);

        says(text, len, tree, "a recipient of some length");
    }
}


static void
test_events(void)
{
    char         text[1024], tree[1024];
    size_t       i, n, len, errors;
    const char  *event;

    static const char  *fields[] = { "messages", "account_updates", "" };

    static const char  three[] =
        "{\"entry\":[{\"changes\":[{\"field\":\"account_update\",\"value\":{"
        "\"event\":\"DISABLED_UPDATE\",\"ban_info\":{\"waba_ban_state\":"
        "\"DISABLE\"}}},{\"field\":\"account_update\",\"value\":{\"event\":"
        "\"DISABLED_UPDATE\"}},{\"field\":\"account_update\"}]}]}";

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        event = events[i][1];
        errors = (event[0] == 'D' || event[0] == 'N');

        len = fill(text, ACCOUNT("\"event\":%s"), events[i][0]);
        sprintf(tree, "2(A%s)1/%zu", event, errors);

        says(text, len, tree, text);

        /* of another field it is no event */

        for (n = 0; n < sizeof(fields) / sizeof(fields[0]); n++) {
            len = sprintf(text, "{\"entry\":[{\"changes\":[{\"value\":"
                          "{\"event\":%s},\"field\":\"%s\"}]}]}",
                          events[i][0], fields[n]);

            says(text, len, n == 0 ? "(M)1/0" : "(o)1/0", text);
        }
    }

    for (i = 0; i < sizeof(bans) / sizeof(bans[0]); i++) {
        event = bans[i][1];
        errors = (event[0] == 'X' || event[0] == 'N');

        len = fill(text, ACCOUNT("\"event\":\"DISABLED_UPDATE\",\"ban_info\":"
                                 "{\"waba_ban_state\":%s}"), bans[i][0]);
        sprintf(tree, "2(A%s)1/%zu", event, errors);

        says(text, len, tree, text);

        /* nor is a ban one without its event */

        len = fill(text, ACCOUNT("\"event\":\"ACCOUNT_RECONNECTED\","
                                 "\"ban_info\":{\"waba_ban_state\":%s}"),
                   bans[i][0]);
        says(text, len, "2(AR)1/0", text);
    }

    /* a change's event and ban aren't the next one's */

    says(three, sizeof(three) - 1, "(AX)(A)(A)3/1", "three changes");
}


static void
test_wrong_types(void)
{
    char    text[1024];
    size_t  i, n, len;

    for (n = 0; n < sizeof(wrong_places) / sizeof(wrong_places[0]); n++) {
        for (i = 0; i < sizeof(wrong_types) / sizeof(wrong_types[0]); i++) {
            len = fill(text, wrong_places[n][0], wrong_types[i]);
            says(text, len, wrong_places[n][1], text);
        }
    }
}


static void
test_broken(void)
{
    size_t  i, n, wrong;

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        ok(declined(broken[i], strlen(broken[i])), "no payload: %s",
           broken[i]);
    }

    wrong = 0;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (n = 0; shapes[i].text[n] != '\0'; n++) {

            /* white space may be missing */

            if (strspn(shapes[i].text + n, " \r\n")
                != strlen(shapes[i].text + n))
            {
                wrong += !declined(shapes[i].text, n);
            }
        }
    }

    is_int(wrong, 0, "no truncation of a payload says anything");
}


static void
test_depth(void)
{
    char    text[4096], tree[64];
    size_t  n, len, wrong;

    static const char  start[] = "{\"entry\":[{\"id\":\"1\"}],\"a\":";

    wrong = 0;
    len = sizeof(start) - 1;

    memcpy(text, start, len);

    for (n = 1; n < 100; n++) {
        memset(text + len, '[', n);
        memset(text + len + n, ']', n);
        text[len + 2 * n] = '}';

        if (n < NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
            wrong += read_payload(text, len + 2 * n + 1, tree, NULL) != NGX_OK
                     || strcmp(tree, "1()0/0") != 0;

        } else {
            wrong += !declined(text, len + 2 * n + 1);
        }
    }

    is_int(wrong, 0, "depth counts up to %d levels",
           NGX_HTTP_GRAPH_POLICY_JSON_DEPTH);

    memset(text, '[', sizeof(text));
    ok(declined(text, sizeof(text)), "only openings");

    for (n = 0; n + 10 <= sizeof(text); n += 10) {
        memcpy(text + n, "{\"entry\":[", 10);
    }

    ok(declined(text, n), "only openings of entries");
}


/* "n" statuses, of which each "every"th failed */

static size_t
many_statuses(char *text, size_t n, size_t every)
{
    size_t  i, len;

    static const char  start[] =
        "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"2\","
        "\"changes\":[{\"value\":{\"messaging_product\":\"whatsapp\","
        "\"metadata\":{\"phone_number_id\":\"5\"},\"statuses\":[";

    len = sprintf(text, "%s", start);

    for (i = 0; i < n; i++) {
        len += sprintf(text + len, "%s{\"id\":\"wamid.A\",\"recipient_id\":"
                       "\"%zu\",\"timestamp\":\"1744609253\"", i ? "," : "",
                       15550000000 + i);

        if (i % every == 0) {
            len += sprintf(text + len, ",\"errors\":[{\"code\":131026,"
                           "\"title\":\"Message undeliverable\"}]");
        }

        len += sprintf(text + len, "}");
    }

    return len + sprintf(text + len, "]},\"field\":\"messages\"}]}]}");
}


static void
test_many(void)
{
    char    *text, *want;
    size_t   i, len, few, many;

    static char  tree[SHOWN];

    text = malloc(4000000);
    want = malloc(SHOWN);

    if (text == NULL || want == NULL) {
        abort();
    }

    len = many_statuses(text, 100, 1);
    strcpy(want, "2(M#5");

    for (i = 0; i < 100; i++) {
        put(want, "{s+%zu@1744609253[131026]}", 15550000000 + i);
    }

    put(want, ")1/100");
    says(text, len, want, "a hundred statuses");

    /* those that didn't fail take no memory */

    len = many_statuses(text, 10, 10000);
    is_int(read_payload(text, len, tree, &few), NGX_OK, "ten statuses");
    is_str(tree, "2(M#5{s+15550000000@1744609253[131026]})1/1", "one failed");

    len = many_statuses(text, 10000, 10000);
    is_int(read_payload(text, len, tree, &many), NGX_OK,
           "ten thousand statuses");
    is_str(tree, "2(M#5{s+15550000000@1744609253[131026]})1/1", "one failed");
    is_int(many, few, "and takes as much memory as of ten");

    /* three megabytes are Meta's own limit */

    for (i = 0, len = 0; len < 3000000; i += 1000) {
        len = many_statuses(text, i, 1);
    }

    i = read_payload(text, len, tree, &many);
    is_int(i, NGX_OK, "%zu bytes of failed statuses", len);
    ok(many < 2 * len, "took %zu", many);

    free(text);
    free(want);
}


/* three megabytes of what takes most memory for its length can be read */

static void
test_dense(void)
{
    char    *text;
    size_t   i, j, n, len, used, wrong, most;
    u_char  *p;

    /* a list ends with what its start has opened */

    static const struct {
        const char  *start, *each, *end;
    } lists[] = {
        { "{\"entry\":[", "{}", "]}" },
        { "{\"entry\":[", "{\"id\":1}", "]}" },
        { "{\"entry\":[", "{\"changes\":[{}]}", "]}" },
        { "{\"entry\":[", "{\"changes\":[{}]},{}", "]}" },
        { "{\"entry\":[", "{\"changes\":[{\"field\":\"calls\"}]}", "]}" },
        { "{\"entry\":[{", "\"changes\":[{}]", "}]}" },
        { "{\"entry\":[{\"changes\":[", "{}", "]}]}" },
        { "{\"entry\":[{\"changes\":[", "{\"field\":\"calls\"}", "]}]}" },
        { "{\"entry\":[{\"changes\":[", "{},{\"field\":\"calls\"}", "]}]}" },
        { "{\"entry\":[{\"changes\":[",
          "{\"value\":{\"errors\":[{}]}}", "]}]}" },
        { "{\"entry\":[{\"changes\":[",
          "{\"value\":{\"messages\":[{},{\"timestamp\":1}]}}", "]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":[", "{}",
          "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":[",
          "{},{\"timestamp\":1}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":[",
          "{\"from\":1}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":[",
          "{\"from\":1},{}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"messages\":[{",
          "\"from\":1", "}]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"errors\":[", "{}",
          "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{", "\"errors\":[{}]",
          "}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{", "\"errors\":[]",
          "}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[{\"errors\":[",
          "{}", "]}]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[{\"errors\":[",
          "{},{\"code\":1}", "]}]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[{\"errors\":[",
          "{\"code\":1},{\"code\":2}", "]}]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[",
          "{\"errors\":[{}]}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"statuses\":[",
          "{\"id\":1,\"status\":\"sent\"}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"calls\":[",
          "{\"direction\":\"USER_INITIATED\"}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"history\":[",
          "{\"errors\":[{}]}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"contacts\":[",
          "{\"wa_id\":1}", "]}}]}]}" },
        { "{\"entry\":[{\"changes\":[{\"value\":{\"contacts\":[", "{}",
          "]}}]}]}" }
    };

    static const size_t  lengths[] = { 1, 100, 1000, 100000, 3145728 };

    text = malloc(3145728 + 1000);

    if (text == NULL) {
        abort();
    }

    most = 0;
    wanted = 1;

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        wrong = 0;
        used = 0;
        len = 0;

        for (j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
            p = (u_char *) stpcpy(text, lists[i].start);

            for (n = 0; n == 0 || (size_t) (p - (u_char *) text) < lengths[j];
                 n++)
            {
                if (n != 0) {
                    *p++ = ',';
                }

                p = (u_char *) stpcpy((char *) p, lists[i].each);
            }

            p = (u_char *) stpcpy((char *) p, lists[i].end);
            len = p - (u_char *) text;

            wrong += (read_payload(text, len, NULL, &used) != NGX_OK);
        }

        is_int(wrong, 0, "%s%s...%s, %zu bytes for each 100", lists[i].start,
               lists[i].each, lists[i].end, used * 100 / len);

        most = ngx_max(most, used * 100 / len);
    }

    ok(most > 900, "no more memory than the densest of them need");

    /* and a cut one is as unread as any */

    len = sprintf(text, "{\"entry\":[{\"changes\":[{},{},");
    ok(declined(text, len), "cut off");

    wanted = 0;
    free(text);
}


/* recipients and texts of many lengths, so that any rest is met */

static void
test_edge(void)
{
    char    text[10000];
    size_t  n, i, j, len, used, wrong;

    wrong = 0;

    for (n = 1; n <= 20; n++) {
        for (i = 1; i < 100; i++) {

            len = sprintf(text, "{\"entry\":[{\"changes\":[{\"value\":{"
                          "\"messages\":[");

            for (j = 0; j < i; j++) {
                len += sprintf(text + len, "%s{\"from\":\"%0*d\"}",
                               j ? "," : "", (int) n, 0);
            }

            len += sprintf(text + len, "]}}]}]}");

            wrong += (read_payload(text, len, NULL, &used) != NGX_OK);
        }
    }

    is_int(wrong, 0, "names of any length");
}


static void
test_memory(void)
{
    size_t  len;

    /* what an operator is promised of 3 MB */

    len = 3 * 1024 * 1024;
    ok(ngx_http_graph_policy_payload_memory(len) <= 10 * len + 8192,
       "a tree takes at most ten times what the payload does");
}


int
main(void)
{
    test_memory();
    test_samples();
    test_statuses();
    test_shapes();
    test_ids();
    test_digits();
    test_recipients();
    test_spellings();
    test_lengths();
    test_events();
    test_wrong_types();
    test_broken();
    test_depth();
    test_many();
    test_dense();
    test_edge();

    return tap_done();
}
