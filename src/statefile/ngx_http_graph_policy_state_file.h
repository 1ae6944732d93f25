
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_STATE_FILE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_STATE_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_zone.h"


/*
 * Sets up the file "name" for the states of a zone that has no file yet.
 * Returns NGX_OK; NGX_DECLINED if another zone with the same "tag" has that
 * file; NGX_ERROR if there is no memory.
 */
ngx_int_t ngx_http_graph_policy_state_file_add(ngx_conf_t *cf,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *name, void *tag);

/*
 * These are for all zones of the cycle that have "tag" and a file.  start()
 * makes this process save changes from now on; stop() ends that, with a last
 * save if anything has changed; save() saves at once, even if nothing has
 * changed.
 */
void ngx_http_graph_policy_state_files_start(ngx_cycle_t *cycle, void *tag);
void ngx_http_graph_policy_state_files_stop(ngx_cycle_t *cycle, void *tag);
void ngx_http_graph_policy_state_files_save(ngx_cycle_t *cycle, void *tag);


#endif /* _NGX_HTTP_GRAPH_POLICY_STATE_FILE_H_INCLUDED_ */
