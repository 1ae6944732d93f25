
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The counters that all workers share; their number is fixed.
 *
 * No lock is taken: each counter is one atomic word.  They lie in the zone's
 * header.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_counters.h"


#if (NGX_PTR_SIZE != 8)
#error "the graph_policy module requires a 64-bit platform"
#endif


static ngx_uint_t ngx_http_graph_policy_bucket_add(ngx_atomic_t *buckets,
    time_t now);
static void ngx_http_graph_policy_bucket_undo(ngx_atomic_t *buckets,
    time_t now);
static uint64_t ngx_http_graph_policy_bucket_sum(ngx_atomic_t *buckets,
    time_t now);


#define ngx_http_graph_policy_bucket(buckets, now)                            \
    &(buckets)[(now) & (NGX_HTTP_GRAPH_POLICY_BUCKETS - 1)]

#define ngx_http_graph_policy_bucket_is(word, now)                            \
    (((word) >> 32) == ((uint64_t) (now) & 0xffffffff))


void
ngx_http_graph_policy_counters_try(ngx_http_graph_policy_counters_t *counters,
    time_t now)
{
    (void) ngx_http_graph_policy_bucket_add(counters->tries, now);
}


ngx_int_t
ngx_http_graph_policy_counters_retry(
    ngx_http_graph_policy_counters_t *counters, ngx_uint_t percent,
    ngx_uint_t floor, time_t now)
{
    uint64_t    tries, retries;
    ngx_uint_t  second;

    /*
     * The retry is counted before the check, so that several workers can't all
     * take the last one that is left.
     */

    second = ngx_http_graph_policy_bucket_add(counters->retries, now);

    if (second <= floor) {
        return NGX_OK;
    }

    retries = ngx_http_graph_policy_bucket_sum(counters->retries, now);
    tries = ngx_http_graph_policy_bucket_sum(counters->tries, now);

    if (retries * 100 <= tries * percent) {
        return NGX_OK;
    }

    ngx_http_graph_policy_bucket_undo(counters->retries, now);

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_graph_policy_bucket_add(ngx_atomic_t *buckets, time_t now)
{
    ngx_atomic_t        *bucket;
    ngx_atomic_uint_t    old, count;

    bucket = ngx_http_graph_policy_bucket(buckets, now);

    do {
        old = *bucket;

        count = ngx_http_graph_policy_bucket_is(old, now)
                ? old + 1 : ((ngx_atomic_uint_t) now << 32) + 1;

    } while (!ngx_atomic_cmp_set(bucket, old, count));

    return count & 0xffffffff;
}


static void
ngx_http_graph_policy_bucket_undo(ngx_atomic_t *buckets, time_t now)
{
    ngx_atomic_t       *bucket;
    ngx_atomic_uint_t   old;

    bucket = ngx_http_graph_policy_bucket(buckets, now);

    do {
        old = *bucket;

        if (!ngx_http_graph_policy_bucket_is(old, now)) {
            return;
        }

    } while (!ngx_atomic_cmp_set(bucket, old, old - 1));
}


static uint64_t
ngx_http_graph_policy_bucket_sum(ngx_atomic_t *buckets, time_t now)
{
    time_t             second;
    uint64_t           sum;
    ngx_atomic_uint_t  word;

    sum = 0;

    for (second = now - NGX_HTTP_GRAPH_POLICY_WINDOW + 1; second <= now;
         second++)
    {
        word = *ngx_http_graph_policy_bucket(buckets, second);

        if (ngx_http_graph_policy_bucket_is(word, second)) {
            sum += word & 0xffffffff;
        }
    }

    return sum;
}


/* The buckets of minutes work as those of seconds do, in a longer ring. */

void
ngx_http_graph_policy_counters_minute(ngx_atomic_t *minutes, time_t minute)
{
    ngx_atomic_t        *bucket;
    ngx_atomic_uint_t    old, count;

    bucket = &minutes[minute & (NGX_HTTP_GRAPH_POLICY_MINUTES - 1)];

    do {
        old = *bucket;

        count = ngx_http_graph_policy_bucket_is(old, minute)
                ? old + 1 : ((ngx_atomic_uint_t) minute << 32) + 1;

    } while (!ngx_atomic_cmp_set(bucket, old, count));
}


ngx_uint_t
ngx_http_graph_policy_counters_of_minute(ngx_atomic_t *minutes, time_t minute)
{
    ngx_atomic_uint_t  word;

    word = minutes[minute & (NGX_HTTP_GRAPH_POLICY_MINUTES - 1)];

    return ngx_http_graph_policy_bucket_is(word, minute)
           ? (ngx_uint_t) (word & 0xffffffff) : 0;
}


void
ngx_http_graph_policy_counters_park(
    ngx_http_graph_policy_counters_t *counters, ngx_pid_t pid,
    ngx_uint_t count)
{
    ngx_uint_t                     i, pass;
    ngx_atomic_uint_t              owner;
    ngx_http_graph_policy_slot_t  *slot;

    /*
     * The first pass looks for the worker's own slot, the second one takes a
     * free slot or that of a worker that is gone.
     */

    for (pass = 0; pass < 2; pass++) {

        for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SLOTS; i++) {
            slot = &counters->parked[i];
            owner = slot->pid;

            if (owner == (ngx_atomic_uint_t) pid) {
                slot->count = count;
                return;
            }

            if (pass == 0
                || (owner != 0
                    && (kill((ngx_pid_t) owner, 0) == 0
                        || ngx_errno == NGX_EPERM)))
            {
                continue;
            }

            if (ngx_atomic_cmp_set(&slot->pid, owner, pid)) {
                slot->count = count;
                return;
            }
        }
    }
}


ngx_uint_t
ngx_http_graph_policy_counters_parked(
    ngx_http_graph_policy_counters_t *counters)
{
    ngx_uint_t                     i, sum;
    ngx_http_graph_policy_slot_t  *slot;

    sum = 0;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SLOTS; i++) {
        slot = &counters->parked[i];

        if (slot->pid != 0 && slot->count != 0
            && (kill((ngx_pid_t) slot->pid, 0) == 0
                || ngx_errno == NGX_EPERM))
        {
            sum += slot->count;
        }
    }

    return sum;
}
