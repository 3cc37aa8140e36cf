/* Reading, writing and removing one file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/num.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/inflow.h"
#include "mcp-gateway/sandboxd/multipart.h"
#include "mcp-gateway/sandboxd/op.h"

#define FILES(name) &aisbx__v1__file_service__methods[AISBX__V1__FILE_SERVICE__METHOD_##name]
#define BYTES       "application/octet-stream"

static void done(struct sb_op *op, const struct sb_err *err)
{
    if (err->code != SB_OK) {
        sb_op_fail(op, err);
    }
}

/* ---- GET, HEAD ---- */

struct range {
    uint64_t first;
    uint64_t n;
};

/* One range, "bytes=A-B", "bytes=A-" or "bytes=-N", as RFC 9110 has it; other forms are ignored.
 * False: none is asked for, or none of the file's: then *ret_is_bad. */
static bool read_range(const struct sb_op *op, struct range *ret_range, bool *ret_is_bad)
{
    const char *text = sb_http_header(op->request, "Range");
    struct sb_str first;
    struct sb_str last;
    struct sb_err ignored;
    uint64_t from = 0;
    uint64_t to = UINT64_MAX;
    *ret_is_bad = false;
    if (text == NULL || strncmp(text, "bytes=", 6) != 0 ||
        !sb_str_split(sb_str_from(text + 6), '-', &first, &last)) {
        return false;
    }
    if (first.len == 0) { /* the last N */
        uint64_t n = 0;
        if (sb_num_u64(last, 0, INT64_MAX, &n, &ignored) < 0) {
            return false;
        }
        *ret_is_bad = n == 0;
        from = n < op->size ? op->size - n : 0;
    } else if (sb_num_u64(first, 0, INT64_MAX, &from, &ignored) < 0 ||
               (last.len > 0 && sb_num_u64(last, from, INT64_MAX, &to, &ignored) < 0)) {
        return false;
    }
    *ret_is_bad = *ret_is_bad || from >= op->size;
    if (*ret_is_bad) {
        return false;
    }
    uint64_t left = op->size - from;
    *ret_range = (struct range){from, to - from < left ? to - from + 1 : left};
    return true;
}

static void refuse_range(struct sb_op *op)
{
    char text[48];
    (void)snprintf(text, sizeof text, "bytes */%" PRIu64, op->size);
    sb_http_add_header(op->request, "Content-Range", text);
    sb_op_refuse(op, 416, "OUT_OF_RANGE", "nothing lies in that range");
}

static void on_read(struct sb_op *op, const ProtobufCMessage *message)
{
    const Aisbx__V1__ReadFileResponse *read = (const void *)message;
    if (!op->is_begun) {
        op->is_begun = true;
        sb_http_stream_begin(op->request, op->size == UINT64_MAX ? 206 : 200, BYTES);
    }
    if (sb_http_stream_write(op->request, read->data.data, read->data.len)) {
        sb_backend_read(op->call);
    }
}

static void on_read_done(struct sb_op *op, const struct sb_err *err)
{
    struct sb_http_request *request = op->request;
    if (!op->is_begun) {
        done(op, err);
        return;
    }
    op->request = NULL;
    if (err->code == SB_OK) {
        sb_http_stream_end(request);
    } else {
        sb_http_stream_abort(request);
    }
}

static void read_file(struct sb_op *op)
{
    bool is_bad = false;
    struct range range = {0, 0};
    bool has_range = read_range(op, &range, &is_bad);
    sb_http_add_header(op->request, "Accept-Ranges", "bytes");
    sb_http_add_header(op->request, "Cache-Control", "no-cache");
    if (is_bad) {
        refuse_range(op);
        return;
    }
    if (sb_http_method(op->request) == SB_HTTP_HEAD) {
        struct sb_http_request *request = op->request;
        op->request = NULL;
        sb_http_reply(request, 200, BYTES, NULL, (size_t)op->size);
        return;
    }
    if (has_range) {
        char text[80];
        (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.first,
                       range.first + range.n - 1, op->size);
        sb_http_add_header(op->request, "Content-Range", text);
        op->size = UINT64_MAX; /* a part */
    }
    Aisbx__V1__ReadFileRequest read = AISBX__V1__READ_FILE_REQUEST__INIT;
    Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
    path.path = op->path;
    read.sandbox_id = op->sandbox_id;
    read.file = &path;
    read.offset = range.first;
    read.max_bytes = range.n;
    sb_op_ask(op, FILES(READ_FILE), &read.base, on_read, on_read_done);
}

static void on_stat(struct sb_op *op, const ProtobufCMessage *message)
{
    const Aisbx__V1__StatFileResponse *stat = (const void *)message;
    if (stat->file != NULL) {
        op->size = stat->file->size_bytes;
        op->is_directory = stat->file->kind == AISBX__V1__FILE_KIND__FILE_KIND_DIRECTORY;
    }
}

static void stat_file(struct sb_op *op, void (*done_fn)(struct sb_op *op, const struct sb_err *err))
{
    Aisbx__V1__StatFileRequest stat = AISBX__V1__STAT_FILE_REQUEST__INIT;
    Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
    path.path = op->path;
    stat.sandbox_id = op->sandbox_id;
    stat.file = &path;
    stat.follow = true;
    sb_op_ask(op, FILES(STAT_FILE), &stat.base, on_stat, done_fn);
}

static void on_get_stat_done(struct sb_op *op, const struct sb_err *err)
{
    if (err->code != SB_OK) {
        sb_op_fail(op, err);
    } else if (op->is_directory) {
        sb_op_list(op);
    } else {
        read_file(op);
    }
}

void sb_op_get(struct sb_op *op)
{
    stat_file(op, on_get_stat_done);
}

/* ---- PUT ---- */

static void on_written(struct sb_op *op, const ProtobufCMessage *message)
{
    (void)message;
    sb_op_reply_empty(op, 204);
}

static void put_content(void *ctx, struct sb_str piece)
{
    (void)sb_inflow_put(((struct sb_op *)ctx)->inflow, piece);
}

/* There will be no file. */
static void refuse_body(struct sb_op *op, const struct sb_err *err)
{
    struct sb_backend_call *call = op->call;
    sb_op_fail(op, err);
    sb_backend_cancel(call);
}

static bool on_form_piece(struct sb_http_request *request, struct sb_str piece, void *user)
{
    struct sb_op *op = user;
    struct sb_err err;
    (void)request;
    if (sb_multipart_feed(op->form, piece, put_content, op, &err) < 0) {
        refuse_body(op, &err);
        return false;
    }
    return sb_inflow_put(op->inflow, sb_str_of("", 0));
}

static void on_form_end(struct sb_http_request *request, void *user)
{
    struct sb_op *op = user;
    struct sb_err err;
    (void)request;
    if (sb_multipart_end(op->form, &err) < 0) {
        refuse_body(op, &err);
    } else {
        sb_inflow_end(op->inflow);
    }
}

static void watch_form(struct sb_op *op)
{
    static const struct sb_http_body_watcher watcher = {.piece = on_form_piece, .end = on_form_end};
    sb_http_watch_body(op->request, &watcher, op);
}

static void write_file(struct sb_op *op)
{
    Aisbx__V1__WriteFileHeader header = AISBX__V1__WRITE_FILE_HEADER__INIT;
    Aisbx__V1__WriteFileRequest first = AISBX__V1__WRITE_FILE_REQUEST__INIT;
    Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
    struct sb_err err;
    sb_op_ask(op, FILES(WRITE_FILE), NULL, on_written, done);
    if (op->call == NULL) {
        return;
    }
    path.path = op->path;
    header.sandbox_id = op->sandbox_id;
    header.file = &path;
    header.mode = op->mode;
    header.make_parents = true;
    first.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_HEADER;
    first.header = &header;
    (void)sb_backend_send(op->call, &first.base);
    if (sb_inflow_new(op->request, op->call, sb_inflow_send_file, &op->inflow, &err) < 0) {
        refuse_body(op, &err);
    } else if (op->form != NULL) {
        watch_form(op);
    } else {
        sb_inflow_watch(op->inflow);
    }
}

/* Missing is what a new file is. */
static void on_put_stat_done(struct sb_op *op, const struct sb_err *err)
{
    if (err->code != SB_OK && err->code != SB_NOT_FOUND) {
        sb_op_fail(op, err);
    } else if (op->is_directory) {
        sb_op_refuse(op, 400, "INVALID_ARGUMENT", "target path is a directory");
    } else {
        write_file(op);
    }
}

void sb_op_put(struct sb_op *op)
{
    stat_file(op, on_put_stat_done);
}

/* ---- DELETE ---- */

static void on_removed(struct sb_op *op, const ProtobufCMessage *message)
{
    (void)message;
    sb_op_reply_empty(op, 204);
}

void sb_op_delete(struct sb_op *op)
{
    Aisbx__V1__RemoveFileRequest remove = AISBX__V1__REMOVE_FILE_REQUEST__INIT;
    Aisbx__V1__FilePath path = AISBX__V1__FILE_PATH__INIT;
    bool is_root = strcmp(op->path, SB_OP_ROOT) == 0;
    if (is_root && !op->is_recursive) {
        sb_op_refuse(op, 409, "CONFLICT",
                     "cannot delete the root; pass recursive=true to clear its contents");
        return;
    }
    if (is_root) {
        sb_op_clear(op);
        return;
    }
    path.path = op->path;
    remove.sandbox_id = op->sandbox_id;
    remove.file = &path;
    remove.recursive = op->is_recursive;
    sb_op_ask(op, FILES(REMOVE_FILE), &remove.base, on_removed, done);
}
