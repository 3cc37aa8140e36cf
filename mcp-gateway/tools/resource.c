#include "mcp-gateway/tools/resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/file_service.pb-c.h"
#include "aisbx/v1/file_service.rpc.h"
#include "aisbx/v1/sandbox_service.pb-c.h"
#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.pb-c.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/utf8.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/file.h"
#include "mcp-gateway/tools/job.h"

enum {
    OUTPUT_DEFAULT = 64 << 10,
    OUTPUT_MAX = 1 << 20,
    FILE_MAX = 4 << 20, /* base64 makes 5.4 MiB of that; results are 9 at most */
    PART_SIZE = 4096,
};

struct resource {
    struct sb_job job;
    char *uri;
    struct sb_buf data;
    bool is_too_large;
};

/* ---- URIs ---- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Decodes %XX. False: malformed, with a NUL, or too long. */
static bool decode(struct sb_str part, char out[PART_SIZE])
{
    size_t n = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (c == '%') {
            int high = part.len - i > 2 ? hex_digit(part.ptr[i + 1]) : -1;
            int low = part.len - i > 2 ? hex_digit(part.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (n + 1 >= PART_SIZE || c == '\0') {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

/* ---- answers ---- */

static void failed(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc)
{
    struct resource *resource = (struct resource *)job;
    struct sb_mcp_call *call = job->call;
    SB_CLEANUP(sb_freep) char *uri = SB_STEAL_PTR(resource->uri);
    (void)rpc;
    job->call = NULL;
    sb_job_finish(job);
    if (call == NULL) {
        return;
    }
    sb_mcp_on_cancel(call, NULL, NULL);
    if (err->code == SB_UNAUTHENTICATED) {
        sb_mcp_unauthenticated(call, sb_str_from(err->text));
    } else if (err->code == SB_NOT_FOUND || err->code == SB_INVALID) {
        sb_mcp_not_found(call, sb_str_from(uri));
    } else if (err->code == SB_EXHAUSTED || err->code == SB_RANGE) {
        sb_mcp_error(call, SB_MCP_INVALID_PARAMS, sb_str_from(err->text), (struct sb_str){NULL, 0});
    } else {
        sb_mcp_error(call, SB_MCP_INTERNAL, sb_str_from(err->text), (struct sb_str){NULL, 0});
    }
}

static void free_resource(struct sb_job *job)
{
    struct resource *resource = (struct resource *)job;
    free(resource->uri);
    sb_buf_done(&resource->data);
}

static void cancelled(struct sb_job *job)
{
    if (job->rpc != NULL) {
        sb_backend_cancel(job->rpc);
    }
}

static const struct sb_job_ops ops = {
    .cancelled = cancelled,
    .failed = failed,
    .done = free_resource,
};

static void put_bytes(struct sb_job *job, struct sb_str data)
{
    struct sb_str uri = sb_str_from(((struct resource *)job)->uri);
    if (job->call != NULL && sb_utf8_valid(data.ptr, data.len) && !sb_str_has_nul(data)) {
        sb_mcp_contents_text(job->call, uri, "text/plain", data);
    } else if (job->call != NULL) {
        const char *type = sb_file_image_type(data);
        sb_mcp_contents_blob(job->call, uri, type == NULL ? "application/octet-stream" : type,
                             data);
    }
    sb_job_finish(job);
}

/* ---- output ---- */

static void got_output(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__ReadExecOutputResponse *range = (const void *)reply;
    put_bytes(job, sb_str_of(range->data.data, range->data.len));
}

/* "offset=1&max_bytes=2". False: there is something else in it. */
static bool read_query(struct sb_str query, int64_t *ret_offset, uint32_t *ret_max)
{
    struct sb_str item;
    struct sb_str name;
    struct sb_str value;
    while (query.len > 0 && sb_str_next(&query, '&', &item)) {
        char text[24];
        char *end = NULL;
        if (!sb_str_split(item, '=', &name, &value) || value.len == 0 || value.len >= sizeof text) {
            return false;
        }
        memcpy(text, value.ptr, value.len);
        text[value.len] = '\0';
        long long number = strtoll(text, &end, 10);
        if (*end != '\0') {
            return false;
        }
        if (sb_str_eq(name, SB_STR("offset"))) {
            *ret_offset = number;
        } else if (sb_str_eq(name, SB_STR("max_bytes")) && number > 0 && number <= OUTPUT_MAX) {
            *ret_max = (uint32_t)number;
        } else {
            return false;
        }
    }
    return true;
}

static bool ask_output(struct sb_job *job, struct sb_str path, struct sb_str query)
{
    char id[PART_SIZE];
    struct sb_str exec_id;
    struct sb_str stream;
    Aisbx__V1__ReadExecOutputRequest request = AISBX__V1__READ_EXEC_OUTPUT_REQUEST__INIT;
    request.max_bytes = OUTPUT_DEFAULT;
    if (!sb_str_split(path, '/', &exec_id, &stream) || !decode(exec_id, id) ||
        !read_query(query, &request.offset, &request.max_bytes)) {
        return false;
    }
    if (sb_str_eq(stream, SB_STR("stdout"))) {
        request.stream = AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT;
    } else if (sb_str_eq(stream, SB_STR("stderr"))) {
        request.stream = AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR;
    } else {
        return false;
    }
    request.exec_id = id;
    sb_job_ask(job, SB_SANDBOX_RPC(READ_EXEC_OUTPUT), &request.base, got_output);
    return true;
}

/* ---- files ---- */

static bool got_piece(struct sb_job *job, const ProtobufCMessage *message)
{
    struct resource *resource = (struct resource *)job;
    const Aisbx__V1__ReadFileResponse *piece = (const void *)message;
    resource->is_too_large = (piece->file != NULL && piece->file->size_bytes > FILE_MAX) ||
                             sb_buf_append(&resource->data, piece->data.data, piece->data.len) < 0;
    return !resource->is_too_large;
}

static void got_file(struct sb_job *job, const ProtobufCMessage *reply)
{
    struct resource *resource = (struct resource *)job;
    struct sb_err err;
    (void)reply;
    if (resource->is_too_large) {
        (void)sb_err_set(&err, SB_EXHAUSTED,
                         "the file is larger than 4 MiB; read it in ranges with file_read");
        failed(job, &err, NULL);
        return;
    }
    put_bytes(job, sb_buf_str(&resource->data));
}

static bool ask_file(struct sb_job *job, struct sb_str path, struct sb_str query)
{
    char id[PART_SIZE];
    char name[PART_SIZE];
    struct sb_str sandbox_id;
    struct sb_str rest;
    Aisbx__V1__FilePath file = AISBX__V1__FILE_PATH__INIT;
    Aisbx__V1__ReadFileRequest request = AISBX__V1__READ_FILE_REQUEST__INIT;
    if (query.len > 0 || !sb_str_split(path, '/', &sandbox_id, &rest) || !decode(sandbox_id, id) ||
        !sb_str_starts_with(rest, SB_STR("files/")) ||
        !decode(sb_str_skip(rest, strlen("files")), name)) {
        return false;
    }
    file.path = name;
    request.sandbox_id = id;
    request.file = &file;
    sb_job_stream(job, SB_FILE_RPC(READ_FILE), &request.base, got_piece, got_file);
    return true;
}

/* ---- profiles ---- */

static void got_profiles(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__ListProfilesResponse *list = (const void *)reply;
    struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, -1);
    sb_json_open(&json, NULL, '[');
    for (size_t i = 0; i < list->n_profiles; i++) {
        char uri[128];
        (void)snprintf(uri, sizeof uri, "aisbx://profiles/%.64s", list->profiles[i]->name);
        sb_json_open(&json, NULL, '{');
        sb_json_cstr(&json, "name", list->profiles[i]->name);
        sb_json_cstr(&json, "description", list->profiles[i]->description);
        sb_json_cstr(&json, "uri", uri);
        sb_json_close(&json, '}');
    }
    sb_json_close(&json, ']');
    if (job->call != NULL) {
        sb_mcp_contents_text(job->call, sb_str_from(((struct resource *)job)->uri),
                             "application/json", sb_buf_str(&out.buf));
    }
    sb_out_done(&out);
    sb_job_finish(job);
}

static void got_profile(struct sb_job *job, const ProtobufCMessage *reply)
{
    const Aisbx__V1__Profile *profile =
        ((const Aisbx__V1__GetProfileResponse *)(const void *)reply)->profile;
    if (job->call != NULL) {
        sb_mcp_contents_text(job->call, sb_str_from(((struct resource *)job)->uri),
                             "application/yaml", sb_str_from(profile->yaml));
    }
    sb_job_finish(job);
}

static bool ask_profile(struct sb_job *job, struct sb_str path, struct sb_str query)
{
    char name[PART_SIZE];
    Aisbx__V1__GetProfileRequest request = AISBX__V1__GET_PROFILE_REQUEST__INIT;
    if (query.len > 0 || !decode(path, name) || strchr(name, '/') != NULL) {
        return false;
    }
    request.profile = name;
    sb_job_ask(job, SB_WORKER_RPC(GET_PROFILE), &request.base, got_profile);
    return true;
}

static bool ask_profiles(struct sb_job *job, struct sb_str path, struct sb_str query)
{
    Aisbx__V1__ListProfilesRequest request = AISBX__V1__LIST_PROFILES_REQUEST__INIT;
    if (path.len > 0 || query.len > 0) {
        return false;
    }
    request.page_size = 1000;
    sb_job_ask(job, SB_WORKER_RPC(LIST_PROFILES), &request.base, got_profiles);
    return true;
}

/* ---- which ---- */

static const struct {
    struct sb_str prefix;
    bool (*ask)(struct sb_job *job, struct sb_str path, struct sb_str query);
} kinds[] = {
    {SB_STR("aisbx://exec/"), ask_output},
    {SB_STR("aisbx://sandbox/"), ask_file},
    {SB_STR("aisbx://profiles/"), ask_profile},
    {SB_STR("aisbx://profiles"), ask_profiles},
};

static bool ask(struct sb_job *job, struct sb_str uri)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (sb_str_starts_with(uri, kinds[i].prefix)) {
            struct sb_str path = sb_str_skip(uri, kinds[i].prefix.len);
            struct sb_str query = {NULL, 0};
            (void)sb_str_split(path, '?', &path, &query);
            return kinds[i].ask(job, path, query);
        }
    }
    return false;
}

void sb_resource_read(struct sb_mcp_call *call, struct sb_str uri, void *user)
{
    struct sb_err err;
    struct resource *resource = sb_job_new(user, call, sizeof *resource, &ops);
    if (resource == NULL) {
        return;
    }
    sb_buf_init(&resource->data, FILE_MAX);
    resource->uri = sb_str_dup(uri);
    if (resource->uri == NULL) {
        (void)sb_err_oom(&err);
        failed(&resource->job, &err, NULL);
    } else if (!ask(&resource->job, sb_str_from(resource->uri))) {
        (void)sb_err_set(&err, SB_NOT_FOUND, "no such resource");
        failed(&resource->job, &err, NULL);
    }
}
