
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The command table, the inheritance of directives, and the registration of
 * handlers.  Nothing here but two short phase handlers runs while a request is
 * served.
 *
 * No lock is taken.  All memory belongs to the configuration's pool.
 */


#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_directives.h"
#include "ngx_http_graph_policy_filter.h"
#include "ngx_http_graph_policy_gate.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_state_file.h"
#include "ngx_http_graph_policy_sweep.h"
#include "ngx_http_graph_policy_variables.h"
#include "ngx_http_graph_policy_webhook.h"

#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)
#include "ngx_http_graph_policy_sync.h"
#endif


/* nginx's default of client_max_body_size. */
#define NGX_HTTP_GRAPH_POLICY_DEFAULT_BODY  (1024 * 1024)


/*
 * The text that tells where the module has to be loaded to have its filters
 * run first.
 */

#if (NGX_HTTP_GRAPH_POLICY_DYNAMIC)
#define NGX_HTTP_GRAPH_POLICY_PLACE                                           \
    "its \"load_module\" line must be the last one"
#else
#define NGX_HTTP_GRAPH_POLICY_PLACE                                           \
    "it must be the last \"--add-module\" of nginx's configure, and that "    \
    "filter must be built in as well"
#endif


static void *ngx_http_graph_policy_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_graph_policy_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_graph_policy_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_graph_policy_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_graph_policy_merge_rules(ngx_conf_t *cf,
    ngx_http_graph_policy_loc_conf_t *prev,
    ngx_http_graph_policy_loc_conf_t *conf);
static char *ngx_http_graph_policy_merge_api(ngx_conf_t *cf,
    ngx_http_graph_policy_loc_conf_t *prev,
    ngx_http_graph_policy_loc_conf_t *conf);
static char *ngx_http_graph_policy_merge_webhook(ngx_conf_t *cf,
    ngx_http_graph_policy_loc_conf_t *conf);
static ngx_uint_t ngx_http_graph_policy_gates_conversations(
    ngx_http_graph_policy_loc_conf_t *conf);
static ngx_int_t ngx_http_graph_policy_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_graph_policy_precontent_handler(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_graph_policy_log_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_graph_policy_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_graph_policy_init_process(ngx_cycle_t *cycle);
#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)
static void ngx_http_graph_policy_start_syncs(ngx_cycle_t *cycle);
static void ngx_http_graph_policy_stop_syncs(ngx_cycle_t *cycle);
#endif
static void ngx_http_graph_policy_exit_process(ngx_cycle_t *cycle);
static void ngx_http_graph_policy_exit_master(ngx_cycle_t *cycle);


#if (NGX_SSL)

/* as proxy_ssl_protocols */

static ngx_conf_bitmask_t  ngx_http_graph_policy_sync_ssl_protocols[] = {
    { ngx_string("SSLv2"), NGX_SSL_SSLv2 },
    { ngx_string("SSLv3"), NGX_SSL_SSLv3 },
    { ngx_string("TLSv1"), NGX_SSL_TLSv1 },
    { ngx_string("TLSv1.1"), NGX_SSL_TLSv1_1 },
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_null_string, 0 }
};

#else

/* a directive that needs nginx's TLS says so, rather than being unknown */

#define NGX_HTTP_GRAPH_POLICY_NO_TLS(name)                                    \
    { ngx_string(name),                                                       \
      NGX_HTTP_MAIN_CONF|NGX_CONF_ANY,                                        \
      ngx_http_graph_policy_set_without_tls,                                  \
      0,                                                                      \
      0,                                                                      \
      NULL }

#endif


static ngx_command_t  ngx_http_graph_policy_commands[] = {

    { ngx_string("graph_policy_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_graph_policy_set_zone,
      0,
      0,
      NULL },

    { ngx_string("graph_policy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_policy,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_dry_run"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_dry_run,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, dry_run),
      NULL },

    { ngx_string("graph_policy_rule"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_graph_policy_set_rule,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_credential"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_complex_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, credential),
      &ngx_http_graph_policy_of_credential },

    { ngx_string("graph_policy_account"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_complex_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, account),
      &ngx_http_graph_policy_of_account },

    { ngx_string("graph_policy_phone"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_complex_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, phone),
      &ngx_http_graph_policy_of_phone },

    { ngx_string("graph_policy_send"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_graph_policy_set_sends,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_graph_policy_of_phone },

    { ngx_string("graph_policy_pause"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_word,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, pause),
      &ngx_http_graph_policy_pauses },

    { ngx_string("graph_policy_hold"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_graph_policy_set_hold,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_status"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_buffer_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_buffer_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_accept_encoding"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, accept_encoding),
      NULL },

    { ngx_string("graph_policy_cooldown"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, cooldown),
      NULL },

    { ngx_string("graph_policy_conversation"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_graph_policy_set_conversation,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, webhook),
      NULL },

    { ngx_string("graph_policy_webhook_secret_file"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_secret_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_webhook_pause"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, webhook_pause),
      NULL },

    { ngx_string("graph_policy_retry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_graph_policy_set_retry,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_word,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, log_level),
      &ngx_http_graph_policy_levels },

    { ngx_string("graph_policy_event_log"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_event_log,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_sync"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_graph_policy_set_sync,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

#if (NGX_SSL)

    { ngx_string("graph_policy_sync_ssl"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl),
      NULL },

    { ngx_string("graph_policy_sync_ssl_verify"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_verify),
      NULL },

    { ngx_string("graph_policy_sync_ssl_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_trusted_certificate),
      NULL },

    { ngx_string("graph_policy_sync_ssl_name"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_name),
      NULL },

    { ngx_string("graph_policy_sync_ssl_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_certificate),
      NULL },

    { ngx_string("graph_policy_sync_ssl_certificate_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_certificate_key),
      NULL },

    { ngx_string("graph_policy_sync_ssl_protocols"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_graph_policy_set_protocols,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_protocols),
      ngx_http_graph_policy_sync_ssl_protocols },

    { ngx_string("graph_policy_sync_ssl_ciphers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_main_conf_t, sync_ssl_ciphers),
      NULL },

#else

    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_verify"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_trusted_certificate"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_name"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_certificate"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_certificate_key"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_protocols"),
    NGX_HTTP_GRAPH_POLICY_NO_TLS("graph_policy_sync_ssl_ciphers"),

#endif

      ngx_null_command
};


static ngx_http_module_t  ngx_http_graph_policy_module_ctx = {
    ngx_http_graph_policy_add_variables,    /* preconfiguration */
    ngx_http_graph_policy_init,             /* postconfiguration */

    ngx_http_graph_policy_create_main_conf, /* create main configuration */
    ngx_http_graph_policy_init_main_conf,   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    ngx_http_graph_policy_create_loc_conf,  /* create location configuration */
    ngx_http_graph_policy_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_graph_policy_module = {
    NGX_MODULE_V1,
    &ngx_http_graph_policy_module_ctx,      /* module context */
    ngx_http_graph_policy_commands,         /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    ngx_http_graph_policy_init_module,      /* init module */
    ngx_http_graph_policy_init_process,     /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    ngx_http_graph_policy_exit_process,     /* exit process */
    ngx_http_graph_policy_exit_master,      /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_graph_policy_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_main_conf_t));
    if (gmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     gmcf->syncs = NULL;
     *     gmcf->sync_ssl_protocols = 0;
     *     gmcf->sync_ssl_... = { 0, NULL };
     */

    gmcf->event_log = NGX_CONF_UNSET_PTR;
    gmcf->sync_ssl = NGX_CONF_UNSET;
    gmcf->sync_ssl_verify = NGX_CONF_UNSET;

    return gmcf;
}


static char *
ngx_http_graph_policy_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_graph_policy_main_conf_t *gmcf = conf;

    ngx_conf_init_ptr_value(gmcf->event_log, NULL);
    ngx_conf_init_value(gmcf->sync_ssl, 0);
    ngx_conf_init_value(gmcf->sync_ssl_verify, 1);

#if (NGX_SSL)

    if (gmcf->sync_ssl_protocols == 0) {
        gmcf->sync_ssl_protocols = NGX_CONF_BITMASK_SET|NGX_SSL_TLSv1_2
                                   |NGX_SSL_TLSv1_3;
    }

    if (gmcf->sync_ssl_ciphers.data == NULL) {
        ngx_str_set(&gmcf->sync_ssl_ciphers, "DEFAULT");
    }

#endif

    return NGX_CONF_OK;
}


static void *
ngx_http_graph_policy_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_graph_policy_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->zone = NULL;
     *     conf->ruleset = NULL;
     *     conf->webhook_zone = NULL;
     *     conf->conversation_hold = 0;
     *     conf->api = 0;
     */

    conf->shm_zone = NGX_CONF_UNSET_PTR;
    conf->place = NGX_CONF_UNSET_PTR;
    conf->dry_run = NGX_CONF_UNSET_PTR;
    conf->credential = NGX_CONF_UNSET_PTR;
    conf->account = NGX_CONF_UNSET_PTR;
    conf->phone = NGX_CONF_UNSET_PTR;
    conf->sends = NGX_CONF_UNSET_PTR;
    conf->rules = NGX_CONF_UNSET_PTR;
    conf->pause = NGX_CONF_UNSET_UINT;
    conf->status = NGX_CONF_UNSET_UINT;
    conf->log_level = NGX_CONF_UNSET_UINT;
    conf->hold = NGX_CONF_UNSET_MSEC;
    conf->hold_max = NGX_CONF_UNSET_MSEC;
    conf->confirm = NGX_CONF_UNSET_MSEC;
    conf->buffer_size = NGX_CONF_UNSET_SIZE;
    conf->accept_encoding = NGX_CONF_UNSET;
    conf->cooldown = NGX_CONF_UNSET;
    conf->conversation = NGX_CONF_UNSET;
    conf->webhook = NGX_CONF_UNSET;
    conf->webhook_pause = NGX_CONF_UNSET;
    conf->secrets = NGX_CONF_UNSET_PTR;
    conf->retry.attempts = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_graph_policy_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_graph_policy_loc_conf_t *prev = parent;
    ngx_http_graph_policy_loc_conf_t *conf = child;

    if (ngx_http_graph_policy_merge_api(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->shm_zone, prev->shm_zone, NULL);
    ngx_conf_merge_ptr_value(conf->place, prev->place, NULL);
    ngx_conf_merge_ptr_value(conf->dry_run, prev->dry_run, NULL);
    ngx_conf_merge_ptr_value(conf->credential, prev->credential, NULL);
    ngx_conf_merge_ptr_value(conf->account, prev->account, NULL);
    ngx_conf_merge_ptr_value(conf->phone, prev->phone, NULL);
    ngx_conf_merge_ptr_value(conf->sends, prev->sends, NULL);
    ngx_conf_merge_ptr_value(conf->rules, prev->rules, NULL);

    if (ngx_http_graph_policy_merge_rules(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_uint_value(conf->pause, prev->pause,
                              NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS);
    ngx_conf_merge_uint_value(conf->status, prev->status,
                              NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM);
    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_ERR);
    ngx_conf_merge_msec_value(conf->hold, prev->hold, 10000);
    ngx_conf_merge_msec_value(conf->hold_max, prev->hold_max, 900000);
    ngx_conf_merge_msec_value(conf->confirm, prev->confirm,
                              NGX_HTTP_GRAPH_POLICY_CONFIRM);
    ngx_conf_merge_size_value(conf->buffer_size, prev->buffer_size,
                              64 * 1024);
    ngx_conf_merge_value(conf->accept_encoding, prev->accept_encoding, 1);
    ngx_conf_merge_value(conf->cooldown, prev->cooldown, 0);
    ngx_conf_merge_value(conf->webhook, prev->webhook, 0);
    ngx_conf_merge_value(conf->webhook_pause, prev->webhook_pause, 0);
    ngx_conf_merge_ptr_value(conf->secrets, prev->secrets, NULL);

    if (conf->conversation == NGX_CONF_UNSET) {
        ngx_conf_merge_value(conf->conversation, prev->conversation, 0);
        conf->conversation_hold = prev->conversation_hold;
    }

    if (conf->retry.attempts == NGX_CONF_UNSET_UINT) {

        if (prev->retry.attempts == NGX_CONF_UNSET_UINT) {
            prev->retry.attempts = 0;
        }

        conf->retry = prev->retry;
    }

    if (conf->shm_zone == NULL) {
        return conf->webhook ? ngx_http_graph_policy_merge_webhook(cf, conf)
                             : NGX_CONF_OK;
    }

    conf->zone = conf->shm_zone->data;
    conf->conversations = ngx_http_graph_policy_gates_conversations(conf);

    if (conf->zone == NULL) {
        /*
         * By now nginx is further down in the file, so the position of the
         * directive is restored for the error message.
         */
        cf->conf_file = conf->place;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown zone \"%V\" in \"graph_policy\" "
                           "directive, it must be defined with "
                           "\"graph_policy_zone\"",
                           &conf->shm_zone->shm.name);
        return NGX_CONF_ERROR;
    }

    if (conf->api) {
        conf->zone = NULL;
        return NGX_CONF_OK;
    }

    if (conf->webhook) {
        return ngx_http_graph_policy_merge_webhook(cf, conf);
    }

    if (conf->conversation) {
        conf->zone->conversation_hold = ngx_max(conf->zone->conversation_hold,
                                          (uint32_t) conf->conversation_hold);
    }

    return NGX_CONF_OK;
}


/* The rules are indexed once for all locations that inherit them. */

static ngx_int_t
ngx_http_graph_policy_merge_rules(ngx_conf_t *cf,
    ngx_http_graph_policy_loc_conf_t *prev,
    ngx_http_graph_policy_loc_conf_t *conf)
{
    void                             *memory;
    size_t                            size;
    ngx_http_graph_policy_ruleset_t  *set;

    if (conf->rules == NULL) {
        return NGX_OK;
    }

    if (conf->rules == prev->rules && prev->ruleset != NULL) {
        conf->ruleset = prev->ruleset;
        return NGX_OK;
    }

    set = ngx_palloc(cf->pool, sizeof(ngx_http_graph_policy_ruleset_t));
    if (set == NULL) {
        return NGX_ERROR;
    }

    size = ngx_http_graph_policy_rules_memory(conf->rules->elts,
                                              conf->rules->nelts);

    memory = ngx_palloc(cf->pool, size);
    if (memory == NULL) {
        return NGX_ERROR;
    }

    ngx_http_graph_policy_rules_index(set, conf->rules->elts,
                                      conf->rules->nelts, memory);
    conf->ruleset = set;

    return NGX_OK;
}



/*
 * The handler of the API isn't inherited by nested locations; only the blocks
 * "if" and "limit_except", which are part of the location, get it.
 */

static char *
ngx_http_graph_policy_merge_api(ngx_conf_t *cf,
    ngx_http_graph_policy_loc_conf_t *prev,
    ngx_http_graph_policy_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf->api == 0) {
        conf->api = prev->api;
    }

    if (conf->api == 0) {
        return NGX_CONF_OK;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_graph_policy_api_handler;
    }

    if (conf->webhook == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"graph_policy_api\" and "
                           "\"graph_policy_webhook\" can't both be in "
                           "location \"%V\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    conf->webhook = 0;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_merge_webhook(ngx_conf_t *cf,
    ngx_http_graph_policy_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"graph_policy_webhook\" in location \"%V\" "
                           "needs \"graph_policy zone=NAME\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->secrets == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"graph_policy_webhook\" in location \"%V\" "
                           "needs \"graph_policy_webhook_secret_file\"",
                           &clcf->name);
        return NGX_CONF_ERROR;
    }

    /*
     * Sends don't go through this location, so "zone" is cleared and answers
     * pass unchanged.
     */

    conf->webhook_zone = conf->zone;
    conf->zone = NULL;

    conf->webhook_zone->memory = NGX_HTTP_GRAPH_POLICY_FRESH;

    /*
     * nginx's default would reject large webhooks of Meta's, and no one would
     * notice.
     */

    if (clcf->client_max_body_size == NGX_HTTP_GRAPH_POLICY_DEFAULT_BODY) {
        clcf->client_max_body_size = NGX_HTTP_GRAPH_POLICY_MAX_PAYLOAD;
    }

    return NGX_CONF_OK;
}


/*
 * Returns 1 if a rule or directive may need the recipient of a message; the
 * body of each message is read then.
 */

static ngx_uint_t
ngx_http_graph_policy_gates_conversations(
    ngx_http_graph_policy_loc_conf_t *conf)
{
    ngx_uint_t                     i;
    ngx_http_graph_policy_rule_t  *rule;

    if (conf->cooldown) {
        return 1;
    }

    if (conf->rules == NULL) {
        return 0;
    }

    rule = conf->rules->elts;

    for (i = 0; i < conf->rules->nelts; i++) {

        if (rule[i].category == NGX_HTTP_GRAPH_POLICY_FATAL
            && (rule[i].scope == NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION
                || rule[i].scope == NGX_HTTP_GRAPH_POLICY_UNSET))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_graph_policy_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt                *h, *first;
    ngx_http_core_main_conf_t          *cmcf;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);

#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)

    if (ngx_http_graph_policy_init_syncs(cf, gmcf) != NGX_CONF_OK) {
        return NGX_ERROR;
    }

#endif

    if (gmcf->api && ngx_http_graph_policy_api_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_graph_policy_reserve_names(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!gmcf->used) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_graph_policy_precontent_handler;

    /* The handler has to run before those that write a log. */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    first = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.elts;

    ngx_memmove(first + 1, first, (h - first) * sizeof(ngx_http_handler_pt));

    *first = ngx_http_graph_policy_log_handler;

    return ngx_http_graph_policy_filter_init(cf);
}


/* Webhooks have their signature checked, all other requests meet the gate. */

static ngx_int_t
ngx_http_graph_policy_precontent_handler(ngx_http_request_t *r)
{
    ngx_http_graph_policy_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    /*
     * An internal redirect may lead here from another location, in which
     * Accept-Encoding was replaced.
     */

    if (r->internal && r == r->main) {
        ngx_http_graph_policy_restore_encoding(r);
    }

    return (glcf->webhook_zone != NULL) ? ngx_http_graph_policy_webhook(r, glcf)
                                        : ngx_http_graph_policy_gate(r, glcf);
}


/* Logs are to show the request headers as the client has sent them. */

static ngx_int_t
ngx_http_graph_policy_log_handler(ngx_http_request_t *r)
{
    if (r == r->main) {
        ngx_http_graph_policy_restore_encoding(r);
    }

    return NGX_OK;
}


/*
 * It never fails: nginx's master ends at once where a module does here, even in
 * a reload, and leaves its workers with nobody to end them.
 */

static ngx_int_t
ngx_http_graph_policy_init_module(ngx_cycle_t *cycle)
{
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_graph_policy_module);

    if (gmcf != NULL && gmcf->used && !ngx_http_graph_policy_filter_is_first())
    {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "another filter module sees answers before "
                      "ngx_http_graph_policy_module does, "
                      NGX_HTTP_GRAPH_POLICY_PLACE);
    }

    if (gmcf != NULL) {
        ngx_http_graph_policy_name_variables(cycle);
    }

    /*
     * In single process mode a reload starts no process, so the old cycle's
     * saving is stopped here.
     */

    if (ngx_process == NGX_PROCESS_SINGLE && ngx_cycle->conf_ctx != NULL) {
        ngx_http_graph_policy_state_files_stop((ngx_cycle_t *) ngx_cycle,
                                               &ngx_http_graph_policy_module);
        ngx_http_graph_policy_state_files_start(cycle,
                                               &ngx_http_graph_policy_module);
        ngx_http_graph_policy_sweeps_start(cycle,
                                           &ngx_http_graph_policy_module);

#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)
        ngx_http_graph_policy_stop_syncs((ngx_cycle_t *) ngx_cycle);
        ngx_http_graph_policy_start_syncs(cycle);
#endif
    }

    return NGX_OK;
}


/*
 * Helper processes, such as the cache manager, call this as well, and have the
 * number of the first worker.
 */

static ngx_int_t
ngx_http_graph_policy_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process == NGX_PROCESS_SINGLE || ngx_process == NGX_PROCESS_WORKER)
    {
        ngx_http_graph_policy_sweeps_start(cycle,
                                           &ngx_http_graph_policy_module);
    }

    if (ngx_process == NGX_PROCESS_SINGLE
        || (ngx_process == NGX_PROCESS_WORKER && ngx_worker == 0))
    {
        ngx_http_graph_policy_state_files_start(cycle,
                                               &ngx_http_graph_policy_module);

#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)
        ngx_http_graph_policy_start_syncs(cycle);
#endif
    }

    return NGX_OK;
}


#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)

static void
ngx_http_graph_policy_start_syncs(ngx_cycle_t *cycle)
{
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_graph_policy_module);

    if (gmcf != NULL) {
        ngx_http_graph_policy_syncs_start(cycle, gmcf->syncs);
    }
}


static void
ngx_http_graph_policy_stop_syncs(ngx_cycle_t *cycle)
{
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_graph_policy_module);

    if (gmcf != NULL) {
        ngx_http_graph_policy_syncs_stop(gmcf->syncs);
    }
}

#endif


static void
ngx_http_graph_policy_exit_process(ngx_cycle_t *cycle)
{
#if (NGX_HTTP_GRAPH_POLICY_HIREDIS)
    ngx_http_graph_policy_stop_syncs(cycle);
#endif

    ngx_http_graph_policy_state_files_stop(cycle,
                                           &ngx_http_graph_policy_module);
}


static void
ngx_http_graph_policy_exit_master(ngx_cycle_t *cycle)
{
    ngx_http_graph_policy_state_files_save(cycle,
                                           &ngx_http_graph_policy_module);
}
