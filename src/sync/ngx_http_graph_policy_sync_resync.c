
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The time by which all hosts go, and the order that all is read, or told, once
 * more.
 *
 * Lock rule: none.  Memory: of the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


uint64_t
ngx_http_graph_policy_sync_own_now(void)
{
    struct timeval  tv;

    /* nginx's own clock may be an event old */

    ngx_gettimeofday(&tv);

    return (uint64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}


uint64_t
ngx_http_graph_policy_sync_now(ngx_http_graph_policy_sync_run_t *run)
{
    return ngx_http_graph_policy_engine_clock_to(
                        &ngx_http_graph_policy_zone_fleet(run->zone)->clock,
                                       ngx_http_graph_policy_sync_own_now());
}


void
ngx_http_graph_policy_sync_resync(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_resync_e why)
{
    ngx_http_graph_policy_fleet_t  *fleet;

    /* a cause that comes again and again must not take all the time */

    if (run->resynced[why] != 0
        && ngx_current_msec - run->resynced[why]
           < NGX_HTTP_GRAPH_POLICY_SYNC_BEAT)
    {
        return;
    }

    run->resynced[why] = ngx_current_msec | 1;

    fleet = ngx_http_graph_policy_zone_fleet(run->zone);
    (void) ngx_atomic_fetch_add(&fleet->resyncs[why], 1);

    run->scanning = 1;
    run->scan_failed = 0;
    run->scan.data = run->scan_text;
    run->scan.len = 1;
    run->scan_text[0] = '0';

    if (why == NGX_HTTP_GRAPH_POLICY_RESYNC_LOST
        || why == NGX_HTTP_GRAPH_POLICY_RESYNC_DIGEST)
    {
        run->walking = 1;
        ngx_memzero(&run->walk, sizeof(ngx_http_graph_policy_cursor_t));
    }

    if (!run->step.timer_set) {
        ngx_add_timer(&run->step, NGX_HTTP_GRAPH_POLICY_SYNC_PAUSE);
    }
}
