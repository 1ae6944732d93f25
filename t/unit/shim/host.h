
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * A host of a fleet, for unit tests of what hosts tell each other: "record" is
 * what one has told last, and another one hears.
 */


#ifndef _SHIM_HOST_H_INCLUDED_
#define _SHIM_HOST_H_INCLUDED_


#include "zone.h"


#define APPLIED      NGX_HTTP_GRAPH_POLICY_RECEIVED_APPLIED
#define SAME         NGX_HTTP_GRAPH_POLICY_RECEIVED_SAME
#define OLDER        NGX_HTTP_GRAPH_POLICY_RECEIVED_OLDER
#define UNREAD       NGX_HTTP_GRAPH_POLICY_RECEIVED_UNREAD

#define NEVER        NGX_HTTP_GRAPH_POLICY_NEVER
#define AHEAD        NGX_HTTP_GRAPH_POLICY_FLEET_AHEAD
#define LONGEST      (24 * HOUR)      /* a hold */


static uint64_t  told;      /* marks so far */
static record_t  record;


static TAP_UNUSED ngx_int_t
host_next(void)
{
    return ngx_http_graph_policy_fleet_next(zone, &told, &record);
}


/* the last of what there is to tell, in "record" */

static TAP_UNUSED ngx_uint_t
host_tell(void)
{
    record_t    last;
    ngx_uint_t  n;

    n = 0;
    last = record;

    while (host_next() == NGX_OK) {
        last = record;
        n++;
    }

    record = last;

    return n;
}


/* Another host hears "record", which stays as it is. */

static TAP_UNUSED ngx_uint_t
host_hear(void)
{
    record_t  copy;

    copy = record;

    return ngx_http_graph_policy_fleet_apply(zone, &copy, now, &changes, &view);
}


/* A host that has nothing yet, "there". */

static TAP_UNUSED void
host_another(void)
{
    uint64_t  at;

    at = now;
    zone_start_shared(ZONE_SIZE);
    zone_at(at);
    ngx_str_set(&zone_sharing.name, "there");
    told = 0;
}


static TAP_UNUSED void
host_start(void)
{
    zone_start_shared(ZONE_SIZE);
    told = 0;
}


#endif /* _SHIM_HOST_H_INCLUDED_ */
