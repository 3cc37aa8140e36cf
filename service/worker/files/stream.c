#include "service/worker/files/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"

void sb_filestream_begin(struct sb_rpc_call *call, struct sb_fileop_options *options)
{
    struct sb_err err;
    struct sb_filestream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    stream->call = call;
    stream->path_len = options->path.len;
    memcpy(stream->path, options->path.ptr, options->path.len);
    options->ctx = stream;
    if (sb_fileop_start(options, &stream->op, &err) < 0) {
        free(stream);
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_rpc_call_set_user(call, stream);
}

void sb_filestream_sent(struct sb_filestream *stream, bool has_room)
{
    if (!has_room) {
        sb_fileop_pause(stream->op, true);
    }
}

void sb_filestream_fail(struct sb_filestream *stream, const struct sb_err *err)
{
    if (!stream->is_over) {
        stream->is_over = true;
        sb_rpc_call_fail(stream->call, err);
    }
}

void sb_filestream_over(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    struct sb_filestream *stream = ctx;
    (void)done;
    if (err->code != SB_OK) {
        sb_filestream_fail(stream, err);
    } else if (!stream->is_over) {
        stream->is_over = true;
        sb_rpc_call_reply(stream->call, NULL);
    }
}

void sb_filestream_drained(struct sb_rpc_call *call)
{
    struct sb_filestream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        sb_fileop_pause(stream->op, false);
    }
}

void sb_filestream_done(struct sb_rpc_call *call)
{
    struct sb_filestream *stream = sb_rpc_call_user(call);
    if (stream != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_fileop_free(stream->op);
        free(stream);
    }
}
