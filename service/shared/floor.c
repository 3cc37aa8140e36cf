#include "service/shared/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define LOW32 0xffffffffULL /* the kernel reads an int from these bits and ignores those above */

/* Newer than some headers, or in such as libc's cannot stand beside. */
enum {
    SET_DELEGATION = 1040, /* F_SETDELEG, Linux 6.19 */
    SET_MEMORY_MERGE = 67, /* PR_SET_MEMORY_MERGE, Linux 6.4 */
    UPPER_PROTOCOL = 31,   /* TCP_ULP */
};

/* Conditions. BITS: all of these bits are set. INT: the argument, read as an int, is that. */
#define BITS(arg, bits)                                                                            \
    {                                                                                              \
        (arg), SB_ARGCMP_MASKED_EQ, (bits), (bits)                                                 \
    }
#define FIELD(arg, mask, is)                                                                       \
    {                                                                                              \
        (arg), SB_ARGCMP_MASKED_EQ, (mask), (is)                                                   \
    }
#define INT(arg, value) FIELD(arg, LOW32, (uint64_t)(value))
#define IS(arg, value)                                                                             \
    {                                                                                              \
        (arg), SB_ARGCMP_EQ, (value), 0                                                            \
    }
#define ABOVE(arg, value)                                                                          \
    {                                                                                              \
        (arg), SB_ARGCMP_GT, (value), 0                                                            \
    }
#define NOT(arg, value)                                                                            \
    {                                                                                              \
        (arg), SB_ARGCMP_NE, (value), 0                                                            \
    }

#define NEVER(name)                                                                                \
    {                                                                                              \
        name, EPERM, 0,                                                                            \
        {                                                                                          \
            {                                                                                      \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
#define ABSENT(name)                                                                               \
    {                                                                                              \
        name, ENOSYS, 0,                                                                           \
        {                                                                                          \
            {                                                                                      \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
#define WHEN(name, a)                                                                              \
    {                                                                                              \
        name, EPERM, 1,                                                                            \
        {                                                                                          \
            a                                                                                      \
        }                                                                                          \
    }
#define WHEN2(name, a, b)                                                                          \
    {                                                                                              \
        name, EPERM, 2,                                                                            \
        {                                                                                          \
            a, b                                                                                   \
        }                                                                                          \
    }

/* A new namespace brings kernel interfaces into reach that only root meets otherwise. The flags of
 * clone3 lie in memory, where no filter can see them: it must seem not to exist, so that libc falls
 * back to clone. */
#define CLONE_BIT(bit) WHEN("clone", BITS(0, bit))

/* Sockets: UNIX, INET, INET6, and NETLINK with protocol ROUTE (0). */
#define NO_FAMILY(call, family)                                                                    \
    {                                                                                              \
        call, EAFNOSUPPORT, 1,                                                                     \
        {                                                                                          \
            IS(0, family)                                                                          \
        }                                                                                          \
    }
#define FAMILIES(call)                                                                             \
    NO_FAMILY(call, 0), NO_FAMILY(call, 3), NO_FAMILY(call, 4), NO_FAMILY(call, 5),                \
        NO_FAMILY(call, 6), NO_FAMILY(call, 7), NO_FAMILY(call, 8), NO_FAMILY(call, 9),            \
        NO_FAMILY(call, 11), NO_FAMILY(call, 12), NO_FAMILY(call, 13), NO_FAMILY(call, 14),        \
        NO_FAMILY(call, 15), {call, EAFNOSUPPORT, 1, {ABOVE(0, AF_NETLINK)}},                      \
    {                                                                                              \
        call, EAFNOSUPPORT, 2,                                                                     \
        {                                                                                          \
            IS(0, AF_NETLINK), NOT(2, 0)                                                           \
        }                                                                                          \
    }

/* Of the internet's sockets TCP, UDP and UDP-Lite, which every kernel has built in. For others the
 * kernel loads modules that hardly any host uses, and whoever asks needs no right for that. EPERM,
 * as programs expect of raw sockets. A rule has one condition on an argument, so ranges are masks.
 */
#define INET(family, compare)                                                                      \
    {                                                                                              \
        "socket", EPERM, 2,                                                                        \
        {                                                                                          \
            IS(0, family), compare                                                                 \
        }                                                                                          \
    }
#define TYPE(is)            FIELD(1, 0xf, is) /* the kernel's mask; above are flags */
#define PROTOCOLS(first, n) FIELD(2, ~((n)-1ULL), first)
#define INTERNET(family)                                                                           \
    INET(family, TYPE(SOCK_RAW)), INET(family, TYPE(SOCK_RDM)),                                    \
        INET(family, TYPE(SOCK_SEQPACKET)), INET(family, TYPE(SOCK_DCCP)),                         \
        INET(family, TYPE(SOCK_PACKET)), INET(family, PROTOCOLS(1, 1)),                            \
        INET(family, PROTOCOLS(2, 2)), INET(family, PROTOCOLS(4, 2)),                              \
        INET(family, PROTOCOLS(7, 1)), INET(family, PROTOCOLS(8, 8)),                              \
        INET(family, PROTOCOLS(16, 1)), INET(family, PROTOCOLS(18, 2)),                            \
        INET(family, PROTOCOLS(20, 4)), INET(family, PROTOCOLS(24, 8)),                            \
        INET(family, PROTOCOLS(32, 32)), INET(family, PROTOCOLS(64, 64)),                          \
        INET(family, PROTOCOLS(128, 8)), INET(family, ABOVE(2, IPPROTO_UDPLITE)),                  \
    {                                                                                              \
        "socketpair", EOPNOTSUPP, 1,                                                               \
        {                                                                                          \
            IS(0, family)                                                                          \
        }                                                                                          \
    }

/* No file may become setuid or setgid: on a bound directory it would be one of the host's. */
#define SETID(call, mode) WHEN(call, BITS(mode, S_ISUID)), WHEN(call, BITS(mode, S_ISGID))
#define SETID_IF(call, flags, flag, mode)                                                          \
    WHEN2(call, BITS(flags, flag), BITS(mode, S_ISUID)),                                           \
        WHEN2(call, BITS(flags, flag), BITS(mode, S_ISGID))
/* mode counts only with these flags; without them libraries leave any value in its place. */
#define SETID_OPEN(call, flags, mode)                                                              \
    SETID_IF(call, flags, O_CREAT, mode), SETID_IF(call, flags, O_TMPFILE & ~O_DIRECTORY, mode)
#define NO_DEVICE(call, mode)                                                                      \
    WHEN(call, FIELD(mode, S_IFMT, S_IFCHR)), WHEN(call, FIELD(mode, S_IFMT, S_IFBLK))

/* Root and nobody do not exist inside, of which the kernel says EINVAL. What programs know how to
 * handle is what an ordinary user gets. */
#define NO_ROOT(call, id)   WHEN(call, INT(id, 0)), WHEN(call, INT(id, 65534))
#define NO_OWNER(call, uid) NO_ROOT(call, uid), NO_ROOT(call, (uid) + 1)

const struct sb_floor_rule sb_floor_rules[] = {
    /* namespaces, mounts, roots */
    CLONE_BIT(CLONE_NEWNS),
    CLONE_BIT(CLONE_NEWCGROUP),
    CLONE_BIT(CLONE_NEWUTS),
    CLONE_BIT(CLONE_NEWIPC),
    CLONE_BIT(CLONE_NEWUSER),
    CLONE_BIT(CLONE_NEWPID),
    CLONE_BIT(CLONE_NEWNET),
    ABSENT("clone3"),
    NEVER("unshare"),
    NEVER("setns"),
    NEVER("mount"),
    NEVER("umount"),
    NEVER("umount2"),
    NEVER("pivot_root"),
    NEVER("chroot"),
    NEVER("open_tree"),
    NEVER("open_tree_attr"),
    NEVER("move_mount"),
    NEVER("fsopen"),
    NEVER("fsconfig"),
    NEVER("fsmount"),
    NEVER("fspick"),
    NEVER("mount_setattr"),
    NEVER("statmount"),
    NEVER("listmount"),
    NEVER("listns"),
    NEVER("open_by_handle_at"),
    NEVER("name_to_handle_at"),
    NEVER("quotactl"),
    NEVER("quotactl_fd"),
    NEVER("fanotify_init"),
    NEVER("fanotify_mark"),

    /* other processes, their memory and keys */
    NEVER("ptrace"),
    NEVER("process_vm_readv"),
    NEVER("process_vm_writev"),
    NEVER("process_madvise"),
    NEVER("process_mrelease"),
    NEVER("pidfd_getfd"),
    NEVER("kcmp"),
    NEVER("keyctl"),
    NEVER("add_key"),
    NEVER("request_key"),
    NEVER("move_pages"),
    NEVER("migrate_pages"),
    NEVER("lookup_dcookie"),

    /* wide kernel interfaces */
    NEVER("bpf"),
    NEVER("perf_event_open"),
    NEVER("userfaultfd"),
    NEVER("vmsplice"),
    ABSENT("io_uring_setup"),
    ABSENT("io_uring_enter"),
    ABSENT("io_uring_register"),
    NEVER("modify_ldt"),
    NEVER("uselib"),
    NEVER("ustat"),
    NEVER("sysfs"),
    NEVER("_sysctl"),
    NEVER("nfsservctl"),
    NEVER("remap_file_pages"),
    NEVER("vm86"),
    NEVER("vm86old"),

    /* the machine */
    NEVER("kexec_load"),
    NEVER("kexec_file_load"),
    NEVER("init_module"),
    NEVER("finit_module"),
    NEVER("delete_module"),
    NEVER("create_module"),
    NEVER("reboot"),
    NEVER("swapon"),
    NEVER("swapoff"),
    NEVER("acct"),
    NEVER("syslog"),
    NEVER("settimeofday"),
    NEVER("stime"),
    NEVER("clock_settime"),
    NEVER("clock_settime64"),
    NEVER("iopl"),
    NEVER("ioperm"),
    NEVER("sethostname"),
    NEVER("setdomainname"),
    NEVER("vhangup"),
    /* adjtimex and clock_adjtime only read without CAP_SYS_TIME, and libraries do */

    FAMILIES("socket"),
    FAMILIES("socketpair"),
    INTERNET(AF_INET),
    INTERNET(AF_INET6),

    /* huge pages come from a pool of the host, outside of the limit on memory */
    {"mmap", ENOMEM, 1, {BITS(3, MAP_HUGETLB)}},
    {"memfd_create", ENOMEM, 1, {BITS(1, MFD_HUGETLB)}},

    /* limits and priorities of PID 1, whose effective uid is the job's */
    WHEN("prlimit64", INT(0, 1)),
    WHEN("setpriority", INT(1, 1)),
    WHEN("setpriority", INT(0, PRIO_USER)), /* it is one of those of its user */
    WHEN("ioprio_set", INT(1, 1)),
    WHEN("sched_setparam", INT(0, 1)),
    WHEN("sched_setscheduler", INT(0, 1)),
    WHEN("sched_setattr", INT(0, 1)),
    WHEN("sched_setaffinity", INT(0, 1)),

    /* somebody else */
    NO_ROOT("setuid", 0),
    NO_ROOT("setgid", 0),
    NO_ROOT("setreuid", 0),
    NO_ROOT("setregid", 0),
    NO_ROOT("setresuid", 0),
    NO_ROOT("setresgid", 0),
    NO_OWNER("chown", 1),
    NO_OWNER("fchown", 1),
    NO_OWNER("lchown", 1),
    NO_OWNER("fchownat", 2),

    /* typing into a terminal, taking one over, and signals sent by way of descriptors that
     * others share */
    WHEN("ioctl", INT(1, TIOCSTI)),
    WHEN("ioctl", INT(1, TIOCLINUX)),
    WHEN("ioctl", INT(1, TIOCCONS)),
    WHEN("ioctl", INT(1, TIOCSETD)),
    WHEN("ioctl", INT(1, FIOSETOWN)),
    WHEN("ioctl", INT(1, SIOCSPGRP)),
    WHEN("fcntl", INT(1, F_SETOWN)),
    WHEN("fcntl", INT(1, F_SETOWN_EX)),
    /* a lease on a file of the host stalls whoever opens it there */
    WHEN("fcntl", INT(1, F_SETLEASE)),
    WHEN("fcntl", INT(1, SET_DELEGATION)), /* the same for a directory, too */

    /* pages that are equal to others of the host's become one, and who writes to such a page can
     * tell; another thread of a core stands still for who has a cookie of his own */
    {"madvise", EINVAL, 1, {INT(2, MADV_MERGEABLE)}},
    WHEN("prctl", INT(0, SET_MEMORY_MERGE)),
    WHEN("prctl", INT(0, PR_SCHED_CORE)),
    /* parsers in the kernel of what comes by TCP; what is not built in answers so, and libraries
     * have their own */
    {"setsockopt", ENOENT, 2, {INT(1, IPPROTO_TCP), INT(2, UPPER_PROTOCOL)}},

    /* mkdir is not here: the kernel drops these bits itself */
    SETID("chmod", 1),
    SETID("fchmod", 1),
    SETID("fchmodat", 2),
    SETID("fchmodat2", 2),
    SETID("creat", 1),
    SETID("mknod", 1),
    SETID("mknodat", 2),
    SETID_OPEN("open", 1, 2),
    SETID_OPEN("openat", 2, 3),
    ABSENT("openat2"), /* its mode lies in memory */
    NO_DEVICE("mknod", 1),
    NO_DEVICE("mknodat", 2),
};
const size_t sb_floor_n_rules = COUNT(sb_floor_rules);

const char *const sb_floor_init_calls[] = {
    "brk",          "chdir",           "clone",      "close",   "close_range",  "dup2",
    "dup3",         "execve",          "execveat",   "exit",    "exit_group",   "fork",
    "futex",        "getdents64",      "getpid",     "getppid", "getresuid",    "kill",
    "mmap",         "munmap",          "newfstatat", "open",    "openat",       "pipe2",
    "poll",         "ppoll",           "read",       "recvmsg", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "seccomp",    "sendmsg", "sendto",       "setresuid",
    "setsid",       "signalfd4",       "statfs",     "vfork",   "wait4",        "waitid",
    "write",
};
const size_t sb_floor_n_init_calls = COUNT(sb_floor_init_calls);

const struct sb_floor_init_arg sb_floor_init_args[] = {
    {"prctl", IS(0, PR_SET_PDEATHSIG)},
    {"prctl", IS(0, PR_GET_DUMPABLE)},
    {"prctl", IS(0, PR_SET_DUMPABLE)},
    {"prctl", IS(0, PR_SET_NAME)},
    {"prctl", IS(0, PR_SET_CHILD_SUBREAPER)},
    {"prctl", IS(0, PR_SET_NO_NEW_PRIVS)},
    {"fcntl", IS(1, F_SETFD)},
    {"fcntl", IS(1, F_DUPFD_CLOEXEC)},
    {"ioctl", IS(1, TIOCSCTTY)},
    {"ioctl", IS(1, TIOCSPTLCK)},
    {"ioctl", IS(1, TIOCSWINSZ)},
    {"ioctl", IS(1, TIOCGPTPEER)},
};
const size_t sb_floor_n_init_args = COUNT(sb_floor_init_args);

enum sb_floor_need sb_floor_need(const char *name)
{
    for (size_t i = 0; i < sb_floor_n_init_calls; i++) {
        if (*sb_floor_init_calls[i] == *name && strcmp(sb_floor_init_calls[i], name) == 0) {
            return SB_FLOOR_NEEDS_ALL;
        }
    }
    for (size_t i = 0; i < sb_floor_n_init_args; i++) {
        if (strcmp(sb_floor_init_args[i].name, name) == 0) {
            return SB_FLOOR_NEEDS_SOME;
        }
    }
    return SB_FLOOR_NOT_NEEDED;
}

/* What libseccomp may not know: from Linux 5.18 on, with the same numbers on all architectures. */
static const struct {
    const char *name;
    int number;
} newer[] = {
    {"set_mempolicy_home_node", 450},
    {"cachestat", 451},
    {"fchmodat2", 452},
    {"map_shadow_stack", 453},
    {"futex_wake", 454},
    {"futex_wait", 455},
    {"futex_requeue", 456},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},
    {"mseal", 462},
    {"setxattrat", 463},
    {"getxattrat", 464},
    {"listxattrat", 465},
    {"removexattrat", 466},
    {"open_tree_attr", 467},
    {"file_getattr", 468},
    {"file_setattr", 469},
    {"listns", 470},
};

/* By name; without pointers, so that nothing has to be done with it when a program starts. */
static const struct {
    char name[30];
    uint16_t number;
} known[] = {
#include "service/shared/calls.inc"
};

static int find_known(const char *name)
{
    size_t first = 0;
    size_t end = COUNT(known);
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        const int order = strcmp(name, known[middle].name);
        if (order == 0) {
            return known[middle].number;
        }
        if (order < 0) {
            end = middle;
        } else {
            first = middle + 1;
        }
    }
    return -1;
}

int sb_floor_resolve(const char *name)
{
    int number = find_known(name);
    for (size_t i = 0; number < 0 && i < COUNT(newer); i++) {
        if (strcmp(newer[i].name, name) == 0) {
            number = newer[i].number;
        }
    }
    return number;
}

char *sb_floor_name(int number)
{
    for (size_t i = 0; i < COUNT(newer); i++) {
        if (newer[i].number == number) {
            return strdup(newer[i].name);
        }
    }
    for (size_t i = 0; i < COUNT(known); i++) {
        if (known[i].number == number) {
            return strdup(known[i].name);
        }
    }
    return NULL;
}
