
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_CONF_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_event_log.h"
#include "ngx_http_graph_policy_zone.h"


/* graph_policy_pause */
#define NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS  0
#define NGX_HTTP_GRAPH_POLICY_PAUSE_ALL    1

/* graph_policy_status */
#define NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM  0


/* bytes of a message's body that is read for its recipient, at most */
#define NGX_HTTP_GRAPH_POLICY_MAX_MESSAGE  65536


/* graph_policy_api */
#define NGX_HTTP_GRAPH_POLICY_API_READ   1
#define NGX_HTTP_GRAPH_POLICY_API_WRITE  2


typedef struct {
    ngx_uint_t                       used;      /* some location enforces */
    ngx_uint_t                       retries;   /* some location retries */
    ngx_http_graph_policy_event_log_t  *event_log;  /* NULL: off */
    ngx_uint_t                       api;       /* some location has it */
    ngx_str_t                        dashboard_policy;  /* if api is set */
    ngx_array_t                     *zones;     /* all, if api is set;
                                       ngx_http_graph_policy_zone_t * */
    ngx_array_t                     *syncs;     /* NULL: none, or of
                                       ngx_http_graph_policy_sync_t * */
    ngx_flag_t                       sync_ssl;
    ngx_flag_t                       sync_ssl_verify;
    ngx_uint_t                       sync_ssl_protocols;
    ngx_str_t                        sync_ssl_ciphers;
    ngx_str_t                        sync_ssl_name;
    ngx_str_t                        sync_ssl_trusted_certificate;
    ngx_str_t                        sync_ssl_certificate;
    ngx_str_t                        sync_ssl_certificate_key;
} ngx_http_graph_policy_main_conf_t;


typedef struct {
    ngx_shm_zone_t                  *shm_zone;  /* NULL: off */
    ngx_http_graph_policy_zone_t    *zone;      /* NULL: off; after merge */
    ngx_conf_file_t                 *place;
                                     /* of the directive, for errors */

    ngx_http_complex_value_t        *dry_run;   /* NULL: off */
    ngx_http_complex_value_t        *credential;
    ngx_http_complex_value_t        *account;
    ngx_http_complex_value_t        *phone;

    ngx_array_t                     *sends;  /* ngx_http_complex_value_t */
    ngx_array_t                     *rules;
                                     /* ngx_http_graph_policy_rule_t */
    ngx_http_graph_policy_ruleset_t *ruleset;   /* NULL without rules */

    ngx_uint_t                       pause;
    ngx_uint_t                       status;
    ngx_uint_t                       log_level;
    ngx_msec_t                       hold;
    ngx_msec_t                       hold_max;
    ngx_msec_t                       confirm;   /* webhooks' states */
    size_t                           buffer_size;
    ngx_flag_t                       accept_encoding;
    ngx_flag_t                       cooldown;
    ngx_uint_t                       conversations; /* may have states */
    ngx_flag_t                       conversation;  /* is a gate */
    ngx_msec_t                       conversation_hold;

    /*
     * A location that receives webhooks sends nothing, so "zone" is NULL there,
     * and its zone is webhook_zone.
     */
    ngx_flag_t                       webhook;
    ngx_flag_t                       webhook_pause;
    ngx_http_graph_policy_zone_t    *webhook_zone;
    ngx_array_t                     *secrets;
                                     /* ngx_http_graph_policy_signer_t */
    ngx_http_graph_policy_backoff_t  retry;

    /* API_READ, API_WRITE; 0: no location of the API, which never enforces */
    ngx_uint_t                       api;

    /* not configured: this worker has logged why requests can't probe */
    ngx_uint_t                       no_probe_told;
} ngx_http_graph_policy_loc_conf_t;


#define ngx_http_graph_policy_zone_of(glcf)                                   \
    (((glcf)->zone != NULL) ? (glcf)->zone : (glcf)->webhook_zone)


extern ngx_module_t  ngx_http_graph_policy_module;


#endif /* _NGX_HTTP_GRAPH_POLICY_CONF_H_INCLUDED_ */
