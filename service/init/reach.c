/* Reaches a server inside. The worker, outside of this network namespace, cannot. */
#include "service/init/reach.h"

#include <errno.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "service/init/exec.h"
#include "service/init/sys.h"
#include "service/shared/initproto.h"

/* System calls of this helper alone. They are not in the table of service/shared/floor.c: where a
 * profile refuses them to its programs there is no server to reach. */
static long open_socket(int family)
{
    return SB_SYS(__NR_socket, family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0);
}

static long connect_socket(int fd, const void *address, unsigned len)
{
    return SB_SYS(__NR_connect, fd, SB_SYS_PTR(address), len, 0, 0);
}

int sb_reach_parse(
    const char *packet, unsigned long len, const int *fds, int n_fds, struct sb_reach *ret_reach)
{
    struct sb_init_connect request;
    if (len != sizeof request || n_fds != 1) {
        return -EINVAL;
    }
    __builtin_memcpy(&request, packet, sizeof request);
    if (request.type != SB_INIT_CONNECT || request.port == 0 || request.port > UINT16_MAX) {
        return -EINVAL;
    }
    ret_reach->port = (uint16_t)request.port;
    ret_reach->sock = fds[0];
    return 0;
}

/* Returns a connected socket, or -errno. */
static int try(int family, const void *address, unsigned len)
{
    int fd = (int)open_socket(family);
    if (fd < 0) {
        return fd;
    }
    long error = connect_socket(fd, address, len);
    if (error == -EINPROGRESS) { /* a full backlog: the server may still take it */
        struct pollfd pfd = {.fd = fd, .events = POLLOUT};
        struct timespec left = {.tv_sec = SB_INIT_CONNECT_MS / 1000,
                                .tv_nsec = SB_INIT_CONNECT_MS % 1000 * 1000000L};
        long n = 0;
        do {
            n = sb_sys_poll(&pfd, 1, &left);
        } while (n == -EINTR);
        /* Asked again, the kernel tells how the first attempt went. */
        error = n == 0 ? -ETIMEDOUT : n < 0 ? n : connect_socket(fd, address, len);
    }
    if (error < 0) {
        sb_sys_close(fd);
        return (int)error;
    }
    return fd;
}

static int find(uint16_t port)
{
    const uint16_t number =
        (uint16_t)(port << 8 | port >> 8); /* both architectures are little-endian */
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = number, .sin_addr.s_addr = 0x0100007f};
    const struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = number, .sin6_addr.s6_addr[15] = 1};
    int fd = try(AF_INET, &in, sizeof in);
    if (fd >= 0 || fd == -EACCES || fd == -EPERM) {
        return fd;
    }
    int second = try(AF_INET6, &in6, sizeof in6);
    return second >= 0 || second == -ETIMEDOUT ? second : fd;
}

static void hand_over(const struct sb_reach *reach, int fd)
{
    struct sb_init_connected connected = {SB_INIT_CONNECTED};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = &connected, .iov_len = sizeof connected};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    __builtin_memcpy(CMSG_DATA(c), &fd, sizeof fd);
    long sent = 0;
    do {
        sent = sb_sys_sendmsg(reach->sock, &msg, MSG_NOSIGNAL);
    } while (sent == -EINTR);
}

_Noreturn void sb_reach_serve(const struct sb_reach *reach)
{
    sb_sys_sigmask(~0ULL);
    int fd = find(reach->port);
    if (fd < 0) {
        struct sb_init_failed failed = {SB_INIT_FAILED, -fd, SB_INIT_STAGE_CONNECT};
        sb_exec_send(reach->sock, &failed, sizeof failed);
    } else {
        hand_over(reach, fd);
    }
    sb_sys_exit(0);
}
