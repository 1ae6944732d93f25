
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as the query and the Authorization headers of a request.
 * The first byte says how they lie in memory, the first line is the query, and
 * each line more a header: another one if it begins with "-".  The credential
 * is compared with a reading of its own.
 */


#include "http/nginx.h"
#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_request.h"


#define check(expr)  if (!(expr)) abort()

#define MAX_LINES  16
#define LINE       "POST /v25.0/1/messages HTTP/1.1\r\n"


/* the token of a request, as far as it has been read */

typedef struct {
    u_char  *text;
    size_t   len;
    int      differ;                /* there is another one */
    int      odd;                   /* an escape is broken */
} token_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* takes over the block of the text */

static void
found(token_t *token, u_char *text, size_t len)
{
    if (len != 0 && token->text == NULL) {
        token->text = text;
        token->len = len;
        return;
    }

    if (len != 0
        && (len != token->len || memcmp(text, token->text, len) != 0))
    {
        token->differ = 1;
    }

    free(text);
}


static void
read_header(token_t *token, const u_char *p, size_t len)
{
    size_t   scheme;
    u_char  *text;

    scheme = (len >= 7 && strncasecmp((char *) p, "bearer ", 7) == 0) ? 7
             : (len >= 6 && strncasecmp((char *) p, "oauth ", 6) == 0) ? 6 : 0;

    if (scheme == 0) {
        return;
    }

    p += scheme;
    len -= scheme;

    while (len != 0 && *p == ' ') {
        p++;
        len--;
    }

    text = malloc(len + 1);
    check(text != NULL);
    memcpy(text, p, len);

    found(token, text, len);
}


static void
read_query(token_t *token, const u_char *p, size_t len)
{
    u_char        *text;
    ssize_t        n;
    const u_char  *last, *end, *sign;

    text = malloc(len + 1);
    check(text != NULL);

    for (last = p + len; p < last; p = end + 1) {

        end = memchr(p, '&', last - p);
        end = (end != NULL) ? end : last;

        sign = memchr(p, '=', end - p);

        n = unescape(p, (sign != NULL ? sign : end) - p, text, len);

        if (sign == NULL || n != 12 || memcmp(text, "access_token", 12) != 0) {
            continue;
        }

        sign++;
        n = unescape(sign, end - sign, text, len);

        if (n == -1) {
            token->odd = 1;
            continue;
        }

        found(token, memcpy(malloc(len + 1), text, (size_t) n), (size_t) n);
    }

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                               configured, lines;
    token_t                           token;
    uint64_t                          credential;
    ngx_str_t                         own;
    const uint8_t                    *p, *last, *end;
    ngx_http_request_t               *r;
    ngx_http_complex_value_t          cv;
    ngx_http_graph_policy_ctx_t       ctx;
    ngx_http_graph_policy_loc_conf_t  glcf;

    if (size == 0) {
        return 0;
    }

    r = begin_request((const uint8_t *) LINE, sizeof(LINE) - 1, 1);
    check(r != NULL);

    memset(&token, 0, sizeof(token));
    configured = (data[0] >= 0xf0);

    p = data + 1;
    last = data + size;

    for (lines = 0; p <= last && lines < MAX_LINES; p = end + 1) {

        end = memchr(p, '\n', last - p);
        end = (end != NULL) ? end : last;

        if (lines == 0) {
            r->args.data = copy_text(r, p, end - p);
            r->args.len = end - p;

        } else if (p < last && *p == '-') {
            add_header(r, "X-Authorization", p, end - p, 1 + data[0] % 4);

        } else {
            read_header(&token, p, end - p);
            add_header(r, "Authorization", p, end - p, 1 + data[0] % 4);
        }

        lines++;
    }

    read_query(&token, r->args.data, r->args.len);

    memset(&cv, 0, sizeof(cv));
    memset(&glcf, 0, sizeof(glcf));
    memset(&ctx, 0, sizeof(ctx));

    if (configured) {
        cv.value = r->args;
        glcf.credential = &cv;
    }

    ngx_http_graph_policy_identify_credential(r, &ctx, &glcf);
    credential = ctx.query.identity.credential;

    /* once it is known it isn't read again */

    ngx_http_graph_policy_identify_credential(r, &ctx, &glcf);
    check(ctx.query.identity.credential == credential && ctx.credentialed);

    own.data = token.text;
    own.len = token.len;

    if (configured && cv.value.len != 0) {
        check(credential
              == ngx_http_graph_policy_zone_fingerprint(NULL, &cv.value));

    } else if (token.odd) {
        check(!token.differ || credential == 0);

    } else if (token.differ || token.text == NULL) {
        check(credential == 0);

    } else {
        check(credential == ngx_http_graph_policy_zone_fingerprint(NULL, &own));
    }

    free(token.text);
    end_request();

    return 0;
}
