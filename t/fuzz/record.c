
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a line of a state file.  What is read is within its
 * bounds, and is written as a line that is read as the same, and again written
 * as the same.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_record.h"
#include "ngx_http_graph_policy_rules.h"


#define check(expr)  if (!(expr)) abort()


typedef ngx_http_graph_policy_record_t  record_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static ngx_int_t
read_line(const u_char *text, size_t len, record_t *record)
{
    void       *arena;
    u_char     *copy;
    ngx_int_t   rc;

    arena = malloc(ngx_http_graph_policy_json_arena(len));
    copy = malloc(len + (len == 0));
    check(arena != NULL && copy != NULL);
    memcpy(copy, text, len);

    rc = ngx_http_graph_policy_record_read(copy, len, arena, record);

    check(memcmp(copy, text, len) == 0);

    free(copy);
    free(arena);

    return rc;
}


static void
is_text(ngx_http_graph_policy_record_text_t *text, int digits)
{
    size_t  i;
    u_char  c;

    check(text->len <= (digits ? NGX_HTTP_GRAPH_POLICY_RECORD_DIGITS
                               : NGX_HTTP_GRAPH_POLICY_RECORD_TEXT));

    for (i = 0; i < text->len; i++) {
        c = text->data[i];
        check((c >= '0' && c <= '9')
              || (!digits && c != '\0'
                  && (strchr("._-", c) != NULL || (c >= 'a' && c <= 'z')
                      || (c >= 'A' && c <= 'Z'))));
    }
}


static void
is_state(record_t *record)
{
    check(record->kind <= 4);
    check((record->pair != 0) == (record->kind == 4));
    check(record->category <= NGX_HTTP_GRAPH_POLICY_TEMPORARY);
    check(record->reason < NGX_HTTP_GRAPH_POLICY_NREASONS);
    check(record->reason != NGX_HTTP_GRAPH_POLICY_PHONES_DISCONNECTED);
    check(record->source <= 2);
    check(record->armed <= 1 && record->dry_run <= 1);
    check(record->frozen <= 1 && record->moved <= 1);
    check(record->setter_leased <= 1);
    check(record->confirm <= 0xffffffff);
    check(record->code >= -1 && record->subcode >= -1);
    check(record->status <= 999);
    check(record->hold <= 0xffffffff && record->max <= 0xffffffff);
    check(record->holds <= 0xffffffff && record->blocked <= 0xffffffff);
    check(record->kind != 0
          || (record->key.len == 0 && record->credential != 0));
    check(record->kind % 4 == 0 || record->key.len != 0);

    is_text(&record->key, record->kind == 2 || record->kind == 3);
    is_text(&record->trace, 0);
    is_text(&record->node, 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char    *p, *q;
    u_char     line[NGX_HTTP_GRAPH_POLICY_RECORD_WRITE];
    u_char     again[NGX_HTTP_GRAPH_POLICY_RECORD_WRITE];
    record_t   record, back;

    if (read_line(data, size, &record) != NGX_OK) {
        return 0;
    }

    switch (record.type) {

    case NGX_HTTP_GRAPH_POLICY_RECORD_HEAD:
        check(record.version == 1 && record.generation != 0);
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_STATE:
        is_state(&record);
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_LINK:
        check(record.key.len != 0 && record.account.len != 0);
        is_text(&record.key, 1);
        is_text(&record.account, 0);
        break;

    case NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION:
        check(record.conversation != 0);
        check(record.reason < NGX_HTTP_GRAPH_POLICY_NREASONS);
        check(record.source <= 2 && record.armed <= 1);
        check(record.dry_run <= 1);
        check(record.fixed <= 1 && record.inbound <= 1);
        check(record.hold <= 0xffffffff);
        break;

    default:
        check(record.type == NGX_HTTP_GRAPH_POLICY_RECORD_END);
    }

    p = ngx_http_graph_policy_record_write(line, &record);
    check(p <= line + sizeof(line) && p[-1] == '\n');
    check(memchr(line, '\n', p - line) == p - 1);

    check(read_line(line, p - 1 - line, &back) == NGX_OK);
    check(back.type == record.type);

    q = ngx_http_graph_policy_record_write(again, &back);
    check(q - again == p - line && memcmp(line, again, p - line) == 0);

    return 0;
}
