
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Clears states by hand, one or all.
 *
 * No lock is taken here.  Memory comes from the request's pool.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_change.h"
#include "ngx_http_graph_policy_tell.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"
#include "ngx_http_graph_policy_zone_list.h"
#include "ngx_http_graph_policy_zone_override.h"


/* Nodes that a step looks at: few, as each cleared one may be logged. */
#define NGX_HTTP_GRAPH_POLICY_LOOKS  32


static ngx_int_t ngx_http_graph_policy_api_clear_some(
    ngx_http_graph_policy_walk_t *walk);


ngx_int_t
ngx_http_graph_policy_api_clear(ngx_http_graph_policy_call_t *call)
{
    uint64_t                         hash;
    ngx_uint_t                       reason;
    ngx_http_graph_policy_changes_t  changes;

    ngx_http_graph_policy_changes_of(&changes, call->request,
                                     call->conf->log_level);

    if (ngx_http_graph_policy_api_id(&call->id, &hash, &reason) != NGX_OK
        || ngx_http_graph_policy_zone_end(call->zone, hash, reason,
                                          ngx_http_graph_policy_now(), &changes)
           != NGX_OK)
    {
        return ngx_http_graph_policy_api_error(call->request,
                                               NGX_HTTP_NOT_FOUND,
                                               "there is no such state");
    }

    return ngx_http_graph_policy_api_send(call->request, NGX_HTTP_NO_CONTENT,
                                          NULL, NULL);
}


ngx_int_t
ngx_http_graph_policy_api_clear_all(ngx_http_graph_policy_call_t *call)
{
    const char                    *wrong;
    ngx_http_graph_policy_walk_t  *walk;

    walk = ngx_http_graph_policy_api_new_walk(call);
    if (walk == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /*
     * An operator who clears all states waits for the answer, so the pause
     * between two steps is as short as a timer can be.
     */

    walk->pace = 1;

    wrong = ngx_http_graph_policy_api_filter(call, 0, &walk->filter);

    if (wrong != NULL) {
        return ngx_http_graph_policy_api_error(call->request,
                                               NGX_HTTP_BAD_REQUEST, "%s",
                                               wrong);
    }

    return ngx_http_graph_policy_api_walk(walk,
                                        ngx_http_graph_policy_api_clear_some);
}


static ngx_int_t
ngx_http_graph_policy_api_clear_some(ngx_http_graph_policy_walk_t *walk)
{
    uint64_t                         now;
    ngx_uint_t                       i, n, looked;
    ngx_http_graph_policy_view_t     views[NGX_HTTP_GRAPH_POLICY_BATCH];
    ngx_http_graph_policy_changes_t  changes;

    now = ngx_http_graph_policy_now();

    ngx_http_graph_policy_changes_of(&changes, walk->request,
                                     walk->conf->log_level);

    for (looked = 0; !walk->filter.cursor.done;
         looked += NGX_HTTP_GRAPH_POLICY_BATCH)
    {
        if (looked >= NGX_HTTP_GRAPH_POLICY_LOOKS) {
            return NGX_DECLINED;
        }

        n = ngx_http_graph_policy_api_batch(walk->zone, &walk->filter, now,
                                            views);

        for (i = 0; i < n; i++) {

            /*
             * The state may have ended meanwhile, so the return value doesn't
             * matter.
             */

            (void) ngx_http_graph_policy_zone_end(walk->zone, views[i].hash,
                                                  views[i].stored_reason, now,
                                                  &changes);
        }
    }

    return ngx_http_graph_policy_api_send(walk->request, NGX_HTTP_NO_CONTENT,
                                          NULL, NULL);
}
