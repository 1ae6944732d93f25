
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Whether hosts know the same: each tells, signed, a digest of the states that
 * have been in force unchanged since the beginning of a round.  So a host that
 * was told old records anew, by whoever can write to the engine, is found out
 * without its help.
 *
 * All begin to sum up at the same times, by the engine's clock.  Many states
 * take longer than a round has, so each tells how long its own is, and all go
 * by the longest.
 *
 * Digests differ for a while where much changes, and for good where a zone is
 * full; so what follows from a difference is done ever more rarely.
 *
 * Lock rule: none; states are read under the mutex, in the zone.  Memory: of
 * the process's run.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_sync_private.h"


/* milliseconds of a round, and what must be unchanged before its end */
#define NGX_HTTP_GRAPH_POLICY_SYNC_ROUND     5000

/* rounds in a row that differ, and the longest time nothing is done then */
#define NGX_HTTP_GRAPH_POLICY_SYNC_DIFFER    2
#define NGX_HTTP_GRAPH_POLICY_SYNC_MAX_QUIET 3600000


#define NGX_HTTP_GRAPH_POLICY_SYNC_MAX_ROUND 160000

/*
 * Batches of a call, and states a second, of twice as many that this makes: a
 * thousand states take about 0.1 ms.
 */
#define NGX_HTTP_GRAPH_POLICY_SYNC_BATCHES   256
#define NGX_HTTP_GRAPH_POLICY_SYNC_SUMMED    20


static uint64_t ngx_http_graph_policy_sync_cut(
    ngx_http_graph_policy_sync_run_t *run);
static void ngx_http_graph_policy_sync_judge(
    ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_sync_round_t *round);


void
ngx_http_graph_policy_sync_sum(ngx_http_graph_policy_sync_run_t *run)
{
    uint64_t    cut;
    ngx_uint_t  i;

    if (!run->summing) {

        cut = ngx_http_graph_policy_sync_cut(run);

        if (cut == 0 || run->own.cut == cut) {
            return;
        }

        ngx_memzero(&run->sum_cursor, sizeof(ngx_http_graph_policy_cursor_t));

        ngx_memzero(&run->sum, sizeof(ngx_http_graph_policy_heartbeat_t));

        run->sum.cut = cut;
        run->summed = 0;
        run->summing = 1;
    }

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SYNC_BATCHES; i++) {

        run->summed += ngx_http_graph_policy_fleet_digest(run->zone,
                                                          &run->sum_cursor,
                                                          &run->sum);

        if (!run->sum_cursor.done) {
            continue;
        }

        run->round = NGX_HTTP_GRAPH_POLICY_SYNC_ROUND;

        while (run->summed / NGX_HTTP_GRAPH_POLICY_SYNC_SUMMED > run->round
               && run->round < NGX_HTTP_GRAPH_POLICY_SYNC_MAX_ROUND)
        {
            run->round *= 2;
        }

        run->sum.round = run->round;
        run->own = run->sum;
        run->summing = 0;

        for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NODES; i++) {
            ngx_http_graph_policy_sync_judge(run, &run->rounds[i]);
        }

        return;
    }
}


/* the beginning of a round that is over, 0 if none is */

static uint64_t
ngx_http_graph_policy_sync_cut(ngx_http_graph_policy_sync_run_t *run)
{
    uint64_t                             now, length;
    ngx_uint_t                           i;
    ngx_http_graph_policy_sync_round_t  *round;

    now = ngx_http_graph_policy_sync_now(run);
    length = ngx_max(run->round, NGX_HTTP_GRAPH_POLICY_SYNC_ROUND);

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NODES; i++) {
        round = &run->rounds[i];

        /* who is gone keeps nobody waiting; nor does a length that is none */

        if (round->node != 0 && round->told.round > length
            && round->told.round % NGX_HTTP_GRAPH_POLICY_SYNC_ROUND == 0
            && round->told.round <= NGX_HTTP_GRAPH_POLICY_SYNC_MAX_ROUND
            && now - round->told.cut < 4 * round->told.round)
        {
            length = round->told.round;
        }
    }

    now = now / length * length;

    return (now > NGX_HTTP_GRAPH_POLICY_SYNC_ROUND)
           ? now - NGX_HTTP_GRAPH_POLICY_SYNC_ROUND : 0;
}


void
ngx_http_graph_policy_sync_compare(ngx_http_graph_policy_sync_run_t *run,
    uint64_t node, ngx_http_graph_policy_heartbeat_t *told)
{
    ngx_http_graph_policy_sync_round_t  *round, *last, *oldest;

    oldest = run->rounds;
    last = run->rounds + NGX_HTTP_GRAPH_POLICY_NODES;

    for (round = run->rounds; round < last; round++) {

        if (round->node == node) {
            break;
        }

        if (round->told.cut < oldest->told.cut) {
            oldest = round;
        }
    }

    if (round == last) {
        round = oldest;
        round->node = node;
        round->differs = 0;
        round->told.cut = 0;
    }

    /* a beat each second, a digest each round; and old ones may come again */

    if (told->cut <= round->told.cut) {
        return;
    }

    round->told = *told;

    ngx_http_graph_policy_sync_judge(run, round);
}


static void
ngx_http_graph_policy_sync_judge(ngx_http_graph_policy_sync_run_t *run,
    ngx_http_graph_policy_sync_round_t *round)
{
    if (round->node == 0 || round->told.cut != run->own.cut) {
        return;
    }

    /* what a host doesn't share it needn't know */

    if (round->told.digest == run->own.digest
        && (!round->told.shares || !run->own.shares
            || round->told.conversations == run->own.conversations))
    {
        round->differs = 0;
        run->quiet = NGX_HTTP_GRAPH_POLICY_SYNC_QUIET;
        return;
    }

    if (++round->differs < NGX_HTTP_GRAPH_POLICY_SYNC_DIFFER
        || run->scanning || run->walking)
    {
        return;
    }

    if (run->differed != 0 && ngx_current_msec - run->differed < run->quiet) {
        return;
    }

    run->differed = ngx_current_msec | 1;
    run->quiet = ngx_min(2 * run->quiet + 1,
                         NGX_HTTP_GRAPH_POLICY_SYNC_MAX_QUIET);
    round->differs = 0;

    ngx_http_graph_policy_sync_resync(run,
                                      NGX_HTTP_GRAPH_POLICY_RESYNC_DIGEST);
}
