
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The latest steps of all states, in the order in which they happened, so that
 * whoever opens a state sees what became of it since it began.
 *
 * Lock rule: none; the caller holds whatever guards the ring.  Memory: the
 * caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_trail.h"


void
ngx_http_graph_policy_trail_add(ngx_http_graph_policy_trail_t *trail,
    ngx_http_graph_policy_step_t *step)
{
    if (trail->steps == NULL) {
        return;
    }

    trail->steps[trail->n++ % trail->size] = *step;
}


ngx_uint_t
ngx_http_graph_policy_trail_of(ngx_http_graph_policy_trail_t *trail,
    uint64_t hash, ngx_uint_t reason, uint64_t since,
    ngx_http_graph_policy_step_t *steps)
{
    uint64_t                       i, first;
    ngx_uint_t                     n;
    ngx_http_graph_policy_step_t  *step;

    if (trail->steps == NULL) {
        return 0;
    }

    n = 0;
    first = (trail->n > trail->size) ? trail->n - trail->size : 0;

    /* The newest ones are wanted, so they are put in from the end. */

    for (i = trail->n; i > first; i--) {
        step = &trail->steps[(i - 1) % trail->size];

        if (step->hash != hash || step->reason != reason
            || step->time < since)
        {
            continue;
        }

        n++;
        steps[NGX_HTTP_GRAPH_POLICY_STEPS - n] = *step;

        if (n == NGX_HTTP_GRAPH_POLICY_STEPS) {
            break;
        }
    }

    ngx_memmove(steps, steps + NGX_HTTP_GRAPH_POLICY_STEPS - n,
                n * sizeof(ngx_http_graph_policy_step_t));

    return n;
}
