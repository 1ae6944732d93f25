
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_MERGE_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_MERGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_record.h"


/*
 * Says which of two records of one state stands.  It is a total order of all
 * that hosts agree on, so that they come to the same end in whatever order they
 * hear of it.  The later change stands.  Of the same millisecond an end stands
 * before a state, then more holds, then the older "since", then whatever
 * tells the two apart.
 *
 * Not compared: until (but for a frozen state's) and what is counted.
 *
 * Returns more than 0 if "one" stands, less if "two" does, 0 if they say the
 * same.
 */
ngx_int_t ngx_http_graph_policy_merge_compare(
    ngx_http_graph_policy_record_t *one, ngx_http_graph_policy_record_t *two);

/* Two links of one phone: the one confirmed later stands. */
ngx_int_t ngx_http_graph_policy_merge_compare_links(
    ngx_http_graph_policy_record_t *one, ngx_http_graph_policy_record_t *two);

/*
 * Two records of one conversation.  Their causes are compared as limit.h has
 * it: by the second, as events bear no more; within one, what an event refuses
 * is the oldest, an inbound message counts from when it came, answers and ends
 * from when their message was sent.  After that an end stands before a limit,
 * then whatever tells the two apart.  Not compared: until.
 */
ngx_int_t ngx_http_graph_policy_merge_compare_conversations(
    ngx_http_graph_policy_record_t *one, ngx_http_graph_policy_record_t *two);

/*
 * The end of a hold on this host, from the record of another one.  Where
 * record->until is that of a plain hold it gets a jitter of this host's own,
 * so that one of them probes first; that of an event never ends before the
 * whole hold, nor after the other host's.  Else a probe came back without an
 * outcome, or the state is made due or frozen, and it is taken as it is.  "own"
 * is set where it is a plain hold: record->moved tells, and of hosts of earlier
 * versions, who don't tell that, the time.  "random" is any number.
 */
uint64_t ngx_http_graph_policy_merge_until(
    ngx_http_graph_policy_record_t *record, uint64_t now, uint32_t random,
    ngx_uint_t *own);

/*
 * The part of a digest that one state is.  They are summed up, so that the
 * order of states doesn't matter.  "changed" is in the engine's clock.
 */
uint64_t ngx_http_graph_policy_merge_digest(uint64_t hash, ngx_uint_t reason,
    uint64_t changed);


#endif /* _NGX_HTTP_GRAPH_POLICY_MERGE_H_INCLUDED_ */
