#include "service/worker/port/dial.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/shared/initproto.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/timer.h"
#include "service/worker/worker.h"

static void finish(struct sb_dial *dial, int fd, const struct sb_err *err)
{
    sb_dial_stop(dial);
    dial->done(dial->ctx, fd, err);
}

/* What comes from inside is not believed: it must be a TCP connection to that port. */
static int check(int fd, uint16_t port, struct sb_err *err)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    int type = 0;
    int protocol = 0;
    socklen_t int_len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) < 0 || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &int_len) < 0 ||
        protocol != IPPROTO_TCP || getpeername(fd, (void *)&peer, &len) < 0) {
        return sb_err_set(err, SB_INTERNAL, "what init handed over is no connection");
    }
    /* The port lies at the same place for IPv4 and IPv6. */
    if ((peer.ss_family != AF_INET && peer.ss_family != AF_INET6) ||
        ntohs(((const struct sockaddr_in *)(const void *)&peer)->sin_port) != port) {
        return sb_err_set(err, SB_INTERNAL, "what init handed over leads elsewhere");
    }
    return sb_fd_nonblock(fd, err);
}

static void explain(const struct sb_dial *dial, int error, struct sb_err *ret_err)
{
    const char *id = dial->sandbox->id;
    unsigned port = dial->port;
    switch (error) {
    case ECONNREFUSED:
        (void)sb_err_set(ret_err, SB_UNAVAILABLE,
                         "nothing listens on port %u in sandbox %s; start a server there (aisbx "
                         "exec --detach %s python3 -m http.server %u)",
                         port, id, id, port);
        break;
    case ETIMEDOUT:
        (void)sb_err_set(ret_err, SB_DEADLINE,
                         "port %u in sandbox %s: its server did not accept within %d seconds", port,
                         id, SB_INIT_CONNECT_MS / 1000);
        break;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
        (void)sb_err_sys(ret_err, error, "port %u in sandbox %s", port, id);
        (void)sb_err_set(ret_err, SB_EXHAUSTED, "%s (limits.pids and limits.memory hold here too)",
                         ret_err->text);
        break;
    case EACCES:
    case EPERM:
        (void)sb_err_set(ret_err, SB_PRECONDITION,
                         "port %u in sandbox %s: its profile lets nothing inside make TCP "
                         "connections",
                         port, id);
        break;
    default:
        (void)sb_err_sys(ret_err, error, "port %u in sandbox %s", port, id);
    }
}

static void explain_hangup(const struct sb_dial *dial, struct sb_err *ret_err)
{
    (void)sb_err_set(ret_err, SB_ABORTED,
                     "port %u in sandbox %s: what connected inside was ended: by the memory limit, "
                     "or with the sandbox",
                     (unsigned)dial->port, dial->sandbox->id);
}

static void read_answer(struct sb_dial *dial, const struct sb_fd_msg *msg, int fd)
{
    struct sb_err err;
    struct sb_init_failed failed;
    uint32_t type = 0;
    if (msg->len >= sizeof type) {
        memcpy(&type, msg->data, sizeof type);
    }
    if (type == SB_INIT_CONNECTED && msg->len == sizeof(struct sb_init_connected) && fd >= 0) {
        const int on = 1;
        if (check(fd, dial->port, &err) == 0) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            finish(dial, fd, NULL);
            return;
        }
    } else if (type == SB_INIT_FAILED && msg->len == sizeof failed && fd < 0) {
        memcpy(&failed, msg->data, sizeof failed);
        explain(dial, failed.error, &err);
        finish(dial, -1, &err);
        return;
    } else {
        (void)sb_err_set(&err, SB_INTERNAL, "init answered nonsense");
    }
    SB_LOG_WARN("no connection", "sandbox=%s port=%u why=%s", dial->sandbox->id,
                (unsigned)dial->port, err.text);
    if (fd >= 0) {
        (void)close(fd);
    }
    finish(dial, -1, &err);
}

static void on_readable(evutil_socket_t sock, short what, void *ctx)
{
    (void)what;
    struct sb_dial *dial = ctx;
    struct sb_err err;
    union {
        struct sb_init_failed failed;
        struct sb_init_connected connected;
    } packet = {{0}};
    int fd = -1;
    struct sb_fd_msg msg = {.data = &packet, .cap = sizeof packet, .fds = &fd, .nfds_cap = 1};
    int got = sb_fd_recv(sock, &msg, MSG_DONTWAIT, &err);
    if (got < 0 && err.sys == EAGAIN) {
        return;
    }
    if (got > 0) {
        read_answer(dial, &msg, fd);
        return;
    }
    if (got == 0 || err.sys == ECONNRESET) {
        explain_hangup(dial, &err);
    }
    finish(dial, -1, &err);
}

static void on_timeout(evutil_socket_t sock, short what, void *ctx)
{
    (void)sock;
    (void)what;
    struct sb_dial *dial = ctx;
    struct sb_err err;
    (void)sb_err_set(&err, SB_DEADLINE,
                     "port %u in sandbox %s: nothing came from inside for %d "
                     "seconds",
                     (unsigned)dial->port, dial->sandbox->id, SB_MAX_PORT_WAIT_MS / 1000);
    finish(dial, -1, &err);
}

int sb_dial_start(struct sb_dial *dial, struct sb_err *err)
{
    const struct sb_sandbox *sandbox = dial->sandbox;
    const struct sb_init_connect request = {.type = SB_INIT_CONNECT, .port = dial->port};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    SB_CLEANUP(sb_closep) int ours = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    if (sb_fd_send(sandbox->init_fd, &request, sizeof request, &theirs, 1, err) < 0) {
        return err->sys == EAGAIN ? sb_err_set(err, SB_UNAVAILABLE,
                                               "sandbox %s is too busy; try again", sandbox->id)
                                  : sb_err_wrap(err, "ask init");
    }
    dial->sock = SB_STEAL_FD(ours);
    struct event_base *base = sandbox->worker->base;
    (void)event_assign(&dial->readable, base, dial->sock, EV_READ | EV_PERSIST, on_readable, dial);
    (void)event_assign(&dial->timer, base, -1, 0, on_timeout, dial);
    (void)event_add(&dial->readable, NULL);
    sb_timer_arm(&dial->timer, SB_MAX_PORT_WAIT_MS);
    return 0;
}

void sb_dial_stop(struct sb_dial *dial)
{
    if (dial->sock >= 0) {
        (void)event_del(&dial->readable);
        (void)event_del(&dial->timer);
        (void)close(dial->sock);
        dial->sock = -1;
    }
}
