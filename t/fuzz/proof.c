
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as the body of a 2xx.  The text and the arena are blocks
 * of exactly their size, so that the sanitizer sees each byte beyond.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_proof.h"


#define check(expr)  if (!(expr)) abort()


typedef ngx_http_graph_policy_proof_t  proof_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* reads "before", the data and "after" as one text */

static ngx_int_t
read_proof(const char *before, const uint8_t *data, size_t size,
    const char *after, proof_t *result)
{
    size_t      len, head, tail;
    u_char     *arena, *text, *copy;
    proof_t    *proof;
    ngx_int_t   rc;

    head = strlen(before);
    tail = strlen(after);
    len = head + size + tail;

    text = malloc(len);
    copy = malloc(len);
    arena = malloc(ngx_http_graph_policy_json_arena(len));
    proof = malloc(sizeof(proof_t));

    if (arena == NULL || proof == NULL
        || ((text == NULL || copy == NULL) && len != 0))
    {
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

    memset(proof, 0xa5, sizeof(proof_t));

    rc = ngx_http_graph_policy_proof_read(text, len, arena, proof);

    check(len == 0 || memcmp(text, copy, len) == 0);
    check(rc == NGX_OK || (rc == NGX_DECLINED && !proof->success));
    check(proof->success || !proof->accepted);
    check(proof->accepted || proof->id_len == 0);
    check(proof->id_len <= sizeof(proof->id));

    *result = *proof;

    free(proof);
    free(arena);
    free(copy);
    free(text);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    proof_t  p, other;

    if (read_proof("", data, size, "", &p) != NGX_OK) {
        return 0;
    }

    /* white space around a document says nothing, all else spoils it */

    check(read_proof(" \t", data, size, " \r\n", &other) == NGX_OK);
    check(other.success == p.success && other.accepted == p.accepted);
    check(other.id_len == p.id_len
          && memcmp(other.id, p.id, p.id_len) == 0);

    check(read_proof("", data, size, "]", &other) == NGX_DECLINED);

    /* only the outermost object proves, and an error in it spoils it */

    if (read_proof("[", data, size, "]", &other) == NGX_OK) {
        check(!other.success);
    }

    if (read_proof("{\"error\":", data, size, "}", &other) == NGX_OK) {
        check(!other.success);
    }

    if (read_proof("{\"a\":", data, size, "}", &other) == NGX_OK) {
        check(other.success && !other.accepted);
    }

    if (read_proof("{\"messages\":[", data, size, "]}", &other) == NGX_OK) {
        check(other.accepted);
    }

    if (read_proof("{\"messages\":", data, size, ",\"messages\":[]}", &other)
        == NGX_OK)
    {
        check(other.success && !other.accepted);
    }

    return 0;
}
