
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Preloaded into nginx, and into an engine that hosts share states through, so
 * that a test has the clock: it stands still until the test writes other times
 * into the file that GRAPH_POLICY_CLOCK names.  These are two numbers of eight
 * bytes: the time of day, in milliseconds since 1970, and that of the clock by
 * which timers go, which needn't jump with it.  The file is mapped, so a look
 * at the clock costs no system call.
 *
 * A short wait for events takes a millisecond at most: what is due by the
 * clock has nothing to do with how long the wait takes.  GRAPH_POLICY_SHORT
 * says what is short, in milliseconds, 20 by default.
 *
 * GRAPH_POLICY_HOST is the name of the host, so that one machine has several.
 */


#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>


static volatile int64_t  *clock_ms;        /* of day, of timers */
static char               host_name[64];
static int                short_ms = 20;


__attribute__((constructor)) static void
clock_open(void)
{
    int          fd;
    void        *p;
    const char  *name;

    /* nginx writes its title over what is there */

    name = getenv("GRAPH_POLICY_HOST");
    if (name != NULL) {
        (void) strncpy(host_name, name, sizeof(host_name) - 1);
    }

    name = getenv("GRAPH_POLICY_SHORT");
    if (name != NULL) {
        short_ms = atoi(name);
    }

    name = getenv("GRAPH_POLICY_CLOCK");
    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        abort();
    }

    clock_ms = p;

    (void) close(fd);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t  now;

    if (clock_ms == NULL) {
        return (int) syscall(SYS_clock_gettime, id, ts);
    }

    switch (id) {

    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        now = clock_ms[1];
        break;

    default:
        now = clock_ms[0];
    }

    ts->tv_sec = (time_t) (now / 1000);
    ts->tv_nsec = (long) (now % 1000) * 1000000;

    return 0;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec  ts;

    (void) zone;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = (suseconds_t) (ts.tv_nsec / 1000);

    return 0;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    if (t != NULL) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}


int
epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    if (clock_ms != NULL && timeout > 1 && timeout <= short_ms) {
        timeout = 1;
    }

    return (int) syscall(SYS_epoll_pwait, fd, events, count, timeout, NULL, 8);
}


int
gethostname(char *name, size_t len)
{
    struct utsname  uts;
    const char     *text;

    text = host_name;

    if (text[0] == '\0') {

        if (uname(&uts) == -1) {
            return -1;
        }

        text = uts.nodename;
    }

    (void) strncpy(name, text, len);

    return 0;
}
