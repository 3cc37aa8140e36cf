/* The calls of FileService with one answer, and what all of them share. */
#include "service/worker/api_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/fileframe.h"
#include "service/worker/sandbox.h"
#include "service/worker/snapshot/api_diff.h"
#include "service/worker/worker.h"

enum { PERMISSIONS = 0777, SAFE = 3 /* bytes that stand for one that is not UTF-8 */ };

int sb_api_file_path(const Aisbx__V1__FilePath *path,
                     const char *field,
                     struct sb_str *ret_path,
                     struct sb_err *err)
{
    struct sb_str text = {NULL, 0};
    if (path != NULL) {
        text = path->raw_path.len > 0 ? sb_str_of(path->raw_path.data, path->raw_path.len)
                                      : sb_str_from(path->path);
    }
    if (text.len == 0) {
        return sb_err_set(err, SB_INVALID, "%s: is missing", field);
    }
    if (text.ptr[0] != '/') {
        return sb_err_set(err, SB_INVALID, "%s: must be an absolute path inside the sandbox",
                          field);
    }
    if (text.len >= SB_FILE_MAX_PATH || sb_str_has_nul(text)) {
        return sb_err_set(err, SB_INVALID, "%s: must have at most %d bytes, and no NUL", field,
                          SB_FILE_MAX_PATH - 1);
    }
    *ret_path = text;
    return 0;
}

int sb_api_file_glob(const char *glob, struct sb_err *err)
{
    size_t len = strlen(glob);
    if (len >= SB_FILE_MAX_GLOB) {
        return sb_err_set(err, SB_INVALID, "glob: is longer than %d bytes", SB_FILE_MAX_GLOB - 1);
    }
    for (size_t i = 0; i < len; i++) {
        size_t begin = i;
        if (glob[i] == '\\') {
            i++;
        }
        if (glob[begin] != '[') {
            continue;
        }
        i++;
        i += glob[i] == '!' || glob[i] == '^';
        i += glob[i] == ']';
        i += strcspn(glob + i, "]");
        if (glob[i] == '\0') {
            return sb_err_set(err, SB_INVALID,
                              "glob: the [ at byte %zu is not closed; \\[ stands for itself",
                              begin + 1);
        }
    }
    return 0;
}

struct sb_str sb_api_file_join(struct sb_str directory, struct sb_str below, char *out)
{
    size_t len = directory.len;
    memcpy(out, directory.ptr, len);
    while (below.len > 0 && len > 0 && out[len - 1] == '/') {
        len--;
    }
    if (below.len > 0) {
        out[len++] = '/';
        memcpy(out + len, below.ptr, below.len);
    }
    return sb_str_of(out, len + below.len);
}

static bool set_safe(char **field, struct sb_str text)
{
    size_t size = text.len * SAFE + 1;
    char *safe = text.len == 0 ? NULL : malloc(size);
    if (text.len == 0) {
        return true;
    }
    if (safe != NULL) {
        if (sb_utf8_valid(text.ptr, text.len)) {
            memcpy(safe, text.ptr, text.len);
            safe[text.len] = '\0';
        } else {
            (void)sb_utf8_sanitize(safe, size, text, SB_UTF8_ONE_LINE);
        }
        *field = safe;
    }
    return safe != NULL;
}

/* The bytes of what is not UTF-8. */
static bool set_raw(ProtobufCBinaryData *field, struct sb_str path)
{
    if (!sb_utf8_valid(path.ptr, path.len)) {
        field->data = malloc(path.len);
        if (field->data == NULL) {
            return false;
        }
        memcpy(field->data, path.ptr, path.len);
        field->len = path.len;
    }
    return true;
}

Aisbx__V1__FilePath *sb_api_file_path_new(struct sb_str path)
{
    Aisbx__V1__FilePath *msg = sb_api_pb_new(&aisbx__v1__file_path__descriptor);
    if (msg == NULL) {
        return NULL;
    }
    if (!set_raw(&msg->raw_path, path) || !set_safe(&msg->path, path)) {
        aisbx__v1__file_path__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

static bool set_path(Aisbx__V1__FileInfo *msg, struct sb_str path)
{
    return set_raw(&msg->raw_path, path) && set_safe(&msg->path, path);
}

/* Programs inside may set any time; what a Timestamp cannot say, clients fail on. */
static int64_t bounded(int64_t seconds)
{
    static const int64_t first = -62135596800; /* 0001-01-01T00:00:00Z */
    static const int64_t last = 253402300799;  /* 9999-12-31T23:59:59Z */
    return seconds < first ? first : seconds > last ? last : seconds;
}

static bool set_time(Aisbx__V1__FileInfo *msg, const struct sb_file_info *info)
{
    msg->modify_time = sb_api_pb_new(&google__protobuf__timestamp__descriptor);
    if (msg->modify_time == NULL) {
        return false;
    }
    msg->modify_time->seconds = bounded(info->modify_s);
    msg->modify_time->nanos = (int32_t)info->modify_ns;
    return true;
}

static bool set_version(Aisbx__V1__FileInfo *msg, const struct sb_file_info *info)
{
    char text[96];
    (void)snprintf(text, sizeof text, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%" PRIx32, info->inode,
                   info->size, (uint64_t)info->change_s, info->change_ns);
    return set_safe(&msg->version, sb_str_from(text));
}

Aisbx__V1__FileInfo *
sb_api_file_info(const struct sb_file_info *info, struct sb_str path, struct sb_str link)
{
    Aisbx__V1__FileInfo *msg = sb_api_pb_new(&aisbx__v1__file_info__descriptor);
    if (msg == NULL) {
        return NULL;
    }
    msg->kind = (Aisbx__V1__FileKind)info->kind;
    msg->size_bytes = info->size;
    msg->allocated_bytes = info->allocated;
    msg->mode = info->mode;
    msg->uid = info->uid;
    msg->gid = info->gid;
    msg->links = info->links;
    if (!set_path(msg, path) || !set_time(msg, info) || !set_version(msg, info) ||
        !set_raw(&msg->raw_link_target, link) || !set_safe(&msg->link_target, link)) {
        aisbx__v1__file_info__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

/* ---- calls with one answer ---- */

struct unary {
    struct sb_rpc_call *call;
    struct sb_fileop *op;
    Aisbx__V1__FileInfo *info; /* owned; what will be answered */
    char path[SB_FILE_MAX_PATH];
    size_t path_len;
    bool is_removal;
};

static void on_frame(void *ctx, const struct sb_fileframe *frame);
static void on_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err);
static const struct sb_fileop_events events = {.frame = on_frame, .done = on_done};

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct unary *unary = ctx;
    if (frame->type == SB_FILE_INFO && unary->info == NULL) {
        unary->info =
            sb_api_file_info(&frame->info, sb_str_of(unary->path, unary->path_len), frame->link);
    }
}

/* All of these answers have the file alone, as their first field. */
static void answer_file(struct unary *unary, const struct sb_err *err)
{
    const struct sb_rpc_method *method = sb_rpc_call_method(unary->call);
    ProtobufCMessage *msg = NULL;
    if (err->code == SB_OK && unary->info != NULL) {
        msg = sb_api_pb_new(method->out);
    }
    if (msg != NULL) {
        void *field = (char *)msg + method->out->fields[0].offset;
        memcpy(field, &unary->info, sizeof(void *));
        unary->info = NULL;
    }
    sb_api_finish(unary->call, msg, err);
}

static void on_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    struct unary *unary = ctx;
    if (!unary->is_removal) {
        answer_file(unary, err);
        return;
    }
    Aisbx__V1__RemoveFileResponse *msg =
        sb_api_pb_new(&aisbx__v1__remove_file_response__descriptor);
    if (msg != NULL) {
        msg->removed = done->count;
    }
    sb_api_finish(unary->call, msg, err);
}

static void done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct unary *unary = sb_rpc_call_user(call);
    if (unary != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_fileop_free(unary->op);
        aisbx__v1__file_info__free_unpacked(unary->info, NULL);
        free(unary);
    }
}

/** What the caller asks for, before it is checked. */
struct wish {
    const char *sandbox_id;
    const Aisbx__V1__FilePath *path;
    const char *path_field;
    const Aisbx__V1__FilePath *target; /* MOVE */
    uint32_t op;
    uint32_t flags;
    uint32_t mode;
};

static int fill(const struct wish *wish, struct sb_fileop_options *options, struct sb_err *err)
{
    options->request =
        (struct sb_file_request){.op = wish->op, .flags = wish->flags, .mode = wish->mode};
    if (wish->mode > PERMISSIONS) {
        return sb_err_set(err, SB_INVALID, "mode: 0%o is not in 0..0777", wish->mode);
    }
    if (sb_api_file_path(wish->path, wish->path_field, &options->path, err) < 0) {
        return -1;
    }
    return wish->op == SB_FILE_MOVE
               ? sb_api_file_path(wish->target, "target", &options->second, err)
               : 0;
}

static void begin(struct sb_rpc_call *call, struct sb_worker *worker, const struct wish *wish)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &events};
    options.sandbox = sb_api_call_sandbox(call, worker, wish->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    struct unary *unary = calloc(1, sizeof *unary);
    if (unary == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    options.ctx = unary;
    unary->call = call;
    unary->is_removal = wish->op == SB_FILE_REMOVE;
    if (fill(wish, &options, &err) < 0 || sb_fileop_start(&options, &unary->op, &err) < 0) {
        free(unary);
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct sb_str shown = wish->op == SB_FILE_MOVE ? options.second : options.path;
    if (shown.len > 0) {
        memcpy(unary->path, shown.ptr, shown.len);
    }
    unary->path_len = shown.len;
    sb_rpc_call_set_user(call, unary);
}

static void stat_file(struct sb_rpc_call *call, const Aisbx__V1__StatFileRequest *req, void *svc)
{
    const struct wish wish = {
        .sandbox_id = req->sandbox_id,
        .path = req->file,
        .path_field = "file",
        .op = SB_FILE_STAT,
        .flags = req->follow ? SB_FILE_FOLLOW : 0,
    };
    begin(call, svc, &wish);
}

static void
make_directory(struct sb_rpc_call *call, const Aisbx__V1__MakeDirectoryRequest *req, void *svc)
{
    const struct wish wish = {
        .sandbox_id = req->sandbox_id,
        .path = req->directory,
        .path_field = "directory",
        .op = SB_FILE_MKDIR,
        .flags = req->parents ? SB_FILE_PARENTS : 0,
        .mode = req->mode,
    };
    begin(call, svc, &wish);
}

static void move_file(struct sb_rpc_call *call, const Aisbx__V1__MoveFileRequest *req, void *svc)
{
    const struct wish wish = {
        .sandbox_id = req->sandbox_id,
        .path = req->source,
        .path_field = "source",
        .target = req->target,
        .op = SB_FILE_MOVE,
        .flags = req->no_replace ? SB_FILE_NO_REPLACE : 0,
    };
    begin(call, svc, &wish);
}

static void
remove_file(struct sb_rpc_call *call, const Aisbx__V1__RemoveFileRequest *req, void *svc)
{
    const struct wish wish = {
        .sandbox_id = req->sandbox_id,
        .path = req->file,
        .path_field = "file",
        .op = SB_FILE_REMOVE,
        .flags = req->recursive ? SB_FILE_TREE : 0,
    };
    begin(call, svc, &wish);
}

static void
change_mode(struct sb_rpc_call *call, const Aisbx__V1__ChangeModeRequest *req, void *svc)
{
    const struct wish wish = {
        .sandbox_id = req->sandbox_id,
        .path = req->file,
        .path_field = "file",
        .op = SB_FILE_CHMOD,
        .mode = req->mode,
    };
    begin(call, svc, &wish);
}

const struct aisbx__v1__file_service__server sb_api_file_service = {
    .stat_file = {.start = stat_file, .done = done},
    .list_files = {.start = sb_api_file_list, .done = sb_api_file_list_done},
    .read_file = {.start = sb_api_file_read,
                  .drained = sb_api_file_read_drained,
                  .done = sb_api_file_read_done},
    .write_file = {.start = sb_api_file_write,
                   .message = sb_api_file_write_message,
                   .half_close = sb_api_file_write_half_close,
                   .done = sb_api_file_write_done},
    .make_directory = {.start = make_directory, .done = done},
    .move_file = {.start = move_file, .done = done},
    .remove_file = {.start = remove_file, .done = done},
    .change_mode = {.start = change_mode, .done = done},
    .search_files = {.start = sb_api_file_search,
                     .drained = sb_api_file_search_drained,
                     .done = sb_api_file_search_done},
    .replace_in_file = {.start = sb_api_file_replace, .done = sb_api_file_replace_done},
    .watch_files = {.start = sb_api_file_watch,
                    .drained = sb_api_file_watch_drained,
                    .done = sb_api_file_watch_done},
    .export_tar = {.start = sb_api_file_export,
                   .drained = sb_api_file_export_drained,
                   .done = sb_api_file_export_done},
    .import_tar = {.start = sb_api_file_import,
                   .message = sb_api_file_import_message,
                   .half_close = sb_api_file_import_half_close,
                   .done = sb_api_file_import_done},
    .commit_files = {.start = sb_api_commit_refuse, .done = NULL},
    .diff_files = {.start = sb_api_diff_start,
                   .drained = sb_api_diff_drained,
                   .done = sb_api_diff_done},
};
