#include "service/supervisor/part.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/activation.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "service/supervisor/child.h"

#define TO(state) (1U << SB_PART_##state)

static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [SB_PART_IDLE] = {"stopped", TO(STARTING)},
    [SB_PART_STARTING] = {"starting", TO(RUNNING) | TO(STOPPING) | TO(BACKOFF) | TO(IDLE)},
    [SB_PART_RUNNING] = {"running", TO(STOPPING) | TO(BACKOFF)},
    [SB_PART_STOPPING] = {"stopping", TO(IDLE)},
    [SB_PART_BACKOFF] = {"waiting", TO(STARTING) | TO(STOPPING)},
};

const char *sb_part_state_name(enum sb_part_state state)
{
    return states[state].name;
}

static void arm(struct event *timer, uint64_t ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(timer, &tv);
}

static void move(struct sb_part *part, enum sb_part_state to)
{
    if ((states[part->state].next & 1U << to) == 0) {
        SB_LOG_ERROR("a move that is none", "part=%s from=%s to=%s", part->name,
                     states[part->state].name, states[to].name);
        abort();
    }
    part->state = to;
    part->since_ms = sb_clock_mono_ms();
    (void)event_del(part->timer);
    part->events->changed(part, part->ctx);
}

/* ---- probes ---- */

static void set_well(struct sb_part *part, const char *why)
{
    bool was_well = part->is_well;
    part->is_well = why == NULL;
    (void)snprintf(part->unwell_why, sizeof part->unwell_why, "%s", why == NULL ? "" : why);
    if (why == NULL) {
        part->misses = 0;
        part->well_ms = sb_clock_mono_ms();
    }
    if (was_well != part->is_well) {
        part->events->changed(part, part->ctx);
    }
}

static void on_answer(struct sb_probe *probe, const char *why)
{
    struct sb_part *part = probe->user;
    if (part->state != SB_PART_RUNNING) {
        return;
    }
    set_well(part, why);
    arm(part->probe_timer, part->probe_every_ms);
    if (why == NULL) {
        return;
    }
    part->misses++;
    SB_LOG_WARN("does not answer", "part=%s pid=%d times=%u why=%s", part->name, (int)part->pid,
                part->misses, why);
    if (part->misses >= SB_PART_MISSES) {
        (void)kill(part->pid, SIGKILL); /* it is started again when it is reaped */
    }
}

static void on_probe_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_part *part = ctx;
    struct sb_err err;
    if (part->state == SB_PART_RUNNING && sb_probe_start(&part->probe, part->base, &err) < 0) {
        SB_LOG_WARN("cannot probe", "part=%s why=%s", part->name, err.text);
        arm(part->probe_timer, part->probe_every_ms);
    }
}

/* ---- starting ---- */

static void close_ready(struct sb_part *part)
{
    if (part->ready != NULL) {
        event_free(part->ready);
        part->ready = NULL;
    }
    if (part->ready_fd >= 0) {
        close(part->ready_fd);
        part->ready_fd = -1;
    }
}

/* "READY", "READY 8080", or "ERROR why" */
static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_part *part = ctx;
    char line[512];
    ssize_t n = read(fd, line, sizeof line);
    struct sb_str said = sb_str_trim(sb_str_of(line, n < 0 ? 0 : (size_t)n));
    struct sb_str port;
    struct sb_err ignored;
    uint64_t number = 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    close_ready(part);
    if (!sb_str_starts_with(said, SB_STR("READY"))) {
        if (said.len > 0) {
            SB_LOG_ERROR("did not start", "part=%s said=%.*s", part->name, SB_STR_ARG(said));
        }
        return; /* it ends, which is where we go on */
    }
    if (sb_str_split(said, ' ', &said, &port) &&
        sb_num_u64(port, 1, 65535, &number, &ignored) == 0) {
        part->port = (int)number;
    }
    if (part->state != SB_PART_STARTING) {
        return;
    }
    move(part, SB_PART_RUNNING);
    part->has_run = true;
    SB_LOG_INFO("part runs", "part=%s pid=%d port=%d", part->name, (int)part->pid, part->port);
    part->misses = 0;
    on_probe_timer(-1, 0, part);
    part->events->ready(part, part->ctx);
}

/* After fork. @fds  log, ready; both from SB_PART_LOWEST_FD on. */
static void become(const struct sb_part *part, const int fds[2])
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)setpgid(0, 0); /* a terminal's Ctrl-C is ours to hand on, in order */
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(fds[0], STDOUT_FILENO) < 0 ||
        dup2(fds[0], STDERR_FILENO) < 0 || sb_activation_give(part->given, part->n_given) < 0 ||
        dup2(fds[1], SB_PART_READY_FD + (int)part->n_given) < 0) {
        _exit(127);
    }
    char *argv[SB_PART_ARGS_MAX];
    memcpy(argv, part->argv, sizeof argv); /* execv takes them as not const, and does not write */
    (void)execv(argv[0], argv);
    char text[128];
    int n = snprintf(text, sizeof text, "cannot run: %s\n", strerror(errno));
    ssize_t ignored = write(STDERR_FILENO, text, (size_t)n);
    (void)ignored;
    _exit(127);
}

/* A pipe whose ends are no number that the program will have. */
static int high_pipe(int ret_fds[2], struct sb_err *err)
{
    int fds[2];
    if (sb_fd_pipe(fds, err) < 0) {
        return -1;
    }
    ret_fds[0] = fds[0];
    ret_fds[1] = fcntl(fds[1], F_DUPFD_CLOEXEC, SB_PART_LOWEST_FD);
    int sys = errno;
    close(fds[1]);
    if (ret_fds[1] < 0 || sb_fd_nonblock(fds[0], err) < 0) {
        sb_fd_close_all(ret_fds, 2);
        return sb_err_sys(err, sys, "pipe");
    }
    return 0;
}

static int spawn(struct sb_part *part, struct sb_err *err)
{
    int log[2] = {-1, -1};
    int ready[2] = {-1, -1};
    if (high_pipe(log, err) < 0 || high_pipe(ready, err) < 0) {
        sb_fd_close_all(log, 2);
        return -1;
    }
    const int child_fds[2] = {log[1], ready[1]};
    pid_t pid = sb_child_fork();
    if (pid == 0) {
        become(part, child_fds);
    }
    int sys = errno;
    close(log[1]);
    close(ready[1]);
    if (pid < 0) {
        close(log[0]);
        close(ready[0]);
        return sb_err_sys(err, sys, "fork");
    }
    part->pid = pid;
    part->port = 0;
    part->ready_fd = ready[0];
    part->ready = event_new(part->base, ready[0], EV_READ | EV_PERSIST, on_ready, part);
    if (sb_relay_start(&part->relay, part->base, part->name, part->is_json, log[0], err) < 0 ||
        part->ready == NULL || event_add(part->ready, NULL) < 0) {
        (void)kill(pid, SIGKILL); /* and when it is reaped, again */
    }
    return 0;
}

static void wait_and_start(struct sb_part *part)
{
    uint64_t ms = part->backoff_ms;
    move(part, SB_PART_BACKOFF);
    part->backoff_ms = ms > SB_PART_MAX_BACKOFF_MS / 2 ? SB_PART_MAX_BACKOFF_MS : ms * 2;
    SB_LOG_WARN("starting it again", "part=%s in_ms=%ju restarts=%ju why=%s", part->name,
                (uintmax_t)ms, (uintmax_t)part->restarts, part->why);
    arm(part->timer, ms);
}

void sb_part_start(struct sb_part *part)
{
    struct sb_err err;
    move(part, SB_PART_STARTING);
    if (spawn(part, &err) < 0) {
        (void)snprintf(part->why, sizeof part->why, "%.250s", err.text);
        wait_and_start(part);
        return;
    }
    SB_LOG_DEBUG("started", "part=%s pid=%d", part->name, (int)part->pid);
    arm(part->timer, SB_PART_START_MS);
}

/* ---- ending ---- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_part *part = ctx;
    if (part->state == SB_PART_BACKOFF) {
        part->restarts++;
        sb_part_start(part);
        return;
    }
    SB_LOG_ERROR("takes too long", "part=%s pid=%d state=%s", part->name, (int)part->pid,
                 states[part->state].name);
    (void)kill(part->pid, SIGKILL);
}

void sb_part_stop(struct sb_part *part)
{
    if (part->state == SB_PART_IDLE) {
        part->events->stopped(part, part->ctx);
        return;
    }
    if (part->state != SB_PART_STOPPING) {
        move(part, SB_PART_STOPPING);
        if (part->pid != 0) {
            arm(part->timer, part->grace_ms);
        }
    }
    if (part->pid != 0) {
        (void)kill(part->pid, SIGTERM);
        return;
    }
    move(part, SB_PART_IDLE);
    part->events->stopped(part, part->ctx);
}

static void say_end(struct sb_part *part, int status)
{
    if (WIFSIGNALED(status)) {
        (void)snprintf(part->why, sizeof part->why, "signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(part->why, sizeof part->why, "exit status %d", WEXITSTATUS(status));
    }
}

bool sb_part_reaped(struct sb_part *part, pid_t pid, int status)
{
    if (pid == part->probe.pid) {
        part->probe.pid = 0; /* its number may be another's from now on */
        return true;
    }
    if (pid != part->pid) {
        return false;
    }
    if (part->ready != NULL && part->state == SB_PART_STARTING) {
        on_ready(part->ready_fd, 0, part); /* why it did not start */
    }
    part->pid = 0;
    close_ready(part);
    sb_relay_stop(&part->relay);
    sb_probe_stop(&part->probe);
    (void)event_del(part->probe_timer);
    say_end(part, status);
    set_well(part, "does not run");
    if (part->state == SB_PART_STOPPING) {
        SB_LOG_INFO("part ended", "part=%s how=%s", part->name, part->why);
        move(part, SB_PART_IDLE);
        part->events->stopped(part, part->ctx);
        return true;
    }
    if (!part->has_run && WIFEXITED(status) && WEXITSTATUS(status) == SB_PART_MISUSED) {
        move(part, SB_PART_IDLE);
        part->events->refused(part, part->ctx);
        return true;
    }
    if (part->state == SB_PART_RUNNING && sb_clock_mono_ms() - part->since_ms >= SB_PART_WELL_MS) {
        part->backoff_ms = SB_PART_MIN_BACKOFF_MS;
    }
    wait_and_start(part);
    return true;
}

int sb_part_init(struct sb_part *part, struct event_base *base, struct sb_err *err)
{
    part->base = base;
    part->ready_fd = -1;
    part->relay.fd = -1;
    part->backoff_ms = SB_PART_MIN_BACKOFF_MS;
    part->probe.answer = on_answer;
    part->probe.user = part;
    part->probe.fd = -1;
    part->timer = evtimer_new(base, on_timer, part);
    part->probe_timer = evtimer_new(base, on_probe_timer, part);
    (void)snprintf(part->unwell_why, sizeof part->unwell_why, "did not answer yet");
    return part->timer == NULL || part->probe_timer == NULL ? sb_err_oom(err) : 0;
}

void sb_part_done(struct sb_part *part)
{
    if (part->base == NULL) {
        return;
    }
    close_ready(part);
    sb_relay_stop(&part->relay);
    sb_probe_stop(&part->probe);
    if (part->timer != NULL) {
        event_free(part->timer);
    }
    if (part->probe_timer != NULL) {
        event_free(part->probe_timer);
    }
}
