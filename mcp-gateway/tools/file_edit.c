/* A part of a file, exchanged. */
#include <inttypes.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/file_service.rpc.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/file.h"

enum { MAX_TEXT = 1 << 20 };

struct editing {
    struct sb_job job;
    char path[SB_FILE_PATH_SIZE];
};

static void failed(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc)
{
    bool is_count = err->code == SB_PRECONDITION && strstr(err->text, "the text is found") != NULL;
    struct sb_out text;
    if (!is_count || job->call == NULL) {
        sb_job_tell(job, err, rpc);
        sb_job_finish(job);
        return;
    }
    sb_out_init(&text, -1);
    sb_out_printf(&text,
                  "Nothing was changed: %s.\nNext step: look at the file (file_read, file_search) "
                  "and give find as it stands there, with lines around it that make it the one; or "
                  "say by count how many are meant.",
                  err->text);
    sb_mcp_text(job->call, sb_buf_str(&text.buf));
    sb_mcp_fail(job->call);
    sb_out_done(&text);
    sb_job_finish(job);
}

static const struct sb_job_ops ops = {.failed = failed};

static void edited(struct sb_job *job, const ProtobufCMessage *reply)
{
    const struct editing *editing = (const struct editing *)job;
    uint32_t replaced = ((const Aisbx__V1__ReplaceInFileResponse *)(const void *)reply)->replaced;
    struct sb_out text;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    sb_out_init(&text, -1);
    sb_out_init(&fields, -1);
    sb_out_put(&text, "changed: ");
    sb_out_put_safe(&text, sb_str_from(editing->path));
    sb_out_printf(&text, ", %" PRIu32 " %s\n", replaced, replaced == 1 ? "place" : "places");
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "path", editing->path);
    sb_json_u64(&json, "replaced", replaced);
    sb_json_close(&json, '}');
    sb_file_end(job, &text, &fields);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), sb_lend(text)};
}

void sb_tool_file_edit(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    Aisbx__V1__FilePath file = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__ReplaceInFileRequest request = AISBX__V1__REPLACE_IN_FILE_REQUEST__INIT;
    struct editing *editing = sb_job_new(user, call, sizeof *editing, &ops);
    if (editing == NULL || !sb_file_read_path(&editing->job, arguments, editing->path)) {
        return;
    }
    file.path = editing->path;
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.file = &file;
    request.find = bytes_of(sb_arg_text(arguments, "find"));
    request.replacement = bytes_of(sb_arg_text(arguments, "replacement"));
    request.expected_count = (uint32_t)sb_arg_number(arguments, "count", 1);
    if (request.find.len > MAX_TEXT || request.replacement.len > MAX_TEXT) { /* of bytes */
        sb_job_refuse(&editing->job, "find: it and replacement have at most 1 MiB each");
        return;
    }
    sb_job_ask(&editing->job, SB_FILE_RPC(REPLACE_IN_FILE), &request.base, edited);
}
