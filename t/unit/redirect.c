
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of where a node of a cluster says that keys are: what is read of it,
 * and what isn't believed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <string.h>
#include "ngx_http_graph_policy_redirect.h"
#include "tap.h"


static void
test_read(void)
{
    size_t                             i;
    ngx_str_t                          error;
    ngx_http_graph_policy_redirect_t   redirect;

    static const struct {
        const char  *error;
        const char  *host;
        ngx_uint_t   port;
    } right[] = {
        { "MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381 },
        { "MOVED 0 10.0.0.5:1", "10.0.0.5", 1 },
        { "MOVED 16383 10.0.0.5:65535", "10.0.0.5", 65535 },
        { "MOVED 866 ::1:30001", "::1", 30001 },
        { "MOVED 866 2001:db8::7:6379", "2001:db8::7", 6379 },
        { "MOVED 866 [2001:db8::7]:6379", "2001:db8::7", 6379 },
        { "MOVED 1 node-1.redis.internal:6379", "node-1.redis.internal",
          6379 },
        { "MOVED 1 :6379", "", 6379 },
        { "MOVED 1 [::1:6379", "[::1", 6379 },
        { "MOVED 1 node]:6379", "node]", 6379 },
        { "MOVED 1 []:6379", "[]", 6379 }
    };

    static const char  *wrong[] = {
        "", "M", "MOVED", "MOVED ", "MOVED 1", "MOVED 1 ", "MOVED  1 a:1",
        "MOVED 1  a:1", "MOVED x a:1", "MOVED 16384 a:1", "MOVED -1 a:1",
        "MOVED 99999999999999999999 a:1", "MOVED 1 a", "MOVED 1 a:",
        "MOVED 1 a:0", "MOVED 1 a:65536", "MOVED 1 a:1x", "MOVED 1 a:-1",
        "MOVED 1 a:99999999999999999999", "MOVED 1 a b:1", "MOVED 1 a:1 ",
        "MOVED 1 a\x01:1", "MOVED 1 \xc3\xa4:1", "moved 1 a:1",
        "ASK 1 a:1", "ERR MOVED 1 a:1", "MOVEDx 1 a:1"
    };

    for (i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        error.data = (u_char *) right[i].error;
        error.len = strlen(right[i].error);

        ok(ngx_http_graph_policy_redirect_read(&error, &redirect) == NGX_OK,
           "read: %s", right[i].error);
        is_mem(redirect.host.data, redirect.host.len, right[i].host,
               strlen(right[i].host), "its host");
        is_int(redirect.port, right[i].port, "its port");
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        error.data = (u_char *) wrong[i];
        error.len = strlen(wrong[i]);

        ok(ngx_http_graph_policy_redirect_read(&error, &redirect)
           == NGX_DECLINED, "no redirection: %lu", (unsigned long) i);
    }
}


static void
test_port(void)
{
    size_t     i;
    ngx_str_t  text;

    static const struct {
        const char  *text;
        ngx_uint_t   port;
    } ports[] = {
        { "1", 1 }, { "6379", 6379 }, { "65535", 65535 }, { "65536", 0 },
        { "0", 0 }, { "", 0 }, { "-1", 0 }, { "6379 ", 0 }, { "x", 0 },
        { "18446744073709551617", 0 }
    };

    for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        text.data = (u_char *) ports[i].text;
        text.len = strlen(ports[i].text);

        is_int(ngx_http_graph_policy_redirect_port(&text), ports[i].port,
               "port \"%s\"", ports[i].text);
    }
}


int
main(void)
{
    test_read();
    test_port();

    return tap_done();
}
