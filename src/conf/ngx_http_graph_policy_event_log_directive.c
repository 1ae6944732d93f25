
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The directive of the event log.  nginx opens the file after the
 * configuration has been read, hands it to the workers, and reopens it on
 * USR1.
 *
 * No lock is taken.  All memory belongs to the configuration's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"
#include "ngx_http_graph_policy_event_log.h"


#define NGX_HTTP_GRAPH_POLICY_EVENT_LOGS                                      \
    "the name of a file, without variables, \"syslog:server=ADDRESS\", or "   \
    "\"off\""


char *
ngx_http_graph_policy_set_event_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_main_conf_t *gmcf = conf;

    ngx_str_t                          *value, text;
    ngx_http_graph_policy_event_log_t  *el;

    static ngx_str_t  request_id = ngx_string("request_id");

    if (gmcf->event_log != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        gmcf->event_log = NULL;
        return NGX_CONF_OK;
    }

    if (value[1].len == 0 || ngx_http_script_variables_count(&value[1]) != 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             NGX_HTTP_GRAPH_POLICY_EVENT_LOGS);
    }

    el = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_event_log_t));
    if (el == NULL) {
        return NGX_CONF_ERROR;
    }

    gmcf->event_log = el;

    el->request_id = ngx_http_get_variable_index(cf, &request_id);
    if (el->request_id == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (ngx_strncmp(value[1].data, "syslog:", 7) == 0) {
        el->syslog = ngx_pcalloc(cf->pool, sizeof(ngx_syslog_peer_t));
        if (el->syslog == NULL) {
            return NGX_CONF_ERROR;
        }

        /* nginx cuts the value at its commas */

        text.len = value[1].len;
        text.data = ngx_pstrdup(cf->pool, &value[1]);
        if (text.data == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_syslog_process_conf(cf, el->syslog) == NGX_CONF_OK) {
            return NGX_CONF_OK;
        }

        /* nginx has said why, but not of which directive */

        return ngx_http_graph_policy_invalid(cf, cmd, &text,
                                             NGX_HTTP_GRAPH_POLICY_EVENT_LOGS);
    }

    el->file = ngx_conf_open_file(cf->cycle, &value[1]);

    return (el->file != NULL) ? NGX_CONF_OK : NGX_CONF_ERROR;
}
