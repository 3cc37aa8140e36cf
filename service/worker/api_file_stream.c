/* ReadFile and WriteFile. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/api_pb.h"
#include "service/worker/fileframe.h"
#include "service/worker/files/push.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { PERMISSIONS = 0777 };

/** One call. */
struct stream {
    struct sb_push push;       /* ReadFile: of it call, op and is_over alone */
    Aisbx__V1__FileInfo *info; /* owned */
    size_t path_len;
    char path[SB_FILE_MAX_PATH];
};

static void fail_oom(struct stream *stream)
{
    struct sb_err err;
    (void)sb_err_oom(&err);
    sb_push_fail(&stream->push, &err);
}

static void stream_done(struct sb_rpc_call *call)
{
    struct stream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_push_done(&stream->push);
        aisbx__v1__file_info__free_unpacked(stream->info, NULL);
        free(stream);
    }
}

/** Starts the operation. False: the call is failed. */
static bool begin(struct sb_rpc_call *call, struct sb_fileop_options *options)
{
    struct sb_err err;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return false;
    }
    stream->push.call = call;
    stream->path_len = options->path.len;
    memcpy(stream->path, options->path.ptr, options->path.len);
    options->ctx = stream;
    if (sb_fileop_start(options, &stream->push.op, &err) < 0) {
        free(stream);
        sb_rpc_call_fail(call, &err);
        return false;
    }
    sb_rpc_call_set_user(call, stream);
    return true;
}

static Aisbx__V1__FileInfo *info_of(const struct stream *stream, const struct sb_fileframe *frame)
{
    return sb_api_file_info(&frame->info, sb_str_of(stream->path, stream->path_len), frame->link);
}

/* ---- ReadFile ---- */

static void send_read(struct stream *stream, const Aisbx__V1__ReadFileResponse *msg)
{
    if (!aisbx__v1__file_service__read_file__send(stream->push.call, msg)) {
        sb_fileop_pause(stream->push.op, true);
    }
}

static void on_read_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct stream *stream = ctx;
    Aisbx__V1__ReadFileResponse msg = AISBX__V1__READ_FILE_RESPONSE__INIT;
    if (frame->type == SB_FILE_INFO && stream->info == NULL) {
        stream->info = info_of(stream, frame);
        if (stream->info == NULL) {
            fail_oom(stream);
            return;
        }
        msg.file = stream->info;
        send_read(stream, &msg);
    } else if (frame->type == SB_FILE_DATA && stream->info != NULL) {
        msg.data.len = frame->data.len;
        memcpy(&msg.data.data, &frame->data.ptr, sizeof msg.data.data);
        send_read(stream, &msg);
    }
}

static void on_read_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    (void)done;
    struct stream *stream = ctx;
    if (err->code != SB_OK) {
        sb_push_fail(&stream->push, err);
    } else if (!stream->push.is_over) {
        stream->push.is_over = true;
        sb_rpc_call_reply(stream->push.call, NULL);
    }
}

static const struct sb_fileop_events read_events = {.frame = on_read_frame, .done = on_read_done};

void sb_api_file_read(struct sb_rpc_call *call, const Aisbx__V1__ReadFileRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &read_events};
    options.sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    options.request = (struct sb_file_request){
        .op = SB_FILE_READ, .offset = req->offset, .max_bytes = req->max_bytes};
    if (req->offset > INT64_MAX) {
        (void)sb_err_set(&err, SB_INVALID, "offset: no file is that long");
        sb_rpc_call_fail(call, &err);
    } else if (sb_api_file_path(req->file, "file", &options.path, &err) < 0) {
        sb_rpc_call_fail(call, &err);
    } else {
        (void)begin(call, &options);
    }
}

void sb_api_file_read_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct stream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        sb_fileop_pause(stream->push.op, false);
    }
}

void sb_api_file_read_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    stream_done(call);
}

/* ---- WriteFile ---- */

static void on_write_ready(void *ctx)
{
    struct stream *stream = ctx;
    sb_push_ready(&stream->push);
}

static void on_write_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct stream *stream = ctx;
    if (frame->type == SB_FILE_INFO && stream->info == NULL) {
        stream->info = info_of(stream, frame);
    }
}

static void on_write_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    (void)done;
    struct stream *stream = ctx;
    if (stream->push.is_over) {
        return;
    }
    stream->push.is_over = true;
    Aisbx__V1__WriteFileResponse *msg = NULL;
    if (err->code == SB_OK && stream->info != NULL) {
        msg = sb_api_pb_new(&aisbx__v1__write_file_response__descriptor);
    }
    if (msg != NULL) {
        msg->file = stream->info;
        stream->info = NULL;
    }
    sb_api_finish(stream->push.call, msg, err);
}

static const struct sb_fileop_events write_events = {
    .frame = on_write_frame, .ready = on_write_ready, .done = on_write_done};

static void begin_write(struct sb_rpc_call *call,
                        struct sb_worker *worker,
                        const Aisbx__V1__WriteFileHeader *header)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &write_events};
    options.sandbox = sb_api_call_sandbox(call, worker, header->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    options.request = (struct sb_file_request){
        .op = SB_FILE_WRITE,
        .mode = header->mode,
        .flags = (header->make_parents ? SB_FILE_PARENTS : 0U) |
                 (header->no_replace ? SB_FILE_NO_REPLACE : 0U) |
                 (header->append ? SB_FILE_APPEND : 0U),
    };
    if (header->mode > PERMISSIONS) {
        (void)sb_err_set(&err, SB_INVALID, "header.mode: 0%o is not in 0..0777", header->mode);
        sb_rpc_call_fail(call, &err);
    } else if (sb_api_file_path(header->file, "header.file", &options.path, &err) < 0) {
        sb_rpc_call_fail(call, &err);
    } else {
        (void)begin(call, &options); /* ready() asks for the next message */
    }
}

void sb_api_file_write(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_read(call);
}

void sb_api_file_write_message(struct sb_rpc_call *call,
                               const Aisbx__V1__WriteFileRequest *msg,
                               void *svc)
{
    struct sb_err err;
    struct stream *stream = sb_rpc_call_user(call);
    bool is_header = msg->message_case == AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_HEADER;
    if (stream == NULL && is_header) {
        begin_write(call, svc, msg->header);
    } else if (stream == NULL) {
        (void)sb_err_set(&err, SB_INVALID, "header: must be the first message");
        sb_rpc_call_fail(call, &err);
    } else if (msg->message_case != AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_DATA) {
        (void)sb_err_set(&err, SB_INVALID, "only the first message may be a header");
        sb_push_fail(&stream->push, &err);
    } else if (sb_push_take(&stream->push, msg->data.data, msg->data.len, &err) < 0) {
        sb_push_fail(&stream->push, &err);
    }
}

void sb_api_file_write_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct stream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        sb_push_half_close(&stream->push);
        return;
    }
    struct sb_err err;
    (void)sb_err_set(&err, SB_INVALID, "header: must be the first message");
    sb_rpc_call_fail(call, &err);
}

void sb_api_file_write_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    stream_done(call);
}
