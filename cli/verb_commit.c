/* aisbx commit. The changes of a workspace that is copy-on-write, made in its directory by this
 * process, so with the rights of who calls it and no others: a worker is not asked to. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/apply.h"
#include "cli/boxpath.h"
#include "cli/connect.h"
#include "cli/mount.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"
#include "proto/rpc/rpc.h"

#define TOP SB_MOUNT_WORKSPACE "/"

/* Those that were named. */
struct wanted {
    char path[SB_BOXPATH_SIZE]; /* below the workspace, relative; "": all of it */
    bool is_found;
};

/* The change on its way. */
struct current {
    Aisbx__V1__FileInfo *info; /* owned; NULL: none */
    Aisbx__V1__FileEventKind kind;
    struct sb_apply_change change; /* borrows from path and info */
    char path[SB_BOXPATH_SIZE];
    char link[SB_BOXPATH_SIZE];
    bool is_open; /* bytes follow */
    struct sb_err failed;
};

struct commit {
    const struct sb_args *args;
    const char *directory;
    struct wanted *wanted; /* owned */
    size_t n_wanted;
    struct sb_apply apply;
    struct current current;
    uint64_t bytes;
    uint64_t max_bytes; /* that the sandbox can have written; 0: not known */
    uint64_t made, changed, removed, refused;
    struct sb_out out;
    struct sb_json json;
    struct sb_err failed; /* of the whole */
    bool is_over;
};

static void commit_done(struct commit *commit)
{
    sb_apply_done(&commit->apply);
    if (commit->current.info != NULL) {
        aisbx__v1__file_info__free_unpacked(commit->current.info, NULL);
    }
    free(commit->wanted);
    sb_out_done(&commit->out);
}

/* ---- which ones ---- */

static bool is_at_or_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

/* Directories above what was named are made with it. */
static bool is_wanted(struct commit *commit, const struct current *current)
{
    bool is_found = commit->n_wanted == 0;
    for (size_t i = 0; i < commit->n_wanted; i++) {
        struct wanted *wanted = &commit->wanted[i];
        bool is_above = is_at_or_below(wanted->path, current->path) &&
                        current->change.kind == SB_APPLY_DIR && !current->change.is_removal;
        if (is_at_or_below(current->path, wanted->path)) {
            wanted->is_found = is_found = true;
        }
        is_found = is_found || is_above;
    }
    return is_found;
}

static int list_wanted(struct commit *commit, struct sb_err *err)
{
    const struct sb_args *args = commit->args;
    commit->n_wanted = args->n_operands - 1;
    commit->wanted = calloc(commit->n_wanted + 1, sizeof *commit->wanted);
    if (commit->wanted == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < commit->n_wanted; i++) {
        char path[SB_BOXPATH_SIZE];
        if (sb_boxpath_absolute(args->operands[i + 1], path, err) < 0) {
            return -1;
        }
        size_t len = strlen(path);
        while (len > 1 && path[len - 1] == '/') {
            path[--len] = '\0';
        }
        bool is_top = strcmp(path, SB_MOUNT_WORKSPACE) == 0;
        const char *rest = is_top ? "" : path + sizeof TOP - 1;
        if (!is_top && (strncmp(path, TOP, sizeof TOP - 1) != 0 || !sb_boxpath_is_below(rest))) {
            return sb_err_set(err, SB_INVALID,
                              "%s: not a path below " SB_MOUNT_WORKSPACE
                              " without \".\" and \"..\"",
                              args->operands[i + 1]);
        }
        memcpy(commit->wanted[i].path, rest, strlen(rest) + 1);
    }
    return 0;
}

/* ---- one change ---- */

static enum sb_apply_kind kind_of(Aisbx__V1__FileKind kind)
{
    return kind == AISBX__V1__FILE_KIND__FILE_KIND_REGULAR     ? SB_APPLY_FILE
           : kind == AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY ? SB_APPLY_DIR
           : kind == AISBX__V1__FILE_KIND__FILE_KIND_SYMLINK   ? SB_APPLY_SYMLINK
                                                               : SB_APPLY_OTHER;
}

/* The bytes, which are in raw where they are not UTF-8. */
static bool copy_text(char ret_text[SB_BOXPATH_SIZE], const char *text, ProtobufCBinaryData raw)
{
    const void *from = raw.len > 0 ? (const void *)raw.data : text;
    size_t len = raw.len > 0 ? raw.len : strlen(text);
    if (len >= SB_BOXPATH_SIZE || memchr(from, '\0', len) != NULL) {
        return false;
    }
    memcpy(ret_text, from, len);
    ret_text[len] = '\0';
    return true;
}

static bool read_change(struct commit *commit, const Aisbx__V1__DiffFilesResponse *msg)
{
    struct current *current = &commit->current;
    const Aisbx__V1__FileInfo *info = msg->file;
    char path[SB_BOXPATH_SIZE];
    if (!copy_text(path, info->path, info->raw_path) || strncmp(path, TOP, sizeof TOP - 1) != 0 ||
        !copy_text(current->link, info->link_target, info->raw_link_target)) {
        (void)sb_err_set(&commit->failed, SB_INTERNAL, "the worker told a path that is none");
        return false;
    }
    memcpy(current->path, path + sizeof TOP - 1, strlen(path) - sizeof TOP + 2);
    current->kind = msg->kind;
    current->failed = (struct sb_err){.code = SB_OK};
    current->change = (struct sb_apply_change){
        .path = current->path,
        .link = current->link,
        .kind = kind_of(info->kind),
        .is_removal = msg->kind == AISBX__V1__FILE_EVENT_KIND__FILE_EVENT_KIND_REMOVED,
        .is_new = msg->kind == AISBX__V1__FILE_EVENT_KIND__FILE_EVENT_KIND_CREATED,
        .mode = info->mode,
        .size = info->size_bytes,
    };
    if (info->modify_time != NULL) {
        current->change.time.tv_sec = info->modify_time->seconds;
        current->change.time.tv_nsec = info->modify_time->nanos;
    }
    return true;
}

static char letter_of(const struct current *current)
{
    return current->change.is_removal ? 'D' : current->change.is_new ? 'A' : 'M';
}

static void print(struct commit *commit)
{
    const struct current *current = &commit->current;
    bool has_failed = current->failed.code != SB_OK;
    if (commit->args->json) {
        char scratch[64];
        sb_json_open(&commit->json, NULL, '{');
        sb_json_cstr(
            &commit->json, "kind",
            sb_pbjson_enum(&aisbx__v1__file_event_kind__descriptor, (int)current->kind, scratch));
        sb_pbjson_message(&commit->json, "file", (const void *)current->info);
        sb_json_cstr(&commit->json, "error", has_failed ? current->failed.text : "");
        sb_json_close(&commit->json, '}');
        return;
    }
    if (has_failed) {
        struct sb_err ignored;
        struct sb_out out;
        sb_out_init(&out, STDERR_FILENO);
        sb_out_put(&out, "aisbx: refused ");
        sb_out_put_safe(&out, sb_str_from(current->path));
        sb_out_printf(&out, ": %s\n", current->failed.text);
        (void)sb_out_flush(&out, &ignored);
        sb_out_done(&out);
        return;
    }
    if (commit->args->quiet) {
        return;
    }
    sb_out_printf(&commit->out, "%c ", letter_of(current));
    sb_out_put_safe(&commit->out, sb_str_from(current->path));
    if (current->change.kind == SB_APPLY_SYMLINK && !current->change.is_removal) {
        sb_out_put(&commit->out, " -> ");
        sb_out_put_safe(&commit->out, sb_str_from(current->link));
    }
    sb_out_put(&commit->out, "\n");
}

static void count(struct commit *commit)
{
    const struct current *current = &commit->current;
    uint64_t *counter = current->failed.code != SB_OK ? &commit->refused
                        : current->change.is_removal  ? &commit->removed
                        : current->change.is_new      ? &commit->made
                                                      : &commit->changed;
    (*counter)++;
}

/* The one on its way is whole. */
static void settle(struct commit *commit)
{
    struct current *current = &commit->current;
    if (current->info == NULL) {
        return;
    }
    if (current->is_open && current->failed.code == SB_OK) {
        (void)sb_apply_end(&commit->apply, &current->change, &current->failed);
    }
    current->is_open = false;
    count(commit);
    print(commit);
    aisbx__v1__file_info__free_unpacked(current->info, NULL);
    current->info = NULL;
}

/* What the sandbox has is refused without being tried when it is no file at all. */
static void begin(struct commit *commit)
{
    struct current *current = &commit->current;
    const struct sb_apply_change *change = &current->change;
    if (commit->args->dry_run) {
        if (change->kind == SB_APPLY_OTHER && !change->is_removal) {
            (void)sb_err_set(&current->failed, SB_DENIED,
                             "is neither a file, a directory nor a link");
        }
        return;
    }
    int rc = sb_apply_begin(&commit->apply, change, &current->failed);
    current->is_open = rc == 0 && change->kind == SB_APPLY_FILE && !change->is_removal;
}

static void take_change(struct commit *commit, const Aisbx__V1__DiffFilesResponse *msg)
{
    settle(commit);
    if (!read_change(commit, msg) || !is_wanted(commit, &commit->current)) {
        return;
    }
    commit->current.info =
        (Aisbx__V1__FileInfo *)sb_message_copy(&msg->file->base, &commit->failed);
    if (commit->current.info != NULL) {
        begin(commit);
    }
}

static void take_data(struct commit *commit, const Aisbx__V1__DiffFilesResponse *msg)
{
    struct current *current = &commit->current;
    if (!current->is_open || current->failed.code != SB_OK) {
        return;
    }
    if (commit->max_bytes > 0 && msg->data.len > commit->max_bytes - commit->bytes) {
        (void)sb_err_set(&current->failed, SB_EXHAUSTED,
                         "is beyond what the sandbox may write in all (limits.disk): files of "
                         "several names count for each");
        return;
    }
    commit->bytes += msg->data.len;
    (void)sb_apply_data(&commit->apply, msg->offset, msg->data.data, msg->data.len,
                        &current->failed);
}

static void
on_message(struct sb_rpc_stream *stream, const Aisbx__V1__DiffFilesResponse *msg, void *user)
{
    struct commit *commit = user;
    if (msg->data.len > 0) {
        take_data(commit, msg);
    } else if (msg->file != NULL) {
        take_change(commit, msg);
    }
    if (commit->failed.code != SB_OK || sb_out_flush(&commit->out, &commit->failed) < 0) {
        sb_rpc_stream_cancel(stream);
        return;
    }
    sb_rpc_stream_read(stream);
}

/* ---- all of them ---- */

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct commit *commit = user;
    commit->is_over = true;
    if (err != NULL && err->code != SB_OK && commit->failed.code == SB_OK) {
        commit->failed = *err;
    }
}

static const struct aisbx__v1__file_service__diff_files__callbacks callbacks = {
    .message = on_message, .done = on_done};

static int stream(struct commit *commit, struct sb_connect *connect, char *id, struct sb_err *err)
{
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__DiffFilesRequest request = AISBX__V1__DIFF_FILES_REQUEST__INIT;
    request.sandbox_id = id;
    request.since_host = 1;
    request.content = commit->args->dry_run ? AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_UNSPECIFIED
                                            : AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_FILES;
    if (aisbx__v1__file_service__diff_files__start(connect->channel, &request, &connect->options,
                                                   &callbacks, commit, &stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!commit->is_over) {
        sb_rpc_channel_wait(connect->channel);
    }
    if (commit->failed.code == SB_OK) {
        settle(commit); /* else it may be cut */
    }
    sb_apply_finish(&commit->apply);
    if (commit->failed.code != SB_OK) {
        *err = commit->failed;
        return -1;
    }
    return 0;
}

static void say_unfound(const struct commit *commit, bool *ret_any)
{
    for (size_t i = 0; i < commit->n_wanted; i++) {
        if (!commit->wanted[i].is_found) {
            *ret_any = true;
            sb_say_note("nothing has changed at %s", commit->args->operands[i + 1]);
        }
    }
}

static int report(struct commit *commit, const char *id, struct sb_err *err)
{
    if (!commit->args->json) {
        sb_say_note("%s%ju made, %ju changed, %ju removed%s in %s",
                    commit->args->dry_run ? "would be: " : "", (uintmax_t)commit->made,
                    (uintmax_t)commit->changed, (uintmax_t)commit->removed,
                    commit->refused > 0 ? ", some refused," : "", commit->directory);
        return sb_out_flush(&commit->out, err);
    }
    sb_json_close(&commit->json, ']');
    sb_json_cstr(&commit->json, "sandbox_id", id);
    sb_json_cstr(&commit->json, "directory", commit->directory);
    sb_json_bool(&commit->json, "dry_run", commit->args->dry_run);
    sb_json_u64(&commit->json, "made", commit->made);
    sb_json_u64(&commit->json, "changed", commit->changed);
    sb_json_u64(&commit->json, "removed", commit->removed);
    sb_json_u64(&commit->json, "refused", commit->refused);
    sb_json_u64(&commit->json, "bytes", commit->bytes);
    sb_json_close(&commit->json, '}');
    sb_out_put(&commit->out, "\n");
    return sb_out_flush(&commit->out, err);
}

/* The directory of the host that lies below; NULL with an error. */
static const char *find_directory(const Aisbx__V1__Sandbox *sandbox, struct sb_err *err)
{
    for (size_t i = 0; sandbox != NULL && i < sandbox->n_mounts; i++) {
        const Aisbx__V1__Mount *mount = sandbox->mounts[i];
        if (mount->mode == AISBX__V1__MOUNT_MODE__MOUNT_MODE_OVERLAY) {
            return mount->source;
        }
    }
    (void)sb_err_set(err, SB_PRECONDITION,
                     "it has no directory copy-on-write (--workspace DIR:overlay); aisbx cp brings "
                     "files out of it");
    return NULL;
}

static int commit_to(
    struct sb_cli *cli, struct sb_connect *connect, char *id, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetSandboxResponse *reply = NULL;
    Aisbx__V1__GetSandboxRequest request = AISBX__V1__GET_SANDBOX_REQUEST__INIT;
    SB_CLEANUP(commit_done)
    struct commit commit = {.args = &cli->args, .apply = {.root = -1, .parent = -1, .fd = -1}};
    request.sandbox_id = id;
    sb_out_init(&commit.out, STDOUT_FILENO);
    commit.json.out = &commit.out;
    if (sb_verb_misused(cli, list_wanted(&commit, err)) < 0 ||
        aisbx__v1__sandbox_service__get_sandbox__call(connect->channel, &request, &connect->options,
                                                      &reply, err) < 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return -1;
    }
    commit.directory = find_directory(reply->sandbox, err);
    if (commit.directory == NULL || sb_apply_open(commit.directory, &commit.apply, err) < 0) {
        return -1;
    }
    if (reply->sandbox->limits != NULL) {
        commit.max_bytes = reply->sandbox->limits->disk_bytes;
    }
    if (cli->args.json) {
        sb_json_open(&commit.json, NULL, '{');
        sb_json_open(&commit.json, "changes", '[');
    }
    if (stream(&commit, connect, id, err) < 0) {
        return commit.made + commit.changed + commit.removed == 0
                   ? -1
                   : sb_err_wrap(err, "some changes are made in %s, and not all", commit.directory);
    }
    bool is_unfound = false;
    say_unfound(&commit, &is_unfound);
    *ret_status = commit.refused > 0 || is_unfound;
    return report(&commit, id, err);
}

int sb_verb_commit(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    if (sb_connect_is_remote(cli)) {
        return sb_err_set(
            err, SB_PRECONDITION,
            "the worker is on another machine, and so is the directory: commit there");
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    return commit_to(cli, &connect, id, ret_status, err) < 0
               ? sb_err_wrap(err, "cannot commit the changes of %s", id)
               : 0;
}
