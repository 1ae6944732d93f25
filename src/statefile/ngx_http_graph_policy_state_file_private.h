
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_STATE_FILE_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_STATE_FILE_PRIVATE_H_INCLUDED_


/* Shared by the files that read and write state files, and private to them. */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_zone.h"


typedef struct ngx_http_graph_policy_save_s  ngx_http_graph_policy_save_t;
typedef struct ngx_http_graph_policy_load_s  ngx_http_graph_policy_load_t;


/* A state file as one process sees it, in the configuration's pool. */

struct ngx_http_graph_policy_state_file_s {
    ngx_str_t                        name;      /* with a NUL after it */
    u_char                          *temp;      /* the temporary file's name */
    ngx_http_graph_policy_zone_t    *zone;
    ngx_core_conf_t                 *ccf;
    ngx_event_t                      event;
    ngx_msec_t                       begun;     /* start of the last save */
    ngx_msec_t                       next;      /* earliest next save */

    /* The save or load in progress; at most one of them isn't NULL. */
    ngx_http_graph_policy_save_t    *save;
    ngx_http_graph_policy_load_t    *load;

    /*
     * The error that was logged last, as a full disk isn't to fill the log,
     * too.
     */
    ngx_err_t                        err;
    time_t                           logged;
    ngx_uint_t                       foreign;   /* logged: another's file */
};


/* Warns if the file's folder isn't there, or can't be written by workers. */
void ngx_http_graph_policy_state_file_look_at_folder(
    ngx_http_graph_policy_state_file_t *file, ngx_log_t *log);


/*
 * Saving.  save_begin() returns NGX_OK, NGX_BUSY if another process writes the
 * file, or NGX_ERROR with the reason logged.  save_step() writes some lines:
 * it returns NGX_AGAIN if there are more, NGX_DONE, NGX_ERROR with the reason
 * logged, or NGX_ABORT if the states were lost meanwhile; all but NGX_AGAIN
 * end the save.
 */
ngx_int_t ngx_http_graph_policy_save_begin(
    ngx_http_graph_policy_state_file_t *file);
ngx_int_t ngx_http_graph_policy_save_step(
    ngx_http_graph_policy_state_file_t *file);
/* Gives up the save in progress, if there is one. */
void ngx_http_graph_policy_save_abort(
    ngx_http_graph_policy_state_file_t *file);


/*
 * Loading.  load_begin() returns NGX_OK, NGX_DONE if there is no file, or
 * NGX_ERROR with the reason logged.  load_step() adds the states and links of
 * at most "n" lines to the zone, without those that it has already.  It
 * returns NGX_AGAIN if there are more lines, NGX_DONE, NGX_DECLINED if the
 * file is corrupt, NGX_ABORT if its zone has another key and this one isn't
 * new, or NGX_ERROR; all but NGX_AGAIN end the load, with the reason logged.
 */
ngx_int_t ngx_http_graph_policy_load_begin(
    ngx_http_graph_policy_state_file_t *file, ngx_uint_t fresh,
    ngx_log_t *log);
ngx_int_t ngx_http_graph_policy_load_step(
    ngx_http_graph_policy_state_file_t *file, ngx_uint_t n);
void ngx_http_graph_policy_load_abort(
    ngx_http_graph_policy_state_file_t *file);

/* Renames the file, which can't be read, and logs that. */
void ngx_http_graph_policy_load_set_aside(
    ngx_http_graph_policy_state_file_t *file, ngx_log_t *log);

/*
 * Reads the head of the file.  Returns NGX_OK, NGX_DONE if there is no file,
 * NGX_DECLINED if it has no head or can't be read, or NGX_ABORT if it is no
 * regular file.
 */
ngx_int_t ngx_http_graph_policy_load_head(
    ngx_http_graph_policy_state_file_t *file,
    ngx_http_graph_policy_record_t *head);


/*
 * Logs that "call" failed, unless the same was logged within the last minute.
 */
void ngx_http_graph_policy_state_file_failed(
    ngx_http_graph_policy_state_file_t *file, ngx_err_t err, char *call,
    u_char *name);


#endif /* _NGX_HTTP_GRAPH_POLICY_STATE_FILE_PRIVATE_H_INCLUDED_ */
