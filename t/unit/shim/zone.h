
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A zone for a unit test, and short words for what is done with it.  A test
 * program is one file, hence the statics.
 *
 *     zone_start(ZONE_SIZE);
 *     id = zone_who("10001", NULL, 7);
 *     zone_fail(&id, 133010, ANSWER);
 *     is_int(zone_ask(&id), BLOCK, "...");
 *
 * Each call happens at "now", in milliseconds, which zone_at() moves.
 */


#ifndef _SHIM_ZONE_H_INCLUDED_
#define _SHIM_ZONE_H_INCLUDED_


#include <stdlib.h>
#include <sys/mman.h>

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_fleet.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_learn.h"
#include "ngx_http_graph_policy_zone_list.h"
#include "ngx_http_graph_policy_zone_override.h"
#include "hammer_check.h"
#include "nginx.h"
#include "tap.h"


#define ANSWER        NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER
#define WEBHOOK       NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK
#define API           NGX_HTTP_GRAPH_POLICY_SOURCE_API

#define PASS          NGX_HTTP_GRAPH_POLICY_ADMIT_PASS
#define PROBE         NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE
#define BLOCK         NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK
#define DRY_RUN       NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN

#define NOTHING       NGX_HTTP_GRAPH_POLICY_NOTHING
#define SET           NGX_HTTP_GRAPH_POLICY_SET
#define REARMED       NGX_HTTP_GRAPH_POLICY_REARMED
#define CLEARED       NGX_HTTP_GRAPH_POLICY_CLEARED
#define FREED         NGX_HTTP_GRAPH_POLICY_FREED
#define EVICTED       NGX_HTTP_GRAPH_POLICY_EVICTED
#define AWAITED       NGX_HTTP_GRAPH_POLICY_AWAITED

#define MESSAGE       NGX_HTTP_GRAPH_POLICY_MESSAGE
#define SEND          NGX_HTTP_GRAPH_POLICY_SEND
#define READ          NGX_HTTP_GRAPH_POLICY_READ

#define ACCEPTED      NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED
#define ERROR         NGX_HTTP_GRAPH_POLICY_PROOF_ERROR

#define KEY_CREDENTIAL     NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL
#define KEY_ACCOUNT        NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT
#define KEY_ACCOUNT_PHONE  NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE
#define KEY_PHONE          NGX_HTTP_GRAPH_POLICY_KEY_PHONE
#define KEY_CONVERSATION   NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION
#define KEY_LIMITED        NGX_HTTP_GRAPH_POLICY_KEY_LIMITED

#define TOKEN_INVALID  NGX_HTTP_GRAPH_POLICY_TOKEN_INVALID
#define BILLING        NGX_HTTP_GRAPH_POLICY_BILLING
#define DISCONNECTED   NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED
#define DISCONNECTEDS  NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED
#define RESTRICTED     NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED
#define WINDOW         NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED

#define SECOND        1000ULL
#define MINUTE        60000ULL
#define HOUR          3600000ULL
#define T0            1700000000000ULL

#define ZONE_SIZE     (256 * 1024)
#define ZONE_LARGE    (1024 * 1024)

#define HOLD          10000
#define MAX           900000
#define CONFIRM       8000
#define GATE          HOUR          /* conversations' hold */


typedef ngx_http_graph_policy_identity_t   identity_t;
typedef ngx_http_graph_policy_query_t      query_t;
typedef ngx_http_graph_policy_facts_t      facts_t;
typedef ngx_http_graph_policy_verdict_t    verdict_t;
typedef ngx_http_graph_policy_failure_t    failure_t;
typedef ngx_http_graph_policy_answer_t     answer_t;
typedef ngx_http_graph_policy_ref_t        ref_t;
typedef ngx_http_graph_policy_cover_t      cover_t;
typedef ngx_http_graph_policy_view_t       view_t;
typedef ngx_http_graph_policy_changes_t    changes_t;
typedef ngx_http_graph_policy_cursor_t     cursor_t;
typedef ngx_http_graph_policy_record_t     record_t;
typedef ngx_http_graph_policy_stats_t      stats_t;


static ngx_http_graph_policy_zone_t    *zone;
static ngx_http_graph_policy_shctx_t   *sh;
static ngx_shm_zone_t                   zone_memory;
static ngx_http_graph_policy_share_t    zone_sharing;
static uint64_t                         now;

/* what the last calls have said, or are to say */

static changes_t                        changes;
static cover_t                          cover;
static view_t                           view;
static query_t                          query;
static facts_t                          facts;
static verdict_t                        verdict;
static failure_t                        failure;
static answer_t                         answer;
static ngx_uint_t                       zone_tells;


/* The mutex must be free when changes are told. */

static TAP_UNUSED void
zone_tell(ngx_http_graph_policy_zone_t *z, changes_t *told)
{
    zone_tells++;

    if (ngx_http_graph_policy_locks != 0) {
        abort();
    }
}


static TAP_UNUSED void
zone_at(uint64_t at)
{
    now = at;
    shim_clock(at);
}


/* the memory of a pool, as nginx makes it; never given back */

static TAP_UNUSED void
zone_map(size_t size)
{
    ngx_slab_pool_t  *pool;

    pool = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS,
                -1, 0);

    if (pool == MAP_FAILED) {
        abort();
    }

    ngx_memset(pool, 0xa5, size);
    ngx_memzero(pool, sizeof(ngx_slab_pool_t));

    pool->end = (u_char *) pool + size;
    pool->addr = pool;
    pool->mutex.lock = &pool->lock.lock;

    ngx_slab_init(pool);

    ngx_memzero(&zone_memory, sizeof(ngx_shm_zone_t));
    zone_memory.shm.addr = (u_char *) pool;
    zone_memory.shm.log = ngx_cycle->log;
}


static TAP_UNUSED ngx_int_t
zone_new(size_t size, ngx_http_graph_policy_share_t *share)
{
    static ngx_conf_t  cf;
    static ngx_str_t   name = ngx_string("one");

    shim_start();
    zone_at(T0);
    zone_map(size);

    shim_zone = &zone_memory;

    if (ngx_http_graph_policy_zone_add(&cf, &name, size, &zone, zone_tell,
                                       NULL, &zone)
        != NGX_OK)
    {
        abort();
    }

    zone->share = share;
    zone->conversation_hold = GATE;

    if (zone_memory.init(&zone_memory, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    sh = zone->sh;
    ngx_memzero(&changes, sizeof(changes_t));

    return NGX_OK;
}


static TAP_UNUSED void
zone_start(size_t size)
{
    if (zone_new(size, NULL) != NGX_OK) {
        abort();
    }
}


/* A zone of a fleet, in which this host is "here". */

static TAP_UNUSED void
zone_start_shared(size_t size)
{
    ngx_memzero(&zone_sharing, sizeof(ngx_http_graph_policy_share_t));

    zone_sharing.key[0] = 0x1234;
    zone_sharing.key[1] = 0x5678;
    ngx_str_set(&zone_sharing.name, "here");
    zone_sharing.notify = NGX_INVALID_FILE;
    zone_sharing.conversations = 1;

    if (zone_new(size, &zone_sharing) != NGX_OK) {
        abort();
    }
}


/* all that the zone has of its nodes agrees */

static TAP_UNUSED int
zone_agrees(const char *when)
{
    const char  *wrong;

    wrong = hammer_check(zone);

    return is_str(wrong ? wrong : "", "", "the zone agrees with itself %s",
                  when);
}


static TAP_UNUSED void
zone_text(ngx_str_t *text, const char *from)
{
    if (from != NULL) {
        text->data = (u_char *) from;
        text->len = strlen(from);
    }
}


static TAP_UNUSED identity_t
zone_who(const char *phone, const char *account, uint64_t credential)
{
    identity_t  id;

    ngx_memzero(&id, sizeof(identity_t));

    zone_text(&id.phone, phone);
    zone_text(&id.account, account);
    id.credential = credential;

    return id;
}


/* the same who writes to somebody, as all that is known of that is a number */

static TAP_UNUSED identity_t
zone_to(const char *phone, const char *account, uint64_t credential,
    uint64_t conversation)
{
    identity_t  id;

    id = zone_who(phone, account, credential);
    id.conversation = conversation;

    return id;
}


/* A failure by its code, which the built-in table knows. */

static TAP_UNUSED failure_t *
zone_failure(int64_t code, ngx_uint_t source)
{
    ngx_memzero(&facts, sizeof(facts_t));
    facts.has_code = 1;
    facts.code = code;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &verdict);

    ngx_memzero(&failure, sizeof(failure_t));
    failure.verdict = &verdict;
    failure.facts = &facts;
    failure.source = source;
    failure.sent = now;
    failure.now = now;
    failure.status = 400;
    failure.hold = (verdict.category == NGX_HTTP_GRAPH_POLICY_CONTEXT)
                   ? GATE : HOLD;
    failure.max = MAX;
    failure.confirm = CONFIRM;

    return &failure;
}


static TAP_UNUSED void
zone_trace(const char *trace)
{
    facts.trace_len = strlen(trace);
    ngx_memcpy(facts.trace, trace, facts.trace_len);
}


/* Each call gets a copy, as the zone fills in hashes and accounts. */

static TAP_UNUSED ngx_int_t
zone_learn(identity_t *who)
{
    identity_t  id;

    id = *who;

    return ngx_http_graph_policy_zone_learn(zone, &id, &failure, &changes,
                                            &view);
}


static TAP_UNUSED ngx_int_t
zone_fail(identity_t *who, int64_t code, ngx_uint_t source)
{
    zone_failure(code, source);

    return zone_learn(who);
}


/* may it pass?  "query" has been set */

static TAP_UNUSED ngx_uint_t
zone_admit(identity_t *who)
{
    query.identity = *who;

    ngx_memset(&view, 0xee, sizeof(view_t));

    return ngx_http_graph_policy_zone_admit(zone, &query, now, &changes,
                                            &cover, &view);
}


static TAP_UNUSED query_t *
zone_query(void)
{
    ngx_memzero(&query, sizeof(query_t));

    query.kind = MESSAGE;
    query.may_probe = 1;
    query.cooldown = 1;
    query.gate.hold = GATE;

    return &query;
}


/* a message that may probe, at a location with all of the policy on */

static TAP_UNUSED ngx_uint_t
zone_ask(identity_t *who)
{
    zone_query();

    return zone_admit(who);
}


/* The answer to come is that of "who", who has sent just now. */

static TAP_UNUSED answer_t *
zone_answer(identity_t *who, ngx_http_graph_policy_proof_e proof)
{
    ngx_memzero(&answer, sizeof(answer_t));

    answer.proof = proof;
    answer.id = who;
    answer.sent = now;
    answer.now = now;
    answer.status = 200;

    if (proof == ERROR) {
        answer.verdict = &verdict;
        answer.facts = &facts;
        answer.status = 400;
    }

    return &answer;
}


static TAP_UNUSED void
zone_settle(ngx_uint_t i)
{
    ngx_http_graph_policy_zone_settle(zone, &cover.refs[i], &answer, &changes);
}


/* the number of states that the API lists, with the last of them in "view" */

static TAP_UNUSED ngx_uint_t
zone_listed(void)
{
    cursor_t    cursor;
    ngx_uint_t  n, got;
    view_t      views[NGX_HTTP_GRAPH_POLICY_BATCH];

    ngx_memzero(&cursor, sizeof(cursor_t));
    n = 0;

    while (!cursor.done) {
        got = ngx_http_graph_policy_zone_list(zone, &cursor, now, views);
        n += got;

        if (got != 0) {
            view = views[got - 1];
        }
    }

    return n;
}


#endif /* _SHIM_ZONE_H_INCLUDED_ */
