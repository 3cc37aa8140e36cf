/* aisbx grep and aisbx watch: streams of what a sandbox's files say. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/boxpath.h"
#include "cli/connect.h"
#include "cli/filecopy.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/json/pbjson.h"

enum { MOST_MATCHES = 10000 };

/** One call and what it prints. */
struct stream {
    const struct sb_args *args;
    struct sb_out out;
    struct sb_connect connect;
    char sandbox_id[SB_ID_SIZE];
    char path[SB_BOXPATH_SIZE];
    uint64_t n;
    bool is_over;
    struct sb_err failed; /* ours: standard output */
    struct sb_err status; /* of the call */
};

static int
open_stream(struct sb_cli *cli, struct stream *stream, const char *operand, struct sb_err *err)
{
    struct sb_boxpath where = sb_boxpath_of(operand);
    char sandbox[SB_ID_SIZE + 1];
    struct sb_str name = where.is_inside ? where.sandbox : sb_str_from(operand);
    (void)snprintf(sandbox, sizeof sandbox, "%.*s", SB_STR_ARG(name));
    stream->args = &cli->args;
    return sb_boxpath_absolute(where.is_inside ? where.path : "", stream->path, err) < 0 ||
                   sb_connect_open(cli, SB_CONNECT_PRESENT, &stream->connect, err) < 0 ||
                   sb_resolve_sandbox(&stream->connect, sandbox, stream->sandbox_id, err) < 0
               ? -1
               : 0;
}

/* One message is one line, at once. */
static void put(struct stream *stream, struct sb_rpc_stream *rpc, const ProtobufCMessage *msg)
{
    if (stream->args->json) {
        struct sb_json json = {.out = &stream->out};
        sb_pbjson_message(&json, NULL, msg);
    }
    sb_out_put(&stream->out, "\n");
    stream->n++;
    if (sb_out_flush(&stream->out, &stream->failed) < 0) {
        sb_rpc_stream_cancel(rpc);
        return;
    }
    sb_rpc_stream_read(rpc);
}

static void
on_match(struct sb_rpc_stream *rpc, const Aisbx__V1__SearchFilesResponse *msg, void *user)
{
    struct stream *stream = user;
    if (!stream->args->json) {
        sb_out_put_safe(&stream->out, sb_str_from(msg->file->path));
        sb_out_printf(&stream->out, ":%" PRIu64 ":", msg->line);
        sb_out_put_safe(&stream->out, sb_str_of(msg->text.data, msg->text.len));
    }
    put(stream, rpc, &msg->base);
}

static void
on_event(struct sb_rpc_stream *rpc, const Aisbx__V1__WatchFilesResponse *msg, void *user)
{
    struct stream *stream = user;
    if (!stream->args->json) {
        char text[64];
        sb_out_printf(
            &stream->out, "%s ",
            sb_pbjson_enum(&aisbx__v1__file_event_kind__descriptor, (int)msg->kind, text));
        sb_out_put_safe(&stream->out, sb_str_from(msg->file->path));
    }
    put(stream, rpc, &msg->base);
}

static void on_done(struct sb_rpc_stream *rpc, const struct sb_err *err, void *user)
{
    struct stream *stream = user;
    (void)rpc;
    stream->is_over = true;
    stream->status = *err;
}

static const struct aisbx__v1__file_service__search_files__callbacks search_callbacks = {
    .message = on_match, .done = on_done};
static const struct aisbx__v1__file_service__watch_files__callbacks watch_callbacks = {
    .message = on_event, .done = on_done};

static int follow(struct stream *stream, struct sb_rpc_stream *rpc, struct sb_err *err)
{
    sb_rpc_stream_read(rpc);
    while (!stream->is_over) {
        sb_rpc_channel_wait(stream->connect.channel);
    }
    if (stream->failed.code != SB_OK || stream->status.code != SB_OK) {
        *err = stream->failed.code != SB_OK ? stream->failed : stream->status;
        return -1;
    }
    return 0;
}

static int search(struct stream *stream, struct sb_err *err)
{
    struct sb_rpc_stream *rpc = NULL;
    const struct sb_args *args = stream->args;
    Aisbx__V1__FilePath directory = sb_filecopy_path(stream->path);
    Aisbx__V1__SearchFilesRequest request = AISBX__V1__SEARCH_FILES_REQUEST__INIT;
    request.sandbox_id = stream->sandbox_id;
    request.directory = &directory;
    request.pattern = args->operands[0];
    request.ignore_case = args->ignore_case;
    request.max_matches = args->limit == 0 ? MOST_MATCHES : (uint32_t)args->limit;
    if (args->glob != NULL) {
        memcpy(&request.glob, &args->glob, sizeof request.glob);
    }
    if (aisbx__v1__file_service__search_files__start(stream->connect.channel, &request,
                                                     &stream->connect.options, &search_callbacks,
                                                     stream, &rpc, err) < 0 ||
        follow(stream, rpc, err) < 0) {
        return -1;
    }
    if (stream->n == request.max_matches) {
        (void)fprintf(stderr, "aisbx: stopped after %" PRIu64 " lines; there may be more\n",
                      stream->n);
    }
    return 0;
}

int sb_verb_grep(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    struct stream stream = {.n = 0};
    sb_out_init(&stream.out, STDOUT_FILENO);
    int rc = open_stream(cli, &stream, cli->args.operands[1], err);
    rc = rc < 0 ? rc : search(&stream, err);
    *ret_status = stream.n > 0 ? 0 : SB_STATUS_FAILED;
    sb_out_done(&stream.out);
    sb_connect_done(&stream.connect);
    return rc;
}

static int watch(struct stream *stream, struct sb_err *err)
{
    struct sb_rpc_stream *rpc = NULL;
    Aisbx__V1__FilePath directory = sb_filecopy_path(stream->path);
    Aisbx__V1__WatchFilesRequest request = AISBX__V1__WATCH_FILES_REQUEST__INIT;
    request.sandbox_id = stream->sandbox_id;
    request.directory = &directory;
    request.recursive = stream->args->recursive;
    return aisbx__v1__file_service__watch_files__start(stream->connect.channel, &request,
                                                       &stream->connect.options, &watch_callbacks,
                                                       stream, &rpc, err) < 0
               ? -1
               : follow(stream, rpc, err);
}

int sb_verb_watch(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    struct stream stream = {.n = 0};
    sb_out_init(&stream.out, STDOUT_FILENO);
    int rc = open_stream(cli, &stream, cli->args.operands[0], err);
    rc = rc < 0 ? rc : watch(&stream, err);
    *ret_status = 0;
    sb_out_done(&stream.out);
    sb_connect_done(&stream.connect);
    return rc;
}
