#include "service/worker/stage/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "service/shared/fileproto.h"

int sb_budget_take(struct sb_budget *budget, size_t bytes, struct sb_err *err)
{
    if (bytes > budget->max - budget->used) {
        return sb_err_set(
            err, SB_EXHAUSTED,
            "files and batches that are on their way take %zu MiB of the worker's %zu "
            "already; try again when some have ended",
            budget->used >> 20, budget->max >> 20);
    }
    budget->used += bytes;
    return 0;
}

void sb_budget_give(struct sb_budget *budget, size_t bytes)
{
    budget->used -= bytes;
}

struct sb_stage *sb_stage_new(struct sb_budget *budget, size_t max_bytes)
{
    struct sb_stage *stage = calloc(1, sizeof *stage);
    if (stage != NULL) {
        stage->refs = 1;
        stage->budget = budget;
        stage->max_bytes = max_bytes;
    }
    return stage;
}

struct sb_stage *sb_stage_ref(struct sb_stage *stage)
{
    stage->refs++;
    return stage;
}

void sb_stage_unref(struct sb_stage *stage)
{
    if (stage == NULL || --stage->refs > 0) {
        return;
    }
    for (size_t i = 0; i < stage->n; i++) {
        free(stage->files[i].path);
        free(stage->files[i].data);
    }
    sb_budget_give(stage->budget, stage->bytes);
    sb_strings_done(&stage->errors);
    free(stage);
}

void sb_stage_unrefp(struct sb_stage **stage)
{
    sb_stage_unref(*stage);
}

int sb_stage_add(struct sb_stage *stage, struct sb_str path, uint32_t mode, struct sb_err *err)
{
    if (stage->n == SB_STAGE_MAX_FILES) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %d files", SB_STAGE_MAX_FILES);
    }
    char *copy = sb_str_dup(path);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    stage->files[stage->n++] = (struct sb_stage_file){.path = copy, .mode = mode};
    return 0;
}

int sb_stage_append(struct sb_stage *stage, const void *data, size_t len, struct sb_err *err)
{
    struct sb_stage_file *file = &stage->files[stage->n - 1];
    if (len > stage->max_bytes - stage->bytes) {
        return sb_err_set(err, SB_EXHAUSTED, "the files are more than %zu MiB together",
                          stage->max_bytes >> 20);
    }
    if (len == 0) {
        return 0;
    }
    if (sb_budget_take(stage->budget, len, err) < 0) {
        return -1;
    }
    if (len > file->cap - file->len) {
        size_t cap = file->len + len > 2 * file->cap ? file->len + len : 2 * file->cap;
        char *grown = realloc(file->data, cap);
        if (grown == NULL) {
            sb_budget_give(stage->budget, len);
            return sb_err_oom(err);
        }
        file->data = grown;
        file->cap = cap;
    }
    memcpy(file->data + file->len, data, len);
    file->len += len;
    stage->bytes += len;
    return 0;
}

void sb_stage_drop(struct sb_stage *stage)
{
    struct sb_stage_file *file = &stage->files[--stage->n];
    stage->bytes -= file->len;
    sb_budget_give(stage->budget, file->len);
    free(file->path);
    free(file->data);
    *file = (struct sb_stage_file){0};
}

static bool is_part(struct sb_str part)
{
    return part.len > 0 && !sb_str_eq(part, SB_STR(".")) && !sb_str_eq(part, SB_STR(".."));
}

int sb_stage_path(const char *path, const char *field, char *ret_path, struct sb_err *err)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str part;
    bool is_good = rest.len > 0 && rest.len < SB_FILE_MAX_PATH - sizeof "/workspace/";
    while (is_good && sb_str_next(&rest, '/', &part)) {
        is_good = is_part(part);
    }
    if (!is_good) {
        return sb_err_set(err, SB_INVALID,
                          "%s: \"%.100s\" is not a relative path below /workspace, without \".\", "
                          "\"..\" and empty parts",
                          field, path);
    }
    (void)snprintf(ret_path, SB_FILE_MAX_PATH, "/workspace/%s", path);
    return 0;
}
