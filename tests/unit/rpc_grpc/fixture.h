#pragma once
/** A server with the probe service on a thread of its own, and what tests need around it. Failures
 *  of the fixture itself fail the test (cmocka assertions), hence call from the main thread. */

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc/rpc.h"
#include "rpc_probe.rpc.h"

struct fixture;

/** Counters of the service; only while no call is under way, or inside fixture_run. */
struct fixture_stats {
    unsigned started;
    unsigned done;
    unsigned cancelled;
    unsigned half_closed; /* Sum */
    uint64_t fed_bytes;   /* queued by Feed */
    unsigned feeds_full;  /* Feed calls whose last send said "wait" */
};

struct fixture_options {
    const char *address; /* NULL: a unix socket in the scratch directory */
    const struct sb_rpc_tls *tls;
    unsigned max_calls;
    unsigned max_connections;
    bool is_sum_deaf; /* Sum reads nothing */
    bool offers;      /* it starts without gRPC, and has it when somebody needs it */
    unsigned n_loads_that_fail;
};

/** A directory for sockets and certificates; removed by fixture_scratch_remove. */
const char *fixture_scratch(void);
/** Static buffer per call site of at most 16 live paths: scratch directory + "/" + name. */
const char *fixture_path(const char *name);
void fixture_scratch_remove(void);

struct fixture *fixture_start(const struct fixture_options *options);
/** Frees the server on its loop, joins the thread. NULL is fine. */
void fixture_stop(struct fixture *fixture);
/** "grpc+unix:..." or "ipv4:127.0.0.1:port". Valid as long as the fixture. */
const char *fixture_target(const struct fixture *fixture);
int fixture_port(const struct fixture *fixture);
/** Runs fn on the loop thread and waits for it. */
void fixture_run(struct fixture *fixture,
                 void (*fn)(struct sb_rpc_server *server, void *ctx),
                 void *ctx);
struct fixture_stats fixture_stats(struct fixture *fixture);
/** Starts the drain, returns when it is over. */
void fixture_drain(struct fixture *fixture, unsigned lame_ms, unsigned grace_ms);

/** Opens a channel or fails the test. @options  NULL: defaults; module_dir is filled in. */
struct sb_rpc_channel *fixture_channel(const char *target,
                                       const struct sb_rpc_channel_options *options);
/** One Say; the reply is freed unless ret_reply. Returns the status; text in *ret_err. */
enum sb_code fixture_say(struct sb_rpc_channel *channel,
                         const Probe__V1__SayRequest *req,
                         Probe__V1__SayReply **ret_reply,
                         struct sb_err *ret_err);
/** A channel of its own gets an answer, or the test fails. */
void fixture_expect_answer(struct fixture *fixture);
/** Runs the channel until *flag, or fails the test after ten seconds. */
void fixture_wait(struct sb_rpc_channel *channel, const bool *flag);

/** Serves on address until killed; for tests that run a server in a process of its own. Prints
 *  "ready PORT". @tls  NULL: plaintext. */
int fixture_serve_process(const char *address, const struct sb_rpc_tls *tls);
