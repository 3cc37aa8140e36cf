/* ReplaceInFile. Both texts go to the helper in pieces, one after the other. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/api_pb.h"

struct replace {
    struct sb_rpc_call *call;
    struct sb_fileop *op;
    size_t sent;
    size_t len;
    bool has_committed;
    char texts[]; /* what to find, and what to put there */
};

static void on_ready(void *ctx)
{
    struct replace *replace = ctx;
    while (replace->sent < replace->len) {
        struct sb_str piece =
            sb_str_head(sb_str_of(replace->texts + replace->sent, replace->len - replace->sent),
                        SB_FILE_MAX_DATA);
        if (!sb_fileop_send(replace->op, piece.ptr, piece.len)) {
            return;
        }
        replace->sent += piece.len;
    }
    replace->has_committed = replace->has_committed || sb_fileop_commit(replace->op);
}

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    (void)ctx;
    (void)frame;
}

static void on_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    struct replace *replace = ctx;
    Aisbx__V1__ReplaceInFileResponse *msg =
        sb_api_pb_new(&aisbx__v1__replace_in_file_response__descriptor);
    if (msg != NULL) {
        msg->replaced = (uint32_t)done->count;
    }
    sb_api_finish(replace->call, msg, err);
}

static const struct sb_fileop_events events = {
    .frame = on_frame, .ready = on_ready, .done = on_done};

static int check(const Aisbx__V1__ReplaceInFileRequest *req, struct sb_err *err)
{
    if (req->find.len == 0 || req->find.len > SB_FILE_MAX_TEXT) {
        return sb_err_set(err, SB_INVALID, "find: must have 1 to %d bytes", SB_FILE_MAX_TEXT);
    }
    if (req->replacement.len > SB_FILE_MAX_TEXT) {
        return sb_err_set(err, SB_INVALID, "replacement: has more than %d bytes", SB_FILE_MAX_TEXT);
    }
    return 0;
}

static struct replace *replace_new(struct sb_rpc_call *call,
                                   const Aisbx__V1__ReplaceInFileRequest *req)
{
    size_t len = req->find.len + req->replacement.len;
    struct replace *replace = malloc(sizeof *replace + len);
    if (replace != NULL) {
        *replace = (struct replace){.call = call, .len = len};
        memcpy(replace->texts, req->find.data, req->find.len);
        if (req->replacement.len > 0) {
            memcpy(replace->texts + req->find.len, req->replacement.data, req->replacement.len);
        }
    }
    return replace;
}

void sb_api_file_replace(struct sb_rpc_call *call,
                         const Aisbx__V1__ReplaceInFileRequest *req,
                         void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &events};
    options.sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    options.request = (struct sb_file_request){
        .op = SB_FILE_REPLACE, .count = req->expected_count, .offset = req->find.len};
    if (check(req, &err) < 0 || sb_api_file_path(req->file, "file", &options.path, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct replace *replace = replace_new(call, req);
    options.ctx = replace;
    if (replace == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
    } else if (sb_fileop_start(&options, &replace->op, &err) < 0) {
        free(replace);
        sb_rpc_call_fail(call, &err);
    } else {
        sb_rpc_call_set_user(call, replace);
    }
}

void sb_api_file_replace_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct replace *replace = sb_rpc_call_user(call);
    if (replace != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_fileop_free(replace->op);
        free(replace);
    }
}
