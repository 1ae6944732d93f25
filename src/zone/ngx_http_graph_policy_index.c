
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The index of a zone: states, conversations, links and groups by hash.
 *
 * A lookup in a tree of a million nodes reads twenty of them, each of which is
 * somewhere else in memory; here it reads a bucket and mostly one node, and of
 * what isn't there mostly the bucket alone.
 *
 * Lock rule: called with the mutex held; never takes it.  Memory: the table
 * lies behind the zone's header and keeps its size; a node is a member of what
 * it stands for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_index.h"
#include "ngx_http_graph_policy_locks.h"
#include "ngx_http_graph_policy_zone_list.h"


/* buckets that a bit of a map is for; they are in one line of the cache */
#define NGX_HTTP_GRAPH_POLICY_INDEX_LINE    8

/*
 * What a walk may pass over in one call, and what a node and a line count of
 * that; a word of a map counts 1.
 */
#define NGX_HTTP_GRAPH_POLICY_INDEX_LOOKS      4096
#define NGX_HTTP_GRAPH_POLICY_INDEX_NODE_LOOK  64
#define NGX_HTTP_GRAPH_POLICY_INDEX_LINE_LOOK  32


static uint32_t ngx_http_graph_policy_index_buckets(size_t size);
static uint32_t ngx_http_graph_policy_index_words(uint32_t buckets);
static void ngx_http_graph_policy_index_mark(
    ngx_http_graph_policy_index_t *index, uint32_t bucket,
    ngx_http_graph_policy_indexed_e kind);
static void ngx_http_graph_policy_index_unmark(
    ngx_http_graph_policy_index_t *index, uint32_t bucket);
static ngx_int_t ngx_http_graph_policy_index_look(
    ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, uint32_t *bucket,
    ngx_http_graph_policy_cursor_t *cursor, ngx_uint_t *looked,
    ngx_http_graph_policy_indexed_t **node);
static ngx_int_t ngx_http_graph_policy_index_skip(
    ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, uint32_t *bucket,
    ngx_uint_t *looked);


/* The product keeps the order of the hashes, and needs no power of two. */

#define ngx_http_graph_policy_index_bucket(index, key)                        \
    ((uint32_t) ((((key) >> 32) * (index)->n) >> 32))

/*
 * The bit of a key in the filter of its bucket, 0 where there is no filter.
 * The bits of the key are others than those that the bucket goes by.
 */

#define ngx_http_graph_policy_index_bit(index, key)                           \
    ((index)->bits == 0 ? 0                                                   \
     : ((index)->mask + 1) << (((((key) >> 8) & 0xffff) * (index)->bits)      \
                               >> 16))


size_t
ngx_http_graph_policy_index_size(size_t size)
{
    uint32_t  n;

    if (size / NGX_HTTP_GRAPH_POLICY_INDEX_UNIT > 0xffffffff) {
        return 0;
    }

    n = ngx_http_graph_policy_index_buckets(size);

    return n * sizeof(uint32_t)
           + NGX_HTTP_GRAPH_POLICY_NWALKED * sizeof(uint64_t)
             * ngx_http_graph_policy_index_words(n);
}


/* There are as many buckets as the zone could have nodes of the smallest. */

static uint32_t
ngx_http_graph_policy_index_buckets(size_t size)
{
    size_t  n;

    n = size / NGX_HTTP_GRAPH_POLICY_INDEX_UNIT;

    return (uint32_t) (n - n % NGX_HTTP_GRAPH_POLICY_INDEX_LINE);
}


/* the words of one map */

static uint32_t
ngx_http_graph_policy_index_words(uint32_t buckets)
{
    return (buckets / NGX_HTTP_GRAPH_POLICY_INDEX_LINE + 63) / 64;
}


void
ngx_http_graph_policy_index_init(ngx_http_graph_policy_index_t *index,
    u_char *base, size_t size, u_char *table)
{
    uint32_t    words;
    ngx_uint_t  kind;

    index->n = ngx_http_graph_policy_index_buckets(size);
    index->base = base;
    index->mask = 1;
    index->bits = 31;

    while (index->mask < size / NGX_HTTP_GRAPH_POLICY_INDEX_UNIT) {
        index->mask = index->mask * 2 + 1;
        index->bits--;
    }

    words = ngx_http_graph_policy_index_words(index->n);

    index->buckets = (uint32_t *) table;

    for (kind = 0; kind < NGX_HTTP_GRAPH_POLICY_NWALKED; kind++) {
        index->maps[kind] = (uint64_t *) (index->buckets + index->n)
                            + kind * words;
    }
}


void
ngx_http_graph_policy_index_insert(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind,
    ngx_http_graph_policy_indexed_t *node)
{
    uint32_t                          bucket, *word, ref;
    ngx_http_graph_policy_indexed_t  *before, *next;

    ngx_http_graph_policy_must_hold(index->base);

    bucket = ngx_http_graph_policy_index_bucket(index, node->key);
    word = &index->buckets[bucket];

    before = NULL;
    next = ngx_http_graph_policy_index_at(index, *word & index->mask);

    while (next != NULL
           && (next->key < node->key
               || (next->key == node->key && next->rank <= node->rank)))
    {
        before = next;
        next = ngx_http_graph_policy_index_at(index, next->next);
    }

    node->kind = (uint8_t) kind;
    node->next = (next != NULL) ? ngx_http_graph_policy_index_ref(index, next)
                                : 0;

    ref = ngx_http_graph_policy_index_ref(index, node);

    if (before != NULL) {
        before->next = ref;

    } else {
        *word = (*word & ~index->mask) | ref;
    }

    *word |= ngx_http_graph_policy_index_bit(index, node->key);

    ngx_http_graph_policy_index_mark(index, bucket, kind);
}


void
ngx_http_graph_policy_index_remove(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_t *node)
{
    uint32_t                          bucket, word, filter;
    ngx_http_graph_policy_indexed_t  *each, *before, *next;

    ngx_http_graph_policy_must_hold(index->base);

    bucket = ngx_http_graph_policy_index_bucket(index, node->key);
    word = index->buckets[bucket] & index->mask;

    before = NULL;
    filter = 0;

    for (each = ngx_http_graph_policy_index_at(index, word);
         each != NULL;
         each = next)
    {
        next = ngx_http_graph_policy_index_at(index, each->next);

        if (each != node) {
            filter |= ngx_http_graph_policy_index_bit(index, each->key);
            before = each;
            continue;
        }

        if (before != NULL) {
            before->next = node->next;

        } else {
            word = node->next;
        }
    }

    index->buckets[bucket] = word | filter;

    ngx_http_graph_policy_index_unmark(index, bucket);
}


static void
ngx_http_graph_policy_index_mark(ngx_http_graph_policy_index_t *index,
    uint32_t bucket, ngx_http_graph_policy_indexed_e kind)
{
    uint32_t  line;

    if (kind >= NGX_HTTP_GRAPH_POLICY_NWALKED) {
        return;
    }

    line = bucket / NGX_HTTP_GRAPH_POLICY_INDEX_LINE;

    index->maps[kind][line / 64] |= (uint64_t) 1 << line % 64;
}


/*
 * An empty line leaves all maps.  A walk finds out that a line has others
 * than nodes of its kind.
 */

static void
ngx_http_graph_policy_index_unmark(ngx_http_graph_policy_index_t *index,
    uint32_t bucket)
{
    uint32_t    line, *word, *last;
    ngx_uint_t  kind;

    line = bucket / NGX_HTTP_GRAPH_POLICY_INDEX_LINE;
    word = &index->buckets[line * NGX_HTTP_GRAPH_POLICY_INDEX_LINE];

    for (last = word + NGX_HTTP_GRAPH_POLICY_INDEX_LINE; word < last; word++)
    {
        if (*word != 0) {
            return;
        }
    }

    for (kind = 0; kind < NGX_HTTP_GRAPH_POLICY_NWALKED; kind++) {
        index->maps[kind][line / 64] &= ~((uint64_t) 1 << line % 64);
    }
}


ngx_http_graph_policy_indexed_t *
ngx_http_graph_policy_index_find(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, uint64_t key)
{
    uint32_t                          word, bit;
    ngx_http_graph_policy_indexed_t  *node;

    ngx_http_graph_policy_must_hold(index->base);

    word = index->buckets[ngx_http_graph_policy_index_bucket(index, key)];
    bit = ngx_http_graph_policy_index_bit(index, key);

    if (word == 0 || (word & bit) != bit) {
        return NULL;
    }

    node = ngx_http_graph_policy_index_at(index, word & index->mask);

    while (node != NULL && node->key <= key) {

        if (node->key == key && node->kind == kind) {
            return node;
        }

        node = ngx_http_graph_policy_index_at(index, node->next);
    }

    return NULL;
}


ngx_http_graph_policy_indexed_t *
ngx_http_graph_policy_index_same(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_t *node)
{
    ngx_http_graph_policy_indexed_t  *next;

    ngx_http_graph_policy_must_hold(index->base);

    next = ngx_http_graph_policy_index_at(index, node->next);

    while (next != NULL && next->key == node->key) {

        if (next->kind == node->kind) {
            return next;
        }

        next = ngx_http_graph_policy_index_at(index, next->next);
    }

    return NULL;
}


ngx_uint_t
ngx_http_graph_policy_index_has(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, void *p)
{
    ngx_http_graph_policy_indexed_t  *node;

    node = ngx_http_graph_policy_index_find(index, kind,
                                  ((ngx_http_graph_policy_indexed_t *) p)->key);

    while (node != NULL && (void *) node != p) {
        node = ngx_http_graph_policy_index_same(index, node);
    }

    return node != NULL;
}


ngx_int_t
ngx_http_graph_policy_index_next(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind,
    ngx_http_graph_policy_cursor_t *cursor, ngx_uint_t *looked,
    ngx_http_graph_policy_indexed_t **node)
{
    uint32_t  bucket;
    uint64_t  lowest;

    ngx_http_graph_policy_must_hold(index->base);

    bucket = cursor->begun
             ? ngx_http_graph_policy_index_bucket(index, cursor->hash) : 0;

    for ( ;; ) {

        if (ngx_http_graph_policy_index_look(index, kind, &bucket, cursor,
                                             looked, node)
            == NGX_OK)
        {
            cursor->begun = 1;
            cursor->hash = (*node)->key;
            cursor->reason = (*node)->rank;

            return NGX_OK;
        }

        if (ngx_http_graph_policy_index_skip(index, kind, &bucket, looked)
            != NGX_OK)
        {
            return NGX_DONE;
        }

        if (*looked >= NGX_HTTP_GRAPH_POLICY_INDEX_LOOKS) {

            /* the first hash of that bucket, rounded up */

            lowest = (((uint64_t) bucket << 32) + index->n - 1) / index->n;

            cursor->begun = 1;
            cursor->hash = (lowest << 32) - 1;
            cursor->reason = 0xff;

            return NGX_AGAIN;
        }
    }
}


/* Looks at the rest of a line, from a bucket on. */

static ngx_int_t
ngx_http_graph_policy_index_look(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, uint32_t *bucket,
    ngx_http_graph_policy_cursor_t *cursor, ngx_uint_t *looked,
    ngx_http_graph_policy_indexed_t **found)
{
    uint32_t                          first, line;
    ngx_uint_t                        has;
    ngx_http_graph_policy_indexed_t  *node;

    has = 0;
    first = *bucket;
    line = first / NGX_HTTP_GRAPH_POLICY_INDEX_LINE;

    *looked += NGX_HTTP_GRAPH_POLICY_INDEX_LINE_LOOK;

    for ( /* void */ ;
         *bucket / NGX_HTTP_GRAPH_POLICY_INDEX_LINE == line;
         (*bucket)++)
    {
        node = ngx_http_graph_policy_index_at(index,
                                    index->buckets[*bucket] & index->mask);

        while (node != NULL) {

            if (node->kind == kind) {
                has = 1;

                if (!cursor->begun || node->key > cursor->hash
                    || (node->key == cursor->hash
                        && node->rank > cursor->reason))
                {
                    *found = node;
                    return NGX_OK;
                }
            }

            *looked += NGX_HTTP_GRAPH_POLICY_INDEX_NODE_LOOK;

            node = ngx_http_graph_policy_index_at(index, node->next);
        }
    }

    if (!has && first % NGX_HTTP_GRAPH_POLICY_INDEX_LINE == 0) {
        index->maps[kind][line / 64] &= ~((uint64_t) 1 << line % 64);
    }

    return NGX_DECLINED;
}


/* Moves on to the next line that may have nodes of the kind. */

static ngx_int_t
ngx_http_graph_policy_index_skip(ngx_http_graph_policy_index_t *index,
    ngx_http_graph_policy_indexed_e kind, uint32_t *bucket, ngx_uint_t *looked)
{
    uint32_t  line, i, words;
    uint64_t  word;

    line = *bucket / NGX_HTTP_GRAPH_POLICY_INDEX_LINE;
    words = ngx_http_graph_policy_index_words(index->n);

    for (i = line / 64; i < words; i++) {

        word = index->maps[kind][i];

        if (i == line / 64) {
            word &= ~(uint64_t) 0 << line % 64;
        }

        if (word != 0) {
            line = i * 64;

            while (!(word & 1)) {
                word >>= 1;
                line++;
            }

            *bucket = line * NGX_HTTP_GRAPH_POLICY_INDEX_LINE;

            return NGX_OK;
        }

        if (++*looked >= NGX_HTTP_GRAPH_POLICY_INDEX_LOOKS && i + 1 < words) {
            *bucket = (i + 1) * 64 * NGX_HTTP_GRAPH_POLICY_INDEX_LINE;
            return NGX_OK;
        }
    }

    return NGX_DONE;
}
