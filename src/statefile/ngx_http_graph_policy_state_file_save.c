
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Writes a state file: all of it goes to a temporary file beside it, which is
 * then renamed.  Each call writes one batch, so that many states don't stall a
 * worker.
 *
 * Several processes may want to write: exiting workers beside new ones, or two
 * masters during a binary upgrade.  Only the process that holds the lock of
 * the temporary file writes it.  The kernel drops the lock when its holder
 * dies, so a temporary file without a lock is a dead writer's and is removed.
 *
 * Nothing is synced to the disk, as that could stall a worker for seconds.  A
 * crash of the whole machine may leave a torn file, which is noticed at the
 * next start.
 *
 * The zone's mutex isn't taken here; record_batch() copies a batch under it.
 * Memory is allocated for as long as a file is written.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_state_file_private.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


struct ngx_http_graph_policy_save_s {
    ngx_fd_t                         fd;
    ngx_http_graph_policy_cursor_t   cursor;
    ngx_atomic_uint_t                changes;   /* at the start */
    uint64_t                         lines;
    u_char                          *pos;
    ngx_http_graph_policy_record_t   records[NGX_HTTP_GRAPH_POLICY_BATCH];
    u_char                           buffer[(NGX_HTTP_GRAPH_POLICY_BATCH + 2)
                                        * NGX_HTTP_GRAPH_POLICY_RECORD_WRITE];
};


static ngx_int_t ngx_http_graph_policy_save_open(
    ngx_http_graph_policy_state_file_t *file, ngx_fd_t *fd);
static ngx_int_t ngx_http_graph_policy_save_remove_stale(
    ngx_http_graph_policy_state_file_t *file);
static ngx_int_t ngx_http_graph_policy_save_lock(ngx_fd_t fd, u_char *name);
static void ngx_http_graph_policy_save_give(
    ngx_http_graph_policy_state_file_t *file, ngx_fd_t fd);
static void ngx_http_graph_policy_save_line(ngx_http_graph_policy_save_t *save,
    ngx_http_graph_policy_record_t *record);
static ngx_int_t ngx_http_graph_policy_save_flush(
    ngx_http_graph_policy_state_file_t *file);
static ngx_int_t ngx_http_graph_policy_save_end(
    ngx_http_graph_policy_state_file_t *file);


ngx_int_t
ngx_http_graph_policy_save_begin(ngx_http_graph_policy_state_file_t *file)
{
    ngx_fd_t                         fd;
    ngx_int_t                        rc;
    ngx_http_graph_policy_save_t    *save;
    ngx_http_graph_policy_shctx_t   *sh;
    ngx_http_graph_policy_record_t  *head;

    rc = ngx_http_graph_policy_save_open(file, &fd);

    if (rc != NGX_OK) {
        return rc;
    }

    save = ngx_alloc(sizeof(ngx_http_graph_policy_save_t), ngx_cycle->log);

    if (save == NULL) {
        (void) ngx_delete_file(file->temp);
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    sh = file->zone->sh;

    ngx_memzero(&save->cursor, sizeof(ngx_http_graph_policy_cursor_t));

    save->fd = fd;
    save->changes = sh->changes;
    save->lines = 0;
    save->pos = save->buffer;

    head = &save->records[0];
    ngx_http_graph_policy_record_init(head,
                                      NGX_HTTP_GRAPH_POLICY_RECORD_HEAD);

    head->fingerprint_key[0] = sh->key[0];
    head->fingerprint_key[1] = sh->key[1];
    head->generation = sh->keep.generation;
    head->predecessor = sh->keep.predecessor;
    head->master = (ngx_process == NGX_PROCESS_WORKER) ? ngx_parent : ngx_pid;
    head->lease = sh->lease;

    ngx_http_graph_policy_save_line(save, head);

    file->save = save;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_save_open(ngx_http_graph_policy_state_file_t *file,
    ngx_fd_t *fd)
{
    ngx_int_t   rc;
    ngx_err_t   err;
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {

        *fd = ngx_open_file(file->temp, NGX_FILE_RDWR|O_EXCL|O_NOFOLLOW,
                            NGX_FILE_CREATE_OR_OPEN, NGX_FILE_OWNER_ACCESS);

        if (*fd != NGX_INVALID_FILE) {

            if (ngx_http_graph_policy_save_lock(*fd, file->temp) != NGX_OK) {
                (void) ngx_close_file(*fd);
                return NGX_BUSY;
            }

            ngx_http_graph_policy_save_give(file, *fd);

            return NGX_OK;
        }

        err = ngx_errno;

        if (err != NGX_EEXIST) {
            ngx_http_graph_policy_state_file_failed(file, err, ngx_open_file_n,
                                                    file->temp);
            return NGX_ERROR;
        }

        rc = ngx_http_graph_policy_save_remove_stale(file);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_BUSY;
}


/*
 * Removes a temporary file without a writer.  Returns NGX_OK, NGX_BUSY if some
 * process is writing it, or NGX_ERROR with the reason logged.
 */

static ngx_int_t
ngx_http_graph_policy_save_remove_stale(
    ngx_http_graph_policy_state_file_t *file)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    rc = NGX_OK;

    fd = ngx_open_file(file->temp, NGX_FILE_RDWR|NGX_FILE_NONBLOCK|O_NOFOLLOW,
                       NGX_FILE_OPEN, 0);

    /*
     * A file that can't be opened belongs to another user, or doesn't exist,
     * or is a symbolic link; removing it either works or reports the error.
     */

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_http_graph_policy_save_lock(fd, file->temp);
    }

    if (rc == NGX_OK
        && ngx_delete_file(file->temp) == NGX_FILE_ERROR
        && ngx_errno != NGX_ENOENT)
    {
        ngx_http_graph_policy_state_file_failed(file, ngx_errno,
                                                ngx_delete_file_n, file->temp);
        rc = NGX_ERROR;
    }

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(fd);
    }

    return rc;
}


/*
 * Returns NGX_OK, or NGX_BUSY if another process has the lock, or if "name" is
 * another file by now.
 */

static ngx_int_t
ngx_http_graph_policy_save_lock(ngx_fd_t fd, u_char *name)
{
    ngx_file_info_t  fi, fi2;

    if (ngx_trylock_fd(fd) != 0) {
        return NGX_BUSY;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || ngx_file_info(name, &fi2) == NGX_FILE_ERROR
        || ngx_file_uniq(&fi) != ngx_file_uniq(&fi2))
    {
        return NGX_BUSY;
    }

    return NGX_OK;
}


/*
 * The workers run as another user than the master, and must be able to read
 * the file that the master writes.
 */

static void
ngx_http_graph_policy_save_give(ngx_http_graph_policy_state_file_t *file,
    ngx_fd_t fd)
{
    if (geteuid() != 0 || file->ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT) {
        return;
    }

    if (fchown(fd, file->ccf->user, file->ccf->group) == -1) {
        ngx_http_graph_policy_state_file_failed(file, ngx_errno, "fchown()",
                                                file->temp);
    }
}


ngx_int_t
ngx_http_graph_policy_save_step(ngx_http_graph_policy_state_file_t *file)
{
    ngx_int_t                      i, n;
    ngx_http_graph_policy_save_t  *save;

    save = file->save;

    n = ngx_http_graph_policy_record_batch(file->zone, &save->cursor, 0,
                                           save->records);

    if (n == NGX_ERROR) {
        ngx_http_graph_policy_save_abort(file);
        return NGX_ABORT;
    }

    for (i = 0; i < n; i++) {
        ngx_http_graph_policy_save_line(save, &save->records[i]);
    }

    if (save->cursor.done) {
        ngx_http_graph_policy_record_init(&save->records[0],
                                          NGX_HTTP_GRAPH_POLICY_RECORD_END);
        save->records[0].lines = save->lines;
        ngx_http_graph_policy_save_line(save, &save->records[0]);
    }

    if (ngx_http_graph_policy_save_flush(file) != NGX_OK) {
        ngx_http_graph_policy_save_abort(file);
        return NGX_ERROR;
    }

    return save->cursor.done ? ngx_http_graph_policy_save_end(file)
                             : NGX_AGAIN;
}


static void
ngx_http_graph_policy_save_line(ngx_http_graph_policy_save_t *save,
    ngx_http_graph_policy_record_t *record)
{
    save->pos = ngx_http_graph_policy_record_write(save->pos, record);
    save->lines++;
}


static ngx_int_t
ngx_http_graph_policy_save_flush(ngx_http_graph_policy_state_file_t *file)
{
    u_char                        *p;
    ssize_t                        n;
    ngx_err_t                      err;
    ngx_http_graph_policy_save_t  *save;

    save = file->save;

    for (p = save->buffer; p < save->pos; p += n) {
        n = ngx_write_fd(save->fd, p, save->pos - p);

        if (n <= 0) {
            err = (n == 0) ? NGX_ENOSPC : ngx_errno;
            ngx_http_graph_policy_state_file_failed(file, err, ngx_write_fd_n,
                                                    file->temp);
            return NGX_ERROR;
        }
    }

    save->pos = save->buffer;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_save_end(ngx_http_graph_policy_state_file_t *file)
{
    ngx_http_graph_policy_save_t   *save;
    ngx_http_graph_policy_shctx_t  *sh;

    save = file->save;

    /*
     * The file is renamed before it is closed, as closing it gives up the lock
     * and lets other processes remove it.
     */

    if (ngx_rename_file(file->temp, file->name.data) == NGX_FILE_ERROR) {
        ngx_http_graph_policy_state_file_failed(file, ngx_errno,
                                                ngx_rename_file_n,
                                                file->temp);
        ngx_http_graph_policy_save_abort(file);
        return NGX_ERROR;
    }

    (void) ngx_close_file(save->fd);

    sh = file->zone->sh;
    sh->keep.saved = save->changes;
    sh->keep.owned = 1;

    file->save = NULL;
    ngx_free(save);

    return NGX_DONE;
}


void
ngx_http_graph_policy_save_abort(ngx_http_graph_policy_state_file_t *file)
{
    if (file->save == NULL) {
        return;
    }

    (void) ngx_delete_file(file->temp);
    (void) ngx_close_file(file->save->fd);

    ngx_free(file->save);
    file->save = NULL;
}


void
ngx_http_graph_policy_state_file_failed(
    ngx_http_graph_policy_state_file_t *file, ngx_err_t err, char *call,
    u_char *name)
{
    if (err == file->err && ngx_time() - file->logged < 60) {
        return;
    }

    file->err = err;
    file->logged = ngx_time();

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "graph_policy_zone \"%V\" can't save its states: "
                  "%s \"%s\" failed", &file->zone->name, call, name);
}
