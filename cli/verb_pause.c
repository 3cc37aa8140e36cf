/* pause and resume. */
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

struct act {
    const char *name; /* "pause" */
    int (*call)(struct sb_connect *connect,
                char *id,
                Aisbx__V1__Sandbox **ret_sandbox,
                struct sb_err *err);
};

static int call_pause(struct sb_connect *connect,
                      char *id,
                      Aisbx__V1__Sandbox **ret_sandbox,
                      struct sb_err *err)
{
    Aisbx__V1__PauseSandboxRequest request = AISBX__V1__PAUSE_SANDBOX_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__PauseSandboxResponse *reply = NULL;
    request.sandbox_id = id;
    if (aisbx__v1__sandbox_service__pause_sandbox__call(connect->channel, &request,
                                                        &connect->options, &reply, err) < 0) {
        return -1;
    }
    *ret_sandbox = SB_STEAL_PTR(reply->sandbox);
    return 0;
}

static int call_resume(struct sb_connect *connect,
                       char *id,
                       Aisbx__V1__Sandbox **ret_sandbox,
                       struct sb_err *err)
{
    Aisbx__V1__ResumeSandboxRequest request = AISBX__V1__RESUME_SANDBOX_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ResumeSandboxResponse *reply = NULL;
    request.sandbox_id = id;
    if (aisbx__v1__sandbox_service__resume_sandbox__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
        return -1;
    }
    *ret_sandbox = SB_STEAL_PTR(reply->sandbox);
    return 0;
}

static int one(const struct act *act,
               struct sb_connect *connect,
               const char *text,
               struct sb_out *out,
               struct sb_json *json,
               struct sb_err *err)
{
    char id[SB_ID_SIZE];
    SB_CLEANUP(sb_message_freep) Aisbx__V1__Sandbox *sandbox = NULL;
    if (sb_resolve_sandbox(connect, text, id, err) < 0) {
        return -1;
    }
    if (act->call(connect, id, &sandbox, err) < 0) {
        return sb_err_wrap(err, "cannot %s %s", act->name, id);
    }
    if (json != NULL && sandbox != NULL) {
        sb_pbjson_message(json, NULL, (const void *)sandbox);
    } else if (json == NULL) {
        sb_out_printf(out, "%s\n", id);
    }
    return 0;
}

/* One failure does not keep the others from it. */
static int each(struct sb_cli *cli, const struct act *act, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_out_done) struct sb_out out;
    bool has_failed = false;
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0) {
        return -1;
    }
    sb_out_init(&out, STDOUT_FILENO);
    struct sb_json json = {.out = &out};
    if (cli->args.json) {
        sb_json_open(&json, NULL, '[');
    }
    for (size_t i = 0; i < cli->args.n_operands; i++) {
        struct sb_err failure = {0};
        if (one(act, &connect, cli->args.operands[i], &out, cli->args.json ? &json : NULL,
                &failure) < 0) {
            sb_say_error(&failure, NULL);
            has_failed = true;
        }
    }
    if (cli->args.json) {
        sb_json_close(&json, ']');
        sb_out_put(&out, "\n");
    }
    *ret_status = has_failed ? SB_STATUS_FAILED : 0;
    return sb_out_flush(&out, err);
}

int sb_verb_pause(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    static const struct act act = {"pause", call_pause};
    return each(cli, &act, ret_status, err);
}

int sb_verb_resume(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    static const struct act act = {"resume", call_resume};
    return each(cli, &act, ret_status, err);
}
