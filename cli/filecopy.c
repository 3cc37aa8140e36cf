#include "cli/filecopy.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "base/utf8.h"
#include "proto/client/connect.h"
#include "proto/client/message.h"

enum { PIECE = 64 << 10, PROGRESS_AFTER_MS = 500, PROGRESS_MS = 200 };

/** One call on its way. */
struct transfer {
    struct sb_filecopy *copy;
    int fd;
    bool is_full; /* until drained */
    bool is_over;
    struct sb_err failed;                /* ours: the file here */
    struct sb_err status;                /* of the call */
    Aisbx__V1__ImportTarResponse *reply; /* of an import; owned */
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

/* Bytes, rate, and the time that the rest will take at that rate. */
static void show(struct sb_filecopy *copy, uint64_t now_ms)
{
    char bytes[SB_NUM_TEXT_SIZE];
    char total[SB_NUM_TEXT_SIZE];
    char rate[SB_NUM_TEXT_SIZE];
    uint64_t done = copy->bytes - copy->before;
    uint64_t spent_ms = now_ms - copy->start_ms;
    uint64_t a_second = spent_ms == 0 ? 0 : done * 1000 / spent_ms;
    (void)fprintf(stderr, "\r\033[K%s", sb_num_format_bytes_short(bytes, copy->bytes));
    if (copy->total > 0) {
        (void)fprintf(stderr, " of %s",
                      sb_num_format_bytes_short(total, copy->before + copy->total));
    }
    (void)fprintf(stderr, ", %s/s", sb_num_format_bytes_short(rate, a_second));
    if (copy->total > done && a_second > 0) {
        uint64_t left_s = (copy->total - done) / a_second;
        (void)fprintf(stderr, ", %llu:%02llu left", (unsigned long long)(left_s / 60),
                      (unsigned long long)(left_s % 60));
    }
}

void sb_filecopy_count(struct sb_filecopy *copy, size_t len)
{
    copy->bytes += len;
    if (!copy->has_progress) {
        return;
    }
    uint64_t now_ms = sb_clock_mono_ms();
    if (now_ms - copy->start_ms >= PROGRESS_AFTER_MS && now_ms - copy->shown_ms >= PROGRESS_MS) {
        copy->shown_ms = now_ms;
        show(copy, now_ms);
    }
}

void sb_filecopy_begin(struct sb_filecopy *copy, uint64_t total)
{
    copy->total = total;
    copy->before = copy->bytes;
    copy->start_ms = sb_clock_mono_ms();
}

void sb_filecopy_end_progress(const struct sb_filecopy *copy)
{
    if (copy->has_progress && copy->shown_ms != 0) {
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
        sb_filecopy_count(transfer->copy, len);
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
    struct stat st;
    sb_filecopy_begin(copy, fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
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
    if (msg->file != NULL) {
        sb_filecopy_begin(transfer->copy, msg->file->size_bytes);
    }
    if (transfer->failed.code == SB_OK && msg->data.len > 0) {
        if (sb_fd_write_full(transfer->fd, msg->data.data, msg->data.len, &transfer->failed) < 0) {
            sb_rpc_stream_cancel(stream);
            return;
        }
        sb_filecopy_count(transfer->copy, msg->data.len);
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

/* ---- archives ---- */

static void
export_message(struct sb_rpc_stream *stream, const Aisbx__V1__ExportTarResponse *msg, void *user)
{
    struct transfer *transfer = user;
    if (transfer->failed.code == SB_OK && msg->data.len > 0) {
        if (sb_fd_write_full(transfer->fd, msg->data.data, msg->data.len, &transfer->failed) < 0) {
            sb_rpc_stream_cancel(stream);
            return;
        }
        sb_filecopy_count(transfer->copy, msg->data.len);
    }
    sb_rpc_stream_read(stream);
}

static const struct aisbx__v1__file_service__export_tar__callbacks export_callbacks = {
    .message = export_message, .done = get_done};

int sb_filecopy_export(struct sb_filecopy *copy, const char *path, int fd, struct sb_err *err)
{
    struct transfer transfer = {.copy = copy, .fd = fd};
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__FilePath directory = sb_filecopy_path(path);
    Aisbx__V1__ExportTarRequest request = AISBX__V1__EXPORT_TAR_REQUEST__INIT;
    request.sandbox_id = copy->sandbox_id;
    request.directory = &directory;
    sb_filecopy_begin(copy, 0);
    if (aisbx__v1__file_service__export_tar__start(copy->connect->channel, &request,
                                                   &copy->connect->options, &export_callbacks,
                                                   &transfer, &stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!transfer.is_over) {
        sb_rpc_channel_wait(copy->connect->channel);
    }
    return finish(&transfer, path, err);
}

static void
import_message(struct sb_rpc_stream *stream, const Aisbx__V1__ImportTarResponse *msg, void *user)
{
    struct transfer *transfer = user;
    (void)stream;
    transfer->reply =
        (Aisbx__V1__ImportTarResponse *)sb_message_copy(&msg->base, &transfer->failed);
}

static const struct aisbx__v1__file_service__import_tar__callbacks import_callbacks = {
    .message = import_message, .drained = put_drained, .done = put_done};

static void send_archive(struct transfer *transfer, struct sb_rpc_stream *stream, bool *is_last)
{
    static unsigned char piece[PIECE];
    Aisbx__V1__ImportTarRequest msg = AISBX__V1__IMPORT_TAR_REQUEST__INIT;
    size_t len = 0;
    if (sb_fd_read_full(transfer->fd, piece, sizeof piece, &len, &transfer->failed) < 0) {
        *is_last = true;
        sb_rpc_stream_cancel(stream);
        return;
    }
    if (len > 0) {
        msg.message_case = AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_DATA;
        msg.data.data = piece;
        msg.data.len = len;
        sb_filecopy_count(transfer->copy, len);
        transfer->is_full = !aisbx__v1__file_service__import_tar__write(stream, &msg);
    }
    if (len < sizeof piece) {
        *is_last = true;
        sb_rpc_stream_half_close(stream);
    }
}

int sb_filecopy_import(struct sb_filecopy *copy,
                       int fd,
                       const char *path,
                       Aisbx__V1__ImportTarResponse **ret_reply,
                       struct sb_err *err)
{
    struct transfer transfer = {.copy = copy, .fd = fd};
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__FilePath directory = sb_filecopy_path(path);
    Aisbx__V1__ImportTarHeader header = AISBX__V1__IMPORT_TAR_HEADER__INIT;
    Aisbx__V1__ImportTarRequest msg = AISBX__V1__IMPORT_TAR_REQUEST__INIT;
    bool is_last = false;
    header.sandbox_id = copy->sandbox_id;
    header.directory = &directory;
    msg.message_case = AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_HEADER;
    msg.header = &header;
    sb_filecopy_begin(copy, 0);
    if (aisbx__v1__file_service__import_tar__start(copy->connect->channel, &copy->connect->options,
                                                   &import_callbacks, &transfer, &stream,
                                                   err) < 0) {
        return -1;
    }
    (void)aisbx__v1__file_service__import_tar__write(stream, &msg);
    while (!transfer.is_over) {
        if (!is_last && !transfer.is_full) {
            send_archive(&transfer, stream, &is_last);
            sb_rpc_channel_process(copy->connect->channel);
        } else {
            sb_rpc_channel_wait(copy->connect->channel);
        }
    }
    if (finish(&transfer, path, err) < 0) {
        sb_message_freep(&transfer.reply);
        return -1;
    }
    *ret_reply = transfer.reply;
    return *ret_reply == NULL ? sb_err_set(err, SB_INTERNAL, "the worker's reply is empty") : 0;
}
