#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/launch.h"
#include "cli/report.h"
#include "cli/spec.h"
#include "cli/verb.h"
#include "proto/client/message.h"

/* A detached program's output can be read this long after its end, unless --idle says else. */
enum { DETACHED_IDLE_MS = 10 * 60 * 1000 };

static int make_spec(struct sb_cli *cli, struct sb_spec *spec, struct sb_err *err)
{
    if (sb_spec_sandbox(spec, &cli->args, err) < 0 ||
        sb_spec_exec(spec, &cli->args, cli->args.operands, err) < 0 ||
        sb_spec_bind_command(spec, err) < 0) {
        return -1;
    }
    return 0;
}

static void say_workspace(const struct sb_cli *cli, const struct sb_spec *spec)
{
    if (spec->workspace.note != NULL) {
        sb_say_note("the current directory is not the workspace: %s%s", spec->workspace.note,
                    cli->args.json ? "" : "; --workspace DIR takes one, --no-workspace says none");
    }
}

/* A worker that exits when idle may go just as we come: then once more. */
static int run_attached(struct sb_cli *cli,
                        Aisbx__V1__StartExecRequest *request,
                        int *ret_status,
                        struct sb_err *err)
{
    for (bool is_again = false;; is_again = true) {
        bool was_started = false;
        SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
        if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
            return -1;
        }
        bool is_embedded = connect.is_embedded;
        if (sb_launch_run(cli, &connect, request, &was_started, ret_status, err) == 0) {
            return 0;
        }
        if (is_again || was_started || !is_embedded || err->code != SB_UNAVAILABLE) {
            return sb_err_wrap(err, "cannot run %s", cli->args.operands[0]);
        }
    }
}

/* A sandbox that nobody is told of, as nothing runs in it. Without, it would stay until it is idle
 * for long enough. */
static void drop(struct sb_cli *cli, char *sandbox_id)
{
    struct sb_err ignored;
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    Aisbx__V1__DestroySandboxRequest request = AISBX__V1__DESTROY_SANDBOX_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__DestroySandboxResponse *reply = NULL;
    request.sandbox_id = sandbox_id;
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, &ignored) == 0) {
        (void)aisbx__v1__sandbox_service__destroy_sandbox__call(connect.channel, &request,
                                                                &connect.options, &reply, &ignored);
    }
}

static int run_detached(struct sb_cli *cli,
                        struct sb_spec *spec,
                        Aisbx__V1__StartExecRequest *request,
                        int *ret_status,
                        struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__CreateSandboxResponse *reply = NULL;
    Aisbx__V1__CreateSandboxRequest create = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    create.sandbox = &spec->sandbox;
    if (spec->sandbox.idle_ms == 0) {
        spec->sandbox.idle_ms = DETACHED_IDLE_MS;
    }
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    if (aisbx__v1__sandbox_service__create_sandbox__call(connect.channel, &create, &connect.options,
                                                         &reply, err) < 0 ||
        reply->sandbox == NULL) {
        return sb_err_wrap(err, "cannot make a sandbox");
    }
    request->target->sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_SANDBOX_ID;
    request->target->sandbox_id = reply->sandbox->sandbox_id;
    int rc =
        sb_launch_detached(cli, &connect, request, reply->sandbox->sandbox_id, ret_status, err);
    if (rc == 0 && *ret_status != 0) {
        drop(cli, reply->sandbox->sandbox_id);
    }
    return rc < 0 ? sb_err_wrap(err, "cannot run %s", cli->args.operands[0]) : 0;
}

int sb_verb_run(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_spec_done) struct sb_spec spec = {.is_remote = sb_connect_is_remote(cli)};
    Aisbx__V1__StartExecRequest request = AISBX__V1__START_EXEC_REQUEST__INIT;
    Aisbx__V1__ExecTarget target = AISBX__V1__EXEC_TARGET__INIT;
    if (make_spec(cli, &spec, err) < 0) {
        return -1;
    }
    say_workspace(cli, &spec);
    sb_report_getting(&spec.sandbox);
    target.sandbox_case = AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    target.new_sandbox = &spec.sandbox;
    request.target = &target;
    request.exec = &spec.exec;
    if (cli->args.detach) {
        *ret_status = 0;
        return run_detached(cli, &spec, &request, ret_status, err);
    }
    return run_attached(cli, &request, ret_status, err);
}
