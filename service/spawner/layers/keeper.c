#include "service/spawner/layers/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/mount.h"

enum { SOCK_AT = 3, NAME_SIZE = 24 };

enum op { OP_ADD = 1, OP_CLONE, OP_DROP };

/* One packet each way; descriptors travel beside. */
struct ask {
    uint32_t op;
    uint32_t n;
    uint64_t ids[SB_KEEPER_MAX_CLONES];
};

struct answer {
    int32_t sys; /* errno; 0: done */
};

/* ---- the keeper ---- */

static int add(uint64_t id, int fd)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "%" PRIu64, id);
    if (mkdir(name, 0700) < 0 || move_mount(fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        return errno;
    }
    return 0;
}

static int clone_one(uint64_t id, int *ret_fd)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "%" PRIu64, id);
    *ret_fd = open_tree(AT_FDCWD, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return *ret_fd < 0 ? errno : 0;
}

static void drop(uint64_t id)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof name, "%" PRIu64, id);
    (void)umount2(name, MNT_DETACH);
    (void)rmdir(name);
}

static void serve_one(const struct ask *ask, int *fd, struct sb_err *err)
{
    struct answer answer = {.sys = EINVAL};
    int fds[SB_KEEPER_MAX_CLONES];
    size_t n = 0;
    if (ask->op == OP_ADD && ask->n == 1 && *fd >= 0) {
        answer.sys = add(ask->ids[0], *fd);
    } else if (ask->op == OP_DROP && ask->n == 1) {
        drop(ask->ids[0]);
        answer.sys = 0;
    } else if (ask->op == OP_CLONE && ask->n <= SB_KEEPER_MAX_CLONES) {
        for (answer.sys = 0; n < ask->n && answer.sys == 0; n += answer.sys == 0) {
            answer.sys = clone_one(ask->ids[n], &fds[n]);
        }
    }
    if (answer.sys != 0) {
        sb_fd_close_all(fds, n);
        n = 0;
    }
    (void)sb_fd_send(SOCK_AT, &answer, sizeof answer, fds, n, err);
    sb_fd_close_all(fds, n);
}

/* Nothing of the host stays in sight, and nothing of it is kept busy. */
static int settle(pid_t parent, int sock, struct sb_err *err)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        getppid() != parent) {
        return sb_err_set(err, SB_UNAVAILABLE, "the spawner is gone");
    }
    if (dup3(sock, SOCK_AT, O_CLOEXEC) < 0 && sock != SOCK_AT) {
        return sb_err_sys(err, errno, "arrange descriptors");
    }
    if (close_range(SOCK_AT + 1, ~0U, 0) < 0) {
        return sb_err_sys(err, errno, "close descriptors");
    }
    if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return sb_err_sys(err, errno, "make mounts private");
    }
    int root = sb_mount_new_tmpfs("size=1m,nr_inodes=20000,mode=0700", err);
    if (root < 0 || sb_mount_attach(root, AT_FDCWD, "/", err) < 0) {
        return -1;
    }
    if (fchdir(root) < 0) {
        return sb_err_sys(err, errno, "enter the new root");
    }
    (void)close(root);
    /* An initramfs stays below, as in sb_rootfs_enter. */
    if (syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) < 0) {
        return sb_err_sys(err, errno, "detach the old root");
    }
    return 0;
}

static _Noreturn void keep(pid_t parent, int sock)
{
    struct sb_err err;
    if (settle(parent, sock, &err) < 0) {
        (void)dprintf(STDERR_FILENO, "aisbx-spawner: keeper of snapshots: %s\n", err.text);
        _exit(1);
    }
    for (;;) {
        struct ask ask;
        int fd = -1;
        struct sb_fd_msg msg = {.data = &ask, .cap = sizeof ask, .fds = &fd, .nfds_cap = 1};
        if (sb_fd_recv(SOCK_AT, &msg, 0, &err) <= 0 || msg.len != sizeof ask) {
            _exit(0);
        }
        serve_one(&ask, &fd, &err);
        sb_fd_close_all(&fd, msg.nfds);
    }
}

/* ---- the spawner's side ---- */

static int start(struct sb_keeper *keeper, struct sb_err *err)
{
    int pair[2];
    if (keeper->pid > 0) {
        return 0;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    SB_CLEANUP(sb_closep) int ours = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0) {
            _exit(1);
        }
        keep(parent, theirs);
    }
    if (pid < 0) {
        return sb_err_sys(err, errno, "fork");
    }
    keeper->pid = pid;
    keeper->sock = SB_STEAL_FD(ours);
    return 0;
}

static int
call(struct sb_keeper *keeper, const struct ask *ask, int fd, int *ret_fds, struct sb_err *err)
{
    struct answer answer;
    size_t wanted = ask->op == OP_CLONE ? ask->n : 0;
    struct sb_fd_msg msg = {
        .data = &answer, .cap = sizeof answer, .fds = ret_fds, .nfds_cap = wanted};
    if (sb_fd_send(keeper->sock, ask, sizeof *ask, &fd, fd >= 0, err) < 0 ||
        sb_fd_recv(keeper->sock, &msg, 0, err) <= 0 || msg.len != sizeof answer) {
        return sb_err_set(err, SB_UNAVAILABLE, "the keeper of snapshots died, and all of them");
    }
    if (answer.sys != 0) {
        return sb_err_sys(err, answer.sys, "keep a snapshot");
    }
    if (msg.nfds != wanted) {
        sb_fd_close_all(ret_fds, msg.nfds);
        return sb_err_set(err, SB_INTERNAL, "the keeper of snapshots gave too little");
    }
    return 0;
}

int sb_keeper_add(struct sb_keeper *keeper, int mount_fd, uint64_t *ret_id, struct sb_err *err)
{
    struct ask ask = {.op = OP_ADD, .n = 1, .ids = {keeper->last_id + 1}};
    if (start(keeper, err) < 0 || call(keeper, &ask, mount_fd, NULL, err) < 0) {
        return -1;
    }
    *ret_id = ++keeper->last_id;
    return 0;
}

int sb_keeper_clone(
    struct sb_keeper *keeper, const uint64_t *ids, size_t n, int *ret_fds, struct sb_err *err)
{
    struct ask ask = {.op = OP_CLONE, .n = (uint32_t)n};
    if (n > SB_KEEPER_MAX_CLONES) {
        return sb_err_set(err, SB_INTERNAL, "too many mounts at once");
    }
    memcpy(ask.ids, ids, n * sizeof *ids);
    return start(keeper, err) < 0 ? -1 : call(keeper, &ask, -1, ret_fds, err);
}

void sb_keeper_drop(struct sb_keeper *keeper, uint64_t id)
{
    struct sb_err ignored; /* when it is dead nothing is kept */
    struct ask ask = {.op = OP_DROP, .n = 1, .ids = {id}};
    if (id != 0 && keeper->pid > 0) {
        (void)call(keeper, &ask, -1, NULL, &ignored);
    }
}

void sb_keeper_end(struct sb_keeper *keeper)
{
    if (keeper->pid > 0) {
        (void)close(keeper->sock); /* it reads the end of file */
        *keeper = (struct sb_keeper){0};
    }
}
