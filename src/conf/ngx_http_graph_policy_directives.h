
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_DIRECTIVES_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_DIRECTIVES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"


/* The times that hold_time() takes, as an error message says it. */

#define NGX_HTTP_GRAPH_POLICY_TIMES                                           \
    "a time from \"1ms\" to \"24h\""


/*
 * The words of a directive, and the text that lists them in an error message.
 */

typedef struct {
    ngx_conf_enum_t  *words;
    const char       *allowed;
} ngx_http_graph_policy_words_t;


/*
 * The variables that need the value of a directive and so can't be in it, and
 * the text about them in an error message.
 */

typedef struct {
    ngx_str_t        *names;
    const char       *allowed;
} ngx_http_graph_policy_circle_t;


/*
 * The handlers of the directives.  Each returns NGX_CONF_OK, NGX_CONF_ERROR if
 * the error is logged, or the text that nginx is to log about the directive,
 * such as "is duplicate".
 */

char *ngx_http_graph_policy_set_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_policy(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_dry_run(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_rule(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/*
 * Sets the field at cmd->offset; cmd->post is NULL, or one of the
 * ngx_http_graph_policy_circle_t below, for graph_policy_send too.
 */
char *ngx_http_graph_policy_set_complex_value(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_graph_policy_set_sends(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/*
 * Sets the field at cmd->offset; cmd->post is one of the
 * ngx_http_graph_policy_words_t below.
 */
char *ngx_http_graph_policy_set_word(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_hold(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_buffer_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_retry(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_conversation(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_graph_policy_set_secret_file(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_graph_policy_set_event_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_sync(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_graph_policy_set_protocols(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* in the place of those for TLS to Redis, where nginx can't speak it */
char *ngx_http_graph_policy_set_without_tls(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
/* when all is read: what zones are shared, and how */
char *ngx_http_graph_policy_init_syncs(ngx_conf_t *cf,
    ngx_http_graph_policy_main_conf_t *gmcf);


/*
 * Reads a small file with a secret and hands its text to "read", which returns
 * as a directive does and keeps none of it; the text is wiped.
 */
typedef char *(*ngx_http_graph_policy_secret_file_pt)(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, u_char *text, size_t len, void *data);
char *ngx_http_graph_policy_read_secret_file(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name,
    ngx_http_graph_policy_secret_file_pt read, void *data);


/*
 * Reads the time of a hold or a wait, which is "value" without its first
 * "skip" bytes, into "hold" in milliseconds.  Returns NGX_OK, or NGX_ERROR if
 * it isn't a time from 1ms to 24h.
 */
ngx_int_t ngx_http_graph_policy_hold_time(ngx_str_t *value, size_t skip,
    ngx_msec_t *hold);

/* Logs that "value" must be one of "allowed"; returns NGX_CONF_ERROR. */
char *ngx_http_graph_policy_invalid(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, const char *allowed);


extern ngx_http_graph_policy_words_t  ngx_http_graph_policy_pauses;
extern ngx_http_graph_policy_words_t  ngx_http_graph_policy_levels;

extern ngx_http_graph_policy_circle_t  ngx_http_graph_policy_of_phone;
extern ngx_http_graph_policy_circle_t  ngx_http_graph_policy_of_account;
extern ngx_http_graph_policy_circle_t  ngx_http_graph_policy_of_credential;


#endif /* _NGX_HTTP_GRAPH_POLICY_DIRECTIVES_H_INCLUDED_ */
