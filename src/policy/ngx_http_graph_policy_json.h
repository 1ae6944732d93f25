
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_JSON_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Meta's trace ids are passed on only up to this length, in bytes. */
#define NGX_HTTP_GRAPH_POLICY_TRACE_LEN  64

/* A body nested deeper than this counts as unreadable. */
#define NGX_HTTP_GRAPH_POLICY_JSON_DEPTH  32


typedef struct {
    /* Valid only if has_code, has_subcode; never negative. */
    int64_t       code;
    int64_t       subcode;

    /*
     * error.fbtrace_id if it matches [A-Za-z0-9_-]{1,64}, else trace_len is 0.
     */
    u_char        trace[NGX_HTTP_GRAPH_POLICY_TRACE_LEN];
    size_t        trace_len;

    unsigned      has_code:1;
    unsigned      has_subcode:1;
    unsigned      transient:1;      /* is_transient is true */
} ngx_http_graph_policy_facts_t;


/*
 * Returns how many bytes of scratch memory the parsing of a body of "len"
 * bytes needs in the worst case.  yajl crashes when its allocator fails, so
 * the caller provides all of it beforehand and the allocator never fails.
 */
size_t ngx_http_graph_policy_json_arena(size_t len);

/*
 * Reads one complete error body, which isn't changed.  "arena" is at least
 * json_arena(len) bytes, aligned as malloc() aligns; the caller owns it, and
 * may reuse it after the return.
 *
 * Returns NGX_OK if the body is one whole JSON document; "facts" then holds
 * the members of its error object, all absent if it has none.  Returns
 * NGX_DECLINED if the body is anything else (truncated, not JSON, invalid
 * UTF-8, nested too deep); all facts are absent then.
 */
ngx_int_t ngx_http_graph_policy_json_parse(u_char *body, size_t len,
    void *arena, ngx_http_graph_policy_facts_t *facts);


/* A hint of a longer wait is cut to a day; in minutes. */
#define NGX_HTTP_GRAPH_POLICY_MAX_REGAIN  1440


/*
 * These errors say that a quota is used up, and a usage header may say for how
 * long: X-App-Usage for the quotas of the app and the user,
 * X-Business-Use-Case-Usage for those of an account ("Rate Limits" in Meta's
 * Graph API guide).  These headers come with any answer, so they are read for
 * these errors alone.
 */
#define ngx_http_graph_policy_is_app_quota(code)                              \
    ((code) == 4 || (code) == 17)
#define ngx_http_graph_policy_is_business_quota(code)                         \
    ((code) == 80007 || (code) == 80008)


/* The content of Graph's usage headers. */

typedef struct {
    int64_t       regain;           /* minutes until access is back, or 0 */
    unsigned      exhausted:1;      /* a figure is at 100 percent */
} ngx_http_graph_policy_usage_t;


/*
 * Reads the value of X-Business-Use-Case-Usage, an object of arrays of
 * entries, each under the id whose quota it is, or of X-App-Usage, a single
 * entry.
 *
 * "regain" is the longest estimated_time_to_regain_access among those entries
 * of the former whose type begins with "whatsapp" and whose id is "account";
 * if "account" is empty, any id counts.  "exhausted" is set if the latter's
 * call_count, total_cputime or total_time is 100 or more.  A value that isn't
 * a whole number from 0 to 2^53 - 1, or stands elsewhere, is ignored.
 *
 * "arena" is as for json_parse().  Returns NGX_OK if the text is one whole
 * JSON document, else NGX_DECLINED with nothing found.
 */
ngx_int_t ngx_http_graph_policy_json_usage(u_char *text, size_t len,
    void *arena, ngx_str_t *account, ngx_http_graph_policy_usage_t *usage);


#endif /* _NGX_HTTP_GRAPH_POLICY_JSON_H_INCLUDED_ */
