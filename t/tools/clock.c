
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Preloaded into nginx, so that a test has the clock: it stands still until
 * the test writes another time, in milliseconds since 1970, into the file that
 * GRAPH_POLICY_CLOCK names.  The file is mapped, so a look at the clock costs
 * no system call.
 *
 * A short wait for events takes a millisecond at most: what is due by the
 * clock has nothing to do with how long the wait takes.
 */


#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


#define SHORT  20


static volatile int64_t  *clock_ms;


__attribute__((constructor)) static void
clock_open(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("GRAPH_POLICY_CLOCK");
    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        abort();
    }

    clock_ms = p;

    (void) close(fd);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (clock_ms == NULL) {
        return (int) syscall(SYS_clock_gettime, id, ts);
    }

    ts->tv_sec = (time_t) (*clock_ms / 1000);
    ts->tv_nsec = (long) (*clock_ms % 1000) * 1000000;

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
    if (clock_ms != NULL && timeout > 1 && timeout <= SHORT) {
        timeout = 1;
    }

    return (int) syscall(SYS_epoll_pwait, fd, events, count, timeout, NULL, 8);
}
