
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The directives, their inheritance, and the wiring.  Nothing here runs while
 * a request is served.
 *
 * Memory: all of it belongs to the configuration's pool.
 */


#include "ngx_http_graph_policy_http.h"


/* a parameter of graph_policy_retry; unit 't' is a time, '%' a percentage */

typedef struct {
    ngx_str_t    name;
    size_t       offset;
    ngx_int_t    min;
    ngx_int_t    max;
    ngx_uint_t   unit;
} ngx_http_graph_policy_retry_par_t;


static void *ngx_http_graph_policy_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_graph_policy_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_graph_policy_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_uint_t ngx_http_graph_policy_gates_conversations(
    ngx_http_graph_policy_loc_conf_t *conf);
static ngx_int_t ngx_http_graph_policy_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_graph_policy_init_module(ngx_cycle_t *cycle);

static char *ngx_http_graph_policy_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_graph_policy(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_graph_policy_set_dry_run(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_graph_policy_rule(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_graph_policy_set_value(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_graph_policy_set_sends(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_graph_policy_set_word(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_graph_policy_set_hold(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_graph_policy_set_status(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_graph_policy_set_buffer_size(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

static char *ngx_http_graph_policy_set_retry(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

static ngx_int_t ngx_http_graph_policy_rule_codes(ngx_conf_t *cf,
    ngx_str_t *text, ngx_http_graph_policy_rule_t *rule);
static char *ngx_http_graph_policy_rule_parameter(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, ngx_http_graph_policy_rule_t *rule);
static ngx_http_complex_value_t *ngx_http_graph_policy_compile(
    ngx_conf_t *cf, ngx_str_t *value, ngx_http_complex_value_t *cv);
static ngx_int_t ngx_http_graph_policy_hold_time(ngx_str_t *value,
    size_t skip, ngx_msec_t *hold);
static ngx_int_t ngx_http_graph_policy_retry_parameter(
    ngx_http_graph_policy_backoff_t *retry, ngx_str_t *value);
static ngx_int_t ngx_http_graph_policy_retry_number(
    ngx_http_graph_policy_backoff_t *retry,
    ngx_http_graph_policy_retry_par_t *par, ngx_str_t *value);
static char *ngx_http_graph_policy_invalid(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_str_t *value, const char *allowed);


/* of holds, in milliseconds */
#define NGX_HTTP_GRAPH_POLICY_MAX_HOLD     86400000

#define NGX_HTTP_GRAPH_POLICY_MIN_BUFFER   1024
#define NGX_HTTP_GRAPH_POLICY_MAX_BUFFER   (16 * 1024 * 1024)

#define NGX_HTTP_GRAPH_POLICY_TIMES                                           \
    "a time from \"1ms\" to \"24h\""


/* a parameter of graph_policy_rule that is a word as a whole */

typedef struct {
    ngx_str_t    text;
    size_t       offset;
    uint8_t      value;
} ngx_http_graph_policy_rule_word_t;


static ngx_http_graph_policy_rule_word_t
    ngx_http_graph_policy_rule_words[] =
{
    { ngx_string("retry=on"),
      offsetof(ngx_http_graph_policy_rule_t, retry), 1 },

    { ngx_string("retry=off"),
      offsetof(ngx_http_graph_policy_rule_t, retry), 0 },

    { ngx_string("outcome=refused"),
      offsetof(ngx_http_graph_policy_rule_t, refused), 1 },

    { ngx_string("outcome=unknown"),
      offsetof(ngx_http_graph_policy_rule_t, refused), 0 },

    { ngx_string("dry_run=on"),
      offsetof(ngx_http_graph_policy_rule_t, dry_run), 1 },

    { ngx_null_string, 0, 0 }
};


/* the words of a directive, and how they are told to the user */

typedef struct {
    ngx_conf_enum_t  *words;
    const char       *allowed;
} ngx_http_graph_policy_words_t;


static ngx_http_graph_policy_retry_par_t
    ngx_http_graph_policy_retry_pars[] =
{
    { ngx_string("attempts="),
      offsetof(ngx_http_graph_policy_backoff_t, attempts), 2, 20, 0 },

    { ngx_string("base="),
      offsetof(ngx_http_graph_policy_backoff_t, base), 1, 3600000, 't' },

    { ngx_string("factor="),
      offsetof(ngx_http_graph_policy_backoff_t, factor), 1, 10, 0 },

    { ngx_string("max="),
      offsetof(ngx_http_graph_policy_backoff_t, max), 1, 3600000, 't' },

    { ngx_string("deadline="),
      offsetof(ngx_http_graph_policy_backoff_t, deadline), 1, 3600000, 't' },

    { ngx_string("budget="),
      offsetof(ngx_http_graph_policy_backoff_t, budget), 0, 100, '%' },

    { ngx_string("budget_min="),
      offsetof(ngx_http_graph_policy_backoff_t, budget_min), 0, 100000, 0 },

    { ngx_string("unknown="),
      offsetof(ngx_http_graph_policy_backoff_t, unknown), 0, 19, 0 },

    { ngx_null_string, 0, 0, 0, 0 }
};


static ngx_conf_enum_t  ngx_http_graph_policy_pause_words[] = {
    { ngx_string("sends"), NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS },
    { ngx_string("all"), NGX_HTTP_GRAPH_POLICY_PAUSE_ALL },
    { ngx_null_string, 0 }
};


static ngx_http_graph_policy_words_t  ngx_http_graph_policy_pauses = {
    ngx_http_graph_policy_pause_words,
    "\"sends\" or \"all\""
};


static ngx_conf_enum_t  ngx_http_graph_policy_level_words[] = {
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_null_string, 0 }
};


static ngx_http_graph_policy_words_t  ngx_http_graph_policy_levels = {
    ngx_http_graph_policy_level_words,
    "\"info\", \"notice\", \"warn\", or \"error\""
};


static ngx_command_t  ngx_http_graph_policy_commands[] = {

    { ngx_string("graph_policy_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_zone,
      0,
      0,
      NULL },

    { ngx_string("graph_policy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_dry_run"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_dry_run,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, dry_run),
      NULL },

    { ngx_string("graph_policy_rule"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_graph_policy_rule,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_credential"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, credential),
      NULL },

    { ngx_string("graph_policy_account"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, account),
      NULL },

    { ngx_string("graph_policy_phone"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_value,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, phone),
      NULL },

    { ngx_string("graph_policy_send"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_graph_policy_set_sends,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_pause"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_word,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, pause),
      &ngx_http_graph_policy_pauses },

    { ngx_string("graph_policy_hold"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_graph_policy_set_hold,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_status"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_buffer_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_buffer_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_accept_encoding"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, accept_encoding),
      NULL },

    { ngx_string("graph_policy_cooldown"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, cooldown),
      NULL },

    { ngx_string("graph_policy_retry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_graph_policy_set_retry,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("graph_policy_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_set_word,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_graph_policy_loc_conf_t, log_level),
      &ngx_http_graph_policy_levels },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_graph_policy_module_ctx = {
    ngx_http_graph_policy_add_variables,    /* preconfiguration */
    ngx_http_graph_policy_init,             /* postconfiguration */

    ngx_http_graph_policy_create_main_conf, /* create main configuration */
    NULL,                                   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    ngx_http_graph_policy_create_loc_conf,  /* create location configuration */
    ngx_http_graph_policy_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_graph_policy_module = {
    NGX_MODULE_V1,
    &ngx_http_graph_policy_module_ctx,      /* module context */
    ngx_http_graph_policy_commands,         /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    ngx_http_graph_policy_init_module,      /* init module */
    NULL,                                   /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    NULL,                                   /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_graph_policy_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_main_conf_t));
}


static void *
ngx_http_graph_policy_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_graph_policy_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->zone = NULL;
     */

    conf->shm_zone = NGX_CONF_UNSET_PTR;
    conf->dry_run = NGX_CONF_UNSET_PTR;
    conf->credential = NGX_CONF_UNSET_PTR;
    conf->account = NGX_CONF_UNSET_PTR;
    conf->phone = NGX_CONF_UNSET_PTR;
    conf->sends = NGX_CONF_UNSET_PTR;
    conf->rules = NGX_CONF_UNSET_PTR;
    conf->pause = NGX_CONF_UNSET_UINT;
    conf->status = NGX_CONF_UNSET_UINT;
    conf->log_level = NGX_CONF_UNSET_UINT;
    conf->hold = NGX_CONF_UNSET_MSEC;
    conf->hold_max = NGX_CONF_UNSET_MSEC;
    conf->buffer_size = NGX_CONF_UNSET_SIZE;
    conf->accept_encoding = NGX_CONF_UNSET;
    conf->cooldown = NGX_CONF_UNSET;
    conf->retry.attempts = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_graph_policy_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_graph_policy_loc_conf_t *prev = parent;
    ngx_http_graph_policy_loc_conf_t *conf = child;

    ngx_conf_merge_ptr_value(conf->shm_zone, prev->shm_zone, NULL);
    ngx_conf_merge_ptr_value(conf->dry_run, prev->dry_run, NULL);
    ngx_conf_merge_ptr_value(conf->credential, prev->credential, NULL);
    ngx_conf_merge_ptr_value(conf->account, prev->account, NULL);
    ngx_conf_merge_ptr_value(conf->phone, prev->phone, NULL);
    ngx_conf_merge_ptr_value(conf->sends, prev->sends, NULL);
    ngx_conf_merge_ptr_value(conf->rules, prev->rules, NULL);
    ngx_conf_merge_uint_value(conf->pause, prev->pause,
                              NGX_HTTP_GRAPH_POLICY_PAUSE_SENDS);
    ngx_conf_merge_uint_value(conf->status, prev->status,
                              NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM);
    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_WARN);
    ngx_conf_merge_msec_value(conf->hold, prev->hold, 10000);
    ngx_conf_merge_msec_value(conf->hold_max, prev->hold_max, 900000);
    ngx_conf_merge_size_value(conf->buffer_size, prev->buffer_size,
                              64 * 1024);
    ngx_conf_merge_value(conf->accept_encoding, prev->accept_encoding, 1);
    ngx_conf_merge_value(conf->cooldown, prev->cooldown, 0);

    if (conf->retry.attempts == NGX_CONF_UNSET_UINT) {

        if (prev->retry.attempts == NGX_CONF_UNSET_UINT) {
            prev->retry.attempts = 0;
        }

        conf->retry = prev->retry;
    }

    if (conf->shm_zone == NULL) {
        return NGX_CONF_OK;
    }

    conf->zone = conf->shm_zone->data;
    conf->conversations = ngx_http_graph_policy_gates_conversations(conf);

    if (conf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown zone \"%V\" in \"graph_policy\" "
                           "directive, it must be defined with "
                           "\"graph_policy_zone\"",
                           &conf->shm_zone->shm.name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* whether to whom a message goes may matter: a message's body is read then */

static ngx_uint_t
ngx_http_graph_policy_gates_conversations(
    ngx_http_graph_policy_loc_conf_t *conf)
{
    ngx_uint_t                     i;
    ngx_http_graph_policy_rule_t  *rule;

    if (conf->cooldown) {
        return 1;
    }

    if (conf->rules == NULL) {
        return 0;
    }

    rule = conf->rules->elts;

    for (i = 0; i < conf->rules->nelts; i++) {

        if (rule[i].category == NGX_HTTP_GRAPH_POLICY_FATAL
            && (rule[i].scope == NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION
                || rule[i].scope == NGX_HTTP_GRAPH_POLICY_UNSET))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_graph_policy_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt                *h;
    ngx_http_core_main_conf_t          *cmcf;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);

    if (!gmcf->used) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_graph_policy_gate;

    return ngx_http_graph_policy_filter_init(cf);
}


static ngx_int_t
ngx_http_graph_policy_init_module(ngx_cycle_t *cycle)
{
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_graph_policy_module);

    if (gmcf != NULL && gmcf->used && !ngx_http_graph_policy_filter_is_first())
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "another filter module sees answers before "
                      "ngx_http_graph_policy_module does, its \"load_module\" "
                      "line must be the last one");
    }

    return NGX_OK;
}


static char *
ngx_http_graph_policy_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char     *p;
    ssize_t     size;
    ngx_int_t   rc;
    ngx_str_t  *value, name, s;

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "zone=", 5) != 0) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"zone=NAME:SIZE\"");
    }

    name.data = value[1].data + 5;

    p = (u_char *) ngx_strchr(name.data, ':');

    if (p == NULL || p == name.data) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"zone=NAME:SIZE\"");
    }

    name.len = p - name.data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR || size < (ssize_t) (8 * ngx_pagesize)) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                   "\"zone=NAME:SIZE\" of at least 32k");
    }

    rc = ngx_http_graph_policy_zone_add(cf, &name, size,
                                        &ngx_http_graph_policy_module);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate zone \"%V\" in \"%V\" directive, "
                           "each zone must be defined once",
                           &name, &cmd->name);
        return NGX_CONF_ERROR;
    }

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_graph_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t                          *value, name;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    value = cf->args->elts;

    if (glcf->shm_zone != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        glcf->shm_zone = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[1].data, "zone=", 5) != 0 || value[1].len == 5) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "\"zone=NAME\" or \"off\"");
    }

    name.data = value[1].data + 5;
    name.len = value[1].len - 5;

    glcf->shm_zone = ngx_shared_memory_add(cf, &name, 0,
                                           &ngx_http_graph_policy_module);
    if (glcf->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);
    gmcf->used = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_set_dry_run(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0) {
        return ngx_http_graph_policy_set_value(cf, cmd, conf);
    }

    if (glcf->dry_run != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    glcf->dry_run = NULL;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_set_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    cv = (ngx_http_complex_value_t **) (p + cmd->offset);

    if (*cv != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_graph_policy_compile(cf, &value[1], *cv) == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_complex_value_t *
ngx_http_graph_policy_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? cv : NULL;
}


static char *
ngx_http_graph_policy_set_sends(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    if (glcf->sends != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    glcf->sends = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                   sizeof(ngx_http_complex_value_t));
    if (glcf->sends == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        cv = ngx_array_push(glcf->sends);
        if (cv == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_graph_policy_compile(cf, &value[i], cv) == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_set_word(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                      *value;
    ngx_uint_t                      i, *np;
    ngx_http_graph_policy_words_t  *list;

    np = (ngx_uint_t *) (p + cmd->offset);

    if (*np != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    list = cmd->post;

    for (i = 0; list->words[i].name.len != 0; i++) {

        if (list->words[i].name.len == value[1].len
            && ngx_strcmp(list->words[i].name.data, value[1].data) == 0)
        {
            *np = list->words[i].value;
            return NGX_CONF_OK;
        }
    }

    return ngx_http_graph_policy_invalid(cf, cmd, &value[1], list->allowed);
}


static char *
ngx_http_graph_policy_set_hold(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t  *value;

    if (glcf->hold != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_graph_policy_hold_time(&value[1], 0, &glcf->hold)
        != NGX_OK)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             NGX_HTTP_GRAPH_POLICY_TIMES);
    }

    if (cf->args->nelts == 2) {
        glcf->hold_max = ngx_max(glcf->hold, 900000);
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "max=", 4) != 0
        || ngx_http_graph_policy_hold_time(&value[2], 4, &glcf->hold_max)
           != NGX_OK)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[2],
                                   "\"max=TIME\", "
                                   NGX_HTTP_GRAPH_POLICY_TIMES);
    }

    if (glcf->hold_max < glcf->hold) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[2],
                                             "not less than the hold");
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_graph_policy_hold_time(ngx_str_t *value, size_t skip,
    ngx_msec_t *hold)
{
    ngx_int_t  ms;
    ngx_str_t  s;

    s.data = value->data + skip;
    s.len = value->len - skip;

    ms = ngx_parse_time(&s, 0);

    if (ms == NGX_ERROR || ms < 1 || ms > NGX_HTTP_GRAPH_POLICY_MAX_HOLD) {
        return NGX_ERROR;
    }

    *hold = ms;

    return NGX_OK;
}


static char *
ngx_http_graph_policy_set_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_int_t   status;
    ngx_str_t  *value;

    if (glcf->status != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "upstream") == 0) {
        glcf->status = NGX_HTTP_GRAPH_POLICY_STATUS_UPSTREAM;
        return NGX_CONF_OK;
    }

    status = ngx_atoi(value[1].data, value[1].len);

    if (status < 400 || status > 599) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                         "\"upstream\" or a status between 400 and 599");
    }

    glcf->status = status;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_set_buffer_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (glcf->buffer_size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size < NGX_HTTP_GRAPH_POLICY_MIN_BUFFER
        || size > NGX_HTTP_GRAPH_POLICY_MAX_BUFFER)
    {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                                             "a size from \"1k\" to \"16m\"");
    }

    glcf->buffer_size = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_graph_policy_set_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    ngx_str_t                          *value;
    ngx_uint_t                          i;
    ngx_http_graph_policy_backoff_t    *retry;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    retry = &glcf->retry;

    if (retry->attempts != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        retry->attempts = 0;
        return NGX_CONF_OK;
    }

    retry->attempts = 3;
    retry->base = 500;
    retry->factor = 2;
    retry->max = 10000;
    retry->deadline = 10000;
    retry->budget = 20;
    retry->budget_min = 10;
    retry->unknown = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_graph_policy_retry_parameter(retry, &value[i])
            != NGX_OK)
        {
            return ngx_http_graph_policy_invalid(cf, cmd, &value[i],
                         "\"off\", or \"attempts=\" of 2 to 20, \"base=\", "
                         "\"max=\", \"deadline=\" of 1ms to 1h, "
                         "\"factor=\" of 1 to 10, \"budget=\" of 0% to "
                         "100%, \"budget_min=\" of 0 to 100000, or "
                         "\"unknown=\" of 0 to 19");
        }
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);
    gmcf->retries = 1;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_graph_policy_retry_parameter(ngx_http_graph_policy_backoff_t *retry,
    ngx_str_t *value)
{
    ngx_uint_t                         i;
    ngx_http_graph_policy_retry_par_t  *par;

    for (i = 0; ngx_http_graph_policy_retry_pars[i].name.len != 0; i++) {
        par = &ngx_http_graph_policy_retry_pars[i];

        if (value->len > par->name.len
            && ngx_strncmp(value->data, par->name.data, par->name.len) == 0)
        {
            return ngx_http_graph_policy_retry_number(retry, par, value);
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_graph_policy_retry_number(ngx_http_graph_policy_backoff_t *retry,
    ngx_http_graph_policy_retry_par_t *par, ngx_str_t *value)
{
    ngx_int_t  n;
    ngx_str_t  s;

    s.data = value->data + par->name.len;
    s.len = value->len - par->name.len;

    switch (par->unit) {

    case 't':
        n = ngx_parse_time(&s, 0);
        break;

    case '%':
        if (s.data[--s.len] != '%') {
            return NGX_ERROR;
        }

        /* fall through */

    default:
        n = ngx_atoi(s.data, s.len);
        break;
    }

    if (n < par->min || n > par->max) {
        return NGX_ERROR;
    }

    *(ngx_uint_t *) ((char *) retry + par->offset) = (ngx_uint_t) n;

    return NGX_OK;
}


static char *
ngx_http_graph_policy_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_loc_conf_t *glcf = conf;

    char                          *rv;
    ngx_int_t                      category;
    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_graph_policy_rule_t  *rule;

    if (glcf->rules == NGX_CONF_UNSET_PTR) {
        glcf->rules = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_graph_policy_rule_t));
        if (glcf->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(glcf->rules);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(rule, sizeof(ngx_http_graph_policy_rule_t));

    rule->scope = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->reason = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->retry = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->refused = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule->wait = NGX_CONF_UNSET_MSEC;

    value = cf->args->elts;

    switch (ngx_http_graph_policy_rule_codes(cf, &value[1], rule)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_http_graph_policy_invalid(cf, cmd, &value[1],
                       "codes like \"131042\", \"200-299\", \"100/33\", or "
                       "\"*/2494100\", separated by commas");

    default: /* NGX_ERROR */
        return NGX_CONF_ERROR;
    }

    category = ngx_http_graph_policy_rules_category(&value[2]);

    if (category == NGX_ERROR) {
        return ngx_http_graph_policy_invalid(cf, cmd, &value[2],
                       "\"fatal\", \"temporary\", \"context-limited\", "
                       "\"request\", \"unclassified\", or \"ignore\"");
    }

    rule->category = (uint8_t) category;

    for (i = 3; i < cf->args->nelts; i++) {
        rv = ngx_http_graph_policy_rule_parameter(cf, cmd, &value[i], rule);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (rule->retry == 1
        && rule->category != NGX_HTTP_GRAPH_POLICY_TEMPORARY)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"retry=on\" in \"%V\" directive needs the "
                           "category \"temporary\", it has \"%V\"",
                           &cmd->name, &value[2]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_graph_policy_rule_codes(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_graph_policy_rule_t *rule)
{
    u_char                         *p, *last;
    ngx_int_t                       rc;
    ngx_array_t                     codes;
    ngx_http_graph_policy_codes_t  *element;

    if (ngx_array_init(&codes, cf->pool, 4,
                       sizeof(ngx_http_graph_policy_codes_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = text->data;
    last = p + text->len;

    for ( ;; ) {
        element = ngx_array_push(&codes);
        if (element == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_http_graph_policy_rules_codes(&p, last, element);

        if (rc != NGX_OK) {
            break;
        }
    }

    rule->codes = codes.elts;
    rule->ncodes = codes.nelts - 1;

    return (rc == NGX_DONE && rule->ncodes != 0) ? NGX_OK : NGX_DECLINED;
}


static char *
ngx_http_graph_policy_rule_parameter(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, ngx_http_graph_policy_rule_t *rule)
{
    ngx_int_t                            n;
    ngx_str_t                            word;
    ngx_uint_t                           i;
    ngx_http_graph_policy_rule_word_t   *entry;

    if (ngx_strncmp(value->data, "scope=", 6) == 0) {
        word.data = value->data + 6;
        word.len = value->len - 6;

        n = ngx_http_graph_policy_rules_scope(&word);

        if (n == NGX_ERROR) {
            return ngx_http_graph_policy_invalid(cf, cmd, value,
                         "\"scope=\" with \"credential\", \"account\", "
                         "\"phone\", \"conversation\", or \"request\"");
        }

        rule->scope = (uint8_t) n;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "reason=", 7) == 0) {
        word.data = value->data + 7;
        word.len = value->len - 7;

        n = ngx_http_graph_policy_rules_reason(&word);

        if (n == NGX_ERROR) {
            return ngx_http_graph_policy_invalid(cf, cmd, value,
                         "\"reason=\" with a reason of the built-in table");
        }

        rule->reason = (uint8_t) n;

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "hold=", 5) == 0) {

        if (ngx_http_graph_policy_hold_time(value, 5, &rule->hold)
            != NGX_OK)
        {
            return ngx_http_graph_policy_invalid(cf, cmd, value,
                                   "\"hold=TIME\", "
                                   NGX_HTTP_GRAPH_POLICY_TIMES);
        }

        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "wait=", 5) == 0) {

        if (ngx_http_graph_policy_hold_time(value, 5, &rule->wait)
            != NGX_OK)
        {
            return ngx_http_graph_policy_invalid(cf, cmd, value,
                                   "\"wait=TIME\", "
                                   NGX_HTTP_GRAPH_POLICY_TIMES);
        }

        return NGX_CONF_OK;
    }

    for (i = 0; ngx_http_graph_policy_rule_words[i].text.len != 0; i++) {
        entry = &ngx_http_graph_policy_rule_words[i];

        if (value->len == entry->text.len
            && ngx_strcmp(value->data, entry->text.data) == 0)
        {
            *((uint8_t *) rule + entry->offset) = entry->value;
            return NGX_CONF_OK;
        }
    }

    return ngx_http_graph_policy_invalid(cf, cmd, value,
                         "\"scope=\", \"reason=\", \"wait=\", \"hold=\", "
                         "\"retry=on\", \"retry=off\", \"outcome=refused\", "
                         "\"outcome=unknown\", or \"dry_run=on\"");
}


static char *
ngx_http_graph_policy_invalid(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *value, const char *allowed)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, &cmd->name, allowed);

    return NGX_CONF_ERROR;
}
