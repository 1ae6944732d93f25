
/*
 * Copyright (C) the graph_policy authors
 *
 * Tests that print TAP: each check is a line, a failed one says where it
 * stands and what it saw.  A test program is one file, hence the statics.
 *
 *     int
 *     main(void)
 *     {
 *         plan(2);
 *         is_int(f(1), 2, "one makes two");
 *         ok(g() != NULL, "g(%d)", 0);
 *         return tap_done();
 *     }
 *
 * plan() is optional: without it tap_done() prints the plan.  The checks
 * return 1 if they held.  Names are printf() formats; is_mem() compares bytes
 * of a given length, NUL bytes included.
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>


#define plan(n)              tap_plan(n)
#define done_testing()       tap_done()
#define diag(...)            tap_diag(__VA_ARGS__)

#define pass(...)            tap_ok(1, __FILE__, __LINE__, "", __VA_ARGS__)
#define fail(...)            tap_ok(0, __FILE__, __LINE__, "", __VA_ARGS__)
#define ok(expr, ...)                                                         \
    tap_ok((expr) ? 1 : 0, __FILE__, __LINE__, #expr, __VA_ARGS__)
#define is_int(got, want, ...)                                                \
    tap_is_int((intmax_t) (got), (intmax_t) (want), __FILE__, __LINE__,       \
               __VA_ARGS__)
#define is_str(got, want, ...)                                                \
    tap_is_str((const char *) (got), (const char *) (want), __FILE__,         \
               __LINE__, __VA_ARGS__)
#define is_mem(got, gotlen, want, wantlen, ...)                               \
    tap_is_mem((got), (gotlen), (want), (wantlen), __FILE__, __LINE__,        \
               __VA_ARGS__)


#if defined(__GNUC__)
#define TAP_UNUSED           __attribute__((unused))
#define TAP_PRINTF(f, a)     __attribute__((format(printf, f, a)))
#else
#define TAP_UNUSED
#define TAP_PRINTF(f, a)
#endif


static int  tap_planned;
static int  tap_run;
static int  tap_failed;


static int tap_ok(int good, const char *file, int line, const char *expr,
    const char *fmt, ...) TAP_UNUSED TAP_PRINTF(5, 6);
static int tap_is_int(intmax_t got, intmax_t want, const char *file, int line,
    const char *fmt, ...) TAP_UNUSED TAP_PRINTF(5, 6);
static int tap_is_str(const char *got, const char *want, const char *file,
    int line, const char *fmt, ...) TAP_UNUSED TAP_PRINTF(5, 6);
static int tap_is_mem(const void *got, size_t gotlen, const void *want,
    size_t wantlen, const char *file, int line, const char *fmt, ...)
    TAP_UNUSED TAP_PRINTF(7, 8);
static void tap_diag(const char *fmt, ...) TAP_UNUSED TAP_PRINTF(1, 2);
static void tap_plan(int n) TAP_UNUSED;
static int tap_done(void) TAP_UNUSED;


static void
tap_plan(int n)
{
    tap_planned = n;
    printf("1..%d\n", n);
}


static int
tap_done(void)
{
    if (tap_planned == 0) {
        tap_plan(tap_run);
    }

    if (tap_planned != tap_run) {
        printf("# planned %d checks, ran %d\n", tap_planned, tap_run);
    }

    if (tap_failed) {
        printf("# %d of %d failed\n", tap_failed, tap_run);
    }

    fflush(stdout);

    return (tap_failed || tap_run == 0 || tap_planned != tap_run) ? 1 : 0;
}


static void
tap_diag(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    printf("# ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
}


static int
tap_result(int good, const char *file, int line, const char *fmt, va_list args)
{
    tap_run++;

    printf("%sok %d - ", good ? "" : "not ", tap_run);
    vprintf(fmt, args);
    printf("\n");

    if (!good) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }

    return good;
}


static int
tap_ok(int good, const char *file, int line, const char *expr, const char *fmt,
    ...)
{
    va_list  args;

    va_start(args, fmt);
    tap_result(good, file, line, fmt, args);
    va_end(args);

    if (!good && expr[0] != '\0') {
        printf("#   not true: %s\n", expr);
    }

    return good;
}


static int
tap_is_int(intmax_t got, intmax_t want, const char *file, int line,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    tap_result(got == want, file, line, fmt, args);
    va_end(args);

    if (got != want) {
        printf("#   got:  %jd\n#   want: %jd\n", got, want);
    }

    return got == want;
}


static int
tap_is_str(const char *got, const char *want, const char *file, int line,
    const char *fmt, ...)
{
    int      good;
    va_list  args;

    good = (got == NULL || want == NULL) ? got == want
                                         : strcmp(got, want) == 0;

    va_start(args, fmt);
    tap_result(good, file, line, fmt, args);
    va_end(args);

    if (!good) {
        printf("#   got:  %s\n#   want: %s\n",
               got ? got : "(null)", want ? want : "(null)");
    }

    return good;
}


static int
tap_is_mem(const void *got, size_t gotlen, const void *want, size_t wantlen,
    const char *file, int line, const char *fmt, ...)
{
    int      good;
    va_list  args;

    good = gotlen == wantlen
           && (gotlen == 0 || memcmp(got, want, gotlen) == 0);

    va_start(args, fmt);
    tap_result(good, file, line, fmt, args);
    va_end(args);

    if (!good) {
        printf("#   got:  \"%.*s\" (%zu bytes)\n#   want: \"%.*s\" (%zu)\n",
               (int) gotlen, (const char *) got, gotlen,
               (int) wantlen, (const char *) want, wantlen);
    }

    return good;
}


#endif /* _TAP_H_INCLUDED_ */
