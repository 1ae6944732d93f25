
/*
 * For t/faults/zone.t alone: does with a zone what requests, webhooks,
 * operators, state files and fleets do, at random, and checks it.
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
#include "hammer_check.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_list.h"
#include "ngx_http_graph_policy_zone_override.h"


/* several times what the zone has room for */
#define HAMMER_PHONES      3000
#define HAMMER_ACCOUNTS    40
#define HAMMER_TOKENS      300
#define HAMMER_RECIPIENTS  5000

#define HAMMER_HOLD        2000     /* milliseconds */


typedef struct {
    ngx_http_graph_policy_zone_t      *zone;
} hammer_conf_t;


/* What one process hammers with. */

typedef struct {
    ngx_http_graph_policy_zone_t      *zone;
    uint64_t                           random;
    uint64_t                           now;
    u_char                             phone[NGX_INT64_LEN];
    u_char                             account[NGX_INT64_LEN + 64];
    ngx_http_graph_policy_query_t      query;
    ngx_http_graph_policy_facts_t      facts;
    ngx_http_graph_policy_verdict_t    verdict;
    ngx_http_graph_policy_failure_t    failure;
    ngx_http_graph_policy_view_t       view;
    ngx_http_graph_policy_cover_t      cover;
    ngx_http_graph_policy_changes_t    changes;
    ngx_http_graph_policy_cursor_t     list;
    ngx_http_graph_policy_cursor_t     save;
    ngx_http_graph_policy_record_t     records[NGX_HTTP_GRAPH_POLICY_BATCH];
    ngx_http_graph_policy_view_t       views[NGX_HTTP_GRAPH_POLICY_BATCH];
} hammer_t;


static ngx_int_t hammer_handler(ngx_http_request_t *r);
static ngx_uint_t hammer_arg(ngx_http_request_t *r, const char *name);
static void hammer_once(hammer_t *h);
static void hammer_identity(hammer_t *h);
static void hammer_failure(hammer_t *h);
static void hammer_learn(hammer_t *h);
static void hammer_send(hammer_t *h);
static void hammer_hear(hammer_t *h);
static void hammer_operate(hammer_t *h);
static void hammer_list(hammer_t *h);
static void hammer_save(hammer_t *h);
static ngx_uint_t hammer_random(hammer_t *h, ngx_uint_t n);
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


/* Time goes on by a few milliseconds, so holds end, and memories. */

static void
hammer_once(hammer_t *h)
{
    h->now += hammer_random(h, 8);

    hammer_identity(h);

    switch (hammer_random(h, 16)) {

    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        hammer_learn(h);
        break;

    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        hammer_send(h);
        break;

    case 10:
    case 11:
        hammer_hear(h);
        break;

    case 12:
        hammer_operate(h);
        break;

    case 13:
    case 14:
        hammer_list(h);
        break;

    default:
        hammer_save(h);
        break;
    }
}


static void
hammer_identity(hammer_t *h)
{
    u_char                            *p;
    ngx_uint_t                         n;
    ngx_http_graph_policy_identity_t  *id;

    ngx_memzero(&h->query, sizeof(ngx_http_graph_policy_query_t));

    h->query.kind = NGX_HTTP_GRAPH_POLICY_MESSAGE;
    h->query.may_probe = 1;
    h->query.cooldown = 1;
    h->query.gate.hold = HAMMER_HOLD;

    id = &h->query.identity;
    n = hammer_random(h, HAMMER_PHONES);

    id->phone.data = h->phone;
    id->phone.len = ngx_sprintf(h->phone, "%ui", 100000 + n) - h->phone;
    id->credential = 1 + hammer_random(h, HAMMER_TOKENS);
    id->conversation = ngx_http_graph_policy_mix(n,
                                       hammer_random(h, HAMMER_RECIPIENTS), 0);

    /* accounts have names of all lengths, and may be unknown */

    if (hammer_random(h, 2)) {
        n %= HAMMER_ACCOUNTS;

        p = ngx_sprintf(h->account, "%ui", n);
        ngx_memset(p, 'a', n);

        id->account.data = h->account;
        id->account.len = p + n - h->account;
    }
}


/* An error: fatal or not, of a credential, an account, a phone, a customer. */

static void
hammer_failure(hammer_t *h)
{
    static const int64_t  codes[] = {
        133010, 133010, 131042, 190, 131047, 131047, 131031, 4, 80007, 10
    };

    ngx_memzero(&h->facts, sizeof(ngx_http_graph_policy_facts_t));

    h->facts.has_code = 1;
    h->facts.code = codes[hammer_random(h, sizeof(codes) / sizeof(codes[0]))];
    h->facts.trace_len = hammer_random(h, NGX_HTTP_GRAPH_POLICY_TRACE_LEN + 1);
    ngx_memset(h->facts.trace, 'T', h->facts.trace_len);

    ngx_http_graph_policy_rules_decide(&h->facts, NULL, &h->verdict);

    ngx_memzero(&h->failure, sizeof(ngx_http_graph_policy_failure_t));

    h->failure.verdict = &h->verdict;
    h->failure.facts = &h->facts;
    h->failure.source = hammer_random(h, 3)
                        ? NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER
                        : NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK;
    h->failure.sent = h->now;
    h->failure.now = h->now;
    h->failure.status = 400;
    h->failure.hold = HAMMER_HOLD;
    h->failure.max = 2 * HAMMER_HOLD;
    h->failure.confirm = HAMMER_HOLD;
}


static void
hammer_learn(hammer_t *h)
{
    hammer_failure(h);

    (void) ngx_http_graph_policy_zone_learn(h->zone, &h->query.identity,
                                            &h->failure, &h->changes,
                                            &h->view);
}


/* A send, and what comes of it if it passes. */

static void
hammer_send(hammer_t *h)
{
    ngx_uint_t                         i;
    ngx_http_graph_policy_answer_t     answer;
    ngx_http_graph_policy_admission_e  admission;

    admission = ngx_http_graph_policy_zone_admit(h->zone, &h->query, h->now,
                                                 &h->changes, &h->cover,
                                                 &h->view);

    if (admission == NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK) {
        return;
    }

    ngx_memzero(&answer, sizeof(ngx_http_graph_policy_answer_t));

    answer.proof = NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED;
    answer.id = &h->query.identity;
    answer.message = 1 + hammer_random(h, 100);
    answer.sent = h->now;
    answer.now = h->now + 1;
    answer.status = 200;

    if (hammer_random(h, 2)) {
        hammer_failure(h);
        answer.proof = NGX_HTTP_GRAPH_POLICY_PROOF_ERROR;
        answer.verdict = &h->verdict;
        answer.facts = &h->facts;
        answer.status = 400;
    }

    for (i = 0; i < h->cover.n; i++) {

        if (h->cover.refs[i].lease != 0) {
            ngx_http_graph_policy_zone_settle(h->zone, &h->cover.refs[i],
                                              &answer, &h->changes);

        } else {
            ngx_http_graph_policy_zone_clear(h->zone, &h->cover.refs[i],
                                             &answer, &h->changes);
        }
    }
}


/* What webhooks tell. */

static void
hammer_hear(hammer_t *h)
{
    u_char                             text[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    ngx_str_t                          phone;
    ngx_http_graph_policy_identity_t  *id;

    id = &h->query.identity;

    switch (hammer_random(h, 5)) {

    case 0:
        ngx_http_graph_policy_zone_inbound(h->zone, id, h->now, h->now,
                                           &h->changes);
        break;

    case 1:
        ngx_http_graph_policy_zone_resolve(h->zone, id,
                                     NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                     NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED,
                                           h->now, h->now, &h->changes);
        break;

    case 2:
        ngx_http_graph_policy_zone_confirm(h->zone, id,
                                           1 + hammer_random(h, 100), NULL,
                                           h->now, &h->changes);
        break;

    case 3:
        ngx_http_graph_policy_zone_make_due(h->zone, id, h->now);

        phone.data = text;
        phone.len = 0;
        (void) ngx_http_graph_policy_zone_next_phone(h->zone, &id->account,
                                                     &phone);
        break;

    default:
        id->number = hammer_random(h, 100);
        (void) ngx_http_graph_policy_zone_link(h->zone, id, NULL, h->now,
                                               &h->changes);
        break;
    }
}


static void
hammer_operate(hammer_t *h)
{
    hammer_failure(h);

    h->failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_API;

    switch (hammer_random(h, 3)) {

    case 0:
        h->query.identity.credential = 0;
        (void) ngx_http_graph_policy_zone_put(h->zone, &h->query.identity,
                                              NGX_HTTP_GRAPH_POLICY_KEY_PHONE,
                                              &h->failure, 0, &h->changes,
                                              &h->view);
        break;

    case 1:
        (void) ngx_http_graph_policy_zone_end(h->zone, h->view.hash,
                                              h->view.stored_reason, h->now,
                                              &h->changes);
        break;

    default:
        (void) ngx_http_graph_policy_zone_lookup(h->zone, &h->query.identity,
                                                 h->now, &h->view);
        break;
    }
}


static void
hammer_list(hammer_t *h)
{
    if (h->list.done) {
        ngx_memzero(&h->list, sizeof(ngx_http_graph_policy_cursor_t));
    }

    (void) ngx_http_graph_policy_zone_list(h->zone, &h->list, h->now,
                                           h->views);
}


static void
hammer_save(hammer_t *h)
{
    if (h->save.done) {
        ngx_memzero(&h->save, sizeof(ngx_http_graph_policy_cursor_t));
    }

    (void) ngx_http_graph_policy_record_batch(h->zone, &h->save, 1, h->records);
}


/* xorshift64*, so that a seed does the same each time */

static ngx_uint_t
hammer_random(hammer_t *h, ngx_uint_t n)
{
    h->random ^= h->random >> 12;
    h->random ^= h->random << 25;
    h->random ^= h->random >> 27;

    return (ngx_uint_t) ((h->random * 0x2545f4914f6cdd1dULL) >> 33) % n;
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
