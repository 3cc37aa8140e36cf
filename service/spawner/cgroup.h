#pragma once
/** Control groups: one per sandbox, with its limits, and the kernel's own counters of what happened
 *  in it. Version 2 and version 1 stand behind one interface; without either, sandboxes have
 *  rlimits only, which is said and can be refused.
 *
 *  Theory of operation. At start the spawner makes a base, a group "aisbx-<pid>" of its own (one in
 *  each hierarchy of version 1), below the group it was started in or, as root, below the root. It
 *  holds a lock on the base for as long as it lives, so that whoever comes later knows a dead
 *  spawner's base by its free lock, and removes it; process ids would lie across PID namespaces.
 *  A sandbox has a group below the base; the spawner itself and the worker are never in one. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "service/spawner/iodev.h"

struct sb_cgroup_driver;
struct sb_cgroup_freezer;
struct sb_err;

enum {
    SB_CGROUP_NAME_SIZE = 96, /* of a group below the base, with the NUL */
    SB_CGROUP_MAX_BASES = 5, /* version 1: memory, cpu, pids, blkio, what freezes; version 2: one */
    SB_CGROUP_PERIOD_US = 100000,
    SB_CGROUP_WEIGHT = 100, /* of the processor: the usual share */
    SB_CGROUP_IDLE = 0,     /* of the processor: only what nobody else wants */
};

/** Bits: which limits are enforced. */
enum sb_cgroup_controller {
    SB_CGROUP_MEMORY = 1,
    SB_CGROUP_CPU = 2,
    SB_CGROUP_PIDS = 4,
    SB_CGROUP_ALL = 7, /* what every sandbox needs */
    SB_CGROUP_IO = 8,  /* for those with limits of input and output */
};

/** What the host gives; found once at start. */
struct sb_cgroups {
    const struct sb_cgroup_driver *driver;   /* NULL: no groups */
    const struct sb_cgroup_freezer *freezer; /* NULL: nothing here freezes */
    unsigned controllers;                    /* enum sb_cgroup_controller */
    int parents[SB_CGROUP_MAX_BASES];        /* owned; directory that holds the base, or -1 */
    int bases[SB_CGROUP_MAX_BASES];          /* owned; locked directory, or -1 */
    char names[SB_CGROUP_MAX_BASES][32];     /* of the bases */
    char detail[160];                        /* for people: what there is, or why not */
};

#define SB_CGROUPS_NONE                                                                            \
    ((struct sb_cgroups){.parents = {-1, -1, -1, -1, -1}, .bases = {-1, -1, -1, -1, -1}})

/** Of each disk; 0 means: no limit. */
struct sb_cgroup_io {
    uint64_t read_bytes; /* a second */
    uint64_t write_bytes;
    uint64_t read_ops;
    uint64_t write_ops;
    uint64_t weight; /* 1..10000, 100 is the usual share; 0: as usual */
};

/** 0 means: no limit. */
struct sb_cgroup_limits {
    uint64_t memory_bytes; /* tmpfs and kernel memory of the sandbox included */
    uint64_t swap_bytes;   /* on top */
    uint64_t cpu_quota_us; /* of each SB_CGROUP_PERIOD_US, summed over processors */
    uint64_t cpu_weight;   /* 1..10000, 100 is the usual share */
    uint64_t pids;         /* processes and threads, init included */
    struct sb_cgroup_io io;
};

/** The group of one sandbox. Zero: none. */
struct sb_cgroup {
    const struct sb_cgroups *host; /* NULL: none */
    bool has_io;                   /* it is in the hierarchy of blkio of version 1, too */
    char name[SB_CGROUP_NAME_SIZE];
};

/** What the kernel counted since the group was made. What is not counted is 0. */
struct sb_cgroup_counters {
    unsigned version;       /* 1 or 2; 0: no group */
    unsigned controllers;   /* those that were read */
    uint64_t memory;        /* bytes, now */
    uint64_t memory_peak;   /* bytes */
    uint64_t oom_kills;     /* processes killed for the memory limit */
    uint64_t pids_refused;  /* forks and threads refused for the limit of pids */
    uint64_t cpu_throttled; /* periods in which the quota was used up */
    uint64_t cpu_user_us;   /* both 0: not counted here */
    uint64_t cpu_system_us;
};

/** Looks for what there is, removes what dead spawners left, and makes the base. Call with the
 *  capabilities and ids of the start. Never fails: without groups driver is NULL and detail says
 *  why.   @is_root  may use the root of a hierarchy. */
void sb_cgroup_open(bool is_root, struct sb_cgroups *ret_cgroups);
/** Sets the share of the processors that all sandboxes together get when these are scarce; the
 *  weights of sandboxes part it. Logs a warning where there is no such share; sandboxes have the
 *  smallest one then that can be had.
 *  @weight  1..10000, 100 is that of any program; SB_CGROUP_IDLE: cpu.idle of Linux 5.15, else 1.
 */
void sb_cgroup_weigh(const struct sb_cgroups *cgroups, uint64_t weight);
/** Removes the base, which must be empty. */
void sb_cgroup_close(struct sb_cgroups *cgroups);

/** Makes the group of one sandbox and sets its limits.
 *  @name  a file name that no living sandbox has, with a dash and a number at its end, by which a
 *         later spawner knows what a dead one left; copied.
 *  Errors: by errno; the text names the file. Nothing is left then. */
int sb_cgroup_make(const struct sb_cgroups *cgroups,
                   const char *name,
                   const struct sb_cgroup_limits *limits,
                   struct sb_cgroup *ret_cgroup,
                   struct sb_err *err);
/** True when limits of input and output are asked for. */
bool sb_cgroup_wants_io(const struct sb_cgroup_io *io);
/** Sets the limits of input and output, for each of the disks.
 *  Errors: SB_PRECONDITION (no controller), or by errno; the text names the file. The group stays
 *  as useful as it was. */
int sb_cgroup_limit_io(const struct sb_cgroup *cgroup,
                       const struct sb_cgroup_io *io,
                       const struct sb_iodevs *devs,
                       struct sb_err *err);
/** A directory for clone3 (CLONE_INTO_CGROUP), to be closed; -1: sb_cgroup_join does it all. */
int sb_cgroup_clone_fd(const struct sb_cgroup *cgroup);
/** Puts this process in, which has one thread and which clone3 did not: safe in a cloned child. To
 * move another one the kernel stops every fork and exit of the machine for a moment, some 15 ms of
 * waiting; not so for who moves itself alone. Errors: by errno. */
int sb_cgroup_join(const struct sb_cgroup *cgroup, struct sb_err *err);
/** Puts another process in. Errors: by errno. */
int sb_cgroup_enter(const struct sb_cgroup *cgroup, pid_t pid, struct sb_err *err);
/** Moves a process out, into a group without limits: one that serves the sandbox and is not part of
 *  it, so that no limit of the sandbox ends it. Errors: by errno. */
int sb_cgroup_leave(const struct sb_cgroup *cgroup, pid_t pid, struct sb_err *err);
/** Kills all that is in it, as far as the version can, and thaws what must run to die: call it
 * after the processes that matter have their SIGKILL. */
void sb_cgroup_kill(const struct sb_cgroup *cgroup);
/** Freezes all that is in it, or thaws. Does not wait: ask again until *ret_done.
 *  @ret_done  everything in it is frozen, or may run again.
 *  Errors: SB_PRECONDITION: nothing here freezes, the text says what would; by errno. */
int sb_cgroup_freeze(const struct sb_cgroup *cgroup,
                     bool is_frozen,
                     bool *ret_done,
                     struct sb_err *err);
void sb_cgroup_read(const struct sb_cgroup *cgroup, struct sb_cgroup_counters *ret_counters);
/** Removes it. Only when no process is in it any more: what is left is killed. */
void sb_cgroup_remove(struct sb_cgroup *cgroup);
