#include "mcp-gateway/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mcp-gateway/fleet/fleet.h"
#include "mcp-gateway/line.h"
#include "mcp-gateway/shared/shared.h"
#include "proto/client/setting.h"

enum { METADATA_MAX = 8 };

struct sb_backend {
    struct sb_backend_options options;
    struct sb_line line;        /* to the one worker */
    struct sb_fleet *fleet;     /* of many; NULL: there is one */
    struct sb_shared *shared;   /* with them; NULL: there is none */
    struct sb_rpc_metadata key; /* our own, for many; key NULL: none */
    unsigned live;
    bool is_stale; /* what lives on the channel may end; the next call opens another */
};

struct sb_backend_call {
    struct sb_backend *backend;
    struct sb_rpc_stream *stream; /* to the one worker */
    struct sb_fleet_call *far;    /* of many */
    const struct sb_backend_callbacks *callbacks;
    void *user;
};

/* ---- the one worker ---- */

static int ensure_channel(struct sb_backend *backend, struct sb_err *err)
{
    struct sb_line *line = &backend->line;
    if (line->is_closing) {
        return sb_err_set(err, SB_CANCELLED, "the connection is being closed");
    }
    if (backend->is_stale && backend->live == 0 && !line->is_processing) {
        sb_line_close(line);
        backend->is_stale = false;
    }
    if (line->connect.channel != NULL) {
        return 0;
    }
    const struct sb_connect_options options = {
        .address = backend->options.address,
        .key = backend->options.key,
        .mode = SB_CONNECT_START,
        .lends_nothing = backend->options.serves_others,
    };
    return sb_line_open(line, &options, err);
}

/* ---- who calls ---- */

struct metadata {
    struct sb_rpc_metadata items[METADATA_MAX];
    size_t n;
    char traceparent[SB_TRACE_TEXT_SIZE];
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
    } else if (ret->n == 0 && backend->key.key != NULL) {
        ret->items[ret->n++] = backend->key;
    } else if (ret->n == 0 && backend->line.connect.options.n_metadata > 0) {
        ret->items[ret->n++] = backend->line.connect.metadata[0];
    }
    add(ret, "x-aisbx-protocol", caller->protocol);
    if (sb_trace_is(&caller->trace)) {
        add(ret, "traceparent", sb_trace_format(&caller->trace, ret->traceparent));
        add(ret, "tracestate", caller->tracestate);
    }
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

static void on_far_message(struct sb_fleet_call *far, const ProtobufCMessage *message, void *user)
{
    (void)far;
    on_message(NULL, message, user);
}

static void on_far_drained(struct sb_fleet_call *far, void *user)
{
    (void)far;
    on_drained(NULL, user);
}

static void on_far_accepted(struct sb_fleet_call *far, void *user)
{
    (void)far;
    on_accepted(NULL, user);
}

static void on_far_done(struct sb_fleet_call *far, const struct sb_err *err, void *user)
{
    (void)far;
    on_done(NULL, err, user);
}

static const struct sb_fleet_callbacks callbacks_of_far = {
    .message = on_far_message,
    .drained = on_far_drained,
    .accepted = on_far_accepted,
    .done = on_far_done,
};

static int start_far(struct sb_backend *backend,
                     const struct sb_backend_request *request,
                     struct sb_backend_call *call,
                     struct sb_err *err)
{
    struct metadata metadata;
    describe(backend, request->caller, &metadata);
    const struct sb_fleet_request far = {
        .method = request->method,
        .message = request->message,
        .timeout_ms = request->timeout_ms,
        .metadata = metadata.items,
        .n_metadata = metadata.n,
    };
    return sb_fleet_start(backend->fleet, &far, &callbacks_of_far, call, &call->far, err);
}

/* A lost connection is opened again by the channel; a worker that is gone is started again, or
 * looked for again, by us. */
static int start_stream(struct sb_backend *backend,
                        const struct sb_backend_request *request,
                        struct sb_backend_call *call,
                        struct sb_err *err)
{
    bool was_open = backend->line.connect.channel != NULL;
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
        if (sb_rpc_stream_start(backend->line.connect.channel, request->method, request->message,
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
    if ((backend->fleet != NULL ? start_far(backend, request, call, err)
                                : start_stream(backend, request, call, err)) < 0) {
        free(call);
        return -1;
    }
    backend->live++;
    if (ret_call != NULL) {
        *ret_call = call;
    }
    sb_line_rearm(&backend->line);
    return 0;
}

void sb_backend_read(struct sb_backend_call *call)
{
    if (call->far != NULL) {
        sb_fleet_read(call->far);
        return;
    }
    sb_rpc_stream_read(call->stream);
    sb_line_rearm(&call->backend->line);
}

bool sb_backend_send(struct sb_backend_call *call, const ProtobufCMessage *message)
{
    if (call->far != NULL) {
        return sb_fleet_send(call->far, message);
    }
    bool has_room = sb_rpc_stream_send(call->stream, message);
    sb_line_rearm(&call->backend->line);
    return has_room;
}

void sb_backend_half_close(struct sb_backend_call *call)
{
    if (call->far != NULL) {
        sb_fleet_half_close(call->far);
        return;
    }
    sb_rpc_stream_half_close(call->stream);
    sb_line_rearm(&call->backend->line);
}

void sb_backend_cancel(struct sb_backend_call *call)
{
    if (call->far != NULL) {
        sb_fleet_cancel(call->far);
        return;
    }
    sb_rpc_stream_cancel(call->stream);
    sb_line_rearm(&call->backend->line);
}

const char *sb_backend_trailer(const struct sb_backend_call *call, const char *key)
{
    size_t len = 0;
    return call->far != NULL ? sb_fleet_trailer(call->far, key)
                             : sb_rpc_stream_trailer(call->stream, key, &len);
}

/* ---- life ---- */

static int start_fleet(struct sb_backend *backend, struct sb_err *err)
{
    const char *key =
        backend->options.key != NULL ? backend->options.key : sb_setting_get(SB_SETTING_API_KEY);
    const struct sb_shared_options *shared = backend->options.shared;
    if (shared != NULL && sb_shared_url(shared) != NULL &&
        sb_shared_new(shared, backend->options.base, &backend->shared, err) < 0) {
        return -1;
    }
    const struct sb_fleet_options options = {.base = backend->options.base,
                                             .workers = backend->options.workers,
                                             .key = backend->options.key,
                                             .shared = backend->shared};
    if (key != NULL) {
        backend->key = (struct sb_rpc_metadata){"x-api-key", key, strlen(key)};
    }
    return sb_fleet_new(&options, &backend->fleet, err);
}

int sb_backend_new(const struct sb_backend_options *options,
                   struct sb_backend **ret_backend,
                   struct sb_err *err)
{
    struct sb_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL) {
        return sb_err_oom(err);
    }
    backend->options = *options;
    if (sb_line_init(&backend->line, options->base, err) < 0 ||
        (options->workers != NULL && start_fleet(backend, err) < 0)) {
        sb_backend_free(backend);
        return -1;
    }
    *ret_backend = backend;
    return 0;
}

void sb_backend_free(struct sb_backend *backend)
{
    if (backend == NULL) {
        return;
    }
    sb_fleet_free(backend->fleet);
    sb_shared_free(backend->shared);
    sb_line_done(&backend->line);
    free(backend);
}

unsigned sb_backend_live(const struct sb_backend *backend)
{
    return backend->live;
}

bool sb_backend_is_remote(const struct sb_backend *backend)
{
    return backend->fleet != NULL || sb_connect_leads_away(backend->options.address);
}

const struct sb_fleet *sb_backend_fleet(const struct sb_backend *backend)
{
    return backend->fleet;
}

const struct sb_shared *sb_backend_shared(const struct sb_backend *backend)
{
    return backend->shared;
}
