
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as the error by which a node of a cluster tells where
 * else the keys are.  One that is read lies within the text, and says the same
 * in the one form that there is.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_redirect.h"


#define check(expr)  if (!(expr)) abort()


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                            i;
    u_char                           *text;
    char                              port[8];
    ngx_str_t                         error, number;
    ngx_http_graph_policy_redirect_t  redirect;

    text = malloc(size + 1);
    check(text != NULL);
    memcpy(text, data, size);

    error.data = text;
    error.len = size;

    if (ngx_http_graph_policy_redirect_read(&error, &redirect) == NGX_OK) {

        check(redirect.port >= 1 && redirect.port <= 65535);
        check(redirect.host.data > text
              && redirect.host.data + redirect.host.len < text + size);

        for (i = 0; i < redirect.host.len; i++) {
            check(redirect.host.data[i] > ' ' && redirect.host.data[i] <= '~');
        }

        number.data = (u_char *) port;
        number.len = (size_t) snprintf(port, sizeof(port), "%u",
                                       (unsigned) redirect.port);

        check(ngx_http_graph_policy_redirect_port(&number) == redirect.port);
    }

    free(text);

    return 0;
}
