
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_STATE_FILE_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_STATE_FILE_PRIVATE_H_INCLUDED_


/* Private to the rooms of state files. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_zone.h"


typedef struct ngx_http_graph_policy_save_s  ngx_http_graph_policy_save_t;
typedef struct ngx_http_graph_policy_load_s  ngx_http_graph_policy_load_t;


/* of one process; lives in the pool of the configuration */

struct ngx_http_graph_policy_state_file_s {
    ngx_str_t                        name;      /* with a NUL behind it */
    u_char                          *temp;      /* where it is written */
    ngx_http_graph_policy_zone_t    *zone;
    ngx_core_conf_t                 *ccf;
    ngx_event_t                      event;
    ngx_msec_t                       begun;     /* the last save */
    ngx_msec_t                       next;      /* no save before that */

    /* what is under way; NULL, or one of them */
    ngx_http_graph_policy_save_t    *save;
    ngx_http_graph_policy_load_t    *load;

    /* what was logged last, so that a full disk isn't each second */
    ngx_err_t                        err;
    time_t                           logged;
    ngx_uint_t                       foreign;   /* that another keeps it */
};


/*
 * Saving.  "begin" returns NGX_OK, NGX_BUSY if another process writes the
 * file, or NGX_ERROR with the reason logged.  "step" writes some of it:
 * NGX_AGAIN if there is more, NGX_DONE, NGX_ERROR with the reason logged,
 * NGX_ABORT if the states were lost meanwhile; all but NGX_AGAIN end it.
 */
ngx_int_t ngx_http_graph_policy_save_begin(
    ngx_http_graph_policy_state_file_t *file);
ngx_int_t ngx_http_graph_policy_save_step(
    ngx_http_graph_policy_state_file_t *file);
/* gives up what is under way, if anything is */
void ngx_http_graph_policy_save_abort(
    ngx_http_graph_policy_state_file_t *file);


/*
 * Loading.  "begin" returns NGX_OK, NGX_DONE if there is no file, or NGX_ERROR
 * with the reason logged.  "step" adds at most "n" lines to the zone, none of
 * what it has already: NGX_AGAIN if there is more, NGX_DONE, NGX_DECLINED if
 * the file is corrupt, NGX_ABORT if it is of a zone with another key and this
 * one isn't new, NGX_ERROR; all but NGX_AGAIN end it, with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_load_begin(
    ngx_http_graph_policy_state_file_t *file, ngx_uint_t fresh,
    ngx_log_t *log);
ngx_int_t ngx_http_graph_policy_load_step(
    ngx_http_graph_policy_state_file_t *file, ngx_uint_t n);
void ngx_http_graph_policy_load_abort(
    ngx_http_graph_policy_state_file_t *file);

/* gives the file, which can't be read, another name, and logs that */
void ngx_http_graph_policy_load_set_aside(
    ngx_http_graph_policy_state_file_t *file, ngx_log_t *log);

/*
 * Reads the head of the file.  NGX_OK, NGX_DONE if there is no file,
 * NGX_DECLINED if it has no head or can't be read, NGX_ABORT if it is no
 * regular file.
 */
ngx_int_t ngx_http_graph_policy_load_head(
    ngx_http_graph_policy_state_file_t *file,
    ngx_http_graph_policy_record_t *head);


/* logs that "call" failed, unless it was logged within the last minute */
void ngx_http_graph_policy_state_file_failed(
    ngx_http_graph_policy_state_file_t *file, ngx_err_t err, char *call,
    u_char *name);


#endif /* _NGX_HTTP_GRAPH_POLICY_STATE_FILE_PRIVATE_H_INCLUDED_ */
