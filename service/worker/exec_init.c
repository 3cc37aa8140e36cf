#include "service/worker/exec_init.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/shared/initproto.h"
#include "service/worker/exec.h"
#include "service/worker/worker.h"

static int add_string(struct sb_buf *buf, const char *text)
{
    return sb_buf_append(buf, text, strlen(text) + 1);
}

int sb_exec_init_pack(const struct sb_exec *exec,
                      char *const *env,
                      size_t n_env,
                      char **ret_packet,
                      size_t *ret_len,
                      struct sb_err *err)
{
    if (n_env > SB_INIT_MAX_STRINGS || exec->n_args > SB_INIT_MAX_STRINGS - n_env) {
        return sb_err_set(err, SB_INVALID, "exec: more than %d arguments and environment variables",
                          SB_INIT_MAX_STRINGS);
    }
    struct sb_init_exec head = {
        .type = SB_INIT_EXEC,
        .flags = (exec->is_only ? SB_INIT_ONLY : 0U) |
                 (exec->terminal.is_wanted ? SB_INIT_TERMINAL : 0U) |
                 (exec->channel >= 0 ? SB_INIT_CHANNEL : 0U),
        .n_args = (uint32_t)exec->n_args,
        .n_env = (uint32_t)n_env,
        .rows = exec->terminal.rows,
        .columns = exec->terminal.columns,
    };
    memcpy(head.rlimits, exec->limits.rlimits, sizeof head.rlimits);
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_INIT_MAX_PACKET);
    int failed = sb_buf_append(&buf, &head, sizeof head) < 0 || add_string(&buf, exec->cwd) < 0;
    for (size_t i = 0; i < exec->n_args && !failed; i++) {
        failed = add_string(&buf, exec->args[i]) < 0;
    }
    for (size_t i = 0; i < n_env && !failed; i++) {
        failed = add_string(&buf, env[i]) < 0;
    }
    if (failed) {
        return sb_err_set(err, SB_INVALID,
                          "exec: arguments and environment together are longer than %d bytes",
                          SB_INIT_MAX_PACKET);
    }
    size_t len = buf.len;
    char *packet = sb_buf_steal(&buf);
    if (packet == NULL) {
        return sb_err_oom(err);
    }
    *ret_packet = packet;
    *ret_len = len;
    return 0;
}

/** Reads the first packet that is there. Returns 0 when there is none, or the socket is closed. */
static int read_packet(struct sb_exec *exec)
{
    union {
        uint32_t type;
        struct sb_init_started started;
        struct sb_init_failed failed;
        struct sb_init_exited exited;
        struct sb_init_empty empty;
        struct sb_init_signaled signaled;
    } packet;
    SB_CLEANUP(sb_closep) int terminal_fd = -1;
    struct sb_fd_msg msg = {
        .data = &packet, .cap = sizeof packet, .fds = &terminal_fd, .nfds_cap = 1};
    struct sb_err err;
    int got = 0;
    /* A reset, told once, says that init ended with a KILL of ours unread; its last words are still
     * in the queue behind it. */
    do {
        got = sb_fd_recv(exec->sock, &msg, MSG_DONTWAIT, &err);
    } while (got < 0 && err.sys == ECONNRESET);
    if (got < 0 && err.sys == EAGAIN) {
        return 0;
    }
    size_t len = got < 0 ? 0 : msg.len;
    if (len == sizeof packet.started && packet.type == SB_INIT_STARTED) {
        sb_exec_on_started(exec, packet.started.pid, &terminal_fd);
    } else if (len == sizeof packet.failed && packet.type == SB_INIT_FAILED) {
        sb_exec_on_failed(exec, packet.failed.error, packet.failed.stage);
    } else if (len == sizeof packet.exited && packet.type == SB_INIT_EXITED) {
        sb_exec_on_exited(exec, &packet.exited);
    } else if (len == sizeof packet.empty && packet.type == SB_INIT_EMPTY) {
        sb_exec_on_empty(exec, &packet.empty);
    } else if (len == sizeof packet.signaled && packet.type == SB_INIT_SIGNALED) {
        sb_exec_on_signaled(exec);
    } else {
        if (len > 0) {
            SB_LOG_WARN("init sent nonsense", "exec=%s bytes=%zu", exec->id, len);
        }
        sb_exec_on_hangup(exec);
    }
    return 1;
}

void sb_exec_init_read(struct sb_exec *exec)
{
    while (exec->sock >= 0 && read_packet(exec) > 0) {
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    sb_exec_init_read(ctx);
}

void sb_exec_init_adopt(struct sb_exec *exec, int sock)
{
    sb_fd_close_all(exec->stdio, 3);
    sb_fd_close_all(&exec->channel, 1);
    free(exec->packet);
    exec->packet = NULL;
    exec->sock = sock;
    (void)event_assign(&exec->sock_event, exec->worker->base, sock, EV_READ | EV_PERSIST,
                       on_readable, exec);
    (void)event_add(&exec->sock_event, NULL);
}

int sb_exec_init_send(struct sb_exec *exec, int init_fd, struct sb_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    SB_CLEANUP(sb_closep) int ours = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    const int fds[SB_INIT_MAX_FDS] = {exec->stdio[0], exec->stdio[1], exec->stdio[2], theirs,
                                      exec->channel};
    size_t n_fds = exec->channel >= 0 ? SB_INIT_MAX_FDS : SB_INIT_FDS;
    if (sb_fd_send(init_fd, exec->packet, exec->packet_len, fds, n_fds, err) < 0) {
        return err->sys == EAGAIN ? 0 : sb_err_wrap(err, "ask init");
    }
    sb_exec_init_adopt(exec, SB_STEAL_FD(ours));
    return 1;
}

void sb_exec_init_close(struct sb_exec *exec)
{
    if (exec->sock >= 0) {
        (void)event_del(&exec->sock_event);
        close(exec->sock);
        exec->sock = -1;
    }
}

static bool tell(const struct sb_exec *exec, const void *packet, size_t len)
{
    ssize_t n = 0;
    if (exec->sock < 0) {
        return false;
    }
    do {
        n = send(exec->sock, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

bool sb_exec_init_kill(struct sb_exec *exec)
{
    const struct sb_init_kill packet = {.type = SB_INIT_KILL};
    return tell(exec, &packet, sizeof packet);
}

bool sb_exec_init_signal(struct sb_exec *exec, int signal, enum sb_init_whom whom)
{
    const struct sb_init_signal packet = {.type = SB_INIT_SIGNAL, .signal = signal, .whom = whom};
    return tell(exec, &packet, sizeof packet);
}
