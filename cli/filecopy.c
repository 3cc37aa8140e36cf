#include "cli/filecopy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "base/utf8.h"
#include "proto/client/connect.h"

enum { PIECE = 64 << 10, PROGRESS_BYTES = 4 << 20 };

/** One call on its way. */
struct transfer {
    struct sb_filecopy *copy;
    int fd;
    bool is_full; /* until drained */
    bool is_over;
    struct sb_err failed; /* ours: the file here */
    struct sb_err status; /* of the call */
};

Aisbx__V1__FilePath sb_filecopy_path(const char *path)
{
    Aisbx__V1__FilePath msg = AISBX__V1__FILE_PATH__INIT;
    struct sb_str text = sb_str_from(path);
    if (sb_utf8_valid(text.ptr, text.len)) {
        memcpy(&msg.path, &path, sizeof path);
    } else {
        memcpy(&msg.raw_path.data, &path, sizeof path);
        msg.raw_path.len = text.len;
    }
    return msg;
}

static void count(struct sb_filecopy *copy, size_t len)
{
    char text[SB_NUM_TEXT_SIZE];
    uint64_t before = copy->bytes;
    copy->bytes += len;
    if (copy->has_progress && before / PROGRESS_BYTES != copy->bytes / PROGRESS_BYTES) {
        (void)fprintf(stderr, "\r\033[K%s", sb_num_format_bytes_short(text, copy->bytes));
    }
}

void sb_filecopy_end_progress(const struct sb_filecopy *copy)
{
    if (copy->has_progress && copy->bytes >= PROGRESS_BYTES) {
        (void)fputs("\r\033[K", stderr);
    }
}

/* ---- into the sandbox ---- */

static void put_drained(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    struct transfer *transfer = user;
    transfer->is_full = false;
}

static void put_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct transfer *transfer = user;
    transfer->is_over = true;
    transfer->status = *err;
}

static const struct aisbx__v1__file_service__write_file__callbacks put_callbacks = {
    .drained = put_drained, .done = put_done};

static int finish(const struct transfer *transfer, const char *path, struct sb_err *err)
{
    const struct sb_err *why =
        transfer->failed.code != SB_OK ? &transfer->failed : &transfer->status;
    if (why->code == SB_OK) {
        return 0;
    }
    *err = *why;
    return transfer->failed.code != SB_OK ? sb_err_wrap(err, "cannot copy %s", path) : -1;
}

/* Sends the next piece, or the end. */
static void send_piece(struct transfer *transfer, struct sb_rpc_stream *stream, bool *is_last)
{
    static unsigned char piece[PIECE];
    Aisbx__V1__WriteFileRequest msg = AISBX__V1__WRITE_FILE_REQUEST__INIT;
    size_t len = 0;
    if (sb_fd_read_full(transfer->fd, piece, sizeof piece, &len, &transfer->failed) < 0) {
        *is_last = true;
        sb_rpc_stream_cancel(stream);
        return;
    }
    if (len > 0) {
        msg.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_DATA;
        msg.data.data = piece;
        msg.data.len = len;
        count(transfer->copy, len);
        transfer->is_full = !aisbx__v1__file_service__write_file__write(stream, &msg);
    }
    if (len < sizeof piece) {
        *is_last = true;
        sb_rpc_stream_half_close(stream);
    }
}

int sb_filecopy_put(
    struct sb_filecopy *copy, int fd, const char *path, unsigned mode, struct sb_err *err)
{
    struct transfer transfer = {.copy = copy, .fd = fd};
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__FilePath file = sb_filecopy_path(path);
    Aisbx__V1__WriteFileHeader header = AISBX__V1__WRITE_FILE_HEADER__INIT;
    Aisbx__V1__WriteFileRequest msg = AISBX__V1__WRITE_FILE_REQUEST__INIT;
    bool is_last = false;
    header.sandbox_id = copy->sandbox_id;
    header.file = &file;
    header.mode = mode;
    msg.message_case = AISBX__V1__WRITE_FILE_REQUEST__MESSAGE_HEADER;
    msg.header = &header;
    if (aisbx__v1__file_service__write_file__start(copy->connect->channel, &copy->connect->options,
                                                   &put_callbacks, &transfer, &stream, err) < 0) {
        return -1;
    }
    (void)aisbx__v1__file_service__write_file__write(stream, &msg);
    while (!transfer.is_over) {
        if (!is_last && !transfer.is_full) {
            send_piece(&transfer, stream, &is_last);
            sb_rpc_channel_process(copy->connect->channel);
        } else {
            sb_rpc_channel_wait(copy->connect->channel);
        }
    }
    return finish(&transfer, path, err);
}

/* ---- out of it ---- */

static void
get_message(struct sb_rpc_stream *stream, const Aisbx__V1__ReadFileResponse *msg, void *user)
{
    struct transfer *transfer = user;
    if (transfer->failed.code == SB_OK && msg->data.len > 0) {
        if (sb_fd_write_full(transfer->fd, msg->data.data, msg->data.len, &transfer->failed) < 0) {
            sb_rpc_stream_cancel(stream);
            return;
        }
        count(transfer->copy, msg->data.len);
    }
    sb_rpc_stream_read(stream);
}

static void get_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    put_done(stream, err, user);
}

static const struct aisbx__v1__file_service__read_file__callbacks get_callbacks = {
    .message = get_message, .done = get_done};

int sb_filecopy_get(struct sb_filecopy *copy, const char *path, int fd, struct sb_err *err)
{
    struct transfer transfer = {.copy = copy, .fd = fd};
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__FilePath file = sb_filecopy_path(path);
    Aisbx__V1__ReadFileRequest request = AISBX__V1__READ_FILE_REQUEST__INIT;
    request.sandbox_id = copy->sandbox_id;
    request.file = &file;
    if (aisbx__v1__file_service__read_file__start(copy->connect->channel, &request,
                                                  &copy->connect->options, &get_callbacks,
                                                  &transfer, &stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!transfer.is_over) {
        sb_rpc_channel_wait(copy->connect->channel);
    }
    return finish(&transfer, path, err);
}

int sb_filecopy_stat(struct sb_filecopy *copy,
                     const char *path,
                     Aisbx__V1__StatFileResponse **ret_reply,
                     struct sb_err *err)
{
    Aisbx__V1__FilePath file = sb_filecopy_path(path);
    Aisbx__V1__StatFileRequest request = AISBX__V1__STAT_FILE_REQUEST__INIT;
    request.sandbox_id = copy->sandbox_id;
    request.file = &file;
    request.follow = true;
    if (aisbx__v1__file_service__stat_file__call(copy->connect->channel, &request,
                                                 &copy->connect->options, ret_reply, err) < 0) {
        return -1;
    }
    return (*ret_reply)->file == NULL ? sb_err_set(err, SB_INTERNAL, "the worker's reply is empty")
                                      : 0;
}
