
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads a state file, some lines a call, so that a file of any size needs
 * little memory and doesn't stall a worker.  The file may contain anything, so
 * each line is checked.
 *
 * No lock is taken here; record_restore() adds a line's state under the mutex.
 * Memory is allocated for as long as a file is read.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_state_file_private.h"
#include "ngx_http_graph_policy_zone.h"


#define NGX_HTTP_GRAPH_POLICY_LOAD_BUFFER                                     \
    (8 * NGX_HTTP_GRAPH_POLICY_RECORD_READ)

/*
 * Names for files that are set aside: the suffix is ".corrupt", and a number
 * if that name is taken.
 */
#define NGX_HTTP_GRAPH_POLICY_ASIDES  10


struct ngx_http_graph_policy_load_s {
    ngx_fd_t                         fd;
    ngx_log_t                       *log;
    off_t                            offset;    /* where the line begins */
    size_t                           len;       /* the line's, with LF */
    uint64_t                         line;      /* from 1 */
    uint64_t                         states;
    uint64_t                         links;
    uint64_t                         dropped;   /* of another key */
    u_char                          *pos;
    u_char                          *last;
    void                            *arena;
    uint64_t                         generation;    /* the head's */
    uint64_t                         predecessor;   /* the head's */
    ngx_http_graph_policy_record_t   record;
    ngx_http_graph_policy_changes_t  changes;   /* without a request */
    unsigned                         fresh:1;   /* the zone is new */
    unsigned                         foreign:1; /* the file has another key */
    unsigned                         eof:1;
    unsigned                         ended:1;   /* the last line was there */
    u_char                           buffer[NGX_HTTP_GRAPH_POLICY_LOAD_BUFFER];
};


static ngx_fd_t ngx_http_graph_policy_load_open(u_char *name, ngx_err_t *err);
static ngx_http_graph_policy_load_t *ngx_http_graph_policy_load_alloc(
    ngx_log_t *log);
static void ngx_http_graph_policy_load_free(
    ngx_http_graph_policy_load_t *load);
static ngx_int_t ngx_http_graph_policy_load_line(
    ngx_http_graph_policy_load_t *load);
static ngx_int_t ngx_http_graph_policy_load_fill(
    ngx_http_graph_policy_load_t *load);
static ngx_int_t ngx_http_graph_policy_load_record(
    ngx_http_graph_policy_state_file_t *file, uint64_t now);
static ngx_int_t ngx_http_graph_policy_load_take_head(
    ngx_http_graph_policy_state_file_t *file);
static ngx_int_t ngx_http_graph_policy_load_end(
    ngx_http_graph_policy_state_file_t *file, ngx_int_t rc);


ngx_int_t
ngx_http_graph_policy_load_begin(ngx_http_graph_policy_state_file_t *file,
    ngx_uint_t fresh, ngx_log_t *log)
{
    ngx_fd_t                       fd;
    ngx_err_t                      err;
    ngx_http_graph_policy_load_t  *load;

    fd = ngx_http_graph_policy_load_open(file->name.data, &err);

    if (fd == NGX_INVALID_FILE) {

        if (err == NGX_ENOENT) {
            return NGX_DONE;
        }

        ngx_log_error(NGX_LOG_ERR, log, err,
                      "graph_policy_zone \"%V\" can't read its states: "
                      ngx_open_file_n " \"%V\" failed",
                      &file->zone->name, &file->name);
        return NGX_ERROR;
    }

    load = ngx_http_graph_policy_load_alloc(log);

    if (load == NULL) {
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    load->fd = fd;
    load->fresh = fresh;

    file->load = load;

    return NGX_OK;
}


/*
 * Opens regular files only: opening or reading anything else, such as a FIFO,
 * could block.
 */

static ngx_fd_t
ngx_http_graph_policy_load_open(u_char *name, ngx_err_t *err)
{
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    fd = ngx_open_file(name, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK, NGX_FILE_OPEN,
                       0);

    if (fd == NGX_INVALID_FILE) {
        *err = ngx_errno;
        return NGX_INVALID_FILE;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        *err = ngx_errno;
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    if (!ngx_is_file(&fi)) {
        *err = NGX_EISDIR;
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    return fd;
}


static ngx_http_graph_policy_load_t *
ngx_http_graph_policy_load_alloc(ngx_log_t *log)
{
    ngx_http_graph_policy_load_t  *load;

    load = ngx_alloc(sizeof(ngx_http_graph_policy_load_t), log);
    if (load == NULL) {
        return NULL;
    }

    ngx_memzero(load, offsetof(ngx_http_graph_policy_load_t, buffer));

    load->arena = ngx_alloc(ngx_http_graph_policy_json_arena(
                                           NGX_HTTP_GRAPH_POLICY_RECORD_READ),
                            log);
    if (load->arena == NULL) {
        ngx_free(load);
        return NULL;
    }

    load->log = log;
    load->changes.log = log;
    load->changes.level = NGX_LOG_WARN;
    load->pos = load->buffer;
    load->last = load->buffer;

    return load;
}


static void
ngx_http_graph_policy_load_free(ngx_http_graph_policy_load_t *load)
{
    (void) ngx_close_file(load->fd);

    ngx_free(load->arena);
    ngx_free(load);
}


ngx_int_t
ngx_http_graph_policy_load_step(ngx_http_graph_policy_state_file_t *file,
    ngx_uint_t n)
{
    uint64_t    now;
    ngx_int_t   rc;

    now = ngx_http_graph_policy_now();

    while (n-- != 0) {
        rc = ngx_http_graph_policy_load_line(file->load);

        if (rc == NGX_OK) {
            rc = ngx_http_graph_policy_load_record(file, now);
        }

        if (rc != NGX_OK) {
            return ngx_http_graph_policy_load_end(file, rc);
        }
    }

    return NGX_AGAIN;
}


/*
 * Reads the next line into load->record.  Returns NGX_OK, NGX_DONE at the end
 * of the file, NGX_DECLINED if the line is invalid, or NGX_ERROR if it can't
 * be read.
 */

static ngx_int_t
ngx_http_graph_policy_load_line(ngx_http_graph_policy_load_t *load)
{
    size_t      len;
    u_char     *p;
    ngx_int_t   rc;

    load->offset += load->len;
    load->pos += load->len;
    load->len = 0;

    for ( ;; ) {
        len = load->last - load->pos;
        p = ngx_strlchr(load->pos, load->last, LF);

        if (p != NULL || load->eof
            || len >= NGX_HTTP_GRAPH_POLICY_RECORD_READ)
        {
            break;
        }

        rc = ngx_http_graph_policy_load_fill(load);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (p == NULL && len == 0) {
        return load->ended ? NGX_DONE : NGX_DECLINED;
    }

    load->line++;

    if (p == NULL || load->ended
        || (size_t) (p - load->pos) >= NGX_HTTP_GRAPH_POLICY_RECORD_READ)
    {
        return NGX_DECLINED;
    }

    load->len = p + 1 - load->pos;

    return ngx_http_graph_policy_record_read(load->pos, load->len - 1,
                                             load->arena, &load->record);
}


static ngx_int_t
ngx_http_graph_policy_load_fill(ngx_http_graph_policy_load_t *load)
{
    size_t   len;
    ssize_t  n;

    len = load->last - load->pos;

    ngx_memmove(load->buffer, load->pos, len);

    load->pos = load->buffer;
    load->last = load->buffer + len;

    n = ngx_read_fd(load->fd, load->last,
                    load->buffer + sizeof(load->buffer) - load->last);

    if (n == -1) {
        return NGX_ERROR;
    }

    load->last += n;
    load->eof = (n == 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_load_record(ngx_http_graph_policy_state_file_t *file,
    uint64_t now)
{
    ngx_int_t                        rc;
    ngx_http_graph_policy_load_t    *load;
    ngx_http_graph_policy_record_t  *record;

    load = file->load;
    record = &load->record;

    if ((load->line == 1)
        != (record->type == NGX_HTTP_GRAPH_POLICY_RECORD_HEAD))
    {
        return NGX_DECLINED;
    }

    switch (record->type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_HEAD:
        return ngx_http_graph_policy_load_take_head(file);

    case NGX_HTTP_GRAPH_POLICY_RECORD_END:
        load->ended = 1;
        return (record->lines == load->line - 1) ? NGX_OK : NGX_DECLINED;

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        return NGX_DECLINED;

    default:

        if (record->pair != 0) {
            return NGX_DECLINED;
        }

        /* what is bound to a credential would match none, or another one */

        if (load->foreign) {

            if (record->credential != 0) {
                load->dropped++;
                return NGX_OK;
            }

            record->group = 0;
            record->number = 0;
            record->setter = 0;
            record->message = 0;
        }

        rc = ngx_http_graph_policy_record_restore(file->zone, record, now,
                                                  &load->changes);
        break;
    }

    /*
     * A line that the full zone has no memory for isn't an error, it just
     * isn't counted.
     */

    if (rc == NGX_OK && record->type == NGX_HTTP_GRAPH_POLICY_RECORD_LINK) {
        load->links++;

    } else if (rc == NGX_OK) {
        load->states++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_load_take_head(ngx_http_graph_policy_state_file_t *file)
{
    ngx_http_graph_policy_load_t    *load;
    ngx_http_graph_policy_shctx_t   *sh;
    ngx_http_graph_policy_record_t  *record;

    sh = file->zone->sh;
    load = file->load;
    record = &load->record;

    load->generation = record->generation;
    load->predecessor = record->predecessor;

    load->foreign = (sh->key[0] != record->fingerprint_key[0]
                     || sh->key[1] != record->fingerprint_key[1]);

    if (load->fresh) {
        sh->lease = record->lease;
    }

    /* the fingerprints of a fleet are those of its key, whatever a file has */

    if (file->zone->share != NULL) {
        return NGX_OK;
    }

    if (load->fresh) {
        sh->key[0] = record->fingerprint_key[0];
        sh->key[1] = record->fingerprint_key[1];
        load->foreign = 0;
    }

    return load->foreign ? NGX_ABORT : NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_load_end(ngx_http_graph_policy_state_file_t *file,
    ngx_int_t rc)
{
    ngx_err_t                      err;
    ngx_http_graph_policy_load_t  *load;

    err = ngx_errno;
    load = file->load;

    switch (rc) {

    case NGX_DONE:
        if (!ngx_test_config) {
            ngx_log_error(NGX_LOG_NOTICE, load->log, 0,
                          "graph_policy_zone \"%V\" has %uL states and %uL "
                          "phones from \"%V\"", &file->zone->name,
                          load->states, load->links, &file->name);
        }

        if (load->foreign && load->dropped && !ngx_test_config) {
            ngx_log_error(NGX_LOG_WARN, load->log, 0,
                          "graph_policy_zone \"%V\" drops %uL states of "
                          "credentials from \"%V\", which is of another "
                          "fingerprint key than the fleet's",
                          &file->zone->name, load->dropped, &file->name);
        }

        file->zone->sh->keep.predecessor = load->generation;
        file->zone->sh->keep.ancestor = load->predecessor;
        break;

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_ERR, load->log, 0,
                      "graph_policy_zone \"%V\" can't read its states: \"%V\" "
                      "is corrupt in line %uL, at byte %O",
                      &file->zone->name, &file->name, load->line,
                      load->offset);
        break;

    case NGX_ABORT:
        ngx_log_error(NGX_LOG_ERR, load->log, 0,
                      "graph_policy_zone \"%V\" can't read its states: \"%V\" "
                      "is of another zone", &file->zone->name, &file->name);
        break;

    default: /* NGX_ERROR */
        ngx_log_error(NGX_LOG_ERR, load->log, err,
                      "graph_policy_zone \"%V\" can't read its states: "
                      ngx_read_fd_n " \"%V\" failed",
                      &file->zone->name, &file->name);
        break;
    }

    ngx_http_graph_policy_load_abort(file);

    return rc;
}


void
ngx_http_graph_policy_load_abort(ngx_http_graph_policy_state_file_t *file)
{
    if (file->load != NULL) {
        ngx_http_graph_policy_load_free(file->load);
        file->load = NULL;
    }
}


ngx_int_t
ngx_http_graph_policy_load_head(ngx_http_graph_policy_state_file_t *file,
    ngx_http_graph_policy_record_t *head)
{
    ngx_fd_t                       fd;
    ngx_int_t                      rc;
    ngx_err_t                      err;
    ngx_http_graph_policy_load_t  *load;

    fd = ngx_http_graph_policy_load_open(file->name.data, &err);

    if (fd == NGX_INVALID_FILE) {
        return (err == NGX_ENOENT) ? NGX_DONE
               : (err == NGX_EISDIR) ? NGX_ABORT : NGX_DECLINED;
    }

    load = ngx_http_graph_policy_load_alloc(ngx_cycle->log);

    if (load == NULL) {
        (void) ngx_close_file(fd);
        return NGX_DECLINED;
    }

    load->fd = fd;

    rc = ngx_http_graph_policy_load_line(load);

    if (rc == NGX_OK) {
        *head = load->record;
        rc = (head->type == NGX_HTTP_GRAPH_POLICY_RECORD_HEAD) ? NGX_OK
                                                               : NGX_DECLINED;
    }

    ngx_http_graph_policy_load_free(load);

    return (rc == NGX_OK) ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_graph_policy_load_set_aside(ngx_http_graph_policy_state_file_t *file,
    ngx_log_t *log)
{
    u_char           *p, *aside;
    ngx_uint_t        i;
    ngx_file_info_t   fi;

    if (ngx_file_info(file->name.data, &fi) == NGX_FILE_ERROR
        || !ngx_is_file(&fi))
    {
        return;
    }

    aside = ngx_alloc(file->name.len + sizeof(".corrupt.N"), log);
    if (aside == NULL) {
        return;
    }

    p = ngx_cpymem(aside, file->name.data, file->name.len);
    p = ngx_cpymem(p, ".corrupt", sizeof(".corrupt") - 1);
    *p = '\0';

    for (i = 1; i < NGX_HTTP_GRAPH_POLICY_ASIDES; i++) {

        if (ngx_file_info(aside, &fi) == NGX_FILE_ERROR) {
            break;
        }

        ngx_sprintf(p, ".%ui%Z", i);
    }

    if (ngx_rename_file(file->name.data, aside) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "graph_policy_zone \"%V\": " ngx_rename_file_n
                      " \"%V\" to \"%s\" failed",
                      &file->zone->name, &file->name, aside);

    } else {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "graph_policy_zone \"%V\" sets \"%V\" aside as \"%s\"",
                      &file->zone->name, &file->name, aside);
    }

    ngx_free(aside);
}
