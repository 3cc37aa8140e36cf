#include "mcp-gateway/tools/file.h"

#include <inttypes.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/file_service.rpc.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "base/utf8.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/clip.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

enum {
    READ_DEFAULT = 16 << 10,
    MAX_IMAGE = 3 << 20, /* bytes of one image in a result */
    LIST_DEFAULT = 200,
    EXECUTABLE = 0755,
};

bool sb_file_read_path(struct sb_job *job,
                       const struct cJSON *arguments,
                       char out[SB_FILE_PATH_SIZE])
{
    const char *path = sb_arg_text(arguments, "path");
    if (!sb_file_path(path == NULL ? "/workspace" : path, out)) {
        sb_job_refuse(job, "path: is longer than 4095 bytes");
        return false;
    }
    return true;
}

void sb_file_end(struct sb_job *job, struct sb_out *text, struct sb_out *fields)
{
    sb_mcp_structured(job->call, sb_buf_str(&fields->buf));
    if (text->buf.len > 0) {
        sb_mcp_text(job->call, sb_buf_str(&text->buf));
    }
    sb_out_done(text);
    sb_out_done(fields);
    sb_job_finish(job);
}

/* ---- read ---- */

struct reading {
    struct sb_job job;
    const struct cJSON *arguments;
    Aisbx__V1__FileInfo *info;
    struct sb_buf data;
    uint64_t offset;
    size_t max_text; /* bytes; images may have more */
};

static void free_reading(struct sb_job *job)
{
    struct reading *reading = (struct reading *)job;
    sb_message_freep(&reading->info);
    sb_buf_done(&reading->data);
}

static const struct sb_job_ops reading_ops = {.done = free_reading};

static bool on_piece(struct sb_job *job, const ProtobufCMessage *message)
{
    struct reading *reading = (struct reading *)job;
    struct sb_err err;
    const Aisbx__V1__ReadFileResponse *piece = (const void *)message;
    if (piece->file != NULL && reading->info == NULL) {
        reading->info = (Aisbx__V1__FileInfo *)sb_message_copy(&piece->file->base, &err);
    }
    if (sb_buf_append(&reading->data, piece->data.data, piece->data.len) < 0) {
        return false;
    }
    /* Only images are wanted beyond the range of text. */
    return reading->data.len < reading->max_text ||
           sb_file_image_type(sb_buf_str(&reading->data)) != NULL;
}

static void put_text(const struct reading *reading, struct sb_str data, struct sb_out *text)
{
    uint64_t size = reading->info == NULL ? 0 : reading->info->size_bytes;
    if (!sb_text_is_text(data)) {
        sb_out_printf(text,
                      "binary, %" PRIu64
                      " bytes, not shown; look into it with shell (file, xxd) or "
                      "read the resource\n",
                      size);
        return;
    }
    sb_out_write(text, data.ptr, data.len);
    if (reading->offset + data.len < size) {
        sb_out_printf(text,
                      "\n[bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64
                      "; the rest: call again with offset %" PRIu64 "]\n",
                      reading->offset, reading->offset + data.len, size,
                      reading->offset + data.len);
    } else if (data.len == 0) {
        sb_out_put(text, "(nothing: the file is empty, or ends before offset)\n");
    }
}

/* Without half a character at the end, so that the next range begins with a whole one. */
static struct sb_str whole_characters(struct sb_str data)
{
    for (size_t cut = 1; cut < 4 && cut <= data.len; cut++) {
        unsigned char byte = (unsigned char)data.ptr[data.len - cut];
        if ((byte & 0xc0) == 0xc0) {
            struct sb_str last = sb_str_skip(data, data.len - cut);
            return sb_utf8_valid(last.ptr, last.len) ? data : sb_str_head(data, data.len - cut);
        }
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    return data;
}

static void read_over(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct reading *reading = (struct reading *)job;
    struct sb_str data = sb_buf_str(&reading->data);
    const char *type = reading->offset == 0 ? sb_file_image_type(data) : NULL;
    uint64_t size = reading->info == NULL ? data.len : reading->info->size_bytes;
    bool is_whole = type != NULL && data.len == size;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    (void)reply;
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    if (is_whole) {
        sb_out_printf(&text, "%s, %zu bytes\n", type, data.len);
        sb_mcp_text(job->call, sb_buf_str(&text.buf));
        sb_mcp_image(job->call, type, data);
    } else {
        data = sb_str_head(data, reading->max_text);
        data = data.len + reading->offset < size ? whole_characters(data) : data;
        put_text(reading, data, &text);
        sb_mcp_text(job->call, sb_buf_str(&text.buf));
    }
    sb_buf_clear(&text.buf);
    if (reading->info != NULL && !is_whole && reading->offset + data.len < size) {
        sb_file_link(job, sb_arg_text(reading->arguments, "sandbox_id"), reading->info->path, type,
                     size);
    }
    sb_json_open(&json, NULL, '{');
    sb_json_u64(&json, "size_bytes", size);
    sb_json_u64(&json, "offset", reading->offset);
    sb_json_u64(&json, "next_offset", reading->offset + data.len);
    sb_json_bool(&json, "is_end", reading->offset + data.len >= size);
    sb_json_close(&json, '}');
    sb_file_end(job, &text, &fields);
}

void sb_tool_file_read(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    char path[SB_FILE_PATH_SIZE];
    Aisbx__V1__FilePath file = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__ReadFileRequest request = AISBX__V1__READ_FILE_REQUEST__INIT;
    struct reading *reading = sb_job_new(user, call, sizeof *reading, &reading_ops);
    if (reading == NULL || !sb_file_read_path(&reading->job, arguments, path)) {
        return;
    }
    reading->arguments = arguments;
    reading->offset = (uint64_t)sb_arg_number(arguments, "offset", 0);
    reading->max_text = (size_t)sb_arg_number(arguments, "max_bytes", READ_DEFAULT);
    sb_buf_init(&reading->data, MAX_IMAGE);
    file.path = path;
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.file = &file;
    request.offset = reading->offset;
    request.max_bytes = reading->offset == 0 ? MAX_IMAGE : reading->max_text;
    sb_job_stream(&reading->job, SB_FILE_RPC(READ_FILE), &request.base, on_piece, read_over);
}

/* ---- write ---- */

static const struct sb_job_ops plain = {.cancelled = NULL};

static void written(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__FileInfo *file =
        ((const Aisbx__V1__WriteFileResponse *)(const void *)reply)->file;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_out_put(&text, "written: ");
    sb_out_put_safe(&text, sb_str_from(file->path));
    sb_out_printf(&text, ", %" PRIu64 " bytes\n", file->size_bytes);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "path", file->path);
    sb_json_u64(&json, "size_bytes", file->size_bytes);
    sb_json_close(&json, '}');
    sb_file_end(job, &text, &fields);
}

void sb_tool_file_write(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    const char *encoding = sb_arg_text(arguments, "encoding");
    struct sb_str content = sb_str_from(sb_arg_text(arguments, "content"));
    SB_CLEANUP(sb_buf_done) struct sb_buf decoded = SB_BUF_INIT(content.len);
    if (job == NULL) {
        return;
    }
    if (encoding != NULL && strcmp(encoding, "base64") == 0) {
        if (sb_base64_decode(content, &decoded) < 0) {
            sb_job_refuse(job, "content: is no base64 (with padding, without blanks)");
            return;
        }
        content = sb_buf_str(&decoded);
    }
    const struct sb_upload upload = {
        .sandbox_id = sb_arg_text(arguments, "sandbox_id"),
        .path = sb_arg_text(arguments, "path"),
        .data = content,
        .mode = sb_arg_flag(arguments, "executable") ? EXECUTABLE : 0,
        .is_append = sb_arg_flag(arguments, "append"),
    };
    sb_file_upload(job, &upload, written);
}

/* ---- list ---- */

static void put_file(struct sb_out *text, const Aisbx__V1__FileInfo *file)
{
    sb_out_put_safe(text, sb_str_from(file->path));
    if (file->kind == AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY) {
        sb_out_put(text, "/\n");
    } else if (file->kind == AISBX__V1__FILE_KIND__FILE_KIND_SYMLINK) {
        sb_out_put(text, " -> ");
        sb_out_put_safe(text, sb_str_from(file->link_target));
        sb_out_put(text, "\n");
    } else {
        sb_out_printf(text, "  %" PRIu64 "\n", file->size_bytes);
    }
}

static void listed(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__ListFilesResponse *list = (const void *)reply;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    for (size_t i = 0; i < list->n_files; i++) {
        put_file(&text, list->files[i]);
    }
    if (list->n_files == 0) {
        sb_out_put(&text, "no files\n");
    }
    sb_json_open(&json, NULL, '{');
    sb_json_u64(&json, "entries", list->n_files);
    if (list->next_page_token[0] != '\0') {
        sb_out_printf(&text, "there are more: call again with cursor %s\n", list->next_page_token);
        sb_json_cstr(&json, "next_cursor", list->next_page_token);
    }
    sb_json_close(&json, '}');
    sb_file_end(job, &text, &fields);
}

void sb_tool_file_list(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    char path[SB_FILE_PATH_SIZE];
    Aisbx__V1__FilePath directory = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__ListFilesRequest request = AISBX__V1__LIST_FILES_REQUEST__INIT;
    struct sb_job *job = sb_job_new(user, call, sizeof *job, &plain);
    if (job == NULL || !sb_file_read_path(job, arguments, path)) {
        return;
    }
    directory.path = path;
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.directory = &directory;
    request.glob = sb_arg_field(arguments, "glob");
    request.depth = (uint32_t)sb_arg_number(arguments, "depth", 1);
    request.page_size = (uint32_t)sb_arg_number(arguments, "limit", LIST_DEFAULT);
    request.page_token = sb_arg_field(arguments, "cursor");
    sb_job_ask(job, SB_FILE_RPC(LIST_FILES), &request.base, listed);
}
