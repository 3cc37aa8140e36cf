#include "service/spawner/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/spawner/host.h"
#include "service/spawner/ns.h"
#include "service/spawner/subids.h"

enum {
    MAP_SIZE = 192,
    HOLDER_STACK = 4096,
    SHOWN_TRIES = 200, /* more than the changes of ids of all children that can start at a time */
};

/* The files of a process that is not dumpable are root's, and its namespaces those of who may trace
 * it. A child that shares our memory has to be shown for a moment, and we with it; each change of
 * ids by such a child takes that back, for which it has few occasions. */
static int open_proc(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    for (int i = 0; fd < 0 && errno == EACCES && i < SHOWN_TRIES; i++) {
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        fd = open(path, flags | O_CLOEXEC);
        int sys = errno;
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        errno = sys;
    }
    return fd;
}

static int write_proc(pid_t pid, const char *name, const char *text, struct sb_err *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    SB_CLEANUP(sb_closep) int fd = open_proc(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        return sb_err_sys(err, errno, "write %s", name);
    }
    return 0;
}

static void add_range(char *text, uint32_t inside, uint32_t outside, uint32_t count)
{
    size_t len = strlen(text);
    if (count > 0) {
        (void)snprintf(text + len, MAP_SIZE - len, "%u %u %u\n", inside, outside, count);
    }
}

static void add_others(char *text, uint32_t but, uint32_t others)
{
    uint32_t first = but < others ? but : others;
    add_range(text, 0, 0, first);
    add_range(text, but + 1, but + 1, first < others ? others - but - 1 : 0);
}

int sb_userns_write(pid_t pid, const struct sb_userns_map *map, struct sb_err *err)
{
    char uids[MAP_SIZE] = "";
    char gids[MAP_SIZE] = "";
    add_range(uids, map->inside_uid, map->outside_uid, map->count);
    add_range(uids, map->more_inside, map->more_outside, map->more_outside != 0);
    add_others(uids, map->inside_uid, map->others);
    add_range(uids, map->beside, map->beside_uid,
              map->beside_uid != map->outside_uid ? map->beside_count : 0);
    add_range(gids, map->inside_gid, map->outside_gid, map->count);
    add_others(gids, map->inside_gid, map->others);
    add_range(gids, map->beside, map->beside_gid,
              map->beside_gid != map->outside_gid ? map->beside_count : 0);
    if (!map->has_setgroups && write_proc(pid, "setgroups", "deny", err) < 0) {
        return -1;
    }
    return write_proc(pid, "uid_map", uids, err) < 0 ? -1 : write_proc(pid, "gid_map", gids, err);
}

/* ---- a namespace without anybody ---- */

#ifdef SB_SANITIZED
/* See lane.c. */
static pid_t make_holder(void)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = sb_ns_fork(&args);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    return (pid_t)pid;
}
#else
/* No word to libc, whose thread-local storage is that of its parent, which goes on. */
static int hold(void *parent)
{
    (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (syscall(SYS_getppid) == (long)(intptr_t)parent) {
        (void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
    }
    return 0;
}

/* It shares our memory: a copy would cost more than all else here. No signal that we handle reaches
 * it, as it inherits what is blocked. */
static pid_t make_holder(void)
{
    static _Alignas(16) char stack[HOLDER_STACK];
    return clone(hold, stack + sizeof stack, CLONE_VM | CLONE_NEWUSER | SIGCHLD,
                 (void *)(intptr_t)getpid());
}
#endif

int sb_userns_open(const struct sb_userns_map *map, struct sb_err *err)
{
    char path[64];
    pid_t pid = make_holder();
    if (pid < 0) {
        return sb_err_sys(err, errno, "make a user namespace");
    }
    int fd = -1;
    if (sb_userns_write(pid, map, err) == 0) {
        (void)snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
        fd = open_proc(path, O_RDONLY);
        if (fd < 0) {
            (void)sb_err_sys(err, errno, "open namespace user");
        }
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return fd;
}

/* ---- user mode ---- */

/* Runs "tool pid 0 caller 1 1 first count" and tells whether it worked. These tools are setuid, or
 * have capabilities of their own; they must run outside of the new namespace. */
static bool run_map_tool(const char *tool, pid_t pid, unsigned caller, const struct sb_subids *ids)
{
    char numbers[4][16];
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", pid);
    (void)snprintf(numbers[1], sizeof numbers[1], "%u", caller);
    (void)snprintf(numbers[2], sizeof numbers[2], "%u", ids->first);
    (void)snprintf(numbers[3], sizeof numbers[3], "%u", ids->count);
    const char *const args[] = {tool, numbers[0], "0",        numbers[1], "1",
                                "1",  numbers[2], numbers[3], NULL};
    pid_t child = fork();
    if (child == 0) {
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null_fd, STDERR_FILENO);
        char *argv[sizeof args / sizeof *args];
        memcpy(argv, args, sizeof args);
        (void)execv(tool, argv);
        _exit(127);
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Body of the helper that stays outside: waits for the byte that says "the namespace is there",
 * maps, and answers with its exit status: bit 0 uids, bit 1 gids. */
static _Noreturn void map_from_outside(int go_fd,
                                       pid_t spawner,
                                       const struct sb_host *host,
                                       const struct sb_subids ids[2])
{
    char go = 0;
    int done = 0;
    if (read(go_fd, &go, 1) != 1) {
        _exit(0);
    }
    if (run_map_tool("/usr/bin/newuidmap", spawner, host->caller_uid, &ids[0])) {
        done |= 1;
    }
    if (done != 0 && run_map_tool("/usr/bin/newgidmap", spawner, host->caller_gid, &ids[1])) {
        done |= 2;
    }
    _exit(done);
}

static int unshare_user(struct sb_err *err)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
        return 0;
    }
    if (errno == ENOSPC || errno == EUSERS) {
        return sb_err_set(
            err, SB_PRECONDITION,
            "user namespaces are switched off: sysctl -w user.max_user_namespaces=15000");
    }
    return sb_err_set(err, SB_PRECONDITION,
                      "user namespaces are not permitted (%s): sysctl -w "
                      "kernel.unprivileged_userns_clone=1 (Debian), "
                      "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or in a container "
                      "a seccomp profile that permits unshare",
                      strerror(errno));
}

/* Maps the caller alone, for want of sub-ids. @done  what the helper has mapped. */
static int map_self(const struct sb_host *host, int done, struct sb_err *err)
{
    char text[64];
    pid_t self = getpid();
    if ((done & 1) == 0) {
        (void)snprintf(text, sizeof text, "0 %u 1\n", host->caller_uid);
        if (write_proc(self, "uid_map", text, err) < 0) {
            return -1;
        }
    }
    if ((done & 2) == 0) {
        (void)snprintf(text, sizeof text, "0 %u 1\n", host->caller_gid);
        if (write_proc(self, "setgroups", "deny", err) < 0 ||
            write_proc(self, "gid_map", text, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_userns_enter(struct sb_host *host, struct sb_err *err)
{
    struct sb_subids ids[2] = {{0}, {0}};
    bool has_subids = sb_subids_find("/etc/subuid", host->caller_uid, &ids[0]) &&
                      sb_subids_find("/etc/subgid", host->caller_uid, &ids[1]);
    int go[2];
    if (sb_fd_pipe(go, err) < 0) {
        return -1;
    }
    pid_t spawner = getpid();
    pid_t helper = has_subids ? fork() : -1;
    if (helper == 0) {
        (void)close(go[1]);
        map_from_outside(go[0], spawner, host, ids);
    }
    int unshared = unshare_user(err);
    if (unshared == 0) {
        (void)!write(go[1], "g", 1);
    }
    (void)close(go[0]);
    (void)close(go[1]);
    int status = 0;
    while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR) {
    }
    if (unshared < 0) {
        return -1;
    }
    int done = helper > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (map_self(host, done, err) < 0) {
        return sb_err_wrap(err, "map ids");
    }
    host->has_setgroups = done == 3;
    if (done == 3) {
        host->first_subuid = ids[0].first;
        host->n_subids = ids[0].count < ids[1].count ? ids[0].count : ids[1].count;
    }
    /* Mounts made on the host later should appear here, and never the other way round. */
    if (mount("", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        return sb_err_sys(err, errno, "make mounts slaves");
    }
    return 0;
}
