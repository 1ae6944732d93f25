
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * For the bench alone: fills a zone of the graph_policy module, which is to be
 * loaded before, with states of phones or with limited conversations of one
 * phone, and looks them up.
 *
 *     location /fill   { graph_policy_fill ZONE; }
 *     location /lookup { graph_policy_fill_lookup ZONE; }
 *
 * "/fill?to=N&accounts=K" sets states until there are N of them; the phones
 * are spread over K accounts, or each has one of its own if K is 0.
 * "/lookup?of=N&count=C" asks whether C phones of the first N may send, and C
 * unknown ones; "indexed" and "absent" are the same of the index alone, by the
 * fastest of some rounds.  Either is about conversations with
 * "&conversations=1".  Both answer with a line of numbers, times in nanoseconds.
 *
 * With "&counted=1" callgrind counts from the end of "/fill" on.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif

#ifndef CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(text)  (void) text
#endif


/* Graph's ids have about as many digits, and so do recipients */
#define NGX_HTTP_GRAPH_POLICY_FILL_FIRST    100000000000000ULL
#define NGX_HTTP_GRAPH_POLICY_FILL_UNKNOWN  900000000000000ULL

#define NGX_HTTP_GRAPH_POLICY_FILL_LOOKUPS  100000

#define NGX_HTTP_GRAPH_POLICY_FILL_HOLD     3600000

#define NGX_HTTP_GRAPH_POLICY_FILL_ROUNDS   20


typedef struct {
    ngx_str_t   zone;
} ngx_http_graph_policy_fill_conf_t;


typedef struct {
    ngx_http_graph_policy_query_t     query;
    u_char                            phone[NGX_INT64_LEN];
    u_char                            account[NGX_INT64_LEN];
} ngx_http_graph_policy_fill_sender_t;


static ngx_int_t ngx_http_graph_policy_fill_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_graph_policy_fill_lookup_handler(
    ngx_http_request_t *r);
static ngx_http_graph_policy_zone_t *ngx_http_graph_policy_fill_zone(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_graph_policy_fill_arg(ngx_http_request_t *r,
    const char *name, ngx_uint_t value);
static ngx_uint_t ngx_http_graph_policy_fill_held(
    ngx_http_graph_policy_zone_t *zone, ngx_uint_t conversations);
static void ngx_http_graph_policy_fill_phone(
    ngx_http_graph_policy_zone_t *zone, uint64_t number, ngx_uint_t account,
    ngx_http_graph_policy_fill_sender_t *sender);
static void ngx_http_graph_policy_fill_conversation(
    ngx_http_graph_policy_zone_t *zone, uint64_t number,
    ngx_http_graph_policy_fill_sender_t *sender);
static ngx_int_t ngx_http_graph_policy_fill_time(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fill_sender_t *senders, ngx_uint_t n,
    ngx_http_graph_policy_admission_e expect, ngx_uint_t *ns);
static ngx_uint_t ngx_http_graph_policy_fill_index(
    ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fill_sender_t *senders, ngx_uint_t n,
    ngx_uint_t conversations, ngx_uint_t found);
static uint64_t ngx_http_graph_policy_fill_clock(void);
static ngx_int_t ngx_http_graph_policy_fill_answer(ngx_http_request_t *r,
    u_char *text, size_t len);
static char *ngx_http_graph_policy_fill(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_graph_policy_fill_create_conf(ngx_conf_t *cf);


static ngx_command_t  ngx_http_graph_policy_fill_commands[] = {

    { ngx_string("graph_policy_fill"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_fill,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_graph_policy_fill_handler },

    { ngx_string("graph_policy_fill_lookup"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_graph_policy_fill,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_graph_policy_fill_lookup_handler },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_graph_policy_fill_module_ctx = {
    NULL,                                   /* preconfiguration */
    NULL,                                   /* postconfiguration */

    NULL,                                   /* create main configuration */
    NULL,                                   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    ngx_http_graph_policy_fill_create_conf, /* create location configuration */
    NULL                                    /* merge location configuration */
};


ngx_module_t  ngx_http_graph_policy_fill_module = {
    NGX_MODULE_V1,
    &ngx_http_graph_policy_fill_module_ctx, /* module context */
    ngx_http_graph_policy_fill_commands,    /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    NULL,                                   /* init module */
    NULL,                                   /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    NULL,                                   /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_graph_policy_fill_handler(ngx_http_request_t *r)
{
    u_char                               *p, text[256];
    uint64_t                              start;
    ngx_uint_t                            i, to, from, accounts, set, failed;
    ngx_uint_t                            conversations;
    ngx_slab_pool_t                      *pool;
    ngx_http_graph_policy_view_t          view;
    ngx_http_graph_policy_zone_t         *zone;
    ngx_http_graph_policy_facts_t         facts;
    ngx_http_graph_policy_changes_t       changes;
    ngx_http_graph_policy_failure_t       failure;
    ngx_http_graph_policy_verdict_t       verdict;
    ngx_http_graph_policy_fill_sender_t   sender;

    zone = ngx_http_graph_policy_fill_zone(r);
    if (zone == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    to = ngx_http_graph_policy_fill_arg(r, "to", 0);
    accounts = ngx_http_graph_policy_fill_arg(r, "accounts", 1);
    conversations = ngx_http_graph_policy_fill_arg(r, "conversations", 0);

    /* the usual trace id, and the code whose states are counted in groups */

    ngx_memzero(&facts, sizeof(ngx_http_graph_policy_facts_t));
    facts.has_code = 1;
    facts.code = conversations ? 131047 : 133010;
    facts.trace_len = sizeof("AFakeTraceId00000000000") - 1;
    ngx_memcpy(facts.trace, "AFakeTraceId00000000000", facts.trace_len);

    ngx_http_graph_policy_rules_decide(&facts, NULL, &verdict);

    ngx_memzero(&failure, sizeof(ngx_http_graph_policy_failure_t));
    failure.verdict = &verdict;
    failure.facts = &facts;
    failure.status = 400;
    failure.hold = NGX_HTTP_GRAPH_POLICY_FILL_HOLD;
    failure.max = NGX_HTTP_GRAPH_POLICY_FILL_HOLD;

    /* a line in the log for each would be most of what is measured */

    changes.request = r;
    changes.log = r->connection->log;
    changes.level = NGX_LOG_DEBUG;

    from = ngx_http_graph_policy_fill_held(zone, conversations);
    set = 0;
    failed = 0;
    start = ngx_http_graph_policy_fill_clock();

    for (i = from; i < to; i++) {

        if (conversations) {
            ngx_http_graph_policy_fill_conversation(zone,
                                     NGX_HTTP_GRAPH_POLICY_FILL_FIRST + i,
                                     &sender);

        } else {
            ngx_http_graph_policy_fill_phone(zone,
                                     NGX_HTTP_GRAPH_POLICY_FILL_FIRST + i,
                                     accounts ? i % accounts : i, &sender);
        }

        failure.now = (uint64_t) ngx_time() * 1000 + i / 100;
        failure.sent = failure.now;

        if (ngx_http_graph_policy_zone_learn(zone, &sender.query.identity,
                                             &failure, &changes, &view)
            != NGX_OK)
        {
            failed++;

        } else if (view.transition == NGX_HTTP_GRAPH_POLICY_SET) {
            set++;
        }
    }

    pool = zone->shpool;
    to = ngx_http_graph_policy_fill_held(zone, conversations);

    p = ngx_sprintf(text, "states=%ui used=%ui pages=%ui evicted=%ui "
                    "failed=%ui learn=%uL\n",
                    to,
                    (ngx_uint_t) (pool->last - pool->pages) - pool->pfree,
                    (ngx_uint_t) (pool->last - pool->pages),
                    from + set - to, failed,
                    (ngx_http_graph_policy_fill_clock() - start)
                    / ngx_max(i - from, 1));

    if (ngx_http_graph_policy_fill_arg(r, "counted", 0)) {
        CALLGRIND_START_INSTRUMENTATION;
    }

    return ngx_http_graph_policy_fill_answer(r, text, p - text);
}


static ngx_int_t
ngx_http_graph_policy_fill_lookup_handler(ngx_http_request_t *r)
{
    u_char                               *p, text[256];
    uint64_t                              number;
    ngx_uint_t                            i, of, n, found, unknown, indexed;
    ngx_uint_t                            absent, conversations;
    ngx_http_graph_policy_zone_t         *zone;
    ngx_http_graph_policy_fill_sender_t  *senders;

    zone = ngx_http_graph_policy_fill_zone(r);
    if (zone == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    of = ngx_http_graph_policy_fill_arg(r, "of", 1);
    n = ngx_http_graph_policy_fill_arg(r, "count", 1);
    n = ngx_min(n, NGX_HTTP_GRAPH_POLICY_FILL_LOOKUPS);
    conversations = ngx_http_graph_policy_fill_arg(r, "conversations", 0);

    senders = ngx_palloc(r->pool,
                         2 * n * sizeof(ngx_http_graph_policy_fill_sender_t));
    if (senders == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < 2 * n; i++) {

        number = (i < n) ? NGX_HTTP_GRAPH_POLICY_FILL_FIRST
                           + (uint64_t) ngx_random() % of
                         : NGX_HTTP_GRAPH_POLICY_FILL_UNKNOWN
                           + (uint64_t) ngx_random();

        if (conversations) {
            ngx_http_graph_policy_fill_conversation(zone, number, &senders[i]);

        } else {
            ngx_http_graph_policy_fill_phone(zone, number, 0, &senders[i]);
        }
    }

    if (ngx_http_graph_policy_fill_time(zone, senders, n,
                                        NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK,
                                        &found)
        != NGX_OK
        || ngx_http_graph_policy_fill_time(zone, senders + n, n,
                                           NGX_HTTP_GRAPH_POLICY_ADMIT_PASS,
                                           &unknown)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    indexed = ngx_http_graph_policy_fill_index(zone, senders, n,
                                               conversations, 1);
    absent = ngx_http_graph_policy_fill_index(zone, senders + n, n,
                                              conversations, 0);

    p = ngx_sprintf(text, "found=%ui unknown=%ui indexed=%ui absent=%ui\n",
                    found, unknown, indexed, absent);

    return ngx_http_graph_policy_fill_answer(r, text, p - text);
}


static ngx_int_t
ngx_http_graph_policy_fill_time(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fill_sender_t *senders, ngx_uint_t n,
    ngx_http_graph_policy_admission_e expect, ngx_uint_t *ns)
{
    uint64_t                         start, now;
    ngx_uint_t                       i, unexpected;
    ngx_http_graph_policy_view_t     view;
    ngx_http_graph_policy_cover_t    cover;
    ngx_http_graph_policy_changes_t  changes;

    now = (uint64_t) ngx_time() * 1000;
    unexpected = 0;

    ngx_memzero(&changes, sizeof(ngx_http_graph_policy_changes_t));
    changes.log = ngx_cycle->log;
    changes.level = NGX_LOG_DEBUG;

    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;

    start = ngx_http_graph_policy_fill_clock();

    for (i = 0; i < n; i++) {
        if (ngx_http_graph_policy_zone_admit(zone, &senders[i].query,
                                             now, &changes, &cover, &view)
            != expect)
        {
            unexpected++;
        }
    }

    *ns = (ngx_http_graph_policy_fill_clock() - start) / ngx_max(n, 1);

    CALLGRIND_DUMP_STATS_AT(expect == NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK
                           ? "found" : "unknown");
    CALLGRIND_STOP_INSTRUMENTATION;

    return unexpected ? NGX_ERROR : NGX_OK;
}


/*
 * Nanoseconds of a lookup in the index; a number that no limit allows if the
 * lookups find something else than is expected.
 */

static ngx_uint_t
ngx_http_graph_policy_fill_index(ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_fill_sender_t *senders, ngx_uint_t n,
    ngx_uint_t conversations, ngx_uint_t found)
{
    uint64_t                         start, each, least, *keys;
    ngx_uint_t                       i, j, round, had;
    ngx_http_graph_policy_place_t    place;
    ngx_http_graph_policy_indexed_e  kind;

    kind = conversations ? NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION
                         : NGX_HTTP_GRAPH_POLICY_INDEXED_STATE;

    keys = ngx_alloc(n * sizeof(uint64_t), ngx_cycle->log);
    if (keys == NULL) {
        return NGX_MAX_UINT32_VALUE;
    }

    least = NGX_MAX_UINT32_VALUE;

    ngx_http_graph_policy_zone_lock(zone);

    for (i = 0; i < n; i++) {

        if (conversations) {
            keys[i] = ngx_http_graph_policy_conversation_hash(
                                                  &senders[i].query.identity);
            continue;
        }

        (void) ngx_http_graph_policy_state_place(zone->sh,
                                              &senders[i].query.identity,
                                              NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                                 0, &place);
        keys[i] = place.hash;
    }

    round = n / NGX_HTTP_GRAPH_POLICY_FILL_ROUNDS;

    for (i = 0; round != 0 && i + round <= n; i += round) {

        had = 0;
        start = ngx_http_graph_policy_fill_clock();

        for (j = i; j < i + round; j++) {
            had += (ngx_http_graph_policy_index_find(&zone->sh->index, kind,
                                                     keys[j])
                    != NULL);
        }

        each = (ngx_http_graph_policy_fill_clock() - start) / round;
        least = ngx_min(least, each);

        if (had != (found ? round : 0)) {
            least = NGX_MAX_UINT32_VALUE;
            break;
        }
    }

    ngx_http_graph_policy_zone_unlock(zone);

    ngx_free(keys);

    return (ngx_uint_t) least;
}


static ngx_http_graph_policy_zone_t *
ngx_http_graph_policy_fill_zone(ngx_http_request_t *r)
{
    ngx_uint_t                          i;
    ngx_shm_zone_t                     *shm_zone;
    ngx_list_part_t                    *part;
    ngx_http_graph_policy_fill_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_fill_module);

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].shm.name.len == conf->zone.len
            && ngx_strncmp(shm_zone[i].shm.name.data, conf->zone.data,
                           conf->zone.len)
               == 0)
        {
            return shm_zone[i].data;
        }
    }
}


static ngx_uint_t
ngx_http_graph_policy_fill_arg(ngx_http_request_t *r, const char *name,
    ngx_uint_t value)
{
    ngx_int_t  n;
    ngx_str_t  text;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &text) != NGX_OK) {
        return value;
    }

    n = ngx_atoi(text.data, text.len);

    return (n == NGX_ERROR) ? value : (ngx_uint_t) n;
}


static ngx_uint_t
ngx_http_graph_policy_fill_held(ngx_http_graph_policy_zone_t *zone,
    ngx_uint_t conversations)
{
    return conversations ? ngx_http_graph_policy_zone_limited(zone)
                         : ngx_http_graph_policy_zone_armed(zone);
}


static void
ngx_http_graph_policy_fill_phone(ngx_http_graph_policy_zone_t *zone,
    uint64_t number, ngx_uint_t account,
    ngx_http_graph_policy_fill_sender_t *sender)
{
    ngx_http_graph_policy_identity_t  *id;

    ngx_memzero(&sender->query, sizeof(ngx_http_graph_policy_query_t));

    sender->query.kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;

    id = &sender->query.identity;

    id->phone.data = sender->phone;
    id->phone.len = ngx_sprintf(sender->phone, "%uL", number) - sender->phone;
    id->phone_hash = ngx_http_graph_policy_zone_fingerprint(zone, &id->phone);

    id->account.data = sender->account;
    id->account.len = ngx_sprintf(sender->account, "a%ui", account)
                      - sender->account;
    id->account_hash = ngx_http_graph_policy_zone_fingerprint(zone,
                                                              &id->account);
    id->credential = 1;
}


static void
ngx_http_graph_policy_fill_conversation(ngx_http_graph_policy_zone_t *zone,
    uint64_t number, ngx_http_graph_policy_fill_sender_t *sender)
{
    u_char                             text[2 * NGX_INT64_LEN];
    ngx_str_t                          key;
    ngx_http_graph_policy_identity_t  *id;

    ngx_http_graph_policy_fill_phone(zone, NGX_HTTP_GRAPH_POLICY_FILL_UNKNOWN,
                                     0, sender);

    id = &sender->query.identity;

    key.data = text;
    key.len = ngx_sprintf(text, "%V:%uL", &id->phone, number) - text;

    id->conversation = ngx_http_graph_policy_zone_fingerprint(zone, &key);
    sender->query.gate.hold = NGX_HTTP_GRAPH_POLICY_FILL_HOLD;
}


static uint64_t
ngx_http_graph_policy_fill_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static ngx_int_t
ngx_http_graph_policy_fill_answer(ngx_http_request_t *r, u_char *text,
    size_t len)
{
    ngx_str_t                 type;
    ngx_http_complex_value_t  cv;

    ngx_str_set(&type, "text/plain");

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value.len = len;
    cv.value.data = ngx_pnalloc(r->pool, len);
    if (cv.value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(cv.value.data, text, len);

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static char *
ngx_http_graph_policy_fill(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_graph_policy_fill_conf_t *fcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;
    fcf->zone = value[1];

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = (ngx_http_handler_pt) cmd->post;

    return NGX_CONF_OK;
}


static void *
ngx_http_graph_policy_fill_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_graph_policy_fill_conf_t));
}
