#include "service/worker/api.h"

#include <stdio.h>
#include <string.h>

#include "aisbx/v1/context_service.rpc.h"
#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/port_service.rpc.h"
#include "base/err.h"
#include "base/id.h"
#include "service/worker/api_context.h"
#include "service/worker/api_file.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_key.h"
#include "service/worker/api_sandbox.h"
#include "service/worker/api_worker.h"
#include "service/worker/exec.h"
#include "service/worker/port/api_port.h"
#include "service/worker/process/process.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

void sb_api_tell_rate(struct sb_rpc_call *call, const struct sb_rate *rate)
{
    const struct {
        const char *key;
        uint64_t value;
        bool is_told;
    } trailers[] = {
        {"ratelimit-limit", rate->limit, rate->limit != 0},
        {"ratelimit-remaining", rate->remaining, rate->limit != 0},
        {"ratelimit-reset-ms", rate->reset_ms, rate->limit != 0},
        {"retry-after-ms", rate->retry_ms, rate->retry_ms != 0},
    };
    char text[32];
    for (size_t i = 0; i < sizeof trailers / sizeof *trailers; i++) {
        if (trailers[i].is_told) {
            int n = snprintf(text, sizeof text, "%ju", (uintmax_t)trailers[i].value);
            sb_rpc_call_trailer(call, trailers[i].key, text, (size_t)n);
        }
    }
}

void sb_api_refuse(struct sb_rpc_call *call, const struct sb_rate *rate, const struct sb_err *err)
{
    sb_api_tell_rate(call, rate);
    sb_rpc_call_fail(call, err);
}

bool sb_api_identify(struct sb_rpc_call *call,
                     struct sb_worker *worker,
                     struct sb_caller *ret_caller)
{
    struct sb_err err;
    const struct sb_caller *caller = sb_gate_caller(call);
    if (caller == NULL) {
        (void)sb_err_set(&err, SB_CANCELLED, "the call has ended");
        sb_rpc_call_fail(call, &err);
        return false;
    }
    *ret_caller = *caller;
    sb_api_key_used(worker, ret_caller);
    return true;
}

static int check_id(const char *id, const char *prefix, const char *field, struct sb_err *err)
{
    if (!sb_id_valid(sb_str_from(id), prefix)) {
        return sb_err_set(err, SB_INVALID, "%s: %s (ids look like %smfrggzdfmztwq2lkmfrggzdfm4)",
                          field, id[0] == '\0' ? "is missing" : "is no such id", prefix);
    }
    return 0;
}

int sb_api_find_sandbox(const struct sb_worker *worker,
                        const struct sb_caller *caller,
                        const char *id,
                        struct sb_sandbox **ret_sandbox,
                        struct sb_err *err)
{
    if (check_id(id, "sb_", "sandbox_id", err) < 0) {
        return -1;
    }
    struct sb_sandbox *sandbox = sb_registry_sandbox(&worker->registry, id);
    if (sandbox == NULL || sandbox->is_internal || !sb_caller_sees(caller, sandbox->tenant)) {
        return sb_err_set(err, SB_NOT_FOUND, "no sandbox %s (aisbx list shows what there is)", id);
    }
    sb_gate_note(caller->ticket, sandbox, NULL);
    *ret_sandbox = sandbox;
    return 0;
}

struct sb_sandbox *
sb_api_call_sandbox(struct sb_rpc_call *call, struct sb_worker *worker, const char *id)
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return NULL;
    }
    if (sb_api_find_sandbox(worker, &caller, id, &sandbox, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    return sandbox;
}

int sb_api_find_snapshot(const struct sb_worker *worker,
                         const struct sb_caller *caller,
                         const char *id,
                         struct sb_snapshot **ret_snapshot,
                         struct sb_err *err)
{
    if (check_id(id, "sn_", "snapshot_id", err) < 0) {
        return -1;
    }
    struct sb_snapshot *snapshot = sb_snapshot_find(worker, id);
    if (snapshot == NULL || !sb_caller_sees(caller, snapshot->tenant)) {
        return sb_err_set(
            err, SB_NOT_FOUND,
            "no snapshot %s (aisbx snapshots shows what there is; they live in memory, "
            "and end with the worker that took them)",
            id);
    }
    *ret_snapshot = snapshot;
    return 0;
}

int sb_api_find_exec(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const char *id,
                     struct sb_exec **ret_exec,
                     struct sb_err *err)
{
    if (check_id(id, "ex_", "exec_id", err) < 0) {
        return -1;
    }
    struct sb_exec *exec = sb_registry_exec(&worker->registry, id);
    if (exec == NULL || exec->sandbox->is_internal ||
        !sb_caller_sees(caller, exec->sandbox->tenant)) {
        return sb_err_set(err, SB_NOT_FOUND, "no exec %s", id);
    }
    sb_gate_note(caller->ticket, exec->sandbox, exec);
    *ret_exec = exec;
    return 0;
}

int sb_api_find_context(const struct sb_worker *worker,
                        const struct sb_caller *caller,
                        const char *id,
                        struct sb_context **ret_context,
                        struct sb_err *err)
{
    if (check_id(id, "cx_", "context_id", err) < 0) {
        return -1;
    }
    struct sb_context *context = sb_contexts_get(&worker->contexts, id);
    if (context == NULL || !sb_caller_sees(caller, context->sandbox->tenant)) {
        return sb_err_set(err, SB_NOT_FOUND, "no context %s (one goes with its sandbox)", id);
    }
    sb_gate_note(caller->ticket, context->sandbox, NULL);
    *ret_context = context;
    return 0;
}

void sb_api_finish(struct sb_rpc_call *call, void *msg, const struct sb_err *err)
{
    struct sb_err oom;
    if (err->code == SB_OK && msg == NULL) {
        (void)sb_err_oom(&oom);
        err = &oom;
    }
    if (err->code != SB_OK) {
        sb_rpc_call_fail(call, err);
    } else {
        sb_rpc_call_reply(call, msg);
    }
    if (msg != NULL) {
        protobuf_c_message_free_unpacked(msg, NULL);
    }
}

void sb_api_present(struct sb_worker *worker)
{
    struct sb_rpc_server *server = worker->server;
    sb_rpc_server_describe(server, &aisbx_v1_sandbox_service__descriptors);
    sb_rpc_server_describe(server, &aisbx_v1_worker_service__descriptors);
    sb_rpc_server_describe(server, &aisbx_v1_key_service__descriptors);
    sb_rpc_server_describe(server, &aisbx_v1_file_service__descriptors);
    sb_rpc_server_describe(server, &aisbx_v1_context_service__descriptors);
    sb_rpc_server_describe(server, &aisbx_v1_port_service__descriptors);
    sb_rpc_server_describe(server, &process_v1_process__descriptors);
    sb_worker_tell_health(worker);
}

int sb_api_serve(struct sb_worker *worker, struct sb_err *err)
{
    struct sb_rpc_server *server = worker->server;
    if (aisbx__v1__sandbox_service__serve(server, &sb_api_sandbox_service, worker, err) < 0 ||
        aisbx__v1__worker_service__serve(server, &sb_api_worker_service, worker, err) < 0 ||
        aisbx__v1__file_service__serve(server, &sb_api_file_service, worker, err) < 0 ||
        aisbx__v1__key_service__serve(server, &sb_api_key_service, worker, err) < 0 ||
        aisbx__v1__context_service__serve(server, &sb_api_context_service, worker, err) < 0 ||
        aisbx__v1__port_service__serve(server, &sb_api_port_service, worker, err) < 0 ||
        process__v1__process_service__serve(server, &sb_process_service, worker, err) < 0) {
        return -1;
    }
    if (sb_gate_install(worker, err) < 0) {
        return -1;
    }
    sb_api_present(worker);
    return 0;
}
