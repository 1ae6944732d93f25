
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * An upstream's error is classified here: its body is inflated, read and
 * judged by the rules, its headers are read for a wait, and the zone learns it.
 *
 * Lock rule: none of its own; the zone is called once.  Memory: buffers for
 * inflating and parsing are freed before the return.  Bodies are hostile: their
 * size is bounded by graph_policy_buffer_size, and headers that describe them
 * aren't trusted.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_backoff.h"
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_classify.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_counters.h"
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_held.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_count.h"
#include "ngx_http_graph_policy_zone_learn.h"


static void ngx_http_graph_policy_hints(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf);
static void ngx_http_graph_policy_quota(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_str_t *account);
static void ngx_http_graph_policy_usage(ngx_http_request_t *r,
    ngx_str_t *value, ngx_str_t *account,
    ngx_http_graph_policy_usage_t *usage);
static ngx_int_t ngx_http_graph_policy_read(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, size_t bound);
static ngx_int_t ngx_http_graph_policy_parse(ngx_http_request_t *r,
    u_char *body, size_t size, ngx_http_graph_policy_facts_t *facts);
static void ngx_http_graph_policy_spend(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view);
static ngx_msec_t ngx_http_graph_policy_delay(ngx_str_t *value);


void
ngx_http_graph_policy_classify(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    if (ngx_http_graph_policy_read(r, ctx, glcf->buffer_size) != NGX_OK) {
        ngx_memzero(&ctx->facts, sizeof(ngx_http_graph_policy_facts_t));
    }

    ngx_http_graph_policy_rules_decide(&ctx->facts, glcf->ruleset,
                                       &ctx->verdict);
    ctx->classified = 1;

    if (ctx->verdict.category == NGX_HTTP_GRAPH_POLICY_TEMPORARY) {
        ngx_http_graph_policy_hints(r, ctx, glcf);
    }
}


/*
 * Graph may ask for a wait in several headers; the longest one counts.  Usage
 * headers come with any answer, so they are read only for errors about usage.
 */

static void
ngx_http_graph_policy_hints(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    int64_t                         code;
    ngx_str_t                       account;
    ngx_uint_t                      i;
    ngx_msec_t                      hint;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    ngx_http_graph_policy_usage_t   usage;

    code = ctx->facts.code;
    ngx_str_null(&account);

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash == 0) {
            continue;
        }

        if (ngx_http_graph_policy_is_named(&h[i].key, "Retry-After")) {
            hint = ngx_http_graph_policy_delay(&h[i].value);
            ctx->hint = ngx_max(ctx->hint, hint);

        } else if (ngx_http_graph_policy_is_business_quota(code)
                   && ngx_http_graph_policy_is_named(&h[i].key,
                                                "X-Business-Use-Case-Usage"))
        {
            ngx_http_graph_policy_quota(r, ctx, glcf, &account);
            ngx_http_graph_policy_usage(r, &h[i].value, &account, &usage);

            hint = (ngx_msec_t) usage.regain * 60000;
            ctx->hint = ngx_max(ctx->hint, hint);

        } else if (ngx_http_graph_policy_is_app_quota(code)
                   && ngx_http_graph_policy_is_named(&h[i].key, "X-App-Usage"))
        {
            ngx_http_graph_policy_usage(r, &h[i].value, &account, &usage);

            ctx->exhausted |= usage.exhausted;
        }
    }
}


/*
 * Finds the account whose quota is meant; it stays empty if that is unknown.
 * Usage headers have Meta's ids, which are digits; an account that operators
 * name in another way can't be found among them.
 */

static void
ngx_http_graph_policy_quota(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_str_t *account)
{
    ngx_uint_t                        i;
    ngx_http_graph_policy_endpoint_t  endpoint;

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);
    ngx_http_graph_policy_identify(r, ctx, glcf, &endpoint);
    ngx_http_graph_policy_zone_account(glcf->zone, &ctx->query.identity);

    *account = ctx->query.identity.account;

    for (i = 0; i < account->len; i++) {

        if (account->data[i] < '0' || account->data[i] > '9') {
            ngx_str_null(account);
        }
    }
}


static void
ngx_http_graph_policy_usage(ngx_http_request_t *r, ngx_str_t *value,
    ngx_str_t *account, ngx_http_graph_policy_usage_t *usage)
{
    void  *arena;

    ngx_memzero(usage, sizeof(ngx_http_graph_policy_usage_t));

    arena = ngx_alloc(ngx_http_graph_policy_json_arena(value->len),
                      r->connection->log);
    if (arena == NULL) {
        return;
    }

    (void) ngx_http_graph_policy_json_usage(value->data, value->len, arena,
                                            account, usage);
    ngx_free(arena);
}


static ngx_int_t
ngx_http_graph_policy_read(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, size_t bound)
{
    u_char     *allocated;
    ngx_int_t   rc;
    ngx_str_t   text;

    if (ngx_http_graph_policy_plain_body(r, ctx, bound, &text, &allocated)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_graph_policy_parse(r, text.data, text.len, &ctx->facts);

    if (allocated != NULL) {
        ngx_free(allocated);
    }

    return rc;
}


static ngx_int_t
ngx_http_graph_policy_parse(ngx_http_request_t *r, u_char *body, size_t size,
    ngx_http_graph_policy_facts_t *facts)
{
    void       *arena;
    size_t      need;
    uint64_t    small[NGX_HTTP_GRAPH_POLICY_SMALL / sizeof(uint64_t)];
    ngx_int_t   rc;

    need = ngx_http_graph_policy_json_arena(size);

    if (need <= sizeof(small)) {
        return ngx_http_graph_policy_json_parse(body, size, small, facts);
    }

    arena = ngx_alloc(need, r->connection->log);
    if (arena == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_graph_policy_json_parse(body, size, arena, facts);

    ngx_free(arena);

    return rc;
}


/* Such a state covers no other credential, so it can't block others. */

#define ngx_http_graph_policy_is_own(verdict)                                 \
    ((verdict)->bound                                                         \
     || (verdict)->scope == NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL)


/* Learns the error, which sets a state only if it answers a send. */

void
ngx_http_graph_policy_learn_answer(ngx_http_request_t *r,
    ngx_http_graph_policy_ctx_t *ctx, ngx_http_graph_policy_loc_conf_t *glcf)
{
    ngx_int_t                         rc;
    ngx_http_graph_policy_view_t      view;
    ngx_http_graph_policy_asked_t     asked;
    ngx_http_graph_policy_limits_t    limits;
    ngx_http_graph_policy_changes_t   changes;
    ngx_http_graph_policy_outcome_t   outcome;
    ngx_http_graph_policy_failure_t   failure;
    ngx_http_graph_policy_endpoint_t  endpoint;

    ngx_http_graph_policy_limits(glcf, glcf->zone->conversation_hold, &limits);

    if (!ngx_http_graph_policy_outcome(&ctx->verdict,
                                       NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER,
                                       ctx->hint, &limits, &outcome))
    {
        return;
    }

    ngx_http_graph_policy_endpoint_of(r, glcf, &endpoint);

    /*
     * Graph may read a target that isn't in normal form otherwise than nginx,
     * and the error may then be about another phone.
     */

    if (!ngx_http_graph_policy_is_own(&ctx->verdict)
        && !ngx_http_graph_policy_is_plain_target(r))
    {
        return;
    }

    asked.send = endpoint.send;
    asked.message = (endpoint.kind == NGX_HTTP_GRAPH_POLICY_MESSAGE);
    asked.messages = endpoint.messages;

    if (!ngx_http_graph_policy_outcome_of_request(&ctx->verdict, &asked)) {
        return;
    }

    ngx_http_graph_policy_identify(r, ctx, glcf, &endpoint);
    ngx_http_graph_policy_identify_credential(r, ctx, glcf);

    failure.verdict = &ctx->verdict;
    failure.facts = &ctx->facts;
    failure.source = NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER;
    failure.status = r->upstream->headers_in.status_n;
    failure.credential = ctx->query.identity.credential;
    failure.lease = ctx->query.lease;
    failure.now = ngx_http_graph_policy_now();
    failure.sent = ngx_http_graph_policy_sent(r);
    failure.hold = outcome.hold;
    failure.max = outcome.max;
    failure.confirm = outcome.confirm;

    if (ctx->verdict.scope == NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION) {
        ngx_http_graph_policy_identify_message(r, ctx, glcf);
    }

    ngx_http_graph_policy_changes_of(&changes, r, ctx->log_level);

    rc = ngx_http_graph_policy_zone_learn(glcf->zone, &ctx->query.identity,
                                          &failure, &changes, &view);

    if (rc != NGX_OK) {
        return;
    }

    ngx_http_graph_policy_spend(ctx, &view);

    /* A retry before the state is due would be blocked by it. */

    if (ctx->verdict.category == NGX_HTTP_GRAPH_POLICY_TEMPORARY
        && view.until > failure.now)
    {
        ctx->hint = ngx_max(ctx->hint, (ngx_msec_t)
                                       (view.until - failure.now));
    }
}


/* Drops the lease of a state that the probe's own answer has re-armed. */

static void
ngx_http_graph_policy_spend(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_view_t *view)
{
    ngx_uint_t                    i;
    ngx_http_graph_policy_ref_t  *ref;

    if (view->transition != NGX_HTTP_GRAPH_POLICY_REARMED) {
        return;
    }

    for (i = 0; i < ctx->nrefs; i++) {
        ref = &ctx->refs[i];

        if (ref->lease != 0 && ref->hash == view->hash
            && ref->reason == view->stored_reason)
        {
            ngx_http_graph_policy_zone_count_probe(ctx->zone,
                                         NGX_HTTP_GRAPH_POLICY_PROBE_REARMED);
            ref->lease = 0;
        }
    }
}


void
ngx_http_graph_policy_limits(ngx_http_graph_policy_loc_conf_t *glcf,
    ngx_msec_t conversation_hold, ngx_http_graph_policy_limits_t *limits)
{
    limits->hold = glcf->hold;
    limits->hold_max = glcf->hold_max;
    limits->confirm = glcf->confirm;
    limits->conversation_hold = conversation_hold;
    limits->cooldown = (glcf->cooldown != 0);
}


/*
 * Converts a Retry-After, which is in seconds or a date (RFC 9110, 10.2.3), to
 * milliseconds; returns 0 if it is neither.
 */

static ngx_msec_t
ngx_http_graph_policy_delay(ngx_str_t *value)
{
    time_t  wait;

    wait = ngx_atotm(value->data, value->len);

    if (wait == NGX_ERROR) {
        wait = ngx_parse_http_time(value->data, value->len);

        if (wait == NGX_ERROR || wait <= ngx_time()) {
            return 0;
        }

        wait -= ngx_time();
    }

    wait = ngx_min(wait, NGX_HTTP_GRAPH_POLICY_MAX_HINT / 1000);

    return (ngx_msec_t) wait * 1000;
}
