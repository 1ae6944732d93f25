
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads the text of a fleet's key file, and derives from a line of it what
 * fingerprints are made with and what entries are signed with.
 *
 * Pure: takes no lock and keeps nothing; the text is the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_fleet_key.h"


#define NGX_HTTP_GRAPH_POLICY_LABEL_FINGERPRINT  "graph_policy 1 fingerprint"
#define NGX_HTTP_GRAPH_POLICY_LABEL_ENTRY        "graph_policy 1 entry"


static ngx_int_t ngx_http_graph_policy_fleet_key_label(
    ngx_http_graph_policy_signature_t *sig, char *label, u_char *digest);
static uint64_t ngx_http_graph_policy_fleet_key_word(u_char *p);


#define ngx_http_graph_policy_is_blank(c)  ((c) == ' ' || (c) == '\t')


ngx_int_t
ngx_http_graph_policy_fleet_key_next(u_char **p, u_char *last,
    ngx_uint_t *line, ngx_str_t *secret)
{
    u_char  *s, *end, *next, *q;

    for (s = *p; s < last; s = next) {

        (*line)++;

        end = ngx_strlchr(s, last, LF);
        next = (end == NULL) ? last : end + 1;

        if (end == NULL) {
            end = last;

        } else if (end > s && end[-1] == CR) {
            end--;
        }

        while (s < end && ngx_http_graph_policy_is_blank(*s)) {
            s++;
        }

        while (s < end && ngx_http_graph_policy_is_blank(end[-1])) {
            end--;
        }

        if (s == end || *s == '#') {
            continue;
        }

        for (q = s; q < end; q++) {

            if (*q < 0x20 || *q > 0x7e) {
                return NGX_ERROR;
            }
        }

        secret->data = s;
        secret->len = end - s;

        if (secret->len > NGX_HTTP_GRAPH_POLICY_MAX_FLEET_KEY_LEN) {
            return NGX_ERROR;
        }

        if (secret->len < NGX_HTTP_GRAPH_POLICY_MIN_FLEET_KEY_LEN) {
            return NGX_DECLINED;
        }

        *p = next;

        return NGX_OK;
    }

    *p = last;

    return NGX_DONE;
}


ngx_int_t
ngx_http_graph_policy_fleet_key_derive(ngx_str_t *secret,
    ngx_http_graph_policy_fleet_key_t *key)
{
    u_char       digest[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN];
    ngx_int_t    rc;

    ngx_http_graph_policy_signature_t  *sig;

    key->signature = NULL;

    sig = ngx_http_graph_policy_signature_create(secret->data, secret->len);
    if (sig == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_graph_policy_fleet_key_label(sig,
                             NGX_HTTP_GRAPH_POLICY_LABEL_FINGERPRINT, digest);

    if (rc == NGX_OK) {
        key->fingerprint[0] = ngx_http_graph_policy_fleet_key_word(digest);
        key->fingerprint[1] = ngx_http_graph_policy_fleet_key_word(digest + 8);

        rc = ngx_http_graph_policy_fleet_key_label(sig,
                                   NGX_HTTP_GRAPH_POLICY_LABEL_ENTRY, digest);
    }

    ngx_http_graph_policy_signature_destroy(sig);

    if (rc == NGX_OK) {
        key->signature = ngx_http_graph_policy_signature_create(digest,
                                             NGX_HTTP_GRAPH_POLICY_DIGEST_LEN);
    }

    ngx_http_graph_policy_signature_wipe(digest,
                                         NGX_HTTP_GRAPH_POLICY_DIGEST_LEN);

    return (key->signature != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_graph_policy_fleet_key_label(ngx_http_graph_policy_signature_t *sig,
    char *label, u_char *digest)
{
    if (ngx_http_graph_policy_signature_init(sig) != NGX_OK
        || ngx_http_graph_policy_signature_update(sig, (u_char *) label,
                                                  ngx_strlen(label))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_graph_policy_signature_final(sig, digest);
}


/* hosts of another byte order must come to the same fingerprints */

static uint64_t
ngx_http_graph_policy_fleet_key_word(u_char *p)
{
    uint64_t    word;
    ngx_uint_t  i;

    word = 0;

    for (i = 0; i < 8; i++) {
        word = (word << 8) | p[i];
    }

    return word;
}
