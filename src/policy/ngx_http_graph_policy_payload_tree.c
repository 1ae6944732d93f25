
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The records of a webhook's payload are opened and closed here.
 *
 * Pure: no lock.  Records lie in the memory of the payload's reader, one behind
 * the other; the next one overwrites a record that nobody needs.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_payload_shape.h"


static ngx_int_t ngx_http_graph_policy_payload_open_entry(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_payload_open_change(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_payload_open_item(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_item_e place);
static ngx_int_t ngx_http_graph_policy_payload_open_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static ngx_int_t ngx_http_graph_policy_payload_open_error(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_change(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_item(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx);

static void *ngx_http_graph_policy_payload_record(
    ngx_http_graph_policy_payload_ctx_t *ctx, size_t size);


ngx_int_t
ngx_http_graph_policy_payload_open(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t node)
{
    switch (node) {

    case NGX_HTTP_GRAPH_POLICY_WH_ENTRY:
        return ngx_http_graph_policy_payload_open_entry(ctx);

    case NGX_HTTP_GRAPH_POLICY_WH_CHANGE:
        return ngx_http_graph_policy_payload_open_change(ctx);

    case NGX_HTTP_GRAPH_POLICY_WH_VALUE_ERRORS:
        return ngx_http_graph_policy_payload_open_item(ctx,
                                           NGX_HTTP_GRAPH_POLICY_ITEM_VALUE);

    case NGX_HTTP_GRAPH_POLICY_WH_MESSAGE:
        return ngx_http_graph_policy_payload_open_item(ctx,
                                           NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE);

    case NGX_HTTP_GRAPH_POLICY_WH_STATUS:
        return ngx_http_graph_policy_payload_open_item(ctx,
                                           NGX_HTTP_GRAPH_POLICY_ITEM_STATUS);

    case NGX_HTTP_GRAPH_POLICY_WH_CALL:
        return ngx_http_graph_policy_payload_open_item(ctx,
                                           NGX_HTTP_GRAPH_POLICY_ITEM_CALL);

    case NGX_HTTP_GRAPH_POLICY_WH_PART:
        return ngx_http_graph_policy_payload_open_item(ctx,
                                           NGX_HTTP_GRAPH_POLICY_ITEM_HISTORY);

    case NGX_HTTP_GRAPH_POLICY_WH_CONTACT:
        return ngx_http_graph_policy_payload_open_contact(ctx);

    case NGX_HTTP_GRAPH_POLICY_WH_WABA_INFO:
        ctx->named = 1;
        return NGX_OK;

    case NGX_HTTP_GRAPH_POLICY_WH_ERROR:
        return ngx_http_graph_policy_payload_open_error(ctx);

    default:
        return NGX_OK;
    }
}


void
ngx_http_graph_policy_payload_close(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t node)
{
    switch (node) {

    case NGX_HTTP_GRAPH_POLICY_WH_CHANGE:
        ngx_http_graph_policy_payload_close_change(ctx);
        break;

    case NGX_HTTP_GRAPH_POLICY_WH_VALUE_ERRORS:
    case NGX_HTTP_GRAPH_POLICY_WH_MESSAGE:
    case NGX_HTTP_GRAPH_POLICY_WH_STATUS:
    case NGX_HTTP_GRAPH_POLICY_WH_CALL:
    case NGX_HTTP_GRAPH_POLICY_WH_PART:
        ngx_http_graph_policy_payload_close_item(ctx);
        break;

    case NGX_HTTP_GRAPH_POLICY_WH_CONTACT:
        ngx_http_graph_policy_payload_close_contact(ctx);
        break;

    default:
        break;
    }
}


static ngx_int_t
ngx_http_graph_policy_payload_open_entry(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_entry_t  *entry;

    entry = ngx_http_graph_policy_payload_record(ctx,
                                        sizeof(ngx_http_graph_policy_entry_t));
    if (entry == NULL) {
        return NGX_ERROR;
    }

    *ctx->entries = entry;
    ctx->entries = &entry->next;

    ctx->entry = entry;
    ctx->changes = &entry->changes;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_payload_open_change(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_change_t  *change;

    change = ngx_http_graph_policy_payload_record(ctx,
                                       sizeof(ngx_http_graph_policy_change_t));
    if (change == NULL) {
        return NGX_ERROR;
    }

    *ctx->changes = change;
    ctx->changes = &change->next;

    ctx->change = change;
    ctx->items = &change->items;
    ctx->contacts = &change->contacts;
    ctx->ban = NGX_HTTP_GRAPH_POLICY_EVENT_OTHER;
    ctx->nerrors = 0;
    ctx->about.len = 0;
    ctx->numbered = 0;
    ctx->named = 0;

    ctx->payload->nchanges++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_payload_open_item(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_item_e place)
{
    ngx_http_graph_policy_item_t  *item;

    item = ngx_http_graph_policy_payload_record(ctx,
                                         sizeof(ngx_http_graph_policy_item_t));
    if (item == NULL) {
        return NGX_ERROR;
    }

    item->place = place;

    ctx->item = item;
    ctx->who = item->who;
    ctx->errors = &item->errors;
    ctx->group.len = 0;
    ctx->outgoing = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_payload_open_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_contact_t  *contact;

    contact = ngx_http_graph_policy_payload_record(ctx,
                                      sizeof(ngx_http_graph_policy_contact_t));
    if (contact == NULL) {
        return NGX_ERROR;
    }

    ctx->contact = contact;
    ctx->who = contact->who;

    return NGX_OK;
}


static ngx_int_t
ngx_http_graph_policy_payload_open_error(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_wh_error_t  *error;

    error = ngx_http_graph_policy_payload_record(ctx,
                                     sizeof(ngx_http_graph_policy_wh_error_t));
    if (error == NULL) {
        return NGX_ERROR;
    }

    *ctx->errors = error;
    ctx->errors = &error->next;

    ctx->error = error;
    ctx->nerrors++;

    return NGX_OK;
}


static void
ngx_http_graph_policy_payload_close_change(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_change_t  *change;

    change = ctx->change;

    change->partner &= ctx->named;

    if (change->field != NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT) {
        change->event = NGX_HTTP_GRAPH_POLICY_EVENT_OTHER;
        change->partner = 0;

        if (change->field != NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES) {
            change->number.len = 0;
        }

        ctx->payload->nerrors += ctx->nerrors;
        return;
    }

    change->number = ctx->about;
    change->numbered = ctx->numbered;

    if (change->event == NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED) {
        change->event = ctx->ban;
    }

    if (change->event == NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED
        || change->event == NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED
        || change->event == NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE)
    {
        ctx->payload->nerrors++;
    }
}


static void
ngx_http_graph_policy_payload_close_item(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_item_t  *item;

    item = ctx->item;

    ctx->change->time = ngx_max(ctx->change->time, item->time);

    if (item->group) {

        /*
         * A message to a group isn't one to the business, so it must not end
         * the limit of the member's own conversation.
         */

        ngx_memzero(item->who, sizeof(item->who));
        item->who[NGX_HTTP_GRAPH_POLICY_WHO_NUMBER] = ctx->group;
        ctx->change->grouped = 1;
    }

    if (item->errors != NULL
        || item->place == NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE
        || (item->place == NGX_HTTP_GRAPH_POLICY_ITEM_STATUS
            && item->status != NGX_HTTP_GRAPH_POLICY_STATUS_OTHER
            && item->id.len != 0)
        || (item->place == NGX_HTTP_GRAPH_POLICY_ITEM_CALL && !ctx->outgoing))
    {
        *ctx->items = item;
        ctx->items = &item->next;
        return;
    }

    /* Most statuses have no errors; the next item reuses their memory. */

    ctx->pos = (u_char *) item;
}


static void
ngx_http_graph_policy_payload_close_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_uint_t                        i;
    ngx_http_graph_policy_contact_t  *contact;

    contact = ctx->contact;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_WHO_NAMES; i++) {

        if (contact->who[i].len != 0) {
            *ctx->contacts = contact;
            ctx->contacts = &contact->next;
            ctx->change->ncontacts++;
            return;
        }
    }

    ctx->pos = (u_char *) contact;
}


/* Returns a zeroed record of "size" bytes, NULL if the memory is used up. */

static void *
ngx_http_graph_policy_payload_record(ngx_http_graph_policy_payload_ctx_t *ctx,
    size_t size)
{
    u_char  *p;

    p = ngx_align_ptr(ctx->pos, NGX_ALIGNMENT);

    if (p > ctx->end || size > (size_t) (ctx->end - p)) {
        return NULL;
    }

    ctx->pos = p + size;

    ngx_memzero(p, size);

    return p;
}
