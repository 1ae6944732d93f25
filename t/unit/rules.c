
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the rules room.  What is expected is written out here once more,
 * by hand, so that a slip in the table can't agree with itself.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "ngx_http_graph_policy_rules.h"
#include "tap.h"


#ifndef T_SAMPLES
#define T_SAMPLES  "../samples"
#endif

#define NCODES     16


typedef struct {
    int64_t      code;
    int64_t      subcode;
    const char  *category;
    const char  *reason;
    const char  *scope;
    int          bound;
    int          messages;
    ngx_msec_t   wait;
    int          retry;
    int          refused;
} expected_t;


typedef struct {
    int64_t      first;
    int64_t      last;
    int64_t      subcode;
    char         category[32];
    char         reason[32];
    char         scope[32];
    int          retry;
} sample_t;


static const expected_t  contract[] = {

    /* code, subcode, category, reason, scope, */
    /*     bound, messages, wait, retry, refused */

    { 0, -1, "fatal", "token-invalid", "credential", 1, 0, 0, 0, 0 },
    { 190, -1, "fatal", "token-invalid", "credential", 1, 0, 0, 0, 0 },
    { 102, -1, "fatal", "token-invalid", "credential", 1, 0, 0, 0, 0 },

    { 3, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },
    { 10, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },
    { 200, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },
    { 299, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },
    { 131005, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },

    { 368, -1, "fatal", "account-restricted", "account", 0, 0, 0, 0, 0 },
    { 131031, -1, "fatal", "account-restricted", "account", 0, 0, 0, 0, 0 },

    { 131042, -1, "fatal", "billing", "account", 0, 0, 0, 0, 0 },

    { 133010, -1, "fatal", "phone-disconnected", "phone", 0, 0, 0, 0, 0 },
    { 131045, -1, "fatal", "phone-disconnected", "phone", 0, 0, 0, 0, 0 },
    { 33, -1, "fatal", "phone-disconnected", "phone", 1, 0, 0, 0, 0 },
    { 100, 33, "fatal", "phone-disconnected", "phone", 1, 0, 0, 0, 0 },

    { 4, -1, "temporary", "rate-limit", "credential", 0, 0, 60000, 1, 1 },
    { 80007, -1, "temporary", "rate-limit", "account", 0, 0, 60000, 1, 1 },
    { 130429, -1, "temporary", "rate-limit", "phone", 0, 0, 1000, 1, 1 },

    { 131056, -1, "temporary", "pair-rate-limit", "conversation",
      0, 0, 1000, 1, 1 },

    { 131057, -1, "temporary", "maintenance", "phone", 0, 0, 5000, 1, 1 },
    { 2494100, -1, "temporary", "maintenance", "phone", 0, 0, 60000, 1, 1 },
    { 100, 2494100, "temporary", "maintenance", "phone", 0, 0, 60000, 1, 1 },
    { 1, 2494100, "temporary", "maintenance", "phone", 0, 0, 60000, 1, 1 },
    { 999999, 2494100, "temporary", "maintenance", "phone",
      0, 0, 60000, 1, 1 },

    { 1, -1, "temporary", "server-error", "request", 0, 0, 0, 1, 0 },
    { 131000, -1, "temporary", "server-error", "request", 0, 0, 0, 1, 0 },

    { 131016, -1, "temporary", "service-unavailable", "phone", 0, 0, 0, 1, 1 },
    { 133004, -1, "temporary", "service-unavailable", "phone", 0, 0, 0, 1, 1 },
    { 2, -1, "temporary", "service-unavailable", "phone", 0, 0, 0, 1, 1 },

    { 131047, -1, "context-limited", "window-expired", "conversation",
      0, 0, 0, 0, 0 },
    { 131026, -1, "context-limited", "undeliverable", "conversation",
      0, 0, 0, 0, 0 },
    { 131048, -1, "context-limited", "spam-quality", "conversation",
      0, 0, 0, 0, 0 },
    { 131064, -1, "context-limited", "spam-quality", "conversation",
      0, 0, 0, 0, 0 },
    { 131052, -1, "context-limited", "media-download", "request",
      0, 0, 0, 0, 0 },
    { 131053, -1, "context-limited", "media-upload", "request",
      0, 0, 0, 0, 0 },

    /* the others that are more than a category */

    { 104, -1, "request", "other", "request", 1, 0, 0, 0, 0 },
    { 131037, -1, "fatal", "other", "phone", 0, 0, 0, 0, 0 },
    { 131044, -1, "fatal", "other", "request", 0, 0, 0, 0, 0 },
    { 17, -1, "temporary", "other", "account", 0, 0, 0, 1, 1 },
    { 32, -1, "temporary", "other", "account", 0, 0, 0, 1, 1 },
    { 613, -1, "temporary", "other", "account", 0, 0, 0, 1, 1 },
    { 80008, -1, "temporary", "other", "account", 0, 0, 0, 1, 1 },
    { 341, -1, "temporary", "other", "account", 0, 0, 0, 1, 0 },
    { 131208, -1, "temporary", "other", "request", 0, 0, 0, 1, 1 },
    { 133015, -1, "temporary", "other", "phone", 0, 0, 300000, 1, 1 },
    { 133016, -1, "temporary", "other", "phone", 0, 0, 0, 0, 1 },
    { 134101, -1, "temporary", "other", "request", 0, 0, 0, 0, 1 },
    { 138005, -1, "temporary", "other", "request", 0, 0, 0, 1, 1 },
    { 139102, -1, "temporary", "other", "request", 0, 0, 0, 1, 0 },
    { 139103, -1, "temporary", "other", "request", 0, 0, 0, 1, 0 },
    { 130403, -1, "context-limited", "other", "conversation", 0, 0, 0, 0, 0 },
    { 130497, -1, "context-limited", "other", "conversation", 0, 0, 0, 0, 0 },
    { 130472, -1, "context-limited", "other", "request", 0, 0, 0, 0, 0 },
    { 131049, -1, "context-limited", "other", "request", 0, 0, 0, 0, 0 },
    { 131050, -1, "context-limited", "other", "request", 0, 0, 0, 0, 0 },

    /* a subcode that no row names leaves its code's row in force */

    { 190, 463, "fatal", "token-invalid", "credential", 1, 0, 0, 0, 0 },
    { 200, 1349174, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },
    { 4, 2446079, "temporary", "rate-limit", "credential", 0, 0, 60000, 1, 1 },
    { 130429, 2494055, "temporary", "rate-limit", "phone", 0, 0, 1000, 1, 1 },
    { 100, 0, "request", "other", "request", 0, 0, 0, 0, 0 },
    { 100, 34, "request", "other", "request", 0, 0, 0, 0, 0 },
    { 190, 33, "fatal", "token-invalid", "credential", 1, 0, 0, 0, 0 }
};


/* rows of scope "conversation" or "phone" in the list that take "request" */

static const int64_t  request_scope[] = {
    130472, 131041, 131043, 131044, 131049, 131050, 131207, 131208, 137000,
    138001, 138005, 138006, 138009
};


/* a rule that omits everything, and what it makes of an answer */

static const struct {
    const char  *codes;
    ngx_uint_t   category;
    expected_t   e;
    const char  *title;
} omitted[] = {

    { "131056", NGX_HTTP_GRAPH_POLICY_TEMPORARY,
      { 131056, -1, "temporary", "pair-rate-limit", "conversation",
        0, 0, 1000, 1, 1 },
      "what a rule omits comes from the built-in row" },

    { "131000", NGX_HTTP_GRAPH_POLICY_TEMPORARY,
      { 131000, -1, "temporary", "server-error", "request",
        0, 0, 0, 1, 0 },
      "an unknown outcome too" },

    { "*/2494100", NGX_HTTP_GRAPH_POLICY_TEMPORARY,
      { 100, 2494100, "temporary", "maintenance", "phone",
        0, 0, 60000, 1, 1 },
      "the row is the subcode's where there is one" },

    { "4", NGX_HTTP_GRAPH_POLICY_FATAL,
      { 4, -1, "fatal", "rate-limit", "credential", 0, 0, 60000, 0, 1 },
      "a rule that isn't temporary is never retried" },

    { "131042", NGX_HTTP_GRAPH_POLICY_TEMPORARY,
      { 131042, -1, "temporary", "billing", "account", 0, 0, 0, 0, 0 },
      "temporary alone doesn't make a fatal code retryable" },

    { "999999", NGX_HTTP_GRAPH_POLICY_FATAL,
      { 999999, -1, "fatal", "other", "request", 0, 0, 0, 0, 0 },
      "a code without a row: scope request, reason other" },

    { "999999", NGX_HTTP_GRAPH_POLICY_TEMPORARY,
      { 999999, -1, "temporary", "other", "request", 0, 0, 0, 0, 0 },
      "a code without a row: no retry, outcome unknown" },

    { "190", NGX_HTTP_GRAPH_POLICY_REQUEST,
      { 190, -1, "request", "token-invalid", "credential", 1, 0, 0, 0, 0 },
      "a credential-bound code stays one under a rule" },

    { "131005", NGX_HTTP_GRAPH_POLICY_FATAL,
      { 131005, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0 },
      "so does one that only messages may report" },

    { "104", NGX_HTTP_GRAPH_POLICY_FATAL,
      { 104, -1, "fatal", "other", "request", 1, 0, 0, 0, 0 },
      "code 104 is credential-bound though no state is built in" },

    { "*/463", NGX_HTTP_GRAPH_POLICY_FATAL,
      { 190, 463, "fatal", "token-invalid", "credential", 1, 0, 0, 0, 0 },
      "a rule for any code fills in from the code that came" },

    { "100", NGX_HTTP_GRAPH_POLICY_REQUEST,
      { 100, 33, "request", "phone-disconnected", "phone",
        1, 0, 0, 0, 0 },
      "a rule without a subcode wins over a row with one" }
};


static const struct {
    const char  *text;
    ngx_uint_t   n;
} well_formed[] = {
    { "0", 1 },
    { "131042", 1 },
    { "200-299", 1 },
    { "5-5", 1 },
    { "100/33", 1 },
    { "0/0", 1 },
    { "*/2494100", 1 },
    { "9007199254740991", 1 },
    { "0-9007199254740991", 1 },
    { "1,2,3", 3 },
    { "131042,200-299,100/33,*/2494100", 4 }
};


static const char  *malformed[] = {
    " ", " 1", "1 ", "1, 2", "1 ,2", ",", ",1", "1,", "1,,2", "1,2,",
    "5-3", "-", "-1", "1-", "1--2", "1-2-3", "1-2/3", "5-5/3", "1/2-3",
    "*", "**", "*/", "*/*", "*-1", "*1", "1*", "*/1-2", "*,1", "/", "/33",
    "1/", "1/*", "1//2", "1/2/3", "x", "1x", "0x10", "+1", "1.0", "1;2",
    "1\t", "\n", "9007199254740992", "0-9007199254740992",
    "1/9007199254740992", "99999999999999999999", "18446744073709551617",
    "1-99999999999999999999", "1/99999999999999999999",
    "00000000000000000001"
};


static const char *
word(ngx_str_t *s)
{
    return (const char *) s->data;
}


static ngx_str_t
str(const char *text)
{
    ngx_str_t  s;

    s.len = strlen(text);
    s.data = (u_char *) text;

    return s;
}


/* Decides by rules whose index lasts as long as the call. */

static void
decide_by(ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_rule_t *rules, ngx_uint_t n,
    ngx_http_graph_policy_verdict_t *v)
{
    void                             *memory;
    ngx_http_graph_policy_ruleset_t   set;

    memory = malloc(ngx_http_graph_policy_rules_memory(rules, n));

    ngx_http_graph_policy_rules_index(&set, rules, n, memory);
    ngx_http_graph_policy_rules_decide(facts, &set, v);

    free(memory);
}



static void
decide(int64_t code, int64_t subcode, ngx_http_graph_policy_rule_t *rules,
    ngx_uint_t n, ngx_http_graph_policy_verdict_t *v)
{
    ngx_http_graph_policy_facts_t  facts;

    memset(&facts, 0, sizeof(facts));

    facts.has_code = 1;
    facts.code = code;

    if (subcode != -1) {
        facts.has_subcode = 1;
        facts.subcode = subcode;
    }

    /* what was in the verdict before must not show through */

    memset(v, 0xff, sizeof(ngx_http_graph_policy_verdict_t));

    decide_by(&facts, rules, n, v);
}


/* the one code whose built-in wait grows from try to try */

static unsigned
grows(int64_t code)
{
    return code == 131056;
}


/* returns 1 if the verdict is the expected one, else says what it is */

static int
same(ngx_http_graph_policy_verdict_t *v, const expected_t *e)
{
    const char  *category, *reason, *scope;

    category = word(&ngx_http_graph_policy_categories[v->category]);
    reason = word(&ngx_http_graph_policy_reasons[v->reason].slug);
    scope = word(&ngx_http_graph_policy_scopes[v->scope]);

    if (strcmp(category, e->category) == 0
        && strcmp(reason, e->reason) == 0
        && strcmp(scope, e->scope) == 0
        && v->matched == 1
        && v->dry_run == 0
        && v->hold == 0
        && v->bound == (unsigned) e->bound
        && v->messages == (unsigned) e->messages
        && v->wait == e->wait
        && v->retry == (unsigned) e->retry
        && v->refused == (unsigned) e->refused
        && v->grows == (e->wait == 1000 && grows(e->code)))
    {
        return 1;
    }

    diag("got %s, %s, %s, matched %d, dry run %d, bound %d, messages %d,"
         " wait %lu, retry %d, refused %d, grows %d", category, reason, scope,
         (int) v->matched, (int) v->dry_run, (int) v->bound,
         (int) v->messages, (unsigned long) v->wait, (int) v->retry,
         (int) v->refused, (int) v->grows);

    return 0;
}


static int
unknown(int64_t code)
{
    ngx_http_graph_policy_verdict_t  v;

    decide(code, -1, NULL, 0, &v);

    return v.category == NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED
           && v.matched == 0
           && v.scope == NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST
           && v.bound == 0 && v.messages == 0 && v.retry == 0
           && v.refused == 0 && v.dry_run == 0 && v.wait == 0 && v.hold == 0
           && v.grows == 0;
}


static void
test_contract(void)
{
    size_t                           i;
    const expected_t                *e;
    ngx_http_graph_policy_verdict_t  v;

    for (i = 0; i < sizeof(contract) / sizeof(contract[0]); i++) {
        e = &contract[i];

        decide(e->code, e->subcode, NULL, 0, &v);

        if (e->subcode == -1) {
            ok(same(&v, e), "%jd is %s, %s, of one %s", (intmax_t) e->code,
               e->category, e->reason, e->scope);

        } else {
            ok(same(&v, e), "%jd/%jd is %s, %s, of one %s",
               (intmax_t) e->code, (intmax_t) e->subcode, e->category,
               e->reason, e->scope);
        }
    }
}


static void
test_permissions(void)
{
    int                              bad;
    int64_t                          code;
    ngx_http_graph_policy_verdict_t  v;

    static const expected_t  permission = {
        0, -1, "fatal", "token-invalid", "account", 1, 1, 0, 0, 0
    };

    bad = 0;

    for (code = 200; code <= 299; code++) {
        decide(code, -1, NULL, 0, &v);
        bad += !same(&v, &permission);
    }

    is_int(bad, 0, "every code of 200-299 is a missing permission");

    ok(unknown(199), "199 is none of them");
    ok(unknown(300), "300 is none of them");
    ok(unknown(2000), "2000 is none of them");
    ok(unknown(200999), "200999 is none of them");

    for (code = 200005; code <= 200007; code++) {
        decide(code, -1, NULL, 0, &v);
        is_int(v.category, NGX_HTTP_GRAPH_POLICY_REQUEST,
               "%jd is a request error, not a permission", (intmax_t) code);
    }
}


/* which codes don't prove access: these and no others */

static void
test_bound(void)
{
    int                              bad;
    int64_t                          code;
    ngx_http_graph_policy_verdict_t  v;

    bad = 0;

    for (code = 0; code < 140000; code++) {
        decide(code, -1, NULL, 0, &v);

        bad += v.bound != (code == 0 || code == 3 || code == 10 || code == 33
                           || code == 102 || code == 104 || code == 190
                           || (code >= 200 && code <= 299)
                           || code == 131005);
    }

    is_int(bad, 0, "exactly the codes of the contract are credential-bound");

    bad = 0;

    for (code = 0; code < 140000; code++) {
        decide(code, -1, NULL, 0, &v);

        bad += v.messages != (code == 3 || code == 10
                              || (code >= 200 && code <= 299)
                              || code == 131005);
    }

    is_int(bad, 0, "exactly the permission codes need an answer of messages");
}


static void
test_unknown(void)
{
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  v;

    ok(unknown(5), "a code that Meta never published is unclassified");
    ok(unknown(999999), "so is a large one");
    ok(unknown(9007199254740991), "so is the largest");
    ok(unknown(2494101), "so is the neighbour of a known one");

    memset(&facts, 0, sizeof(facts));
    memset(&v, 0xff, sizeof(v));

    facts.code = 190;
    facts.subcode = 33;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED,
           "an absent code is not code 0");
    is_int(v.matched, 0, "and matches nothing");

    facts.transient = 1;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED,
           "is_transient without a code is unclassified");

    facts.has_subcode = 1;
    facts.subcode = 2494100;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED,
           "a subcode without a code is unclassified");

    facts.has_code = 1;
    facts.code = 100;
    facts.has_subcode = 0;
    facts.subcode = 33;
    facts.transient = 0;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_REQUEST,
           "an absent subcode is not looked at");
}


static void
test_transient(void)
{
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  v;

    static const expected_t  transient = {
        999999, -1, "temporary", "other", "request", 0, 0, 0, 1, 0
    };

    memset(&facts, 0, sizeof(facts));
    memset(&v, 0xff, sizeof(v));

    facts.has_code = 1;
    facts.code = 999999;
    facts.transient = 1;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    ok(same(&v, &transient), "an unknown code with is_transient is temporary");

    facts.has_subcode = 1;
    facts.subcode = 5;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    ok(same(&v, &transient), "with an unknown subcode too");

    facts.has_subcode = 0;
    facts.code = 100;

    ngx_http_graph_policy_rules_decide(&facts, NULL, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_REQUEST,
           "is_transient doesn't change a known code");
}


/* takes the next column of a line of the list */

static char *
column(char **line)
{
    char  *start;

    start = *line;
    *line += strcspn(start, "\t\n");

    if (**line != '\0') {
        *(*line)++ = '\0';
    }

    return start;
}


static void
sample(char *line, sample_t *s)
{
    char  *p;

    p = column(&line);
    s->first = strtoll(p, &p, 10);
    s->last = (*p == '-') ? strtoll(p + 1, NULL, 10) : s->first;

    p = column(&line);
    s->subcode = (*p == '-') ? -1 : strtoll(p, NULL, 10);

    (void) column(&line);
    (void) column(&line);

    snprintf(s->reason, sizeof(s->reason), "%s", column(&line));
    snprintf(s->category, sizeof(s->category), "%s", column(&line));
    snprintf(s->scope, sizeof(s->scope), "%s", column(&line));

    s->retry = strcmp(column(&line), "yes") == 0;
}


/* the scope that a row of the list takes, NULL if the contract names it */

static const char *
sample_scope(sample_t *s)
{
    size_t  i;

    for (i = 0; i < sizeof(contract) / sizeof(contract[0]); i++) {
        if (contract[i].code == s->first
            && (contract[i].subcode == -1
                || contract[i].subcode == s->subcode))
        {
            return NULL;
        }
    }

    if (s->first > 200 && s->last <= 299) {
        return NULL;
    }

    for (i = 0; i < sizeof(request_scope) / sizeof(request_scope[0]); i++) {
        if (request_scope[i] == s->first) {
            return "request";
        }
    }

    return strcmp(s->scope, "integration") == 0 ? "account" : s->scope;
}


static void
test_sample(sample_t *s)
{
    int                              good;
    int64_t                          code;
    const char                      *category, *reason, *scope;
    ngx_http_graph_policy_verdict_t  v;

    good = 1;

    for (code = s->first; code <= s->last; code++) {
        decide(code, s->subcode, NULL, 0, &v);

        category = word(&ngx_http_graph_policy_categories[v.category]);
        reason = word(&ngx_http_graph_policy_reasons[v.reason].slug);
        scope = sample_scope(s);

        if (strcmp(category, s->category) != 0
            || v.matched != 1
            || v.retry != (unsigned) s->retry
            || (s->reason[0] != '-' && strcmp(reason, s->reason) != 0)
            || (scope != NULL
                && (strcmp(scope,
                           word(&ngx_http_graph_policy_scopes[v.scope])) != 0
                    || v.reason != NGX_HTTP_GRAPH_POLICY_OTHER)))
        {
            diag("got %s, %s, %s, matched %d, retry %d", category, reason,
                 word(&ngx_http_graph_policy_scopes[v.scope]),
                 (int) v.matched, (int) v.retry);
            good = 0;
        }
    }

    ok(good, "%jd-%jd/%jd of Meta's catalogue is %s", (intmax_t) s->first,
       (intmax_t) s->last, (intmax_t) s->subcode, s->category);
}


/* is this row of the table one that the list has too? */

static int
listed(ngx_http_graph_policy_row_t *row, sample_t *samples, size_t n)
{
    size_t   i;
    int64_t  code;

    for (code = row->first; code <= row->last; code++) {

        for (i = 0; i < n; i++) {
            if ((code >= samples[i].first && code <= samples[i].last)
                || (samples[i].first == 100 && samples[i].subcode == code))
            {
                break;
            }
        }

        if (i == n) {
            diag("%jd isn't listed", (intmax_t) code);
            return 0;
        }
    }

    return 1;
}


static void
test_catalogue(void)
{
    int      bad;
    char     line[512];
    FILE    *f;
    size_t   i, n;

    static sample_t  samples[512];

    f = fopen(T_SAMPLES "/graph-errors.tsv", "r");

    if (f == NULL) {
        fail("graph-errors.tsv can be read");
        return;
    }

    n = 0;

    while (n < 512 && fgets(line, sizeof(line), f) != NULL) {
        if (line[0] >= '0' && line[0] <= '9') {
            sample(line, &samples[n++]);
        }
    }

    fclose(f);

    is_int(n, 184, "all of Meta's catalogue is read");

    for (i = 0; i < n; i++) {
        test_sample(&samples[i]);

        /* published as codes of their own, seen as subcodes of 100 */

        if (samples[i].first == 100 && samples[i].subcode >= 2388000) {
            samples[i].first = samples[i].last = samples[i].subcode;
            samples[i].subcode = -1;
            test_sample(&samples[i]);
        }
    }

    bad = 0;

    for (i = 0; i < ngx_http_graph_policy_table_n; i++) {
        bad += !listed(&ngx_http_graph_policy_table[i], samples, n);
    }

    is_int(bad, 0, "the table has nothing that the catalogue lacks");
}


static int
printable(const char *s, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\') {
            return 0;
        }
    }

    return len > 0;
}


static int
sane(ngx_http_graph_policy_row_t *row)
{
    return row->first <= row->last
           && row->category <= NGX_HTTP_GRAPH_POLICY_REQUEST
           && row->scope < NGX_HTTP_GRAPH_POLICY_NSCOPES
           && row->reason < NGX_HTTP_GRAPH_POLICY_NREASONS
           && row->reason != NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED
           && (row->category == NGX_HTTP_GRAPH_POLICY_TEMPORARY
               || (row->retry == 0 && row->refused == 0 && row->wait == 0))
           && (row->bound || !row->messages)
           && row->title != NULL
           && printable(row->title, strlen(row->title));
}


static void
test_table(void)
{
    int                           bad;
    int64_t                       last;
    ngx_uint_t                    i;
    ngx_http_graph_policy_row_t  *row;

    bad = 0;
    last = -1;

    for (i = 0; i < ngx_http_graph_policy_table_n; i++) {
        row = &ngx_http_graph_policy_table[i];

        if (row->first <= last || row->subcode != -1 || !sane(row)
            || ngx_http_graph_policy_rules_row(row->first, -1) != row
            || ngx_http_graph_policy_rules_row(row->last, 7) != row)
        {
            diag("%jd is misplaced or not sane", (intmax_t) row->first);
            bad++;
        }

        last = row->last;
    }

    is_int(bad, 0, "the table is sorted, without overlap, and each row found");

    bad = 0;

    for (i = 0; i < ngx_http_graph_policy_subcodes_n; i++) {
        row = &ngx_http_graph_policy_subcodes[i];

        bad += row->subcode < 0 || !sane(row)
               || (row->first == -1) != (row->last == -1)
               || ngx_http_graph_policy_rules_row(
                      row->first == -1 ? 100 : row->first, row->subcode)
                  != row;
    }

    is_int(bad, 0, "the rows with a subcode are sane and found");

    ok(ngx_http_graph_policy_rules_row(-1, -1) == NULL,
       "no code has no row");
    ok(ngx_http_graph_policy_rules_row(-1, 2494100) == NULL,
       "not even with a subcode");
    ok(ngx_http_graph_policy_rules_row(INT64_MAX, -1) == NULL,
       "nor has the largest number");
}


static void
test_reasons(void)
{
    ngx_str_t                        *s;
    ngx_uint_t                        i;
    ngx_http_graph_policy_reason_t   *r;
    ngx_http_graph_policy_verdict_t   v;

    static const struct {
        const char  *slug;
        int64_t      code;
    } reasons[] = {
        { "token-invalid", 0 }, { "account-restricted", 368 },
        { "billing", 131042 }, { "phone-disconnected", 133010 },
        { "phones-disconnected", 133010 }, { "rate-limit", 4 },
        { "pair-rate-limit", 131056 }, { "maintenance", 131057 },
        { "server-error", 1 }, { "service-unavailable", 131016 },
        { "window-expired", 131047 }, { "undeliverable", 131026 },
        { "spam-quality", 131048 }, { "media-download", 131052 },
        { "media-upload", 131053 }, { "other", 131037 }
    };

    is_int(sizeof(reasons) / sizeof(reasons[0]),
           NGX_HTTP_GRAPH_POLICY_NREASONS, "there are 16 reasons");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NREASONS; i++) {
        r = &ngx_http_graph_policy_reasons[i];
        s = &r->slug;

        is_mem(s->data, s->len, reasons[i].slug, strlen(reasons[i].slug),
               "reason %d is %s", (int) i, reasons[i].slug);
        is_int(r->code, reasons[i].code, "its first code");
        ok(printable(word(&r->title), r->title.len)
           && strlen(word(&r->title)) == r->title.len,
           "its title stands in JSON as it is");
        ok(printable(word(&r->action), r->action.len)
           && strlen(word(&r->action)) == r->action.len,
           "and so does what to do");

        if (i == NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED) {
            is_int(ngx_http_graph_policy_rules_reason(s), NGX_ERROR,
                   "no rule can give it, it is derived");
            continue;
        }

        is_int(ngx_http_graph_policy_rules_reason(s), i, "it is found");

        decide(r->code, -1, NULL, 0, &v);
        is_int(v.reason, i, "its first code gives it");
    }
}


static void
test_words(void)
{
    size_t     i;
    ngx_str_t  s;

    static const char  *categories[] = { "fatal", "temporary",
                                         "context-limited", "request",
                                         "unclassified", "ignore" };
    static const char  *scopes[] = { "credential", "account", "phone",
                                     "conversation", "request" };
    static const char  *wrong[] = { "", "f", "fata", "fatals", "Fatal",
                                    "fatal ", "context", "phones", "none",
                                    "token_invalid", "rate-limit " };

    for (i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        s = str(categories[i]);
        is_int(ngx_http_graph_policy_rules_category(&s), i,
               "category %s", categories[i]);
    }

    for (i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        s = str(scopes[i]);
        is_int(ngx_http_graph_policy_rules_scope(&s), i, "scope %s",
               scopes[i]);
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        s = str(wrong[i]);
        is_int(ngx_http_graph_policy_rules_category(&s), NGX_ERROR,
               "\"%s\" is no category", wrong[i]);
        is_int(ngx_http_graph_policy_rules_scope(&s), NGX_ERROR,
               "\"%s\" is no scope", wrong[i]);
        is_int(ngx_http_graph_policy_rules_reason(&s), NGX_ERROR,
               "\"%s\" is no reason", wrong[i]);
    }

    s = str("fatality");
    s.len = 5;
    is_int(ngx_http_graph_policy_rules_category(&s), 0,
           "a word ends where its length says");
}


/*
 * Parses a whole CODES argument: the number of elements, or -1.  The text is
 * copied so that a tool sees a read past its end.
 */

static int
parse(const char *text, ngx_http_graph_policy_codes_t *codes)
{
    int         n;
    size_t      len;
    u_char     *copy, *p;
    ngx_int_t   rc;

    len = strlen(text);

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        return -1;
    }

    memcpy(copy, text, len);

    p = copy;

    for (n = 0; n < NCODES; n++) {
        rc = ngx_http_graph_policy_rules_codes(&p, copy + len, &codes[n]);

        if (rc != NGX_OK) {
            break;
        }
    }

    if (n == NCODES || rc != NGX_DONE || p != copy + len) {
        n = -1;
    }

    free(copy);

    return n;
}


static void
test_codes(void)
{
    size_t                          i;
    ngx_http_graph_policy_codes_t   codes[NCODES];
    ngx_http_graph_policy_codes_t  *c;

    for (i = 0; i < sizeof(well_formed) / sizeof(well_formed[0]); i++) {
        is_int(parse(well_formed[i].text, codes), well_formed[i].n,
               "\"%s\" is well-formed", well_formed[i].text);
    }

    for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        is_int(parse(malformed[i], codes), -1, "malformed text %d is refused",
               (int) i);
    }

    is_int(parse("", codes), 0, "the empty text has no element");

    is_int(parse("131042,200-299,100/33,*/2494100", codes), 4,
           "all four forms in one text");

    c = codes;
    ok(c->first == 131042 && c->last == 131042 && c->subcode == -1 && !c->any,
       "a code");

    c++;
    ok(c->first == 200 && c->last == 299 && c->subcode == -1 && !c->any,
       "a range");

    c++;
    ok(c->first == 100 && c->last == 100 && c->subcode == 33 && !c->any,
       "a code and a subcode");

    c++;
    ok(c->subcode == 2494100 && c->any, "a subcode of any code");
}


/* a rule with everything but codes and category omitted */

static void
rule(ngx_http_graph_policy_rule_t *r, const char *text, ngx_uint_t category)
{
    int  n;

    static ngx_http_graph_policy_codes_t   pool[256];
    static ngx_http_graph_policy_codes_t  *next = pool;

    if (next + NCODES > pool + 256) {
        next = pool;
    }

    memset(r, 0, sizeof(ngx_http_graph_policy_rule_t));

    n = parse(text, next);

    r->codes = next;
    r->ncodes = (n > 0) ? n : 0;
    r->category = category;
    r->wait = NGX_CONF_UNSET_MSEC;
    r->scope = NGX_HTTP_GRAPH_POLICY_UNSET;
    r->reason = NGX_HTTP_GRAPH_POLICY_UNSET;
    r->retry = NGX_HTTP_GRAPH_POLICY_UNSET;
    r->refused = NGX_HTTP_GRAPH_POLICY_UNSET;

    next += r->ncodes;
}


static void
test_omitted(void)
{
    size_t                           i;
    ngx_http_graph_policy_rule_t     r;
    ngx_http_graph_policy_verdict_t  v;

    for (i = 0; i < sizeof(omitted) / sizeof(omitted[0]); i++) {
        rule(&r, omitted[i].codes, omitted[i].category);
        decide(omitted[i].e.code, omitted[i].e.subcode, &r, 1, &v);
        ok(same(&v, &omitted[i].e), "%s", omitted[i].title);
    }
}


static void
test_given(void)
{
    ngx_http_graph_policy_rule_t     r;
    ngx_http_graph_policy_verdict_t  v;

    static const expected_t  given = {
        131005, -1, "temporary", "billing", "phone", 1, 1, 0, 1, 1
    };

    static const expected_t  unset = {
        131056, -1, "temporary", "other", "request", 0, 0, 7, 0, 0
    };

    rule(&r, "131005", NGX_HTTP_GRAPH_POLICY_TEMPORARY);

    r.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE;
    r.reason = NGX_HTTP_GRAPH_POLICY_BILLING;
    r.retry = 1;
    r.refused = 1;

    decide(131005, -1, &r, 1, &v);
    ok(same(&v, &given), "given parameters win, bound and messages stay");

    rule(&r, "131056", NGX_HTTP_GRAPH_POLICY_TEMPORARY);

    r.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST;
    r.reason = NGX_HTTP_GRAPH_POLICY_OTHER;
    r.retry = 0;
    r.refused = 0;
    r.wait = 7;

    decide(131056, -1, &r, 1, &v);
    ok(same(&v, &unset), "given parameters can also take away");

    r.wait = 0;

    decide(131056, -1, &r, 1, &v);
    is_int(v.wait, 0, "a wait of 0 is one that is given");

    r.hold = 30000;
    r.dry_run = 1;

    decide(131056, -1, &r, 1, &v);
    is_int(v.hold, 30000, "a rule has a hold of its own");
    is_int(v.dry_run, 1, "and a dry run of its own");

    decide(131057, -1, &r, 1, &v);
    is_int(v.hold, 0, "which is not that of other codes");
    is_int(v.dry_run, 0, "neither is the dry run");

    rule(&r, "131042", NGX_HTTP_GRAPH_POLICY_FATAL);

    r.retry = 1;

    decide(131042, -1, &r, 1, &v);
    is_int(v.retry, 0, "retry is dropped where the rule isn't temporary");
}


/* what decides on sending again: the wait, whether it grows, the outcome */

static void
test_retry(void)
{
    int                              bad;
    int64_t                          code;
    ngx_http_graph_policy_rule_t     r;
    ngx_http_graph_policy_verdict_t  v;

    bad = 0;

    for (code = 0; code < 140000; code++) {
        decide(code, -1, NULL, 0, &v);
        bad += v.grows != grows(code);
    }

    is_int(bad, 0, "the built-in wait of 131056 grows and no other");

    rule(&r, "131056", NGX_HTTP_GRAPH_POLICY_TEMPORARY);

    decide(131056, -1, &r, 1, &v);
    is_int(v.wait, 1000, "a rule without a wait leaves that of the row");
    is_int(v.grows, 1, "and lets it grow");

    r.reason = NGX_HTTP_GRAPH_POLICY_OTHER;
    r.scope = NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE;

    decide(131056, -1, &r, 1, &v);
    is_int(v.grows, 1, "under another reason and scope too");

    r.wait = 1000;

    decide(131056, -1, &r, 1, &v);
    is_int(v.wait, 1000, "the wait that a rule gives wins");
    is_int(v.grows, 0, "and stays, even if it is that of the row");

    r.wait = 0;

    decide(131056, -1, &r, 1, &v);
    is_int(v.wait, 0, "a rule may give no wait at all");
    is_int(v.grows, 0, "which doesn't grow either");

    rule(&r, "4", NGX_HTTP_GRAPH_POLICY_TEMPORARY);

    r.reason = NGX_HTTP_GRAPH_POLICY_PAIR_RATE_LIMIT;

    decide(4, -1, &r, 1, &v);
    is_int(v.wait, 60000, "the reason of a rule leaves the row's wait alone");
    is_int(v.grows, 0, "and makes none grow");

    r.wait = 2000;

    decide(4, -1, &r, 1, &v);
    is_int(v.wait, 2000, "a wait of a rule may be shorter than the row's");

    r.refused = 0;

    decide(4, -1, &r, 1, &v);
    is_int(v.refused, 0, "a rule may doubt what the row takes as refused");

    r.retry = 0;

    decide(4, -1, &r, 1, &v);
    is_int(v.retry, 0, "or forbid what the row allows");

    rule(&r, "131000", NGX_HTTP_GRAPH_POLICY_TEMPORARY);

    r.refused = 1;

    decide(131000, -1, &r, 1, &v);
    is_int(v.refused, 1, "or vouch for what the row doubts");
    is_int(v.retry, 1, "with the rest as the row has it");

    rule(&r, "131208,133016", NGX_HTTP_GRAPH_POLICY_TEMPORARY);

    r.retry = 1;

    decide(133016, -1, &r, 1, &v);
    is_int(v.retry, 1, "or allow what the row forbids");
}


static void
test_rule_transient(void)
{
    ngx_http_graph_policy_rule_t     r;
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  v;

    rule(&r, "999999", NGX_HTTP_GRAPH_POLICY_REQUEST);

    memset(&facts, 0, sizeof(facts));

    facts.has_code = 1;
    facts.code = 999999;
    facts.transient = 1;

    decide_by(&facts, &r, 1, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_REQUEST,
           "a rule wins over is_transient");
    is_int(v.retry, 0, "in all it says");
}


static void
test_order(void)
{
    ngx_http_graph_policy_rule_t     rules[3];
    ngx_http_graph_policy_verdict_t  v;

    rule(&rules[0], "7,100/33,250", NGX_HTTP_GRAPH_POLICY_TEMPORARY);
    rule(&rules[1], "200-299", NGX_HTTP_GRAPH_POLICY_REQUEST);
    rule(&rules[2], "0-9007199254740991", NGX_HTTP_GRAPH_POLICY_IGNORE);

    decide(250, -1, rules, 3, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_TEMPORARY,
           "the first of two rules that match wins");

    decide(251, -1, rules, 3, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_REQUEST,
           "a rule that doesn't match lets the next one see it");

    decide(250, 5, rules, 3, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_TEMPORARY,
           "a rule without a subcode matches with any");

    decide(100, 33, rules, 3, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_TEMPORARY,
           "a rule with code and subcode matches both");

    decide(100, -1, rules, 3, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_IGNORE,
           "not without the subcode");

    decide(101, 33, rules, 3, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_IGNORE, "nor with another code");
}


static void
test_any(void)
{
    ngx_http_graph_policy_rule_t     rules[2];
    ngx_http_graph_policy_facts_t    facts;
    ngx_http_graph_policy_verdict_t  v;

    rule(&rules[0], "*/77", NGX_HTTP_GRAPH_POLICY_REQUEST);
    rule(&rules[1], "0-9007199254740991", NGX_HTTP_GRAPH_POLICY_IGNORE);

    decide(101, 77, rules, 2, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_REQUEST,
           "an asterisk matches any code with the subcode");

    decide(77, -1, rules, 2, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_IGNORE, "and not as a code");

    decide(0, -1, rules, 2, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_IGNORE, "code 0 is in a range");
    is_int(v.matched, 1, "a rule of ignore has matched");

    decide(9007199254740991, -1, rules, 2, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_IGNORE, "so is the largest");

    decide(131056, -1, rules, 1, &v);
    is_int(v.reason, NGX_HTTP_GRAPH_POLICY_PAIR_RATE_LIMIT,
           "where no rule matches the built-in table answers");

    memset(&facts, 0, sizeof(facts));

    facts.has_subcode = 1;
    facts.subcode = 77;
    facts.transient = 1;

    decide_by(&facts, rules, 2, &v);
    is_int(v.category, NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED,
           "no rule matches an answer without a code");
    is_int(v.matched, 0, "not even one for any code");
}


int
main(void)
{
    test_contract();
    test_permissions();
    test_bound();
    test_unknown();
    test_transient();
    test_catalogue();
    test_table();
    test_reasons();
    test_words();
    test_codes();
    test_omitted();
    test_given();
    test_retry();
    test_rule_transient();
    test_order();
    test_any();

    return tap_done();
}
