#include "service/worker/port/api_port.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_gate.h"
#include "service/worker/api_pb.h"
#include "service/worker/limits.h"
#include "service/worker/page.h"
#include "service/worker/port/port.h"
#include "service/worker/port/tunnel.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

static Aisbx__V1__Port *message_of(const struct sb_port *port)
{
    char path[128];
    Aisbx__V1__Port *msg = sb_api_pb_new(&aisbx__v1__port__descriptor);
    if (msg == NULL) {
        return NULL;
    }
    (void)snprintf(path, sizeof path, "/api/v1/sandboxes/%s/ports/%" PRIu16 "/", port->sandbox->id,
                   port->number);
    msg->port = port->number;
    msg->connections = port->n_tunnels;
    msg->total_connections = port->total;
    if (!sb_api_pb_text(&msg->sandbox_id, port->sandbox->id) ||
        !sb_api_pb_text(&msg->title, port->title) || !sb_api_pb_text(&msg->gateway_path, path)) {
        aisbx__v1__port__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

static int add_link(struct sb_port *port, uint64_t ttl_ms, Aisbx__V1__Port *msg, struct sb_err *err)
{
    char text[SB_KEY_TEXT_SIZE];
    char path[256];
    uint64_t expire_ms = 0;
    if (sb_port_link(port, ttl_ms, text, &expire_ms, err) < 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s~%s/", msg->gateway_path, text);
    return sb_api_pb_text(&msg->share_path, path) &&
                   sb_api_pb_time(expire_ms, &msg->share_expire_time)
               ? 0
               : sb_err_oom(err);
}

static void expose(struct sb_rpc_call *call, const Aisbx__V1__ExposePortRequest *req, void *svc)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_port *port = NULL;
    struct sb_sandbox *sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    Aisbx__V1__ExposePortResponse *msg = NULL;
    if (sandbox == NULL) {
        return;
    }
    if (sb_port_check_link(req->share_ttl_ms, &err) == 0 &&
        sb_port_expose(sandbox, req->port, req->title, &port, &err) == 0) {
        msg = sb_api_pb_new(&aisbx__v1__expose_port_response__descriptor);
        if (msg != NULL && (msg->port = message_of(port)) == NULL) {
            (void)sb_err_oom(&err);
        } else if (msg != NULL && req->share_ttl_ms != 0) {
            (void)add_link(port, req->share_ttl_ms, msg->port, &err);
        }
    }
    sb_api_finish(call, msg, &err);
}

/* ---- ListPorts ---- */

static int fill_page(const struct sb_worker *worker,
                     const struct sb_sandbox *sandbox,
                     const Aisbx__V1__ListPortsRequest *req,
                     Aisbx__V1__ListPortsResponse *msg,
                     struct sb_err *err)
{
    struct sb_str id = sb_str_from(sandbox->id);
    uint64_t question = sb_hash_sip13(worker->page_key.key, id.ptr, id.len);
    uint64_t cursor = 0;
    size_t size = sb_page_size(req->page_size);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    if (cursor == UINT64_MAX) {
        cursor = 0; /* these go up */
    }
    msg->ports = calloc(SB_MAX_PORTS, sizeof(*msg->ports));
    if (msg->ports == NULL) {
        return sb_err_oom(err);
    }
    SB_FOREACH (node, &sandbox->ports) {
        const struct sb_port *port = SB_LIST_ENTRY(node, struct sb_port, link);
        char token[SB_PAGE_TOKEN_SIZE];
        if (port->number <= cursor) {
            continue;
        }
        if (msg->n_ports == size) {
            sb_page_token(&worker->page_key, msg->ports[size - 1]->port, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__Port *shown = message_of(port);
        if (shown == NULL) {
            return sb_err_oom(err);
        }
        msg->ports[msg->n_ports++] = shown;
    }
    return 0;
}

static void list(struct sb_rpc_call *call, const Aisbx__V1__ListPortsRequest *req, void *svc)
{
    struct sb_err err = {.code = SB_OK};
    const struct sb_sandbox *sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    if (sandbox == NULL) {
        return;
    }
    Aisbx__V1__ListPortsResponse *msg = sb_api_pb_new(&aisbx__v1__list_ports_response__descriptor);
    if (msg != NULL) {
        (void)fill_page(svc, sandbox, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

static void unexpose(struct sb_rpc_call *call, const Aisbx__V1__UnexposePortRequest *req, void *svc)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_port *port = NULL;
    struct sb_sandbox *sandbox = sb_api_call_sandbox(call, svc, req->sandbox_id);
    Aisbx__V1__UnexposePortResponse *msg = NULL;
    if (sandbox == NULL) {
        return;
    }
    if (sb_port_find(sandbox, req->port, &port, &err) == 0) {
        msg = sb_api_pb_new(&aisbx__v1__unexpose_port_response__descriptor);
        sb_port_unexpose(port);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- ForwardPort ---- */

/** One call. */
struct forward {
    struct sb_rpc_call *call;
    struct sb_tunnel *tunnel;
    bool is_over; /* the call was ended */
    bool has_half_closed;
};

static bool tell(struct forward *forward, const void *data, size_t len, bool is_end)
{
    Aisbx__V1__ForwardPortResponse msg = AISBX__V1__FORWARD_PORT_RESPONSE__INIT;
    /* Only packed. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    msg.data = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
    msg.end_of_stream = is_end;
    return aisbx__v1__port_service__forward_port__send(forward->call, &msg);
}

static void on_opened(void *ctx)
{
    (void)tell(ctx, NULL, 0, false);
}

static bool on_data(void *ctx, const void *data, size_t len)
{
    return tell(ctx, data, len, false);
}

static void on_ended(void *ctx)
{
    (void)tell(ctx, NULL, 0, true);
}

static void on_ready(void *ctx)
{
    struct forward *forward = ctx;
    if (!forward->has_half_closed && !forward->is_over) {
        sb_rpc_call_read(forward->call);
    }
}

static void on_done(void *ctx, const struct sb_err *err)
{
    struct forward *forward = ctx;
    if (forward->is_over) {
        return;
    }
    forward->is_over = true;
    if (err->code == SB_OK) {
        sb_rpc_call_reply(forward->call, NULL);
    } else {
        sb_rpc_call_fail(forward->call, err);
    }
}

static const struct sb_tunnel_events events = {
    .opened = on_opened, .data = on_data, .ended = on_ended, .ready = on_ready, .done = on_done};

static void forward_start(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_read(call);
}

static void
begin(struct sb_rpc_call *call, struct sb_worker *worker, const Aisbx__V1__ForwardPortOpen *open)
{
    struct sb_err err;
    struct sb_port *port = NULL;
    const struct sb_caller *caller = sb_gate_caller(call);
    if (caller != NULL && caller->link_port != 0 &&
        (caller->link_port != open->port || strcmp(caller->link_sandbox, open->sandbox_id) != 0)) {
        (void)sb_err_set(&err, SB_DENIED, "a link to a port opens that port alone");
        sb_rpc_call_fail(call, &err);
        return;
    }
    const struct sb_sandbox *sandbox = sb_api_call_sandbox(call, worker, open->sandbox_id);
    if (sandbox == NULL) {
        return;
    }
    struct forward *forward = calloc(1, sizeof *forward);
    if (forward == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    forward->call = call;
    if (sb_ports_check(sandbox, &err) < 0 || sb_port_find(sandbox, open->port, &port, &err) < 0 ||
        sb_tunnel_new(port, &events, forward, &forward->tunnel, &err) < 0) {
        free(forward);
        sb_rpc_call_fail(call, &err);
        return;
    }
    sb_rpc_call_set_user(call, forward); /* ready() asks for the next message */
}

static void refuse(struct sb_rpc_call *call, struct forward *forward, const char *why)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_INVALID, "%s", why);
    if (forward == NULL || !forward->is_over) {
        if (forward != NULL) {
            forward->is_over = true;
        }
        sb_rpc_call_fail(call, &err);
    }
}

static void
forward_message(struct sb_rpc_call *call, const Aisbx__V1__ForwardPortRequest *msg, void *svc)
{
    struct forward *forward = sb_rpc_call_user(call);
    bool is_open = msg->message_case == AISBX__V1__FORWARD_PORT_REQUEST__MESSAGE_OPEN;
    if (forward == NULL && is_open) {
        begin(call, svc, msg->open);
    } else if (forward == NULL) {
        refuse(call, NULL, "open: must be the first message");
    } else if (msg->message_case != AISBX__V1__FORWARD_PORT_REQUEST__MESSAGE_DATA) {
        refuse(call, forward, "only the first message may open");
    } else if (msg->data.len > SB_MAX_CHUNK_BYTES) {
        refuse(call, forward, "data: more than 64 KiB in one piece");
    } else {
        sb_tunnel_send(forward->tunnel, msg->data.data, msg->data.len);
    }
}

static void forward_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct forward *forward = sb_rpc_call_user(call);
    if (forward == NULL) {
        refuse(call, NULL, "open: must be the first message");
        return;
    }
    forward->has_half_closed = true;
    sb_tunnel_finish(forward->tunnel);
}

static void forward_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    const struct forward *forward = sb_rpc_call_user(call);
    if (forward != NULL) {
        sb_tunnel_resume(forward->tunnel);
    }
}

static void forward_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct forward *forward = sb_rpc_call_user(call);
    if (forward != NULL) {
        sb_rpc_call_set_user(call, NULL);
        sb_tunnel_free(forward->tunnel);
        free(forward);
    }
}

const struct aisbx__v1__port_service__server sb_api_port_service = {
    .expose_port = {.start = expose},
    .list_ports = {.start = list},
    .unexpose_port = {.start = unexpose},
    .forward_port = {.start = forward_start,
                     .message = forward_message,
                     .half_close = forward_half_close,
                     .drained = forward_drained,
                     .done = forward_done},
};
