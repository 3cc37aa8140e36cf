#include "service/worker/api_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

/** One watcher. */
struct watch {
    struct sb_list link; /* worker->watches */
    struct sb_rpc_call *call;
    struct sb_caller caller;
    char sandbox_id[SB_ID_SIZE]; /* "": all */
    bool is_blocked;
    uint64_t lost;
};

static void send_event(struct watch *watch,
                       enum sb_watch_kind kind,
                       const struct sb_sandbox *sandbox,
                       const struct sb_exec *exec,
                       const struct sb_denial *denial)
{
    if (watch->is_blocked) {
        watch->lost++;
        return;
    }
    Aisbx__V1__WatchSandboxesResponse *msg =
        sb_api_pb_new(&aisbx__v1__watch_sandboxes_response__descriptor);
    if (msg == NULL) {
        watch->lost++;
        return;
    }
    msg->kind = (Aisbx__V1__SandboxEventKind)kind;
    msg->lost_events = watch->lost;
    msg->sandbox = sb_api_pb_sandbox(sandbox, watch->caller.is_here);
    msg->exec = exec == NULL ? NULL : sb_api_pb_exec(exec);
    msg->violation = denial == NULL ? NULL : sb_api_pb_violation(sandbox->policy, denial);
    if (msg->sandbox == NULL || (exec != NULL && msg->exec == NULL) ||
        (denial != NULL && msg->violation == NULL) ||
        !sb_api_pb_time(sb_clock_real_ms(), &msg->time)) {
        watch->lost++;
    } else {
        watch->lost = 0;
        watch->is_blocked = !aisbx__v1__sandbox_service__watch_sandboxes__send(watch->call, msg);
    }
    aisbx__v1__watch_sandboxes_response__free_unpacked(msg, NULL);
}

static void tell(struct sb_worker *worker,
                 enum sb_watch_kind kind,
                 const struct sb_sandbox *sandbox,
                 const struct sb_exec *exec,
                 const struct sb_denial *denial)
{
    SB_FOREACH (node, &worker->watches) {
        struct watch *watch = SB_LIST_ENTRY(node, struct watch, link);
        bool is_wanted =
            watch->sandbox_id[0] == '\0' || strcmp(watch->sandbox_id, sandbox->id) == 0;
        if (is_wanted && !sandbox->is_internal && sb_caller_sees(&watch->caller, sandbox->tenant)) {
            send_event(watch, kind, sandbox, exec, denial);
        }
    }
}

void sb_watch_sandbox(struct sb_worker *worker,
                      enum sb_watch_kind kind,
                      const struct sb_sandbox *sandbox)
{
    tell(worker, kind, sandbox, NULL, NULL);
}

void sb_watch_exec(struct sb_worker *worker, enum sb_watch_kind kind, const struct sb_exec *exec)
{
    tell(worker, kind, exec->sandbox, exec, NULL);
}

void sb_watch_denial(struct sb_worker *worker,
                     const struct sb_sandbox *sandbox,
                     const struct sb_denial *denial)
{
    tell(worker, SB_WATCH_VIOLATION, sandbox, NULL, denial);
}

static int check(const struct sb_worker *worker,
                 const struct sb_caller *caller,
                 const Aisbx__V1__WatchSandboxesRequest *req,
                 struct sb_err *err)
{
    struct sb_sandbox *sandbox = NULL;
    if (sb_list_count(&worker->watches) >= SB_MAX_WATCHERS) {
        return sb_err_set(err, SB_EXHAUSTED, "%d calls watch already", SB_MAX_WATCHERS);
    }
    return req->sandbox_id[0] == '\0'
               ? 0
               : sb_api_find_sandbox(worker, caller, req->sandbox_id, &sandbox, err);
}

void sb_api_watch_start(struct sb_rpc_call *call,
                        const Aisbx__V1__WatchSandboxesRequest *req,
                        void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (check(worker, &caller, req, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    watch->call = call;
    watch->caller = caller;
    (void)strncpy(watch->sandbox_id, req->sandbox_id, SB_ID_SIZE - 1);
    sb_list_append(&worker->watches, &watch->link);
    sb_rpc_call_set_user(call, watch);
    if (!req->include_existing) {
        return;
    }
    SB_FOREACH (node, &worker->registry.sandbox_list) {
        const struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        bool is_wanted =
            watch->sandbox_id[0] == '\0' || strcmp(watch->sandbox_id, sandbox->id) == 0;
        if (is_wanted && sandbox->state != SB_STATE_DESTROYED &&
            sb_caller_sees(&caller, sandbox->tenant)) {
            send_event(watch, SB_WATCH_EXISTING, sandbox, NULL, NULL);
        }
    }
}

void sb_api_watch_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct watch *watch = sb_rpc_call_user(call);
    if (watch != NULL) {
        watch->is_blocked = false;
    }
}

void sb_api_watch_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct watch *watch = sb_rpc_call_user(call);
    if (watch != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_list_remove(&watch->link);
        free(watch);
    }
}
