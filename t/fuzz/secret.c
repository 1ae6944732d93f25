
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a secret file.  What is read, and which line is
 * malformed, is compared with a reading of its own, a byte at a time.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_secret.h"


#define check(expr)  if (!(expr)) abort()


/* a line as this file reads it; places in the text */

typedef struct {
    size_t      start;              /* of the secret */
    size_t      len;
    size_t      naccounts;
    size_t      digits;             /* of all of them */
} line_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* 1: says a secret; 0: says nothing; -1: malformed */

static int
read_line(const u_char *text, size_t start, size_t end, line_t *line)
{
    int      comment;
    size_t   i, words, len;
    u_char   c;

    memset(line, 0, sizeof(line_t));

    comment = 0;
    words = 0;
    len = 0;

    for (i = start; i < end; i++) {
        c = text[i];

        if (c != '\t' && (c < ' ' || c == 127)) {
            return -1;
        }
    }

    for (i = start; i < end && !comment; i++) {
        c = text[i];

        if (c == ' ' || c == '\t') {
            len = 0;
            continue;
        }

        if (len++ == 0) {
            words++;

            if (words == 1) {
                comment = (c == '#');
                line->start = i;

            } else {
                line->naccounts++;
            }
        }

        if (words == 1) {
            line->len = len;

            if (!comment && (c >= 128 || len > 128)) {
                return -1;
            }

        } else {
            line->digits++;

            if (c < '0' || c > '9' || len > 20) {
                return -1;
            }
        }
    }

    return words != 0 && !comment;
}


/* the accounts of a line are in it, in their order, and as many as they are */

static void
accounts(ngx_http_graph_policy_secret_t *secret, line_t *line)
{
    size_t      n, digits;
    u_char     *after;
    ngx_int_t   rc;
    ngx_str_t   rest, account;

    n = 0;
    digits = 0;
    rest = secret->accounts;
    after = secret->secret.data + secret->secret.len;

    while ((rc = ngx_http_graph_policy_secret_account(&rest, &account))
           == NGX_OK)
    {
        check(account.len >= 1
              && account.len <= NGX_HTTP_GRAPH_POLICY_MAX_ACCOUNT_LEN);

        /* a blank at least is between two words */

        check(account.data > after);
        after = account.data + account.len;
        check(after <= secret->accounts.data + secret->accounts.len);
        check(rest.data == after);

        digits += account.len;
        n++;
    }

    check(rc == NGX_DONE && rest.len == 0);
    check(n == line->naccounts && digits == line->digits);
}


/* any text where the rest of a line should be */

static void
any_rest(u_char *text, size_t size)
{
    u_char     *before;
    ngx_int_t   rc;
    ngx_str_t   rest, account;

    rest.data = text;
    rest.len = size;

    do {
        before = rest.data;
        rc = ngx_http_graph_policy_secret_account(&rest, &account);

        check(rest.data + rest.len == text + size);
        check(rc != NGX_OK || rest.data > before);
    } while (rc == NGX_OK);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                             said;
    line_t                          line;
    size_t                          start, end, number;
    u_char                         *text, *p;
    ngx_int_t                       rc;
    ngx_http_graph_policy_secret_t  secret;

    text = malloc(size);
    check(text != NULL || size == 0);

    if (size == 0) {
        free(text);
        return 0;
    }

    memcpy(text, data, size);
    any_rest(text, size);

    p = text;
    memset(&secret, 0xa5, sizeof(secret));
    secret.line = 0;

    rc = NGX_OK;
    number = 0;

    for (start = 0; start < size && rc == NGX_OK; start = end + 1) {

        for (end = start; end < size && text[end] != '\n'; end++) { /* void */ }

        number++;

        said = read_line(text, start, (end < size && end > start
                                       && text[end - 1] == '\r') ? end - 1
                                                                 : end, &line);
        if (said == 0) {
            continue;
        }

        rc = ngx_http_graph_policy_secret_next(&p, text + size, &secret);

        check(rc == (said == 1 ? NGX_OK : NGX_ERROR));
        check(secret.line == number);

        if (rc == NGX_OK) {
            check(secret.secret.data == text + line.start);
            check(secret.secret.len == line.len);
            check(p == text + (end < size ? end + 1 : size));
            accounts(&secret, &line);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_graph_policy_secret_next(&p, text + size, &secret);
        check(rc == NGX_DONE && p == text + size && secret.line == number);
    }

    check(memcmp(text, data, size) == 0);
    free(text);

    return 0;
}
