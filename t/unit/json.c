
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: what a body says, and that none of any shape harms.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_yajl.h"


#ifndef T_SAMPLES
#define T_SAMPLES  "../samples"
#endif

#define ABSENT     (-1)
#define POISON     0xa5
#define GUARD      4096

#define digits(...)  ngx_http_graph_policy_yajl_digits(__VA_ARGS__)


typedef struct {
    const char  *name;
    const char  *body;
    int64_t      code;
    int64_t      subcode;
    int          transient;
    const char  *trace;
} said_t;


typedef struct {
    u_char      *data;
    size_t       len;
} body_t;


static const char  fake[] = "AFakeTraceId0000000000";


static said_t  samples[] = {
    { "e1_unknown_500.json", NULL, 1, ABSENT, 0, fake },
    { "e2_transient_500.json", NULL, 2, ABSENT, 1, fake },
    { "e4_app_limit_429.json", NULL, 4, 2446079, 1, fake },
    { "e10_permission.json", NULL, 10, ABSENT, 0, fake },
    { "e33_number_deleted.json", NULL, 33, ABSENT, 0, fake },
    { "e100_2388046_blame_400.json", NULL, 100, 2388046, 0, fake },
    { "e100_33_object_missing_400.json", NULL, 100, 33, 0, fake },
    { "e100_details_object_400.json", NULL, 100, ABSENT, 0, fake },
    { "e100_error_data_string_400.json", NULL, 100, 1885183, 0, fake },
    { "e104_no_token.json", NULL, 104, ABSENT, 0, fake },
    { "e190_463_expired.json", NULL, 190, 463, 0, fake },
    { "e190_undecryptable_401.json", NULL, 190, ABSENT, 0, fake },
    { "e200_1349174_user_texts.json", NULL, 200, 1349174, 0, fake },
    { "e200_458_access_blocked_400.json", NULL, 200, 458, 0, fake },
    { "e200_no_token.json", NULL, 200, ABSENT, 0, fake },
    { "e368_blocked_403.json", NULL, 368, ABSENT, 0, fake },
    { "e80007_waba_limit_429.json", NULL, 80007, 2446079, 1, fake },
    { "e130429_throughput_400.json", NULL, 130429, 2494055, 0, fake },
    { "e131000_something_wrong_500.json", NULL, 131000, ABSENT, 0, fake },
    { "e131030_not_allowed_400.json", NULL, 131030, ABSENT, 0, fake },
    { "e131031_locked_403.json", NULL, 131031, ABSENT, 0, fake },
    { "e131042_payment_400.json", NULL, 131042, ABSENT, 0, fake },
    { "e131047_sync_400.json", NULL, 131047, ABSENT, 0, fake },
    { "e131056_pair_400.json", NULL, 131056, ABSENT, 0, NULL },
    { "e131057_maintenance_500.json", NULL, 131057, ABSENT, 0, fake },
    { "e132001_template_404.json", NULL, 132001, ABSENT, 0, fake },
    { "e133010_not_registered_400.json", NULL, 133010, ABSENT, 0, fake },
    { "e2494100_as_code.json", NULL, 2494100, ABSENT, 0, fake },
    { "e_code_as_string.json", NULL, 131056, 2494055, 0, fake }
};


/* bodies that are whole documents, and what they say */

static said_t  shapes[] = {
    { "no member at all", "{}", ABSENT, ABSENT, 0, NULL },
    { "empty error", "{\"error\":{}}", ABSENT, ABSENT, 0, NULL },
    { "all members",
      "{\"error\":{\"code\":1,\"error_subcode\":2,\"is_transient\":true,"
      "\"fbtrace_id\":\"A-_z09\"}}", 1, 2, 1, "A-_z09" },
    { "all members, other order",
      "{\"error\":{\"fbtrace_id\":\"A\",\"is_transient\":true,"
      "\"error_subcode\":2,\"code\":1}}", 1, 2, 1, "A" },
    { "white space everywhere",
      " \t\r\n{ \"error\" : \n{\t\"code\" :\r1 } } \r\n\t ",
      1, ABSENT, 0, NULL },
    { "other top-level members", "{\"a\":[{\"code\":7}],\"error\":{\"code\":1}"
      ",\"code\":8,\"b\":{\"code\":9}}", 1, ABSENT, 0, NULL },
    { "code at top level", "{\"code\":1}", ABSENT, ABSENT, 0, NULL },
    { "code in nested objects",
      "{\"error\":{\"error_data\":{\"code\":1,\"error_subcode\":2,"
      "\"is_transient\":true,\"fbtrace_id\":\"A\"}}}",
      ABSENT, ABSENT, 0, NULL },
    { "nested objects after the members",
      "{\"error\":{\"code\":5,\"error_data\":{\"code\":1,\"error\":"
      "{\"code\":2}}}}", 5, ABSENT, 0, NULL },
    { "members after nested objects",
      "{\"error\":{\"error_data\":{\"a\":{\"code\":1}},\"code\":5}}",
      5, ABSENT, 0, NULL },
    { "error inside error", "{\"error\":{\"error\":{\"code\":5}}}",
      ABSENT, ABSENT, 0, NULL },
    { "error below the top", "{\"data\":{\"error\":{\"code\":5}}}",
      ABSENT, ABSENT, 0, NULL },
    { "text that looks like members",
      "{\"error\":{\"message\":\"\\\"code\\\":190,\\\"error\\\":{\",\"code\":"
      "4}}", 4, ABSENT, 0, NULL },
    { "member names as values",
      "{\"error\":{\"message\":\"code\",\"type\":\"error_subcode\",\"code\":4"
      "}}", 4, ABSENT, 0, NULL },
    { "a code in an array", "{\"error\":{\"code\":[1]}}",
      ABSENT, ABSENT, 0, NULL },
    { "a code in an array, then another member",
      "{\"error\":{\"code\":[1,2],\"error_subcode\":3}}", ABSENT, 3, 0, NULL },
    { "error is an array", "{\"error\":[{\"code\":1}]}",
      ABSENT, ABSENT, 0, NULL },
    { "error is a text", "{\"error\":\"invalid_token\",\"code\":1}",
      ABSENT, ABSENT, 0, NULL },
    { "error is null", "{\"error\":null}", ABSENT, ABSENT, 0, NULL },
    { "array at the top", "[{\"error\":{\"code\":1}}]",
      ABSENT, ABSENT, 0, NULL },
    { "batch answer", "[{\"code\":400,\"body\":\"{\\\"error\\\":{\\\"code\\\":"
      "1}}\"},null]", ABSENT, ABSENT, 0, NULL },
    { "number at the top", "131056", ABSENT, ABSENT, 0, NULL },
    { "number and blank", "131056 ", ABSENT, ABSENT, 0, NULL },
    { "text at the top", "\"error\"", ABSENT, ABSENT, 0, NULL },
    { "true at the top", "true", ABSENT, ABSENT, 0, NULL },
    { "null at the top", "null", ABSENT, ABSENT, 0, NULL },
    { "empty array at the top", "[]", ABSENT, ABSENT, 0, NULL },
    { "webhook errors aren't at the top",
      "{\"object\":\"x\",\"entry\":[{\"changes\":[{\"value\":{\"errors\":"
      "[{\"code\":1}]}}]}]}", ABSENT, ABSENT, 0, NULL },

    /* names */

    { "escaped names",
      "{\"\\u0065rror\":{\"c\\u006fde\":1,\"error\\u005fsubcode\":2}}",
      1, 2, 0, NULL },
    { "NUL in a name", "{\"error\\u0000\":{\"code\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "NUL in a name of the same length", "{\"error\":{\"cod\\u0000\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "NUL and more in a name", "{\"error\\u0000x\":{\"code\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "NUL before a name", "{\"error\":{\"\\u0000code\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "other case", "{\"Error\":{\"code\":1}}", ABSENT, ABSENT, 0, NULL },
    { "other case inside", "{\"error\":{\"CODE\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "empty names", "{\"\":{\"code\":1},\"error\":{\"\":2,\"code\":3}}",
      3, ABSENT, 0, NULL },
    { "names that begin alike",
      "{\"error\":{\"code_\":1,\"cod\":2,\"error_subcod\":3,"
      "\"error_subcodes\":4,\"code\":5}}", 5, ABSENT, 0, NULL },

    /* duplicates */

    { "two codes", "{\"error\":{\"code\":1,\"code\":2}}",
      2, ABSENT, 0, NULL },
    { "a code, then null", "{\"error\":{\"code\":1,\"code\":null}}",
      ABSENT, ABSENT, 0, NULL },
    { "a code, then an object", "{\"error\":{\"code\":1,\"code\":{}}}",
      ABSENT, ABSENT, 0, NULL },
    { "a code, then an array", "{\"error\":{\"code\":1,\"code\":[]}}",
      ABSENT, ABSENT, 0, NULL },
    { "a code, then a text", "{\"error\":{\"code\":1,\"code\":\"x\"}}",
      ABSENT, ABSENT, 0, NULL },
    { "a code, then true", "{\"error\":{\"code\":1,\"code\":true}}",
      ABSENT, ABSENT, 0, NULL },
    { "a code, then a fraction", "{\"error\":{\"code\":1,\"code\":1.5}}",
      ABSENT, ABSENT, 0, NULL },
    { "null, then a code", "{\"error\":{\"code\":null,\"code\":2}}",
      2, ABSENT, 0, NULL },
    { "an escaped duplicate", "{\"error\":{\"code\":1,\"c\\u006fde\":2}}",
      2, ABSENT, 0, NULL },
    { "two subcodes",
      "{\"error\":{\"error_subcode\":1,\"code\":9,\"error_subcode\":\"x\"}}",
      9, ABSENT, 0, NULL },
    { "is_transient twice",
      "{\"error\":{\"is_transient\":true,\"is_transient\":false}}",
      ABSENT, ABSENT, 0, NULL },
    { "is_transient, then null",
      "{\"error\":{\"is_transient\":true,\"is_transient\":null}}",
      ABSENT, ABSENT, 0, NULL },
    { "fbtrace_id twice",
      "{\"error\":{\"fbtrace_id\":\"AAAA\",\"fbtrace_id\":\"B\"}}",
      ABSENT, ABSENT, 0, "B" },
    { "fbtrace_id, then a bad one",
      "{\"error\":{\"fbtrace_id\":\"AAAA\",\"fbtrace_id\":\"B B\"}}",
      ABSENT, ABSENT, 0, NULL },
    { "fbtrace_id, then a number",
      "{\"error\":{\"fbtrace_id\":\"AAAA\",\"fbtrace_id\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "two errors", "{\"error\":{\"code\":1,\"error_subcode\":2,"
      "\"is_transient\":true,\"fbtrace_id\":\"A\"},\"error\":{\"code\":3}}",
      3, ABSENT, 0, NULL },
    { "an error, then an empty one", "{\"error\":{\"code\":1},\"error\":{}}",
      ABSENT, ABSENT, 0, NULL },
    { "an error, then a text", "{\"error\":{\"code\":1},\"error\":\"text\"}",
      ABSENT, ABSENT, 0, NULL },
    { "an error, then null", "{\"error\":{\"code\":1},\"error\":null}",
      ABSENT, ABSENT, 0, NULL },
    { "an error, then an array",
      "{\"error\":{\"code\":1},\"error\":[{\"code\":2}]}",
      ABSENT, ABSENT, 0, NULL },
    { "a text, then an error", "{\"error\":\"text\",\"error\":{\"code\":1}}",
      1, ABSENT, 0, NULL },

    /* "errors" */

    { "errors", "{\"errors\":[{\"code\":1,\"error_subcode\":2,"
      "\"is_transient\":true,\"fbtrace_id\":\"A\"}]}", 1, 2, 1, "A" },
    { "the first of errors", "{\"errors\":[{\"code\":1},{\"code\":2,"
      "\"error_subcode\":3}]}", 1, ABSENT, 0, NULL },
    { "the first object of errors",
      "{\"errors\":[null,1,\"code\",[{\"code\":9}],{\"code\":1}]}",
      1, ABSENT, 0, NULL },
    { "an empty first of errors", "{\"errors\":[{},{\"code\":2}]}",
      ABSENT, ABSENT, 0, NULL },
    { "errors is empty", "{\"errors\":[]}", ABSENT, ABSENT, 0, NULL },
    { "errors is an object", "{\"errors\":{\"code\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "errors is an object of objects", "{\"errors\":{\"a\":{\"code\":1}}}",
      ABSENT, ABSENT, 0, NULL },
    { "errors is an array of arrays", "{\"errors\":[[{\"code\":1}]]}",
      ABSENT, ABSENT, 0, NULL },
    { "nested objects in errors",
      "{\"errors\":[{\"error_data\":{\"code\":1},\"code\":2}]}",
      2, ABSENT, 0, NULL },
    { "error wins over errors",
      "{\"errors\":[{\"code\":1,\"error_subcode\":2}],\"error\":{\"code\":3}}",
      3, ABSENT, 0, NULL },
    { "error wins over errors, other order",
      "{\"error\":{\"code\":3},\"errors\":[{\"code\":1,\"error_subcode\":2}]}",
      3, ABSENT, 0, NULL },
    { "an empty error wins over errors",
      "{\"errors\":[{\"code\":1}],\"error\":{}}", ABSENT, ABSENT, 0, NULL },
    { "errors where error is a text",
      "{\"error\":\"text\",\"errors\":[{\"code\":1}]}", 1, ABSENT, 0, NULL },
    { "errors where error is a text, other order",
      "{\"errors\":[{\"code\":1}],\"error\":\"text\"}", 1, ABSENT, 0, NULL },
    { "errors where a text replaced error",
      "{\"error\":{\"code\":3},\"errors\":[{\"code\":1}],\"error\":1}",
      1, ABSENT, 0, NULL },
    { "errors twice", "{\"errors\":[{\"code\":1,\"error_subcode\":2}],"
      "\"errors\":[{\"code\":3}]}", 3, ABSENT, 0, NULL },
    { "errors, then a text", "{\"errors\":[{\"code\":1}],\"errors\":\"x\"}",
      ABSENT, ABSENT, 0, NULL },
    { "another array after errors",
      "{\"errors\":[],\"data\":[{\"code\":1}]}", ABSENT, ABSENT, 0, NULL },

    /* values of other members */

    { "large numbers elsewhere",
      "{\"id\":99999999999999999999999999,\"x\":1e999,\"y\":-1e-999,"
      "\"error\":{\"big\":18446744073709551616,\"code\":1}}",
      1, ABSENT, 0, NULL },
    { "surrogates",
      "{\"error\":{\"message\":\"\\ud83d\\ude00\",\"code\":1}}",
      1, ABSENT, 0, NULL },
    { "lone surrogates",
      "{\"error\":{\"a\":\"\\udc00\",\"b\":\"\\ud83d\",\"c\":\"\\ud83dx\","
      "\"d\":\"\\ud83d\\u0041\",\"code\":1}}", 1, ABSENT, 0, NULL },
    { "escapes behind a lone surrogate",
      "{\"error\":{\"a\":\"\\ud83d\\n\",\"b\":\"\\ud83d\\\"\",\"c\":"
      "\"\\ud83d\\\\\",\"d\":\"\\ud83d\\\\x\",\"e\":\"\\ud83d\\\\u\","
      "\"code\":1}}", 1, ABSENT, 0, NULL },
    { "surrogates in names",
      "{\"error\":{\"\\ud83dcode\":2,\"\\udc63ode\":3,\"code\":1}}",
      1, ABSENT, 0, NULL },
    { "control characters, escaped",
      "{\"error\":{\"message\":\"a\\r\\n\\u0000b\",\"code\":1}}",
      1, ABSENT, 0, NULL },
    { "UTF-8", "{\"error\":{\"message\":\"\xc3\xa9\xe2\x82\xac"
      "\xf0\x9f\x98\x80\",\"code\":1}}", 1, ABSENT, 0, NULL },

    /* is_transient */

    { "is_transient as a text", "{\"error\":{\"is_transient\":\"true\"}}",
      ABSENT, ABSENT, 0, NULL },
    { "is_transient as a number", "{\"error\":{\"is_transient\":1}}",
      ABSENT, ABSENT, 0, NULL },
    { "is_transient as an array", "{\"error\":{\"is_transient\":[true]}}",
      ABSENT, ABSENT, 0, NULL },

    /* fbtrace_id */

    { "fbtrace_id of 64 bytes",
      "{\"error\":{\"fbtrace_id\":\"0123456789abcdef0123456789abcdef"
      "0123456789abcdef0123456789abcdef\"}}", ABSENT, ABSENT, 0,
      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" },
    { "fbtrace_id of 65 bytes",
      "{\"error\":{\"fbtrace_id\":\"0123456789abcdef0123456789abcdef"
      "0123456789abcdef0123456789abcdef0\"}}", ABSENT, ABSENT, 0, NULL },
    { "empty fbtrace_id", "{\"error\":{\"fbtrace_id\":\"\"}}",
      ABSENT, ABSENT, 0, NULL },
    { "fbtrace_id with a line end", "{\"error\":{\"fbtrace_id\":\"A\\r\\nB\"}}",
      ABSENT, ABSENT, 0, NULL },
    { "fbtrace_id with a NUL", "{\"error\":{\"fbtrace_id\":\"A\\u0000\"}}",
      ABSENT, ABSENT, 0, NULL },
    { "fbtrace_id with a letter beyond ASCII",
      "{\"error\":{\"fbtrace_id\":\"A\xc3\xa9\"}}", ABSENT, ABSENT, 0, NULL },
    { "fbtrace_id with an escaped letter",
      "{\"error\":{\"fbtrace_id\":\"A\\u0042\"}}", ABSENT, ABSENT, 0, "AB" },
    { "fbtrace_id with a neighbour of a range",
      "{\"error\":{\"fbtrace_id\":\"A@\",\"code\":1}}", 1, ABSENT, 0, NULL }
};


/* values of "code" as they stand in the body */

static struct {
    const char  *text;
    int64_t      code;
} codes[] = {
    { "0", 0 },
    { "131056", 131056 },
    { "131056.0", 131056 },
    { "131056.00000000000000000000000000000000", 131056 },
    { "1.31056e5", 131056 },
    { "1.31056E+5", 131056 },
    { "13105600e-2", 131056 },
    { "1310560000000000000000000000000000000e-31", 131056 },
    { "0.00000000000000000000000131056e29", 131056 },
    { "1e3", 1000 },
    { "1e0", 1 },
    { "1e-0", 1 },
    { "10e-1", 1 },
    { "1e00000000000000000000000000000000000003", 1000 },
    { "0e0", 0 },
    { "0.0", 0 },
    { "0e999999999999999999999999", 0 },
    { "0e-999999999999999999999999", 0 },
    { "9007199254740991", 9007199254740991 },
    { "9007199254740991.0", 9007199254740991 },
    { "9.007199254740991e15", 9007199254740991 },
    { "9007199254740992", ABSENT },
    { "9007199254740999", ABSENT },
    { "9.007199254740992e15", ABSENT },
    { "9223372036854775807", ABSENT },
    { "9223372036854775808", ABSENT },
    { "18446744073709551617", ABSENT },
    { "99999999999999999999999999999999999999999", ABSENT },
    { "1e16", ABSENT },
    { "1e999999999999999999999999", ABSENT },
    { "1e-999999999999999999999999", ABSENT },
    { "1e18446744073709551616", ABSENT },
    { "1e4294967296", ABSENT },
    { "-1", ABSENT },
    { "-0", ABSENT },
    { "-0.0", ABSENT },
    { "-131056", ABSENT },
    { "0.5", ABSENT },
    { "131056.5", ABSENT },
    { "131056.000000000000000000000000000000001", ABSENT },
    { "1.31056e4", ABSENT },
    { "1e-1", ABSENT },
    { "\"131056\"", 131056 },
    { "\"0\"", 0 },
    { "\"000131056\"", 131056 },
    { "\"13105\\u0036\"", 131056 },
    { "\"9223372036854775807\"", INT64_MAX },
    { "\"9223372036854775808\"", ABSENT },
    { "\"9999999999999999999\"", ABSENT },
    { "\"18446744073709551617\"", ABSENT },
    { "\"00000000000000131056\"", ABSENT },
    { "\"\"", ABSENT },
    { "\" 131056\"", ABSENT },
    { "\"131056 \"", ABSENT },
    { "\"+131056\"", ABSENT },
    { "\"-131056\"", ABSENT },
    { "\"131056.0\"", ABSENT },
    { "\"1e3\"", ABSENT },
    { "\"0x10\"", ABSENT },
    { "\"131056\\u0000\"", ABSENT },
    { "true", ABSENT },
    { "false", ABSENT },
    { "null", ABSENT },
    { "{}", ABSENT },
    { "{\"code\":1}", ABSENT },
    { "[]", ABSENT },
    { "[131056]", ABSENT }
};


/* bodies that aren't whole documents */

static const char  *broken[] = {
    "",
    " ",
    "\r\n",
    "{",
    "[",
    "\"",
    "-",
    "tru",
    "nul",
    "{\"error\"",
    "{\"error\":",
    "{\"error\":{\"code\":131056",
    "{\"error\":{\"code\":131056}",
    "{\"error\":{\"code\":131056}}}",
    "{\"error\":{\"code\":131056}},",
    "{\"error\":{\"code\":131056}}]",
    "{\"error\":{\"code\":131056}}{}",
    "{\"error\":{\"code\":131056}} {\"error\":{\"code\":1}}",
    "{\"error\":{\"code\":131056}}\n1",
    "{\"error\":{\"code\":131056}} x",
    "{\"error\":{\"code\":131056}} \"",
    "{\"error\":{\"code\":131056}} \"abc",
    "{\"error\":{\"code\":131056}} tru",
    "{\"error\":{\"code\":131056}} /",
    "{\"error\":{\"code\":131056}}\f",
    "{\"error\":{\"code\":131056}}\xef\xbb\xbf",
    "{\"error\":{\"code\":131056}\"",
    "[1] \"abc",
    "1 \"abc",
    "1 2",
    "{\"error\":{\"code\":131056,}}",
    "{\"error\":{\"code\":131056},}",
    "{\"error\":{,\"code\":131056}}",
    "{\"error\":{\"code\"131056}}",
    "{\"error\":{\"code\":}}",
    "{\"error\":{\"code\":131056]}",
    "{\"error\":[{\"code\":131056}}",
    "{error:{code:131056}}",
    "{'error':{'code':131056}}",
    "{\"error\":{\"code\":+1}}",
    "{\"error\":{\"code\":01}}",
    "{\"error\":{\"code\":1.}}",
    "{\"error\":{\"code\":.1}}",
    "{\"error\":{\"code\":1e}}",
    "{\"error\":{\"code\":0x1}}",
    "{\"error\":{\"code\":NaN}}",
    "{\"error\":{\"code\":Infinity}}",
    "{\"error\":{\"code\":1}} // comment",
    "{\"error\":{\"code\":1/* comment */}}",
    "{1:2}",
    "\xef\xbb\xbf{\"error\":{\"code\":131056}}",
    "\xff\xfe{\"error\":{\"code\":131056}}",
    "{\"error\":{\"code\":131056,\"message\":\"\xff\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\xc3\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\xe2\x82\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\xf0\x9f\x98\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\x80\"}}",
    "{\"error\":{\"code\":131056,\"m\xff\":1}}",
    "{\"error\":{\"code\":131056,\"message\":\"a\nb\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"a\tb\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\\x\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\\u12\"}}",
    "{\"error\":{\"code\":131056,\"message\":\"\\u12g4\"}}",
    "<!DOCTYPE html><html></html>",
    "Service Unavailable"
};


/*
 * A guard behind the arena shows whether the parser kept to it, the poison
 * inside how much it took; the body is a block of its own, so that a memory
 * checker sees reads behind it.
 */

static ngx_int_t
parse(const void *data, size_t len, ngx_http_graph_policy_facts_t *facts,
    size_t *used)
{
    size_t      size, i;
    u_char     *arena, *body;
    ngx_int_t   rc;

    size = ngx_http_graph_policy_json_arena(len);

    arena = malloc(size + GUARD);
    body = malloc(len ? len : 1);

    if (arena == NULL || body == NULL) {
        abort();
    }

    memcpy(body, data, len);
    memset(arena, POISON, size + GUARD);
    memset(facts, POISON, sizeof(ngx_http_graph_policy_facts_t));

    rc = ngx_http_graph_policy_json_parse(body, len, arena, facts);

    for (i = size + GUARD; i > 0 && arena[i - 1] == POISON; i--) { /* void */ }

    if (i > size || memcmp(body, data, len) != 0) {
        diag("a body of %zu bytes took %zu of %zu", len, i, size);
        rc = NGX_ERROR;
    }

    if (used != NULL) {
        *used = i;
    }

    free(arena);
    free(body);

    return rc;
}


static int
nothing(ngx_http_graph_policy_facts_t *facts)
{
    return !facts->has_code && !facts->has_subcode && !facts->transient
           && facts->trace_len == 0;
}


static body_t
load(const char *name)
{
    char     path[4096];
    FILE    *file;
    body_t   body;

    snprintf(path, sizeof(path), "%s/%s", T_SAMPLES, name);

    body.len = 0;
    body.data = malloc(65536);
    file = fopen(path, "rb");

    if (body.data == NULL || file == NULL) {
        printf("Bail out! can't read %s\n", path);
        exit(1);
    }

    body.len = fread(body.data, 1, 65536, file);
    fclose(file);

    return body;
}


static void
says(said_t *said, body_t body)
{
    int                            good;
    size_t                         len;
    int64_t                        code, subcode;
    ngx_int_t                      rc;
    ngx_http_graph_policy_facts_t  facts;

    rc = parse(body.data, body.len, &facts, NULL);

    code = facts.has_code ? facts.code : ABSENT;
    subcode = facts.has_subcode ? facts.subcode : ABSENT;
    len = said->trace ? strlen(said->trace) : 0;

    good = rc == NGX_OK && code == said->code && subcode == said->subcode
           && (int) facts.transient == said->transient
           && facts.trace_len == len
           && (len == 0 || memcmp(facts.trace, said->trace, len) == 0);

    if (!ok(good, "%s", said->name)) {
        diag("  rc %d, code %jd/%jd, transient %d, trace \"%.*s\"", (int) rc,
             (intmax_t) code, (intmax_t) subcode, (int) facts.transient,
             (int) facts.trace_len, facts.trace);
    }
}


static void
test_samples(void)
{
    size_t                         i, n, wrong;
    body_t                         body;
    ngx_int_t                      rc;
    ngx_http_graph_policy_facts_t  facts;

    for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        body = load(samples[i].name);
        says(&samples[i], body);

        wrong = 0;

        for (n = 0; n < body.len; n++) {
            rc = parse(body.data, n, &facts, NULL);

            /* only the line end may be missing */

            if ((n < body.len - 1 || body.data[n] != '\n')
                && (rc != NGX_DECLINED || !nothing(&facts)))
            {
                wrong++;
            }
        }

        is_int(wrong, 0, "each truncation of %s", samples[i].name);
        free(body.data);
    }

    body = load("n503_html.html");
    is_int(parse(body.data, body.len, &facts, NULL), NGX_DECLINED,
           "n503_html.html");
    ok(nothing(&facts), "n503_html.html says nothing");
    free(body.data);

    body = load("n502_empty.txt");
    is_int(body.len, 0, "n502_empty.txt is empty");
    is_int(parse(body.data, body.len, &facts, NULL), NGX_DECLINED,
           "n502_empty.txt");
    free(body.data);
}


static void
test_shapes(void)
{
    size_t  i;
    body_t  body;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        body.data = (u_char *) shapes[i].body;
        body.len = strlen(shapes[i].body);
        says(&shapes[i], body);
    }
}


static void
test_codes(void)
{
    char    text[256];
    size_t  i;
    body_t  body;
    said_t  said;

    body.data = (u_char *) text;

    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        said.name = codes[i].text;
        said.trace = NULL;
        said.transient = 1;

        said.code = codes[i].code;
        said.subcode = ABSENT;
        body.len = snprintf(text, sizeof(text), "{\"error\":{\"code\":%s,"
                            "\"is_transient\":true}}", codes[i].text);
        says(&said, body);

        said.code = 7;
        said.subcode = codes[i].code;
        body.len = snprintf(text, sizeof(text), "{\"errors\":[{\"code\":7,"
                            "\"is_transient\":true,\"error_subcode\":%s}]}",
                            codes[i].text);
        says(&said, body);
    }
}


/* Numbers in quotes, of any length, and with a byte that is no digit. */

static void
test_digits(void)
{
    int      good, tried;
    char    *text;
    size_t   len, i;
    int64_t  value;

    good = tried = 0;

    for (len = 1; len <= 20; len++) {
        text = malloc(len);
        value = 0;

        for (i = 0; i < len; i++) {
            text[i] = '1' + i % 9;
            value = (len < 20) ? value * 10 + 1 + (int) i % 9 : -1;
        }

        tried++;
        good += (digits((u_char *) text, len) == value);

        for (i = 0; i < len; i++) {
            text[i] = '/';
            good += (digits((u_char *) text, len) == -1);
            text[i] = ':';
            good += (digits((u_char *) text, len) == -1);
            text[i] = '1' + i % 9;
            tried += 2;
        }

        free(text);
    }

    is_int(good, tried, "digits are a number, and nothing else is");
    is_int(digits((u_char *) "9", 0), -1, "nor is nothing");
    is_int(digits((u_char *) "0", 1), 0, "a zero is");
    ok(digits((u_char *) "9223372036854775807", 19) == INT64_MAX,
       "the largest number is read");
    is_int(digits((u_char *) "9223372036854775808", 19), -1,
           "a larger one isn't");
}


static void
test_broken(void)
{
    size_t                         i;
    ngx_int_t                      rc;
    ngx_http_graph_policy_facts_t  facts;

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        rc = parse(broken[i], strlen(broken[i]), &facts, NULL);
        ok(rc == NGX_DECLINED && nothing(&facts), "broken body %zu", i);
    }

    rc = parse("{\"error\":{\"code\":1}}\0", 21, &facts, NULL);
    ok(rc == NGX_DECLINED && nothing(&facts), "a NUL behind the document");

    rc = parse("{\"error\":{\"code\":1,\"a\":\"\0\"}}", 29, &facts, NULL);
    ok(rc == NGX_DECLINED && nothing(&facts), "a NUL in a text");
}


/* head, then the unit as often as it fits into len bytes, then tail */

static body_t
fill(const char *head, const char *unit, const char *tail, size_t len)
{
    size_t   n;
    u_char  *p;
    body_t   body;

    n = strlen(unit);

    body.data = malloc(strlen(head) + len + n + strlen(tail));
    if (body.data == NULL) {
        abort();
    }

    p = body.data;
    memcpy(p, head, strlen(head));
    p += strlen(head);

    for ( /* void */ ; len >= n; len -= n) {
        memcpy(p, unit, n);
        p += n;
    }

    memcpy(p, tail, strlen(tail));
    body.len = p + strlen(tail) - body.data;

    return body;
}


static void
test_depth(void)
{
    char                           name[64];
    size_t                         i, n;
    body_t                         body;
    ngx_int_t                      rc;
    ngx_http_graph_policy_facts_t  facts;

    /* {"error":{"code":1,"a": makes two levels, what it holds the others */

    for (n = NGX_HTTP_GRAPH_POLICY_JSON_DEPTH - 3;
         n <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH - 1;
         n++)
    {
        body = fill("{\"error\":{\"code\":1,\"a\":", "[", "", n);
        body.data = realloc(body.data, body.len + n + 2);
        memset(body.data + body.len, ']', n);
        memset(body.data + body.len + n, '}', 2);
        body.len += n + 2;

        rc = parse(body.data, body.len, &facts, NULL);
        snprintf(name, sizeof(name), "%d levels", (int) n + 2);

        if (n + 2 <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
            ok(rc == NGX_OK && facts.has_code, "%s of arrays", name);
        } else {
            ok(rc == NGX_DECLINED && nothing(&facts), "%s of arrays", name);
        }

        free(body.data);

        body = fill("{\"error\":{\"code\":1,\"a\":", "{\"a\":", "0", n * 5);
        body.data = realloc(body.data, body.len + n + 2);

        for (i = 0; i < n + 2; i++) {
            body.data[body.len++] = '}';
        }

        rc = parse(body.data, body.len, &facts, NULL);

        if (n + 2 <= NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) {
            ok(rc == NGX_OK && facts.has_code, "%s of objects", name);
        } else {
            ok(rc == NGX_DECLINED && nothing(&facts), "%s of objects", name);
        }

        free(body.data);
    }
}


static void
test_large(void)
{
    size_t                         i;
    body_t                         body;
    ngx_int_t                      rc;
    ngx_http_graph_policy_facts_t  facts;

    static struct {
        const char  *name;
        const char  *head;
        const char  *unit;
        const char  *tail;
        ngx_int_t    rc;
    } large[] = {
        { "a text", "{\"error\":{\"a\":\"", "x", "\",\"code\":1}}", NGX_OK },
        { "escapes", "{\"error\":{\"a\":\"", "\\n", "\",\"code\":1}}",
          NGX_OK },
        { "an escaped name", "{\"error\":{\"", "\\u20ac", "\":2,\"code\":1}}",
          NGX_OK },
        { "many texts", "{\"error\":{\"a\":[\"\"", ",\"\\\"\"",
          "],\"code\":1}}", NGX_OK },
        { "many members", "{\"error\":{", "\"code\":3,", "\"code\":1}}",
          NGX_OK },
        { "many errors", "{\"errors\":[{\"code\":1}", ",{\"code\":2}", "]}",
          NGX_OK },
        { "blanks", "{\"error\":{\"code\":1}}", " ", "", NGX_OK },
        { "digits", "{\"error\":{\"a\":9", "9", ",\"code\":1}}", NGX_OK },
        { "zeros of a code", "{\"error\":{\"code\":1.0", "0", "}}", NGX_OK },
        { "a cut text", "{\"error\":{\"a\":\"", "x", "", NGX_DECLINED },
        { "cut digits", "{\"error\":{\"code\":1", "1", "", NGX_DECLINED },
        { "brackets", "", "[", "", NGX_DECLINED },
        { "braces", "", "{\"a\":", "", NGX_DECLINED },
        { "brackets in an error", "{\"error\":{\"code\":1,\"a\":", "[", "",
          NGX_DECLINED },
        { "backslashes", "{\"error\":{\"code\":1,\"a\":\"", "\\\\", "",
          NGX_DECLINED },
        { "NULs in a text", "{\"error\":{\"a\":\"", "\\u0000",
          "\",\"code\":1}}", NGX_OK }
    };

    for (i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        body = fill(large[i].head, large[i].unit, large[i].tail, 1 << 20);
        rc = parse(body.data, body.len, &facts, NULL);

        if (large[i].rc == NGX_OK) {
            ok(rc == NGX_OK && facts.has_code && facts.code == 1,
               "1 MiB of %s", large[i].name);
        } else {
            ok(rc == NGX_DECLINED && nothing(&facts),
               "1 MiB of %s", large[i].name);
        }

        free(body.data);
    }
}


/*
 * Text is looked at in words, and in many at a time: a byte that isn't UTF-8 is
 * seen wherever it stands, and so is one that is cut at the end.
 */

static void
test_utf8(void)
{
    size_t   len, i, wrong;
    u_char  *p;

    wrong = 0;

    for (len = 1; len <= 200; len++) {

        /* a memory checker sees reads before and behind it */

        p = malloc(len);
        memset(p, 'a', len);

        wrong += (ngx_http_graph_policy_yajl_utf8(p, p + len) != NGX_OK);

        for (i = 0; i < len; i++) {
            p[i] = 0x80;
            wrong += (ngx_http_graph_policy_yajl_utf8(p, p + len)
                      != NGX_DECLINED);
            p[i] = 0xc3;
            wrong += (ngx_http_graph_policy_yajl_utf8(p, p + len)
                      != NGX_DECLINED);

            if (i + 1 < len) {
                p[i + 1] = 0xa4;
                wrong += (ngx_http_graph_policy_yajl_utf8(p, p + len)
                          != NGX_OK);
                p[i + 1] = 'a';
            }

            p[i] = 'a';
        }

        free(p);
    }

    is_int(wrong, 0, "a byte that isn't UTF-8 is seen at each place");
}


/*
 * The most memory goes to a decoded text just too long for its buffer, one
 * that grows bit by bit, and a cut token besides.
 */

static void
test_arena(void)
{
    char                           tail[8];
    size_t                         size, used, most, n, cut, k, wrong;
    body_t                         body, rest;
    ngx_http_graph_policy_facts_t  facts;

    static const size_t  near[] = { 0, 2, 4, 6, 8, 16, 24, 32 };

    wrong = 0;
    most = 0;

    for (size = 2048; size <= 65536; size *= 2) {
        for (k = 0; k < sizeof(near) / sizeof(near[0]) * 2; k++) {
            n = size - 16 + near[k / 2];

            /* k & 1: whether an escape leads, so that it's decoded at all */

            body = fill((k & 1) ? "[\"\\n" : "[\"\\n\",\"\\nx",
                        (k & 1) ? "x" : "\\tx", "\"", (k & 1) ? n : n / 2 * 3);

            for (cut = 1; cut <= 65536; cut *= 2) {
                snprintf(tail, sizeof(tail), ",\"");
                rest = fill(tail, "y", "", cut - 1 + (cut > 1) * near[k / 2]);

                rest.data = realloc(rest.data, rest.len + body.len);
                memmove(rest.data + body.len, rest.data, rest.len);
                memcpy(rest.data, body.data, body.len);

                if (parse(rest.data, rest.len + body.len, &facts, &used)
                    != NGX_DECLINED)
                {
                    wrong++;
                }

                used = used * 100
                       / ngx_http_graph_policy_json_arena(rest.len + body.len);
                most = ngx_max(most, used);
                free(rest.data);
            }

            free(body.data);
        }
    }

    is_int(wrong, 0, "texts around the sizes of yajl's buffers");
    diag("at most %zu%% of an arena was used", most);

    parse("", 0, &facts, &used);
    ok(used < ngx_http_graph_policy_json_arena(0), "an empty body takes %zu",
       used);

    /* what a body may have others wait for, or not get */

    n = 3 * 1024 * 1024;
    ok(ngx_http_graph_policy_json_arena(n)
       <= ngx_http_graph_policy_json_arena(0) + 4 * n,
       "an arena is four times as long as a body");
    ok(ngx_http_graph_policy_json_arena_in_steps(n)
       <= ngx_http_graph_policy_json_arena_in_steps(0) + 8 * n,
       "and eight times, where it comes in steps");
    ok(ngx_http_graph_policy_json_arena_in_steps(0) <= 16 * 1024,
       "with %zu bytes for each",
       ngx_http_graph_policy_json_arena_in_steps(0));
}


static void
test_again(void)
{
    u_char                        *arena;
    size_t                         len;
    ngx_http_graph_policy_facts_t  facts;

    static u_char  good[] = "{\"error\":{\"code\":1,\"error_subcode\":2,"
                            "\"is_transient\":true,\"fbtrace_id\":\"A\"}}";
    static u_char  bad[] = "{\"error\":{\"code\":1,\"is_transient\":true}";
    static u_char  none[] = "{\"error\":{\"message\":\"\"}}";

    len = sizeof(good) - 1;
    arena = malloc(ngx_http_graph_policy_json_arena(len));

    is_int(ngx_http_graph_policy_json_parse(good, len, arena, &facts), NGX_OK,
           "an arena is used");
    is_int(ngx_http_graph_policy_json_parse(bad, sizeof(bad) - 1, arena,
                                            &facts), NGX_DECLINED,
           "and again by a broken body");
    ok(nothing(&facts), "which leaves nothing of what was there");

    is_int(ngx_http_graph_policy_json_parse(good, len, arena, &facts), NGX_OK,
           "and again");
    ok(facts.has_code && facts.has_subcode && facts.transient
       && facts.trace_len == 1, "by a good one");

    is_int(ngx_http_graph_policy_json_parse(none, sizeof(none) - 1, arena,
                                            &facts), NGX_OK,
           "and by one that says nothing");
    ok(nothing(&facts), "which says nothing");

    free(arena);
}


/* Each character on its own, and among others, is kept or drops the trace. */

static void
test_trace(void)
{
    int                            c, good, kept;
    char                           text[96];
    size_t                         len;
    ngx_http_graph_policy_facts_t  facts;

    good = 0;

    for (c = 0; c < 256; c++) {
        len = sprintf(text, "{\"error\":{\"fbtrace_id\":\"\\u%04xAz9\"}}", c);

        kept = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
               || (c >= 'a' && c <= 'z') || c == '-' || c == '_';

        if (parse((u_char *) text, len, &facts, NULL) == NGX_OK
            && facts.trace_len == (kept ? 4u : 0u)
            && (!kept || facts.trace[0] == c))
        {
            good++;
        }
    }

    is_int(good, 256, "a trace is kept if it has the usual characters alone");
}


int
main(void)
{
    test_trace();
    test_samples();
    test_shapes();
    test_codes();
    test_digits();
    test_broken();
    test_depth();
    test_large();
    test_utf8();
    test_arena();
    test_again();

    return tap_done();
}
