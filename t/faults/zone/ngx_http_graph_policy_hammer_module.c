
/*
 * For t/faults/zone.t alone: hammers a zone in a worker, and checks it.
 *
 *     location / { graph_policy_hammer SIZE; }
 *
 * "/?seed=N&thousands=K" does so K times a thousand operations, and checks the
 * zone after each thousand.  The answer is "ok", or what was wrong.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <yajl/yajl_parse.h>
#include "hammer.h"
#include "hammer_check.h"
#include "ngx_http_graph_policy_locks.h"


typedef struct {
    ngx_http_graph_policy_zone_t      *zone;
} hammer_conf_t;


static ngx_int_t hammer_handler(ngx_http_request_t *r);
static ngx_uint_t hammer_arg(ngx_http_request_t *r, const char *name);
static void hammer_tell(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes);
static ngx_int_t hammer_answer(ngx_http_request_t *r, const char *text);
static void *hammer_create_conf(ngx_conf_t *cf);
static char *hammer_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_command_t  hammer_commands[] = {

    { ngx_string("graph_policy_hammer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      hammer_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  hammer_ctx = {
    NULL,                               /* preconfiguration */
    NULL,                               /* postconfiguration */

    NULL,                               /* create main configuration */
    NULL,                               /* init main configuration */

    NULL,                               /* create server configuration */
    NULL,                               /* merge server configuration */

    hammer_create_conf,                 /* create location configuration */
    NULL                                /* merge location configuration */
};


ngx_module_t  ngx_http_graph_policy_hammer_module = {
    NGX_MODULE_V1,
    &hammer_ctx,                        /* module context */
    hammer_commands,                    /* module directives */
    NGX_HTTP_MODULE,                    /* module type */
    NULL,                               /* init master */
    NULL,                               /* init module */
    NULL,                               /* init process */
    NULL,                               /* init thread */
    NULL,                               /* exit thread */
    NULL,                               /* exit process */
    NULL,                               /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
hammer_handler(ngx_http_request_t *r)
{
    hammer_t       *h;
    ngx_uint_t      i, n, unlocked;
    const char     *wrong;
    hammer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r,
                                        ngx_http_graph_policy_hammer_module);

    h = ngx_pcalloc(r->pool, sizeof(hammer_t));
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->zone = conf->zone;
    h->random = hammer_arg(r, "seed") * 2 + 1;
    h->now = (uint64_t) ngx_time() * 1000;
    h->changes.log = r->connection->log;

    n = hammer_arg(r, "thousands");
    unlocked = hammer_arg(r, "unlocked");

    /* the checks themselves have to work */

    if (unlocked == 1) {
        (void) ngx_http_graph_policy_index_find(&h->zone->sh->index, 0, 1);
        return hammer_answer(r, "a lookup without the mutex was let pass");
    }

    if (unlocked == 2) {
        ngx_http_graph_policy_zone_lock(h->zone);
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "under the mutex");
        return hammer_answer(r, "a line under the mutex was let pass");
    }

    if (unlocked == 3) {
        ngx_http_graph_policy_zone_lock(h->zone);
        (void) ngx_palloc(r->pool, 1);
        return hammer_answer(r, "an allocation under the mutex was let pass");
    }

    if (unlocked == 4) {
        ngx_http_graph_policy_zone_lock(h->zone);
        (void) yajl_alloc(NULL, NULL, NULL);
        return hammer_answer(r, "a parser under the mutex was let pass");
    }

    for (i = 0; i < n * 1000; i++) {

        hammer_once(h);

        if (i % 1000 == 999) {
            wrong = hammer_check(h->zone);

            if (wrong != NULL) {
                return hammer_answer(r, wrong);
            }
        }
    }

    return hammer_answer(r, "ok");
}


static ngx_uint_t
hammer_arg(ngx_http_request_t *r, const char *name)
{
    ngx_int_t  n;
    ngx_str_t  text;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &text) != NGX_OK) {
        return 0;
    }

    n = ngx_atoi(text.data, text.len);

    return (n == NGX_ERROR) ? 0 : (ngx_uint_t) n;
}


/* Whoever is told may log, so the mutex must be free. */

static void
hammer_tell(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_changes_t *changes)
{
    ngx_log_error(NGX_LOG_DEBUG, changes->log, 0, "%ui changes", changes->n);

    if (ngx_http_graph_policy_locks != 0) {
        ngx_abort();
    }
}


static ngx_int_t
hammer_answer(ngx_http_request_t *r, const char *text)
{
    ngx_str_t                 type;
    ngx_http_complex_value_t  cv;

    ngx_str_set(&type, "text/plain");

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value.data = (u_char *) text;
    cv.value.len = ngx_strlen(text);

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static void *
hammer_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(hammer_conf_t));
}


static char *
hammer_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    hammer_conf_t  *hcf = conf;

    ssize_t                    size;
    ngx_str_t                 *value, name;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;
    size = ngx_parse_size(&value[1]);

    ngx_str_set(&name, "hammer");

    if (size == NGX_ERROR
        || ngx_http_graph_policy_zone_add(cf, &name, size,
                                          &ngx_http_graph_policy_hammer_module,
                                          hammer_tell, NULL, &hcf->zone)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    hcf->zone->conversation_hold = HAMMER_HOLD;
    hcf->zone->memory = HAMMER_HOLD;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = hammer_handler;

    return NGX_CONF_OK;
}
