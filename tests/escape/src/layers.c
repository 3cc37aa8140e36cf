/** Layers that others stand in front of: what each does is seen by itself, not by what gets through
 * when all of them fail. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict user_namespace(struct sb_run *run)
{
    char map[256] = "";
    if (sb_probe_read_file("/proc/self/uid_map", map, sizeof(map)) <= 0) {
        return sb_probe_na(run, "no /proc/self/uid_map");
    }
    char *at = map; // "inside outside count"
    (void)strtoul(at, &at, 10);
    (void)strtoul(at, &at, 10);
    unsigned long count = strtoul(at, NULL, 10);
    return count == 0xffffffffUL
               ? sb_probe_leaked(run, "all ids are mapped: the host's own user namespace")
               : sb_probe_held(run, "%lu ids are mapped", count);
}

/** CapBnd and CapInh are left out: both only say what a program with capabilities could gain or
 * keep. */
static enum sb_verdict capabilities_held(struct sb_run *run)
{
    static const char *const sets[] = {"CapPrm", "CapEff", "CapAmb"};
    struct sb_found found = {0};
    char text[8192] = "";
    if (sb_probe_read_file("/proc/self/status", text, sizeof(text)) <= 0) {
        return sb_probe_na(run, "no /proc/self/status");
    }
    for (size_t i = 0; i < SB_COUNT(sets); i++) {
        const char *at = strstr(text, sets[i]);
        if (at != NULL && strtoull(at + strlen("CapXxx:"), NULL, 16) != 0) {
            sb_probe_found(&found, "%s", sets[i]);
        }
    }
    return sb_probe_by_found(run, &found, "not empty", "no capability is held");
}

static enum sb_verdict own_session(struct sb_run *run)
{
    int session = (int)getsid(0);
    return session <= 1 ? sb_probe_leaked(run, "session %d is not the job's own", session)
                        : sb_probe_held(run, "session %d", session);
}

/** 0: the leader is in another PID namespace. */
static enum sb_verdict session_outside(struct sb_run *run)
{
    int session = (int)getsid(0);
    return session == 0 ? sb_probe_leaked(run, "the session is one of the host's")
                        : sb_probe_held(run, "session %d", session);
}

static enum sb_verdict cgroup_namespace(struct sb_run *run)
{
    struct sb_found found = {0};
    char text[4096] = "";
    sb_probe_read_file("/proc/self/cgroup", text, sizeof(text));
    char *rest = text;
    for (const char *line; (line = strsep(&rest, "\n")) != NULL;) {
        const char *path = strchr(line, '/');
        if (path != NULL && strcmp(path, "/") != 0) {
            sb_probe_found(&found, "%.80s", path);
        }
    }
    return sb_probe_by_found(run, &found, "groups of the host are named",
                             "every group is the root of its namespace");
}

/** Permissions stand in front of it; they are not what it is read-only by. */
static enum sb_verdict settings_mount(struct sb_run *run)
{
    struct statvfs fs;
    if (statvfs("/proc/sys", &fs) < 0) {
        return sb_probe_held(run, "/proc/sys: %m");
    }
    return (fs.f_flag & ST_RDONLY) != 0
               ? sb_probe_held(run, "/proc/sys lies on a read-only mount")
               : sb_probe_leaked(run, "/proc/sys lies on a writable mount");
}

static enum sb_verdict root_mount(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const paths[] = {"/", "/usr", "/etc", "/dev"};
    for (size_t i = 0; i < SB_COUNT(paths); i++) {
        struct statvfs fs;
        if (statvfs(paths[i], &fs) == 0 && (fs.f_flag & ST_RDONLY) == 0) {
            sb_probe_found(&found, "%s", paths[i]);
        }
    }
    return sb_probe_by_found(run, &found, "on a writable mount", "the root is mounted read-only");
}

static enum sb_verdict host_etc(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const files[] = {"/etc/machine-id", "/etc/fstab",   "/etc/shadow",
                                        "/etc/subuid",     "/etc/sudoers", "/etc/passwd-"};
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        if (access(files[i], F_OK) == 0) {
            sb_probe_found(&found, "%s", files[i]);
        }
    }
    char text[4096] = "";
    sb_probe_read_file("/etc/passwd", text, sizeof(text));
    if (strstr(text, "\ndaemon:") != NULL || strstr(text, "\nbin:") != NULL) {
        sb_probe_found(&found, "the host's users in /etc/passwd");
    }
    return sb_probe_by_found(run, &found, "of the host's /etc", "/etc is the sandbox's own");
}

static enum sb_verdict stack_limit(struct sb_run *run)
{
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    return limit.rlim_max > (1UL << 30)
               ? sb_probe_leaked(run, "a stack may grow without a bound")
               : sb_probe_held(run, "at most %lu MiB", (unsigned long)(limit.rlim_max >> 20));
}

/** No socket has type 15, and the kernel says so before it looks for the family. */
static enum sb_verdict pair_rare_families(struct sb_run *run)
{
    struct sb_found found = {0};
    static const int families[] = {AF_X25, AF_KEY, AF_PACKET, AF_TIPC, AF_ALG, AF_VSOCK};
    for (size_t i = 0; i < SB_COUNT(families); i++) {
        int ends[2];
        if (socketpair(families[i], 15, 0, ends) < 0 && errno == EINVAL) {
            sb_probe_found(&found, "family %d", families[i]);
        }
    }
    return sb_probe_by_found(run, &found, "asked of the kernel", "refused by the filter");
}

/** The runner looks at the group from outside. */
static enum sb_verdict control_group(struct sb_run *run)
{
    sb_probe_be_seen(run);
    return sb_probe_held(run, "looked at from outside");
}

/** The runner looks at the programs that serve the sandbox; at their ids, then at the rest. */
static enum sb_verdict server_identity(struct sb_run *run)
{
    sb_probe_be_seen(run);
    return sb_probe_held(run, "looked at from outside");
}

static enum sb_verdict server_privilege(struct sb_run *run)
{
    sb_probe_be_seen(run);
    return sb_probe_held(run, "looked at from outside");
}

static const struct sb_probe probes[] = {
    {"user-namespace", "userns", "the job is in a user namespace of its own", user_namespace},
    {"capabilities-held", "none", "no capability is held", capabilities_held},
    {"own-session", "none", "the job has a session of its own", own_session},
    {"session-outside", "none", "the session is none of the host's", session_outside},
    {"cgroup-namespace", "none", "the names of the host's groups are not told", cgroup_namespace},
    {"settings-mount", "none", "/proc/sys is mounted read-only", settings_mount},
    {"root-mount", "none", "the root is mounted read-only", root_mount},
    {"host-etc", "none", "/etc does not describe the host", host_etc},
    {"stack-limit", "none", "the stack is bounded", stack_limit},
    {"pair-rare-families", "none", "socketpair of rare families is refused", pair_rare_families},
    {"control-group", "cgroup", "memory, swap, CPU and processes have a limit in the job's group",
     control_group},
    {"server-identity", "none", "who serves the sandbox is not root", server_identity},
    {"server-privilege", "none", "who serves the sandbox holds no capability and is filtered",
     server_privilege},
};
const struct sb_probe_class sb_probes_layers = {"layers", probes, SB_COUNT(probes)};
