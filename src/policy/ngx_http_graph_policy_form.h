
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_FORM_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_FORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A field holds texts of up to this many bytes, and an error names a member by
 * up to as many.
 */
#define NGX_HTTP_GRAPH_POLICY_FIELD_LEN  128


/* A member that the object may have, once. */

typedef struct {
    ngx_str_t     name;
    unsigned      is_bool:1;        /* 0: it is a text */

    /* The result of the read; a member that is null counts as absent. */
    unsigned      found:1;
    unsigned      value:1;          /* the value of a boolean */
    size_t        len;
    u_char        data[NGX_HTTP_GRAPH_POLICY_FIELD_LEN];
} ngx_http_graph_policy_field_t;

#define ngx_http_graph_policy_field(name, is_bool)                            \
    { ngx_string(name), is_bool, 0, 0, 0, { 0 } }


typedef enum {
    NGX_HTTP_GRAPH_POLICY_FORM_READ = 0,
    NGX_HTTP_GRAPH_POLICY_FORM_MALFORMED,   /* not one whole JSON object */
    NGX_HTTP_GRAPH_POLICY_FORM_UNKNOWN,     /* an unknown member */
    NGX_HTTP_GRAPH_POLICY_FORM_TWICE,
    NGX_HTTP_GRAPH_POLICY_FORM_TYPE,        /* a value of another type */
    NGX_HTTP_GRAPH_POLICY_FORM_LONG         /* a text longer than a field */
} ngx_http_graph_policy_form_e;


typedef struct {
    ngx_http_graph_policy_field_t  *fields;
    ngx_uint_t                      nfields;

    /* The name of the member that is wrong, if one is.  A long name is cut. */
    size_t                          culprit_len;
    u_char                          culprit[NGX_HTTP_GRAPH_POLICY_FIELD_LEN];
} ngx_http_graph_policy_form_t;


/*
 * Reads an object of nothing but texts and booleans into form->fields, whose
 * names and types the caller has set.  "arena" is as for json_parse().  The
 * fields are valid only after FORM_READ.
 */
ngx_http_graph_policy_form_e ngx_http_graph_policy_form_read(u_char *body,
    size_t len, void *arena, ngx_http_graph_policy_form_t *form);


#endif /* _NGX_HTTP_GRAPH_POLICY_FORM_H_INCLUDED_ */
