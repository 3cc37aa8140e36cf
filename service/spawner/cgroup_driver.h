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

/** Rows of version 1 that a group is in for one thing only; version 2 has one row for all. */
enum {
    SB_CGROUP_IO_BASE = 3,     /* of blkio */
    SB_CGROUP_FREEZE_BASE = 4, /* of what freezes: version 2, or the controller freezer */
};

/** How groups are frozen. */
struct sb_cgroup_freezer {
    int base; /* index */
    const char *file;
    const char *freeze; /* what is written */
    const char *thaw;
    bool clones_into;    /* clone3 can start a process in a group of that base */
    bool keeps_from_end; /* what is frozen does not die of SIGKILL */
    bool (*is_frozen)(int base, const char *group);
};

/** For drivers, after the bases were made: freezes by version 2. */
void sb_cgroup_freeze_by_v2(struct sb_cgroups *cgroups);
/** For version 1, before the other bases are made, as what a dead spawner left frozen can die only
 *  when it is thawed: freezes by the hierarchy of version 2 beside it, else by the controller. */
void sb_cgroup_freeze_by_v1(const struct sb_cgroup_view *view, struct sb_cgroups *cgroups);
/** Lets what is frozen in a group of a hierarchy of version 1 run, so that it can die. */
void sb_cgroup_thaw_to_end(int base, const char *group);

extern const struct sb_cgroup_driver sb_cgroup_v1;
extern const struct sb_cgroup_driver sb_cgroup_v2;

/** For drivers: makes and locks a base below @parent_fd, which is taken, in row @i; removes first
 *  what dead spawners left there. Errors: by errno. */
int sb_cgroup_make_base(struct sb_cgroups *cgroups, int i, int parent_fd, struct sb_err *err);
/** Removes the base in a row, if there is one. */
void sb_cgroup_drop_base(struct sb_cgroups *cgroups, int i);
