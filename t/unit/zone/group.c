
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of phones that are disconnected together: those of an account or, while
 * that is unknown, of a token.
 */


#include "zone.h"


#define SCOPE_ACCOUNT  NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT


static void
test_groups(void)
{
    uint64_t    hash;
    identity_t  a, b, c;

    zone_start(ZONE_SIZE);
    a = zone_who("10001", "20001", 7);
    b = zone_who("10002", "20001", 8);
    c = zone_who("10003", "20003", 7);

    zone_fail(&a, 131045, ANSWER);
    is_int(view.reason, DISCONNECTED, "one phone is disconnected");
    zone_fail(&c, 131045, ANSWER);
    is_int(view.reason, DISCONNECTED, "and one of another account");
    zone_fail(&b, 131045, ANSWER);
    is_int(view.reason, DISCONNECTEDS, "two of an account are many");
    is_int(view.stored_reason, DISCONNECTED, "by their own reason");
    hash = view.hash;
    zone_ask(&a);
    is_int(view.reason, DISCONNECTEDS, "which the first one shows, too");
    zone_ask(&c);
    is_int(view.reason, DISCONNECTED, "but not the other account's");
    zone_agrees("with a group");

    ngx_http_graph_policy_zone_end(zone, hash, DISCONNECTED, now, &changes);
    is_int(changes.views[0].reason, DISCONNECTEDS, "one ends");
    zone_ask(&a);
    is_int(view.reason, DISCONNECTED, "the other one is alone then");
    zone_agrees("with one that left");

    /* of one phone two states may be in a group; that is one phone still */

    zone_start(ZONE_SIZE);
    a = zone_who("10001", NULL, 7);
    zone_fail(&a, 131045, ANSWER);
    zone_fail(&a, 33, ANSWER);
    is_int(view.reason, DISCONNECTED, "a phone twice is one phone");
    b = zone_who("10002", NULL, 7);
    zone_fail(&b, 33, ANSWER);
    is_int(view.reason, DISCONNECTEDS, "another one of the token makes two");
    a = zone_who("10003", NULL, 8);
    zone_fail(&a, 33, ANSWER);
    is_int(view.reason, DISCONNECTED, "one of another token doesn't");

    /* what is bound stays with its token, and says nothing to others */

    zone_start(ZONE_SIZE);
    a = zone_who("10001", "20001", 7);
    b = zone_who("10002", "20001", 7);
    zone_fail(&a, 131045, ANSWER);
    zone_fail(&b, 33, ANSWER);
    is_int(view.reason, DISCONNECTED, "a bound state isn't in its account's");
    a = zone_who("10003", "20001", 7);
    zone_fail(&a, 33, ANSWER);
    is_int(view.reason, DISCONNECTEDS, "but in its token's");

    /* other reasons, and kinds, are in no group */

    zone_start(ZONE_SIZE);
    a = zone_who("10001", "20001", 7);
    b = zone_who("10002", "20001", 7);
    zone_fail(&a, 131037, ANSWER);
    zone_fail(&b, 131037, ANSWER);
    is_int(view.reason, NGX_HTTP_GRAPH_POLICY_OTHER, "another reason stays");

    zone_failure(131045, ANSWER);
    verdict.category = NGX_HTTP_GRAPH_POLICY_TEMPORARY;
    zone_learn(&a);
    zone_failure(131045, ANSWER);
    verdict.category = NGX_HTTP_GRAPH_POLICY_TEMPORARY;
    zone_learn(&b);
    is_int(view.reason, DISCONNECTED, "and so does what is temporary");

    zone_start(ZONE_SIZE);
    zone_failure(131045, ANSWER);
    verdict.scope = SCOPE_ACCOUNT;
    a = zone_who("10001", NULL, 7);
    zone_learn(&a);
    b = zone_who("10002", NULL, 7);
    zone_failure(131045, ANSWER);
    verdict.scope = SCOPE_ACCOUNT;
    zone_learn(&b);
    is_int(view.reason, DISCONNECTED, "and what covers an account");
    zone_agrees("without groups");

    /* an event of an unknown account has no group; a link gives it one */

    zone_start(ZONE_SIZE);
    a = zone_who("10001", NULL, 0);
    zone_fail(&a, 131045, WEBHOOK);
    b = zone_who("10004", NULL, 0);
    zone_fail(&b, 131045, WEBHOOK);
    is_int(view.reason, DISCONNECTED, "two of whom nothing is known");
    b = zone_who("10002", "20001", 7);
    zone_fail(&b, 131045, ANSWER);
    is_int(view.reason, DISCONNECTED, "two that aren't known to be of one");
    a = zone_who("10001", "20001", 0);
    ngx_http_graph_policy_zone_link(zone, &a, NULL, now, &changes);
    zone_ask(&b);
    is_int(view.reason, DISCONNECTEDS, "are, once that is known");

    /* from its token's group it moves to its account's */

    zone_start(ZONE_SIZE);
    a = zone_who("10001", NULL, 7);
    zone_fail(&a, 131045, ANSWER);
    b = zone_who("10002", NULL, 7);
    zone_fail(&b, 131045, ANSWER);
    is_int(view.reason, DISCONNECTEDS, "two of a token");
    a = zone_who("10001", "20001", 7);
    ngx_http_graph_policy_zone_link(zone, &a, NULL, now, &changes);
    zone_ask(&a);
    is_int(view.reason, DISCONNECTED, "one moves to its account");
    zone_ask(&b);
    is_int(view.reason, DISCONNECTED, "and leaves the other one alone");
    zone_agrees("after a move");

    /* a failure that doesn't know the account doesn't move it back */

    zone_at(now + 2 * HOLD);
    a = zone_who("10002", "20001", 7);
    zone_fail(&a, 131045, ANSWER);
    b = zone_who("10003", "20001", 7);
    zone_fail(&b, 131045, ANSWER);
    zone_at(now + 4 * HOLD);
    a.account.len = 0;
    zone_fail(&a, 131045, ANSWER);
    is_int(view.transition, REARMED, "a failure without an account");
    is_int(view.reason, DISCONNECTEDS, "leaves the group as it is");
    zone_agrees("in the end");
}


static void
test_many_in_group(void)
{
    char        phone[16];
    uint64_t    hashes[6];
    ngx_uint_t  i, j, n;
    identity_t  id;

    /* whichever leaves, in whatever order, the rest are a group */

    for (i = 0; i < 6; i++) {
        zone_start(ZONE_SIZE);

        for (j = 0; j < 6; j++) {
            (void) sprintf(phone, "%u", (unsigned) (10000 + j));
            id = zone_who(phone, "20001", 7);
            zone_fail(&id, 131045, ANSWER);
            hashes[j] = view.hash;
        }

        n = 0;

        for (j = 0; j < 6; j++) {
            ngx_http_graph_policy_zone_end(zone, hashes[(i + j * 5) % 6],
                                           DISCONNECTED, now, &changes);
            n += (changes.views[0].reason == (j < 5 ? DISCONNECTEDS
                                                    : DISCONNECTED));
            n += (hammer_check(zone) == NULL);
        }

        is_int(n, 12, "a group of six gets smaller from number %d on", (int) i);
    }
}


int
main(void)
{
    test_groups();
    test_many_in_group();

    return tap_done();
}
