
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of answers of Redis: what is told of them, whole and byte by byte, and
 * what is refused.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "ngx_http_graph_policy_resp.h"
#include "tap.h"


static char    out[8192];
static size_t  n;


/* a sanitizer has allocators of its own */

#ifndef __has_feature
#define __has_feature(x)  0
#endif

#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)       \
    && !__has_feature(memory_sanitizer) && defined(__GLIBC__)

#define memory_can_run_out  1

static ngx_uint_t  no_memory;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);


void *
malloc(size_t size)
{
    return no_memory ? NULL : __libc_malloc(size);
}


void *
calloc(size_t count, size_t size)
{
    return no_memory ? NULL : __libc_calloc(count, size);
}


void *
realloc(void *p, size_t size)
{
    return no_memory ? NULL : __libc_realloc(p, size);
}

#endif


/* "depth.index...:value " */

static void
tell(void *data, ngx_http_graph_policy_resp_value_t *value)
{
    ngx_uint_t  i;

    for (i = 0; i < value->depth; i++) {
        n += snprintf(out + n, sizeof(out) - n, "%d.", (int) value->index[i]);
    }

    /* what has no text must not point at one */

    if (value->type == NGX_HTTP_GRAPH_POLICY_RESP_INTEGER
        || value->type == NGX_HTTP_GRAPH_POLICY_RESP_NIL)
    {
        n += snprintf(out + n, sizeof(out) - n, "%s",
                      value->text.len || value->text.data ? "(text) " : "");
    }

    /* nor has a text a number */

    if (value->type != NGX_HTTP_GRAPH_POLICY_RESP_INTEGER
        && value->type != NGX_HTTP_GRAPH_POLICY_RESP_ARRAY)
    {
        n += snprintf(out + n, sizeof(out) - n, "%s",
                      value->number ? "(number) " : "");
    }

    switch (value->type) {

    case NGX_HTTP_GRAPH_POLICY_RESP_ARRAY:
        n += snprintf(out + n, sizeof(out) - n, "[%d] ", (int) value->number);
        break;

    case NGX_HTTP_GRAPH_POLICY_RESP_INTEGER:
        n += snprintf(out + n, sizeof(out) - n, ":%lld ",
                      (long long) value->number);
        break;

    case NGX_HTTP_GRAPH_POLICY_RESP_NIL:
        n += snprintf(out + n, sizeof(out) - n, "nil ");
        break;

    default:
        n += snprintf(out + n, sizeof(out) - n, "%c%.*s ",
                      "+-$"[value->type], (int) value->text.len,
                      (char *) value->text.data);
        break;
    }

    if (n > sizeof(out) - 256) {
        n = 0;
    }
}


static const char *
read_in(const char *text, size_t len, size_t step)
{
    size_t                         i, part;
    ngx_int_t                      rc;
    ngx_http_graph_policy_resp_t  *resp;

    n = 0;
    out[0] = '\0';
    rc = NGX_AGAIN;
    resp = ngx_http_graph_policy_resp_create(tell, NULL);

    for (i = 0; i < len && rc == NGX_AGAIN; i += part) {
        part = (step < len - i) ? step : len - i;

        rc = ngx_http_graph_policy_resp_feed(resp, (u_char *) text + i, part);

        while (rc == NGX_OK) {
            rc = ngx_http_graph_policy_resp_next(resp);

            if (rc == NGX_OK) {
                n += snprintf(out + n, sizeof(out) - n, "; ");
            }
        }
    }

    snprintf(out + n, sizeof(out) - n, "%s", rc == NGX_AGAIN ? "more"
                                   : rc == NGX_DECLINED ? "large" : "wrong");

    ngx_http_graph_policy_resp_destroy(resp);

    return out;
}


#define whole(s)  read_in(s, sizeof(s) - 1, sizeof(s))

#define is_read(s, want, name)                                                \
    is_str(read_in(s, sizeof(s) - 1, sizeof(s)), want, name);                 \
    is_str(read_in(s, sizeof(s) - 1, 1), want, name ", byte by byte")


static void
test_read(void)
{
    is_read("+OK\r\n", "+OK ; more", "a status");
    is_read("-ERR no\r\n", "-ERR no ; more", "an error");
    is_read(":42\r\n", ":42 ; more", "a number");
    is_read("$5\r\na\r\nbc\r\n", "$a\r\nbc ; more", "a string");
    is_read("$-1\r\n", "nil ; more", "none");
    is_read("*-1\r\n", "nil ; more", "no array");
    is_read("*0\r\n", "[0] ; more", "an empty array");
    is_read("*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "[2] 0.$1 1.$2 ; more",
            "the answer to TIME");
    is_read("*2\r\n$1\r\n0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
            "[2] 0.$0 1.[2] 1.0.$f 1.1.$v ; more", "the answer to HSCAN");
    is_read("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\ne"
            "\r\n$1\r\nx\r\n",
            "[1] 0.[2] 0.0.$s 0.1.[1] 0.1.0.[2] 0.1.0.0.$1-1 0.1.0.1.[2] "
            "0.1.0.1.0.$e 0.1.0.1.1.$x ; more", "the answer to XREAD");
    is_read("+a\r\n:1\r\n+b\r\n", "+a ; :1 ; +b ; more", "several");
    is_read("*2\r\n:1\r\n", "[2] 0.:1 more", "half an answer");
}


static char *
repeat(const char *s, size_t times, const char *end)
{
    char    *text;
    size_t   i, len;

    len = strlen(s);
    text = malloc(len * times + strlen(end) + 1);

    for (i = 0; i < times; i++) {
        memcpy(text + i * len, s, len);
    }

    strcpy(text + i * len, end);

    return text;
}


static void
test_refused(void)
{
    char    *text;
    size_t   i;

    static const char  *wrong[] = {
        "hello\r\n", "\r\n", "HTTP/1.1 400 Bad Request\r\n", "$x\r\n",
        "*x\r\n", ":x\r\n", "%1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n",
        ">1\r\n+a\r\n", ",1.5\r\n", "#t\r\n", "(1\r\n",
        "=5\r\ntxt:a\r\n", "\x15\x03\x01"
    };

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        read_in(wrong[i], strlen(wrong[i]), 1000);
        ok(strcmp(out + strlen(out) - 5, "wrong") == 0,
           "not of the protocol: \"%.20s\"", wrong[i]);
    }

    /* hiredis 1 knows the null of RESP3, and doesn't tell it from RESP2's */

    read_in("_\r\n", 3, 1000);
    ok(strcmp(out, "wrong") == 0 || strcmp(out, "nil ; more") == 0,
       "the null of RESP3 is none, or a null");

    is_str(whole("*4096\r\n"), "[4096] more", "4096 elements are read");
    is_str(whole("*4097\r\n"), "large", "4097 are not");
    is_str(whole("*2147483647\r\n"), "large", "2^31 - 1 are not");

    text = repeat("*1\r\n", 5, "+a\r\n");
    is_str(read_in(text, strlen(text), 1000),
           "[1] 0.[1] 0.0.[1] 0.0.0.[1] 0.0.0.0.[1] 0.0.0.0.0.+a ; more",
           "arrays five deep are read");
    free(text);

    text = repeat("*1\r\n", 8, "+a\r\n");
    read_in(text, strlen(text), 1000);
    ok(strstr(out, "large") != NULL, "eight deep are not");
    free(text);

    text = repeat("x", 1100 * 1024, "");
    memcpy(text, "$2000000\r\n", 10);
    is_str(read_in(text, strlen(text), 16384), "large",
           "a string of 2m is not waited for");
    free(text);

    /* endless, in small pieces that are complete */

    text = repeat("$8\r\nxxxxxxxx\r\n", 100000, "");
    memcpy(text, "*4096\r\n", 7);
    read_in(text, strlen(text), 16384);
    ok(strstr(out, "large") != NULL || strstr(out, "wrong") != NULL,
       "nor is an answer that doesn't end");
    free(text);

    text = repeat("x", 1100 * 1024, "");
    text[0] = '+';
    is_str(read_in(text, strlen(text), 16384), "large",
           "nor a line without an end");
    free(text);
}


/* what comes before an answer is whole is kept, up to that much */

static void
test_size(void)
{
    u_char                        *text;
    ngx_http_graph_policy_resp_t  *resp;

    text = malloc(NGX_HTTP_GRAPH_POLICY_RESP_SIZE);
    memset(text, 'x', NGX_HTTP_GRAPH_POLICY_RESP_SIZE);
    text[0] = '+';

    resp = ngx_http_graph_policy_resp_create(tell, NULL);
    (void) ngx_http_graph_policy_resp_feed(resp, text,
                                           NGX_HTTP_GRAPH_POLICY_RESP_SIZE);
    is_int(ngx_http_graph_policy_resp_next(resp), NGX_AGAIN,
           "a megabyte without an end may yet have one");
    (void) ngx_http_graph_policy_resp_feed(resp, (u_char *) "x", 1);
    is_int(ngx_http_graph_policy_resp_next(resp), NGX_DECLINED,
           "a byte more may not");
    ngx_http_graph_policy_resp_destroy(resp);

    free(text);
}


static void
test_stays_wrong(void)
{
    ngx_http_graph_policy_resp_t  *resp;

    /* what is wrong once stays so */

    resp = ngx_http_graph_policy_resp_create(tell, NULL);
    is_int(ngx_http_graph_policy_resp_feed(resp, (u_char *) "?\r\n", 3),
           NGX_OK, "what isn't Redis'");
    is_int(ngx_http_graph_policy_resp_next(resp), NGX_ERROR, "is wrong");
    is_int(ngx_http_graph_policy_resp_feed(resp, (u_char *) "+OK\r\n", 5),
           NGX_ERROR, "and so is all behind it");
    ngx_http_graph_policy_resp_destroy(resp);
    ngx_http_graph_policy_resp_destroy(NULL);
}


static void
test_command(void)
{
    u_char     buf[128], *p;
    ngx_str_t  args[] = { ngx_string("HSET"), ngx_string("a b"),
                          ngx_string(""), ngx_string("\r\n$") };

    p = ngx_http_graph_policy_resp_command(buf, args, 4);

    is_mem(buf, p - buf, "*4\r\n$4\r\nHSET\r\n$3\r\na b\r\n$0\r\n\r\n"
           "$3\r\n\r\n$\r\n", 38, "a command, whatever is in it");
    ok(ngx_http_graph_policy_resp_command_len(args, 4) >= (size_t) (p - buf),
       "takes no more than was said");
}


/* a new buffer in the place of a large one that is empty again */

static void
test_memory(void)
{
#ifdef memory_can_run_out

    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_http_graph_policy_resp_t  *resp;

    static u_char  text[16384];

    resp = ngx_http_graph_policy_resp_create(tell, NULL);

    (void) snprintf((char *) text, sizeof(text), "*4000\r\n");
    (void) ngx_http_graph_policy_resp_feed(resp, text, strlen((char *) text));

    for (i = 0; i < sizeof(text); i += 4) {
        ngx_memcpy(text + i, ":1\r\n", 4);
    }

    rc = ngx_http_graph_policy_resp_feed(resp, text, 16000);

    is_int(rc, NGX_OK, "a large answer");
    is_int(ngx_http_graph_policy_resp_next(resp), NGX_OK, "which is read");
    is_int(ngx_http_graph_policy_resp_next(resp), NGX_AGAIN, "and is all");

    no_memory = 1;
    rc = ngx_http_graph_policy_resp_feed(resp, (u_char *) "+OK\r\n", 5);
    no_memory = 0;

    ok(rc == NGX_OK || rc == NGX_ERROR, "without memory the process goes on");

    ngx_http_graph_policy_resp_destroy(resp);

#endif
}


int
main(void)
{
    test_read();
    test_refused();
    test_size();
    test_stays_wrong();
    test_command();
    test_memory();

    return tap_done();
}
