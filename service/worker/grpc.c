#include "service/worker/grpc.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/worker.h"

/* A service has it at the start: what is wrong with it is said then, and nobody waits for it. */
static bool needs_grpc(const struct sb_options *options)
{
    bool listens_elsewhere = false;
    for (size_t i = 0; i < options->listen.n; i++) {
        listens_elsewhere |= strncmp(options->listen.items[i], "unix:", 5) != 0;
    }
    return !options->is_embedded || listens_elsewhere;
}

int sb_worker_find_grpc(struct sb_worker *worker, struct sb_err *err)
{
    return sb_rpc_grpc_server_find(&worker->grpc_fd, err) < 0 && needs_grpc(&worker->options) ? -1
                                                                                              : 0;
}

static const struct sb_rpc_server_transport *load(void *ctx, struct sb_err *err)
{
    struct sb_worker *worker = ctx;
    uint64_t before_ns = sb_clock_mono_ns();
    if (worker->grpc_fd < 0 && sb_rpc_grpc_server_find(&worker->grpc_fd, err) < 0) {
        return NULL;
    }
    const struct sb_rpc_server_transport *grpc = sb_rpc_grpc_server_load(worker->grpc_fd, err);
    SB_LOG_DEBUG("gRPC loaded", "us=%ju", (uintmax_t)((sb_clock_mono_ns() - before_ns) / 1000));
    return grpc;
}

static void ready(void *ctx)
{
    sb_api_present(ctx);
}

int sb_worker_prepare_grpc(struct sb_worker *worker, struct sb_err *err)
{
    unsigned threads = (unsigned)worker->options.grpc_threads;
    if (needs_grpc(&worker->options)) {
        const struct sb_rpc_server_transport *grpc = load(worker, err);
        return grpc == NULL ? -1 : sb_rpc_server_enable_grpc(worker->server, grpc, threads, err);
    }
    const struct sb_rpc_grpc_offer offer = {.load = load, .ready = ready, .ctx = worker};
    sb_rpc_server_offer_grpc(worker->server, &offer, threads);
    return 0;
}
