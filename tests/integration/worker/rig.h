#pragma once
/** A worker of the test's own, and short ways to call it. Every wait gives up after RIG_WAIT_MS;
 * what fails for reasons of the rig itself fails the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "aisbx/v1/sandbox_service.rpc.h"
#include "aisbx/v1/worker_service.rpc.h"
#include "base/buf.h"
#include "base/err.h"

enum { RIG_WAIT_MS = 20000 };

/** A string where protobuf-c wants one that it will not change. */
static inline char *rig_text(const char *text)
{
    char *plain = NULL;
    memcpy(&plain, &text, sizeof plain);
    return plain;
}

struct rig {
    pid_t pid;    /* of the worker; 0: ended */
    char dir[64]; /* temporary */
    char address[96];
    struct sb_rpc_channel *channel;
};

/** setup and teardown of one test that has a worker to itself: it ends or drains it, counts what it
 * has, or looks at all of its sandboxes. */
int rig_setup(void **state);
int rig_teardown(void **state);
#define RIG_ALONE(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

/** Of all others, which share one by a connection of their own; rig_part ends it, 0 or -1. */
int rig_join(void **state);
int rig_leave(void **state);
int rig_part(void);
#define RIG_SHARED(test) cmocka_unit_test_setup_teardown(test, rig_join, rig_leave)

/** Becomes an ordinary user for good. False: cannot. */
bool rig_become_user(void);

struct sb_rpc_channel *rig_connect(const struct rig *rig);
/** Waits for the worker to end; returns its wait status. */
int rig_wait(struct rig *rig);

/** The number of processes whose arguments hold the marker; a program that we start with a number
 * of its own can be found on the whole machine. */
size_t rig_count(const char *marker);
/** Waits until there are n of them. */
bool rig_wait_count(const char *marker, size_t n);
/** A number nobody else uses, e.g. for `sleep`. */
const char *rig_marker(char out[24]);

/** Resident memory of a process, in bytes. */
uint64_t rig_rss(pid_t pid);

/* ---- requests ---- */

/** What a call says of an exec. */
struct rig_spec {
    const char *args[8];    /* ends with NULL */
    const char *sandbox_id; /* NULL: a sandbox of its own */
    uint64_t wall_ms;
    uint64_t output_bytes; /* limit, for a sandbox of its own */
    bool is_passed;
    bool is_background;
    bool has_stdin;
    const char *request_id;
};

/** A StartExecRequest with all it points to. */
struct rig_request {
    Aisbx__V1__StartExecRequest msg;
    Aisbx__V1__ExecTarget target;
    Aisbx__V1__SandboxSpec sandbox;
    Aisbx__V1__Limits limits;
    Aisbx__V1__ExecSpec exec;
    Aisbx__V1__Command command;
};
void rig_request(struct rig_request *request, const struct rig_spec *spec);

/** A stream that is being read. */
struct rig_stream {
    struct sb_rpc_channel *channel;
    struct sb_rpc_stream *stream; /* NULL: done */
    struct sb_buf out;            /* stdout */
    struct sb_buf err;            /* stderr */
    uint64_t dropped;             /* bytes, both streams */
    uint64_t out_bytes;
    size_t n_violations; /* events */
    bool is_interactive;
    bool has_started;
    char exec_id[40];
    char sandbox_id[40];
    int64_t init_pid;
    Aisbx__V1__Exec *ended; /* owned; NULL: no ended event came */
    struct sb_err status;   /* of the call, once it is done */
    bool is_slow;           /* reads no further by itself */
    bool is_counting;       /* does not keep the bytes */
};

/** StartExec, or InteractExec when interactive; fds may be NULL. */
void rig_start(struct rig_stream *stream,
               struct sb_rpc_channel *channel,
               const struct rig_spec *spec,
               bool is_interactive,
               const int *fds);
void rig_attach(struct rig_stream *stream,
                struct sb_rpc_channel *channel,
                const char *exec_id,
                uint64_t stdout_offset);
void rig_stream_free(struct rig_stream *stream);
/** Turns the channel until the condition holds. False: time is up. */
bool rig_until_started(struct rig_stream *stream);
bool rig_until_output(struct rig_stream *stream, const char *text); /* in stdout */
bool rig_until_done(struct rig_stream *stream);
/** Turns the channel for that long. */
void rig_turn(struct sb_rpc_channel *channel, unsigned ms);

/** Makes a sandbox; its id is copied to out. */
void rig_create(struct sb_rpc_channel *channel, char out[40], uint64_t ttl_ms, uint64_t idle_ms);
/** The sandbox as the worker tells it; for free_unpacked. */
Aisbx__V1__GetSandboxResponse *rig_get(struct sb_rpc_channel *channel, const char *sandbox_id);
/** Waits until the sandbox is destroyed; returns the reason, 0 when it is not. */
int rig_until_destroyed(struct sb_rpc_channel *channel, const char *sandbox_id);
/** Runs a program to its end in a sandbox; for free_unpacked. */
Aisbx__V1__RunResponse *
rig_run(struct sb_rpc_channel *channel, const struct rig_spec *spec, const char *input);

/* ---- the tests of each file ---- */
extern const struct CMUnitTest lifecycle_tests[];
extern const size_t lifecycle_tests_n;
extern const struct CMUnitTest exec_tests[];
extern const size_t exec_tests_n;
extern const struct CMUnitTest stream_tests[];
extern const size_t stream_tests_n;
extern const struct CMUnitTest end_tests[];
extern const size_t end_tests_n;
extern const struct CMUnitTest denial_tests[];
extern const size_t denial_tests_n;
extern const struct CMUnitTest limit_tests[];
extern const size_t limit_tests_n;
extern const struct CMUnitTest metric_tests[];
extern const size_t metric_tests_n;
