
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the siphash room against the values of another implementation,
 * OpenSSL's, told to make one round a word and three at the end:
 *
 *     openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f \
 *         -macopt size:8 -macopt c-rounds:1 -macopt d-rounds:3 -in FILE SIPHASH
 *
 * As in the inventors' own tests the inputs are 0 to 63 bytes 00 01 .. 3e, and
 * the values are written as bytes, the lowest one first.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_siphash.h"
#include "tap.h"


static const char  *expected[64] = {
    "dcc40f055801acab", "93ca577df39bf4c9", "4dd4c74d029bcb82",
    "fbf7dde7b80af88b", "2883d388605775cf", "673b53492fd5f9de",
    "a7229fc5502b0dc5", "4011b19b987d92d3", "8e9a298d11959036",
    "e43d066cb38ea425", "7f09ff92ee85de79", "52c34df9c118c170",
    "a2d9b457b184a378", "a7ff29120c766f30", "345df9c011a15a60",
    "5699512a6dd820d3", "668b907d1add4fcc", "0cd8db639068f29c",
    "3ee673b49c38fc8f", "1c7d298de59d1ff2", "40e0cca6462fdcc0",
    "44f8452bfeab92b9", "2e8720a39b7bfe7f", "23c1e6da7f0e5a52",
    "8c9c3467b2ae64f4", "79095b702859cd45", "a51399cae3353e3a",
    "353bde4a4ec71da9", "0dd06cef02ed0bfb", "f4e1b14ab43cd988",
    "63e6c543d6110f54", "bcd1218c1fdd7023", "0db6a7166c7b1581",
    "bff98f7ae5b9544d", "3e752a1f78129f75", "916b18bfbea3a1ce",
    "0662a2add308f52c", "5730c3a32d1c10b6", "a1363aae9674f4b3",
    "9283107b54576b62", "3115e4993236d2c1", "44d91a3f92c17c66",
    "258813c8fe4f7065", "a64989c2d180f224", "6b87f8faed1ccac2",
    "9621049ffc4b16c2", "23d6b168939c6ea1", "fd14518b9c16fb49",
    "464c07dff843319f", "b386cc1224affdc6", "8f09520ad149af7e",
    "9a2f299d5513f31c", "121ff4a2dd304ac4", "d01ea74389e9fa36",
    "e6bcf0734cb38f31", "80e9a77036bf7aa2", "756d3c24dbc0bcb4",
    "1315b7fd52d8f823", "088a7da64d5f038f", "48f1e8b7e5d09cd8",
    "ee44a6f7bce6f4f6", "f237180fd89ac5ae", "e094664b15f6b2c3",
    "a8b3bbb76290199d"
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
test_expected(void)
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

        is_str(text, expected[n], "%zu bytes", n);
    }
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
    test_expected();
    test_unaligned();
    test_sensitive();

    return tap_done();
}
