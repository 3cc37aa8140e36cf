#include "mcp-gateway/rest/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/rest/call.h"
#include "mcp-gateway/rest/openapi.h"

int sb_rest_new(const struct sb_rest_options *options,
                struct sb_rest **ret_rest,
                struct sb_err *err)
{
    struct sb_rest *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->options = *options;
    sb_list_init(&made->calls);
    *ret_rest = made;
    return 0;
}

void sb_rest_free(struct sb_rest *rest)
{
    if (rest == NULL) {
        return;
    }
    SB_FOREACH (node, &rest->calls) {
        sb_rest_leave(SB_LIST_ENTRY(node, struct sb_rest_call, node));
    }
    /* Their done() still unlinks them: the head must not be on memory that is gone. */
    while (!sb_list_is_empty(&rest->calls)) {
        (void)sb_list_pop(&rest->calls);
    }
    free(rest);
}

static void add_allow(struct sb_http_request *request, unsigned allowed)
{
    char text[96] = "";
    for (unsigned method = 1; method <= SB_HTTP_OPTIONS; method <<= 1) {
        if ((allowed & method) != 0) {
            size_t len = strlen(text);
            (void)snprintf(text + len, sizeof text - len, "%s%s", len == 0 ? "" : ", ",
                           sb_http_method_name((enum sb_http_method)method));
        }
    }
    sb_http_add_header(request, "Allow", text);
}

/* For a path that is there, but not with that method; and what browsers ask before. */
static bool answer_options(struct sb_http_request *request, unsigned allowed)
{
    if (sb_http_method(request) == SB_HTTP_OPTIONS) {
        add_allow(request, allowed);
        if (sb_http_header(request, "Access-Control-Request-Method") != NULL) {
            sb_http_add_header(request, "Access-Control-Allow-Methods",
                               "GET, HEAD, POST, PUT, PATCH, DELETE");
            sb_http_add_header(
                request, "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Range, "
                "X-API-Key, X-Request-Id");
            sb_http_add_header(request, "Access-Control-Max-Age", "600");
        }
        sb_http_reply(request, 204, NULL, NULL, 0);
        return true;
    }
    if ((allowed & sb_http_method(request)) == 0) {
        add_allow(request, allowed);
        sb_http_problem(request, &(struct sb_http_problem){
                                     .status = 405,
                                     .code = SB_UNIMPLEMENTED,
                                     .detail = "this path does not take that method; see Allow"});
        return true;
    }
    return false;
}

static void not_found(struct sb_http_request *request)
{
    sb_http_problem(request,
                    &(struct sb_http_problem){.status = 404,
                                              .code = SB_NOT_FOUND,
                                              .detail = "no such path; "
                                                        "/api/v1/openapi.json tells them"});
}

static void serve_openapi(struct sb_rest *rest, struct sb_http_request *request)
{
    (void)rest;
    sb_http_reply(request, 200, "application/json", sb_openapi_document,
                  (size_t)(sb_openapi_document_end - sb_openapi_document));
}

static void serve_health(struct sb_rest *rest, struct sb_http_request *request)
{
    sb_rest_health(rest, request, "all");
}
static void serve_live(struct sb_rest *rest, struct sb_http_request *request)
{
    sb_rest_health(rest, request, "live");
}
static void serve_ready(struct sb_rest *rest, struct sb_http_request *request)
{
    sb_rest_health(rest, request, "ready");
}

/* Paths that are no call of the contract. */
static const struct {
    const char *path;
    void (*serve)(struct sb_rest *rest, struct sb_http_request *request);
} places[] = {
    {"/health", serve_health},
    {"/health/live", serve_live},
    {"/health/ready", serve_ready},
    {"/metrics", sb_rest_metrics_ask},
    {SB_ROUTE_PREFIX "/openapi.json", serve_openapi},
};

static bool take_place(struct sb_rest *rest, struct sb_http_request *request)
{
    static const unsigned allowed = SB_HTTP_GET | SB_HTTP_HEAD | SB_HTTP_OPTIONS;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!sb_str_eq(sb_http_path(request), sb_str_from(places[i].path))) {
            continue;
        }
        if (answer_options(request, allowed)) {
            return true;
        }
        if (sb_http_body(request).len > 0) {
            sb_http_problem(request,
                            &(struct sb_http_problem){.status = 400,
                                                      .code = SB_INVALID,
                                                      .detail = "this path takes no body"});
            return true;
        }
        places[i].serve(rest, request);
        return true;
    }
    return false;
}

bool sb_rest_streams(const struct sb_http_request *request)
{
    struct sb_route_match match;
    if (sb_http_method(request) != SB_HTTP_PUT) { /* of all that write as they come */
        return false;
    }
    sb_route_find(SB_HTTP_PUT, sb_http_path(request), &match);
    return match.route != NULL && sb_route_streams(match.route);
}

bool sb_rest_take(struct sb_rest *rest, struct sb_http_request *request)
{
    struct sb_str path = sb_http_path(request);
    struct sb_route_match match;
    if (take_place(rest, request)) {
        return true;
    }
    if (!sb_str_starts_with(path, SB_STR("/api/")) && !sb_str_eq(path, SB_STR("/api")) &&
        !sb_str_starts_with(path, SB_STR("/health/")) && !sb_str_eq(path, SB_STR("/"))) {
        return false;
    }
    sb_route_find(sb_http_method(request), path, &match);
    if (match.allowed == 0) {
        not_found(request);
    } else if (!answer_options(request, match.allowed)) {
        sb_rest_start(rest, request, &match);
    }
    return true;
}

void sb_rest_ended(struct sb_rest *rest,
                   const struct sb_http_request *request,
                   int status,
                   uint64_t us)
{
    sb_rest_metrics_note(&rest->metrics, request, status, us);
}

void sb_rest_set_ending(struct sb_rest *rest)
{
    rest->is_ending = true;
}

void sb_rest_set_server(struct sb_rest *rest, const struct sb_http_server *server)
{
    rest->server = server;
}
