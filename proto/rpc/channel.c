/** Which transport carries a channel, and what is the same for both. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/module.h"
#include "base/str.h"
#include "proto/rpc/heap.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/local/client.h"
#include "proto/rpc/metadata.h"

enum { DEFAULT_CONNECT_TIMEOUT_MS = 5000, MAX_PATH_BYTES = 4096 };

/* ---- the module ---- */

/** Directory of the running program, with the slash. */
static int program_dir(struct sb_buf *ret_dir, struct sb_err *err)
{
    char path[MAX_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    if (len < 0 || (size_t)len == sizeof path) {
        return sb_err_sys(err, len < 0 ? errno : ENAMETOOLONG, "find the program's directory");
    }
    const char *slash = memrchr(path, '/', (size_t)len);
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    return sb_buf_append(ret_dir, path, dir_len) < 0 ? sb_err_sys(err, errno, "path") : 0;
}

/** Opens dir/sub/aisbx-rpc-grpc.so. Returns NULL when it is not there; *ret_why tells. */
static void *try_module(const char *dir, const char *sub, struct sb_buf *ret_why)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf path = SB_BUF_INIT(MAX_PATH_BYTES);
    if (sb_buf_printf(&path, "%s%s" SB_RPC_MODULE_FILE, dir, sub) < 0) {
        return NULL;
    }
    /* Never an unqualified name: that would search LD_LIBRARY_PATH. */
    void *module = dlopen(sb_buf_cstr(&path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (module == NULL) {
        const char *why = dlerror();
        sb_buf_clear(ret_why);
        (void)sb_buf_append_str(ret_why, sb_str_from(why == NULL ? "?" : why));
    }
    return module;
}

static void *
open_module(const struct sb_rpc_channel_options *options, const char *address, struct sb_err *err)
{
    static const char *const beside[] = {"", "../lib/aisbx/",
                                         "../../lib/aisbx/"}; /* bin, libexec/aisbx */
    SB_CLEANUP(sb_buf_done) struct sb_buf dir = SB_BUF_INIT(MAX_PATH_BYTES);
    SB_CLEANUP(sb_buf_done) struct sb_buf why = SB_BUF_INIT(MAX_PATH_BYTES);
    void *module = NULL;
    if (options->module_dir != NULL) {
        module = try_module(options->module_dir, "/", &why);
    } else {
        if (program_dir(&dir, err) < 0) {
            return NULL;
        }
        for (size_t i = 0; module == NULL && i < sizeof beside / sizeof beside[0]; i++) {
            module = try_module(sb_buf_cstr(&dir), beside[i], &why);
        }
    }
    if (module == NULL) {
        char next[SB_MODULE_ADVICE_SIZE];
        (void)sb_err_set(err, SB_UNIMPLEMENTED, "%s needs the gRPC module: %.160s; %s", address,
                         sb_buf_cstr(&why), sb_module_advise(sb_buf_cstr(&why), next, sizeof next));
    }
    return module;
}

static const struct sb_rpc_client_transport *module_transport(void *module, struct sb_err *err)
{
    sb_rpc_module_entry entry = NULL;
    void *symbol = dlsym(module, SB_RPC_MODULE_SYMBOL);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointer */
    const struct sb_rpc_client_transport *transport = entry == NULL ? NULL : entry();
    if (transport == NULL || transport->abi != SB_RPC_CLIENT_ABI) {
        (void)sb_err_set(err, SB_INTERNAL, SB_RPC_MODULE_FILE " is of another version");
        return NULL;
    }
    return transport;
}

/* ---- channel ---- */

int sb_rpc_channel_open(const char *address,
                        const struct sb_rpc_channel_options *options,
                        struct sb_rpc_channel **ret_channel,
                        struct sb_err *err)
{
    struct sb_rpc_channel_options filled =
        options == NULL ? (struct sb_rpc_channel_options){0} : *options;
    sb_heap_keep();
    if (filled.connect_timeout_ms == 0) {
        filled.connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
    }
    if (sb_str_starts_with(sb_str_from(address), SB_STR("unix:"))) {
        return sb_local_client_transport.open(address, &filled, ret_channel, err);
    }
    void *module = open_module(&filled, address, err);
    const struct sb_rpc_client_transport *transport =
        module == NULL ? NULL : module_transport(module, err);
    return transport == NULL ? -1 : transport->open(address, &filled, ret_channel, err);
}

void sb_rpc_channel_free(struct sb_rpc_channel *channel)
{
    if (channel != NULL) {
        channel->ops->free(channel);
    }
}

int sb_rpc_channel_prepare(struct sb_rpc_channel *channel, struct pollfd *ret_pfd)
{
    return channel->ops->prepare(channel, ret_pfd);
}

void sb_rpc_channel_process(struct sb_rpc_channel *channel)
{
    channel->is_processing = true;
    channel->ops->process(channel);
    channel->is_processing = false;
}

void sb_rpc_channel_wait(struct sb_rpc_channel *channel)
{
    struct pollfd pfd;
    if (channel->ops->can_wait != NULL && channel->ops->can_wait(channel)) {
        channel->is_processing = true;
        channel->ops->wait(channel);
        channel->is_processing = false;
        return;
    }
    int timeout_ms = sb_rpc_channel_prepare(channel, &pfd);
    (void)poll(&pfd, 1, timeout_ms);
    sb_rpc_channel_process(channel);
}

/* ---- streams ---- */

static int check_start(const struct sb_rpc_start *start, struct sb_err *err)
{
    bool is_client_stream = (start->method->flags & SB_RPC_CLIENT_STREAM) != 0;
    if (is_client_stream != (start->req == NULL)) {
        return sb_err_set(err, SB_INTERNAL,
                          "%s: a request belongs to calls without a client stream, and only there",
                          start->method->path);
    }
    if (start->options->n_fds > SB_RPC_MAX_FDS) {
        return sb_err_set(err, SB_INVALID, "more than %d descriptors in one call",
                          (int)SB_RPC_MAX_FDS);
    }
    return sb_metadata_check_all(start->options->metadata, start->options->n_metadata, err);
}

/* NOLINTNEXTLINE(readability-function-size): what generated code passes on */
int sb_rpc_stream_start(struct sb_rpc_channel *channel,
                        const struct sb_rpc_method *method,
                        const ProtobufCMessage *req,
                        const struct sb_rpc_stream_options *options,
                        const struct sb_rpc_stream_callbacks *callbacks,
                        void *user,
                        struct sb_rpc_stream **ret_stream,
                        struct sb_err *err)
{
    static const struct sb_rpc_stream_options none;
    struct sb_rpc_start start = {method, req, options == NULL ? &none : options, callbacks, user};
    struct sb_rpc_stream *stream = NULL;
    if (check_start(&start, err) < 0 || channel->ops->start(channel, &start, &stream, err) < 0) {
        return -1;
    }
    if (ret_stream != NULL) {
        *ret_stream = stream;
    }
    return 0;
}

const void *sb_rpc_stream_impl(const struct sb_rpc_stream *stream)
{
    return stream->callbacks.impl;
}

void sb_rpc_stream_read(struct sb_rpc_stream *stream)
{
    stream->ops->read(stream);
}

bool sb_rpc_stream_send(struct sb_rpc_stream *stream, const ProtobufCMessage *msg)
{
    return stream->ops->send(stream, msg);
}

void sb_rpc_stream_half_close(struct sb_rpc_stream *stream)
{
    stream->ops->half_close(stream);
}

void sb_rpc_stream_cancel(struct sb_rpc_stream *stream)
{
    stream->ops->cancel(stream);
}

const char *
sb_rpc_stream_trailer(const struct sb_rpc_stream *stream, const char *key, size_t *ret_len)
{
    return stream->ops->trailer(stream, key, ret_len);
}

/* ---- blocking unary ---- */

struct unary {
    ProtobufCMessage *reply;
    struct sb_err status;
    bool is_done;
};

static void on_unary_message(struct sb_rpc_stream *stream, const ProtobufCMessage *msg, void *user)
{
    struct unary *unary = user;
    union {
        const ProtobufCMessage *in;
        ProtobufCMessage *out;
    } taken = {.in = msg}; /* ours now */
    unary->reply = taken.out;
    stream->is_message_taken = true;
}

static void on_unary_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct unary *unary = user;
    unary->status = *err;
    unary->is_done = true;
}

int sb_rpc_call_unary(struct sb_rpc_channel *channel,
                      const struct sb_rpc_method *method,
                      const ProtobufCMessage *req,
                      const struct sb_rpc_stream_options *options,
                      ProtobufCMessage **ret_reply,
                      struct sb_err *err)
{
    static const struct sb_rpc_stream_callbacks callbacks = {
        .message = on_unary_message,
        .done = on_unary_done,
    };
    struct unary unary = {0};
    if (channel->is_processing) {
        return sb_err_set(err, SB_INTERNAL, "%s: a blocking call in a callback", method->path);
    }
    if (sb_rpc_stream_start(channel, method, req, options, &callbacks, &unary, NULL, err) < 0) {
        return -1;
    }
    while (!unary.is_done) {
        sb_rpc_channel_wait(channel);
    }
    if (unary.status.code == SB_OK && unary.reply == NULL) {
        (void)sb_err_set(&unary.status, SB_INTERNAL, "%s: no reply", method->path);
    }
    if (unary.status.code != SB_OK) {
        if (unary.reply != NULL) {
            protobuf_c_message_free_unpacked(unary.reply, NULL);
        }
        *err = unary.status;
        return -1;
    }
    *ret_reply = unary.reply;
    return 0;
}
