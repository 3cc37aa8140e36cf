/* aisbx-init: PID 1 of every sandbox.
 *
 * Theory of operation. It has no capability, and the job's system call filter. It is not dumpable:
 * the file it is executed from cannot be read, so it never is, not even for an instant, and no
 * process inside can look into it or take its descriptors. It has no libc and no heap.
 *
 * Its effective uid is the job's, so that it may signal the job and become it without any
 * privilege. Its real and its saved uid are its own, if the spawner has one for it, and these are
 * what the kernel asks for when the job wants to signal it or to set its limits.
 *
 *   spawner --execve--> init --fork--> stub (one per exec) --fork--> the program
 *                                        '- a child subreaper: what the program detaches stays
 * below
 *
 * A helper for files is a fork as well; it serves one operation with init's own uid, so the job can
 * neither stop nor end it, and as its effective one is the job's, files are the job's.
 *
 * A helper that connects to a port inside is one more: it hands the connection to the worker and
 * ends.
 *
 * With SB_INIT_ONLY there is no stub, and PID 1 does the stub's work. Where init has no uid of its
 * own the job can kill a stub. Then its socket closes, which the worker sees, and what was below it
 * becomes children of PID 1, which ends them. A stub that is stopped is killed, to the same end. */

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "base/mutate.h"
#include "service/init/exec.h"
#include "service/init/file.h"
#include "service/init/reach.h"
#include "service/init/serve.h"
#include "service/init/sys.h"
#include "service/init/tree.h"
#include "service/shared/initproto.h"

enum { MAX_STUBS = 1024 };

#define SIGNAL_BIT(n) (1ULL << ((n)-1))

struct init {
    int signal_fd;
    int stubs[MAX_STUBS + 1]; /* pids, then 0 */
    int n_stubs;
    bool may_share; /* see sb_exec */
    _Alignas(8) char packet[SB_INIT_MAX_PACKET];
};

_Noreturn void sb_main(void);

static void forget_stub(struct init *init, int pid)
{
    for (int i = 0; i < init->n_stubs; i++) {
        if (init->stubs[i] == pid) {
            init->stubs[i] = init->stubs[--init->n_stubs];
            init->stubs[init->n_stubs] = 0;
        }
    }
}

static void fail(int sock, int error)
{
    struct sb_init_failed failed = {SB_INIT_FAILED, error, SB_INIT_STAGE_FORK};
    sb_exec_send(sock, &failed, sizeof failed);
}

static void start_stub(struct init *init, struct sb_exec *exec)
{
    int pid = init->n_stubs == MAX_STUBS ? -EAGAIN : (int)sb_sys_fork();
    if (pid == 0) {
        sb_sys_close(SB_INIT_FD);
        if (!sb_mutated("init.subreaper")) {
            (void)sb_sys_prctl(PR_SET_CHILD_SUBREAPER, 1);
        }
        sb_serve_exec(exec, -1, init->signal_fd);
    }
    if (pid < 0) {
        fail(exec->fds[SB_INIT_FDS - 1], -pid);
    } else {
        init->stubs[init->n_stubs++] = pid;
    }
    for (int i = 0; i < exec->n_fds; i++) {
        sb_sys_close(exec->fds[i]);
    }
}

static void start_helper(struct init *init, const struct sb_file *file)
{
    int pid = init->n_stubs == MAX_STUBS ? -EAGAIN : (int)sb_sys_fork();
    if (pid == 0) {
        sb_sys_close(SB_INIT_FD);
        sb_sys_close(init->signal_fd);
        sb_file_serve(file);
    }
    if (pid < 0) {
        struct sb_file_failed failed = {SB_FILE_FAILED, -pid, SB_FILE_WHY_ERRNO, 0};
        sb_exec_send(file->sock, &failed, sizeof failed);
    } else {
        init->stubs[init->n_stubs++] = pid;
    }
    sb_sys_close(file->sock);
}

static void start_reach(struct init *init, const struct sb_reach *reach)
{
    int pid = init->n_stubs == MAX_STUBS ? -EAGAIN : (int)sb_sys_fork();
    if (pid == 0) {
        sb_sys_close(SB_INIT_FD);
        sb_sys_close(init->signal_fd);
        sb_reach_serve(reach);
    }
    if (pid < 0) {
        fail(reach->sock, -pid);
    } else {
        init->stubs[init->n_stubs++] = pid;
    }
    sb_sys_close(reach->sock);
}

/* Takes the descriptors out of a received message; returns how many. */
static int take_fds(struct msghdr *msg, int *fds, int max)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
        return 0;
    }
    int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    n = n < max ? n : max;
    __builtin_memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
    return n;
}

static void on_control(struct init *init)
{
    int fds[SB_INIT_MAX_FDS] = {-1, -1, -1, -1, -1};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = {.bytes = {0}};
    struct sb_exec exec;
    struct iovec iov = {.iov_base = init->packet, .iov_len = sizeof init->packet};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    long len = sb_sys_recvmsg(SB_INIT_FD, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len == -EAGAIN || len == -EINTR) {
        return;
    }
    if (len <= 0) {
        sb_sys_exit(0);
    }
    int n_fds = take_fds(&msg, fds, SB_INIT_MAX_FDS);
    struct sb_file file;
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
        sb_file_parse(init->packet, (unsigned long)len, fds, n_fds, &file) == 0) {
        start_helper(init, &file);
        return;
    }
    struct sb_reach reach;
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
        sb_reach_parse(init->packet, (unsigned long)len, fds, n_fds, &reach) == 0) {
        start_reach(init, &reach);
        return;
    }
    int error = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0
                    ? -EINVAL
                    : sb_exec_parse(init->packet, (unsigned long)len, fds, n_fds, &exec);
    if (error < 0) {
        if (n_fds >= SB_INIT_FDS) {
            fail(fds[SB_INIT_FDS - 1], -error);
        }
        for (int i = 0; i < n_fds; i++) {
            sb_sys_close(fds[i]);
        }
        return;
    }
    exec.may_share = init->may_share;
    if ((exec.flags & SB_INIT_ONLY) != 0) {
        sb_serve_exec(&exec, SB_INIT_FD, init->signal_fd);
    }
    start_stub(init, &exec);
}

/* Every child of PID 1 is a stub, or was left behind by one that was killed. */
static void on_child(struct init *init)
{
    int status = 0;
    int is_orphaned = 0;
    long pid = 0;
    while ((pid = sb_sys_wait(-1, &status, WNOHANG | WUNTRACED, NULL)) > 0) {
        if (WIFSTOPPED(status) && sb_mutated("init.stopped")) {
            continue;
        }
        if (WIFSTOPPED(status)) { /* by the job: no limit of the worker's would reach it */
            (void)sb_sys_kill((int)pid, SIGKILL);
            continue;
        }
        is_orphaned = is_orphaned || !WIFEXITED(status);
        forget_stub(init, (int)pid);
    }
    if (is_orphaned) {
        sb_tree_kill(init->stubs);
    }
}

/* Another program may stand between the spawner and us: it leaves its descriptors, of which one
 * tells the spawner that we run, and another takes its own complaints. */
static void leave_starter(void)
{
    (void)sb_sys_dup(0, 1);
    (void)sb_sys_dup(0, 2);
    (void)sb_sys_write(SB_INIT_READY_FD, "", 1);
    if (!sb_mutated("fds.init")) {
        sb_sys_close_range(SB_INIT_READY_FD);
    }
}

/* Execve has made the saved uid the effective one, and taken PDEATHSIG because of the ids. With
 * no_new_privs it would have made the effective one the real one, so that is set only now. */
static void guard_self(struct init *init)
{
    unsigned real = 0;
    unsigned job = 0;
    unsigned saved = 0;
    if ((!sb_mutated("no-new-privs") && sb_sys_prctl(PR_SET_NO_NEW_PRIVS, 1) < 0) ||
        (!sb_mutated("init.tie") && sb_sys_prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) ||
        sb_sys_getresuid(&real, &job, &saved) < 0 || sb_sys_setresuid(real, job, real) < 0) {
        sb_sys_exit(1);
    }
    /* A child that takes the job's ids leaves the memory that it shares with us as the kernel
     * leaves ours here: with fs.suid_dumpable set to 1 the job could look into it. */
    init->may_share = sb_sys_prctl(PR_GET_DUMPABLE, 0) != 1;
    if (!sb_mutated("init.dumpable")) {
        (void)sb_sys_prctl(PR_SET_DUMPABLE, 0);
    }
}

_Noreturn void sb_main(void)
{
    static struct init init;
    char drained[1024];
    guard_self(&init);
    (void)sb_sys_prctl(PR_SET_NAME, SB_SYS_PTR("aisbx-init"));
    (void)sb_sys_fcntl(SB_INIT_FD, F_SETFD, FD_CLOEXEC);
    leave_starter();
    sb_sys_sigmask(SIGNAL_BIT(SIGCHLD));
    init.signal_fd = (int)sb_sys_signalfd(SIGNAL_BIT(SIGCHLD), O_CLOEXEC | O_NONBLOCK);
    if (init.signal_fd < 0) {
        sb_sys_exit(1);
    }
    sb_exec_prepare();
    init.packet[0] = '\0';
    for (;;) {
        struct pollfd fds[] = {
            {.fd = SB_INIT_FD, .events = POLLIN},
            {.fd = init.signal_fd, .events = POLLIN},
        };
        (void)sb_sys_poll(fds, 2, NULL);
        if (fds[1].revents != 0) {
            while (sb_sys_read(init.signal_fd, drained, sizeof drained) > 0) {
            }
            on_child(&init);
        }
        if (fds[0].revents != 0) {
            on_control(&init);
        }
    }
}

SB_SYS_START(sb_main);
