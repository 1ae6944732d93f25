
/*
 * Linked into the nginx of "make test-asan": where UBSan reports to.
 *
 * gcc's UBSan reads its options when it first has something to say; by then
 * nginx has emptied the environment and made stderr its error log.  And it
 * would set the path in ASan, which has a function of the same name.
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>


typedef void (*set_report_path_pt)(const char *path);


static char  options[4096] = "print_stacktrace=1";


const char *__ubsan_default_options(void);


__attribute__((constructor))
static void
report_to(void)
{
    char                *path;
    void                *lib;
    set_report_path_pt   set;

    path = getenv("UBSAN_LOG");
    if (path == NULL) {
        return;
    }

    snprintf(options, sizeof(options), "print_stacktrace=1:log_path=%s", path);

    lib = dlopen("libubsan.so.1", RTLD_LAZY|RTLD_NOLOAD);
    if (lib == NULL) {
        return;
    }

    *(void **) &set = dlsym(lib, "__sanitizer_set_report_path");
    if (set) {
        set(path);
    }
}


const char *
__ubsan_default_options(void)
{
    return options;
}
