/** Who the job is: ids, groups, capabilities, filters, priorities. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

/** Number after "key:\t" in /proc/self/status; -1 when it is not there. */
static long long status_value(const char *key, int base)
{
    char text[8192];
    if (sb_probe_read_file("/proc/self/status", text, sizeof(text)) <= 0) {
        return -1;
    }
    char label[40];
    (void)snprintf(label, sizeof(label), "\n%s:\t", key);
    const char *at = strstr(text, label);
    return at == NULL ? -1 : strtoll(at + strlen(label), NULL, base);
}

static enum sb_verdict capabilities(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    for (size_t i = 0; i < SB_COUNT(sets); i++) {
        long long value = status_value(sets[i], 16);
        if (value != 0) {
            sb_probe_found(&found, "%s=%llx", sets[i], (unsigned long long)value);
        }
    }
    return sb_probe_by_found(run, &found, "not empty", "all five sets are empty");
}

static enum sb_verdict no_new_privs(struct sb_run *run)
{
    int is_set = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    return is_set == 1 || status_value("NoNewPrivs", 10) == 1
               ? sb_probe_held(run, "no_new_privs is set")
               : sb_probe_leaked(run, "no_new_privs is not set");
}

static enum sb_verdict seccomp_filter(struct sb_run *run)
{
    long long mode = status_value("Seccomp", 10);
    long long filters = status_value("Seccomp_filters", 10);
    return mode == 2 ? sb_probe_held(run, "mode 2, %lld filters", filters)
                     : sb_probe_leaked(run, "mode %lld", mode);
}

static enum sb_verdict filter_after_exec(struct sb_run *run)
{
    if (sb_probe_arg(run, "again", NULL) == NULL) {
        char run_verb[] = "run";
        char name[] = "filter-after-exec";
        char again[] = "again=1";
        char *const args[] = {run_verb, run_verb, name, again, NULL};
        execv("/proc/self/exe", args);
        execv(run->self, args);
        return sb_probe_na(run, "exec: %m");
    }
    long long mode = status_value("Seccomp", 10);
    long long privs = status_value("NoNewPrivs", 10);
    return mode == 2 && privs == 1
               ? sb_probe_held(run, "both survive exec")
               : sb_probe_leaked(run, "after exec: seccomp %lld, no_new_privs %lld", mode, privs);
}

static enum sb_verdict host_user(struct sb_run *run)
{
    sb_probe_be_seen(run);
    return sb_probe_held(run, "uid %d, gid %d inside", (int)getuid(), (int)getgid());
}

static enum sb_verdict supplementary_groups(struct sb_run *run)
{
    gid_t groups[64];
    int count = getgroups(SB_COUNT(groups), groups);
    sb_probe_be_seen(run);
    char setgroups_state[16] = "";
    sb_probe_read_file("/proc/self/setgroups", setgroups_state, sizeof(setgroups_state));
    return sb_probe_held(run, "%d groups inside, setgroups %s", count, setgroups_state);
}

static int change_ids(const void *arg)
{
    (void)arg;
    uid_t me = getuid();
    for (uid_t id = 0; id < 3; id++) {
        if (id != me && (setresuid(id, id, id) == 0 || setresgid(id, id, id) == 0)) {
            return 1;
        }
    }
    gid_t none = 12;
    setfsuid(me + 1); // returns no error: a call with no valid id says which is in force
    return setgroups(1, &none) == 0 || setfsuid((uid_t)-1) == (int)me + 1;
}

static enum sb_verdict identity_change(struct sb_run *run)
{
    return sb_probe_in_child(change_ids, NULL, 5) == 0
               ? sb_probe_held(run, "no other id can be taken")
               : sb_probe_leaked(run, "the job can become another user or join a group");
}

/** Runs a file and returns the euid it prints, or -1. */
static int euid_of(const char *path)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(path, path, "euid", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char text[64] = "";
    ssize_t got = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return got > 5 && strncmp(text, "euid=", 5) == 0 ? (int)strtol(text + 5, NULL, 10) : -1;
}

static enum sb_verdict setuid_program(struct sb_run *run)
{
    const char *path = sb_probe_arg(run, "suid", "/none");
    if (geteuid() == 0) {
        return sb_probe_na(run, "already uid 0");
    }
    int euid = euid_of(path);
    return euid == 0 ? sb_probe_leaked(run, "%s ran with euid 0", path)
                     : sb_probe_held(run, "%s: euid %d", path, euid);
}

static bool raises_oom_protection(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_raised = false;
    if (read(fd, text, sizeof(text) - 1) > 0) {
        int length = snprintf(text, sizeof(text), "%ld", strtol(text, NULL, 10) - 50);
        is_raised = pwrite(fd, text, (size_t)length, 0) > 0;
    }
    close(fd);
    return is_raised;
}

static enum sb_verdict priorities(struct sb_run *run)
{
    struct sb_found found = {0};
    struct sched_param param = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &param) == 0) {
        sb_probe_found(&found, "SCHED_FIFO");
        param.sched_priority = 0;
        sched_setscheduler(0, SCHED_OTHER, &param);
    }
    errno = 0;
    int nice_now = getpriority(PRIO_PROCESS, 0);
    if (setpriority(PRIO_PROCESS, 0, nice_now - 5) == 0 &&
        getpriority(PRIO_PROCESS, 0) < nice_now) {
        sb_probe_found(&found, "nice %d", nice_now - 5);
    }
    if (syscall(SYS_ioprio_set, 1, 0, 1 << 13) == 0) {
        sb_probe_found(&found, "real-time I/O");
    }
    if (raises_oom_protection()) {
        sb_probe_found(&found, "protection from the OOM killer");
    }
    return sb_probe_by_found(run, &found, "taken", "no priority can be raised");
}

static enum sb_verdict personality_bits(struct sb_run *run)
{
    struct sb_found found = {0};
    static const struct {
        unsigned long bit;
        const char *name;
    } bits[] = {{ADDR_NO_RANDOMIZE, "ADDR_NO_RANDOMIZE"},
                {READ_IMPLIES_EXEC, "READ_IMPLIES_EXEC"},
                {MMAP_PAGE_ZERO, "MMAP_PAGE_ZERO"}};
    for (size_t i = 0; i < SB_COUNT(bits); i++) {
        if (personality(bits[i].bit) >= 0) {
            personality(0);
            sb_probe_found(&found, "%s", bits[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "accepted", "no weakening personality");
}

static enum sb_verdict core_limit(struct sb_run *run)
{
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_max == 0
               ? sb_probe_held(run, "RLIMIT_CORE is 0")
               : sb_probe_leaked(run, "RLIMIT_CORE may be raised to %ld", (long)limit.rlim_max);
}

static const struct sb_probe probes[] = {
    {"capabilities", "none", "all five capability sets are empty", capabilities},
    {"no-new-privs", "none", "no_new_privs is set", no_new_privs},
    {"seccomp-filter", "none", "a seccomp filter is on", seccomp_filter},
    {"filter-after-exec", "none", "filter and no_new_privs survive exec", filter_after_exec},
    {"host-user", "none", "the job is not uid 0 of the host", host_user},
    {"supplementary-groups", "none", "the job is in no group of the user who started it",
     supplementary_groups},
    {"identity-change", "none", "no other uid, gid or group can be taken", identity_change},
    {"setuid-program", "none", "a setuid program gains nothing", setuid_program},
    {"priorities", "none", "no priority can be raised", priorities},
    {"personality", "none", "address randomization cannot be turned off", personality_bits},
    {"core-limit", "none", "the kernel writes no core dump", core_limit},
};
const struct sb_probe_class sb_probes_identity = {"identity", probes, SB_COUNT(probes)};
