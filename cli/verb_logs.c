#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/connect.h"
#include "cli/launch.h"
#include "cli/resolve.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "proto/client/message.h"

/* Offsets from which the last bytes begin, and past what is not wanted. */
static int skip(struct sb_connect *connect,
                const struct sb_args *args,
                Aisbx__V1__AttachExecRequest *request,
                struct sb_err *err)
{
    bool takes_all = args->tail_bytes == 0 && !args->only_stdout && !args->only_stderr;
    Aisbx__V1__GetExecRequest get = AISBX__V1__GET_EXEC_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetExecResponse *reply = NULL;
    get.exec_id = request->exec_id;
    if (takes_all) {
        return 0;
    }
    if (aisbx__v1__sandbox_service__get_exec__call(connect->channel, &get, &connect->options,
                                                   &reply, err) < 0) {
        return -1;
    }
    uint64_t bytes[2] = {
        reply->exec == NULL ? 0 : reply->exec->stdout_bytes,
        reply->exec == NULL ? 0 : reply->exec->stderr_bytes,
    };
    uint64_t tail = args->tail_bytes == 0 ? UINT64_MAX : args->tail_bytes;
    request->stdout_offset = args->only_stderr ? bytes[0] : bytes[0] > tail ? bytes[0] - tail : 0;
    request->stderr_offset = args->only_stdout ? bytes[1] : bytes[1] > tail ? bytes[1] - tail : 0;
    return 0;
}

int sb_verb_logs(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    const struct sb_args *args = &cli->args;
    const struct sb_session_options options = {
        .captures = args->json,
        .no_stdin = true,
        .ignores = {args->only_stderr, args->only_stdout},
    };
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_session_result_done) struct sb_session_result result = {0};
    Aisbx__V1__AttachExecRequest request = AISBX__V1__ATTACH_EXEC_REQUEST__INIT;
    char id[SB_ID_SIZE];
    if (args->only_stdout && args->only_stderr) {
        return sb_verb_misused(
            cli, sb_err_set(err, SB_INVALID, "--stdout and --stderr exclude each other"));
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_exec_of(&connect, args->operands[0], id, err) < 0) {
        return -1;
    }
    request.exec_id = id;
    request.no_follow = !args->follow;
    *ret_status = 0;
    if (skip(&connect, args, &request, err) < 0 ||
        (sb_session_attach(&connect, &request, &options, &result, err) < 0 && result.signal == 0)) {
        return sb_err_wrap(err, "cannot show the output of %s", id);
    }
    return args->json ? sb_launch_print_json(&result, -1, err) : 0;
}
