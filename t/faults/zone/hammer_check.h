
#ifndef _HAMMER_CHECK_H_INCLUDED_
#define _HAMMER_CHECK_H_INCLUDED_


#include "ngx_http_graph_policy_state.h"


/*
 * Compares all that a zone has of its nodes, under its mutex: index, orders,
 * rings, counts.  Returns NULL, or what is wrong.
 */
const char *hammer_check(ngx_http_graph_policy_zone_t *zone);


#endif /* _HAMMER_CHECK_H_INCLUDED_ */
