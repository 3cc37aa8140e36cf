#include "service/worker/api_pause.h"

#include <stdlib.h>

#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/pause.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

struct wait {
    struct sb_sandbox_observer observer;
    struct sb_rpc_call *call;
    struct sb_sandbox *sandbox;
    bool is_here;
    bool is_over;
};

/* Both answers are a sandbox in field 1. */
_Static_assert(sizeof(Aisbx__V1__PauseSandboxResponse) == sizeof(Aisbx__V1__ResumeSandboxResponse),
               "one shape");

static void answer(struct wait *wait, const ProtobufCMessageDescriptor *shape, struct sb_err *err)
{
    Aisbx__V1__PauseSandboxResponse *msg = NULL;
    if (err->code == SB_OK) {
        msg = sb_api_pb_new(shape);
        if (msg != NULL &&
            (msg->sandbox = sb_api_pb_sandbox(wait->sandbox, wait->is_here)) == NULL) {
            (void)sb_err_oom(err);
        }
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, err);
}

static void set_ended(const struct sb_sandbox *sandbox, struct sb_err *err)
{
    (void)sb_err_set(err, SB_ABORTED, "sandbox %s is %s: %s", sandbox->id,
                     sb_state_name(sandbox->state), sandbox->destroy_message);
}

static void on_pause(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    struct sb_err err = {.code = SB_OK};
    if (wait->is_over || (sandbox->state == SB_STATE_PAUSED && !sb_pause_is_frozen(sandbox))) {
        return;
    }
    if (sandbox->state == SB_STATE_RUNNING && sandbox->pause.err.code != SB_OK) {
        err = sandbox->pause.err;
    } else if (sandbox->state == SB_STATE_RUNNING) {
        (void)sb_err_set(&err, SB_ABORTED, "sandbox %s was resumed meanwhile", sandbox->id);
    } else if (sandbox->state != SB_STATE_PAUSED) {
        set_ended(sandbox, &err);
    }
    answer(wait, &aisbx__v1__pause_sandbox_response__descriptor, &err);
}

static void on_resume(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    struct sb_err err = {.code = SB_OK};
    if (wait->is_over || (sandbox->state == SB_STATE_PAUSED && !sb_pause_is_frozen(sandbox))) {
        return;
    }
    if (sandbox->state == SB_STATE_PAUSED) {
        (void)sb_err_set(&err, SB_ABORTED, "sandbox %s was paused again meanwhile", sandbox->id);
    } else if (sandbox->state != SB_STATE_RUNNING) {
        set_ended(sandbox, &err);
    }
    answer(wait, &aisbx__v1__resume_sandbox_response__descriptor, &err);
}

static void begin(struct sb_rpc_call *call,
                  struct sb_worker *worker,
                  const char *sandbox_id,
                  int (*wish)(struct sb_sandbox *sandbox, struct sb_err *err),
                  void (*changed)(struct sb_sandbox_observer *, struct sb_sandbox *))
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_sandbox(worker, &caller, sandbox_id, &sandbox, &err) < 0 ||
        wish(sandbox, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    *wait = (struct wait){
        .observer = {.changed = changed},
        .call = call,
        .sandbox = sandbox,
        .is_here = caller.is_here,
    };
    sb_sandbox_observe(sandbox, &wait->observer);
    sb_rpc_call_set_user(call, wait);
    changed(&wait->observer, sandbox);
}

void sb_api_pause_start(struct sb_rpc_call *call,
                        const Aisbx__V1__PauseSandboxRequest *req,
                        void *svc)
{
    begin(call, svc, req->sandbox_id, sb_pause_begin, on_pause);
}

void sb_api_pause_resume(struct sb_rpc_call *call,
                         const Aisbx__V1__ResumeSandboxRequest *req,
                         void *svc)
{
    begin(call, svc, req->sandbox_id, sb_pause_end, on_resume);
}

/* A caller that goes away leaves its wish: who pauses may come back for the sandbox. */
void sb_api_pause_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct wait *wait = sb_rpc_call_user(call);
    if (wait == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_sandbox_unobserve(&wait->observer);
    free(wait);
}
