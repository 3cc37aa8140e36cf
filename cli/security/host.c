#include "cli/security/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "cli/security/finding.h"
#include "cli/security/host_cgroup.h"
#include "cli/security/host_file.h"

/* mount_setattr and idmapped mounts. */
enum { NEEDS_MAJOR = 5, NEEDS_MINOR = 12 };

enum { APPARMOR_FIX_SIZE = 2 * PATH_MAX + 512 };

static void check_kernel(const struct sb_host *host, struct sb_findings *findings)
{
    struct sb_host_file file;
    int major = 0;
    int minor = 0;
    char text[64];
    if (!sb_host_file_read(host, "proc/sys/kernel/osrelease", &file)) {
        sb_finding_add(findings, "kernel", SB_FINDING_FAIL, "mount -t proc proc /proc",
                       "/proc cannot be read");
        return;
    }
    (void)snprintf(text, sizeof text, "%.*s", SB_STR_ARG(sb_str_trim(file.text)));
    char *rest = NULL;
    major = (int)strtol(text, &rest, 10);
    minor = *rest == '.' ? (int)strtol(rest + 1, NULL, 10) : 0;
    bool is_new = major > NEEDS_MAJOR || (major == NEEDS_MAJOR && minor >= NEEDS_MINOR);
    sb_finding_add(findings, "kernel", is_new ? SB_FINDING_PASS : SB_FINDING_FAIL,
                   is_new ? "" : "install Linux 5.12 or newer", "Linux %s", text);
}

static void check_namespaces(const struct sb_host *host, struct sb_findings *findings)
{
    static const char *const kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
    /* One sandbox takes one of each; below this few can run at a time. */
    enum { FEW = 100 };
    const char *least = NULL;
    uint64_t count = UINT64_MAX;
    char path[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint64_t max = 0;
        (void)snprintf(path, sizeof path, "proc/sys/user/max_%s_namespaces", kinds[i]);
        (void)sb_host_file_number(host, path, &max); /* absent: not compiled in, so 0 */
        if (max < count) {
            count = max;
            least = kinds[i];
        }
    }
    char fix[128];
    (void)snprintf(fix, sizeof fix, "sudo sysctl -w user.max_%s_namespaces=15000", least);
    if (count < FEW) {
        sb_finding_add(findings, "namespaces", count == 0 ? SB_FINDING_FAIL : SB_FINDING_WARN, fix,
                       "user.max_%s_namespaces is %" PRIu64, least, count);
    } else {
        sb_finding_add(findings, "namespaces", SB_FINDING_PASS, "",
                       "all seven kinds, at least %" PRIu64 " of each", count);
    }
}

/* Debian's switch, also of hardened kernels; others do not have it. */
static void check_userns_clone(const struct sb_host *host, struct sb_findings *findings)
{
    uint64_t is_on = 0;
    if (!sb_host_file_number(host, "proc/sys/kernel/unprivileged_userns_clone", &is_on)) {
        return;
    }
    enum sb_finding_level level = is_on != 0       ? SB_FINDING_PASS
                                  : host->uid == 0 ? SB_FINDING_NOTE
                                                   : SB_FINDING_FAIL;
    sb_finding_add(findings, "userns switch", level,
                   is_on != 0 ? "" : "sudo sysctl -w kernel.unprivileged_userns_clone=1",
                   "ordinary users %s make user namespaces", is_on != 0 ? "may" : "may not");
}

/* The folders that deploy/apparmor/aisbx-spawner names. */
static bool is_named_by_profile(const char *spawner)
{
    static const char *const paths[] = {
        "/usr/bin/aisbx-spawner",
        "/usr/lib/aisbx/aisbx-spawner",
        "/usr/libexec/aisbx/aisbx-spawner",
        "/usr/local/bin/aisbx-spawner",
        "/usr/local/lib/aisbx/aisbx-spawner",
        "/usr/local/libexec/aisbx/aisbx-spawner",
    };
    bool found = false;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        found = found || strcmp(spawner, paths[i]) == 0;
    }
    return found;
}

/* Commands for a shell. A path with other characters than these would need quotes of two kinds. */
static bool is_plain(const char *path)
{
    return path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "/._-+")] == '\0';
}

static void apparmor_fix(const struct sb_host *host, char out[APPARMOR_FIX_SIZE])
{
    static const char dir[] = "/etc/apparmor.d";
    const char *profile = host->apparmor != NULL && is_plain(host->apparmor)
                              ? host->apparmor
                              : "deploy/apparmor/aisbx-spawner";
    int n = snprintf(out, APPARMOR_FIX_SIZE, "sudo install -m 644 %s %s/", profile, dir);
    if (host->spawner != NULL && !is_named_by_profile(host->spawner) && is_plain(host->spawner)) {
        n += snprintf(out + n, APPARMOR_FIX_SIZE - (size_t)n,
                      " && sudo mkdir -p %s/tunables/aisbx.d && echo '@{aisbx_spawner} += %s' | "
                      "sudo tee %s/tunables/aisbx.d/mine",
                      dir, host->spawner, dir);
    }
    (void)snprintf(out + n, APPARMOR_FIX_SIZE - (size_t)n,
                   " && sudo apparmor_parser -r %s/aisbx-spawner", dir);
}

/* Ubuntu 23.10 and newer: a user namespace of an unconfined program is one without rights. */
static void check_apparmor(const struct sb_host *host, struct sb_findings *findings)
{
    char fix[APPARMOR_FIX_SIZE];
    apparmor_fix(host, fix);
    uint64_t is_on = 0;
    if (!sb_host_file_number(host, "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                             &is_on)) {
        return;
    }
    if (is_on == 0) {
        sb_finding_add(findings, "AppArmor userns", SB_FINDING_PASS, "", "not restricted");
    } else if (host->uid == 0) {
        sb_finding_add(findings, "AppArmor userns", SB_FINDING_NOTE, fix,
                       "restricted: root is not concerned, ordinary users need the profile");
    } else if (host->userns == SB_HOST_USERNS_WORKS) {
        sb_finding_add(findings, "AppArmor userns", SB_FINDING_PASS, "",
                       "restricted, and aisbx-spawner has a profile that permits them");
    } else {
        sb_finding_add(findings, "AppArmor userns", SB_FINDING_FAIL, fix,
                       "restricted, and aisbx-spawner has no profile that permits them");
    }
}

/* Ids of the user in /etc/subuid or /etc/subgid: "owner:first:count". */
static uint64_t count_subids(const struct sb_host *host, const char *path)
{
    struct sb_err ignored;
    struct sb_host_file file;
    char number[16];
    if (!sb_host_file_read(host, path, &file)) {
        return 0;
    }
    (void)snprintf(number, sizeof number, "%lu", (unsigned long)host->uid);
    for (struct sb_str line; sb_str_next(&file.text, '\n', &line);) {
        struct sb_str owner;
        struct sb_str first;
        uint64_t count = 0;
        if (sb_str_split(line, ':', &owner, &line) && sb_str_split(line, ':', &first, &line) &&
            (sb_str_eq(owner, sb_str_from(host->user)) || sb_str_eq(owner, sb_str_from(number))) &&
            sb_num_u64(sb_str_trim(line), 1, UINT32_MAX, &count, &ignored) == 0) {
            return count;
        }
    }
    return 0;
}

static bool has_newidmap(const struct sb_host *host)
{
    static const char *const names[] = {"usr/bin/newuidmap", "usr/bin/newgidmap"};
    bool has_all = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        has_all = has_all && faccessat(host->root_fd, names[i], X_OK, 0) == 0;
    }
    return has_all;
}

static void check_subids(const struct sb_host *host, struct sb_findings *findings)
{
    char fix[160];
    if (host->uid == 0) {
        sb_finding_add(findings, "sub-ids", SB_FINDING_PASS, "",
                       "not needed: a worker started by root gives out ids of its own");
        return;
    }
    uint64_t uids = count_subids(host, "etc/subuid");
    uint64_t gids = count_subids(host, "etc/subgid");
    if (!has_newidmap(host)) {
        sb_finding_add(findings, "sub-ids", SB_FINDING_WARN, "sudo apt install uidmap",
                       "newuidmap and newgidmap are not installed: sandboxes run as you");
    } else if (uids == 0 || gids == 0) {
        (void)snprintf(fix, sizeof fix,
                       "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s",
                       host->user != NULL ? host->user : "USER");
        sb_finding_add(findings, "sub-ids", SB_FINDING_WARN, fix,
                       "none for you in %s: sandboxes run as you",
                       uids == 0 ? "/etc/subuid" : "/etc/subgid");
    } else {
        sb_finding_add(findings, "sub-ids", SB_FINDING_PASS, "",
                       "%" PRIu64 " user ids and %" PRIu64 " group ids for you", uids, gids);
    }
}

/* What no wall rests on: the sandbox refuses it by itself, or nothing can be done inside. */
static const struct knob {
    const char *name;
    const char *path;
    uint64_t min;
    uint64_t max;
    const char *good;
    const char *bad;
    const char *fix;
    bool is_good_when_absent;
} knobs[] = {
    {"terminal input", "proc/sys/dev/tty/legacy_tiocsti", 0, 0, "TIOCSTI is off",
     "TIOCSTI works: sandboxes refuse it, other programs may type into your terminal",
     "sudo sysctl -w dev.tty.legacy_tiocsti=0 (Linux 6.2 or newer)", false},
    {"symbolic links", "proc/sys/fs/protected_symlinks", 1, UINT64_MAX,
     "links of others in /tmp are not followed", "links of others in /tmp are followed",
     "sudo sysctl -w fs.protected_symlinks=1", false},
    {"ptrace", "proc/sys/kernel/yama/ptrace_scope", 1, UINT64_MAX,
     "programs of one user cannot look into each other",
     "programs of one user can look into each other; sandboxes cannot",
     "sudo sysctl -w kernel.yama.ptrace_scope=1 (a kernel with yama among its lsm=)", false},
    {"bpf", "proc/sys/kernel/unprivileged_bpf_disabled", 1, UINT64_MAX,
     "ordinary users load no BPF programs",
     "ordinary users may load BPF programs; sandboxes may not",
     "sudo sysctl -w kernel.unprivileged_bpf_disabled=1", true},
    {"sibling threads", "sys/devices/system/cpu/smt/active", 0, 0,
     "no two programs share a core at a time",
     "two programs may share a core, and see each other's timing",
     "echo off | sudo tee /sys/devices/system/cpu/smt/control", true},
};

static void check_knobs(const struct sb_host *host, struct sb_findings *findings)
{
    for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++) {
        const struct knob *knob = &knobs[i];
        uint64_t value = 0;
        bool is_good = sb_host_file_number(host, knob->path, &value)
                           ? value >= knob->min && value <= knob->max
                           : knob->is_good_when_absent;
        sb_finding_add(findings, knob->name, is_good ? SB_FINDING_PASS : SB_FINDING_NOTE,
                       is_good ? "" : knob->fix, "%s", is_good ? knob->good : knob->bad);
    }
}

static void check_mitigations(const struct sb_host *host, struct sb_findings *findings)
{
    static const char folder[] = "sys/devices/system/cpu/vulnerabilities";
    char names[200] = "";
    size_t len = 0;
    int fd = openat(host->root_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        sb_closep(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct sb_host_file file;
        char path[sizeof folder + 1 + sizeof entry->d_name];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && sb_host_file_read(host, path, &file) &&
            sb_str_starts_with(file.text, SB_STR("Vulnerable")) && len < sizeof names) {
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len == 0 ? "" : ", ",
                                    entry->d_name);
        }
    }
    (void)closedir(dir);
    if (len == 0) {
        sb_finding_add(findings, "processor", SB_FINDING_PASS, "", "no known leak is open");
    } else {
        sb_finding_add(findings, "processor", SB_FINDING_NOTE,
                       "a newer kernel and microcode; no mitigations=off at boot",
                       "leaks are open: %s", names);
    }
}

static void check_swap(const struct sb_host *host, struct sb_findings *findings)
{
    struct sb_host_file file;
    size_t lines = 0;
    if (!sb_host_file_read(host, "proc/swaps", &file)) {
        return;
    }
    struct sb_str rest = sb_str_trim(file.text);
    for (struct sb_str line; sb_str_next(&rest, '\n', &line);) {
        lines++;
    }
    bool has_swap = lines > 1; /* the first is a title */
    sb_finding_add(findings, "swap", has_swap ? SB_FINDING_NOTE : SB_FINDING_PASS,
                   has_swap ? "sudo swapoff -a, or swap on an encrypted device" : "",
                   has_swap ? "memory of sandboxes may be written to a disk" : "none");
}

void sb_host_read(const struct sb_host *host, struct sb_findings *findings)
{
    static void (*const checks[])(const struct sb_host *, struct sb_findings *) = {
        check_kernel,   check_namespaces, check_userns_clone, check_apparmor, check_subids,
        sb_host_cgroup, check_knobs,      check_mitigations,  check_swap,
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        checks[i](host, findings);
    }
}
