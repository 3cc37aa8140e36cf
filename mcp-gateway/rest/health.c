/* What operators ask: is it alive, can it work, what has it done. */
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/json.h"
#include "base/log.h"
#include "base/out.h"
#include "mcp-gateway/caller.h"
#include "mcp-gateway/rest/call.h"
#include "mcp-gateway/shared/shared.h"

enum { ASK_MS = 2000 };

/* A question to the worker on behalf of a request. */
struct question {
    struct sb_rest *rest;
    struct sb_http_request *request; /* NULL: gone, or answered */
    struct sb_backend_call *call;
};

/* It takes no gateway out of service when it is away: all of them have the same one. */
static void put_store(const struct sb_rest *rest, struct sb_json *json)
{
    const struct sb_shared *shared = sb_backend_shared(rest->options.backend);
    struct sb_shared_stats stats;
    if (shared != NULL) {
        sb_shared_tell(shared, &stats);
        sb_json_open(json, "shared_store", '{');
        sb_json_cstr(json, "status", stats.is_up ? "ok" : "unavailable");
        if (!stats.is_up) {
            sb_json_cstr(json, "detail", stats.trouble);
        }
        sb_json_close(json, '}');
    }
}

static void put_status(const struct sb_rest *rest,
                       struct sb_http_request *request,
                       int status,
                       const char *word,
                       const char *detail,
                       const Aisbx__V1__GetInfoResponse *info)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "status", word);
    sb_json_cstr(&json, "version", SB_VERSION);
    if (detail != NULL) {
        sb_json_cstr(&json, "detail", detail);
    }
    if (info != NULL) {
        sb_json_open(&json, "worker", '{');
        sb_json_cstr(&json, "version", info->version);
        sb_json_cstr(&json, "mode", info->mode);
        sb_json_bool(&json, "draining", info->draining != 0);
        sb_json_close(&json, '}');
    }
    put_store(rest, &json);
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    sb_http_add_header(request, "Cache-Control", "no-store");
    if (status == 503) {
        sb_http_add_header(request, "Retry-After", "1");
    }
    sb_http_reply(request, status, "application/json", sb_buf_cstr(&out.buf), out.buf.len);
    sb_out_done(&out);
}

static void on_info(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    struct question *question = user;
    struct sb_http_request *request = question->request;
    const Aisbx__V1__GetInfoResponse *info = (const void *)message;
    (void)call;
    question->request = NULL;
    if (request == NULL) {
        return;
    }
    if (info->draining) {
        put_status(question->rest, request, 503, "draining", "the worker takes no new sandboxes",
                   info);
    } else {
        put_status(question->rest, request, 200, "ok", NULL, info);
    }
}

/* To whom nobody has asked for a key: where the worker should be is for the log. */
static void
put_failed(const struct sb_rest *rest, struct sb_http_request *request, const struct sb_err *err)
{
    SB_LOG_DEBUG("the worker is not well", "error=%s", err->text);
    put_status(rest, request, 503, "unavailable",
               err->code == SB_UNAVAILABLE ? "the worker cannot be reached"
                                           : "the worker did not answer",
               NULL);
}

static void on_info_done(struct sb_backend_call *call, const struct sb_err *err, void *user)
{
    struct question *question = user;
    (void)call;
    if (question->request != NULL) {
        put_failed(question->rest, question->request, err);
    }
    free(question);
}

static void on_metrics(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    struct question *question = user;
    struct sb_http_request *request = question->request;
    struct sb_rest *rest = question->rest;
    struct sb_out out;
    (void)call;
    question->request = NULL;
    if (request == NULL) {
        return;
    }
    sb_out_init(&out, -1);
    sb_rest_metrics_render_own(
        &rest->metrics, rest->server == NULL ? 0 : sb_http_server_connections(rest->server), &out);
    sb_rest_metrics_render_fleet(sb_backend_fleet(rest->options.backend), &out);
    sb_rest_metrics_render_shared(sb_backend_shared(rest->options.backend), &out);
    sb_rest_metrics_render_spans(rest->options.tracer, &out);
    const char *worker = rest->options.worker;
    sb_rest_metrics_render(message, worker == NULL ? "local" : worker, &out);
    sb_http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", sb_buf_cstr(&out.buf),
                  out.buf.len);
    sb_out_done(&out);
}

/* The worker has none, or does not say: our own are better than nothing. */
static void on_metrics_done(struct sb_backend_call *call, const struct sb_err *err, void *user)
{
    struct question *question = user;
    struct sb_http_request *request = question->request;
    static const Aisbx__V1__GetMetricsResponse none = AISBX__V1__GET_METRICS_RESPONSE__INIT;
    if (request != NULL &&
        (err->code == SB_UNAUTHENTICATED || err->code == SB_DENIED || err->code == SB_EXHAUSTED)) {
        sb_rest_reply_error(request, call, err);
    } else if (request != NULL) {
        on_metrics(call, &none.base, question);
    }
    free(question);
}

static void on_gone(struct sb_http_request *request, void *user)
{
    struct question *question = user;
    (void)request;
    question->request = NULL;
    sb_backend_cancel(question->call);
}

static const struct sb_backend_callbacks info_callbacks = {.message = on_info,
                                                           .done = on_info_done};
static const struct sb_backend_callbacks metrics_callbacks = {.message = on_metrics,
                                                              .done = on_metrics_done};
static const struct sb_http_watcher watcher = {.gone = on_gone};

static int ask(struct sb_rest *rest,
               struct sb_http_request *request,
               const struct sb_backend_caller *caller,
               const struct sb_rpc_method *method,
               const struct sb_backend_callbacks *callbacks,
               struct sb_err *err)
{
    static const Aisbx__V1__GetInfoRequest info = AISBX__V1__GET_INFO_REQUEST__INIT;
    static const Aisbx__V1__GetMetricsRequest metrics = AISBX__V1__GET_METRICS_REQUEST__INIT;
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        return sb_err_oom(err);
    }
    question->rest = rest;
    question->request = request;
    struct sb_backend_request asked = {
        .caller = caller,
        .method = method,
        .message = method->in == info.base.descriptor ? &info.base : &metrics.base,
        .timeout_ms = ASK_MS};
    if (sb_backend_start(rest->options.backend, &asked, callbacks, question, &question->call, err) <
        0) {
        free(question);
        return -1;
    }
    sb_http_watch(request, &watcher, question);
    return 0;
}

void sb_rest_health(struct sb_rest *rest, struct sb_http_request *request, const char *what)
{
    /* Nobody's credential: whether it works is no secret, and with the versions all that is told.
     */
    static const struct sb_backend_caller gateway = {.protocol = "rest"};
    struct sb_err err;
    if (strcmp(what, "live") == 0) {
        put_status(rest, request, 200, "ok", NULL, NULL);
        return;
    }
    if (rest->is_ending) {
        put_status(rest, request, 503, "draining", "this gateway ends", NULL);
        return;
    }
    if (ask(rest, request, &gateway,
            &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_GET_INFO],
            &info_callbacks, &err) < 0) {
        put_failed(rest, request, &err);
    }
}

void sb_rest_metrics_ask(struct sb_rest *rest, struct sb_http_request *request)
{
    struct sb_backend_caller caller;
    struct sb_err err;
    if (sb_caller_of(request, "rest", rest->options.loopback_without_key, &caller, &err) < 0 ||
        ask(rest, request, &caller,
            &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_GET_METRICS],
            &metrics_callbacks, &err) < 0) {
        sb_rest_reply_error(request, NULL, &err);
    }
}
