#pragma once
/** An echo server on a thread of its own, and what tests of either transport need. Tests run on the
 * main thread. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "echo.pb-c.h"
#include "echo.rpc.h"
#include "proto/rpc/rpc.h"

struct fixture;

/** For the fields of protobuf-c's structs, which are not const. Only read. */
static inline char *text(const void *constant)
{
    union {
        const void *in;
        char *out;
    } u = {.in = constant};
    return u.out;
}

/** What the handlers saw. */
struct counters {
    atomic_uint started;
    atomic_uint replied; /* ended by the handler */
    atomic_uint done;
    atomic_uint cancelled;
    atomic_uint sent;    /* stream messages */
    atomic_uint drained; /* callbacks */
    atomic_uint read;    /* stream messages received */
};
extern struct counters seen;

/** The handlers of Chat and Collect read nothing until this is false (see fixture_poke). */
extern atomic_bool is_server_deaf;

/** "local", "grpc" (over a unix socket), "tcp", "tls" or "mtls", of the program's argument. */
extern const char *transport_name;
bool is_local(void);
/** Whether peers have uid and pid. */
bool is_unix(void);

/** cmocka setup and teardown: a server with default options. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/** Other options; base, grpc and grpc_threads are filled. For tests without the setup above. */
struct fixture *fixture_start(const struct sb_rpc_server_options *options);
void fixture_stop(struct fixture *fixture);
/** Another server at the same address. */
void fixture_restart(struct fixture *fixture);

const char *fixture_socket(const struct fixture *fixture);
struct sb_rpc_channel *fixture_open(const struct fixture *fixture);
struct sb_rpc_server *fixture_server(const struct fixture *fixture);
/** Runs fn on the server's thread and waits for it. */
void fixture_on_loop(struct fixture *fixture, void (*fn)(void *ctx), void *ctx);
/** Answers all held Echo calls. */
void fixture_release(struct fixture *fixture);
/** Lets deaf calls read again. */
void fixture_poke(struct fixture *fixture);
/** Live calls and local connections, as the server counts them. */
unsigned fixture_live(struct fixture *fixture);

/** Waits until *counter is at least n, while the channel (may be NULL) is served; fails the test
 * after long. */
void wait_for(struct sb_rpc_channel *channel, atomic_uint *counter, unsigned n);
/** Waits until the counter did not move for a while. Returns it. */
unsigned wait_still(struct sb_rpc_channel *channel, atomic_uint *counter);

/** Chunks of Collect with these numbers: the call is accepted, or fails with SB_ABORTED. */
enum { CHUNK_ACCEPT = 1000, CHUNK_REFUSE };

/* ---- a client stream with a memory ---- */

struct probe {
    struct sb_rpc_stream *stream;
    size_t n_bytes;
    size_t trailer_len;
    unsigned n_messages;
    unsigned last_number;
    unsigned n_drained;
    unsigned n_accepted;
    struct sb_err status;
    char trailer[64];
    char text_trailer[64];
    bool is_in_order;
    bool reads_on; /* asks for the next message by itself */
    bool is_done;
};
extern const struct aisbx__test__echo_service__count__callbacks count_callbacks;
extern const struct aisbx__test__echo_service__collect__callbacks collect_callbacks;
extern const struct aisbx__test__echo_service__chat__callbacks chat_callbacks;
extern const struct aisbx__test__echo_service__echo__callbacks echo_callbacks;

struct probe probe_new(void);
void wait_done(struct sb_rpc_channel *channel, struct probe *probe);
void wait_accepted(struct sb_rpc_channel *channel, struct probe *probe);
void wait_messages(struct sb_rpc_channel *channel, struct probe *probe, unsigned n);
