/* expose, ports, unexpose, port-forward. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "aisbx/v1/port_service.rpc.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/out.h"
#include "base/say.h"
#include "base/str.h"
#include "cli/connect.h"
#include "cli/forward.h"
#include "cli/resolve.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "proto/client/message.h"
#include "proto/json/pbjson.h"

#define DEFAULT_BIND "127.0.0.1"

static const char *const titles[] = {"PORT", "CONNECTIONS", "TOTAL", "PATH", "TITLE"};

static int read_port(const char *text, uint32_t *ret_port, struct sb_err *err)
{
    struct sb_err ignored;
    uint64_t value = 0;
    if (sb_num_u64(sb_str_from(text), 1, UINT16_MAX, &value, &ignored) < 0) {
        return sb_err_set(err, SB_INVALID, "%s: a port is a number in 1..65535", text);
    }
    *ret_port = (uint32_t)value;
    return 0;
}

static int open_sandbox(struct sb_cli *cli,
                        struct sb_connect *ret_connect,
                        char ret_id[SB_ID_SIZE],
                        struct sb_err *err)
{
    return sb_connect_open(cli, SB_CONNECT_PRESENT, ret_connect, err) < 0
               ? -1
               : sb_resolve_sandbox(ret_connect, cli->args.operands[0], ret_id, err);
}

/* ---- expose ---- */

static int expose(struct sb_connect *connect,
                  char *id,
                  uint32_t port,
                  const struct sb_args *args,
                  Aisbx__V1__ExposePortResponse **ret_reply,
                  struct sb_err *err)
{
    char text[256];
    Aisbx__V1__ExposePortRequest request = AISBX__V1__EXPOSE_PORT_REQUEST__INIT;
    (void)snprintf(text, sizeof text, "%s", args->title == NULL ? "" : args->title);
    request.sandbox_id = id;
    request.port = port;
    request.title = text;
    request.share_ttl_ms = args->share_ms;
    if (aisbx__v1__port_service__expose_port__call(connect->channel, &request, &connect->options,
                                                   ret_reply, err) < 0) {
        return sb_err_wrap(err, "cannot expose port %u of %s", (unsigned)port, id);
    }
    return (*ret_reply)->port == NULL ? sb_err_set(err, SB_INTERNAL, "the worker's reply is empty")
                                      : 0;
}

int sb_verb_expose(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ExposePortResponse *reply = NULL;
    SB_CLEANUP(sb_out_done) struct sb_out out;
    char id[SB_ID_SIZE];
    uint32_t port = 0;
    sb_out_init(&out, STDOUT_FILENO);
    if (sb_verb_misused(cli, read_port(cli->args.operands[1], &port, err)) < 0 ||
        open_sandbox(cli, &connect, id, err) < 0 ||
        expose(&connect, id, port, &cli->args, &reply, err) < 0) {
        return -1;
    }
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_pbjson_message(&json, NULL, (const void *)reply->port);
    } else {
        sb_out_put_safe(&out, sb_str_from(cli->args.share_ms == 0 ? reply->port->gateway_path
                                                                  : reply->port->share_path));
    }
    sb_out_put(&out, "\n");
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

/* ---- ports ---- */

static int list(struct sb_connect *connect,
                char *id,
                Aisbx__V1__ListPortsResponse **ret_reply,
                struct sb_err *err)
{
    Aisbx__V1__ListPortsRequest request = AISBX__V1__LIST_PORTS_REQUEST__INIT;
    request.sandbox_id = id;
    request.page_size = 1000; /* more than a sandbox can have */
    return aisbx__v1__port_service__list_ports__call(connect->channel, &request, &connect->options,
                                                     ret_reply, err);
}

static void put_table(const Aisbx__V1__ListPortsResponse *reply, struct sb_out *out)
{
    struct sb_table table;
    char text[32];
    sb_table_init(&table, titles, sizeof titles / sizeof *titles);
    for (size_t i = 0; i < reply->n_ports; i++) {
        const Aisbx__V1__Port *port = reply->ports[i];
        (void)snprintf(text, sizeof text, "%" PRIu32, port->port);
        sb_table_cell(&table, text);
        (void)snprintf(text, sizeof text, "%" PRIu32, port->connections);
        sb_table_cell(&table, text);
        (void)snprintf(text, sizeof text, "%" PRIu64, port->total_connections);
        sb_table_cell(&table, text);
        sb_table_cell(&table, port->gateway_path);
        sb_table_cell(&table, port->title);
    }
    sb_table_print(&table, out);
    sb_table_done(&table);
}

int sb_verb_ports(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListPortsResponse *reply = NULL;
    SB_CLEANUP(sb_out_done) struct sb_out out;
    char id[SB_ID_SIZE];
    sb_out_init(&out, STDOUT_FILENO);
    if (open_sandbox(cli, &connect, id, err) < 0 || list(&connect, id, &reply, err) < 0) {
        return -1;
    }
    if (cli->args.json) {
        struct sb_json json = {.out = &out};
        sb_json_open(&json, NULL, '[');
        for (size_t i = 0; i < reply->n_ports; i++) {
            sb_pbjson_message(&json, NULL, (const void *)reply->ports[i]);
        }
        sb_json_close(&json, ']');
        sb_out_put(&out, "\n");
    } else {
        put_table(reply, &out);
    }
    *ret_status = 0;
    return sb_out_flush(&out, err);
}

/* ---- unexpose ---- */

static int unexpose(struct sb_connect *connect, char *id, uint32_t port, struct sb_err *err)
{
    Aisbx__V1__UnexposePortRequest request = AISBX__V1__UNEXPOSE_PORT_REQUEST__INIT;
    SB_CLEANUP(sb_message_freep) Aisbx__V1__UnexposePortResponse *reply = NULL;
    request.sandbox_id = id;
    request.port = port;
    return aisbx__v1__port_service__unexpose_port__call(connect->channel, &request,
                                                        &connect->options, &reply, err);
}

/* The ports as an array. */
static int put_closed(const struct sb_args *args, struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, STDOUT_FILENO);
    sb_json_open(&json, NULL, '[');
    for (size_t i = 1; i < args->n_operands; i++) {
        uint32_t port = 0;
        (void)read_port(args->operands[i], &port, err);
        sb_json_u64(&json, NULL, port);
    }
    sb_json_close(&json, ']');
    sb_out_put(&out, "\n");
    return sb_out_flush(&out, err);
}

int sb_verb_unexpose(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    char id[SB_ID_SIZE];
    uint32_t port = 0;
    for (size_t i = 1; i < cli->args.n_operands; i++) {
        if (sb_verb_misused(cli, read_port(cli->args.operands[i], &port, err)) < 0) {
            return -1;
        }
    }
    if (open_sandbox(cli, &connect, id, err) < 0) {
        return -1;
    }
    for (size_t i = 1; i < cli->args.n_operands; i++) {
        (void)read_port(cli->args.operands[i], &port, err);
        if (unexpose(&connect, id, port, err) < 0) {
            return -1;
        }
    }
    *ret_status = 0;
    return cli->args.json ? put_closed(&cli->args, err) : 0;
}

/* ---- port-forward ---- */

/* Exposes what is not; *ret_opened: those, by index. */
static int open_ports(const struct sb_forward *forward,
                      char *id,
                      bool ret_opened[SB_FORWARD_MAX],
                      struct sb_err *err)
{
    SB_CLEANUP(sb_message_freep) Aisbx__V1__ListPortsResponse *have = NULL;
    if (list(forward->connect, id, &have, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < forward->n_ports; i++) {
        bool is_there = false;
        for (size_t j = 0; j < have->n_ports; j++) {
            is_there = is_there || have->ports[j]->port == forward->ports[i].remote;
        }
        for (size_t j = 0; j < i; j++) {
            is_there = is_there || (forward->ports[j].remote == forward->ports[i].remote);
        }
        SB_CLEANUP(sb_message_freep) Aisbx__V1__ExposePortResponse *reply = NULL;
        if (!is_there &&
            expose(forward->connect, id, forward->ports[i].remote,
                   &(const struct sb_args){.title = "aisbx port-forward"}, &reply, err) < 0) {
            return -1;
        }
        ret_opened[i] = !is_there;
    }
    return 0;
}

static int tell(const struct sb_cli *cli,
                const struct sb_forward *forward,
                const char *address,
                struct sb_err *err)
{
    SB_CLEANUP(sb_out_done) struct sb_out out;
    struct sb_json json = {.out = &out};
    sb_out_init(&out, STDOUT_FILENO);
    if (cli->args.json) {
        sb_json_open(&json, NULL, '[');
    }
    for (size_t i = 0; i < forward->n_ports; i++) {
        const struct sb_forward_port *port = &forward->ports[i];
        if (cli->args.json) {
            sb_json_open(&json, NULL, '{');
            sb_json_cstr(&json, "address", address);
            sb_json_u64(&json, "local", port->local);
            sb_json_u64(&json, "remote", port->remote);
            sb_json_close(&json, '}');
        } else {
            sb_out_printf(&out, "%s:%u -> %s:%u\n", address, port->local, forward->sandbox_id,
                          port->remote);
        }
    }
    if (cli->args.json) {
        sb_json_close(&json, ']');
        sb_out_put(&out, "\n");
    }
    return sb_out_flush(&out, err);
}

static int forward_all(struct sb_cli *cli, struct sb_forward *forward, char *id, struct sb_err *err)
{
    SB_CLEANUP(sb_signals_done) struct sb_signals signals = SB_SIGNALS_NONE;
    const char *address = cli->args.bind == NULL ? DEFAULT_BIND : cli->args.bind;
    bool opened[SB_FORWARD_MAX] = {false};
    int rc = sb_forward_listen(forward, address, err);
    rc = rc == 0 ? sb_signals_catch(&signals, err) : rc;
    rc = rc == 0 ? open_ports(forward, id, opened, err) : rc;
    rc = rc == 0 ? tell(cli, forward, address, err) : rc;
    rc = rc == 0 ? sb_forward_serve(forward, signals.fd, err) : rc;
    sb_forward_done(forward);
    for (size_t i = 0; i < forward->n_ports; i++) {
        struct sb_err ignored; /* the sandbox may be gone, and with it the port */
        if (opened[i]) {
            (void)unexpose(forward->connect, id, forward->ports[i].remote, &ignored);
        }
    }
    return rc;
}

int sb_verb_port_forward(struct sb_cli *cli, int *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_connect_done) struct sb_connect connect = {0};
    struct sb_forward forward = {.connect = &connect, .is_verbose = cli->args.verbose};
    char id[SB_ID_SIZE];
    sb_list_init(&forward.conns);
    for (size_t i = 1; i < cli->args.n_operands; i++) {
        if (forward.n_ports == SB_FORWARD_MAX) {
            return sb_verb_misused(
                cli, sb_err_set(err, SB_INVALID, "at most %d ports at once", SB_FORWARD_MAX));
        }
        if (sb_verb_misused(cli, sb_forward_parse(cli->args.operands[i],
                                                  &forward.ports[forward.n_ports], err)) < 0) {
            return -1;
        }
        forward.n_ports++;
    }
    if (open_sandbox(cli, &connect, id, err) < 0) {
        return -1;
    }
    forward.sandbox_id = id;
    *ret_status = 0;
    return forward_all(cli, &forward, id, err);
}
