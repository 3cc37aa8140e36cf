/** Theory of operation. In user mode a job has the host id of the person it works for, and so has
 * its SO_PEERCRED. What tells it apart is its PID namespace. The kernel writes one number per
 * namespace, from ours inwards, into the NSpid line of a pidfd's fdinfo, and -1 when the process
 * has ended; a pidfd, unlike a number, cannot come to mean another process. Kernels before 6.5 have
 * no SO_PEERPIDFD: there the pidfd is opened by number, and the connection says first whose it is.
 */
#include "proto/rpc/local/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

enum { INFO_BYTES = 1024 };

/** Returns a pidfd, or -1; *ret_is_foreign: the process is in no namespace below ours. */
static int open_peer(int sock, bool *ret_is_foreign)
{
    int fd = -1;
    socklen_t len = sizeof fd;
    struct ucred cred;
    *ret_is_foreign = false;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0) {
        return fd;
    }
    len = sizeof cred;
    if (errno != ENOPROTOOPT || getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        return -1;
    }
    if (cred.pid == 0) {
        *ret_is_foreign = true;
        return -1;
    }
    return (int)syscall(SYS_pidfd_open, cred.pid, 0);
}

/** Whether NSpid has one number, and that is not -1. */
static bool is_near(const char *info)
{
    const char *line = strstr(info, "\nNSpid:");
    if (line == NULL) {
        return false;
    }
    const char *at = line + strlen("\nNSpid:");
    char *end = NULL;
    long pid = strtol(at, &end, 10);
    return end != at && pid >= 0 && *end == '\n';
}

int sb_origin_check(int sock, struct sb_err *err)
{
    bool is_foreign = false;
    char path[64];
    char info[INFO_BYTES];
    SB_CLEANUP(sb_closep) int pidfd = open_peer(sock, &is_foreign);
    if (is_foreign) {
        return 0;
    }
    if (pidfd < 0) {
        return sb_err_set(err, SB_DENIED, "the other end of the socket has ended");
    }
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    SB_CLEANUP(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, info, sizeof info - 1);
    if (n < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    info[n] = '\0';
    return is_near(info) ? 0
                         : sb_err_set(err, SB_DENIED,
                                      "the other end of the socket is in a sandbox, or has ended");
}
