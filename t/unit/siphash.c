
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the siphash room against the values that its inventors published:
 * key 00 01 .. 0f, inputs of 0 to 63 bytes 00 01 .. 3e.  They are written out
 * as the eight bytes, the lowest one first.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_siphash.h"
#include "tap.h"


static const char  *published[64] = {
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d",
    "2d7efbd796666785", "b7877127e09427cf", "8da699cd64557618",
    "cee3fe586e46c9cb", "37d1018bf50002ab", "6224939a79f5f593",
    "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7",
    "e545be4961ca29a1", "db9bc2577fcc2a3f", "9447be2cf5e99a69",
    "9cd38d96f0b3c14b", "bd6179a71dc96dbb", "98eea21af25cd6be",
    "c7673b2eb0cbf2d0", "883ea3e395675393", "c8ce5ccd8c030ca8",
    "94af49f6c650adb8", "eab8858ade92e1bc", "f315bb5bb835d817",
    "adcf6b0763612e2f", "a5c91da7acaa4dde", "716595876650a2a6",
    "28ef495c53a387ad", "42c341d8fa92d832", "ce7cf2722f512771",
    "e37859f94623f3a7", "381205bb1ab0e012", "ae97a10fd434e015",
    "b4a31508beff4d31", "81396229f0907902", "4d0cf49ee5d4dcca",
    "5c73336a76d8bf9a", "d0a704536ba93e0e", "925958fcd6420cad",
    "a915c29bc8067318", "952b79f3bc0aa6d4", "f21df2e41d4535f9",
    "87577519048f53a9", "10a56cf5dfcd9adb", "eb75095ccd986cd0",
    "51a9cb9ecba312e6", "96afadfc2ce666c7", "72fe52975a4364ee",
    "5a1645b276d592a1", "b274cb8ebf87870a", "6f9bb4203de7b381",
    "eaecb2a30b22a87f", "9924a43cc1315724", "bd838d3aafbf8db7",
    "0b1a2a3265d51aea", "135079a3231ce660", "932b2846e4d70666",
    "e1915f5cb1eca46c", "f325965ca16d629f", "575ff28e60381be5",
    "724506eb4c328a95"
};


static const uint64_t  key[2] = { 0x0706050403020100ULL,
                                  0x0f0e0d0c0b0a0908ULL };


static void
bytes(u_char *p, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        p[i] = (u_char) i;
    }
}


static void
test_published(void)
{
    char      text[17];
    size_t    n;
    u_char    input[64];
    uint64_t  h;
    unsigned  i;

    for (n = 0; n < 64; n++) {

        /* at the end of its room, so that a byte too many is seen */

        bytes(input + 64 - n, n);

        h = ngx_http_graph_policy_siphash(key, input + 64 - n, n);

        for (i = 0; i < 8; i++) {
            snprintf(text + 2 * i, 3, "%02x", (unsigned) (h >> 8 * i) & 0xff);
        }

        is_str(text, published[n], "%zu bytes", n);
    }

    /* once more as in the paper's appendix, as a number */

    bytes(input, 15);
    ok(ngx_http_graph_policy_siphash(key, input, 15) == 0xa129ca6149be45e5ULL,
       "the paper's example");
}


static void
test_unaligned(void)
{
    size_t    i, n;
    u_char    buf[128], input[64];
    uint64_t  h;

    bytes(input, 64);

    for (i = 1; i < 8; i++) {
        for (n = 0; n < 64; n++) {
            memset(buf, 0xa5, sizeof(buf));
            memcpy(buf + i, input, n);

            h = ngx_http_graph_policy_siphash(key, buf + i, n);

            if (h != ngx_http_graph_policy_siphash(key, input, n)) {
                break;
            }
        }

        is_int(n, 64, "the same at an address that is odd by %zu", i);
    }
}


static void
test_sensitive(void)
{
    size_t    i, n, differ;
    u_char    input[200];
    uint64_t  h, other[2];

    /* each bit counts: of a token, of the key, and the length */

    bytes(input, sizeof(input));
    h = ngx_http_graph_policy_siphash(key, input, sizeof(input));

    differ = 0;

    for (i = 0; i < 8 * sizeof(input); i++) {
        input[i / 8] ^= (u_char) (1 << i % 8);
        differ += ngx_http_graph_policy_siphash(key, input, sizeof(input))
                  != h;
        input[i / 8] ^= (u_char) (1 << i % 8);
    }

    is_int(differ, 8 * sizeof(input), "each bit of the input counts");

    differ = 0;

    for (i = 0; i < 128; i++) {
        other[0] = key[0];
        other[1] = key[1];
        other[i / 64] ^= 1ULL << i % 64;

        differ += ngx_http_graph_policy_siphash(other, input, sizeof(input))
                  != h;
    }

    is_int(differ, 128, "each bit of the key counts");

    memset(input, 0, sizeof(input));
    differ = 0;

    for (n = 1; n <= sizeof(input); n++) {
        differ += ngx_http_graph_policy_siphash(key, input, n)
                  != ngx_http_graph_policy_siphash(key, input, n - 1);
    }

    is_int(differ, sizeof(input), "zeroes differ by their number");
}


int
main(void)
{
    test_published();
    test_unaligned();
    test_sensitive();

    return tap_done();
}
