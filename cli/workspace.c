#include "cli/workspace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/arena.h"
#include "cli/args.h"

static const char belongs_to_system[] = "it belongs to the system";
static const char is_shared[] = "every program of this machine may use it";

/* The first row that fits decides. Below a tree counts, below others not. */
static const struct {
    const char *dir;
    bool is_tree;
    const char *objection; /* NULL: fine */
} places[] = {
    {"/", false, "it is the root directory"},
    {"/usr/src", true, NULL},
    {"/usr/local/src", true, NULL},
    {"/run/user", true, NULL},
    {"/bin", true, belongs_to_system},
    {"/boot", true, belongs_to_system},
    {"/dev", true, belongs_to_system},
    {"/etc", true, belongs_to_system},
    {"/lib", true, belongs_to_system},
    {"/lib32", true, belongs_to_system},
    {"/lib64", true, belongs_to_system},
    {"/libx32", true, belongs_to_system},
    {"/proc", true, belongs_to_system},
    {"/run", true, belongs_to_system},
    {"/sbin", true, belongs_to_system},
    {"/sys", true, belongs_to_system},
    {"/usr", true, belongs_to_system},
    {"/var", false, belongs_to_system},
    {"/home", false, "it holds the home directories"},
    {"/tmp", false, is_shared},
    {"/var/tmp", false, is_shared},
};

/* Seen inside as they are on the host, whatever the profile. */
static const char *const system_trees[] = {"/usr",    "/bin", "/sbin", "/lib",  "/lib32", "/lib64",
                                           "/libx32", "/etc", "/dev",  "/proc", "/sys"};

bool sb_workspace_is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    if (len == 1 && dir[0] == '/') {
        return true;
    }
    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

const char *sb_workspace_objection(const char *dir)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strcmp(dir, places[i].dir) == 0 ||
            (places[i].is_tree && sb_workspace_is_below(dir, places[i].dir))) {
            return places[i].objection;
        }
    }
    return NULL;
}

static bool is_home(void)
{
    const char *home = getenv("HOME");
    struct stat mine;
    struct stat here;
    return home != NULL && stat(home, &mine) == 0 && stat(".", &here) == 0 &&
           mine.st_dev == here.st_dev && mine.st_ino == here.st_ino;
}

static int take_current(struct sb_arena *arena, struct sb_workspace *ret, struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *dir = getcwd(NULL, 0);
    if (dir == NULL || dir[0] != '/') {
        ret->note = "it is gone";
        return 0;
    }
    ret->note = is_home() ? "it is your home directory" : sb_workspace_objection(dir);
    if (ret->note == NULL) {
        ret->source = sb_arena_text(arena, sb_str_from(dir), err);
        return ret->source == NULL ? -1 : 0;
    }
    return 0;
}

static int
take_named(const char *text, struct sb_arena *arena, struct sb_workspace *ret, struct sb_err *err)
{
    struct sb_mount_text mount;
    struct stat st;
    if (sb_mount_parse_workspace(sb_str_from(text), &mount, err) < 0) {
        return -1;
    }
    char *real = sb_mount_real(arena, mount.source, err);
    if (real == NULL) {
        return -1;
    }
    if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return sb_err_sys(err, ENOTDIR, "%s", real);
    }
    ret->source = real;
    ret->mode = mount.mode;
    return 0;
}

int sb_workspace_choose(const struct sb_args *args,
                        const char *profile,
                        bool is_remote,
                        struct sb_arena *arena,
                        struct sb_workspace *ret_workspace,
                        struct sb_err *err)
{
    struct sb_workspace chosen = {0};
    bool is_minimal = profile != NULL && strcmp(profile, "minimal") == 0;
    if (args->workspace != NULL) {
        if (args->no_workspace) {
            return sb_err_set(err, SB_INVALID, "--workspace and --no-workspace exclude each other");
        }
        if (take_named(args->workspace, arena, &chosen, err) < 0) {
            return sb_err_wrap(err, "workspace");
        }
        if (is_minimal && chosen.mode == SB_MOUNT_UNSAID) {
            chosen.mode = SB_MOUNT_RO; /* which has no workspace unless asked for */
        }
    } else if (!args->no_workspace && !is_minimal && is_remote) {
        chosen.note = "the worker is on another machine";
    } else if (!args->no_workspace && !is_minimal) {
        if (take_current(arena, &chosen, err) < 0) {
            return -1;
        }
    }
    *ret_workspace = chosen;
    return 0;
}

static bool is_in_system(const char *path)
{
    for (size_t i = 0; i < sizeof system_trees / sizeof system_trees[0]; i++) {
        if (sb_workspace_is_below(path, system_trees[i])) {
            return true;
        }
    }
    return false;
}

/* Links in the directory are followed, a link that is the command itself is not: programs look at
 * the name they are called by. NULL: SB_EXHAUSTED, or the directory is not there. */
static char *canonical(const char *command, struct sb_arena *arena, struct sb_err *err)
{
    const char *slash = strrchr(command, '/');
    struct sb_str dir = sb_str_of(command, slash == command ? 1 : (size_t)(slash - command));
    struct sb_err no_dir = {0};
    char *real = sb_mount_real(arena, dir, &no_dir);
    if (real == NULL) {
        *err = no_dir;
        return NULL;
    }
    return sb_arena_join(arena, sb_str_from(strcmp(real, "/") == 0 ? "" : real), sb_str_from(slash),
                         err);
}

int sb_workspace_locate(const struct sb_workspace *workspace,
                        const char *command,
                        struct sb_arena *arena,
                        struct sb_workspace_command *ret_command,
                        struct sb_err *err)
{
    struct stat st;
    *ret_command = (struct sb_workspace_command){.path = command};
    if (command[0] != '/' || is_in_system(command)) {
        return 0;
    }
    char *real = canonical(command, arena, err);
    if (real == NULL) {
        return err->code == SB_EXHAUSTED ? -1 : 0; /* absent: the sandbox will say so */
    }
    if (workspace->source != NULL && sb_workspace_is_below(real, workspace->source)) {
        real = sb_arena_join(arena, SB_STR(SB_MOUNT_WORKSPACE),
                             sb_str_from(real + strlen(workspace->source)), err);
        if (real == NULL) {
            return -1;
        }
        ret_command->path = real;
    } else if (!is_in_system(real) && stat(real, &st) == 0 && S_ISREG(st.st_mode)) {
        ret_command->path = real;
        ret_command->bind = real;
    }
    return 0;
}
