#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/list.h"
#include "service/spawner/bound.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/child.h"
#include "service/spawner/ids.h"
#include "service/spawner/layers/layer.h"

struct sb_err;
struct sb_launch;
struct sb_launch_request;

/*                 init runs                    reaped
 *   STARTING ------------------> RUNNING ----------------> freed, Gone is told
 *      |  step failed, deadline                    ^
 *      +-------------------> FAILED ---------------+ freed, nothing is told
 */
enum sb_sandbox_state {
    SB_SANDBOX_STARTING, /* the child works on its steps */
    SB_SANDBOX_RUNNING,  /* init runs; the worker has been told */
    SB_SANDBOX_FAILED,   /* the worker has been told so; the child is being killed */
};

enum {
    SB_SANDBOX_MAX = 16384,      /* alive at one time */
    SB_SANDBOX_START_MS = 20000, /* until a child that still works on its steps is killed */
    SB_SANDBOX_MAX_DEGRADED = 7,
};

/** One sandbox. */
struct sb_sandbox {
    struct sb_list link;
    uint64_t slot; /* its name towards the worker; never used twice */
    uint64_t tag;  /* of the request that made it */
    enum sb_sandbox_state state;
    uint64_t deadline_ms;     /* STARTING: monotonic */
    bool tells_ready;         /* of its driver */
    struct sb_launch *launch; /* owned; until the child is another program, or dead */
    pid_t pid;                /* of the child: init, or a program that stands before it; 0: it has
                                 not been heard yet, see sb_launch_hear */
    int pidfd;                /* owned */
    pid_t init_pid;           /* RUNNING */
    int init_pidfd;           /* owned; -1: init is the child */
    int report_fd;            /* owned; STARTING: the child's struct sb_child_report */
    char said[sizeof(struct sb_child_report)]; /* what came out of it until now */
    size_t said_len;
    int sync_fd; /* owned; the child ends when it is closed too early */
    int ctl_fd;  /* owned; STARTING: the worker's end of init's socket */
    struct sb_ids ids;
    struct sb_cgroup cgroup;
    int mnt_fd; /* owned; its namespaces, for who takes a snapshot; -1: its driver has none taken */
    int pid_fd; /* owned; likewise */
    unsigned places;            /* bits of enum sb_place: what it can write there is its own */
    struct sb_layers *layers;   /* borrowed */
    struct sb_layer *layer;     /* a reference; NULL: it started from nothing */
    uint64_t uppers[SB_PLACES]; /* what it writes on top of that, by the keeper; 0: none */
    struct sb_ground ground;    /* of the host, below all that is at /workspace */
    int ground_fd;              /* owned; its mount, for who looks what changed; -1: none */
    struct sb_bound bound;      /* what it was given of the host */
    int filled[SB_PLACES];      /* owned; STARTING: places that are a copy of that; -1: none */
    int copy_pidfd;             /* owned; STARTING: who copies; -1: nobody */
    uint64_t inodes;            /* limit of each place */
    char io_lacks[192];         /* why input and output are not limited */
    const char *degraded[SB_SANDBOX_MAX_DEGRADED]; /* static texts, and io_lacks */
    size_t n_degraded;
};

/** Begins to clone a child that becomes a sandbox; it is STARTING.
 *  Errors: by errno; SB_DENIED, SB_PRECONDITION, SB_EXHAUSTED: the text starts with the step. */
struct sb_sandbox *sb_sandbox_start(const struct sb_launch_request *request, struct sb_err *err);

/** Reads what the child of a STARTING sandbox says; call when report_fd is readable.
 *  @ret_step  at least SB_CHILD_STEP_SIZE bytes: the step that failed.
 *  @is_dead  the child was reaped: nothing more will be said.
 *  Returns 1: it is RUNNING; 0: it has not said all; -1: it is FAILED. */
int sb_sandbox_started(struct sb_sandbox *sandbox,
                       bool is_dead,
                       char *ret_step,
                       struct sb_err *err);

/** Whether that is the process id of its child, who may have ended before it was heard. */
bool sb_sandbox_is_of(const struct sb_sandbox *sandbox, pid_t pid);
/** False: it is FAILED because there is none, or it is not there yet. */
bool sb_sandbox_has_child(const struct sb_sandbox *sandbox);

/** The wait status of init, by that of the child: a program before init tells a signal as shells
 * do.
 */
int sb_sandbox_init_status(const struct sb_sandbox *sandbox, int wait_status);

/** Gives up a STARTING sandbox: it is FAILED. */
void sb_sandbox_fail(struct sb_sandbox *sandbox);

/** Sends SIGKILL to init, and so to all of the sandbox, and kills its group where the kernel can.
 *  Harmless when it is dead already. */
void sb_sandbox_kill(const struct sb_sandbox *sandbox);

/** Frees. Only when the child is reaped, or has never been: the ids go back to the pool. NULL is
 * fine. */
void sb_sandbox_free(struct sb_sandbox *sandbox);
