
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The variables that logs and other directives can use.
 *
 * No lock is taken; of shared memory only the zone's key is read.  Values
 * belong to the request's pool.  They may change while the request is served,
 * so none is cached.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_variables.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_learn.h"


/* The longest value that is formatted; constant texts may be longer. */
#define NGX_HTTP_GRAPH_POLICY_TEXT  NGX_HTTP_GRAPH_POLICY_TRACE_LEN


typedef enum {
    NGX_HTTP_GRAPH_POLICY_V_CATEGORY = 0,
    NGX_HTTP_GRAPH_POLICY_V_CODE,
    NGX_HTTP_GRAPH_POLICY_V_SUBCODE,
    NGX_HTTP_GRAPH_POLICY_V_REASON,
    NGX_HTTP_GRAPH_POLICY_V_SCOPE,
    NGX_HTTP_GRAPH_POLICY_V_TRACE,
    NGX_HTTP_GRAPH_POLICY_V_STATE,
    NGX_HTTP_GRAPH_POLICY_V_RETRY_AFTER
} ngx_http_graph_policy_error_variable_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_V_CREDENTIAL = 0,
    NGX_HTTP_GRAPH_POLICY_V_ACCOUNT,
    NGX_HTTP_GRAPH_POLICY_V_PHONE,
    NGX_HTTP_GRAPH_POLICY_V_CONVERSATION
} ngx_http_graph_policy_identity_variable_e;


static ngx_int_t ngx_http_graph_policy_variable_by_name(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_graph_policy_variable_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_graph_policy_variable_attempts(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_graph_policy_variable_error(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_graph_policy_variable_identity(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_graph_policy_variable_request(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_graph_policy_set_fingerprint(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t fp);
static ngx_int_t ngx_http_graph_policy_set_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *data, size_t len);


static ngx_http_variable_t  ngx_http_graph_policy_variables[] = {

    { ngx_string("graph_policy_status"), NULL,
      ngx_http_graph_policy_variable_status, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_attempts"), NULL,
      ngx_http_graph_policy_variable_attempts, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_scope"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_SCOPE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_state"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_STATE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_retry_after"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_RETRY_AFTER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_credential"), NULL,
      ngx_http_graph_policy_variable_identity,
      NGX_HTTP_GRAPH_POLICY_V_CREDENTIAL, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_account"), NULL,
      ngx_http_graph_policy_variable_identity,
      NGX_HTTP_GRAPH_POLICY_V_ACCOUNT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_phone"), NULL,
      ngx_http_graph_policy_variable_identity,
      NGX_HTTP_GRAPH_POLICY_V_PHONE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_conversation"), NULL,
      ngx_http_graph_policy_variable_identity,
      NGX_HTTP_GRAPH_POLICY_V_CONVERSATION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_policy_request"), NULL,
      ngx_http_graph_policy_variable_request, 0, 0, 0 },

    { ngx_string("graph_error_category"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_CATEGORY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_error_code"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_CODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_error_subcode"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_SUBCODE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_error_reason"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("graph_error_trace"), NULL,
      ngx_http_graph_policy_variable_error,
      NGX_HTTP_GRAPH_POLICY_V_TRACE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* The name of each variable begins with one of these prefixes. */

static ngx_str_t  ngx_http_graph_policy_prefixes[] = {
    ngx_string("graph_policy_"),
    ngx_string("graph_error_"),
    ngx_null_string
};


static ngx_str_t  ngx_http_graph_policy_statuses[] = {
    ngx_string("PASSED"),
    ngx_string("PROBE"),
    ngx_string("BLOCKED"),
    ngx_string("BLOCKED_DRY_RUN"),
    ngx_string("RETRIED"),
    ngx_string("RETRIED_DRY_RUN")
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_statuses,
                               NGX_HTTP_GRAPH_POLICY_NSTATUSES);


ngx_int_t
ngx_http_graph_policy_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    /*
     * nginx's hash of variables is nearly full with its own ones, and with
     * those of one or two more modules nginx warns that it can't be optimal.
     * So these variables aren't in it; directives that name one have its
     * index.
     */

    for (v = ngx_http_graph_policy_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name,
                                    v->flags|NGX_HTTP_VAR_NOHASH);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_reserve_names(ngx_conf_t *cf)
{
    ngx_uint_t                  n;
    ngx_array_t                *variables;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    variables = &cmcf->prefix_variables;

    for (n = 0; ngx_http_graph_policy_prefixes[n].len != 0; n++) { /* void */ }

    if (ngx_array_push_n(variables, n) == NULL) {
        return NGX_ERROR;
    }

    variables->nelts -= n;

    return NGX_OK;
}


void
ngx_http_graph_policy_name_variables(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    for (i = 0; ngx_http_graph_policy_prefixes[i].len != 0; i++) {
        v = ngx_array_push(&cmcf->prefix_variables);

        if (v == NULL) {
            /* an error would end the master, and leave its workers behind */
            ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                          "no memory for the variables \"%V*\": scripts "
                          "don't find them by name",
                          &ngx_http_graph_policy_prefixes[i]);
            return;
        }

        ngx_memzero(v, sizeof(ngx_http_variable_t));

        v->name = ngx_http_graph_policy_prefixes[i];
        v->get_handler = ngx_http_graph_policy_variable_by_name;
        v->flags = NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX;
    }
}


static ngx_int_t
ngx_http_graph_policy_variable_by_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t            *name;
    ngx_http_variable_t  *var;

    name = (ngx_str_t *) data;

    for (var = ngx_http_graph_policy_variables; var->name.len; var++) {

        if (var->name.len == name->len
            && ngx_strncmp(var->name.data, name->data, name->len) == 0)
        {
            return var->get_handler(r, v, var->data);
        }
    }

    v->not_found = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_variable_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                         *status;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);
    ctx = ngx_http_graph_policy_get_ctx(r->main);

    if (ngx_http_graph_policy_zone_of(glcf) == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    status = &ngx_http_graph_policy_statuses[(ctx != NULL)
                                       ? ngx_http_graph_policy_status_of(ctx)
                                       : NGX_HTTP_GRAPH_POLICY_PASSED];

    return ngx_http_graph_policy_set_value(r, v, status->data, status->len);
}


/*
 * The number of attempts is at least one if an upstream was asked, and zero
 * for a local answer.
 */

static ngx_int_t
ngx_http_graph_policy_variable_attempts(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                            *p, text[NGX_HTTP_GRAPH_POLICY_TEXT];
    ngx_uint_t                         attempts;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    if (glcf->zone == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ctx = ngx_http_graph_policy_get_ctx(r->main);

    attempts = (ctx != NULL) ? ctx->attempts : 1;

    if (r->main->upstream_states == NULL && r->main->upstream == NULL) {
        attempts = 0;
    }

    p = ngx_sprintf(text, "%ui", attempts);

    return ngx_http_graph_policy_set_value(r, v, text, p - text);
}


static ngx_int_t
ngx_http_graph_policy_variable_error(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                            *p, text[NGX_HTTP_GRAPH_POLICY_TEXT];
    ngx_str_t                         *word;
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_facts_t     *facts;
    ngx_http_graph_policy_verdict_t   *verdict;

    ctx = ngx_http_graph_policy_get_ctx(r->main);

    if (ctx == NULL || !ctx->classified
        || ctx->verdict.category == NGX_HTTP_GRAPH_POLICY_IGNORE)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    facts = &ctx->facts;
    verdict = &ctx->verdict;
    word = NULL;
    p = text;

    switch (data) {

    case NGX_HTTP_GRAPH_POLICY_V_CATEGORY:
        word = &ngx_http_graph_policy_categories[verdict->category];
        break;

    case NGX_HTTP_GRAPH_POLICY_V_REASON:
        if (verdict->matched) {
            word = &ngx_http_graph_policy_reasons[verdict->reason].slug;
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_V_SCOPE:
        if (verdict->matched) {
            word = &ngx_http_graph_policy_scopes[verdict->scope];
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_V_CODE:
        if (facts->has_code) {
            p = ngx_sprintf(p, "%L", facts->code);
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_V_SUBCODE:
        if (facts->has_subcode) {
            p = ngx_sprintf(p, "%L", facts->subcode);
        }
        break;

    case NGX_HTTP_GRAPH_POLICY_V_TRACE:
        p = ngx_cpymem(p, facts->trace, facts->trace_len);
        break;

    case NGX_HTTP_GRAPH_POLICY_V_STATE:
        if (ctx->status == NGX_HTTP_GRAPH_POLICY_BLOCKED) {
            p = ngx_http_graph_policy_write_id(p, ctx->view);
        }
        break;

    default: /* NGX_HTTP_GRAPH_POLICY_V_RETRY_AFTER */
        if (ctx->retry_after != 0) {
            p = ngx_sprintf(p, "%T", ctx->retry_after);
        }
        break;
    }

    if (word != NULL) {
        return ngx_http_graph_policy_set_value(r, v, word->data, word->len);
    }

    return ngx_http_graph_policy_set_value(r, v, text, p - text);
}


static ngx_int_t
ngx_http_graph_policy_variable_identity(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_graph_policy_ctx_t       *ctx;
    ngx_http_graph_policy_endpoint_t   endpoint;
    ngx_http_graph_policy_identity_t  *id;
    ngx_http_graph_policy_loc_conf_t  *glcf;

    r = r->main;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    if (glcf->zone == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ctx = ngx_http_graph_policy_make_ctx(r, glcf);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    id = &ctx->query.identity;

    if (data == NGX_HTTP_GRAPH_POLICY_V_CREDENTIAL) {
        ngx_http_graph_policy_identify_credential(r, ctx, glcf);

        return ngx_http_graph_policy_set_fingerprint(r, v, id->credential);
    }

    /* Two values that lead here would double the work with each turn. */

    if (ngx_http_graph_policy_is_asking_sends()) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);
    ngx_http_graph_policy_identify(r, ctx, glcf, &endpoint);

    if (data == NGX_HTTP_GRAPH_POLICY_V_CONVERSATION) {

        if (endpoint.send && endpoint.kind == NGX_HTTP_GRAPH_POLICY_MESSAGE) {
            ngx_http_graph_policy_identify_message(r, ctx, glcf);
        }

        return ngx_http_graph_policy_set_fingerprint(r, v, id->conversation);
    }

    if (data == NGX_HTTP_GRAPH_POLICY_V_ACCOUNT) {
        ngx_http_graph_policy_zone_account(glcf->zone, id);

        return ngx_http_graph_policy_set_value(r, v, id->account.data,
                                               id->account.len);
    }

    return ngx_http_graph_policy_set_value(r, v, id->phone.data,
                                           id->phone.len);
}


static ngx_int_t
ngx_http_graph_policy_variable_request(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  masked;

    if (ngx_http_graph_policy_mask_request(r, &masked) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_set_value(r, v, masked.data, masked.len);
}


static ngx_int_t
ngx_http_graph_policy_set_fingerprint(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t fp)
{
    u_char  text[NGX_HTTP_GRAPH_POLICY_FP_LEN];

    if (fp == 0) {
        return ngx_http_graph_policy_set_value(r, v, text, 0);
    }

    ngx_sprintf(text, "%016xL", fp);

    return ngx_http_graph_policy_set_value(r, v, text, sizeof(text));
}


static ngx_int_t
ngx_http_graph_policy_set_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    if (len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, len);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v->data, data, len);

    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
