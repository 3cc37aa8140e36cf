#include "service/worker/api_result.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/fileproto.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/sandbox.h"
#include "service/worker/stage/stage.h"

static const char below[] = "/workspace/";

/** Reads [from, from + len) of a stream, as far as it is kept. */
static int read_range(const struct sb_spool *spool,
                      uint64_t from,
                      size_t len,
                      ProtobufCBinaryData *ret_data,
                      struct sb_err *err)
{
    if (len == 0) {
        return 0;
    }
    ret_data->data = malloc(len);
    if (ret_data->data == NULL) {
        return sb_err_oom(err);
    }
    while (ret_data->len < len) {
        uint64_t at = 0;
        int64_t n = sb_spool_read(spool, from, ret_data->data + ret_data->len, len - ret_data->len,
                                  &at, err);
        if (n < 0) {
            return -1;
        }
        if (n == 0 || at != from) {
            break;
        }
        ret_data->len += (size_t)n;
        from += (uint64_t)n;
    }
    return 0;
}

/** All of a stream, or half of `max` from its head and half from its tail. */
static int read_ends(const struct sb_spool *spool,
                     size_t max,
                     ProtobufCBinaryData *ret_head,
                     ProtobufCBinaryData *ret_tail,
                     uint64_t *ret_omitted,
                     struct sb_err *err)
{
    if (spool->total <= max && sb_spool_dropped(spool) == 0) {
        return read_range(spool, 0, (size_t)spool->total, ret_head, err);
    }
    uint64_t half = max / 2;
    uint64_t kept_half = spool->max / 2;
    half = half < kept_half ? half : kept_half;
    if (half > spool->total / 2) {
        half = spool->total / 2;
    }
    if (read_range(spool, 0, (size_t)half, ret_head, err) < 0 ||
        read_range(spool, spool->total - half, (size_t)half, ret_tail, err) < 0) {
        return -1;
    }
    *ret_omitted = spool->total - ret_head->len - ret_tail->len;
    return 0;
}

static Aisbx__V1__InlineFile *inline_of(const struct sb_stage_file *file)
{
    Aisbx__V1__InlineFile *msg = sb_api_pb_new(&aisbx__v1__inline_file__descriptor);
    const char *path = file->path;
    if (strncmp(path, below, sizeof below - 1) == 0) {
        path += sizeof below - 1;
    }
    if (msg == NULL || !sb_api_pb_text(&msg->path, path) ||
        (file->len > 0 && (msg->data.data = malloc(file->len)) == NULL)) {
        aisbx__v1__inline_file__free_unpacked(msg, NULL);
        return NULL;
    }
    if (file->len > 0) {
        memcpy(msg->data.data, file->data, file->len);
    }
    msg->data.len = file->len;
    msg->mode = file->mode;
    return msg;
}

static int put_files(Aisbx__V1__RunResponse *msg, const struct sb_stage *files, struct sb_err *err)
{
    if (files == NULL) {
        return 0;
    }
    msg->file_errors = calloc(files->errors.n + 1, sizeof *msg->file_errors);
    for (size_t i = 0; msg->file_errors != NULL && i < files->errors.n; i++) {
        if (!sb_api_pb_text(&msg->file_errors[i], files->errors.items[i])) {
            return sb_err_oom(err);
        }
        msg->n_file_errors++;
    }
    if (msg->file_errors == NULL || files->n == 0) {
        return msg->file_errors == NULL ? sb_err_oom(err) : 0;
    }
    msg->files = calloc(files->n, sizeof *msg->files);
    for (size_t i = 0; msg->files != NULL && i < files->n; i++) {
        msg->files[i] = inline_of(&files->files[i]);
        if (msg->files[i] == NULL) {
            return sb_err_oom(err);
        }
        msg->n_files++;
    }
    return msg->files == NULL ? sb_err_oom(err) : 0;
}

Aisbx__V1__RunResponse *sb_api_result(const struct sb_exec *exec,
                                      size_t max_output,
                                      bool is_here,
                                      const struct sb_stage *files,
                                      struct sb_err *err)
{
    Aisbx__V1__RunResponse *msg = sb_api_pb_new(&aisbx__v1__run_response__descriptor);
    if (msg == NULL || (msg->exec = sb_api_pb_exec(exec)) == NULL ||
        (msg->sandbox = sb_api_pb_sandbox(exec->sandbox, is_here)) == NULL) {
        (void)sb_err_oom(err);
        aisbx__v1__run_response__free_unpacked(msg, NULL);
        return NULL;
    }
    if (read_ends(&exec->out[0].spool, max_output, &msg->stdout, &msg->stdout_tail,
                  &msg->stdout_omitted_bytes, err) < 0 ||
        read_ends(&exec->out[1].spool, max_output, &msg->stderr, &msg->stderr_tail,
                  &msg->stderr_omitted_bytes, err) < 0 ||
        put_files(msg, files, err) < 0) {
        aisbx__v1__run_response__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

int sb_api_result_stage(Aisbx__V1__InlineFile *const *files,
                        size_t n_files,
                        struct sb_budget *budget,
                        struct sb_stage **ret_stage,
                        struct sb_err *err)
{
    char path[SB_FILE_MAX_PATH];
    if (n_files > SB_API_RESULT_FILES) {
        return sb_err_set(err, SB_INVALID, "files: more than %d", SB_API_RESULT_FILES);
    }
    if (n_files == 0) {
        return 0;
    }
    SB_CLEANUP(sb_stage_unrefp)
    struct sb_stage *stage = sb_stage_new(budget, 2 * SB_API_RESULT_MAX_FILES);
    if (stage == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < n_files; i++) {
        if (files[i]->mode > 0777) {
            return sb_err_set(err, SB_INVALID, "files[%zu].mode: 0%o is not in 0..0777", i,
                              files[i]->mode);
        }
        if (files[i]->data.len > SB_API_RESULT_MAX_FILES - stage->bytes) {
            return sb_err_set(err, SB_INVALID, "files: more than %d bytes together",
                              SB_API_RESULT_MAX_FILES);
        }
        if (sb_stage_path(files[i]->path, "files", path, err) < 0 ||
            sb_stage_add(stage, sb_str_from(path), files[i]->mode, err) < 0 ||
            sb_stage_append(stage, files[i]->data.data, files[i]->data.len, err) < 0) {
            return -1;
        }
    }
    *ret_stage = SB_STEAL_PTR(stage);
    return 0;
}

int sb_api_result_paths(char *const *fetch, size_t n_fetch, char ***ret_paths, struct sb_err *err)
{
    char path[SB_FILE_MAX_PATH];
    if (n_fetch > SB_API_RESULT_FILES) {
        return sb_err_set(err, SB_INVALID, "fetch: more than %d", SB_API_RESULT_FILES);
    }
    char **paths = calloc(n_fetch + 1, sizeof *paths);
    int rc = paths == NULL ? sb_err_oom(err) : 0;
    for (size_t i = 0; i < n_fetch && rc == 0; i++) {
        rc = sb_stage_path(fetch[i], "fetch", path, err);
        if (rc == 0 && (paths[i] = sb_str_dup(sb_str_from(path))) == NULL) {
            rc = sb_err_oom(err);
        }
    }
    if (rc < 0) {
        sb_api_result_free_paths(paths, n_fetch);
        return -1;
    }
    *ret_paths = paths;
    return 0;
}

void sb_api_result_free_paths(char **paths, size_t n)
{
    for (size_t i = 0; paths != NULL && i < n; i++) {
        free(paths[i]);
    }
    free(paths);
}
