
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_SECRET_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The text of a secret file, a line for each app:
 *
 *     SECRET [ACCOUNT-ID ...]
 *
 * Spaces and tabs separate the words, and may stand before and behind them.  A
 * secret is printable ASCII, an account id decimal digits.  Lines that are
 * empty, and those whose first character is "#", are passed over.  A line ends
 * with LF, or CR and LF, the last one also with the text.  Control characters
 * are malformed, in a comment too.
 */

#define NGX_HTTP_GRAPH_POLICY_MAX_SECRETS     4    /* in a file */
#define NGX_HTTP_GRAPH_POLICY_MAX_SECRET_LEN  128  /* bytes */
#define NGX_HTTP_GRAPH_POLICY_MAX_ACCOUNT_LEN  20  /* digits */


/* A line of the file; both texts point into the file's text. */

typedef struct {
    ngx_str_t     secret;
    ngx_str_t     accounts;         /* the rest of the line, may be empty */
    ngx_uint_t    line;             /* number of the line, from 1 */
} ngx_http_graph_policy_secret_t;


/*
 * Reads the next secret at *p and moves *p behind its line.  The caller zeroes
 * "line" before the first call; it is counted up from call to call.  Returns
 * NGX_OK, NGX_DONE at the end of the text, or NGX_ERROR if the line of that
 * number is malformed; *p isn't moved then.  The caller checks how many
 * secrets there are.
 */
ngx_int_t ngx_http_graph_policy_secret_next(u_char **p, u_char *last,
    ngx_http_graph_policy_secret_t *secret);

/*
 * Takes the first account id off "rest", which is "accounts" to begin with.
 * Returns NGX_OK, NGX_DONE if none is left, or NGX_ERROR if it is malformed,
 * which never happens in a line that secret_next() has read.
 */
ngx_int_t ngx_http_graph_policy_secret_account(ngx_str_t *rest,
    ngx_str_t *account);


#endif /* _NGX_HTTP_GRAPH_POLICY_SECRET_H_INCLUDED_ */
