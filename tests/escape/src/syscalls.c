/** Calls that no program of a sandbox needs, and other ways to make calls. Arguments are such that
 *  the kernel itself would refuse them with another error than a filter does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict io_uring(struct sb_run *run)
{
    struct io_uring_params params = {0};
    long fd = syscall(SYS_io_uring_setup, 4, &params);
    return fd >= 0 ? sb_probe_leaked(run, "a ring carries calls past the filter")
                   : sb_probe_held(run, "io_uring_setup: %m");
}

static enum sb_verdict userfaultfd(struct sb_run *run)
{
    if (syscall(SYS_userfaultfd, O_CLOEXEC) >= 0 || syscall(SYS_userfaultfd, O_CLOEXEC | 1) >= 0) {
        return sb_probe_leaked(run, "userfaultfd works");
    }
    return sb_probe_opens("/dev/userfaultfd", O_RDWR)
               ? sb_probe_leaked(run, "/dev/userfaultfd opens")
               : sb_probe_held(run, "userfaultfd: %m");
}

static enum sb_verdict bpf(struct sb_run *run)
{
    if (syscall(SYS_bpf, 9999, NULL, 1) < 0 && sb_probe_is_refusal(errno)) {
        return sb_probe_held(run, "bpf: %m");
    }
    return sb_probe_leaked(run, "bpf reaches the kernel: %m");
}

static enum sb_verdict perf_event(struct sb_run *run)
{
    if (syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) < 0 && errno == EFAULT) {
        return sb_probe_leaked(run, "perf_event_open reaches the kernel");
    }
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr)};
    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) >= 0
               ? sb_probe_leaked(run, "perf_event_open works")
               : sb_probe_held(run, "perf_event_open: %m");
}

/** The "shocker": a handle names a file of the file system whatever the root is. */
static enum sb_verdict open_by_handle(struct sb_run *run)
{
    struct {
        struct file_handle head;
        unsigned char bytes[128];
    } handle = {.head = {.handle_bytes = 128}};
    int mount_id;
    int root = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (name_to_handle_at(AT_FDCWD, "/usr", &handle.head, &mount_id, 0) < 0) {
        handle.head.handle_bytes = 9999;
    }
    int fd = open_by_handle_at(root, &handle.head, O_RDONLY | O_CLOEXEC);
    int error = errno;
    close(root);
    errno = error;
    return fd < 0 && sb_probe_is_refusal(error)
               ? sb_probe_held(run, "open_by_handle_at: %m")
               : sb_probe_leaked(run, "a handle reaches the kernel");
}

struct call {
    const char *name;
    long number;
    unsigned long args[6];
};

#define NOWHERE ((unsigned long)(uintptr_t) "/sbx-none/x")
static bool reaches_kernel(const struct call *call)
{
    const unsigned long *a = call->args;
    errno = 0;
    long result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result >= 0 || !sb_probe_is_refusal(errno);
}

static enum sb_verdict none_reached(struct sb_run *run, const struct call *calls, size_t count)
{
    struct sb_found found = {0};
    for (size_t i = 0; i < count; i++) {
        if (reaches_kernel(&calls[i])) {
            sb_probe_found(&found, "%s", calls[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "reach the kernel", "all are refused");
}

static enum sb_verdict administration_calls(struct sb_run *run)
{
    const struct call calls[] = {
        {"acct", SYS_acct, {NOWHERE}},
        {"swapon", SYS_swapon, {NOWHERE}},
        {"swapoff", SYS_swapoff, {NOWHERE}},
        {"quotactl", SYS_quotactl, {0xffffff}},
        {"quotactl_fd", 443, {~0UL, 0xffffff}},
        {"kexec_load", SYS_kexec_load, {0, 99, 0, 0xff}},
        {"init_module", SYS_init_module, {0, 0, NOWHERE}},
        {"finit_module", SYS_finit_module, {~0UL, NOWHERE, 0xff}},
        {"delete_module", SYS_delete_module, {NOWHERE, 0x800}},
        {"reboot", SYS_reboot, {0}},
        {"syslog", SYS_syslog, {10}},
        {"fanotify_init", SYS_fanotify_init, {0x80000000UL}},
        {"iopl", SYS_iopl, {4}},
        {"ioperm", SYS_ioperm, {70000, 1, 1}},
        {"sethostname", SYS_sethostname, {0, ~0UL}},
        {"setdomainname", SYS_setdomainname, {0, ~0UL}},
        {"vhangup", SYS_vhangup, {0}},
    };
    // As root of the host vhangup and the like would do what they say: leave those out there.
    size_t count = SB_COUNT(calls) - (getuid() == 0 ? 1 : 0);
    return none_reached(run, calls, count);
}

static enum sb_verdict memory_calls(struct sb_run *run)
{
    const struct call calls[] = {
        {"move_pages", SYS_move_pages, {0, 0, 0, 0, 0, 999}},
        {"mbind", SYS_mbind, {0, 0, 99}},
        {"migrate_pages", SYS_migrate_pages, {0, 1}},
        {"set_mempolicy", SYS_set_mempolicy, {99}},
        {"set_mempolicy_home_node", 450, {1, 0, 0, 1}},
        {"remap_file_pages", SYS_remap_file_pages, {1}},
        {"process_madvise", 440, {~0UL, 0, 0, 0, 1}},
        {"process_mrelease", 448, {~0UL, 0xff}},
        {"memfd_secret", 447, {0xff}},
        {"vmsplice", SYS_vmsplice, {~0UL, 0, 0, 0xff}},
        {"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 0xff}},
    };
    return none_reached(run, calls, SB_COUNT(calls));
}

static enum sb_verdict rare_calls(struct sb_run *run)
{
    const struct call calls[] = {
        {"kcmp", SYS_kcmp, {1, 1, 99}},
        {"modify_ldt", SYS_modify_ldt, {99}},
        {"uselib", SYS_uselib, {NOWHERE}},
        {"ustat", SYS_ustat, {0}},
        {"sysfs", SYS_sysfs, {99}},
        {"lookup_dcookie", 212, {0}},
        {"pidfd_getfd", 438, {~0UL, 0, 1}},
        {"statmount", 457, {0, 0, 0, 1}},
        {"listmount", 458, {0, 0, 0, 9}},
        {"io_setup", SYS_io_setup, {0, 0}},
        {"io_uring_enter", SYS_io_uring_enter, {~0UL, 0, 0, 0xff}},
        {"io_uring_register", SYS_io_uring_register, {~0UL, 0xff}},
        {"name_to_handle_at", SYS_name_to_handle_at, {0, NOWHERE, 0, 0, 0xff}},
        {"lsm_set_self_attr", 460, {99, 0, 0, 9}},
    };
    return none_reached(run, calls, SB_COUNT(calls));
}

/** Sets a clock parameter to what it is: harmless where it is permitted. */
static enum sb_verdict clock_set(struct sb_run *run)
{
    struct timex now = {0};
    if (adjtimex(&now) < 0) {
        return sb_probe_held(run, "adjtimex: %m");
    }
    now.modes = ADJ_TICK;
    return adjtimex(&now) >= 0 ? sb_probe_leaked(run, "the host's clock can be adjusted")
                               : sb_probe_held(run, "adjtimex: %m");
}

static enum sb_verdict kernel_log(struct sb_run *run)
{
    char text[4096];
    if (syscall(SYS_syslog, 3, text, sizeof(text)) > 0) {
        return sb_probe_leaked(run, "the kernel log is readable");
    }
    return sb_probe_opens("/dev/kmsg", O_RDONLY) ? sb_probe_leaked(run, "/dev/kmsg opens")
                                                 : sb_probe_held(run, "syslog: %m");
}

static enum sb_verdict hostname(struct sb_run *run)
{
    char name[80] = "";
    gethostname(name, sizeof(name) - 1);
    if (strcmp(name, sb_probe_arg(run, "hostname", "")) == 0) {
        return sethostname(name, strlen(name)) == 0
                   ? sb_probe_leaked(run, "%s is the host's and can be set", name)
                   : sb_probe_leaked(run, "%s is the host's", name);
    }
    return sb_probe_held(run, "%s", name);
}

#if defined(__x86_64__)
static int use_int80(const void *arg)
{
    (void)arg;
    long result = 20; // getpid of the 32-bit table
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result == getpid();
}

static int use_x32(const void *arg)
{
    (void)arg;
    return syscall(0x40000000L | SYS_getpid) == getpid();
}
#endif

static enum sb_verdict foreign_abi(struct sb_run *run, int (*use)(const void *arg))
{
    int result = sb_probe_in_child(use, NULL, 5);
    if (result == 1) {
        return sb_probe_leaked(run, "a call of another ABI was served");
    }
    return sb_probe_held(run, result < 0 ? "ended by signal %d" : "refused", -result);
}

static enum sb_verdict abi_int80(struct sb_run *run)
{
#if defined(__x86_64__)
    return foreign_abi(run, use_int80);
#else
    return sb_probe_na(run, "not an x86-64");
#endif
}

static enum sb_verdict abi_x32(struct sb_run *run)
{
#if defined(__x86_64__)
    return foreign_abi(run, use_x32);
#else
    return sb_probe_na(run, "not an x86-64");
#endif
}

/** libc probes for newer calls and falls back on ENOSYS only. */
static enum sb_verdict modern_calls(struct sb_run *run)
{
    struct sb_found found = {0};
    static const struct {
        const char *name;
        long number;
    } calls[] = {{"statx", 332},       {"rseq", 334},       {"close_range", 436},
                 {"openat2", 437},     {"faccessat2", 439}, {"futex_waitv", 449},
                 {"cachestat", 451},   {"fchmodat2", 452},  {"epoll_pwait2", 441},
                 {"getrandom", 318},   {"landlock", 444},   {"mseal", 462},
                 {"no such call", 999}};
    for (size_t i = 0; i < SB_COUNT(calls); i++) {
        if (syscall(calls[i].number, -1L, 0L, 0L, 0L, 0L, 0L) < 0 && errno == EPERM) {
            sb_probe_found(&found, "%s", calls[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "EPERM keeps libc from falling back",
                             "newer calls work or give ENOSYS");
}

static const struct sb_probe probes[] = {
    {"io-uring", "none", "io_uring is refused", io_uring},
    {"userfaultfd", "none", "userfaultfd is refused", userfaultfd},
    {"bpf", "none", "bpf is refused", bpf},
    {"perf-event", "none", "perf_event_open is refused", perf_event},
    {"open-by-handle", "none", "open_by_handle_at is refused", open_by_handle},
    {"administration-calls", "none", "calls that administrate a host are refused",
     administration_calls},
    {"memory-calls", "none", "calls on other processes' and nodes' memory are refused",
     memory_calls},
    {"rare-calls", "none", "calls that hardly any program makes are refused", rare_calls},
    {"clock-set", "none", "the host's clock cannot be set", clock_set},
    {"kernel-log", "none", "the kernel's log cannot be read", kernel_log},
    {"hostname", "none", "the host's name is neither seen nor set", hostname},
    {"abi-int80", "none", "32-bit calls are refused", abi_int80},
    {"abi-x32", "none", "x32 calls are refused", abi_x32},
    {"modern-calls", "none", "newer calls are permitted or look absent", modern_calls},
};
const struct sb_probe_class sb_probes_syscalls = {"syscalls", probes, SB_COUNT(probes)};
