/** What a server may send to the client of the local transport while a call of each kind is open.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"

enum { TURNS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];
static int listener = -1;

static void remove_socket(void)
{
    (void)unlink(path);
}

static void listen_once(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(path, sizeof path, "/tmp/aisbx-fuzz-%d", (int)getpid());
    (void)memcpy(address.sun_path, path, strlen(path));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 4) < 0) {
        abort();
    }
    (void)atexit(remove_socket);
}

static void on_message(struct sb_rpc_stream *stream, const ProtobufCMessage *msg, void *user)
{
    (void)msg;
    (void)user;
    sb_rpc_stream_read(stream);
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)err;
    (void)sb_rpc_stream_trailer(stream, "x", NULL);
    ++*(unsigned *)user;
}

static const struct sb_rpc_stream_callbacks callbacks = {.message = on_message, .done = on_done};

static unsigned start(struct sb_rpc_channel *channel, unsigned method, unsigned *done)
{
    const struct sb_rpc_method *row = &aisbx__v1__sandbox_service__methods[method];
    ProtobufCMessage *req = NULL;
    if ((row->flags & SB_RPC_CLIENT_STREAM) == 0) {
        req = malloc(row->in->sizeof_message);
        if (req == NULL) {
            abort();
        }
        row->in->message_init(req);
    }
    struct sb_rpc_stream *stream = NULL;
    struct sb_err err;
    int r = sb_rpc_stream_start(channel, row, req, NULL, &callbacks, done, &stream, &err);
    if (r == 0) {
        sb_rpc_stream_read(stream);
    }
    free(req);
    return r == 0 ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char address[80];
    if (listener < 0) {
        listen_once();
    }
    (void)snprintf(address, sizeof address, "unix:%s", path);
    struct sb_rpc_channel *channel = NULL;
    struct sb_err err;
    if (sb_rpc_channel_open(address, NULL, &channel, &err) < 0) {
        abort();
    }
    int fd = accept(listener, NULL, NULL);
    unsigned done = 0;
    unsigned started = start(channel, AISBX__V1__SANDBOX_SERVICE__METHOD_GET_SANDBOX, &done) +
                       start(channel, AISBX__V1__SANDBOX_SERVICE__METHOD_START_EXEC, &done) +
                       start(channel, AISBX__V1__SANDBOX_SERVICE__METHOD_INTERACT_EXEC, &done);
    (void)!send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < TURNS; i++) {
        sb_rpc_channel_process(channel);
    }
    (void)close(fd);
    for (int i = 0; i < TURNS; i++) {
        sb_rpc_channel_process(channel);
    }
    sb_rpc_channel_free(channel);
    if (done != started) {
        abort(); /* every call ends exactly once */
    }
    return 0;
}
