#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/out.h"
#include "cli/connect.h"
#include "cli/resolve.h"
#include "cli/spec.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

static void put_rules(struct sb_out *out, const char *name, char *const *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sb_out_printf(out, "%s ", name);
        sb_out_put_safe(out, sb_str_from(rules[i]));
        sb_out_put(out, "\n");
    }
}

static void put_network(struct sb_out *out, const Aisbx__V1__Sandbox *sandbox)
{
    char scratch[64];
    const Aisbx__V1__Network *network = sandbox->network;
    if (network != NULL) {
        sb_out_printf(
            out, "network %s\n",
            sb_pbjson_enum(&aisbx__v1__network_mode__descriptor, (int)network->mode, scratch));
        put_rules(out, "allow", network->allow, network->n_allow);
        put_rules(out, "deny", network->deny, network->n_deny);
    }
    for (size_t i = 0; i < sandbox->n_violations; i++) {
        const Aisbx__V1__Violation *violation = sandbox->violations[i];
        if (violation->kind == AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_HOST) {
            sb_out_put(out, "denied ");
            sb_out_put_safe(out, sb_str_from(violation->subject));
            sb_out_printf(out, " %llux: ", (unsigned long long)violation->count);
            sb_out_put_safe(out, sb_str_from(violation->decided_by));
            sb_out_put(out, "\n");
        }
    }
}

static int print(const struct sb_cli *cli, const Aisbx__V1__Sandbox *sandbox, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    if (sandbox == NULL) {
        return sb_err_set(err, SB_INTERNAL, "the worker's reply is empty");
    }
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)sandbox);
        sb_out_put(&out, "\n");
    } else {
        put_network(&out, sandbox);
    }
    return sb_out_flush(&out, err);
}

static int show(struct sb_cli *cli, struct sb_connect *connect, char *id, struct sb_err *err)
{
    Aisbx__V1__GetSandboxRequest request = AISBX__V1__GET_SANDBOX_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__GetSandboxResponse *reply = NULL;
    request.sandbox_id = id;
    return aisbx__v1__sandbox_service__get_sandbox__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0
               ? -1
               : print(cli, reply->sandbox, err);
}

static int change(struct sb_cli *cli, struct sb_connect *connect, char *id, struct sb_err *err)
{
    SB_CLEANUP(sb_spec_done) struct sb_spec spec = {.is_remote = true};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__UpdateNetworkResponse *reply = NULL;
    Aisbx__V1__UpdateNetworkRequest request = AISBX__V1__UPDATE_NETWORK_REQUEST__INIT;
    if (sb_spec_network(&spec, &cli->args, err) < 0) {
        return -1;
    }
    request.sandbox_id = id;
    request.network = &spec.network;
    if (aisbx__v1__sandbox_service__update_network__call(connect->channel, &request,
                                                         &connect->options, &reply, err) < 0) {
        return sb_err_wrap(err, "cannot change the network of %s", id);
    }
    return print(cli, reply->sandbox, err);
}

int sb_verb_network(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    char id[SB_ID_SIZE];
    if (sb_connect_open(cli, SB_CONNECT_PRESENT, &connect, err) < 0 ||
        sb_resolve_sandbox(&connect, cli->args.operands[0], id, err) < 0) {
        return -1;
    }
    *ret_status = 0;
    return sb_spec_has_network(&cli->args) ? change(cli, &connect, id, err)
                                           : show(cli, &connect, id, err);
}
