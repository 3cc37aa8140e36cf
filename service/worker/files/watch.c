/* WatchFiles. */
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/fileframe.h"
#include "service/worker/files/stream.h"

static void
send_event(struct sb_filestream *stream, Aisbx__V1__FileEventKind kind, struct sb_str below)
{
    char joined[2 * SB_FILE_MAX_PATH];
    struct sb_err err;
    Aisbx__V1__WatchFilesResponse msg = AISBX__V1__WATCH_FILES_RESPONSE__INIT;
    if (stream->is_over) {
        return;
    }
    msg.kind = kind;
    msg.file = sb_api_file_path_new(
        sb_api_file_join(sb_str_of(stream->path, stream->path_len), below, joined));
    if (msg.file == NULL) {
        (void)sb_err_oom(&err);
        sb_filestream_fail(stream, &err);
        return;
    }
    sb_filestream_sent(stream, aisbx__v1__file_service__watch_files__send(stream->call, &msg));
    aisbx__v1__file_path__free_unpacked(msg.file, NULL);
}

static void on_ready(void *ctx)
{
    send_event(ctx, AISBX__V1__FILE_EVENT_KIND__FILE_EVENT_KIND_WATCHING, SB_STR(""));
}

static void on_frame(void *ctx, const struct sb_fileframe *frame)
{
    if (frame->type == SB_FILE_EVENT) {
        send_event(ctx, (Aisbx__V1__FileEventKind)frame->event, frame->path);
    }
}

static const struct sb_fileop_events events = {
    .frame = on_frame, .ready = on_ready, .done = sb_filestream_over};

void sb_api_file_watch(struct sb_rpc_call *call, const Aisbx__V1__WatchFilesRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &events};
    options.sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    options.request =
        (struct sb_file_request){.op = SB_FILE_WATCH, .flags = req->recursive ? SB_FILE_TREE : 0};
    if (sb_api_file_path(req->directory, "directory", &options.path, &err) < 0) {
        sb_rpc_call_fail(call, &err);
    } else {
        sb_filestream_begin(call, &options);
    }
}

void sb_api_file_watch_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_filestream_drained(call);
}

void sb_api_file_watch_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    sb_filestream_done(call);
}
