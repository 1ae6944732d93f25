
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Shows the built-in table, explains an error body by the table and the rules
 * of the location, and looks up whether a recipient may be written to.
 *
 * No lock is taken here; the zone is asked once.  Memory comes from the
 * request's pool, and the parser's is freed before the answer.  A recipient is
 * only ever stored as a fingerprint, in the zone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_classify.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_gen.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_override.h"


static void ngx_http_graph_policy_api_row(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_row_t *row);
static void ngx_http_graph_policy_api_treatment(
    ngx_http_graph_policy_gen_t *gen, ngx_uint_t retry, ngx_uint_t refused,
    ngx_msec_t wait);
static void ngx_http_graph_policy_api_reasons(
    ngx_http_graph_policy_gen_t *gen);
static void ngx_http_graph_policy_api_explanation(
    ngx_http_graph_policy_gen_t *gen, ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t sets_state);
static ngx_uint_t ngx_http_graph_policy_api_sets_state(
    ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_verdict_t *verdict);
static ngx_msec_t ngx_http_graph_policy_api_conversation_hold(
    ngx_http_graph_policy_call_t *call);
static ngx_int_t ngx_http_graph_policy_api_recipient(
    ngx_http_graph_policy_call_t *call, ngx_http_graph_policy_field_t *fields,
    ngx_http_graph_policy_identity_t *id);


ngx_int_t
ngx_http_graph_policy_api_rules(ngx_http_graph_policy_call_t *call)
{
    ngx_uint_t                       i;
    ngx_http_graph_policy_api_answer_t   answer;

    ngx_http_graph_policy_api_begin(&answer, call->request);

    ngx_http_graph_policy_gen_object(&answer.gen, NULL);
    ngx_http_graph_policy_gen_array(&answer.gen, "rules");

    for (i = 0; i < ngx_http_graph_policy_table_n; i++) {
        ngx_http_graph_policy_api_row(&answer.gen,
                                      &ngx_http_graph_policy_table[i]);
    }

    for (i = 0; i < ngx_http_graph_policy_subcodes_n; i++) {
        ngx_http_graph_policy_api_row(&answer.gen,
                                      &ngx_http_graph_policy_subcodes[i]);
    }

    ngx_http_graph_policy_gen_close_array(&answer.gen);

    ngx_http_graph_policy_api_reasons(&answer.gen);

    ngx_http_graph_policy_gen_close_object(&answer.gen);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}


static void
ngx_http_graph_policy_api_row(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_row_t *row)
{
    u_char  *p, codes[2 * NGX_INT64_LEN + 1];

    if (row->first == -1) {
        p = ngx_cpymem(codes, "*", 1);

    } else if (row->first == row->last) {
        p = ngx_sprintf(codes, "%L", row->first);

    } else {
        p = ngx_sprintf(codes, "%L-%L", row->first, row->last);
    }

    ngx_http_graph_policy_gen_object(gen, NULL);

    ngx_http_graph_policy_gen_text(gen, "codes", codes, p - codes);
    ngx_http_graph_policy_api_code(gen, "subcode", row->subcode);
    ngx_http_graph_policy_gen_string(gen, "category",
                          &ngx_http_graph_policy_categories[row->category]);
    ngx_http_graph_policy_gen_string(gen, "reason",
                          &ngx_http_graph_policy_reasons[row->reason].slug);
    ngx_http_graph_policy_gen_string(gen, "scope",
                          &ngx_http_graph_policy_scopes[row->scope]);
    ngx_http_graph_policy_gen_bool(gen, "credential_bound", row->bound);

    ngx_http_graph_policy_api_treatment(gen, row->retry, row->refused,
                                        row->wait);

    ngx_http_graph_policy_gen_text(gen, "title", (u_char *) row->title,
                                   ngx_strlen(row->title));

    ngx_http_graph_policy_gen_close_object(gen);
}


static void
ngx_http_graph_policy_api_treatment(ngx_http_graph_policy_gen_t *gen,
    ngx_uint_t retry, ngx_uint_t refused, ngx_msec_t wait)
{
    static ngx_str_t  outcomes[] = {
        ngx_string("unknown"),
        ngx_string("refused")
    };

    ngx_http_graph_policy_gen_bool(gen, "retry", retry);
    ngx_http_graph_policy_gen_string(gen, "outcome", &outcomes[refused != 0]);

    if (wait == 0) {
        ngx_http_graph_policy_gen_null(gen, "wait");

    } else {
        ngx_http_graph_policy_gen_integer(gen, "wait", (wait + 999) / 1000);
    }
}


static void
ngx_http_graph_policy_api_reasons(ngx_http_graph_policy_gen_t *gen)
{
    ngx_uint_t                       i;
    ngx_http_graph_policy_reason_t  *reason;

    ngx_http_graph_policy_gen_array(gen, "reasons");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {
        reason = &ngx_http_graph_policy_reasons[i];

        ngx_http_graph_policy_gen_object(gen, NULL);
        ngx_http_graph_policy_gen_string(gen, "reason", &reason->slug);
        ngx_http_graph_policy_gen_string(gen, "title", &reason->title);
        ngx_http_graph_policy_gen_string(gen, "action", &reason->action);
        ngx_http_graph_policy_api_code(gen, "code", reason->code);
        ngx_http_graph_policy_gen_close_object(gen);
    }

    ngx_http_graph_policy_gen_close_array(gen);
}


ngx_int_t
ngx_http_graph_policy_api_explain(ngx_http_graph_policy_call_t *call)
{
    void                             *arena;
    ngx_int_t                         rc;
    ngx_http_request_t               *r;
    ngx_http_graph_policy_facts_t     facts;
    ngx_http_graph_policy_api_answer_t    answer;
    ngx_http_graph_policy_verdict_t   verdict;

    r = call->request;

    arena = ngx_alloc(ngx_http_graph_policy_json_arena(call->body.len),
                      r->connection->log);
    if (arena == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_graph_policy_json_parse(call->body.data, call->body.len,
                                          arena, &facts);
    ngx_free(arena);

    if (rc != NGX_OK) {
        return ngx_http_graph_policy_api_error(r, NGX_HTTP_BAD_REQUEST,
                                            "the body can't be read as JSON");
    }

    ngx_http_graph_policy_rules_decide(&facts, call->conf->ruleset, &verdict);

    ngx_http_graph_policy_api_begin(&answer, r);
    ngx_http_graph_policy_api_explanation(&answer.gen, &facts, &verdict,
                      ngx_http_graph_policy_api_sets_state(call, &verdict));

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}


static void
ngx_http_graph_policy_api_explanation(ngx_http_graph_policy_gen_t *gen,
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t sets_state)
{
    ngx_http_graph_policy_reason_t  *reason;

    ngx_http_graph_policy_gen_object(gen, NULL);

    ngx_http_graph_policy_gen_string(gen, "category",
                       &ngx_http_graph_policy_categories[verdict->category]);
    ngx_http_graph_policy_api_code(gen, "code",
                                   facts->has_code ? facts->code : -1);
    ngx_http_graph_policy_api_code(gen, "subcode",
                                   facts->has_subcode ? facts->subcode : -1);

    if (verdict->matched) {
        reason = &ngx_http_graph_policy_reasons[verdict->reason];

        ngx_http_graph_policy_gen_string(gen, "reason", &reason->slug);
        ngx_http_graph_policy_gen_string(gen, "scope",
                           &ngx_http_graph_policy_scopes[verdict->scope]);
        ngx_http_graph_policy_gen_string(gen, "title", &reason->title);
        ngx_http_graph_policy_gen_string(gen, "action", &reason->action);

    } else {
        ngx_http_graph_policy_gen_null(gen, "reason");
        ngx_http_graph_policy_gen_null(gen, "scope");
        ngx_http_graph_policy_gen_null(gen, "title");
        ngx_http_graph_policy_gen_null(gen, "action");
    }

    ngx_http_graph_policy_gen_bool(gen, "matched", verdict->matched);
    ngx_http_graph_policy_gen_bool(gen, "credential_bound", verdict->bound);
    ngx_http_graph_policy_gen_bool(gen, "sets_state", sets_state);

    if (verdict->matched) {
        ngx_http_graph_policy_api_treatment(gen, verdict->retry,
                                            verdict->refused, verdict->wait);

    } else {
        ngx_http_graph_policy_gen_bool(gen, "retry", 0);
        ngx_http_graph_policy_gen_null(gen, "outcome");
        ngx_http_graph_policy_gen_null(gen, "wait");
    }

    if (facts->trace_len != 0) {
        ngx_http_graph_policy_gen_text(gen, "trace", facts->trace,
                                       facts->trace_len);

    } else {
        ngx_http_graph_policy_gen_null(gen, "trace");
    }

    ngx_http_graph_policy_gen_close_object(gen);
}


/*
 * Returns 1 if the answer to a message would set a state, by the directives in
 * force at the location, and with the message's credential, account, phone and
 * recipient known.
 */

static ngx_uint_t
ngx_http_graph_policy_api_sets_state(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_verdict_t *verdict)
{
    ngx_http_graph_policy_limits_t   limits;
    ngx_http_graph_policy_outcome_t  outcome;
    ngx_http_graph_policy_covered_t  covered;

    static ngx_http_graph_policy_asked_t  message = { 1, 1, 1 };
    static ngx_http_graph_policy_known_t  known = { 1, 1, 1, 1 };

    ngx_http_graph_policy_limits(call->conf,
                           ngx_http_graph_policy_api_conversation_hold(call),
                                 &limits);

    return ngx_http_graph_policy_outcome(verdict,
                                         NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER,
                                         0, &limits, &outcome)
           && ngx_http_graph_policy_outcome_of_request(verdict, &message)
           && ngx_http_graph_policy_outcome_covered(verdict,
                                         NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER,
                                                    &known, &covered)
              == NGX_OK;
}


/*
 * Returns the longest hold of conversations in the zone of the location.  Any
 * location of the zone may gate conversations, so this location's own setting
 * doesn't matter.  If it inherits no zone, the zones of the configuration are
 * searched.
 */

static ngx_msec_t
ngx_http_graph_policy_api_conversation_hold(ngx_http_graph_policy_call_t *call)
{
    ngx_uint_t                            i;
    ngx_msec_t                            hold;
    ngx_http_graph_policy_zone_t        **zones;
    ngx_http_graph_policy_main_conf_t    *gmcf;

    if (call->conf->shm_zone != NULL) {
        return ((ngx_http_graph_policy_zone_t *) call->conf->shm_zone->data)
                   ->conversation_hold;
    }

    gmcf = ngx_http_get_module_main_conf(call->request,
                                         ngx_http_graph_policy_module);
    zones = gmcf->zones->elts;
    hold = 0;

    for (i = 0; i < gmcf->zones->nelts; i++) {
        hold = ngx_max(hold, zones[i]->conversation_hold);
    }

    return hold;
}


ngx_int_t
ngx_http_graph_policy_api_lookup(ngx_http_graph_policy_call_t *call)
{
    ngx_int_t                          rc;
    ngx_http_graph_policy_view_t       view;
    ngx_http_graph_policy_form_t       form;
    ngx_http_graph_policy_api_answer_t     answer;
    ngx_http_graph_policy_identity_t   id;
    ngx_http_graph_policy_may_write_e  may;

    ngx_http_graph_policy_field_t  fields[] = {
        ngx_http_graph_policy_field("phone", 0),
        ngx_http_graph_policy_field("to", 0)
    };

    form.fields = fields;
    form.nfields = 2;

    rc = ngx_http_graph_policy_api_form(call, &form);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));

    rc = ngx_http_graph_policy_api_recipient(call, fields, &id);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    may = ngx_http_graph_policy_zone_lookup(call->zone, &id,
                                            ngx_http_graph_policy_now(), &view);

    ngx_http_graph_policy_api_begin(&answer, call->request);

    ngx_http_graph_policy_gen_object(&answer.gen, NULL);
    ngx_http_graph_policy_gen_bool(&answer.gen, "free_form",
                                   may == NGX_HTTP_GRAPH_POLICY_MAY_WRITE);
    ngx_http_graph_policy_gen_bool(&answer.gen, "template",
                                   may != NGX_HTTP_GRAPH_POLICY_MAY_NOT_WRITE);

    if (may == NGX_HTTP_GRAPH_POLICY_MAY_WRITE) {
        ngx_http_graph_policy_gen_null(&answer.gen, "reason");
        ngx_http_graph_policy_gen_null(&answer.gen, "until");

    } else {
        ngx_http_graph_policy_gen_string(&answer.gen, "reason",
                           &ngx_http_graph_policy_reasons[view.reason].slug);
        ngx_http_graph_policy_api_until(&answer.gen, &view);
    }

    ngx_http_graph_policy_gen_close_object(&answer.gen);

    return ngx_http_graph_policy_api_end(&answer, NGX_HTTP_OK);
}


/*
 * Reads phone and recipient into "id".  Returns NGX_DECLINED on success; else
 * the call has been answered.
 */

static ngx_int_t
ngx_http_graph_policy_api_recipient(ngx_http_graph_policy_call_t *call,
    ngx_http_graph_policy_field_t *fields,
    ngx_http_graph_policy_identity_t *id)
{
    ngx_str_t                          to;
    ngx_http_graph_policy_recipient_t  recipient;

    id->phone.data = fields[0].data;
    id->phone.len = fields[0].len;

    if (!ngx_http_graph_policy_is_phone(&id->phone)) {
        return ngx_http_graph_policy_api_error(call->request,
                         NGX_HTTP_BAD_REQUEST,
                         "\"phone\" must be the id of a phone number, of 1 "
                         "to 20 digits");
    }

    ngx_memcpy(recipient.data, fields[1].data, fields[1].len);
    recipient.len = fields[1].len;

    ngx_http_graph_policy_message_fold(&recipient);

    to.data = recipient.data;
    to.len = recipient.len;

    id->conversation = ngx_http_graph_policy_conversation_of(call->zone,
                                                             &id->phone, &to);

    ngx_explicit_memzero(&recipient, sizeof(recipient));
    ngx_explicit_memzero(fields[1].data, fields[1].len);

    if (id->conversation == 0) {
        return ngx_http_graph_policy_api_error(call->request,
                         NGX_HTTP_BAD_REQUEST,
                         "\"to\" must be a recipient's number or id, of 1 to "
                         "128 characters");
    }

    return NGX_DECLINED;
}
