#include "service/worker/process/home.h"

#include <string.h>

#include "aisbx/v1/sandbox.pb-c.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/api_gate.h"
#include "service/worker/auth/caller.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

int sb_home_check(const struct sb_worker *worker, struct sb_err *err)
{
    const struct sb_profile *profile = NULL;
    const char *name = worker->options.sandboxd;
    if (name == NULL || sb_profiles_get(worker->profiles, sb_str_from(name), &profile, err) == 0) {
        return 0;
    }
    return sb_err_wrap(err, "--sandboxd");
}

/* It is the tenant's: an admin who sees all has one of its own, too. */
struct sb_sandbox *sb_home_find(const struct sb_worker *worker, const struct sb_caller *caller)
{
    const struct sb_list *all = &worker->registry.sandbox_list;
    for (struct sb_list *node = all->next; node != all; node = node->next) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->is_home && sandbox->state < SB_STATE_STOPPING &&
            strcmp(sandbox->tenant, caller->tenant) == 0) {
            return sandbox;
        }
    }
    return NULL;
}

static int make(struct sb_worker *worker,
                const struct sb_caller *caller,
                struct sb_rate *ret_rate,
                struct sb_sandbox **ret_sandbox,
                struct sb_err *err)
{
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    spec.profile = worker->options.sandboxd;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_request_make(&spec, "--sandboxd", &request, err) < 0) {
        return -1;
    }
    const struct sb_lineage lineage = sb_gate_lineage(caller->ticket);
    const struct sb_sandbox_options options = {
        .owner = caller->actor,
        .tenant = caller->tenant,
        .request = request,
        .is_home = true,
        .is_admin = sb_caller_is_admin(caller),
        .peer_fd = -1,
        .rate = ret_rate,
        .lineage = &lineage,
    };
    return sb_sandbox_new(worker, &options, ret_sandbox, err);
}

int sb_home_open(struct sb_worker *worker,
                 const struct sb_caller *caller,
                 struct sb_rate *ret_rate,
                 struct sb_sandbox **ret_sandbox,
                 struct sb_err *err)
{
    struct sb_sandbox *sandbox = sb_home_find(worker, caller);
    if (sandbox == NULL && worker->options.sandboxd == NULL) {
        return sb_err_set(err, SB_PRECONDITION,
                          "callers have no sandboxes of their own here: start the worker with "
                          "--sandboxd PROFILE, or name a sandbox by metadata x-aisbx-sandbox");
    }
    if (sandbox == NULL && make(worker, caller, ret_rate, &sandbox, err) < 0) {
        return -1;
    }
    sb_gate_note(caller->ticket, sandbox, NULL);
    *ret_sandbox = sandbox;
    return 0;
}
