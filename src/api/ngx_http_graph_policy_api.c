
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * The API: tells which call a request is, and whether it may be made.
 *
 * No lock is taken in this folder; the zone's functions return copies.  Memory
 * comes from the request's pool.
 *
 * A page in an operator's browser can't be tricked into changing a state: a
 * write is never a GET, its content type makes a browser ask before it sends
 * it to another site, and it is refused if it comes from a page of another
 * site.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_graph_policy_api.h"
#include "ngx_http_graph_policy_conf.h"
#include "ngx_http_graph_policy_request.h"
#include "ngx_http_graph_policy_request_body.h"
#include "ngx_http_graph_policy_zone.h"


/* Flags of a route. */
#define NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE  1
#define NGX_HTTP_GRAPH_POLICY_ROUTE_BODY   2

#define NGX_HTTP_GRAPH_POLICY_ALLOW  (sizeof("GET, HEAD, POST, DELETE") - 1)


typedef struct {
    ngx_str_t                      path;    /* below the location */
    ngx_uint_t                     method;  /* GET includes HEAD */
    ngx_uint_t                     flags;
    ngx_http_graph_policy_call_pt  handler;
} ngx_http_graph_policy_route_t;


static ngx_http_graph_policy_route_t *ngx_http_graph_policy_api_route(
    ngx_http_graph_policy_call_t *call, ngx_http_request_t *r, ngx_int_t *rc);
static ngx_int_t ngx_http_graph_policy_api_path(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t ngx_http_graph_policy_api_find_zone(
    ngx_http_graph_policy_call_t *call, ngx_str_t *path);
static ngx_uint_t ngx_http_graph_policy_api_is_at(
    ngx_http_graph_policy_call_t *call, ngx_str_t *pattern, ngx_str_t *path);
static ngx_int_t ngx_http_graph_policy_api_not_allowed(
    ngx_http_graph_policy_call_t *call, ngx_str_t *path,
    ngx_uint_t write_off);
static ngx_int_t ngx_http_graph_policy_api_check(ngx_http_request_t *r,
    ngx_http_graph_policy_route_t *route);
static void ngx_http_graph_policy_api_body_handler(ngx_http_request_t *r);


/* In a path "Z" stands for the name of a zone, "ID" for the id of a state. */

#define NGX_HTTP_GRAPH_POLICY_ZONES  "zones/"
#define NGX_HTTP_GRAPH_POLICY_ZONE   "zones/Z"

static ngx_http_graph_policy_route_t  ngx_http_graph_policy_routes[] = {

    { ngx_string(""), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_dashboard },

    { ngx_string("metrics"), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_metrics },

    { ngx_string("zones"), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_zones },

    { ngx_string("zones/Z"), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_zone },

    { ngx_string("zones/Z/states"), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_list },

    { ngx_string("zones/Z/states"), NGX_HTTP_POST,
      NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE|NGX_HTTP_GRAPH_POLICY_ROUTE_BODY,
      ngx_http_graph_policy_api_put },

    { ngx_string("zones/Z/states"), NGX_HTTP_DELETE,
      NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE,
      ngx_http_graph_policy_api_clear_all },

    { ngx_string("zones/Z/states/ID"), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_one },

    { ngx_string("zones/Z/states/ID"), NGX_HTTP_DELETE,
      NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE,
      ngx_http_graph_policy_api_clear },

    { ngx_string("zones/Z/lookup"), NGX_HTTP_POST,
      NGX_HTTP_GRAPH_POLICY_ROUTE_BODY,
      ngx_http_graph_policy_api_lookup },

    { ngx_string("rules"), NGX_HTTP_GET, 0,
      ngx_http_graph_policy_api_rules },

    { ngx_string("explain"), NGX_HTTP_POST,
      NGX_HTTP_GRAPH_POLICY_ROUTE_BODY,
      ngx_http_graph_policy_api_explain },

    { ngx_null_string, 0, 0, NULL }
};


ngx_int_t
ngx_http_graph_policy_api_init(ngx_conf_t *cf)
{
    ngx_uint_t                          i;
    ngx_shm_zone_t                     *shm_zone;
    ngx_list_part_t                    *part;
    ngx_http_graph_policy_zone_t      **zone;
    ngx_http_graph_policy_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_graph_policy_module);

    gmcf->zones = ngx_array_create(cf->pool, 4,
                                   sizeof(ngx_http_graph_policy_zone_t *));
    if (gmcf->zones == NULL) {
        return NGX_ERROR;
    }

    part = &cf->cycle->shared_memory.part;
    shm_zone = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return ngx_http_graph_policy_dashboard_init(cf);
            }

            part = part->next;
            shm_zone = part->elts;
            i = 0;
        }

        if (shm_zone[i].tag != &ngx_http_graph_policy_module) {
            continue;
        }

        zone = ngx_array_push(gmcf->zones);
        if (zone == NULL) {
            return NGX_ERROR;
        }

        *zone = shm_zone[i].data;
    }
}


ngx_int_t
ngx_http_graph_policy_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_http_graph_policy_call_t    call;
    ngx_http_graph_policy_route_t  *route;

    route = ngx_http_graph_policy_api_route(&call, r, &rc);

    if (route == NULL) {
        return rc;
    }

    rc = ngx_http_graph_policy_api_check(r, route);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!(route->flags & NGX_HTTP_GRAPH_POLICY_ROUTE_BODY)) {
        return route->handler(&call);
    }

    rc = ngx_http_read_client_request_body(r,
                                       ngx_http_graph_policy_api_body_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/*
 * Returns the route of the request, or NULL if there is none; the request has
 * been answered then, and *rc is the handler's return value.
 */

static ngx_http_graph_policy_route_t *
ngx_http_graph_policy_api_route(ngx_http_graph_policy_call_t *call,
    ngx_http_request_t *r, ngx_int_t *rc)
{
    ngx_str_t                       path;
    ngx_uint_t                      method, found, write_off;
    ngx_http_graph_policy_route_t  *route;

    ngx_memzero(call, sizeof(ngx_http_graph_policy_call_t));

    call->request = r;
    call->conf = ngx_http_get_module_loc_conf(r, ngx_http_graph_policy_module);

    if (ngx_http_graph_policy_api_path(r, &path) == NGX_OK
        && ngx_http_graph_policy_api_find_zone(call, &path) != NGX_OK)
    {
        *rc = ngx_http_graph_policy_api_error(r, NGX_HTTP_NOT_FOUND,
                                              "there is no such zone");
        return NULL;
    }

    method = (r->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : r->method;
    found = 0;
    write_off = 0;

    for (route = ngx_http_graph_policy_routes; route->handler != NULL;
         route++)
    {
        if (!ngx_http_graph_policy_api_is_at(call, &route->path, &path)) {
            continue;
        }

        found = 1;

        if (method != route->method) {
            continue;
        }

        if (!(route->flags & NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE)
            || call->conf->api == NGX_HTTP_GRAPH_POLICY_API_WRITE)
        {
            return route;
        }

        write_off = 1;
    }

    *rc = found ? ngx_http_graph_policy_api_not_allowed(call, &path, write_off)
                : ngx_http_graph_policy_api_error(r, NGX_HTTP_NOT_FOUND,
                                                  "there is no such path");
    return NULL;
}


/*
 * Sets "path" to the part of the URI behind the location's, without slashes at
 * either end.
 */

static ngx_int_t
ngx_http_graph_policy_api_path(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* After a rewrite and an internal redirect the URI may be anything. */

    if (r->uri.len < clcf->name.len
        || ngx_memcmp(r->uri.data, clcf->name.data, clcf->name.len) != 0)
    {
        ngx_str_set(path, "/");
        return NGX_DECLINED;
    }

    path->data = r->uri.data + clcf->name.len;
    path->len = r->uri.len - clcf->name.len;

    if (path->len != 0 && clcf->name.data[clcf->name.len - 1] != '/') {

        if (path->data[0] != '/') {
            ngx_str_set(path, "/");
            return NGX_DECLINED;
        }

        path->data++;
        path->len--;
    }

    if (path->len > 1 && path->data[path->len - 1] == '/') {
        path->len--;
    }

    return NGX_OK;
}


/*
 * A zone's name may contain slashes, so the zone is the one with the longest
 * name that the path begins with; "path" becomes the part behind the name.
 */

static ngx_int_t
ngx_http_graph_policy_api_find_zone(ngx_http_graph_policy_call_t *call,
    ngx_str_t *path)
{
    size_t                               len;
    u_char                              *p;
    ngx_uint_t                           i;
    ngx_http_graph_policy_zone_t       **zone;
    ngx_http_graph_policy_main_conf_t   *gmcf;

    len = sizeof(NGX_HTTP_GRAPH_POLICY_ZONES) - 1;

    if (path->len <= len
        || ngx_memcmp(path->data, NGX_HTTP_GRAPH_POLICY_ZONES, len) != 0)
    {
        return NGX_OK;
    }

    p = path->data + len;
    len = path->len - len;

    gmcf = ngx_http_get_module_main_conf(call->request,
                                         ngx_http_graph_policy_module);
    zone = gmcf->zones->elts;

    for (i = 0; i < gmcf->zones->nelts; i++) {

        if (zone[i]->name.len <= len
            && (zone[i]->name.len == len || p[zone[i]->name.len] == '/')
            && ngx_memcmp(zone[i]->name.data, p, zone[i]->name.len) == 0
            && (call->zone == NULL
                || call->zone->name.len < zone[i]->name.len))
        {
            call->zone = zone[i];
        }
    }

    if (call->zone == NULL) {
        return NGX_DECLINED;
    }

    path->data = p + call->zone->name.len;
    path->len = len - call->zone->name.len;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_graph_policy_api_is_at(ngx_http_graph_policy_call_t *call,
    ngx_str_t *pattern, ngx_str_t *path)
{
    size_t      len, skip;
    ngx_uint_t  of_zone;

    skip = sizeof(NGX_HTTP_GRAPH_POLICY_ZONE) - 1;
    of_zone = (pattern->len >= skip
               && ngx_memcmp(pattern->data, NGX_HTTP_GRAPH_POLICY_ZONE, skip)
                  == 0);

    if (of_zone != (call->zone != NULL)) {
        return 0;
    }

    skip = of_zone ? skip : 0;
    len = pattern->len - skip;

    if (len > 3 && ngx_memcmp(pattern->data + skip + len - 3, "/ID", 3) == 0) {

        len -= 2;

        if (path->len <= len
            || ngx_memcmp(path->data, pattern->data + skip, len) != 0)
        {
            return 0;
        }

        call->id.data = path->data + len;
        call->id.len = path->len - len;

        return ngx_strlchr(call->id.data, path->data + path->len, '/') == NULL;
    }

    return path->len == len
           && ngx_memcmp(path->data, pattern->data + skip, len) == 0;
}


static ngx_int_t
ngx_http_graph_policy_api_not_allowed(ngx_http_graph_policy_call_t *call,
    ngx_str_t *path, ngx_uint_t write_off)
{
    u_char                         *allow, *p;
    ngx_http_request_t             *r;
    ngx_http_graph_policy_route_t  *route;

    r = call->request;

    allow = ngx_pnalloc(r->pool, NGX_HTTP_GRAPH_POLICY_ALLOW + 2);
    if (allow == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = allow;

    for (route = ngx_http_graph_policy_routes; route->handler != NULL;
         route++)
    {
        if (!ngx_http_graph_policy_api_is_at(call, &route->path, path)
            || ((route->flags & NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE)
                && call->conf->api != NGX_HTTP_GRAPH_POLICY_API_WRITE))
        {
            continue;
        }

        p = ngx_sprintf(p, "%s, ", (route->method == NGX_HTTP_GET)
                                   ? "GET, HEAD"
                                   : (route->method == NGX_HTTP_POST)
                                   ? "POST" : "DELETE");
    }

    p -= 2;

    if (ngx_http_graph_policy_api_header(r, "Allow", allow, p - allow)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (write_off) {
        return ngx_http_graph_policy_api_error(r, NGX_HTTP_NOT_ALLOWED,
                         "this needs \"graph_policy_api write=on\"");
    }

    return ngx_http_graph_policy_api_error(r, NGX_HTTP_NOT_ALLOWED,
                                       "the method must be one of %*s",
                                       (size_t) (p - allow), allow);
}


/* Returns NGX_DECLINED if the call may go on; else it has been answered. */

static ngx_int_t
ngx_http_graph_policy_api_check(ngx_http_request_t *r,
    ngx_http_graph_policy_route_t *route)
{
    if ((route->flags & NGX_HTTP_GRAPH_POLICY_ROUTE_WRITE)
        && ngx_http_graph_policy_api_is_foreign(r))
    {
        return ngx_http_graph_policy_api_error(r, NGX_HTTP_FORBIDDEN,
                         "pages of other sites may change nothing here");
    }

    if (!(route->flags & NGX_HTTP_GRAPH_POLICY_ROUTE_BODY)) {
        return NGX_DECLINED;
    }

    if (!ngx_http_graph_policy_is_json(r)) {
        return ngx_http_graph_policy_api_error(r,
                         NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                         "the type of the body must be application/json");
    }

    if (r->headers_in.content_length_n > NGX_HTTP_GRAPH_POLICY_API_BODY) {
        return ngx_http_graph_policy_api_error(r,
                                       NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "the body must be at most 64k");
    }

    return NGX_DECLINED;
}


static void
ngx_http_graph_policy_api_body_handler(ngx_http_request_t *r)
{
    u_char                         *allocated;
    ngx_int_t                       rc;
    ngx_http_graph_policy_call_t    call;
    ngx_http_graph_policy_route_t  *route;

    /*
     * The route is looked up once more, as only the request itself has
     * survived the reading of the body.
     */

    route = ngx_http_graph_policy_api_route(&call, r, &rc);

    if (route == NULL) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    allocated = NULL;

    switch (ngx_http_graph_policy_gather_body(r,
                                              NGX_HTTP_GRAPH_POLICY_API_BODY,
                                              &call.body, &allocated))
    {

    case NGX_OK:
        rc = route->handler(&call);
        break;

    case NGX_DECLINED:
        rc = ngx_http_graph_policy_api_error(r,
                                       NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "the body must be at most 64k");
        break;

    default: /* NGX_ERROR */
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        break;
    }

    if (allocated != NULL) {
        ngx_free(allocated);
    }

    ngx_http_finalize_request(r, rc);
}
