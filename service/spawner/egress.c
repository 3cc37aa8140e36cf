#include "service/spawner/egress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/egressproto.h"
#include "service/shared/initproto.h"
#include "service/spawner/caps.h"
#include "service/spawner/child.h"
#include "service/spawner/handover.h"
#include "service/spawner/host.h"

enum {
    BACKLOG = 128,   /* connections that wait for the proxy */
    SOCKET_FD = 3,   /* of the proxy */
    PROGRAM_FD = 16, /* first number that none of the proxy's takes */
};

static const char name[] = "aisbx-egress";

/* ---- inside a sandbox ---- */

int sb_egress_make_listener(uint16_t port, struct sb_err *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    SB_CLEANUP(sb_closep)
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return sb_err_sys(err, errno, "make socket");
    }
    /* No SO_REUSEPORT nor SO_REUSEADDR: nobody else can have the port. */
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, BACKLOG) < 0) {
        return sb_err_sys(err, errno, "listen on 127.0.0.1:%u", port);
    }
    return SB_STEAL_FD(fd);
}

int sb_egress_listen(struct sb_child *child, struct sb_err *err)
{
    if (child->plan->egress_port == 0) {
        return 0;
    }
    SB_CLEANUP(sb_closep) int fd = sb_egress_make_listener(child->plan->egress_port, err);
    return fd < 0 ? -1 : sb_handover_send(child, SB_HANDOVER_EGRESS, fd, err);
}

/* ---- the proxy ---- */

int sb_egress_open(void)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof name);
    if (len <= 0) {
        return -1;
    }
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, name, sizeof name);
    return access(path, X_OK) < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

static int become(const struct sb_host *host, struct sb_err *err)
{
    /* User mode: 0 is the caller, the last sub-id is kept from the sandboxes. */
    unsigned id = host->is_root ? SB_EGRESS_ID : host->n_subids > 1 ? host->n_subids : 0;
    if (sb_caps_lock(NULL, err) < 0) {
        return -1;
    }
    if ((host->has_setgroups && setgroups(0, NULL) < 0) || setresgid(id, id, id) < 0 ||
        setresuid(id, id, id) < 0) {
        return sb_err_sys(err, errno, "become user %u", id);
    }
    return sb_caps_drop(NULL, err);
}

static int arrange(int *program, int sock, struct sb_err *err)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int parked = fcntl(sock, F_DUPFD_CLOEXEC, PROGRAM_FD);
    *program = fcntl(*program, F_DUPFD_CLOEXEC, PROGRAM_FD);
    if (null_fd < 0 || parked < 0 || *program < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(null_fd, STDOUT_FILENO) < 0 || dup2(parked, SOCKET_FD) < 0 ||
        close_range(SOCKET_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
        return sb_err_sys(err, errno, "arrange descriptors");
    }
    return 0;
}

static void raise_files(void)
{
    struct rlimit limit;
    const struct rlimit no_core = {0, 0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)setrlimit(RLIMIT_CORE, &no_core);
}

/* In the fork. */
static int run(const struct sb_host *host, pid_t parent, int sock, struct sb_err *err)
{
    char *argv[] = {(char[]){"aisbx-egress"}, (char[]){"--fd"}, (char[]){'0' + SOCKET_FD, '\0'},
                    NULL};
    int program = host->egress_fd;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    raise_files();
    if (arrange(&program, sock, err) < 0 || become(host, err) < 0) {
        return -1;
    }
    /* After the change of ids, which unties. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) {
        return sb_err_set(err, SB_UNAVAILABLE, "the spawner is gone");
    }
    (void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
    return sb_err_sys(err, errno, "start %s", name);
}

pid_t sb_egress_start(const struct sb_host *host,
                      int *ret_sock,
                      int *ret_theirs,
                      struct sb_err *err)
{
    int pair[2];
    if (host->egress_fd < 0) {
        return (pid_t)sb_err_set(err, SB_NOT_FOUND, "%s is not beside aisbx-spawner", name);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return (pid_t)sb_err_sys(err, errno, "socketpair");
    }
    SB_CLEANUP(sb_closep) int ours = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        if (run(host, parent, theirs, err) < 0) {
            (void)dprintf(STDERR_FILENO, "aisbx-spawner: %s: %s\n", name, err->text);
        }
        _exit(127);
    }
    if (pid < 0) {
        return (pid_t)sb_err_sys(err, errno, "fork");
    }
    *ret_sock = SB_STEAL_FD(ours);
    *ret_theirs = SB_STEAL_FD(theirs);
    return pid;
}
