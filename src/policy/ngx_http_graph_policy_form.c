
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Reads small JSON objects that people write by hand, such as the body of a
 * call of the API.  An error says which member is wrong.
 *
 * The file is pure: it takes no lock; the result is the caller's, and
 * everything else lies in the caller's arena.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_form.h"
#include "ngx_http_graph_policy_yajl.h"


typedef struct {
    ngx_http_graph_policy_form_t   *form;
    ngx_http_graph_policy_form_e    error;

    /*
     * The field of the member whose value comes next; NULL outside of the
     * object.
     */
    ngx_http_graph_policy_field_t  *field;

    unsigned                        opened:1;
    uint64_t                        seen;       /* a bit for each field */
} ngx_http_graph_policy_form_ctx_t;


static int ngx_http_graph_policy_form_null(void *data);
static int ngx_http_graph_policy_form_boolean(void *data, int value);
static int ngx_http_graph_policy_form_number(void *data, const char *text,
    size_t len);
static int ngx_http_graph_policy_form_string(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_form_start_map(void *data);
static int ngx_http_graph_policy_form_start_array(void *data);
static int ngx_http_graph_policy_form_end_map(void *data);
static int ngx_http_graph_policy_form_map_key(void *data,
    const unsigned char *text, size_t len);
static int ngx_http_graph_policy_form_wrong(
    ngx_http_graph_policy_form_ctx_t *ctx,
    ngx_http_graph_policy_form_e error, const u_char *name, size_t len);


static yajl_callbacks  ngx_http_graph_policy_form_callbacks = {
    ngx_http_graph_policy_form_null,
    ngx_http_graph_policy_form_boolean,
    NULL,
    NULL,
    ngx_http_graph_policy_form_number,
    ngx_http_graph_policy_form_string,
    ngx_http_graph_policy_form_start_map,
    ngx_http_graph_policy_form_map_key,
    ngx_http_graph_policy_form_end_map,
    ngx_http_graph_policy_form_start_array,
    NULL
};


ngx_http_graph_policy_form_e
ngx_http_graph_policy_form_read(u_char *body, size_t len, void *arena,
    ngx_http_graph_policy_form_t *form)
{
    ngx_uint_t                        i;
    ngx_http_graph_policy_form_ctx_t  ctx;

    ngx_memzero(&ctx, sizeof(ngx_http_graph_policy_form_ctx_t));

    ctx.form = form;
    form->culprit_len = 0;

    for (i = 0; i < form->nfields; i++) {
        form->fields[i].found = 0;
        form->fields[i].len = 0;
    }

    if (ngx_http_graph_policy_yajl_run(&ngx_http_graph_policy_form_callbacks,
                                       body, len, arena, &ctx)
        == NGX_OK)
    {
        return NGX_HTTP_GRAPH_POLICY_FORM_READ;
    }

    return (ctx.error != NGX_HTTP_GRAPH_POLICY_FORM_READ)
           ? ctx.error : NGX_HTTP_GRAPH_POLICY_FORM_MALFORMED;
}


static int
ngx_http_graph_policy_form_null(void *data)
{
    ngx_http_graph_policy_form_ctx_t *ctx = data;

    return ctx->field != NULL;
}


static int
ngx_http_graph_policy_form_boolean(void *data, int value)
{
    ngx_http_graph_policy_form_ctx_t *ctx = data;

    ngx_http_graph_policy_field_t  *field;

    field = ctx->field;

    if (field == NULL || !field->is_bool) {
        return ngx_http_graph_policy_form_wrong(ctx,
                                       NGX_HTTP_GRAPH_POLICY_FORM_TYPE,
                                       NULL, 0);
    }

    field->value = (value != 0);
    field->found = 1;

    return 1;
}


static int
ngx_http_graph_policy_form_number(void *data, const char *text, size_t len)
{
    return ngx_http_graph_policy_form_wrong(data,
                                       NGX_HTTP_GRAPH_POLICY_FORM_TYPE,
                                       NULL, 0);
}


static int
ngx_http_graph_policy_form_string(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_form_ctx_t *ctx = data;

    ngx_http_graph_policy_field_t  *field;

    field = ctx->field;

    if (field == NULL || field->is_bool) {
        return ngx_http_graph_policy_form_wrong(ctx,
                                       NGX_HTTP_GRAPH_POLICY_FORM_TYPE,
                                       NULL, 0);
    }

    if (len > NGX_HTTP_GRAPH_POLICY_FIELD_LEN) {
        return ngx_http_graph_policy_form_wrong(ctx,
                                       NGX_HTTP_GRAPH_POLICY_FORM_LONG,
                                       NULL, 0);
    }

    ngx_memcpy(field->data, text, len);
    field->len = len;
    field->found = 1;

    return 1;
}


static int
ngx_http_graph_policy_form_start_map(void *data)
{
    ngx_http_graph_policy_form_ctx_t *ctx = data;

    if (ctx->opened) {
        return ngx_http_graph_policy_form_wrong(ctx,
                                       NGX_HTTP_GRAPH_POLICY_FORM_TYPE,
                                       NULL, 0);
    }

    ctx->opened = 1;

    return 1;
}


static int
ngx_http_graph_policy_form_start_array(void *data)
{
    return ngx_http_graph_policy_form_wrong(data,
                                       NGX_HTTP_GRAPH_POLICY_FORM_TYPE,
                                       NULL, 0);
}


static int
ngx_http_graph_policy_form_end_map(void *data)
{
    ngx_http_graph_policy_form_ctx_t *ctx = data;

    ctx->field = NULL;

    return 1;
}


static int
ngx_http_graph_policy_form_map_key(void *data, const unsigned char *text,
    size_t len)
{
    ngx_http_graph_policy_form_ctx_t *ctx = data;

    ngx_uint_t                     i;
    ngx_http_graph_policy_form_t  *form;

    form = ctx->form;

    for (i = 0; i < form->nfields; i++) {

        if (form->fields[i].name.len == len
            && ngx_memcmp(form->fields[i].name.data, text, len) == 0)
        {
            break;
        }
    }

    if (i == form->nfields) {
        return ngx_http_graph_policy_form_wrong(ctx,
                                       NGX_HTTP_GRAPH_POLICY_FORM_UNKNOWN,
                                       text, len);
    }

    ctx->field = &form->fields[i];

    if (ctx->seen & ((uint64_t) 1 << i)) {
        return ngx_http_graph_policy_form_wrong(ctx,
                                       NGX_HTTP_GRAPH_POLICY_FORM_TWICE,
                                       NULL, 0);
    }

    ctx->seen |= (uint64_t) 1 << i;

    return 1;
}


/*
 * An error outside of the object has no member to name, so the text counts as
 * malformed.
 */

static int
ngx_http_graph_policy_form_wrong(ngx_http_graph_policy_form_ctx_t *ctx,
    ngx_http_graph_policy_form_e error, const u_char *name, size_t len)
{
    ngx_http_graph_policy_form_t  *form;

    form = ctx->form;

    if (name == NULL && ctx->field != NULL) {
        name = ctx->field->name.data;
        len = ctx->field->name.len;
    }

    if (name != NULL) {
        ctx->error = error;

        form->culprit_len = ngx_min(len, NGX_HTTP_GRAPH_POLICY_FIELD_LEN);
        ngx_memcpy(form->culprit, name, form->culprit_len);
    }

    return 0;
}
