#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/report.h"
#include "cli/resolve.h"
#include "cli/spec.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

static int print(const struct sb_cli *cli, const Aisbx__V1__Sandbox *sandbox, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)sandbox);
        sb_out_put(&out, "\n");
    } else {
        sb_out_printf(&out, "%s\n", sandbox->sandbox_id);
    }
    if (cli->args.verbose) {
        sb_report_sandbox(sandbox);
    }
    return sb_out_flush(&out, err);
}

int sb_verb_create(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_spec_done) struct sb_spec spec = {.is_remote = sb_connect_is_remote(cli)};
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__CreateSandboxResponse *reply = NULL;
    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    if (cli->args.snapshot != NULL && cli->args.workspace == NULL) {
        cli->args.no_workspace = true; /* it would cover what the snapshot has there */
    }
    if (sb_verb_misused(cli, sb_spec_sandbox(&spec, &cli->args, err)) < 0) {
        return -1;
    }
    if (spec.workspace.note != NULL) {
        sb_say_note("the current directory is not the workspace: %s", spec.workspace.note);
    }
    request.sandbox = &spec.sandbox;
    sb_report_getting(&spec.sandbox);
    if (sb_connect_open(cli, SB_CONNECT_FRESH, &connect, err) < 0) {
        return -1;
    }
    char snapshot[SB_ID_SIZE] = "";
    if (cli->args.snapshot != NULL &&
        sb_resolve_snapshot(&connect, cli->args.snapshot, snapshot, err) < 0) {
        return -1;
    }
    request.snapshot_id = snapshot;
    if (aisbx__v1__sandbox_service__create_sandbox__call(connect.channel, &request,
                                                         &connect.options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot make a sandbox");
    }
    if (reply->sandbox == NULL) {
        return sb_err_set(err, SB_INTERNAL, "cannot make a sandbox: the worker's reply is empty");
    }
    *ret_status = 0;
    if (print(cli, reply->sandbox, err) < 0) {
        return sb_err_wrap(err, "sandbox %s was made", reply->sandbox->sandbox_id);
    }
    return 0;
}
