#include "mcp-gateway/fusion/fusion.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/caller.h"
#include "mcp-gateway/fusion/job.h"
#include "mcp-gateway/http/server.h"
#include "proto/client/message.h"

enum {
    MAX_WAITING = 1024,
    MAX_ANSWER = 16 << 20, /* bytes: four streams of 1 MiB and a file, escaped */
};

struct sb_fusion {
    struct sb_fusion_options options;
    struct sb_list running;
    struct sb_list waiting; /* first come, first served, of one caller's */
    size_t n_waiting;
    size_t max_running; /* of one caller; how much of all there is, the worker says by its quotas */
    struct sb_hash_key key;
};

/* ---- answers ---- */

static void reply(struct sb_http_request *request, int status, struct sb_str json)
{
    sb_http_add_header(request, "Cache-Control", "no-store");
    sb_http_reply(request, status, "application/json", json.ptr, json.len);
}

/* {"detail": ...}, as there. @field  NULL: the detail is the text. */
static void refuse(struct sb_http_request *request, int status, const char *field, const char *text)
{
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '{');
    if (field == NULL) {
        sb_json_cstr(&json, "detail", text);
    } else {
        sb_json_open(&json, "detail", '[');
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "type", "value_error");
        sb_json_open(&json, "loc", '[');
        sb_json_cstr(&json, NULL, "body");
        if (field[0] != '\0') {
            sb_json_cstr(&json, NULL, field);
        }
        sb_json_close(&json, ']');
        sb_json_cstr(&json, "msg", text);
        sb_json_close(&json, '}');
        sb_json_close(&json, ']');
    }
    sb_json_close(&json, '}');
    if (status == 401) {
        sb_http_add_header(request, "WWW-Authenticate", "Bearer");
    }
    if (status == 504) {
        sb_http_add_header(request, "Retry-After", "1");
    }
    reply(request, status, sb_buf_str(&out.buf));
    sb_out_done(&out);
}

/* What has a status of HTTP's own; anything else is told in the answer. */
static int status_of(enum sb_code code)
{
    switch ((int)code) {
    case SB_EXHAUSTED:
    case SB_UNAVAILABLE:
    case SB_DEADLINE:
        return 504;
    case SB_UNAUTHENTICATED:
        return 401;
    case SB_DENIED:
        return 403;
    default:
        return 200;
    }
}

static void answer(struct sb_fusion_job *job, const struct sb_err *err)
{
    struct sb_http_request *request = job->request;
    int status = status_of(err->code);
    job->request = NULL;
    if (request == NULL) {
        return;
    }
    if (status != 200) {
        refuse(request, status, NULL, err->text);
        return;
    }
    struct sb_buf json = SB_BUF_INIT(MAX_ANSWER);
    if (sb_fusion_answer(job, err, &json) < 0) {
        refuse(request, 504, NULL, "no memory for the answer");
    } else {
        reply(request, 200, sb_buf_str(&json));
    }
    sb_buf_done(&json);
}

/* ---- jobs ---- */

static void job_free(struct sb_fusion_job *job)
{
    sb_list_remove(&job->node);
    cJSON_Delete(job->json);
    sb_buf_done(&job->files.data);
    sb_message_freep(&job->compiled);
    sb_message_freep(&job->ran);
    free(job);
}

static void run_next(struct sb_fusion *fusion);

static void on_message(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    struct sb_fusion_job *job = user;
    const Aisbx__V1__RunBatchResponse *step = (const void *)message;
    Aisbx__V1__RunBatchResponse **slot = step->case_id[0] == '\0' ? &job->compiled : &job->ran;
    struct sb_err err;
    if (*slot == NULL) {
        *slot = (Aisbx__V1__RunBatchResponse *)sb_message_copy(message, &err);
    }
    sb_backend_read(call);
}

static void on_done(struct sb_backend_call *call, const struct sb_err *err, void *user)
{
    struct sb_fusion_job *job = user;
    struct sb_fusion *fusion = job->fusion;
    (void)call;
    job->call = NULL;
    answer(job, err);
    job_free(job);
    if (fusion != NULL) {
        run_next(fusion);
    }
}

/* Ends the job when it cannot be started. */
static void run(struct sb_fusion_job *job)
{
    static const struct sb_backend_callbacks callbacks = {.message = on_message, .done = on_done};
    struct sb_fusion *fusion = job->fusion;
    struct sb_err err;
    struct sb_backend_caller caller;
    const struct sb_backend_request asked = {
        .caller = &caller,
        .method =
            &aisbx__v1__sandbox_service__methods[AISBX__V1__SANDBOX_SERVICE__METHOD_RUN_BATCH],
        .message = &job->message.base};
    if (sb_caller_of(job->request, "rest", fusion->options.loopback_without_key, &caller, &err) <
            0 ||
        sb_backend_start(fusion->options.backend, &asked, &callbacks, job, &job->call, &err) < 0) {
        answer(job, &err);
        job_free(job);
        return;
    }
    sb_list_append(&fusion->running, &job->node);
    sb_backend_read(job->call);
}

static bool may_run(const struct sb_fusion *fusion, uint64_t who)
{
    size_t n = 0;
    SB_FOREACH (node, &fusion->running) {
        n += SB_LIST_ENTRY(node, struct sb_fusion_job, node)->who == who;
    }
    return n < fusion->max_running;
}

static struct sb_fusion_job *find_next(const struct sb_fusion *fusion)
{
    SB_FOREACH (node, &fusion->waiting) {
        struct sb_fusion_job *job = SB_LIST_ENTRY(node, struct sb_fusion_job, node);
        if (may_run(fusion, job->who)) {
            return job;
        }
    }
    return NULL;
}

static void run_next(struct sb_fusion *fusion)
{
    struct sb_fusion_job *job = NULL;
    while ((job = find_next(fusion)) != NULL) {
        sb_list_remove(&job->node);
        fusion->n_waiting--;
        run(job);
    }
}

/* By what the worker will know it by. A key that is none gets its refusal without waiting. */
static uint64_t who_asks(const struct sb_fusion *fusion, const struct sb_http_request *request)
{
    struct sb_err ignored;
    struct sb_backend_caller caller;
    if (sb_caller_of(request, "rest", fusion->options.loopback_without_key, &caller, &ignored) <
        0) {
        return 0;
    }
    const char *text = caller.key != NULL ? caller.key : caller.identity;
    return text == NULL ? 0 : sb_hash_sip13(fusion->key, text, strlen(text));
}

static void on_gone(struct sb_http_request *request, void *user)
{
    struct sb_fusion_job *job = user;
    (void)request;
    job->request = NULL;
    if (job->call != NULL) {
        sb_backend_cancel(job->call);
    } else {
        job->fusion->n_waiting--;
        job_free(job);
    }
}

static void begin(struct sb_fusion *fusion, struct sb_http_request *request)
{
    static const struct sb_http_watcher watcher = {.gone = on_gone};
    struct sb_err err;
    const char *field = "";
    uint64_t who = who_asks(fusion, request);
    if (!may_run(fusion, who) && fusion->n_waiting >= MAX_WAITING) {
        refuse(request, 504, NULL, "1024 requests wait already; try again");
        return;
    }
    struct sb_fusion_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        refuse(request, 504, NULL, "no memory for the request");
        return;
    }
    job->fusion = fusion;
    job->who = who;
    if (sb_fusion_ask(job, sb_http_body(request), &field, &err) < 0) {
        if (err.code == SB_UNIMPLEMENTED) {
            job->request = request;
            answer(job, &err);
        } else {
            refuse(request, err.code == SB_INVALID ? 422 : 504, field, err.text);
        }
        job_free(job);
        return;
    }
    job->request = request;
    sb_http_watch(request, &watcher, job);
    sb_list_append(&fusion->waiting, &job->node);
    fusion->n_waiting++;
    run_next(fusion);
}

/* ---- the paths ---- */

static void ping(struct sb_fusion *fusion, struct sb_http_request *request)
{
    (void)fusion;
    reply(request, 200, SB_STR("\"pong\""));
}

static const struct {
    const char *path;
    enum sb_http_method method;
    const char *allow;
    void (*serve)(struct sb_fusion *fusion, struct sb_http_request *request);
} places[] = {
    {"/run_code", SB_HTTP_POST, "POST", begin},
    {"/v1/ping", SB_HTTP_GET, "GET", ping},
};

bool sb_fusion_take(struct sb_fusion *fusion, struct sb_http_request *request)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!sb_str_eq(sb_http_path(request), sb_str_from(places[i].path))) {
            continue;
        }
        if (sb_http_method(request) != places[i].method) {
            sb_http_add_header(request, "Allow", places[i].allow);
            refuse(request, 405, NULL, "Method Not Allowed");
        } else {
            places[i].serve(fusion, request);
        }
        return true;
    }
    return false;
}

int sb_fusion_new(const struct sb_fusion_options *options,
                  struct sb_fusion **ret_fusion,
                  struct sb_err *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct sb_fusion *fusion = calloc(1, sizeof *fusion);
    if (fusion == NULL) {
        return sb_err_oom(err);
    }
    fusion->options = *options;
    fusion->key = sb_hash_key_random();
    sb_list_init(&fusion->running);
    sb_list_init(&fusion->waiting);
    /* More at once would only make each other late: limits are in seconds. */
    fusion->max_running = cpus < 2 ? 4 : 2 * (size_t)cpus;
    *ret_fusion = fusion;
    return 0;
}

void sb_fusion_free(struct sb_fusion *fusion)
{
    if (fusion == NULL) {
        return;
    }
    for (struct sb_list *node = NULL; (node = sb_list_pop(&fusion->waiting)) != NULL;) {
        job_free(SB_LIST_ENTRY(node, struct sb_fusion_job, node));
    }
    /* Their done() still comes, and must not find us. */
    for (struct sb_list *node = NULL; (node = sb_list_pop(&fusion->running)) != NULL;) {
        struct sb_fusion_job *job = SB_LIST_ENTRY(node, struct sb_fusion_job, node);
        job->fusion = NULL;
        job->request = NULL;
        sb_backend_cancel(job->call);
    }
    free(fusion);
}
