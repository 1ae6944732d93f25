
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_EVENT_LOG_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_EVENT_LOG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_zone.h"


/*
 * The destination of events.  It belongs to the configuration, but for the
 * last member, of which each worker has its own copy.
 */

typedef struct {
    ngx_open_file_t                 *file;      /* NULL: to syslog */
    ngx_syslog_peer_t               *syslog;
    ngx_int_t                        request_id;    /* index of $request_id */
    time_t                           complained;    /* the last time */
} ngx_http_graph_policy_event_log_t;


/*
 * Writes one line about the state in "view", if there is an event log.
 * "event" is its name, made of letters alone; "r" is NULL if no request has
 * caused the event.  A line that can't be written is lost, and that is logged
 * in "log" once a minute.
 */
void ngx_http_graph_policy_write_event(ngx_http_request_t *r, ngx_log_t *log,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_view_t *view,
    const char *event);


#endif /* _NGX_HTTP_GRAPH_POLICY_EVENT_LOG_H_INCLUDED_ */
