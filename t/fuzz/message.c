
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as the body of a message.  The text and the arena are
 * blocks of exactly their size, so that the sanitizer sees each byte beyond.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"


#define check(expr)  if (!(expr)) abort()


typedef ngx_http_graph_policy_recipient_t  recipient_t;
typedef ngx_http_graph_policy_message_t    message_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* reads "before", the data and "after" as one text */

static ngx_int_t
read_message(const char *before, const uint8_t *data, size_t size,
    const char *after, message_t *result)
{
    size_t        i, len, head, tail;
    u_char       *arena, *text, *copy;
    ngx_int_t     rc;
    message_t    *message;
    recipient_t  *recipient;

    head = strlen(before);
    tail = strlen(after);
    len = head + size + tail;

    text = malloc(len);
    copy = malloc(len);
    arena = malloc(ngx_http_graph_policy_json_arena(len));
    message = malloc(sizeof(message_t));

    if (arena == NULL || message == NULL
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

    memset(message, 0xa5, sizeof(message_t));

    rc = ngx_http_graph_policy_message_read(text, len, arena, message);

    recipient = &message->recipient;

    check(len == 0 || memcmp(text, copy, len) == 0);
    check(rc == NGX_OK || (rc == NGX_DECLINED && recipient->len == 0
                           && !message->template && !message->receipt));
    check(!message->receipt || recipient->len == 0);
    check(recipient->len <= sizeof(recipient->data));

    for (i = 0; i < recipient->len; i++) {
        check(strchr("+ -()", recipient->data[i]) == NULL
              || recipient->data[i] == '\0');
    }

    *result = *message;

    free(message);
    free(arena);
    free(copy);
    free(text);

    return rc;
}


static ngx_int_t
to_whom(const char *before, const uint8_t *data, size_t size,
    const char *after, recipient_t *result)
{
    ngx_int_t  rc;
    message_t  message;

    rc = read_message(before, data, size, after, &message);

    *result = message.recipient;

    return rc;
}


static int
same(recipient_t *one, recipient_t *other)
{
    return one->len == other->len
           && memcmp(one->data, other->data, one->len) == 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       i;
    char         text[NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN + 1];
    message_t    m;
    recipient_t  r, other;

    if (to_whom("", data, size, "", &r) != NGX_OK) {
        return 0;
    }

    /* only at the top is it a template, and the last one counts */

    if (read_message("{\"a\":", data, size, "}", &m) == NGX_OK) {
        check(!m.template);
    }

    if (read_message("{\"type\":\"template\",\"type\":", data, size, "}", &m)
        == NGX_OK)
    {
        /* yajl takes some more bytes for white space than JSON has */

        for (i = 0; i < size && strchr(" \t\r\n\v\f", data[i]) != NULL; i++) {
            /* void */
        }

        check(!m.template || data[i] == '"');
    }

    /* whoever is named last is somebody, and a status alone names nobody */

    if (read_message("{\"status\":\"read\",\"a\":", data, size, "}", &m)
        == NGX_OK)
    {
        check(m.receipt);
    }

    if (read_message("{\"status\":", data, size, ",\"to\":\"1\"}", &m)
        == NGX_OK)
    {
        check(!m.receipt);
    }

    /* white space around a document says nothing, all else spoils it */

    check(to_whom(" \t", data, size, " \r\n", &other) == NGX_OK);
    check(same(&other, &r));

    check(to_whom("", data, size, "]", &other) == NGX_DECLINED);
    check(to_whom("", data, size, " tru", &other) == NGX_DECLINED);

    /* a document one level down goes to nobody */

    if (to_whom("[", data, size, "]", &other) == NGX_OK) {
        check(other.len == 0);
    }

    /* nor does it change to whom the one around it goes; the last one wins */

    if (to_whom("{\"to\":\"1\",\"a\":", data, size, "}", &other) == NGX_OK) {
        check(other.len == 1 && other.data[0] == '1');
    }

    if (to_whom("{\"to\":", data, size, ",\"to\":\"1\"}", &other) == NGX_OK) {
        check(other.len == 1 && other.data[0] == '1');
    }

    if (r.len == 0) {
        return 0;
    }

    /* only whole objects go to somebody */

    for (i = size; data[i - 1] != '}'; i--) { /* void */ }

    check(to_whom("", data, i - 1, "", &other) == NGX_DECLINED);

    /* what is folded is folded; signs in between make no difference */

    for (i = 0; i < r.len; i++) {
        if (r.data[i] < ' ' || r.data[i] == '"' || r.data[i] == '\\') {
            return 0;
        }

        /* maybe half a pair of surrogates, which only an escape can give */

        if (r.data[i] == 0xed) {
            return 0;
        }
    }

    memcpy(text, r.data, r.len);
    text[r.len] = '\0';

    check(to_whom("{\"to\":\"", (uint8_t *) text, r.len, "\"}", &other)
          == NGX_OK);
    check(same(&other, &r));

    if (r.len <= sizeof(r.data) - 4) {
        check(to_whom("{\"a\":{},\"recipient\":\"+(", (uint8_t *) text, r.len,
                      ") \"}", &other)
              == NGX_OK);
        check(same(&other, &r));
    }

    return 0;
}
