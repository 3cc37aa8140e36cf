#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/api_snapshot.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/worker.h"

/** One call that waits until the sandbox runs again. */
struct wait {
    struct sb_sandbox_observer observer;
    struct sb_rpc_call *call;
    bool is_here;
    bool is_over;
};

static void answer(struct wait *wait, const struct sb_sandbox *sandbox)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__RollbackSandboxResponse *msg =
        sb_api_pb_new(&aisbx__v1__rollback_sandbox_response__descriptor);
    if (msg != NULL && (msg->sandbox = sb_api_pb_sandbox(sandbox, wait->is_here)) == NULL) {
        (void)sb_err_oom(&err);
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, &err);
}

static void on_changed(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    if (wait->is_over) {
        return;
    }
    if (sandbox->state == SB_STATE_RUNNING) {
        answer(wait, sandbox);
    } else if (sandbox->state > SB_STATE_PAUSED) {
        struct sb_err err = sandbox->start_err;
        if (err.code == SB_OK) {
            (void)sb_err_set(&err, SB_ABORTED, "sandbox %s is %s: %s", sandbox->id,
                             sb_state_name(sandbox->state), sandbox->destroy_message);
        }
        wait->is_over = true;
        sb_rpc_call_fail(wait->call, &err);
    }
}

static int find(const struct sb_worker *worker,
                const struct sb_caller *caller,
                const Aisbx__V1__RollbackSandboxRequest *req,
                struct sb_sandbox **ret_sandbox,
                struct sb_snapshot **ret_snapshot,
                struct sb_err *err)
{
    if (sb_api_find_sandbox(worker, caller, req->sandbox_id, ret_sandbox, err) < 0 ||
        sb_api_find_snapshot(worker, caller, req->snapshot_id, ret_snapshot, err) < 0) {
        return -1;
    }
    const struct sb_snapshot *snapshot = *ret_snapshot;
    if (strcmp(snapshot->sandbox_id, req->sandbox_id) != 0 && snapshot != (*ret_sandbox)->base) {
        return sb_err_set(err, SB_PRECONDITION,
                          "snapshot %s is of another sandbox; aisbx create --snapshot makes one "
                          "that starts from it",
                          snapshot->id);
    }
    return snapshot->state == SB_SNAPSHOT_KEPT
               ? 0
               : sb_err_set(err, SB_UNAVAILABLE, "snapshot %s is still being taken; try again",
                            snapshot->id);
}

void sb_api_rollback_start(struct sb_rpc_call *call,
                           const Aisbx__V1__RollbackSandboxRequest *req,
                           void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    struct sb_snapshot *snapshot = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    if (find(worker, &caller, req, &sandbox, &snapshot, &err) < 0 ||
        sb_sandbox_rollback(sandbox, snapshot, caller.actor, caller.peer_fd, &err) < 0) {
        free(wait);
        sb_rpc_call_fail(call, &err);
        return;
    }
    wait->observer.changed = on_changed;
    wait->call = call;
    wait->is_here = caller.is_here;
    sb_sandbox_observe(sandbox, &wait->observer);
    sb_rpc_call_set_user(call, wait);
}

void sb_api_rollback_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled; /* it goes on: half a way back is no state to leave a sandbox in */
    (void)svc;
    struct wait *wait = sb_rpc_call_user(call);
    if (wait != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_sandbox_unobserve(&wait->observer);
        free(wait);
    }
}
