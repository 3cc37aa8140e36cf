/* What the doctor makes of a machine, on folders that stand for one. */

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/security/finding.h"
#include "cli/security/host.h"
#include "testing.h"

static char base[] = "/tmp/aisbx-test-XXXXXX";
static struct sb_host host;
static struct sb_findings findings;

/* A machine on which nothing is to be said. */
static const char *const good[][2] = {
    {"proc/sys/kernel/osrelease", "6.12.0-1-amd64\n"},
    {"proc/sys/user/max_user_namespaces", "15000\n"},
    {"proc/sys/user/max_mnt_namespaces", "15000\n"},
    {"proc/sys/user/max_pid_namespaces", "15000\n"},
    {"proc/sys/user/max_net_namespaces", "15000\n"},
    {"proc/sys/user/max_ipc_namespaces", "15000\n"},
    {"proc/sys/user/max_uts_namespaces", "15000\n"},
    {"proc/sys/user/max_cgroup_namespaces", "15000\n"},
    {"proc/sys/kernel/unprivileged_userns_clone", "1\n"},
    {"proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n"},
    {"etc/subuid", "other:100000:65536\nsomebody:165536:65536\n"},
    {"etc/subgid", "1000:165536:65536\n"},
    {"usr/bin/newuidmap", ""},
    {"usr/bin/newgidmap", ""},
    {"proc/self/cgroup", "0::/user.slice/run-1.scope\n"},
    {"sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"},
    {"sys/fs/cgroup/user.slice/run-1.scope/cgroup.procs", ""},
    {"sys/fs/cgroup/user.slice/run-1.scope/cgroup.controllers", "cpu memory pids\n"},
    {"proc/sys/dev/tty/legacy_tiocsti", "0\n"},
    {"proc/sys/fs/protected_symlinks", "1\n"},
    {"proc/sys/kernel/yama/ptrace_scope", "1\n"},
    {"proc/sys/kernel/unprivileged_bpf_disabled", "2\n"},
    {"sys/devices/system/cpu/smt/active", "0\n"},
    {"sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n"},
    {"sys/devices/system/cpu/vulnerabilities/retbleed", "Mitigation: safe RET\n"},
    {"proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"},
};

static void put(const char *path, const char *text)
{
    char folder[256];
    (void)snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdirat(host.root_fd, folder, 0755);
        *slash = '/';
    }
    SB_CLEANUP(sb_closep)
    int fd = openat(host.root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void drop(const char *path)
{
    assert_int_equal(unlinkat(host.root_fd, path, 0), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int make_good(void **state)
{
    (void)state;
    memset(base + sizeof base - 7, 'X', 6);
    if (mkdtemp(base) == NULL) {
        return -1;
    }
    host = (struct sb_host){
        .root_fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .uid = 1000,
        .user = "somebody",
        .userns = SB_HOST_USERNS_WORKS,
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        put(good[i][0], good[i][1]);
    }
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    (void)close(host.root_fd);
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct sb_finding *look(const char *name)
{
    findings = (struct sb_findings){0};
    sb_host_read(&host, &findings);
    for (size_t i = 0; i < findings.n; i++) {
        if (strcmp(findings.items[i].name, name) == 0) {
            return &findings.items[i];
        }
    }
    return NULL;
}

/* Looks again, and expects that of one check: a level, and words of its detail and its fix. */
static void
finds(const char *name, enum sb_finding_level level, const char *detail, const char *fix)
{
    const struct sb_finding *found = look(name);
    assert_non_null(found);
    if (found->level != level || strstr(found->detail, detail) == NULL ||
        strstr(found->fix, fix) == NULL || (level != SB_FINDING_PASS && found->fix[0] == '\0')) {
        fail_msg("%s: %s: %s; fix: %s", name, sb_finding_word(found->level), found->detail,
                 found->fix);
    }
}

static void has_nothing_to_say_of_a_good_machine(void **state)
{
    (void)state;
    assert_null(look("no such check"));
    assert_int_equal(findings.n, 13);
    for (size_t i = 0; i < findings.n; i++) {
        if (findings.items[i].level != SB_FINDING_PASS || findings.items[i].fix[0] != '\0') {
            fail_msg("%s: %s", findings.items[i].name, findings.items[i].detail);
        }
    }
}

static void wants_a_kernel_with_idmapped_mounts(void **state)
{
    (void)state;
    put("proc/sys/kernel/osrelease", "5.12.0\n");
    finds("kernel", SB_FINDING_PASS, "5.12.0", "");
    put("proc/sys/kernel/osrelease", "5.4.0-150-generic\n");
    finds("kernel", SB_FINDING_FAIL, "5.4.0", "5.12");
    put("proc/sys/kernel/osrelease", "4.19\n");
    finds("kernel", SB_FINDING_FAIL, "4.19", "5.12");
    drop("proc/sys/kernel/osrelease");
    finds("kernel", SB_FINDING_FAIL, "/proc", "mount -t proc");
}

static void names_the_namespace_that_is_scarce(void **state)
{
    (void)state;
    put("proc/sys/user/max_net_namespaces", "20\n");
    finds("namespaces", SB_FINDING_WARN, "max_net_namespaces is 20",
          "sysctl -w user.max_net_namespaces=15000");
    put("proc/sys/user/max_uts_namespaces", "0\n");
    finds("namespaces", SB_FINDING_FAIL, "max_uts_namespaces is 0",
          "sysctl -w user.max_uts_namespaces=15000");
    drop("proc/sys/user/max_user_namespaces");
    finds("namespaces", SB_FINDING_FAIL, "max_user_namespaces is 0", "max_user_namespaces");
}

static void minds_debians_switch_for_users_only(void **state)
{
    (void)state;
    put("proc/sys/kernel/unprivileged_userns_clone", "0\n");
    finds("userns switch", SB_FINDING_FAIL, "may not", "kernel.unprivileged_userns_clone=1");
    host.uid = 0;
    finds("userns switch", SB_FINDING_NOTE, "may not", "kernel.unprivileged_userns_clone=1");
    drop("proc/sys/kernel/unprivileged_userns_clone");
    assert_null(look("userns switch"));
}

static void minds_ubuntus_restriction_where_it_bites(void **state)
{
    (void)state;
    put("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    finds("AppArmor userns", SB_FINDING_PASS, "profile that permits", "");
    host.userns = SB_HOST_USERNS_REFUSED;
    finds("AppArmor userns", SB_FINDING_FAIL, "no profile", "apparmor_parser -r");
    host.userns = SB_HOST_USERNS_UNKNOWN;
    finds("AppArmor userns", SB_FINDING_FAIL, "no profile", "apparmor_parser -r");
    host.spawner = "/usr/local/libexec/aisbx/aisbx-spawner";
    host.apparmor = "/usr/local/share/aisbx/apparmor/aisbx-spawner";
    finds("AppArmor userns", SB_FINDING_FAIL, "no profile",
          "sudo install -m 644 /usr/local/share/aisbx/apparmor/aisbx-spawner /etc/apparmor.d/ && "
          "sudo apparmor_parser -r /etc/apparmor.d/aisbx-spawner");
    host.spawner = "/home/me/aisbx/build/bin/aisbx-spawner";
    finds("AppArmor userns", SB_FINDING_FAIL, "no profile",
          "sudo mkdir -p /etc/apparmor.d/tunables/aisbx.d && echo '@{aisbx_spawner} += "
          "/home/me/aisbx/build/bin/aisbx-spawner' | sudo tee "
          "/etc/apparmor.d/tunables/aisbx.d/mine && sudo apparmor_parser -r");
    host.spawner = "/home/it's me/aisbx-spawner"; /* which no shell would take as it is */
    finds("AppArmor userns", SB_FINDING_FAIL, "no profile", "/etc/apparmor.d/ && sudo apparmor");
    host.uid = 0;
    finds("AppArmor userns", SB_FINDING_NOTE, "root is not concerned", "apparmor_parser -r");
    drop("proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    assert_null(look("AppArmor userns"));
}

static void finds_sub_ids_by_name_or_number(void **state)
{
    (void)state;
    finds("sub-ids", SB_FINDING_PASS, "65536 user ids and 65536 group ids", "");
    put("etc/subgid", "10000:165536:65536\n");
    finds("sub-ids", SB_FINDING_WARN, "/etc/subgid", "usermod --add-subuids");
    finds("sub-ids", SB_FINDING_WARN, "none for you", " somebody");
    put("etc/subuid", "somebody:165536:none\n");
    finds("sub-ids", SB_FINDING_WARN, "/etc/subuid", "usermod --add-subuids");
    host.user = NULL;
    finds("sub-ids", SB_FINDING_WARN, "/etc/subuid", " USER");
    drop("usr/bin/newgidmap");
    finds("sub-ids", SB_FINDING_WARN, "newgidmap", "apt install uidmap");
    host.uid = 0;
    finds("sub-ids", SB_FINDING_PASS, "not needed", "");
}

static void tells_users_how_to_get_a_control_group(void **state)
{
    (void)state;
    finds("cgroup delegation", SB_FINDING_PASS, "delegated with memory cpu pids", "");
    put("sys/fs/cgroup/user.slice/run-1.scope/cgroup.controllers", "memory pids\n");
    finds("cgroup delegation", SB_FINDING_WARN, "without the cpu controller", "delegate.conf");
    drop("sys/fs/cgroup/user.slice/run-1.scope/cgroup.procs");
    finds("cgroup delegation", SB_FINDING_WARN, "not ours to divide", "Delegate=yes");
    drop("proc/self/cgroup");
    finds("cgroup delegation", SB_FINDING_WARN, "no group of version 2", "Delegate=yes");
    drop("sys/fs/cgroup/cgroup.controllers");
    finds("cgroup delegation", SB_FINDING_WARN, "no control groups", "mount -t cgroup2");
    put("sys/fs/cgroup/memory/cgroup.procs", "");
    put("sys/fs/cgroup/cpu/cgroup.procs", "");
    put("sys/fs/cgroup/pids/cgroup.procs", "");
    finds("cgroup delegation", SB_FINDING_WARN, "version 1", "unified_cgroup_hierarchy=1");
}

static void looks_for_roots_control_groups_at_the_top(void **state)
{
    (void)state;
    host.uid = 0;
    put("sys/fs/cgroup/cgroup.controllers", "cpu pids\n");
    finds("cgroup delegation", SB_FINDING_WARN, "without the memory controller", "cgroup2");
    put("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    finds("cgroup delegation", SB_FINDING_WARN, "cannot be written", "writable /sys/fs/cgroup");
    put("sys/fs/cgroup/cgroup.procs", "");
    finds("cgroup delegation", SB_FINDING_PASS, "version 2 with memory cpu pids", "");
    drop("sys/fs/cgroup/cgroup.controllers");
    put("sys/fs/cgroup/memory/cgroup.procs", "");
    put("sys/fs/cgroup/cpu/cgroup.procs", "");
    put("sys/fs/cgroup/pids/cgroup.procs", "");
    finds("cgroup delegation", SB_FINDING_PASS, "version 1 with memory cpu pids", "");
}

static void only_notes_what_no_wall_rests_on(void **state)
{
    static const struct {
        const char *path;
        const char *value;
        const char *name;
        const char *fix;
        bool is_noted_when_absent;
    } rows[] = {
        {"proc/sys/dev/tty/legacy_tiocsti", "1\n", "terminal input", "legacy_tiocsti=0", true},
        {"proc/sys/fs/protected_symlinks", "0\n", "symbolic links", "protected_symlinks=1", true},
        {"proc/sys/kernel/yama/ptrace_scope", "0\n", "ptrace", "ptrace_scope=1", true},
        {"proc/sys/kernel/unprivileged_bpf_disabled", "0\n", "bpf", "bpf_disabled=1", false},
        {"sys/devices/system/cpu/smt/active", "1\n", "sibling threads", "smt/control", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put(rows[i].path, rows[i].value);
        finds(rows[i].name, SB_FINDING_NOTE, "", rows[i].fix);
        drop(rows[i].path);
        finds(rows[i].name, rows[i].is_noted_when_absent ? SB_FINDING_NOTE : SB_FINDING_PASS, "",
              "");
    }
    assert_int_equal(sb_finding_worst(&findings), SB_FINDING_NOTE);
}

static void lists_open_leaks_of_the_processor(void **state)
{
    (void)state;
    put("sys/devices/system/cpu/vulnerabilities/retbleed", "Vulnerable\n");
    finds("processor", SB_FINDING_NOTE, "leaks are open: retbleed", "mitigations=off");
    put("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n");
    finds("swap", SB_FINDING_NOTE, "written to a disk", "swapoff");
}

int main(void)
{
#define ON_GOOD(test) cmocka_unit_test_setup_teardown(test, make_good, remove_all)
    const struct CMUnitTest tests[] = {
        ON_GOOD(has_nothing_to_say_of_a_good_machine),
        ON_GOOD(wants_a_kernel_with_idmapped_mounts),
        ON_GOOD(names_the_namespace_that_is_scarce),
        ON_GOOD(minds_debians_switch_for_users_only),
        ON_GOOD(minds_ubuntus_restriction_where_it_bites),
        ON_GOOD(finds_sub_ids_by_name_or_number),
        ON_GOOD(tells_users_how_to_get_a_control_group),
        ON_GOOD(looks_for_roots_control_groups_at_the_top),
        ON_GOOD(only_notes_what_no_wall_rests_on),
        ON_GOOD(lists_open_leaks_of_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
