
/*
 * Copyright (C) the graph_policy authors
 */


/* Tests of the entries that hosts of a fleet tell each other. */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_entry.h"
#include "tap.h"


#define BODY  "{\"state\":\"phone\"}"


static ngx_str_t  name = ngx_string("graph_policy:{z}:log");
static ngx_str_t  other = ngx_string("graph_policy:{y}:log");

static ngx_http_graph_policy_signature_t  *sig, *stranger;

static u_char  text[NGX_HTTP_GRAPH_POLICY_ENTRY_READ + 64];
static size_t  len;


static void
write_one(uint64_t node, uint64_t seq, uint64_t sent, uint64_t lease,
    const char *body)
{
    u_char                         *p;
    ngx_http_graph_policy_entry_t   entry;

    entry.node = node;
    entry.seq = seq;
    entry.sent = sent;
    entry.lease = lease;
    entry.body.data = (u_char *) body;
    entry.body.len = strlen(body);

    p = ngx_http_graph_policy_entry_write(text, &entry, &name, sig);
    ok(p != NULL, "written");
    len = p - text;
}


static void
test_round(void)
{
    ngx_http_graph_policy_entry_t  entry;

    write_one(0x0123456789abcdefULL, 7, 1795936077064ULL, 30000, BODY);

    ok(memcmp(text, "1 0123456789abcdef 7 1795936077064 30000 ", 41) == 0
       && memcmp(text + 41 + 32, " " BODY, sizeof(BODY)) == 0,
       "it looks as it is described");

    ok(ngx_http_graph_policy_entry_read(text, len, &entry) == NGX_OK
       && entry.node == 0x0123456789abcdefULL && entry.seq == 7
       && entry.sent == 1795936077064ULL && entry.lease == 30000
       && entry.body.len == sizeof(BODY) - 1,
       "and is read as it was");
    ok(ngx_http_graph_policy_entry_verify(&entry, &name, sig) == NGX_OK,
       "it is signed");
    ok(ngx_http_graph_policy_entry_verify(&entry, &other, sig)
       == NGX_DECLINED, "for that stream");
    ok(ngx_http_graph_policy_entry_verify(&entry, &name, stranger)
       == NGX_DECLINED, "with that key");
}


/* whatever byte is changed, it isn't taken */

static void
test_changed(void)
{
    size_t                         i, taken;
    u_char                         c;
    ngx_http_graph_policy_entry_t  entry;

    write_one(1, 2, 3, 4, BODY);
    taken = 0;

    for (i = 0; i < len; i++) {
        c = text[i];
        text[i] ^= 1;

        taken += (ngx_http_graph_policy_entry_read(text, len, &entry)
                  == NGX_OK
                  && ngx_http_graph_policy_entry_verify(&entry, &name, sig)
                     == NGX_OK);
        text[i] = c;
    }

    is_int(taken, 0, "no byte of it can be changed");

    for (i = 0; i < len; i++) {
        taken += (ngx_http_graph_policy_entry_read(text, i, &entry) == NGX_OK
                  && ngx_http_graph_policy_entry_verify(&entry, &name, sig)
                     == NGX_OK);
    }

    is_int(taken, 0, "nor cut off");
}


#define MAC  "0123456789abcdef0123456789abcdef"
#define N16  "00000000000000aa"

static void
test_malformed(void)
{
    size_t                         i;
    ngx_http_graph_policy_entry_t  entry;

    static const char  *wrong[] = {
        "", " ", "1", "1 ", "2 " N16 " 1 1 0 " MAC " x",
        "01 " N16 " 1 1 0 " MAC " x", "1  " N16 " 1 1 0 " MAC " x",
        "1 0000000000000000 1 1 0 " MAC " x", "1 " N16 "1 1 0 " MAC " x",
        "1 00000000000000AA 1 1 0 " MAC " x",
        "1 " N16 " 01 1 0 " MAC " x", "1 " N16 " -1 1 0 " MAC " x",
        "1 " N16 " 1 9007199254740992 0 " MAC " x",
        "1 " N16 " 1 99999999999999999999999 0 " MAC " x",
        "1 " N16 " 1 1 86400001 " MAC " x", "1 " N16 " 1 1 0 " MAC,
        "1 " N16 " 1 1 0 " MAC " ", "1 " N16 " 1 1 0 " MAC "x x",
        "1 " N16 " 1 1 0 0123 x", "1 " N16 " 1 1  0 " MAC " x"
    };

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ok(ngx_http_graph_policy_entry_read((u_char *) wrong[i],
                                            strlen(wrong[i]), &entry)
           == NGX_DECLINED, "refused: \"%s\"", wrong[i]);
    }

    ok(ngx_http_graph_policy_entry_read((u_char *) "1 " N16
                                        " 9007199254740991 0 86400000 " MAC
                                        " x", 81, &entry) == NGX_OK,
       "the largest numbers are fine");

    memset(text, 'x', sizeof(text));
    memcpy(text, "1 " N16 " 1 1 0 " MAC " ", 59);
    ok(ngx_http_graph_policy_entry_read(text,
                                        NGX_HTTP_GRAPH_POLICY_ENTRY_READ + 1,
                                        &entry) == NGX_DECLINED,
       "one that is too long is refused");
}


static void
test_heartbeat(void)
{
    size_t                             i;
    u_char                             buf[NGX_HTTP_GRAPH_POLICY_ENTRY_WRITE];
    ngx_str_t                          body;
    ngx_http_graph_policy_heartbeat_t  told, heard;

    static const char  *wrong[] = {
        "", "h", "h ", "h 1", "h 1 ", "h 1 5", "h 1 5 00000000000000a",
        "h 1 5 00000000000000aa ", "h  1 5 00000000000000aa",
        "h 1 00000000000000aa", "h 1 x 00000000000000aa",
        "x 1 5 00000000000000aa", "h x 5 00000000000000aa",
        "h 1 5 00000000000000aa 00000000000000a",
        "h 1 5 00000000000000aa  00000000000000aa",
        "h 1 5 00000000000000aa-00000000000000aa",
        "h 1 5 00000000000000aa 00000000000000aa "
    };

    memset(&told, 0, sizeof(told));

    told.cut = 1795936070000ULL;
    told.round = 5000;
    told.digest = 0xfedcba9876543210ULL;

    body.data = buf;
    body.len = ngx_http_graph_policy_heartbeat_write(buf, &told) - buf;

    ok(ngx_http_graph_policy_heartbeat_read(&body, &heard) == NGX_OK
       && heard.cut == told.cut && heard.round == told.round
       && heard.digest == told.digest && !heard.shares,
       "a heartbeat is read as it was written");

    told.shares = 1;
    told.conversations = 0x0123456789abcdefULL;
    body.len = ngx_http_graph_policy_heartbeat_write(buf, &told) - buf;

    ok(ngx_http_graph_policy_heartbeat_read(&body, &heard) == NGX_OK
       && heard.digest == told.digest && heard.shares
       && heard.conversations == told.conversations,
       "so is one of a host that shares conversations");

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        body.data = (u_char *) wrong[i];
        body.len = strlen(wrong[i]);
        ok(ngx_http_graph_policy_heartbeat_read(&body, &heard)
           == NGX_DECLINED, "no heartbeat: \"%s\"", wrong[i]);
    }
}


int
main(void)
{
    sig = ngx_http_graph_policy_signature_create((u_char *) "key", 3);
    stranger = ngx_http_graph_policy_signature_create((u_char *) "yek", 3);

    test_round();
    test_changed();
    test_malformed();
    test_heartbeat();

    ngx_http_graph_policy_signature_destroy(sig);
    ngx_http_graph_policy_signature_destroy(stranger);

    return tap_done();
}
