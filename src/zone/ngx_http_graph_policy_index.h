
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_INDEX_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_INDEX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_zone_list.h"


/*
 * The index of a zone: one hash table of all states, conversations, links and
 * groups of states, by the upper half of their hashes.  It takes 1/31 of the
 * zone.
 *
 * Buckets are in the order of the hashes and so are the nodes of a bucket, so
 * that a walk goes by hash, and the place of a walk is just a hash.
 */


typedef enum {
    NGX_HTTP_GRAPH_POLICY_INDEXED_STATE = 0,
    NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_INDEXED_LINK,
    NGX_HTTP_GRAPH_POLICY_NWALKED,

    /* there are no walks over those */
    NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP = NGX_HTTP_GRAPH_POLICY_NWALKED
} ngx_http_graph_policy_indexed_e;


/*
 * Nodes are found at multiples of so many bytes, which is the smallest slab
 * class that they have.
 */
#define NGX_HTTP_GRAPH_POLICY_INDEX_UNIT  128


/* A member of what it stands for, at a multiple of the unit. */

typedef struct {
    uint64_t                         key;       /* a keyed hash */
    uint32_t                         next;      /* in units, 0: the last */
    uint8_t                          rank;      /* among those of one key */
    uint8_t                          kind;      /* indexed_e */
} ngx_http_graph_policy_indexed_t;


/*
 * A bucket is a word: below "mask" the unit of its first node, 0 if it is
 * empty, above it a filter, whose bits say which nodes can't be in the bucket.
 * A map has a bit for each line of buckets that may have nodes of its kind.
 */

typedef struct {
    u_char                          *base;      /* units are from here on */
    uint32_t                        *buckets;
    uint64_t                        *maps[NGX_HTTP_GRAPH_POLICY_NWALKED];
    uint32_t                         n;         /* buckets */
    uint32_t                         mask;
    uint32_t                         bits;      /* of the filter, may be 0 */
} ngx_http_graph_policy_index_t;


/* A node as a number of units, and back; a ref of 0 is NULL. */

#define ngx_http_graph_policy_index_ref(index, node)                          \
    ((uint32_t) ((size_t) ((u_char *) (node) - (index)->base)                 \
                 / NGX_HTTP_GRAPH_POLICY_INDEX_UNIT))

#define ngx_http_graph_policy_index_at(index, ref)                            \
    ((ref) != 0                                                               \
     ? (ngx_http_graph_policy_indexed_t *)                                    \
           ((index)->base + (size_t) (ref) * NGX_HTTP_GRAPH_POLICY_INDEX_UNIT)\
     : NULL)

/*
 * The bytes that the table takes in a zone of "size" bytes; 0 if the zone is
 * too large for it.
 */
size_t ngx_http_graph_policy_index_size(size_t size);
/* Makes an empty table in zeroed memory for a zone that begins at "base". */
void ngx_http_graph_policy_index_init(ngx_http_graph_policy_index_t *index,
    u_char *base, size_t size, u_char *table);

/* Puts the node in; its key and its rank are set. */
void ngx_http_graph_policy_index_insert(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind,
    ngx_http_graph_policy_indexed_t *node);
void ngx_http_graph_policy_index_remove(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_t *node);

/* Return the node of a key with the lowest rank, and the one behind a node. */
ngx_http_graph_policy_indexed_t *ngx_http_graph_policy_index_find(
    ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, uint64_t key);
ngx_http_graph_policy_indexed_t *ngx_http_graph_policy_index_same(
    ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_t *node);

/* Returns 1 if there is a node of that kind at "p", which may be garbage. */
ngx_uint_t ngx_http_graph_policy_index_has(
    ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, void *p);

/*
 * Finds the first node of a kind behind the cursor, and moves the cursor to
 * it.  Returns NGX_OK, NGX_DONE at the end, or NGX_AGAIN with a cursor that
 * has moved as well: one call under the mutex has passed over enough, which
 * "looked" counts and is 0 at first.
 */
ngx_int_t ngx_http_graph_policy_index_next(
    ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind,
    ngx_http_graph_policy_cursor_t *cursor, ngx_uint_t *looked,
    ngx_http_graph_policy_indexed_t **node);


#endif /* _NGX_HTTP_GRAPH_POLICY_INDEX_H_INCLUDED_ */
