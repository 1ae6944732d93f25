
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * The JSON room: what the body of a 2xx proves, and that no body harms.
 */


#include <stdlib.h>
#include "tap.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_proof.h"


#define POISON     0xa5
#define GUARD      4096
#define LONGEST    NGX_HTTP_GRAPH_POLICY_MESSAGE_ID_LEN


typedef ngx_http_graph_policy_proof_t  proof_t;

enum { NOTHING, SUCCESS, ACCEPTED, UNREAD };


static const struct {
    int          proves;
    const char  *text;
    const char  *id;
} bodies[] = {

    /* as Graph answers */

    { ACCEPTED, "{\"messaging_product\":\"whatsapp\",\"contacts\":[{\"input\":"
      "\"16505551234\",\"wa_id\":\"16505551234\"}],\"messages\":[{\"id\":"
      "\"wamid.HBgLMTY1MDU1NTEyMzQ=\"}]}", "wamid.HBgLMTY1MDU1NTEyMzQ=" },
    { ACCEPTED, "{\"messages\":[{\"id\":\"wamid.A\",\"message_status\":"
      "\"accepted\"}]}", "wamid.A" },
    { ACCEPTED, "{\"messages\":[{\"message_status\":\"held\",\"id\":"
      "\"wamid.A\"},{\"id\":\"wamid.B\"}]}", "wamid.A" },
    { ACCEPTED, " {\"messages\" : [ { \"id\" : \"wamid.A\" } ] } \r\n",
      "wamid.A" },
    { ACCEPTED, "{\"m\\u0065ssages\":[{\"i\\u0064\":\"wamid.\\u0041\"}]}",
      "wamid.A" },
    { SUCCESS, "{\"success\":true}", "" },
    { SUCCESS, "{\"id\":\"4490709327384033\"}", "" },
    { SUCCESS, "{\"recipient_id\":\"1\",\"message_id\":\"m_A\"}", "" },
    { SUCCESS, "{}", "" },

    /* a message that has no id that can be kept is accepted all the same */

    { ACCEPTED, "{\"messages\":[{}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":7}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":null}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":[\"wamid.A\"]}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":{\"id\":\"wamid.A\"}}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"a\":{\"id\":\"wamid.A\"}}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":\"wamid.A\",\"id\":5}]}", "" },
    { ACCEPTED, "{\"messages\":[\"wamid.A\"]}", "" },
    { ACCEPTED, "{\"messages\":[null]}", "" },
    { ACCEPTED, "{\"messages\":[true]}", "" },
    { ACCEPTED, "{\"messages\":[1]}", "" },
    { ACCEPTED, "{\"messages\":[[]]}", "" },
    { ACCEPTED, "{\"messages\":[null,{\"id\":\"wamid.A\"}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":null,\"a\":\"wamid.A\"}]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":true,\"a\":\"wamid.A\"}]}", "" },

    /* a name that came before belongs to its own value alone */

    { SUCCESS, "{\"messages\":null,\"a\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"messages\":true,\"a\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"messages\":1,\"a\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"messages\":\"a\",\"a\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"messages\":{},\"a\":[{\"id\":\"wamid.A\"}]}", "" },
    { ACCEPTED, "{\"messages\":[\"id\",{\"id\":\"wamid.A\"}]}", "" },
    { ACCEPTED, "{\"messages\":[[{\"id\":\"wamid.A\"}]]}", "" },
    { ACCEPTED, "{\"messages\":[null]}", "" },
    { ACCEPTED, "{\"messages\":[true,7]}", "" },
    { ACCEPTED, "{\"messages\":[{},{\"id\":\"wamid.B\"}]}", "" },

    /* of members with the same name the last counts */

    { ACCEPTED, "{\"messages\":[],\"messages\":[{\"id\":\"wamid.A\"}]}",
      "wamid.A" },
    { ACCEPTED, "{\"messages\":[{\"id\":\"a\"}],\"messages\":[{\"id\":\"b\"}]}",
      "b" },
    { ACCEPTED, "{\"messages\":[{\"id\":\"a\",\"id\":\"b\"}]}", "b" },
    { SUCCESS, "{\"messages\":[{\"id\":\"wamid.A\"}],\"messages\":[]}", "" },
    { SUCCESS, "{\"messages\":[{\"id\":\"wamid.A\"}],\"messages\":null}", "" },

    /* no list of messages, or one that belongs to something else */

    { SUCCESS, "{\"messages\":[]}", "" },
    { SUCCESS, "{\"messages\":null}", "" },
    { SUCCESS, "{\"messages\":\"wamid.A\"}", "" },
    { SUCCESS, "{\"messages\":true}", "" },
    { SUCCESS, "{\"messages\":{\"id\":\"wamid.A\"}}", "" },
    { SUCCESS, "{\"messages\":{\"a\":[{\"id\":\"wamid.A\"}]}}", "" },
    { SUCCESS, "{\"data\":{\"messages\":[{\"id\":\"wamid.A\"}]}}", "" },
    { SUCCESS, "{\"messages\":null,\"a\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"Messages\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"messages\\u0000\":[{\"id\":\"wamid.A\"}]}", "" },
    { SUCCESS, "{\"a\":\"messages\",\"b\":[{\"id\":\"wamid.A\"}]}", "" },

    /* an error anywhere at the top, whatever it is, spoils all of it */

    { NOTHING, "{\"error\":{\"code\":131042},\"messages\":[{\"id\":\"a\"}]}",
      "" },
    { NOTHING, "{\"messages\":[{\"id\":\"a\"}],\"error\":{\"code\":1}}", "" },
    { NOTHING, "{\"success\":true,\"error\":null}", "" },
    { NOTHING, "{\"error\":{},\"error\":null,\"success\":true}", "" },
    { NOTHING, "{\"\\u0065rror\":\"invalid_token\"}", "" },
    { SUCCESS, "{\"data\":{\"error\":{\"code\":1}}}", "" },
    { SUCCESS, "{\"errors\":[]}", "" },
    { ACCEPTED, "{\"messages\":[{\"id\":\"a\",\"error\":{\"code\":1}}]}", "a" },

    /* documents that aren't objects */

    { NOTHING, "[]", "" },
    { NOTHING, "[{\"messages\":[{\"id\":\"wamid.A\"}]}]", "" },
    { NOTHING, "[{\"code\":200,\"body\":\"{}\"}]", "" },
    { NOTHING, "true", "" },
    { NOTHING, "\"ok\"", "" },
    { NOTHING, "1", "" },
    { NOTHING, "null", "" },

    /* no documents */

    { UNREAD, "", "" },
    { UNREAD, " ", "" },
    { UNREAD, "OK", "" },
    { UNREAD, "<html>ok</html>", "" },
    { UNREAD, "{\"messages\":[{\"id\":\"wamid.A\"}]", "" },
    { UNREAD, "{\"messages\":[{\"id\":\"wamid.A\"", "" },
    { UNREAD, "{\"messages\":[{\"id\":\"wamid.A\"}]}}", "" },
    { UNREAD, "{\"messages\":[{\"id\":\"wamid.A\"}]} x", "" },
    { UNREAD, "{\"success\":true,}", "" },
    { UNREAD, "{\"success\":true,\"a\":\"\xff\"}", "" },
    { UNREAD, "{success:true}", "" },
    { UNREAD, "\x1f\x8b\x08", "" }
};


/* a guard behind the arena, blocks of the exact size */

static int
proves(const void *data, size_t len, proof_t *proof)
{
    size_t      size, i;
    u_char     *arena, *text;
    ngx_int_t   rc;

    struct {
        proof_t  proof;
        u_char   guard[64];
    } guarded;

    size = ngx_http_graph_policy_json_arena(len);

    arena = malloc(size + GUARD);
    text = malloc(len ? len : 1);

    if (arena == NULL || text == NULL) {
        abort();
    }

    memcpy(text, data, len);
    memset(arena, POISON, size + GUARD);
    memset(&guarded, POISON, sizeof(guarded));

    rc = ngx_http_graph_policy_proof_read(text, len, arena, &guarded.proof);

    for (i = size + GUARD; i > 0 && arena[i - 1] == POISON; i--) { /* void */ }

    if (i > size || memcmp(text, data, len) != 0) {
        diag("a body of %zu bytes took %zu of %zu", len, i, size);
        rc = NGX_ERROR;
    }

    for (i = 0; i < sizeof(guarded.guard); i++) {
        if (guarded.guard[i] != POISON) {
            diag("a proof wrote behind its room");
            rc = NGX_ERROR;
            break;
        }
    }

    *proof = guarded.proof;

    free(arena);
    free(text);

    if (rc == NGX_ERROR || proof->id_len > LONGEST
        || (proof->accepted && !proof->success)
        || (rc == NGX_DECLINED && (proof->success || proof->id_len != 0)))
    {
        return -1;
    }

    if (rc == NGX_DECLINED) {
        return UNREAD;
    }

    return proof->accepted ? ACCEPTED : proof->success ? SUCCESS : NOTHING;
}


static void
test_bodies(void)
{
    int      got;
    size_t   i;
    proof_t  p;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        got = proves(bodies[i].text, strlen(bodies[i].text), &p);

        is_int(got, bodies[i].proves, "proves %d: %s", bodies[i].proves,
               bodies[i].text);

        if (got == bodies[i].proves) {
            is_mem(p.id, p.id_len, bodies[i].id, strlen(bodies[i].id),
                   "and names: \"%s\"", bodies[i].id);
        }
    }
}


static void
test_lengths(void)
{
    char     text[LONGEST + 100];
    size_t   i, len;
    proof_t  p;

    for (i = LONGEST - 1; i <= LONGEST + 1; i++) {
        len = sprintf(text, "{\"messages\":[{\"id\":\"");
        memset(text + len, 'x', i);
        len += i;
        len += sprintf(text + len, "\"}]}");

        is_int(proves(text, len, &p), ACCEPTED, "an id of %zu bytes", i);
        is_int(p.id_len, (i <= LONGEST) ? i : 0, "is kept if it isn't longer");
    }
}


static void
test_depth(void)
{
    int       got;
    char      text[4096];
    size_t    i, n, len;
    proof_t   p;

    for (n = 28; n <= 34; n++) {
        len = sprintf(text, "{\"messages\":[{\"id\":\"a\"}],\"x\":");

        for (i = 0; i < n; i++) {
            text[len++] = '[';
        }

        for (i = 0; i < n; i++) {
            text[len++] = ']';
        }

        text[len++] = '}';

        got = proves(text, len, &p);

        is_int(got, (n < NGX_HTTP_GRAPH_POLICY_JSON_DEPTH) ? ACCEPTED : UNREAD,
               "%zu levels in an object", n);
    }
}


static void
test_cut(void)
{
    size_t   i, len;
    proof_t  p;

    static const char  text[] =
        "{\"a\":1,\"messages\":[{\"id\":\"wamid.A\"}],\"b\":{\"c\":[]}}";

    len = sizeof(text) - 1;

    for (i = 0; i < len; i++) {
        if (proves(text, i, &p) != UNREAD) {
            fail("cut after %zu bytes it proves something", i);
            return;
        }
    }

    pass("a body that is cut anywhere proves nothing");
}


int
main(void)
{
    test_bodies();
    test_lengths();
    test_depth();
    test_cut();

    return tap_done();
}
