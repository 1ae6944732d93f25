
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Runs yajl over one complete text, and reads numbers and UTF-8; all JSON
 * readers share this.
 *
 * The file is pure: it takes no lock and remembers nothing between two calls.
 * All memory, the parser's included, is the caller's arena, whose contents are
 * undefined afterwards.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_eight.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_yajl.h"


/*
 * Bytes of the parser's own structures and its stack, which the limit of the
 * depth bounds.
 */
#define NGX_HTTP_GRAPH_POLICY_YAJL_FIXED   1024

/* Bytes that each of yajl's buffers has at first. */
#define NGX_HTTP_GRAPH_POLICY_YAJL_BUFFER  2048

/* The top bits of eight bytes; they are all zero if the bytes are ASCII. */
#define NGX_HTTP_GRAPH_POLICY_YAJL_HIGH    NGX_HTTP_GRAPH_POLICY_EIGHT(0x80)

/* 2^53 - 1: every JSON implementation represents numbers up to here exactly. */
#define NGX_HTTP_GRAPH_POLICY_YAJL_MAX     0x1fffffffffffff

/* As many digits are less than that whatever they are. */
#define NGX_HTTP_GRAPH_POLICY_YAJL_FEW     15


static void *ngx_http_graph_policy_yajl_malloc(void *data, size_t size);
static void *ngx_http_graph_policy_yajl_realloc(void *data, void *p,
    size_t size);
static void ngx_http_graph_policy_yajl_free(void *data, void *p);

static ngx_inline const u_char *ngx_http_graph_policy_yajl_ascii(
    const u_char *p, const u_char *last);
static ngx_uint_t ngx_http_graph_policy_yajl_is_blank(const u_char *p,
    const u_char *last);
static int64_t ngx_http_graph_policy_yajl_exponent(const u_char *p,
    const u_char *last);
static int64_t ngx_http_graph_policy_yajl_scale(int64_t value, int64_t power);


size_t
ngx_http_graph_policy_json_arena(size_t len)
{
    /*
     * yajl has two buffers: for the decoded text of a string, and for a token
     * that the end of the body cuts.  Each starts with BUFFER bytes and
     * doubles until it is longer than its n bytes of text, hence takes at
     * most BUFFER + 2n, and at most twice that together with all the smaller
     * blocks it had before.  Decoding never lengthens a text, and the two
     * texts are different parts of the body, so their n add up to len, and to
     * one more for the blank that yajl_complete_parse() appends.
     */

    return NGX_HTTP_GRAPH_POLICY_YAJL_FIXED
           + 2 * (2 * NGX_HTTP_GRAPH_POLICY_YAJL_BUFFER + 2 * (len + 1));
}


size_t
ngx_http_graph_policy_json_arena_in_steps(size_t len)
{
    /* A text that the end of a step has cut may be decoded later: n each. */

    return NGX_HTTP_GRAPH_POLICY_YAJL_FIXED
           + 2 * (2 * NGX_HTTP_GRAPH_POLICY_YAJL_BUFFER + 4 * (len + 1));
}


/* Returns 64 bytes, or'ed to eight. */

static ngx_inline uint64_t
ngx_http_graph_policy_yajl_some(const u_char *p)
{
    return ngx_http_graph_policy_eight(p)
           | ngx_http_graph_policy_eight(p + 8)
           | ngx_http_graph_policy_eight(p + 16)
           | ngx_http_graph_policy_eight(p + 24)
           | ngx_http_graph_policy_eight(p + 32)
           | ngx_http_graph_policy_eight(p + 40)
           | ngx_http_graph_policy_eight(p + 48)
           | ngx_http_graph_policy_eight(p + 56);
}


/*
 * Passes over blocks of ASCII.  Most bodies are nothing else, so 256 bytes are
 * looked at in one step, then 64.
 */

static ngx_inline const u_char *
ngx_http_graph_policy_yajl_ascii(const u_char *p, const u_char *last)
{
    while (last - p >= 256
           && ((ngx_http_graph_policy_yajl_some(p)
                | ngx_http_graph_policy_yajl_some(p + 64)
                | ngx_http_graph_policy_yajl_some(p + 128)
                | ngx_http_graph_policy_yajl_some(p + 192))
               & NGX_HTTP_GRAPH_POLICY_YAJL_HIGH)
              == 0)
    {
        p += 256;
    }

    while (last - p >= 64
           && (ngx_http_graph_policy_yajl_some(p)
               & NGX_HTTP_GRAPH_POLICY_YAJL_HIGH)
              == 0)
    {
        p += 64;
    }

    return p;
}


/*
 * Checks UTF-8 strictly, after RFC 3629; yajl's own check accepts overlong
 * forms, surrogates and code points past U+10FFFF.
 */

ngx_int_t
ngx_http_graph_policy_yajl_utf8(const u_char *p, const u_char *last)
{
    u_char         c, low, high;
    ngx_uint_t     n;
    const u_char  *first;

    first = p;

    while (p < last) {

        p = ngx_http_graph_policy_yajl_ascii(p, last);

        if (p == last) {
            break;
        }

        if (last - p < 64 && last - first >= 64) {

            /*
             * The last 64 bytes are looked at in one step, too; some of them
             * have been checked before.
             */

            if ((ngx_http_graph_policy_yajl_some(last - 64)
                 & NGX_HTTP_GRAPH_POLICY_YAJL_HIGH)
                == 0)
            {
                break;
            }
        }

        if (last - p >= 8) {

            if ((ngx_http_graph_policy_eight(p)
                 & NGX_HTTP_GRAPH_POLICY_YAJL_HIGH)
                == 0)
            {
                p += 8;
                continue;
            }

        } else if (last - first >= 8) {

            /* Likewise. */

            if ((ngx_http_graph_policy_eight(last - 8)
                 & NGX_HTTP_GRAPH_POLICY_YAJL_HIGH)
                == 0)
            {
                break;
            }
        }

        c = *p++;

        if (c < 0x80) {
            continue;
        }

        if (c < 0xc2 || c > 0xf4) {
            return NGX_DECLINED;
        }

        n = (c < 0xe0) ? 1 : (c < 0xf0) ? 2 : 3;

        if ((size_t) (last - p) < n) {
            return NGX_DECLINED;
        }

        /* The range of the second byte alone depends on the first byte. */

        low = (c == 0xe0) ? 0xa0 : (c == 0xf0) ? 0x90 : 0x80;
        high = (c == 0xed) ? 0x9f : (c == 0xf4) ? 0x8f : 0xbf;

        while (n-- != 0) {

            if (*p < low || *p > high) {
                return NGX_DECLINED;
            }

            p++;
            low = 0x80;
            high = 0xbf;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_yajl_run(yajl_callbacks *callbacks, u_char *text,
    size_t len, void *arena, void *ctx)
{
    ngx_http_graph_policy_yajl_t  y;

    if (ngx_http_graph_policy_yajl_begin(&y, callbacks, text, len, arena,
                                       ngx_http_graph_policy_json_arena(len),
                                         ctx)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_graph_policy_yajl_step(&y, len);
}


ngx_int_t
ngx_http_graph_policy_yajl_begin(ngx_http_graph_policy_yajl_t *y,
    yajl_callbacks *callbacks, u_char *text, size_t len, void *arena,
    size_t size, void *ctx)
{
    y->arena.pos = arena;
    y->arena.end = y->arena.pos + size;
    y->arena.block = NULL;

    y->funcs.malloc = ngx_http_graph_policy_yajl_malloc;
    y->funcs.realloc = ngx_http_graph_policy_yajl_realloc;
    y->funcs.free = ngx_http_graph_policy_yajl_free;
    y->funcs.ctx = &y->arena;

    y->text = text;
    y->len = len;
    y->done = 0;
    y->whole = 0;

    if (ngx_http_graph_policy_yajl_utf8(text, text + len) != NGX_OK) {
        return NGX_DECLINED;
    }

    y->handle = yajl_alloc(callbacks, &y->funcs, ctx);

    /*
     * Trailing garbage is checked for in step(): yajl's own check accepts a
     * string without an end.
     */

    (void) yajl_config(y->handle, yajl_allow_trailing_garbage, 1);

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_yajl_step(ngx_http_graph_policy_yajl_t *y, size_t n)
{
    size_t   used;
    u_char  *p;

    p = y->text + y->done;
    n = ngx_min(n, y->len - y->done);
    used = 0;

    if (!y->whole) {

        if (yajl_parse(y->handle, p, n) != yajl_status_ok) {
            return NGX_DECLINED;
        }

        used = yajl_get_bytes_consumed(y->handle);
        y->whole = (used < n);
    }

    y->done += n;

    if (y->done == y->len
        && yajl_complete_parse(y->handle) != yajl_status_ok)
    {
        return NGX_DECLINED;
    }

    /* yajl_free() isn't called, as it would only return blocks to the arena. */

    if (!ngx_http_graph_policy_yajl_is_blank(p + used, p + n)) {
        return NGX_DECLINED;
    }

    return (y->done == y->len) ? NGX_OK : NGX_AGAIN;
}


static ngx_uint_t
ngx_http_graph_policy_yajl_is_blank(const u_char *p, const u_char *last)
{
    for ( /* void */ ; p < last; p++) {

        if (*p != ' ' && *p != LF && *p != CR && *p != '\t') {
            return 0;
        }
    }

    return 1;
}


static void *
ngx_http_graph_policy_yajl_malloc(void *data, size_t size)
{
    ngx_http_graph_policy_yajl_arena_t *arena = data;

    size = ngx_align(size, NGX_ALIGNMENT);

    if (size > (size_t) (arena->end - arena->pos)) {
        return NULL;
    }

    arena->block = arena->pos;
    arena->pos += size;

    return arena->block;
}


static void *
ngx_http_graph_policy_yajl_realloc(void *data, void *p, size_t size)
{
    ngx_http_graph_policy_yajl_arena_t *arena = data;

    u_char  *old;
    size_t   n;

    old = p;

    if (old != NULL && old == arena->block) {
        arena->pos = old;
        return ngx_http_graph_policy_yajl_malloc(data, size);
    }

    /*
     * The arena doesn't record the size of a block, so this may copy bytes
     * behind it.  They lie in the arena as well.
     */

    n = (old != NULL) ? ngx_min(size, (size_t) (arena->pos - old)) : 0;

    p = ngx_http_graph_policy_yajl_malloc(data, size);

    if (p != NULL && n != 0) {
        ngx_memcpy(p, old, n);
    }

    return p;
}


static void
ngx_http_graph_policy_yajl_free(void *data, void *p)
{
    /* Blocks aren't freed one by one, the arena goes as a whole. */
}


/*
 * strtod() isn't used: it depends on the locale and needs a NUL behind the
 * text.
 */

int64_t
ngx_http_graph_policy_yajl_integer(const u_char *p, const u_char *last)
{
    int64_t     value, power, zeros;
    ngx_uint_t  point;

    if (*p == '-') {
        return -1;
    }

    /* A code is a few digits and nothing else. */

    if (last - p <= NGX_HTTP_GRAPH_POLICY_YAJL_FEW) {
        value = ngx_http_graph_policy_yajl_digits(p, last - p);

        if (value >= 0) {
            return value;
        }
    }

    value = 0;
    power = 0;
    zeros = 0;
    point = 0;

    for ( /* void */ ; p < last && *p != 'e' && *p != 'E'; p++) {

        if (*p == '.') {
            point = 1;
            continue;
        }

        /*
         * Zeros are counted and applied only when another digit follows, so
         * that trailing ones can't make the value overflow.
         */

        zeros++;

        if (point) {
            power--;
        }

        if (*p != '0') {
            value = ngx_http_graph_policy_yajl_scale(value, zeros);

            if (value < 0) {
                return -1;
            }

            value += *p - '0';
            zeros = 0;
        }
    }

    if (p < last) {
        power += ngx_http_graph_policy_yajl_exponent(p + 1, last);
    }

    return ngx_http_graph_policy_yajl_scale(value, power + zeros);
}


static int64_t
ngx_http_graph_policy_yajl_exponent(const u_char *p, const u_char *last)
{
    int64_t     value;
    ngx_uint_t  minus;

    minus = (*p == '-');

    if (*p == '-' || *p == '+') {
        p++;
    }

    /*
     * The loop ends at the first value above the maximum, so an exponent of
     * any length can't overflow; an exponent that large can't be made up for
     * by digits, as no body has that many.
     */

    for (value = 0; p < last && value < NGX_HTTP_GRAPH_POLICY_YAJL_MAX; p++) {
        value = value * 10 + (*p - '0');
    }

    return minus ? -value : value;
}


/*
 * Returns value * 10^power, or -1 if that isn't whole or is above the maximum.
 */

static int64_t
ngx_http_graph_policy_yajl_scale(int64_t value, int64_t power)
{
    if (value == 0) {
        return 0;
    }

    /* The last digit of the value is never zero, so the result isn't whole. */

    if (power < 0) {
        return -1;
    }

    for ( /* void */ ; power > 0; power--) {

        if (value > NGX_HTTP_GRAPH_POLICY_YAJL_MAX / 10) {
            return -1;
        }

        value *= 10;
    }

    return (value <= NGX_HTTP_GRAPH_POLICY_YAJL_MAX) ? value : -1;
}


int64_t
ngx_http_graph_policy_yajl_digits(const u_char *p, size_t len)
{
    u_char         digit;
    int64_t        value;
    const u_char  *last;

    if (len == 0 || len > NGX_INT64_LEN - 1) {
        return -1;
    }

    value = 0;
    last = p + len;

    if (len <= NGX_HTTP_GRAPH_POLICY_YAJL_FEW) {

        for ( /* void */ ; p < last; p++) {
            digit = (u_char) (*p - '0');

            if (digit > 9) {
                return -1;
            }

            value = value * 10 + digit;
        }

        return value;
    }

    for ( /* void */ ; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return -1;
        }

        if (value > (INT64_MAX - (*p - '0')) / 10) {
            return -1;
        }

        value = value * 10 + (*p - '0');
    }

    return value;
}
