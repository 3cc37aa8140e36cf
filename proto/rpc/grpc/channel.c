/** Theory of operation. What has completed is posted to the inbox, which process() runs on the
 * owner's thread. An owner who only waits for the channel waits at its completion queue, and does
 * core's I/O himself; for one who polls, a thread does, from the first prepare() on. Core connects
 * when the first call is started, and again after a connection broke. When a file of the TLS
 * identity has changed, the next call goes over a new core channel; running streams keep the old
 * one alive until they end. */
#include "proto/rpc/grpc/channel.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/rpc/grpc/args.h"
#include "proto/rpc/grpc/creds.h"

enum {
    LOOK_AT_FILES_MS = 1000, /* at most this often */
    FIRST_BACKOFF_MS = 200,
    MAX_BACKOFF_MS = 10000,
    DEFAULT_KEEPALIVE_MS = 20000,
    MIN_KEEPALIVE_TIMEOUT_MS = 300,
    MAX_KEEPALIVE_TIMEOUT_MS = 10000,
    THREADLESS_POLL_MS = 10,
    MAX_WAIT_MS = 200, /* a signal does not end core's waiting */
};

static grpc_channel *create_core(const struct sb_grpc_channel *channel,
                                 grpc_channel_credentials *creds)
{
    unsigned timeout_ms = channel->keepalive_ms / 2;
    if (timeout_ms < MIN_KEEPALIVE_TIMEOUT_MS) {
        timeout_ms = MIN_KEEPALIVE_TIMEOUT_MS;
    }
    if (timeout_ms > MAX_KEEPALIVE_TIMEOUT_MS) {
        timeout_ms = MAX_KEEPALIVE_TIMEOUT_MS;
    }
    struct sb_grpc_args args = {0};
    sb_grpc_args_common(&args, SB_RPC_MAX_MESSAGE_BYTES);
    sb_grpc_args_int(&args, GRPC_ARG_KEEPALIVE_TIME_MS, (int)channel->keepalive_ms);
    sb_grpc_args_int(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, (int)timeout_ms);
    sb_grpc_args_int(&args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    /* In core this one is also how long an attempt to connect may take. */
    sb_grpc_args_int(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, (int)channel->connect_timeout_ms);
    sb_grpc_args_int(&args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, FIRST_BACKOFF_MS);
    sb_grpc_args_int(&args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, MAX_BACKOFF_MS);
    /* Channels of equal arguments would share connections, and an old certificate with them. */
    sb_grpc_args_int(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (channel->tls_name != NULL) {
        sb_grpc_args_string(&args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, channel->tls_name);
    }
    if (channel->service_config != NULL) {
        sb_grpc_args_string(&args, GRPC_ARG_SERVICE_CONFIG, channel->service_config);
    }
    return grpc_channel_create(channel->target, creds, sb_grpc_args_get(&args));
}

static int connect_core(struct sb_grpc_channel *channel, struct sb_err *err)
{
    grpc_channel_credentials *creds = NULL;
    if (channel->identity == NULL) {
        creds = grpc_insecure_credentials_create();
    } else if (sb_grpc_creds_channel(channel->identity, &creds, err) < 0) {
        return -1;
    }
    grpc_channel *core = create_core(channel, creds);
    grpc_channel_credentials_release(creds);
    if (core == NULL) {
        return sb_err_set(err, SB_INVALID, "gRPC refuses the address %s", channel->target);
    }
    if (channel->channel != NULL) {
        grpc_channel_destroy(channel->channel);
    }
    channel->channel = core;
    channel->looked_ms = sb_clock_mono_ms();
    return 0;
}

static void follow_files(struct sb_grpc_channel *channel)
{
    uint64_t now_ms = sb_clock_mono_ms();
    if (channel->identity == NULL || now_ms - channel->looked_ms < LOOK_AT_FILES_MS) {
        return;
    }
    channel->looked_ms = now_ms;
    struct sb_err err;
    if (sb_grpc_creds_is_stale(channel->identity) && connect_core(channel, &err) < 0) {
        SB_LOG_WARN("certificate not reloaded", "why=%s", err.text);
    }
}

/* ---- ops ---- */

static int channel_start(struct sb_rpc_channel *base,
                         const struct sb_rpc_start *start,
                         struct sb_rpc_stream **ret_stream,
                         struct sb_err *err)
{
    follow_files((struct sb_grpc_channel *)base);
    return sb_grpc_stream_start(base, start, ret_stream, err);
}

/** Somebody has other things to wait for, too. */
static void start_thread(struct sb_grpc_channel *channel)
{
    struct sb_err err;
    if (channel->cq.n_threads == 0 && sb_grpc_cq_start(&channel->cq, 1, &err) < 0) {
        SB_LOG_WARN("gRPC has to be polled", "why=%s", err.text);
    }
}

static int channel_prepare(struct sb_rpc_channel *base, struct pollfd *ret_pfd)
{
    struct sb_grpc_channel *channel = (struct sb_grpc_channel *)base;
    start_thread(channel);
    *ret_pfd = (struct pollfd){.fd = channel->inbox.fd, .events = POLLIN};
    return channel->cq.n_threads > 0 ? -1 : THREADLESS_POLL_MS; /* core keeps the time */
}

static void channel_process(struct sb_rpc_channel *base)
{
    struct sb_grpc_channel *channel = (struct sb_grpc_channel *)base;
    if (channel->cq.n_threads == 0) {
        sb_grpc_cq_wait(&channel->cq, 0);
    }
    (void)sb_grpc_inbox_run(&channel->inbox);
}

static void channel_wait(struct sb_rpc_channel *base)
{
    struct sb_grpc_channel *channel = (struct sb_grpc_channel *)base;
    if (sb_grpc_inbox_is_empty(&channel->inbox)) { /* else what it waits for may have come */
        sb_grpc_cq_wait(&channel->cq, MAX_WAIT_MS);
    }
    (void)sb_grpc_inbox_run(&channel->inbox);
}

static bool channel_can_wait(const struct sb_rpc_channel *base)
{
    return ((const struct sb_grpc_channel *)base)->cq.n_threads == 0;
}

static void channel_free(struct sb_rpc_channel *base)
{
    struct sb_grpc_channel *channel = (struct sb_grpc_channel *)base;
    sb_grpc_stream_cancel_all(channel);
    if (channel->channel != NULL) {
        grpc_channel_destroy(channel->channel);
    }
    sb_grpc_cq_stop(&channel->cq);
    if (channel->inbox.fd >= 0) {
        while (sb_grpc_inbox_run(&channel->inbox) != 0) {
        }
    }
    sb_grpc_inbox_done(&channel->inbox);
    sb_grpc_creds_identity_free(channel->identity);
    free(channel->target);
    free(channel->tls_name);
    free(channel->service_config);
    free(channel);
    grpc_shutdown();
}

/* ---- opening ---- */

static int copy_text(const char *text, char **ret_copy, struct sb_err *err)
{
    if (text == NULL) {
        return 0;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    *ret_copy = copy;
    return 0;
}

static int fill_channel(struct sb_grpc_channel *channel,
                        const char *address,
                        const struct sb_rpc_channel_options *options,
                        struct sb_err *err)
{
    static const char via_grpc[] = "grpc+"; /* grpc+unix:/path, for "unix:" means the other one */
    if (strncmp(address, via_grpc, sizeof via_grpc - 1) == 0) {
        address += sizeof via_grpc - 1;
    }
    channel->connect_timeout_ms = options->connect_timeout_ms;
    channel->keepalive_ms =
        options->keepalive_ms != 0 ? options->keepalive_ms : DEFAULT_KEEPALIVE_MS;
    if (copy_text(address, &channel->target, err) < 0 ||
        copy_text(options->tls_name, &channel->tls_name, err) < 0 ||
        copy_text(options->service_config, &channel->service_config, err) < 0) {
        return -1;
    }
    if (options->tls != NULL) {
        channel->identity = sb_grpc_creds_identity_new(options->tls, err);
        if (channel->identity == NULL) {
            return -1;
        }
    }
    if (sb_grpc_inbox_init(&channel->inbox, err) < 0 || connect_core(channel, err) < 0) {
        return -1;
    }
    sb_grpc_cq_init(&channel->cq);
    return 0;
}

static int transport_open(const char *address,
                          const struct sb_rpc_channel_options *options,
                          struct sb_rpc_channel **ret_channel,
                          struct sb_err *err)
{
    static const struct sb_rpc_channel_ops ops = {
        .start = channel_start,
        .prepare = channel_prepare,
        .process = channel_process,
        .can_wait = channel_can_wait,
        .wait = channel_wait,
        .free = channel_free,
    };
    struct sb_grpc_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return sb_err_oom(err);
    }
    channel->base.ops = &ops;
    channel->inbox.fd = -1;
    sb_list_init(&channel->streams);
    /* What goes wrong with a call is in its status: nothing to add on a user's terminal. */
    sb_grpc_cq_library_init(SB_LOG_LEVEL_DEBUG);
    if (fill_channel(channel, address, options, err) < 0) {
        channel_free(&channel->base);
        return sb_err_wrap(err, "gRPC channel to %s", address);
    }
    *ret_channel = &channel->base;
    return 0;
}

/** The one symbol of the module. */
__attribute__((visibility("default"))) const struct sb_rpc_client_transport *
sb_rpc_grpc_transport(void);

const struct sb_rpc_client_transport *sb_rpc_grpc_transport(void)
{
    static const struct sb_rpc_client_transport transport = {
        .abi = SB_RPC_CLIENT_ABI,
        .open = transport_open,
    };
    return &transport;
}
