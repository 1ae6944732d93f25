
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The directive by which a zone is shared with other hosts, its files, and the
 * checks that need all of the configuration.  Nothing here runs while a
 * request is served.
 *
 * Lock rule: none.  Memory: the configuration's pool; the keys' secrets are in
 * OpenSSL's memory until the pool goes.  What a file says is wiped after the
 * read, but for the password, which each connection needs.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"


#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)

#include "ngx_http_graph_policy_sync.h"
#include "ngx_http_graph_policy_sync_directives.h"




static char *ngx_http_graph_policy_sync_add(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_graph_policy_main_conf_t *gmcf,
    ngx_http_graph_policy_sync_t *sync);
static char *ngx_http_graph_policy_sync_check(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_graph_policy_sync_t *sync,
    ngx_uint_t given);
static char *ngx_http_graph_policy_sync_missing(ngx_conf_t *cf,
    ngx_command_t *cmd, const char *what);

#if (NGX_SSL)
static ngx_int_t ngx_http_graph_policy_sync_init_ssl(ngx_conf_t *cf,
    ngx_http_graph_policy_main_conf_t *gmcf, ngx_ssl_t **ssl);
#endif


char *
ngx_http_graph_policy_set_sync(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_main_conf_t *gmcf = conf;

    char                                    *rv;
    ngx_str_t                               *value;
    ngx_uint_t                               i, given;
    ngx_http_graph_policy_sync_t            *sync;

    sync = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_sync_t));
    if (sync == NULL
        || ngx_array_init(&sync->servers, cf->pool, 4,
                          sizeof(ngx_http_graph_policy_sync_server_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&sync->prefix, "graph_policy:");
    sync->timeout = 1000;
    sync->length = 10000;

    given = 0;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_graph_policy_sync_parameter(cf, cmd, &value[i], sync,
                                                  &given);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    rv = ngx_http_graph_policy_sync_check(cf, cmd, sync, given);

    return (rv == NGX_CONF_OK) ? ngx_http_graph_policy_sync_add(cf, cmd, gmcf,
                                                                sync)
                               : rv;
}


static char *
ngx_http_graph_policy_sync_add(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_graph_policy_main_conf_t *gmcf,
    ngx_http_graph_policy_sync_t *sync)
{
    ngx_uint_t                      i;
    ngx_http_graph_policy_sync_t  **syncp;

    if (gmcf->syncs == NULL) {
        gmcf->syncs = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_http_graph_policy_sync_t *));
        if (gmcf->syncs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    syncp = gmcf->syncs->elts;

    for (i = 0; i < gmcf->syncs->nelts; i++) {

        if (syncp[i]->share.zone_name.len == sync->share.zone_name.len
            && ngx_strncmp(syncp[i]->share.zone_name.data,
                           sync->share.zone_name.data,
                           sync->share.zone_name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate zone \"%V\" in \"%V\" directive, "
                               "a zone is shared once",
                               &sync->share.zone_name, &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    syncp = ngx_array_push(gmcf->syncs);
    if (syncp == NULL) {
        return NGX_CONF_ERROR;
    }

    *syncp = sync;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_check(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_graph_policy_sync_t *sync, ngx_uint_t given)
{
    if (!(given & NGX_HTTP_GRAPH_POLICY_GIVEN_ZONE)) {
        return ngx_http_graph_policy_sync_missing(cf, cmd, "zone=NAME");
    }

    if (sync->servers.nelts == 0) {
        return ngx_http_graph_policy_sync_missing(cf, cmd, "server=ADDRESS");
    }

    if (!(given & NGX_HTTP_GRAPH_POLICY_GIVEN_KEY)) {
        return ngx_http_graph_policy_sync_missing(cf, cmd, "key_file=FILE");
    }

    if ((given & NGX_HTTP_GRAPH_POLICY_GIVEN_USER)
        && !(given & NGX_HTTP_GRAPH_POLICY_GIVEN_PASSWORD))
    {
        return ngx_http_graph_policy_sync_missing(cf, cmd,
                                      "password_file=FILE\" with \"user=");
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_sync_missing(ngx_conf_t *cf, ngx_command_t *cmd,
    const char *what)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" directive needs \"%s\"", &cmd->name, what);

    return NGX_CONF_ERROR;
}


char *
ngx_http_graph_policy_init_syncs(ngx_conf_t *cf,
    ngx_http_graph_policy_main_conf_t *gmcf)
{
    ngx_uint_t                      i;
    ngx_shm_zone_t                 *shm_zone;
    ngx_conf_file_t                *conf_file;
    ngx_http_graph_policy_sync_t  **sync;
#if (NGX_SSL)
    ngx_ssl_t                      *ssl;
#endif

    if (gmcf->syncs == NULL) {
        return NGX_CONF_OK;
    }

#if (NGX_SSL)

    ssl = NULL;

    if (gmcf->sync_ssl
        && ngx_http_graph_policy_sync_init_ssl(cf, gmcf, &ssl) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

#endif

    sync = gmcf->syncs->elts;

    for (i = 0; i < gmcf->syncs->nelts; i++) {

        shm_zone = ngx_shared_memory_add(cf, &sync[i]->share.zone_name, 0,
                                         &ngx_http_graph_policy_module);
        if (shm_zone == NULL) {
            return NGX_CONF_ERROR;
        }

        if (shm_zone->data == NULL) {
            conf_file = cf->conf_file;
            cf->conf_file = sync[i]->place;

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown zone \"%V\" in "
                               "\"graph_policy_sync\" directive, it must be "
                               "defined with \"graph_policy_zone\"",
                               &sync[i]->share.zone_name);

            cf->conf_file = conf_file;

            return NGX_CONF_ERROR;
        }

        sync[i]->zone = shm_zone->data;

#if (NGX_SSL)
        sync[i]->ssl = ssl;
        sync[i]->ssl_name = gmcf->sync_ssl_name;
        sync[i]->ssl_verify = gmcf->sync_ssl_verify;
#endif

        if (ngx_http_graph_policy_sync_init(cf, sync[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


#if (NGX_SSL)

static ngx_int_t
ngx_http_graph_policy_sync_init_ssl(ngx_conf_t *cf,
    ngx_http_graph_policy_main_conf_t *gmcf, ngx_ssl_t **sslp)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (ssl == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, gmcf->sync_ssl_protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    if (ngx_ssl_ciphers(cf, ssl, &gmcf->sync_ssl_ciphers, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if ((gmcf->sync_ssl_certificate.len != 0)
        != (gmcf->sync_ssl_certificate_key.len != 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"graph_policy_sync_ssl_certificate\" and "
                           "\"graph_policy_sync_ssl_certificate_key\" need "
                           "each other");
        return NGX_ERROR;
    }

    if (gmcf->sync_ssl_certificate.len != 0
        && ngx_ssl_certificate(cf, ssl, &gmcf->sync_ssl_certificate,
                               &gmcf->sync_ssl_certificate_key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (gmcf->sync_ssl_trusted_certificate.len != 0) {

        if (ngx_ssl_trusted_certificate(cf, ssl,
                                        &gmcf->sync_ssl_trusted_certificate,
                                        10)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (SSL_CTX_set_default_verify_paths(ssl->ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    *sslp = ssl;

    return NGX_OK;
}

#endif


#else /* no hiredis */


char *
ngx_http_graph_policy_set_sync(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return "isn't available: the module was built without hiredis";
}


#endif


#if (NGX_SSL)

/* As ngx_conf_set_bitmask_slot(), but says what is allowed. */

char *
ngx_http_graph_policy_set_protocols(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_conf_bitmask_t  *protocol;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        protocol = cmd->post;

        while (protocol->name.len != 0
               && (protocol->name.len != value[i].len
                   || ngx_strcasecmp(protocol->name.data, value[i].data) != 0))
        {
            protocol++;
        }

        if (protocol->name.len == 0) {
            return ngx_http_graph_policy_invalid(cf, cmd, &value[i],
                                "\"SSLv2\", \"SSLv3\", \"TLSv1\", "
                                "\"TLSv1.1\", \"TLSv1.2\", or \"TLSv1.3\"");
        }
    }

    return ngx_conf_set_bitmask_slot(cf, cmd, conf);
}

#else

char *
ngx_http_graph_policy_set_without_tls(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    /* the default, which needs nothing */

    if (cf->args->nelts == 2
        && ngx_strcmp(value[0].data, "graph_policy_sync_ssl") == 0
        && ngx_strcasecmp(value[1].data, (u_char *) "off") == 0)
    {
        return NGX_CONF_OK;
    }

    return "isn't available: the module was built for an nginx without TLS, "
           "--with-http_ssl_module gives it";
}

#endif
