#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/file_service.rpc.h"
#include "base/err.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/file.h"

enum { PIECE_BYTES = 64 << 10 };

bool sb_file_path(const char *path, char out[SB_FILE_PATH_SIZE])
{
    int n = path[0] == '/' ? snprintf(out, SB_FILE_PATH_SIZE, "%s", path)
                           : snprintf(out, SB_FILE_PATH_SIZE, "/workspace/%s", path);
    return n > 0 && n < SB_FILE_PATH_SIZE;
}

static void send_header(struct sb_job *job, const struct sb_upload *upload, char *path)
{
    Aisbx__V1__FilePath file = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__WriteFileHeader header = AISBX__V1__WRITE_FILE_HEADER__INIT;
    Aisbx__V1__WriteFileRequest message = AISBX__V1__WRITE_FILE_REQUEST__INIT;
    file.path = path;
    header.sandbox_id = sb_lend(upload->sandbox_id);
    header.file = &file;
    header.mode = upload->mode;
    header.make_parents = !upload->is_append;
    header.append = upload->is_append;
    message.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_HEADER;
    message.header = &header;
    (void)sb_backend_send(job->rpc, &message.base);
}

void sb_file_upload(struct sb_job *job, const struct sb_upload *upload, sb_job_step *step)
{
    char path[SB_FILE_PATH_SIZE];
    if (!sb_file_path(upload->path, path)) {
        struct sb_err err;
        (void)sb_err_set(&err, SB_INVALID, "path: is longer than %d bytes", SB_FILE_PATH_SIZE);
        sb_job_failed(job, &err);
        return;
    }
    if (!sb_job_upload(job, SB_FILE_RPC(WRITE_FILE), step)) {
        return;
    }
    send_header(job, upload, path);
    struct sb_str rest = upload->data;
    while (rest.len > 0) {
        struct sb_str piece = sb_str_head(rest, PIECE_BYTES);
        Aisbx__V1__WriteFileRequest message = AISBX__V1__WRITE_FILE_REQUEST__INIT;
        message.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_DATA;
        message.data = (ProtobufCBinaryData){piece.len, sb_lend(piece.ptr)};
        (void)sb_backend_send(job->rpc, &message.base);
        rest = sb_str_skip(rest, piece.len);
    }
    sb_backend_half_close(job->rpc);
}

/* What a URI may hold as it is (RFC 3986); a slash stays one. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/", c) != NULL);
}

void sb_file_link(struct sb_job *job,
                  const char *sandbox_id,
                  const char *path,
                  const char *mime_type,
                  uint64_t size_bytes)
{
    struct sb_out uri;
    char text[64];
    const char *name = strrchr(path, '/');
    sb_out_init(&uri, -1);
    sb_out_printf(&uri, "aisbx://sandbox/%s/files", sandbox_id);
    for (const char *at = path; *at != '\0'; at++) {
        sb_out_printf(&uri, is_plain(*at) ? "%c" : "%%%02X", (unsigned char)*at);
    }
    (void)snprintf(text, sizeof text, "%" PRIu64 " bytes; readable to 4 MiB", size_bytes);
    const struct sb_mcp_resource resource = {.uri = sb_buf_cstr(&uri.buf),
                                             .name = name == NULL ? path : name + 1,
                                             .description = text,
                                             .mime_type = mime_type};
    sb_mcp_link(job->call, &resource);
    sb_out_done(&uri);
}

static const struct {
    struct sb_str magic;
    const char *type;
} images[] = {
    {SB_STR("\x89PNG\r\n\x1a\n"), "image/png"},
    {SB_STR("\xff\xd8\xff"), "image/jpeg"},
    {SB_STR("GIF87a"), "image/gif"},
    {SB_STR("GIF89a"), "image/gif"},
};

const char *sb_file_image_type(struct sb_str data)
{
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        if (sb_str_starts_with(data, images[i].magic)) {
            return images[i].type;
        }
    }
    bool is_webp =
        data.len > 12 && memcmp(data.ptr, "RIFF", 4) == 0 && memcmp(data.ptr + 8, "WEBP", 4) == 0;
    return is_webp ? "image/webp" : NULL;
}
