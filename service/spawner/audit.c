#include "service/spawner/audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Newer than some headers. */
#define LANDLOCK_ACCESS 1423
#define LANDLOCK_DOMAIN 1424

/* The process ids in records are those of the first PID namespace (its number in nsfs is fixed),
 * and so must be those that the worker compares them with. */
static int check_namespace(struct sb_err *err)
{
    static const char first[] = "pid:[4026531836]";
    char link[64];
    ssize_t len = readlink("/proc/self/ns/pid", link, sizeof link);
    return len == (ssize_t)strlen(first) && memcmp(link, first, strlen(first)) == 0
               ? 0
               : sb_err_set(err, SB_PRECONDITION,
                            "the worker is in a container, and the audit log the host's");
}

static int narrow(int fd, struct sb_err *err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(LANDLOCK_ACCESS), 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(LANDLOCK_DOMAIN), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, ~0U),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    const int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
                   setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) < 0
               ? sb_err_sys(err, errno, "filter of the audit log")
               : 0;
}

int sb_audit_open(int landlock, struct sb_err *err)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                        .nl_groups = 1U << (AUDIT_NLGRP_READLOG - 1)};
    if (landlock < SB_AUDIT_VERSION) {
        return sb_err_set(err, SB_PRECONDITION, "that needs Linux 6.15 or newer with Landlock");
    }
    if (check_namespace(err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep)
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);
    if (fd < 0) {
        return sb_err_sys(err, errno, "audit log (none with the boot option audit=0)");
    }
    /* The filter first: nothing else ever lies in the socket. */
    if (narrow(fd, err) < 0) {
        return -1;
    }
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        return sb_err_sys(err, errno, "audit log (CAP_AUDIT_READ)");
    }
    return SB_STEAL_FD(fd);
}
