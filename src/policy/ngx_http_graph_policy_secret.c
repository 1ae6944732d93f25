
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the text of a secret file.  The file is pure: it takes no lock,
 * allocates nothing and remembers nothing between calls.  The text is the
 * caller's, and the results point into it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_secret.h"


#define ngx_http_graph_policy_is_blank(c)  ((c) == ' ' || (c) == '\t')


static ngx_int_t ngx_http_graph_policy_secret_line(ngx_str_t *line,
    ngx_http_graph_policy_secret_t *secret);
static void ngx_http_graph_policy_secret_word(ngx_str_t *rest,
    ngx_str_t *word);


ngx_int_t
ngx_http_graph_policy_secret_next(u_char **p, u_char *last,
    ngx_http_graph_policy_secret_t *secret)
{
    u_char     *s, *next;
    ngx_int_t   rc;
    ngx_str_t   line;

    for (s = *p; s < last; s = next) {

        secret->line++;

        line.data = s;
        s = ngx_strlchr(s, last, LF);

        if (s == NULL) {
            next = last;
            line.len = last - line.data;

        } else {
            next = s + 1;
            line.len = s - line.data;

            if (line.len != 0 && s[-1] == CR) {
                line.len--;
            }
        }

        rc = ngx_http_graph_policy_secret_line(&line, secret);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            *p = next;
            return NGX_OK;
        }
    }

    *p = last;

    return NGX_DONE;
}


/* Returns NGX_DECLINED if the line is empty or a comment. */

static ngx_int_t
ngx_http_graph_policy_secret_line(ngx_str_t *line,
    ngx_http_graph_policy_secret_t *secret)
{
    size_t      i;
    u_char      c;
    ngx_int_t   rc;
    ngx_str_t   rest, account;

    for (i = 0; i < line->len; i++) {
        c = line->data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return NGX_ERROR;
        }
    }

    rest = *line;
    ngx_http_graph_policy_secret_word(&rest, &secret->secret);

    if (secret->secret.len == 0 || secret->secret.data[0] == '#') {
        return NGX_DECLINED;
    }

    if (secret->secret.len > NGX_HTTP_GRAPH_POLICY_MAX_SECRET_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < secret->secret.len; i++) {

        if (secret->secret.data[i] > 0x7f) {
            return NGX_ERROR;
        }
    }

    /*
     * A line of blanks after the secret names no account; the caller takes an
     * empty list for "any account", so trailing blanks are dropped.
     */

    while (rest.len != 0 && ngx_http_graph_policy_is_blank(rest.data[0])) {
        rest.data++;
        rest.len--;
    }

    secret->accounts = rest;

    do {
        rc = ngx_http_graph_policy_secret_account(&rest, &account);
    } while (rc == NGX_OK);

    return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_graph_policy_secret_account(ngx_str_t *rest, ngx_str_t *account)
{
    size_t  i;

    ngx_http_graph_policy_secret_word(rest, account);

    if (account->len == 0) {
        return NGX_DONE;
    }

    if (account->len > NGX_HTTP_GRAPH_POLICY_MAX_ACCOUNT_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < account->len; i++) {

        if (account->data[i] < '0' || account->data[i] > '9') {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Takes the first word off "rest"; the word is empty if none is left. */

static void
ngx_http_graph_policy_secret_word(ngx_str_t *rest, ngx_str_t *word)
{
    u_char  *p, *last;

    p = rest->data;
    last = p + rest->len;

    while (p < last && ngx_http_graph_policy_is_blank(*p)) {
        p++;
    }

    word->data = p;

    while (p < last && !ngx_http_graph_policy_is_blank(*p)) {
        p++;
    }

    word->len = p - word->data;

    rest->data = p;
    rest->len = last - p;
}
