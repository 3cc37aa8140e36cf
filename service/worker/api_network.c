#include "service/worker/api_network.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/policy/network_policy.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/spec.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

/* One call that waits for its change to be in force. */
struct wait {
    struct sb_sandbox_observer observer;
    struct sb_rpc_call *call;
    struct sb_sandbox *sandbox;
    bool is_here;
    bool is_over;
};

static void answer(struct wait *wait)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__UpdateNetworkResponse *msg =
        sb_api_pb_new(&aisbx__v1__update_network_response__descriptor);
    if (msg != NULL && (msg->sandbox = sb_api_pb_sandbox(wait->sandbox, wait->is_here)) == NULL) {
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
    if (sandbox->state > SB_STATE_PAUSED) {
        struct sb_err err;
        (void)sb_err_set(&err, SB_ABORTED, "sandbox %s is %s", sandbox->id,
                         sb_state_name(sandbox->state));
        wait->is_over = true;
        sb_rpc_call_fail(wait->call, &err);
    } else if (sb_egress_is_settled(sandbox)) {
        answer(wait);
    }
}

static int check(const struct sb_sandbox *sandbox, struct sb_err *err)
{
    bool is_alive = sandbox->state == SB_STATE_RUNNING || sandbox->state == SB_STATE_PAUSED;
    if (!is_alive) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (sandbox->policy->ceiling.mode == SB_NETWORK_LIMITED && sandbox->line.listener < 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "sandbox %s was made without a network, or has lost it, and cannot get "
                          "one any more; make another (its notices say why)",
                          sandbox->id);
    }
    return 0;
}

static int
change(struct sb_sandbox *sandbox, const Aisbx__V1__UpdateNetworkRequest *req, struct sb_err *err)
{
    SB_CLEANUP(sb_network_policy_done) struct sb_network asked = {.mode = SB_NETWORK_UNSET};
    if (req->network == NULL) {
        return sb_err_set(err, SB_INVALID, "network: missing");
    }
    if (sb_request_network(req->network, "network", &asked, err) < 0 || check(sandbox, err) < 0 ||
        sb_policy_set_network(sandbox->policy, &asked, err) < 0) {
        return -1;
    }
    if (sb_spec_set_network(sandbox, req->network, err) < 0) {
        return -1; /* it holds already; only forks would not have it */
    }
    sb_egress_change(sandbox->worker->egress, sandbox);
    sb_watch_sandbox(sandbox->worker, SB_WATCH_CHANGED, sandbox);
    return 0;
}

void sb_api_network_update(struct sb_rpc_call *call,
                           const Aisbx__V1__UpdateNetworkRequest *req,
                           void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    if (sb_api_find_sandbox(worker, &caller, req->sandbox_id, &sandbox, &err) < 0 ||
        change(sandbox, req, &err) < 0) {
        free(wait);
        sb_rpc_call_fail(call, &err);
        return;
    }
    wait->observer.changed = on_changed;
    wait->call = call;
    wait->sandbox = sandbox;
    wait->is_here = caller.is_here;
    sb_sandbox_observe(sandbox, &wait->observer);
    sb_rpc_call_set_user(call, wait);
    on_changed(&wait->observer, sandbox);
}

void sb_api_network_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct wait *wait = sb_rpc_call_user(call);
    if (wait != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_sandbox_unobserve(&wait->observer);
        free(wait);
    }
}
