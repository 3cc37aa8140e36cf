/** The processes that supervise the job: PID 1 of the sandbox and whoever else is visible. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static bool can_trace(pid_t pid)
{
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0) {
        return false;
    }
    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return true;
}

/** Calls @visit for each visible process but this one and its children. */
static void for_each_other(void (*visit)(pid_t pid, struct sb_found *found), struct sb_found *found)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(proc)) != NULL && found->count < 20) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != getpid()) {
            visit(pid, found);
        }
    }
    closedir(proc);
}

static enum sb_verdict init_ptrace(struct sb_run *run)
{
    struct sb_found found = {0};
    if (can_trace(1)) {
        sb_probe_found(&found, "pid 1");
    }
    if (getppid() > 1 && can_trace(getppid())) {
        sb_probe_found(&found, "the parent, pid %d", (int)getppid());
    }
    return sb_probe_by_found(run, &found, "traced", "no supervisor can be traced");
}

static int trace_own_child(const void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    bool is_traced = pid > 0 && can_trace(pid);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return is_traced;
}

static enum sb_verdict ptrace_at_all(struct sb_run *run)
{
    return sb_probe_in_child(trace_own_child, NULL, 5) == 0
               ? sb_probe_held(run, "ptrace is refused")
               : sb_probe_leaked(run, "a child can be traced");
}

static void visit_memory(pid_t pid, struct sb_found *found)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    if (sb_probe_opens(path, O_RDONLY) || sb_probe_opens(path, O_RDWR)) {
        sb_probe_found(found, "%s", path);
    }
    char byte;
    struct iovec here = {&byte, 1};
    struct iovec there = {&byte, 1};
    // EFAULT, for an address that is not there: the kernel was willing to look.
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT) {
        sb_probe_found(found, "process_vm_readv of %d", (int)pid);
    }
}

static enum sb_verdict init_memory(struct sb_run *run)
{
    struct sb_found found = {0};
    for_each_other(visit_memory, &found);
    return sb_probe_by_found(run, &found, "in reach", "no foreign memory opens");
}

static void visit_descriptors(pid_t pid, struct sb_found *found)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    if (sb_probe_gives_something(path)) {
        sb_probe_found(found, "%s", path);
    }
}

static enum sb_verdict init_descriptors(struct sb_run *run)
{
    struct sb_found found = {0};
    for_each_other(visit_descriptors, &found);
    return sb_probe_by_found(run, &found, "listed", "no foreign descriptor is listed");
}

static void visit_links(pid_t pid, struct sb_found *found)
{
    static const char *const links[] = {"exe", "cwd", "root", "ns/mnt", "ns/user", "ns/net"};
    for (size_t i = 0; i < SB_COUNT(links); i++) {
        char path[64];
        char target[256];
        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, links[i]);
        if (readlink(path, target, sizeof(target)) > 0) {
            sb_probe_found(found, "%s", path);
        }
    }
}

static enum sb_verdict init_links(struct sb_run *run)
{
    struct sb_found found = {0};
    for_each_other(visit_links, &found);
    return sb_probe_by_found(run, &found, "can be followed", "no link of another process resolves");
}

static void visit_executable(pid_t pid, struct sb_found *found)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    if (sb_probe_opens(path, O_RDONLY) || sb_probe_opens(path, O_WRONLY) || errno == ETXTBSY) {
        sb_probe_found(found, "%s", path);
    }
}

static enum sb_verdict init_executable(struct sb_run *run)
{
    struct sb_found found = {0};
    for_each_other(visit_executable, &found);
    return sb_probe_by_found(run, &found, "opens", "no executable of a supervisor opens");
}

/** The job's own program is a file of the host as well. */
static enum sb_verdict own_executable(struct sb_run *run)
{
    struct sb_found found = {0};
    const char *const paths[] = {"/proc/self/exe", run->self};
    for (size_t i = 0; i < SB_COUNT(paths); i++) {
        if (access(paths[i], W_OK) == 0) {
            sb_probe_found(&found, "%s", paths[i]);
        }
    }
    return sb_probe_by_found(run, &found, "writable", "the program's file is read-only");
}

static void visit_environment(pid_t pid, struct sb_found *found)
{
    static const char *const files[] = {"environ",   "maps",   "smaps", "numa_maps",
                                        "map_files", "auxv",   "stack", "syscall",
                                        "io",        "fdinfo", "timers"};
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
        if (sb_probe_gives_something(path)) {
            sb_probe_found(found, "%s", path);
        }
    }
}

static enum sb_verdict init_environment(struct sb_run *run)
{
    struct sb_found found = {0};
    for_each_other(visit_environment, &found);
    return sb_probe_by_found(run, &found, "readable", "environment and maps are closed");
}

static void visit_knobs(pid_t pid, struct sb_found *found)
{
    // Not those of mode 0666 (timerslack_ns, attr/current), which check whoever writes.
    static const char *const files[] = {"oom_score_adj", "coredump_filter", "clear_refs",
                                        "comm",          "uid_map",         "setgroups"};
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
        if (sb_probe_opens(path, O_WRONLY)) {
            sb_probe_found(found, "%s", path);
        }
    }
}

static enum sb_verdict init_knobs(struct sb_run *run)
{
    struct sb_found found = {0};
    for_each_other(visit_knobs, &found);
    return sb_probe_by_found(run, &found, "open for writing", "none opens for writing");
}

static enum sb_verdict init_limits(struct sb_run *run)
{
    struct rlimit limit;
    if (prlimit(1, RLIMIT_NOFILE, NULL, &limit) < 0) {
        return sb_probe_held(run, "prlimit of pid 1: %m");
    }
    return prlimit(1, RLIMIT_NOFILE, &limit, NULL) == 0
               ? sb_probe_leaked(run, "limits of pid 1 can be set")
               : sb_probe_leaked(run, "limits of pid 1 can be read");
}

static enum sb_verdict init_pidfd(struct sb_run *run)
{
    int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
    if (pidfd < 0) {
        return sb_probe_held(run, "pidfd_open of pid 1: %m");
    }
    for (int fd = 0; fd < 32; fd++) {
        if (syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0) {
            return sb_probe_leaked(run, "pidfd_getfd took descriptor %d of pid 1", fd);
        }
    }
    return sb_probe_held(run, "pidfd_getfd: %m");
}

static enum sb_verdict init_scheduling(struct sb_run *run)
{
    struct sb_found found = {0};
    cpu_set_t cpus;
    if (sched_getaffinity(1, sizeof(cpus), &cpus) == 0 &&
        sched_setaffinity(1, sizeof(cpus), &cpus) == 0) {
        sb_probe_found(&found, "affinity");
    }
    struct sched_param param = {0};
    if (sched_getscheduler(1) == SCHED_OTHER && sched_setscheduler(1, SCHED_OTHER, &param) == 0) {
        sb_probe_found(&found, "policy");
    }
    errno = 0;
    int priority = getpriority(PRIO_PROCESS, 1);
    if (errno == 0 && setpriority(PRIO_PROCESS, 1, priority) == 0) {
        sb_probe_found(&found, "nice");
    }
    long io = syscall(SYS_ioprio_get, 1, 1);
    if (io >= 0 && syscall(SYS_ioprio_set, 1, 1, io) == 0) {
        sb_probe_found(&found, "I/O priority");
    }
    return sb_probe_by_found(run, &found, "pid 1 can be given", "refused");
}

/** Ends without a verdict when a signal gets through: the runner counts that as a leak. */
static enum sb_verdict init_signals(struct sb_run *run)
{
    if (sb_probe_shares_pids(run)) {
        return kill(1, 0) == 0 ? sb_probe_leaked(run, "pid 1 of the host can be signalled")
                               : sb_probe_held(run, "kill of pid 1: %m");
    }
    const int signals[] = {SIGKILL, SIGSTOP, SIGTERM,  SIGINT,  SIGQUIT, SIGHUP,
                           SIGSEGV, SIGABRT, SIGUSR1,  SIGUSR2, SIGPIPE, SIGALRM,
                           SIGTSTP, SIGXCPU, SIGRTMIN, SIGCHLD, SIGCONT};
    if (getpid() == 1) {
        return sb_probe_leaked(run, "the job itself is pid 1");
    }
    for (size_t i = 0; i < SB_COUNT(signals); i++) {
        kill(1, signals[i]);
    }
    usleep(200000);
    return sb_probe_held(run, "pid 1 outlived %zu signals", SB_COUNT(signals));
}

static enum sb_verdict parent_signals(struct sb_run *run)
{
    pid_t parent = getppid();
    if (parent <= 1) {
        return sb_probe_held(run, "the parent is pid %d", (int)parent);
    }
    return kill(parent, 0) == 0
               ? sb_probe_leaked(run, "the supervisor, pid %d, can be signalled", (int)parent)
               : sb_probe_held(run, "kill of pid %d: %m", (int)parent);
}

static enum sb_verdict parent_limits(struct sb_run *run)
{
    pid_t parent = getppid();
    struct rlimit limit;
    if (parent <= 1) {
        return sb_probe_held(run, "the parent is pid %d", (int)parent);
    }
    return prlimit(parent, RLIMIT_NOFILE, NULL, &limit) == 0
               ? sb_probe_leaked(run, "limits of the supervisor, pid %d, are in reach", (int)parent)
               : sb_probe_held(run, "prlimit of pid %d: %m", (int)parent);
}

static enum sb_verdict victim_signals(struct sb_run *run)
{
    pid_t victim = (pid_t)sb_probe_arg_long(run, "victim", 0);
    if (victim == 0) {
        return sb_probe_na(run, "no victim");
    }
    if (kill(victim, 0) < 0) {
        return sb_probe_held(run, "kill of %d: %m", (int)victim);
    }
    return sb_probe_shares_pids(run)
               ? sb_probe_leaked(run, "the host's process %d can be signalled", (int)victim)
               : sb_probe_held(run, "pid %d is another process", (int)victim);
}

static const struct sb_probe probes[] = {
    {"init-ptrace", "none", "PID 1 and the supervisor cannot be traced", init_ptrace},
    {"ptrace", "none", "ptrace is refused altogether", ptrace_at_all},
    {"init-memory", "none", "/proc/1/mem and process_vm_readv are refused", init_memory},
    {"init-descriptors", "none", "/proc/1/fd is closed", init_descriptors},
    {"init-links", "none", "exe, cwd, root and ns of PID 1 do not resolve", init_links},
    {"init-executable", "none", "the executable of PID 1 cannot be opened", init_executable},
    {"own-executable", "none", "the job's own program cannot be rewritten", own_executable},
    {"init-environment", "none", "environ and maps of PID 1 are closed", init_environment},
    {"init-knobs", "none", "no file of /proc/1 opens for writing", init_knobs},
    {"init-limits", "none", "limits of PID 1 are out of reach", init_limits},
    {"init-pidfd", "none", "no descriptor of PID 1 can be taken", init_pidfd},
    {"init-scheduling", "none", "priority and CPUs of PID 1 cannot be changed", init_scheduling},
    {"init-signals", "none", "no signal ends or stops PID 1", init_signals},
    {"parent-signals", "own-id", "the job cannot signal who supervises it", parent_signals},
    {"parent-limits", "own-id", "nor set limits of that process", parent_limits},
    {"victim-signals", "none", "no process of the host can be signalled", victim_signals},
};
const struct sb_probe_class sb_probes_init = {"init", probes, SB_COUNT(probes)};
