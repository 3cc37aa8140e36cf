#include "mcp-gateway/sandboxd/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/beneath.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/caller.h"
#include "mcp-gateway/inflow.h"
#include "mcp-gateway/sandboxd/env.h"
#include "mcp-gateway/sandboxd/multipart.h"

#define SANDBOX(name)                                                                              \
    &aisbx__v1__sandbox_service__methods[AISBX__V1__SANDBOX_SERVICE__METHOD_##name]

enum { DEFAULT_MODE = 0644 };

/* ---- answers ---- */

void sb_sandboxd_refuse(struct sb_http_request *request,
                        int status,
                        const char *code,
                        const char *text)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "code", code);
    sb_json_cstr(&json, "message", text);
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    if (status == 401) {
        sb_http_add_header(request, "WWW-Authenticate", "Bearer");
    }
    if (status == 429 || status == 503) {
        sb_http_add_header(request, "Retry-After", "1");
    }
    sb_http_reply(request, status, "application/json", sb_buf_cstr(&out.buf), out.buf.len);
    sb_out_done(&out);
}

void sb_op_refuse(struct sb_op *op, int status, const char *code, const char *text)
{
    struct sb_http_request *request = op->request;
    op->request = NULL;
    if (request != NULL) {
        sb_sandboxd_refuse(request, status, code, text);
    }
}

void sb_op_reply_empty(struct sb_op *op, int status)
{
    struct sb_http_request *request = op->request;
    op->request = NULL;
    if (request != NULL) {
        sb_http_reply(request, status, NULL, NULL, 0);
    }
}

void sb_op_reply_json(struct sb_op *op, int status, struct sb_str json)
{
    struct sb_http_request *request = op->request;
    op->request = NULL;
    if (request != NULL) {
        sb_http_add_header(request, "Cache-Control", "no-store");
        sb_http_reply(request, status, "application/json", json.ptr, json.len);
    }
}

/* What the contract calls it, where it has a word. */
static const struct {
    enum sb_code code;
    int status;
    const char *name;
} errors[] = {
    {SB_INVALID, 400, "INVALID_ARGUMENT"},     {SB_DENIED, 403, "PERMISSION_DENIED"},
    {SB_NOT_FOUND, 404, "NOT_FOUND"},          {SB_EXISTS, 409, "CONFLICT"},
    {SB_PRECONDITION, 409, "CONFLICT"},        {SB_ABORTED, 409, "CONFLICT"},
    {SB_RANGE, 416, "OUT_OF_RANGE"},           {SB_UNAUTHENTICATED, 401, "UNAUTHENTICATED"},
    {SB_EXHAUSTED, 429, "RESOURCE_EXHAUSTED"}, {SB_UNIMPLEMENTED, 501, "UNIMPLEMENTED"},
    {SB_UNAVAILABLE, 503, "UNAVAILABLE"},      {SB_CANCELLED, 503, "UNAVAILABLE"},
    {SB_DEADLINE, 503, "UNAVAILABLE"},
};

void sb_op_fail(struct sb_op *op, const struct sb_err *err)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].code == err->code) {
            sb_op_refuse(op, errors[i].status, errors[i].name, err->text);
            return;
        }
    }
    sb_op_refuse(op, 500, "INTERNAL", err->text);
}

/* ---- calls ---- */

static void op_free(struct sb_op *op)
{
    sb_list_remove(&op->node);
    sb_listing_free(op->listing);
    sb_inflow_free(op->inflow);
    free(op->form);
    free(op);
}

static void on_message(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    struct sb_op *op = user;
    (void)call;
    if (op->request != NULL) {
        op->on_message(op, message);
    }
}

/* The next call is started from here, so an operation without one is over. */
static void on_done(struct sb_backend_call *call, const struct sb_err *err, void *user)
{
    struct sb_op *op = user;
    (void)call;
    op->call = NULL;
    if (op->request != NULL) {
        op->on_done(op, err);
    }
    if (op->call == NULL) {
        if (op->request != NULL) {
            sb_op_refuse(op, 500, "INTERNAL", "the worker did not answer");
        }
        op_free(op);
    }
}

/* The worker takes the body, or more of it. */
static void on_room(struct sb_backend_call *call, void *user)
{
    struct sb_op *op = user;
    (void)call;
    if (op->request != NULL && op->inflow != NULL) {
        sb_inflow_read(op->inflow);
    }
}

static void on_gone(struct sb_http_request *request, void *user)
{
    struct sb_op *op = user;
    (void)request;
    op->request = NULL;
    if (op->call != NULL) {
        sb_backend_cancel(op->call);
    }
}

static void on_drained(struct sb_http_request *request, void *user)
{
    struct sb_op *op = user;
    (void)request;
    if (op->call != NULL) {
        sb_backend_read(op->call);
    }
}

void sb_op_ask(struct sb_op *op,
               const struct sb_rpc_method *method,
               const ProtobufCMessage *message,
               void (*message_fn)(struct sb_op *op, const ProtobufCMessage *message),
               void (*done_fn)(struct sb_op *op, const struct sb_err *err))
{
    static const struct sb_backend_callbacks callbacks = {
        .message = on_message, .accepted = on_room, .drained = on_room, .done = on_done};
    struct sb_err err;
    struct sb_backend_caller caller;
    const struct sb_backend_request asked = {
        .caller = &caller, .method = method, .message = message};
    op->on_message = message_fn;
    op->on_done = done_fn;
    if (sb_caller_of(op->request, "rest", op->sandboxd->options.loopback_without_key, &caller,
                     &err) < 0 ||
        sb_backend_start(op->sandboxd->options.backend, &asked, &callbacks, op, &op->call, &err) <
            0) {
        sb_op_fail(op, &err);
        return;
    }
    if ((method->flags & SB_RPC_SERVER_STREAM) != 0) {
        sb_backend_read(op->call);
    }
}

/* ---- which sandbox ---- */

static void take_sandbox(struct sb_op *op, const Aisbx__V1__Sandbox *sandbox)
{
    if (sandbox != NULL) {
        (void)snprintf(op->sandbox_id, sizeof op->sandbox_id, "%s", sandbox->sandbox_id);
    }
}

static void on_got(struct sb_op *op, const ProtobufCMessage *message)
{
    take_sandbox(op, ((const Aisbx__V1__GetSandboxResponse *)(const void *)message)->sandbox);
}

static void on_created(struct sb_op *op, const ProtobufCMessage *message)
{
    take_sandbox(op, ((const Aisbx__V1__CreateSandboxResponse *)(const void *)message)->sandbox);
}

/* That the worker has none is not the client's fault. */
static void on_create_done(struct sb_op *op, const struct sb_err *err)
{
    if (err->code == SB_PRECONDITION) {
        sb_op_refuse(op, 503, "UNAVAILABLE", err->text);
    } else if (err->code != SB_OK) {
        sb_op_fail(op, err);
    } else {
        op->then(op);
    }
}

static void on_get_done(struct sb_op *op, const struct sb_err *err)
{
    if (err->code == SB_NOT_FOUND) {
        Aisbx__V1__CreateSandboxRequest create = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
        create.home = true;
        sb_op_ask(op, SANDBOX(CREATE_SANDBOX), &create.base, on_created, on_create_done);
    } else if (err->code != SB_OK) {
        sb_op_fail(op, err);
    } else {
        op->then(op);
    }
}

static void find_sandbox(struct sb_op *op)
{
    Aisbx__V1__GetSandboxRequest get = AISBX__V1__GET_SANDBOX_REQUEST__INIT;
    get.home = true;
    sb_op_ask(op, SANDBOX(GET_SANDBOX), &get.base, on_got, on_get_done);
}

/* ---- requests ---- */

/* As Go's strconv.ParseBool reads it. */
static bool read_bool(struct sb_str text, bool *ret_value)
{
    static const char *const words[2][6] = {{"0", "f", "F", "false", "FALSE", "False"},
                                            {"1", "t", "T", "true", "TRUE", "True"}};
    for (int value = 0; value < 2; value++) {
        for (size_t i = 0; i < 6; i++) {
            if (sb_str_eq(text, sb_str_from(words[value][i]))) {
                *ret_value = value == 1;
                return true;
            }
        }
    }
    return false;
}

/* ^0[0-7]{3}$ */
static bool read_mode(struct sb_str text, uint32_t *ret_mode)
{
    uint32_t mode = 0;
    if (text.len != 4 || text.ptr[0] != '0') {
        return false;
    }
    for (size_t i = 1; i < 4; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7') {
            return false;
        }
        mode = mode * 8 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret_mode = mode;
    return true;
}

static int read_put(struct sb_op *op, struct sb_err *err)
{
    struct sb_str text;
    const char *type = sb_http_header(op->request, "Content-Type");
    op->mode = DEFAULT_MODE;
    op->then = sb_op_put;
    if (sb_http_query(op->request, "mode", &text) && text.len > 0 && !read_mode(text, &op->mode)) {
        return sb_err_set(err, SB_INVALID, "mode \"%.*s\" must match ^0[0-7]{3}$",
                          SB_STR_ARG(text));
    }
    return sb_multipart_is(type) ? sb_multipart_new(type, "file", &op->form, err) : 0;
}

static int read_delete(struct sb_op *op, struct sb_err *err)
{
    struct sb_str text;
    op->then = sb_op_delete;
    if (sb_http_query(op->request, "recursive", &text) && text.len > 0 &&
        !read_bool(text, &op->is_recursive)) {
        return sb_err_set(err, SB_INVALID, "recursive \"%.*s\" must be a boolean",
                          SB_STR_ARG(text));
    }
    return 0;
}

static int read_get(struct sb_op *op, struct sb_err *err)
{
    (void)err;
    op->then = sb_op_get;
    return 0;
}

static const struct {
    unsigned methods; /* a set of enum sb_http_method */
    int (*read)(struct sb_op *op, struct sb_err *err);
} verbs[] = {
    {SB_HTTP_GET | SB_HTTP_HEAD, read_get},
    {SB_HTTP_PUT, read_put},
    {SB_HTTP_DELETE, read_delete},
};

static int read_request(struct sb_op *op, struct sb_str path, struct sb_err *err)
{
    if (sb_beneath(SB_OP_ROOT, path, op->path, sizeof op->path, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if ((verbs[i].methods & sb_http_method(op->request)) != 0) {
            return verbs[i].read(op, err);
        }
    }
    return sb_err_set(err, SB_UNIMPLEMENTED, "no such method");
}

static void serve_file(struct sb_sandboxd *sandboxd, struct sb_http_request *request)
{
    static const struct sb_http_watcher watcher = {.gone = on_gone, .drained = on_drained};
    struct sb_err err;
    struct sb_str path = sb_str_skip(sb_http_path(request), sizeof SB_SANDBOXD_FILES - 1);
    struct sb_op *op = calloc(1, sizeof *op);
    if (op == NULL) {
        sb_sandboxd_refuse(request, 503, "UNAVAILABLE", "out of memory");
        return;
    }
    op->sandboxd = sandboxd;
    op->request = request;
    if (read_request(op, path, &err) < 0) {
        sb_op_fail(op, &err);
        free(op->form);
        free(op);
        return;
    }
    sb_list_append(&sandboxd->ops, &op->node);
    find_sandbox(op);
    if (op->call == NULL) { /* answered */
        op_free(op);
        return;
    }
    sb_http_watch(request, &watcher, op);
}

/* ---- health and metadata ---- */

static void on_info(struct sb_op *op, const ProtobufCMessage *message)
{
    const Aisbx__V1__GetInfoResponse *info = (const void *)message;
    char text[80];
    if (info->draining) {
        sb_op_refuse(op, 503, "UNAVAILABLE", "the worker takes no new sandboxes");
        return;
    }
    uint64_t up_ms = sb_clock_mono_ms() - op->sandboxd->start_ms;
    int n = snprintf(text, sizeof text, "{\"status\":\"ok\",\"uptime_seconds\":%ju}\n",
                     (uintmax_t)(up_ms / 1000));
    sb_op_reply_json(op, 200, sb_str_of(text, (size_t)n));
}

/* Whoever may call at all may see it. */
static void on_info_for_env(struct sb_op *op, const ProtobufCMessage *message)
{
    struct sb_out out;
    (void)message;
    sb_out_init(&out, -1);
    sb_env_write(&out, environ);
    if (out.broken != 0) {
        sb_op_refuse(op, 500, "INTERNAL", "the environment is too large");
    } else {
        sb_op_reply_json(op, 200, sb_buf_str(&out.buf));
    }
    sb_out_done(&out);
}

static void on_info_done(struct sb_op *op, const struct sb_err *err)
{
    if (err->code != SB_OK) {
        sb_op_fail(op, err);
    }
}

static void ask_info(struct sb_sandboxd *sandboxd,
                     struct sb_http_request *request,
                     void (*message_fn)(struct sb_op *op, const ProtobufCMessage *message))
{
    static const struct sb_http_watcher watcher = {.gone = on_gone};
    static const Aisbx__V1__GetInfoRequest info = AISBX__V1__GET_INFO_REQUEST__INIT;
    struct sb_op *op = calloc(1, sizeof *op);
    if (op == NULL) {
        sb_sandboxd_refuse(request, 503, "UNAVAILABLE", "out of memory");
        return;
    }
    op->sandboxd = sandboxd;
    op->request = request;
    sb_list_append(&sandboxd->ops, &op->node);
    sb_op_ask(op, &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_GET_INFO],
              &info.base, message_fn, on_info_done);
    if (op->call == NULL) {
        op_free(op);
        return;
    }
    sb_http_watch(request, &watcher, op);
}

static void serve_health(struct sb_sandboxd *sandboxd, struct sb_http_request *request)
{
    ask_info(sandboxd, request, on_info);
}

static void serve_metadata(struct sb_sandboxd *sandboxd, struct sb_http_request *request)
{
    ask_info(sandboxd, request, on_info_for_env);
}

static const struct {
    struct sb_str path;
    bool is_prefix;
    unsigned methods;
    const char *allow;
    void (*serve)(struct sb_sandboxd *sandboxd, struct sb_http_request *request);
} places[] = {
    {SB_STR(SB_SANDBOXD_FILES), true, SB_HTTP_GET | SB_HTTP_HEAD | SB_HTTP_PUT | SB_HTTP_DELETE,
     "GET, HEAD, PUT, DELETE", serve_file},
    {SB_STR("/v1/health"), false, SB_HTTP_GET | SB_HTTP_HEAD, "GET, HEAD", serve_health},
    {SB_STR("/v1/metadata"), false, SB_HTTP_GET | SB_HTTP_HEAD, "GET, HEAD", serve_metadata},
};

bool sb_sandboxd_streams(const struct sb_http_request *request)
{
    return sb_http_method(request) == SB_HTTP_PUT &&
           sb_str_starts_with(sb_http_path(request), SB_STR(SB_SANDBOXD_FILES));
}

bool sb_sandboxd_take(struct sb_sandboxd *sandboxd, struct sb_http_request *request)
{
    struct sb_str path = sb_http_path(request);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i].is_prefix ? !sb_str_starts_with(path, places[i].path)
                                : !sb_str_eq(path, places[i].path)) {
            continue;
        }
        if ((places[i].methods & sb_http_method(request)) == 0) {
            sb_http_add_header(request, "Allow", places[i].allow);
            sb_sandboxd_refuse(request, 405, "UNIMPLEMENTED", "see Allow");
        } else {
            places[i].serve(sandboxd, request);
        }
        return true;
    }
    return false;
}

int sb_sandboxd_new(const struct sb_sandboxd_options *options,
                    struct sb_sandboxd **ret_sandboxd,
                    struct sb_err *err)
{
    struct sb_sandboxd *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->options = *options;
    made->start_ms = sb_clock_mono_ms();
    sb_list_init(&made->ops);
    *ret_sandboxd = made;
    return 0;
}

void sb_sandboxd_free(struct sb_sandboxd *sandboxd)
{
    if (sandboxd == NULL) {
        return;
    }
    SB_FOREACH (node, &sandboxd->ops) {
        struct sb_op *op = SB_LIST_ENTRY(node, struct sb_op, node);
        op->request = NULL;
        sb_backend_cancel(op->call);
    }
    /* Their done() still unlinks them: the head must not be on memory that is gone. */
    while (!sb_list_is_empty(&sandboxd->ops)) {
        (void)sb_list_pop(&sandboxd->ops);
    }
    free(sandboxd);
}
