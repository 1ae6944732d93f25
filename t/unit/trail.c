
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the trail: what is told of one state among many, how much, and since
 * when; a ring that is full, and none at all.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_trail.h"
#include "tap.h"


#define SIZE  8
#define MOST  NGX_HTTP_GRAPH_POLICY_STEPS

typedef ngx_http_graph_policy_trail_t  trail_t;
typedef ngx_http_graph_policy_step_t   step_t;

static step_t   ring[SIZE];
static trail_t  trail;


static void
begin(step_t *steps, ngx_uint_t size)
{
    memset(&trail, 0, sizeof(trail_t));
    trail.steps = steps;
    trail.size = size;
}


static void
add(uint64_t hash, uint8_t reason, uint64_t time)
{
    step_t  step;

    memset(&step, 0, sizeof(step_t));

    step.hash = hash;
    step.reason = reason;
    step.time = time;
    step.what = NGX_HTTP_GRAPH_POLICY_SET;

    ngx_http_graph_policy_trail_add(&trail, &step);
}


/* the times of what is told */

static const char *
told(uint64_t hash, uint8_t reason, uint64_t since)
{
    size_t       len;
    step_t       steps[MOST + 1];
    ngx_uint_t   i, n;

    static char  out[1024];

    memset(steps, 0xa5, sizeof(steps));

    n = ngx_http_graph_policy_trail_of(&trail, hash, reason, since, steps);
    out[0] = '\0';
    len = 0;

    for (i = 0; i < n; i++) {
        len += snprintf(out + len, sizeof(out) - len, "%s%d", i ? " " : "",
                        (int) steps[i].time);
    }

    if (((u_char *) &steps[MOST])[0] != 0xa5) {
        return "written past the end";
    }

    return out;
}


static void
test_one_of_many(void)
{
    begin(ring, SIZE);

    is_str(told(1, 1, 0), "", "of nothing nothing is told");

    add(1, 1, 10);
    add(2, 1, 20);
    add(1, 2, 30);
    add(1, 1, 40);

    is_str(told(1, 1, 0), "10 40", "the steps of a state, the oldest first");
    is_str(told(2, 1, 0), "20", "not those of another one");
    is_str(told(1, 2, 0), "30", "nor those of another reason");
    is_str(told(3, 1, 0), "", "nor those of none");
    is_str(told(1, 1, 11), "40", "nor what was before it began");
    is_str(told(1, 1, 40), "40", "the beginning is told, too");
}


static void
test_full(void)
{
    ngx_uint_t  i;

    begin(ring, SIZE);

    for (i = 1; i <= SIZE; i++) {
        add(1, 1, i);
    }

    is_str(told(1, 1, 0), "1 2 3 4 5 6 7 8", "a full ring");

    add(2, 1, 9);
    is_str(told(1, 1, 0), "2 3 4 5 6 7 8", "its oldest step leaves");

    for (i = 10; i <= 10 * SIZE + 3; i++) {
        add(1 + i % 2, 1, i);
    }

    is_str(told(1, 1, 0), "76 78 80 82", "many times over");
    is_str(told(2, 1, 0), "77 79 81 83", "of each what is left");

    for (i = 0; i < SIZE; i++) {
        add(3, 1, 100);
    }

    is_str(told(1, 1, 0), "", "others push out all of one");
}


static void
test_most(void)
{
    char        expected[1024];
    step_t      large[4 * MOST];
    size_t      len;
    ngx_uint_t  i;

    begin(large, 4 * MOST);

    for (i = 1; i <= 2 * MOST; i++) {
        add(1, 1, i);
    }

    len = 0;

    for (i = MOST + 1; i <= 2 * MOST; i++) {
        len += snprintf(expected + len, sizeof(expected) - len, "%s%d",
                        len ? " " : "", (int) i);
    }

    is_str(told(1, 1, 0), expected, "of many steps the latest are told");
}


static void
test_none(void)
{
    begin(NULL, 0);
    add(1, 1, 10);

    is_str(told(1, 1, 0), "", "without memory nothing is kept");
    is_int(trail.n, 0, "nor counted");
}


int
main(void)
{
    test_one_of_many();
    test_full();
    test_most();
    test_none();

    return done_testing();
}
