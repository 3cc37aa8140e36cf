/** What a client may send to the server of the local transport, all at once or in two parts.
 * Handlers answer whatever they are asked, so that all of the server's states are met. */
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/err.h"
#include "proto/rpc/local/server.h"
#include "proto/rpc/rpc.h"

enum { TURNS = 24, REPLIES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void with_empty(struct sb_rpc_call *call,
                       void (*fn)(struct sb_rpc_call *call, const ProtobufCMessage *msg))
{
    const ProtobufCMessageDescriptor *desc = sb_rpc_call_method(call)->out;
    ProtobufCMessage *msg = malloc(desc->sizeof_message);
    if (msg == NULL) {
        abort();
    }
    desc->message_init(msg);
    fn(call, msg);
    free(msg);
}

static void send_one(struct sb_rpc_call *call, const ProtobufCMessage *msg)
{
    (void)sb_rpc_call_send(call, msg);
}

static void on_start(struct sb_rpc_call *call, const ProtobufCMessage *req, void *svc)
{
    (void)req;
    (void)svc;
    unsigned flags = sb_rpc_call_method(call)->flags;
    if ((flags & SB_RPC_CLIENT_STREAM) != 0) {
        sb_rpc_call_read(call);
    } else if ((flags & SB_RPC_SERVER_STREAM) != 0) {
        for (int i = 0; i < REPLIES; i++) {
            with_empty(call, send_one);
        }
        sb_rpc_call_trailer(call, "x-end", "1", 1);
        sb_rpc_call_reply(call, NULL);
    } else {
        with_empty(call, sb_rpc_call_reply);
    }
}

static void on_message(struct sb_rpc_call *call, const ProtobufCMessage *msg, void *svc)
{
    (void)msg;
    (void)svc;
    with_empty(call, send_one);
    sb_rpc_call_read(call);
}

static void on_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_reply(call, NULL);
}

static const struct sb_rpc_handler handler = {
    .start = on_start,
    .message = on_message,
    .half_close = on_half_close,
};

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void turn(struct event_base *base, int fd)
{
    char sink[4096];
    for (int i = 0; i < TURNS; i++) {
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_base *base = event_base_new();
    struct sb_rpc_server_options options = {.base = base, .max_calls = 8};
    struct sb_err err;
    struct sb_rpc_server *server = sb_rpc_server_new(&options, &err);
    struct sb_local_server *local = server == NULL ? NULL : sb_local_server_new(server, base, &err);
    int fds[2];
    bool is_closed = false;
    if (local == NULL ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
        abort();
    }
    for (unsigned i = 0; i < AISBX__V1__SANDBOX_SERVICE__N_METHODS; i++) {
        (void)sb_rpc_server_add(server, &aisbx__v1__sandbox_service__methods[i], &handler, NULL,
                                &err);
    }
    struct ucred cred = {0};
    sb_local_server_adopt(local, fds[0], &cred, on_closed, &is_closed);
    size_t half = size > 0 ? data[0] * size / 256 : 0;
    (void)!send(fds[1], data, half, MSG_NOSIGNAL);
    turn(base, fds[1]);
    (void)!send(fds[1], data + half, size - half, MSG_NOSIGNAL);
    turn(base, fds[1]);
    (void)close(fds[1]);
    turn(base, -1);
    sb_local_server_free(local);
    if (!is_closed) {
        abort();
    }
    sb_rpc_server_free(server);
    event_base_free(base);
    return 0;
}
