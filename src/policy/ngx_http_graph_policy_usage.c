
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the headers in which Graph tells how much of a quota is used.  A
 * header may tell of several quotas, and those of ads, say, have nothing to do
 * with a send, so the caller says which account's quota is asked for.
 *
 * The file is pure: it takes no lock; the result is the caller's, and all else
 * lies in the caller's arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_yajl.h"


/* Graph throttles from this percentage on. */
#define NGX_HTTP_GRAPH_POLICY_USAGE_FULL  100

/* The types of entries that are about WhatsApp begin with this. */
#define NGX_HTTP_GRAPH_POLICY_USAGE_TYPE  "whatsapp"

/*
 * Levels of nesting: the document, a list of entries in it, an entry in that.
 */
#define NGX_HTTP_GRAPH_POLICY_USAGE_TOP    1
#define NGX_HTTP_GRAPH_POLICY_USAGE_LIST   2
#define NGX_HTTP_GRAPH_POLICY_USAGE_ENTRY  3


typedef enum {
    /* Members of an entry. */
    NGX_HTTP_GRAPH_POLICY_USAGE_REGAIN = 0,
    NGX_HTTP_GRAPH_POLICY_USAGE_OF,

    /* Members of the document. */
    NGX_HTTP_GRAPH_POLICY_USAGE_CALLS,
    NGX_HTTP_GRAPH_POLICY_USAGE_CPU,
    NGX_HTTP_GRAPH_POLICY_USAGE_TIME,
    NGX_HTTP_GRAPH_POLICY_USAGE_OTHER
} ngx_http_graph_policy_usage_member_e;


typedef struct {
    ngx_http_graph_policy_usage_t  *usage;
    ngx_str_t                      *account;    /* empty: any account */

    ngx_uint_t                      depth;

    /* The entry's value, used at its end, as its type may come last. */
    int64_t                         regain;

    /* The member whose value comes next; USAGE_OTHER if it isn't wanted. */
    ngx_uint_t                      member;

    /* The document is an object. */
    unsigned                        in_object:1;

    /*
     * The position in the document: in a list, in an entry of a list.  A list
     * may be that of the account, and an entry may be about WhatsApp.
     */
    unsigned                        in_list:1;
    unsigned                        in_entry:1;
    unsigned                        is_account:1;
    unsigned                        is_whatsapp:1;
} ngx_http_graph_policy_usage_ctx_t;


static int ngx_http_graph_policy_usage_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_usage_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_usage_start_map(void *data);
static int ngx_http_graph_policy_usage_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_usage_end_map(void *data);
static int ngx_http_graph_policy_usage_start_array(void *data);
static int ngx_http_graph_policy_usage_end_array(void *data);


/*
 * A number callback gets every number as text: with yajl's integer and double
 * callbacks the parser fails on large ones.
 */

static yajl_callbacks  ngx_http_graph_policy_usage_callbacks = {
    NULL,
    NULL,
    NULL,
    NULL,
    ngx_http_graph_policy_usage_number,
    ngx_http_graph_policy_usage_string,
    ngx_http_graph_policy_usage_start_map,
    ngx_http_graph_policy_usage_map_key,
    ngx_http_graph_policy_usage_end_map,
    ngx_http_graph_policy_usage_start_array,
    ngx_http_graph_policy_usage_end_array
};


/* In the order of ngx_http_graph_policy_usage_member_e. */

static ngx_str_t  ngx_http_graph_policy_usage_members[] = {
    ngx_string("estimated_time_to_regain_access"),
    ngx_string("type"),
    ngx_string("call_count"),
    ngx_string("total_cputime"),
    ngx_string("total_time")
};


ngx_int_t
ngx_http_graph_policy_json_usage(u_char *text, size_t len, void *arena,
    ngx_str_t *account, ngx_http_graph_policy_usage_t *usage)
{
    ngx_int_t                          rc;
    ngx_http_graph_policy_usage_ctx_t  ctx;

    ngx_memzero(usage, sizeof(ngx_http_graph_policy_usage_t));
    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_usage_ctx_t));

    ctx.usage = usage;
    ctx.account = account;
    ctx.member = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;

    rc = ngx_http_graph_policy_yajl_run(&ngx_http_graph_policy_usage_callbacks,
                                        text, len, arena, &ctx);

    if (rc != NGX_OK) {
        ngx_memzero(usage, sizeof(ngx_http_graph_policy_usage_t));
    }

    return rc;
}


static int
ngx_http_graph_policy_usage_number(void *data, const char *text, size_t len)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    int64_t        value;
    ngx_uint_t     member;
    const u_char  *p;

    member = ctx->member;
    ctx->member = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;

    if (member == NGX_HTTP_GRAPH_POLICY_USAGE_OTHER
        || member == NGX_HTTP_GRAPH_POLICY_USAGE_OF)
    {
        return 1;
    }

    p = (const u_char *) text;

    /*
     * The value is -1 if it isn't a number of minutes or percents, and changes
     * nothing then.
     */

    value = ngx_http_graph_policy_yajl_integer(p, p + len);

    if (member == NGX_HTTP_GRAPH_POLICY_USAGE_REGAIN) {
        value = ngx_min(value, NGX_HTTP_GRAPH_POLICY_MAX_REGAIN);
        ctx->regain = ngx_max(ctx->regain, value);

    } else if (value >= NGX_HTTP_GRAPH_POLICY_USAGE_FULL) {
        ctx->usage->exhausted = 1;
    }

    return 1;
}


static int
ngx_http_graph_policy_usage_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    size_t  prefix;

    if (ctx->member == NGX_HTTP_GRAPH_POLICY_USAGE_OF) {
        prefix = sizeof(NGX_HTTP_GRAPH_POLICY_USAGE_TYPE) - 1;

        ctx->is_whatsapp = (len >= prefix
                            && ngx_memcmp(text,
                                          NGX_HTTP_GRAPH_POLICY_USAGE_TYPE,
                                          prefix)
                               == 0);
    }

    ctx->member = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;

    return 1;
}


static int
ngx_http_graph_policy_usage_start_map(void *data)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    ctx->depth++;

    if (ctx->depth == NGX_HTTP_GRAPH_POLICY_USAGE_TOP) {
        ctx->in_object = 1;

    } else if (ctx->depth == NGX_HTTP_GRAPH_POLICY_USAGE_ENTRY) {
        ctx->in_entry = ctx->in_list;
        ctx->is_whatsapp = 0;
        ctx->regain = 0;
    }

    return ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_usage_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    ngx_str_t   *name;
    ngx_uint_t   i, end;

    /* The value of the member isn't a number, so the member is forgotten. */

    ctx->member = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;

    if (ctx->depth == NGX_HTTP_GRAPH_POLICY_USAGE_TOP) {
        ctx->is_account = (ctx->account->len == 0
                           || (len == ctx->account->len
                               && ngx_memcmp(text, ctx->account->data, len)
                                  == 0));

        i = NGX_HTTP_GRAPH_POLICY_USAGE_CALLS;
        end = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;

    } else if (ctx->depth == NGX_HTTP_GRAPH_POLICY_USAGE_ENTRY
               && ctx->in_entry)
    {
        i = NGX_HTTP_GRAPH_POLICY_USAGE_REGAIN;
        end = NGX_HTTP_GRAPH_POLICY_USAGE_CALLS;

    } else {
        return 1;
    }

    name = ngx_http_graph_policy_usage_members;

    for ( /* void */ ; i < end; i++) {
        if (len == name[i].len && ngx_memcmp(text, name[i].data, len) == 0) {
            ctx->member = i;
            break;
        }
    }

    return 1;
}


static int
ngx_http_graph_policy_usage_end_map(void *data)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    if (ctx->depth == NGX_HTTP_GRAPH_POLICY_USAGE_ENTRY && ctx->in_entry
        && ctx->is_whatsapp && ctx->is_account)
    {
        ctx->usage->regain = ngx_max(ctx->usage->regain, ctx->regain);
    }

    ctx->member = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;
    ctx->depth--;

    return 1;
}


static int
ngx_http_graph_policy_usage_start_array(void *data)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    ctx->member = NGX_HTTP_GRAPH_POLICY_USAGE_OTHER;

    if (++ctx->depth == NGX_HTTP_GRAPH_POLICY_USAGE_LIST) {
        ctx->in_list = ctx->in_object;
    }

    return ctx->depth <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH;
}


static int
ngx_http_graph_policy_usage_end_array(void *data)
{
    ngx_http_graph_policy_usage_ctx_t *ctx = data;

    if (ctx->depth-- == NGX_HTTP_GRAPH_POLICY_USAGE_LIST) {
        ctx->in_list = 0;
    }

    return 1;
}
