/** mcp install, mcp uninstall: one entry in a file that is another program's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/jsonedit.h"
#include "cli/mcphost.h"
#include "cli/verb.h"
#include "proto/client/sibling.h"

#define BACKUP  ".aisbx-backup"
#define GATEWAY "aisbx-mcp"

/* What is to be done to which file. */
struct change {
    const struct sb_mcphost *host;
    const char *name; /* of the entry */
    char path[PATH_MAX];
    char backup[PATH_MAX + sizeof BACKUP];
    bool was_there;
    struct sb_buf before;
    struct sb_buf after;
    struct sb_out entry;
    const char *action; /* "created", "added", "changed", "unchanged", "removed", "restored" */
};

static void change_done(struct change *change)
{
    sb_buf_done(&change->before);
    sb_buf_done(&change->after);
    sb_out_done(&change->entry);
}

/* ---- the file ---- */

static int read_before(struct change *change, struct sb_err *err)
{
    if (sb_fd_read_file(AT_FDCWD, change->path, SB_JSONEDIT_MAX_BYTES, &change->before, err) == 0) {
        change->was_there = true;
        return 0;
    }
    return err->sys == ENOENT ? 0 : sb_err_wrap(err, "%s", change->path);
}

/* What the command line says of the entry and its file. */
static int read_args(const struct sb_args *args, struct change *change, struct sb_err *err)
{
    for (const char *c = change->name; *c != '\0'; c++) {
        if (strchr("\"\\/", *c) != NULL || *c < ' ' || *c > '~') {
            return sb_err_set(
                err, SB_INVALID,
                "--name: letters, digits and -_. make a name that every program takes");
        }
    }
    if (sb_mcphost_find(args->operands[0], &change->host, err) < 0) {
        return -1;
    }
    if (args->file != NULL && strlen(args->file) >= sizeof change->path) {
        return sb_err_set(err, SB_INVALID, "--file: the path is too long");
    }
    for (size_t i = 0; i < args->env.n; i++) {
        if (strchr(args->env.items[i], '=') == NULL || args->env.items[i][0] == '=') {
            return sb_err_set(err, SB_INVALID, "--env %s: wants KEY=VALUE", args->env.items[i]);
        }
    }
    return 0;
}

static int open_change(struct sb_cli *cli, struct change *change, struct sb_err *err)
{
    *change = (struct change){.name = cli->args.name == NULL ? "aisbx" : cli->args.name};
    sb_buf_init(&change->before, SB_JSONEDIT_MAX_BYTES);
    sb_buf_init(&change->after, SB_JSONEDIT_MAX_BYTES);
    sb_out_init(&change->entry, -1);
    if (sb_verb_misused(cli, read_args(&cli->args, change, err)) < 0) {
        return -1;
    }
    if (cli->args.file != NULL) {
        if (realpath(cli->args.file, change->path) == NULL) {
            (void)strcpy(change->path, cli->args.file);
        }
    } else if (sb_mcphost_path(change->host, cli->args.project, change->path, err) < 0) {
        return -1;
    }
    (void)snprintf(change->backup, sizeof change->backup, "%s" BACKUP, change->path);
    return read_before(change, err);
}

static int make_parents(const char *path, struct sb_err *err)
{
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s", path);
    for (char *slash = strchr(dir + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
            return sb_err_sys(err, errno, "make %s", dir);
        }
        *slash = '/';
    }
    return 0;
}

static int write_new(const char *path, mode_t mode, struct sb_str text, struct sb_err *err)
{
    SB_CLEANUP(sb_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (sb_fd_write_full(fd, text.ptr, text.len, err) < 0) {
        return sb_err_wrap(err, "%s", path);
    }
    return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? sb_err_sys(err, errno, "%s", path) : 0;
}

/* Whole or not at all: the program may read it at any moment. Its mode stays. */
static int replace(const char *path, struct sb_str text, struct sb_err *err)
{
    char next[PATH_MAX + 32];
    struct stat st;
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0600;
    (void)snprintf(next, sizeof next, "%s.aisbx-%ld", path, (long)getpid());
    (void)unlink(next);
    if (write_new(next, mode, text, err) < 0 || rename(next, path) < 0) {
        int failed = errno;
        (void)unlink(next);
        return err->code == SB_OK ? sb_err_sys(err, failed, "%s", path) : -1;
    }
    return 0;
}

/* ---- the entry ---- */

static void put_env(struct sb_json *json, const struct sb_args *args)
{
    const char *const fixed[][2] = {
        {"AISBX_ADDRESS", args->address},
        {"AISBX_DEFAULT_PROFILE", args->profile},
    };
    sb_json_open(json, "env", '{');
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (fixed[i][1] != NULL) {
            sb_json_cstr(json, fixed[i][0], fixed[i][1]);
        }
    }
    for (size_t i = 0; i < args->env.n; i++) {
        struct sb_str key;
        struct sb_str value;
        (void)sb_str_split(sb_str_from(args->env.items[i]), '=', &key, &value);
        sb_json_key(json, key);
        sb_json_str(json, NULL, value);
    }
    sb_json_close(json, '}');
}

static int make_entry(const struct sb_args *args, struct change *change, struct sb_err *err)
{
    char program[PATH_MAX];
    char real[PATH_MAX];
    struct sb_json json = {.out = &change->entry};
    if (!sb_sibling_find(GATEWAY, program) || realpath(program, real) == NULL) {
        return sb_err_set(err, SB_NOT_FOUND,
                          GATEWAY " is neither beside aisbx, nor in ../libexec/aisbx, nor in PATH");
    }
    sb_json_open(&json, NULL, '{');
    if (change->host->wants_type) {
        sb_json_cstr(&json, "type", "stdio");
    }
    sb_json_cstr(&json, "command", real);
    sb_json_open(&json, "args", '[');
    sb_json_cstr(&json, NULL, "--transport");
    sb_json_cstr(&json, NULL, "stdio");
    sb_json_close(&json, ']');
    put_env(&json, args);
    sb_json_close(&json, '}');
    return 0;
}

/* ---- what came of it ---- */

static int report(const struct sb_cli *cli, const struct change *change, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_str entry = sb_buf_str(&change->entry.buf);
    bool has_backup = access(change->backup, F_OK) == 0;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "program", change->host->name);
        sb_json_cstr(&json, "file", change->path);
        sb_json_cstr(&json, "name", change->name);
        sb_json_cstr(&json, "action", change->action);
        sb_json_bool(&json, "dry_run", cli->args.dry_run);
        if (has_backup) {
            sb_json_cstr(&json, "backup", change->backup);
        }
        if (entry.len > 0) {
            sb_json_str(&json, "entry", entry);
        }
        sb_json_close(&json, '}');
        sb_out_put(&out, "\n");
        return sb_out_flush(&out, err);
    }
    sb_out_printf(&out, "%s%s: ", cli->args.dry_run ? "would be " : "", change->action);
    sb_out_put_safe(&out, sb_str_from(change->path));
    sb_out_put(&out, "\n");
    if (entry.len > 0) {
        sb_out_printf(&out, "  \"%s\": ", change->name);
        sb_out_put_safe(&out, entry);
        sb_out_put(&out, "\n");
    }
    if (has_backup && !cli->args.dry_run) {
        sb_out_put(&out, "  before: ");
        sb_out_put_safe(&out, sb_str_from(change->backup));
        sb_out_put(&out, "\n");
    }
    return sb_out_flush(&out, err);
}

static int not_json(struct sb_cli *cli, const struct change *change, struct sb_err *err)
{
    sb_verb_hint(cli, "nothing was changed; mend the file, or name another by --file");
    return sb_err_wrap(err, "%s", change->path);
}

/* ---- install ---- */

static int save_before(const struct change *change, struct sb_err *err)
{
    struct stat st;
    if (!change->was_there || access(change->backup, F_OK) == 0) {
        return 0; /* the first one is what it was before us */
    }
    mode_t mode = stat(change->path, &st) == 0 ? st.st_mode & 0777 : 0600;
    return write_new(change->backup, mode, sb_buf_str(&change->before), err);
}

int sb_verb_mcp_install(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(change_done) struct change change;
    struct sb_str old;
    bool is_there = false;
    sb_err_clear(err);
    if (open_change(cli, &change, err) < 0 || make_entry(&cli->args, &change, err) < 0) {
        return -1;
    }
    struct sb_str before = sb_buf_str(&change.before);
    struct sb_str entry = sb_buf_str(&change.entry.buf);
    if (sb_jsonedit_find(before, change.host->object, change.name, &is_there, &old, err) < 0 ||
        sb_jsonedit_set(before, change.host->object, change.name, entry, &change.after, err) < 0) {
        return not_json(cli, &change, err);
    }
    bool is_same = is_there && sb_str_eq(old, entry);
    change.action = !change.was_there ? "created"
                    : !is_there       ? "added"
                    : is_same         ? "unchanged"
                                      : "changed";
    if (!cli->args.dry_run && !is_same &&
        (make_parents(change.path, err) < 0 || save_before(&change, err) < 0 ||
         replace(change.path, sb_buf_str(&change.after), err) < 0)) {
        return -1;
    }
    *ret_status = 0;
    if (report(cli, &change, err) < 0) {
        return -1;
    }
    if (!cli->args.dry_run && !is_same && !cli->args.json) {
        sb_say_note("start %s anew to use it", change.host->title);
    }
    return 0;
}

/* ---- uninstall ---- */

/* Whether the file is exactly what install made of @before. */
static bool
is_ours(const struct change *change, struct sb_str before, struct sb_str entry, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf again = SB_BUF_INIT(SB_JSONEDIT_MAX_BYTES);
    return sb_jsonedit_set(before, change->host->object, change->name, entry, &again, err) == 0 &&
           sb_str_eq(sb_buf_str(&again), sb_buf_str(&change->before));
}

static int undo(struct change *change, bool is_dry, struct sb_str entry, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf kept = SB_BUF_INIT(SB_JSONEDIT_MAX_BYTES);
    struct sb_err ignored;
    bool has_backup =
        sb_fd_read_file(AT_FDCWD, change->backup, SB_JSONEDIT_MAX_BYTES, &kept, &ignored) == 0;
    if (!has_backup && is_ours(change, SB_STR(""), entry, &ignored)) {
        change->action = "removed";
        return is_dry || unlink(change->path) == 0 ? 0 : sb_err_sys(err, errno, "%s", change->path);
    }
    if (has_backup && is_ours(change, sb_buf_str(&kept), entry, &ignored)) {
        change->action = "restored";
        return is_dry                                              ? 0
               : replace(change->path, sb_buf_str(&kept), err) < 0 ? -1
               : unlink(change->backup) < 0 ? sb_err_sys(err, errno, "%s", change->backup)
                                            : 0;
    }
    change->action = "changed";
    if (sb_jsonedit_remove(sb_buf_str(&change->before), change->host->object, change->name,
                           &change->after, err) < 0) {
        return -1;
    }
    return is_dry ? 0 : replace(change->path, sb_buf_str(&change->after), err);
}

int sb_verb_mcp_uninstall(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(change_done) struct change change;
    struct sb_str entry;
    bool is_there = false;
    sb_err_clear(err);
    if (open_change(cli, &change, err) < 0) {
        return -1;
    }
    if (sb_jsonedit_find(sb_buf_str(&change.before), change.host->object, change.name, &is_there,
                         &entry, err) < 0) {
        return not_json(cli, &change, err);
    }
    if (!is_there) {
        sb_verb_hint(cli, "aisbx mcp install %s makes one", change.host->name);
        return sb_err_set(err, SB_NOT_FOUND, "%s has no entry \"%s\"", change.path, change.name);
    }
    if (undo(&change, cli->args.dry_run, entry, err) < 0) {
        return sb_err_wrap(err, "cannot undo");
    }
    *ret_status = 0;
    return report(cli, &change, err);
}
