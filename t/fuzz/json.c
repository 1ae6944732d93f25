
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as an error body.  The body and the arena are blocks of
 * exactly their size, so that the sanitizer sees each byte beyond.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_json.h"


#define check(expr)  if (!(expr)) abort()


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* parses the data and what is appended to it */

static ngx_int_t
parse(const uint8_t *data, size_t size, const char *append,
    ngx_http_graph_policy_facts_t *facts)
{
    u_char     *arena, *body;
    size_t      n;
    ngx_int_t   rc;

    n = strlen(append);

    body = malloc(size + n);
    arena = malloc(ngx_http_graph_policy_json_arena(size + n));

    if (arena == NULL || (body == NULL && size + n != 0)) {
        abort();
    }

    if (size != 0) {
        memcpy(body, data, size);
    }

    memcpy(body + size, append, n);

    memset(facts, 0xa5, sizeof(ngx_http_graph_policy_facts_t));

    rc = ngx_http_graph_policy_json_parse(body, size + n, arena, facts);

    check((size == 0 || memcmp(body, data, size) == 0)
          && memcmp(body + size, append, n) == 0);

    free(arena);
    free(body);

    return rc;
}


static int
nothing(ngx_http_graph_policy_facts_t *facts)
{
    return !facts->has_code && !facts->has_subcode && !facts->transient
           && facts->trace_len == 0;
}


static int
same(ngx_http_graph_policy_facts_t *a, ngx_http_graph_policy_facts_t *b)
{
    return a->has_code == b->has_code
           && (!a->has_code || a->code == b->code)
           && a->has_subcode == b->has_subcode
           && (!a->has_subcode || a->subcode == b->subcode)
           && a->transient == b->transient
           && a->trace_len == b->trace_len
           && memcmp(a->trace, b->trace, a->trace_len) == 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                         i;
    ngx_int_t                      rc;
    ngx_http_graph_policy_facts_t  facts, other;

    static const char  letters[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";

    rc = parse(data, size, "", &facts);

    if (rc != NGX_OK) {
        check(rc == NGX_DECLINED && nothing(&facts));
        return 0;
    }

    check(!facts.has_code || facts.code >= 0);
    check(!facts.has_subcode || facts.subcode >= 0);
    check(facts.trace_len <= NGX_HTTP_GRAPH_POLICY_TRACE_LEN);

    for (i = 0; i < facts.trace_len; i++) {
        check(memchr(letters, facts.trace[i], sizeof(letters) - 1) != NULL);
    }

    /* white space behind a document says nothing, all else spoils it */

    check(parse(data, size, " \r\n\t", &other) == NGX_OK
          && same(&facts, &other));

    check(parse(data, size, "]", &other) == NGX_DECLINED && nothing(&other));
    check(parse(data, size, " \"", &other) == NGX_DECLINED && nothing(&other));
    check(parse(data, size, " tru", &other) == NGX_DECLINED
          && nothing(&other));

    /* only whole objects have facts */

    if (!nothing(&facts)) {
        for (i = size; data[i - 1] != '}'; i--) { /* void */ }

        check(parse(data, i - 1, "", &other) == NGX_DECLINED
              && nothing(&other));
    }

    return 0;
}
