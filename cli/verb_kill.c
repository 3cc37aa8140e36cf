#include <signal.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

enum { MAX_SIGNAL = 64 };

struct killing {
    struct sb_connect *connect;
    const struct sb_args *args;
    int signal; /* 0: end the whole tree for good */
    struct sb_out out;
    struct sb_json json;
    bool has_failed;
};

/* "TERM", "SIGTERM", "15". */
static int parse_signal(const char *text, int *ret_signal, struct sb_err *err)
{
    uint64_t number = 0;
    if (sb_num_u64(sb_str_from(text), 1, MAX_SIGNAL, &number, err) == 0) {
        *ret_signal = (int)number;
        return 0;
    }
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int i = 1; i <= MAX_SIGNAL; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcasecmp(known, name) == 0) {
            *ret_signal = i;
            return 0;
        }
    }
    return sb_err_set(err, SB_INVALID, "--signal: there is no signal \"%s\"; say TERM, INT or 15",
                      text);
}

static int send_signal(struct killing *k, char *id, struct sb_err *err)
{
    Aisbx__V1__SignalExecRequest request = AISBX__V1__SIGNAL_EXEC_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__SignalExecResponse *reply = NULL;
    request.exec_id = id;
    request.signal = k->signal;
    request.tree = k->args->tree;
    return aisbx__v1__sandbox_service__signal_exec__call(k->connect->channel, &request,
                                                         &k->connect->options, &reply, err);
}

static int cancel(struct killing *k, char *id, struct sb_err *err)
{
    Aisbx__V1__CancelExecRequest request = AISBX__V1__CANCEL_EXEC_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__CancelExecResponse *reply = NULL;
    request.exec_id = id;
    if (aisbx__v1__sandbox_service__cancel_exec__call(k->connect->channel, &request,
                                                      &k->connect->options, &reply, err) < 0) {
        return -1;
    }
    if (k->args->json && reply->exec != NULL) {
        sb_pbjson_message(&k->json, NULL, (const void *)reply->exec);
    }
    return 0;
}

/* One failure does not spare the others. */
static void kill_one(struct killing *k, const char *text)
{
    struct sb_err err = {0};
    char id[SB_ID_SIZE];
    int rc = sb_resolve_exec(k->connect, text, id, &err);
    if (rc == 0) {
        rc = k->signal != 0 ? send_signal(k, id, &err) : cancel(k, id, &err);
    }
    if (rc < 0) {
        (void)sb_err_wrap(&err, "cannot kill %s", text);
        sb_say_error(&err, NULL);
        k->has_failed = true;
    } else if (!k->args->json) {
        sb_out_printf(&k->out, "%s\n", id);
    } else if (k->signal != 0) {
        sb_json_cstr(&k->json, NULL, id);
    }
}

int sb_verb_kill(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct killing k = {.connect = &connect, .args = &cli->args};
    if (cli->args.signal != NULL &&
        sb_verb_misused(cli, parse_signal(cli->args.signal, &k.signal, err)) < 0) {
        return -1;
    }
    if (cli->args.tree && k.signal == 0) {
        return sb_verb_misused(
            cli,
            sb_err_set(err, SB_INVALID,
                       "--tree goes with --signal; without it the whole tree is killed anyway"));
    }
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0) {
        return -1;
    }
    sb_out_init(&k.out, STDOUT_FILENO);
    k.json.out = &k.out;
    if (cli->args.json) {
        sb_json_open(&k.json, NULL, '[');
    }
    for (size_t i = 0; i < cli->args.n_operands; i++) {
        kill_one(&k, cli->args.operands[i]);
    }
    if (cli->args.json) {
        sb_json_close(&k.json, ']');
        sb_out_put(&k.out, "\n");
    }
    int rc = sb_out_flush(&k.out, err);
    sb_out_done(&k.out);
    *ret_status = k.has_failed ? SB_STATUS_FAILED : 0;
    return rc;
}
