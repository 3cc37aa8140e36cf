#include "cli/security/host_try.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/security/finding.h"
#include "cli/security/host.h"

enum {
    LANDLOCK_LEAST = 2, /* refuses no rename between directories */
    LANDLOCK_WHOLE = 6, /* abstract sockets and signals */
    LANDLOCK_TOLD = 7,  /* what it denies is recorded */
    NO_NAMESPACES = 255 /* of a child: not what was to be tried, but what it needs, failed */
};

static bool has_action(uint32_t action)
{
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static void try_seccomp(const struct sb_host *host, struct sb_findings *findings)
{
    (void)host;
    if (!has_action(SECCOMP_RET_ERRNO) || !has_action(SECCOMP_RET_KILL_PROCESS)) {
        sb_finding_add(findings, "seccomp filters", SB_FINDING_FAIL,
                       "a kernel with CONFIG_SECCOMP_FILTER", "not in this kernel");
    } else if (!has_action(SECCOMP_RET_USER_NOTIF)) {
        sb_finding_add(findings, "seccomp filters", SB_FINDING_WARN, "Linux 5.0 or newer",
                       "without notification: what is denied is not told");
    } else {
        sb_finding_add(findings, "seccomp filters", SB_FINDING_PASS, "", "with notification");
    }
}

static void try_landlock(const struct sb_host *host, struct sb_findings *findings)
{
    static const char fix[] = "Linux 6.12 or newer with CONFIG_SECURITY_LANDLOCK, and landlock in "
                              "the list that the boot option lsm= names";
    (void)host;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < LANDLOCK_LEAST) {
        sb_finding_add(findings, "landlock version", SB_FINDING_WARN, fix, "%s",
                       version < 0 ? "none" : "1, which no sandbox can use");
    } else if (version < LANDLOCK_WHOLE) {
        sb_finding_add(findings, "landlock version", SB_FINDING_WARN, fix,
                       "%ld, which leaves abstract sockets and signals to namespaces", version);
    } else {
        sb_finding_add(findings, "landlock version", SB_FINDING_PASS, "", "%ld", version);
    }
}

/* Whether the kernel keeps an audit log: 1, 0, or -1 when who asks may not know. */
static int is_auditing(void)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    const struct nlmsghdr ask = {
        .nlmsg_len = sizeof ask, .nlmsg_type = AUDIT_GET, .nlmsg_flags = NLM_F_REQUEST};
    const struct timeval patience = {.tv_sec = 1};
    struct {
        struct nlmsghdr head;
        struct audit_status status;
    } said = {.head = {.nlmsg_type = 0}};
    SB_CLEANUP(sb_closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
    if (fd < 0) {
        return errno == EPROTONOSUPPORT ? 0 : -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        sendto(fd, &ask, sizeof ask, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0 ||
        recv(fd, &said, sizeof said, 0) < (ssize_t)sizeof said.head ||
        said.head.nlmsg_type != AUDIT_GET) {
        return -1;
    }
    return said.status.enabled != 0;
}

/* Whether paths that are denied can be told: no wall rests on it. */
static void try_told_paths(const struct sb_host *host, struct sb_findings *findings)
{
    static const char name[] = "denied paths";
    (void)host;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int auditing = version < LANDLOCK_TOLD ? 0 : is_auditing();
    if (version < LANDLOCK_TOLD) {
        sb_finding_add(findings, name, SB_FINDING_NOTE, "Linux 6.15 or newer with Landlock",
                       "cannot be told: the kernel does not record them");
    } else if (auditing < 0) {
        sb_finding_add(findings, name, SB_FINDING_NOTE, "run aisbx-security doctor as root",
                       "not known: only root of the host may ask whether auditing is on");
    } else if (auditing == 0) {
        sb_finding_add(findings, name, SB_FINDING_NOTE,
                       "sudo auditctl -e 1, or the boot option audit=1; and the worker as root "
                       "with --tell-paths",
                       "cannot be told: auditing is off");
    } else {
        sb_finding_add(findings, name, SB_FINDING_PASS, "",
                       "recorded by the kernel, and told by a worker that root started with "
                       "--tell-paths");
    }
}

static bool put(const char *path, const char *text)
{
    SB_CLEANUP(sb_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Root of a user namespace of its own, in namespaces of its own. */
static bool enter_namespaces(int others)
{
    char uids[32];
    char gids[32];
    (void)snprintf(uids, sizeof uids, "0 %lu 1", (unsigned long)geteuid());
    (void)snprintf(gids, sizeof gids, "0 %lu 1", (unsigned long)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS | others) == 0 &&
           put("/proc/self/setgroups", "deny") && put("/proc/self/uid_map", uids) &&
           put("/proc/self/gid_map", gids) && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* What @act says in a child: 0, an errno, NO_NAMESPACES. */
static int in_child(int (*act)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(act());
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : NO_NAMESPACES;
}

static int mount_proc(void)
{
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno : 0;
}

/* A PID namespace is that of the next child. */
static int enter_and_mount_proc(void)
{
    return enter_namespaces(CLONE_NEWPID) ? in_child(mount_proc) : NO_NAMESPACES;
}

static void try_proc(const struct sb_host *host, struct sb_findings *findings)
{
    int error = in_child(enter_and_mount_proc);
    if (error == NO_NAMESPACES) {
        /* As an ordinary user that is AppArmor's doing, perhaps, where the spawner has a profile.
         */
        sb_finding_add(findings, "fresh /proc",
                       host->userns == SB_HOST_USERNS_WORKS ? SB_FINDING_NOTE : SB_FINDING_FAIL,
                       "see the rows on namespaces above",
                       "not tried: this program may make no user namespace");
    } else if (error != 0) {
        sb_finding_add(findings, "fresh /proc", SB_FINDING_FAIL,
                       "run the container with an unmasked /proc: docker --security-opt "
                       "systempaths=unconfined, or Kubernetes procMount: Unmasked",
                       "cannot be mounted in a new PID namespace: %s", strerror(error));
    } else {
        sb_finding_add(findings, "fresh /proc", SB_FINDING_PASS, "",
                       "can be mounted in a new PID namespace");
    }
}

void sb_host_try(const struct sb_host *host, struct sb_findings *findings)
{
    static void (*const tries[])(const struct sb_host *, struct sb_findings *) = {
        try_seccomp,
        try_landlock,
        try_told_paths,
        try_proc,
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        tries[i](host, findings);
    }
}
