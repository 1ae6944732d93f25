
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Decides when a state file is read and written, and by which process.  The
 * master reads it at start.  From then on the first worker writes it, a moment
 * after each change.  At the end both write it.
 *
 * A zone has a generation, made with its memory, and so has a file.  A file
 * may be written by its own generation, and by a generation that has read it,
 * so a new binary takes the file over from the old one, which then leaves it
 * alone.  If the new binary dies first, the old one reads what the new one has
 * learnt, and takes the file back.  It may do so while a second new binary
 * starts, which has read the file of the first one.  The head of a file
 * therefore names its writer's predecessor: the second binary then knows the
 * generation of the old one as well, and takes over from it after all.
 *
 * If the states of a zone were lost because a worker died while it changed
 * them, they are read from the file, which nobody writes until then.
 *
 * No lock is taken here, but by the functions of the zone that are called.
 * Memory belongs to the configuration.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_state_file.h"
#include "ngx_http_graph_policy_state_file_private.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"


/*
 * Milliseconds between two looks at a zone, after a failure, and between the
 * steps of a load or save.
 */
#define NGX_HTTP_GRAPH_POLICY_LOOK     100
#define NGX_HTTP_GRAPH_POLICY_WAIT     1000
#define NGX_HTTP_GRAPH_POLICY_STEP     1

/*
 * Lines of a step.  After a save there is a pause of REST times its duration.
 */
#define NGX_HTTP_GRAPH_POLICY_LINES    256
#define NGX_HTTP_GRAPH_POLICY_REST     4


/* The state of the file as seen by the process that wants to write it. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_OURS = 0,         /* it may be written, or created */
    NGX_HTTP_GRAPH_POLICY_UNREAD,           /* it must be read before */
    NGX_HTTP_GRAPH_POLICY_ANOTHERS,         /* another nginx writes it */
    NGX_HTTP_GRAPH_POLICY_NO_FILE           /* it isn't a regular file */
} ngx_http_graph_policy_whose_e;


static ngx_int_t ngx_http_graph_policy_state_file_init(
    ngx_shm_zone_t *shm_zone, void *data);
static void ngx_http_graph_policy_state_file_handler(ngx_event_t *ev);
static ngx_msec_t ngx_http_graph_policy_state_file_look(
    ngx_http_graph_policy_state_file_t *file);
static ngx_msec_t ngx_http_graph_policy_state_file_save(
    ngx_http_graph_policy_state_file_t *file);
static ngx_msec_t ngx_http_graph_policy_state_file_load(
    ngx_http_graph_policy_state_file_t *file);
static ngx_http_graph_policy_whose_e ngx_http_graph_policy_state_file_whose(
    ngx_http_graph_policy_state_file_t *file);
static ngx_uint_t ngx_http_graph_policy_state_file_is_alive(uint64_t master);
static void ngx_http_graph_policy_state_file_save_now(
    ngx_http_graph_policy_state_file_t *file);
static ngx_int_t ngx_http_graph_policy_state_file_load_now(
    ngx_http_graph_policy_state_file_t *file, ngx_uint_t fresh, ngx_log_t *log);
static ngx_http_graph_policy_state_file_t *
    ngx_http_graph_policy_state_file_next(ngx_cycle_t *cycle, void *tag,
    ngx_list_part_t **part, ngx_uint_t *i);


#define ngx_http_graph_policy_state_file_is_saved(sh)                         \
    ((sh)->keep.owned && (sh)->keep.saved == (sh)->changes)


ngx_int_t
ngx_http_graph_policy_state_file_add(ngx_conf_t *cf,
    ngx_http_graph_policy_zone_t *zone, ngx_str_t *name, void *tag)
{
    u_char                              *p;
    ngx_uint_t                           i;
    ngx_list_part_t                     *part;
    ngx_http_graph_policy_state_file_t  *file, *other;

    file = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_state_file_t));
    if (file == NULL) {
        return NGX_ERROR;
    }

    file->name = *name;
    file->zone = zone;

    if (ngx_conf_full_name(cf->cycle, &file->name, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    part = NULL;
    i = 0;

    while ((other = ngx_http_graph_policy_state_file_next(cf->cycle, tag,
                                                          &part, &i))
           != NULL)
    {
        if (other->name.len == file->name.len
            && ngx_strncmp(other->name.data, file->name.data, file->name.len)
               == 0)
        {
            return NGX_DECLINED;
        }
    }

    file->temp = ngx_pnalloc(cf->pool, file->name.len + sizeof(".tmp"));
    if (file->temp == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(file->temp, file->name.data, file->name.len);
    ngx_memcpy(p, ".tmp", sizeof(".tmp"));

    /* A new zone reads its file when nginx initializes its memory. */

    zone->shm_zone->init = ngx_http_graph_policy_state_file_init;

    file->ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                 ngx_core_module);
    zone->file = file;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_state_file_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_int_t                            rc;
    ngx_http_graph_policy_zone_t        *zone;

    zone = shm_zone->data;

    rc = ngx_http_graph_policy_zone_init(shm_zone, data);

    if (rc == NGX_OK || rc == NGX_DONE) {
        ngx_http_graph_policy_state_file_look_at_folder(zone->file,
                                                        shm_zone->shm.log);
    }

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    rc = ngx_http_graph_policy_state_file_load_now(zone->file, 1,
                                                   shm_zone->shm.log);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (!ngx_test_config) {
        ngx_http_graph_policy_load_set_aside(zone->file, shm_zone->shm.log);
    }

    /* Nothing of a corrupt file counts, not even the lines before the error. */

    return ngx_http_graph_policy_zone_reset(zone, shm_zone->shm.log);
}


void
ngx_http_graph_policy_state_files_start(ngx_cycle_t *cycle, void *tag)
{
    ngx_uint_t                           i;
    ngx_list_part_t                     *part;
    ngx_http_graph_policy_state_file_t  *file;

    part = NULL;
    i = 0;

    while ((file = ngx_http_graph_policy_state_file_next(cycle, tag, &part,
                                                         &i))
           != NULL)
    {
        file->event.handler = ngx_http_graph_policy_state_file_handler;
        file->event.data = file;
        file->event.log = cycle->log;

        /* A pending save must not delay the exit of a worker. */

        file->event.cancelable = 1;

        ngx_add_timer(&file->event, NGX_HTTP_GRAPH_POLICY_STEP);
    }
}


void
ngx_http_graph_policy_state_files_stop(ngx_cycle_t *cycle, void *tag)
{
    ngx_uint_t                           i;
    ngx_list_part_t                     *part;
    ngx_http_graph_policy_state_file_t  *file;

    part = NULL;
    i = 0;

    while ((file = ngx_http_graph_policy_state_file_next(cycle, tag, &part,
                                                         &i))
           != NULL)
    {
        if (file->event.handler == NULL) {
            continue;
        }

        if (file->event.timer_set) {
            ngx_del_timer(&file->event);
        }

        file->event.handler = NULL;

        ngx_http_graph_policy_load_abort(file);
        ngx_http_graph_policy_save_abort(file);

        if (!ngx_http_graph_policy_state_file_is_saved(file->zone->sh)) {
            ngx_http_graph_policy_state_file_save_now(file);
        }
    }
}


void
ngx_http_graph_policy_state_files_save(ngx_cycle_t *cycle, void *tag)
{
    ngx_uint_t                           i;
    ngx_list_part_t                     *part;
    ngx_http_graph_policy_state_file_t  *file;

    part = NULL;
    i = 0;

    while ((file = ngx_http_graph_policy_state_file_next(cycle, tag, &part,
                                                         &i))
           != NULL)
    {
        ngx_http_graph_policy_state_file_save_now(file);
    }
}


static void
ngx_http_graph_policy_state_file_handler(ngx_event_t *ev)
{
    ngx_msec_t                           delay;
    ngx_http_graph_policy_state_file_t  *file;

    file = ev->data;

    if (file->save != NULL) {
        delay = ngx_http_graph_policy_state_file_save(file);

    } else if (file->load != NULL) {
        delay = ngx_http_graph_policy_state_file_load(file);

    } else {
        delay = ngx_http_graph_policy_state_file_look(file);
    }

    ngx_add_timer(ev, delay);
}


/*
 * Each of these functions returns the delay, in milliseconds, until the next
 * call.
 */

static ngx_msec_t
ngx_http_graph_policy_state_file_look(ngx_http_graph_policy_state_file_t *file)
{
    ngx_http_graph_policy_shctx_t  *sh;

    sh = file->zone->sh;

    if (sh->keep.lost) {

        if (ngx_http_graph_policy_load_begin(file, 0, ngx_cycle->log)
            == NGX_OK)
        {
            return NGX_HTTP_GRAPH_POLICY_STEP;
        }

        sh->keep.lost = 0;
    }

    if ((ngx_msec_int_t) (file->next - ngx_current_msec) > 0) {
        return NGX_HTTP_GRAPH_POLICY_LOOK;
    }

    /*
     * The file is looked at even if nothing has changed, as a new binary that
     * has taken it over may have been given up.
     */

    switch (ngx_http_graph_policy_state_file_whose(file)) {

    case NGX_HTTP_GRAPH_POLICY_OURS:
        if (ngx_http_graph_policy_state_file_is_saved(sh)) {
            return NGX_HTTP_GRAPH_POLICY_LOOK;
        }

        break;

    case NGX_HTTP_GRAPH_POLICY_UNREAD:
        sh->keep.lost = 1;
        return NGX_HTTP_GRAPH_POLICY_STEP;

    default:
        return NGX_HTTP_GRAPH_POLICY_WAIT;
    }

    switch (ngx_http_graph_policy_save_begin(file)) {

    case NGX_OK:
        file->begun = ngx_current_msec;
        return ngx_http_graph_policy_state_file_save(file);

    case NGX_BUSY:
        return NGX_HTTP_GRAPH_POLICY_LOOK;

    default:
        return NGX_HTTP_GRAPH_POLICY_WAIT;
    }
}


static ngx_msec_t
ngx_http_graph_policy_state_file_save(ngx_http_graph_policy_state_file_t *file)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    n = 0;

    do {
        rc = ngx_http_graph_policy_save_step(file);
        n += NGX_HTTP_GRAPH_POLICY_BATCH;
    } while (rc == NGX_AGAIN && n < NGX_HTTP_GRAPH_POLICY_LINES);

    if (rc == NGX_AGAIN || rc == NGX_ABORT) {
        return NGX_HTTP_GRAPH_POLICY_STEP;
    }

    /*
     * The pause after a save grows with the time that the save took, so that
     * saving many states never takes most of a worker's time.
     */

    file->next = ngx_current_msec + NGX_HTTP_GRAPH_POLICY_REST
                                    * (ngx_current_msec - file->begun);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_GRAPH_POLICY_WAIT;
    }

    if (file->err != 0) {
        file->err = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "graph_policy_zone \"%V\" saves its states again",
                      &file->zone->name);
    }

    return NGX_HTTP_GRAPH_POLICY_LOOK;
}


static ngx_msec_t
ngx_http_graph_policy_state_file_load(ngx_http_graph_policy_state_file_t *file)
{
    ngx_int_t  rc;

    rc = ngx_http_graph_policy_load_step(file, NGX_HTTP_GRAPH_POLICY_LINES);

    if (rc == NGX_AGAIN) {
        return NGX_HTTP_GRAPH_POLICY_STEP;
    }

    if (rc == NGX_DECLINED || rc == NGX_ERROR) {
        ngx_http_graph_policy_load_set_aside(file, ngx_cycle->log);
    }

    file->zone->sh->keep.owned = 0;
    file->zone->sh->keep.lost = 0;

    return NGX_HTTP_GRAPH_POLICY_STEP;
}


static ngx_http_graph_policy_whose_e
ngx_http_graph_policy_state_file_whose(
    ngx_http_graph_policy_state_file_t *file)
{
    ngx_http_graph_policy_keep_t    *keep;
    ngx_http_graph_policy_record_t   head;

    keep = &file->zone->sh->keep;

    switch (ngx_http_graph_policy_load_head(file, &head)) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        ngx_http_graph_policy_state_file_failed(file, NGX_EISDIR,
                                                ngx_open_file_n,
                                                file->name.data);
        return NGX_HTTP_GRAPH_POLICY_NO_FILE;

    default:
        return NGX_HTTP_GRAPH_POLICY_OURS;
    }

    if (head.generation == keep->generation
        || head.generation == keep->predecessor)
    {
        file->foreign = 0;
        return NGX_HTTP_GRAPH_POLICY_OURS;
    }

    /*
     * An exiting worker leaves a file of an unknown generation alone: its
     * successor has written the file and knows more than the worker does.
     */

    if (ngx_exiting
        || (head.generation != keep->ancestor
            && ngx_http_graph_policy_state_file_is_alive(head.master)))
    {
        if (!ngx_exiting && !file->foreign) {
            file->foreign = 1;
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "graph_policy_zone \"%V\" doesn't save its states, "
                          "process %uL keeps \"%V\"",
                          &file->zone->name, head.master, &file->name);
        }

        return NGX_HTTP_GRAPH_POLICY_ANOTHERS;
    }

    file->foreign = 0;
    keep->predecessor = head.generation;
    keep->ancestor = head.predecessor;

    return NGX_HTTP_GRAPH_POLICY_UNREAD;
}


static ngx_uint_t
ngx_http_graph_policy_state_file_is_alive(uint64_t master)
{
    ngx_pid_t  pid, own;

    pid = (ngx_pid_t) master;
    own = (ngx_process == NGX_PROCESS_WORKER) ? ngx_parent : ngx_pid;

    if (pid == 0 || pid == own) {
        return 0;
    }

    return kill(pid, 0) != -1 || ngx_errno == NGX_EPERM;
}


static void
ngx_http_graph_policy_state_file_save_now(
    ngx_http_graph_policy_state_file_t *file)
{
    ngx_int_t                      rc;
    ngx_http_graph_policy_whose_e  whose;

    if (file->zone->sh->keep.lost) {
        return;
    }

    whose = ngx_http_graph_policy_state_file_whose(file);

    if (whose == NGX_HTTP_GRAPH_POLICY_UNREAD) {
        rc = ngx_http_graph_policy_state_file_load_now(file, 0,
                                                       ngx_cycle->log);

        if (rc == NGX_DECLINED || rc == NGX_ERROR) {
            ngx_http_graph_policy_load_set_aside(file, ngx_cycle->log);
        }

    } else if (whose != NGX_HTTP_GRAPH_POLICY_OURS) {
        return;
    }

    if (ngx_http_graph_policy_save_begin(file) != NGX_OK) {
        return;
    }

    do {
        rc = ngx_http_graph_policy_save_step(file);
    } while (rc == NGX_AGAIN);
}


/*
 * Loads the whole file.  Returns NGX_DONE, also if there is no file, or the
 * error of load_begin() or load_step().
 */

static ngx_int_t
ngx_http_graph_policy_state_file_load_now(
    ngx_http_graph_policy_state_file_t *file, ngx_uint_t fresh, ngx_log_t *log)
{
    ngx_int_t  rc;

    rc = ngx_http_graph_policy_load_begin(file, fresh, log);

    if (rc != NGX_OK) {
        return rc;
    }

    do {
        rc = ngx_http_graph_policy_load_step(file,
                                             NGX_HTTP_GRAPH_POLICY_LINES);
    } while (rc == NGX_AGAIN);

    return rc;
}


/*
 * Returns the file of the next zone, or NULL if there is none; at first *part
 * is NULL and *i is 0.
 */

static ngx_http_graph_policy_state_file_t *
ngx_http_graph_policy_state_file_next(ngx_cycle_t *cycle, void *tag,
    ngx_list_part_t **part, ngx_uint_t *i)
{
    ngx_shm_zone_t                *shm_zone;
    ngx_http_graph_policy_zone_t  *zone;

    if (*part == NULL) {
        *part = &cycle->shared_memory.part;
    }

    for ( ;; (*i)++) {

        if (*i >= (*part)->nelts) {

            if ((*part)->next == NULL) {
                return NULL;
            }

            *part = (*part)->next;
            *i = (ngx_uint_t) -1;
            continue;
        }

        shm_zone = (*part)->elts;
        shm_zone += *i;
        zone = shm_zone->data;

        if (shm_zone->tag == tag && zone != NULL && zone->file != NULL) {
            (*i)++;
            return zone->file;
        }
    }
}
