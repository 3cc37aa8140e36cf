#pragma once
/** What sandboxes had written, kept by the spawner for as long as this worker lives.
 *
 *  Theory of operation. A snapshot has its id before it is taken, so that a repeated call finds it.
 *  It is listed until it is deleted, and counted as long as anything stands on it: sandboxes that
 *  started from it, and snapshots of those. One that ForkSandbox takes is never listed.
 *
 *      TAKING ----> KEPT      the spawner has answered
 *        +--------> FAILED    err says why; it is listed no more
 *
 *  Loop thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "service/worker/policy/auth_config.h"

struct sb_sandbox;
struct sb_worker;

enum { SB_SNAPSHOT_TITLE_SIZE = 63 * 4 + 1 }; /* bytes, with the NUL; 63 characters */

enum sb_snapshot_state { SB_SNAPSHOT_TAKING, SB_SNAPSHOT_KEPT, SB_SNAPSHOT_FAILED };

struct sb_snapshot;

/** Told once when a snapshot is not TAKING any more. */
struct sb_snapshot_observer {
    struct sb_list link;
    void (*settled)(struct sb_snapshot_observer *observer, struct sb_snapshot *snapshot);
};

struct sb_snapshot {
    struct sb_list link; /* worker's, newest first */
    unsigned refs;
    char id[SB_ID_SIZE];
    uint64_t seq; /* of the registry's numbers */
    enum sb_snapshot_state state;
    bool is_listed;
    struct sb_worker *worker;
    char tenant[SB_TENANT_SIZE];
    char sandbox_id[SB_ID_SIZE]; /* it was taken of */
    char title[SB_SNAPSHOT_TITLE_SIZE];
    uint64_t create_ms; /* real time */
    uint64_t layer_id;  /* KEPT: the spawner's name for it; 0: let go */
    uint64_t size_bytes;
    uint64_t copied_bytes;
    uint64_t copied_files;
    bool is_delta;
    bool has_workspace;       /* else it is /tmp alone */
    struct sb_snapshot *base; /* a reference: what it stands on; NULL: nothing */
    struct sb_err err;        /* FAILED */
    struct sb_list observers;
};

/** All of a worker. */
struct sb_snapshots {
    struct sb_list list;  /* struct sb_snapshot, newest first; those too that are not listed */
    struct sb_list diffs; /* calls that compare with them (api_diff.c) */
};

void sb_snapshots_init(struct sb_snapshots *snapshots);
/** When no sandbox is left. */
void sb_snapshots_done(struct sb_snapshots *snapshots);

/** Begins to take one of a RUNNING sandbox. The caller gets a reference; a listed one has another.
 *  @title  at most 63 characters of UTF-8.   @is_listed  false: nobody asked for it by itself.
 *  Errors: SB_PRECONDITION: not RUNNING; SB_EXHAUSTED: too many, too large; SB_INVALID. */
int sb_snapshot_take(struct sb_sandbox *sandbox,
                     const char *title,
                     bool is_listed,
                     struct sb_snapshot **ret_snapshot,
                     struct sb_err *err);

/** A listed one; NULL: there is none with that id. */
struct sb_snapshot *sb_snapshot_find(const struct sb_worker *worker, const char *id);
/** It is listed no more, and new sandboxes cannot start from it. Twice is harmless. */
void sb_snapshot_delete(struct sb_snapshot *snapshot);

struct sb_snapshot *sb_snapshot_ref(struct sb_snapshot *snapshot);
/** NULL is fine. */
void sb_snapshot_unref(struct sb_worker *worker, struct sb_snapshot *snapshot);

void sb_snapshot_observe(struct sb_snapshot *snapshot, struct sb_snapshot_observer *observer);
void sb_snapshot_unobserve(struct sb_snapshot_observer *observer);
