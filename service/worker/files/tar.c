/* ExportTar and ImportTar. The archive is read and written inside (service/init/file_tar.c,
 * file_import.c); here it is bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_file.h"
#include "service/worker/api_pb.h"
#include "service/worker/fileframe.h"
#include "service/worker/files/push.h"
#include "service/worker/files/stream.h"

enum { SHOWN_PATH = 1024 /* bytes of a refused entry's */ };

/* ---- ExportTar ---- */

static void on_export_frame(void *ctx, const struct sb_fileframe *frame)
{
    struct sb_filestream *stream = ctx;
    Aisbx__V1__ExportTarResponse msg = AISBX__V1__EXPORT_TAR_RESPONSE__INIT;
    if (frame->type == SB_FILE_DATA && !stream->is_over) {
        msg.data.len = frame->data.len;
        memcpy(&msg.data.data, &frame->data.ptr, sizeof msg.data.data);
        sb_filestream_sent(stream, aisbx__v1__file_service__export_tar__send(stream->call, &msg));
    }
}

static const struct sb_fileop_events export_events = {.frame = on_export_frame,
                                                      .done = sb_filestream_over};

void sb_api_file_export(struct sb_rpc_call *call, const Aisbx__V1__ExportTarRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &export_events,
                                        .request = {.op = SB_FILE_EXPORT}};
    options.sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    if (sb_api_file_path(req->directory, "directory", &options.path, &err) < 0) {
        sb_rpc_call_fail(call, &err);
    } else {
        sb_filestream_begin(call, &options);
    }
}

void sb_api_file_export_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_filestream_drained(call);
}

void sb_api_file_export_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    sb_filestream_done(call);
}

/* ---- ImportTar ---- */

struct import {
    struct sb_push push;
    Aisbx__V1__ImportTarResponse *reply; /* owned */
    bool is_broken;                      /* out of memory */
};

static void import_free(struct import *import)
{
    sb_push_done(&import->push);
    if (import->reply != NULL) {
        aisbx__v1__import_tar_response__free_unpacked(import->reply, NULL);
    }
    free(import);
}

static void on_import_ready(void *ctx)
{
    struct import *import = ctx;
    sb_push_ready(&import->push);
}

static void on_refused(void *ctx, const struct sb_fileframe *frame)
{
    struct import *import = ctx;
    Aisbx__V1__ImportTarResponse *reply = import->reply;
    char path[SHOWN_PATH];
    char text[SHOWN_PATH + 256];
    if (frame->type != SB_FILE_REFUSED || reply->n_refused == SB_FILE_MAX_REFUSED) {
        return;
    }
    (void)sb_utf8_sanitize(path, sizeof path, frame->path, SB_UTF8_ONE_LINE);
    (void)snprintf(text, sizeof text, "%s: %s", path, sb_fileop_why(&frame->failed));
    char *refused = strdup(text);
    import->is_broken = import->is_broken || refused == NULL;
    if (refused != NULL) {
        reply->refused[reply->n_refused++] = refused;
    }
}

static void on_import_done(void *ctx, const struct sb_file_done *done, const struct sb_err *err)
{
    struct import *import = ctx;
    Aisbx__V1__ImportTarResponse *reply = import->reply;
    if (import->push.is_over) {
        return;
    }
    import->push.is_over = true;
    import->reply = NULL;
    reply->entries = done->count;
    reply->size_bytes = done->bytes;
    reply->refused_entries = done->refused;
    struct sb_err oom;
    if (import->is_broken) {
        (void)sb_err_oom(&oom);
        err = &oom;
    }
    sb_api_finish(import->push.call, reply, err);
}

static const struct sb_fileop_events import_events = {
    .frame = on_refused, .ready = on_import_ready, .done = on_import_done};

static struct import *import_new(struct sb_rpc_call *call)
{
    struct import *import = calloc(1, sizeof *import);
    if (import == NULL) {
        return NULL;
    }
    import->push.call = call;
    import->reply = sb_api_pb_new(&aisbx__v1__import_tar_response__descriptor);
    if (import->reply != NULL) {
        import->reply->refused = calloc(SB_FILE_MAX_REFUSED, sizeof(char *));
    }
    if (import->reply == NULL || import->reply->refused == NULL) {
        import_free(import);
        return NULL;
    }
    return import;
}

static void begin_import(struct sb_rpc_call *call,
                         struct sb_worker *worker,
                         const Aisbx__V1__ImportTarHeader *header)
{
    struct sb_err err;
    struct sb_fileop_options options = {.events = &import_events};
    options.sandbox = sb_api_call_sandbox(call, worker, header->sandbox_id);
    if (options.sandbox == NULL) {
        return;
    }
    options.request =
        (struct sb_file_request){.op = SB_FILE_IMPORT, .max_bytes = header->max_bytes};
    if (sb_api_file_path(header->directory, "header.directory", &options.path, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct import *import = import_new(call);
    options.ctx = import;
    if (import == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
    } else if (sb_fileop_start(&options, &import->push.op, &err) < 0) {
        import_free(import);
        sb_rpc_call_fail(call, &err);
    } else {
        sb_rpc_call_set_user(call, import); /* ready() asks for the next message */
    }
}

void sb_api_file_import(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_read(call);
}

void sb_api_file_import_message(struct sb_rpc_call *call,
                                const Aisbx__V1__ImportTarRequest *msg,
                                void *svc)
{
    struct sb_err err;
    struct import *import = sb_rpc_call_user(call);
    if (import == NULL && msg->message_case == AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_HEADER) {
        begin_import(call, svc, msg->header);
    } else if (import == NULL) {
        (void)sb_err_set(&err, SB_INVALID, "header: must be the first message");
        sb_rpc_call_fail(call, &err);
    } else if (msg->message_case != AISBX__V1__IMPORT_TAR_REQUEST__MESSAGE_DATA) {
        (void)sb_err_set(&err, SB_INVALID, "only the first message may be a header");
        sb_push_fail(&import->push, &err);
    } else if (sb_push_take(&import->push, msg->data.data, msg->data.len, &err) < 0) {
        sb_push_fail(&import->push, &err);
    }
}

void sb_api_file_import_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct import *import = sb_rpc_call_user(call);
    struct sb_err err;
    if (import != NULL) {
        sb_push_half_close(&import->push);
        return;
    }
    (void)sb_err_set(&err, SB_INVALID, "header: must be the first message");
    sb_rpc_call_fail(call, &err);
}

void sb_api_file_import_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct import *import = sb_rpc_call_user(call);
    if (import != NULL) {
        sb_rpc_call_set_user(call, NULL);
        import_free(import);
    }
}
