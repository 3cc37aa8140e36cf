#include "service/spawner/landlock.h"

/* Theory of operation. A ruleset names what it refuses (handled), and each rule opens some of that
 * again at a file or below a directory. Rules hold inodes, not names: so this step comes when all
 * mounts are in place, and opens each path from inside, which ends at what is mounted there. Rules
 * only add up: what is read-only below a writable directory, and /proc/sys below /proc, stays the
 * mounts' work. Nothing opens device nodes for making.
 *
 * TCP is left to the network namespace, which has no way out: rules know ports, not addresses, so
 * they would take the job's own loopback. */

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/child.h"

/* Newer than some headers. */
#define FS_TRUNCATE           (1ULL << 14) /* version 3 */
#define FS_IOCTL_DEV          (1ULL << 15) /* version 5 */
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0)  /* version 6 */
#define SCOPE_SIGNAL          (1ULL << 1)  /* version 6 */
#define LOG_SAME_EXEC_OFF     (1U << 0)    /* version 7 */
#define LOG_NEW_EXEC_ON       (1U << 1)    /* version 7 */
#define LOG_SUBDOMAINS_OFF    (1U << 2)    /* version 7 */

/* struct landlock_ruleset_attr of version 6. */
struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net;
    uint64_t scoped;
};

#define FS_FIRST                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_SECOND (FS_FIRST | LANDLOCK_ACCESS_FS_REFER)
#define FS_THIRD  (FS_SECOND | FS_TRUNCATE)
#define FS_FIFTH  (FS_THIRD | FS_IOCTL_DEV)
#define SCOPES    (SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL)

/* What is handled, by version. Version 1 refuses every rename and link from one directory to
 * another, which programs cannot live with. */
static const struct version {
    uint64_t fs;
    uint64_t scoped;
    size_t size; /* of struct ruleset, as far as the version knows it */
    const char *lacks;
} versions[] = {
    [2] = {FS_SECOND, 0, sizeof(uint64_t),
           "truncation, ioctls of devices, abstract sockets and signals"},
    [3] = {FS_THIRD, 0, sizeof(uint64_t), "ioctls of devices, abstract sockets and signals"},
    [4] = {FS_THIRD, 0, sizeof(uint64_t), "ioctls of devices, abstract sockets and signals"},
    [5] = {FS_FIFTH, 0, sizeof(uint64_t), "abstract sockets and signals"},
    [6] = {FS_FIFTH, SCOPES, sizeof(struct ruleset), NULL},
    [7] = {FS_FIFTH, SCOPES, sizeof(struct ruleset), NULL},
};

enum { FIRST_VERSION = 2, LOG_VERSION = 7, LAST_VERSION = sizeof versions / sizeof *versions - 1 };

#define READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define PROGRAM (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define DEVICE  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV)
#define CHANGE                                                                                     \
    (FS_THIRD & ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK))
/* All that a rule on what is no directory may name. */
#define OF_FILE                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     FS_TRUNCATE | FS_IOCTL_DEV)

/* What the spawner makes itself. An absent path or a symbolic link is passed over: what does not
 * exist needs no rule, and what a link leads to has its own. */
static const struct {
    const char *path;
    uint64_t access;
} opened[] = {
    {"/", LANDLOCK_ACCESS_FS_READ_DIR},
    {"/usr", PROGRAM},
    {"/bin", PROGRAM},
    {"/sbin", PROGRAM},
    {"/lib", PROGRAM},
    {"/lib32", PROGRAM},
    {"/lib64", PROGRAM},
    {"/libx32", PROGRAM},
    {"/etc", READ},
    /* Programs write to comm, oom_score_adj and the like of their own; the covers keep the rest. */
    {"/proc", READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE},
    {"/dev/null", DEVICE},
    {"/dev/zero", DEVICE},
    {"/dev/full", DEVICE},
    {"/dev/random", DEVICE},
    {"/dev/urandom", DEVICE},
    {"/dev/tty", DEVICE},
    {"/dev/pts", DEVICE | LANDLOCK_ACCESS_FS_READ_DIR},
    {"/dev/shm", CHANGE},
    {"/tmp", CHANGE},
};

int sb_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < FIRST_VERSION) {
        return 0;
    }
    return version > LAST_VERSION ? LAST_VERSION : (int)version;
}

const char *sb_landlock_lacks(int version)
{
    return versions[version].lacks;
}

static int make_ruleset(int version, struct sb_err *err)
{
    const struct version *row = &versions[version];
    struct ruleset ruleset = {.handled_fs = row->fs, .scoped = row->scoped};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, row->size, 0);
    return fd < 0 ? sb_err_sys(err, errno, "make a landlock ruleset") : fd;
}

/* What programs make the kernel write to the host's audit log. Walls of their own below ours write
 * nothing there, whatever they ask for. */
static int restrict_self(int ruleset_fd, int version, unsigned log, struct sb_err *err)
{
    unsigned flags = version < LOG_VERSION ? 0 : log | LOG_SUBDOMAINS_OFF;
    return syscall(SYS_landlock_restrict_self, ruleset_fd, flags) < 0
               ? sb_err_sys(err, errno, "enter landlock")
               : 0;
}

static int open_path(int ruleset_fd, const char *path, uint64_t access, struct sb_err *err)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    SB_CLEANUP(sb_closep) int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP)) {
        return 0;
    }
    if (fd < 0) {
        return sb_err_sys(err, errno, "open %s", path);
    }
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
               ? sb_err_sys(err, errno, "landlock rule for %s", path)
               : 0;
}

static int open_plan(int ruleset_fd, const struct sb_child *child, uint64_t fs, struct sb_err *err)
{
    const struct sb_plan *plan = child->plan;
    for (size_t i = 0; i < plan->n_mounts; i++) {
        bool can_change = plan->mounts[i].is_writable || sb_plan_is_overlay(plan, i);
        uint64_t access = can_change ? CHANGE : PROGRAM;
        access &= child->mount_is_dir[i] ? fs : fs & OF_FILE;
        if (open_path(ruleset_fd, plan->mounts[i].target, access, err) < 0) {
            return -1;
        }
    }
    if (!plan->workspace_is_tmpfs) {
        return 0;
    }
    uint64_t access = plan->workspace_read_only ? PROGRAM : CHANGE;
    return open_path(ruleset_fd, "/workspace", access & fs, err);
}

int sb_landlock_apply(struct sb_child *child, struct sb_err *err)
{
    if (child->landlock == 0) {
        return 0;
    }
    uint64_t fs = versions[child->landlock].fs;
    SB_CLEANUP(sb_closep) int fd = make_ruleset(child->landlock, err);
    if (fd < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof opened / sizeof *opened; i++) {
        if (open_path(fd, opened[i].path, opened[i].access & fs, err) < 0) {
            return -1;
        }
    }
    return open_plan(fd, child, fs, err) < 0
               ? -1
               : restrict_self(fd, child->landlock, child->tells_paths ? LOG_NEW_EXEC_ON : 0, err);
}

int sb_landlock_close(int version, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = make_ruleset(version, err);
    return fd < 0 ? -1 : restrict_self(fd, version, LOG_SAME_EXEC_OFF, err);
}
