#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/shared/floor.h"
#include "service/spawner/filter.h"
#include "tests/unit/spawner/verdict.h"

#define ERRNO(e) (SECCOMP_RET_ERRNO | (e))
#define ALLOW    SECCOMP_RET_ALLOW

enum { MAX_RULES = 8, MAX_NAMES = 4, MAX_ARGS = 3 };

/* A filter in few words. */
struct short_rule {
    const char *names[MAX_NAMES];
    Spawn__V1__Action action;
    uint32_t error;
    struct {
        uint32_t index;
        Spawn__V1__Compare op;
        uint64_t a, b;
    } args[MAX_ARGS];
    size_t n_args;
};

static int compile(Spawn__V1__Action default_action,
                   uint32_t default_errno,
                   const struct short_rule *rules,
                   size_t n,
                   struct sb_filter *ret_filter,
                   struct sb_err *err)
{
    Spawn__V1__LoadFilter msg = SPAWN__V1__LOAD_FILTER__INIT;
    Spawn__V1__FilterRule rows[MAX_RULES];
    Spawn__V1__FilterRule *row_pointers[MAX_RULES];
    Spawn__V1__FilterArg args[MAX_RULES][MAX_ARGS];
    Spawn__V1__FilterArg *arg_pointers[MAX_RULES][MAX_ARGS];
    char *names[MAX_RULES][MAX_NAMES];
    for (size_t i = 0; i < n; i++) {
        spawn__v1__filter_rule__init(&rows[i]);
        memcpy(names[i], rules[i].names, sizeof names[i]);
        rows[i].names = names[i];
        while (rows[i].n_names < MAX_NAMES && names[i][rows[i].n_names] != NULL) {
            rows[i].n_names++;
        }
        rows[i].action = rules[i].action;
        rows[i].errno_value = rules[i].error;
        rows[i].args = arg_pointers[i];
        rows[i].n_args = rules[i].n_args;
        for (size_t k = 0; k < rules[i].n_args; k++) {
            spawn__v1__filter_arg__init(&args[i][k]);
            args[i][k].index = rules[i].args[k].index;
            args[i][k].op = rules[i].args[k].op;
            args[i][k].value = rules[i].args[k].a;
            args[i][k].value_two = rules[i].args[k].b;
            arg_pointers[i][k] = &args[i][k];
        }
        row_pointers[i] = &rows[i];
    }
    msg.default_action = default_action;
    msg.default_errno = default_errno;
    msg.rules = row_pointers;
    msg.n_rules = n;
    return sb_filter_compile(&msg, ret_filter, err);
}

static struct sb_filter
good(Spawn__V1__Action action, uint32_t error, const struct short_rule *rules, size_t n)
{
    struct sb_filter filter;
    struct sb_err err;
    if (compile(action, error, rules, n, &filter, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return filter;
}

struct row {
    const char *name;
    uint64_t args[6];
    uint32_t verdict;
};

static void check(const struct sb_filter *filter, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int number = sb_floor_resolve(rows[i].name);
        if (number < 0) {
            continue; /* not on this architecture */
        }
        uint32_t got = verdict_of(&filter->forms.plain, number, rows[i].args);
        if (got != rows[i].verdict) {
            fail_msg("row %zu, %s: %#x instead of %#x", i, rows[i].name, got, rows[i].verdict);
        }
    }
}
#define CHECK(filter, rows) check(&(filter), rows, sizeof(rows) / sizeof *(rows))

/* What must be so whatever a profile says. */
static const struct row floor_rows[] = {
    {"clone", {CLONE_NEWUSER | SIGCHLD}, ERRNO(EPERM)},
    {"clone", {CLONE_NEWNS}, ERRNO(EPERM)},
    {"clone", {CLONE_NEWNET}, ERRNO(EPERM)},
    {"clone", {CLONE_NEWPID}, ERRNO(EPERM)},
    {"clone", {CLONE_NEWIPC}, ERRNO(EPERM)},
    {"clone", {CLONE_NEWUTS}, ERRNO(EPERM)},
    {"clone", {CLONE_NEWCGROUP}, ERRNO(EPERM)},
    {"clone", {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD}, ALLOW},
    {"clone3", {0}, ERRNO(ENOSYS)},
    {"unshare", {0}, ERRNO(EPERM)},
    {"setns", {0}, ERRNO(EPERM)},
    {"mount", {0}, ERRNO(EPERM)},
    {"umount2", {0}, ERRNO(EPERM)},
    {"pivot_root", {0}, ERRNO(EPERM)},
    {"chroot", {0}, ERRNO(EPERM)},
    {"open_tree", {0}, ERRNO(EPERM)},
    {"move_mount", {0}, ERRNO(EPERM)},
    {"fsopen", {0}, ERRNO(EPERM)},
    {"mount_setattr", {0}, ERRNO(EPERM)},
    {"open_tree_attr", {0}, ERRNO(EPERM)},
    {"ptrace", {0}, ERRNO(EPERM)},
    {"process_vm_readv", {0}, ERRNO(EPERM)},
    {"process_vm_writev", {0}, ERRNO(EPERM)},
    {"pidfd_getfd", {0}, ERRNO(EPERM)},
    {"kcmp", {0}, ERRNO(EPERM)},
    {"keyctl", {0}, ERRNO(EPERM)},
    {"add_key", {0}, ERRNO(EPERM)},
    {"request_key", {0}, ERRNO(EPERM)},
    {"bpf", {0}, ERRNO(EPERM)},
    {"perf_event_open", {0}, ERRNO(EPERM)},
    {"userfaultfd", {0}, ERRNO(EPERM)},
    {"io_uring_setup", {0}, ERRNO(ENOSYS)},
    {"io_uring_enter", {0}, ERRNO(ENOSYS)},
    {"io_uring_register", {0}, ERRNO(ENOSYS)},
    {"open_by_handle_at", {0}, ERRNO(EPERM)},
    {"kexec_load", {0}, ERRNO(EPERM)},
    {"init_module", {0}, ERRNO(EPERM)},
    {"finit_module", {0}, ERRNO(EPERM)},
    {"quotactl", {0}, ERRNO(EPERM)},
    {"reboot", {0}, ERRNO(EPERM)},
    {"swapon", {0}, ERRNO(EPERM)},
    {"acct", {0}, ERRNO(EPERM)},
    {"clock_settime", {0}, ERRNO(EPERM)},
    {"settimeofday", {0}, ERRNO(EPERM)},
    {"iopl", {0}, ERRNO(EPERM)},
    {"socket", {AF_UNIX, SOCK_STREAM, 0}, ALLOW},
    {"socket", {AF_INET, SOCK_STREAM, 0}, ALLOW},
    {"socket", {AF_INET6, SOCK_DGRAM, 0}, ALLOW},
    {"socket", {AF_NETLINK, SOCK_RAW, 0}, ALLOW},
    {"socket", {AF_NETLINK, SOCK_RAW, 12}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_PACKET, SOCK_RAW, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_ALG, SOCK_SEQPACKET, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_VSOCK, SOCK_STREAM, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_IPX, SOCK_DGRAM, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_UNSPEC, 0, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_KEY, SOCK_RAW, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {(1ULL << 32) | AF_ALG, SOCK_SEQPACKET, 0}, ERRNO(EAFNOSUPPORT)},
    {"socket", {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP}, ALLOW},
    {"socket", {AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP}, ALLOW},
    {"socket", {AF_INET, SOCK_RAW, IPPROTO_ICMP}, ERRNO(EPERM)},
    {"socket", {AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_PACKET, 0}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_SEQPACKET, 0}, ERRNO(EPERM)},
    {"socket", {AF_INET6, SOCK_DCCP | SOCK_CLOEXEC, 0}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, ERRNO(EPERM)},
    {"socket", {AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE}, ALLOW},
    {"socket", {AF_INET, SOCK_STREAM, 8}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_STREAM, 5}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_STREAM, 16}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_DGRAM, 18}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_DGRAM, 115}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_DGRAM, 135}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_STREAM, 15}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_STREAM, 262 /* MPTCP */}, ERRNO(EPERM)},
    {"socket", {AF_INET, SOCK_STREAM, (1ULL << 32) | IPPROTO_TCP}, ERRNO(EPERM)},
    {"socketpair", {AF_INET, SOCK_STREAM, 0}, ERRNO(EOPNOTSUPP)},
    {"mmap", {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS}, ALLOW},
    {"mmap", {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB}, ERRNO(ENOMEM)},
    {"socketpair", {AF_UNIX, SOCK_STREAM, 0}, ALLOW},
    {"socketpair", {AF_TIPC, SOCK_STREAM, 0}, ERRNO(EAFNOSUPPORT)},
    {"ioctl", {0, TIOCSTI}, ERRNO(EPERM)},
    {"ioctl", {0, (1ULL << 32) | TIOCSTI}, ERRNO(EPERM)},
    {"ioctl", {0, TIOCLINUX}, ERRNO(EPERM)},
    {"ioctl", {0, TIOCCONS}, ERRNO(EPERM)},
    {"ioctl", {0, TIOCSETD}, ERRNO(EPERM)},
    {"ioctl", {0, FIOSETOWN}, ERRNO(EPERM)},
    {"ioctl", {0, SIOCSPGRP}, ERRNO(EPERM)},
    {"ioctl", {0, TIOCGWINSZ}, ALLOW},
    {"fcntl", {0, F_SETOWN}, ERRNO(EPERM)},
    {"fcntl", {0, F_SETLEASE}, ERRNO(EPERM)},
    {"prlimit64", {1}, ERRNO(EPERM)},
    {"setuid", {0}, ERRNO(EPERM)},
    {"setuid", {54321}, ALLOW},
    {"setgid", {65534}, ERRNO(EPERM)},
    {"setreuid", {UINT32_MAX, 54321}, ALLOW},
    {"setregid", {65534, 65534}, ERRNO(EPERM)},
    {"setresuid", {0, 0, 0}, ERRNO(EPERM)},
    {"setresgid", {0, 0, 0}, ERRNO(EPERM)},
    {"chown", {0, 0, UINT32_MAX}, ERRNO(EPERM)},
    {"lchown", {0, UINT32_MAX, 0}, ERRNO(EPERM)},
    {"fchown", {99, 65534, 65534}, ERRNO(EPERM)},
    {"fchown", {99, UINT32_MAX, UINT32_MAX}, ALLOW},
    {"fchownat", {99, 0, 0, 0}, ERRNO(EPERM)},
    {"fcntl", {0, 1040}, ERRNO(EPERM)}, /* F_SETDELEG */
    {"setpriority", {0, 1}, ERRNO(EPERM)},
    {"setpriority", {PRIO_USER, 1001}, ERRNO(EPERM)},
    {"setpriority", {PRIO_USER | 1ULL << 32, 1001}, ERRNO(EPERM)},
    {"setpriority", {PRIO_PROCESS, 0}, ALLOW},
    {"madvise", {0, 0, MADV_MERGEABLE}, ERRNO(EINVAL)},
    {"madvise", {0, 0, MADV_DONTNEED}, ALLOW},
    {"prctl", {PR_SCHED_CORE}, ERRNO(EPERM)},
    {"prctl", {67}, ERRNO(EPERM)},                       /* PR_SET_MEMORY_MERGE */
    {"setsockopt", {0, IPPROTO_TCP, 31}, ERRNO(ENOENT)}, /* TCP_ULP */
    {"setsockopt", {0, IPPROTO_IP, 31}, ALLOW},
    {"ioprio_set", {1, 1}, ERRNO(EPERM)},
    {"sched_setparam", {1}, ERRNO(EPERM)},
    {"sched_setscheduler", {1}, ERRNO(EPERM)},
    {"sched_setattr", {1}, ERRNO(EPERM)},
    {"sched_setaffinity", {1}, ERRNO(EPERM)},
    {"fcntl", {0, F_SETFD}, ALLOW},
    {"chmod", {0, 0755}, ALLOW},
    {"chmod", {0, 01777}, ALLOW},
    {"chmod", {0, 04755}, ERRNO(EPERM)},
    {"fchmod", {0, 02755}, ERRNO(EPERM)},
    {"fchmodat", {0, 0, 04000}, ERRNO(EPERM)},
    {"fchmodat2", {0, 0, 06755}, ERRNO(EPERM)},
    {"fchmodat2", {0, 0, 0755}, ALLOW},
    {"open", {0, O_CREAT, 04755}, ERRNO(EPERM)},
    {"open", {0, O_RDONLY, 04755}, ALLOW},
    {"openat", {0, 0, O_CREAT | O_WRONLY, 02755}, ERRNO(EPERM)},
    {"openat", {0, 0, O_TMPFILE | O_RDWR, 04755}, ERRNO(EPERM)},
    {"openat", {0, 0, O_DIRECTORY, 04755}, ALLOW},
    {"openat", {0, 0, O_CREAT, 0644}, ALLOW},
    {"creat", {0, 04755}, ERRNO(EPERM)},
    {"mknod", {0, S_IFREG | 04755}, ERRNO(EPERM)},
    {"mknod", {0, S_IFCHR | 0666}, ERRNO(EPERM)},
    {"mknodat", {0, 0, S_IFBLK | 0666}, ERRNO(EPERM)},
    {"mknodat", {0, 0, S_IFIFO | 0666}, ALLOW},
    {"openat2", {0}, ERRNO(ENOSYS)},
    {"personality", {0}, ALLOW},
    {"personality", {8}, ALLOW},
    {"personality", {0x20000}, ALLOW},
    {"personality", {0x20008}, ALLOW},
    {"personality", {0xffffffff}, ALLOW},
    {"personality", {0x40000}, ERRNO(EPERM)},
    {"personality", {0x400000}, ERRNO(EPERM)},
    {"personality", {0x40008}, ERRNO(EPERM)},
    {"personality", {0x60000}, ERRNO(EPERM)},
    {"personality", {1}, ERRNO(EPERM)},
    {"personality", {0xfffdffff}, ERRNO(EPERM)},
    {"personality", {0xfffffff7}, ERRNO(EPERM)},
    {"personality", {0xfffdfff7}, ERRNO(EPERM)},
    {"personality", {0x80000000}, ERRNO(EPERM)},
    {"personality", {0x7fffffff}, ERRNO(EPERM)},
    {"personality", {(1ULL << 32) | 0x40000}, ERRNO(EPERM)},
    {"getpid", {0}, ALLOW},
};

static void holds_the_floor_when_a_profile_allows_all(void **state)
{
    (void)state;
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ALLOW, 0, NULL, 0);
    CHECK(filter, floor_rows);
    sb_filter_done(&filter);
}

static void holds_the_floor_when_a_profile_names_the_calls(void **state)
{
    (void)state;
    struct sb_filter filter;
    struct sb_err err;
    /* one filter for each name, as each would be the whole profile of somebody */
    for (size_t i = 0; i < sizeof floor_rows / sizeof *floor_rows; i++) {
        const struct short_rule rules[] = {
            {.names = {floor_rows[i].name}, .action = SPAWN__V1__ACTION__ACTION_ALLOW}};
        assert_int_equal(compile(SPAWN__V1__ACTION__ACTION_ERRNO, ENOTTY, rules, 1, &filter, &err),
                         0);
        check(&filter, &floor_rows[i], 1);
        sb_filter_done(&filter);
    }
}

static void allows_what_is_named_and_answers_the_default_else(void **state)
{
    (void)state;
    const struct short_rule rules[] = {{.names = {"getuid", "fchmodat2", "no_such_call"},
                                        .action = SPAWN__V1__ACTION__ACTION_ALLOW}};
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ERRNO, ENOSYS, rules, 1);
    static const struct row rows[] = {
        {"getuid", {0}, ALLOW},
        {"getgid", {0}, ERRNO(ENOSYS)},
        {"fchmodat2", {0, 0, 0644}, ALLOW},
        {"fchmodat2", {0, 0, 04644}, ERRNO(EPERM)},
        {"cachestat", {0}, ERRNO(ENOSYS)},
        {"execve", {0}, ALLOW}, /* init needs it */
        {"wait4", {0}, ALLOW},
    };
    CHECK(filter, rows);
    sb_filter_done(&filter);
}

static void takes_the_options_that_are_named_and_those_of_init(void **state)
{
    (void)state;
    const struct short_rule rules[] = {
        {.names = {"prctl"},
         .action = SPAWN__V1__ACTION__ACTION_ALLOW,
         .args = {{0, SPAWN__V1__COMPARE__COMPARE_EQ, PR_GET_NAME, 0}},
         .n_args = 1},
        {.names = {"fcntl"}, .action = SPAWN__V1__ACTION__ACTION_ALLOW},
    };
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ERRNO, ENOSYS, rules, 2);
    static const struct row rows[] = {
        {"prctl", {PR_GET_NAME}, ALLOW},         {"prctl", {PR_SET_PDEATHSIG}, ALLOW}, /* init's */
        {"prctl", {PR_SET_NO_NEW_PRIVS}, ALLOW}, {"prctl", {PR_GET_TIMING}, ERRNO(ENOSYS)},
        {"prctl", {PR_SET_MM}, ERRNO(ENOSYS)},   {"fcntl", {0, F_GETFL}, ALLOW},
        {"ioctl", {0, TIOCSCTTY}, ALLOW}, /* no list names it */
        {"ioctl", {0, FIONREAD}, ERRNO(ENOSYS)},
    };
    CHECK(filter, rows);
    sb_filter_done(&filter);
}

static void keeps_a_conditional_refusal_beside_an_allowance(void **state)
{
    (void)state;
    const struct short_rule rules[] = {
        {.names = {"lseek"}, .action = SPAWN__V1__ACTION__ACTION_ALLOW},
        {.names = {"lseek"},
         .action = SPAWN__V1__ACTION__ACTION_ERRNO,
         .error = EDOM,
         .args = {{2, SPAWN__V1__COMPARE__COMPARE_EQ, 3, 0}},
         .n_args = 1},
        {.names = {"read"}, /* which init needs */
         .action = SPAWN__V1__ACTION__ACTION_KILL_PROCESS,
         .args = {{0, SPAWN__V1__COMPARE__COMPARE_EQ, 99, 0}},
         .n_args = 1},
    };
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ERRNO, EPERM, rules, 3);
    static const struct row rows[] = {
        {"lseek", {0, 0, 0}, ALLOW},
        {"lseek", {0, 0, 3}, ERRNO(EDOM)},
        {"read", {0}, ALLOW},
        {"read", {99}, SECCOMP_RET_KILL_PROCESS},
    };
    CHECK(filter, rows);
    sb_filter_done(&filter);
}

static void lets_a_named_refusal_win_over_a_harder_default(void **state)
{
    (void)state;
    const struct short_rule rules[] = {
        {.names = {"getgid"}, .action = SPAWN__V1__ACTION__ACTION_ERRNO, .error = ENOSYS}};
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_KILL_PROCESS, 0, rules, 1);
    static const struct row rows[] = {
        {"getgid", {0}, ERRNO(ENOSYS)},
        {"getuid", {0}, SECCOMP_RET_KILL_PROCESS},
    };
    CHECK(filter, rows);
    sb_filter_done(&filter);
}

static void compares_arguments_as_asked(void **state)
{
    (void)state;
    const struct short_rule rules[] = {
        {.names = {"lseek"},
         .action = SPAWN__V1__ACTION__ACTION_ALLOW,
         .args = {{0, SPAWN__V1__COMPARE__COMPARE_LT, 10, 0},
                  {1, SPAWN__V1__COMPARE__COMPARE_MASKED_EQ, 0xf0, 0x20},
                  {2, SPAWN__V1__COMPARE__COMPARE_NE, 7, 0}},
         .n_args = 3}};
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ERRNO, EPERM, rules, 1);
    static const struct row rows[] = {
        {"lseek", {9, 0x2f, 6}, ALLOW},
        {"lseek", {10, 0x2f, 6}, ERRNO(EPERM)},
        {"lseek", {9, 0x3f, 6}, ERRNO(EPERM)},
        {"lseek", {9, 0x2f, 7}, ERRNO(EPERM)},
    };
    CHECK(filter, rows);
    sb_filter_done(&filter);
}

static void answers_notify_as_its_errno(void **state)
{
    (void)state;
    const struct short_rule rules[] = {
        {.names = {"getgid"}, .action = SPAWN__V1__ACTION__ACTION_NOTIFY, .error = EACCES}};
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ALLOW, 0, rules, 1);
    static const struct row rows[] = {{"getgid", {0}, ERRNO(EACCES)}};
    CHECK(filter, rows);
    sb_filter_done(&filter);
}

static void kills_calls_of_other_architectures(void **state)
{
    (void)state;
    const uint64_t none[6] = {0};
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ALLOW, 0, NULL, 0);
    assert_int_equal(verdict_of_arch(&filter.forms.plain, AUDIT_ARCH_I386, 20, none),
                     SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(verdict_of_arch(&filter.forms.plain, AUDIT_ARCH_ARM, 20, none),
                     SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
    assert_int_equal(verdict_of(&filter.forms.plain, 0x40000000 | SYS_getpid, none),
                     SECCOMP_RET_KILL_PROCESS);
#endif
    sb_filter_done(&filter);
}

static void refuses_bad_filters_by_name(void **state)
{
    (void)state;
    static const struct {
        Spawn__V1__Action default_action;
        struct short_rule rule;
        const char *text;
    } rows[] = {
        {SPAWN__V1__ACTION__ACTION_UNSPECIFIED, {.names = {"read"}}, "default_action"},
        {(Spawn__V1__Action)99, {.names = {"read"}}, "default_action"},
        {(Spawn__V1__Action)-1, {.names = {"read"}}, "default_action"},
        {SPAWN__V1__ACTION__ACTION_ERRNO, {.names = {"read"}}, "default_action: errno"},
        {SPAWN__V1__ACTION__ACTION_ALLOW, {.names = {"read"}}, "rules[0]: action"},
        {SPAWN__V1__ACTION__ACTION_ALLOW,
         {.names = {"read"}, .action = SPAWN__V1__ACTION__ACTION_ERRNO, .error = 5000},
         "rules[0]: errno"},
        {SPAWN__V1__ACTION__ACTION_ALLOW,
         {.names = {"read"},
          .action = SPAWN__V1__ACTION__ACTION_TRAP,
          .args = {{6, SPAWN__V1__COMPARE__COMPARE_EQ, 0, 0}},
          .n_args = 1},
         "args.index"},
        {SPAWN__V1__ACTION__ACTION_ALLOW,
         {.names = {"read"},
          .action = SPAWN__V1__ACTION__ACTION_TRAP,
          .args = {{0, SPAWN__V1__COMPARE__COMPARE_EQ, 0, 0},
                   {0, SPAWN__V1__COMPARE__COMPARE_EQ, 1, 0}},
          .n_args = 2},
         "args.index"},
        {SPAWN__V1__ACTION__ACTION_ALLOW,
         {.names = {"read"},
          .action = SPAWN__V1__ACTION__ACTION_TRAP,
          .args = {{0, SPAWN__V1__COMPARE__COMPARE_UNSPECIFIED, 0, 0}},
          .n_args = 1},
         "args.op"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_filter filter;
        struct sb_err err;
        assert_int_equal(compile(rows[i].default_action, 0, &rows[i].rule, 1, &filter, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
        if (strstr(err.text, rows[i].text) == NULL) {
            fail_msg("row %zu: \"%s\" lacks %s", i, err.text, rows[i].text);
        }
    }
}

static void compiles_the_same_content_once_and_no_more_than_fit(void **state)
{
    (void)state;
    static struct sb_filter_cache cache;
    Spawn__V1__LoadFilter msg = SPAWN__V1__LOAD_FILTER__INIT;
    struct sb_err err;
    uint64_t id = 0;
    msg.default_action = SPAWN__V1__ACTION__ACTION_ERRNO;
    for (uint32_t i = 1; i <= SB_FILTER_MAX_CACHED; i++) {
        msg.default_errno = i;
        assert_int_equal(sb_filter_load(&cache, &msg, &id, &err), 0);
        assert_int_equal(id, i);
        assert_int_equal(sb_filter_load(&cache, &msg, &id, &err), 0);
        assert_int_equal(id, i);
    }
    msg.default_errno++;
    assert_int_equal(sb_filter_load(&cache, &msg, &id, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_null(sb_filter_find(&cache, 0));
    assert_null(sb_filter_find(&cache, SB_FILTER_MAX_CACHED + 1));
    assert_non_null(sb_filter_find(&cache, 1));
    sb_filter_cache_done(&cache);
}

/* Asks the kernel in a child: what it gives for that call under the filter. */
static int ask_kernel(const struct sb_filter *filter, long number, long a, long b, long c)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sb_err err;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            sb_filter_install(filter, NULL, &err) < 0) {
            _exit(255);
        }
        long got = syscall(number, a, b, c, 0, 0, 0);
        _exit(got < 0 ? errno : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void is_what_the_kernel_does(void **state)
{
    (void)state;
    const struct short_rule rules[] = {
        {.names = {"getgid"}, .action = SPAWN__V1__ACTION__ACTION_ERRNO, .error = EDOM},
        {.names = {"getegid"}, .action = SPAWN__V1__ACTION__ACTION_KILL_PROCESS},
    };
    struct sb_filter filter = good(SPAWN__V1__ACTION__ACTION_ALLOW, 0, rules, 2);
    assert_int_equal(ask_kernel(&filter, SYS_getuid, 0, 0, 0), 0);
    assert_int_equal(ask_kernel(&filter, SYS_getgid, 0, 0, 0), EDOM);
    assert_int_equal(ask_kernel(&filter, SYS_getegid, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(ask_kernel(&filter, SYS_socket, AF_ALG, SOCK_SEQPACKET, 0), EAFNOSUPPORT);
    assert_int_equal(ask_kernel(&filter, SYS_clone3, 0, 0, 0), ENOSYS);
    assert_int_equal(ask_kernel(&filter, SYS_mount, 0, 0, 0), EPERM);
    assert_int_equal(ask_kernel(&filter, SYS_personality, 0x40000, 0, 0), EPERM);
    assert_int_equal(ask_kernel(&filter, 452 /* fchmodat2 */, -1, 0, 04755), EPERM);
    assert_int_not_equal(ask_kernel(&filter, 452, -1, 0, 0755), EPERM);
    sb_filter_done(&filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_floor_when_a_profile_allows_all),
        cmocka_unit_test(holds_the_floor_when_a_profile_names_the_calls),
        cmocka_unit_test(allows_what_is_named_and_answers_the_default_else),
        cmocka_unit_test(takes_the_options_that_are_named_and_those_of_init),
        cmocka_unit_test(keeps_a_conditional_refusal_beside_an_allowance),
        cmocka_unit_test(lets_a_named_refusal_win_over_a_harder_default),
        cmocka_unit_test(compares_arguments_as_asked),
        cmocka_unit_test(answers_notify_as_its_errno),
        cmocka_unit_test(kills_calls_of_other_architectures),
        cmocka_unit_test(refuses_bad_filters_by_name),
        cmocka_unit_test(compiles_the_same_content_once_and_no_more_than_fit),
        cmocka_unit_test(is_what_the_kernel_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
