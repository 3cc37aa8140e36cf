#include "mcp-gateway/rest/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/caller.h"
#include "mcp-gateway/inflow.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

static const struct {
    enum sb_code code;
    int status;
} statuses[] = {
    {SB_INVALID, 422},   {SB_UNAUTHENTICATED, 401}, {SB_DENIED, 403},      {SB_NOT_FOUND, 404},
    {SB_EXISTS, 409},    {SB_PRECONDITION, 409},    {SB_ABORTED, 409},     {SB_RANGE, 416},
    {SB_EXHAUSTED, 429}, {SB_UNIMPLEMENTED, 501},   {SB_UNAVAILABLE, 503}, {SB_DEADLINE, 504},
    {SB_CANCELLED, 503},
};

int sb_rest_status_of(enum sb_code code)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        if (statuses[i].code == code) {
            return statuses[i].status;
        }
    }
    return 500;
}

/* Milliseconds in a trailer as whole seconds in a header, rounded up. */
static void add_seconds(struct sb_http_request *request, const char *header, const char *millis)
{
    char text[24];
    unsigned long long value = millis == NULL ? 0 : strtoull(millis, NULL, 10);
    (void)snprintf(text, sizeof text, "%llu", (value + 999) / 1000);
    sb_http_add_header(request, header, text);
}

static void
add_limits(struct sb_http_request *request, const struct sb_backend_call *call, int status)
{
    static const struct {
        const char *trailer;
        const char *header;
    } plain[] = {{"ratelimit-limit", "RateLimit-Limit"},
                 {"ratelimit-remaining", "RateLimit-Remaining"}};
    const char *after = call == NULL ? NULL : sb_backend_trailer(call, "retry-after-ms");
    const char *reset = call == NULL ? NULL : sb_backend_trailer(call, "ratelimit-reset-ms");
    if (status == 429 || status == 503) {
        add_seconds(request, "Retry-After", after == NULL ? "1000" : after);
    }
    for (size_t i = 0; call != NULL && i < sizeof plain / sizeof *plain; i++) {
        const char *value = sb_backend_trailer(call, plain[i].trailer);
        if (value != NULL) {
            sb_http_add_header(request, plain[i].header, value);
        }
    }
    if (reset != NULL) {
        add_seconds(request, "RateLimit-Reset", reset);
    }
}

void sb_rest_reply_error(struct sb_http_request *request,
                         const struct sb_backend_call *call,
                         const struct sb_err *err)
{
    int status = sb_rest_status_of(err->code);
    add_limits(request, call, status);
    sb_http_problem(request, &(struct sb_http_problem){
                                 .status = status, .code = err->code, .detail = err->text});
}

static void free_call(struct sb_rest_call *call)
{
    sb_list_remove(&call->node);
    if (call->timer != NULL) {
        event_free(call->timer);
    }
    sb_inflow_free(call->inflow);
    free(call);
}

void sb_rest_leave(struct sb_rest_call *call)
{
    call->request = NULL;
    sb_backend_cancel(call->call);
}

/* The member of a reply that is the whole answer. */
static const ProtobufCMessage *part_of(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        name == NULL ? NULL
                     : protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    const void *part = NULL;
    if (field == NULL) {
        return message;
    }
    memcpy(&part, (const char *)message + field->offset, sizeof part);
    return part;
}

static void add_location(struct sb_rest_call *call, const ProtobufCMessage *part)
{
    const struct sb_route *route = call->route;
    const char *id = NULL;
    char text[256];
    if (route->location == NULL) {
        return;
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(part->descriptor, route->id_field);
    memcpy(&id, (const char *)part + field->offset, sizeof id);
    (void)snprintf(text, sizeof text, SB_ROUTE_PREFIX "%s%s", route->location, id);
    sb_http_add_header(call->request, "Location", text);
}

void sb_rest_reply_message(struct sb_rest_call *call, int status, const ProtobufCMessage *message)
{
    struct sb_http_request *request = call->request;
    struct sb_out out;
    struct sb_json json = {.out = &out};
    call->request = NULL;
    sb_http_add_header(request, "Cache-Control", "no-store");
    if (status == 204) {
        sb_http_reply(request, status, NULL, NULL, 0);
        return;
    }
    sb_out_init(&out, -1);
    sb_pbjson_message(&json, NULL, message);
    sb_out_put(&out, "\n");
    if (out.broken != 0) {
        struct sb_err err;
        (void)sb_err_set(&err, SB_EXHAUSTED, "the answer is too large");
        sb_rest_reply_error(request, NULL, &err);
    } else {
        sb_http_reply(request, status, "application/json", sb_buf_cstr(&out.buf), out.buf.len);
    }
    sb_out_done(&out);
}

static void reply_whole(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    const ProtobufCMessage *part = part_of(message, call->route->reply_field);
    if (part == NULL) {
        struct sb_err err;
        struct sb_http_request *request = call->request;
        call->request = NULL;
        (void)sb_err_set(&err, SB_INTERNAL, "the worker's answer has no %s",
                         call->route->reply_field);
        sb_rest_reply_error(request, NULL, &err);
        return;
    }
    add_location(call, part);
    sb_rest_reply_message(call, call->route->status, part);
}

static void reply_first(struct sb_rest_call *call, const ProtobufCMessage *message)
{
    reply_whole(call, message);
    sb_rest_leave(call);
}

static void (*const on_messages[])(struct sb_rest_call *call, const ProtobufCMessage *message) = {
    [SB_ROUTE_UNARY] = reply_whole,
    [SB_ROUTE_FIRST] = reply_first,
    [SB_ROUTE_EVENTS] = sb_rest_events_message,
    [SB_ROUTE_EXEC] = sb_rest_exec_message,
    [SB_ROUTE_CODE] = sb_rest_code_message,
    [SB_ROUTE_OUTPUT] = sb_rest_output_message,
    [SB_ROUTE_READ] = sb_rest_read_message,
    [SB_ROUTE_WRITE] = reply_whole,
    [SB_ROUTE_EXPORT] = sb_rest_export_message,
    [SB_ROUTE_IMPORT] = reply_whole,
};

static void
on_message(struct sb_backend_call *backend_call, const ProtobufCMessage *message, void *user)
{
    struct sb_rest_call *call = user;
    (void)backend_call;
    if (call->request != NULL) {
        on_messages[call->route->kind](call, message);
    }
}

static void on_done(struct sb_backend_call *backend_call, const struct sb_err *err, void *user)
{
    struct sb_rest_call *call = user;
    struct sb_http_request *request = call->request;
    struct sb_err missing;
    bool is_empty_stream = call->route->kind == SB_ROUTE_EVENTS && err->code == SB_OK;
    if (request != NULL && (call->is_begun || is_empty_stream)) {
        sb_rest_events_done(call, err);
    } else if (request != NULL && err->code != SB_OK) {
        sb_rest_reply_error(request, backend_call, err);
    } else if (request != NULL) {
        (void)sb_err_set(&missing, SB_INTERNAL, "the worker did not answer");
        sb_rest_reply_error(request, NULL, &missing);
    }
    free_call(call);
}

static void on_gone(struct sb_http_request *request, void *user)
{
    (void)request;
    sb_rest_leave(user);
}

static void on_drained(struct sb_http_request *request, void *user)
{
    struct sb_rest_call *call = user;
    (void)request;
    sb_backend_read(call->call);
}

/* The worker takes the body, or more of it. */
static void on_room(struct sb_backend_call *backend_call, void *user)
{
    struct sb_rest_call *call = user;
    (void)backend_call;
    if (call->request != NULL && call->inflow != NULL) {
        sb_inflow_read(call->inflow);
    }
}

static const struct sb_backend_callbacks callbacks = {
    .message = on_message, .accepted = on_room, .drained = on_room, .done = on_done};
static const struct sb_http_watcher watcher = {.gone = on_gone, .drained = on_drained};

static void refuse(struct sb_http_request *request, const struct sb_rest_problem *problem)
{
    if (problem->status == 503) {
        sb_http_add_header(request, "Retry-After", "1");
    }
    sb_http_problem(request, &(struct sb_http_problem){
                                 .status = problem->status,
                                 .code = problem->err.code,
                                 .detail = problem->err.text,
                                 .pointer = problem->pointer[0] == '\0' ? NULL : problem->pointer});
}

static int start(struct sb_rest_call *call, const ProtobufCMessage *message, struct sb_err *err)
{
    struct sb_rest *rest = call->rest;
    bool is_client_stream = (call->route->rpc->flags & SB_RPC_CLIENT_STREAM) != 0;
    struct sb_backend_caller caller;
    if (sb_caller_of(call->request, "rest", rest->options.loopback_without_key, &caller, err) < 0) {
        return -1;
    }
    struct sb_backend_request request = {.caller = &caller,
                                         .method = call->route->rpc,
                                         .message = is_client_stream ? NULL : message};
    return sb_backend_start(rest->options.backend, &request, &callbacks, call, &call->call, err);
}

static void begin(struct sb_rest *rest,
                  struct sb_http_request *request,
                  const struct sb_route_match *match,
                  bool ignores_range)
{
    struct sb_rest_problem problem = {.status = 503};
    struct sb_rest_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        (void)sb_err_oom(&problem.err);
        refuse(request, &problem);
        return;
    }
    call->rest = rest;
    call->request = request;
    call->route = match->route;
    call->ignores_range = ignores_range;
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *message = sb_rest_ask(call, match, &problem);
    if (message == NULL) {
        refuse(request, &problem);
        free_call(call);
        return;
    }
    if (start(call, message, &problem.err) < 0) {
        sb_rest_reply_error(request, NULL, &problem.err);
        free_call(call);
        return;
    }
    sb_list_append(&rest->calls, &call->node);
    sb_http_watch(request, &watcher, call);
    if (call->route->kind == SB_ROUTE_WRITE) {
        sb_rest_write_start(call, message);
    } else if (call->route->kind == SB_ROUTE_IMPORT) {
        sb_rest_import_start(call, message);
    } else if ((call->route->rpc->flags & SB_RPC_SERVER_STREAM) != 0) {
        if (call->route->kind == SB_ROUTE_EVENTS || call->route->kind == SB_ROUTE_EXEC ||
            call->route->kind == SB_ROUTE_CODE) {
            sb_rest_events_watch(call);
        }
        sb_backend_read(call->call);
    }
}

void sb_rest_start(struct sb_rest *rest,
                   struct sb_http_request *request,
                   const struct sb_route_match *match)
{
    begin(rest, request, match, false);
}

void sb_rest_start_over(struct sb_rest_call *call)
{
    struct sb_rest *rest = call->rest;
    struct sb_http_request *request = call->request;
    struct sb_route_match match;
    sb_rest_leave(call);
    sb_route_find(sb_http_method(request), sb_http_path(request), &match);
    begin(rest, request, &match, true);
}
