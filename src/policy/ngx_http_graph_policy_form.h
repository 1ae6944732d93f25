
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_FORM_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_FORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* bytes of a text that a field can hold, and of a name that is told */
#define NGX_HTTP_GRAPH_POLICY_FIELD_LEN  128


/* a member that the object may have, once */

typedef struct {
    ngx_str_t     name;
    unsigned      is_bool:1;        /* or a text */

    /* what was found; a null is as none */
    unsigned      found:1;
    unsigned      value:1;          /* of a boolean */
    size_t        len;
    u_char        data[NGX_HTTP_GRAPH_POLICY_FIELD_LEN];
} ngx_http_graph_policy_field_t;

#define ngx_http_graph_policy_field(name, is_bool)                            \
    { ngx_string(name), is_bool, 0, 0, 0, { 0 } }


typedef enum {
    NGX_HTTP_GRAPH_POLICY_FORM_READ = 0,
    NGX_HTTP_GRAPH_POLICY_FORM_MALFORMED,   /* no whole object of JSON */
    NGX_HTTP_GRAPH_POLICY_FORM_UNKNOWN,     /* there is no such member */
    NGX_HTTP_GRAPH_POLICY_FORM_TWICE,
    NGX_HTTP_GRAPH_POLICY_FORM_TYPE,        /* of another type */
    NGX_HTTP_GRAPH_POLICY_FORM_LONG         /* longer than a field */
} ngx_http_graph_policy_form_e;


typedef struct {
    ngx_http_graph_policy_field_t  *fields;
    ngx_uint_t                      nfields;

    /* the member that is wrong, if one is; its name may be cut */
    size_t                          culprit_len;
    u_char                          culprit[NGX_HTTP_GRAPH_POLICY_FIELD_LEN];
} ngx_http_graph_policy_form_t;


/*
 * Reads an object of nothing but texts and booleans into form->fields, of
 * which the caller has set the names and types.  "arena" is as for
 * json_parse().  What was found counts for FORM_READ alone.
 */
ngx_http_graph_policy_form_e ngx_http_graph_policy_form_read(u_char *body,
    size_t len, void *arena, ngx_http_graph_policy_form_t *form);


#endif /* _NGX_HTTP_GRAPH_POLICY_FORM_H_INCLUDED_ */
