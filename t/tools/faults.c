
/*
 * Preloaded into nginx by tests: one allocation fails, or a process dies while
 * it holds the mutex of a zone.  Which one and when is in a file that the test
 * and all processes of nginx have mapped (t/lib/GraphPolicy/Faults.pm).
 *
 * Calls of libc are taken from everybody in the process.  Those that the module
 * makes of nginx can't be taken so, as a program's own functions come before
 * those of preloaded libraries; so where the module's table of functions has
 * them, that is changed as soon as nginx has loaded it.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


#define FAULT_NONE   0
#define FAULT_OWN    1    /* an allocation that the module asks for */
#define FAULT_LIBC   2    /* an allocation by anybody in the process */
#define FAULT_SLAB   3    /* an allocation of shared memory */
#define FAULT_KILL   4    /* the process ends, holding the mutex */
#define FAULT_CHANGE 5    /* the same, amid a change */

#define MODULE       "ngx_http_graph_policy_module"


/* all members but "name" are 64 bits, as the test packs them */

typedef struct {
    uint64_t  fault;
    uint64_t  at;         /* which one, from 1; of locks for FAULT_KILL, of
                             calls for shared memory for FAULT_CHANGE */
    uint64_t  steps;      /* instructions that a dying process still does */
    uint64_t  seen;       /* so many there were */
    uint64_t  pid;        /* who it happened to */
    uint64_t  from;       /* where in the module, an offset */
    char      name[64];   /* which function was called */
} control_t;


extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static control_t  *control;
static uintptr_t   base;
static unsigned int  stepping;

static void faults_crash(int signo);


__attribute__((constructor)) static void
faults_init(void)
{
    int    fd;
    void  *p, *frames[4];
    char  *name;

    name = getenv("FAULTS_FILE");
    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDWR);
    if (fd == -1) {
        return;
    }

    p = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);

    /* what is loaded for the first backtrace is loaded now */
    (void) backtrace(frames, 4);

    if (p != MAP_FAILED) {
        control = p;
    }

    /* the log of nginx says where it was */
    signal(SIGSEGV, faults_crash);
}


static void
faults_crash(int signo)
{
    int    n;
    void  *frames[64];

    n = backtrace(frames, 64);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);

    signal(signo, SIG_DFL);
    raise(signo);
}


/* the place in the module that is nearest to a call, for the report */

static void
faults_tell(const char *name)
{
    int         i, n;
    void       *frames[32];
    Dl_info     info;
    size_t      len;

    len = strlen(name);
    len = len < sizeof(control->name) ? len : sizeof(control->name) - 1;

    memcpy(control->name, name, len);
    control->name[len] = '\0';
    control->from = 0;

    n = backtrace(frames, 32);

    for (i = 0; i < n; i++) {
        if (base != 0 && dladdr(frames[i], &info)
            && (uintptr_t) info.dli_fbase == base)
        {
            control->from = (uintptr_t) frames[i] - base;
            break;
        }
    }

    control->pid = getpid();
}


static unsigned int
faults_due(uint64_t fault, const char *name)
{
    if (control == NULL || control->fault != fault
        || __sync_add_and_fetch(&control->seen, 1) != control->at)
    {
        return 0;
    }

    faults_tell(name);

    return 1;
}


void *
malloc(size_t size)
{
    if (faults_due(FAULT_LIBC, "malloc")) {
        errno = ENOMEM;
        return NULL;
    }

    return __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    if (faults_due(FAULT_LIBC, "calloc")) {
        errno = ENOMEM;
        return NULL;
    }

    return __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    if (size != 0 && faults_due(FAULT_LIBC, "realloc")) {
        errno = ENOMEM;
        return NULL;
    }

    return __libc_realloc(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    if (faults_due(FAULT_LIBC, "posix_memalign")) {
        return ENOMEM;
    }

    *p = __libc_memalign(alignment, size);

    return (*p == NULL) ? ENOMEM : 0;
}


/*
 * What the module calls of nginx and of libraries.  The test has none of nginx's
 * headers: a pointer is a pointer here.
 */

#define own(fault, type, name, args, names)                                   \
    static type  (*real_##name) args;                                         \
                                                                              \
    static type                                                               \
    own_##name args                                                           \
    {                                                                         \
        if (faults_due(fault, #name)) {                                       \
            return 0;                                                         \
        }                                                                     \
                                                                              \
        return real_##name names;                                             \
    }

own(FAULT_OWN, void *, malloc, (size_t size), (size))
own(FAULT_OWN, void *, calloc, (size_t n, size_t size), (n, size))
own(FAULT_OWN, void *, ngx_alloc, (size_t size, void *log), (size, log))
own(FAULT_OWN, void *, ngx_calloc, (size_t size, void *log), (size, log))
own(FAULT_OWN, void *, ngx_memalign,
    (size_t alignment, size_t size, void *log), (alignment, size, log))
own(FAULT_OWN, void *, ngx_create_pool, (size_t size, void *log),
    (size, log))
own(FAULT_OWN, void *, ngx_palloc, (void *pool, size_t size),
    (pool, size))
own(FAULT_OWN, void *, ngx_pnalloc, (void *pool, size_t size),
    (pool, size))
own(FAULT_OWN, void *, ngx_pcalloc, (void *pool, size_t size),
    (pool, size))
own(FAULT_OWN, void *, ngx_pstrdup, (void *pool, void *src),
    (pool, src))
own(FAULT_OWN, void *, ngx_array_create,
    (void *pool, uintptr_t n, size_t size), (pool, n, size))
own(FAULT_OWN, void *, ngx_array_push, (void *a), (a))
own(FAULT_OWN, void *, ngx_list_push, (void *list), (list))
own(FAULT_OWN, void *, ngx_pool_cleanup_add, (void *pool, size_t size),
    (pool, size))
own(FAULT_OWN, void *, ngx_create_temp_buf,
    (void *pool, size_t size), (pool, size))
own(FAULT_OWN, void *, ngx_alloc_chain_link, (void *pool), (pool))
own(FAULT_OWN, void *, ngx_get_connection, (int s, void *log),
    (s, log))
own(FAULT_OWN, void *, yajl_gen_alloc, (const void *funcs), (funcs))
own(FAULT_OWN, void *, CRYPTO_zalloc, (size_t size, const char *file, int line),
    (size, file, line))
own(FAULT_SLAB, void *, ngx_slab_calloc_locked,
    (void *pool, size_t size), (pool, size))


/*
 * A process that is to die with the mutex runs so many instructions under it
 * first, one by one by the processor's trap flag, and then it kills itself; or
 * where it is about to unlock, if it gets there before.
 */

static void *(*real_ngx_slab_alloc_locked)(void *pool, size_t size);
static void (*real_ngx_slab_free_locked)(void *pool, void *p);
static void (*real_ngx_shmtx_lock)(void *mtx);
static void (*real_ngx_shmtx_unlock)(void *mtx);


static void
faults_die(void)
{
    control->pid = getpid();
    kill(getpid(), SIGKILL);
}


static void
faults_step(int signo, siginfo_t *info, void *context)
{
    if (control->steps-- == 0) {
        faults_die();
    }
}


static void
faults_walk(void)
{
    struct sigaction  action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = faults_step;
    action.sa_flags = SA_SIGINFO;

    if (sigaction(SIGTRAP, &action, NULL) == -1) {
        faults_die();
    }

    stepping = 1;

#if defined(__x86_64__)
    __asm__ volatile ("subq $128, %%rsp; pushfq; orq $256, (%%rsp); popfq; "
                      "addq $128, %%rsp" ::: "cc", "memory");
#endif
}


static void *
own_ngx_slab_alloc_locked(void *pool, size_t size)
{
    if (faults_due(FAULT_SLAB, "ngx_slab_alloc_locked")) {
        return NULL;
    }

    if (faults_due(FAULT_CHANGE, "ngx_slab_alloc_locked")) {
        faults_walk();
    }

    return real_ngx_slab_alloc_locked(pool, size);
}


static void
own_ngx_slab_free_locked(void *pool, void *p)
{
    if (faults_due(FAULT_CHANGE, "ngx_slab_free_locked")) {
        faults_walk();
    }

    real_ngx_slab_free_locked(pool, p);
}


static void
own_ngx_shmtx_lock(void *mtx)
{
    real_ngx_shmtx_lock(mtx);

    if (faults_due(FAULT_KILL, "ngx_shmtx_lock")) {
        faults_walk();
    }
}


static void
own_ngx_shmtx_unlock(void *mtx)
{
    if (stepping) {
        faults_die();
    }

    real_ngx_shmtx_unlock(mtx);
}


#define entry(name)  { #name, (void *) own_##name, (void **) &real_##name }

static struct {
    const char   *name;
    void         *own;
    void        **real;
} table[] = {
    entry(malloc),
    entry(calloc),
    entry(ngx_alloc),
    entry(ngx_calloc),
    entry(ngx_memalign),
    entry(ngx_create_pool),
    entry(ngx_palloc),
    entry(ngx_pnalloc),
    entry(ngx_pcalloc),
    entry(ngx_pstrdup),
    entry(ngx_array_create),
    entry(ngx_array_push),
    entry(ngx_list_push),
    entry(ngx_pool_cleanup_add),
    entry(ngx_create_temp_buf),
    entry(ngx_alloc_chain_link),
    entry(ngx_get_connection),
    entry(yajl_gen_alloc),
    entry(CRYPTO_zalloc),
    entry(ngx_slab_alloc_locked),
    entry(ngx_slab_calloc_locked),
    entry(ngx_slab_free_locked),
    entry(ngx_shmtx_lock),
    entry(ngx_shmtx_unlock),
};


/* one place in the module's table of functions */

static void
faults_take(ElfW(Rela) *rela, const char *name)
{
    void      **place;
    size_t      page;
    uintptr_t   start;
    unsigned int  i;

    page = sysconf(_SC_PAGESIZE);

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {

        if (strcmp(name, table[i].name) != 0) {
            continue;
        }

        place = (void **) (base + rela->r_offset);
        start = (uintptr_t) place & ~(page - 1);

        /* a module is linked to have its table read only once it is filled */

        if (mprotect((void *) start, page, PROT_READ|PROT_WRITE) == -1) {
            abort();
        }

        if (*place != table[i].own) {
            *table[i].real = *place;
            *place = table[i].own;
        }

        return;
    }
}


static void
faults_take_all(ElfW(Rela) *rela, size_t size, ElfW(Sym) *symbols,
    const char *strings)
{
    size_t  i, n;

    for (i = 0; i < size / sizeof(ElfW(Rela)); i++) {
        n = ELF64_R_SYM(rela[i].r_info);

        if (n != 0 && symbols[n].st_shndx == SHN_UNDEF) {
            faults_take(&rela[i], strings + symbols[n].st_name);
        }
    }
}


void *
dlopen(const char *name, int flags)
{
    void             *handle;
    size_t            size, plt_size;
    ElfW(Sym)        *symbols;
    ElfW(Dyn)        *d;
    ElfW(Rela)       *rela, *plt;
    const char       *strings;
    struct link_map  *map;

    static void *(*real)(const char *name, int flags);

    if (real == NULL) {
        real = (void *(*)(const char *, int)) dlsym(RTLD_NEXT, "dlopen");
    }

    handle = real(name, flags);

    if (control == NULL || handle == NULL || name == NULL
        || dlsym(handle, MODULE) == NULL)
    {
        return handle;
    }

    map = handle;
    base = map->l_addr;

    rela = NULL;
    plt = NULL;
    size = 0;
    plt_size = 0;
    symbols = NULL;
    strings = NULL;

    for (d = map->l_ld; d->d_tag != DT_NULL; d++) {

        switch (d->d_tag) {

        case DT_RELA:
            rela = (ElfW(Rela) *) d->d_un.d_ptr;
            break;

        case DT_RELASZ:
            size = d->d_un.d_val;
            break;

        case DT_JMPREL:
            plt = (ElfW(Rela) *) d->d_un.d_ptr;
            break;

        case DT_PLTRELSZ:
            plt_size = d->d_un.d_val;
            break;

        case DT_SYMTAB:
            symbols = (ElfW(Sym) *) d->d_un.d_ptr;
            break;

        case DT_STRTAB:
            strings = (const char *) d->d_un.d_ptr;
            break;
        }
    }

    faults_take_all(rela, size, symbols, strings);
    faults_take_all(plt, plt_size, symbols, strings);

    return handle;
}
