#include "service/egress/harden.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "service/shared/egressproto.h"

static int become_nobody(struct sb_err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (geteuid() == 0 &&
        !sb_mutated(
            "egress.ids")) { /* started by hand, or root in name only: of a user namespace */
        bool is_nobody = setgroups(0, NULL) == 0 &&
                         setresgid(SB_EGRESS_ID, SB_EGRESS_ID, SB_EGRESS_ID) == 0 &&
                         setresuid(SB_EGRESS_ID, SB_EGRESS_ID, SB_EGRESS_ID) == 0;
        SB_LOG_DEBUG("not root any more", "done=%d", is_nobody);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return !sb_mutated("egress.caps") && syscall(SYS_capset, &header, none) < 0
               ? sb_err_sys(err, errno, "capset")
               : 0;
}

#ifndef SB_SANITIZED
/* Without conditions. */
static const int permitted[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    SCMP_SYS(fcntl),
    SCMP_SYS(ioctl),
    SCMP_SYS(dup),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    /* sockets */
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(accept4),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(shutdown),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    /* the loop */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    /* memory and the end */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static int permit_all(scmp_filter_ctx ctx)
{
    for (size_t i = 0; i < sizeof permitted / sizeof *permitted; i++) {
        int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, permitted[i], 0);
        if (rc < 0 && rc != -EDOM) { /* -EDOM: no such call on this architecture */
            return rc;
        }
    }
    return 0;
}

static int permit_some(scmp_filter_ctx ctx)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const int mappers[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
    }
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, mappers[i], 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ,
                                      O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY),
                                      O_RDONLY));
    }
    if (rc == 0) { /* abort(3) */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0),
                              SCMP_A2(SCMP_CMP_EQ, SIGABRT, 0));
    }
    return rc;
}

static int filter(struct sb_err *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (ctx == NULL) {
        return sb_err_oom(err);
    }
    int rc = permit_all(ctx);
    if (rc == 0) {
        rc = permit_some(ctx);
    }
    if (rc == 0) {
        rc = seccomp_load(ctx);
    }
    seccomp_release(ctx);
    return rc < 0 ? sb_err_sys(err, -rc, "seccomp filter") : 0;
}
#else
static int filter(struct sb_err *err)
{
    (void)err; /* sanitizers need more than a proxy does */
    return 0;
}
#endif

int sb_harden_proxy(struct sb_err *err)
{
    const struct rlimit nothing = {0, 0};
    pid_t parent = getppid();
    if (become_nobody(err) < 0) {
        return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "no_new_privs");
    }
    if (setrlimit(RLIMIT_CORE, &nothing) < 0) {
        return sb_err_sys(err, errno, "RLIMIT_CORE");
    }
#ifndef SB_SANITIZED
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "PR_SET_DUMPABLE");
    }
#endif
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) {
        return sb_err_set(err, SB_UNAVAILABLE, "whoever started it is gone");
    }
    return sb_mutated("egress.filter") ? 0 : filter(err);
}
