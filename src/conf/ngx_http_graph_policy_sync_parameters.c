
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The parameters of graph_policy_sync, and the files that two of them name.
 *
 * Lock rule: none.  Memory: the configuration's pool; the keys' secrets are in
 * OpenSSL's memory until the pool goes.  What a file says is wiped after the
 * read, but for the password, which each connection needs.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_directives.h"


#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)

#include "ngx_http_graph_policy_sync_directives.h"


/* lengths: the stream's in entries, all others in bytes */
#define NGX_HTTP_GRAPH_POLICY_SYNC_MIN_LENGTH  1000
#define NGX_HTTP_GRAPH_POLICY_SYNC_MAX_LENGTH  10000000
#define NGX_HTTP_GRAPH_POLICY_SYNC_PREFIX      128
#define NGX_HTTP_GRAPH_POLICY_SYNC_USER        128
#define NGX_HTTP_GRAPH_POLICY_SYNC_MASTER      128
#define NGX_HTTP_GRAPH_POLICY_SYNC_PASSWORD    4096

/* milliseconds for a connection or an answer */
#define NGX_HTTP_GRAPH_POLICY_SYNC_MIN_TIMEOUT  10
#define NGX_HTTP_GRAPH_POLICY_SYNC_MAX_TIMEOUT  60000


/* a parameter: its name with "=", and what takes the rest */

typedef struct {
    ngx_str_t     name;
    ngx_uint_t    bit;              /* 0: it may be given more than once */
    char       *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, ngx_str_t *value,
                    ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync);
} ngx_http_graph_policy_sync_parameter_t;


static char *ngx_http_graph_policy_sync_set_zone(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_server(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_master(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_key_file(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_read_keys(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, u_char *text, size_t len, void *data);
static void ngx_http_graph_policy_sync_destroy_key(void *data);
static char *ngx_http_graph_policy_sync_set_user(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_password(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_read_password(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, u_char *text, size_t len, void *data);
static char *ngx_http_graph_policy_sync_set_db(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_prefix(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_timeout(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_length(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_set_conversations(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync);
static ngx_uint_t ngx_http_graph_policy_sync_is_printable(ngx_str_t *s,
    size_t max);


static ngx_http_graph_policy_sync_parameter_t
    ngx_http_graph_policy_sync_parameters[] = {

    { ngx_string("zone="), NGX_HTTP_GRAPH_POLICY_GIVEN_ZONE,
      ngx_http_graph_policy_sync_set_zone },
    { ngx_string("server="), 0,
      ngx_http_graph_policy_sync_set_server },
    { ngx_string("master="), NGX_HTTP_GRAPH_POLICY_GIVEN_MASTER,
      ngx_http_graph_policy_sync_set_master },
    { ngx_string("key_file="), NGX_HTTP_GRAPH_POLICY_GIVEN_KEY,
      ngx_http_graph_policy_sync_set_key_file },
    { ngx_string("user="), NGX_HTTP_GRAPH_POLICY_GIVEN_USER,
      ngx_http_graph_policy_sync_set_user },
    { ngx_string("password_file="), NGX_HTTP_GRAPH_POLICY_GIVEN_PASSWORD,
      ngx_http_graph_policy_sync_set_password },
    { ngx_string("db="), NGX_HTTP_GRAPH_POLICY_GIVEN_DB,
      ngx_http_graph_policy_sync_set_db },
    { ngx_string("prefix="), NGX_HTTP_GRAPH_POLICY_GIVEN_PREFIX,
      ngx_http_graph_policy_sync_set_prefix },
    { ngx_string("timeout="), NGX_HTTP_GRAPH_POLICY_GIVEN_TIMEOUT,
      ngx_http_graph_policy_sync_set_timeout },
    { ngx_string("length="), NGX_HTTP_GRAPH_POLICY_GIVEN_LENGTH,
      ngx_http_graph_policy_sync_set_length },
    { ngx_string("conversations="), NGX_HTTP_GRAPH_POLICY_GIVEN_CONVERSATIONS,
      ngx_http_graph_policy_sync_set_conversations },
    { ngx_null_string, 0, NULL }
};


char *
ngx_http_graph_policy_sync_parameter(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_http_graph_policy_sync_t *sync, ngx_uint_t *given)
{
    ngx_str_t                                rest;
    ngx_http_graph_policy_sync_parameter_t  *parameter;

    parameter = ngx_http_graph_policy_sync_parameters;

    while (parameter->name.len != 0
           && ngx_strncmp(value->data, parameter->name.data,
                          parameter->name.len)
              != 0)
    {
        parameter++;
    }

    if (parameter->name.len == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                   "\"zone=\", \"server=\", \"master=\", \"key_file=\", "
                   "\"user=\", \"password_file=\", \"db=\", \"prefix=\", "
                   "\"timeout=\", \"length=\", "
                   "or \"conversations=\"");
    }

    if (*given & parameter->bit) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate parameter \"%V\" in \"%V\" "
                           "directive", value, &cmd->name);
        return NGX_CONF_ERROR;
    }

    *given |= parameter->bit;

    rest.data = value->data + parameter->name.len;
    rest.len = value->len - parameter->name.len;

    return parameter->set(cf, cmd, value, &rest, sync);
}


static char *
ngx_http_graph_policy_sync_set_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    ngx_conf_file_t  *place;

    if (rest->len == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, value, "\"zone=NAME\"");
    }

    /* the zone may be defined further on; its errors name this line */

    place = ngx_palloc(cf->pool, sizeof(ngx_conf_file_t));
    if (place == NULL) {
        return NGX_CONF_ERROR;
    }

    *place = *cf->conf_file;

    sync->share.zone_name = *rest;
    sync->place = place;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_server(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    ngx_str_t                             host;
    ngx_url_t                             u;
    ngx_uint_t                            i;
    ngx_http_graph_policy_sync_server_t  *server;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *rest;
    u.no_resolve = 1;

    if (rest->len == 0 || ngx_parse_url(cf->pool, &u) != NGX_OK || u.no_port
        || u.uri.len != 0)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                   "\"server=HOST:PORT\", \"server=[IPV6]:PORT\", or "
                   "\"server=unix:PATH\"");
    }

    /* addresses are there already, names are looked up */

    if (u.naddrs == 0 && ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\" of the \"%V\" directive, names are "
                           "looked up when nginx starts",
                           (u.err != NULL) ? u.err : "no memory", value,
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    /* OpenSSL takes a name that ends with a zero byte, and no brackets */

    host = u.host;

    if (host.len > 1 && host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    u.host.len = host.len;
    u.host.data = ngx_pnalloc(cf->pool, host.len + 1);
    if (u.host.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_cpystrn(u.host.data, host.data, host.len + 1);

    for (i = 0; i < u.naddrs; i++) {
        server = ngx_array_push(&sync->servers);

        if (server == NULL) {
            return NGX_CONF_ERROR;
        }

        server->sockaddr = u.addrs[i].sockaddr;
        server->socklen = u.addrs[i].socklen;
        server->text = *rest;
        server->host = u.host;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_master(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    if (!ngx_http_graph_policy_sync_is_printable(rest,
                                            NGX_HTTP_GRAPH_POLICY_SYNC_MASTER)
        || ngx_strlchr(rest->data, rest->data + rest->len, ' ') != NULL)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                   "\"master=NAME\" of 1 to 128 printable ASCII characters "
                   "without blanks");
    }

    sync->master = *rest;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    if (rest->len == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                                             "\"key_file=FILE\"");
    }

    return ngx_http_graph_policy_read_secret_file(cf, cmd, rest,
                                         ngx_http_graph_policy_sync_read_keys,
                                                  sync);
}


/* nothing of the file is shown */

static char *
ngx_http_graph_policy_sync_read_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, u_char *text, size_t len, void *data)
{
    ngx_http_graph_policy_sync_t *sync = data;

    u_char              *p, *last;
    ngx_int_t            rc;
    ngx_str_t            secret;
    ngx_uint_t           line;
    ngx_pool_cleanup_t  *cln;

    p = text;
    last = text + len;
    line = 0;

    while ((rc = ngx_http_graph_policy_fleet_key_next(&p, last, &line,
                                                      &secret))
           == NGX_OK)
    {
        if (sync->nkeys == NGX_HTTP_GRAPH_POLICY_MAX_FLEET_KEYS) {
            return ngx_http_graph_policy_invalid(cf, cmd, name,
                                      "a file of at most 4 keys, one a line");
        }

        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_graph_policy_fleet_key_derive(&secret,
                                                   &sync->keys[sync->nkeys])
            != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "OpenSSL can't make HMAC-SHA256");
            return NGX_CONF_ERROR;
        }

        cln->data = sync->keys[sync->nkeys].signature;
        cln->handler = ngx_http_graph_policy_sync_destroy_key;

        sync->nkeys++;
    }

    if (rc != NGX_DONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid line %ui of \"%V\" in \"%V\" directive, "
                           "it must be a key of 32 to 1024 printable ASCII "
                           "characters", line, name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (sync->nkeys == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, name,
                                       "a file with at least one key in it");
    }

    return NGX_CONF_OK;
}


static void
ngx_http_graph_policy_sync_destroy_key(void *data)
{
    ngx_http_graph_policy_signature_destroy(data);
}


static char *
ngx_http_graph_policy_sync_set_user(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    if (!ngx_http_graph_policy_sync_is_printable(rest,
                                              NGX_HTTP_GRAPH_POLICY_SYNC_USER))
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                   "\"user=NAME\" of 1 to 128 printable ASCII characters");
    }

    sync->user = *rest;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_password(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    if (rest->len == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                                             "\"password_file=FILE\"");
    }

    return ngx_http_graph_policy_read_secret_file(cf, cmd, rest,
                                     ngx_http_graph_policy_sync_read_password,
                                                  sync);
}


/* the file's only line; what isn't ASCII is for the engine to judge */

static char *
ngx_http_graph_policy_sync_read_password(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, u_char *text, size_t len, void *data)
{
    ngx_http_graph_policy_sync_t *sync = data;

    u_char  *p;

    if (len != 0 && text[len - 1] == LF) {
        len--;
    }

    if (len != 0 && text[len - 1] == CR) {
        len--;
    }

    for (p = text; p < text + len; p++) {

        if (*p < 0x20 || *p == 0x7f) {
            break;
        }
    }

    if (len == 0 || len > NGX_HTTP_GRAPH_POLICY_SYNC_PASSWORD
        || p != text + len)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, name,
                   "a file of one line, the password, without control "
                   "characters");
    }

    sync->password.len = len;
    sync->password.data = ngx_pnalloc(cf->pool, len);
    if (sync->password.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(sync->password.data, text, len);

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_db(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    ngx_int_t  n;

    n = ngx_atoi(rest->data, rest->len);

    if (n == NGX_ERROR || n > 0x7fffffff) {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                                             "\"db=NUMBER\"");
    }

    sync->db = n;

    return NGX_CONF_OK;
}


/* a brace would be taken for that around the zone, which names the slot */

static char *
ngx_http_graph_policy_sync_set_prefix(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    if ((rest->len != 0
         && !ngx_http_graph_policy_sync_is_printable(rest,
                                            NGX_HTTP_GRAPH_POLICY_SYNC_PREFIX))
        || ngx_strlchr(rest->data, rest->data + rest->len, '{') != NULL)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                   "\"prefix=STRING\" of at most 128 printable ASCII "
                   "characters without \"{\"");
    }

    sync->prefix = *rest;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_timeout(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    ngx_int_t  n;

    n = ngx_parse_time(rest, 0);

    if (n == NGX_ERROR || n < NGX_HTTP_GRAPH_POLICY_SYNC_MIN_TIMEOUT
        || n > NGX_HTTP_GRAPH_POLICY_SYNC_MAX_TIMEOUT)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                                   "\"timeout=TIME\" from \"10ms\" to \"60s\"");
    }

    sync->timeout = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_length(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_str_t *rest, ngx_http_graph_policy_sync_t *sync)
{
    ngx_int_t  n;

    n = ngx_atoi(rest->data, rest->len);

    if (n == NGX_ERROR || n < NGX_HTTP_GRAPH_POLICY_SYNC_MIN_LENGTH
        || n > NGX_HTTP_GRAPH_POLICY_SYNC_MAX_LENGTH)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, value,
                   "\"length=NUMBER\" from 1000 to 10000000 entries");
    }

    sync->length = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_set_conversations(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_str_t *rest,
    ngx_http_graph_policy_sync_t *sync)
{
    if (rest->len == 2 && ngx_strncmp(rest->data, "on", 2) == 0) {
        sync->share.conversations = 1;
        return NGX_CONF_OK;
    }

    if (rest->len == 3 && ngx_strncmp(rest->data, "off", 3) == 0) {
        return NGX_CONF_OK;
    }

    return ngx_http_graph_policy_invalid(cf, cmd, value,
                                         "\"conversations=on|off\"");
}


static ngx_uint_t
ngx_http_graph_policy_sync_is_printable(ngx_str_t *s, size_t max)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] < 0x20 || s->data[i] > 0x7e) {
            return 0;
        }
    }

    return s->len != 0 && s->len <= max;
}


#endif
