
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Parses the directives with a grammar of their own, graph_policy_rule and
 * graph_policy_retry.  Nothing here runs while a request is served.
 *
 * No lock is taken.  All memory belongs to the configuration's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"
#include "ngx_http_graph_policy_rules.h"


/* A parameter of graph_policy_rule; it is a time if "parse" is NULL. */

typedef struct {
    ngx_str_t    name;
    size_t       offset;
    ngx_int_t  (*parse)(ngx_str_t *word);
    const char  *allowed;
} ngx_http_graph_policy_rule_par_t;


/* A parameter of graph_policy_retry; unit 't' is a time, '%' a percentage. */

typedef struct {
    ngx_str_t    name;
    size_t       offset;
    ngx_int_t    min;
    ngx_int_t    max;
    ngx_uint_t   unit;
    const char  *allowed;
} ngx_http_graph_policy_retry_par_t;


static ngx_int_t ngx_http_graph_policy_rule_codes(ngx_conf_t *cf,
    ngx_str_t *text, ngx_http_graph_policy_rule_t *rule);
static char *ngx_http_graph_policy_rule_parameter(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_http_graph_policy_rule_t *rule,
    ngx_uint_t *seen);
static ngx_int_t ngx_http_graph_policy_rule_value(
    ngx_http_graph_policy_rule_t *rule, ngx_http_graph_policy_rule_par_t *par,
    ngx_str_t *value);
static ngx_int_t ngx_http_graph_policy_rule_retry(ngx_str_t *word);
static ngx_int_t ngx_http_graph_policy_rule_outcome(ngx_str_t *word);
static ngx_int_t ngx_http_graph_policy_rule_dry_run(ngx_str_t *word);
static char *ngx_http_graph_policy_retry_parameter(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value,
    ngx_http_graph_policy_backoff_t *retry);
static ngx_int_t ngx_http_graph_policy_retry_number(
    ngx_http_graph_policy_backoff_t *retry,
    ngx_http_graph_policy_retry_par_t *par, ngx_str_t *value);


static ngx_http_graph_policy_rule_par_t
    ngx_http_graph_policy_rule_pars[] =
{
    { ngx_string("scope="),
      offsetof(ngx_http_graph_policy_rule_t, scope),
      ngx_http_graph_policy_rules_scope,
      "\"scope=\" with \"credential\", \"account\", \"phone\", "
      "\"conversation\", or \"request\"" },

    { ngx_string("reason="),
      offsetof(ngx_http_graph_policy_rule_t, reason),
      ngx_http_graph_policy_rules_reason,
      "\"reason=\" with \"token-invalid\", \"account-restricted\", "
      "\"billing\", \"phone-disconnected\", \"rate-limit\", "
      "\"pair-rate-limit\", \"maintenance\", \"server-error\", "
      "\"service-unavailable\", \"window-expired\", \"undeliverable\", "
      "\"spam-quality\", \"media-download\", \"media-upload\", or \"other\"" },

    { ngx_string("wait="),
      offsetof(ngx_http_graph_policy_rule_t, wait), NULL,
      "\"wait=TIME\", " NGX_HTTP_GRAPH_POLICY_TIMES },

    { ngx_string("hold="),
      offsetof(ngx_http_graph_policy_rule_t, hold), NULL,
      "\"hold=TIME\", " NGX_HTTP_GRAPH_POLICY_TIMES },

    { ngx_string("retry="),
      offsetof(ngx_http_graph_policy_rule_t, retry),
      ngx_http_graph_policy_rule_retry,
      "\"retry=on\" or \"retry=off\"" },

    { ngx_string("outcome="),
      offsetof(ngx_http_graph_policy_rule_t, refused),
      ngx_http_graph_policy_rule_outcome,
      "\"outcome=refused\" or \"outcome=unknown\"" },

    { ngx_string("dry_run="),
      offsetof(ngx_http_graph_policy_rule_t, dry_run),
      ngx_http_graph_policy_rule_dry_run,
      "\"dry_run=on\"" },

    { ngx_null_string, 0, NULL, NULL }
};


static ngx_http_graph_policy_retry_par_t
    ngx_http_graph_policy_retry_pars[] =
{
    { ngx_string("attempts="),
      offsetof(ngx_http_graph_policy_backoff_t, attempts), 2, 20, 0,
      "\"attempts=\" of 2 to 20" },

    { ngx_string("base="),
      offsetof(ngx_http_graph_policy_backoff_t, base), 1, 3600000, 't',
      "\"base=\" of 1ms to 1h" },

    { ngx_string("factor="),
      offsetof(ngx_http_graph_policy_backoff_t, factor), 1, 10, 0,
      "\"factor=\" of 1 to 10" },

    { ngx_string("max="),
      offsetof(ngx_http_graph_policy_backoff_t, max), 1, 3600000, 't',
      "\"max=\" of 1ms to 1h" },

    { ngx_string("deadline="),
      offsetof(ngx_http_graph_policy_backoff_t, deadline), 1, 3600000, 't',
      "\"deadline=\" of 1ms to 1h" },

    { ngx_string("budget="),
      offsetof(ngx_http_graph_policy_backoff_t, budget), 0, 100, '%',
      "\"budget=\" of 0% to 100%" },

    { ngx_string("budget_min="),
      offsetof(ngx_http_graph_policy_backoff_t, budget_min), 0, 100000, 0,
      "\"budget_min=\" of 0 to 100000" },

    { ngx_string("unknown="),
      offsetof(ngx_http_graph_policy_backoff_t, unknown), 0, 19, 0,
      "\"unknown=\" of 0 to 19" },

    { ngx_null_string, 0, 0, 0, 0, NULL }
};


char *
ngx_http_graph_policy_set_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    char                          *rv;
    ngx_int_t                      category;
    ngx_str_t                     *value;
    ngx_uint_t                     i, seen;
    ngx_http_graph_policy_rule_t  *rule;

    if (glcf->rules == NGX_CONF_UNSET_PTR) {
        glcf->rules = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_graph_policy_rule_t));
        if (glcf->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(glcf->rules);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(rule, sizeof(ngx_http_graph_policy_rule_t));

    rule->scope = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->reason = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->retry = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->refused = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->wait = NGX_CONF_UNSET_MSEC;

    value = cf->args->elts;

    switch (ngx_http_graph_policy_rule_codes(cf, &value[1], rule)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                       "codes like \"131042\", \"200-299\", \"100/33\", or "
                       "\"*/2494100\", separated by commas");

    default: /* NGX_ERROR */
        return NGX_CONF_ERROR;
    }

    category = ngx_http_graph_policy_rules_category(&value[2]);

    if (category == NGX_ERROR) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[2],
                       "\"fatal\", \"temporary\", \"context-limited\", "
                       "\"request\", \"unclassified\", or \"ignore\"");
    }

    rule->category = (uint8_t) category;

    seen = 0;

    for (i = 3; i < cf->args->nelts; i++) {
        rv = ngx_http_graph_policy_rule_parameter(cf, cmd, &value[i], rule,
                                                  &seen);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (rule->retry == 1
        && rule->category != NGX_HTTP_GRAPH_POLICY_TEMPORARY)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"retry=on\" in \"%V\" directive needs the "
                           "category \"temporary\", it has \"%V\"",
                           &cmd->name, &value[2]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_graph_policy_rule_codes(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_graph_policy_rule_t *rule)
{
    u_char                         *p, *last;
    ngx_int_t                       rc;
    ngx_array_t                     codes;
    ngx_http_graph_policy_codes_t  *element;

    if (ngx_array_init(&codes, cf->pool, 4,
                       sizeof(ngx_http_graph_policy_codes_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = text->data;
    last = p + text->len;

    for ( ;; ) {
        element = ngx_array_push(&codes);
        if (element == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_http_graph_policy_rules_codes(&p, last, element);

        if (rc != NGX_OK) {
            break;
        }
    }

    rule->codes = codes.elts;
    rule->ncodes = codes.nelts - 1;

    return (rc == NGX_DONE && rule->ncodes != 0) ? NGX_OK : NGX_DECLINED;
}


static char *
ngx_http_graph_policy_rule_parameter(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_http_graph_policy_rule_t *rule, ngx_uint_t *seen)
{
    ngx_uint_t                         bit;
    ngx_http_graph_policy_rule_par_t  *par;

    bit = 1;

    for (par = ngx_http_graph_policy_rule_pars; par->name.len != 0; par++) {

        if (ngx_strncmp(value->data, par->name.data, par->name.len) == 0) {
            break;
        }

        bit <<= 1;
    }

    if (par->name.len == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                         "\"scope=\", \"reason=\", \"wait=\", \"hold=\", "
                         "\"retry=on\", \"retry=off\", \"outcome=refused\", "
                         "\"outcome=unknown\", or \"dry_run=on\"");
    }

    if (*seen & bit) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate parameter \"%V\" in \"%V\" directive",
                           &par->name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    *seen |= bit;

    if (ngx_http_graph_policy_rule_value(rule, par, value) != NGX_OK) {
        return ngx_http_graph_policy_invalid(cf, cmd, value, par->allowed);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_graph_policy_rule_value(ngx_http_graph_policy_rule_t *rule,
    ngx_http_graph_policy_rule_par_t *par, ngx_str_t *value)
{
    u_char     *field;
    ngx_int_t   n;
    ngx_str_t   word;

    field = (u_char *) rule + par->offset;

    if (par->parse == NULL) {
        return ngx_http_graph_policy_hold_time(value, par->name.len,
                                               (ngx_msec_t *) field);
    }

    word.data = value->data + par->name.len;
    word.len = value->len - par->name.len;

    n = par->parse(&word);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *field = (u_char) n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_rule_retry(ngx_str_t *word)
{
    if (ngx_strcmp(word->data, "on") == 0) {
        return 1;
    }

    return (ngx_strcmp(word->data, "off") == 0) ? 0 : NGX_ERROR;
}


static ngx_int_t
ngx_http_graph_policy_rule_outcome(ngx_str_t *word)
{
    if (ngx_strcmp(word->data, "refused") == 0) {
        return 1;
    }

    return (ngx_strcmp(word->data, "unknown") == 0) ? 0 : NGX_ERROR;
}


static ngx_int_t
ngx_http_graph_policy_rule_dry_run(ngx_str_t *word)
{
    return (ngx_strcmp(word->data, "on") == 0) ? 1 : NGX_ERROR;
}


char *
ngx_http_graph_policy_set_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    char                               *rv;
    ngx_str_t                          *value;
    ngx_uint_t                          i;
    ngx_http_graph_policy_backoff_t    *retry;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    retry = &glcf->retry;

    if (retry->attempts != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        retry->attempts = 0;
        return NGX_CONF_OK;
    }

    retry->attempts = 3;
    retry->base = 500;
    retry->factor = 2;
    retry->max = 10000;
    retry->deadline = 10000;
    retry->budget = 20;
    retry->budget_min = 10;
    retry->unknown = 1;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_graph_policy_retry_parameter(cf, cmd, &value[i], retry);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);
    gmcf->retries = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_retry_parameter(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_http_graph_policy_backoff_t *retry)
{
    ngx_http_graph_policy_retry_par_t  *par;

    for (par = ngx_http_graph_policy_retry_pars; par->name.len != 0; par++) {

        if (ngx_strncmp(value->data, par->name.data, par->name.len) != 0) {
            continue;
        }

        if (ngx_http_graph_policy_retry_number(retry, par, value) != NGX_OK) {
            return ngx_http_graph_policy_invalid(cf, cmd, value, par->allowed);
        }

        return NGX_CONF_OK;
    }

    return ngx_http_graph_policy_invalid(cf, cmd, value,
                         "\"off\", or \"attempts=\" of 2 to 20, \"base=\", "
                         "\"max=\", \"deadline=\" of 1ms to 1h, "
                         "\"factor=\" of 1 to 10, \"budget=\" of 0% to "
                         "100%, \"budget_min=\" of 0 to 100000, or "
                         "\"unknown=\" of 0 to 19");
}


static ngx_int_t
ngx_http_graph_policy_retry_number(ngx_http_graph_policy_backoff_t *retry,
    ngx_http_graph_policy_retry_par_t *par, ngx_str_t *value)
{
    ngx_int_t  n;
    ngx_str_t  s;

    s.data = value->data + par->name.len;
    s.len = value->len - par->name.len;

    switch (par->unit) {

    case 't':
        n = ngx_parse_time(&s, 0);
        break;

    case '%':
        if (s.len == 0 || s.data[--s.len] != '%') {
            return NGX_ERROR;
        }

        /* fall through */

    default:
        n = ngx_atoi(s.data, s.len);
        break;
    }

    if (n < par->min || n > par->max) {
        return NGX_ERROR;
    }

    *(ngx_uint_t *) ((char *) retry + par->offset) = (ngx_uint_t) n;

    return NGX_OK;
}
