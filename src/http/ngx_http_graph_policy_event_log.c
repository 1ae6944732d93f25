
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Writes the event log: one line of JSON for each change of a state.
 *
 * The lines are printed without a JSON generator: all data from outside has
 * been reduced to digits, hexadecimal, or letters, digits, ".", "_" and "-"
 * before.  Only the zone's name needs escapes.
 *
 * No lock is taken; the zone is unlocked by then.  A line has memory of its
 * own, which is freed after it has been written, as one request may change as
 * many states as an account has phones.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_breaker.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_event_log.h"
#include "ngx_http_graph_policy_json.h"
#include "ngx_http_graph_policy_outcome.h"
#include "ngx_http_graph_policy_rules.h"
#include "ngx_http_graph_policy_text.h"
#include "ngx_http_graph_policy_zone.h"


/*
 * The longest line without the zone's name, the request's id and the head of
 * syslog, whose lengths are added.
 */
#define NGX_HTTP_GRAPH_POLICY_EVENT_TEXT                                      \
    (NGX_HTTP_GRAPH_POLICY_KEY_LEN + NGX_HTTP_GRAPH_POLICY_TRACE_LEN          \
     + NGX_HTTP_GRAPH_POLICY_FP_LEN + NGX_HTTP_GRAPH_POLICY_ID_LEN            \
     + 3 * NGX_INT64_LEN + 512)

/* Seconds between two messages about lost lines. */
#define NGX_HTTP_GRAPH_POLICY_COMPLAINTS   60


static size_t ngx_http_graph_policy_syslog_head(ngx_syslog_peer_t *peer);
static u_char *ngx_http_graph_policy_event_line(u_char *p,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_view_t *view,
    const char *event);
static u_char *ngx_http_graph_policy_event_key(u_char *p,
    ngx_http_graph_policy_view_t *view);
static u_char *ngx_http_graph_policy_event_code(u_char *p, const char *name,
    int64_t code);
static u_char *ngx_http_graph_policy_event_time(u_char *p, const char *name,
    uint64_t time);
static u_char *ngx_http_graph_policy_event_hold(u_char *p,
    ngx_http_graph_policy_view_t *view);
static void ngx_http_graph_policy_send_event(ngx_log_t *log,
    ngx_http_graph_policy_event_log_t *el, u_char *line, size_t len);
static void ngx_http_graph_policy_complain(ngx_log_t *log,
    ngx_http_graph_policy_event_log_t *el, ngx_err_t err, ssize_t n,
    size_t len);


/* In the order of ngx_http_graph_policy_source_e. */

static const char  *ngx_http_graph_policy_sources[] = {
    "answer",
    "webhook",
    "api"
};

ngx_http_graph_policy_all_rows(ngx_http_graph_policy_sources,
                               NGX_HTTP_GRAPH_POLICY_NSOURCES);


void
ngx_http_graph_policy_write_event(ngx_http_request_t *r, ngx_log_t *log,
    ngx_http_graph_policy_zone_t *zone, ngx_http_graph_policy_view_t *view,
    const char *event)
{
    size_t                              len;
    u_char                             *p, *line;
    ngx_http_variable_value_t          *id;
    ngx_http_graph_policy_event_log_t  *el;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = zone->data;
    el = gmcf->event_log;

    if (el == NULL) {
        return;
    }

    /*
     * The indexed variable has the same value in all events of a request, and
     * in the access log.
     */

    id = (r != NULL) ? ngx_http_get_indexed_variable(r, el->request_id) : NULL;

    if (id == NULL || id->not_found) {
        id = &ngx_http_variable_null_value;
    }

    len = NGX_HTTP_GRAPH_POLICY_EVENT_TEXT + zone->name.len
          + ngx_escape_json(NULL, zone->name.data, zone->name.len) + id->len;

    if (el->file == NULL) {
        len += ngx_http_graph_policy_syslog_head(el->syslog);
    }

    line = ngx_alloc(len, ngx_cycle->log);
    if (line == NULL) {
        return;
    }

    p = (el->file == NULL) ? ngx_syslog_add_header(el->syslog, line) : line;

    p = ngx_http_graph_policy_event_line(p, zone, view, event);
    p = ngx_sprintf(p, ",\"request_id\":\"%v\"}", id);

    if (el->file != NULL) {
        ngx_linefeed(p);
    }

    ngx_http_graph_policy_send_event(log, el, line, p - line);

    ngx_free(line);
}


/* Returns the greatest length that ngx_syslog_add_header() writes. */

static size_t
ngx_http_graph_policy_syslog_head(ngx_syslog_peer_t *peer)
{
    return sizeof("<191>Nov 25 18:00:00 ") + ngx_cycle->hostname.len
           + sizeof(" ") + peer->tag.len + sizeof(": ");
}


static u_char *
ngx_http_graph_policy_event_line(u_char *p, ngx_http_graph_policy_zone_t *zone,
    ngx_http_graph_policy_view_t *view, const char *event)
{
    uint64_t  until;

    p = ngx_http_graph_policy_event_time(p, "{\"time\":",
                                         ngx_http_graph_policy_now());

    p = ngx_sprintf(p, ",\"event\":\"%s\",\"state\":\"", event);
    p = ngx_http_graph_policy_write_id(p, view);

    p = ngx_sprintf(p, "\",\"zone\":\"");
    p = (u_char *) ngx_escape_json(p, zone->name.data, zone->name.len);

    p = ngx_sprintf(p, "\",\"scope\":\"%V\"",
                    &ngx_http_graph_policy_scopes[
                             ngx_http_graph_policy_key_scopes[view->kind]]);

    p = ngx_http_graph_policy_event_key(p, view);

    p = ngx_sprintf(p, ",\"category\":\"%V\",\"reason\":\"%V\"",
                    &ngx_http_graph_policy_categories[view->category],
                    &ngx_http_graph_policy_reasons[view->reason].slug);

    p = ngx_http_graph_policy_event_code(p, ",\"code\":", view->code);
    p = ngx_http_graph_policy_event_code(p, ",\"subcode\":", view->subcode);

    if (view->trace_len != 0) {
        p = ngx_sprintf(p, ",\"trace\":\"%*s\"", (size_t) view->trace_len,
                        view->trace);
    } else {
        p = ngx_sprintf(p, ",\"trace\":null");
    }

    p = ngx_sprintf(p, ",\"source\":\"%s\"",
                    ngx_http_graph_policy_sources[view->source]);

    /* "until" is null if the state is frozen, or has ended already. */

    until = view->until;

    if (view->transition == NGX_HTTP_GRAPH_POLICY_CLEARED
        || view->transition == NGX_HTTP_GRAPH_POLICY_EVICTED)
    {
        until = NGX_HTTP_GRAPH_POLICY_NEVER;
    }

    p = ngx_http_graph_policy_event_time(p, ",\"since\":", view->since);
    p = ngx_http_graph_policy_event_time(p, ",\"until\":", until);

    return ngx_http_graph_policy_event_hold(p, view);
}


/* Conversations and credentials appear only as fingerprints. */

static u_char *
ngx_http_graph_policy_event_key(u_char *p, ngx_http_graph_policy_view_t *view)
{
    if (view->key_len == 0
        || view->kind == NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION)
    {
        p = ngx_sprintf(p, ",\"key\":null");

    } else {
        p = ngx_sprintf(p, ",\"key\":\"%*s\"", (size_t) view->key_len,
                        view->key);
    }

    if (view->kind == NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE) {
        p = ngx_sprintf(p, ",\"of_phone\":true");
    }

    if (view->credential == 0) {
        return ngx_sprintf(p, ",\"credential\":null");
    }

    return ngx_sprintf(p, ",\"credential\":\"%016xL\"", view->credential);
}


static u_char *
ngx_http_graph_policy_event_code(u_char *p, const char *name, int64_t code)
{
    return (code == -1) ? ngx_sprintf(p, "%snull", name)
                        : ngx_sprintf(p, "%s%L", name, code);
}


static u_char *
ngx_http_graph_policy_event_time(u_char *p, const char *name, uint64_t time)
{
    ngx_tm_t  tm;

    if (time == NGX_HTTP_GRAPH_POLICY_NEVER) {
        return ngx_sprintf(p, "%snull", name);
    }

    ngx_gmtime((time_t) (time / 1000), &tm);

    return ngx_sprintf(p, "%s\"%4d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", name,
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                       (int) (time % 1000));
}


/*
 * Prints the hold in seconds.  A frozen state keeps one for the time after it
 * is thawed, but ends by hand alone.
 */

static u_char *
ngx_http_graph_policy_event_hold(u_char *p, ngx_http_graph_policy_view_t *view)
{
    if (view->until == NGX_HTTP_GRAPH_POLICY_NEVER) {
        return ngx_sprintf(p, ",\"hold\":null");
    }

    p = ngx_sprintf(p, ",\"hold\":%uD", view->hold / 1000);

    return (view->hold % 1000 == 0) ? p
                                    : ngx_sprintf(p, ".%03uD",
                                                  view->hold % 1000);
}


/*
 * Each line is written by one system call, so that the lines of several
 * workers don't mix.
 */

static void
ngx_http_graph_policy_send_event(ngx_log_t *log,
    ngx_http_graph_policy_event_log_t *el, u_char *line, size_t len)
{
    ssize_t    n;
    ngx_err_t  err;

    if (el->file != NULL) {
        n = ngx_write_fd(el->file->fd, line, len);

    } else {
        n = ngx_syslog_send(el->syslog, line, len);
    }

    if (n != (ssize_t) len) {
        err = (n == -1 && el->file != NULL) ? ngx_errno : 0;
        ngx_http_graph_policy_complain(log, el, err, n, len);
    }
}


static void
ngx_http_graph_policy_complain(ngx_log_t *log,
    ngx_http_graph_policy_event_log_t *el, ngx_err_t err, ssize_t n,
    size_t len)
{
    time_t  now;

    static ngx_str_t  syslog = ngx_string("syslog");

    now = ngx_time();

    if (now - el->complained < NGX_HTTP_GRAPH_POLICY_COMPLAINTS) {
        return;
    }

    el->complained = now;

    ngx_log_error(NGX_LOG_ALERT, log, err,
                  "graph_policy_event_log \"%V\" lost an event, %z of %uz "
                  "bytes were written",
                  (el->file != NULL) ? &el->file->name : &syslog,
                  ngx_max(n, 0), len);
}
