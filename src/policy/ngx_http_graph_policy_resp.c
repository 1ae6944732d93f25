
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Replies of Redis and Valkey, read by hiredis' reader, and commands for them.
 * No other file knows hiredis.  Its functions that build a reply as a tree
 * aren't used: they take memory by what the server says, and recurse as deep.
 *
 * Pure: no lock, no clock.  What the reader holds is malloc()'s; values point
 * into it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_resp.h"


struct ngx_http_graph_policy_resp_s {
    redisReader                         *reader;
    ngx_http_graph_policy_resp_pt        handler;
    void                                *data;
    size_t                               size;  /* bytes read of the reply */
    ngx_uint_t                           large;
};


/* since 1.0 lengths are a size_t, and there are RESP3's types */

#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_http_graph_policy_resp_len_t;
#else
typedef int     ngx_http_graph_policy_resp_len_t;
#endif


static void *ngx_http_graph_policy_resp_string(const redisReadTask *task,
    char *text, size_t len);
static void *ngx_http_graph_policy_resp_array(const redisReadTask *task,
    ngx_http_graph_policy_resp_len_t n);
static void *ngx_http_graph_policy_resp_integer(const redisReadTask *task,
    long long n);
static void *ngx_http_graph_policy_resp_nil(const redisReadTask *task);
static void ngx_http_graph_policy_resp_free(void *object);
static void *ngx_http_graph_policy_resp_tell(const redisReadTask *task,
    ngx_http_graph_policy_resp_value_t *value);

#if (HIREDIS_MAJOR >= 1)
static void *ngx_http_graph_policy_resp_double(const redisReadTask *task,
    double n, char *text, size_t len);
static void *ngx_http_graph_policy_resp_bool(const redisReadTask *task,
    int n);
#endif


/* hiredis wants an object for each value; NULL refuses it */
static u_char  ngx_http_graph_policy_resp_told;


static redisReplyObjectFunctions  ngx_http_graph_policy_resp_functions = {
    ngx_http_graph_policy_resp_string,
    ngx_http_graph_policy_resp_array,
    ngx_http_graph_policy_resp_integer,
#if (HIREDIS_MAJOR >= 1)
    ngx_http_graph_policy_resp_double,
#endif
    ngx_http_graph_policy_resp_nil,
#if (HIREDIS_MAJOR >= 1)
    ngx_http_graph_policy_resp_bool,
#endif
    ngx_http_graph_policy_resp_free
};


ngx_http_graph_policy_resp_t *
ngx_http_graph_policy_resp_create(ngx_http_graph_policy_resp_pt handler,
    void *data)
{
    ngx_http_graph_policy_resp_t  *resp;

    resp = calloc(1, sizeof(ngx_http_graph_policy_resp_t));
    if (resp == NULL) {
        return NULL;
    }

    resp->reader = redisReaderCreateWithFunctions(
                                       &ngx_http_graph_policy_resp_functions);
    if (resp->reader == NULL) {
        free(resp);
        return NULL;
    }

    /*
     * hiredis would replace a large buffer that is empty by a new one, and 0.14
     * asserts that there is memory for that.  How large one gets is bounded.
     */

    resp->reader->maxbuf = 0;

    resp->reader->privdata = resp;
    resp->handler = handler;
    resp->data = data;

    return resp;
}


void
ngx_http_graph_policy_resp_destroy(ngx_http_graph_policy_resp_t *resp)
{
    if (resp == NULL) {
        return;
    }

    redisReaderFree(resp->reader);
    free(resp);
}


ngx_int_t
ngx_http_graph_policy_resp_feed(ngx_http_graph_policy_resp_t *resp,
    u_char *data, size_t len)
{
    if (redisReaderFeed(resp->reader, (char *) data, len) != REDIS_OK) {
        return NGX_ERROR;
    }

    resp->size += len;

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_resp_next(ngx_http_graph_policy_resp_t *resp)
{
    void  *reply;

    reply = NULL;

    if (redisReaderGetReply(resp->reader, &reply) != REDIS_OK) {
        return resp->large ? NGX_DECLINED : NGX_ERROR;
    }

    if (reply != NULL) {
        resp->size = resp->reader->len - resp->reader->pos;
        return NGX_OK;
    }

    return (resp->size > NGX_HTTP_GRAPH_POLICY_RESP_SIZE) ? NGX_DECLINED
                                                          : NGX_AGAIN;
}


static void *
ngx_http_graph_policy_resp_string(const redisReadTask *task, char *text,
    size_t len)
{
    ngx_http_graph_policy_resp_value_t  value;

    switch (task->type) {

    case REDIS_REPLY_STRING:
        value.type = NGX_HTTP_GRAPH_POLICY_RESP_STRING;
        break;

    case REDIS_REPLY_STATUS:
        value.type = NGX_HTTP_GRAPH_POLICY_RESP_STATUS;
        break;

    case REDIS_REPLY_ERROR:
        value.type = NGX_HTTP_GRAPH_POLICY_RESP_ERROR;
        break;

    default:
        return NULL;
    }

    value.text.data = (u_char *) text;
    value.text.len = len;
    value.number = 0;

    return ngx_http_graph_policy_resp_tell(task, &value);
}


static void *
ngx_http_graph_policy_resp_array(const redisReadTask *task,
    ngx_http_graph_policy_resp_len_t n)
{
    ngx_http_graph_policy_resp_t        *resp;
    ngx_http_graph_policy_resp_value_t   value;

    if (task->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }

    if ((size_t) n > NGX_HTTP_GRAPH_POLICY_RESP_ELEMENTS) {
        resp = task->privdata;
        resp->large = 1;
        return NULL;
    }

    value.type = NGX_HTTP_GRAPH_POLICY_RESP_ARRAY;
    ngx_str_null(&value.text);
    value.number = n;

    return ngx_http_graph_policy_resp_tell(task, &value);
}


static void *
ngx_http_graph_policy_resp_integer(const redisReadTask *task, long long n)
{
    ngx_http_graph_policy_resp_value_t  value;

    value.type = NGX_HTTP_GRAPH_POLICY_RESP_INTEGER;
    ngx_str_null(&value.text);
    value.number = n;

    return ngx_http_graph_policy_resp_tell(task, &value);
}


static void *
ngx_http_graph_policy_resp_nil(const redisReadTask *task)
{
    ngx_http_graph_policy_resp_value_t  value;

    value.type = NGX_HTTP_GRAPH_POLICY_RESP_NIL;
    ngx_str_null(&value.text);
    value.number = 0;

    return ngx_http_graph_policy_resp_tell(task, &value);
}


#if (HIREDIS_MAJOR >= 1)

/* nobody asked for RESP3, so these are no answers */

static void *
ngx_http_graph_policy_resp_double(const redisReadTask *task, double n,
    char *text, size_t len)
{
    return NULL;
}


static void *
ngx_http_graph_policy_resp_bool(const redisReadTask *task, int n)
{
    return NULL;
}

#endif


static void
ngx_http_graph_policy_resp_free(void *object)
{
}


static void *
ngx_http_graph_policy_resp_tell(const redisReadTask *task,
    ngx_http_graph_policy_resp_value_t *value)
{
    ngx_uint_t                     i;
    const redisReadTask           *t;
    ngx_http_graph_policy_resp_t  *resp;

    resp = task->privdata;
    value->depth = 0;

    for (t = task; t->parent != NULL; t = t->parent) {

        if (++value->depth > NGX_HTTP_GRAPH_POLICY_RESP_DEPTH) {
            resp->large = 1;
            return NULL;
        }
    }

    i = value->depth;

    for (t = task; t->parent != NULL; t = t->parent) {
        value->index[--i] = (ngx_uint_t) t->idx;
    }

    resp->handler(resp->data, value);

    return &ngx_http_graph_policy_resp_told;
}


size_t
ngx_http_graph_policy_resp_command_len(ngx_str_t *args, ngx_uint_t n)
{
    size_t      len;
    ngx_uint_t  i;

    len = sizeof("*\r\n") - 1 + NGX_INT_T_LEN;

    for (i = 0; i < n; i++) {
        len += sizeof("$\r\n\r\n") - 1 + NGX_INT_T_LEN + args[i].len;
    }

    return len;
}


u_char *
ngx_http_graph_policy_resp_command(u_char *p, ngx_str_t *args, ngx_uint_t n)
{
    ngx_uint_t  i;

    *p++ = '*';
    p = ngx_http_graph_policy_record_number(p, n);
    *p++ = CR;
    *p++ = LF;

    for (i = 0; i < n; i++) {
        *p++ = '$';
        p = ngx_http_graph_policy_record_number(p, args[i].len);
        *p++ = CR;
        *p++ = LF;
        p = ngx_cpymem(p, args[i].data, args[i].len);
        *p++ = CR;
        *p++ = LF;
    }

    return p;
}
