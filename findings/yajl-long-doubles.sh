#!/usr/bin/env bash
#
# yajl 2.1.0: its generator writes 0.1 as 0.10000000000000000555.
#
# One would expect a JSON writer to give the shortest text that reads back as
# the same number, as JavaScript and Python do, or 17 digits, which always
# suffice. yajl_gen_double() prints 20, more than a double has: what people see
# isn't what was meant, and tests that compare texts fail. Where a number is
# known to have three decimals (seconds of a time in milliseconds, say), write
# it oneself by yajl_gen_number(), which takes any text.
#
# Writes some numbers both ways; prints them. Exits 1 if they differ. Needs a C
# compiler.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
apt-get download libyajl-dev=2.1.0-3+deb12u2 >log 2>&1 || { cat log; exit 2; }
dpkg -x libyajl-dev_*.deb root

cat >try.c <<'END'
#include <stdio.h>
#include <string.h>

#include <yajl/yajl_gen.h>

int
main(void)
{
    size_t                size;
    yajl_gen              gen;
    const unsigned char  *text;

    gen = yajl_gen_alloc(NULL);

    yajl_gen_array_open(gen);
    yajl_gen_double(gen, 1.5);
    yajl_gen_double(gen, 10);
    yajl_gen_double(gen, 0.1);
    yajl_gen_double(gen, 59.999);
    yajl_gen_number(gen, "0.1", 3);
    yajl_gen_array_close(gen);

    yajl_gen_get_buf(gen, &text, &size);
    printf("%.*s\n", (int) size, (const char *) text);
    return 0;
}
END

library=$(find root -name libyajl_s.a)
cc -I root/usr/include -o try try.c "$library"
./try >seen

echo "yajl $(dpkg-deb -f libyajl-dev_*.deb Version)"
cat seen

if grep -qx '\[1.5,10.0,0.10000000000000000555,59.999000000000002331,0.1\]' seen
then
    echo 'behaviour: doubles are written with 20 digits'
else
    echo 'changed: doubles are written another way'
    exit 1
fi
