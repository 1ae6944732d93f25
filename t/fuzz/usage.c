
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a usage header.  The text and the arena are blocks
 * of exactly their size, so that the sanitizer sees each byte beyond.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_json.h"


#define check(expr)  if (!(expr)) abort()


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* reads "before", the data and "after" as one text */

static ngx_int_t
usage(const char *before, const uint8_t *data, size_t size, const char *after,
    ngx_http_graph_policy_usage_t *u)
{
    size_t                         len, head, tail;
    u_char                        *arena, *text, *copy;
    ngx_int_t                      rc;
    ngx_str_t                      account;
    ngx_http_graph_policy_usage_t  ours;

    head = strlen(before);
    tail = strlen(after);
    len = head + size + tail;

    text = malloc(len);
    copy = malloc(len);
    arena = malloc(ngx_http_graph_policy_json_arena(len));

    if (arena == NULL || ((text == NULL || copy == NULL) && len != 0)) {
        abort();
    }

    if (len != 0) {
        memcpy(text, before, head);

        if (size != 0) {
            memcpy(text + head, data, size);
        }

        memcpy(text + head + size, after, tail);
        memcpy(copy, text, len);
    }

    memset(u, 0xa5, sizeof(ngx_http_graph_policy_usage_t));

    ngx_str_null(&account);
    rc = ngx_http_graph_policy_json_usage(text, len, arena, &account, u);

    /* of one account no more than of all */

    ngx_str_set(&account, "1");
    check(ngx_http_graph_policy_json_usage(text, len, arena, &account, &ours)
          == rc);
    check(ours.regain <= u->regain && ours.exhausted == u->exhausted);

    check(len == 0 || memcmp(text, copy, len) == 0);

    check(rc == NGX_OK
          || (rc == NGX_DECLINED && u->regain == 0 && !u->exhausted));

    check(u->regain >= 0 && u->regain <= NGX_HTTP_GRAPH_POLICY_MAX_REGAIN);

    free(arena);
    free(copy);
    free(text);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                         i;
    ngx_http_graph_policy_usage_t  u, other;

    if (usage("", data, size, "", &u) != NGX_OK) {
        return 0;
    }

    /* white space around a document says nothing, all else spoils it */

    check(usage(" \t", data, size, " \r\n", &other) == NGX_OK);
    check(other.regain == u.regain && other.exhausted == u.exhausted);

    check(usage("", data, size, "]", &other) == NGX_DECLINED);
    check(usage("", data, size, " tru", &other) == NGX_DECLINED);

    /* a document one level down isn't an entry of its own any more */

    if (usage("[", data, size, "]", &other) == NGX_OK) {
        check(other.regain == 0 && !other.exhausted);
    }

    /* an entry says at least as much among others, and nothing of the app */

    if (usage("{\"1\":[{\"type\":\"whatsapp\","
              "\"estimated_time_to_regain_access\":1},", data, size,
              ",{\"call_count\":100}]}", &other) == NGX_OK)
    {
        check(other.regain >= 1 && !other.exhausted);
    }

    /* only whole objects say anything */

    if (u.regain != 0 || u.exhausted) {
        for (i = size; data[i - 1] != '}'; i--) { /* void */ }

        check(usage("", data, i - 1, "", &other) == NGX_DECLINED);
    }

    return 0;
}
