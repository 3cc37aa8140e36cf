#pragma once
/** All sandboxes and execs, alive and remembered, by id and newest first. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

struct sb_err;
struct sb_exec;
struct sb_sandbox;

struct sb_registry {
    struct sb_map sandboxes;     /* id -> sandbox */
    struct sb_map slots;         /* spawner's slot -> sandbox that is alive there */
    struct sb_map execs;         /* id -> exec */
    struct sb_list sandbox_list; /* newest first */
    struct sb_list exec_list;    /* newest first */
    struct sb_list tombs;        /* sandboxes, oldest end first */
    struct sb_list ended;        /* execs, oldest end first */
    uint64_t next_seq;
    uint64_t past_seq;   /* of the next one that is older than all others */
    size_t n_live;       /* sandboxes not DESTROYED */
    size_t n_live_execs; /* execs of which a process may live */
    size_t n_active_execs;
    size_t n_tombs;
    size_t n_ended;
    uint64_t kept_bytes; /* output of ended execs */
};

void sb_registry_init(struct sb_registry *registry);
/** Frees everything that is in it. */
void sb_registry_done(struct sb_registry *registry);

/** Gives it its number. SB_EXHAUSTED: the worker is full. The registry takes over one reference. */
int sb_registry_add_sandbox(struct sb_registry *registry,
                            struct sb_sandbox *sandbox,
                            struct sb_err *err);
int sb_registry_add_slot(struct sb_registry *registry,
                         struct sb_sandbox *sandbox,
                         struct sb_err *err);
/** It is in no slot for now. */
void sb_registry_remove_slot(struct sb_registry *registry, const struct sb_sandbox *sandbox);
int sb_registry_add_exec(struct sb_registry *registry, struct sb_exec *exec, struct sb_err *err);
/** NULL: not there. */
struct sb_sandbox *sb_registry_sandbox(const struct sb_registry *registry, const char *id);
struct sb_sandbox *sb_registry_slot(const struct sb_registry *registry, uint64_t slot);
struct sb_exec *sb_registry_exec(const struct sb_registry *registry, const char *id);

/** It is DESTROYED: from now on only remembered. */
void sb_registry_bury(struct sb_registry *registry, struct sb_sandbox *sandbox);
/** One that was DESTROYED before all others came: remembered, and older than they are. At most
 *  SB_MAX_TOMBSTONES. SB_EXHAUSTED: memory. The registry takes over one reference. */
int sb_registry_recall(struct sb_registry *registry,
                       struct sb_sandbox *sandbox,
                       struct sb_err *err);
/** It has its verdict and no process: from now on only remembered. */
void sb_registry_exec_ended(struct sb_registry *registry, struct sb_exec *exec);

/** Forgets what is too old or too much. Not from inside an observer.
 *  @now_ms  real time. */
void sb_registry_sweep(struct sb_registry *registry, uint64_t now_ms);
