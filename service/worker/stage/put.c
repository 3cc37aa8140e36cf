#include "service/worker/stage/put.h"

#include <stdlib.h>

#include "base/err.h"
#include "service/worker/fileframe.h"
#include "service/worker/fileop.h"
#include "service/worker/sandbox.h"

struct sb_put {
    struct sb_sandbox *sandbox; /* a reference */
    struct sb_stage *stage;     /* a reference */
    struct sb_fileop *op;
    size_t next; /* the file that is written */
    size_t sent; /* bytes of it */
    bool has_committed;
    sb_put_done_fn *done;
    void *ctx;
};

static int begin(struct sb_put *put, struct sb_err *err);

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    (void)ctx;
    (void)frame;
}

static void on_ready(void *ctx)
{
    struct sb_put *put = ctx;
    const struct sb_stage_file *file = &put->stage->files[put->next];
    while (put->sent < file->len) {
        size_t left = file->len - put->sent;
        size_t len = left < SB_FILE_MAX_DATA ? left : SB_FILE_MAX_DATA;
        if (!sb_fileop_send(put->op, file->data + put->sent, len)) {
            return;
        }
        put->sent += len;
    }
    if (!put->has_committed) {
        put->has_committed = sb_fileop_commit(put->op);
    }
}

static void on_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    (void)done;
    struct sb_put *put = ctx;
    struct sb_err next_err = *err;
    sb_fileop_free(put->op);
    put->op = NULL;
    put->next++;
    if (err->code == SB_OK && put->next < put->stage->n && begin(put, &next_err) == 0) {
        return;
    }
    put->done(put->ctx, &next_err);
}

static const struct sb_fileop_events events = {
    .frame = on_frame, .ready = on_ready, .done = on_done};

static int begin(struct sb_put *put, struct sb_err *err)
{
    const struct sb_stage_file *file = &put->stage->files[put->next];
    put->sent = 0;
    put->has_committed = false;
    const struct sb_fileop_options options = {
        .sandbox = put->sandbox,
        .is_ours = true,
        .request = {.op = SB_FILE_WRITE, .mode = file->mode, .flags = SB_FILE_PARENTS},
        .path = sb_str_from(file->path),
        .events = &events,
        .ctx = put,
    };
    return sb_fileop_start(&options, &put->op, err);
}

int sb_put_start(struct sb_sandbox *sandbox,
                 struct sb_stage *stage,
                 sb_put_done_fn *done,
                 void *ctx,
                 struct sb_put **ret_put,
                 struct sb_err *err)
{
    struct sb_put *put = calloc(1, sizeof *put);
    if (put == NULL) {
        return sb_err_oom(err);
    }
    *put =
        (struct sb_put){.sandbox = sandbox, .stage = sb_stage_ref(stage), .done = done, .ctx = ctx};
    sandbox->refs++;
    if (begin(put, err) < 0) {
        sb_put_free(put);
        return -1;
    }
    *ret_put = put;
    return 0;
}

void sb_put_free(struct sb_put *put)
{
    if (put != NULL) {
        sb_fileop_free(put->op);
        sb_stage_unref(put->stage);
        sb_sandbox_unref(put->sandbox);
        free(put);
    }
}
