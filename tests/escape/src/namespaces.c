/** New namespaces: the door to most exploits of the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static const struct {
    int flag;
    const char *name;
} kinds[] = {
    {CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mnt"},        {CLONE_NEWPID, "pid"},
    {CLONE_NEWNET, "net"},   {CLONE_NEWIPC, "ipc"},       {CLONE_NEWUTS, "uts"},
    {CLONE_NEWTIME, "time"}, {CLONE_NEWCGROUP, "cgroup"},
};

static int by_unshare(const void *flag)
{
    return unshare(*(const int *)flag) == 0;
}

static int ended(long pid)
{
    if (pid == 0) {
        _exit(0);
    }
    if (pid > 0) {
        waitpid((pid_t)pid, NULL, 0);
    }
    return pid > 0;
}

/** CLONE_NEWTIME is no flag of clone(2), where its bit belongs to the exit signal. */
static int by_clone(const void *flag)
{
    if (*(const int *)flag == CLONE_NEWTIME) {
        return 0;
    }
    return ended(syscall(SYS_clone, *(const int *)flag | SIGCHLD, 0, 0, 0, 0));
}

/** clone(2) takes an unsigned long: a filter that looks at 32 bits only must not be misled. */
static int by_clone_high_bits(const void *flag)
{
    if (*(const int *)flag == CLONE_NEWTIME) {
        return 0;
    }
    return ended(
        syscall(SYS_clone, 0x100000000UL | (unsigned)*(const int *)flag | SIGCHLD, 0, 0, 0, 0));
}

static int by_clone3(const void *flag)
{
    struct clone_args args = {.flags = (uint64_t)(unsigned)*(const int *)flag,
                              .exit_signal = SIGCHLD};
    return ended(syscall(SYS_clone3, &args, sizeof(args)));
}

static enum sb_verdict made_by(struct sb_run *run, int (*make)(const void *flag))
{
    struct sb_found found = {0};
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        if (sb_probe_in_child(make, &kinds[i].flag, 5) == 1) {
            sb_probe_found(&found, "%s", kinds[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "namespaces made", "no namespace can be made");
}

static enum sb_verdict namespace_unshare(struct sb_run *run)
{
    return made_by(run, by_unshare);
}

static enum sb_verdict namespace_clone(struct sb_run *run)
{
    return made_by(run, by_clone);
}

static enum sb_verdict namespace_clone_high_bits(struct sb_run *run)
{
    return made_by(run, by_clone_high_bits);
}

static enum sb_verdict namespace_clone3(struct sb_run *run)
{
    return made_by(run, by_clone3);
}

/** clone3 hides its flags from a filter: it must look absent, so that libc uses clone. */
static enum sb_verdict clone3_absent(struct sb_run *run)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    int error = errno;
    if (ended(pid)) {
        return sb_probe_leaked(run, "clone3 made a process");
    }
    errno = error;
    return error == ENOSYS ? sb_probe_held(run, "clone3: %m")
                           : sb_probe_leaked(run, "clone3: %m, libc will not fall back");
}

static int join_own(const void *arg)
{
    static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
    (void)arg;
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        // EINVAL: the kernel was asked (a user namespace one is in already).
        if (fd >= 0 && (setns(fd, 0) == 0 || errno == EINVAL)) {
            return 1;
        }
    }
    return 0;
}

static enum sb_verdict namespace_setns(struct sb_run *run)
{
    return sb_probe_in_child(join_own, NULL, 5) == 0
               ? sb_probe_held(run, "setns is refused")
               : sb_probe_leaked(run, "setns reaches the kernel");
}

static const struct sb_probe probes[] = {
    {"namespace-unshare", "none", "unshare makes no namespace", namespace_unshare},
    {"namespace-clone", "none", "nor does clone", namespace_clone},
    {"namespace-clone-high-bits", "none", "nor clone with bits set above the flags",
     namespace_clone_high_bits},
    {"namespace-clone3", "none", "nor clone3", namespace_clone3},
    {"clone3-absent", "none", "clone3 answers ENOSYS", clone3_absent},
    {"namespace-setns", "none", "setns is refused", namespace_setns},
};
const struct sb_probe_class sb_probes_namespaces = {"namespaces", probes, SB_COUNT(probes)};
