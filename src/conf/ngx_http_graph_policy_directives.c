
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Parses the directives, but for those with a grammar of their own, and
 * reports wrong values.  Nothing here runs while a request is served.
 *
 * No lock is taken.  All memory belongs to the configuration's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"
#include "ngx_http_graph_policy_state_file.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_zone.h"


/* The longest hold, in milliseconds. */
#define NGX_HTTP_GRAPH_POLICY_MAX_HOLD     86400000

#define NGX_HTTP_GRAPH_POLICY_MIN_BUFFER   1024
#define NGX_HTTP_GRAPH_POLICY_MAX_BUFFER   (16 * 1024 * 1024)


static char *ngx_http_graph_policy_set_state_file(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_graph_policy_zone_t *zone, ngx_str_t *value);


static ngx_conf_enum_t  ngx_http_graph_policy_pause_words[] = {
    { ngx_string("sends"), NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS },
    { ngx_string("all"), NGX_HTTP_GRAPH_POLICY_PAUSE_ALL },
    { ngx_null_string, 0 }
};


ngx_http_graph_policy_words_t  ngx_http_graph_policy_pauses = {
    ngx_http_graph_policy_pause_words,
    "\"sends\" or \"all\""
};


static ngx_conf_enum_t  ngx_http_graph_policy_level_words[] = {
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_null_string, 0 }
};


ngx_http_graph_policy_words_t  ngx_http_graph_policy_levels = {
    ngx_http_graph_policy_level_words,
    "\"info\", \"notice\", \"warn\", or \"error\""
};


char *
ngx_http_graph_policy_set_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char                             *p;
    ssize_t                             size;
    ngx_int_t                           rc;
    ngx_str_t                          *value, name, s;
    ngx_http_graph_policy_zone_t       *zone;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "zone=", 5) != 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"zone=NAME:SIZE\"");
    }

    name.data = value[1].data + 5;

    p = (u_char *) ngx_strchr(name.data, ':');

    if (p == NULL || p == name.data) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"zone=NAME:SIZE\"");
    }

    name.len = p - name.data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR || size < (ssize_t) (8 * ngx_pagesize)) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                   "\"zone=NAME:SIZE\" of at least 32k");
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_graph_policy_module);

    rc = ngx_http_graph_policy_zone_add(cf, &name, size,
                                        &ngx_http_graph_policy_module,
                                        ngx_http_graph_policy_tell_changes,
                                        gmcf, &zone);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\" in \"%V\" directive, "
                           "each zone must be defined once",
                           &name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return (cf->args->nelts == 3)
           ? ngx_http_graph_policy_set_state_file(cf, cmd, zone, &value[2])
           : NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_set_state_file(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *value)
{
    ngx_int_t  rc;
    ngx_str_t  name;

    if (ngx_strncmp(value->data, "state=", 6) != 0 || value->len == 6) {
        return ngx_http_graph_policy_invalid(cf, cmd, value, "\"state=FILE\"");
    }

    name.data = value->data + 6;
    name.len = value->len - 6;

    rc = ngx_http_graph_policy_state_file_add(cf, zone, &name,
                                              &ngx_http_graph_policy_module);

    if (rc == NGX_DECLINED) {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                                  "\"state=FILE\" with a file of its own for "
                                  "each zone");
    }

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_graph_policy_set_policy(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t                          *value, name;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    value = cf->args->elts;

    if (glcf->shm_zone != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        glcf->shm_zone = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[1].data, "zone=", 5) != 0 || value[1].len == 5) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"zone=NAME\" or \"off\"");
    }

    name.data = value[1].data + 5;
    name.len = value[1].len - 5;

    glcf->place = ngx_palloc(cf->pool, sizeof(ngx_conf_file_t));
    if (glcf->place == NULL) {
        return NGX_CONF_ERROR;
    }

    *glcf->place = *cf->conf_file;

    glcf->shm_zone = ngx_shared_memory_add(cf, &name, 0,
                                           &ngx_http_graph_policy_module);
    if (glcf->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);
    gmcf->used = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_graph_policy_set_word(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                      *value;
    ngx_uint_t                      i, *np;
    ngx_http_graph_policy_words_t  *list;

    np = (ngx_uint_t *) (p + cmd->offset);

    if (*np != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    list = cmd->post;

    for (i = 0; list->words[i].name.len != 0; i++) {

        if (list->words[i].name.len == value[1].len
            && ngx_strcmp(list->words[i].name.data, value[1].data) == 0)
        {
            *np = list->words[i].value;
            return NGX_CONF_OK;
        }
    }

    return ngx_http_graph_policy_invalid(cf, cmd, &value[1], list->allowed);
}


char *
ngx_http_graph_policy_set_hold(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    size_t       skip;
    ngx_str_t   *value, *max;
    ngx_uint_t   i;
    ngx_msec_t  *time;
    const char  *allowed;

    max = NULL;

    if (glcf->hold != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_graph_policy_hold_time(&value[1], 0, &glcf->hold)
        != NGX_OK)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             NGX_HTTP_GRAPH_POLICY_TIMES);
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "max=", 4) == 0) {
            max = &value[i];
            time = &glcf->hold_max;
            skip = 4;
            allowed = "\"max=TIME\", " NGX_HTTP_GRAPH_POLICY_TIMES;

        } else if (ngx_strncmp(value[i].data, "confirm=", 8) == 0) {
            time = &glcf->confirm;
            skip = 8;
            allowed = "\"confirm=TIME\", " NGX_HTTP_GRAPH_POLICY_TIMES;

        } else {
            return ngx_http_graph_policy_invalid(cf, cmd, &value[i],
                                   "\"max=TIME\" or \"confirm=TIME\", "
                                   NGX_HTTP_GRAPH_POLICY_TIMES);
        }

        if (*time != NGX_CONF_UNSET_MSEC) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%*s\" in \"%V\" "
                               "directive", skip, value[i].data, &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_graph_policy_hold_time(&value[i], skip, time) != NGX_OK) {
            return ngx_http_graph_policy_invalid(cf, cmd, &value[i], allowed);
        }
    }

    if (max == NULL) {
        glcf->hold_max = ngx_max(glcf->hold, 900000);

    } else if (glcf->hold_max < glcf->hold) {
        return ngx_http_graph_policy_invalid(cf, cmd, max,
                                             "not less than the hold");
    }

    if (glcf->confirm == NGX_CONF_UNSET_MSEC) {
        glcf->confirm = NGX_HTTP_GRAPH_POLICY_CONFIRM;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_graph_policy_set_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_int_t   status;
    ngx_str_t  *value;

    if (glcf->status != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "upstream") == 0) {
        glcf->status = NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM;
        return NGX_CONF_OK;
    }

    status = ngx_atoi(value[1].data, value[1].len);

    if (status < 400 || status > 599) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                         "\"upstream\" or a status between 400 and 599");
    }

    glcf->status = status;

    return NGX_CONF_OK;
}


char *
ngx_http_graph_policy_set_buffer_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (glcf->buffer_size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size < NGX_HTTP_GRAPH_POLICY_MIN_BUFFER
        || size > NGX_HTTP_GRAPH_POLICY_MAX_BUFFER)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "a size from \"1k\" to \"16m\"");
    }

    glcf->buffer_size = size;

    return NGX_CONF_OK;
}


char *
ngx_http_graph_policy_set_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t                          *value;
    ngx_http_core_loc_conf_t           *clcf;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    if (glcf->api != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /*
     * The part of the path behind the location's tells which call a request
     * is, so the location must be a prefix of it.
     */

#if (NGX_PCRE)
    if (clcf->regex != NULL) {
        return "must be in a location that has no regular expression";
    }
#endif

    if (clcf->named) {
        return "must be in a location that has a path";
    }

    if (clcf->exact_match) {
        return "must be in a location without \"=\", its calls are below it";
    }

    glcf->api = NGX_HTTP_GRAPH_POLICY_API_READ;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "write=on") == 0) {
            glcf->api = NGX_HTTP_GRAPH_POLICY_API_WRITE;

        } else if (ngx_strcmp(value[1].data, "write=off") != 0) {
            return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                           "\"write=on\" or \"write=off\"");
        }
    }

    clcf->handler = ngx_http_graph_policy_api_handler;

    if (clcf->name.len != 0 && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);
    gmcf->api = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_graph_policy_hold_time(ngx_str_t *value, size_t skip,
    ngx_msec_t *hold)
{
    ngx_int_t  ms;
    ngx_str_t  s;

    s.data = value->data + skip;
    s.len = value->len - skip;

    ms = ngx_parse_time(&s, 0);

    if (ms == NGX_ERROR || ms < 1 || ms > NGX_HTTP_GRAPH_POLICY_MAX_HOLD) {
        return NGX_ERROR;
    }

    *hold = ms;

    return NGX_OK;
}


char *
ngx_http_graph_policy_invalid(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, const char *allowed)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, &cmd->name, allowed);

    return NGX_CONF_ERROR;
}
