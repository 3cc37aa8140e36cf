#pragma once
/** What the parts of the worker share. One per process, owned by main; the loop thread's. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/id.h"
#include "base/list.h"
#include "base/metrics.h"
#include "service/worker/auth/auth.h"
#include "service/worker/claims.h"
#include "service/worker/context/context.h"
#include "service/worker/decisions.h"
#include "service/worker/idem.h"
#include "service/worker/key_watch.h"
#include "service/worker/options.h"
#include "service/worker/page.h"
#include "service/worker/registry.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/stage/stage.h"
#include "service/worker/tombs.h"

struct sb_audit;
struct sb_trail;
struct sb_egress;
struct sb_packages;
struct sb_pool;
struct sb_err;
struct sb_probe;
struct sb_processes;
struct sb_profiles;
struct sb_rpc_server;
struct sb_spawner;
struct sb_store;
struct sb_tracer;

enum { SB_WORKER_SIGNALS = 3 };

/** CPU that had been used when it was last looked at. */
struct sb_cpu_mark {
    uint64_t at_ns; /* monotonic; 0: never */
    uint64_t used_us;
};

struct sb_worker {
    struct sb_options options;
    char *pems[3]; /* certificate, key, CA as root read them, until gRPC has them */
    char id[SB_ID_SIZE];
    uint64_t start_ms; /* real time */
    uid_t start_uid;   /* who started it: its operator */
    pid_t parent;      /* what started it, as a process */
    bool is_draining;  /* takes no new sandboxes */
    int exit_code;

    struct event_base *base;
    struct sb_spawner *spawner;
    struct sb_profiles *profiles;
    struct sb_rpc_server *server;
    struct sb_probe *probe;
    struct sb_egress *egress;
    struct sb_packages *packages;
    struct sb_pool *pool; /* NULL: no sandbox is made before it is asked for */
    struct sb_audit *audit;
    struct sb_store *store;
    struct sb_trail *trail;       /* NULL: nothing is written down */
    struct sb_tracer *tracer;     /* NULL: nobody is told of spans */
    struct sb_decisions refusals; /* that were */
    struct sb_registry registry;
    struct sb_contexts contexts;
    struct sb_tombs tombs;
    struct sb_budget budget; /* of files and batches on their way */
    struct sb_idem idem;
    struct sb_claims claims;
    struct sb_snapshots snapshots;
    struct sb_auth auth;
    struct sb_key_watch key_watch;
    struct sb_page_key page_key;
    struct sb_list watches;         /* of WatchSandboxes */
    struct sb_processes *processes; /* of process.v1 */
    struct sb_list lookers;         /* calls that only look, by the gate's tickets */
    struct sb_metrics metrics;
    struct sb_cpu_mark cpu_marks[2]; /* worker, sandboxes */
    int state_dir;                   /* O_DIRECTORY; -1: memory only */
    int null_fd;                     /* /dev/null, read-only */
    int grpc_fd;                     /* the module of gRPC; -1: it is not there */
    unsigned char *chunk;            /* SB_MAX_CHUNK_BYTES for reads that are used up at once */

    struct event signals[SB_WORKER_SIGNALS];
    struct event stop_timer;
    bool is_stopping;
    bool has_destroyed_all;
    bool is_drained;
    struct event idle_timer;
    uint64_t idle_since_ms; /* monotonic */
    uint64_t idle_seq;
};

/** Serves the spawner's socket; its death ends the worker. */
int sb_worker_watch_spawner(struct sb_worker *worker, struct sb_err *err);
/** Says to gRPC health whether it takes calls: not while it drains or cannot keep records. */
void sb_worker_tell_health(struct sb_worker *worker);
/** Signals and timers; the server must exist. */
int sb_worker_arm(struct sb_worker *worker, struct sb_err *err);
/** Ends in good order: calls may end, then sandboxes are destroyed, then the loop ends. */
void sb_worker_stop(struct sb_worker *worker);
