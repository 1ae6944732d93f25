
/*
 * What requests, webhooks, operators and state files do with a zone, at random.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "hammer.h"
#include "ngx_http_graph_policy_state.h"
#include "ngx_http_graph_policy_zone_override.h"


/* several times what the zone has room for */
#define HAMMER_PHONES      3000
#define HAMMER_ACCOUNTS    40
#define HAMMER_TOKENS      300
#define HAMMER_RECIPIENTS  5000


static void hammer_identity(hammer_t *h);
static void hammer_failure(hammer_t *h);
static void hammer_learn(hammer_t *h);
static void hammer_send(hammer_t *h);
static void hammer_hear(hammer_t *h);
static void hammer_operate(hammer_t *h);
static void hammer_list(hammer_t *h);
static void hammer_save(hammer_t *h);
static ngx_uint_t hammer_random(hammer_t *h, ngx_uint_t n);


/* Time goes on by a few milliseconds, so holds end, and memories. */

void
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
