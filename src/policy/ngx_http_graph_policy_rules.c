
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Classifies the facts of an answer by the rules of the configuration and the
 * built-in table, and reads the words in which rules are written.
 *
 * The file is pure: it takes no lock, allocates nothing and remembers nothing
 * between calls.  All memory is the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"


/* JSON readers that use doubles represent integers exactly only below 2^53. */
#define NGX_HTTP_GRAPH_POLICY_CODE_LIMIT   ((int64_t) 1 << 53)
#define NGX_HTTP_GRAPH_POLICY_CODE_DIGITS  16


static void ngx_http_graph_policy_rules_apply(
    ngx_http_graph_policy_rule_t *rule,
    ngx_http_graph_policy_verdict_t *verdict);
static ngx_int_t ngx_http_graph_policy_rules_number(u_char **p, u_char *last,
    int64_t *number);
static ngx_int_t ngx_http_graph_policy_rules_word(ngx_str_t *words,
    ngx_uint_t n, ngx_str_t *name);


void
ngx_http_graph_policy_rules_decide(ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_ruleset_t *set,
    ngx_http_graph_policy_verdict_t *verdict)
{
    int64_t                        subcode;
    ngx_http_graph_policy_row_t   *row;
    ngx_http_graph_policy_rule_t  *rule;

    ngx_memzero(verdict, sizeof(ngx_http_graph_policy_verdict_t));

    verdict->category = NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED;
    verdict->scope = NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST;
    verdict->reason = NGX_HTTP_GRAPH_POLICY_OTHER;

    if (!facts->has_code) {
        return;
    }

    subcode = facts->has_subcode ? facts->subcode : -1;

    /*
     * The table's row is looked up even if a rule matches, as it fills in what
     * the rule omits.
     */

    row = ngx_http_graph_policy_rules_row(facts->code, subcode);

    if (row != NULL) {
        verdict->category = row->category;
        verdict->scope = row->scope;
        verdict->reason = row->reason;
        verdict->matched = 1;
        verdict->bound = row->bound;
        verdict->messages = row->messages;
        verdict->retry = row->retry;
        verdict->refused = row->refused;
        verdict->wait = row->wait;

        /* Meta asks for 4^X seconds, X = 0, 1, 2..., between these tries. */

        if (row->reason == NGX_HTTP_GRAPH_POLICY_PAIR_RATE_LIMIT) {
            verdict->grows = 1;
        }
    }

    rule = (set != NULL) ? ngx_http_graph_policy_rules_find(set, facts->code,
                                                            subcode)
                         : NULL;

    if (rule != NULL) {
        ngx_http_graph_policy_rules_apply(rule, verdict);
        return;
    }

    if (row == NULL && facts->transient) {
        verdict->category = NGX_HTTP_GRAPH_POLICY_TEMPORARY;
        verdict->matched = 1;
        verdict->retry = 1;
    }
}


/*
 * A rule doesn't change "bound" and "messages": only Meta decides which codes
 * prove access to the phone.
 */

static void
ngx_http_graph_policy_rules_apply(ngx_http_graph_policy_rule_t *rule,
    ngx_http_graph_policy_verdict_t *verdict)
{
    verdict->category = rule->category;
    verdict->matched = 1;
    verdict->dry_run = rule->dry_run;
    verdict->hold = rule->hold;

    if (rule->scope != NGX_HTTP_GRAPH_POLICY_UNSET) {
        verdict->scope = rule->scope;
    }

    if (rule->reason != NGX_HTTP_GRAPH_POLICY_UNSET) {
        verdict->reason = rule->reason;
    }

    if (rule->wait != NGX_CONF_UNSET_MSEC) {
        verdict->wait = rule->wait;
        verdict->grows = 0;
    }

    if (rule->retry != NGX_HTTP_GRAPH_POLICY_UNSET) {
        verdict->retry = rule->retry;
    }

    if (rule->refused != NGX_HTTP_GRAPH_POLICY_UNSET) {
        verdict->refused = rule->refused;
    }

    if (rule->category != NGX_HTTP_GRAPH_POLICY_TEMPORARY) {
        verdict->retry = 0;
    }
}


ngx_int_t
ngx_http_graph_policy_rules_codes(u_char **p, u_char *last,
    ngx_http_graph_policy_codes_t *codes)
{
    u_char     *s;
    ngx_int_t   rc;

    s = *p;

    if (s == last) {
        return NGX_DONE;
    }

    codes->first = -1;
    codes->subcode = -1;
    codes->any = 0;

    if (*s == '*') {
        codes->any = 1;
        s++;

        /*
         * An asterisk without a subcode would match every error, so it is
         * refused.
         */

        rc = (s < last && *s == '/') ? NGX_OK : NGX_ERROR;

    } else {
        rc = ngx_http_graph_policy_rules_number(&s, last, &codes->first);
    }

    codes->last = codes->first;

    if (rc == NGX_OK && s < last && *s == '-') {
        s++;
        rc = ngx_http_graph_policy_rules_number(&s, last, &codes->last);

    } else if (rc == NGX_OK && s < last && *s == '/') {
        s++;
        rc = ngx_http_graph_policy_rules_number(&s, last, &codes->subcode);
    }

    if (rc != NGX_OK || codes->last < codes->first) {
        return NGX_ERROR;
    }

    if (s < last) {

        /*
         * The text must not end with a comma: the next call would see only the
         * end and no empty element.
         */

        if (*s != ',' || s + 1 == last) {
            return NGX_ERROR;
        }

        s++;
    }

    *p = s;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_rules_number(u_char **p, u_char *last, int64_t *number)
{
    u_char   *s;
    int64_t   n;

    n = 0;

    for (s = *p; s < last && *s >= '0' && *s <= '9'; s++) {

        if (s - *p == NGX_HTTP_GRAPH_POLICY_CODE_DIGITS) {
            return NGX_ERROR;
        }

        n = n * 10 + (*s - '0');
    }

    if (s == *p || n >= NGX_HTTP_GRAPH_POLICY_CODE_LIMIT) {
        return NGX_ERROR;
    }

    *p = s;
    *number = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_rules_category(ngx_str_t *name)
{
    return ngx_http_graph_policy_rules_word(ngx_http_graph_policy_categories,
                                            NGX_HTTP_GRAPH_POLICY_NCATEGORIES,
                                            name);
}


ngx_int_t
ngx_http_graph_policy_rules_scope(ngx_str_t *name)
{
    return ngx_http_graph_policy_rules_word(ngx_http_graph_policy_scopes,
                                            NGX_HTTP_GRAPH_POLICY_NSCOPES,
                                            name);
}


static ngx_int_t
ngx_http_graph_policy_rules_word(ngx_str_t *words, ngx_uint_t n,
    ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (words[i].len == name->len
            && ngx_memcmp(words[i].data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_http_graph_policy_rules_reason(ngx_str_t *name)
{
    ngx_str_t   *slug;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {

        if (i == NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED) {
            continue;
        }

        slug = &ngx_http_graph_policy_reasons[i].slug;

        if (slug->len == name->len
            && ngx_memcmp(slug->data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_http_graph_policy_row_t *
ngx_http_graph_policy_rules_row(int64_t code, int64_t subcode)
{
    ngx_uint_t                    i, low, high;
    ngx_http_graph_policy_row_t  *row, *any;

    if (code < 0) {
        return NULL;
    }

    any = NULL;

    for (i = 0; subcode >= 0 && i < ngx_http_graph_policy_subcodes_n; i++) {
        row = &ngx_http_graph_policy_subcodes[i];

        if (row->subcode != subcode) {
            continue;
        }

        if (row->first == -1) {
            any = row;
            continue;
        }

        if (code >= row->first && code <= row->last) {
            return row;
        }
    }

    if (any != NULL) {
        return any;
    }

    low = 0;
    high = ngx_http_graph_policy_table_n;

    while (low < high) {
        i = (low + high) / 2;
        row = &ngx_http_graph_policy_table[i];

        if (code < row->first) {
            high = i;

        } else if (code > row->last) {
            low = i + 1;

        } else {
            return row;
        }
    }

    return NULL;
}
