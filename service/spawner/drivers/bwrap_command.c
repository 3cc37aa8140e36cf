#include "service/spawner/drivers/bwrap_command.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "service/spawner/drivers/bwrap_probe.h"
#include "service/spawner/fds.h"
#include "service/spawner/plan.h"
#include "service/spawner/proc.h"
#include "service/spawner/proc_list.h"
#include "service/spawner/rootfs.h"

/* Words that are constant or the plan's, ended by NULL. What does not fit shows in the end. */
static void add(struct sb_bwrap_command *command, const char *word, ...)
{
    va_list rest;
    va_start(rest, word);
    for (; word != NULL; word = va_arg(rest, const char *)) {
        if (command->n < SB_BWRAP_MAX_WORDS) {
            command->words[command->n] = word;
        }
        command->n++;
    }
    va_end(rest);
}

/* A word made of two. */
static const char *join(struct sb_bwrap_command *command, const char *first, const char *second)
{
    size_t left = sizeof command->text - command->used;
    char *word = command->text + command->used;
    int len = snprintf(word, left, "%s%s", first, second);
    if (len < 0 || (size_t)len >= left) {
        command->n = SB_BWRAP_MAX_WORDS; /* shows in the end */
        return "";
    }
    command->used += (size_t)len + 1;
    return word;
}

static const char *staged(struct sb_bwrap_command *command, const char *path)
{
    return join(command, SB_ROOTFS_STAGE, path);
}

static void add_namespaces(struct sb_bwrap_command *command,
                           const struct sb_plan *plan,
                           const struct sb_bwrap *bwrap)
{
    add(command, "bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup", "--hostname", plan->hostname, "--die-with-parent", "--new-session",
        "--as-pid-1", "--clearenv", "--cap-drop", "ALL", NULL);
    if (bwrap->has_disable_userns) {
        add(command, "--disable-userns", NULL);
    }
}

static int
add_system(struct sb_bwrap_command *command, const struct sb_plan *plan, struct sb_err *err)
{
    for (const struct sb_rootfs_tree *tree = sb_rootfs_trees; tree->path != NULL; tree++) {
        char link[64];
        struct stat st;
        if (plan->is_minimal ? !tree->in_minimal : !tree->in_system) {
            continue;
        }
        const char *path = join(command, "/", tree->path);
        if (lstat(path, &st) < 0) {
            if (errno == ENOENT) {
                continue;
            }
            return sb_err_sys(err, errno, "look at %s", path);
        }
        if (!S_ISLNK(st.st_mode)) {
            add(command, "--ro-bind", path, path, NULL);
            continue;
        }
        ssize_t len = readlink(path, link, sizeof link - 1);
        if (len < 0) {
            return sb_err_sys(err, errno, "read link %s", path);
        }
        link[len] = '\0';
        add(command, "--symlink", join(command, link, ""), path, NULL);
    }
    return 0;
}

static int cover(void *arg, const char *name, bool is_dir, struct sb_err *err)
{
    struct sb_bwrap_command *command = arg;
    (void)err;
    add(command, "--ro-bind",
        is_dir ? SB_ROOTFS_STAGE "/" SB_PROC_EMPTY_DIR : SB_ROOTFS_STAGE "/" SB_PROC_EMPTY_FILE,
        join(command, "/proc/", name), NULL);
    return 0;
}

/* The names are the kernel's, and so the same in any procfs. */
static int add_proc(struct sb_bwrap_command *command, struct sb_err *err)
{
    add(command, "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", NULL);
    return sb_proc_each_hidden("/proc", cover, command, err);
}

static bool is_below(const char *path, const char *tree)
{
    size_t len = strlen(tree);
    return strncmp(path, tree, len) == 0 && path[len] == '/';
}

/* Binds are recursive: what is mounted below a staged tmpfs comes with it. */
static void add_space(struct sb_bwrap_command *command, const struct sb_plan *plan)
{
    add(command, "--bind", staged(command, "/tmp"), "/tmp", NULL);
    if (plan->workspace_is_tmpfs) {
        add(command, plan->workspace_read_only ? "--ro-bind" : "--bind",
            staged(command, "/workspace"), "/workspace", NULL);
    }
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const struct sb_plan_mount *mount = &plan->mounts[i];
        if (is_below(mount->target, "/tmp") ||
            (plan->workspace_is_tmpfs && is_below(mount->target, "/workspace"))) {
            continue;
        }
        add(command, mount->is_writable ? "--bind" : "--ro-bind", staged(command, mount->target),
            mount->target, NULL);
    }
}

int sb_bwrap_compile(const struct sb_plan *plan,
                     const struct sb_bwrap *bwrap,
                     struct sb_bwrap_command *ret_command,
                     struct sb_err *err)
{
    struct sb_bwrap_command *command = ret_command;
    command->n = 0;
    command->used = 0;
    add_namespaces(command, plan, bwrap);
    if (add_system(command, plan, err) < 0) {
        return -1;
    }
    add(command, "--ro-bind", SB_ROOTFS_STAGE "/etc", "/etc", "--dev-bind", SB_ROOTFS_STAGE "/dev",
        "/dev", "--remount-ro", "/dev", "--dir", "/run", "--dir", "/var/lib", "--symlink", "../tmp",
        "/var/tmp", "--symlink", "../run", "/var/run", NULL);
    if (add_proc(command, err) < 0) {
        return -1;
    }
    add_space(command, plan);
    static_assert(SB_FDS_INIT == 5 && SB_FDS_MORE == 6, "written out below");
    /* The root last: until then it takes mount points. */
    add(command, "--remount-ro", "/", "--chdir", plan->has_workspace ? "/workspace" : "/",
        "--add-seccomp-fd", "6", "--", "/proc/self/fd/5", NULL);
    if (command->n >= SB_BWRAP_MAX_WORDS) {
        return sb_err_set(err, SB_INTERNAL, "a command line of bubblewrap is too long");
    }
    command->words[command->n] = NULL;
    return 0;
}
