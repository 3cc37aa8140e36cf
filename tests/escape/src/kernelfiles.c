/** /proc, /sys and cgroup files. Knobs are opened for writing, never written. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict none_writable(struct sb_run *run, const char *const *paths, size_t count)
{
    struct sb_found found = {0};
    for (size_t i = 0; i < count; i++) {
        if (sb_probe_opens(paths[i], O_WRONLY)) {
            sb_probe_found(&found, "%s", paths[i]);
        }
    }
    return sb_probe_by_found(run, &found, "open for writing", "none opens for writing");
}

static enum sb_verdict core_pattern(struct sb_run *run)
{
    static const char *const paths[] = {"/proc/sys/kernel/core_pattern",
                                        "/proc/sys/kernel/core_pipe_limit",
                                        "/proc/sys/fs/suid_dumpable"};
    return none_writable(run, paths, SB_COUNT(paths));
}

static enum sb_verdict sysrq(struct sb_run *run)
{
    static const char *const paths[] = {"/proc/sysrq-trigger", "/proc/sys/kernel/sysrq"};
    return none_writable(run, paths, SB_COUNT(paths));
}

static enum sb_verdict module_helpers(struct sb_run *run)
{
    static const char *const paths[] = {
        "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/kernel/poweroff_cmd",
        "/sys/kernel/uevent_helper", "/proc/sys/kernel/modules_disabled"};
    return none_writable(run, paths, SB_COUNT(paths));
}

static enum sb_verdict proc_knobs(struct sb_run *run)
{
    static const char *const paths[] = {
        "/proc/sys/kernel/randomize_va_space",
        "/proc/sys/kernel/panic",
        "/proc/sys/kernel/kptr_restrict",
        "/proc/sys/kernel/unprivileged_bpf_disabled",
        "/proc/sys/kernel/yama/ptrace_scope",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/kernel/shmmax",
        "/proc/sys/kernel/domainname",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sys/fs/file-max",
        "/proc/sys/fs/mqueue/queues_max",
        "/proc/sys/fs/protected_symlinks",
        "/proc/sys/net/core/bpf_jit_enable",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/dev/tty/legacy_tiocsti",
        "/proc/irq/default_smp_affinity",
        "/proc/mtrr",
        "/proc/acpi/wakeup",
    };
    return none_writable(run, paths, SB_COUNT(paths));
}

static int mount_binfmt(const void *arg)
{
    const char *dir = arg;
    if (mount("binfmt_misc", dir, "binfmt_misc", 0, NULL) < 0) {
        return 0;
    }
    umount2(dir, MNT_DETACH);
    return 1;
}

static enum sb_verdict binfmt_misc(struct sb_run *run)
{
    if (sb_probe_opens("/proc/sys/fs/binfmt_misc/register", O_WRONLY)) {
        return sb_probe_leaked(run, "register opens for writing");
    }
    char dir[64];
    sb_probe_path(dir, sizeof(dir), "/tmp", "binfmt");
    mkdir(dir, 0700);
    int is_mounted = sb_probe_in_child(mount_binfmt, dir, 5);
    rmdir(dir);
    return is_mounted == 1 ? sb_probe_leaked(run, "binfmt_misc can be mounted")
                           : sb_probe_held(run, "no way to register a format");
}

static enum sb_verdict sys_knobs(struct sb_run *run)
{
    static const char *const paths[] = {
        "/sys/power/state",
        "/sys/power/wake_lock",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/kernel/mm/ksm/run",
        "/sys/kernel/profiling",
        "/sys/kernel/security/lockdown",
        "/sys/module/kernel/parameters/panic",
        "/sys/block/vda/queue/scheduler",
        "/sys/block/sda/queue/scheduler",
        "/sys/class/net/lo/mtu",
        "/sys/bus/pci/rescan",
    };
    return none_writable(run, paths, SB_COUNT(paths));
}

static enum sb_verdict sys_tree(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const paths[] = {"/sys/class/net",    "/sys/block",         "/sys/firmware",
                                        "/sys/kernel",       "/sys/devices",       "/sys/module",
                                        "/sys/kernel/debug", "/sys/kernel/tracing"};
    for (size_t i = 0; i < SB_COUNT(paths); i++) {
        if (sb_probe_gives_something(paths[i])) {
            sb_probe_found(&found, "%s", paths[i]);
        }
    }
    return sb_probe_by_found(run, &found, "listed", "there is no /sys");
}

static const char *const hierarchies[] = {"",         "/memory",  "/cpu",     "/pids",
                                          "/devices", "/freezer", "/systemd", "/unified"};

static enum sb_verdict cgroup_files(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const files[] = {"cgroup.procs", "release_agent", "cgroup.subtree_control",
                                        "memory.max",   "tasks",         "notify_on_release"};
    for (size_t i = 0; i < SB_COUNT(hierarchies); i++) {
        for (size_t j = 0; j < SB_COUNT(files); j++) {
            char path[128];
            (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", hierarchies[i], files[j]);
            if (sb_probe_opens(path, O_WRONLY)) {
                sb_probe_found(&found, "%s", path);
            }
        }
    }
    return sb_probe_by_found(run, &found, "open for writing", "no cgroup file opens for writing");
}

static enum sb_verdict cgroup_names(struct sb_run *run)
{
    char text[8192];
    if (sb_probe_gives_something("/sys/fs/cgroup")) {
        return sb_probe_leaked(run, "/sys/fs/cgroup lists the host's groups");
    }
    if (sb_probe_read_file("/proc/self/mountinfo", text, sizeof(text)) > 0 &&
        strstr(text, " - cgroup") != NULL) {
        return sb_probe_leaked(run, "a cgroup hierarchy is mounted");
    }
    return sb_probe_held(run, "no cgroup hierarchy is mounted");
}

static enum sb_verdict masked_files(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const paths[] = {
        "/proc/kcore",      "/proc/kmsg",        "/proc/keys",          "/proc/key-users",
        "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats", "/proc/vmallocinfo",
        "/proc/kpagecount", "/proc/kpageflags",  "/proc/kpagecgroup",   "/proc/pagetypeinfo",
        "/proc/slabinfo",   "/proc/acpi",        "/proc/scsi",          "/proc/asound",
        "/proc/config.gz",  "/proc/interrupts",  "/proc/iomem",         "/proc/ioports",
        "/proc/modules",    "/proc/bus/pci",     "/proc/driver",        "/proc/cmdline",
        "/proc/partitions", "/proc/diskstats",   "/proc/swaps",
    };
    for (size_t i = 0; i < SB_COUNT(paths); i++) {
        bool opens_only = strcmp(paths[i], "/proc/kmsg") == 0;
        if (opens_only ? sb_probe_opens(paths[i], O_RDONLY) : sb_probe_gives_something(paths[i])) {
            sb_probe_found(&found, "%s", paths[i]);
        }
    }
    return sb_probe_by_found(run, &found, "readable", "all are masked");
}

static enum sb_verdict kernel_addresses(struct sb_run *run)
{
    char text[64];
    if (sb_probe_read_file("/proc/kallsyms", text, sizeof(text)) <= 0) {
        return sb_probe_held(run, "/proc/kallsyms: %m");
    }
    return strtoul(text, NULL, 16) != 0 ? sb_probe_leaked(run, "/proc/kallsyms: %.40s", text)
                                        : sb_probe_held(run, "addresses are zeroes");
}

static enum sb_verdict host_processes(struct sb_run *run)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return sb_probe_held(run, "no /proc");
    }
    struct sb_found found = {0};
    size_t pids = 0;
    const struct dirent *entry;
    while ((entry = readdir(proc)) != NULL) {
        char path[300];
        char name[32] = "";
        if (!isdigit((unsigned char)entry->d_name[0])) {
            continue;
        }
        pids++;
        (void)snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        if (sb_probe_read_file(path, name, sizeof(name)) > 0 &&
            strncmp(name, "sbx-victim", strlen("sbx-victim")) == 0) {
            sb_probe_found(&found, "the victim as pid %s", entry->d_name);
        }
    }
    closedir(proc);
    if (pids > 8) {
        sb_probe_found(&found, "%zu processes", pids);
    }
    return sb_probe_by_found(run, &found, "visible", "only processes of the sandbox are visible");
}

/* What top, free and runtimes read, and what tells no more than uname does. */
static bool is_ordinary(const char *name)
{
    static const char *const names[] = {
        "cpuinfo", "crypto", "devices", "dma",     "execdomains", "filesystems",
        "loadavg", "locks",  "meminfo", "misc",    "stat",        "sys",
        "sysvipc", "tty",    "uptime",  "version", "vmstat",
    };
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return name[0] == '.' || isdigit((unsigned char)name[0]);
}

/** Also what a newer kernel or a module of the host's adds. */
static enum sb_verdict other_names(struct sb_run *run)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return sb_probe_held(run, "no /proc");
    }
    struct sb_found found = {0};
    const struct dirent *entry;
    while ((entry = readdir(proc)) != NULL) {
        char path[300];
        (void)snprintf(path, sizeof(path), "/proc/%s", entry->d_name);
        if (entry->d_type == DT_LNK || is_ordinary(entry->d_name)) {
            continue;
        }
        /* Of kmsg a read would wait. */
        bool is_queue = strcmp(entry->d_name, "kmsg") == 0;
        if (sb_probe_opens(path, O_WRONLY) ||
            (is_queue ? sb_probe_opens(path, O_RDONLY) : sb_probe_gives_something(path))) {
            sb_probe_found(&found, "%s", path);
        }
    }
    closedir(proc);
    return sb_probe_by_found(run, &found, "told", "what no program needs is covered");
}

/** Who writes there has the kernel measure for them, system-wide. */
static enum sb_verdict pressure(struct sb_run *run)
{
    static const char *const paths[] = {"/proc/pressure/cpu", "/proc/pressure/io",
                                        "/proc/pressure/memory", "/proc/pressure/irq"};
    return none_writable(run, paths, SB_COUNT(paths));
}

static const struct sb_probe probes[] = {
    {"core-pattern", "none", "the handler of core dumps cannot be set", core_pattern},
    {"sysrq", "none", "magic SysRq is out of reach", sysrq},
    {"module-helpers", "none", "helpers that the kernel starts as root cannot be set",
     module_helpers},
    {"binfmt-misc", "none", "no binary format can be registered", binfmt_misc},
    {"proc-knobs", "none", "/proc/sys is read-only", proc_knobs},
    {"sys-knobs", "none", "/sys is read-only or absent", sys_knobs},
    {"sys-tree", "none", "/sys does not describe the host", sys_tree},
    {"cgroup-files", "none", "no cgroup file is writable", cgroup_files},
    {"cgroup-names", "none", "no cgroup hierarchy is visible", cgroup_names},
    {"masked-files", "none", "kernel memory, logs and tables are masked", masked_files},
    {"other-names", "none", "nothing is in /proc that is not known to be harmless", other_names},
    {"pressure", "none", "no trigger on the host's pressure can be set", pressure},
    {"kernel-addresses", "none", "kernel addresses are hidden", kernel_addresses},
    {"host-processes", "none", "no process of the host is visible", host_processes},
};
const struct sb_probe_class sb_probes_kernelfiles = {"kernel-files", probes, SB_COUNT(probes)};
