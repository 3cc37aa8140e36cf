/* ReadFile and WriteFile. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/api_pb.h"
#include "service/worker/fileframe.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { PERMISSIONS = 0777 };

/** One call. */
struct stream {
    struct sb_rpc_call *call;
    struct sb_fileop *op;
    Aisbx__V1__FileInfo *info; /* owned */
    size_t path_len;
    char path[SB_FILE_MAX_PATH];
    bool is_over; /* the call was ended */
    /* WriteFile */
    bool is_ready; /* the helper takes a piece */
    bool has_half_closed;
    bool has_committed;
    unsigned char *piece; /* owned; what waits to be sent */
    size_t piece_len;     /* 0: nothing */
};

static void fail(struct stream *stream, const struct sb_err *err)
{
    if (!stream->is_over) {
        stream->is_over = true;
        sb_rpc_call_fail(stream->call, err);
    }
}

static void fail_oom(struct stream *stream)
{
    struct sb_err err;
    (void)sb_err_oom(&err);
    fail(stream, &err);
}

static void stream_done(struct sb_rpc_call *call)
{
    struct stream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_fileop_free(stream->op);
        aisbx__v1__file_info__free_unpacked(stream->info, NULL);
        free(stream->piece);
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
    stream->call = call;
    stream->path_len = options->path.len;
    memcpy(stream->path, options->path.ptr, options->path.len);
    options->ctx = stream;
    if (sb_fileop_start(options, &stream->op, &err) < 0) {
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
    if (!aisbx__v1__file_service__read_file__send(stream->call, msg)) {
        sb_fileop_pause(stream->op, true);
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

static void on_read_done(void *ctx, uint64_t count, const struct sb_err *err)
{
    (void)count;
    struct stream *stream = ctx;
    if (err->code != SB_OK) {
        fail(stream, err);
    } else if (!stream->is_over) {
        stream->is_over = true;
        sb_rpc_call_reply(stream->call, NULL);
    }
}

static const struct sb_fileop_events read_events = {.frame = on_read_frame, .done = on_read_done};

void sb_api_file_read(struct sb_rpc_call *call, const Aisbx__V1__ReadFileRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &read_events};
    options.sandbox = sb_api_file_sandbox(call, svc, req->sandbox_id);
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
        sb_fileop_pause(stream->op, false);
    }
}

void sb_api_file_read_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    stream_done(call);
}

/* ---- WriteFile ---- */

/* One piece is on its way at most: the next message is asked for when the helper took the last. */
static void push(struct stream *stream)
{
    if (!stream->is_ready || stream->is_over || stream->has_committed) {
        return;
    }
    if (stream->piece_len > 0) {
        if (!sb_fileop_send(stream->op, stream->piece, stream->piece_len)) {
            stream->is_ready = false;
            return;
        }
        stream->piece_len = 0;
    }
    if (stream->has_half_closed) {
        stream->has_committed = sb_fileop_commit(stream->op);
        stream->is_ready = stream->has_committed;
    } else {
        sb_rpc_call_read(stream->call);
    }
}

static void on_write_ready(void *ctx)
{
    struct stream *stream = ctx;
    stream->is_ready = true;
    push(stream);
}

static void on_write_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct stream *stream = ctx;
    if (frame->type == SB_FILE_INFO && stream->info == NULL) {
        stream->info = info_of(stream, frame);
    }
}

static void on_write_done(void *ctx, uint64_t count, const struct sb_err *err)
{
    (void)count;
    struct stream *stream = ctx;
    if (stream->is_over) {
        return;
    }
    stream->is_over = true;
    Aisbx__V1__WriteFileResponse *msg = NULL;
    if (err->code == SB_OK && stream->info != NULL) {
        msg = sb_api_pb_new(&aisbx__v1__write_file_response__descriptor);
    }
    if (msg != NULL) {
        msg->file = stream->info;
        stream->info = NULL;
    }
    sb_api_finish(stream->call, msg, err);
}

static const struct sb_fileop_events write_events = {
    .frame = on_write_frame, .ready = on_write_ready, .done = on_write_done};

static void begin_write(struct sb_rpc_call *call,
                        struct sb_worker *worker,
                        const Aisbx__V1__WriteFileHeader *header)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &write_events};
    options.sandbox = sb_api_file_sandbox(call, worker, header->sandbox_id);
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

static int take_piece(struct stream *stream, const ProtobufCBinaryData *data, struct sb_err *err)
{
    if (data->len > SB_FILE_MAX_DATA) {
        return sb_err_set(err, SB_INVALID, "data: %zu bytes are more than %d in one piece",
                          data->len, SB_FILE_MAX_DATA);
    }
    if (stream->piece == NULL && (stream->piece = malloc(SB_FILE_MAX_DATA)) == NULL) {
        return sb_err_oom(err);
    }
    if (data->len > 0) {
        memcpy(stream->piece, data->data, data->len);
    }
    stream->piece_len = data->len;
    return 0;
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
        fail(stream, &err);
    } else if (take_piece(stream, &msg->data, &err) < 0) {
        fail(stream, &err);
    } else {
        push(stream);
    }
}

void sb_api_file_write_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct stream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        stream->has_half_closed = true;
        push(stream);
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
