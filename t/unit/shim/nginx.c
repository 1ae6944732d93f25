
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The part of nginx that src/zone needs, small and strict, so that a zone runs
 * in a unit test: a mutex that aborts when it is taken or freed twice, memory
 * in pages as nginx's slab pools have it, a log that a test reads, and trees
 * whose shape is random, as nothing may depend on it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/syscall.h>
#include "ngx_http_graph_policy_locks.h"
#include "nginx.h"


#define SMALLEST  64        /* bytes of the smallest slot */
#define TAKEN     0xff      /* the class of a page that has no slots */


volatile ngx_time_t  *ngx_cached_time;
volatile ngx_msec_t   ngx_current_msec;
volatile ngx_cycle_t  *ngx_cycle;
ngx_uint_t            ngx_pagesize = SHIM_PAGE;
ngx_pid_t             ngx_pid;

u_char                shim_log[SHIM_LOG];
ngx_uint_t            shim_level;
ngx_uint_t            shim_fails;
ngx_uint_t            shim_no_random;
ngx_shm_zone_t       *shim_zone;

/* what was allocated since the start, which frees it */

typedef struct shim_block_s  shim_block_t;

struct shim_block_s {
    shim_block_t         *next;
    uint64_t              data[1];
};

static shim_block_t  *shim_blocks;
static ngx_time_t     shim_time;
static ngx_cycle_t    shim_cycle;
static uint64_t       shim_random = 1;

/* of the one pool that there is: each page's class + 1, and its slots taken */

static u_char         shim_class[SHIM_PAGES];
static uint64_t       shim_slots[SHIM_PAGES];
static ngx_uint_t     shim_npages;
static u_char        *shim_first;


static u_char *shim_print(u_char *buf, const char *fmt, va_list args);
static ngx_int_t shim_run(ngx_slab_pool_t *pool, ngx_uint_t n);
static void shim_rotate(ngx_rbtree_t *tree, ngx_rbtree_node_t *node);
static void shim_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *by);


void
shim_clock(uint64_t now)
{
    shim_time.sec = now / 1000;
    shim_time.msec = now % 1000;

    ngx_cached_time = &shim_time;
    ngx_current_msec = now;
}


void
shim_start(void)
{
    shim_block_t      *block;
    static ngx_log_t   log;

    while (shim_blocks != NULL) {
        block = shim_blocks;
        shim_blocks = block->next;
        free(block);
    }

    ngx_pid = 4711;

    log.log_level = NGX_LOG_DEBUG;
    shim_cycle.log = &log;
    ngx_cycle = &shim_cycle;

    shim_log[0] = '\0';
    shim_fails = 0;
    shim_no_random = 0;
}


ngx_cycle_t *
shim_get_cycle(void)
{
    return &shim_cycle;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    if (ngx_http_graph_policy_locks != 0) {
        abort();
    }

    shim_level = level;

    va_start(args, fmt);
    p = shim_print(shim_log, fmt, args);
    va_end(args);

    if (err != 0) {
        p += sprintf((char *) p, " (%d: %s)", err, strerror(err));
    }

    *p = '\0';
}


/* they take the place of libc's, so that there is no random source */

int
open(const char *name, int flags, ...)
{
    va_list  args;
    mode_t   mode;

    va_start(args, flags);
    mode = (flags & O_CREAT) ? va_arg(args, int) : 0;
    va_end(args);

    if (shim_no_random == 1) {
        errno = ENOENT;
        return -1;
    }

    return syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}


ssize_t
read(int fd, void *p, size_t n)
{
    return (shim_no_random == 2) ? 8 : syscall(SYS_read, fd, p, n);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    shim_block_t  *block;

    if (shim_fails != 0 && --shim_fails == 0) {
        return NULL;
    }

    block = calloc(1, sizeof(shim_block_t) + size);
    if (block == NULL) {
        abort();
    }

    block->next = shim_blocks;
    shim_blocks = block;

    return block->data;
}


ngx_shm_zone_t *
ngx_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    if (shim_zone != NULL) {
        shim_zone->shm.name = *name;
        shim_zone->shm.size = size;
        shim_zone->tag = tag;
    }

    return shim_zone;
}


/* what the zone prints is all that is needed */

static u_char *
shim_print(u_char *buf, const char *fmt, va_list args)
{
    ngx_str_t  *text;

    while (*fmt != '\0') {

        if (*fmt != '%') {
            *buf++ = *fmt++;

        } else if (fmt[1] == 'u') {     /* "%ui", "%uz" */
            buf += sprintf((char *) buf, "%lu",
                           (unsigned long) va_arg(args, ngx_uint_t));
            fmt += 3;

        } else if (fmt[1] == 'z') {
            buf += sprintf((char *) buf, "%ld", (long) va_arg(args, ssize_t));
            fmt += 2;

        } else if (fmt[1] == 'V') {
            text = va_arg(args, ngx_str_t *);
            buf = ngx_cpymem(buf, text->data, text->len);
            fmt += 2;

        } else if (fmt[1] == 's') {
            buf += sprintf((char *) buf, "%s", va_arg(args, char *));
            fmt += 2;

        } else if (fmt[1] == 'Z') {
            *buf++ = '\0';
            fmt += 2;

        } else {
            abort();
        }
    }

    return buf;
}


u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = shim_print(buf, fmt, args);
    va_end(args);

    return buf;
}


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    if (*mtx->lock != 0) {
        abort();
    }

    *mtx->lock = ngx_pid;
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    if (*mtx->lock != (ngx_atomic_t) ngx_pid) {
        abort();
    }

    *mtx->lock = 0;
}


void
ngx_slab_init(ngx_slab_pool_t *pool)
{
    shim_first = (u_char *) pool + SHIM_PAGE;
    shim_npages = (pool->end - shim_first) / SHIM_PAGE;

    if (shim_npages > SHIM_PAGES) {
        abort();
    }

    ngx_memzero(shim_class, sizeof(shim_class));
    ngx_memzero(shim_slots, sizeof(shim_slots));

    pool->pfree = shim_npages;
}


void *
ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    size_t      slot;
    ngx_int_t   page;
    ngx_uint_t  i, n, class;

    if (size > SHIM_PAGE / 2) {
        n = (size + SHIM_PAGE - 1) / SHIM_PAGE;
        page = shim_run(pool, n);

        if (page < 0) {
            return NULL;
        }

        ngx_memset(&shim_class[page], TAKEN, n);
        shim_slots[page] = n;

        return shim_first + page * SHIM_PAGE;
    }

    for (class = 0, slot = SMALLEST; slot < size; slot *= 2) {
        class++;
    }

    n = SHIM_PAGE / slot;

    for (page = 0; page < (ngx_int_t) shim_npages; page++) {
        if (shim_class[page] == class + 1
            && shim_slots[page] != ~(uint64_t) 0 >> (64 - n))
        {
            break;
        }
    }

    if (page == (ngx_int_t) shim_npages) {
        page = shim_run(pool, 1);

        if (page < 0) {
            return NULL;
        }

        shim_class[page] = class + 1;
        shim_slots[page] = 0;
    }

    for (i = 0; shim_slots[page] >> i & 1; i++) { /* void */ }

    shim_slots[page] |= (uint64_t) 1 << i;

    return shim_first + page * SHIM_PAGE + i * slot;
}


void *
ngx_slab_calloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_slab_alloc_locked(pool, size);

    if (p != NULL) {
        ngx_memzero(p, size);
    }

    return p;
}


void
ngx_slab_free_locked(ngx_slab_pool_t *pool, void *p)
{
    size_t      slot, at;
    uint64_t    bit;
    ngx_uint_t  page;

    page = ((u_char *) p - shim_first) / SHIM_PAGE;
    at = ((u_char *) p - shim_first) % SHIM_PAGE;

    if (page >= shim_npages || shim_class[page] == 0
        || shim_class[page] == TAKEN)
    {
        abort();
    }

    slot = (size_t) SMALLEST << (shim_class[page] - 1);
    bit = (uint64_t) 1 << at / slot;

    if (at % slot != 0 || !(shim_slots[page] & bit)) {
        abort();
    }

    shim_slots[page] &= ~bit;

    if (shim_slots[page] == 0) {
        shim_class[page] = 0;
        pool->pfree++;
    }
}


/* the first of "n" free pages in a row */

static ngx_int_t
shim_run(ngx_slab_pool_t *pool, ngx_uint_t n)
{
    ngx_uint_t  page, run;

    run = 0;

    for (page = 0; page < shim_npages; page++) {

        run = (shim_class[page] == 0) ? run + 1 : 0;

        if (run == n) {
            pool->pfree -= n;
            return page + 1 - n;
        }
    }

    return -1;
}


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    /* nginx's own would read from there */

    if (tree->sentinel == NULL) {
        abort();
    }

    if (tree->root == tree->sentinel) {
        node->parent = NULL;
        node->left = tree->sentinel;
        node->right = tree->sentinel;
        tree->root = node;

        return;
    }

    tree->insert(tree->root, node, tree->sentinel);

    for ( ;; ) {
        shim_random = shim_random * 6364136223846793005ULL
                      + 1442695040888963407ULL;

        if (node->parent == NULL || (shim_random >> 60) % 3 == 0) {
            return;
        }

        shim_rotate(tree, node);
    }
}


void
ngx_rbtree_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {
        p = (node->key < temp->key) ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
}


/* A node that goes is turned down until it has one child at most. */

void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    while (node->left != tree->sentinel && node->right != tree->sentinel) {
        shim_rotate(tree, node->left);
    }

    shim_replace(tree, node, (node->left != tree->sentinel) ? node->left
                                                            : node->right);

    node->left = NULL;
    node->right = NULL;
    node->parent = NULL;
    node->key = 0;
}


ngx_rbtree_node_t *
ngx_rbtree_next(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *parent;

    if (node->right != tree->sentinel) {
        return ngx_rbtree_min(node->right, tree->sentinel);
    }

    for ( ;; ) {
        parent = node->parent;

        if (parent == NULL || node == parent->left) {
            return parent;
        }

        node = parent;
    }
}


/* turns the node up, above its parent */

static void
shim_rotate(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *parent, *child;

    parent = node->parent;

    shim_replace(tree, parent, node);

    if (node == parent->left) {
        child = node->right;
        node->right = parent;
        parent->left = child;

    } else {
        child = node->left;
        node->left = parent;
        parent->right = child;
    }

    parent->parent = node;

    if (child != tree->sentinel) {
        child->parent = parent;
    }
}


static void
shim_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *by)
{
    ngx_rbtree_node_t  *parent;

    parent = node->parent;

    if (parent == NULL) {
        tree->root = by;

    } else if (node == parent->left) {
        parent->left = by;

    } else {
        parent->right = by;
    }

    if (by != tree->sentinel) {
        by->parent = parent;
    }
}
