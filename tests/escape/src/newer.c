/** What kernels have got since 5.14, and ways to a thing that another probe tries directly. Each
 *  answers otherwise than a filter where the kernel is asked. */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

/* Not in the headers of every system that builds this. */
enum {
    SB_F_SETDELEG = 1040,
    SB_SET_MEMORY_MERGE = 67,
    SB_TCP_ULP = 31,
    SB_SYS_PIDFD_OPEN = 434,
    SB_PIDFD_FIRST = 1, /* PIDFD_GET_CGROUP_NAMESPACE and those that follow */
    SB_PIDFD_LAST = 10,
};

/** Numbers that are the same on all architectures. */
static enum sb_verdict newer_calls(struct sb_run *run)
{
    static const struct {
        const char *name;
        long number;
    } calls[] = {
        {"memfd_secret", 447},
        {"set_mempolicy_home_node", 450},
        {"map_shadow_stack", 453},
        {"statmount", 457},
        {"listmount", 458},
        {"lsm_get_self_attr", 459},
        {"lsm_set_self_attr", 460},
        {"lsm_list_modules", 461},
        {"open_tree_attr", 467},
        {"file_setattr", 469},
        {"listns", 470},
    };
    struct sb_found found = {0};
    for (size_t i = 0; i < SB_COUNT(calls); i++) {
        if (syscall(calls[i].number, -1L, -1L, -1L, -1L, -1L, -1L) >= 0 ||
            !sb_probe_is_refusal(errno)) {
            sb_probe_found(&found, "%s", calls[i].name);
        }
    }
    for (long number = 471; number < 540; number++) { /* what is to come */
        if (syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) >= 0 || !sb_probe_is_refusal(errno)) {
            sb_probe_found(&found, "%ld", number);
        }
    }
    return sb_probe_by_found(run, &found, "reach the kernel", "all are refused");
}

static enum sb_verdict delegation(struct sb_run *run)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_refused = fcntl(fd, SB_F_SETDELEG, NULL) < 0 && errno == EPERM;
    int error = errno;
    close(fd);
    errno = error;
    return is_refused ? sb_probe_held(run, "F_SETDELEG: %m")
                      : sb_probe_leaked(run, "F_SETDELEG reaches the kernel: %m");
}

static enum sb_verdict merged_pages(struct sb_run *run)
{
    struct sb_found found = {0};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, 4096, MADV_MERGEABLE) == 0) {
        sb_probe_found(&found, "MADV_MERGEABLE");
    }
    if (prctl(SB_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0) {
        sb_probe_found(&found, "PR_SET_MEMORY_MERGE");
    }
    return sb_probe_by_found(run, &found, "pages can be merged with others of the host", "refused");
}

/** A kernel that cannot, or has no core with two threads, says EINVAL or ENODEV. */
static enum sb_verdict core_cookie(struct sb_run *run)
{
    return prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 0, 0) < 0 && sb_probe_is_refusal(errno)
               ? sb_probe_held(run, "PR_SCHED_CORE: %m")
               : sb_probe_leaked(run, "PR_SCHED_CORE reaches the kernel: %m");
}

/** Of a list that names options the others must not pass. */
static enum sb_verdict process_options(struct sb_run *run)
{
    static const struct {
        const char *name;
        int option;
    } options[] = {{"PR_GET_TIMING", PR_GET_TIMING},
                   {"PR_MCE_KILL_GET", PR_MCE_KILL_GET},
                   {"PR_TASK_PERF_EVENTS_DISABLE", PR_TASK_PERF_EVENTS_DISABLE},
                   {"PR_SET_PTRACER", PR_SET_PTRACER}};
    struct sb_found found = {0};
    for (size_t i = 0; i < SB_COUNT(options); i++) {
        if (prctl(options[i].option, 0, 0, 0, 0) >= 0) {
            sb_probe_found(&found, "%s", options[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "work", "options that no list names are refused");
}

/** The kernel looks at the length before the name, so EINVAL is its answer. */
static enum sb_verdict upper_protocol(struct sb_run *run)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return sb_probe_held(run, "no TCP: %m");
    }
    bool is_refused = setsockopt(fd, IPPROTO_TCP, SB_TCP_ULP, "", 0) < 0 && errno == ENOENT;
    int error = errno;
    close(fd);
    errno = error;
    return is_refused ? sb_probe_held(run, "TCP_ULP: %m")
                      : sb_probe_leaked(run, "TCP_ULP reaches the kernel: %m");
}

/* A bit for each kind of namespace that is handed out. */
static unsigned namespaces_of(pid_t pid)
{
    unsigned given = 0;
    int fd = (int)syscall(SB_SYS_PIDFD_OPEN, pid, 0);
    for (unsigned i = SB_PIDFD_FIRST; fd >= 0 && i <= SB_PIDFD_LAST; i++) {
        int space = ioctl(fd, _IO(0xFF, i), 0);
        if (space >= 0) {
            given |= 1U << i;
            close(space);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return given;
}

/** Of itself a process gets them, on a kernel that has this at all. */
static enum sb_verdict init_namespaces(struct sb_run *run)
{
    unsigned own = namespaces_of(getpid());
    unsigned of_init = namespaces_of(1);
    if (own == 0) {
        return sb_probe_held(run, "pidfds give no namespaces here");
    }
    return of_init != 0 ? sb_probe_leaked(run, "namespaces of pid 1 are handed out: %#x", of_init)
                        : sb_probe_held(run, "none is given, of the own %#x", own);
}

/** Whose the process is does not count, but which user is named. */
static enum sb_verdict init_priority_by_user(struct sb_run *run)
{
    struct sb_found found = {0};
    char text[4096];
    unsigned ids[3] = {0};
    if (sb_probe_shares_pids(run)) {
        return sb_probe_leaked(run, "pid 1 is the host's");
    }
    if (sb_probe_read_file("/proc/1/status", text, sizeof(text)) <= 0) {
        return sb_probe_held(run, "/proc/1/status: %m");
    }
    const char *line = strstr(text, "\nUid:");
    if (line == NULL || sscanf(line, "\nUid: %u %u %u", &ids[0], &ids[1], &ids[2]) != 3) {
        return sb_probe_na(run, "/proc/1/status tells no uid");
    }
    int priority = getpriority(PRIO_PROCESS, 1);
    for (size_t i = 0; i < SB_COUNT(ids); i++) {
        (void)setpriority(PRIO_USER, ids[i], 19);
    }
    if (getpriority(PRIO_PROCESS, 1) != priority) {
        sb_probe_found(&found, "from %d to %d", priority, getpriority(PRIO_PROCESS, 1));
    }
    return sb_probe_by_found(run, &found, "priority of pid 1 went", "it stayed");
}

/** In a user namespace of its own it can be an id of the sandbox's alone. */
static enum sb_verdict login_id(struct sb_run *run)
{
    char space[64] = "";
    int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    bool is_taken = fd >= 0 && write(fd, "0", 1) == 1;
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    (void)!readlink("/proc/self/ns/user", space, sizeof(space) - 1);
    if (is_taken && strcmp(space, "user:[4026531837]") == 0) {
        return sb_probe_leaked(run, "the audit log says that root's session does what it does");
    }
    errno = error;
    return is_taken ? sb_probe_held(run, "an id of its own user namespace")
                    : sb_probe_held(run, "loginuid: %m");
}

static const struct sb_probe probes[] = {
    {"newer-calls", "none", "calls newer than Linux 5.13 are refused but for a few", newer_calls},
    {"delegation", "none", "no delegation of a host directory", delegation},
    {"merged-pages", "none", "no page is merged with one of the host's", merged_pages},
    {"core-cookie", "none", "no core is kept for the job alone", core_cookie},
    {"process-options", "none", "prctl takes the options of the list alone", process_options},
    {"upper-protocol", "none", "no parser of the kernel is put on a TCP socket", upper_protocol},
    {"init-namespaces", "none", "a pidfd of PID 1 gives no namespace", init_namespaces},
    {"login-id", "none", "the host's audit log takes it for nobody of the host", login_id},
    {"init-priority-by-user", "none", "the priority of PID 1 cannot be changed by its user",
     init_priority_by_user},
};
const struct sb_probe_class sb_probes_newer = {"newer", probes, SB_COUNT(probes)};
