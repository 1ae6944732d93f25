
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_ENGINE_CLOCK_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_ENGINE_CLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"


/*
 * The engine's clock as this host knows it: what to add to its own, in
 * milliseconds.  A measurement is half a round trip wrong at most; of several
 * the one with the shortest round trip is kept.
 */

typedef struct {
    int64_t       offset;
    uint64_t      error;            /* at most */
    ngx_uint_t    known;
} ngx_http_graph_policy_engine_clock_t;


/*
 * Asked at "asked", heard at "heard" by the own clock, the engine said "told".
 * Into "best", which is zeroed before the first one.
 */
void ngx_http_graph_policy_engine_clock_measure(
    ngx_http_graph_policy_engine_clock_t *best, uint64_t asked,
    uint64_t heard, uint64_t told);

/*
 * Takes over what was measured, into "clock", which is zeroed before the first
 * time.  It isn't moved within the error of the measurement, as each move
 * makes other versions of all states.
 */
void ngx_http_graph_policy_engine_clock_set(
    ngx_http_graph_policy_engine_clock_t *clock,
    ngx_http_graph_policy_engine_clock_t *best);

/* a time of the own clock, in the engine's, and back; never below 0 */
uint64_t ngx_http_graph_policy_engine_clock_to(
    ngx_http_graph_policy_engine_clock_t *clock, uint64_t time);
uint64_t ngx_http_graph_policy_engine_clock_from(
    ngx_http_graph_policy_engine_clock_t *clock, uint64_t time);

/*
 * The times of a record, into the engine's clock if "to", else from it; of a
 * conversation just its end.
 */
void ngx_http_graph_policy_engine_clock_record(
    ngx_http_graph_policy_engine_clock_t *clock,
    ngx_http_graph_policy_record_t *record, ngx_uint_t to);


#endif /* _NGX_HTTP_GRAPH_POLICY_ENGINE_CLOCK_H_INCLUDED_ */
