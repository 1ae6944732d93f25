
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what webhooks teach of phones: whose they are, and which number they
 * have.
 */


#include "zone.h"


#define KNOWN        NGX_HTTP_GRAPH_POLICY_LINK_KNOWN
#define OTHER        NGX_HTTP_GRAPH_POLICY_LINK_OTHER
#define TOO_MANY     NGX_HTTP_GRAPH_POLICY_LINK_TOO_MANY
#define NO_ROOM      NGX_HTTP_GRAPH_POLICY_LINK_NO_ROOM

#define DAY          (24 * HOUR)


static u_char     other_data[NGX_HTTP_GRAPH_POLICY_KEY_LEN];
static ngx_str_t  other = { 0, other_data };


/* A signed webhook says so. */

static ngx_uint_t
learn(const char *phone, const char *account, uint64_t number)
{
    identity_t  id;

    id = zone_who(phone, account, 0);
    id.number = number;
    other.len = 0;

    return ngx_http_graph_policy_zone_link(zone, &id, &other, now, &changes);
}


/* the account of a phone, as far as it is known */

static const char *
account_of(const char *phone)
{
    static char        text[NGX_HTTP_GRAPH_POLICY_KEY_LEN + 1];
    static identity_t  id;

    id = zone_who(phone, NULL, 0);
    ngx_http_graph_policy_zone_account(zone, &id);

    ngx_memcpy(text, id.account.data ? id.account.data : (u_char *) "",
               id.account.len);
    text[id.account.len] = '\0';

    return text;
}


/* the phone of a number */

static const char *
numbered(const char *account, uint64_t number)
{
    static char  text[NGX_HTTP_GRAPH_POLICY_PHONE_LEN + 1];
    ngx_str_t    phone;
    identity_t   id;

    id = zone_who(NULL, account, 0);
    id.number = number;

    phone.data = (u_char *) text;
    phone.len = 0;

    if (ngx_http_graph_policy_zone_numbered(zone, &id, &phone) != NGX_OK) {
        return "none";
    }

    text[phone.len] = '\0';

    return text;
}


/* how many phones of an account there are, each told once, in their order */

static ngx_int_t
phones(const char *account)
{
    u_char      text[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    u_char      before[NGX_HTTP_GRAPH_POLICY_PHONE_LEN];
    size_t      len;
    ngx_str_t   name, phone;
    ngx_int_t   n;

    zone_text(&name, account);
    phone.data = text;
    phone.len = 0;
    len = 0;

    for (n = 0; n < 10000; n++) {

        if (ngx_http_graph_policy_zone_next_phone(zone, &name, &phone)
            != NGX_OK)
        {
            return n;
        }

        if (phone.len < len
            || (phone.len == len && ngx_memcmp(before, text, len) >= 0))
        {
            return -1;
        }

        len = phone.len;
        ngx_memcpy(before, text, len);
    }

    return -1;
}


static void
test_link(void)
{
    stats_t     stats;
    uint64_t    revision;
    identity_t  id;

    zone_start(ZONE_SIZE);

    is_str(account_of("10001"), "", "at first no phone is known");
    is_int(phones("20001"), 0, "nor any of an account");

    is_int(learn("10001", "20001", 0), KNOWN, "a webhook tells of one");
    is_str(account_of("10001"), "20001", "its account is known then");
    is_str(account_of("10002"), "", "but no other phone's");
    is_int(phones("20001"), 1, "the account has it");
    is_int(phones("20002"), 0, "another one hasn't");
    is_int(changes.n, 0, "nothing is told of that");

    ngx_http_graph_policy_zone_stats(zone, &stats);
    is_int(stats.links, 1, "it is counted");
    is_int(sh->changes, 1, "and is to be saved");

    id = zone_who("10001", "20009", 0);
    ngx_http_graph_policy_zone_account(zone, &id);
    is_mem(id.account.data, id.account.len, "20009", 5,
           "who names an account keeps it");
    id.credential = 7;
    zone_fail(&id, 131042, ANSWER);
    is_mem(view.key, view.key_len, "20009", 5, "and fails for that one");

    is_int(learn("10001", "20002", 0), OTHER, "another account's word");
    is_mem(other.data, other.len, "20001", 5, "is told whose the phone is");
    is_str(account_of("10001"), "20001", "it stays there");

    zone_at(T0 + DAY - 1);
    is_int(learn("10001", "20002", 0), OTHER, "for a day");
    zone_at(T0 + DAY);
    is_int(learn("10001", "20002", 0), KNOWN, "then it may move");
    is_str(account_of("10001"), "20002", "to the other one");
    is_int(phones("20001"), 0, "which has lost it");
    is_int(phones("20002"), 1, "and the other one has it");
    zone_agrees("after a move");

    /* each word of it counts anew */

    zone_at(T0 + DAY + HOUR);
    learn("10001", "20002", 0);
    zone_at(T0 + 2 * DAY);
    is_int(learn("10001", "20001", 0), OTHER, "what was confirmed stays");

    /* within a second, and while nothing changes, it is asked once */

    zone_at(T0 + 3 * DAY);
    learn("10001", "20002", 0);
    revision = zone_tells;
    learn("10001", "20002", 0);
    is_int(zone_tells - revision, 0, "the same once more is known");
    zone_at(now + 999);
    learn("10001", "20002", 0);
    is_int(zone_tells - revision, 0, "for a second");
    zone_at(now + 1);
    learn("10001", "20002", 0);
    is_int(zone_tells - revision, 1, "then the zone hears of it");
    learn("10001", "20001", 0);
    is_int(zone_tells - revision, 2, "and of another account");
    learn("10001", "20002", 5);
    is_int(zone_tells - revision, 3, "of a number");
    learn("10001", "20002", 5);
    is_int(zone_tells - revision, 3, "once");
    learn("10002", "20002", 5);
    is_int(zone_tells - revision, 4, "of another phone");
    learn("100021", "20002", 5);
    is_int(zone_tells - revision, 5, "of a longer one");
    learn("100021", "200021", 5);
    is_int(zone_tells - revision, 6, "of a longer account");
    learn("100021", "20002", 5);
    revision = zone_tells;
    id = zone_who("10007", NULL, 0);
    zone_fail(&id, 131045, WEBHOOK);
    revision = zone_tells;
    learn("100021", "20002", 5);
    is_int(zone_tells - revision, 1, "and whenever something has changed");
    id = zone_who("100021", "20002", 0);
    id.number = 5;
    ngx_http_graph_policy_zone_link(zone, &id, NULL, now, &changes);
    is_int(zone_tells - revision, 2, "or another host has said so");

    zone_start(ZONE_SIZE);
    learn("100021", "20002", 5);
    is_str(account_of("100021"), "20002", "another zone has its own");
}


static void
test_bounds(void)
{
    char        phone[24], account[80];
    ngx_uint_t  i, full;
    stats_t     stats;

    zone_start(ZONE_LARGE);

    memset(phone, '1', 24);
    memset(account, '2', 80);
    phone[20] = '\0';
    account[64] = '\0';
    is_int(learn(phone, account, 9), KNOWN, "the longest names are kept");
    is_str(account_of(phone), account, "as they are");
    is_int(phones(account), 1, "both ways");

    phone[20] = '1';
    phone[21] = '\0';
    is_int(learn(phone, "20001", 0), NO_ROOM, "a longer phone isn't");
    account[64] = '2';
    account[65] = '\0';
    is_int(learn("10001", account, 0), NO_ROOM, "nor a longer account");
    is_int(learn("", "20001", 0), NO_ROOM, "nor no phone");
    is_int(learn("10001", "", 0), NO_ROOM, "nor no account");
    is_int(phones("20001"), 0, "none is known");

    /* an account has a thousand at most */

    full = 0;

    for (i = 0; i < 1010; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        full += (learn(phone, "20001", 0) == TOO_MANY);
    }

    is_int(full, 10, "an account has a thousand phones at most");
    is_int(changes.refused, 1, "more are counted as lost");
    is_int(changes.full, 0, "though there is room");
    is_int(phones("20001"), 1000, "all of those are told, in order");
    is_int(learn("30001", "20003", 0), KNOWN, "another account may have one");

    ngx_http_graph_policy_zone_stats(zone, &stats);
    is_int(stats.links, 1002, "all are counted");
    zone_agrees("with many links");
}


static void
test_full(void)
{
    char        phone[24], account[24];
    ngx_int_t   n;
    ngx_uint_t  i;
    stats_t     stats;
    identity_t  id;

    /* in a full zone the one that was confirmed longest ago leaves */

    zone_start(32 * 1024);

    for (i = 0; i < 300; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        (void) sprintf(account, "%u", (unsigned) (20000 + i % 7));
        zone_at(T0 + 1000 * i);

        if (learn(phone, account, i) != KNOWN) {
            break;
        }

        learn("1", "2", 1);
    }

    is_int(i, 300, "there is always room for another link");
    ngx_http_graph_policy_zone_stats(zone, &stats);
    ok(stats.links > 10 && stats.links < 100, "of %d", (int) stats.links);
    is_str(account_of("1"), "2", "what is confirmed stays");
    is_str(account_of("10299"), "20005", "and what was learnt last");
    is_str(account_of("10000"), "", "what was learnt first has left");

    n = 0;

    for (i = 0; i < 7; i++) {
        (void) sprintf(account, "%u", (unsigned) (20000 + i));
        n += phones(account);
    }

    is_int(n + 1, stats.links, "each account knows its own");
    zone_agrees("when full");

    /* a state that is worth more isn't evicted by a link */

    zone_start(32 * 1024);

    for (i = 0; i < 300; i++) {
        (void) sprintf(phone, "%u", (unsigned) (10000 + i));
        id = zone_who(phone, NULL, 7);
        zone_fail(&id, 131045, ANSWER);
    }

    is_int(learn("1", "2", 1), NO_ROOM, "no armed state leaves for a link");
    is_int(changes.refused, 1, "which is counted as lost");
    is_int(changes.full, 1, "for want of room");
}


static void
test_numbers(void)
{
    zone_start(ZONE_SIZE);

    learn("10001", "20001", 77);
    is_str(numbered("20001", 77), "10001", "a number is of a phone");
    is_str(numbered("20002", 77), "none", "in its account");
    is_str(numbered("20001", 78), "none", "and it is no other one");
    is_str(numbered("20001", 0), "none", "nor an unknown one");
    is_str(numbered("", 77), "none", "nor of an unknown account");

    learn("10002", "20001", 0);
    is_str(numbered("20001", 77), "10001", "another phone has none");
    learn("10003", "20002", 77);
    is_str(numbered("20002", 77), "10003", "another account may have the same");
    is_str(numbered("20001", 77), "10001", "beside this one's");

    learn("10002", "20001", 77);
    is_str(numbered("20001", 77), "10002", "it moves to whoever has it now");
    learn("10001", "20001", 79);
    is_str(numbered("20001", 79), "10001", "a phone may get another one");
    learn("10001", "20001", 80);
    is_str(numbered("20001", 80), "10001", "and another one");
    is_str(numbered("20001", 79), "none", "and loses the one before");
    zone_agrees("with numbers");

    learn("10001", "20001", 0);
    is_str(numbered("20001", 80), "10001",
           "a webhook without a number leaves it");

    zone_at(now + DAY);
    learn("10001", "20009", 0);
    is_str(numbered("20001", 80), "none", "a phone that moves takes it along");
    is_str(numbered("20009", 80), "none", "until it is told anew");
    learn("10001", "20009", 80);
    is_str(numbered("20009", 80), "10001", "then it has it");
    is_int(sh->changes, 11, "each of that is to be saved");
}


static void
test_marks(void)
{
    uint64_t    pos;
    record_t    record;
    identity_t  id;

    /* other hosts hear of a link when it is new, and every ten minutes */

    zone_start_shared(ZONE_SIZE);
    pos = 0;

    learn("10001", "20001", 0);
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_OK,
           "a new link is told to others");
    is_int(record.type, NGX_HTTP_GRAPH_POLICY_RECORD_LINK, "as such");
    is_mem(record.key.data, record.key.len, "10001", 5, "by its phone");
    is_mem(record.account.data, record.account.len, "20001", 5, "and account");
    is_int(record.confirmed, T0, "and time");
    is_int(record.number, 0, "it has no number");
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_DONE,
           "once");

    zone_at(T0 + 599999);
    learn("10001", "20001", 0);
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_DONE,
           "a confirmation isn't told each time");
    zone_at(now + 600000);
    learn("10001", "20001", 0);
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_OK,
           "but after a while");
    learn("10001", "20001", 5);
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_OK,
           "and a number at once");
    is_int(record.number, 5, "which is told");
    zone_at(now + 1000);
    learn("10001", "20001", 5);
    is_int(ngx_http_graph_policy_fleet_next(zone, &pos, &record), NGX_DONE,
           "once");

    id = zone_who("10001", "20001", 7);
    zone_fail(&id, 131045, WEBHOOK);
    learn("10002", "20001", 0);
    zone_agrees("in a fleet");
}


int
main(void)
{
    test_link();
    test_bounds();
    test_full();
    test_numbers();
    test_marks();

    return tap_done();
}
