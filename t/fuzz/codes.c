
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any text as the CODES of graph_policy_rule.  What is taken, and
 * which errors it then matches, is compared with a reading of its own.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_rules.h"


#define check(expr)  if (!(expr)) abort()

#define LIMIT   ((int64_t) 1 << 53)
#define MAX     64


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* the number at **p, -1 if there is none; *odd is set if it has many zeroes */

static int64_t
number(const u_char **p, const u_char *last, int *odd)
{
    int64_t        n;
    const u_char  *start;

    start = *p;
    n = 0;

    while (*p != last && **p >= '0' && **p <= '9') {

        if (n < LIMIT) {
            n = n * 10 + (**p - '0');
        }

        (*p)++;
    }

    if (*p - start > 16 && n < LIMIT) {
        *odd = 1;
    }

    return (*p == start || n >= LIMIT) ? -1 : n;
}


/* the elements of a text; -1 if it is malformed */

static int
read_codes(const u_char *p, const u_char *last,
    ngx_http_graph_policy_codes_t *codes, int *odd)
{
    int  n;

    for (n = 0; /* void */ ; n++) {

        memset(&codes[n], 0, sizeof(ngx_http_graph_policy_codes_t));
        codes[n].subcode = -1;

        if (p != last && *p == '*') {
            codes[n].any = 1;
            p++;

            if (p == last || *p != '/') {
                return -1;
            }

        } else {
            codes[n].first = number(&p, last, odd);
            codes[n].last = codes[n].first;

            if (codes[n].first == -1) {
                return -1;
            }
        }

        if (p != last && *p == '-') {
            p++;
            codes[n].last = number(&p, last, odd);

            if (codes[n].last < codes[n].first) {
                return -1;
            }

        } else if (p != last && *p == '/') {
            p++;
            codes[n].subcode = number(&p, last, odd);

            if (codes[n].subcode == -1) {
                return -1;
            }
        }

        if (p == last) {
            return n + 1;
        }

        if (*p++ != ',') {
            return -1;
        }
    }
}


static int
matches(ngx_http_graph_policy_codes_t *codes, int n, int64_t code,
    int64_t subcode)
{
    int  i;

    for (i = 0; i < n; i++) {

        if ((codes[i].any
             || (code >= codes[i].first && code <= codes[i].last))
            && (codes[i].subcode == -1 || codes[i].subcode == subcode))
        {
            return 1;
        }
    }

    return 0;
}


/* an error is ignored just where one of the elements means it */

static void
decide(ngx_http_graph_policy_ruleset_t *set,
    ngx_http_graph_policy_codes_t *codes, int n, int64_t code,
    int64_t subcode)
{
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  verdict;

    if (code < 0 || code >= LIMIT || subcode >= LIMIT) {
        return;
    }

    memset(&facts, 0, sizeof(facts));
    facts.has_code = 1;
    facts.code = code;
    facts.has_subcode = (subcode >= 0);
    facts.subcode = subcode;

    memset(&verdict, 0xff, sizeof(verdict));

    ngx_http_graph_policy_rules_decide(&facts, set, &verdict);

    check((verdict.category == NGX_HTTP_GRAPH_POLICY_IGNORE)
          == matches(codes, n, code, subcode < 0 ? -1 : subcode));
}


/*
 * Errors at all the ends, with all the subcodes that the text names.  An
 * element without a subcode adds none to those that are asked anyhow.
 */

static void
decide_all(ngx_http_graph_policy_rule_t *rule,
    ngx_http_graph_policy_codes_t *codes, int n)
{
    int                               i, j, k;
    void                             *memory;
    int64_t                           subcode;
    ngx_http_graph_policy_ruleset_t   set;

    memory = malloc(ngx_http_graph_policy_rules_memory(rule, 1));
    check(memory != NULL);

    ngx_http_graph_policy_rules_index(&set, rule, 1, memory);

    for (j = -1; j < n; j++) {

        if (j != -1 && codes[j].subcode == -1) {
            continue;
        }

        subcode = (j == -1) ? -1 : codes[j].subcode;

        for (k = -1; k <= 1; k++) {
            decide(&set, codes, n, 100, subcode + k);

            for (i = 0; i < n; i++) {
                decide(&set, codes, n, codes[i].first + k, subcode);
                decide(&set, codes, n, codes[i].first, subcode + k);

                if (codes[i].last != codes[i].first) {
                    decide(&set, codes, n, codes[i].last + k, subcode);
                }
            }
        }
    }

    free(memory);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                             i, n, want, odd;
    u_char                         *text, *p, *before;
    ngx_int_t                       rc;
    ngx_http_graph_policy_rule_t    rule;
    ngx_http_graph_policy_codes_t   own[MAX + 1], codes[MAX + 1];

    if (size > MAX) {
        return 0;
    }

    text = malloc(size);
    check(text != NULL || size == 0);

    if (size != 0) {
        memcpy(text, data, size);
    }

    p = text;
    n = 0;

    for ( ;; ) {
        memset(&codes[n], 0xa5, sizeof(codes[n]));
        before = p;

        rc = ngx_http_graph_policy_rules_codes(&p, text + size, &codes[n]);

        if (rc != NGX_OK) {
            break;
        }

        /* each element takes a byte at least, so that there are no more */

        check(p > before && p <= text + size);
        n++;
    }

    check(rc == NGX_DONE || rc == NGX_ERROR);
    check(rc == NGX_ERROR || p == text + size);
    check(size == 0 || memcmp(text, data, size) == 0);

    if (size == 0) {
        check(rc == NGX_DONE && n == 0);
        free(text);
        return 0;
    }

    odd = 0;
    want = read_codes(text, text + size, own, &odd);

    free(text);

    /* whether zeroes may stand before a number without end isn't told */

    if (odd) {
        return 0;
    }

    check((want == -1) == (rc == NGX_ERROR));

    if (rc == NGX_ERROR) {
        return 0;
    }

    check(n == want);

    for (i = 0; i < n; i++) {
        check(codes[i].any == own[i].any && codes[i].subcode == own[i].subcode);
        check(codes[i].any || (codes[i].first == own[i].first
                               && codes[i].last == own[i].last));
    }

    memset(&rule, 0, sizeof(rule));
    rule.codes = codes;
    rule.ncodes = n;
    rule.category = NGX_HTTP_GRAPH_POLICY_IGNORE;
    rule.scope = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule.reason = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule.retry = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule.refused = NGX_HTTP_GRAPH_POLICY_UNSET;
    rule.wait = NGX_CONF_UNSET_MSEC;

    decide_all(&rule, own, n);

    return 0;
}
