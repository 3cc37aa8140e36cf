#include "mcp-gateway/backend.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/client/connect.h"

enum { METADATA_MAX = 8, HINT_BYTES = 320 };

struct sb_backend {
    struct sb_backend_options options;
    struct sb_connect connect;
    struct event *ready; /* the channel's descriptor or its timeout */
    struct sb_list calls;
    unsigned live;
    bool is_processing;
    bool is_stale;   /* what lives on the channel may end; the next call opens another */
    bool is_closing; /* calls are told that they end, and may start no others */
};

struct sb_backend_call {
    struct sb_list link;
    struct sb_backend *backend;
    struct sb_rpc_stream *stream;
    const struct sb_backend_callbacks *callbacks;
    void *user;
};

/* ---- the channel in the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *ctx);

/* What to wait for may change with every step. */
static void rearm(struct sb_backend *backend)
{
    struct pollfd pfd;
    if (backend->connect.channel == NULL || backend->is_processing || backend->is_closing) {
        return;
    }
    int timeout_ms = sb_rpc_channel_prepare(backend->connect.channel, &pfd);
    const struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    short what = (short)(((pfd.events & POLLIN) != 0 ? EV_READ : 0) |
                         ((pfd.events & POLLOUT) != 0 ? EV_WRITE : 0));
    (void)event_del(backend->ready);
    (void)event_assign(backend->ready, backend->options.base, pfd.fd, pfd.fd < 0 ? 0 : what,
                       on_ready, backend);
    if (timeout_ms == 0) {
        event_active(backend->ready, EV_TIMEOUT, 0);
    } else if (pfd.fd >= 0 || timeout_ms > 0) {
        (void)event_add(backend->ready, timeout_ms < 0 ? NULL : &tv);
    }
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_backend *backend = ctx;
    backend->is_processing = true;
    sb_rpc_channel_process(backend->connect.channel);
    backend->is_processing = false;
    rearm(backend);
}

static void disconnect(struct sb_backend *backend)
{
    (void)event_del(backend->ready);
    backend->is_closing = true;
    sb_connect_done(&backend->connect);
    backend->is_closing = false;
    backend->is_stale = false;
}

static int ensure_channel(struct sb_backend *backend, struct sb_err *err)
{
    char hint[HINT_BYTES] = "";
    if (backend->is_closing) {
        return sb_err_set(err, SB_CANCELLED, "the connection is being closed");
    }
    if (backend->is_stale && backend->live == 0 && !backend->is_processing) {
        disconnect(backend);
    }
    if (backend->connect.channel != NULL) {
        return 0;
    }
    const struct sb_connect_options options = {
        .address = backend->options.address,
        .key = backend->options.key,
        .mode = SB_CONNECT_START,
        .lends_nothing = backend->options.serves_others,
        .hint = hint,
        .hint_size = sizeof hint,
    };
    if (sb_connect_worker(&options, &backend->connect, err) == 0) {
        return 0;
    }
    return hint[0] == '\0' ? -1 : sb_err_set(err, err->code, "%s (%s)", err->text, hint);
}

/* ---- who calls ---- */

struct metadata {
    struct sb_rpc_metadata items[METADATA_MAX];
    size_t n;
};

static void add(struct metadata *metadata, const char *key, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        metadata->items[metadata->n++] = (struct sb_rpc_metadata){key, value, strlen(value)};
    }
}

static void describe(const struct sb_backend *backend,
                     const struct sb_backend_caller *caller,
                     struct metadata *ret)
{
    ret->n = 0;
    add(ret, "x-api-key", caller->key);
    if (caller->is_remote) {
        add(ret, "x-aisbx-via", "http");
        add(ret, "x-aisbx-identity", caller->identity);
        add(ret, "x-aisbx-peer", caller->peer);
    } else if (ret->n == 0 && backend->connect.options.n_metadata == 1) {
        ret->items[ret->n++] = backend->connect.key;
    }
    add(ret, "x-aisbx-protocol", caller->protocol);
    add(ret, "traceparent", caller->traceparent);
}

/* ---- calls ---- */

static void on_message(struct sb_rpc_stream *stream, const ProtobufCMessage *message, void *user)
{
    (void)stream;
    struct sb_backend_call *call = user;
    if (call->callbacks->message != NULL) {
        call->callbacks->message(call, message, call->user);
    }
}

static void on_drained(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    struct sb_backend_call *call = user;
    if (call->callbacks->drained != NULL) {
        call->callbacks->drained(call, call->user);
    }
}

static void on_accepted(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    struct sb_backend_call *call = user;
    if (call->callbacks->accepted != NULL) {
        call->callbacks->accepted(call, call->user);
    }
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct sb_backend_call *call = user;
    sb_list_remove(&call->link);
    call->backend->live--;
    call->callbacks->done(call, err, call->user);
    free(call);
}

static const struct sb_rpc_stream_callbacks callbacks_of_all = {
    .message = on_message,
    .drained = on_drained,
    .accepted = on_accepted,
    .done = on_done,
};

/* A lost connection is opened again by the channel; a worker that is gone is started again, or
 * looked for again, by us. */
static int start_stream(struct sb_backend *backend,
                        const struct sb_backend_request *request,
                        struct sb_backend_call *call,
                        struct sb_err *err)
{
    bool was_open = backend->connect.channel != NULL;
    for (int tries = 0;; tries++) {
        struct metadata metadata;
        if (ensure_channel(backend, err) < 0) {
            return -1;
        }
        describe(backend, request->caller, &metadata);
        const struct sb_rpc_stream_options options = {
            .timeout_ms = request->timeout_ms,
            .metadata = metadata.items,
            .n_metadata = metadata.n,
        };
        if (sb_rpc_stream_start(backend->connect.channel, request->method, request->message,
                                &options, &callbacks_of_all, call, &call->stream, err) == 0) {
            return 0;
        }
        if (err->code != SB_UNAVAILABLE || !was_open || tries > 0) {
            return -1;
        }
        backend->is_stale = true;
    }
}

int sb_backend_start(struct sb_backend *backend,
                     const struct sb_backend_request *request,
                     const struct sb_backend_callbacks *callbacks,
                     void *user,
                     struct sb_backend_call **ret_call,
                     struct sb_err *err)
{
    struct sb_backend_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return sb_err_oom(err);
    }
    call->backend = backend;
    call->callbacks = callbacks;
    call->user = user;
    if (start_stream(backend, request, call, err) < 0) {
        free(call);
        return -1;
    }
    sb_list_append(&backend->calls, &call->link);
    backend->live++;
    if (ret_call != NULL) {
        *ret_call = call;
    }
    rearm(backend);
    return 0;
}

void sb_backend_read(struct sb_backend_call *call)
{
    sb_rpc_stream_read(call->stream);
    rearm(call->backend);
}

bool sb_backend_send(struct sb_backend_call *call, const ProtobufCMessage *message)
{
    bool has_room = sb_rpc_stream_send(call->stream, message);
    rearm(call->backend);
    return has_room;
}

void sb_backend_half_close(struct sb_backend_call *call)
{
    sb_rpc_stream_half_close(call->stream);
    rearm(call->backend);
}

void sb_backend_cancel(struct sb_backend_call *call)
{
    sb_rpc_stream_cancel(call->stream);
    rearm(call->backend);
}

const char *sb_backend_trailer(const struct sb_backend_call *call, const char *key)
{
    size_t len = 0;
    return sb_rpc_stream_trailer(call->stream, key, &len);
}

/* ---- life ---- */

int sb_backend_new(const struct sb_backend_options *options,
                   struct sb_backend **ret_backend,
                   struct sb_err *err)
{
    struct sb_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL) {
        return sb_err_oom(err);
    }
    backend->options = *options;
    sb_list_init(&backend->calls);
    backend->ready = event_new(options->base, -1, 0, on_ready, backend);
    if (backend->ready == NULL) {
        free(backend);
        return sb_err_oom(err);
    }
    *ret_backend = backend;
    return 0;
}

void sb_backend_free(struct sb_backend *backend)
{
    if (backend == NULL) {
        return;
    }
    disconnect(backend);
    event_free(backend->ready);
    free(backend);
}

unsigned sb_backend_live(const struct sb_backend *backend)
{
    return backend->live;
}

bool sb_backend_is_remote(const struct sb_backend *backend)
{
    return sb_connect_leads_away(backend->options.address);
}
