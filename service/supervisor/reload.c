#include "service/supervisor/reload.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "proto/client/refresh.h"
#include "service/supervisor/child.h"
#include "service/supervisor/supervisor.h"

enum { MAX_SAID = 16 << 10, CHECK_S = 30 };

void sb_reload_init(struct sb_reload *reload)
{
    *reload = (struct sb_reload){.fd = -1, .said = SB_BUF_INIT(MAX_SAID)};
}

static void close_pipe(struct sb_reload *reload)
{
    if (reload->event != NULL) {
        event_free(reload->event);
        reload->event = NULL;
    }
    if (reload->fd >= 0) {
        close(reload->fd);
        reload->fd = -1;
    }
}

void sb_reload_done(struct sb_reload *reload)
{
    if (reload->pid > 0) {
        (void)kill(reload->pid, SIGKILL);
    }
    close_pipe(reload);
    sb_buf_done(&reload->said);
}

static void on_said(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_reload *reload = ctx;
    char bytes[1024];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n > 0) {
        size_t room = sb_buf_room(&reload->said); /* more is read, and not told */
        (void)sb_buf_append(&reload->said, bytes, (size_t)n < room ? (size_t)n : room);
    } else if (n == 0 && reload->event != NULL) {
        (void)event_del(reload->event);
    }
}

/* What is due is asked for once more: one level, as a check is then under way. */
/* NOLINTBEGIN(misc-no-recursion) */
static void finish(struct sb_supervisor *supervisor)
{
    close_pipe(&supervisor->reload);
    sb_buf_done(&supervisor->reload.said);
    sb_supervisor_tell(supervisor);
    if (supervisor->reload.is_due) {
        supervisor->reload.is_due = false;
        sb_reload_start(supervisor);
    }
}

static void refuse(struct sb_supervisor *supervisor, const char *why)
{
    (void)snprintf(supervisor->reload_why, sizeof supervisor->reload_why, "%.*s",
                   (int)strcspn(why, "\n"), why);
    SB_LOG_ERROR("the configuration stays as it was", "why=%s", supervisor->reload_why);
    finish(supervisor);
}

static void take(struct sb_supervisor *supervisor)
{
    const struct sb_part *worker = &supervisor->parts[SB_SUPERVISOR_WORKER];
    supervisor->reload_why[0] = '\0';
    /* One that starts has no handler yet, and may have read the file already or not. */
    if (worker->state == SB_PART_RUNNING) {
        (void)kill(worker->pid, SIGHUP);
        SB_LOG_INFO("the worker reads the configuration again", "pid=%d", (int)worker->pid);
    }
    finish(supervisor);
}

static void check(const char *program, const char *path, int fd)
{
    const char *const words[] = {program, "--check", path, NULL};
    char *argv[sizeof words / sizeof *words];
    memcpy(argv, words, sizeof argv); /* execv takes them as not const, and does not write */
    (void)alarm(CHECK_S);
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
        _exit(127);
    }
    (void)execv(program, argv);
    _exit(127);
}

static int start_check(struct sb_supervisor *supervisor, const char *path, struct sb_err *err)
{
    struct sb_reload *reload = &supervisor->reload;
    int fds[2];
    if (sb_fd_pipe(fds, err) < 0) {
        return -1;
    }
    reload->pid = sb_child_fork();
    if (reload->pid == 0) {
        check(supervisor->worker_path, path, fds[1]);
    }
    int sys = errno;
    close(fds[1]);
    reload->fd = fds[0];
    if (reload->pid < 0) {
        reload->pid = 0;
        return sb_err_sys(err, sys, "fork");
    }
    sb_buf_init(&reload->said, MAX_SAID);
    reload->event = event_new(supervisor->base, fds[0], EV_READ | EV_PERSIST, on_said, reload);
    if (sb_fd_nonblock(fds[0], err) < 0) {
        return -1;
    }
    return reload->event == NULL || event_add(reload->event, NULL) < 0 ? sb_err_oom(err) : 0;
}

void sb_reload_start(struct sb_supervisor *supervisor)
{
    struct sb_err err;
    char lines[96];
    char path[PATH_MAX];
    if (supervisor->is_stopping) {
        return;
    }
    if (supervisor->reload.pid != 0) {
        supervisor->reload.is_due = true;
        return;
    }
    (void)snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   sb_clock_mono_ns() / 1000);
    sb_notify_send(&supervisor->notify, lines);
    if (supervisor->options->config != NULL) {
        (void)snprintf(path, sizeof path, "%s", supervisor->options->config);
    } else if (!sb_refresh_find_config(path)) {
        take(supervisor); /* none: the built-in profiles */
        return;
    }
    if (start_check(supervisor, path, &err) < 0) {
        refuse(supervisor, err.text);
    }
}

/* NOLINTEND(misc-no-recursion) */

bool sb_reload_reaped(struct sb_supervisor *supervisor, pid_t pid, int status)
{
    struct sb_reload *reload = &supervisor->reload;
    if (pid != reload->pid || pid == 0) {
        return false;
    }
    reload->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        take(supervisor);
        return true;
    }
    for (size_t before = SIZE_MAX; reload->fd >= 0 && before != reload->said.len;) {
        before = reload->said.len;
        on_said(reload->fd, 0, reload);
    }
    char why[sizeof supervisor->reload_why];
    (void)snprintf(why, sizeof why, "%s",
                   reload->said.len == 0 ? "it could not be checked" : sb_buf_cstr(&reload->said));
    refuse(supervisor, why);
    return true;
}
