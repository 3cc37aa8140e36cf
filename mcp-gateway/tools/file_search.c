/* Lines of files that match. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/file_service.rpc.h"
#include "base/json.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "mcp-gateway/tools/file.h"

enum {
    MATCHES_DEFAULT = 100,
    MAX_TEXT = 16 << 10, /* of all lines */
    MAX_LINE = 400,
};

struct searching {
    struct sb_job job;
    struct sb_out text;
    size_t limit;
    size_t n_matches;
    size_t n_files;
    bool has_more;
    char last[SB_FILE_PATH_SIZE]; /* file; its matches come together */
};

static void free_searching(struct sb_job *job)
{
    sb_out_done(&((struct searching *)job)->text);
}

static const struct sb_job_ops ops = {.done = free_searching};

static void put_line(struct sb_out *out, struct sb_str line)
{
    size_t n = line.len;
    if (n > MAX_LINE) {
        n = MAX_LINE;
        while (n > 0 && (line.ptr[n] & 0xC0) == 0x80) { /* whole characters */
            n--;
        }
    }
    sb_out_put_safe(out, sb_str_head(line, n));
    sb_out_put(out, n < line.len ? "...\n" : "\n");
}

static bool on_match(struct sb_job *job, const ProtobufCMessage *message)
{
    struct searching *searching = (struct searching *)job;
    const Aisbx__V1__SearchFilesResponse *match = (const void *)message;
    const char *path = match->file == NULL ? "" : match->file->path;
    if (searching->n_matches == searching->limit || searching->text.buf.len >= MAX_TEXT) {
        searching->has_more = true;
        return false;
    }
    if (strcmp(path, searching->last) != 0) {
        (void)snprintf(searching->last, sizeof searching->last, "%s", path);
        searching->n_files++;
    }
    searching->n_matches++;
    sb_out_put_safe(&searching->text, sb_str_from(path));
    sb_out_printf(&searching->text, ":%" PRIu64 ": ", match->line);
    put_line(&searching->text, sb_str_of(match->text.data, match->text.len));
    return true;
}

static void searched(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct searching *searching = (struct searching *)job;
    struct sb_out fields;
    struct sb_json json = {.out = &fields};
    (void)reply;
    sb_out_init(&fields, -1);
    if (searching->n_matches == 0) {
        sb_out_put(&searching->text, "no line matches\n");
    } else if (searching->has_more) {
        sb_out_put(&searching->text, "there are more: narrow it by path, glob or pattern\n");
    }
    sb_json_open(&json, NULL, '{');
    sb_json_u64(&json, "matches", searching->n_matches);
    sb_json_u64(&json, "files", searching->n_files);
    sb_json_bool(&json, "is_truncated", searching->has_more);
    sb_json_close(&json, '}');
    struct sb_out text = searching->text;
    sb_out_init(&searching->text, -1);
    sb_file_end(job, &text, &fields);
}

void sb_tool_file_search(struct sb_mcp_call *call, const struct cJSON *arguments, void *user)
{
    char path[SB_FILE_PATH_SIZE];
    Aisbx__V1__FilePath directory = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__SearchFilesRequest request = AISBX__V1__SEARCH_FILES_REQUEST__INIT;
    struct searching *searching = sb_job_new(user, call, sizeof *searching, &ops);
    if (searching == NULL) {
        return;
    }
    sb_out_init(&searching->text, -1);
    if (!sb_file_read_path(&searching->job, arguments, path)) {
        return;
    }
    searching->limit = (size_t)sb_arg_number(arguments, "limit", MATCHES_DEFAULT);
    directory.path = path;
    request.sandbox_id = sb_arg_field(arguments, "sandbox_id");
    request.directory = &directory;
    request.pattern = sb_arg_field(arguments, "pattern");
    request.glob = sb_arg_field(arguments, "glob");
    request.ignore_case = sb_arg_flag(arguments, "ignore_case");
    request.max_matches = (uint32_t)searching->limit + 1; /* whether there are more */
    sb_job_stream(&searching->job, SB_FILE_RPC(SEARCH_FILES), &request.base, on_match, searched);
}
