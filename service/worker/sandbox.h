#pragma once
/** One sandbox: made by the spawner, home of execs, ended by many causes, remembered for a while.
 *  Everything runs on the loop thread. */

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "service/worker/egress.h"
#include "service/worker/handover.h"
#include "service/worker/notify.h"
#include "service/worker/packages/packages.h"
#include "service/worker/pause.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/collections.h"
#include "service/worker/pool/warm.h"
#include "service/worker/spans.h"
#include "service/worker/state.h"
#include "service/worker/verdict.h"

struct sb_policy;
struct sb_rate;
struct sb_request;
struct sb_sandbox;
struct sb_snapshot;
struct sb_worker;

/** The numbers of aisbx.v1.DestroyReason. */
enum sb_reason {
    SB_REASON_NONE = 0,
    SB_REASON_REQUESTED = 1,
    SB_REASON_TTL = 2,
    SB_REASON_IDLE = 3,
    SB_REASON_EXEC_ENDED = 4,
    SB_REASON_START_FAILED = 5,
    SB_REASON_INIT_DIED = 6,
    SB_REASON_WORKER_LOST = 7,
    SB_REASON_CANCELLED = 8,
    SB_REASON_END_,
};

/** Told of every move of the state. May leave from inside. A sandbox is not forgotten while
 * somebody observes it. */
struct sb_sandbox_observer {
    struct sb_list link;
    void (*changed)(struct sb_sandbox_observer *observer, struct sb_sandbox *sandbox);
};

struct sb_sandbox {
    struct sb_list link;      /* registry, newest first */
    struct sb_list tomb_link; /* registry, oldest end first */
    struct sb_worker *worker;
    unsigned refs; /* execs that are remembered, and the registry */
    char id[SB_ID_SIZE];
    uint64_t seq;
    enum sb_state state;
    char *owner;                 /* actor that made it */
    char tenant[SB_TENANT_SIZE]; /* who may see it */
    struct sb_policy *policy;
    struct sb_pairs labels;
    uint8_t *spec; /* packed SandboxSpec: what was asked for, with its network as it is now */
    size_t spec_len;
    struct sb_snapshot *base;     /* a reference: what it started from; NULL: nothing */
    char forked_from[SB_ID_SIZE]; /* "": nobody */
    uint64_t fork_group;          /* of those that one call made; 0: none */
    bool is_waiting;              /* STARTING: for its base */
    bool is_rolling;              /* STARTING: once more, and the processes from before still die */
    bool has_run;
    bool is_only;     /* for one exec */
    bool is_home;     /* its tenant's own, see process/home.h */
    bool is_internal; /* the worker's own: nobody may act on it */
    bool is_recalled; /* of a worker before this one: a few facts are known, and no policy */

    int peer_fd; /* the caller's connection, for host mounts, until spawned; -1: none */
    uint64_t slot;
    int init_fd;             /* control socket of init; -1: not running */
    struct event init_event; /* writable again */
    struct sb_handover handover;
    struct sb_notify notify;
    struct sb_egress_line line; /* to the egress proxy */
    struct sb_sandbox_packages packages;
    int64_t init_pid;
    uint64_t domain; /* its wall of Landlock, as records name it; 0: not known */
    uint32_t host_uid;
    bool has_distinct_uid;
    bool has_group;   /* the kernel counts what happens in it */
    bool lacks_io;    /* limits of input and output that it should have are not in force */
    bool is_counting; /* the spawner was asked what it counted */
    struct sb_strings degraded;

    struct sb_warm_plan warm_plan; /* what is to wait in it for its first exec */
    struct sb_warm warm;           /* what waits there; until that is taken */

    struct sb_span span; /* until it runs */
    struct sb_pause pause;
    struct event ttl_timer;
    struct event idle_timer;
    uint64_t ttl_ms; /* as asked, for expire_ms */
    uint64_t idle_ms;
    uint64_t create_ms; /* real time */
    uint64_t expire_ms; /* real time; 0: never */
    uint64_t destroy_ms;
    enum sb_reason reason;
    char destroy_message[256];
    struct sb_err start_err; /* with START_FAILED */

    struct sb_list execs; /* of which a process may live */
    unsigned n_active;    /* execs without verdict */
    unsigned n_fileops;   /* operations on its files that go on */
    struct sb_list ports; /* exposed ones, by number */
    unsigned n_ports;
    unsigned n_tunnels; /* connections to them */
    struct sb_list observers;
};

/** Who wants what. */
struct sb_sandbox_options {
    const char *owner; /* actor */
    const char *tenant;
    const struct sb_request *request; /* borrowed */
    bool is_only;
    bool is_home;
    bool is_internal;
    bool is_admin;            /* may take a weaker driver than the profile's */
    int peer_fd;              /* the caller's unix connection, borrowed; -1: none */
    struct sb_rate *rate;     /* filled when a quota of the tenant refuses; NULL: nobody asks */
    struct sb_snapshot *base; /* to start from; a reference is taken; NULL: from nothing */
    bool waits;               /* until sb_sandbox_begin */
    const struct sb_lineage *lineage; /* NULL: of no trace */
    const struct sb_warm_want *first; /* what will run first in it, if that is known; NULL */
};

/** Makes a sandbox in state STARTING; observers learn what becomes of it.
 *  Errors: of sb_policy_make; SB_EXHAUSTED: too many sandboxes, a quota of the tenant;
 * SB_UNAVAILABLE: draining, spawner dead; SB_DENIED: host directories without a unix connection, a
 * weaker driver; SB_PRECONDITION: a required control is not enforced on this host. */
int sb_sandbox_new(struct sb_worker *worker,
                   const struct sb_sandbox_options *options,
                   struct sb_sandbox **ret_sandbox,
                   struct sb_err *err);
/** Starts one that waits. Errors: as sb_sandbox_new, and it is DESTROYED then.
 *  @base  a reference is taken. */
int sb_sandbox_begin(struct sb_sandbox *sandbox, struct sb_snapshot *base, struct sb_err *err);
/** May that caller have the host's directories of the sandbox bound again, with his own rights?
 * Only who made it may: what lies at their paths by now the maker decides, and another caller, an
 * admin say, may be able to open more. Errors: SB_DENIED. */
int sb_sandbox_check_binder(const struct sb_sandbox *sandbox,
                            const char *caller,
                            int peer_fd,
                            struct sb_err *err);
/** Kills all that runs in a RUNNING one, and starts it anew from base; observers see it STARTING,
 *  then RUNNING.
 *  @caller  who asks, as in options.owner.
 *  @peer_fd  the caller's unix connection, borrowed; -1: none.
 *  Errors: SB_PRECONDITION: not RUNNING;  as sb_sandbox_check_binder. */
int sb_sandbox_rollback(struct sb_sandbox *sandbox,
                        struct sb_snapshot *base,
                        const char *caller,
                        int peer_fd,
                        struct sb_err *err);
/** One without anything, for who fills it: STARTING, one reference, no process. */
struct sb_sandbox *sb_sandbox_blank(struct sb_worker *worker, struct sb_err *err);
/** A reference less; the last frees. */
void sb_sandbox_unref(struct sb_sandbox *sandbox);

void sb_sandbox_observe(struct sb_sandbox *sandbox, struct sb_sandbox_observer *observer);
void sb_sandbox_unobserve(struct sb_sandbox_observer *observer);

/** Lets observers look: its state, or its network, has changed. */
void sb_sandbox_tell(struct sb_sandbox *sandbox);

/** Kills everything inside; DESTROYED follows when nothing is left. Twice is harmless.
 *  @message  one sentence more, or NULL. */
void sb_sandbox_destroy(struct sb_sandbox *sandbox, enum sb_reason reason, const char *message);

/** Its only exec is over and PID 1 ends by itself: STOPPING, without a kill. */
void sb_sandbox_expect_gone(struct sb_sandbox *sandbox, enum sb_reason reason);

/** What a destroy reason means for an exec that still ran. */
enum sb_cause sb_sandbox_cause(enum sb_reason reason);

/** 0 takes the limit away. From now on. A paused sandbox does not go idle; its TTL runs on. */
void sb_sandbox_set_ttl(struct sb_sandbox *sandbox, uint64_t ttl_ms);
void sb_sandbox_set_idle(struct sb_sandbox *sandbox, uint64_t idle_ms);

/** An exec joined, or got its verdict: the idle clock stops and starts. */
void sb_sandbox_exec_joined(struct sb_sandbox *sandbox);
void sb_sandbox_exec_left(struct sb_sandbox *sandbox);
/** The same for an operation on its files. */
void sb_sandbox_file_joined(struct sb_sandbox *sandbox);
void sb_sandbox_file_left(struct sb_sandbox *sandbox);
/** And for a connection to one of its ports. */
void sb_sandbox_tunnel_joined(struct sb_sandbox *sandbox);
void sb_sandbox_tunnel_left(struct sb_sandbox *sandbox);
/** Execs wait to be told what was counted so far: sb_exec_counted. */
void sb_sandbox_count(struct sb_sandbox *sandbox);
/** An exec has a packet for init's control socket that did not fit. */
void sb_sandbox_want_write(struct sb_sandbox *sandbox);

/* ---- for sandbox_make.c ---- */

/** The processes from before a rollback are gone: spawns it anew. */
void sb_sandbox_respawn(struct sb_sandbox *sandbox);

/** A step that the table of states does not have is a bug, and logged. */
void sb_sandbox_move(struct sb_sandbox *sandbox, enum sb_state to);
/** The first one counts. @message  one sentence more, or NULL. */
void sb_sandbox_set_reason(struct sb_sandbox *sandbox, enum sb_reason reason, const char *message);
/** There is no process of it: DESTROYED, and its execs fail with err when it never ran. */
void sb_sandbox_fail(struct sb_sandbox *sandbox, const struct sb_err *err);
/** Its packages are there. */
void sb_sandbox_packed(struct sb_sandbox *sandbox);
/** Nothing runs yet. */
void sb_sandbox_timers_init(struct sb_sandbox *sandbox);

/* ---- for worker.c ---- */

/** What the spawner knows of a sandbox whose last process is gone. */
struct sb_gone {
    int init_status;
    uint64_t cpu_user_us; /* of the whole sandbox */
    uint64_t cpu_system_us;
    uint64_t max_rss_bytes;
    struct sb_counters counters; /* since it was made */
};
void sb_sandbox_gone(struct sb_sandbox *sandbox, const struct sb_gone *gone);
/** The spawner is dead. */
void sb_sandbox_lost(struct sb_sandbox *sandbox);
