
/*
 * Linked into the module by a build that finds faults: what the module calls
 * of nginx, libc and yajl while this process holds the mutex of a zone ends
 * the process.  The linker's --wrap brings each call here.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>
#include "ngx_http_graph_policy_locks.h"


#define must_not_hold()                                                       \
    if (ngx_http_graph_policy_locks != 0) {                                   \
        ngx_abort();                                                          \
    }

#define wrapped(type, name, args, names)                                      \
    type __real_##name args;                                                  \
    type __wrap_##name args;                                                  \
                                                                              \
    type                                                                      \
    __wrap_##name args                                                        \
    {                                                                         \
        must_not_hold();                                                      \
        return __real_##name names;                                           \
    }


void __real_ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...);
void __wrap_ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...);


void
__wrap_ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p, text[NGX_MAX_ERROR_STR];
    va_list   args;

    must_not_hold();

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + NGX_MAX_ERROR_STR, fmt, args);
    va_end(args);

    __real_ngx_log_error_core(level, log, err, "%*s", (size_t) (p - text),
                              text);
}


wrapped(void *, malloc, (size_t size), (size))
wrapped(void *, ngx_alloc, (size_t size, ngx_log_t *log), (size, log))
wrapped(void *, ngx_calloc, (size_t size, ngx_log_t *log), (size, log))
wrapped(void *, ngx_palloc, (ngx_pool_t *pool, size_t size), (pool, size))
wrapped(void *, ngx_pnalloc, (ngx_pool_t *pool, size_t size), (pool, size))
wrapped(void *, ngx_pcalloc, (ngx_pool_t *pool, size_t size), (pool, size))
wrapped(void *, ngx_array_push, (ngx_array_t *a), (a))
wrapped(void *, ngx_list_push, (ngx_list_t *list), (list))

wrapped(yajl_handle, yajl_alloc,
        (const yajl_callbacks *callbacks, yajl_alloc_funcs *funcs, void *ctx),
        (callbacks, funcs, ctx))
wrapped(yajl_status, yajl_parse,
        (yajl_handle handle, const unsigned char *text, size_t len),
        (handle, text, len))
wrapped(yajl_status, yajl_complete_parse, (yajl_handle handle), (handle))
wrapped(yajl_gen, yajl_gen_alloc, (const yajl_alloc_funcs *funcs), (funcs))
wrapped(yajl_gen_status, yajl_gen_string,
        (yajl_gen gen, const unsigned char *text, size_t len),
        (gen, text, len))
