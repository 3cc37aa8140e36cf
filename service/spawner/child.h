#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "service/shared/initproto.h"
#include "service/spawner/layers/give.h"
#include "service/spawner/plan.h"

struct sb_bwrap_start;
struct sb_cgroup;
struct sb_driver;
struct sb_filter;

enum {
    SB_CHILD_ID = SB_INIT_JOB_ID,
    SB_CHILD_INIT_ID = 1001, /* real uid of init, likewise */
    SB_CHILD_STEP_SIZE = 24, /* bytes of a step's name, with the NUL */
};

/** Everything the cloned child needs to become a sandbox; prepared by the parent. The child may
 * work in the parent's memory (lane.h), beside the parent and other children. So what it calls
 * writes nothing but its stack, errno and this struct; has no static variables; neither allocates,
 * logs nor locks; and where libc's function would tell other threads, it is the system call. */
struct sb_child {
    const struct sb_driver *driver;
    const struct sb_plan *plan;
    const struct sb_filter *filter;
    const struct sb_cgroup *cgroup; /* of the sandbox */
    struct sb_bwrap_start *bwrap;   /* of that driver alone */
    unsigned setup_id; /* uid and gid it sets up with and that own what it makes: 0 when the
                          sandbox has a range of ids, or no user namespace; else SB_CHILD_ID */
    unsigned job_uid;  /* SB_CHILD_ID, or without a user namespace the job's id on the host */
    unsigned job_gid;
    unsigned init_uid;   /* real uid of init; the job's where there is no other */
    bool has_userns;     /* of its own: what it limits there is the sandbox's */
    bool has_setgroups;  /* supplementary groups can be dropped */
    bool has_tty_group;  /* gid 5 is mapped */
    bool has_pids_group; /* a cgroup bounds its processes */
    bool has_memory_group;
    bool has_cpu_group;
    int landlock;     /* version; 0: none */
    bool tells_paths; /* what it denies is recorded */
    int spawner_fd;   /* the other end of sync_fd, which the child closes */
    int sync_fd;      /* a byte arrives when the id maps are written; end of file: not wanted any
                         more. Other children may hold the other end, too */
    int parent_fd;    /* a pidfd that can be read when the spawner is dead, whoever has copies of
                         what was open there; -1: none */
    int report_fd;    /* takes a byte of enum sb_child_greeting; then a struct sb_child_report, or
                         end of file: init runs */
    int ctl_fd;       /* becomes init's SB_INIT_FD */
    int init_fd;      /* sealed executable */
    int root_fd;      /* the new root; set by the child */
    int mount_fds[SB_PLAN_MAX_MOUNTS]; /* detached; order of plan->mounts */
    bool mount_is_dir[SB_PLAN_MAX_MOUNTS];
    struct sb_given given; /* the snapshot it starts from */
};

#define SB_CHILD_REPORT_MAGIC "\0sb" /* no text begins with it */

/** The first byte, by whoever knows whether there is a child. */
enum sb_child_greeting {
    SB_CHILD_IS = '+',     /* and is in its groups. With the descriptors of its mount and its PID
                              namespace, if its driver keeps places: later, as another user, it
                              could not be looked into */
    SB_CHILD_IS_NOT = '-', /* it could not be cloned */
};

/** What a child that fails says before it exits. */
struct sb_child_report {
    char magic[4]; /* SB_CHILD_REPORT_MAGIC: a program that stands before init says text instead */
    char step[SB_CHILD_STEP_SIZE];
    struct sb_err err;
};

/** Runs the steps of the driver and becomes init. Never returns. */
_Noreturn void sb_child_run(struct sb_child *child);
