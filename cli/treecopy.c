#include "cli/treecopy.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/tar.h"
#include "cli/boxpath.h"
#include "cli/filecopy.h"
#include "cli/treecopy_out.h"
#include "proto/client/connect.h"
#include "proto/client/message.h"

enum { PIECE = 64 << 10, PERMISSIONS = 0777, OWN = 0700 };

/* One import on its way. */
struct sending {
    struct sb_treecopy *tree;
    struct sb_rpc_stream *stream;
    bool is_full; /* until drained */
    bool is_over;
    struct sb_err status; /* of the call */
    struct sb_err failed; /* ours */
    Aisbx__V1__ImportTarResponse *reply;
    size_t len;
    char piece[PIECE];
    char head[SB_TAR_MAX_HEAD];
};

static struct sb_connect *connect_of(const struct sb_treecopy *tree)
{
    return tree->copy->connect;
}

/* ---- the call ---- */

static void
on_reply(struct sb_rpc_stream *stream, const Aisbx__V1__ImportTarResponse *msg, void *user)
{
    struct sending *sending = user;
    (void)stream;
    sending->reply = (Aisbx__V1__ImportTarResponse *)sb_message_copy(&msg->base, &sending->failed);
}

static void on_drained(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    ((struct sending *)user)->is_full = false;
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct sending *sending = user;
    (void)stream;
    sending->is_over = true;
    sending->status = *err;
}

static const struct aisbx__v1__file_service__import_tar__callbacks callbacks = {
    .message = on_reply, .drained = on_drained, .done = on_done};

/* Sends what is gathered. -1: the call is over, which says why. */
static int flush(struct sending *sending)
{
    struct sb_rpc_channel *channel = connect_of(sending->tree)->channel;
    Aisbx__V1__ImportTarRequest msg = AISBX__V1__IMPORT_TAR_REQUEST__INIT;
    while (sending->is_full && !sending->is_over) {
        sb_rpc_channel_wait(channel);
    }
    if (sending->is_over) {
        return -1;
    }
    msg.message_case = AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_DATA;
    msg.data.data = (uint8_t *)sending->piece;
    msg.data.len = sending->len;
    sending->len = 0;
    sending->is_full = !aisbx__v1__file_service__import_tar__write(sending->stream, &msg);
    sb_rpc_channel_process(channel);
    return 0;
}

/* @bytes  NULL: zeros. */
static int put(struct sending *sending, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t room = sizeof sending->piece - sending->len;
        size_t n = len < room ? len : room;
        if (bytes == NULL) {
            memset(sending->piece + sending->len, 0, n);
        } else {
            memcpy(sending->piece + sending->len, bytes, n);
            bytes += n;
        }
        sending->len += n;
        len -= n;
        if (sending->len == sizeof sending->piece && flush(sending) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- entries ---- */

static int
put_head(struct sending *sending, enum sb_tar_kind kind, const char *path, const struct stat *st)
{
    const struct sb_tar_entry entry = {
        .kind = kind,
        .path = path,
        .link = "",
        .mode = (st->st_mode & PERMISSIONS) | (kind == SB_TAR_DIR ? OWN : 0U),
        .size = kind == SB_TAR_FILE ? (uint64_t)st->st_size : 0,
        .mtime_s = st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
    };
    size_t len = sb_tar_head(&entry, NULL, 0, sending->head);
    if (len == 0) {
        return sb_err_set(&sending->failed, SB_INVALID, "%.60s...: the path is too long", path);
    }
    return put(sending, sending->head, len);
}

static int put_content(struct sending *sending, int fd, uint64_t size, const char *name)
{
    for (uint64_t left = size; left > 0;) {
        size_t room = sizeof sending->piece - sending->len;
        ssize_t n = read(fd, sending->piece + sending->len, left < room ? (size_t)left : room);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return sb_err_sys(&sending->failed, errno, "%s", name);
        }
        if (n == 0) {
            return sb_err_set(&sending->failed, SB_ABORTED, "%s became shorter meanwhile", name);
        }
        sending->len += (size_t)n;
        left -= (uint64_t)n;
        sb_filecopy_count(sending->tree->copy, (size_t)n);
        if (sending->len == sizeof sending->piece && flush(sending) < 0) {
            return -1;
        }
    }
    return put(sending, NULL, sb_tar_pad(size));
}

static int put_file(struct sending *sending, const FTSENT *found, const char *path)
{
    struct stat st;
    /* What became something else since it was found is left out, and never waited for. */
    SB_CLEANUP(sb_closep)
    int fd = open(found->fts_accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return sb_err_sys(&sending->failed, errno, "%s", found->fts_path);
    }
    if (!S_ISREG(st.st_mode)) {
        sending->tree->skip(sending->tree->ctx, found->fts_path, "no regular file any more");
        return 0;
    }
    sending->tree->files++;
    return put_head(sending, SB_TAR_FILE, path, &st) < 0
               ? -1
               : put_content(sending, fd, (uint64_t)st.st_size, found->fts_path);
}

static int put_entry(struct sending *sending, const FTSENT *found, size_t root_len)
{
    const char *below = found->fts_path + root_len;
    while (*below == '/') {
        below++;
    }
    switch (found->fts_info) {
    case FTS_D:
        return *below == '\0' ? 0 : put_head(sending, SB_TAR_DIR, below, found->fts_statp);
    case FTS_F:
        return put_file(sending, found, below);
    case FTS_DP:
        return 0;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return sb_err_sys(&sending->failed, found->fts_errno, "%s", found->fts_path);
    default:
        sending->tree->skip(sending->tree->ctx, found->fts_path,
                            "neither a directory nor a regular file");
        return 0;
    }
}

static FTS *open_tree(char *root)
{
    char *roots[] = {root, NULL};
    return fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW, NULL);
}

/* Bytes of its files, for who watches. */
static uint64_t measure(char *root)
{
    uint64_t sum = 0;
    const FTSENT *found = NULL;
    FTS *fts = open_tree(root);
    while (fts != NULL && (found = fts_read(fts)) != NULL) {
        sum += found->fts_info == FTS_F ? (uint64_t)found->fts_statp->st_size : 0;
    }
    if (fts != NULL) {
        (void)fts_close(fts);
    }
    return sum;
}

static int walk(struct sending *sending, char *root)
{
    size_t root_len = strlen(root);
    const FTSENT *found = NULL;
    FTS *fts = open_tree(root);
    int rc = fts == NULL ? sb_err_sys(&sending->failed, errno, "%s", root) : 0;
    while (rc == 0 && (found = fts_read(fts)) != NULL) {
        rc = put_entry(sending, found, root_len);
    }
    if (fts != NULL) {
        (void)fts_close(fts);
    }
    if (rc == 0) {
        rc = put(sending, NULL, SB_TAR_END);
    }
    return rc == 0 && sending->len > 0 ? flush(sending) : rc;
}

static void tell_refused(struct sending *sending)
{
    struct sb_treecopy *tree = sending->tree;
    const Aisbx__V1__ImportTarResponse *reply = sending->reply;
    char text[64];
    for (size_t i = 0; i < reply->n_refused; i++) {
        tree->skip(tree->ctx, reply->refused[i], "refused");
    }
    if (reply->refused_entries > reply->n_refused) {
        (void)snprintf(text, sizeof text, "%llu more",
                       (unsigned long long)(reply->refused_entries - reply->n_refused));
        tree->skip(tree->ctx, text, "refused");
    }
    tree->files -= reply->refused_entries < tree->files ? reply->refused_entries : tree->files;
}

static int finish(struct sending *sending, struct sb_err *err)
{
    while (!sending->is_over) {
        sb_rpc_channel_wait(connect_of(sending->tree)->channel);
    }
    if (sending->failed.code != SB_OK || sending->status.code != SB_OK) {
        *err = sending->failed.code != SB_OK ? sending->failed : sending->status;
        return -1;
    }
    if (sending->reply == NULL) {
        return sb_err_set(err, SB_INTERNAL, "the worker's reply is empty");
    }
    tell_refused(sending);
    return 0;
}

int sb_treecopy_put(struct sb_treecopy *tree, const char *from, const char *to, struct sb_err *err)
{
    char root[SB_BOXPATH_SIZE];
    struct sb_connect *connect = connect_of(tree);
    Aisbx__V1__FilePath directory = sb_filecopy_path(to);
    Aisbx__V1__ImportTarHeader header = AISBX__V1__IMPORT_TAR_HEADER__INIT;
    Aisbx__V1__ImportTarRequest msg = AISBX__V1__IMPORT_TAR_REQUEST__INIT;
    if (snprintf(root, sizeof root, "%s", from) >= (int)sizeof root) {
        return sb_err_set(err, SB_INVALID, "%.60s...: the path is too long", from);
    }
    SB_CLEANUP(sb_freep) struct sending *sending = calloc(1, sizeof *sending);
    if (sending == NULL) {
        return sb_err_oom(err);
    }
    sending->tree = tree;
    header.sandbox_id = tree->copy->sandbox_id;
    header.directory = &directory;
    msg.message_case = AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_HEADER;
    msg.header = &header;
    if (aisbx__v1__file_service__import_tar__start(connect->channel, &connect->options, &callbacks,
                                                   sending, &sending->stream, err) < 0) {
        return -1;
    }
    sb_filecopy_begin(tree->copy, tree->copy->has_progress ? measure(root) : 0);
    (void)aisbx__v1__file_service__import_tar__write(sending->stream, &msg);
    if (walk(sending, root) == 0) {
        sb_rpc_stream_half_close(sending->stream);
    } else if (!sending->is_over) {
        sb_rpc_stream_cancel(sending->stream);
    }
    int rc = finish(sending, err);
    sb_message_freep(&sending->reply);
    return rc;
}

/* ---- out of it ---- */

/* One export on its way. */
struct receiving {
    struct sb_treecopy *tree;
    struct sb_treecopy_out *out;
    bool is_over;
    struct sb_err status;
    struct sb_err failed;
};

static void
on_piece(struct sb_rpc_stream *stream, const Aisbx__V1__ExportTarResponse *msg, void *user)
{
    struct receiving *receiving = user;
    if (receiving->failed.code == SB_OK &&
        sb_treecopy_out_feed(receiving->out, (const char *)msg->data.data, msg->data.len,
                             &receiving->failed) < 0) {
        sb_rpc_stream_cancel(stream);
        return;
    }
    sb_rpc_stream_read(stream);
}

static void on_exported(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct receiving *receiving = user;
    (void)stream;
    receiving->is_over = true;
    receiving->status = *err;
}

static const struct aisbx__v1__file_service__export_tar__callbacks export_callbacks = {
    .message = on_piece, .done = on_exported};

static int receive(struct receiving *receiving, const char *from, struct sb_err *err)
{
    struct sb_connect *connect = connect_of(receiving->tree);
    struct sb_rpc_stream *stream = NULL;
    Aisbx__V1__FilePath directory = sb_filecopy_path(from);
    Aisbx__V1__ExportTarRequest request = AISBX__V1__EXPORT_TAR_REQUEST__INIT;
    request.sandbox_id = receiving->tree->copy->sandbox_id;
    request.directory = &directory;
    if (aisbx__v1__file_service__export_tar__start(connect->channel, &request, &connect->options,
                                                   &export_callbacks, receiving, &stream,
                                                   err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!receiving->is_over) {
        sb_rpc_channel_wait(connect->channel);
    }
    if (receiving->failed.code != SB_OK || receiving->status.code != SB_OK) {
        *err = receiving->failed.code != SB_OK ? receiving->failed : receiving->status;
        return -1;
    }
    return sb_treecopy_out_finish(receiving->out, err);
}

int sb_treecopy_get(struct sb_treecopy *tree, const char *from, const char *to, struct sb_err *err)
{
    struct receiving receiving = {.tree = tree};
    sb_filecopy_begin(tree->copy, 0);
    if (sb_treecopy_out_new(tree, from, to, &receiving.out, err) < 0) {
        return -1;
    }
    int rc = receive(&receiving, from, err);
    sb_treecopy_out_free(receiving.out);
    return rc;
}
