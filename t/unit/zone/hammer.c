
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * What requests, webhooks and operators do with zones that are too small for
 * it, at random: after each thousand operations the zone agrees with itself.
 * t/faults/zone.t does the same in four workers.
 */


#include "zone.h"
#include "hammer.h"


#define THOUSANDS  20


static void
test_zone(size_t size, uint64_t seed)
{
    ngx_uint_t        i;
    const char       *wrong;
    static hammer_t   h;

    ngx_memzero(&h, sizeof(hammer_t));

    zone_start(size);
    zone->conversation_hold = HAMMER_HOLD;
    zone->memory = HAMMER_HOLD;

    h.zone = zone;
    h.random = seed * 2 + 1;
    h.now = now;

    for (i = 0; i < THOUSANDS * 1000; i++) {
        hammer_once(&h);
        shim_clock(h.now);

        if (i % 1000 == 999) {
            wrong = hammer_check(zone);

            if (wrong != NULL) {
                fail("%zuk, seed %d: %s after %d operations", size / 1024,
                     (int) seed, wrong, (int) i + 1);
                return;
            }
        }
    }

    pass("%zuk agrees with itself", size / 1024);
    is_str(shim_log, "", "and nothing was logged");
}


int
main(void)
{
    test_zone(32 * 1024, 1);
    test_zone(64 * 1024, 2);
    test_zone(256 * 1024, 3);
    test_zone(1024 * 1024, 4);

    return tap_done();
}
