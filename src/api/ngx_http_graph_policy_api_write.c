
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Sets states by hand.
 *
 * No lock is taken here; the zone is called once.  The parsed values are on
 * the stack, the answer in the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_override.h"


/* Holds in milliseconds, with the defaults that webhooks have, too. */
#define NGX_HTTP_GRAPH_POLICY_API_HOLD      10000
#define NGX_HTTP_GRAPH_POLICY_API_HOLD_MAX  900000

#define NGX_HTTP_GRAPH_POLICY_MAX_HOLD      86400000


/* The members of the body. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_PUT_SCOPE = 0,
    NGX_HTTP_GRAPH_POLICY_PUT_KEY,
    NGX_HTTP_GRAPH_POLICY_PUT_REASON,
    NGX_HTTP_GRAPH_POLICY_PUT_HOLD,
    NGX_HTTP_GRAPH_POLICY_PUT_PROBE,
    NGX_HTTP_GRAPH_POLICY_NPUT
} ngx_http_graph_policy_put_e;


/* The state that is to be set. */

typedef struct {
    ngx_http_graph_policy_key_e        kind;
    ngx_http_graph_policy_identity_t   id;
    ngx_http_graph_policy_facts_t      facts;
    ngx_http_graph_policy_verdict_t    verdict;
    ngx_http_graph_policy_failure_t    failure;
    ngx_uint_t                         frozen;
} ngx_http_graph_policy_put_t;


static ngx_int_t ngx_http_graph_policy_api_whom(
    ngx_http_graph_policy_call_t *call, ngx_http_graph_policy_field_t *fields,
    ngx_http_graph_policy_put_t *put);
static ngx_int_t ngx_http_graph_policy_api_why(
    ngx_http_graph_policy_call_t *call, ngx_http_graph_policy_field_t *field,
    ngx_http_graph_policy_put_t *put);
static ngx_uint_t ngx_http_graph_policy_api_may_be_set(ngx_uint_t reason);
static ngx_int_t ngx_http_graph_policy_api_how_long(
    ngx_http_graph_policy_call_t *call, ngx_http_graph_policy_field_t *fields,
    ngx_http_graph_policy_put_t *put);
static ngx_int_t ngx_http_graph_policy_api_set(
    ngx_http_graph_policy_call_t *call, ngx_http_graph_policy_put_t *put);
static ngx_int_t ngx_http_graph_policy_api_location(
    ngx_http_graph_policy_call_t *call, ngx_http_graph_policy_view_t *view);


ngx_int_t
ngx_http_graph_policy_api_put(ngx_http_graph_policy_call_t *call)
{
    ngx_int_t                      rc;
    ngx_http_graph_policy_put_t    put;
    ngx_http_graph_policy_form_t   form;

    ngx_http_graph_policy_field_t  fields[NGX_HTTP_GRAPH_POLICY_NPUT] = {
        ngx_http_graph_policy_field("scope", 0),
        ngx_http_graph_policy_field("key", 0),
        ngx_http_graph_policy_field("reason", 0),
        ngx_http_graph_policy_field("hold", 0),
        ngx_http_graph_policy_field("probe", 1)
    };

    form.fields = fields;
    form.nfields = NGX_HTTP_GRAPH_POLICY_NPUT;

    ngx_memzero(&put, sizeof(ngx_http_graph_policy_put_t));

    rc = ngx_http_graph_policy_api_form(call, &form);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_graph_policy_api_whom(call, fields, &put);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_graph_policy_api_why(call,
                                  &fields[NGX_HTTP_GRAPH_POLICY_PUT_REASON],
                                           &put);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_graph_policy_api_how_long(call, fields, &put);
    }

    return (rc == NGX_DECLINED) ? ngx_http_graph_policy_api_set(call, &put)
                                : rc;
}


/*
 * These functions return NGX_DECLINED on success, or the return value of the
 * answer that they have sent.
 */

static ngx_int_t
ngx_http_graph_policy_api_whom(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_field_t *fields, ngx_http_graph_policy_put_t *put)
{
    ngx_int_t    scope;
    ngx_str_t    name, key;
    const char  *wrong;

    name.data = fields[NGX_HTTP_GRAPH_POLICY_PUT_SCOPE].data;
    name.len = fields[NGX_HTTP_GRAPH_POLICY_PUT_SCOPE].len;
    key.data = fields[NGX_HTTP_GRAPH_POLICY_PUT_KEY].data;
    key.len = fields[NGX_HTTP_GRAPH_POLICY_PUT_KEY].len;

    wrong = NULL;
    scope = ngx_http_graph_policy_rules_scope(&name);

    switch (scope) {

    case NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL:
        put->kind = NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL;

        if (key.len != NGX_HTTP_GRAPH_POLICY_FP_LEN
            || ngx_http_graph_policy_api_hex(key.data, key.len,
                                             &put->id.credential)
               != NGX_OK
            || put->id.credential == 0)
        {
            wrong = "\"key\" of a credential must be its fingerprint, of 16 "
                    "digits 0-9 and a-f";
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT:
        put->kind = NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT;
        put->id.account = key;

        if (!ngx_http_graph_policy_is_account(&key)) {
            wrong = "\"key\" of an account must be 1 to 64 characters of "
                    "A-Z, a-z, 0-9, dot, underscore, and hyphen";
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE:
        put->kind = NGX_HTTP_GRAPH_POLICY_KEY_PHONE;
        put->id.phone = key;

        if (!ngx_http_graph_policy_is_phone(&key)) {
            wrong = "\"key\" of a phone must be its id, of 1 to 20 digits";
        }

        break;

    default:
        wrong = "\"scope\" must be phone, account, or credential";
    }

    put->verdict.scope = (uint8_t) scope;

    return (wrong != NULL)
           ? ngx_http_graph_policy_api_error(call->request,
                                             NGX_HTTP_BAD_REQUEST, "%s", wrong)
           : NGX_DECLINED;
}


static ngx_int_t
ngx_http_graph_policy_api_why(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_field_t *field, ngx_http_graph_policy_put_t *put)
{
    u_char      *p, *last, text[512];
    ngx_int_t    reason;
    ngx_str_t    name;
    ngx_uint_t   i;

    name.data = field->data;
    name.len = field->len;

    reason = ngx_http_graph_policy_rules_reason(&name);

    if (reason != NGX_ERROR && ngx_http_graph_policy_api_may_be_set(reason)) {
        put->verdict.category = NGX_HTTP_GRAPH_POLICY_FATAL;
        put->verdict.reason = (uint8_t) reason;
        put->verdict.matched = 1;

        return NGX_DECLINED;
    }

    p = text;
    last = text + sizeof(text);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {

        if (ngx_http_graph_policy_api_may_be_set(i)) {
            p = ngx_slprintf(p, last, "%s%V", (p != text) ? ", " : "",
                             &ngx_http_graph_policy_reasons[i].slug);
        }
    }

    return ngx_http_graph_policy_api_error(call->request,
                                           NGX_HTTP_BAD_REQUEST,
                                           "\"reason\" must be one of %*s",
                                           (size_t) (p - text), text);
}


/* A state may be set for reasons that have a fatal code in the table. */

static ngx_uint_t
ngx_http_graph_policy_api_may_be_set(ngx_uint_t reason)
{
    ngx_uint_t                    i;
    ngx_http_graph_policy_row_t  *row;

    for (i = 0; i < ngx_http_graph_policy_table_n; i++) {
        row = &ngx_http_graph_policy_table[i];

        if (row->category == NGX_HTTP_GRAPH_POLICY_FATAL
            && row->reason == reason)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_graph_policy_api_how_long(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_field_t *fields, ngx_http_graph_policy_put_t *put)
{
    ngx_int_t                       hold;
    ngx_str_t                       text;
    ngx_http_graph_policy_field_t  *probe;

    hold = NGX_HTTP_GRAPH_POLICY_API_HOLD;

    if (fields[NGX_HTTP_GRAPH_POLICY_PUT_HOLD].found) {
        text.data = fields[NGX_HTTP_GRAPH_POLICY_PUT_HOLD].data;
        text.len = fields[NGX_HTTP_GRAPH_POLICY_PUT_HOLD].len;

        hold = ngx_parse_time(&text, 0);
    }

    if (hold < 1 || hold > NGX_HTTP_GRAPH_POLICY_MAX_HOLD) {
        return ngx_http_graph_policy_api_error(call->request,
                         NGX_HTTP_BAD_REQUEST,
                         "\"hold\" must be a time from 1ms to 24h");
    }

    put->failure.hold = (uint32_t) hold;
    put->failure.max = ngx_max(put->failure.hold,
                               NGX_HTTP_GRAPH_POLICY_API_HOLD_MAX);

    probe = &fields[NGX_HTTP_GRAPH_POLICY_PUT_PROBE];

    put->frozen = (probe->found && !probe->value);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_graph_policy_api_set(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_put_t *put)
{
    ngx_int_t                         rc;
    ngx_http_request_t               *r;
    ngx_http_graph_policy_view_t      view;
    ngx_http_graph_policy_api_answer_t    answer;
    ngx_http_graph_policy_changes_t   changes;
    ngx_http_graph_policy_failure_t  *failure;

    r = call->request;

    failure = &put->failure;

    failure->verdict = &put->verdict;
    failure->facts = &put->facts;
    failure->source = NGX_HTTP_GRAPH_POLICY_SOURCE_API;
    failure->status = NGX_HTTP_BAD_REQUEST;
    failure->lease = 0;
    failure->confirm = NGX_HTTP_GRAPH_POLICY_CONFIRM;
    failure->now = ngx_http_graph_policy_now();
    failure->sent = failure->now;

    ngx_http_graph_policy_changes_of(&changes, r, call->conf->log_level);

    rc = ngx_http_graph_policy_zone_put(call->zone, &put->id, put->kind,
                                        failure, put->frozen, &changes, &view);

    if (rc != NGX_OK) {
        return ngx_http_graph_policy_api_error(r,
                                          NGX_HTTP_INSUFFICIENT_STORAGE,
                                          "the zone has no room for a state");
    }

    if (ngx_http_graph_policy_api_location(call, &view) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_graph_policy_api_begin(&answer, r);
    ngx_http_graph_policy_api_state(&answer.gen, &view, failure->now);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_CREATED);
}


/*
 * Location isn't set in headers_out.location, as nginx would put its own
 * server name before it.
 */

static ngx_int_t
ngx_http_graph_policy_api_location(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_view_t *view)
{
    u_char                    *p, *value;
    size_t                     len;
    ngx_str_t                 *base, *name;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(call->request, ngx_http_core_module);

    base = &clcf->name;
    name = &call->zone->name;

    /* An escaped byte takes three. */

    len = 3 * (base->len + name->len) + sizeof("/zones//states/") - 1
          + NGX_HTTP_GRAPH_POLICY_ID_LEN;

    value = ngx_pnalloc(call->request->pool, len);
    if (value == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) ngx_escape_uri(value, base->data, base->len,
                                  NGX_ESCAPE_URI);

    if (base->data[base->len - 1] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, "zones/", sizeof("zones/") - 1);
    p = (u_char *) ngx_escape_uri(p, name->data, name->len,
                                  NGX_ESCAPE_URI_COMPONENT);
    p = ngx_cpymem(p, "/states/", sizeof("/states/") - 1);
    p = ngx_http_graph_policy_write_id(p, view);

    return ngx_http_graph_policy_api_header(call->request, "Location", value,
                                            p - value);
}
