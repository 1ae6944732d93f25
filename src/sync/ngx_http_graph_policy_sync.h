
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SYNC_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SYNC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_fleet_key.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * Hosts share the states of a zone through Redis or Valkey, the engine.  The
 * first worker of each tells what its zone learns and takes over what others
 * tell; no request waits for it.
 */


/* an address of the engine, or of a Sentinel; a name may have several */

typedef struct {
    struct sockaddr                     *sockaddr;
    socklen_t                            socklen;
    ngx_str_t                            text;  /* as it was configured */
    ngx_str_t                            host;  /* without port; for TLS */
} ngx_http_graph_policy_sync_server_t;


typedef struct ngx_http_graph_policy_sync_run_s
    ngx_http_graph_policy_sync_run_t;


/* The sharing of one zone, in the configuration's memory. */

typedef struct {
    ngx_http_graph_policy_zone_t        *zone;
    ngx_http_graph_policy_share_t        share;
    ngx_conf_file_t                     *place; /* the directive's */

    ngx_array_t                          servers;   /* sync_server_t */
    ngx_str_t                            master;    /* servers: Sentinels */
    ngx_http_graph_policy_fleet_key_t    keys[
                                        NGX_HTTP_GRAPH_POLICY_MAX_FLEET_KEYS];
    ngx_uint_t                           nkeys;
    ngx_str_t                            user;
    ngx_str_t                            password;
    ngx_str_t                            prefix;
    ngx_uint_t                           db;
    ngx_uint_t                           length;    /* about, the stream's */
    ngx_msec_t                           timeout;

    /* the engine's keys, all in one slot of a cluster */
    ngx_str_t                            log;
    ngx_str_t                            states;
    ngx_str_t                            nodes;

#if (NGX_SSL)
    ngx_ssl_t                           *ssl;       /* NULL: without TLS */
    ngx_str_t                            ssl_name;  /* empty: the server's */
    ngx_flag_t                           ssl_verify;
#endif

    ngx_http_graph_policy_sync_run_t    *run;   /* this process's, or NULL */
} ngx_http_graph_policy_sync_t;


/*
 * Prepares what a configuration says, when all of it is known: the keys'
 * names and how the zone's own workers are notified.  NGX_ERROR, logged.
 */
ngx_int_t ngx_http_graph_policy_sync_init(ngx_conf_t *cf,
    ngx_http_graph_policy_sync_t *sync);

/*
 * Begins to talk, in this process; ends that.  "syncs" is an array of
 * pointers, and may be NULL.
 */
void ngx_http_graph_policy_syncs_start(ngx_cycle_t *cycle, ngx_array_t *syncs);
void ngx_http_graph_policy_syncs_stop(ngx_array_t *syncs);


#endif /* _NGX_HTTP_GRAPH_POLICY_SYNC_H_INCLUDED_ */
