
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the inflate room.  Sources and targets are blocks of exactly their
 * size between known bytes, so that each byte read or written beyond is seen
 * (the former by the sanitizer).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include <zlib.h>
#include "ngx_http_graph_policy_inflate.h"
#include "tap.h"


#define GZIP    (MAX_WBITS + 16)
#define ZLIB    MAX_WBITS
#define RAW     (-MAX_WBITS)

#define GUARD   64


typedef struct {
    u_char   *data;
    size_t    len;
} block_t;


static const char  text[] =
    "{\"error\":{\"message\":\"(#131042) Business eligibility payment issue\","
    "\"type\":\"OAuthException\",\"code\":131042,\"error_data\":"
    "{\"messaging_product\":\"whatsapp\",\"details\":\"Message failed to send "
    "because there were one or more errors related to your payment method.\"},"
    "\"fbtrace_id\":\"AFakeTraceId0000000000\"}}";

#define TEXT_LEN  (sizeof(text) - 1)


static struct {
    const char  *name;
    int          bits;
} formats[] = {
    { "gzip", GZIP },
    { "zlib", ZLIB },
    { "raw", RAW }
};

#define NFORMATS  (sizeof(formats) / sizeof(formats[0]))


static void *
room(size_t n)
{
    void  *p;

    p = malloc(n != 0 ? n : 1);
    if (p == NULL) {
        abort();
    }

    return p;
}


static block_t
pack_as(const void *data, size_t len, int bits, int level, int strategy,
    gz_header *header)
{
    block_t   b;
    z_stream  z;

    memset(&z, 0, sizeof(z_stream));

    if (deflateInit2(&z, level, Z_DEFLATED, bits, 8, strategy) != Z_OK
        || (header != NULL && deflateSetHeader(&z, header) != Z_OK))
    {
        abort();
    }

    b.len = deflateBound(&z, len) + 1024;
    b.data = room(b.len);

    z.next_in = (Bytef *) data;
    z.avail_in = (uInt) len;
    z.next_out = b.data;
    z.avail_out = (uInt) b.len;

    if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
        abort();
    }

    b.len = z.total_out;
    deflateEnd(&z);

    return b;
}


static block_t
pack(const void *data, size_t len, int bits)
{
    return pack_as(data, len, bits, 9, Z_DEFAULT_STRATEGY, NULL);
}


/* b becomes b followed by the n bytes at p */

static void
append(block_t *b, const void *p, size_t n)
{
    u_char  *data;

    data = room(b->len + n);

    memcpy(data, b->data, b->len);
    memcpy(data + b->len, p, n);

    free(b->data);

    b->data = data;
    b->len += n;
}


/* 1 if the bytes inflate to just the given ones in a room of this size */

static int
inflates(const void *packed, size_t n, const void *data, size_t len,
    size_t size)
{
    int       good;
    size_t    i;
    u_char   *src, *dst;
    ssize_t   rc;

    src = room(n);
    dst = room(size + GUARD);

    memcpy(src, packed, n);
    memset(dst, 0xa5, size + GUARD);

    rc = ngx_http_graph_policy_inflate(src, n, dst, size);

    good = (rc == (ssize_t) len && memcmp(dst, data, len) == 0);

    if (memcmp(src, packed, n) != 0) {
        diag("the source was changed");
        good = 0;
    }

    for (i = size; i < size + GUARD; i++) {
        if (dst[i] != 0xa5) {
            diag("a byte was written behind the end");
            good = 0;
            break;
        }
    }

    free(src);
    free(dst);

    /* once more without the guard, for the sanitizer's own */

    src = room(n);
    dst = room(size);
    memcpy(src, packed, n);

    if (ngx_http_graph_policy_inflate(src, n, dst, size) != rc) {
        diag("another result the second time");
        good = 0;
    }

    free(src);
    free(dst);

    return good;
}


/* 1 if it is declined, and nothing is written past the end of the room */

static int
declined(const void *packed, size_t n, size_t size)
{
    int       good;
    size_t    i;
    u_char   *src, *dst;
    ssize_t   rc;

    src = room(n);
    dst = room(size + GUARD);

    if (n != 0) {
        memcpy(src, packed, n);
    }

    memset(dst, 0xa5, size + GUARD);

    rc = ngx_http_graph_policy_inflate(src, n, dst, size);

    good = (rc == NGX_DECLINED);

    if (!good) {
        diag("got %zd instead of NGX_DECLINED", rc);
    }

    for (i = size; i < size + GUARD; i++) {
        if (dst[i] != 0xa5) {
            diag("a byte was written behind the end");
            good = 0;
            break;
        }
    }

    free(src);
    free(dst);

    return good;
}


static void
test_formats(void)
{
    int       level, strategy;
    size_t    i;
    block_t   b;

    for (i = 0; i < NFORMATS; i++) {
        b = pack(text, TEXT_LEN, formats[i].bits);

        ok(inflates(b.data, b.len, text, TEXT_LEN, 65536), "%s",
           formats[i].name);
        free(b.data);

        for (level = 0; level <= 9; level++) {
            b = pack_as(text, TEXT_LEN, formats[i].bits, level,
                        Z_DEFAULT_STRATEGY, NULL);

            ok(inflates(b.data, b.len, text, TEXT_LEN, 65536),
               "%s of level %d", formats[i].name, level);
            free(b.data);
        }

        for (strategy = Z_FILTERED; strategy <= Z_FIXED; strategy++) {
            b = pack_as(text, TEXT_LEN, formats[i].bits, 6, strategy, NULL);

            ok(inflates(b.data, b.len, text, TEXT_LEN, 65536),
               "%s of strategy %d", formats[i].name, strategy);
            free(b.data);
        }

        b = pack("", 0, formats[i].bits);
        ok(inflates(b.data, b.len, "", 0, 65536), "%s of nothing",
           formats[i].name);
        free(b.data);

        b = pack("x", 1, formats[i].bits);
        ok(inflates(b.data, b.len, "x", 1, 65536), "%s of one byte",
           formats[i].name);
        free(b.data);
    }

    for (i = 9; i < MAX_WBITS; i++) {
        b = pack(text, TEXT_LEN, (int) i);
        ok(inflates(b.data, b.len, text, TEXT_LEN, 65536),
           "a window of 2^%zu", i);
        free(b.data);
    }
}


static void
test_large(void)
{
    size_t     i, len;
    u_char    *data;
    block_t    b;
    uint32_t   x;

    /* bytes that don't get shorter, and more of them than a window holds */

    len = 300000;
    data = room(len);
    x = 1;

    for (i = 0; i < len; i++) {
        x = x * 1103515245 + 12345;
        data[i] = (u_char) (x >> 16);
    }

    for (i = 0; i < NFORMATS; i++) {
        b = pack(data, len, formats[i].bits);

        ok(inflates(b.data, b.len, data, len, 1048576),
           "%s of 300000 random bytes", formats[i].name);
        free(b.data);
    }

    /* the second half repeats the first from as far back as that goes */

    len = 2 * 32000;
    memcpy(data + len / 2, data, len / 2);

    for (i = 0; i < NFORMATS; i++) {
        b = pack(data, len, formats[i].bits);

        ok(b.len < len * 3 / 4, "%s with long references", formats[i].name);
        ok(inflates(b.data, b.len, data, len, 65536), "is taken");
        free(b.data);
    }

    free(data);
}


static void
test_header(void)
{
    block_t    b;
    gz_header  header;

    memset(&header, 0, sizeof(gz_header));

    header.text = 1;
    header.time = 1700000000;
    header.os = 3;
    header.extra = (Bytef *) "\x1f\x8b\x08\0{}";
    header.extra_len = 6;
    header.name = (Bytef *) "error.json";
    header.comment = (Bytef *) "with everything that a header can have";
    header.hcrc = 1;

    b = pack_as(text, TEXT_LEN, GZIP, 6, Z_DEFAULT_STRATEGY, &header);
    ok(inflates(b.data, b.len, text, TEXT_LEN, 65536),
       "gzip with all optional parts of its header");

    b.data[12] ^= 1;
    ok(declined(b.data, b.len, 65536), "and with one bit of these wrong");
    free(b.data);
}


static void
test_members(void)
{
    block_t  b, second, none;

    b = pack(text, TEXT_LEN / 2, GZIP);
    second = pack(text + TEXT_LEN / 2, TEXT_LEN - TEXT_LEN / 2, GZIP);
    append(&b, second.data, second.len);

    ok(inflates(b.data, b.len, text, TEXT_LEN, 65536), "two members");
    ok(inflates(b.data, b.len, text, TEXT_LEN, TEXT_LEN),
       "two members that fill the room");
    ok(declined(b.data, b.len, TEXT_LEN - 1), "and that need one byte more");
    ok(declined(b.data, b.len, TEXT_LEN / 2),
       "the first member fills the room, the second finds none");
    ok(declined(b.data, b.len - 1, 65536), "the second one lacks a byte");
    ok(declined(b.data, b.len - second.len + 5, 65536),
       "of the second one there is but half a header");

    b.data[b.len - 8] ^= 1;
    ok(declined(b.data, b.len, 65536), "the second one's checksum is wrong");

    free(second.data);
    free(b.data);

    b = pack(text, TEXT_LEN, GZIP);
    none = pack("", 0, GZIP);
    append(&b, none.data, none.len);
    append(&b, none.data, none.len);

    ok(inflates(b.data, b.len, text, TEXT_LEN, TEXT_LEN),
       "empty members behind one that fills the room");

    append(&none, b.data, b.len);
    ok(inflates(none.data, none.len, text, TEXT_LEN, TEXT_LEN),
       "and before it");

    free(none.data);
    free(b.data);

    /* only gzip has members */

    b = pack(text, TEXT_LEN, ZLIB);
    append(&b, b.data, b.len);
    ok(declined(b.data, b.len, 65536), "zlib twice");
    free(b.data);

    b = pack(text, TEXT_LEN, RAW);
    append(&b, b.data, b.len);
    ok(declined(b.data, b.len, 65536), "raw twice");
    free(b.data);
}


static void
test_bound(void)
{
    char     *zeroes;
    size_t    i;
    block_t   b;

    for (i = 0; i < NFORMATS; i++) {
        b = pack(text, TEXT_LEN, formats[i].bits);

        ok(inflates(b.data, b.len, text, TEXT_LEN, TEXT_LEN),
           "%s that just fits", formats[i].name);
        ok(declined(b.data, b.len, TEXT_LEN - 1), "%s a byte too large",
           formats[i].name);
        ok(declined(b.data, b.len, 1), "%s in a room for one byte",
           formats[i].name);
        ok(declined(b.data, b.len, 0), "%s in no room at all",
           formats[i].name);
        free(b.data);
    }

    /* a bomb: a thousand times as large when it goes off */

    zeroes = room(16 << 20);
    memset(zeroes, 0, 16 << 20);

    for (i = 0; i < NFORMATS; i++) {
        b = pack(zeroes, 16 << 20, formats[i].bits);

        ok(b.len < 20000, "a bomb of %zu bytes", b.len);
        ok(declined(b.data, b.len, 65536), "%s stops at the bound",
           formats[i].name);
        ok(declined(b.data, b.len, (16 << 20) - 1),
           "%s stops a byte before its end", formats[i].name);
        ok(inflates(b.data, b.len, zeroes, 16 << 20, 16 << 20),
           "%s is taken where there is room", formats[i].name);
        free(b.data);
    }

    free(zeroes);

    /* sizes that zlib can't count; nothing is read, nothing written */

    ok(declined("", 0, 65536), "no bytes");

    b = pack(text, TEXT_LEN, GZIP);
    zeroes = room(TEXT_LEN);

    is_int(ngx_http_graph_policy_inflate(b.data,
                                         (size_t) NGX_MAX_INT32_VALUE + 1,
                                         (u_char *) zeroes, TEXT_LEN),
           NGX_DECLINED, "a body of 2^31 bytes");
    is_int(ngx_http_graph_policy_inflate(b.data, b.len, (u_char *) zeroes,
                                         (size_t) NGX_MAX_INT32_VALUE + 1),
           NGX_DECLINED, "a room of 2^31 bytes");

#if (NGX_PTR_SIZE == 8)
    is_int(ngx_http_graph_policy_inflate(b.data, b.len + (1ULL << 32),
                                         (u_char *) zeroes, TEXT_LEN),
           NGX_DECLINED, "a length that is good but for its 33rd bit");
    is_int(ngx_http_graph_policy_inflate(b.data, b.len, (u_char *) zeroes,
                                         TEXT_LEN + (1ULL << 32)),
           NGX_DECLINED, "and a room likewise");
#endif

    free(zeroes);
    free(b.data);
}


static void
test_truncated(void)
{
    size_t    i, n;
    block_t   b;

    for (i = 0; i < NFORMATS; i++) {
        b = pack(text, TEXT_LEN, formats[i].bits);

        for (n = 0; n < b.len; n++) {
            if (!declined(b.data, n, 65536)) {
                break;
            }
        }

        is_int(n, b.len, "%s cut short anywhere", formats[i].name);
        free(b.data);
    }
}


static void
test_trailing(void)
{
    size_t    i, j;
    block_t   b;

    static const struct {
        const char  *data;
        size_t       len;
        const char  *name;
    } garbage[] = {
        { "x", 1, "a letter" },
        { "\n", 1, "a line feed" },
        { "\0", 1, "a zero" },
        { "\0\0\0\0\0\0\0\0", 8, "zeroes" },
        { "{\"error\":{\"code\":190}}", 22, "another error" },
        { "\x1f", 1, "half a magic number" },
        { "\x1f\x8b", 2, "a magic number" },
        { "\x1f\x1f\x1f\x1f\x1f\x1f\x1f\x1f", 8, "nearly a magic number" },
        { "\x1f\x8b\x08\0\0\0\0\0\0\3", 10, "a header without its body" }
    };

    for (i = 0; i < NFORMATS; i++) {
        for (j = 0; j < sizeof(garbage) / sizeof(garbage[0]); j++) {
            b = pack(text, TEXT_LEN, formats[i].bits);
            append(&b, garbage[j].data, garbage[j].len);

            ok(declined(b.data, b.len, 65536), "%s and then %s",
               formats[i].name, garbage[j].name);
            free(b.data);
        }
    }
}


static void
test_corrupt(void)
{
    u_char    c;
    size_t    i, n, wrong;
    block_t   b;

    static const char  plain[] = "{\"error\":{\"code\":190}}";

    ok(declined(plain, sizeof(plain) - 1, 65536), "JSON that isn't packed");
    ok(declined("<html></html>", 13, 65536), "HTML that isn't packed");
    ok(declined("\x1f\x8b\x07\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20, 65536),
       "gzip of an unknown method");
    ok(declined("\x1f\x8b\x08\xe0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20,
                65536), "gzip with reserved flags");

    /* whatever bit is wrong: declined, or of no matter (time, system) */

    for (i = 0; i < 2; i++) {
        b = pack(text, TEXT_LEN, formats[i].bits);
        wrong = 0;

        for (n = 0; n < 8 * b.len; n++) {
            c = b.data[n / 8];
            b.data[n / 8] ^= (u_char) (1 << n % 8);

            if (inflates(b.data, b.len, text, TEXT_LEN, 65536)) {
                b.data[n / 8] = c;
                continue;
            }

            if (!declined(b.data, b.len, 65536)) {
                diag("bit %zu", n);
                wrong++;
            }

            b.data[n / 8] = c;
        }

        is_int(wrong, 0, "%s with any of its bits wrong", formats[i].name);
        free(b.data);
    }

    b = pack(text, TEXT_LEN, GZIP);
    b.data[b.len - 5] ^= 0x80;
    ok(declined(b.data, b.len, 65536), "gzip with a wrong checksum");
    b.data[b.len - 5] ^= 0x80;
    b.data[b.len - 1] ^= 1;
    ok(declined(b.data, b.len, 65536), "gzip with a wrong length");
    free(b.data);

    b = pack(text, TEXT_LEN, ZLIB);
    b.data[b.len - 1] ^= 1;
    ok(declined(b.data, b.len, 65536), "zlib with a wrong checksum");
    free(b.data);
}


static void
test_dictionary(void)
{
    u_char    packed[1024];
    z_stream  z;

    memset(&z, 0, sizeof(z_stream));

    if (deflateInit2(&z, 9, Z_DEFLATED, ZLIB, 8, Z_DEFAULT_STRATEGY) != Z_OK
        || deflateSetDictionary(&z, (Bytef *) text, TEXT_LEN) != Z_OK)
    {
        abort();
    }

    z.next_in = (Bytef *) text;
    z.avail_in = TEXT_LEN;
    z.next_out = packed;
    z.avail_out = sizeof(packed);

    is_int(deflate(&z, Z_FINISH), Z_STREAM_END,
           "zlib with a dictionary, which we don't have");
    ok(declined(packed, z.total_out, 65536), "is declined");

    deflateEnd(&z);
}


/* raw bytes may begin as one of the others would */

static void
test_lookalike(void)
{
    /* a stored block of one byte, its idle bits those of zlib's header */

    ok(inflates("\x78\x01\x00\xfe\xff{\x03\x00", 8, "{", 1, 65536),
       "raw that begins like zlib");

    /* what was written before the first guess failed doesn't count */

    ok(inflates("\x78\x01\x00\xfe\xff{\x03\x00", 8, "{", 1, 1),
       "and just fits");
}


int
main(void)
{
    test_formats();
    test_large();
    test_header();
    test_members();
    test_bound();
    test_truncated();
    test_trailing();
    test_corrupt();
    test_dictionary();
    test_lookalike();

    return tap_done();
}
