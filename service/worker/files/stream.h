#pragma once
/** A call that answers with a stream of what a file helper tells. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "service/worker/fileop.h"

struct sb_err;
struct sb_rpc_call;

struct sb_filestream {
    struct sb_rpc_call *call; /* borrowed */
    struct sb_fileop *op;     /* owned */
    bool is_over;             /* the call was ended */
    size_t path_len;
    char path[SB_FILE_MAX_PATH]; /* what was asked for */
};

/** Starts the operation; its ctx becomes the stream, which is the call's user. The call is failed
 *  when it cannot. @options  as for sb_fileop_start, path checked. */
void sb_filestream_begin(struct sb_rpc_call *call, struct sb_fileop_options *options);
/** What a send function returned: false, so nothing more is read from the helper until drained. */
void sb_filestream_sent(struct sb_filestream *stream, bool has_room);
void sb_filestream_fail(struct sb_filestream *stream, const struct sb_err *err);
/** For sb_fileop_events.done. */
void sb_filestream_over(void *ctx, const struct sb_file_done *done, const struct sb_err *err);
/** For the server's callbacks. */
void sb_filestream_drained(struct sb_rpc_call *call);
void sb_filestream_done(struct sb_rpc_call *call);
