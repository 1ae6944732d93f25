
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The JSON room: reads the headers in which Graph tells how much of a quota is
 * used.  One header may tell of several quotas, so it is read with the
 * question whose it is: a send has nothing to do with those of ads.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_yajl.h"


/* percent, from which on Graph throttles */
#define NGX_HTTP_GRAPH_POLICY_USAGE_FULL  100

/* the types of entries that are about WhatsApp begin with this */
#define NGX_HTTP_GRAPH_POLICY_USAGE_TYPE  "whatsapp"

/* levels: the document, an array of entries in it, an entry in that */
#define NGX_HTTP_GRAPH_POLICY_USAGE_TOP    1
#define NGX_HTTP_GRAPH_POLICY_USAGE_LIST   2
#define NGX_HTTP_GRAPH_POLICY_USAGE_ENTRY  3


typedef enum {
    /* of an entry */
    NGX_HTTP_GRAPH_POLICY_USAGE_REGAIN = 0,
    NGX_HTTP_GRAPH_POLICY_USAGE_OF,

    /* of the document */
    NGX_HTTP_GRAPH_POLICY_USAGE_CALLS,
    NGX_HTTP_GRAPH_POLICY_USAGE_CPU,
    NGX_HTTP_GRAPH_POLICY_USAGE_TIME,
    NGX_HTTP_GRAPH_POLICY_USAGE_OTHER
} ngx_http_graph_policy_usage_member_e;


typedef struct {
    ngx_http_graph_policy_usage_t  *usage;
    ngx_str_t                      *account;    /* empty: any */

    ngx_uint_t                      depth;

    /* of the entry, whose type may come last */
    int64_t                         regain;

    /* of a member that counts, until its value comes */
    ngx_uint_t                      member;

    unsigned                        in_object:1;  /* the document is one */
    unsigned                        in_list:1;
    unsigned                        in_entry:1;   /* valid at its level */
    unsigned                        is_account:1; /* likewise, of the list */
    unsigned                        is_whatsapp:1;  /* the entry's type */
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


/* a number callback, as those for integers and doubles fail on large ones */

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


/* in the order of ngx_http_graph_policy_usage_member_e */

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

    /* -1 for what isn't a number of minutes or percents; it changes nothing */

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

    /* a value that is no number leaves the member behind */

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
