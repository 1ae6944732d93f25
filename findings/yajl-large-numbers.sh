#!/usr/bin/env bash
#
# yajl 2.1.0: one large number makes valid JSON unreadable, -2^63 included.
#
# RFC 8259 sets no limit to numbers, so one would expect a number that doesn't
# fit to be passed as text or as a double, and the rest of the text to be read.
# With callbacks for integers and doubles it is a parse error, wherever the
# number stands and whoever wants it: the code of an error of Graph behind it is
# lost. The limit isn't even that of the type, whose least value is refused too.
# yajl_number, one callback that gets the text of each number, has none of that.
#
# Reads an error of Graph behind several numbers by both kinds of callbacks;
# prints what came out. Exits 1 if that differs. Needs a C compiler.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
apt-get download libyajl-dev=2.1.0-3+deb12u2 >log 2>&1 || { cat log; exit 2; }
dpkg -x libyajl-dev_*.deb root

cat >try.c <<'END'
#include <stdio.h>
#include <string.h>

#include <yajl/yajl_parse.h>

static int
on_integer(void *data, long long value)
{
    *(int *) data = value == 190;
    return 1;
}

static int
on_double(void *data, double value)
{
    return 1;
}

static int
on_number(void *data, const char *text, size_t length)
{
    *(int *) data = length == 3 && memcmp(text, "190", 3) == 0;
    return 1;
}

static const char *
read_code(const char *number, const yajl_callbacks *callbacks)
{
    int          code, failed;
    char         text[256];
    yajl_handle  handle;

    code = 0;
    snprintf(text, sizeof(text), "{\"n\":%s,\"error\":{\"code\":190}}", number);

    handle = yajl_alloc(callbacks, NULL, &code);
    failed = yajl_parse(handle, (unsigned char *) text, strlen(text))
             != yajl_status_ok || yajl_complete_parse(handle) != yajl_status_ok;
    yajl_free(handle);

    return failed ? "refused" : code ? "190" : "no code";
}

int
main(void)
{
    int                   i;
    const yajl_callbacks  typed = { .yajl_integer = on_integer,
                                    .yajl_double = on_double };
    const yajl_callbacks  plain = { .yajl_number = on_number };
    static const char    *numbers[] = { "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775807",
                                        "-9223372036854775808",
                                        "1e308", "1e309", "1e-400" };

    for (i = 0; i < (int) (sizeof(numbers) / sizeof(numbers[0])); i++) {
        printf("%s: %s, as text %s\n", numbers[i],
               read_code(numbers[i], &typed), read_code(numbers[i], &plain));
    }

    return 0;
}
END

cc -Wall -Iroot/usr/include -o try try.c "$(find root -name libyajl_s.a)" -lm
./try >seen

echo "yajl $(sed -n 's/^#define YAJL_M[A-Z]* \([0-9]*\)$/\1/p' \
    root/usr/include/yajl/yajl_version.h | xargs | tr ' ' .)"
cat seen

cat >expected <<'END'
9223372036854775807: 190, as text 190
9223372036854775808: refused, as text 190
-9223372036854775807: 190, as text 190
-9223372036854775808: refused, as text 190
1e308: 190, as text 190
1e309: refused, as text 190
1e-400: 190, as text 190
END

if cmp -s seen expected; then
    echo 'behaviour: too large is a parse error, too small is not'
else
    echo 'changed: other numbers are refused'
    exit 1
fi
