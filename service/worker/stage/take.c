#include "service/worker/stage/take.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "service/worker/fileframe.h"
#include "service/worker/fileop.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

struct entry {
    char *path; /* owned; absolute */
    uint32_t mode;
};

struct sb_take {
    struct sb_sandbox *sandbox; /* a reference */
    struct sb_stage *stage;
    struct sb_fileop *op;
    char *directory; /* owned; being listed; NULL: not any more */
    struct entry entries[SB_STAGE_MAX_FILES];
    size_t n;
    size_t next; /* the one that is read */
    bool has_info;
    bool is_lenient;
    struct sb_err err; /* SB_OK: until now */
    sb_take_done_fn *done;
    void *ctx;
};

static int begin(struct sb_take *take, struct sb_err *err);

static int add(struct sb_take *take, char *path, uint32_t mode, struct sb_err *err)
{
    if (path == NULL) {
        return sb_err_oom(err);
    }
    if (take->n == SB_STAGE_MAX_FILES) {
        free(path);
        return sb_err_set(err, SB_EXHAUSTED, "more than %d files are left", SB_STAGE_MAX_FILES);
    }
    take->entries[take->n++] = (struct entry){path, mode};
    return 0;
}

static void note(struct sb_take *take, const struct sb_fileframe *frame)
{
    char path[2 * SB_FILE_MAX_PATH];
    if (take->err.code != SB_OK || frame->type != SB_FILE_INFO ||
        frame->info.kind != SB_FILE_KIND_REGULAR) {
        return;
    }
    int len = snprintf(path, sizeof path, "%s/%.*s", take->directory, (int)frame->path.len,
                       frame->path.ptr);
    if (len > 0 && len < SB_FILE_MAX_PATH) {
        (void)add(take, sb_str_dup(sb_str_from(path)), frame->info.mode & 0777, &take->err);
    }
}

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct sb_take *take = ctx;
    const struct entry *entry = &take->entries[take->next];
    if (take->directory != NULL) {
        note(take, frame);
    } else if (take->err.code != SB_OK) {
        return; /* the rest of one that was too much */
    } else if (frame->type == SB_FILE_INFO && !take->has_info) {
        take->has_info = true;
        (void)sb_stage_add(take->stage, sb_str_from(entry->path), frame->info.mode & 0777,
                           &take->err);
    } else if (frame->type == SB_FILE_DATA && take->has_info) {
        (void)sb_stage_append(take->stage, frame->data.ptr, frame->data.len, &take->err);
    }
}

/* Without that file; more than it are not lost. */
static void forgive(struct sb_take *take)
{
    struct sb_err err = take->err;
    if (take->has_info && take->stage->n > 0 &&
        strcmp(take->stage->files[take->stage->n - 1].path, take->entries[take->next].path) == 0) {
        sb_stage_drop(take->stage);
    }
    take->err.code = SB_OK;
    (void)sb_strings_add(&take->stage->errors, sb_str_from(err.text), &take->err);
}

static void finish(struct sb_take *take)
{
    take->done(take->ctx, take->err.code == SB_OK ? take->stage : NULL, &take->err);
}

static void on_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    (void)done;
    struct sb_take *take = ctx;
    bool was_list = take->directory != NULL;
    bool is_absent = !was_list && (err->sys == ENOENT || err->sys == ENOTDIR);
    sb_fileop_free(take->op);
    take->op = NULL;
    free(take->directory);
    take->directory = NULL;
    if (err->code != SB_OK && !is_absent && take->err.code == SB_OK) {
        take->err = *err;
    }
    if (take->err.code != SB_OK && take->is_lenient && !was_list) {
        forgive(take);
    }
    take->next += was_list ? 0 : 1;
    if (take->err.code != SB_OK || take->next == take->n || begin(take, &take->err) < 0) {
        finish(take);
    }
}

static void on_ready(void *ctx)
{
    (void)ctx; /* only writing asks */
}

static const struct sb_fileop_events events = {
    .frame = on_frame, .ready = on_ready, .done = on_done};

static int begin(struct sb_take *take, struct sb_err *err)
{
    bool is_list = take->directory != NULL;
    take->has_info = false;
    const struct sb_fileop_options options = {
        .sandbox = take->sandbox,
        .is_ours = true,
        .request = {.op = is_list ? SB_FILE_LIST : SB_FILE_READ,
                    .depth = is_list ? SB_FILE_MAX_DEPTH : 0,
                    .max_bytes = is_list ? 0 : take->stage->max_bytes + 1},
        .path = sb_str_from(is_list ? take->directory : take->entries[take->next].path),
        .events = &events,
        .ctx = take,
    };
    return sb_fileop_start(&options, &take->op, err);
}

int sb_take_start(const struct sb_take_options *options,
                  sb_take_done_fn *done,
                  void *ctx,
                  struct sb_take **ret_take,
                  struct sb_err *err)
{
    struct sb_take *take = calloc(1, sizeof *take);
    if (take == NULL) {
        return sb_err_oom(err);
    }
    take->done = done;
    take->ctx = ctx;
    take->is_lenient = options->is_lenient;
    take->sandbox = options->sandbox;
    take->sandbox->refs++;
    take->stage = sb_stage_new(&options->sandbox->worker->budget, options->max_bytes);
    int rc = take->stage == NULL ? sb_err_oom(err) : 0;
    for (size_t i = 0; i < options->n_paths && rc == 0; i++) {
        rc = add(take, sb_str_dup(sb_str_from(options->paths[i])), 0, err);
    }
    if (rc == 0 && options->directory != NULL) {
        take->directory = sb_str_dup(sb_str_from(options->directory));
        rc = take->directory == NULL ? sb_err_oom(err) : 0;
    }
    if (rc < 0 || begin(take, err) < 0) {
        sb_take_free(take);
        return -1;
    }
    *ret_take = take;
    return 0;
}

void sb_take_free(struct sb_take *take)
{
    if (take == NULL) {
        return;
    }
    sb_fileop_free(take->op);
    for (size_t i = 0; i < take->n; i++) {
        free(take->entries[i].path);
    }
    free(take->directory);
    sb_stage_unref(take->stage);
    sb_sandbox_unref(take->sandbox);
    free(take);
}
