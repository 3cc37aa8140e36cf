#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/spawner/cgroup.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_driver;
struct sb_err;

enum {
    SB_PLAN_MAX_MOUNTS = 32,
    SB_PLAN_MAX_RLIMITS = 16,
    SB_PLAN_MAX_PATH = 1024, /* bytes of a mount source or target, without the NUL */
};

struct sb_plan_mount {
    const char *source;
    const char *target;
    bool is_writable;
    bool is_of_worker; /* a directory that the worker has sent; nobody's rights are needed */
};

struct sb_plan_rlimit {
    int resource; /* RLIMIT_* */
    uint64_t value;
};

/** A checked plan, with the slot the server gives it. The strings are borrowed from the message it
 * was made of. */
struct sb_plan {
    const struct sb_driver *driver;
    const char *sandbox_id;
    const char *hostname;
    bool is_minimal;
    bool has_workspace;
    bool workspace_is_tmpfs;   /* else one of mounts has the target /workspace */
    bool workspace_is_overlay; /* that mount is a directory below what is written there */
    bool workspace_read_only;
    uint64_t disk_bytes; /* of each writable tmpfs */
    uint64_t inodes;     /* of each writable tmpfs */
    struct sb_plan_mount mounts[SB_PLAN_MAX_MOUNTS];
    size_t n_mounts;
    size_t n_of_worker; /* of them; the last ones */
    struct sb_plan_rlimit rlimits[SB_PLAN_MAX_RLIMITS];
    size_t n_rlimits;
    uint64_t filter_id;
    struct sb_cgroup_limits cgroup;
    uint64_t slot;                   /* 0: not given yet */
    bool tells_denials;              /* the worker answers a listener */
    bool learns;                     /* the listener is asked about what nothing refuses */
    uint16_t egress_port;            /* 0: no listening socket */
    const char *trusted_certificate; /* "": none */
    uint64_t layer_id;               /* 0: it starts from nothing */
};

/** Checks every field and fills *ret_plan.
 *  Errors: SB_INVALID; the text starts with the name of the field. */
int sb_plan_check(const Spawn__V1__Plan *msg, struct sb_plan *ret_plan, struct sb_err *err);

/** True for the mount that lies below what is written at /workspace. */
bool sb_plan_is_overlay(const struct sb_plan *plan, size_t mount);

/** Checks where something of the host may appear: an absolute, normalised path, not a directory
 *  that the sandbox builds itself. Errors: SB_INVALID. */
int sb_plan_check_target(const char *target, struct sb_err *err);
