
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _FUZZ_NGINX_H_INCLUDED_
#define _FUZZ_NGINX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Returns a request of POST whose line is parsed by nginx's own parser as a
 * server would, or NULL if nginx refuses it.  The line is copied into a block
 * of exactly its size; the request lasts until the next end_request().
 */
ngx_http_request_t *begin_request(const uint8_t *line, size_t len,
    int merge_slashes);

/* Frees all that was allocated for the request. */
void end_request(void);

/*
 * Adds a header, of whose name nginx keeps a copy in lower case; at most "n"
 * stand in one part of the list.
 */
void add_header(ngx_http_request_t *r, const char *name, const uint8_t *value,
    size_t len, ngx_uint_t n);

/* Copies a text into a block of exactly its size. */
u_char *copy_text(ngx_http_request_t *r, const uint8_t *text, size_t len);

/*
 * Writes the text without its escapes, at most "n" bytes.  Returns how many
 * there are, or -1 if there are more or an escape is broken.  No code is shared
 * with nginx's ngx_unescape_uri().
 */
ssize_t unescape(const u_char *text, size_t len, u_char *to, size_t n);


#endif /* _FUZZ_NGINX_H_INCLUDED_ */
