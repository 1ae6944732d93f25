
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as answers of Redis, in pieces whose sizes the first
 * byte gives.  What is told has to be within the bounds, and the same whatever
 * the pieces are.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_resp.h"


#define check(expr)  if (!(expr)) abort()


typedef struct {
    size_t      values;
    size_t      bytes;
    size_t      arrays;
} told_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
tell(void *data, ngx_http_graph_policy_resp_value_t *value)
{
    size_t   i;
    told_t  *told = data;

    check(value->depth <= NGX_HTTP_GRAPH_POLICY_RESP_DEPTH);

    for (i = 0; i < value->depth; i++) {
        check(value->index[i] < NGX_HTTP_GRAPH_POLICY_RESP_ELEMENTS);
    }

    told->values++;

    if (value->type == NGX_HTTP_GRAPH_POLICY_RESP_ARRAY) {
        check(value->number >= 0
              && value->number <= NGX_HTTP_GRAPH_POLICY_RESP_ELEMENTS);
        told->arrays += value->number;
    }

    for (i = 0; i < value->text.len; i++) {
        told->bytes += value->text.data[i];
    }
}


static ngx_int_t
read_in(const uint8_t *data, size_t size, size_t step, told_t *told)
{
    size_t                         i, part;
    u_char                        *copy;
    ngx_int_t                      rc;
    ngx_http_graph_policy_resp_t  *resp;

    memset(told, 0, sizeof(told_t));
    rc = NGX_AGAIN;

    resp = ngx_http_graph_policy_resp_create(tell, told);
    check(resp != NULL);

    for (i = 0; i < size && rc == NGX_AGAIN; i += part) {
        part = (step < size - i) ? step : size - i;

        copy = malloc(part);
        check(copy != NULL);
        memcpy(copy, data + i, part);

        rc = ngx_http_graph_policy_resp_feed(resp, copy, part);
        check(rc == NGX_OK);

        free(copy);

        while (rc == NGX_OK) {
            rc = ngx_http_graph_policy_resp_next(resp);
        }
    }

    ngx_http_graph_policy_resp_destroy(resp);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    told_t     one, two;
    ngx_int_t  rc;

    if (size < 2) {
        return 0;
    }

    rc = read_in(data + 1, size - 1, size, &one);

    /* what is wrong may be noticed before its end */

    if (read_in(data + 1, size - 1, 1 + data[0] % 64, &two) == rc) {
        check(one.values == two.values && one.bytes == two.bytes
              && one.arrays == two.arrays);
    } else {
        check(rc == NGX_ERROR || rc == NGX_DECLINED || rc == NGX_AGAIN);
    }

    return 0;
}
