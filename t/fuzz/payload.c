
/*
 * Copyright (C) the graph_policy authors
 */

/*
 * libFuzzer: any bytes as a webhook's payload, and as parts of one.  The text,
 * the arena and the memory are blocks of exactly their size, so that the
 * sanitizer sees each byte beyond; the tree is walked when the first two are
 * gone.
 */


#include <stdlib.h>
#include <string.h>
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_message.h"
#include "ngx_http_graph_policy_payload.h"


#define check(expr)  if (!(expr)) abort()

#define CHANGE       "{\"entry\":[{\"changes\":[{\"value\":"


typedef ngx_http_graph_policy_payload_t   payload_t;
typedef ngx_http_graph_policy_entry_t     entry_t;
typedef ngx_http_graph_policy_change_t    change_t;
typedef ngx_http_graph_policy_item_t      item_t;
typedef ngx_http_graph_policy_contact_t   contact_t;
typedef ngx_http_graph_policy_wh_error_t  error_t;


/* what a tree says, for comparing two */

typedef struct {
    size_t    entries;
    size_t    changes;
    size_t    items;
    size_t    contacts;
    size_t    errors;
    uint64_t  sum;                  /* of all that it says */
    char      first[NGX_HTTP_GRAPH_POLICY_GRAPH_ID_LEN + 1];
} said_t;


typedef struct {
    const u_char  *start;
    const u_char  *end;
    uint64_t       sum;
} memory_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
add(memory_t *m, const void *data, size_t len)
{
    size_t         i;
    const u_char  *p;

    p = data;

    for (i = 0; i < len; i++) {
        m->sum = (m->sum ^ p[i]) * 0x100000001b3;
    }
}


static void
add_number(memory_t *m, int64_t value)
{
    add(m, &value, sizeof(value));
}


static void
check_block(memory_t *m, const void *block, size_t size)
{
    check((const u_char *) block >= m->start);
    check(size <= (size_t) (m->end - (const u_char *) block));
}


static void
check_id(memory_t *m, ngx_str_t *id)
{
    size_t  i;

    add_number(m, id->len);

    if (id->len == 0) {
        return;
    }

    check(id->len <= NGX_HTTP_GRAPH_POLICY_GRAPH_ID_LEN);
    check_block(m, id->data, id->len);

    for (i = 0; i < id->len; i++) {
        check(id->data[i] >= '0' && id->data[i] <= '9');
    }

    add(m, id->data, id->len);
}


static void
check_recipient(memory_t *m, ngx_str_t *recipient)
{
    size_t  i;

    add_number(m, recipient->len);

    if (recipient->len == 0) {
        return;
    }

    check(recipient->len <= NGX_HTTP_GRAPH_POLICY_RECIPIENT_LEN);
    check_block(m, recipient->data, recipient->len);

    for (i = 0; i < recipient->len; i++) {
        check(memchr("+ -()", recipient->data[i], 5) == NULL);
    }

    add(m, recipient->data, recipient->len);
}


/* returns how many names there are */

static size_t
check_who(memory_t *m, ngx_str_t *who)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_GRAPH_POLICY_WHO_NAMES; i++) {
        check_recipient(m, &who[i]);
        n += (who[i].len != 0);
    }

    return n;
}


static void
check_time(memory_t *m, time_t value)
{
    check(value >= 0 && value <= 9999999999);
    add_number(m, value);
}


static size_t
check_errors(memory_t *m, error_t *error)
{
    size_t  n;

    for (n = 0; error != NULL; error = error->next) {
        check_block(m, error, sizeof(error_t));
        check(error->code >= 0 && error->subcode >= 0);
        check(error->has_code || error->code == 0);
        check(error->has_subcode || error->subcode == 0);

        add_number(m, error->has_code ? error->code : -1);
        add_number(m, error->has_subcode ? error->subcode : -1);
        add_number(m, error->more);
        n += 1 + error->more;
    }

    return n;
}


/* returns the errors of a change */

static size_t
check_items(memory_t *m, item_t *item, said_t *said)
{
    size_t  n, errors, names;

    errors = 0;

    for ( /* void */ ; item != NULL; item = item->next) {
        check_block(m, item, sizeof(item_t));
        check(item->place <= NGX_HTTP_GRAPH_POLICY_ITEM_HISTORY);

        add_number(m, item->place);
        add_number(m, item->system);
        add_number(m, item->group);
        add_number(m, item->member);
        check_time(m, item->time);

        names = check_who(m, item->who);
        check(!item->group || names <= 1);

        n = check_errors(m, item->errors);
        errors += n;
        said->items++;

        switch (item->place) {

        case NGX_HTTP_GRAPH_POLICY_ITEM_VALUE:
        case NGX_HTTP_GRAPH_POLICY_ITEM_HISTORY:
            check(names == 0 && item->time == 0);
            check(n != 0 && !item->system && !item->group);
            break;

        case NGX_HTTP_GRAPH_POLICY_ITEM_STATUS:
            check(n != 0
                  || (item->id.len != 0
                      && item->status != NGX_HTTP_GRAPH_POLICY_STATUS_OTHER));
            check(!item->system && !item->group);
            break;

        case NGX_HTTP_GRAPH_POLICY_ITEM_CALL:
            check(n == 0 && !item->system && !item->group);
            break;

        default: /* NGX_HTTP_GRAPH_POLICY_ITEM_MESSAGE */
            check(!item->member);
            break;
        }
    }

    return errors;
}


static void
check_changes(memory_t *m, change_t *change, said_t *said)
{
    size_t      errors, n;
    contact_t  *contact;

    for ( /* void */ ; change != NULL; change = change->next) {
        check_block(m, change, sizeof(change_t));
        check_id(m, &change->phone);
        check_id(m, &change->account);
        check_id(m, &change->number);

        n = 0;

        for (contact = change->contacts; contact != NULL;
             contact = contact->next)
        {
            check_block(m, contact, sizeof(contact_t));
            check(check_who(m, contact->who) != 0);
            n++;
        }

        check(n == change->ncontacts);
        said->contacts += n;

        add_number(m, change->numbered);
        add_number(m, change->grouped);

        add_number(m, change->field);
        add_number(m, change->event);
        add_number(m, change->partner);

        add_number(m, change->more);
        check(change->more == 0
              || change->field == NGX_HTTP_GRAPH_POLICY_FIELD_OTHER);

        said->changes += 1 + change->more;
        errors = check_items(m, change->items, said);

        if (change->field != NGX_HTTP_GRAPH_POLICY_FIELD_ACCOUNT) {
            check(change->field <= NGX_HTTP_GRAPH_POLICY_FIELD_CALLS);
            check(change->event == NGX_HTTP_GRAPH_POLICY_EVENT_OTHER);
            check(!change->partner && !change->numbered);

            said->errors += errors;
            continue;
        }

        switch (change->event) {

        case NGX_HTTP_GRAPH_POLICY_EVENT_DISCONNECTED:
        case NGX_HTTP_GRAPH_POLICY_EVENT_DISABLED:
        case NGX_HTTP_GRAPH_POLICY_EVENT_NOTICE:
            said->errors++;
            break;

        default:
            check(change->event <= NGX_HTTP_GRAPH_POLICY_EVENT_REINSTATED);
            break;
        }
    }
}


static void
walk(payload_t *payload, memory_t *m, said_t *said)
{
    entry_t  *entry;

    memset(said, 0, sizeof(said_t));

    for (entry = payload->entries; entry != NULL; entry = entry->next) {
        check_block(m, entry, sizeof(entry_t));
        check_id(m, &entry->account);
        check_time(m, entry->time);

        if (said->entries++ == 0 && entry->account.len != 0) {
            memcpy(said->first, entry->account.data, entry->account.len);
        }

        check_changes(m, entry->changes, said);
    }

    check(payload->nchanges == said->changes);
    check(payload->nerrors == said->errors);

    said->sum = m->sum;
}


/* reads "before", the data and "after" as one text */

static ngx_int_t
read_payload(const char *before, const uint8_t *data, size_t size,
    const char *after, said_t *said)
{
    size_t      len, head, tail;
    u_char     *arena, *memory, *text, *copy;
    memory_t    m;
    ngx_int_t   rc;
    payload_t   payload;

    head = strlen(before);
    tail = strlen(after);
    len = head + size + tail;

    text = malloc(len);
    copy = malloc(len);
    arena = malloc(ngx_http_graph_policy_json_arena(len));
    memory = malloc(ngx_http_graph_policy_payload_memory(len));

    if (arena == NULL || memory == NULL
        || ((text == NULL || copy == NULL) && len != 0))
    {
        abort();
    }

    if (len != 0) {
        memcpy(text, before, head);

        if (size != 0) {
            memcpy(text + head, data, size);
        }

        memcpy(text + head + size, after, tail);
        memcpy(copy, text, len);
    }

    memset(&payload, 0xa5, sizeof(payload_t));
    memset(memory, 0xa5, ngx_http_graph_policy_payload_memory(len));

    rc = ngx_http_graph_policy_payload_read(text, len, arena, memory,
                                            len & 1, &payload);

    check(rc == NGX_OK || rc == NGX_DECLINED);
    check(len == 0 || memcmp(text, copy, len) == 0);

    free(arena);
    free(copy);
    free(text);

    m.start = memory;
    m.end = memory + ngx_http_graph_policy_payload_memory(len);
    m.sum = 0xcbf29ce484222325;

    walk(&payload, &m, said);

    check(rc == NGX_OK || said->entries == 0);

    free(memory);

    return rc;
}


/* whether the data is one whole document, of any type */

static int
is_document(const uint8_t *data, size_t size)
{
    u_char                         *arena, *text;
    ngx_int_t                       rc;
    ngx_http_graph_policy_facts_t   facts;

    text = malloc(size);
    arena = malloc(ngx_http_graph_policy_json_arena(size));

    if (arena == NULL || (text == NULL && size != 0)) {
        abort();
    }

    if (size != 0) {
        memcpy(text, data, size);
    }

    rc = ngx_http_graph_policy_json_parse(text, size, arena, &facts);

    free(arena);
    free(text);

    return rc == NGX_OK;
}


/* the data as a part of a payload; a document can't reach beyond its place */

static void
read_parts(const uint8_t *data, size_t size)
{
    said_t  s;

    if (!is_document(data, size)) {
        (void) read_payload(CHANGE "{\"statuses\":[{\"timestamp\":1,", data,
                            size, "}]}}]}]}", &s);
        (void) read_payload(CHANGE "{", data, size,
                            "},\"field\":\"messages\"}]}]}", &s);
        return;
    }

    if (read_payload(CHANGE, data, size,
                     ",\"field\":\"account_update\"}]}]}", &s)
        == NGX_OK)
    {
        check(s.changes == 1 && s.errors <= 1);
    }

    if (read_payload(CHANGE "{\"statuses\":[", data, size,
                     "]},\"field\":\"messages\"}]}]}", &s)
        == NGX_OK)
    {
        check(s.entries == 1);
    }

    if (read_payload(CHANGE "{\"errors\":[", data, size,
                     ",{\"code\":1}]}}]}]}", &s)
        == NGX_OK)
    {
        check(s.errors >= 1);
    }

    /* what isn't known says nothing, and changes nothing */

    if (read_payload("{\"a\":", data, size, "}", &s) == NGX_OK) {
        check(s.entries == 0);
    }

    if (read_payload("{\"entry\":[{\"id\":\"7\"}],\"entry\":", data, size,
                     "}", &s)
        == NGX_OK)
    {
        check(s.entries >= 1 && strcmp(s.first, "7") == 0);
    }

    /* of two the last one counts */

    if (read_payload("{\"entry\":[{\"id\":", data, size, ",\"id\":\"7\"}]}",
                     &s)
        == NGX_OK)
    {
        check(s.entries >= 1);
    }

    check(read_payload("[", data, size, "]", &s) == NGX_DECLINED);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t  i;
    said_t  said, other;

    read_parts(data, size);

    if (read_payload("", data, size, "", &said) != NGX_OK) {

        /* memory is enough for any object */

        for (i = 0; i < size && strchr(" \t\r\n", data[i]) != NULL
             && data[i] != '\0'; i++)
        {
            /* void */
        }

        check(i == size || data[i] != '{' || !is_document(data, size));

        return 0;
    }

    /*
     * White space around a payload says nothing, all else spoils it.  It is of
     * even length, as odd payloads have statuses in their trees.
     */

    check(read_payload(" \t", data, size, "\r\n", &other) == NGX_OK);
    check(memcmp(&said, &other, sizeof(said_t)) == 0);

    check(read_payload("", data, size, "]", &other) == NGX_DECLINED);
    check(read_payload("", data, size, " \"", &other) == NGX_DECLINED);
    check(read_payload("", data, size, " tru", &other) == NGX_DECLINED);

    /* nothing says something before its end */

    for (i = size; data[i - 1] != '}'; i--) { /* void */ }

    check(read_payload("", data, i - 1, "", &other) == NGX_DECLINED);

    return 0;
}
