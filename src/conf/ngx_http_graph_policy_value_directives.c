
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The directives whose values may have variables: who sends, for whom, and
 * whether a request is a send.  A value that would need itself is refused.
 *
 * No lock is taken.  All memory belongs to the configuration's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"


static char *ngx_http_graph_policy_compile(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_http_complex_value_t *cv);
static ngx_uint_t ngx_http_graph_policy_has_variable(ngx_str_t *value,
    ngx_str_t *names);


/* Whether a request is a send, and its phone, are known before these are. */

static ngx_str_t  ngx_http_graph_policy_whose_names[] = {
    ngx_string("graph_policy_phone"),
    ngx_string("graph_policy_account"),
    ngx_string("graph_policy_conversation"),
    ngx_null_string
};


ngx_http_graph_policy_circle_t  ngx_http_graph_policy_of_phone = {
    ngx_http_graph_policy_whose_names,
    "made without \"$graph_policy_phone\", \"$graph_policy_account\", and "
    "\"$graph_policy_conversation\", which depend on it"
};


static ngx_str_t  ngx_http_graph_policy_account_names[] = {
    ngx_string("graph_policy_account"),
    ngx_null_string
};


ngx_http_graph_policy_circle_t  ngx_http_graph_policy_of_account = {
    ngx_http_graph_policy_account_names,
    "made without \"$graph_policy_account\", which depends on it"
};


static ngx_str_t  ngx_http_graph_policy_credential_names[] = {
    ngx_string("graph_policy_credential"),
    ngx_null_string
};


ngx_http_graph_policy_circle_t  ngx_http_graph_policy_of_credential = {
    ngx_http_graph_policy_credential_names,
    "made without \"$graph_policy_credential\", which depends on it"
};


char *
ngx_http_graph_policy_set_dry_run(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0) {
        return ngx_http_graph_policy_set_complex_value(cf, cmd, conf);
    }

    if (glcf->dry_run != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    glcf->dry_run = NULL;

    return NGX_CONF_OK;
}


char *
ngx_http_graph_policy_set_complex_value(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    cv = (ngx_http_complex_value_t **) (p + cmd->offset);

    if (*cv != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_graph_policy_compile(cf, cmd, &value[1], *cv);
}


char *
ngx_http_graph_policy_set_sends(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    if (glcf->sends != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    glcf->sends = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                   sizeof(ngx_http_complex_value_t));
    if (glcf->sends == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        cv = ngx_array_push(glcf->sends);
        if (cv == NULL) {
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_graph_policy_compile(cf, cmd, &value[i], cv);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_compile(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_http_complex_value_t *cv)
{
    ngx_http_graph_policy_circle_t    *circle;
    ngx_http_compile_complex_value_t   ccv;

    circle = cmd->post;

    if (circle != NULL
        && ngx_http_graph_policy_has_variable(value, circle->names))
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value, circle->allowed);
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


/* Reads names as nginx does, which takes upper and lower case as the same. */

static ngx_uint_t
ngx_http_graph_policy_has_variable(ngx_str_t *value, ngx_str_t *names)
{
    u_char      c, *p, *last, *start;
    ngx_uint_t  i;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        if (*p++ != '$') {
            continue;
        }

        if (p < last && *p == '{') {
            p++;
        }

        for (start = p; p < last; p++) {
            c = *p;

            if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
                  || (c >= '0' && c <= '9') || c == '_'))
            {
                break;
            }
        }

        for (i = 0; names[i].len != 0; i++) {

            if (names[i].len == (size_t) (p - start)
                && ngx_strncasecmp(names[i].data, start, names[i].len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}
