
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_RULES_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_RULES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"


/*
 * Stands behind a table that has a row for each value of an enumeration: it
 * does not compile where there is a row too few or too many.
 */
#define ngx_http_graph_policy_all_rows(table, n)                              \
    extern char  table##_has_other_rows[                                      \
        sizeof(table) / sizeof((table)[0]) == (n) ? 1 : -1]


/* The order is that of gravity.  The values are stored in shared memory. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_FATAL = 0,
    NGX_HTTP_GRAPH_POLICY_TEMPORARY,
    NGX_HTTP_GRAPH_POLICY_CONTEXT,
    NGX_HTTP_GRAPH_POLICY_REQUEST,
    NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED,
    NGX_HTTP_GRAPH_POLICY_IGNORE,
    NGX_HTTP_GRAPH_POLICY_NCATEGORIES
} ngx_http_graph_policy_category_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL = 0,
    NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT,
    NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE,
    NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST,
    NGX_HTTP_GRAPH_POLICY_NSCOPES
} ngx_http_graph_policy_scope_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_TOKEN_INVALID = 0,
    NGX_HTTP_GRAPH_POLICY_ACCOUNT_RESTRICTED,
    NGX_HTTP_GRAPH_POLICY_BILLING,
    NGX_HTTP_GRAPH_POLICY_PHONE_DISCONNECTED,
    NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED,      /* derived, never stored */
    NGX_HTTP_GRAPH_POLICY_RATE_LIMIT,
    NGX_HTTP_GRAPH_POLICY_PAIR_RATE_LIMIT,
    NGX_HTTP_GRAPH_POLICY_MAINTENANCE,
    NGX_HTTP_GRAPH_POLICY_SERVER_ERROR,
    NGX_HTTP_GRAPH_POLICY_SERVICE_UNAVAILABLE,
    NGX_HTTP_GRAPH_POLICY_WINDOW_EXPIRED,
    NGX_HTTP_GRAPH_POLICY_UNDELIVERABLE,
    NGX_HTTP_GRAPH_POLICY_SPAM_QUALITY,
    NGX_HTTP_GRAPH_POLICY_MEDIA_DOWNLOAD,
    NGX_HTTP_GRAPH_POLICY_MEDIA_UPLOAD,
    NGX_HTTP_GRAPH_POLICY_OTHER,
    NGX_HTTP_GRAPH_POLICY_NREASONS
} ngx_http_graph_policy_reason_e;


/*
 * The texts that explain a reason to people.  They are printable ASCII without
 * quotation mark and backslash, so they need no escapes in JSON.
 */

typedef struct {
    ngx_str_t     slug;
    ngx_str_t     title;
    ngx_str_t     action;
    int64_t       code;             /* of the reason's first row */
} ngx_http_graph_policy_reason_t;


/*
 * A row of the built-in table.  The rows are sorted by "first" and don't
 * overlap.
 */

typedef struct {
    int64_t       first;            /* range of codes, inclusive */
    int64_t       last;
    int64_t       subcode;          /* -1: any subcode */
    uint8_t       category;
    uint8_t       scope;
    uint8_t       reason;
    unsigned      bound:1;          /* credential-bound, see below */
    unsigned      messages:1;       /* only answers of "messages" set it */
    unsigned      retry:1;          /* a temporary row that may be re-sent */
    unsigned      refused:1;        /* proof that Meta did not send it */
    uint32_t      wait;             /* milliseconds, 0: Meta gives none */
    char         *title;            /* Meta's own title of the code */
} ngx_http_graph_policy_row_t;


/* An element of the CODES argument of graph_policy_rule. */

typedef struct {
    int64_t       first;
    int64_t       last;
    int64_t       subcode;          /* -1: any or none */
    unsigned      any:1;            /* any code: an asterisk */
} ngx_http_graph_policy_codes_t;


#define NGX_HTTP_GRAPH_POLICY_UNSET  0xff

/* A rule of the configuration.  The table's row fills in what it omits. */

typedef struct {
    ngx_http_graph_policy_codes_t  *codes;
    ngx_uint_t                      ncodes;
    ngx_msec_t                      hold;     /* 0: the location's */
    ngx_msec_t                      wait;     /* NGX_CONF_UNSET_MSEC */
    uint8_t                         category;
    uint8_t                         scope;    /* UNSET: omitted, as below */
    uint8_t                         reason;
    uint8_t                         retry;
    uint8_t                         refused;
    uint8_t                         dry_run;  /* 0 or 1 */
} ngx_http_graph_policy_rule_t;


/*
 * The rules of a location with an index, so that a thousand of them cost what
 * ten do.  A range ends where the next one begins; the last has no end.
 */

typedef struct {
    int64_t                         first;    /* code */
    ngx_uint_t                      rule;     /* the first that names it */
} ngx_http_graph_policy_range_t;

typedef struct {
    int64_t                         subcode;
    int64_t                         code;     /* -1: any */
    ngx_uint_t                      rule;
} ngx_http_graph_policy_pair_t;

typedef struct {
    ngx_http_graph_policy_rule_t   *rules;
    ngx_uint_t                      n;

    /* codes without a subcode, sorted */
    ngx_http_graph_policy_range_t  *ranges;
    ngx_uint_t                      nranges;

    /* codes with a subcode, sorted by it and the code */
    ngx_http_graph_policy_pair_t   *pairs;
    ngx_uint_t                      npairs;
} ngx_http_graph_policy_ruleset_t;


/* The verdict of the rules and the table on an answer. */

typedef struct {
    uint8_t       category;
    uint8_t       scope;            /* valid if matched */
    uint8_t       reason;           /* valid if matched */
    unsigned      matched:1;        /* a row or rule has the code */

    /*
     * The code doesn't prove access to the phone, so the state covers only
     * requests with the same credential.
     */
    unsigned      bound:1;
    unsigned      messages:1;
    unsigned      retry:1;
    unsigned      refused:1;
    unsigned      dry_run:1;
    unsigned      grows:1;          /* the wait is 4^(n-2) times as long */
    ngx_msec_t    wait;
    ngx_msec_t    hold;             /* 0: the location's */
} ngx_http_graph_policy_verdict_t;


/*
 * Classifies the facts of an answer.  Rules come in their order, and the first
 * match wins; then comes the built-in table, where a row with the subcode wins
 * over one without.  An unknown code with is_transient is temporary with the
 * reason "other" and the scope "request".  "set" may be NULL.
 */
void ngx_http_graph_policy_rules_decide(
    ngx_http_graph_policy_facts_t *facts,
    ngx_http_graph_policy_ruleset_t *set,
    ngx_http_graph_policy_verdict_t *verdict);

/*
 * Indexes "n" rules in "memory", which belongs to the caller, is aligned for
 * pointers, and has as many bytes as the first function says.  A set points at
 * the rules and at the memory for as long as it is used.  Codes that name a
 * subcode are single ones or any.
 */
size_t ngx_http_graph_policy_rules_memory(ngx_http_graph_policy_rule_t *rules,
    ngx_uint_t n);
void ngx_http_graph_policy_rules_index(ngx_http_graph_policy_ruleset_t *set,
    ngx_http_graph_policy_rule_t *rules, ngx_uint_t n, void *memory);

/* Returns the first rule that names the code, or NULL. */
ngx_http_graph_policy_rule_t *ngx_http_graph_policy_rules_find(
    ngx_http_graph_policy_ruleset_t *set, int64_t code, int64_t subcode);

/*
 * Parses the element of CODES that starts at *p, and moves *p behind it and
 * the comma that follows.  Returns NGX_OK, NGX_DONE at the end of the text, or
 * NGX_ERROR if the element is empty or malformed: it must be "N", "N-M" with N
 * <= M, "N/S" or "asterisk/S", each number decimal and below 2^53.
 */
ngx_int_t ngx_http_graph_policy_rules_codes(u_char **p, u_char *last,
    ngx_http_graph_policy_codes_t *codes);

/*
 * These look up a word of the configuration.  They return its value, or
 * NGX_ERROR if there is no such word.
 */
ngx_int_t ngx_http_graph_policy_rules_category(ngx_str_t *name);
ngx_int_t ngx_http_graph_policy_rules_scope(ngx_str_t *name);
/* "phones-disconnected" is derived, so it isn't found here. */
ngx_int_t ngx_http_graph_policy_rules_reason(ngx_str_t *name);

/*
 * Returns the built-in row of a code, or NULL if there is none; subcode -1
 * stands for none.
 */
ngx_http_graph_policy_row_t *ngx_http_graph_policy_rules_row(int64_t code,
    int64_t subcode);


extern ngx_http_graph_policy_row_t     ngx_http_graph_policy_table[];
extern ngx_uint_t                      ngx_http_graph_policy_table_n;

/* The rows with a subcode; if "first" is -1, the row is for any code. */
extern ngx_http_graph_policy_row_t     ngx_http_graph_policy_subcodes[];
extern ngx_uint_t                      ngx_http_graph_policy_subcodes_n;

extern ngx_http_graph_policy_reason_t  ngx_http_graph_policy_reasons[];
extern ngx_str_t                       ngx_http_graph_policy_categories[];
extern ngx_str_t                       ngx_http_graph_policy_scopes[];


#endif /* _NGX_HTTP_GRAPH_POLICY_RULES_H_INCLUDED_ */
