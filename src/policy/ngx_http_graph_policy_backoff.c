
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Decides whether a request that got a temporary error is sent again, and
 * when.
 *
 * The file is pure: the time and the random number come from the caller, who
 * also asks the retry budget.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_backoff.h"


static ngx_msec_t ngx_http_graph_policy_backoff_grow(ngx_msec_t wait,
    ngx_uint_t factor, ngx_uint_t times, ngx_msec_t max);


ngx_http_graph_policy_backoff_e
ngx_http_graph_policy_backoff_next(ngx_http_graph_policy_backoff_t *conf,
    ngx_http_graph_policy_verdict_t *verdict,
    ngx_http_graph_policy_tries_t *tries, uint32_t random, ngx_msec_t *delay)
{
    ngx_uint_t  n;
    ngx_msec_t  wait, hint;

    if (verdict->category != NGX_HTTP_GRAPH_POLICY_TEMPORARY
        || !verdict->retry)
    {
        return NGX_HTTP_GRAPH_POLICY_NO_RETRY;
    }

    if (tries->attempts >= conf->attempts) {
        return NGX_HTTP_GRAPH_POLICY_NO_ATTEMPTS;
    }

    if (!verdict->refused && !tries->idempotent
        && tries->unknown >= conf->unknown)
    {
        return NGX_HTTP_GRAPH_POLICY_NO_UNKNOWN;
    }

    n = tries->attempts + 1;

    wait = ngx_http_graph_policy_backoff_grow(conf->base, conf->factor, n - 2,
                                              conf->max);

    wait = wait - wait / 2 + random % (wait / 2 + 1);

    /*
     * Jitter applies only to the configured backoff: a wait that Graph or the
     * table asks for is a minimum and never shortened.
     */

    wait = ngx_max(wait, ngx_http_graph_policy_backoff_row_wait(verdict, n));

    hint = ngx_min(tries->hint, NGX_HTTP_GRAPH_POLICY_MAX_HINT);
    wait = ngx_max(wait, hint);

    wait = ngx_max(wait, 1);

    if (tries->elapsed > conf->deadline
        || wait > conf->deadline - tries->elapsed)
    {
        return NGX_HTTP_GRAPH_POLICY_NO_TIME;
    }

    *delay = wait;

    return NGX_HTTP_GRAPH_POLICY_AGAIN;
}


ngx_msec_t
ngx_http_graph_policy_backoff_row_wait(
    ngx_http_graph_policy_verdict_t *verdict, ngx_uint_t n)
{
    if (!verdict->grows || n <= 2) {
        return verdict->wait;
    }

    return ngx_http_graph_policy_backoff_grow(verdict->wait, 4, n - 2,
                                              NGX_HTTP_GRAPH_POLICY_MAX_HINT);
}


/* Returns min(max, wait * factor^times). */

static ngx_msec_t
ngx_http_graph_policy_backoff_grow(ngx_msec_t wait, ngx_uint_t factor,
    ngx_uint_t times, ngx_msec_t max)
{
    /*
     * Without this the loop would run "times" times, as the wait never grows.
     */

    if (factor <= 1 || wait == 0) {
        return ngx_min(wait, max);
    }

    for ( /* void */ ; times > 0 && wait < max; times--) {

        if (wait > max / factor) {
            return max;
        }

        wait *= factor;
    }

    return ngx_min(wait, max);
}
