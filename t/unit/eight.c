
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * Texts that are looked at eight bytes at a time.  Each is a block of exactly
 * its size, at each address that a text may have, so that the sanitizer sees a
 * byte that is read before it or beyond it.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_yajl.h"


#define LONGEST  40

/* longer than blocks of 256, of 64 and of 8 bytes, and a rest */
#define BLOCKS   (256 + 64 + 8 + 7)


/* a text that ends with its block and begins "odd" bytes behind its start */

static u_char *
block(size_t len, size_t odd)
{
    u_char  *p;

    p = malloc(odd + len);

    if (p == NULL && odd + len != 0) {
        abort();
    }

    return p;
}


static void
fill(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        p[i] = (u_char) ('0' + i % 10);
    }
}


static void
test_eight(void)
{
    size_t   i, odd;
    u_char  *p;

    for (odd = 0; odd < 8; odd++) {
        p = block(8, odd);

        for (i = 0; i < 8; i++) {
            p[odd + i] = (u_char) (0xf0 + i);
        }

        ok(ngx_http_graph_policy_eight(p + odd) == 0xf7f6f5f4f3f2f1f0ULL,
           "the first byte is the lowest, odd by %zu", odd);

        free(p);
    }
}


static void
test_same(void)
{
    size_t   i, len, odd, equal, differ;
    u_char  *one, *two;

    for (len = 1; len <= LONGEST; len++) {
        equal = 0;
        differ = 0;

        for (odd = 0; odd < 8; odd++) {
            one = block(len, odd);
            two = block(len, 7 - odd);

            fill(one + odd, len);
            fill(two + 7 - odd, len);

            equal += ngx_http_graph_policy_same(one + odd, two + 7 - odd, len);

            for (i = 0; i < 8 * len; i++) {
                two[7 - odd + i / 8] ^= (u_char) (1 << i % 8);
                differ += !ngx_http_graph_policy_same(one + odd, two + 7 - odd,
                                                      len);
                two[7 - odd + i / 8] ^= (u_char) (1 << i % 8);
            }

            free(one);
            free(two);
        }

        is_int(equal, 8, "%zu bytes are the same", len);
        is_int(differ, 8 * 8 * len, "%zu bytes: each bit counts", len);
    }
}


static void
test_are_digits(void)
{
    size_t    i, len, odd, all, right;
    u_char    c, *p;
    unsigned  value;

    for (len = 0; len <= LONGEST; len++) {
        all = 0;
        right = 0;

        for (odd = 0; odd < 8; odd++) {
            p = block(len, odd);
            fill(p + odd, len);

            all += ngx_http_graph_policy_are_digits(p + odd, len);

            for (i = 0; i < len; i++) {
                c = p[odd + i];

                for (value = 0; value < 256; value++) {
                    p[odd + i] = (u_char) value;
                    right += ngx_http_graph_policy_are_digits(p + odd, len)
                             == (value >= '0' && value <= '9');
                }

                p[odd + i] = c;
            }

            free(p);
        }

        is_int(all, 8, "%zu digits", len);
        is_int(right, 8 * len * 256, "%zu bytes: digits, and what isn't one",
               len);
    }
}


/* What is added to one byte may be carried to the next one. */

static void
test_carried(void)
{
    size_t    i, wrong;
    u_char   *p;
    unsigned  one, two;

    p = block(8, 0);
    wrong = 0;

    for (i = 0; i < 7; i++) {
        fill(p, 8);

        for (one = 0; one < 256; one++) {
            for (two = 0; two < 256; two++) {
                p[i] = (u_char) one;
                p[i + 1] = (u_char) two;

                wrong += ngx_http_graph_policy_are_digits(p, 8)
                         != (one >= '0' && one <= '9'
                             && two >= '0' && two <= '9');
            }
        }
    }

    is_int(wrong, 0, "no two bytes side by side pass for digits");

    free(p);
}


/* Whether text is UTF-8 is looked at in blocks of 256, 64 and 8 bytes. */

static void
test_utf8(void)
{
    size_t   i, len, plain, alone, pair, bad;
    u_char  *p;

    plain = 0;
    alone = 0;
    pair = 0;
    bad = 0;

    for (len = 0; len <= BLOCKS; len++) {
        p = block(len, 0);
        fill(p, len);

        plain += ngx_http_graph_policy_yajl_utf8(p, p + len) == NGX_OK;

        for (i = 0; i < len; i++) {
            p[i] = 0x80;
            alone += ngx_http_graph_policy_yajl_utf8(p, p + len) == NGX_OK;

            /* a letter of two bytes, the second of which may be missing */

            p[i] = 0xc3;
            bad += ngx_http_graph_policy_yajl_utf8(p, p + len) == NGX_OK;

            if (i + 1 < len) {
                p[i + 1] = 0xa9;
                pair += ngx_http_graph_policy_yajl_utf8(p, p + len) == NGX_OK;
                p[i + 1] = '0';
            }

            p[i] = '0';
        }

        free(p);
    }

    is_int(plain, BLOCKS + 1, "ASCII, of any length");
    is_int(pair, BLOCKS * (BLOCKS - 1) / 2, "a letter of two bytes, anywhere");
    is_int(alone, 0, "no byte passes that continues nothing");
    is_int(bad, 0, "half a letter doesn't pass");
}


int
main(void)
{
    test_eight();
    test_same();
    test_are_digits();
    test_carried();
    test_utf8();

    return tap_done();
}
