#include "service/init/exec.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>

#include "base/mutate.h"
#include "service/init/sys.h"
#include "service/init/text.h"

enum { MAX_PATH = 4096, CHILD_STACK = 3 * MAX_PATH };

/* Of a shell without PATH. */
static const char default_path[] = "/usr/local/bin:/usr/bin:/bin";

/* What a child that could not exec tells. */
struct failure {
    int error;
    enum sb_init_stage stage;
};

/* argv and envp of the exec that was parsed last: one slot in front of argv, and a NULL behind each
 * list. */
static const char *pointers[1 + SB_INIT_MAX_STRINGS + 2];

int sb_exec_parse(char *packet, unsigned long len, const int *fds, int n_fds, struct sb_exec *ret)
{
    struct sb_init_exec head;
    if (len < sizeof head) {
        return -EINVAL;
    }
    __builtin_memcpy(&head, packet, sizeof head);
    if (n_fds != ((head.flags & SB_INIT_CHANNEL) != 0 ? SB_INIT_MAX_FDS : SB_INIT_FDS)) {
        return -EINVAL;
    }
    if (head.type != SB_INIT_EXEC || head.n_args == 0 || head.n_args > SB_INIT_MAX_STRINGS ||
        head.n_env > SB_INIT_MAX_STRINGS - head.n_args ||
        (head.flags & ~(uint32_t)(SB_INIT_ONLY | SB_INIT_TERMINAL | SB_INIT_CHANNEL)) != 0 ||
        packet[len - 1] != '\0') {
        return -EINVAL;
    }
    const char *text = packet + sizeof head;
    const char *end = packet + len;
    const char *cwd = text;
    unsigned n = 0;
    for (const char *at = text + sb_text_len(text) + 1; at < end; at += sb_text_len(at) + 1) {
        if (n == head.n_args + head.n_env) {
            return -EINVAL;
        }
        pointers[1 + n + (n >= head.n_args)] = at;
        n++;
    }
    if (n != head.n_args + head.n_env) {
        return -EINVAL;
    }
    pointers[1 + head.n_args] = NULL;
    pointers[1 + n + 1] = NULL;
    ret->may_share = false;
    ret->n_fds = n_fds;
    for (int i = 0; i < n_fds; i++) {
        ret->fds[i] = fds[i];
    }
    ret->flags = head.flags;
    ret->rows = head.rows;
    ret->columns = head.columns;
    __builtin_memcpy(ret->rlimits, head.rlimits, sizeof ret->rlimits);
    ret->cwd = cwd;
    ret->argv = &pointers[1];
    ret->envp = &pointers[1 + head.n_args + 1];
    return 0;
}

static void send_message(int sock, const void *data, unsigned long len, struct msghdr *msg)
{
    struct iovec iov = {.iov_len = len};
    __builtin_memcpy(&iov.iov_base, &data, sizeof data);
    msg->msg_iov = &iov;
    msg->msg_iovlen = 1;
    (void)sb_sys_sendmsg(sock, msg, MSG_NOSIGNAL);
}

void sb_exec_send(int sock, const void *data, unsigned long len)
{
    struct msghdr msg = {.msg_iov = NULL};
    send_message(sock, data, len, &msg);
}

void sb_exec_send_fd(int sock, const void *data, unsigned long len, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.head = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr msg = {.msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    __builtin_memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    send_message(sock, data, len, &msg);
}

/* execve, and what shells do with a script that has no "#!". Returns -errno. */
static int run(const struct sb_exec *exec, const char *path)
{
    int error = (int)sb_sys_execve(path, exec->argv, exec->envp);
    if (error != -ENOEXEC) {
        return error;
    }
    const char **shell_argv = exec->argv - 1;
    shell_argv[0] = "sh";
    shell_argv[1] = path;
    return (int)sb_sys_execve("/bin/sh", shell_argv, exec->envp);
}

/* Returns -errno: as execvp, EACCES when something was found and nothing could be run. */
static int search(const struct sb_exec *exec)
{
    char path[MAX_PATH];
    const char *name = exec->argv[0];
    const char *dirs = sb_text_env(exec->envp, "PATH=");
    int found = -ENOENT;
    if (name[0] == '\0') {
        return -ENOENT;
    }
    if (sb_text_has(name, '/')) {
        return run(exec, name);
    }
    for (const char *dir = dirs != NULL ? dirs : default_path; dir != NULL;) {
        char *at = path;
        while (*dir != ':' && *dir != '\0' && at < path + sizeof path - 1) {
            *at++ = *dir++;
        }
        int is_cut = *dir != ':' && *dir != '\0';
        dir = *dir == ':' ? dir + 1 : NULL;
        if (is_cut || (size_t)(path + sizeof path - at) < sb_text_len(name) + 2) {
            continue;
        }
        if (at > path) { /* an empty part is the working directory */
            *at++ = '/';
        }
        sb_text_add(&at, path + sizeof path, name);
        int error = run(exec, path);
        if (error == -EACCES) {
            found = -EACCES;
        } else if (error != -ENOENT && error != -ENOTDIR) {
            return error;
        }
    }
    return found;
}

/* The job's uid is the effective one of init, whose real one is its own. */
static long become_job(void)
{
    unsigned real = 0;
    unsigned job = 0;
    unsigned saved = 0;
    long error = sb_sys_getresuid(&real, &job, &saved);
    return error < 0 ? error : sb_sys_setresuid(job, job, job);
}

/* Hard limits, too, so that the job cannot raise them. SIGXCPU comes before the kill. */
static long lower_limits(const struct sb_exec *exec)
{
    static const int resources[SB_INIT_RLIMITS] = {
        [SB_INIT_RLIMIT_CPU] = RLIMIT_CPU,
        [SB_INIT_RLIMIT_ADDRESS] = RLIMIT_AS,
        [SB_INIT_RLIMIT_FILES] = RLIMIT_NOFILE,
        [SB_INIT_RLIMIT_FILE] = RLIMIT_FSIZE,
    };
    for (int i = 0; i < SB_INIT_RLIMITS; i++) {
        uint64_t value = exec->rlimits[i];
        const struct sb_sys_rlimit limit = {value, value + (i == SB_INIT_RLIMIT_CPU)};
        long error = value == 0 ? 0 : sb_sys_set_rlimit(resources[i], &limit);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

/* The child. Returns -errno. */
static int become_program(const struct sb_exec *exec, enum sb_init_stage *stage)
{
    long error = 0;
    *stage = SB_INIT_STAGE_FORK;
    if (!sb_mutated("session.init") && (error = sb_sys_setsid()) < 0) {
        return (int)error;
    }
    unsigned first_closed = 3;
    for (int i = 0; i < 3; i++) {
        if ((error = sb_sys_dup(exec->fds[i], i)) < 0) {
            return (int)error;
        }
    }
    /* What is 3 here is init's socket, or the end of the pipe that is not ours. */
    if (exec->n_fds > SB_INIT_FDS) {
        if ((error = sb_sys_dup(exec->fds[SB_INIT_FDS], SB_INIT_CHANNEL_FD)) < 0) {
            return (int)error;
        }
        first_closed = SB_INIT_CHANNEL_FD + 1;
    }
    *stage = SB_INIT_STAGE_TERMINAL;
    if ((exec->flags & SB_INIT_TERMINAL) != 0 && (error = sb_sys_ioctl(0, TIOCSCTTY, 0)) < 0) {
        return (int)error;
    }
    *stage = SB_INIT_STAGE_CWD;
    if (exec->cwd[0] != '\0' && (error = sb_sys_chdir(exec->cwd)) < 0) {
        return (int)error;
    }
    *stage = SB_INIT_STAGE_EXEC;
    /* All are close-on-exec by birth; nothing may depend on that alone. */
    if (!sb_mutated("fds.init") && (error = sb_sys_close_range_on_exec(first_closed)) < 0) {
        return (int)error;
    }
    sb_sys_sigmask(0); /* the spawner has left all signals their default actions */
    if ((error = become_job()) < 0) {
        return (int)error;
    }
    *stage = SB_INIT_STAGE_LIMITS;
    if ((error = lower_limits(exec)) < 0) {
        return (int)error;
    }
    *stage = SB_INIT_STAGE_EXEC;
    return search(exec);
}

/* What a child that shares our memory is given, and leaves. */
struct launch {
    const struct sb_exec *exec;
    struct failure failure;
};

static void launch_child(void *ctx)
{
    struct launch *launch = ctx;
    launch->failure.error = become_program(launch->exec, &launch->failure.stage);
    sb_sys_exit(127);
}

/* Returns its pid when it has become the program, or has failed to; -errno: there is none. */
static int start_shared(const struct sb_exec *exec, struct failure *ret_failure)
{
    _Alignas(16) char stack[CHILD_STACK];
    struct launch launch = {exec, {0, SB_INIT_STAGE_FORK}};
    int pid = (int)sb_sys_clone_run(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + sizeof stack,
                                    launch_child, &launch);
    *ret_failure = launch.failure;
    return pid;
}

static int start_apart(const struct sb_exec *exec, struct failure *ret_failure)
{
    int ends[2] = {-1, -1};
    struct failure failure = {0, SB_INIT_STAGE_FORK};
    int pid = (int)sb_sys_pipe(ends, O_CLOEXEC);
    if (pid < 0) {
        return pid;
    }
    pid = (int)sb_sys_fork();
    if (pid == 0) {
        failure.error = become_program(exec, &failure.stage);
        (void)sb_sys_write(ends[1], &failure, sizeof failure);
        sb_sys_exit(127);
    }
    sb_sys_close(ends[1]);
    if (pid > 0 && sb_sys_read(ends[0], &failure, sizeof failure) == (long)sizeof failure) {
        *ret_failure = failure;
    }
    sb_sys_close(ends[0]);
    return pid;
}

void sb_exec_prepare(void)
{
    volatile char stack[CHILD_STACK + MAX_PATH];
    for (unsigned i = 0; i < sizeof stack; i += MAX_PATH) {
        stack[i] = 0;
    }
    const char *volatile *slot = pointers;
    *slot = NULL;
}

int sb_exec_start(struct sb_exec *exec, enum sb_init_stage *ret_stage)
{
    struct failure failure = {0, SB_INIT_STAGE_FORK};
    int pid = exec->may_share ? start_shared(exec, &failure) : start_apart(exec, &failure);
    for (int i = 0; i < 3; i++) {
        sb_sys_close(exec->fds[i]);
    }
    if (exec->n_fds > SB_INIT_FDS) {
        sb_sys_close(exec->fds[SB_INIT_FDS]);
    }
    if (pid < 0) {
        *ret_stage = SB_INIT_STAGE_FORK;
        return pid;
    }
    if (failure.error != 0) {
        (void)sb_sys_wait(pid, NULL, 0, NULL);
        *ret_stage = failure.stage;
        return failure.error;
    }
    return pid;
}
