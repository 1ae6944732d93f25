
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Whether a payload is to be kept back, as all of it is for phones for which
 * receiving is paused.
 *
 * Lock rule: none of its own, the zone is asked for each change.  Memory: the
 * view belongs to the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_ctx.h"
#include "ngx_http_graph_policy_payload.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_webhook.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_admit.h"
#include "ngx_http_graph_policy_zone_learn.h"


ngx_int_t
ngx_http_graph_policy_webhook_paused(ngx_http_graph_policy_ctx_t *ctx,
    ngx_http_graph_policy_trust_t *trust,
    ngx_http_graph_policy_payload_t *payload,
    ngx_http_graph_policy_webhook_result_t *result)
{
    uint64_t                           now;
    ngx_http_graph_policy_view_t       view;
    ngx_http_graph_policy_entry_t     *entry;
    ngx_http_graph_policy_change_t    *change;
    ngx_http_graph_policy_identity_t   id;

    if (payload->nchanges == 0 || result->nset > NGX_HTTP_GRAPH_POLICY_NSET) {
        return NGX_OK;
    }

    now = ngx_http_graph_policy_now();

    for (entry = payload->entries; entry != NULL; entry = entry->next) {

        for (change = entry->changes; change != NULL; change = change->next) {

            if (change->field != NGX_HTTP_GRAPH_POLICY_FIELD_MESSAGES
                || change->phone.len == 0
                || !ngx_http_graph_policy_is_trusted(trust, &entry->account))
            {
                return NGX_OK;
            }

            ngx_memzero(&id, sizeof(ngx_http_graph_policy_identity_t));
            id.phone = change->phone;

            /* nobody is told of a phone that is another customer's */

            ngx_http_graph_policy_zone_account(ctx->zone, &id);

            if (id.account.len == 0) {
                id.account = entry->account;

            } else if (!ngx_http_graph_policy_is_trusted(trust, &id.account)) {
                return NGX_OK;
            }

            if (!ngx_http_graph_policy_zone_is_paused(ctx->zone, &id,
                                                      result->set,
                                                      result->nset, now,
                                                      &view))
            {
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
        }
    }

    return NGX_BUSY;
}
