/* Execs that are to end: for their time, by a caller, by a signal. */
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "service/worker/exec.h"
#include "service/worker/exec_init.h"
#include "service/worker/exec_pause.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"
#include "service/worker/worker.h"

void sb_exec_kill_now(struct sb_exec *exec)
{
    exec->is_hanging_up = false;
    (void)sb_exec_init_kill(exec);
    sb_exec_arm(exec, &exec->kill_timer, SB_MAX_KILL_WAIT_MS);
}

void sb_exec_on_kill_timeout(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_exec *exec = ctx;
    if (exec->is_hanging_up) {
        sb_exec_kill_now(exec);
        return;
    }
    SB_LOG_WARN("init did not end an exec in time", "exec=%s", exec->id);
    if (exec->is_only) {
        sb_exec_expect_gone(exec);
        sb_spawner_kill(exec->worker->spawner, exec->sandbox->slot);
    } else if (exec->sock >= 0) {
        (void)shutdown(exec->sock, SHUT_WR); /* end of file means KILL */
        exec->is_overdue = true;
        sb_exec_arm(exec, &exec->grace_timer, SB_MAX_OUTPUT_GRACE_MS);
    }
}

void sb_exec_on_wall_timeout(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_exec *exec = ctx;
    uint64_t ran_ms = sb_clock_mono_ms() - exec->start_mono_ms;
    if (ran_ms < exec->wall_ms) { /* the loop counts from when it last looked at the clock */
        sb_exec_arm(exec, &exec->wall_timer, exec->wall_ms - ran_ms);
        return;
    }
    sb_exec_settle(exec); /* it may have ended in time, unread yet */
    if (exec->state == SB_EXEC_STARTING || exec->state == SB_EXEC_RUNNING) {
        sb_exec_kill(exec, SB_CAUSE_TIMEOUT);
    }
}

/** Whether whom it concerns may still write down what it has. */
static bool is_polite(enum sb_cause cause)
{
    return cause == SB_CAUSE_CANCELLED || cause == SB_CAUSE_CLIENT_GONE;
}

void sb_exec_kill(struct sb_exec *exec, enum sb_cause cause)
{
    bool is_alive = exec->state < SB_EXEC_EXITED;
    if (is_alive && exec->facts.cause == SB_CAUSE_NONE) {
        exec->facts.cause = cause;
    }
    if (is_alive && exec->is_only && exec->sandbox->state == SB_STATE_PAUSED) {
        sb_sandbox_destroy(exec->sandbox, SB_REASON_CANCELLED, NULL); /* its init is frozen, too */
    } else if (exec->sock >= 0 && is_alive && is_polite(cause) && sb_exec_terminal_hang_up(exec)) {
        exec->is_hanging_up = true;
        sb_exec_arm(exec, &exec->kill_timer, SB_MAX_HANGUP_MS);
    } else if (exec->sock >= 0) {
        sb_exec_kill_now(exec);
    } else if (is_alive && exec->is_only) {
        sb_sandbox_destroy(exec->sandbox, SB_REASON_CANCELLED, NULL);
    } else if (is_alive) {
        sb_exec_end(exec);
    }
}

void sb_exec_interrupt(struct sb_exec *exec)
{
    if (exec->state == SB_EXEC_RUNNING && !exec->is_interrupting) {
        exec->is_interrupting = sb_exec_init_signal(exec, SIGINT, SB_INIT_GROUP);
    }
}

int sb_exec_signal(struct sb_exec *exec, int signal, bool is_tree, struct sb_err *err)
{
    bool is_there = exec->state == SB_EXEC_RUNNING || (is_tree && exec->sock >= 0);
    if (!is_there || !sb_exec_init_signal(exec, signal, is_tree ? SB_INIT_TREE : SB_INIT_MAIN)) {
        return sb_err_set(err, SB_PRECONDITION, "exec %s %s", exec->id,
                          exec->state < SB_EXEC_RUNNING ? "has not started yet" : "has ended");
    }
    return 0;
}
