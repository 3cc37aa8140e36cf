#include "cli/security/host_cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/security/finding.h"
#include "cli/security/host.h"
#include "cli/security/host_file.h"

#define NAME "cgroup delegation"

static const char *const controllers[] = {"memory", "cpu", "pids"};

enum { N = sizeof controllers / sizeof *controllers };

static const char fix_scope[] =
    "systemd-run --user --scope -p Delegate=yes aisbx-worker --embedded";
static const char fix_delegate[] =
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory "
    "pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl "
    "daemon-reload, then log in again";
static const char fix_root[] =
    "mount -t cgroup2 none /sys/fs/cgroup, and in a container: docker run "
    "--cgroupns=private with a writable /sys/fs/cgroup";
static const char fix_v2[] = "boot with systemd.unified_cgroup_hierarchy=1, or run the worker as "
                             "root";

/* Path of our own group in the hierarchy of version 2, below its mount. */
static bool own_group(const struct sb_host *host, char out[PATH_MAX])
{
    struct sb_host_file file;
    if (!sb_host_file_read(host, "proc/self/cgroup", &file)) {
        return false;
    }
    for (struct sb_str line; sb_str_next(&file.text, '\n', &line);) {
        if (sb_str_starts_with(line, SB_STR("0::/"))) {
            struct sb_str path = sb_str_skip(line, 4);
            (void)snprintf(out, PATH_MAX, "sys/fs/cgroup/%.*s", SB_STR_ARG(path));
            return true;
        }
    }
    return false;
}

/* The first controller that the list lacks; NULL: none. */
static const char *first_lacking(struct sb_str list)
{
    for (size_t i = 0; i < N; i++) {
        if (!sb_host_file_has(list, controllers[i])) {
            return controllers[i];
        }
    }
    return NULL;
}

static void judge_v2_of_user(const struct sb_host *host, struct sb_findings *findings)
{
    struct sb_host_file file;
    char group[PATH_MAX];
    char path[PATH_MAX + 32];
    if (!own_group(host, group)) {
        sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_scope, "no group of version 2");
        return;
    }
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", group);
    if (faccessat(host->root_fd, path, W_OK, AT_EACCESS) < 0) {
        sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_scope,
                       "version 2, but the group we are in is not ours to divide");
        return;
    }
    (void)snprintf(path, sizeof path, "%s/cgroup.controllers", group);
    const char *lacking =
        sb_host_file_read(host, path, &file) ? first_lacking(file.text) : controllers[0];
    if (lacking != NULL) {
        sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_delegate,
                       "version 2, delegated without the %s controller", lacking);
    } else {
        sb_finding_add(findings, NAME, SB_FINDING_PASS, "",
                       "version 2, delegated with memory cpu pids");
    }
}

static void
judge_v2_of_root(const struct sb_host *host, struct sb_str list, struct sb_findings *findings)
{
    const char *lacking = first_lacking(list);
    if (lacking != NULL) {
        sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_root,
                       "version 2 without the %s controller", lacking);
    } else if (faccessat(host->root_fd, "sys/fs/cgroup/cgroup.procs", W_OK, AT_EACCESS) < 0) {
        sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_root,
                       "version 2, but /sys/fs/cgroup cannot be written");
    } else {
        sb_finding_add(findings, NAME, SB_FINDING_PASS, "", "version 2 with memory cpu pids");
    }
}

static void judge_v1(const struct sb_host *host, struct sb_findings *findings)
{
    char path[64];
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(path, sizeof path, "sys/fs/cgroup/%s/cgroup.procs", controllers[i]);
        if (faccessat(host->root_fd, path, F_OK, 0) < 0) {
            sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_root,
                           "no control groups with the %s controller", controllers[i]);
            return;
        }
    }
    if (host->uid != 0) {
        sb_finding_add(findings, NAME, SB_FINDING_WARN, fix_v2,
                       "version 1, which ordinary users do not get");
    } else {
        sb_finding_add(findings, NAME, SB_FINDING_PASS, "", "version 1 with memory cpu pids");
    }
}

void sb_host_cgroup(const struct sb_host *host, struct sb_findings *findings)
{
    struct sb_host_file file;
    if (!sb_host_file_read(host, "sys/fs/cgroup/cgroup.controllers", &file)) {
        judge_v1(host, findings);
    } else if (host->uid == 0) {
        judge_v2_of_root(host, file.text, findings);
    } else {
        judge_v2_of_user(host, findings);
    }
}
