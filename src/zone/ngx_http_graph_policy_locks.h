
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_LOCKS_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_LOCKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A build that finds faults (NGX_HTTP_GRAPH_POLICY_CHECK_LOCKS, which config
 * defines where GRAPH_POLICY_CHECK_LOCKS=yes is in its environment) ends the
 * process that looks into a zone without holding its mutex, or that logs,
 * allocates or parses while it holds one; see t/tools/locks.c.  In any other
 * build all of this is nothing.
 */

#if (NGX_HTTP_GRAPH_POLICY_CHECK_LOCKS)

/* the mutexes of zones that this process holds */
extern ngx_uint_t  ngx_http_graph_policy_locks;

/* "pool" is the zone's; the word of its mutex is the process that has it */
#define ngx_http_graph_policy_must_hold(pool)                                 \
    if (*((ngx_slab_pool_t *) (pool))->mutex.lock                             \
        != (ngx_atomic_uint_t) ngx_pid)                                       \
    {                                                                         \
        ngx_abort();                                                          \
    }

#define ngx_http_graph_policy_locks_add(n)                                    \
    ngx_http_graph_policy_locks += (n)

#else

#define ngx_http_graph_policy_must_hold(pool)
#define ngx_http_graph_policy_locks_add(n)

#endif


#endif /* _NGX_HTTP_GRAPH_POLICY_LOCKS_H_INCLUDED_ */
