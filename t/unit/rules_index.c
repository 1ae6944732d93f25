
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the rules' index: it finds what a walk over the rules finds, for
 * rules and codes that are made up at random.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "ngx_http_graph_policy_rules.h"
#include "tap.h"


#define NRULES  40
#define NCODES  4


typedef ngx_http_graph_policy_rule_t   rule_t;
typedef ngx_http_graph_policy_codes_t  codes_t;


static uint64_t  seed = 20260101;


/* Returns a number below "n"; each run has the same ones. */

static int64_t
below(int64_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;

    return (int64_t) ((seed >> 33) % (uint64_t) n);
}


/* The rules in their order, the first match wins: this defines the result. */

static rule_t *
walk(rule_t *rules, ngx_uint_t n, int64_t code, int64_t subcode)
{
    codes_t     *c;
    ngx_uint_t   i, j;

    for (i = 0; i < n; i++) {

        for (j = 0; j < rules[i].ncodes; j++) {
            c = &rules[i].codes[j];

            if ((c->any || (code >= c->first && code <= c->last))
                && (c->subcode == -1 || c->subcode == subcode))
            {
                return &rules[i];
            }
        }
    }

    return NULL;
}


static void
make_codes(codes_t *c, int64_t span)
{
    memset(c, 0, sizeof(codes_t));

    c->subcode = -1;
    c->first = below(span);
    c->last = c->first;

    switch (below(6)) {

    case 0:
        c->any = 1;
        c->first = -1;
        c->last = -1;
        c->subcode = below(6);
        break;

    case 1:
        c->subcode = below(6);
        break;

    case 2:
    case 3:
        c->last += below(span / 4 + 1);
        break;

    default:
        break;
    }
}


/* Returns how many codes were found otherwise than by the walk. */

static int
compare(ngx_uint_t n, int64_t span)
{
    int                               differ;
    void                             *memory;
    rule_t                            rules[NRULES];
    int64_t                           code, subcode;
    codes_t                           codes[NRULES][NCODES];
    ngx_uint_t                        i, j;
    ngx_http_graph_policy_ruleset_t   set;

    memset(rules, 0, sizeof(rules));

    for (i = 0; i < n; i++) {
        rules[i].codes = codes[i];
        rules[i].ncodes = 1 + below(NCODES);

        for (j = 0; j < rules[i].ncodes; j++) {
            make_codes(&codes[i][j], span);
        }
    }

    /* The sanitizers find it if this isn't enough. */

    memory = malloc(ngx_http_graph_policy_rules_memory(rules, n));
    ngx_http_graph_policy_rules_index(&set, rules, n, memory);

    differ = 0;

    for (code = 0; code < span + span / 4 + 2; code++) {

        for (subcode = -1; subcode < 7; subcode++) {
            differ += (ngx_http_graph_policy_rules_find(&set, code, subcode)
                       != walk(rules, n, code, subcode));
        }
    }

    free(memory);

    return differ;
}


int
main(void)
{
    int         i, differ;
    ngx_uint_t  n;

    static const int64_t  spans[] = { 1, 2, 7, 40, 300 };

    is_int(compare(0, 10), 0, "without rules nothing is found");

    for (n = 1; n <= NRULES; n = n * 2 + 1) {
        differ = 0;

        for (i = 0; i < 300; i++) {
            differ += compare(n, spans[i % 5]);
        }

        is_int(differ, 0, "%d random rules are found as a walk finds them",
               (int) n);
    }

    return tap_done();
}
