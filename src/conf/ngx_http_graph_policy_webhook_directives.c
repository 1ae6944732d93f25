
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Parses the directives of conversations and webhooks, and reads the file of
 * secrets, once, with the configuration.
 *
 * No lock is taken.  Memory belongs to the configuration's pool; keys are in
 * OpenSSL's memory until the pool is destroyed.  The text of the secrets is
 * wiped after it has been read.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"
#include "ngx_http_graph_policy_secret.h"
#include "ngx_http_graph_policy_signature.h"
#include "ngx_http_graph_policy_webhook.h"


/*
 * Bytes of a file: enough for four lines with some hundred accounts each, and
 * for comments.
 */
#define NGX_HTTP_GRAPH_POLICY_MAX_FILE  16384


static ssize_t ngx_http_graph_policy_read_file(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, u_char *text);
static void ngx_http_graph_policy_warn_open(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, ngx_fd_t fd);
static char *ngx_http_graph_policy_read_secrets(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *name, u_char *text, size_t len, void *data);
static ngx_int_t ngx_http_graph_policy_add_signer(ngx_conf_t *cf,
    ngx_http_graph_policy_secret_t *secret, ngx_array_t *secrets);
static void ngx_http_graph_policy_destroy_signer(void *data);
static ngx_int_t ngx_http_graph_policy_add_accounts(ngx_conf_t *cf,
    ngx_str_t *rest, ngx_http_graph_policy_signer_t *signer);


char *
ngx_http_graph_policy_set_conversation(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t  *value;

    if (glcf->conversation != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        glcf->conversation = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        glcf->conversation = 0;

    } else {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"on\" or \"off\"");
    }

    glcf->conversation_hold = 900000;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "hold=", 5) != 0
        || !glcf->conversation
        || ngx_http_graph_policy_hold_time(&value[2], 5,
                                           &glcf->conversation_hold)
           != NGX_OK)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[2],
                                   "\"hold=TIME\" after \"on\", "
                                   NGX_HTTP_GRAPH_POLICY_TIMES);
    }

    return NGX_CONF_OK;
}


char *
ngx_http_graph_policy_set_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t  *value;

    if (glcf->secrets != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "the name of a file");
    }

    glcf->secrets = ngx_array_create(cf->pool,
                                     NGX_HTTP_GRAPH_POLICY_MAX_SECRETS,
                                     sizeof(ngx_http_graph_policy_signer_t));
    if (glcf->secrets == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_graph_policy_read_secret_file(cf, cmd, &value[1],
                                          ngx_http_graph_policy_read_secrets,
                                                  glcf->secrets);
}


char *
ngx_http_graph_policy_read_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, ngx_http_graph_policy_secret_file_pt read, void *data)
{
    char     *rv;
    u_char   *text;
    ssize_t   n;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    text = ngx_alloc(NGX_HTTP_GRAPH_POLICY_MAX_FILE + 1, cf->log);
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }

    n = ngx_http_graph_policy_read_file(cf, cmd, name, text);

    if (n == NGX_ERROR) {
        rv = NGX_CONF_ERROR;

    } else if (n > NGX_HTTP_GRAPH_POLICY_MAX_FILE) {
        rv = ngx_http_graph_policy_invalid(cf, cmd, name,
                                           "a file of at most 16k");

    } else {
        rv = read(cf, cmd, name, text, n, data);
    }

    ngx_explicit_memzero(text, NGX_HTTP_GRAPH_POLICY_MAX_FILE + 1);
    ngx_free(text);

    return rv;
}


/*
 * Reads up to one byte more than is allowed, so that the caller sees that a
 * file is too large.
 */

static ssize_t
ngx_http_graph_policy_read_file(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, u_char *text)
{
    size_t    len;
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" of \"%V\" directive "
                           "failed", name, &cmd->name);
        return NGX_ERROR;
    }

    len = 0;

    do {
        n = ngx_read_fd(fd, text + len,
                        NGX_HTTP_GRAPH_POLICY_MAX_FILE + 1 - len);

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" of \"%V\" directive "
                               "failed", name, &cmd->name);
            break;
        }

        len += n;

    } while (n != 0 && len <= NGX_HTTP_GRAPH_POLICY_MAX_FILE);

    if (n != -1) {
        ngx_http_graph_policy_warn_open(cf, cmd, name, fd);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return (n == -1) ? NGX_ERROR : (ssize_t) len;
}


/* Others who have to read a file can be its group. */

static void
ngx_http_graph_policy_warn_open(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, ngx_fd_t fd)
{
    ngx_uint_t       mode;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return;
    }

    mode = ngx_file_access(&fi);

    if (!(mode & (S_IROTH|S_IWOTH))) {
        return;
    }

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"%V\" in \"%V\" directive has the mode 0%ui%ui%ui, "
                       "so everybody on this host can %s what is secret; "
                       "\"chmod o= FILE\" ends that",
                       name, &cmd->name, mode >> 6, mode >> 3 & 7, mode & 7,
                       (mode & S_IROTH) ? "read" : "change");
}


/*
 * Error messages give the number of a line and show nothing of its text, as it
 * is a secret.
 */

static char *
ngx_http_graph_policy_read_secrets(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *name, u_char *text, size_t len, void *data)
{
    ngx_array_t *secrets = data;

    u_char                          *p, *last;
    ngx_int_t                        rc;
    ngx_http_graph_policy_secret_t   secret;

    p = text;
    last = text + len;
    secret.line = 0;

    while ((rc = ngx_http_graph_policy_secret_next(&p, last, &secret))
           == NGX_OK)
    {
        if (secrets->nelts == NGX_HTTP_GRAPH_POLICY_MAX_SECRETS) {
            return ngx_http_graph_policy_invalid(cf, cmd, name,
                             "a file of at most 4 lines "
                             "\"SECRET [ACCOUNT-ID ...]\"");
        }

        if (ngx_http_graph_policy_add_signer(cf, &secret, secrets) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (rc == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid line %ui of \"%V\" in \"%V\" directive, "
                           "it must be \"SECRET [ACCOUNT-ID ...]\"",
                           secret.line, name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (secrets->nelts == 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, name,
                         "a file with a line \"SECRET [ACCOUNT-ID ...]\"");
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_graph_policy_add_signer(ngx_conf_t *cf,
    ngx_http_graph_policy_secret_t *secret, ngx_array_t *secrets)
{
    ngx_pool_cleanup_t              *cln;
    ngx_http_graph_policy_signer_t  *signer;

    signer = ngx_array_push(secrets);
    if (signer == NULL) {
        return NGX_ERROR;
    }

    signer->accounts = NULL;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    signer->signature = ngx_http_graph_policy_signature_create(
                                   secret->secret.data, secret->secret.len);
    if (signer->signature == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "OpenSSL can't make HMAC-SHA256");
        return NGX_ERROR;
    }

    cln->data = signer->signature;
    cln->handler = ngx_http_graph_policy_destroy_signer;

    return (secret->accounts.len != 0)
           ? ngx_http_graph_policy_add_accounts(cf, &secret->accounts, signer)
           : NGX_OK;
}


static void
ngx_http_graph_policy_destroy_signer(void *data)
{
    ngx_http_graph_policy_signature_destroy(data);
}


static ngx_int_t
ngx_http_graph_policy_add_accounts(ngx_conf_t *cf, ngx_str_t *rest,
    ngx_http_graph_policy_signer_t *signer)
{
    ngx_str_t  id, *account;

    signer->accounts = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (signer->accounts == NULL) {
        return NGX_ERROR;
    }

    while (ngx_http_graph_policy_secret_account(rest, &id) == NGX_OK) {

        account = ngx_array_push(signer->accounts);
        if (account == NULL) {
            return NGX_ERROR;
        }

        account->len = id.len;
        account->data = ngx_pstrdup(cf->pool, &id);
        if (account->data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
