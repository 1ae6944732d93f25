
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

#define ROOM  65536


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void *
room(size_t n)
{
    void  *p;

    p = malloc(n);
    check(p != NULL || n == 0);

    return p;
}


/* inflates the data and one byte more, if that isn't -1, into a new room */

static ssize_t
unpack(const uint8_t *data, size_t size, int more, u_char **dst, size_t n)
{
    u_char   *src;
    ssize_t   rc;

    src = room(size + (more != -1));
    *dst = room(n);

    if (size != 0) {
        memcpy(src, data, size);
    }

    if (more != -1) {
        src[size] = (u_char) more;
        size++;
    }

    rc = ngx_http_graph_policy_inflate(src, size, *dst, n);

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

    rc = unpack(data, size, more, &dst, n);
    free(dst);

    return rc == NGX_DECLINED;
}


static void
as_packed(const uint8_t *data, size_t size)
{
    u_char   *dst, *other;
    ssize_t   rc;

    rc = unpack(data, size, -1, &dst, ROOM);

    if (rc == NGX_DECLINED) {
        free(dst);
        return;
    }

    /* what was taken is whole: neither a byte less nor one more would do */

    check(size != 0 && declined(data, size - 1, -1, ROOM));
    check(declined(data, size, 'x', ROOM));

    /* it fits just where there is room for it */

    check(unpack(data, size, -1, &other, (size_t) rc) == rc || rc == 0);
    check(rc == 0 || memcmp(dst, other, (size_t) rc) == 0);
    free(other);

    check(rc == 0 || declined(data, size, -1, (size_t) rc - 1));

    free(dst);
}


static void
as_text(const uint8_t *data, size_t size)
{
    u_char    *packed, *dst;
    size_t     i, n;
    z_stream   z;

    static const int  bits[] = { MAX_WBITS + 16, MAX_WBITS, -MAX_WBITS, -9 };

    if (size == 0) {
        return;
    }

    /* the first byte says how */

    memset(&z, 0, sizeof(z_stream));

    check(deflateInit2(&z, data[0] % 10, Z_DEFLATED, bits[data[0] / 10 % 4],
                       1 + data[0] % 9, data[0] / 40 % 5)
          == Z_OK);

    n = deflateBound(&z, size) + 64;
    packed = room(n);

    z.next_in = (Bytef *) data;
    z.avail_in = (uInt) size;
    z.next_out = packed;
    z.avail_out = (uInt) n;

    check(deflate(&z, Z_FINISH) == Z_STREAM_END);
    n = z.total_out;
    check(deflateEnd(&z) == Z_OK);

    check(unpack(packed, n, -1, &dst, size) == (ssize_t) size);
    check(memcmp(dst, data, size) == 0);
    free(dst);

    check(declined(packed, n, -1, size - 1));
    check(declined(packed, n - 1, -1, size));
    check(declined(packed, n, '\n', size));

    /* the last bytes say what is damaged, two for each place */

    for (i = 1; i < 8 && 2 * i <= size; i++) {
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
