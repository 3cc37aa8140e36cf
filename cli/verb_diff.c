#include <unistd.h>

#include "aisbx/v1/file_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/json/pbjson.h"
#include "proto/rpc/rpc.h"

struct diffing {
    const struct sb_args *args;
    struct sb_out out;
    struct sb_json json;
    struct sb_err failed;
    bool is_over;
};

static char letter_of(Aisbx__V1__FileEventKind kind)
{
    return kind == AISBX__V1__FILE_EVENT_KIND__FILE_EVENT_KIND_CREATED   ? 'A'
           : kind == AISBX__V1__FILE_EVENT_KIND__FILE_EVENT_KIND_REMOVED ? 'D'
                                                                         : 'M';
}

static void print_json(struct diffing *diff, const Aisbx__V1__DiffFilesResponse *msg)
{
    char scratch[64];
    sb_json_open(&diff->json, NULL, '{');
    sb_json_cstr(&diff->json, "kind",
                 sb_pbjson_enum(&aisbx__v1__file_event_kind__descriptor, (int)msg->kind, scratch));
    sb_pbjson_message(&diff->json, "file", (const void *)msg->file);
    sb_json_close(&diff->json, '}');
}

static void
on_message(struct sb_rpc_stream *stream, const Aisbx__V1__DiffFilesResponse *msg, void *user)
{
    struct diffing *diff = user;
    if (msg->data.len > 0) {
        sb_out_write(&diff->out, msg->data.data, msg->data.len);
    } else if (diff->args->json) {
        print_json(diff, msg);
    } else if (msg->file != NULL) {
        if (!diff->args->quiet) {
            sb_out_printf(&diff->out, "%c ", letter_of(msg->kind));
        }
        sb_out_put_safe(&diff->out, sb_str_from(msg->file->path));
        sb_out_put(&diff->out, "\n");
    }
    if (diff->failed.code == SB_OK && sb_out_flush(&diff->out, &diff->failed) < 0) {
        sb_rpc_stream_cancel(stream);
        return;
    }
    sb_rpc_stream_read(stream);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct diffing *diff = user;
    diff->is_over = true;
    if (err != NULL && err->code != SB_OK && diff->failed.code == SB_OK) {
        diff->failed = *err;
    }
}

static const struct aisbx__v1__file_service__diff_files__callbacks callbacks = {
    .message = on_message, .done = on_done};

static int run(struct diffing *diff,
               struct sb_connect *connect,
               Aisbx__V1__DiffFilesRequest *request,
               struct sb_err *err)
{
    struct sb_rpc_stream *stream = NULL;
    if (aisbx__v1__file_service__diff_files__start(connect->channel, request, &connect->options,
                                                   &callbacks, diff, &stream, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(stream);
    while (!diff->is_over) {
        sb_rpc_channel_wait(connect->channel);
    }
    if (diff->failed.code != SB_OK) {
        *err = diff->failed;
        return -1;
    }
    return 0;
}

int sb_verb_diff(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    char id[SB_ID_SIZE];
    char snapshot[SB_ID_SIZE] = "";
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct diffing diff = {.args = &cli->args};
    Aisbx__V1__DiffFilesRequest request = AISBX__V1__DIFF_FILES_REQUEST__INIT;
    if (cli->args.tar && (cli->args.json || isatty(STDOUT_FILENO) == 1)) {
        return sb_verb_misused(
            cli, sb_err_set(err, SB_INVALID,
                            cli->args.json ? "--tar and --json exclude each other"
                                           : "an archive is not for a terminal; send it to a file: "
                                             "> x.tar"));
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0 ||
        (cli->args.n_operands > 1 &&
         sb_resolve_snapshot(&connect, cli->args.operands[1], snapshot, err) < 0)) {
        return -1;
    }
    request.sandbox_id = id;
    request.snapshot_id = snapshot;
    request.content = cli->args.tar ? AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_TAR
                                    : AISBX__V1__DIFF_CONTENT__DIFF_CONTENT_UNSPECIFIED;
    sb_out_init(&diff.out, STDOUT_FILENO);
    diff.json.out = &diff.out;
    if (cli->args.json) {
        sb_json_open(&diff.json, NULL, '[');
    }
    int rc = run(&diff, &connect, &request, err);
    if (rc == 0 && cli->args.json) {
        sb_json_close(&diff.json, ']');
        sb_out_put(&diff.out, "\n");
    }
    rc = rc < 0 ? sb_err_wrap(err, "cannot compare %s", id) : sb_out_flush(&diff.out, err);
    sb_out_done(&diff.out);
    *ret_status = 0;
    return rc;
}
