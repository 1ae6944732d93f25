
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the budget of retries, on a clock of their own; at the end many
 * processes share one, as workers do.
 */


#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_counters.h"
#include "tap.h"


#define first(...)   ngx_http_graph_policy_counters_try(__VA_ARGS__)
#define retry(...)   ngx_http_graph_policy_counters_retry(__VA_ARGS__)

#define T            1700000000
#define WINDOW       NGX_HTTP_GRAPH_POLICY_WINDOW
#define BUCKETS      NGX_HTTP_GRAPH_POLICY_BUCKETS

#define PROCESSES    8
#define SECONDS      40
#define FLOOR        7
#define ASKED        300


typedef ngx_http_graph_policy_counters_t  counters_t;


static void
fresh(counters_t *c)
{
    memset(c, 0, sizeof(counters_t));
}


static void
tries(counters_t *c, size_t n, time_t now)
{
    while (n--) {
        first(c, now);
    }
}


/* how many of n are granted */

static size_t
granted(counters_t *c, size_t n, ngx_uint_t percent, ngx_uint_t floor,
    time_t now)
{
    size_t  count;

    for (count = 0; n--; /* void */ ) {
        count += (retry(c, percent, floor, now) == NGX_OK);
    }

    return count;
}


static void
test_floor(void)
{
    size_t      i, wrong;
    counters_t  c;

    fresh(&c);
    is_int(granted(&c, 100, 0, 7, T), 7, "as many a second as the floor");
    is_int(granted(&c, 100, 0, 7, T), 0, "no more in the same second");
    is_int(granted(&c, 100, 0, 7, T + 1), 7, "as many in the next one");
    is_int(granted(&c, 100, 0, 9, T + 1), 2, "another's higher floor");
    is_int(granted(&c, 100, 0, 7, T + 1), 0, "is used up for all");

    fresh(&c);
    is_int(granted(&c, 100, 0, 0, T), 0, "no floor and no share: none");
    is_int(retry(&c, 0, 0, T), NGX_DECLINED, "which is told so");
    is_int(retry(&c, 0, 1, T), NGX_OK, "and uses nothing up");

    fresh(&c);
    tries(&c, 1000, T);
    is_int(granted(&c, 100, 0, 5, T), 5, "first tries don't change the floor");

    fresh(&c);
    wrong = 0;

    for (i = 0; i < 100; i++) {
        wrong += granted(&c, 10, 0, 3, T + i) != 3;
    }

    is_int(wrong, 0, "second after second");
}


static void
test_percent(void)
{
    size_t      i, n, wrong;
    counters_t  c;

    fresh(&c);
    is_int(granted(&c, 10, 100, 0, T), 0, "nothing sent, nothing sent again");

    tries(&c, 50, T);
    is_int(granted(&c, 100, 20, 0, T), 10, "20 percent of 50");
    is_int(granted(&c, 100, 20, 0, T), 0, "and no more");
    tries(&c, 4, T);
    is_int(granted(&c, 100, 20, 0, T), 0, "20 percent of 54 are as many");
    tries(&c, 1, T);
    is_int(granted(&c, 100, 20, 0, T), 1, "of 55 there is one more");
    is_int(granted(&c, 100, 50, 0, T), 16, "another's 50 percent of 55, less 11");
    is_int(granted(&c, 100, 20, 0, T), 0, "are over the 20 percent");
    is_int(granted(&c, 100, 100, 0, T), 28, "100 percent of 55, less 27");

    fresh(&c);
    tries(&c, 99, T);
    is_int(granted(&c, 10, 1, 0, T), 0, "1 percent of 99");
    tries(&c, 1, T);
    is_int(granted(&c, 10, 1, 0, T), 1, "1 percent of 100");

    /* the floor and the share don't add up within a second */

    fresh(&c);
    tries(&c, 50, T);
    is_int(granted(&c, 100, 20, 4, T), 10, "a floor under the share");
    fresh(&c);
    tries(&c, 50, T);
    is_int(granted(&c, 100, 20, 15, T), 15, "a floor above the share");
    tries(&c, 30, T);
    is_int(granted(&c, 100, 20, 15, T), 1, "20 percent of 80, less 15");

    /* every share of every number */

    wrong = 0;

    for (n = 0; n < 130; n += 3) {
        for (i = 0; i <= 100; i++) {
            fresh(&c);
            tries(&c, n, T);
            wrong += granted(&c, n + 2, i, 0, T) != n * i / 100;
        }
    }

    is_int(wrong, 0, "rounded down, all from 0 percent to 100 percent");
}


static void
test_window(void)
{
    size_t      i, wrong;
    counters_t  c;

    /* first tries count in their second and the nine after it */

    for (i = 0; i <= WINDOW + 10; i++) {
        fresh(&c);
        tries(&c, 50, T);
        is_int(granted(&c, 100, 20, 0, T + i), (i < WINDOW) ? 10 : 0,
               "%zu seconds after the tries", i);
    }

    /* so do retries: the floor of each second fills the share of all */

    fresh(&c);
    is_int(granted(&c, 10, 0, 10, T), 10, "ten by the floor");

    for (i = 1; i < WINDOW; i++) {
        tries(&c, 5, T + i);
        is_int(granted(&c, 10, 20, 0, T + i), 0, "%zu seconds later", i);
    }

    tries(&c, 5, T + WINDOW);
    is_int(granted(&c, 100, 20, 0, T + WINDOW), 10, "they are forgotten");

    /* a steady stream: a fifth, whatever the second it is asked for in */

    fresh(&c);
    wrong = 0;

    for (i = 0; i < 200; i++) {
        tries(&c, 10, T + i);
        wrong += granted(&c, 10, 20, 0, T + i) != 2;
    }

    is_int(wrong, 0, "a steady stream has its share each second");
}


static void
test_wrap(void)
{
    size_t      i, wrong;
    counters_t  c;

    /* each bucket is met again after so many seconds, and is another's */

    wrong = 0;

    for (i = 1; i <= 3 * BUCKETS; i++) {
        fresh(&c);
        tries(&c, 50, T);
        (void) granted(&c, 50, 0, 5, T);

        if (i < WINDOW) {
            continue;
        }

        wrong += granted(&c, 100, 100, 0, T + i) != 0;
        wrong += granted(&c, 100, 0, 5, T + i) != 5;
    }

    is_int(wrong, 0, "an old bucket says nothing");

    for (i = 1; i < 4; i++) {
        fresh(&c);
        tries(&c, 1000, T);
        tries(&c, 10, T + i * BUCKETS);
        is_int(granted(&c, 100, 100, 0, T + i * BUCKETS), 10,
               "a bucket begins anew, %zu times around", i);
    }

    /* long idle, and back to front */

    fresh(&c);
    tries(&c, 50, T);
    is_int(granted(&c, 10, 100, 0, T + 86400 * 365), 0, "a year later");
    tries(&c, 10, T + 86400 * 365);
    is_int(granted(&c, 100, 10, 0, T + 86400 * 365), 1, "counts from then");

    fresh(&c);
    tries(&c, 50, T);
    is_int(granted(&c, 100, 100, 0, T - 5), 0, "the clock goes back");
    is_int(granted(&c, 100, 20, 0, T), 10, "and on again");

    /* the name of a second has 32 bits, of which all count */

    for (i = 0; i < 4; i++) {
        const time_t  now[] = { 0, WINDOW, 0x7fffffff, 0xffffffff };

        fresh(&c);
        tries(&c, 10, now[i]);
        tries(&c, 10, now[i] + 1);
        is_int(granted(&c, 100, 50, 0, now[i] + 1), 10,
               "around the second %lld", (long long) now[i]);
    }

    fresh(&c);
    tries(&c, 50, T);
    is_int(granted(&c, 10, 100, 0, T + (1LL << 20) * BUCKETS), 0,
           "the same bucket, far off");
}


/* what isn't granted uses nothing up */

static void
test_undo(void)
{
    size_t      i;
    counters_t  c, was;

    fresh(&c);
    tries(&c, 50, T);
    is_int(granted(&c, 10, 20, 0, T), 10, "all of the share");
    was = c;

    for (i = 0; i < 1000; i++) {
        (void) retry(&c, 20, 0, T);
        (void) retry(&c, 0, 10, T);
        (void) retry(&c, 0, 0, T);
    }

    is_mem(&c, sizeof(counters_t), &was, sizeof(counters_t),
           "a thousand that are denied change nothing");

    tries(&c, 5, T);
    is_int(granted(&c, 100, 20, 0, T), 1, "so that the next one is granted");
    is_int(granted(&c, 100, 0, 13, T), 2, "and the floor is as it was");

    /* in a second of its own it leaves a name and no count */

    fresh(&c);
    is_int(granted(&c, 100, 50, 0, T), 0, "denied in a new second");
    tries(&c, 4, T);
    is_int(granted(&c, 100, 50, 0, T), 2, "nothing of it counts");
}


typedef struct {
    counters_t     counters;
    ngx_atomic_t   there;
    ngx_atomic_t   granted[SECONDS];
} shared_t;


/* until all the processes have come to step number "step" */

static void
wait_for_all(shared_t *shared, size_t step)
{
    (void) ngx_atomic_fetch_add(&shared->there, 1);

    while (shared->there < step * PROCESSES) {
        sched_yield();
    }
}


static void
run_process(shared_t *shared, size_t number, ngx_uint_t percent,
    ngx_uint_t floor, size_t sent)
{
    size_t  s, n;

    alarm(300);

    for (s = 0; s < SECONDS; s++) {

        /* all of them have sent, then all of them ask, and then one alone */

        tries(&shared->counters, sent, T + s);
        wait_for_all(shared, 3 * s + 1);

        n = granted(&shared->counters, ASKED, percent, floor, T + s);
        (void) ngx_atomic_fetch_add(&shared->granted[s], n);
        wait_for_all(shared, 3 * s + 2);

        if (number == 0) {
            n = granted(&shared->counters, ASKED, percent, floor, T + s);
            (void) ngx_atomic_fetch_add(&shared->granted[s], n);
        }

        wait_for_all(shared, 3 * s + 3);
    }

    _exit(0);
}


/* 0 if one of the processes failed */

static int
together(shared_t *shared, ngx_uint_t percent, ngx_uint_t floor, size_t sent)
{
    int     status, good;
    pid_t   pids[PROCESSES];
    size_t  n;

    memset(shared, 0, sizeof(shared_t));
    fflush(stdout);

    for (n = 0; n < PROCESSES; n++) {
        pids[n] = fork();

        if (pids[n] == 0) {
            run_process(shared, n, percent, floor, sent);
        }
    }

    for (good = 1, n = 0; n < PROCESSES; n++) {

        if (pids[n] == -1 || waitpid(pids[n], &status, 0) != pids[n]
            || status != 0)
        {
            good = 0;
        }
    }

    return good;
}


/* what was granted in the ten seconds that end with this one */

static size_t
lately(shared_t *shared, size_t second)
{
    size_t  s, sum;

    s = (second < WINDOW) ? 0 : second - WINDOW + 1;

    for (sum = 0; s <= second; s++) {
        sum += shared->granted[s];
    }

    return sum;
}


static size_t
share(size_t second, size_t sent)
{
    return ((second < WINDOW) ? second + 1 : WINDOW) * sent * PROCESSES / 5;
}


static void
test_processes(void)
{
    size_t     s, over, under;
    shared_t  *shared;

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED) {
        fail("no shared memory");
        return;
    }

    ok(together(shared, 0, FLOOR, 0), "%d processes with a floor", PROCESSES);

    over = 0;
    under = 0;

    for (s = 0; s < SECONDS; s++) {
        over += shared->granted[s] > FLOOR;
        under += shared->granted[s] < FLOOR;
    }

    is_int(over, 0, "never more than the floor");
    is_int(under, 0, "nor less, as all of them ask again and again");

    ok(together(shared, 20, 0, 100), "%d processes with a share", PROCESSES);

    over = 0;
    under = 0;

    for (s = 0; s < SECONDS; s++) {
        over += lately(shared, s) > share(s, 100);
        under += lately(shared, s) < share(s, 100);
    }

    is_int(over, 0, "never more than the share of any ten seconds");
    is_int(under, 0, "nor less, as all of them ask again and again");

    ok(together(shared, 20, FLOOR, 3), "%d processes with both", PROCESSES);

    over = 0;
    under = 0;

    for (s = 0; s < SECONDS; s++) {
        over += shared->granted[s] > FLOOR
                && lately(shared, s) > share(s, 3);
        under += shared->granted[s] < FLOOR;
    }

    is_int(over, 0, "never more than the larger of both");
    is_int(under, 0, "never less than the floor");

    munmap(shared, sizeof(shared_t));
}


static void
test_minutes(void)
{
    ngx_uint_t  i;

    static ngx_atomic_t  minutes[NGX_HTTP_GRAPH_POLICY_MINUTES];

#define minute(m)     ngx_http_graph_policy_counters_minute(minutes, (m))
#define of_minute(m)  ngx_http_graph_policy_counters_of_minute(minutes, (m))

    is_int(of_minute(1000), 0, "nothing in a minute");

    minute(1000);
    minute(1000);
    minute(1001);

    is_int(of_minute(1000), 2, "two in a minute");
    is_int(of_minute(1001), 1, "one in the next");
    is_int(of_minute(1002), 0, "none after it");
    is_int(of_minute(1000 + NGX_HTTP_GRAPH_POLICY_MINUTES), 0,
           "nor a round of the ring later");

    minute(1000 + NGX_HTTP_GRAPH_POLICY_MINUTES);

    is_int(of_minute(1000 + NGX_HTTP_GRAPH_POLICY_MINUTES), 1,
           "a round later it begins anew");
    is_int(of_minute(1000), 0, "and the old minute is forgotten");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_MINUTES; i++) {
        minute(5000 + i);
    }

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_MINUTES; i++) {
        if (of_minute(5000 + i) != 1) {
            break;
        }
    }

    is_int(i, NGX_HTTP_GRAPH_POLICY_MINUTES, "each minute has its own place");
}


static void
test_parked(void)
{
    pid_t       child;
    ngx_uint_t  i;

    static ngx_http_graph_policy_counters_t  c;

#define park(pid, n)  ngx_http_graph_policy_counters_park(&c, (pid), (n))
#define parked()      ngx_http_graph_policy_counters_parked(&c)

    is_int(parked(), 0, "nobody has parked anything");

    park(getpid(), 3);
    is_int(parked(), 3, "what a worker has parked");

    park(getpid(), 5);
    is_int(parked(), 5, "is what it has said last");

    /* process 1 is there, and another user's where these aren't root's */

    park(1, 2);
    is_int(parked(), 7, "that of two workers adds up");

    park(getpid(), 0);
    is_int(parked(), 2, "a worker that has none left");

    /* valgrind has a child write what it finds in the buffer, even in _exit() */

    fflush(stdout);
    child = fork();

    if (child == 0) {
        _exit(0);
    }

    (void) waitpid(child, NULL, 0);

    park(child, 100);
    is_int(parked(), 2, "a worker that is gone doesn't count");

    /* all places are taken, that of the dead one as well */

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SLOTS; i++) {
        if (c.parked[i].pid == (ngx_atomic_uint_t) child) {
            break;
        }
    }

    ok(i < NGX_HTTP_GRAPH_POLICY_SLOTS, "it has a place");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SLOTS; i++) {
        if (c.parked[i].pid == 0) {
            c.parked[i].pid = 1;
            c.parked[i].count = 0;
        }
    }

    park(getppid(), 4);
    is_int(parked(), 6, "its place goes to a new worker");

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_SLOTS; i++) {
        c.parked[i].pid = 1;
        c.parked[i].count = 1;
    }

    park(getpid(), 9);
    is_int(parked(), NGX_HTTP_GRAPH_POLICY_SLOTS,
           "without a place nothing is counted, and nobody is pushed out");
}


int
main(void)
{
    test_minutes();
    test_parked();
    test_floor();
    test_percent();
    test_window();
    test_wrap();
    test_undo();
    test_processes();

    return tap_done();
}
