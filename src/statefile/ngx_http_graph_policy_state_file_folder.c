
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tells at start, and "nginx -t", that a state file can't be written where it
 * is to be: the workers would tell the same a moment later, when nobody looks.
 *
 * No lock is taken.  Memory: a name is allocated and freed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_state_file_private.h"


static ngx_uint_t ngx_http_graph_policy_state_file_may_write(
    ngx_core_conf_t *ccf, u_char *folder, ngx_file_info_t *fi);


void
ngx_http_graph_policy_state_file_look_at_folder(
    ngx_http_graph_policy_state_file_t *file, ngx_log_t *log)
{
    u_char           *folder, *p;
    ngx_err_t         err;
    ngx_file_info_t   fi;

    folder = ngx_alloc(file->name.len + 1, log);
    if (folder == NULL) {
        return;
    }

    /* the name is a full one */

    (void) ngx_cpystrn(folder, file->name.data, file->name.len + 1);

    for (p = folder + file->name.len; p > folder + 1 && *p != '/'; p--) {
        /* void */
    }

    *p = '\0';

    if (ngx_file_info(folder, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;

        ngx_log_error(NGX_LOG_WARN, log, err,
                      "graph_policy_zone \"%V\" won't save its states: "
                      ngx_file_info_n " \"%s\" failed, the folder has to be "
                      "there", &file->zone->name, folder);

    } else if (!ngx_is_dir(&fi)) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "graph_policy_zone \"%V\" won't save its states: "
                      "\"%s\" is no folder", &file->zone->name, folder);

    } else if (!ngx_http_graph_policy_state_file_may_write(file->ccf, folder,
                                                           &fi))
    {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "graph_policy_zone \"%V\" won't save its states: the "
                      "workers' user can't write the folder \"%s\"",
                      &file->zone->name, folder);
    }

    ngx_free(folder);
}


/*
 * Returns 0 if the workers' user certainly can't.  The group's bits are also
 * the most that an access control list gives, so without them nobody but the
 * owner can write; with them that isn't known here.
 */

static ngx_uint_t
ngx_http_graph_policy_state_file_may_write(ngx_core_conf_t *ccf,
    u_char *folder, ngx_file_info_t *fi)
{
    /* workers have another user than the master only if that is root */

    if (geteuid() != 0) {
        return access((const char *) folder, W_OK|X_OK) == 0;
    }

    if (ccf->user == 0 || ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT) {
        return 1;
    }

    return (fi->st_uid == ccf->user)
           ? (fi->st_mode & S_IWUSR) != 0
           : (fi->st_mode & (S_IWGRP|S_IWOTH)) != 0;
}
