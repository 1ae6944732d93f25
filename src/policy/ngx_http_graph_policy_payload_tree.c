
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The records of a webhook's payload are opened and closed here.
 *
 * Pure: no lock.  Records lie in the memory of the payload's reader, one behind
 * the other; the next one overwrites a record that nobody needs, as another one
 * says the same.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_payload_shape.h"


static int ngx_http_graph_policy_payload_open_entry(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static int ngx_http_graph_policy_payload_open_change(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static int ngx_http_graph_policy_payload_open_item(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_item_e place);
static int ngx_http_graph_policy_payload_open_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static int ngx_http_graph_policy_payload_open_error(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_entry(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_change(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_merge_change(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_item(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static ngx_uint_t ngx_http_graph_policy_payload_merge_item(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static void ngx_http_graph_policy_payload_close_error(
    ngx_http_graph_policy_payload_ctx_t *ctx);
static ngx_uint_t ngx_http_graph_policy_payload_named(ngx_str_t *who);

static ngx_inline void *ngx_http_graph_policy_payload_record(
    ngx_http_graph_policy_payload_ctx_t *ctx, size_t size);


int
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
        return 1;

    case NGX_HTTP_GRAPH_POLICY_WH_ERROR:
        return ngx_http_graph_policy_payload_open_error(ctx);

    default:
        return 1;
    }
}


int
ngx_http_graph_policy_payload_close(ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_uint_t node)
{
    switch (node) {

    case NGX_HTTP_GRAPH_POLICY_WH_ENTRY:
        ngx_http_graph_policy_payload_close_entry(ctx);
        break;

    case NGX_HTTP_GRAPH_POLICY_WH_CHANGE:
        ngx_http_graph_policy_payload_close_change(ctx);
        break;

    case NGX_HTTP_GRAPH_POLICY_WH_ERROR:
        ngx_http_graph_policy_payload_close_error(ctx);
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

    return 1;
}


static int
ngx_http_graph_policy_payload_open_entry(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_entry_t  *entry;

    entry = ngx_http_graph_policy_payload_record(ctx,
                                        sizeof(ngx_http_graph_policy_entry_t));
    if (entry == NULL) {
        return 0;
    }

    ctx->entry_link = ctx->entries;

    *ctx->entries = entry;
    ctx->entries = &entry->next;

    ctx->entry = entry;
    ctx->changes = &entry->changes;
    ctx->silent = NULL;

    return 1;
}


static int
ngx_http_graph_policy_payload_open_change(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_change_t  *change;

    change = ngx_http_graph_policy_payload_record(ctx,
                                       sizeof(ngx_http_graph_policy_change_t));
    if (change == NULL) {
        return 0;
    }

    ctx->change_link = ctx->changes;

    *ctx->changes = change;
    ctx->changes = &change->next;

    ctx->change = change;
    ctx->nobody[0] = NULL;
    ctx->nobody[1] = NULL;
    ctx->items = &change->items;
    ctx->contacts = &change->contacts;
    ctx->ban = NGX_HTTP_GRAPH_POLICY_EVENT_OTHER;
    ctx->nerrors = 0;
    ctx->about.len = 0;
    ctx->numbered = 0;
    ctx->named = 0;

    ctx->payload->nchanges++;

    return 1;
}


static int
ngx_http_graph_policy_payload_open_item(
    ngx_http_graph_policy_payload_ctx_t *ctx,
    ngx_http_graph_policy_item_e place)
{
    ngx_http_graph_policy_item_t  *item;

    item = ngx_http_graph_policy_payload_record(ctx,
                                         sizeof(ngx_http_graph_policy_item_t));
    if (item == NULL) {
        return 0;
    }

    item->place = place;

    ctx->item = item;
    ctx->who = item->who;
    ctx->errors = &item->errors;
    ctx->last = NULL;
    ctx->group.len = 0;
    ctx->outgoing = 1;

    return 1;
}


static int
ngx_http_graph_policy_payload_open_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_contact_t  *contact;

    contact = ngx_http_graph_policy_payload_record(ctx,
                                      sizeof(ngx_http_graph_policy_contact_t));
    if (contact == NULL) {
        return 0;
    }

    ctx->contact = contact;
    ctx->who = contact->who;

    return 1;
}


static int
ngx_http_graph_policy_payload_open_error(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_wh_error_t  *error;

    error = ngx_http_graph_policy_payload_record(ctx,
                                     sizeof(ngx_http_graph_policy_wh_error_t));
    if (error == NULL) {
        return 0;
    }

    ctx->error_link = ctx->errors;

    *ctx->errors = error;
    ctx->errors = &error->next;

    ctx->error = error;
    ctx->nerrors++;

    return 1;
}


static void
ngx_http_graph_policy_payload_close_entry(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    if (ctx->entry->changes != NULL) {
        return;
    }

    if (ctx->bare == NULL) {
        ctx->bare = ctx->entry;
        return;
    }

    /* An entry without a change teaches nothing. */

    *ctx->entry_link = NULL;
    ctx->entries = ctx->entry_link;
    ctx->pos = (u_char *) ctx->entry;
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

        if (change->field == NGX_HTTP_GRAPH_POLICY_FIELD_OTHER
            && ctx->nerrors == 0)
        {
            ngx_http_graph_policy_payload_merge_change(ctx);
        }

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


/* A change of a field that isn't known teaches nothing but its errors. */

static void
ngx_http_graph_policy_payload_merge_change(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    if (ctx->silent == NULL) {
        ctx->silent = ctx->change;
        return;
    }

    ctx->silent->more++;

    *ctx->change_link = NULL;
    ctx->changes = ctx->change_link;
    ctx->pos = (u_char *) ctx->change;
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
        || (item->place == NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE
            && !ngx_http_graph_policy_payload_merge_item(ctx))
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


/* Returns 1 if the open message says nothing that the tree doesn't say. */

static ngx_uint_t
ngx_http_graph_policy_payload_merge_item(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_uint_t                      timed;
    ngx_http_graph_policy_item_t   *item, *first;

    item = ctx->item;

    if (ngx_http_graph_policy_payload_named(item->who)) {
        return 0;
    }

    /* Neither Meta's message nor one to a group is a customer's. */

    if (item->system || item->group) {
        return 1;
    }

    timed = (item->time != 0);
    first = ctx->nobody[timed];

    if (first == NULL) {
        ctx->nobody[timed] = item;
        return 0;
    }

    first->time = ngx_min(first->time, item->time);

    return 1;
}


static void
ngx_http_graph_policy_payload_close_contact(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_contact_t  *contact;

    contact = ctx->contact;

    if (ngx_http_graph_policy_payload_named(contact->who)) {
        *ctx->contacts = contact;
        ctx->contacts = &contact->next;
        ctx->change->ncontacts++;
        return;
    }

    ctx->pos = (u_char *) contact;
}


static void
ngx_http_graph_policy_payload_close_error(
    ngx_http_graph_policy_payload_ctx_t *ctx)
{
    ngx_http_graph_policy_wh_error_t  *error, *last;

    error = ctx->error;
    last = ctx->last;

    if (last == NULL
        || last->has_code != error->has_code
        || last->has_subcode != error->has_subcode
        || last->code != error->code
        || last->subcode != error->subcode)
    {
        ctx->last = error;
        return;
    }

    last->more++;

    *ctx->error_link = NULL;
    ctx->errors = ctx->error_link;
    ctx->pos = (u_char *) error;
}


/* Returns 1 if an item or a contact has a name. */

static ngx_uint_t
ngx_http_graph_policy_payload_named(ngx_str_t *who)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_WHO_NAMES; i++) {

        if (who[i].len != 0) {
            return 1;
        }
    }

    return 0;
}


/* Returns a zeroed record of "size" bytes, NULL if the memory is used up. */

static ngx_inline void *
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
