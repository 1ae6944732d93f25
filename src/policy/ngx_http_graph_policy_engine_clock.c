
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * How far the engine's clock is from this host's.  All hosts tell times in
 * the engine's, so that those of hosts with wrong clocks compare.
 *
 * Pure: no lock, no clock; the structure is the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_engine_clock.h"


static uint64_t ngx_http_graph_policy_engine_clock_add(uint64_t time,
    int64_t offset);


void
ngx_http_graph_policy_engine_clock_measure(
    ngx_http_graph_policy_engine_clock_t *best, uint64_t asked,
    uint64_t heard, uint64_t told)
{
    uint64_t  error;

    /* a clock that was set back meanwhile measures nothing */

    if (heard < asked) {
        return;
    }

    /* the clocks' own milliseconds are an error, too */

    error = (heard - asked + 1) / 2 + 1;

    if (best->known && best->error <= error) {
        return;
    }

    best->offset = (int64_t) (told - (asked + (heard - asked) / 2));
    best->error = error;
    best->known = 1;
}


void
ngx_http_graph_policy_engine_clock_set(
    ngx_http_graph_policy_engine_clock_t *clock,
    ngx_http_graph_policy_engine_clock_t *best)
{
    uint64_t  moved;

    if (!best->known) {
        return;
    }

    moved = (clock->offset > best->offset)
            ? (uint64_t) (clock->offset - best->offset)
            : (uint64_t) (best->offset - clock->offset);

    /* that may be the measurement's own error, also of a clock that is right */

    if (moved <= best->error + clock->error) {
        clock->known = 1;
        return;
    }

    *clock = *best;
}


uint64_t
ngx_http_graph_policy_engine_clock_to(
    ngx_http_graph_policy_engine_clock_t *clock, uint64_t time)
{
    return ngx_http_graph_policy_engine_clock_add(time, clock->offset);
}


uint64_t
ngx_http_graph_policy_engine_clock_from(
    ngx_http_graph_policy_engine_clock_t *clock, uint64_t time)
{
    return ngx_http_graph_policy_engine_clock_add(time, -clock->offset);
}


void
ngx_http_graph_policy_engine_clock_record(
    ngx_http_graph_policy_engine_clock_t *clock,
    ngx_http_graph_policy_record_t *record, ngx_uint_t to)
{
    int64_t  offset;

    offset = to ? clock->offset : -clock->offset;

    /*
     * The causes of conversations are compared with events, which bear Meta's
     * time, so they are told as they are.
     */

    if (record->type == NGX_HTTP_GRAPH_POLICY_RECORD_CONVERSATION) {
        record->until = ngx_http_graph_policy_engine_clock_add(record->until,
                                                               offset);
        return;
    }

    record->since = ngx_http_graph_policy_engine_clock_add(record->since,
                                                           offset);
    record->changed = ngx_http_graph_policy_engine_clock_add(record->changed,
                                                             offset);
    record->confirmed = ngx_http_graph_policy_engine_clock_add(
                                                  record->confirmed, offset);

    /* a state that is frozen has no end on any clock */

    if (record->until != NGX_HTTP_GRAPH_POLICY_NEVER) {
        record->until = ngx_http_graph_policy_engine_clock_add(record->until,
                                                               offset);
    }
}


static uint64_t
ngx_http_graph_policy_engine_clock_add(uint64_t time, int64_t offset)
{
    if (offset < 0 && time < (uint64_t) -offset) {
        return 0;
    }

    return time + (uint64_t) offset;
}
