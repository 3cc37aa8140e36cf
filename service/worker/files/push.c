#include "service/worker/files/push.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"

static void go_on(struct sb_push *push)
{
    if (!push->is_ready || push->is_over || push->has_committed) {
        return;
    }
    if (push->piece_len > 0) {
        if (!sb_fileop_send(push->op, push->piece, push->piece_len)) {
            push->is_ready = false;
            return;
        }
        push->piece_len = 0;
    }
    if (push->has_half_closed) {
        push->has_committed = sb_fileop_commit(push->op);
        push->is_ready = push->has_committed;
    } else {
        sb_rpc_call_read(push->call);
    }
}

void sb_push_ready(struct sb_push *push)
{
    push->is_ready = true;
    sb_rpc_call_accept(push->call); /* the first time: the place is there and may be written */
    go_on(push);
}

int sb_push_take(struct sb_push *push, const void *data, size_t len, struct sb_err *err)
{
    if (len > SB_FILE_MAX_DATA) {
        return sb_err_set(err, SB_INVALID, "data: %zu bytes are more than %d in one piece", len,
                          SB_FILE_MAX_DATA);
    }
    if (push->piece == NULL && (push->piece = malloc(SB_FILE_MAX_DATA)) == NULL) {
        return sb_err_oom(err);
    }
    if (len > 0) {
        memcpy(push->piece, data, len);
    }
    push->piece_len = len;
    go_on(push);
    return 0;
}

void sb_push_half_close(struct sb_push *push)
{
    push->has_half_closed = true;
    go_on(push);
}

void sb_push_fail(struct sb_push *push, const struct sb_err *err)
{
    if (!push->is_over) {
        push->is_over = true;
        sb_rpc_call_fail(push->call, err);
    }
}

void sb_push_done(struct sb_push *push)
{
    sb_fileop_free(push->op);
    free(push->piece);
}
