
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as an entry, or a heartbeat.  One that is read is in the
 * one form that there is, and is written the same; none is signed by chance.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_entry.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_record.h"


#define check(expr)  if (!(expr)) abort()


static ngx_str_t  name = ngx_string("graph_policy:{z}:log");


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                             *text, *p, *arena;
    u_char                              buf[NGX_HTTP_GRAPH_POLICY_ENTRY_READ
                                            + 128];
    ngx_str_t                           body;
    ngx_http_graph_policy_entry_t       entry, again;
    ngx_http_graph_policy_record_t      record;
    ngx_http_graph_policy_heartbeat_t   beat;

    static ngx_http_graph_policy_signature_t  *sig;

    if (sig == NULL) {
        sig = ngx_http_graph_policy_signature_create((u_char *) "key", 3);
        check(sig != NULL);
    }

    text = malloc(size + 1);
    check(text != NULL);
    memcpy(text, data, size);

    body.data = text;
    body.len = size;

    if (ngx_http_graph_policy_heartbeat_read(&body, &beat) == NGX_OK) {
        p = ngx_http_graph_policy_heartbeat_write(buf, &beat);
        check((size_t) (p - buf) == size && memcmp(buf, text, size) == 0);
    }

    if (ngx_http_graph_policy_entry_read(text, size, &entry) == NGX_OK) {

        check(size <= NGX_HTTP_GRAPH_POLICY_ENTRY_READ);
        check(entry.node != 0);
        check(entry.body.len != 0
              && entry.body.data + entry.body.len == text + size);

        check(ngx_http_graph_policy_entry_verify(&entry, &name, sig)
              == NGX_DECLINED);

        again = entry;
        p = ngx_http_graph_policy_entry_write(buf, &again, &name, sig);

        check((size_t) (p - buf) == size);
        check(memcmp(buf, text, entry.head.len + 1) == 0);

        check(ngx_http_graph_policy_entry_read(buf, size, &again) == NGX_OK);
        check(ngx_http_graph_policy_entry_verify(&again, &name, sig)
              == NGX_OK);

        arena = malloc(ngx_http_graph_policy_json_arena(entry.body.len));
        check(arena != NULL);

        (void) ngx_http_graph_policy_record_read(entry.body.data,
                                                 entry.body.len, arena,
                                                 &record);
        free(arena);
    }

    free(text);

    return 0;
}
