/* Files that come with a program, and the images it leaves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/err.h"
#include "base/out.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/file.h"
#include "mcp-gateway/tools/run.h"
#include "proto/client/message.h"

enum {
    MAX_IMAGES = 4,
    MAX_IMAGE_BYTES = 3 << 19,     /* one: 1.5 MiB */
    MAX_ALL_IMAGE_BYTES = 4 << 20, /* base64 makes 5.4 MiB of that; results are 9 at most */
    MAX_FOUND = 1000,
    TICK_US = 5000, /* how far times of files may lie behind */
};

/* ---- in ---- */

static void put(struct sb_job *job, const ProtobufCMessage *reply);

void sb_run_put_files(struct sb_run *run)
{
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(run->arguments, "files");
    const cJSON *file = cJSON_GetArrayItem(files, (int)run->n_put);
    if (file == NULL) {
        sb_run_start(run);
        return;
    }
    run->n_put++;
    const struct sb_upload upload = {
        .sandbox_id = run->sandbox_id,
        .path = sb_arg_text(file, "path"),
        .data = sb_str_from(sb_arg_text(file, "content")),
    };
    sb_file_upload(&run->job, &upload, put);
}

static void put(struct sb_job *job, const ProtobufCMessage *reply)
{
    (void)reply;
    if (job->call == NULL) {
        sb_run_finish((struct sb_run *)job);
    } else {
        sb_run_put_files((struct sb_run *)job);
    }
}

/* ---- out ---- */

/* By its name; NULL: none. */
static const char *image_type_of(const char *path)
{
    static const struct {
        const char *suffix;
        const char *type;
    } kinds[] = {{".png", "image/png"},
                 {".jpg", "image/jpeg"},
                 {".jpeg", "image/jpeg"},
                 {".gif", "image/gif"},
                 {".webp", "image/webp"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcasecmp(dot, kinds[i].suffix) == 0) {
            return kinds[i].type;
        }
    }
    return NULL;
}

static int64_t micros(const Google__Protobuf__Timestamp *time)
{
    return time->seconds * 1000000 + time->nanos / 1000;
}

/* What stands for one state of a file. */
static uint64_t mark_of(const struct sb_run *run, const Aisbx__V1__FileInfo *file)
{
    const char *const parts[] = {run->sandbox_id, file->path, file->version};
    uint64_t mark = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        mark = mark * 31 + sb_hash_sip13(run->job.tools->key, parts[i], strlen(parts[i]));
    }
    return mark;
}

static bool was_shown(const struct sb_run *run, const Aisbx__V1__FileInfo *file)
{
    const struct sb_tools *tools = run->job.tools;
    uint64_t mark = mark_of(run, file);
    for (size_t i = 0; i < SB_TOOLS_SHOWN; i++) {
        if (tools->shown[i] == mark) {
            return true;
        }
    }
    return false;
}

static void note_shown(const struct sb_run *run, const Aisbx__V1__FileInfo *file)
{
    struct sb_tools *tools = run->job.tools;
    tools->shown[tools->next_shown++ % SB_TOOLS_SHOWN] = mark_of(run, file);
}

/* Written by this program, or at least while it ran. Times of files are of the kernel's last tick.
 */
static bool is_new(const struct sb_run *run, const Aisbx__V1__FileInfo *file)
{
    const Google__Protobuf__Timestamp *begin = run->exec->start_time;
    const Google__Protobuf__Timestamp *change = file->modify_time;
    if (begin == NULL || change == NULL) {
        return true;
    }
    return micros(change) >= micros(begin) - TICK_US && !was_shown(run, file);
}

static void tell_too_large(struct sb_run *run, const Aisbx__V1__FileInfo *file)
{
    struct sb_out out;
    sb_out_init(&out, -1);
    sb_out_put(&out, "image ");
    sb_out_put_safe(&out, sb_str_from(file->path));
    sb_out_printf(&out, " (%" PRIu64 " bytes) is not shown: at most %d images of %d KiB are\n",
                  file->size_bytes, MAX_IMAGES, MAX_IMAGE_BYTES >> 10);
    sb_mcp_text(run->job.call, sb_buf_str(&out.buf));
    sb_out_done(&out);
}

/* A model that wants to look at it reads it: the sandbox is still there then. */
static void link_image(struct sb_run *run, const Aisbx__V1__FileInfo *file)
{
    if (run->n_linked < SB_RUN_MAX_LINKED) {
        run->n_linked++;
        sb_file_link(&run->job, run->sandbox_id, file->path, image_type_of(file->path),
                     file->size_bytes);
    }
}

static void show_next(struct sb_run *run);

static bool image_piece(struct sb_job *job, const ProtobufCMessage *message)
{
    struct sb_run *run = (struct sb_run *)job;
    const Aisbx__V1__ReadFileResponse *piece = (const void *)message;
    return sb_buf_append(&run->image, piece->data.data, piece->data.len) == 0;
}

static void image_read(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    struct sb_str data = sb_buf_str(&run->image);
    const char *type = sb_file_image_type(data);
    (void)reply;
    if (job->call != NULL && type != NULL) {
        run->n_images++;
        run->image_bytes += data.len;
        sb_mcp_image(job->call, type, data);
    }
    show_next(run);
}

static void read_image(struct sb_run *run, const Aisbx__V1__FileInfo *info)
{
    Aisbx__V1__FilePath file = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__ReadFileRequest request = AISBX__V1__READ_FILE_REQUEST__INIT;
    file.path = info->path;
    request.sandbox_id = run->sandbox_id;
    request.file = &file;
    request.max_bytes = MAX_IMAGE_BYTES;
    sb_buf_done(&run->image);
    sb_buf_init(&run->image, MAX_IMAGE_BYTES);
    sb_job_stream(&run->job, SB_FILE_RPC(READ_FILE), &request.base, image_piece, image_read);
}

static void show_next(struct sb_run *run)
{
    while (run->job.call != NULL && run->next_found < run->found->n_files) {
        const Aisbx__V1__FileInfo *file = run->found->files[run->next_found++];
        if (file->kind != AISBX__V1__FILE_KIND__FILE_KIND_REGULAR || file->size_bytes == 0 ||
            image_type_of(file->path) == NULL || !is_new(run, file)) {
            continue;
        }
        note_shown(run, file);
        if (!run->is_own && file->size_bytes > SB_FILE_SHOWN_BYTES) {
            link_image(run, file);
            continue;
        }
        if (run->n_images < MAX_IMAGES && file->size_bytes <= MAX_IMAGE_BYTES &&
            run->image_bytes + file->size_bytes <= MAX_ALL_IMAGE_BYTES) {
            read_image(run, file);
            return;
        }
        tell_too_large(run, file);
    }
    sb_run_finish(run);
}

static void listed(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct sb_run *run = (struct sb_run *)job;
    struct sb_err err;
    run->found = (Aisbx__V1__ListFilesResponse *)sb_message_copy(reply, &err);
    if (run->found == NULL) {
        sb_run_finish(run);
        return;
    }
    show_next(run);
}

void sb_run_show_images(struct sb_run *run)
{
    Aisbx__V1__FilePath directory = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__ListFilesRequest request = AISBX__V1__LIST_FILES_REQUEST__INIT;
    directory.path = sb_lend("/workspace");
    request.sandbox_id = run->sandbox_id;
    request.directory = &directory;
    request.page_size = MAX_FOUND;
    sb_job_ask(&run->job, SB_FILE_RPC(LIST_FILES), &request.base, listed);
}
