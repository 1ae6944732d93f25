
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a fleet's key file.  Whatever is read of it is a key
 * within its bounds, and in its line.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_fleet_key.h"


#define check(expr)  if (!(expr)) abort()


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       i, lines;
    u_char      *text, *p, *last, *before;
    ngx_int_t    rc;
    ngx_str_t    secret;
    ngx_uint_t   line, previous;

    text = malloc(size + 1);
    check(text != NULL);
    memcpy(text, data, size);

    p = text;
    last = text + size;
    line = 0;

    do {
        before = p;
        previous = line;
        rc = ngx_http_graph_policy_fleet_key_next(&p, last, &line, &secret);

        check(p >= before && p <= last);

        if (rc != NGX_OK) {
            break;
        }

        check(line > previous);
        check(secret.data >= before && secret.data + secret.len <= p);
        check(secret.len >= NGX_HTTP_GRAPH_POLICY_MIN_FLEET_KEY_LEN
              && secret.len <= NGX_HTTP_GRAPH_POLICY_MAX_FLEET_KEY_LEN);
        check(secret.data[0] != '#');

        for (i = 0; i < secret.len; i++) {
            check(secret.data[i] >= ' ' && secret.data[i] <= '~');
        }

        for (i = 0, lines = 1; text + i < secret.data; i++) {
            lines += (text[i] == '\n');
        }

        check(lines == line);

    } while (rc == NGX_OK);

    check(rc != NGX_DONE || p == last);

    free(text);

    return 0;
}
