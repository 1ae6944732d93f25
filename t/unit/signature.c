
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of the signature room: the vectors of RFC 4231, an example made with
 * another tool, and the header in all the forms that aren't it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include "ngx_http_graph_policy_signature.h"
#include "tap.h"


#define DIGEST_LEN  NGX_HTTP_GRAPH_POLICY_DIGEST_LEN

#define parse       ngx_http_graph_policy_signature_parse
#define create      ngx_http_graph_policy_signature_create
#define destroy     ngx_http_graph_policy_signature_destroy
#define init        ngx_http_graph_policy_signature_init
#define update      ngx_http_graph_policy_signature_update
#define final       ngx_http_graph_policy_signature_final
#define equal       ngx_http_graph_policy_signature_equal

typedef ngx_http_graph_policy_signature_t  sign_t;


typedef struct {
    const char  *name;
    const char  *key;               /* NULL: so many bytes of "fill" */
    size_t       key_len;
    int          fill;
    const char  *data;              /* likewise */
    size_t       len;
    int          data_fill;
    const char  *hex;
    size_t       shown;             /* digits that the RFC has */
} vector_t;


#define LARGE_KEY                                                             \
    "Test Using Larger Than Block-Size Key - Hash Key First"
#define LARGE_BOTH                                                            \
    "This is a test using a larger than block-size key and a larger than "    \
    "block-size data. The key needs to be hashed before being used by the "   \
    "HMAC algorithm."

#define text(s)  s, sizeof(s) - 1


/* how many blocks OpenSSL may still have, -1: as many as it likes */

static long  budget = -1;


/* the length of each of OpenSSL's blocks stands before it */

#define HEAD  16

/* how many blocks came back with this key still in them */

static const char  wiped[] = "a key that nobody may find again";
static unsigned    found;


static const vector_t  vectors[] = {

    { "case 1", NULL, 20, 0x0b, text("Hi There"), 0,
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 64 },
    { "case 2", text("Jefe"), 0, text("what do ya want for nothing?"), 0,
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 64 },
    { "case 3", NULL, 20, 0xaa, NULL, 50, 0xdd,
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", 64 },
    { "case 4",
      text("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
           "\x11\x12\x13\x14\x15\x16\x17\x18\x19"), 0, NULL, 50, 0xcd,
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b", 64 },
    { "case 5, truncated", NULL, 20, 0x0c, text("Test With Truncation"), 0,
      "a3b6167473100ee06e0c796c2955552b", 32 },
    { "case 6, a key longer than a block", NULL, 131, 0xaa, text(LARGE_KEY), 0,
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", 64 },
    { "case 7, a key and data longer than a block", NULL, 131, 0xaa,
      text(LARGE_BOTH), 0,
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2", 64 }
};

#define NVECTORS  (sizeof(vectors) / sizeof(vectors[0]))


static void *
own_malloc(size_t n, const char *file, int line)
{
    u_char  *p;

    if (budget == 0) {
        return NULL;
    }

    budget -= (budget > 0);

    /* zeros, as own_free() looks at all of it */

    p = calloc(1, HEAD + n);
    if (p == NULL) {
        return NULL;
    }

    memcpy(p, &n, sizeof(n));

    return p + HEAD;
}


static void
own_free(void *p, const char *file, int line)
{
    size_t  i, n;

    if (p == NULL) {
        return;
    }

    memcpy(&n, (u_char *) p - HEAD, sizeof(n));

    for (i = 0; i + sizeof(wiped) - 1 <= n; i++) {

        if (memcmp((u_char *) p + i, wiped, sizeof(wiped) - 1) == 0) {
            found++;
            break;
        }
    }

    free((u_char *) p - HEAD);
}


static void *
own_realloc(void *p, size_t n, const char *file, int line)
{
    void    *to;
    size_t   len;

    to = own_malloc(n, file, line);

    if (to != NULL && p != NULL) {
        memcpy(&len, (u_char *) p - HEAD, sizeof(len));
        memcpy(to, p, ngx_min(len, n));
        own_free(p, file, line);
    }

    return to;
}


/* a block of exactly "len" bytes, so that the sanitizer sees one beyond */

static u_char *
block(const char *data, size_t len, int fill)
{
    u_char  *p;

    p = malloc(len ? len : 1);
    if (p == NULL) {
        abort();
    }

    if (data == NULL) {
        memset(p, fill, len);

    } else {
        memcpy(p, data, len);
    }

    return p;
}


static void
hex(const u_char *digest, char *out)
{
    size_t  i;

    for (i = 0; i < DIGEST_LEN; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}


/* the digest of a body in parts of "part" bytes, "error" if there is none */

static const char *
signed_in_parts(sign_t *sig, u_char *data, size_t len, size_t part)
{
    size_t  i, n;
    u_char  digest[DIGEST_LEN];

    static char  out[2 * DIGEST_LEN + 1];

    memset(digest, 0xa5, sizeof(digest));

    if (init(sig) != NGX_OK) {
        return "error";
    }

    for (i = 0; i < len; i += n) {
        n = ngx_min(part, len - i);

        if (update(sig, data + i, n) != NGX_OK) {
            return "error";
        }
    }

    if (final(sig, digest) != NGX_OK) {
        return "error";
    }

    hex(digest, out);

    return out;
}


static const char *
signed_by(sign_t *sig, const char *data)
{
    return signed_in_parts(sig, (u_char *) data, strlen(data), SIZE_MAX);
}


static sign_t *
made(const char *key)
{
    return create((u_char *) key, strlen(key));
}


static void
test_vectors(void)
{
    char             got[2 * DIGEST_LEN + 1];
    size_t           i;
    u_char          *key, *data;
    sign_t          *sig;
    const vector_t  *v;

    for (i = 0; i < NVECTORS; i++) {
        v = &vectors[i];

        key = block(v->key, v->key_len, v->fill);
        data = block(v->data, v->len, v->data_fill);

        sig = create(key, v->key_len);
        if (!ok(sig != NULL, "RFC 4231, %s: a key", v->name)) {
            continue;
        }

        /* what is ready needs the caller's copy no more */

        memset(key, 0, v->key_len);
        free(key);

        strcpy(got, signed_in_parts(sig, data, v->len, SIZE_MAX));
        got[v->shown] = '\0';
        is_str(got, v->hex, "RFC 4231, %s", v->name);

        free(data);
        destroy(sig);
    }
}


static void
test_parts(void)
{
    size_t   part;
    u_char  *data, *key;
    sign_t  *sig;

    /* the same in parts of any size, and with the key used again and again */

    key = block(NULL, 131, 0xaa);
    sig = create(key, 131);
    data = block(text(LARGE_BOTH), 0);

    for (part = 1; part <= sizeof(LARGE_BOTH); part++) {

        if (strcmp(signed_in_parts(sig, data, sizeof(LARGE_BOTH) - 1, part),
                   vectors[6].hex) != 0)
        {
            break;
        }
    }

    is_int(part, sizeof(LARGE_BOTH) + 1, "parts of all sizes, one key");

    destroy(sig);
    free(data);
    free(key);
}


static void
test_lengths(void)
{
    char     at[2 * DIGEST_LEN + 1], over[2 * DIGEST_LEN + 1], key[66];
    sign_t  *sig;

    memset(key, 'k', 65);

    /* of a key as long as a block, one byte more, and the hash of that */

    key[64] = '\0';
    sig = made(key);
    strcpy(at, signed_by(sig, "body"));
    destroy(sig);

    key[64] = 'k';
    key[65] = '\0';
    sig = made(key);
    strcpy(over, signed_by(sig, "body"));
    destroy(sig);

    is_str(at,
           "2e213d30b446410b3c21ed0982394dd2add15ccc4da5abab1cac32e7fd6eb01f",
           "a key of 64 bytes");
    is_str(over,
           "2da24f5c5e8c4884fbeebd56a313b1578530a805d626213a9338445723ad28f6",
           "a key of 65 bytes");

    sig = made("key");
    is_str(signed_by(sig, ""),
           "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0",
           "an empty body");

    ok(init(sig) == NGX_OK && update(sig, NULL, 0) == NGX_OK,
       "an empty part without an address");

    destroy(sig);
}


static void
test_order(void)
{
    char     want[2 * DIGEST_LEN + 1];
    u_char   digest[DIGEST_LEN];
    sign_t  *sig, *other;

    sig = made("one secret");
    other = made("another secret");

    is_int(update(sig, (u_char *) "x", 1), NGX_ERROR, "update before init");
    is_int(final(sig, digest), NGX_ERROR, "final before init");

    strcpy(want, signed_by(sig, "body"));

    is_int(update(sig, (u_char *) "x", 1), NGX_ERROR, "update after final");
    is_int(final(sig, digest), NGX_ERROR, "final after final");
    is_str(signed_by(sig, "body"), want, "init after these errors");

    is_int(init(sig), NGX_OK, "a body is begun");
    is_int(update(sig, (u_char *) "half", 4), NGX_OK, "and left");
    is_str(signed_by(sig, "body"), want, "nothing of it is in the next");

    ok(strcmp(signed_by(other, "body"), want) != 0, "keys differ");
    is_str(signed_by(sig, "body"), want, "and don't mix");
    ok(strcmp(signed_by(sig, "bodY"), want) != 0, "bodies differ");

    ok(create((u_char *) "", 0) == NULL, "an empty key is none");
    is_int(ERR_peek_error(), 0, "no error is left behind");

    destroy(NULL);
    destroy(sig);
    destroy(other);
}


/* parses a value that is a block of its own */

static ngx_int_t
parsed(const char *value, size_t len, u_char *digest)
{
    ngx_int_t  rc;
    ngx_str_t  s;

    s.data = block(value, len, 0);
    s.len = len;

    memset(digest, 0xa5, DIGEST_LEN);

    rc = parse(&s, digest);

    free(s.data);

    return rc;
}


#define HEX   "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"


static void
test_parse(void)
{
    char    value[] = "sha256=" HEX, out[2 * DIGEST_LEN + 1];
    size_t  i;
    u_char  digest[DIGEST_LEN], upper[DIGEST_LEN];

    static const struct {
        const char  *name;
        const char  *value;
        size_t       len;
    } bad[] = {
        { "nothing", text("") },
        { "the scheme alone", text("sha256=") },
        { "no scheme", text(HEX) },
        { "the scheme without its sign", text("sha256" HEX) },
        { "a scheme in upper case", text("SHA256=" HEX) },
        { "a scheme of mixed case", text("Sha256=" HEX) },
        { "another scheme", text("sha512=" HEX) },
        { "the old header's scheme", text("sha1=" HEX) },
        { "the old header",
          text("sha1=00112233445566778899aabbccddeeff00112233") },
        { "another sign", text("sha256:" HEX) },
        { "a blank before", text(" sha256=" HEX) },
        { "a blank behind", text("sha256=" HEX " ") },
        { "a blank within, as long", text("sha256= "
          "0112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0") },
        { "a line end behind", text("sha256=" HEX "\n") },
        { "NUL behind", text("sha256=" HEX "\0") },
        { "quotation marks", text("\"sha256=" HEX "\"") },
        { "a digit too many", text("sha256=" HEX "0") },
        { "a byte too many", text("sha256=" HEX "00") },
        { "two of them", text("sha256=" HEX ",sha256=" HEX) },
        { "two of them, as one", text("sha256=" HEX HEX) }
    };

    is_int(parsed(text(value), digest), NGX_OK, "a header");
    hex(digest, out);
    is_str(out, HEX, "its digest");

    for (i = 7; i < sizeof(value) - 1; i++) {
        value[i] = (char) ngx_toupper(value[i]);
    }

    is_int(parsed(text(value), upper), NGX_OK, "upper case");
    ok(equal(digest, upper) == 1, "its digest is the same");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(parsed(bad[i].value, bad[i].len, digest), NGX_DECLINED,
               "%s", bad[i].name);
    }

    for (i = 0; i < sizeof(value) - 1; i++) {

        if (parsed(value, i, digest) != NGX_DECLINED) {
            break;
        }
    }

    is_int(i, sizeof(value) - 1, "cut off anywhere");
}


static void
test_digits(void)
{
    int       c;
    char      value[] = "sha256=" HEX;
    size_t    i;
    u_char    digest[DIGEST_LEN];
    unsigned  n;

    for (i = 7; i < sizeof(value) - 1; i += 7) {
        n = 0;

        for (c = 0; c < 256; c++) {
            value[i] = (char) c;
            n += parsed(text(value), digest) == NGX_OK;
        }

        value[i] = '0';
        is_int(n, 22, "22 of all bytes are digits, byte %zu", i);
    }

    for (i = 0; i < 7; i++) {
        n = 0;

        for (c = 0; c < 256; c++) {
            memcpy(value, "sha256=", 7);
            value[i] = (char) c;
            n += parsed(text(value), digest) == NGX_OK;
        }

        memcpy(value, "sha256=", 7);
        is_int(n, 1, "one of all bytes is the scheme's, byte %zu", i);
    }
}


static void
test_equal(void)
{
    size_t  i, differ;
    u_char  a[DIGEST_LEN], b[DIGEST_LEN];

    for (i = 0; i < DIGEST_LEN; i++) {
        a[i] = b[i] = (u_char) (i * 37);
    }

    is_int(equal(a, b), 1, "two digests that are the same");

    for (differ = 0, i = 0; i < 8 * DIGEST_LEN; i++) {
        b[i / 8] ^= (u_char) (1 << i % 8);
        differ += !equal(a, b);
        b[i / 8] ^= (u_char) (1 << i % 8);
    }

    is_int(differ, 8 * DIGEST_LEN, "each bit counts");
}


static void
test_memory(void)
{
    char     want[2 * DIGEST_LEN + 1], got[2 * DIGEST_LEN + 1];
    long     n;
    sign_t  *sig;
    size_t   wrong;

    /* that nothing leaks is for valgrind and the sanitizer to see */

    wrong = 0;

    for (n = 0; /* void */ ; n++) {
        budget = n;
        sig = made("key");
        budget = -1;

        wrong += ERR_peek_error() != 0;

        if (sig != NULL) {
            break;
        }
    }

    ok(n > 0, "a key without memory: none, %ld times", n);
    is_int(wrong, 0, "a key without memory: no error is left behind");

    strcpy(want, signed_by(sig, "body"));
    wrong = 0;

    for (n = 0; /* void */ ; n++) {
        budget = n;
        strcpy(got, signed_by(sig, "body"));
        budget = -1;

        wrong += ERR_peek_error() != 0;

        if (strcmp(got, "error") != 0) {
            break;
        }

        wrong += strcmp(signed_by(sig, "body"), want) != 0;
    }

    is_str(got, want, "a body without memory: none, %ld times", n);
    is_int(wrong, 0, "a body without memory: the next one is well");

    destroy(sig);
}


static void
test_wiped(void)
{
    long     n;
    void    *p;
    sign_t  *sig;

    found = 0;

    p = OPENSSL_memdup(wiped, sizeof(wiped));
    OPENSSL_free(p);
    is_int(found, 1, "a key that is given back as it is would be found");

    found = 0;

    sig = made(wiped);
    (void) signed_by(sig, "body");
    (void) signed_by(sig, "body");
    is_int(init(sig), NGX_OK, "a key in use, with a body begun");
    destroy(sig);

    is_int(found, 0, "and destroyed: it is wiped");

    for (n = 0; /* void */ ; n++) {
        budget = n;
        sig = made(wiped);
        budget = -1;

        if (sig != NULL) {
            break;
        }
    }

    destroy(sig);

    is_int(found, 0, "and one that couldn't be made");
}


/* from the header and the body to the answer, as the module does it */

static void
test_whole(void)
{
    u_char   digest[DIGEST_LEN], want[DIGEST_LEN];
    sign_t  *sig;

    static const char  body[] = "{\"object\":\"whatsapp_business_account\","
        "\"entry\":[{\"id\":\"102290129340398\",\"changes\":[]}]}";
    static const char  header[] = "sha256="
        "16bb397c59c4fbda71af9933c84d59c62bf8cee8d4ea457d83ba8fb749344768";

    sig = made("0123456789abcdef0123456789abcdef");

    is_int(parsed(text(header), want), NGX_OK, "a webhook: its header");

    ok(init(sig) == NGX_OK
       && update(sig, (u_char *) body, sizeof(body) - 1) == NGX_OK
       && final(sig, digest) == NGX_OK && equal(digest, want),
       "a webhook: its signature");

    ok(init(sig) == NGX_OK
       && update(sig, (u_char *) body, sizeof(body) - 2) == NGX_OK
       && final(sig, digest) == NGX_OK && !equal(digest, want),
       "a webhook: not that of a body cut off");

    destroy(sig);
}


int
main(void)
{
    ok(CRYPTO_set_mem_functions(own_malloc, own_realloc, own_free) == 1,
       "OpenSSL's memory is ours");

    test_vectors();
    test_parts();
    test_lengths();
    test_order();
    test_parse();
    test_digits();
    test_equal();
    test_memory();
    test_wiped();
    test_whole();

    return tap_done();
}
