
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The entries by which hosts tell each other of states: written and signed,
 * read and verified.
 *
 * Pure: no lock, no clock; the text is the caller's.  What is read may be
 * anything.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_entry.h"


/* the largest number that is written, 2^53 - 1 */
#define NGX_HTTP_GRAPH_POLICY_ENTRY_MAX  0x1fffffffffffffULL


static ngx_int_t ngx_http_graph_policy_entry_mac(
    ngx_http_graph_policy_entry_t *entry, ngx_str_t *name,
    ngx_http_graph_policy_signature_t *sig, u_char *mac);
static u_char *ngx_http_graph_policy_entry_number(u_char *p, u_char *last,
    uint64_t *n);
static u_char *ngx_http_graph_policy_entry_hex(u_char *p, u_char *last,
    uint64_t *n);


u_char *
ngx_http_graph_policy_entry_write(u_char *p,
    ngx_http_graph_policy_entry_t *entry, ngx_str_t *name,
    ngx_http_graph_policy_signature_t *sig)
{
    entry->head.data = p;

    p = ngx_http_graph_policy_record_number(p,
                                         NGX_HTTP_GRAPH_POLICY_ENTRY_VERSION);
    *p++ = ' ';
    p = ngx_http_graph_policy_record_hex(p, entry->node);
    *p++ = ' ';
    p = ngx_http_graph_policy_record_number(p, entry->seq);
    *p++ = ' ';
    p = ngx_http_graph_policy_record_number(p, entry->sent);
    *p++ = ' ';
    p = ngx_http_graph_policy_record_number(p, entry->lease);

    entry->head.len = p - entry->head.data;

    *p++ = ' ';

    if (ngx_http_graph_policy_entry_mac(entry, name, sig, p) != NGX_OK) {
        return NULL;
    }

    p += NGX_HTTP_GRAPH_POLICY_ENTRY_MAC_LEN;
    *p++ = ' ';

    return ngx_cpymem(p, entry->body.data, entry->body.len);
}


static ngx_int_t
ngx_http_graph_policy_entry_mac(ngx_http_graph_policy_entry_t *entry,
    ngx_str_t *name, ngx_http_graph_policy_signature_t *sig, u_char *mac)
{
    u_char      digest[NGX_HTTP_GRAPH_POLICY_DIGEST_LEN];
    uint64_t    word;
    ngx_uint_t  i;

    /* no part before the last one can hold an LF */

    if (ngx_http_graph_policy_signature_init(sig) != NGX_OK
        || ngx_http_graph_policy_signature_update(sig, name->data, name->len)
           != NGX_OK
        || ngx_http_graph_policy_signature_update(sig, (u_char *) "\n", 1)
           != NGX_OK
        || ngx_http_graph_policy_signature_update(sig, entry->head.data,
                                                  entry->head.len)
           != NGX_OK
        || ngx_http_graph_policy_signature_update(sig, (u_char *) "\n", 1)
           != NGX_OK
        || ngx_http_graph_policy_signature_update(sig, entry->body.data,
                                                  entry->body.len)
           != NGX_OK
        || ngx_http_graph_policy_signature_final(sig, digest) != NGX_OK)
    {
        return NGX_ERROR;
    }

    word = 0;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_ENTRY_MAC_LEN / 2; i++) {
        word = (word << 8) | digest[i];

        if (i % 8 == 7) {
            mac = ngx_http_graph_policy_record_hex(mac, word);
            word = 0;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_graph_policy_entry_read(u_char *text, size_t len,
    ngx_http_graph_policy_entry_t *entry)
{
    u_char    *p, *last;
    uint64_t   version, mac;

    if (len > NGX_HTTP_GRAPH_POLICY_ENTRY_READ) {
        return NGX_DECLINED;
    }

    p = text;
    last = text + len;

    p = ngx_http_graph_policy_entry_number(p, last, &version);

    if (p == NULL || version != NGX_HTTP_GRAPH_POLICY_ENTRY_VERSION) {
        return NGX_DECLINED;
    }

    p = ngx_http_graph_policy_entry_hex(p, last, &entry->node);

    if (p == NULL || p == last || *p++ != ' ' || entry->node == 0) {
        return NGX_DECLINED;
    }

    p = ngx_http_graph_policy_entry_number(p, last, &entry->seq);

    if (p != NULL) {
        p = ngx_http_graph_policy_entry_number(p, last, &entry->sent);
    }

    if (p != NULL) {
        p = ngx_http_graph_policy_entry_number(p, last, &entry->lease);
    }

    if (p == NULL || entry->lease > NGX_HTTP_GRAPH_POLICY_ENTRY_LEASE) {
        return NGX_DECLINED;
    }

    entry->head.data = text;
    entry->head.len = p - 1 - text;
    entry->mac.data = p;
    entry->mac.len = NGX_HTTP_GRAPH_POLICY_ENTRY_MAC_LEN;

    p = ngx_http_graph_policy_entry_hex(p, last, &mac);

    if (p != NULL) {
        p = ngx_http_graph_policy_entry_hex(p, last, &mac);
    }

    if (p == NULL || p == last || *p++ != ' ' || p == last) {
        return NGX_DECLINED;
    }

    entry->body.data = p;
    entry->body.len = last - p;

    return NGX_OK;
}


/* the number, and the space behind it, which there must be */

static u_char *
ngx_http_graph_policy_entry_number(u_char *p, u_char *last, uint64_t *n)
{
    u_char  *start;

    *n = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {

        *n = *n * 10 + (*p - '0');

        if (*n > NGX_HTTP_GRAPH_POLICY_ENTRY_MAX) {
            return NULL;
        }
    }

    if (p == start || (*start == '0' && p - start > 1)
        || p == last || *p != ' ')
    {
        return NULL;
    }

    return p + 1;
}


/* 16 digits; what is behind them */

static u_char *
ngx_http_graph_policy_entry_hex(u_char *p, u_char *last, uint64_t *n)
{
    *n = 0;

    if (last - p < 16 || !ngx_http_graph_policy_record_unhex(p, 16, n, 1)) {
        return NULL;
    }

    return p + 16;
}


ngx_int_t
ngx_http_graph_policy_entry_verify(ngx_http_graph_policy_entry_t *entry,
    ngx_str_t *name, ngx_http_graph_policy_signature_t *sig)
{
    u_char  mac[NGX_HTTP_GRAPH_POLICY_ENTRY_MAC_LEN];

    if (ngx_http_graph_policy_entry_mac(entry, name, sig, mac) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* as many bytes as a digest has, so that it compares in constant time */

    return ngx_http_graph_policy_signature_equal(mac, entry->mac.data)
           ? NGX_OK : NGX_DECLINED;
}


u_char *
ngx_http_graph_policy_heartbeat_write(u_char *p,
    ngx_http_graph_policy_heartbeat_t *heartbeat)
{
    *p++ = 'h';
    *p++ = ' ';
    p = ngx_http_graph_policy_record_number(p, heartbeat->cut);
    *p++ = ' ';
    p = ngx_http_graph_policy_record_number(p, heartbeat->round);
    *p++ = ' ';

    p = ngx_http_graph_policy_record_hex(p, heartbeat->digest);

    if (heartbeat->shares) {
        *p++ = ' ';
        p = ngx_http_graph_policy_record_hex(p, heartbeat->conversations);
    }

    return p;
}


ngx_int_t
ngx_http_graph_policy_heartbeat_read(ngx_str_t *body,
    ngx_http_graph_policy_heartbeat_t *heartbeat)
{
    u_char  *p, *last;

    p = body->data;
    last = p + body->len;

    if (last - p < 2 || p[0] != 'h' || p[1] != ' ') {
        return NGX_DECLINED;
    }

    p = ngx_http_graph_policy_entry_number(p + 2, last, &heartbeat->cut);

    if (p != NULL) {
        p = ngx_http_graph_policy_entry_number(p, last, &heartbeat->round);
    }

    if (p != NULL) {
        p = ngx_http_graph_policy_entry_hex(p, last, &heartbeat->digest);
    }

    heartbeat->conversations = 0;
    heartbeat->shares = (p != NULL && p < last);

    if (heartbeat->shares) {
        p = (*p == ' ')
            ? ngx_http_graph_policy_entry_hex(p + 1, last,
                                              &heartbeat->conversations)
            : NULL;
    }

    return (p == last) ? NGX_OK : NGX_DECLINED;
}
