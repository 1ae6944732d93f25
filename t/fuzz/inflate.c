
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a compressed body; then the same bytes packed, which
 * must come out again; then these with some damage.  Bodies and rooms are
 * blocks of exactly their size, so that the sanitizer sees each byte beyond.
 */


#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "ngx_http_graph_policy_inflate.h"


#define check(expr)  if (!(expr)) abort()

#define ROOM       65536
#define WRAPPINGS  4
#define DAMAGES    3


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
room(size_t n)
{
    void  *p;

    p = malloc(n);
    check(p != NULL || n == 0);

    return p;
}


/* inflates the data and one byte more, if that isn't -1 */

static ssize_t
unpack(const uint8_t *data, size_t size, int more, u_char *dst, size_t n)
{
    u_char   *src;
    ssize_t   rc;

    src = room(size + (more != -1));

    if (size != 0) {
        memcpy(src, data, size);
    }

    if (more != -1) {
        src[size] = (u_char) more;
        size++;
    }

    rc = ngx_http_graph_policy_inflate(src, size, dst, n);

    check(rc == NGX_DECLINED || (rc >= 0 && (size_t) rc <= n));
    check(size == 0 || memcmp(src, data, size - (more != -1)) == 0);

    free(src);

    return rc;
}


static int
declined(const uint8_t *data, size_t size, int more, size_t n)
{
    u_char   *dst;
    ssize_t   rc;

    dst = room(n);
    rc = unpack(data, size, more, dst, n);
    free(dst);

    return rc == NGX_DECLINED;
}


static void
as_packed(const uint8_t *data, size_t size)
{
    u_char   *other;
    size_t    n;
    ssize_t   rc;

    /* made once, as large blocks cost the sanitizer most of the time */

    static u_char  *dst, *spare;

    if (dst == NULL) {
        dst = room(ROOM);
        spare = room(ROOM);
    }

    rc = unpack(data, size, -1, dst, ROOM);

    if (rc == NGX_DECLINED) {
        return;
    }

    n = (size_t) rc;

    /* what was taken is whole: neither a byte less nor one more would do */

    check(size != 0);
    check(unpack(data, size - 1, -1, spare, ROOM) == NGX_DECLINED);
    check(unpack(data, size, 'x', spare, ROOM) == NGX_DECLINED);

    /* it fits just where there is room for it */

    if (n == 0) {
        return;
    }

    other = room(n);

    check(unpack(data, size, -1, other, n) == rc);
    check(memcmp(dst, other, n) == 0);
    free(other);

    check(declined(data, size, -1, n - 1));
}


/* a stream of each kind is made once, as it takes a quarter of a megabyte */

static z_stream *
packer(int wrapping, int memory)
{
    z_stream  *z;

    static z_stream   streams[WRAPPINGS][MAX_MEM_LEVEL];
    static const int  bits[WRAPPINGS] = { MAX_WBITS + 16, MAX_WBITS,
                                          -MAX_WBITS, -9 };

    z = &streams[wrapping][memory];

    if (z->state != NULL) {
        check(deflateReset(z) == Z_OK);

    } else {
        check(deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                           bits[wrapping], 1 + memory, Z_DEFAULT_STRATEGY)
              == Z_OK);
    }

    return z;
}


static void
as_text(const uint8_t *data, size_t size)
{
    u_char    *packed, *dst;
    size_t     i, n;
    z_stream  *z;

    if (size == 0) {
        return;
    }

    /* the first byte says how */

    z = packer(data[0] / 10 % WRAPPINGS, data[0] % MAX_MEM_LEVEL);

    check(deflateParams(z, data[0] % 10, data[0] / 40 % 5) == Z_OK);

    n = deflateBound(z, size) + 64;
    packed = room(n);

    z->next_in = (Bytef *) data;
    z->avail_in = (uInt) size;
    z->next_out = packed;
    z->avail_out = (uInt) n;

    check(deflate(z, Z_FINISH) == Z_STREAM_END);
    n = z->total_out;

    dst = room(size);
    check(unpack(packed, n, -1, dst, size) == (ssize_t) size);
    check(memcmp(dst, data, size) == 0);
    free(dst);

    check(declined(packed, n, -1, size - 1));
    check(declined(packed, n - 1, -1, size));
    check(declined(packed, n, '\n', size));

    /* the last bytes say what is damaged, two for each place */

    for (i = 1; i <= DAMAGES && 2 * i <= size; i++) {
        packed[(data[size - 2 * i] * 257) % n] ^= data[size - 2 * i + 1];

        as_packed(packed, n);
    }

    free(packed);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_packed(data, size);
    as_text(data, size);

    return 0;
}
