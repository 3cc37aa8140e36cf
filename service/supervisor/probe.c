#include "service/supervisor/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "proto/client/connect.h"
#include "proto/client/message.h"
#include "service/supervisor/child.h"

#define WELL "well"

/* ---- the child ---- */

static void run(const struct sb_probe *probe, int fd)
{
    struct sb_err err;
    (void)alarm(SB_PROBE_MS / 1000); /* the end of a child that hangs says nothing, which is told */
    const char *said = probe->ask(probe, &err) < 0 ? err.text : WELL;
    (void)sb_fd_write_full(fd, said, strlen(said), &err);
    _exit(0);
}

int sb_probe_worker(const struct sb_probe *probe, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetInfoResponse *info = NULL;
    Aisbx__V1__GetInfoRequest request = AISBX__V1__GET_INFO_REQUEST__INIT;
    const struct sb_connect_options options = {
        .address = probe->target, .mode = SB_CONNECT_PRESENT, .lends_nothing = true};
    static struct sb_connect connect;
    if (sb_connect_worker(&options, &connect, err) < 0) {
        return -1;
    }
    connect.options.timeout_ms = SB_PROBE_MS;
    return aisbx__v1__worker_service__get_info__call(connect.channel, &request, &connect.options,
                                                     &info, err);
}

/* Of 0.0.0.0 and :: we take the loopback address. */
static int connect_to(const struct sb_probe_http *http, struct sb_err *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*http->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)*http->port)};
    const struct timeval wait = {SB_PROBE_MS / 1000, 0};
    bool is_v4 = inet_pton(AF_INET, http->address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, http->address, &v6.sin6_addr) != 1) {
        return sb_err_set(err, SB_INVALID, "%s is no address", http->address);
    }
    if (is_v4 && v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (!is_v4 && IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) {
        v6.sin6_addr = in6addr_loopback;
    }
    const struct sockaddr *to = is_v4 ? (const struct sockaddr *)(const void *)&v4
                                      : (const struct sockaddr *)(const void *)&v6;
    SB_CLEANUP(sb_closep) int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) < 0 ||
        connect(fd, to, is_v4 ? (socklen_t)sizeof v4 : (socklen_t)sizeof v6) < 0) {
        return sb_err_sys(err, errno, "connect to %s port %d", http->address, *http->port);
    }
    return SB_STEAL_FD(fd);
}

int sb_probe_gateway(const struct sb_probe *probe, struct sb_err *err)
{
    static const char ask[] =
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const struct sb_str well = {"HTTP/1.1 200", 12};
    const struct sb_probe_http *http = probe->target;
    char answer[12];
    size_t len = 0;
    SB_CLEANUP(sb_closep) int fd = connect_to(http, err);
    if (fd < 0 || sb_fd_write_full(fd, ask, sizeof ask - 1, err) < 0) {
        return -1;
    }
    int rc = sb_fd_read_full(fd, answer, sizeof answer, &len, err);
    if (http->has_tls) {
        return rc < 0 && err->sys != ECONNRESET ? -1 : 0;
    }
    if (rc < 0) {
        return -1;
    }
    if (!sb_str_eq(sb_str_of(answer, len), well)) {
        return sb_err_set(err, SB_UNAVAILABLE, "/health/live: %.*s", (int)len, answer);
    }
    return 0;
}

/* ---- the supervisor ---- */

void sb_probe_stop(struct sb_probe *probe)
{
    if (probe->event != NULL) {
        event_free(probe->event);
        probe->event = NULL;
    }
    if (probe->fd >= 0) {
        if (probe->pid > 0) {
            (void)kill(probe->pid, SIGKILL);
        }
        close(probe->fd);
        probe->fd = -1;
    }
}

static void on_said(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_probe *probe = ctx;
    char said[256];
    ssize_t n = read(fd, said, sizeof said - 1);
    said[n < 0 ? 0 : n] = '\0';
    sb_probe_stop(probe);
    if (n <= 0) {
        probe->answer(probe, "no answer in time");
    } else {
        probe->answer(probe, strcmp(said, WELL) == 0 ? NULL : said);
    }
}

int sb_probe_start(struct sb_probe *probe, struct event_base *base, struct sb_err *err)
{
    int fds[2];
    if (probe->fd >= 0) {
        return 0;
    }
    if (sb_fd_pipe(fds, err) < 0) {
        return -1;
    }
    probe->pid = sb_child_fork();
    if (probe->pid == 0) {
        close(fds[0]);
        run(probe, fds[1]);
    }
    int sys = errno;
    close(fds[1]);
    if (probe->pid < 0) {
        probe->pid = 0;
        close(fds[0]);
        return sb_err_sys(err, sys, "fork");
    }
    probe->fd = fds[0];
    probe->event = event_new(base, fds[0], EV_READ, on_said, probe);
    if (probe->event == NULL || event_add(probe->event, NULL) < 0) {
        sb_probe_stop(probe);
        return sb_err_oom(err);
    }
    return 0;
}
