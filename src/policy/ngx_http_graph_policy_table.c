
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The built-in table: Meta's catalogue of errors, a row for each code, and the
 * texts that explain a reason to people.  All of it is constant, so it needs
 * no lock, and nobody frees it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"


#define ROW(first, last, subcode, category, scope, reason, bound, messages,   \
    retry, refused, wait, title)                                              \
                                                                              \
    { first, last, subcode, NGX_HTTP_GRAPH_POLICY_##category,                 \
      NGX_HTTP_GRAPH_POLICY_SCOPE_##scope, NGX_HTTP_GRAPH_POLICY_##reason,    \
      bound, messages, retry, refused, wait, title }

#define FATAL(code, scope, reason, bound, messages, title)                    \
    ROW(code, code, -1, FATAL, scope, reason, bound, messages, 0, 0, 0, title)

#define TEMP(code, scope, reason, retry, refused, wait, title)                \
    ROW(code, code, -1, TEMPORARY, scope, reason, 0, 0, retry, refused, wait, \
        title)

#define CONTEXT(code, scope, reason, title)                                   \
    ROW(code, code, -1, CONTEXT, scope, reason, 0, 0, 0, 0, 0, title)

#define REQUEST(code, title)                                                  \
    ROW(code, code, -1, REQUEST, REQUEST, OTHER, 0, 0, 0, 0, 0, title)


/*
 * The rows are sorted by code for the binary search.  The columns are
 *
 *     FATAL(code, scope, reason, bound, messages, title)
 *     TEMP(code, scope, reason, retry, refused, wait, title)
 *     CONTEXT(code, scope, reason, title)
 *     REQUEST(code, title)
 *
 * "refused" is set only if the code itself says that Meta stopped before the
 * work was done: a resend after any other code may send a second message.
 */

ngx_http_graph_policy_row_t  ngx_http_graph_policy_table[] = {

    FATAL(0, CREDENTIAL, TOKEN_INVALID, 1, 0, "AuthException"),
    TEMP(1, REQUEST, SERVER_ERROR, 1, 0, 0, "API Unknown"),
    TEMP(2, PHONE, SERVICE_UNAVAILABLE, 1, 1, 0, "API Service"),
    FATAL(3, ACCOUNT, TOKEN_INVALID, 1, 1, "API Method"),
    TEMP(4, CREDENTIAL, RATE_LIMIT, 1, 1, 60000, "API Too Many Calls"),
    FATAL(10, ACCOUNT, TOKEN_INVALID, 1, 1, "Permission Denied"),
    TEMP(17, ACCOUNT, OTHER, 1, 1, 0, "User request limit reached"),
    TEMP(32, ACCOUNT, OTHER, 1, 1, 0, "Page request limit reached"),
    FATAL(33, PHONE, PHONE_DISCONNECTED, 1, 0, "Parameter value is not valid"),
    REQUEST(100, "Invalid parameter"),
    FATAL(102, CREDENTIAL, TOKEN_INVALID, 1, 0, "API Session"),
    ROW(104, 104, -1, REQUEST, REQUEST, OTHER, 1, 0, 0, 0, 0,
        "Access token required"),
    FATAL(190, CREDENTIAL, TOKEN_INVALID, 1, 0,
          "Access token invalid or expired"),
    ROW(200, 299, -1, FATAL, ACCOUNT, TOKEN_INVALID, 1, 1, 0, 0, 0,
        "API Permission"),
    TEMP(341, ACCOUNT, OTHER, 1, 0, 0, "Application limit reached"),
    FATAL(368, ACCOUNT, ACCOUNT_RESTRICTED, 0, 0,
          "Temporarily blocked for policies violations"),
    REQUEST(506, "Duplicate Post"),
    TEMP(613, ACCOUNT, OTHER, 1, 1, 0,
          "Calls to this api exceeded the rate limit"),
    REQUEST(803, "Object alias not found"),
    REQUEST(2500, "Unknown path components"),
    TEMP(80007, ACCOUNT, RATE_LIMIT, 1, 1, 60000, "Rate limit issues"),
    TEMP(80008, ACCOUNT, OTHER, 1, 1, 0, "Business use case rate limit"),
    CONTEXT(130403, CONVERSATION, OTHER, "Business blocked the user"),
    TEMP(130429, PHONE, RATE_LIMIT, 1, 1, 1000, "Rate limit hit"),
    CONTEXT(130472, REQUEST, OTHER, "User is part of an experiment"),
    CONTEXT(130497, CONVERSATION, OTHER,
          "Business restricted in this country"),
    TEMP(131000, REQUEST, SERVER_ERROR, 1, 0, 0, "Something went wrong"),
    REQUEST(131001, "Message too long"),
    REQUEST(131002, "Invalid recipient type"),
    FATAL(131005, ACCOUNT, TOKEN_INVALID, 1, 1, "Access denied"),
    REQUEST(131006, "Resource not found"),
    REQUEST(131008, "Required parameter is missing"),
    REQUEST(131009, "Parameter value is not valid"),
    TEMP(131016, PHONE, SERVICE_UNAVAILABLE, 1, 1, 0, "Service unavailable"),
    REQUEST(131020, "Bad group"),
    REQUEST(131021, "Recipient cannot be sender"),
    CONTEXT(131026, CONVERSATION, UNDELIVERABLE, "Message Undeliverable"),
    REQUEST(131030, "Recipient not in allowed list"),
    FATAL(131031, ACCOUNT, ACCOUNT_RESTRICTED, 0, 0,
          "Account has been locked"),
    FATAL(131037, PHONE, OTHER, 0, 0, "Display name needs approval"),
    CONTEXT(131041, REQUEST, OTHER, "Group unknown"),
    FATAL(131042, ACCOUNT, BILLING, 0, 0,
          "Business eligibility payment issue"),
    CONTEXT(131043, REQUEST, OTHER, "Message expired"),
    FATAL(131044, REQUEST, OTHER, 0, 0, "Payment issue"),
    FATAL(131045, PHONE, PHONE_DISCONNECTED, 0, 0, "Incorrect certificate"),
    CONTEXT(131047, CONVERSATION, WINDOW_EXPIRED, "Re-engagement message"),
    CONTEXT(131048, CONVERSATION, SPAM_QUALITY, "Spam rate limit hit"),
    CONTEXT(131049, REQUEST, OTHER,
          "Not delivered: healthy ecosystem engagement"),
    CONTEXT(131050, REQUEST, OTHER, "User stopped marketing messages"),
    REQUEST(131051, "Unsupported message type"),
    CONTEXT(131052, REQUEST, MEDIA_DOWNLOAD, "Media download error"),
    CONTEXT(131053, REQUEST, MEDIA_UPLOAD, "Media upload error"),
    REQUEST(131055, "Method not allowed"),
    TEMP(131056, CONVERSATION, PAIR_RATE_LIMIT, 1, 1, 1000,
          "Pair rate limit hit"),
    TEMP(131057, PHONE, MAINTENANCE, 1, 1, 5000,
          "Account in maintenance mode"),
    REQUEST(131058, "Sample template from a real number"),
    REQUEST(131059, "Group invalid cursor"),
    REQUEST(131060, "Message currently unavailable"),
    REQUEST(131062, "BSUID recipient not supported"),
    REQUEST(131063, "Marketing templates disabled on Cloud API"),
    CONTEXT(131064, CONVERSATION, SPAM_QUALITY,
          "Messaging limit: template classification"),
    REQUEST(131201, "Group request partially succeeded"),
    REQUEST(131202, "Duplicate participant"),
    REQUEST(131204, "Group over limit"),
    CONTEXT(131207, REQUEST, OTHER, "Group suspended"),
    TEMP(131208, REQUEST, OTHER, 1, 1, 0, "Group rate limit hit"),
    REQUEST(131209, "Group picture aspect ratio"),
    REQUEST(131210, "Group picture too small"),
    REQUEST(131211, "Group creation limit"),
    REQUEST(131212, "Participant not in group"),
    REQUEST(131213, "Join request missing"),
    REQUEST(131214, "Group creation disabled for a while"),
    REQUEST(131215, "Number not eligible for groups"),
    REQUEST(132000, "Template Param Count Mismatch"),
    REQUEST(132001, "Template does not exist"),
    REQUEST(132005, "Template Hydrated Text Too Long"),
    REQUEST(132007, "Template Format Character Policy Violated"),
    REQUEST(132008, "Template param value invalid"),
    REQUEST(132012, "Template Parameter Format Mismatch"),
    REQUEST(132015, "Template is Paused"),
    REQUEST(132016, "Template is Disabled"),
    REQUEST(132018, "Template validation error"),
    REQUEST(132068, "Flow is blocked"),
    REQUEST(132069, "Flow is throttled"),
    REQUEST(133000, "Incomplete Deregistration"),
    REQUEST(133001, "Decryption Error"),
    REQUEST(133002, "Backup Blob Decryption Error"),
    REQUEST(133003, "Recovery Token Decryption Error"),
    TEMP(133004, PHONE, SERVICE_UNAVAILABLE, 1, 1, 0,
          "Server Temporarily Unavailable"),
    REQUEST(133005, "Two-step PIN mismatch"),
    REQUEST(133006, "Number needs re-verification"),
    REQUEST(133007, "Account Blocked"),
    REQUEST(133008, "Too many PIN guesses"),
    REQUEST(133009, "PIN guessed too fast"),
    FATAL(133010, PHONE, PHONE_DISCONNECTED, 0, 0,
          "Phone number Not Registered"),
    TEMP(133015, PHONE, OTHER, 1, 1, 300000,
          "Wait before registering this number"),
    TEMP(133016, PHONE, OTHER, 0, 1, 0, "Register/deregister rate limit"),
    REQUEST(134011, "Payments terms not accepted"),
    REQUEST(134100, "Only marketing messages supported"),
    TEMP(134101, REQUEST, OTHER, 0, 1, 0, "Template still syncing"),
    REQUEST(134102, "Template unavailable for use"),
    REQUEST(135000, "Generic user error"),
    REQUEST(136025, "Verify code error"),
    CONTEXT(137000, REQUEST, OTHER, "Recipient identity key mismatch"),
    REQUEST(138000, "Calling not enabled"),
    CONTEXT(138001, REQUEST, OTHER, "Receiver uncallable"),
    REQUEST(138002, "Concurrent call limit"),
    REQUEST(138003, "Duplicate call"),
    REQUEST(138004, "Call connection error"),
    TEMP(138005, REQUEST, OTHER, 1, 1, 0, "Call rate limit exceeded"),
    CONTEXT(138006, REQUEST, OTHER, "No call permission"),
    REQUEST(138007, "Call connection timeout"),
    CONTEXT(138009, REQUEST, OTHER, "Call permission request limit"),
    REQUEST(138012, "Daily call limit"),
    REQUEST(138013, "Call permission read limit"),
    REQUEST(138018, "Calling cannot be enabled"),
    REQUEST(139000, "Flow blocked by integrity"),
    REQUEST(139001, "Flow update failed"),
    REQUEST(139002, "Flow publish failed"),
    REQUEST(139003, "Flow deprecate failed"),
    REQUEST(139004, "Flow delete failed"),
    REQUEST(139100, "Bulk block failed"),
    REQUEST(139101, "Block list full"),
    TEMP(139102, REQUEST, OTHER, 1, 0, 0, "Block list concurrent update"),
    TEMP(139103, REQUEST, OTHER, 1, 0, 0, "Block list internal error"),
    REQUEST(147001, "Username not available"),
    REQUEST(147002, "Not eligible for username"),
    REQUEST(147003, "Facebook page not linked"),
    REQUEST(147004, "Instagram not linked"),
    REQUEST(147005, "Username transfer required"),
    REQUEST(200005, "Template insights unavailable"),
    REQUEST(200006, "Cannot disable template insights"),
    REQUEST(200007, "Template insights not enabled"),
    REQUEST(1609005, "Error posting link"),
    REQUEST(1752041, "Duplicate Request"),
    REQUEST(2207051, "Not registered or not initiated"),
    REQUEST(2388012, "Number already in list"),
    REQUEST(2388019, "Template count limit"),
    REQUEST(2388024, "Template content in this language exists"),
    REQUEST(2388039, "Template status cannot change"),
    REQUEST(2388040, "Character limit exceeded"),
    REQUEST(2388043, "Template create failed"),
    REQUEST(2388046, "Template name format"),
    REQUEST(2388047, "Header format"),
    REQUEST(2388072, "Body format"),
    REQUEST(2388073, "Footer format"),
    REQUEST(2388091, "Number not eligible for code"),
    REQUEST(2388093, "Number not eligible for verify"),
    REQUEST(2388103, "Number migration refused"),
    REQUEST(2388155, "Template name reserved"),
    REQUEST(2388293, "Too many variables for length"),
    REQUEST(2388299, "Variable at start or end"),
    TEMP(2494100, PHONE, MAINTENANCE, 1, 1, 60000,
          "Account in maintenance mode"),
    REQUEST(2494164, "Signup not found"),
    REQUEST(2494165, "In-App Signup unavailable"),
    REQUEST(2494166, "Unknown placeholder"),
    REQUEST(2494167, "Missing placeholder value"),
    REQUEST(2494168, "Signup terms not accepted"),
    REQUEST(2494176, "Signup terms already accepted"),
    REQUEST(2494177, "Signup terms URL not allowed"),
    REQUEST(2494179, "Website URL scheme"),
    REQUEST(2593079, "WABA marked for migration"),
    REQUEST(2593085, "WABA not valid for OBO mobility"),
    REQUEST(2593107, "Sync request limit exceeded"),
    REQUEST(2593108, "Sync outside 24-hour window"),
    REQUEST(2593109, "History sharing is off"),
};


ngx_uint_t  ngx_http_graph_policy_table_n =
    sizeof(ngx_http_graph_policy_table) / sizeof(ngx_http_graph_policy_row_t);


ngx_http_graph_policy_row_t  ngx_http_graph_policy_subcodes[] = {

    /*
     * Messenger's and Instagram's sends have the same path.  These subcodes
     * concern one recipient, while their codes alone concern the token.
     */
    ROW(10, 10, 2018065, CONTEXT, REQUEST, OTHER, 1, 0, 0, 0, 0,
        "Messenger: outside the allowed window"),
    ROW(10, 10, 2018278, CONTEXT, REQUEST, OTHER, 1, 0, 0, 0, 0,
        "Messenger or Instagram: outside the allowed window"),
    ROW(200, 200, 1545041, CONTEXT, REQUEST, OTHER, 1, 0, 0, 0, 0,
        "Messenger: this person is not available"),

    ROW(100, 100, 33, FATAL, PHONE, PHONE_DISCONNECTED, 1, 0, 0, 0, 0,
        "Object does not exist or permission is missing"),

    /*
     * Meta lists this one as a code, but the related ones arrive as subcodes
     * of 100.
     */
    ROW(-1, -1, 2494100, TEMPORARY, PHONE, MAINTENANCE, 0, 0, 1, 1, 60000,
        "Account in maintenance mode"),
};


ngx_uint_t  ngx_http_graph_policy_subcodes_n =
    sizeof(ngx_http_graph_policy_subcodes)
    / sizeof(ngx_http_graph_policy_row_t);


/* In the order of ngx_http_graph_policy_reason_e. */

ngx_http_graph_policy_reason_t  ngx_http_graph_policy_reasons[] = {

    { ngx_string("token-invalid"),
      ngx_string("Meta does not accept the access token"),
      ngx_string("Create a new access token with the WhatsApp permissions and "
                 "put it in place of the old one."),
      0 },

    { ngx_string("account-restricted"),
      ngx_string("Meta has restricted the WhatsApp Business Account"),
      ngx_string("Find out in WhatsApp Manager which policy was breached and "
                 "settle or appeal it; only Meta can end the restriction."),
      368 },

    { ngx_string("billing"),
      ngx_string("Meta cannot bill the WhatsApp Business Account"),
      ngx_string("Check the account's payment method, credit line, currency "
                 "and time zone with Meta, and pay what is due."),
      131042 },

    { ngx_string("phone-disconnected"),
      ngx_string("The phone number is not connected to the Cloud API"),
      ngx_string("Make sure that the number exists and that the token may "
                 "use it, then register it again."),
      133010 },

    { ngx_string("phones-disconnected"),
      ngx_string("Several phone numbers are disconnected at once"),
      ngx_string("Look for a common cause, such as a removed app or a closed "
                 "account, then register each number again."),
      133010 },

    { ngx_string("rate-limit"),
      ngx_string("A rate limit of Meta is reached"),
      ngx_string("Let some time pass before sending again. If this recurs, "
                 "send more slowly or ask Meta for a higher limit."),
      4 },

    { ngx_string("pair-rate-limit"),
      ngx_string("Too many messages to one recipient in a short time"),
      ngx_string("Leave this recipient alone for a while; messages to others "
                 "are not affected."),
      131056 },

    { ngx_string("maintenance"),
      ngx_string("Meta is working on this phone number or account"),
      ngx_string("Send again in a few minutes; there is nothing to repair on "
                 "this side."),
      131057 },

    { ngx_string("server-error"),
      ngx_string("Meta failed without naming a cause"),
      ngx_string("Find out whether the message arrived before sending it "
                 "again. If this recurs, check the request and the status "
                 "page of Meta."),
      1 },

    { ngx_string("service-unavailable"),
      ngx_string("The messaging service of Meta is down or overloaded"),
      ngx_string("Send again later; the status page of Meta tells of known "
                 "incidents."),
      131016 },

    { ngx_string("window-expired"),
      ngx_string("The customer last wrote more than 24 hours ago"),
      ngx_string("Send an approved template in place of free text, or wait "
                 "until the customer writes again."),
      131047 },

    { ngx_string("undeliverable"),
      ngx_string("Meta cannot deliver to this recipient"),
      ngx_string("There is nothing to repair on this side: the recipient may "
                 "lack WhatsApp, run an old app or owe consent to new terms."),
      131026 },

    { ngx_string("spam-quality"),
      ngx_string("Meta limits sending because of complaints or low quality"),
      ngx_string("Write only to people who asked for it, check the category "
                 "of templates, and wait until Meta eases the limit."),
      131048 },

    { ngx_string("media-download"),
      ngx_string("A media file from the customer could not be fetched"),
      ngx_string("Have the customer send it once more, smaller or in another "
                 "format if that fails too."),
      131052 },

    { ngx_string("media-upload"),
      ngx_string("Meta did not take the media file"),
      ngx_string("Check the type and size of the file and that Meta can fetch "
                 "it, then send it again."),
      131053 },

    { ngx_string("other"),
      ngx_string("Meta reports an error"),
      ngx_string("Look the code up in Meta's list of error codes and act on "
                 "the details of the answer."),
      131037 }
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_reasons,
                               NGX_HTTP_GRAPH_POLICY_NREASONS);


/* In the order of ngx_http_graph_policy_category_e. */

ngx_str_t  ngx_http_graph_policy_categories[] = {
    ngx_string("fatal"),
    ngx_string("temporary"),
    ngx_string("context-limited"),
    ngx_string("request"),
    ngx_string("unclassified"),
    ngx_string("ignore")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_categories,
                               NGX_HTTP_GRAPH_POLICY_NCATEGORIES);


/* In the order of ngx_http_graph_policy_scope_e. */

ngx_str_t  ngx_http_graph_policy_scopes[] = {
    ngx_string("credential"),
    ngx_string("account"),
    ngx_string("phone"),
    ngx_string("conversation"),
    ngx_string("request")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_scopes,
                               NGX_HTTP_GRAPH_POLICY_NSCOPES);
