#pragma once
/** What cgroup.c asks of a version. All functions: the group's host has this driver. */
#include "service/spawner/cgroup.h"
#include "service/spawner/cgroup_find.h"

struct sb_cgroup_driver {
    const char *name; /* "cgroup v2" */
    unsigned version;
    /** Makes the bases. Errors: SB_PRECONDITION or by errno; what was made is removed by the
     * caller. */
    int (*open)(const struct sb_cgroup_view *view,
                bool is_root,
                struct sb_cgroups *cgroups,
                struct sb_err *err);
    int (*limit)(const struct sb_cgroup *cgroup,
                 const struct sb_cgroup_limits *limits,
                 struct sb_err *err);
    /** The limits of one disk. */
    int (*limit_io)(const struct sb_cgroup *cgroup,
                    const struct sb_cgroup_io *io,
                    dev_t disk,
                    struct sb_err *err);
    /** The share of all disks. */
    int (*weigh_io)(const struct sb_cgroup *cgroup, uint64_t weight, struct sb_err *err);
    /** The share of a group of the processors; @base with group "": of all sandboxes. */
    int (*weigh_cpu)(const struct sb_cgroups *cgroups,
                     const char *group,
                     uint64_t weight,
                     struct sb_err *err);
    int cpu_base;     /* index of the base with the controller of processors */
    bool clones_into; /* clone3 can start a process inside */
    void (*read)(const struct sb_cgroup *cgroup, struct sb_cgroup_counters *counters);
};

/** Row of the hierarchy of blkio; version 2 has no such row. */
enum { SB_CGROUP_IO_BASE = 3 };

extern const struct sb_cgroup_driver sb_cgroup_v1;
extern const struct sb_cgroup_driver sb_cgroup_v2;

/** For drivers: makes and locks a base below @parent_fd, which is taken, in row @i; removes first
 *  what dead spawners left there. Errors: by errno. */
int sb_cgroup_make_base(struct sb_cgroups *cgroups, int i, int parent_fd, struct sb_err *err);
