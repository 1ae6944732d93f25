
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Finds the first rule that names a code, by an index of sorted ranges.  Pure:
 * takes no lock and allocates nothing; all memory is the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_rules.h"


#define NGX_HTTP_GRAPH_POLICY_NO_RULE  ((ngx_uint_t) -1)


static ngx_uint_t ngx_http_graph_policy_rules_count(
    ngx_http_graph_policy_rule_t *rules, ngx_uint_t n);
static void ngx_http_graph_policy_rules_bounds(
    ngx_http_graph_policy_ruleset_t *set);
static void ngx_http_graph_policy_rules_claim(
    ngx_http_graph_policy_ruleset_t *set, ngx_uint_t *next,
    ngx_http_graph_policy_codes_t *codes, ngx_uint_t rule);
static ngx_uint_t ngx_http_graph_policy_rules_range(
    ngx_http_graph_policy_ruleset_t *set, int64_t code);
static ngx_uint_t ngx_http_graph_policy_rules_pair(
    ngx_http_graph_policy_ruleset_t *set, int64_t subcode, int64_t code);
static void ngx_http_graph_policy_rules_merge(
    ngx_http_graph_policy_ruleset_t *set);
static int ngx_libc_cdecl ngx_http_graph_policy_rules_cmp_ranges(
    const void *one, const void *two);
static int ngx_libc_cdecl ngx_http_graph_policy_rules_cmp_pairs(
    const void *one, const void *two);


size_t
ngx_http_graph_policy_rules_memory(ngx_http_graph_policy_rule_t *rules,
    ngx_uint_t n)
{
    ngx_uint_t  ncodes;

    ncodes = ngx_http_graph_policy_rules_count(rules, n);

    /*
     * Codes begin a range and end it, and one more is in front of all; for
     * each range there is a number while the index is made.
     */

    return (2 * ncodes + 1) * (sizeof(ngx_http_graph_policy_range_t)
                               + sizeof(ngx_uint_t))
           + ncodes * sizeof(ngx_http_graph_policy_pair_t);
}


static ngx_uint_t
ngx_http_graph_policy_rules_count(ngx_http_graph_policy_rule_t *rules,
    ngx_uint_t n)
{
    ngx_uint_t  i, ncodes;

    ncodes = 0;

    for (i = 0; i < n; i++) {
        ncodes += rules[i].ncodes;
    }

    return ncodes;
}


void
ngx_http_graph_policy_rules_index(ngx_http_graph_policy_ruleset_t *set,
    ngx_http_graph_policy_rule_t *rules, ngx_uint_t n, void *memory)
{
    ngx_uint_t                      i, j, ncodes, *next;
    ngx_http_graph_policy_pair_t   *pair;
    ngx_http_graph_policy_codes_t  *codes;

    ncodes = ngx_http_graph_policy_rules_count(rules, n);

    set->rules = rules;
    set->n = n;
    set->ranges = memory;
    set->pairs = (ngx_http_graph_policy_pair_t *)
                                          &set->ranges[2 * ncodes + 1];
    set->npairs = 0;

    ngx_http_graph_policy_rules_bounds(set);

    next = (ngx_uint_t *) &set->pairs[ncodes];

    for (i = 0; i < set->nranges; i++) {
        next[i] = i;
    }

    for (i = 0; i < n; i++) {

        for (j = 0; j < rules[i].ncodes; j++) {
            codes = &rules[i].codes[j];

            if (codes->subcode == -1) {
                ngx_http_graph_policy_rules_claim(set, next, codes, i);
                continue;
            }

            pair = &set->pairs[set->npairs++];

            pair->subcode = codes->subcode;
            pair->code = codes->any ? -1 : codes->first;
            pair->rule = i;
        }
    }

    ngx_qsort(set->pairs, set->npairs, sizeof(ngx_http_graph_policy_pair_t),
              ngx_http_graph_policy_rules_cmp_pairs);

    ngx_http_graph_policy_rules_merge(set);
}


/*
 * Makes the ranges, of no rule as yet: one begins at each code at which a
 * range of some rule begins or behind which it ends, and one below all codes.
 */

static void
ngx_http_graph_policy_rules_bounds(ngx_http_graph_policy_ruleset_t *set)
{
    ngx_uint_t                      i, j, n;
    ngx_http_graph_policy_codes_t  *codes;
    ngx_http_graph_policy_range_t  *range;

    range = set->ranges;
    range->first = -1;
    range->rule = NGX_HTTP_GRAPH_POLICY_NO_RULE;
    range++;

    for (i = 0; i < set->n; i++) {

        for (j = 0; j < set->rules[i].ncodes; j++) {
            codes = &set->rules[i].codes[j];

            if (codes->subcode != -1) {
                continue;
            }

            range->first = codes->first;
            range->rule = NGX_HTTP_GRAPH_POLICY_NO_RULE;
            range++;

            range->first = codes->last + 1;
            range->rule = NGX_HTTP_GRAPH_POLICY_NO_RULE;
            range++;
        }
    }

    n = range - set->ranges;

    ngx_qsort(set->ranges, n, sizeof(ngx_http_graph_policy_range_t),
              ngx_http_graph_policy_rules_cmp_ranges);

    set->nranges = 1;

    for (i = 1; i < n; i++) {

        if (set->ranges[i].first
            != set->ranges[set->nranges - 1].first)
        {
            set->ranges[set->nranges++] = set->ranges[i];
        }
    }
}


/*
 * Gives a rule all ranges of its codes that no rule before it has.  "next"
 * leads from each range towards the first one behind it that is still free, or
 * to itself, so that ranges which are taken aren't visited again and again.
 */

static void
ngx_http_graph_policy_rules_claim(ngx_http_graph_policy_ruleset_t *set,
    ngx_uint_t *next, ngx_http_graph_policy_codes_t *codes, ngx_uint_t rule)
{
    ngx_uint_t  i, j, behind;

    i = ngx_http_graph_policy_rules_range(set, codes->first);

    while (i < set->nranges && set->ranges[i].first <= codes->last) {

        if (set->ranges[i].rule == NGX_HTTP_GRAPH_POLICY_NO_RULE) {
            set->ranges[i].rule = rule;
            next[i] = i + 1;
        }

        /* The way is made shorter for those who come after. */

        for (behind = next[i]; behind < set->nranges && next[behind] != behind;
             behind = next[behind])
        {
            /* void */
        }

        while (i < behind) {
            j = next[i];
            next[i] = behind;
            i = j;
        }
    }
}


/* Drops ranges that are those before them, and pairs that come too late. */

static void
ngx_http_graph_policy_rules_merge(ngx_http_graph_policy_ruleset_t *set)
{
    ngx_uint_t                      i, n;
    ngx_http_graph_policy_pair_t   *pairs;
    ngx_http_graph_policy_range_t  *ranges;

    ranges = set->ranges;

    for (i = 1, n = 1; i < set->nranges; i++) {
        if (ranges[i].rule != ranges[n - 1].rule) {
            ranges[n++] = ranges[i];
        }
    }

    set->nranges = n;

    pairs = set->pairs;

    for (i = 0, n = 0; i < set->npairs; i++) {
        if (n == 0 || pairs[i].subcode != pairs[n - 1].subcode
            || pairs[i].code != pairs[n - 1].code)
        {
            pairs[n++] = pairs[i];
        }
    }

    set->npairs = n;
}


ngx_http_graph_policy_rule_t *
ngx_http_graph_policy_rules_find(ngx_http_graph_policy_ruleset_t *set,
    int64_t code, int64_t subcode)
{
    ngx_uint_t  i, rule;

    i = ngx_http_graph_policy_rules_range(set, code);
    rule = set->ranges[i].rule;

    if (subcode >= 0 && set->npairs != 0) {
        i = ngx_http_graph_policy_rules_pair(set, subcode, code);
        rule = ngx_min(rule, i);

        i = ngx_http_graph_policy_rules_pair(set, subcode, -1);
        rule = ngx_min(rule, i);
    }

    return (rule != NGX_HTTP_GRAPH_POLICY_NO_RULE) ? &set->rules[rule] : NULL;
}


/* Returns the number of the range that a code is in: the first has no limit. */

static ngx_uint_t
ngx_http_graph_policy_rules_range(ngx_http_graph_policy_ruleset_t *set,
    int64_t code)
{
    ngx_uint_t  low, high, i;

    low = 0;
    high = set->nranges;

    while (high - low > 1) {
        i = low + (high - low) / 2;

        if (code < set->ranges[i].first) {
            high = i;

        } else {
            low = i;
        }
    }

    return low;
}


/* Returns the rule of a pair, or NO_RULE, which is greater than any. */

static ngx_uint_t
ngx_http_graph_policy_rules_pair(ngx_http_graph_policy_ruleset_t *set,
    int64_t subcode, int64_t code)
{
    ngx_uint_t                     low, high, i;
    ngx_http_graph_policy_pair_t  *pair;

    low = 0;
    high = set->npairs;

    while (low < high) {
        i = low + (high - low) / 2;
        pair = &set->pairs[i];

        if (pair->subcode == subcode && pair->code == code) {
            return pair->rule;
        }

        if (subcode < pair->subcode
            || (subcode == pair->subcode && code < pair->code))
        {
            high = i;

        } else {
            low = i + 1;
        }
    }

    return NGX_HTTP_GRAPH_POLICY_NO_RULE;
}


static int ngx_libc_cdecl
ngx_http_graph_policy_rules_cmp_ranges(const void *one, const void *two)
{
    const ngx_http_graph_policy_range_t *a = one;
    const ngx_http_graph_policy_range_t *b = two;

    return (a->first > b->first) - (a->first < b->first);
}


/* Among equals the rule that comes first is sorted first. */

static int ngx_libc_cdecl
ngx_http_graph_policy_rules_cmp_pairs(const void *one, const void *two)
{
    const ngx_http_graph_policy_pair_t *a = one;
    const ngx_http_graph_policy_pair_t *b = two;

    if (a->subcode != b->subcode) {
        return (a->subcode > b->subcode) ? 1 : -1;
    }

    if (a->code != b->code) {
        return (a->code > b->code) ? 1 : -1;
    }

    return (a->rule > b->rule) - (a->rule < b->rule);
}
