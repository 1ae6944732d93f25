
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_JSON_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Meta's trace ids are echoed only up to this length, in bytes */
#define NGX_HTTP_GRAPH_POLICY_TRACE_LEN  64

/* levels of nesting past which a body counts as unreadable */
#define NGX_HTTP_GRAPH_POLICY_JSON_DEPTH  32


typedef struct {
    /* valid where has_code, has_subcode; never negative */
    int64_t       code;
    int64_t       subcode;

    /* error.fbtrace_id if it is of [A-Za-z0-9_-]{1,64}, else trace_len 0 */
    u_char        trace[NGX_HTTP_GRAPH_POLICY_TRACE_LEN];
    size_t        trace_len;

    unsigned      has_code:1;
    unsigned      has_subcode:1;
    unsigned      transient:1;      /* is_transient is true */
} ngx_http_graph_policy_facts_t;


/*
 * The bytes of scratch memory that parsing a body of "len" bytes may need in
 * the worst case.  yajl crashes when its allocator fails, so the caller
 * provides all of it beforehand and the allocator never fails.
 */
size_t ngx_http_graph_policy_json_arena(size_t len);

/*
 * Reads one complete error body.  "arena" is at least json_arena(len) bytes,
 * aligned as malloc() aligns, owned by the caller and free after the return.
 * The body isn't changed.
 *
 * Returns NGX_OK if the body is one whole JSON document; "facts" then holds
 * what its error object says, all absent if there is none.  Returns
 * NGX_DECLINED if it is anything else (truncated, not JSON, invalid UTF-8,
 * nested too deep); all facts are then absent.
 */
ngx_int_t ngx_http_graph_policy_json_parse(u_char *body, size_t len,
    void *arena, ngx_http_graph_policy_facts_t *facts);


/* hints of a longer wait, in minutes, are cut to a day */
#define NGX_HTTP_GRAPH_POLICY_MAX_REGAIN  1440


/*
 * Errors that say that a quota is used up, of which a usage header may know
 * more: X-App-Usage of the app's and the user's, X-Business-Use-Case-Usage of
 * an account's ("Rate Limits" in Meta's Graph API guide).  These headers come
 * with any answer, and say nothing of other errors.
 */
#define ngx_http_graph_policy_is_app_quota(code)                              \
    ((code) == 4 || (code) == 17)
#define ngx_http_graph_policy_is_business_quota(code)                         \
    ((code) == 80007 || (code) == 80008)


/* what Graph's usage headers say */

typedef struct {
    int64_t       regain;           /* minutes until access is back, or 0 */
    unsigned      exhausted:1;      /* some figure is at 100 percent */
} ngx_http_graph_policy_usage_t;


/*
 * Reads the value of X-Business-Use-Case-Usage, an object of arrays of
 * entries, each under the id whose quota it is, or of X-App-Usage, a single
 * entry.  "regain" is the longest estimated_time_to_regain_access of the
 * former's entries whose type begins with "whatsapp" and, unless "account" is
 * empty, whose id is that.  "exhausted" is set if the latter's call_count,
 * total_cputime or total_time is 100 or more.  What isn't a whole number from
 * 0 to 2^53 - 1, or stands elsewhere, is passed over.
 *
 * "arena" is as for json_parse(), and so are the returns: NGX_OK if the text
 * is one whole JSON document, else NGX_DECLINED and nothing is found.
 */
ngx_int_t ngx_http_graph_policy_json_usage(u_char *text, size_t len,
    void *arena, ngx_str_t *account, ngx_http_graph_policy_usage_t *usage);


#endif /* _NGX_HTTP_GRAPH_POLICY_JSON_H_INCLUDED_ */
