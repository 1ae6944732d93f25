
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the secret room: whole files as text, and what is read of them,
 * written as "secret(account account) ..." with a last word for the end.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdlib.h>
#include "ngx_http_graph_policy_secret.h"
#include "tap.h"


#define S32    "0123456789abcdef0123456789abcdef"
#define S128   S32 S32 S32 S32
#define D20    "12345678901234567890"

#define text(s)  s, sizeof(s) - 1


typedef struct {
    const char  *name;
    const char  *data;
    size_t       len;
    const char  *said;
} file_t;


static const file_t  files[] = {

    /* what there is in a file */

    { "nothing", text(""), "end" },
    { "a secret", text("abc\n"), "1:abc() end" },
    { "without a line end", text("abc"), "1:abc() end" },
    { "two", text("abc\ndef\n"), "1:abc() 2:def() end" },
    { "two, the last without a line end", text("abc\ndef"),
      "1:abc() 2:def() end" },
    { "an account", text("abc 102290129340398\n"),
      "1:abc(102290129340398) end" },
    { "accounts", text("abc 1 22 333\n"), "1:abc(1 22 333) end" },
    { "accounts, no line end", text("abc 1 22"), "1:abc(1 22) end" },
    { "some with, some without", text("abc 1\ndef\nghi 2 3\n"),
      "1:abc(1) 2:def() 3:ghi(2 3) end" },
    { "more than are used", text("a\nb\nc\nd\ne\n"),
      "1:a() 2:b() 3:c() 4:d() 5:e() end" },
    { "all of printable ASCII",
      text("!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
           "abcdefghijklmnopqrstuvwxyz{|}~\n"),
      "1:!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
      "abcdefghijklmnopqrstuvwxyz{|}~() end" },
    { "digits can be a secret", text("123 456\n"), "1:123(456) end" },

    /* what is passed over */

    { "blank lines", text("\n\nabc\n\n\ndef\n\n"), "3:abc() 6:def() end" },
    { "lines of blanks", text("  \n\t\nabc\n \t"), "3:abc() end" },
    { "comments", text("# one\nabc 1\n#two\n#\ndef\n# three"),
      "2:abc(1) 5:def() end" },
    { "comments behind blanks", text("  # one\n\t#two\nabc\n"),
      "3:abc() end" },
    { "a comment of other letters", text("# cl\xc3\xa9\nabc\n"),
      "2:abc() end" },
    { "just a line end", text("\n"), "end" },
    { "just a comment", text("#"), "end" },

    /* blanks and line ends */

    { "tabs and many blanks", text("abc\t1 \t  22\t\t333\n"),
      "1:abc(1 22 333) end" },
    { "blanks before and behind", text(" \tabc 1 \t\n\tdef \n"),
      "1:abc(1) 2:def() end" },
    { "CR and LF", text("abc 1\r\n\r\n# x\r\ndef\r\n"),
      "1:abc(1) 4:def() end" },
    { "both kinds", text("abc\r\ndef\nghi\r\n"),
      "1:abc() 2:def() 3:ghi() end" },

    /* lengths */

    { "128 bytes", text(S128 "\n"), "1:" S128 "() end" },
    { "128 bytes and an account", text(S128 " 1"), "1:" S128 "(1) end" },
    { "129 bytes", text(S128 "x\n"), "error 1" },
    { "20 digits", text("abc " D20 "\n"), "1:abc(" D20 ") end" },
    { "21 digits", text("abc " D20 "1\n"), "error 1" },
    { "21 digits, not the first", text("abc 1 " D20 "1\n"), "error 1" },

    /* malformed */

    { "letters for an account", text("abc def\n"), "error 1" },
    { "a comment behind a secret", text("abc # one\n"), "error 1" },
    { "a letter in an account", text("abc 12x4\n"), "error 1" },
    { "a sign before an account", text("abc -1\n"), "error 1" },
    { "commas for blanks", text("abc 1,2\n"), "error 1" },
    { "the second line", text("abc\ndef x\n"), "1:abc() error 2" },
    { "a later line", text("\n# x\nabc\n\ndef 1 x\nghi\n"),
      "3:abc() error 5" },
    { "CR alone", text("abc\rdef\n"), "error 1" },
    { "two CR", text("abc\r\r\n"), "error 1" },
    { "CR at the end of the text", text("abc\r"), "error 1" },
    { "NUL in a secret", text("ab\0c\n"), "error 1" },
    { "NUL behind a secret", text("abc\0"), "error 1" },
    { "NUL behind an account", text("abc 1\0\n"), "error 1" },
    { "NUL in a comment", text("# \0\nabc\n"), "error 1" },
    { "NUL between lines", text("abc\n\0\n"), "1:abc() error 2" },
    { "vertical tab", text("abc\v1\n"), "error 1" },
    { "form feed", text("abc 1\f\n"), "error 1" },
    { "ESC in a comment", text("#\033[2J\n"), "error 1" },
    { "DEL", text("ab\177\n"), "error 1" },
    { "DEL in a comment", text("#\177\n"), "error 1" },
    { "not ASCII", text("cl\xc3\xa9\n"), "error 1" },
    { "a no-break space", text("abc\xc2\xa0" "1\n"), "error 1" },
    { "digits that aren't ASCII", text("abc \xd9\xa1\n"), "error 1" },
    { "a byte order mark", text("\xef\xbb\xbf" "abc\n"), "error 1" },
    { "UTF-16", text("a\0b\0c\0\n\0"), "error 1" }
};

#define NFILES  (sizeof(files) / sizeof(files[0]))


static void
append(char *out, ngx_str_t *s)
{
    strncat(out, (char *) s->data, s->len);
}


/* what is read of a text that is a block of its own */

static const char *
said(const char *data, size_t len)
{
    u_char                          *start, *p, *before;
    ngx_int_t                        rc;
    ngx_str_t                        rest, account;
    ngx_http_graph_policy_secret_t   secret;

    static char                      out[1024];

    start = malloc(len ? len : 1);
    if (start == NULL) {
        abort();
    }

    memcpy(start, data, len);

    p = start;
    out[0] = '\0';
    memset(&secret, 0xa5, sizeof(secret));
    secret.line = 0;

    for ( ;; ) {
        before = p;
        rc = ngx_http_graph_policy_secret_next(&p, start + len, &secret);

        if (rc != NGX_OK) {
            break;
        }

        snprintf(out + strlen(out), 32, "%u:", (unsigned) secret.line);
        append(out, &secret.secret);
        strcat(out, "(");

        rest = secret.accounts;

        while ((rc = ngx_http_graph_policy_secret_account(&rest, &account))
               == NGX_OK)
        {
            if (out[strlen(out) - 1] != '(') {
                strcat(out, " ");
            }

            append(out, &account);
        }

        /* who has none is believed for all */

        if (secret.accounts.len != 0 && out[strlen(out) - 1] == '(') {
            strcat(out, "blanks");
        }

        strcat(out, (rc == NGX_DONE) ? ") " : "?) ");
    }

    if (rc == NGX_ERROR) {
        snprintf(out + strlen(out), 32, "error %u%s", (unsigned) secret.line,
                 (p == before) ? "" : ", moved");

    } else {
        strcat(out, (rc == NGX_DONE && p == start + len) ? "end" : "?");
    }

    free(start);

    return out;
}


static void
test_files(void)
{
    size_t  i;

    for (i = 0; i < NFILES; i++) {
        is_str(said(files[i].data, files[i].len), files[i].said, "%s",
               files[i].name);
    }
}


static void
test_bytes(void)
{
    int       c;
    char      line[] = "a?c\n", comment[] = "#?\n", id[] = "abc ?\n";
    unsigned  secrets, comments, ids;

    /* of all bytes: 94 are printable, two are blanks, one ends the line */

    secrets = comments = ids = 0;

    for (c = 0; c < 256; c++) {
        line[1] = comment[1] = id[4] = (char) c;

        /* "c" behind a blank is no account */

        secrets += strstr(said(text(line)), "error") == NULL;
        comments += strcmp(said(text(comment)), "end") == 0;
        ids += strstr(said(text(id)), "error") == NULL;
    }

    is_int(secrets, 94 + 1, "bytes within a secret");
    is_int(comments, 94 + 128 + 2 + 1 + 1, "bytes within a comment");
    is_int(ids, 10 + 2 + 1 + 1, "bytes in the place of an account");
}


static void
test_account(void)
{
    size_t     i;
    ngx_str_t  rest, account;

    static const struct {
        const char  *rest;
        ngx_int_t    rc;
        const char  *account;
    } tests[] = {
        { "", NGX_DONE, "" },
        { " \t ", NGX_DONE, "" },
        { "1", NGX_OK, "1" },
        { "\t12 x", NGX_OK, "12" },
        { D20 " 1", NGX_OK, D20 },
        { " " D20 "1", NGX_ERROR, NULL },
        { "1x", NGX_ERROR, NULL },
        { "x", NGX_ERROR, NULL },
        { "/", NGX_ERROR, NULL },
        { ":", NGX_ERROR, NULL }
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        rest.data = (u_char *) tests[i].rest;
        rest.len = strlen(tests[i].rest);

        is_int(ngx_http_graph_policy_secret_account(&rest, &account),
               tests[i].rc, "the first account of \"%s\"", tests[i].rest);

        if (tests[i].account != NULL) {
            is_mem(account.data, account.len, tests[i].account,
                   strlen(tests[i].account), "it is \"%s\"",
                   tests[i].account);
        }
    }

    is_int(NGX_HTTP_GRAPH_POLICY_MAX_SECRETS, 4, "four secrets in a file");
}


int
main(void)
{
    test_files();
    test_bytes();
    test_account();

    return tap_done();
}
