
/*
 * Copyright (C) the graph_policy authors
 */


/* Tests of a fleet's key file: what is read of it, and the keys from it. */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_fleet_key.h"
#include "tap.h"


#define K32  "0123456789abcdef0123456789abcdef"
#define K1K  K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32  \
             K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32 K32


/* HMAC-SHA256 by K32 of "graph_policy 1 entry", as openssl dgst has it */

static const u_char  entry_key[] =
    "\x1b\x4c\xbe\x75\x45\xac\x6f\xcd\x69\xd6\x0d\x40\xdd\x3f\x52\xc1"
    "\x2e\xfa\xf4\xdd\x6d\x54\xd1\xbd\xff\xf2\xf3\x11\xa4\x13\xb4\xf0";

/* how often that key was wiped */

static ngx_uint_t  wiped;


/* it takes the place of libcrypto's, by which secrets are wiped */

void
OPENSSL_cleanse(void *p, size_t len)
{
    size_t            i;
    volatile u_char  *byte;

    if (len == sizeof(entry_key) - 1 && memcmp(p, entry_key, len) == 0) {
        wiped++;
    }

    byte = p;

    for (i = 0; i < len; i++) {
        byte[i] = 0;
    }
}


/* as "line:length ..." and a last word for the end */

static const char *
said(const char *text, size_t len)
{
    u_char       *p, *last;
    size_t        n;
    ngx_int_t     rc;
    ngx_str_t     secret;
    ngx_uint_t    line;

    static char   out[512];

    p = (u_char *) text;
    last = p + len;
    line = 0;
    n = 0;
    out[0] = '\0';

    while ((rc = ngx_http_graph_policy_fleet_key_next(&p, last, &line,
                                                      &secret))
           == NGX_OK)
    {
        n += snprintf(out + n, sizeof(out) - n, "%d:%d ", (int) line,
                      (int) secret.len);
    }

    snprintf(out + n, sizeof(out) - n, "%s",
             rc == NGX_DONE ? "end" : rc == NGX_DECLINED ? "short" : "bad");

    return out;
}


#define text(s)  said(s, sizeof(s) - 1)


static void
test_read(void)
{
    is_str(text(""), "end", "nothing");
    is_str(text(K32), "1:32 end", "a key without a line end");
    is_str(text(K32 "\n" K32 "x\n"), "1:32 2:33 end", "two");
    is_str(text("# a\n\n\t " K32 " \r\n  # b\n" K32), "3:32 5:32 end",
           "comments, empty lines, blanks, CR LF");
    is_str(text(K32 " " K32), "1:65 end", "a blank within a key is of it");
    is_str(text("0123456789abcdef0123456789abcde"), "short",
           "31 characters are too few");
    is_str(text(K1K), "1:1024 end", "1024 are not too many");
    is_str(text(K1K "x"), "bad", "1025 are");
    is_str(text(K32 "\x7f"), "bad", "no control characters");
    is_str(text(K32 "\xc3\xa9"), "bad", "nothing but ASCII");
    is_str(text(K32 "\n" K32 "\t" K32), "1:32 bad", "no tab within a key");
    is_str(text(K32 "\n\0"), "1:32 bad", "no NUL");
}


static ngx_http_graph_policy_fleet_key_t
derived(const char *secret)
{
    ngx_str_t                           s;
    ngx_http_graph_policy_fleet_key_t   key;

    s.data = (u_char *) secret;
    s.len = strlen(secret);

    ok(ngx_http_graph_policy_fleet_key_derive(&s, &key) == NGX_OK,
       "keys are derived");

    return key;
}


static void
digest_of(ngx_http_graph_policy_fleet_key_t *key, u_char *digest)
{
    ngx_http_graph_policy_signature_init(key->signature);
    ngx_http_graph_policy_signature_update(key->signature, (u_char *) "x", 1);
    ngx_http_graph_policy_signature_final(key->signature, digest);
}


static void
test_derive(void)
{
    u_char                             one[32], two[32];
    ngx_http_graph_policy_fleet_key_t  a, b, c;

    wiped = 0;
    a = derived(K32);
    is_int(wiped, 1, "the key of entries isn't left on the stack");
    b = derived(K32);
    c = derived(K32 "!");

    /* printf 'graph_policy 1 fingerprint' | openssl dgst -sha256 -hmac K32 */

    ok(a.fingerprint[0] == 0x284122bea99fcf62ULL && a.fingerprint[1] == 0x0e5c1205390f03f8ULL,
       "the fingerprint key is HMAC-SHA256 of its label");
    ok(a.fingerprint[0] == b.fingerprint[0]
       && a.fingerprint[1] == b.fingerprint[1],
       "the same on all hosts");
    ok(a.fingerprint[0] != c.fingerprint[0], "and another of another line");

    digest_of(&a, one);
    digest_of(&b, two);
    is_mem(one, 32, two, 32, "entries are signed with the same key");

    digest_of(&c, two);
    ok(memcmp(one, two, 32) != 0, "but not of another line");

    ngx_http_graph_policy_signature_destroy(a.signature);
    ngx_http_graph_policy_signature_destroy(b.signature);
    ngx_http_graph_policy_signature_destroy(c.signature);
}


int
main(void)
{
    test_read();
    test_derive();

    return tap_done();
}
