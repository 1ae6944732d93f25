
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Two records of one state meet when a host hears of another's: the later one
 * stands.
 * Comparisons are of exact integers: a tolerance isn't transitive, and hosts
 * would then disagree for good.
 *
 * Pure: no lock, no clock; records are the caller's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_limit.h"
#include "ngx_http_graph_policy_merge.h"
#include "ngx_http_graph_policy_outcome.h"


static ngx_int_t ngx_http_graph_policy_merge_content(
    ngx_http_graph_policy_record_t *one, ngx_http_graph_policy_record_t *two);
static uint64_t ngx_http_graph_policy_merge_moment(
    ngx_http_graph_policy_record_t *record);
static ngx_int_t ngx_http_graph_policy_merge_text(
    ngx_http_graph_policy_record_text_t *one,
    ngx_http_graph_policy_record_text_t *two);


#define ngx_http_graph_policy_merge_is_frozen(record)                         \
    ((record)->until == NGX_HTTP_GRAPH_POLICY_NEVER)


/* more, or less, of a number decides */

#define ngx_http_graph_policy_merge_by(a, b)                                  \
    if ((a) != (b)) {                                                         \
        return ((a) > (b)) ? 1 : -1;                                          \
    }


ngx_int_t
ngx_http_graph_policy_merge_compare(ngx_http_graph_policy_record_t *one,
    ngx_http_graph_policy_record_t *two)
{
    ngx_http_graph_policy_merge_by(one->changed, two->changed);
    ngx_http_graph_policy_merge_by(two->armed, one->armed);
    ngx_http_graph_policy_merge_by(one->holds, two->holds);
    ngx_http_graph_policy_merge_by(two->since, one->since);

    if (one->armed) {
        ngx_http_graph_policy_merge_by(
                                   ngx_http_graph_policy_merge_is_frozen(one),
                                   ngx_http_graph_policy_merge_is_frozen(two));
    }

    return ngx_http_graph_policy_merge_content(one, two);
}


static ngx_int_t
ngx_http_graph_policy_merge_content(ngx_http_graph_policy_record_t *one,
    ngx_http_graph_policy_record_t *two)
{
    ngx_int_t  rc;

    ngx_http_graph_policy_merge_by(one->hold, two->hold);
    ngx_http_graph_policy_merge_by(one->max, two->max);
    ngx_http_graph_policy_merge_by(one->category, two->category);
    ngx_http_graph_policy_merge_by(one->source, two->source);
    ngx_http_graph_policy_merge_by(one->code, two->code);
    ngx_http_graph_policy_merge_by(one->subcode, two->subcode);
    ngx_http_graph_policy_merge_by(one->status, two->status);
    ngx_http_graph_policy_merge_by(one->dry_run, two->dry_run);
    ngx_http_graph_policy_merge_by(one->group, two->group);
    ngx_http_graph_policy_merge_by(one->setter, two->setter);
    ngx_http_graph_policy_merge_by(one->confirm, two->confirm);

    rc = ngx_http_graph_policy_merge_text(&one->trace, &two->trace);

    return (rc != 0) ? rc : ngx_http_graph_policy_merge_text(&one->node,
                                                             &two->node);
}


ngx_int_t
ngx_http_graph_policy_merge_compare_links(ngx_http_graph_policy_record_t *one,
    ngx_http_graph_policy_record_t *two)
{
    ngx_http_graph_policy_merge_by(one->confirmed, two->confirmed);
    ngx_http_graph_policy_merge_by(one->number, two->number);

    return ngx_http_graph_policy_merge_text(&one->account, &two->account);
}


ngx_int_t
ngx_http_graph_policy_merge_compare_conversations(
    ngx_http_graph_policy_record_t *one, ngx_http_graph_policy_record_t *two)
{
    ngx_http_graph_policy_merge_by(one->changed / 1000, two->changed / 1000);
    ngx_http_graph_policy_merge_by(ngx_http_graph_policy_merge_moment(one),
                                   ngx_http_graph_policy_merge_moment(two));
    ngx_http_graph_policy_merge_by(two->inbound, one->inbound);
    ngx_http_graph_policy_merge_by(two->armed, one->armed);
    ngx_http_graph_policy_merge_by(one->changed, two->changed);
    ngx_http_graph_policy_merge_by(one->hold, two->hold);
    ngx_http_graph_policy_merge_by(one->fixed, two->fixed);
    ngx_http_graph_policy_merge_by(two->since, one->since);
    ngx_http_graph_policy_merge_by(one->reason, two->reason);
    ngx_http_graph_policy_merge_by(one->source, two->source);
    ngx_http_graph_policy_merge_by(one->code, two->code);
    ngx_http_graph_policy_merge_by(one->subcode, two->subcode);
    ngx_http_graph_policy_merge_by(one->status, two->status);
    ngx_http_graph_policy_merge_by(one->dry_run, two->dry_run);

    return ngx_http_graph_policy_merge_text(&one->node, &two->node);
}


/* when, within its second, a cause counts */

static uint64_t
ngx_http_graph_policy_merge_moment(ngx_http_graph_policy_record_t *record)
{
    if (record->inbound) {
        return record->since;
    }

    return (record->armed
            && record->source != NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER)
           ? 0 : record->changed;
}


static ngx_int_t
ngx_http_graph_policy_merge_text(ngx_http_graph_policy_record_text_t *one,
    ngx_http_graph_policy_record_text_t *two)
{
    ngx_http_graph_policy_merge_by(one->len, two->len);

    return ngx_memcmp(one->data, two->data, one->len);
}


uint64_t
ngx_http_graph_policy_merge_until(ngx_http_graph_policy_record_t *record,
    uint64_t now, uint32_t random, ngx_uint_t *own)
{
    uint64_t    plain, late;
    ngx_uint_t  event;

    /* the hold of an event begins when it comes, a while after its cause */

    event = (record->source == NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK);
    late = event ? NGX_HTTP_GRAPH_POLICY_FRESH : 0;
    plain = record->changed + record->hold;

    *own = (record->armed
            && !record->moved
            && record->until >= plain
            && record->until <= plain + record->hold / 10 + late);

    if (!*own) {
        return record->until;
    }

    if (!event) {
        return plain + random % (record->hold / 10 + 1);
    }

    /* not before the whole hold, and not after the host that began it */

    plain = now + record->hold;

    return (record->until > plain)
           ? plain + random % (record->until - plain + 1) : record->until;
}


/* the finalizer of SplitMix64, so that few bits of a change change many */

uint64_t
ngx_http_graph_policy_merge_digest(uint64_t hash, ngx_uint_t reason,
    uint64_t changed)
{
    uint64_t  z;

    z = hash + changed * 0x9e3779b97f4a7c15ULL + (reason + 1);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}
