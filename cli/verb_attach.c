#include <string.h>
#include <time.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/launch.h"
#include "cli/resolve.h"
#include "cli/session.h"
#include "cli/status.h"
#include "cli/tty.h"
#include "cli/verb.h"
#include "proto/client/message.h"

enum { RETRY_MS = 250, GIVE_UP_MS = 30000 };

/* What is known of it before we look on. */
static int look(struct sb_connect *connect,
                char *id,
                Aisbx__V1__GetExecResponse **ret_reply,
                struct sb_err *err)
{
    Aisbx__V1__GetExecRequest request = AISBX__V1__GET_EXEC_REQUEST__INIT;
    request.exec_id = id;
    if (aisbx__v1__sandbox_service__get_exec__call(connect->channel, &request, &connect->options,
                                                   ret_reply, err) < 0) {
        return -1;
    }
    return (*ret_reply)->exec == NULL ? sb_err_set(err, SB_INTERNAL, "the worker told nothing") : 0;
}

/* Input goes there when somebody types on the program's terminal, or --interactive says so. */
static void decide(const struct sb_args *args,
                   const Aisbx__V1__Exec *exec,
                   struct sb_session_options *ret_options)
{
    bool is_typed = exec->terminal != NULL && sb_tty_is_here();
    bool wants_input = !args->no_stdin && !args->json && (args->interactive || is_typed);
    ret_options->captures = args->json;
    ret_options->has_terminal = exec->terminal != NULL;
    ret_options->no_stdin = !wants_input || !exec->open_stdin;
    if (args->interactive && !exec->open_stdin && exec->verdict == NULL) {
        sb_say_note("it takes no input: start it with --interactive or --tty for that");
    }
}

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000L};
    (void)nanosleep(&time, NULL);
}

/* Comes back when the worker can be reached again. */
static int connect_again(struct sb_cli *cli, struct sb_connect *connect, struct sb_err *err)
{
    uint64_t give_up_ms = sb_clock_mono_ms() + GIVE_UP_MS;
    sb_say_note("the connection was lost; trying to connect again");
    for (;;) {
        sleep_ms(RETRY_MS);
        if (sb_connect_open(cli, SB_CONNECT_PRESENT, connect, err) == 0) {
            return 0;
        }
        if (connect->is_absent || err->code != SB_UNAVAILABLE ||
            sb_clock_left_ms(give_up_ms) == 0) {
            return -1;
        }
    }
}

/* From the offsets in request, which move, until the program ends or we leave. */
static int follow(struct sb_cli *cli,
                  struct sb_connect *connect,
                  Aisbx__V1__AttachExecRequest *request,
                  const struct sb_session_options *options,
                  struct sb_session_result *result,
                  struct sb_err *err)
{
    uint64_t give_up_ms = 0;
    for (;;) {
        sb_session_result_done(result);
        if (sb_session_attach(connect, request, options, result, err) == 0 || result->signal != 0) {
            return 0;
        }
        bool has_moved = request->stdout_offset != result->offsets[0] ||
                         request->stderr_offset != result->offsets[1];
        give_up_ms = has_moved || give_up_ms == 0 ? sb_clock_mono_ms() + GIVE_UP_MS : give_up_ms;
        if (err->code != SB_UNAVAILABLE || options->captures || sb_clock_left_ms(give_up_ms) == 0 ||
            connect_again(cli, connect, err) < 0) {
            return -1;
        }
        request->stdout_offset = result->offsets[0];
        request->stderr_offset = result->offsets[1];
    }
}

int sb_verb_attach(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    const struct sb_args *args = &cli->args;
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_session_result_done) struct sb_session_result result = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetExecResponse *known = NULL;
    Aisbx__V1__AttachExecRequest request = AISBX__V1__ATTACH_EXEC_REQUEST__INIT;
    struct sb_session_options options = {.user = cli};
    char id[SB_ID_SIZE];
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_exec_of(&connect, args->operands[0], id, err) < 0) {
        return -1;
    }
    if (look(&connect, id, &known, err) < 0) {
        return sb_err_wrap(err, "cannot attach to %s", id);
    }
    decide(args, known->exec, &options);
    request.exec_id = id;
    request.stdout_offset = args->from_bytes;
    request.stderr_offset = args->from_stderr_bytes;
    if (follow(cli, &connect, &request, &options, &result, err) < 0) {
        return sb_err_wrap(err, "cannot follow %s", id);
    }
    if (result.is_detached) {
        sb_say_note("left %s, which goes on", id);
        *ret_status = 0;
        return 0;
    }
    const Aisbx__V1__Verdict *verdict = result.exec == NULL ? NULL : result.exec->verdict;
    *ret_status = result.signal != 0 ? 128 + result.signal : sb_status_of(verdict);
    if (result.signal == 0 && verdict != NULL) {
        sb_launch_say_end(verdict, options.has_terminal);
    }
    return args->json ? sb_launch_print_json(&result, *ret_status, err) : 0;
}
