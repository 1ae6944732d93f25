
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: what the usage headers say, and that none of any shape harms.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_json.h"


#define POISON     0xa5
#define GUARD      4096
#define DAY        1440


typedef struct {
    const char  *name;
    const char  *text;
    int64_t      regain;
    int          exhausted;
} said_t;


/* an entry of an account's quota */
#define ENTRY(minutes)                                                        \
    "{\"type\":\"whatsapp\",\"estimated_time_to_regain_access\":" minutes "}"


/* values that are whole documents, and what they say */

static const said_t  shapes[] = {

    /* as Graph sends them */

    { "a use case, all well",
      "{\"102290129340398\":[{\"type\":\"whatsapp_business_management\","
      "\"call_count\":28,\"total_cputime\":25,\"total_time\":25,"
      "\"estimated_time_to_regain_access\":0}]}", 0, 0 },
    { "a use case at its limit, whose figures aren't the app's",
      "{\"102290129340398\":[{\"type\":\"whatsapp_business_management\","
      "\"call_count\":100,\"total_cputime\":25,\"total_time\":25,"
      "\"estimated_time_to_regain_access\":19}]}", 19, 0 },
    { "two entries of one account",
      "{\"1\":[{\"type\":\"whatsapp_business_management\",\"call_count\":28,"
      "\"total_cputime\":25,\"total_time\":25,"
      "\"estimated_time_to_regain_access\":7},{\"type\":\"whatsapp\","
      "\"call_count\":1,\"total_cputime\":1,\"total_time\":1,"
      "\"estimated_time_to_regain_access\":3}]}", 7, 0 },
    { "two entries, the other order",
      "{\"1\":[" ENTRY("3") "," ENTRY("7") "]}", 7, 0 },
    { "the type behind the figure",
      "{\"1\":[{\"estimated_time_to_regain_access\":3,"
      "\"type\":\"whatsapp\"}]}", 3, 0 },
    { "two accounts",
      "{\"1\":[" ENTRY("5") "],\"2\":[" ENTRY("12") "],\"3\":[" ENTRY("0")
      "]}", 12, 0 },

    /* whose quota it is */

    { "the quota of ads",
      "{\"1\":[{\"type\":\"ads_management\","
      "\"estimated_time_to_regain_access\":9}]}", 0, 0 },
    { "that of ads before that of WhatsApp",
      "{\"1\":[{\"type\":\"ads_insights\","
      "\"estimated_time_to_regain_access\":9}," ENTRY("4") "]}", 4, 0 },
    { "that of ads behind that of WhatsApp",
      "{\"1\":[" ENTRY("4") ",{\"type\":\"pages\","
      "\"estimated_time_to_regain_access\":9}]}", 4, 0 },
    { "no type is nobody's",
      "{\"1\":[" ENTRY("4") ",{\"estimated_time_to_regain_access\":9}]}",
      4, 0 },
    { "nor is one that is no text",
      "{\"1\":[{\"type\":[\"whatsapp\"],"
      "\"estimated_time_to_regain_access\":9},{\"type\":null,"
      "\"estimated_time_to_regain_access\":9},{\"type\":7,"
      "\"estimated_time_to_regain_access\":9}]}", 0, 0 },
    { "a type that only ends like it",
      "{\"1\":[{\"type\":\"not_whatsapp\","
      "\"estimated_time_to_regain_access\":9},{\"type\":\"whatsap\","
      "\"estimated_time_to_regain_access\":9}]}", 0, 0 },
    { "the text of another member",
      "{\"1\":[{\"kind\":\"whatsapp\","
      "\"estimated_time_to_regain_access\":9}]}", 0, 0 },
    { "an escaped type",
      "{\"1\":[{\"type\":\"\\u0077hatsapp\","
      "\"estimated_time_to_regain_access\":9}]}", 9, 0 },
    { "an app", "{\"call_count\":28,\"total_time\":25,\"total_cputime\":25}",
      0, 0 },
    { "an app at its calls",
      "{\"call_count\":100,\"total_cputime\":1,\"total_time\":2}", 0, 1 },
    { "an app at its CPU time",
      "{\"call_count\":1,\"total_cputime\":100,\"total_time\":2}", 0, 1 },
    { "an app at its time",
      "{\"call_count\":1,\"total_cputime\":2,\"total_time\":100}", 0, 1 },
    { "an app one short of all",
      "{\"call_count\":99,\"total_cputime\":99,\"total_time\":99}", 0, 0 },
    { "an app over its limit", "{\"call_count\":250}", 0, 1 },
    { "a wait of an app",
      "{\"call_count\":100,\"type\":\"whatsapp\","
      "\"estimated_time_to_regain_access\":30}", 0, 1 },
    { "white space everywhere",
      " \t{ \"1\" : [ { \"estimated_time_to_regain_access\" : 4 ,"
      " \"type\" : \"whatsapp\" } ] } \r\n", 4, 0 },
    { "an escaped name", "{\"call\\u005fcount\":100}", 0, 1 },
    { "other members of an entry",
      "{\"acc_id_util_pct\":100,\"reset_time_duration\":100,"
      "\"ads_api_access_tier\":\"x\",\"call_count\":1}", 0, 0 },

    /* nothing to be found */

    { "an empty object", "{}", 0, 0 },
    { "an empty array", "[]", 0, 0 },
    { "an account without entries", "{\"1\":[]}", 0, 0 },
    { "an empty entry", "{\"1\":[{}]}", 0, 0 },
    { "a number", "100", 0, 0 },
    { "null", "null", 0, 0 },
    { "true", "true", 0, 0 },
    { "a text", "\"call_count\"", 0, 0 },

    /* other shapes */

    { "an array at the top", "[" ENTRY("9") "]", 0, 0 },
    { "an array of arrays at the top", "[[" ENTRY("9") "]]", 0, 0 },
    { "an object in place of the array", "{\"1\":" ENTRY("9") "}", 0, 0 },
    { "an object of objects", "{\"1\":{\"2\":" ENTRY("9") "}}", 0, 0 },
    { "an array of arrays", "{\"1\":[[" ENTRY("9") "]]}", 0, 0 },
    { "deeper", "{\"1\":[{\"a\":" ENTRY("9") "}]}", 0, 0 },
    { "deeper, in arrays", "{\"1\":[{\"a\":[" ENTRY("9") "]}]}", 0, 0 },
    { "deeper, in an entry",
      "{\"1\":[{\"type\":\"whatsapp\",\"a\":{"
      "\"estimated_time_to_regain_access\":9}}]}", 0, 0 },
    { "after something deeper",
      "{\"1\":[{\"a\":[{\"b\":[],\"type\":\"ads\"}],\"type\":\"whatsapp\","
      "\"estimated_time_to_regain_access\":9}]}", 9, 0 },
    { "something deeper behind",
      "{\"1\":[{\"type\":\"whatsapp\",\"estimated_time_to_regain_access\":9,"
      "\"a\":[{\"type\":\"ads\"}]}]}", 9, 0 },
    { "after an array", "{\"1\":[[{}],1,\"type\"," ENTRY("9") "]}", 9, 0 },
    { "an object after the array", "{\"1\":[],\"2\":{\"3\":" ENTRY("9") "}}",
      0, 0 },
    { "figures that aren't the app's",
      "{\"1\":[{\"type\":\"whatsapp\",\"call_count\":100}],"
      "\"2\":{\"call_count\":100}}", 0, 0 },
    { "numbers behind a name",
      "{\"call_count\":[100,{\"a\":100}],\"total_time\":{\"a\":100},"
      "\"a\":100}",
      0, 0 },
    { "a name as the value",
      "{\"type\":\"call_count\",\"b\":100}", 0, 0 },
    { "a value that is no number, then another member",
      "{\"call_count\":null,\"b\":100,\"total_time\":\"x\",\"c\":100,"
      "\"total_cputime\":true,\"d\":100}", 0, 0 },
    { "a number behind an entry that ends without one",
      "{\"1\":[{\"type\":\"whatsapp\","
      "\"estimated_time_to_regain_access\":null},100]}", 0, 0 },
    { "an object for a figure",
      "{\"call_count\":{},\"a\":100}", 0, 0 },
    { "other case", "{\"Call_Count\":100}", 0, 0 },
    { "names that begin alike", "{\"call_coun\":100,\"call_counts\":100}",
      0, 0 },
    { "a NUL in a name", "{\"call_count\\u0000\":100}", 0, 0 },
    { "the same name twice, the longest counts",
      "{\"1\":[{\"estimated_time_to_regain_access\":9,\"type\":\"whatsapp\","
      "\"estimated_time_to_regain_access\":2}]}", 9, 0 },
    { "the same name, then null",
      "{\"call_count\":100,\"call_count\":null}", 0, 1 }
};


/* the same where the account is known: it is 22 */

static const said_t  accounts[] = {
    { "the account's alone",
      "{\"1\":[" ENTRY("9") "],\"22\":[" ENTRY("4") "," ENTRY("5")
      "],\"2\":[" ENTRY("8") "]}", 5, 0 },
    { "none of the account's",
      "{\"1\":[" ENTRY("9") "],\"222\":[" ENTRY("4") "]}", 0, 0 },
    { "the account's, of ads",
      "{\"22\":[{\"type\":\"ads_management\","
      "\"estimated_time_to_regain_access\":9}]}", 0, 0 },
    { "an app's, whosever the account is", "{\"call_count\":100}", 0, 1 }
};


/* numbers as they stand in the text; regain, and if a figure is full */

static const said_t  numbers[] = {
    { NULL, "0", 0, 0 },
    { NULL, "1", 1, 0 },
    { NULL, "99", 99, 0 },
    { NULL, "100", 100, 1 },
    { NULL, "100.0", 100, 1 },
    { NULL, "1e2", 100, 1 },
    { NULL, "101", 101, 1 },
    { NULL, "1439", 1439, 1 },
    { NULL, "1440", DAY, 1 },
    { NULL, "1441", DAY, 1 },
    { NULL, "525600", DAY, 1 },
    { NULL, "4294967296", DAY, 1 },
    { NULL, "9007199254740991", DAY, 1 },

    /* none of these is a number of minutes or percents */

    { NULL, "9007199254740992", 0, 0 },
    { NULL, "18446744073709551716", 0, 0 },
    { NULL, "1e300", 0, 0 },
    { NULL, "1e999999999999999999999", 0, 0 },
    { NULL, "99999999999999999999999999999999999999999999", 0, 0 },
    { NULL, "-1", 0, 0 },
    { NULL, "-0", 0, 0 },
    { NULL, "-100", 0, 0 },
    { NULL, "-1e300", 0, 0 },
    { NULL, "100.5", 0, 0 },
    { NULL, "0.5", 0, 0 },
    { NULL, "1e-300", 0, 0 },
    { NULL, "\"100\"", 0, 0 },
    { NULL, "\"\"", 0, 0 },
    { NULL, "true", 0, 0 },
    { NULL, "null", 0, 0 },
    { NULL, "[100]", 0, 0 },
    { NULL, "{\"call_count\":100}", 0, 0 }
};


/* values that aren't whole documents; what they say doesn't count */

static const char  *broken[] = {
    "",
    " ",
    "{",
    "x",
    "call_count=100",
    "{\"call_count\":100",
    "{\"call_count\":100,}",
    "{\"call_count\":100}}",
    "{\"call_count\":100} x",
    "{\"call_count\":100},{\"call_count\":100}",
    "{\"call_count\":100} \"",
    "{\"call_count\":0100}",
    "{\"call_count\":+100}",
    "{\"call_count\":100,\"a\":NaN}",
    "{'call_count':100}",
    "{\"call_count\":100,\"a\":\"\xff\"}",
    "{\"1\":[" ENTRY("9"),
    "{\"1\":[" ENTRY("9") "]",
    "{\"1\":[{\"estimated_time_to_regain_access\":9]}}"
};


/* as in json.c: a guard behind the arena, blocks of the exact size */

static ngx_int_t
usage_of(const void *data, size_t len, const char *account,
    ngx_http_graph_policy_usage_t *u)
{
    size_t      size, i;
    u_char     *arena, *text;
    ngx_int_t   rc;
    ngx_str_t   whose;

    whose.data = (u_char *) account;
    whose.len = (account != NULL) ? strlen(account) : 0;

    size = ngx_http_graph_policy_json_arena(len);

    arena = malloc(size + GUARD);
    text = malloc(len ? len : 1);

    if (arena == NULL || text == NULL) {
        abort();
    }

    memcpy(text, data, len);
    memset(arena, POISON, size + GUARD);
    memset(u, POISON, sizeof(ngx_http_graph_policy_usage_t));

    rc = ngx_http_graph_policy_json_usage(text, len, arena, &whose, u);

    for (i = size + GUARD; i > 0 && arena[i - 1] == POISON; i--) { /* void */ }

    if (i > size || memcmp(text, data, len) != 0) {
        diag("a value of %zu bytes took %zu of %zu", len, i, size);
        rc = NGX_ERROR;
    }

    free(arena);
    free(text);

    return rc;
}


static ngx_int_t
usage(const void *data, size_t len, ngx_http_graph_policy_usage_t *u)
{
    return usage_of(data, len, NULL, u);
}


static void
says_of(const said_t *said, const char *text, const char *account,
    const char *name)
{
    ngx_int_t                      rc;
    ngx_http_graph_policy_usage_t  u;

    rc = usage_of(text, strlen(text), account, &u);

    if (!ok(rc == NGX_OK && u.regain == said->regain
            && u.exhausted == (unsigned) said->exhausted, "%s", name))
    {
        diag("  rc %d, regain %jd, exhausted %d", (int) rc,
             (intmax_t) u.regain, (int) u.exhausted);
    }
}


static void
says(const said_t *said, const char *text, const char *name)
{
    says_of(said, text, NULL, name);
}


static void
test_shapes(void)
{
    size_t  i;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        says(&shapes[i], shapes[i].text, shapes[i].name);
    }

    for (i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
        says_of(&accounts[i], accounts[i].text, "22", accounts[i].name);
    }
}


static void
test_numbers(void)
{
    char    text[512], name[256];
    size_t  i, n;
    said_t  said;

    static const char  *figures[] = {
        "call_count", "total_cputime", "total_time"
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        said = numbers[i];
        said.exhausted = 0;

        snprintf(text, sizeof(text),
                 "{\"1\":[" ENTRY("%s") "]}", numbers[i].text);
        snprintf(name, sizeof(name), "%s minutes", numbers[i].text);
        says(&said, text, name);

        said = numbers[i];
        said.regain = 0;

        for (n = 0; n < 3; n++) {
            snprintf(text, sizeof(text), "{\"%s\":%s}", figures[n],
                     numbers[i].text);
            snprintf(name, sizeof(name), "%s percent, %s", numbers[i].text,
                     figures[n]);
            says(&said, text, name);
        }
    }

    /* what can't be read doesn't hide what can */

    said.regain = 6;
    said.exhausted = 0;

    says(&said, "{\"1\":[" ENTRY("6") "," ENTRY("-1") "," ENTRY("1e300")
         "]}", "good entries before bad ones");

    says(&said, "{\"1\":[" ENTRY("1e300") "," ENTRY("-1") "," ENTRY("6")
         "]}", "good entries behind bad ones");
}


static void
test_broken(void)
{
    size_t                         i, n, len, wrong;
    ngx_int_t                      rc;
    ngx_http_graph_policy_usage_t  u;

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        rc = usage(broken[i], strlen(broken[i]), &u);
        ok(rc == NGX_DECLINED && u.regain == 0 && !u.exhausted,
           "no document: %s", broken[i]);
    }

    rc = usage("{\"call_count\":100}\0", 19, &u);
    ok(rc == NGX_DECLINED && !u.exhausted, "a NUL behind the document");

    wrong = 0;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {

        if (shapes[i].text[0] != '{') {
            continue;
        }

        len = strlen(shapes[i].text);

        for (n = 0; n < len; n++) {
            rc = usage(shapes[i].text, n, &u);
            wrong += (rc != NGX_DECLINED || u.regain != 0 || u.exhausted);
        }
    }

    is_int(wrong, 0, "no truncation of an object says anything");
}


static void
test_depth(void)
{
    char                           text[1024];
    size_t                         n;
    ngx_int_t                      rc;
    ngx_http_graph_policy_usage_t  u;

    static const char  start[] = "{\"call_count\":100,\"a\":";

    /* the object is a level of its own */

    memcpy(text, start, sizeof(start) - 1);

    for (n = 0; n < 100; n++) {
        memset(text + sizeof(start) - 1, '[', n);
        memset(text + sizeof(start) - 1 + n, ']', n);

        if (n == 0) {
            continue;
        }

        text[sizeof(start) - 1 + 2 * n] = '}';

        rc = usage(text, sizeof(start) + 2 * n, &u);

        if (n < NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
            if (rc != NGX_OK || !u.exhausted) {
                break;
            }

        } else if (rc != NGX_DECLINED || u.exhausted) {
            break;
        }
    }

    is_int(n, 100, "depth counts up to %d levels",
           NGX_HTTP_GRAPH_POLICY_JSON_DEPTH);

    memset(text, '[', sizeof(text));
    is_int(usage(text, sizeof(text), &u), NGX_DECLINED, "only openings");

    for (n = 0; n + 5 <= sizeof(text); n += 5) {
        memcpy(text + n, "{\"a\":", 5);
    }

    is_int(usage(text, n, &u), NGX_DECLINED, "only openings of objects");
}


/* lengths around those of yajl's buffers, which the arena must hold */

static void
test_large(void)
{
    char                          *text;
    size_t                         n, len, wrong;
    ngx_http_graph_policy_usage_t  u;

    text = malloc(70000);

    if (text == NULL) {
        abort();
    }

    wrong = 0;

    for (n = 1; n < 66000; n += (n < 2100 || n % 4096 > 4000) ? 1 : 97) {

        /* the escape makes yajl decode the text in a buffer */

        len = sprintf(text, "{\"call_count\":100,\"\\u0061");
        memset(text + len, 'a', n);
        len += n;
        len += sprintf(text + len, "\":9}");

        wrong += (usage(text, len, &u) != NGX_OK || !u.exhausted);
        wrong += (usage(text, len - 4, &u) != NGX_DECLINED || u.exhausted);
    }

    is_int(wrong, 0, "long names, whole and cut");

    len = sprintf(text, "{\"call_count\":1");
    memset(text + len, '0', 60000);
    len += 60000;
    text[len++] = '}';

    is_int(usage(text, len, &u), NGX_OK, "a number of 60000 digits");
    is_int(u.exhausted, 0, "is none");

    for (len = 0; len < 60000; /* void */ ) {
        len += sprintf(text + len, "%s\"%zu\":[" ENTRY("%zu") "]",
                       len ? "," : "{", len, len / 100);
    }

    text[len++] = '}';

    is_int(usage(text, len, &u), NGX_OK, "many accounts");
    ok(u.regain > 590 && u.regain < 601, "the longest wait is %jd",
       (intmax_t) u.regain);
    is_int(u.exhausted, 0, "and none is at its limit");

    free(text);
}


static void
test_again(void)
{
    u_char                         arena[16384];
    ngx_http_graph_policy_facts_t  facts;
    ngx_str_t                      any = ngx_null_string;
    ngx_http_graph_policy_usage_t  u;

    static u_char  body[] = "{\"error\":{\"code\":4}}";
    static u_char  text[] = "{\"call_count\":100}";

    ok(ngx_http_graph_policy_json_arena(sizeof(body)) <= sizeof(arena),
       "an arena is used");

    is_int(ngx_http_graph_policy_json_parse(body, sizeof(body) - 1, arena,
                                            &facts), NGX_OK, "by a body");
    is_int(ngx_http_graph_policy_json_usage(text, sizeof(text) - 1, arena,
                                            &any, &u),
           NGX_OK, "and again by a header");
    is_int(facts.code, 4, "the body's facts stay");
    is_int(u.exhausted, 1, "and the header says its own");
}


int
main(void)
{
    test_shapes();
    test_numbers();
    test_broken();
    test_depth();
    test_large();
    test_again();

    return tap_done();
}
