
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The backoff room: whether a request is sent again and when, with time and
 * chance given.
 */


#include "tap.h"
#include "ngx_http_graph_policy_backoff.h"


#define AGAIN        NGX_HTTP_GRAPH_POLICY_AGAIN
#define NO_RETRY     NGX_HTTP_GRAPH_POLICY_NO_RETRY
#define NO_ATTEMPTS  NGX_HTTP_GRAPH_POLICY_NO_ATTEMPTS
#define NO_UNKNOWN   NGX_HTTP_GRAPH_POLICY_NO_UNKNOWN
#define NO_TIME      NGX_HTTP_GRAPH_POLICY_NO_TIME

#define DAY          86400000
#define POISON       0xa5a5

#define LONGEST      ((ngx_msec_t) -1)
#define MOST         ((ngx_uint_t) -1)


/* what the defaults of graph_policy_retry are */

static const ngx_http_graph_policy_backoff_t  defaults = {
    3, 500, 2, 10000, 10000, 20, 10, 1
};

static ngx_http_graph_policy_backoff_t  conf;
static ngx_http_graph_policy_verdict_t  verdict;
static ngx_http_graph_policy_tries_t    tries;


/* the state of a POST that was refused once, a while ago, for no known time */

static void
reset(void)
{
    conf = defaults;

    memset(&verdict, 0, sizeof(verdict));
    memset(&tries, 0, sizeof(tries));

    verdict.category = NGX_HTTP_GRAPH_POLICY_TEMPORARY;
    verdict.matched = 1;
    verdict.retry = 1;
    verdict.refused = 1;

    tries.attempts = 1;
    tries.elapsed = 20;
}


/* the delay, or minus what kept the request from being sent again */

static int64_t
next(uint32_t random)
{
    ngx_msec_t                       delay;
    ngx_http_graph_policy_backoff_e  rc;

    delay = POISON;

    rc = ngx_http_graph_policy_backoff_next(&conf, &verdict, &tries, random,
                                            &delay);

    if (rc != AGAIN) {
        return (delay == POISON) ? -(int64_t) rc : INT64_MIN;
    }

    return (int64_t) delay;
}


/* the shortest and the longest delay that chance can make */

static void
spread(int64_t low, int64_t high, const char *name)
{
    int       outside;
    int64_t   delay, least, most;
    uint32_t  random;

    least = INT64_MAX;
    most = INT64_MIN;
    outside = 0;

    for (random = 0; random < 20000; random++) {
        delay = next(random);

        least = ngx_min(least, delay);
        most = ngx_max(most, delay);
    }

    for (random = UINT32_MAX; random > UINT32_MAX - 20000; random--) {
        delay = next(random);
        outside += (delay < low || delay > high);
    }

    if (!ok(least == low && most == high && outside == 0, "%s", name)) {
        diag("  %jd to %jd, not %jd to %jd, %d outside", (intmax_t) least,
             (intmax_t) most, (intmax_t) low, (intmax_t) high, outside);
    }
}


static void
test_verdict(void)
{
    ngx_uint_t  i;

    reset();
    is_int(next(0), 250, "a temporary error is sent again");

    verdict.retry = 0;
    is_int(next(0), -NO_RETRY, "not where the row forbids it");

    verdict.retry = 1;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_NCATEGORIES; i++) {

        if (i == NGX_HTTP_GRAPH_POLICY_TEMPORARY) {
            continue;
        }

        verdict.category = i;
        is_int(next(0), -NO_RETRY, "no error of category %d is", (int) i);
    }
}


static void
test_attempts(void)
{
    reset();

    tries.attempts = 2;
    is_int(next(0), 500, "a third try of three");

    tries.attempts = 3;
    is_int(next(0), -NO_ATTEMPTS, "no fourth one");

    tries.attempts = MOST;
    is_int(next(0), -NO_ATTEMPTS, "nor one past all counting");

    tries.attempts = 1;
    conf.attempts = 1;
    is_int(next(0), -NO_ATTEMPTS, "one try in all is no retry");

    conf.attempts = 0;
    is_int(next(0), -NO_ATTEMPTS, "0 is off");

    conf.attempts = 2;
    is_int(next(0), 250, "two in all are one retry");
}


static void
test_unknown(void)
{
    reset();

    verdict.refused = 0;
    is_int(next(0), 250, "an unknown outcome is sent again once");

    tries.unknown = 1;
    is_int(next(0), -NO_UNKNOWN, "and no more");

    tries.unknown = 7;
    is_int(next(0), -NO_UNKNOWN, "in no case");

    conf.unknown = 8;
    is_int(next(0), 250, "but as often as is configured");

    conf.unknown = 0;
    tries.unknown = 0;
    is_int(next(0), -NO_UNKNOWN, "never with unknown=0");

    tries.idempotent = 1;
    is_int(next(0), 250, "an idempotent method doesn't matter");

    tries.unknown = 7;
    is_int(next(0), 250, "however often");

    tries.idempotent = 0;
    verdict.refused = 1;
    is_int(next(0), 250, "nor does what was refused");
}


/* of several reasons the one that says most is told */

static void
test_order(void)
{
    reset();

    conf.unknown = 0;
    verdict.retry = 0;
    verdict.refused = 0;
    tries.attempts = 3;
    tries.elapsed = 60000;

    is_int(next(0), -NO_RETRY, "the row comes first");

    verdict.retry = 1;
    is_int(next(0), -NO_ATTEMPTS, "then the attempts");

    tries.attempts = 2;
    is_int(next(0), -NO_UNKNOWN, "then the outcome");

    conf.unknown = 1;
    is_int(next(0), -NO_TIME, "then the time");

    tries.elapsed = 0;
    is_int(next(0), 500, "then nothing is left");
}


static void
test_curve(void)
{
    reset();

    conf.attempts = 1000;
    conf.deadline = LONGEST;

    spread(250, 500, "the second try: base, half of it chance");

    tries.attempts = 2;
    spread(500, 1000, "the third: twice as long");

    tries.attempts = 3;
    spread(1000, 2000, "the fourth: four times");

    tries.attempts = 5;
    spread(4000, 8000, "the sixth: the last below max");

    tries.attempts = 6;
    spread(5000, 10000, "the seventh: max");

    tries.attempts = 999;
    spread(5000, 10000, "the thousandth: no more");

    conf.factor = 1;
    spread(250, 500, "a factor of 1 stays at the base");

    conf.factor = 10;
    tries.attempts = 2;
    spread(2500, 5000, "a factor of 10");

    conf.base = 3;
    conf.max = 31;
    spread(15, 30, "the last below max, if only just");

    conf.base = 500;
    conf.max = 300;
    spread(150, 300, "max below base");

    conf.max = 7;
    spread(4, 7, "an odd wait has both ends within [1/2, 1]");

    conf.max = 1;
    spread(1, 1, "1 ms");

    conf.max = 0;
    spread(1, 1, "never less than 1 ms");

    conf.max = 10000;
    conf.base = 0;
    spread(1, 1, "without a base neither");

    conf.base = 500;
    conf.factor = 0;
    is_int(next(0), 250, "a factor of 0 is none");
}


/* numbers that no wait reaches must neither wrap around nor take long */

static void
test_large(void)
{
    ngx_uint_t  i;
    ngx_msec_t  delay;

    reset();

    conf.attempts = MOST;
    conf.deadline = LONGEST;
    conf.max = LONGEST;
    conf.base = 3;
    conf.factor = 10;
    tries.elapsed = 0;
    tries.attempts = MOST - 1;

    is_int(ngx_http_graph_policy_backoff_next(&conf, &verdict, &tries, 0,
                                              &delay), AGAIN,
           "no max and no deadline");
    ok(delay == LONGEST / 2 + 1, "half of the longest wait there is");

    (void) ngx_http_graph_policy_backoff_next(&conf, &verdict, &tries,
                                              UINT32_MAX, &delay);
    ok(delay > LONGEST / 2, "no less with chance");

    tries.elapsed = LONGEST / 2 + 1;
    is_int(next(0), -NO_TIME, "a sum past the longest is past the deadline");

    tries.elapsed = LONGEST;
    is_int(next(0), -NO_TIME, "so is the time itself");

    tries.elapsed = 0;
    conf.factor = MOST;
    tries.attempts = 2;
    (void) ngx_http_graph_policy_backoff_next(&conf, &verdict, &tries, 0,
                                              &delay);
    ok(delay == LONGEST / 2 + 1, "the largest factor");

    conf.factor = 1;
    tries.attempts = MOST - 1;
    is_int(next(0), 2, "a factor of 1, however often");

    conf.factor = 0;
    is_int(next(0), 2, "a factor of 0 too");

    conf.factor = 2;
    conf.base = 0;
    is_int(next(0), 1, "a base of 0 too");

    /* exact up to the limit */

    conf.base = 1;
    conf.max = 1 << 30;

    for (i = 0; i < 40; i++) {
        tries.attempts = i + 1;

        if (next(0) != ngx_max((int64_t) 1 << ngx_min(i, 30), 2) / 2) {
            break;
        }
    }

    is_int(i, 40, "all powers of two up to max");
}


static void
test_row(void)
{
    reset();

    conf.attempts = 10;
    conf.deadline = LONGEST;

    verdict.wait = 5000;
    spread(5000, 5000, "the row's wait is the least, without chance");

    tries.attempts = 9;
    spread(5000, 10000, "the backoff may be longer");

    tries.attempts = 1;
    verdict.wait = 400;
    spread(400, 500, "or be longer by chance");

    verdict.wait = 0;
    spread(250, 500, "no wait of the row");

    verdict.wait = 1000;
    conf.max = 10;
    is_int(next(0), 1000, "max bounds the backoff, not the row's wait");
}


static void
test_pair(void)
{
    ngx_uint_t  n;
    ngx_msec_t  want;

    static const ngx_msec_t  waits[] = {
        1000, 4000, 16000, 64000, 256000, 1024000, 4096000, 16384000,
        65536000
    };

    reset();

    verdict.wait = 1000;
    verdict.grows = 1;
    conf.attempts = MOST;
    conf.deadline = LONGEST;

    for (n = 2; n < 15; n++) {
        want = (n - 2 < sizeof(waits) / sizeof(waits[0])) ? waits[n - 2] : DAY;

        is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, n), want,
               "the pair limit's wait before try %d", (int) n);

        tries.attempts = n - 1;
        is_int(next(0), want, "and the delay then");
    }

    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, MOST), DAY,
           "a day before any later try");
    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, 1), 1000,
           "a first try has the plain one");
    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, 0), 1000,
           "so has none");

    verdict.wait = 0;
    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, MOST), 0,
           "nothing grows to nothing");

    verdict.wait = 7000;
    verdict.grows = 0;
    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, 2), 7000,
           "other waits are the same before try 2");
    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, 9), 7000,
           "and before try 9");

    /* the configuration may ask for more than Graph is believed */

    verdict.wait = 2 * DAY;
    is_int(ngx_http_graph_policy_backoff_row_wait(&verdict, 3), 2 * DAY,
           "a wait of two days");

    /* with the defaults */

    reset();

    verdict.wait = 1000;
    verdict.grows = 1;

    is_int(next(UINT32_MAX), 1000, "131056, try 2");

    tries.attempts = 2;
    tries.elapsed = 1100;
    is_int(next(UINT32_MAX), 4000, "131056, try 3");

    conf.attempts = 4;
    tries.attempts = 3;
    tries.elapsed = 5200;
    is_int(next(UINT32_MAX), -NO_TIME, "131056, try 4: 16 s are too long");
}


static void
test_hint(void)
{
    reset();

    conf.deadline = LONGEST;

    tries.hint = 3000;
    spread(3000, 3000, "the hint is the least, without chance");

    tries.hint = 400;
    spread(400, 500, "the backoff may be longer");

    verdict.wait = 2000;
    is_int(next(0), 2000, "so may the row's wait");

    tries.hint = 2001;
    is_int(next(0), 2001, "or the hint be longer than that");

    tries.hint = DAY;
    is_int(next(0), DAY, "a hint of a day");

    tries.hint = DAY + 1;
    is_int(next(0), DAY, "is the longest that is believed");

    tries.hint = LONGEST;
    is_int(next(0), DAY, "whatever Graph says");

    reset();

    tries.hint = LONGEST;
    is_int(next(0), -NO_TIME, "and past the deadline");
}


static void
test_deadline(void)
{
    reset();

    verdict.wait = 4000;

    tries.elapsed = 6000;
    is_int(next(0), 4000, "a start at the deadline is in time");

    tries.elapsed = 6001;
    is_int(next(0), -NO_TIME, "1 ms later isn't");

    tries.elapsed = 10000;
    is_int(next(0), -NO_TIME, "nor at the deadline with a wait to come");

    tries.elapsed = 10001;
    is_int(next(0), -NO_TIME, "nor past it");

    verdict.wait = 0;
    conf.base = 0;
    is_int(next(0), -NO_TIME, "not even at once");

    tries.elapsed = 10000;
    is_int(next(0), -NO_TIME, "as at once is 1 ms");

    tries.elapsed = 9999;
    is_int(next(0), 1, "which there may be left");

    tries.elapsed = 0;
    conf.deadline = 0;
    is_int(next(0), -NO_TIME, "no time at all");

    /* chance decides where the deadline cuts the jitter */

    reset();

    tries.elapsed = 9700;
    is_int(next(0), 250, "a short delay fits");
    is_int(next(250), -NO_TIME, "a long one doesn't");

    /* 4 and 80007 without a hint */

    reset();

    verdict.wait = 60000;
    is_int(next(0), -NO_TIME, "a minute isn't within the default deadline");
}


int
main(void)
{
    test_verdict();
    test_attempts();
    test_unknown();
    test_order();
    test_curve();
    test_large();
    test_row();
    test_pair();
    test_hint();
    test_deadline();

    return tap_done();
}
