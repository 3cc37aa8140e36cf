#include "service/worker/deny.h"

#include "base/log.h"
#include "service/worker/denials.h"
#include "service/worker/events.h"
#include "service/worker/exec.h"
#include "service/worker/metrics.h"
#include "service/worker/sandbox.h"
#include "service/worker/watch.h"

static bool is_concerned(const struct sb_exec *exec)
{
    return exec->state != SB_EXEC_WAITING && exec->state != SB_EXEC_ENDED;
}

bool sb_deny_is_new(const struct sb_sandbox *sandbox, const struct sb_denial *what)
{
    SB_FOREACH (node, &sandbox->execs) {
        const struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        if (is_concerned(exec) && sb_denials_find(&exec->denials, what) == NULL) {
            return true;
        }
    }
    return sb_denials_find(&sandbox->notify.denials, what) == NULL;
}

static void log_first(const struct sb_sandbox *sandbox, const struct sb_denial *what)
{
    if (what->kind == SB_DENIAL_BOUND) {
        SB_LOG_INFO("limit of the network met", "sandbox=%s limit=%s why=%s", sandbox->id,
                    what->name, what->why);
    } else if (what->kind == SB_DENIAL_HOST) {
        SB_LOG_INFO("connection refused", "sandbox=%s to=%s why=%s", sandbox->id, what->name,
                    what->why);
    } else if (what->kind == SB_DENIAL_PATH) {
        SB_LOG_INFO("path refused", "sandbox=%s path=%s rights=%s", sandbox->id, what->name,
                    what->why);
    } else {
        SB_LOG_INFO("system call refused", "sandbox=%s call=%s by=%.15s", sandbox->id, what->name,
                    what->comm);
    }
}

void sb_deny_count(struct sb_sandbox *sandbox, const struct sb_denial *what)
{
    sb_worker_metrics_denial(sandbox->worker, what);
    if (sb_denials_add(&sandbox->notify.denials, what)) {
        log_first(sandbox, what);
        sb_event_denied(sandbox, what);
        sb_watch_denial(sandbox->worker, sandbox, what);
    }
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        if (is_concerned(exec) && sb_denials_add(&exec->denials, what)) {
            sb_exec_notify(exec);
        }
    }
}

void sb_deny_lost(struct sb_sandbox *sandbox, uint64_t n)
{
    sandbox->notify.denials.n_more += n;
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        exec->denials.n_more += is_concerned(exec) ? n : 0;
    }
}
