#include "service/spawner/serve.h"

/* Theory of operation. One thread waits for three things: requests of the worker, signals (a child
 * has ended; we shall end), and what the children that are starting have to say. It never waits for
 * one child alone. The worker parses what strangers send, so it is taken to be hostile: which
 * requests are permitted is one row per state, and anything else ends the spawner, and with it all
 * sandboxes. A request that is merely refused gets a Failure. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/shared/frame.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/child.h"
#include "service/spawner/filter.h"
#include "service/spawner/host.h"
#include "service/spawner/ids.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/layers/take.h"
#include "service/spawner/sandbox.h"
#include "service/spawner/serve_internal.h"

enum { LAST_REAP_MS = 5000 }; /* how long the end waits for killed sandboxes */

int sb_serve_reply(struct sb_server *server,
                   Spawn__V1__Reply *message,
                   const int *fds,
                   size_t n_fds,
                   struct sb_err *err)
{
    return sb_frame_send(server->sock, &message->base, fds, n_fds, err);
}

int sb_serve_fail(struct sb_server *server,
                  uint64_t tag,
                  const char *step,
                  const struct sb_err *failure,
                  struct sb_err *err)
{
    Spawn__V1__Failure body = SPAWN__V1__FAILURE__INIT;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    char step_text[SB_CHILD_STEP_SIZE] = "";
    char text[SB_ERR_TEXT_SIZE];
    (void)snprintf(step_text, sizeof step_text, "%s", step);
    (void)memcpy(text, failure->text, sizeof text);
    body.code = (uint32_t)failure->code;
    body.sys = failure->sys;
    body.step = step_text;
    body.text = text;
    message.tag = tag;
    message.body_case = SPAWN__V1__REPLY__BODY_FAILURE;
    message.failure = &body;
    return sb_serve_reply(server, &message, NULL, 0, err);
}

struct sb_sandbox *sb_serve_find(struct sb_server *server, uint64_t slot)
{
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->slot == slot) {
            return sandbox;
        }
    }
    return NULL;
}

static struct sb_sandbox *find_pid(struct sb_server *server, pid_t pid)
{
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sb_sandbox_is_of(sandbox, pid)) {
            return sandbox;
        }
    }
    return NULL;
}

static int on_worker(struct sb_server *server, struct sb_err *err)
{
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    int got =
        sb_frame_recv(server->sock, &spawn__v1__request__descriptor, MSG_DONTWAIT, &frame, err);
    if (got < 0) {
        return err->sys == EAGAIN ? 0 : -1;
    }
    if (got == 0) {
        server->is_stopping = true;
        return 0;
    }
    return sb_serve_dispatch(server, &frame, err);
}

static uint32_t host_uid(const struct sb_server *server, const struct sb_sandbox *sandbox)
{
    uint32_t uid = sb_ids_job_uid(&sandbox->ids);
    if (server->host->is_root) {
        return uid;
    }
    return uid == 0 ? server->host->caller_uid : server->host->first_subuid + uid - 1;
}

static int tell_spawned(struct sb_server *server, struct sb_sandbox *sandbox, struct sb_err *err)
{
    Spawn__V1__Spawned body = SPAWN__V1__SPAWNED__INIT;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    char *degraded[SB_SANDBOX_MAX_DEGRADED];
    memcpy(degraded, sandbox->degraded, sizeof degraded);
    body.slot = sandbox->slot;
    body.init_pid = sandbox->init_pid;
    body.host_uid = host_uid(server, sandbox);
    body.distinct_uid = sb_ids_are_distinct(&sandbox->ids);
    body.n_degraded = sandbox->n_degraded;
    body.degraded = degraded;
    body.has_group = sandbox->cgroup.host != NULL;
    body.lacks_io = sandbox->io_lacks[0] != '\0';
    message.tag = sandbox->tag;
    message.body_case = SPAWN__V1__REPLY__BODY_SPAWNED;
    message.spawned = &body;
    int init_pidfd = sandbox->init_pidfd >= 0 ? sandbox->init_pidfd : sandbox->pidfd;
    const int fds[] = {sandbox->ctl_fd, init_pidfd};
    int done = sb_serve_reply(server, &message, fds, 2, err);
    sb_closep(&sandbox->ctl_fd); /* init must see the end when the worker closes its copy */
    sandbox->ctl_fd = -1;
    return done;
}

static int
on_report(struct sb_server *server, struct sb_sandbox *sandbox, bool is_dead, struct sb_err *err)
{
    char step[SB_CHILD_STEP_SIZE];
    struct sb_err failure;
    int started = sb_sandbox_started(sandbox, is_dead, step, &failure);
    if (started == 0) {
        return 0;
    }
    server->n_starting--;
    if (started > 0) {
        return tell_spawned(server, sandbox, err);
    }
    int done = sb_serve_fail(server, sandbox->tag, step, &failure, err);
    if (!sb_sandbox_has_child(sandbox)) { /* whose end would be the sandbox's */
        sb_sandbox_free(sandbox);
        server->n_sandboxes--;
    }
    return done;
}

/* A child that copies has something to say, or died. */
static int on_taken(struct sb_server *server, struct sb_take *take, struct sb_err *err)
{
    struct sb_err failure;
    struct sb_taken taken = {0};
    Spawn__V1__LayerTaken body = SPAWN__V1__LAYER_TAKEN__INIT;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    const struct sb_layer *layer = sb_take_finish(&server->layers, take, &taken, &failure);
    uint64_t tag = take->tag;
    sb_take_free(&server->layers, take);
    server->n_takes--;
    if (layer == NULL) {
        return sb_serve_fail(server, tag, "take_layer", &failure, err);
    }
    body.layer_id = layer->id;
    body.depth = layer->depth;
    body.size_bytes = taken.size_bytes;
    body.copied_bytes = taken.copied_bytes;
    body.copied_files = taken.files;
    message.tag = tag;
    message.body_case = SPAWN__V1__REPLY__BODY_LAYER_TAKEN;
    message.layer_taken = &body;
    return sb_serve_reply(server, &message, NULL, 0, err);
}

static uint64_t micros(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static int tell_gone(struct sb_server *server,
                     uint64_t slot,
                     int status,
                     const struct rusage *usage,
                     const struct sb_cgroup_counters *read,
                     struct sb_err *err)
{
    Spawn__V1__Gone body = SPAWN__V1__GONE__INIT;
    Spawn__V1__Counters counters;
    sb_serve_fill_counters(read, &counters);
    body.counters = &counters;
    Spawn__V1__Reply message = SPAWN__V1__REPLY__INIT;
    body.slot = slot;
    body.wait_status = status;
    body.cpu_user_us = micros(usage->ru_utime);
    body.cpu_system_us = micros(usage->ru_stime);
    body.max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
    message.body_case = SPAWN__V1__REPLY__BODY_GONE;
    message.gone = &body;
    return sb_serve_reply(server, &message, NULL, 0, err);
}

/* Reaps whatever has ended. @tells  whether the worker is told. */
static int reap(struct sb_server *server, bool tells, struct sb_err *err)
{
    struct rusage usage;
    int status = 0;
    int done = 0;
    pid_t pid = 0;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        struct sb_sandbox *sandbox = find_pid(server, pid);
        if (pid == server->egress_pid) {
            server->egress_pid = 0;
            sb_fd_close_all(&server->egress_sock, 1);
        }
        for (size_t i = 0; i < SB_SERVE_MAX_CHANGES; i++) {
            server->changes[i] = server->changes[i] == pid ? 0 : server->changes[i];
        }
        if (sandbox == NULL) {
            continue;
        }
        if (sandbox->state == SB_SANDBOX_STARTING && tells && done == 0) {
            done = on_report(server, sandbox, true, err); /* what it had to say lies in the pipe */
        }
        bool was_told = sandbox->state == SB_SANDBOX_RUNNING;
        status = sb_sandbox_init_status(sandbox, status);
        uint64_t slot = sandbox->slot;
        struct sb_cgroup_counters counters;
        sb_cgroup_read(&sandbox->cgroup, &counters);
        /* The kernel takes its time to let go of groups and mounts: somebody waits to hear of the
         * end. What is asked next finds all of it gone. */
        if (was_told && tells && done == 0) {
            done = tell_gone(server, slot, status, &usage, &counters, err);
        }
        sb_sandbox_free(sandbox);
        server->n_sandboxes--;
    }
    return done;
}

static int on_signal(struct sb_server *server, struct sb_err *err)
{
    struct signalfd_siginfo info;
    while (read(server->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            server->is_stopping = true;
        }
    }
    return reap(server, true, err);
}

/* Gives up sandboxes whose child hangs, say in a file system that does not answer.
 * Returns milliseconds until the next deadline, -1: none. */
static int check_deadlines(struct sb_server *server, int *ret_wait_ms, struct sb_err *err)
{
    int wait_ms = -1;
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->state != SB_SANDBOX_STARTING || sandbox->pid == 0) {
            continue; /* the kernel alone is at work until there is a child */
        }
        int left = sb_clock_left_ms(sandbox->deadline_ms);
        if (left == 0) {
            struct sb_err failure;
            (void)sb_err_set(&failure, SB_DEADLINE, "not ready within %d ms", SB_SANDBOX_START_MS);
            server->n_starting--;
            sb_sandbox_fail(sandbox);
            if (sb_serve_fail(server, sandbox->tag, "", &failure, err) < 0) {
                return -1;
            }
        } else if (wait_ms < 0 || left < wait_ms) {
            wait_ms = left;
        }
    }
    *ret_wait_ms = wait_ms;
    return 0;
}

static int turn(struct sb_server *server, struct sb_err *err)
{
    struct pollfd fds[2 + SB_SERVE_MAX_STARTING + SB_TAKE_MAX] = {
        {.fd = server->sock, .events = POLLIN},
        {.fd = server->signal_fd, .events = POLLIN},
    };
    struct sb_sandbox *starting[2 + SB_SERVE_MAX_STARTING];
    nfds_t n = 2;
    int wait_ms = -1;
    if (check_deadlines(server, &wait_ms, err) < 0) {
        return -1;
    }
    SB_FOREACH (node, &server->sandboxes) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        if (sandbox->state == SB_SANDBOX_STARTING) {
            starting[n] = sandbox;
            fds[n++] = (struct pollfd){.fd = sandbox->report_fd, .events = POLLIN};
        }
    }
    nfds_t n_starting = n;
    struct sb_take *takes[2 + SB_SERVE_MAX_STARTING + SB_TAKE_MAX];
    SB_FOREACH (node, &server->takes) {
        takes[n] = SB_LIST_ENTRY(node, struct sb_take, link);
        fds[n] = (struct pollfd){.fd = takes[n]->report_fd, .events = POLLIN};
        n++;
    }
    if (poll(fds, n, wait_ms) < 0) {
        return errno == EINTR ? 0 : sb_err_sys(err, errno, "poll");
    }
    /* Reports first: reaping frees sandboxes. */
    for (nfds_t i = 2; i < n; i++) {
        bool is_start = i < n_starting;
        if (fds[i].revents != 0 && (is_start ? on_report(server, starting[i], false, err)
                                             : on_taken(server, takes[i], err)) < 0) {
            return -1;
        }
    }
    if (fds[1].revents != 0 && on_signal(server, err) < 0) {
        return -1;
    }
    return fds[0].revents != 0 && !server->is_stopping ? on_worker(server, err) : 0;
}

/* One that is still being cloned is known soon. */
static void await_child(struct sb_server *server, struct sb_sandbox *sandbox, uint64_t deadline_ms)
{
    struct sb_err ignored;
    struct pollfd wait = {.fd = sandbox->report_fd, .events = POLLIN};
    bool is_unknown = sandbox->state == SB_SANDBOX_STARTING && sandbox->pid == 0;
    if (is_unknown && poll(&wait, 1, sb_clock_left_ms(deadline_ms)) > 0) {
        (void)on_report(server, sandbox, false, &ignored);
    }
}

/* Kills all, and waits until it is true that nothing is left. */
static void end_all(struct sb_server *server)
{
    struct sb_err ignored;
    uint64_t deadline = sb_clock_mono_ms() + LAST_REAP_MS;
    sb_serve_end_egress(server);
    SB_FOREACH (node, &server->sandboxes) {
        await_child(server, SB_LIST_ENTRY(node, struct sb_sandbox, link), deadline);
    }
    SB_FOREACH (node, &server->sandboxes) {
        sb_sandbox_kill(SB_LIST_ENTRY(node, struct sb_sandbox, link));
    }
    while (reap(server, false, &ignored) == 0 && server->n_sandboxes > 0) {
        struct pollfd wait = {.fd = server->signal_fd, .events = POLLIN};
        struct signalfd_siginfo info;
        int left = sb_clock_left_ms(deadline);
        if (left == 0) {
            SB_LOG_ERROR("sandboxes do not end", "left=%zu", server->n_sandboxes);
            return;
        }
        (void)poll(&wait, 1, left);
        while (read(server->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        }
    }
}

int sb_serve_run(
    const struct sb_host *host, int sock, int signal_fd, bool *ret_is_orderly, struct sb_err *err)
{
    *ret_is_orderly = false;
    struct sb_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return sb_err_oom(err);
    }
    server->host = host;
    server->sock = sock;
    server->signal_fd = signal_fd;
    server->egress_sock = -1;
    sb_list_init(&server->sandboxes);
    sb_list_init(&server->takes);
    sb_layers_init(&server->layers, host);
    sb_ids_pool_init(&server->pool, host);
    int done = 0;
    while (done == 0 && !server->is_stopping) {
        done = turn(server, err);
        if (done < 0 && err->code == SB_UNAVAILABLE) { /* the worker closed before it was told */
            server->is_stopping = true;
            done = 0;
        }
    }
    end_all(server);
    SB_FOREACH (node, &server->takes) {
        sb_take_free(&server->layers, SB_LIST_ENTRY(node, struct sb_take, link));
    }
    sb_layers_done(&server->layers);
    sb_lanes_done(&server->lanes);
    sb_filter_cache_done(&server->filters);
    *ret_is_orderly = server->is_orderly;
    free(server);
    return done;
}
