
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A payload is kept back if all of it is for phones for which receiving is
 * paused.
 *
 * Lock rule: none of its own; each change is one call of the zone.  Memory: the
 * view belongs to the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_webhook_learning.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"


/* changes that a slice checks, a few milliseconds' work */
#define NGX_HTTP_GRAPH_POLICY_ASKED  2000


static ngx_uint_t ngx_http_graph_policy_change_is_paused(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_view_t *view);


ngx_int_t
ngx_http_graph_policy_webhook_paused(
    ngx_http_graph_policy_learning_t *learning)
{
    ngx_http_graph_policy_ctx_t   *ctx;
    ngx_http_graph_policy_view_t   view;

    ctx = learning->ctx;

    if (learning->payload.nchanges == 0
        || learning->result.nset > NGX_HTTP_GRAPH_POLICY_NSET)
    {
        return NGX_OK;
    }

    learning->now = ngx_http_graph_policy_now();
    learning->room = NGX_HTTP_GRAPH_POLICY_ASKED;

    while (learning->change != NULL) {

        if (learning->room == 0) {
            return NGX_AGAIN;
        }

        learning->room--;

        if (!ngx_http_graph_policy_change_is_paused(learning, &view)) {
            return NGX_OK;
        }

        if (ctx->view == NULL) {
            ctx->view = ngx_palloc(ctx->request->pool,
                                   sizeof(ngx_http_graph_policy_view_t));
            if (ctx->view == NULL) {
                return NGX_ERROR;
            }

            *ctx->view = view;

        } else if (view.until > ctx->view->until) {
            *ctx->view = view;
        }

        ngx_http_graph_policy_learning_next(learning);
    }

    return NGX_BUSY;
}


static ngx_uint_t
ngx_http_graph_policy_change_is_paused(
    ngx_http_graph_policy_learning_t *learning,
    ngx_http_graph_policy_view_t *view)
{
    ngx_str_t                         *account;
    ngx_http_graph_policy_zone_t      *zone;
    ngx_http_graph_policy_change_t    *change;
    ngx_http_graph_policy_identity_t   id;

    zone = learning->ctx->zone;
    change = learning->change;
    account = &learning->entry->account;

    if (change->field != NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES
        || change->phone.len == 0
        || !ngx_http_graph_policy_is_trusted(&learning->trust, account))
    {
        return 0;
    }

    ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));
    id.phone = change->phone;

    /* A signer must not learn that a phone of another account is paused. */

    ngx_http_graph_policy_zone_account(zone, &id);

    if (!ngx_http_graph_policy_is_trusted(&learning->trust, &id.account)) {
        return 0;
    }

    if (id.account.len == 0) {
        id.account = *account;
    }

    return ngx_http_graph_policy_zone_is_paused(zone, &id,
                                                learning->result.set,
                                                learning->result.nset,
                                                learning->now, view);
}
