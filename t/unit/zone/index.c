
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the index and the trees of a zone, beside lists of what was put in.
 */


#include "zone.h"


#define STATE         NGX_HTTP_GRAPH_POLICY_INDEXED_STATE
#define CONVERSATION  NGX_HTTP_GRAPH_POLICY_INDEXED_CONVERSATION
#define LINK          NGX_HTTP_GRAPH_POLICY_INDEXED_LINK
#define GROUP         NGX_HTTP_GRAPH_POLICY_INDEXED_GROUP

#define UNIT          NGX_HTTP_GRAPH_POLICY_INDEX_UNIT
#define NODES         2000


typedef ngx_http_graph_policy_index_t    index_t;
typedef ngx_http_graph_policy_indexed_t  indexed_t;


static u_char     *memory;      /* aligned as units are */
static index_t     the_index;
static uint64_t    random_state = 88172645463325252ULL;
static ngx_uint_t  in[NODES];   /* 1: it was put in */


static uint64_t
any(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return random_state;
}


/* Nodes lie behind one unit, as the ref of 0 is NULL. */

static indexed_t *
node(ngx_uint_t i)
{
    return (indexed_t *) (memory + (1 + i) * UNIT);
}


static void
start(size_t size)
{
    static u_char    *all;
    ngx_slab_pool_t  *pool;

    free(all);

    all = calloc(1, size + ngx_http_graph_policy_index_size(size)
                    + NODES * UNIT + 4096);
    memory = ngx_align_ptr(all, 4096);

    ngx_http_graph_policy_index_init(&the_index, memory, size,
                                     memory + (NODES + 1) * UNIT);
    ngx_memzero(in, sizeof(in));

    /* the lock checker asks the pool at the base who has the mutex */

    pool = (ngx_slab_pool_t *) memory;
    pool->mutex.lock = &pool->lock.lock;
    pool->lock.lock = ngx_pid;
}


/* a walk over a kind sees each node of it once, in order */

static ngx_uint_t
walk_agrees(ngx_uint_t kind, ngx_uint_t *calls)
{
    cursor_t    cursor;
    ngx_int_t   rc;
    ngx_uint_t  i, n, looked;
    indexed_t  *found, *last;

    ngx_memzero(&cursor, sizeof(cursor_t));
    n = 0;
    last = NULL;
    *calls = 1;
    looked = 0;

    for ( ;; ) {
        rc = ngx_http_graph_policy_index_next(&the_index, kind, &cursor,
                                              &looked, &found);
        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_AGAIN) {
            looked = 0;
            (*calls)++;
            continue;
        }

        if (found->kind != kind
            || (last != NULL
                && (last->key > found->key
                    || (last->key == found->key
                        && last->rank >= found->rank))))
        {
            return 0;
        }

        last = found;
        n++;
    }

    for (i = 0; i < NODES; i++) {
        n -= (in[i] && node(i)->kind == kind);
    }

    return n == 0;
}


static ngx_uint_t
has_agrees(void)
{
    ngx_uint_t  i, kind;

    for (i = 0; i < NODES; i++) {
        for (kind = 0; kind <= GROUP; kind++) {

            if (ngx_http_graph_policy_index_has(&the_index, kind, node(i))
                != (in[i] && node(i)->kind == kind))
            {
                return 0;
            }
        }
    }

    return 1;
}


static void
test_size(void)
{
    size_t  size;

    size = 1024 * 1024;
    ok(ngx_http_graph_policy_index_size(size) >= size / 32
       && ngx_http_graph_policy_index_size(size) <= size / 30,
       "the index takes 1/31 of a zone");
    ok(ngx_http_graph_policy_index_size((size_t) 0xffffffff * UNIT) != 0,
       "also of the largest one");
    is_int(ngx_http_graph_policy_index_size((size_t) 0x100000000 * UNIT), 0,
           "but there is none for one that is too large");

    start(1000 * UNIT + 3 * UNIT);
    is_int(the_index.n, 1000, "it has a bucket for each unit, by the line");
    is_int(the_index.mask, 1023, "the mask covers all units");
    is_int(the_index.bits, 22, "the filter has the rest of a word");

    start(1023 * UNIT);
    is_int(the_index.mask, 1023, "up to the last one");
    start(1024 * UNIT);
    is_int(the_index.mask, 2047, "and no further");
}


static void
test_random(ngx_uint_t spread, ngx_uint_t kinds)
{
    ngx_uint_t  i, k, round, calls, agrees;

    start(4096 * UNIT);
    agrees = 0;

    for (round = 0; round < 6; round++) {

        for (k = 0; k < NODES; k++) {
            i = any() % NODES;

            if (in[i]) {
                ngx_http_graph_policy_index_remove(&the_index, node(i));
                in[i] = 0;

            } else {
                node(i)->key = any() % spread << 40 | any() % 2;
                node(i)->rank = i % 200;
                ngx_http_graph_policy_index_insert(&the_index, any() % kinds,
                                                   node(i));
                in[i] = 1;
            }
        }

        agrees += has_agrees();

        for (k = 0; k < 3; k++) {

            /* of equal keys and ranks the order isn't said */

            if (spread > 1000) {
                agrees += walk_agrees(k, &calls);
            }
        }
    }

    is_int(agrees, (spread > 1000) ? 24 : 6,
           "%d keys of %d kinds: the index has what was put in", (int) spread,
           (int) kinds);
}


static void
test_same(void)
{
    ngx_uint_t  i, n;
    indexed_t  *found;

    /* nodes of one key are found in the order of ranks, by their kind */

    start(4096 * UNIT);

    for (i = 0; i < 40; i++) {
        node(i)->key = 77;
        node(i)->rank = (i * 7) % 40;
        ngx_http_graph_policy_index_insert(&the_index, i % 2 ? STATE : GROUP,
                                           node(i));
    }

    n = 0;
    found = ngx_http_graph_policy_index_find(&the_index, STATE, 77);

    for (i = 0; found != NULL; i++) {
        n += (found->kind == STATE && found->rank == 2 * i + 1);
        found = ngx_http_graph_policy_index_same(&the_index, found);
    }

    is_int(n, 20, "those of one kind are found by rank");
    ok(ngx_http_graph_policy_index_find(&the_index, LINK, 77) == NULL,
       "another kind isn't");
    ok(ngx_http_graph_policy_index_find(&the_index, STATE, 78) == NULL,
       "nor another key");
    ok(ngx_http_graph_policy_index_find(&the_index, STATE, 76) == NULL,
       "nor one before");

    /* of equal rank the first one that came is the first one */

    start(4096 * UNIT);

    for (i = 0; i < 3; i++) {
        node(i)->key = 77;
        ngx_http_graph_policy_index_insert(&the_index, LINK, node(i));
    }

    found = ngx_http_graph_policy_index_find(&the_index, LINK, 77);
    ok(found == node(0), "of the same rank the first one");
    found = ngx_http_graph_policy_index_same(&the_index, found);
    ok(found == node(1), "comes before the second");
}


static void
test_filter(void)
{
    uint32_t    bucket;
    ngx_uint_t  i;

    /* where a bucket is empty its filter is, too */

    start(64 * UNIT);

    for (i = 0; i < 20; i++) {
        node(i)->key = any();
        ngx_http_graph_policy_index_insert(&the_index, STATE, node(i));
    }

    for (i = 0; i < 20; i++) {
        ngx_http_graph_policy_index_remove(&the_index, node(i));
    }

    for (bucket = 0, i = 0; bucket < the_index.n; bucket++) {
        i += (the_index.buckets[bucket] != 0);
    }

    is_int(i, 0, "an empty index has empty filters");
    is_int(the_index.maps[STATE][0], 0, "and an empty map");

    /* of several in one bucket the filter is that of those that are left */

    node(0)->key = 0x0000;
    node(1)->key = 0xff0000;
    ngx_http_graph_policy_index_insert(&the_index, STATE, node(0));
    ngx_http_graph_policy_index_insert(&the_index, STATE, node(1));
    bucket = the_index.buckets[0];
    ngx_http_graph_policy_index_remove(&the_index, node(1));
    ok((the_index.buckets[0] & ~the_index.mask) != (bucket & ~the_index.mask)
       && (the_index.buckets[0] & ~the_index.mask) != 0,
       "one that left leaves the filter");
    ok(ngx_http_graph_policy_index_find(&the_index, STATE, 0) == node(0),
       "the other one is found");
}


static void
test_walk(void)
{
    cursor_t    cursor;
    ngx_uint_t  i, calls, looked;
    indexed_t  *found;

    /* a walk over few nodes of many others takes several calls, but not many */

    start(65536 * UNIT);

    for (i = 0; i < NODES; i++) {
        node(i)->key = any();
        ngx_http_graph_policy_index_insert(&the_index,
                                           i == 1234 ? LINK : STATE, node(i));
        in[i] = 1;
    }

    is_int(walk_agrees(LINK, &calls), 1, "one link among many states");
    is_int(calls, 1, "is found at once, by the map");
    is_int(walk_agrees(STATE, &calls), 1, "all states");
    ok(calls > 40 && calls < 80, "take some calls, %d", (int) calls);

    /* the bits of a map are as old as the last walk over it */

    for (i = 0; i < NODES; i++) {
        ngx_http_graph_policy_index_remove(&the_index, node(i));
        ngx_http_graph_policy_index_insert(&the_index, LINK, node(i));
    }

    ngx_memzero(&cursor, sizeof(cursor_t));
    looked = 0;
    is_int(ngx_http_graph_policy_index_next(&the_index, STATE, &cursor,
                                            &looked, &found),
           NGX_AGAIN, "a walk over what has gone finds nothing for a while");
    ok(looked >= 4096 && looked < 4096 + 1000, "after %d looks", (int) looked);

    is_int(walk_agrees(STATE, &calls), 1, "a walk over what is gone ends");
    ok(calls > 3, "after some calls, %d", (int) calls);
    is_int(walk_agrees(STATE, &calls), 1, "the next walk");
    is_int(calls, 1, "knows it, and is short");
    is_int(walk_agrees(LINK, &calls), 1, "what is there is still found");
    is_int(walk_agrees(CONVERSATION, &calls), 1, "and what never was isn't");
    is_int(calls, 1, "at once");

    /* a map of a large zone is passed over by the word */

    start((size_t) 16 * 1024 * 1024 * UNIT / 4);
    ngx_memzero(&cursor, sizeof(cursor_t));
    node(0)->key = (uint64_t) -1;
    ngx_http_graph_policy_index_insert(&the_index, STATE, node(0));
    in[0] = 1;
    is_int(walk_agrees(STATE, &calls), 1, "the last of a large zone is found");
    is_int(calls, 3, "in two breaks");
    node(1)->key = 0;
    ngx_http_graph_policy_index_insert(&the_index, STATE, node(1));
    in[1] = 1;
    is_int(walk_agrees(STATE, &calls), 1, "and the first one");
}


static void
test_goes_on(void)
{
    cursor_t    cursor;
    ngx_uint_t  i, n, looked;
    indexed_t  *found;

    /* a cursor is a place, whatever comes and goes there */

    start(4096 * UNIT);

    for (i = 0; i < 200; i++) {
        node(i)->key = (i + 1) << 50 | 5;
        node(i)->rank = 3;
        ngx_http_graph_policy_index_insert(&the_index, STATE, node(i));
    }

    ngx_memzero(&cursor, sizeof(cursor_t));
    n = 0;
    looked = 0;

    while (ngx_http_graph_policy_index_next(&the_index, STATE, &cursor,
                                            &looked, &found)
           == NGX_OK)
    {
        ngx_http_graph_policy_index_remove(&the_index, found);
        looked = 0;
        n++;
    }

    is_int(n, 200, "what is removed behind the cursor doesn't stop a walk");

    node(0)->key = 77;
    node(0)->rank = 3;
    node(1)->key = 77;
    node(1)->rank = 4;
    ngx_http_graph_policy_index_insert(&the_index, STATE, node(0));
    ngx_http_graph_policy_index_insert(&the_index, STATE, node(1));
    cursor.begun = 1;
    cursor.hash = 77;
    cursor.reason = 3;
    ngx_http_graph_policy_index_next(&the_index, STATE, &cursor, &looked,
                                     &found);
    ok(found == node(1), "behind a place comes the next rank");
    is_int(cursor.reason, 4, "which the cursor goes to");
    is_int(ngx_http_graph_policy_index_next(&the_index, STATE, &cursor,
                                            &looked, &found),
           NGX_DONE, "and then nothing");
}


static void
test_tree(void)
{
    ngx_uint_t                     i, n;
    ngx_rbtree_node_t              nodes[500];
    ngx_http_graph_policy_tree_t   tree;

    ngx_http_graph_policy_tree_init(&tree);
    ok(ngx_http_graph_policy_tree_min(&tree) == NULL, "a tree is empty");
    ok(ngx_http_graph_policy_tree_find(&tree, 0) == NULL, "at first");

    for (i = 0; i < 500; i++) {
        nodes[i].key = 10 + any() % 50 * 2;
        ngx_http_graph_policy_tree_insert(&tree, &nodes[i],
                                          ngx_rbtree_insert_value);
    }

    n = 0;

    for (i = 0; i < 50; i++) {
        ngx_rbtree_node_t  *found, *each;

        found = ngx_http_graph_policy_tree_find(&tree, 10 + i * 2);

        for (each = ngx_http_graph_policy_tree_min(&tree);
             each != NULL && each->key < 10 + i * 2;
             each = ngx_rbtree_next(&tree.tree, each))
        { /* void */ }

        n += (found == each && found->key == 10 + i * 2);
        n += (ngx_http_graph_policy_tree_find(&tree, 11 + i * 2) == NULL);
    }

    is_int(n, 100, "the first node of each key is found, and no other key");
}


static void
test_mix(void)
{
    uint64_t    i, bits, a;
    ngx_uint_t  n;

    /* each bit of what is mixed changes about half of the others */

    n = 0;
    bits = 0;

    for (i = 0; i < 64; i++) {
        a = ngx_http_graph_policy_mix(12345, 6789, 2);
        bits += __builtin_popcountll(a
                 ^ ngx_http_graph_policy_mix(12345 ^ (uint64_t) 1 << i, 6789,
                                             2));
        bits += __builtin_popcountll(a
                 ^ ngx_http_graph_policy_mix(12345, 6789 ^ (uint64_t) 1 << i,
                                             2));
        n += (a != ngx_http_graph_policy_mix(12345, 6789, 3 + i));
    }

    ok(bits > 128 * 28 && bits < 128 * 36, "%d of 64 bits change by one",
       (int) (bits / 128));
    is_int(n, 64, "each kind has hashes of its own");

    /* hashes are in files, so they stay as they are */

    ok(ngx_http_graph_policy_mix(0x0123456789abcdefULL, 0xfedcba9876543210ULL,
                                 3)
       == 0xe961856e7fe963ddULL, "a hash is the same in all versions");
}


int
main(void)
{
    shim_start();

    test_size();
    test_random(1 << 20, 4);
    test_random(1 << 20, 2);
    test_random(1 << 12, 4);
    test_random(100, 4);
    test_same();
    test_filter();
    test_walk();
    test_goes_on();
    test_tree();
    test_mix();

    return tap_done();
}
