/* aisbx cp. Of a tree, directories and regular files are copied; links and the rest are left out
 * and said, as a link from inside could lead anywhere here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/boxpath.h"
#include "cli/connect.h"
#include "cli/filecopy.h"
#include "cli/resolve.h"
#include "cli/treecopy.h"
#include "cli/verb.h"
#include "proto/client/message.h"

enum { PERMISSIONS = 0777, OWN = 0700 };

struct cp {
    struct sb_filecopy copy;
    uint64_t files;
    uint64_t skipped;
};

static void skip(void *ctx, const char *path, const char *why)
{
    struct cp *cp = ctx;
    struct sb_out out;
    cp->skipped++;
    sb_filecopy_end_progress(&cp->copy);
    sb_out_init(&out, STDERR_FILENO);
    sb_out_put(&out, "aisbx: left out ");
    sb_out_put_safe(&out, sb_str_from(path));
    sb_out_printf(&out, ": %s\n", why);
    (void)sb_out_flush(&out, &(struct sb_err){.code = SB_OK});
    sb_out_done(&out);
}

/* ---- into the sandbox ---- */

static int put_file(struct cp *cp, const char *from, const char *to, struct sb_err *err)
{
    struct stat st;
    bool is_stdin = strcmp(from, "-") == 0;
    SB_CLEANUP(sb_closep)
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "%s", from);
    }
    if (S_ISDIR(st.st_mode)) {
        return sb_err_set(err, SB_INVALID, "%s is a directory; use --recursive", from);
    }
    unsigned mode = is_stdin ? 0 : (unsigned)st.st_mode & PERMISSIONS;
    cp->files++;
    return sb_filecopy_put(&cp->copy, fd, to, mode, err);
}

static int make_dir(struct cp *cp, const char *path, unsigned mode, struct sb_err *err)
{
    Aisbx__V1__FilePath directory = sb_filecopy_path(path);
    Aisbx__V1__MakeDirectoryRequest request = AISBX__V1__MAKE_DIRECTORY_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__MakeDirectoryResponse *reply = NULL;
    request.sandbox_id = cp->copy.sandbox_id;
    request.directory = &directory;
    request.mode = mode;
    request.parents = true;
    return aisbx__v1__file_service__make_directory__call(cp->copy.connect->channel, &request,
                                                         &cp->copy.connect->options, &reply, err);
}

static int put_tree(struct cp *cp, const char *from, const char *to, struct sb_err *err)
{
    struct sb_treecopy tree = {.copy = &cp->copy, .skip = skip, .ctx = cp};
    struct stat st;
    if (stat(from, &st) < 0) {
        return sb_err_sys(err, errno, "%s", from);
    }
    if (make_dir(cp, to, (st.st_mode & PERMISSIONS) | OWN, err) < 0 ||
        sb_treecopy_put(&tree, from, to, err) < 0) {
        return -1;
    }
    cp->files += tree.files;
    return 0;
}

/* Into a directory that is there a file goes by its own name. */
static int put(struct cp *cp, const struct sb_args *args, struct sb_err *err)
{
    const char *from = args->operands[0];
    struct sb_boxpath to = sb_boxpath_of(args->operands[1]);
    struct sb_err no_stat;
    struct stat st;
    char path[SB_BOXPATH_SIZE];
    char joined[SB_BOXPATH_SIZE];
    SB_CLEANUP(sb_message_freep) Aisbx__V1__StatFileResponse *there = NULL;
    if (sb_boxpath_absolute(to.path, path, err) < 0) {
        return -1;
    }
    struct sb_str name = strcmp(from, "-") == 0 ? SB_STR("") : sb_boxpath_name(from);
    if (name.len > 0 && sb_filecopy_stat(&cp->copy, path, &there, &no_stat) == 0 &&
        there->file->kind == AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY) {
        char text[SB_BOXPATH_SIZE];
        (void)snprintf(text, sizeof text, "%.*s", SB_STR_ARG(name));
        if (sb_boxpath_join(path, text, joined, err) < 0) {
            return -1;
        }
        memcpy(path, joined, sizeof path);
    }
    bool is_tree =
        args->recursive && strcmp(from, "-") != 0 && stat(from, &st) == 0 && S_ISDIR(st.st_mode);
    return is_tree ? put_tree(cp, from, path, err) : put_file(cp, from, path, err);
}

/* ---- out of it ---- */

/* Beside the place, so that a copy that ends early leaves what was there. */
static int
get_file(struct cp *cp, const char *from, const char *to, unsigned mode, struct sb_err *err)
{
    char part[SB_BOXPATH_SIZE + 16];
    struct stat st;
    if (strcmp(to, "-") == 0) {
        cp->files++;
        return sb_filecopy_get(&cp->copy, from, STDOUT_FILENO, err);
    }
    if (stat(to, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        SB_CLEANUP(sb_closep) int device = open(to, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        cp->files++;
        return device < 0 ? sb_err_sys(err, errno, "%s", to)
                          : sb_filecopy_get(&cp->copy, from, device, err);
    }
    (void)snprintf(part, sizeof part, "%s.aisbx-XXXXXX", to);
    SB_CLEANUP(sb_closep) int fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0) {
        return sb_err_sys(err, errno, "%s", to);
    }
    mode_t mask = umask(0);
    (void)umask(mask);
    int rc = sb_filecopy_get(&cp->copy, from, fd, err);
    if (rc == 0 && (fchmod(fd, (mode & PERMISSIONS) & ~mask) < 0 || rename(part, to) < 0)) {
        rc = sb_err_sys(err, errno, "%s", to);
    }
    if (rc < 0) {
        (void)unlink(part);
        return rc;
    }
    cp->files++;
    return 0;
}

static int get_tree(struct cp *cp, const char *from, const char *to, struct sb_err *err)
{
    struct sb_treecopy tree = {.copy = &cp->copy, .skip = skip, .ctx = cp};
    int rc = sb_treecopy_get(&tree, from, to, err);
    cp->files += tree.files;
    return rc;
}

static int get(struct cp *cp, const struct sb_args *args, struct sb_err *err)
{
    struct sb_boxpath source = sb_boxpath_of(args->operands[0]);
    const char *to = args->operands[1];
    char from[SB_BOXPATH_SIZE];
    char here[SB_BOXPATH_SIZE];
    char name[SB_BOXPATH_SIZE];
    struct stat st;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__StatFileResponse *there = NULL;
    if (sb_boxpath_absolute(source.path, from, err) < 0 ||
        sb_filecopy_stat(&cp->copy, from, &there, err) < 0) {
        return -1;
    }
    for (size_t len = strlen(from); len > 1 && from[len - 1] == '/'; len--) {
        from[len - 1] = '\0';
    }
    (void)snprintf(name, sizeof name, "%.*s", SB_STR_ARG(sb_boxpath_name(from)));
    if (strcmp(to, "-") != 0 && name[0] != '\0' && stat(to, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (sb_boxpath_join(to, name, here, err) < 0) {
            return -1;
        }
        to = here;
    }
    if (there->file->kind != AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY) {
        return get_file(cp, from, to, there->file->mode, err);
    }
    if (!args->recursive || strcmp(to, "-") == 0) {
        return sb_err_set(err, SB_INVALID, "%s is a directory; use --recursive, and a name here",
                          from);
    }
    return get_tree(cp, from, to, err);
}

/* ---- --tar ---- */

static int put_tar(struct cp *cp, const char *path, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ImportTarResponse *reply = NULL;
    if (sb_filecopy_import(&cp->copy, STDIN_FILENO, path, &reply, err) < 0) {
        return -1;
    }
    cp->files += reply->entries;
    for (size_t i = 0; i < reply->n_refused; i++) {
        skip(cp, reply->refused[i], "refused");
    }
    cp->skipped = reply->refused_entries;
    return 0;
}

static int copy_tar(struct cp *cp, const struct sb_args *args, struct sb_err *err)
{
    struct sb_boxpath from = sb_boxpath_of(args->operands[0]);
    struct sb_boxpath to = sb_boxpath_of(args->operands[1]);
    char path[SB_BOXPATH_SIZE];
    if (sb_boxpath_absolute(from.is_inside ? from.path : to.path, path, err) < 0) {
        return -1;
    }
    if (!from.is_inside) {
        return put_tar(cp, path, err);
    }
    cp->files++;
    return sb_filecopy_export(&cp->copy, path, STDOUT_FILENO, err);
}

static int print_json(const struct cp *cp, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, STDOUT_FILENO);
    sb_json_open(&json, NULL, '{');
    sb_json_u64(&json, "files", cp->files);
    sb_json_u64(&json, "bytes", cp->copy.bytes);
    sb_json_u64(&json, "skipped", cp->skipped);
    sb_json_close(&json, '}');
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

/* What needs no worker to be seen. */
static int check(struct sb_cli *cli, struct sb_err *err)
{
    const struct sb_args *args = &cli->args;
    bool is_out = sb_boxpath_of(args->operands[0]).is_inside;
    const char *outside = args->operands[is_out ? 1 : 0];
    if (is_out == sb_boxpath_of(args->operands[1]).is_inside) {
        sb_verb_hint(
            cli, "aisbx cp file SANDBOX:/path, aisbx cp SANDBOX:/path file; ./a:b is a file here");
        return sb_err_set(err, SB_INVALID, "one of both must be SANDBOX:PATH");
    }
    if (args->json && is_out && strcmp(outside, "-") == 0) {
        return sb_err_set(err, SB_INVALID, "--json and - both want standard output");
    }
    if (args->tar && strcmp(outside, "-") != 0) {
        return sb_err_set(err, SB_INVALID, "--tar reads and writes -, not %s", outside);
    }
    if (args->tar && is_out && isatty(STDOUT_FILENO) == 1) {
        return sb_err_set(err, SB_INVALID,
                          "an archive is not for a terminal; send it to a file: > x.tar");
    }
    return 0;
}

int sb_verb_cp(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    const struct sb_args *args = &cli->args;
    struct sb_boxpath from = sb_boxpath_of(args->operands[0]);
    struct sb_boxpath to = sb_boxpath_of(args->operands[1]);
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct cp cp = {.copy = {.connect = &connect}};
    char sandbox[SB_ID_SIZE + 1];
    if (sb_verb_misused(cli, check(cli, err)) < 0) {
        return -1;
    }
    struct sb_str name = from.is_inside ? from.sandbox : to.sandbox;
    (void)snprintf(sandbox, sizeof sandbox, "%.*s", SB_STR_ARG(name));
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, sandbox, cp.copy.sandbox_id, err) < 0) {
        return -1;
    }
    cp.copy.has_progress = !args->json && isatty(STDERR_FILENO) == 1;
    int rc = args->tar        ? copy_tar(&cp, args, err)
             : from.is_inside ? get(&cp, args, err)
                              : put(&cp, args, err);
    sb_filecopy_end_progress(&cp.copy);
    *ret_status = 0;
    return rc == 0 && args->json ? print_json(&cp, err) : rc;
}
