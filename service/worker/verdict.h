#pragma once
/** How an exec ended, decided from facts only. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The numbers of aisbx.v1.VerdictKind. */
enum sb_verdict_kind {
    SB_VERDICT_NONE = 0,
    SB_VERDICT_EXITED = 1,
    SB_VERDICT_SIGNALED = 2,
    SB_VERDICT_TIMED_OUT = 3,
    SB_VERDICT_OOM_KILLED = 4,
    SB_VERDICT_PIDS_EXHAUSTED = 5,
    SB_VERDICT_DISK_FULL = 6,
    SB_VERDICT_OUTPUT_TRUNCATED = 7,
    SB_VERDICT_POLICY_KILLED = 8,
    SB_VERDICT_CANCELLED = 9,
    SB_VERDICT_WORKER_LOST = 10,
    SB_VERDICT_START_FAILED = 11,
};

/** What made the worker end an exec, when it did; the first one counts. */
enum sb_cause {
    SB_CAUSE_NONE,
    SB_CAUSE_TIMEOUT,     /* its wall limit */
    SB_CAUSE_CANCELLED,   /* CancelExec */
    SB_CAUSE_CLIENT_GONE, /* the call that started it ended before it */
    SB_CAUSE_DESTROYED,   /* DestroySandbox */
    SB_CAUSE_ROLLED_BACK, /* RollbackSandbox */
    SB_CAUSE_TTL,
    SB_CAUSE_IDLE,
    SB_CAUSE_WORKER_STOPPED,
    SB_CAUSE_SPAWNER_DIED,
    SB_CAUSE_INIT_DIED, /* PID 1 of the sandbox ended without being asked */
    SB_CAUSE_STUB_DIED, /* the exec's supervisor inside ended without a word */
    SB_CAUSE_END_,
};

/** What the kernel counted in the control group of a sandbox. All 0: it has none. */
struct sb_counters {
    unsigned version; /* of control groups */
    bool has_memory;
    uint64_t memory;      /* bytes, when they were asked for */
    uint64_t memory_peak; /* bytes */
    uint64_t oom_kills;   /* processes */
    uint64_t pids_refused;
    uint64_t cpu_throttled; /* periods */
    uint64_t cpu_user_us;
    uint64_t cpu_system_us;
};

enum { SB_SPACES = 3 };

/** A bounded file system of the sandbox's own. */
struct sb_space {
    uint64_t bytes;
    uint64_t bytes_free;
    uint64_t inodes;
    uint64_t inodes_free;
};

/** All that is known of an exec when it is over. */
struct sb_facts {
    enum sb_cause cause;
    const char *program;   /* args[0]; borrowed */
    const char *cwd;       /* borrowed */
    const char *kill_list; /* seccomp list with a rule that kills; borrowed; NULL: none */

    bool has_failed; /* init could not start it */
    int fail_errno;
    unsigned fail_stage; /* enum sb_init_stage */

    bool has_exited; /* wait4 of the main process */
    int wait_status;
    bool has_empty; /* the whole tree is gone */
    uint32_t killed;
    bool has_company; /* other execs of the sandbox ran meanwhile: its counters are of all */
    bool has_gone;    /* the sandbox is gone */
    int init_status;

    struct sb_counters counters; /* while it ran; the peak is that of the sandbox */
    uint64_t memory_limit;       /* bytes */
    uint64_t pids_limit;

    /* /tmp, /dev/shm, /workspace, when the main process had failed; 0: none, or not its own */
    struct sb_space spaces[SB_SPACES];

    /* Seen once a second while the main process ran; of the whole sandbox */
    uint32_t seen_bytes_full; /* bit i: spaces[i] */
    uint32_t seen_inodes_full;
    uint64_t most_files; /* descriptors of one process */
    uint64_t most_signals;
    uint64_t signals_limit; /* 0: not seen */
    uint64_t disk_limit;    /* bytes of each space */
    uint64_t inodes_limit;
    uint64_t files_limit;
    bool has_own_files_limit; /* not the sandbox's */
    bool files_by_memory; /* no group bounds memory, and a part of its limit the size of a file */

    uint64_t wall_limit_ms;
    uint64_t wall_ms; /* start to end of the main process */
    uint64_t cpu_user_us;
    uint64_t cpu_system_us;
    uint64_t max_rss_bytes; /* largest process */
    uint64_t stdout_bytes;
    uint64_t stderr_bytes;
    uint64_t stdout_dropped; /* bytes over the output limit, or that could not be stored */
    uint64_t stderr_dropped;
    int store_errno;       /* why not; 0: all within the limit was stored */
    uint64_t output_limit; /* bytes per stream */
};

struct sb_evidence {
    const char *source; /* static */
    uint64_t value;
};

enum { SB_VERDICT_MAX_EVIDENCE = 16, SB_VERDICT_MAX_MET = 12 };

/** A limit that was met. */
struct sb_met {
    const char *name; /* of a row of sb_limits_table, or "signals", which no profile sets */
    uint64_t count;   /* how often, as far as the kernel counts */
    uint64_t value;   /* of the limit, where an exec may have one of its own; 0: the sandbox's */
    char detail[96];
};

/** Plain bytes. */
struct sb_verdict {
    enum sb_verdict_kind kind;
    int exit_code;
    int signal;
    char message[256];
    char next_step[256];
    struct sb_evidence evidence[SB_VERDICT_MAX_EVIDENCE];
    size_t n_evidence;
    struct sb_met met[SB_VERDICT_MAX_MET];
    size_t n_met;
};

/** Never fails. */
void sb_verdict_decide(const struct sb_facts *facts, struct sb_verdict *ret_verdict);
