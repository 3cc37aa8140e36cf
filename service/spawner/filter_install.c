/* What filter.c compiled is put on the process: by a child, as its last step. */
#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/child.h"
#include "service/spawner/filter.h"
#include "service/spawner/handover.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* Puts on the filter that asks a listener. -1: no listener can be had, for which it counts as a
 * reason that there is one already. */
static int listen_with(const struct sock_fprog *program)
{
    /* So that a signal does not make the caller ask again and again. From Linux 5.19 on. */
    const unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
    if (fd < 0 && errno == EINVAL) {
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    }
    return (int)fd;
}

static int put_on(const struct sock_fprog *program, struct sb_err *err)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0
               ? sb_err_sys(err, errno, "install seccomp filter")
               : 0;
}

int sb_filter_install(const struct sb_filter *filter, int *ret_listener, struct sb_err *err)
{
    if (ret_listener != NULL) {
        *ret_listener = listen_with(&filter->forms.asking);
        if (*ret_listener >= 0) {
            return 0;
        }
    }
    return put_on(&filter->forms.plain, err);
}

/* What is between this filter and being init, saying why not included: nobody reads the listener
 * yet. */
#define UNASKED(number)                                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Numbers of other architectures do not count: the other filter kills. */
static struct sock_filter learn_code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    UNASKED(SYS_close),
    UNASKED(SYS_execve),
    UNASKED(SYS_execveat),
    UNASKED(SYS_exit),
    UNASKED(SYS_exit_group),
    UNASKED(SYS_seccomp),
    UNASKED(SYS_sendmsg),
    UNASKED(SYS_write),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
};

int sb_filter_learn(const struct sb_filter *filter, int *ret_listener, struct sb_err *err)
{
    static const struct sock_fprog learn = {.len = sizeof learn_code / sizeof *learn_code,
                                            .filter = learn_code};
    SB_CLEANUP(sb_closep) int listener = listen_with(&learn);
    if (listener < 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "system calls cannot be learnt: the kernel gives no seccomp listener (it "
                          "does not inside another one's sandbox)");
    }
    /* Last, as it may refuse seccomp(2) itself. */
    if (put_on(&filter->forms.plain, err) < 0) {
        return -1;
    }
    *ret_listener = SB_STEAL_FD(listener);
    return 0;
}

int sb_filter_apply(struct sb_child *child, struct sb_err *err)
{
    int listener = -1;
    int *ret_listener = child->plan->tells_denials ? &listener : NULL;
    if ((child->plan->learns ? sb_filter_learn(child->filter, &listener, err)
                             : sb_filter_install(child->filter, ret_listener, err)) < 0) {
        return -1;
    }
    if (listener < 0) {
        return 0;
    }
    int done = sb_handover_send(child, SB_HANDOVER_NOTIFY, listener, err);
    (void)close(listener);
    return done;
}
