#include "tests/integration/spawner/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

enum { MAX_OUTPUT = 8 << 20 };

static const char *const default_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp",
    "LANG=C.UTF-8", NULL};

/* ---- where the worker listens ---- */

/* One for the life of a test program, for all of its spawners. */
static struct {
    pid_t pid; /* who made it; 0: nobody */
    int fd;
    char dir[32];
} listener;

static void remove_listener(void)
{
    if (listener.pid == getpid()) {
        (void)unlink(rig_socket());
        (void)rmdir(listener.dir);
    }
}

static int start_listener(struct sb_err *err)
{
    if (listener.pid != 0) {
        return 0;
    }
    (void)snprintf(listener.dir, sizeof listener.dir, "/tmp/aisbx-rig-XXXXXX");
    if (mkdtemp(listener.dir) == NULL || chmod(listener.dir, 0755) < 0) {
        return sb_err_sys(err, errno, "make %s", listener.dir);
    }
    listener.pid = getpid();
    (void)atexit(remove_listener);
    listener.fd = rig_listen(rig_socket());
    return listener.fd < 0 ? sb_err_sys(err, errno, "listen on %s", rig_socket()) : 0;
}

char *rig_socket(void)
{
    static char path[64];
    (void)snprintf(path, sizeof path, "%s/worker.sock", listener.dir);
    return path;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

int rig_listen(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0777) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        return -1;
    }
    return fd;
}

int rig_connect(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -1 : fd;
}

int rig_accept(void)
{
    return accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);
}

int rig_peer(int *ret_other)
{
    *ret_other = rig_connect(rig_socket());
    return rig_accept();
}

/* ---- the spawner ---- */

bool rig_copies(void)
{
    const char *way = getenv("AISBX_TEST_SNAPSHOTS");
    return way != NULL && strcmp(way, "copy") == 0;
}

int rig_start_silent(struct rig *rig, struct sb_err *err)
{
    int ends[2];
    if (start_listener(err) < 0) {
        return -1;
    }
    const char *folder = getenv("AISBX_BIN");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/aisbx-spawner", folder != NULL ? folder : ".");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)(ends[1] == 3 ? fcntl(3, F_SETFD, 0) : dup2(ends[1], 3));
        char name[] = "aisbx-spawner";
        char option[] = "--fd";
        char number[] = "3";
        char socket_option[] = "--socket";
        char snapshots[] = "--snapshots";
        char way[] = "copy";
        char *argv[] = {name,          option,       number,
                        socket_option, rig_socket(), rig_copies() ? snapshots : NULL,
                        way,           NULL};
        (void)execv(path, argv);
        perror(path);
        _exit(127);
    }
    (void)close(ends[1]);
    *rig = (struct rig){.pid = pid, .sock = ends[0]};
    return pid < 0 ? sb_err_sys(err, errno, "fork") : 0;
}

int rig_start(struct rig *rig, struct sb_err *err)
{
    Spawn__V1__Hello hello = SPAWN__V1__HELLO__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    if (rig_start_silent(rig, err) < 0) {
        return -1;
    }
    hello.version = 1;
    hello.uid = geteuid();
    request.body_case = SPAWN__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    if (rig_call(rig, &request, NULL, 0, &frame, err) < 0) {
        return -1;
    }
    const Spawn__V1__Welcome *welcome = ((Spawn__V1__Reply *)frame.msg)->welcome;
    rig->is_root = welcome->is_root;
    rig->id_ranges = welcome->id_ranges;
    rig->has_idmap = welcome->has_idmap;
    return rig_load_open_filter(rig, err);
}

int rig_stop(struct rig *rig)
{
    int status = 0;
    (void)close(rig->sock);
    while (waitpid(rig->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static int wait_readable(int fd, struct sb_err *err)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int n = poll(&wait, 1, RIG_WAIT_MS);
    return n == 1 ? 0 : sb_err_set(err, SB_DEADLINE, "nothing came");
}

static int receive(struct rig *rig, struct sb_frame *ret_frame, struct sb_err *err)
{
    if (wait_readable(rig->sock, err) < 0) {
        return -1;
    }
    int got = sb_frame_recv(rig->sock, &spawn__v1__reply__descriptor, 0, ret_frame, err);
    return got == 0 ? sb_err_set(err, SB_UNAVAILABLE, "the spawner is gone") : got < 0 ? -1 : 0;
}

int rig_call(struct rig *rig,
             Spawn__V1__Request *request,
             const int *fds,
             size_t n_fds,
             struct sb_frame *ret_frame,
             struct sb_err *err)
{
    request->tag = ++rig->last_tag;
    if (sb_frame_send(rig->sock, &request->base, fds, n_fds, err) < 0) {
        return -1;
    }
    for (;;) {
        struct sb_frame frame = SB_FRAME_INIT;
        if (receive(rig, &frame, err) < 0) {
            return -1;
        }
        const Spawn__V1__Reply *reply = (Spawn__V1__Reply *)frame.msg;
        if (reply->tag != request->tag) {
            sb_frame_done(&frame); /* an event that nobody waits for */
            continue;
        }
        if (reply->body_case == SPAWN__V1__REPLY__BODY_FAILURE) {
            (void)sb_err_set(err, (enum sb_code)reply->failure->code, "%s: %s",
                             reply->failure->step, reply->failure->text);
            err->sys = reply->failure->sys;
            sb_frame_done(&frame);
            return -1;
        }
        *ret_frame = frame;
        return 0;
    }
}

int rig_event(struct rig *rig, struct sb_frame *ret_frame, struct sb_err *err)
{
    return receive(rig, ret_frame, err);
}

static int load(struct rig *rig, Spawn__V1__LoadFilter *filter, struct sb_err *err)
{
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    request.body_case = SPAWN__V1__REQUEST__BODY_LOAD_FILTER;
    request.load_filter = filter;
    if (rig_call(rig, &request, NULL, 0, &frame, err) < 0) {
        return -1;
    }
    rig->filter_id = ((Spawn__V1__Reply *)frame.msg)->filter_loaded->filter_id;
    return 0;
}

int rig_load_open_filter(struct rig *rig, struct sb_err *err)
{
    Spawn__V1__LoadFilter filter = SPAWN__V1__LOAD_FILTER__INIT;
    char name[] = "open";
    filter.name = name;
    filter.default_action = SPAWN__V1__ACTION__ACTION_ALLOW;
    return load(rig, &filter, err);
}

int rig_load_listed_filter(struct rig *rig,
                           const char *const *files,
                           unsigned error,
                           struct sb_err *err)
{
    enum { MAX_NAMES = 1000 };
    static char text[MAX_NAMES][40];
    static char *names[MAX_NAMES];
    Spawn__V1__LoadFilter filter = SPAWN__V1__LOAD_FILTER__INIT;
    Spawn__V1__FilterRule rule = SPAWN__V1__FILTER_RULE__INIT;
    Spawn__V1__FilterRule *rules[] = {&rule};
    char name[] = "listed";
    size_t n = 0;
    for (; *files != NULL; files++) {
        FILE *file = fopen(*files, "re");
        if (file == NULL) {
            return sb_err_sys(err, errno, "open %s", *files);
        }
        while (n < MAX_NAMES && fscanf(file, "%39s", text[n]) == 1) {
            names[n] = text[n];
            n++;
        }
        (void)fclose(file);
    }
    rule.names = names;
    rule.n_names = n;
    rule.action = SPAWN__V1__ACTION__ACTION_ALLOW;
    filter.name = name;
    filter.default_action = SPAWN__V1__ACTION__ACTION_ERRNO;
    filter.default_errno = error;
    filter.rules = rules;
    filter.n_rules = 1;
    return load(rig, &filter, err);
}

Spawn__V1__Driver rig_driver(void)
{
    static const struct {
        const char *name;
        Spawn__V1__Driver driver;
    } drivers[] = {
        {"native", SPAWN__V1__DRIVER__DRIVER_NATIVE},
        {"bwrap", SPAWN__V1__DRIVER__DRIVER_BWRAP},
        {"chroot", SPAWN__V1__DRIVER__DRIVER_CHROOT},
    };
    const char *name = getenv("AISBX_TEST_DRIVER");
    for (size_t i = 0; name != NULL && i < sizeof drivers / sizeof *drivers; i++) {
        if (strcmp(name, drivers[i].name) == 0) {
            return drivers[i].driver;
        }
    }
    return SPAWN__V1__DRIVER__DRIVER_NATIVE;
}

Spawn__V1__Plan rig_plan(const struct rig *rig)
{
    static char id[] = "sb_test";
    static char host[] = "box";
    Spawn__V1__Plan plan = SPAWN__V1__PLAN__INIT;
    plan.driver = rig_driver();
    plan.sandbox_id = id;
    plan.hostname = host;
    plan.root = SPAWN__V1__ROOT__ROOT_SYSTEM;
    plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_TMPFS;
    plan.disk_bytes = 16U << 20;
    plan.inodes = 1000;
    plan.filter_id = rig->filter_id;
    return plan;
}

int rig_spawn(struct rig *rig,
              Spawn__V1__Plan *plan,
              int peer_fd,
              struct rig_box *ret_box,
              struct sb_err *err)
{
    Spawn__V1__Spawn body = SPAWN__V1__SPAWN__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    body.plan = plan;
    request.body_case = SPAWN__V1__REQUEST__BODY_SPAWN;
    request.spawn = &body;
    if (rig_call(rig, &request, &peer_fd, peer_fd >= 0 ? 1 : 0, &frame, err) < 0) {
        return -1;
    }
    const Spawn__V1__Spawned *spawned = ((Spawn__V1__Reply *)frame.msg)->spawned;
    *ret_box = (struct rig_box){
        .slot = spawned->slot,
        .pid = (pid_t)spawned->init_pid,
        .host_uid = spawned->host_uid,
        .is_distinct = spawned->distinct_uid,
        .n_degraded = spawned->n_degraded,
        .ctl_fd = sb_frame_take_fd(&frame, 0),
        .pidfd = sb_frame_take_fd(&frame, 1),
    };
    return 0;
}

int rig_kill(struct rig *rig, uint64_t slot, struct sb_err *err)
{
    Spawn__V1__Kill body = SPAWN__V1__KILL__INIT;
    Spawn__V1__Request request = SPAWN__V1__REQUEST__INIT;
    SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
    body.slot = slot;
    request.body_case = SPAWN__V1__REQUEST__BODY_KILL;
    request.kill = &body;
    return rig_call(rig, &request, NULL, 0, &frame, err);
}

int rig_wait_gone(struct rig *rig, uint64_t slot, Spawn__V1__Gone *ret_gone, struct sb_err *err)
{
    for (;;) {
        SB_CLEANUP(sb_frame_done) struct sb_frame frame = SB_FRAME_INIT;
        if (receive(rig, &frame, err) < 0) {
            return -1;
        }
        const Spawn__V1__Reply *reply = (Spawn__V1__Reply *)frame.msg;
        if (reply->body_case == SPAWN__V1__REPLY__BODY_GONE && reply->gone->slot == slot) {
            if (ret_gone != NULL) {
                *ret_gone = *reply->gone;
                ret_gone->counters = NULL;
                if (reply->gone->counters != NULL) {
                    static Spawn__V1__Counters counters;
                    counters = *reply->gone->counters;
                    ret_gone->counters = &counters;
                }
            }
            return 0;
        }
    }
}

void rig_box_done(struct rig_box *box)
{
    sb_fd_close_all(&box->ctl_fd, 1);
    sb_fd_close_all(&box->pidfd, 1);
}

static void pack_strings(struct sb_buf *packet, const char *const *strings, uint32_t *count)
{
    for (*count = 0; strings[*count] != NULL; (*count)++) {
        (void)sb_buf_append(packet, strings[*count], strlen(strings[*count]) + 1);
    }
}

int rig_exec_send(const struct rig_box *box,
                  const struct rig_run *run,
                  const int stdio[3],
                  struct sb_err *err)
{
    struct sb_init_exec head = {.type = SB_INIT_EXEC, .flags = run->flags};
    SB_CLEANUP(sb_buf_done) struct sb_buf strings = SB_BUF_INIT(SB_INIT_MAX_PACKET);
    SB_CLEANUP(sb_buf_done) struct sb_buf packet = SB_BUF_INIT(SB_INIT_MAX_PACKET);
    int ends[2];
    const char *cwd = run->cwd != NULL ? run->cwd : "";
    (void)sb_buf_append(&strings, cwd, strlen(cwd) + 1);
    pack_strings(&strings, run->argv, &head.n_args);
    pack_strings(&strings, run->env != NULL ? run->env : default_env, &head.n_env);
    (void)sb_buf_append(&packet, &head, sizeof head);
    (void)sb_buf_append_str(&packet, sb_buf_str(&strings));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    int fds[] = {stdio[0], stdio[1], stdio[2], ends[1]};
    ssize_t sent = sb_fd_send(box->ctl_fd, sb_buf_cstr(&packet), packet.len, fds, 4, err);
    (void)close(ends[1]);
    if (sent < 0) {
        (void)close(ends[0]);
        return -1;
    }
    return ends[0];
}

ssize_t rig_exec_recv(int sock, void *data, size_t cap)
{
    struct sb_err err;
    return wait_readable(sock, &err) < 0 ? -1 : recv(sock, data, cap, 0);
}

/* Takes one packet; false: that was the last one. */
static bool take_packet(int sock, struct rig_result *result)
{
    union {
        uint32_t type;
        struct sb_init_failed failed;
        struct sb_init_exited exited;
        struct sb_init_empty empty;
    } packet;
    if (recv(sock, &packet, sizeof packet, 0) <= 0) {
        return false;
    }
    if (packet.type == SB_INIT_FAILED) {
        result->is_failed = true;
        result->failed = packet.failed;
    } else if (packet.type == SB_INIT_EXITED) {
        result->has_exited = true;
        result->exited = packet.exited;
    } else if (packet.type == SB_INIT_EMPTY) {
        result->is_empty = true;
        result->empty = packet.empty;
    }
    return true;
}

static bool take_output(int fd, struct sb_buf *buf)
{
    char data[65536];
    ssize_t n = read(fd, data, sizeof data);
    if (n <= 0) {
        return false;
    }
    (void)sb_buf_append(buf, data, (size_t)n);
    return true;
}

static int collect(int sock, int out, int err_fd, struct rig_result *result, struct sb_err *err)
{
    uint64_t deadline = sb_clock_mono_ms() + RIG_WAIT_MS;
    struct pollfd fds[] = {{sock, POLLIN, 0}, {out, POLLIN, 0}, {err_fd, POLLIN, 0}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0 || fds[2].fd >= 0) {
        if (poll(fds, 3, sb_clock_left_ms(deadline)) == 0) {
            return sb_err_set(err, SB_DEADLINE, "the exec does not end");
        }
        if (fds[0].revents != 0 && !take_packet(sock, result)) {
            fds[0].fd = -1;
        }
        if (fds[1].revents != 0 && !take_output(out, &result->out)) {
            fds[1].fd = -1;
        }
        if (fds[2].revents != 0 && !take_output(err_fd, &result->err)) {
            fds[2].fd = -1;
        }
        for (int i = 0; i < 3; i++) {
            fds[i].revents = 0;
        }
    }
    return 0;
}

int rig_exec(const struct rig_box *box,
             const struct rig_run *run,
             struct rig_result *ret_result,
             struct sb_err *err)
{
    int out[2];
    int errors[2];
    *ret_result =
        (struct rig_result){.out = SB_BUF_INIT(MAX_OUTPUT), .err = SB_BUF_INIT(MAX_OUTPUT)};
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (sb_fd_pipe(out, err) < 0 || sb_fd_pipe(errors, err) < 0) {
        return -1;
    }
    const int stdio[] = {null_fd, out[1], errors[1]};
    int sock = rig_exec_send(box, run, stdio, err);
    (void)close(null_fd);
    (void)close(out[1]);
    (void)close(errors[1]);
    int done = sock < 0 ? -1 : collect(sock, out[0], errors[0], ret_result, err);
    (void)close(out[0]);
    (void)close(errors[0]);
    sb_fd_close_all(&sock, 1);
    return done;
}

void rig_result_done(struct rig_result *result)
{
    sb_buf_done(&result->out);
    sb_buf_done(&result->err);
}
