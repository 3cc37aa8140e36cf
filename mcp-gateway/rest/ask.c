/* From path, query, headers and body to the message of a call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "aisbx/v1/exec.pb-c.h"
#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/num.h"
#include "mcp-gateway/rest/call.h"
#include "proto/client/message.h"
#include "proto/json/pbread.h"

struct asking {
    const struct sb_route *route;
    ProtobufCMessage *message;
    struct sb_rest_problem *problem;
    bool is_bad;
};

static int refuse(struct sb_rest_problem *problem, int status)
{
    problem->status = status;
    return -1;
}

static void take_param(struct sb_str name, struct sb_str value, void *ctx)
{
    struct asking *asking = ctx;
    struct sb_rest_problem *problem = asking->problem;
    if (asking->is_bad) {
        return;
    }
    if (!sb_route_has_param(asking->route, name)) {
        (void)sb_err_set(&problem->err, SB_INVALID, "%.*s is no parameter of %s", SB_STR_ARG(name),
                         asking->route->id);
        asking->is_bad = true;
    } else if (sb_pbread_param(asking->message, name, value, &problem->err) < 0) {
        asking->is_bad = true;
    }
}

static bool is_type(const char *type, const char *wanted)
{
    size_t n = strlen(wanted);
    return type != NULL && strncasecmp(type, wanted, n) == 0 &&
           (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static int check_type(const struct sb_http_request *request,
                      const struct sb_route *route,
                      struct sb_rest_problem *problem)
{
    const char *type = sb_http_header(request, "Content-Type");
    const char *coding = sb_http_header(request, "Content-Encoding");
    const char *wanted = route->body == SB_ROUTE_BYTES ? "application/octet-stream"
                         : route->body == SB_ROUTE_TAR ? "application/x-tar"
                                                       : "application/json";
    if (coding != NULL && strcasecmp(coding, "identity") != 0) {
        (void)sb_err_set(&problem->err, SB_INVALID, "bodies are taken uncompressed");
        return refuse(problem, 415);
    }
    if (is_type(type, wanted)) {
        return 0;
    }
    (void)sb_err_set(&problem->err, SB_INVALID, "%s takes a body of Content-Type %s", route->id,
                     wanted);
    return refuse(problem, 415);
}

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessage *message, const char *name)
{
    return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
}

static int take_bytes(ProtobufCMessage *message,
                      const char *name,
                      struct sb_str body,
                      struct sb_rest_problem *problem)
{
    ProtobufCBinaryData data = {.len = body.len, .data = (uint8_t *)sb_str_dup(body)};
    if (data.data == NULL) {
        (void)sb_err_oom(&problem->err);
        return refuse(problem, 503);
    }
    memcpy((char *)message + field_of(message, name)->offset, &data, sizeof data);
    return 0;
}

/* What the body names, whatever its value, is what changes. */
static int take_mask(ProtobufCMessage *message, struct sb_str body, struct sb_rest_problem *problem)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf json = SB_BUF_INIT(4096);
    cJSON *object = cJSON_ParseWithLength(body.ptr, body.len); /* sb_pbread_text passed it */
    (void)sb_buf_printf(&json, "{\"update_mask\":[");
    for (const cJSON *item = object == NULL ? NULL : object->child; item != NULL;
         item = item->next) {
        (void)sb_buf_printf(&json, "%s\"%s\"", item == object->child ? "" : ",", item->string);
    }
    (void)sb_buf_printf(&json, "]}");
    cJSON_Delete(object);
    return sb_pbread_text(sb_buf_str(&json), message, problem->pointer, &problem->err);
}

static int read_json(ProtobufCMessage *message, struct sb_str body, struct sb_rest_problem *problem)
{
    problem->pointer[0] = '\0';
    if (sb_pbread_text(body, message, problem->pointer, &problem->err) == 0) {
        return 0;
    }
    /* What is no JSON is a bad request; what is JSON but not what is wanted cannot be processed. */
    bool is_meaning =
        problem->pointer[0] != '\0' || strncmp(problem->err.text, "the body: ", 10) == 0;
    return refuse(problem, problem->err.code == SB_EXHAUSTED ? 503 : is_meaning ? 422 : 400);
}

static int take_body(const struct sb_route *route,
                     ProtobufCMessage *message,
                     const struct sb_http_request *request,
                     struct sb_rest_problem *problem)
{
    struct sb_str body = sb_http_body(request);
    if (route->body == SB_ROUTE_NO_BODY) {
        if (body.len == 0) {
            return 0;
        }
        (void)sb_err_set(&problem->err, SB_INVALID, "%s takes no body", route->id);
        return refuse(problem, 400);
    }
    if (check_type(request, route, problem) < 0) {
        return -1;
    }
    switch (route->body) {
    case SB_ROUTE_BYTES:
        /* A file goes in pieces instead, as they come: see bytes.c. */
        return route->kind == SB_ROUTE_WRITE
                   ? 0
                   : take_bytes(message, route->body_field, body, problem);
    case SB_ROUTE_TAR:
        return 0; /* the same */
    case SB_ROUTE_MESSAGE:
        return read_json(message, body, problem);
    case SB_ROUTE_FIELD:
    case SB_ROUTE_MASKED:
    case SB_ROUTE_NO_BODY:
        break;
    }
    const ProtobufCFieldDescriptor *field = field_of(message, route->body_field);
    ProtobufCMessage *part = sb_pbread_new(field->descriptor, &problem->err);
    if (part == NULL) {
        return refuse(problem, 503);
    }
    void *pointer = part;
    memcpy((char *)message + field->offset, &pointer, sizeof pointer);
    if (read_json(part, body, problem) < 0) {
        return -1;
    }
    return route->body == SB_ROUTE_MASKED ? take_mask(message, body, problem) : 0;
}

static int take_idempotency(ProtobufCMessage *message,
                            const struct sb_http_request *request,
                            struct sb_rest_problem *problem)
{
    const char *key = sb_http_header(request, "Idempotency-Key");
    const ProtobufCFieldDescriptor *field = field_of(message, "request_id");
    const char *set = NULL;
    if (key == NULL || field == NULL) {
        return 0;
    }
    memcpy(&set, (char *)message + field->offset, sizeof set);
    if (set != NULL && *set != '\0' && strcmp(set, key) != 0) {
        (void)sb_err_set(&problem->err, SB_INVALID, "Idempotency-Key and request_id differ");
        return refuse(problem, 400);
    }
    if (set != NULL && *set != '\0') {
        return 0;
    }
    problem->status = 400;
    return sb_pbread_param(message, SB_STR("request_id"), sb_str_from(key), &problem->err);
}

/* "bytes=FIRST-" or "bytes=FIRST-LAST"; other forms are left alone, as RFC 9110 lets us. */
static void take_range(struct sb_rest_call *call)
{
    const char *text = sb_http_header(call->request, "Range");
    struct sb_str range = sb_str_from(text);
    struct sb_str first;
    struct sb_str last;
    struct sb_err ignored;
    if (text == NULL || call->ignores_range || !sb_str_starts_with(range, SB_STR("bytes=")) ||
        !sb_str_split(sb_str_skip(range, 6), '-', &first, &last) ||
        sb_num_u64(first, 0, INT64_MAX, &call->range_first, &ignored) < 0) {
        return;
    }
    call->range_last = UINT64_MAX;
    call->has_range = last.len == 0 || sb_num_u64(last, call->range_first, INT64_MAX,
                                                  &call->range_last, &ignored) == 0;
}

/* Two decimal offsets: "1024.0". */
static int take_last_event(struct sb_rest_call *call,
                           ProtobufCMessage *message,
                           struct sb_rest_problem *problem)
{
    const char *id = sb_http_header(call->request, "Last-Event-ID");
    struct sb_str out;
    struct sb_str err;
    if (id == NULL || message->descriptor != &aisbx__v1__attach_exec_request__descriptor) {
        return 0;
    }
    Aisbx__V1__AttachExecRequest *attach = (Aisbx__V1__AttachExecRequest *)(void *)message;
    if (!sb_str_split(sb_str_from(id), '.', &out, &err) ||
        sb_num_u64(out, 0, INT64_MAX, &attach->stdout_offset, &problem->err) < 0 ||
        sb_num_u64(err, 0, INT64_MAX, &attach->stderr_offset, &problem->err) < 0) {
        (void)sb_err_set(&problem->err, SB_INVALID, "Last-Event-ID is none of ours");
        return refuse(problem, 400);
    }
    return 0;
}

static void apply_range(struct sb_rest_call *call, ProtobufCMessage *message)
{
    uint64_t n = call->range_last == UINT64_MAX ? 0 : call->range_last - call->range_first + 1;
    if (!call->has_range) {
        return;
    }
    if (call->route->kind == SB_ROUTE_OUTPUT) {
        Aisbx__V1__ReadExecOutputRequest *read =
            (Aisbx__V1__ReadExecOutputRequest *)(void *)message;
        read->offset = (int64_t)call->range_first;
        read->max_bytes = n == 0 || n > (1U << 20) ? 1U << 20 : (uint32_t)n;
    } else if (call->route->kind == SB_ROUTE_READ) {
        Aisbx__V1__ReadFileRequest *read = (Aisbx__V1__ReadFileRequest *)(void *)message;
        read->offset = call->range_first;
        read->max_bytes = n;
    }
}

static void apply_preset(const struct sb_route *route, ProtobufCMessage *message)
{
    if (route->preset != NULL) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, route->preset);
        memcpy((char *)message + field->offset, &route->preset_value, sizeof route->preset_value);
    }
}

static int fill(struct sb_rest_call *call,
                const struct sb_route_match *match,
                ProtobufCMessage *message,
                struct sb_rest_problem *problem)
{
    const struct sb_route *route = match->route;
    struct asking asking = {.route = route, .message = message, .problem = problem};
    struct sb_str name;
    problem->status = 400;
    apply_preset(route, message);
    for (size_t i = 0; sb_route_var(route, i, &name); i++) {
        /* "target.sandbox_id": makes the target on the way. */
        if (sb_pbread_bind(message, name, match->values[i], &problem->err) < 0) {
            return -1;
        }
    }
    sb_http_each_query(call->request, take_param, &asking);
    if (asking.is_bad || take_body(route, message, call->request, problem) < 0 ||
        take_idempotency(message, call->request, problem) < 0 ||
        take_last_event(call, message, problem) < 0) {
        return -1;
    }
    if (message->descriptor == &aisbx__v1__start_exec_request__descriptor) {
        const Aisbx__V1__StartExecRequest *start = (const void *)message;
        call->is_background = start->exec != NULL && start->exec->background;
    } else if (message->descriptor == &aisbx__v1__attach_exec_request__descriptor) {
        const Aisbx__V1__AttachExecRequest *attach = (const void *)message;
        call->offsets[0] = attach->stdout_offset;
        call->offsets[1] = attach->stderr_offset;
    }
    take_range(call);
    apply_range(call, message);
    return 0;
}

ProtobufCMessage *sb_rest_ask(struct sb_rest_call *call,
                              const struct sb_route_match *match,
                              struct sb_rest_problem *problem)
{
    const ProtobufCMessageDescriptor *type =
        match->route->kind == SB_ROUTE_WRITE    ? &aisbx__v1__write_file_header__descriptor
        : match->route->kind == SB_ROUTE_IMPORT ? &aisbx__v1__import_tar_header__descriptor
                                                : match->route->rpc->in;
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *message = sb_pbread_new(type, &problem->err);
    problem->pointer[0] = '\0';
    problem->status = 503;
    if (message == NULL || fill(call, match, message, problem) < 0) {
        return NULL;
    }
    return SB_STEAL_PTR(message);
}
