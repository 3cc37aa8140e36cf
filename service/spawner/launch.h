#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "service/spawner/child.h"
#include "service/spawner/hostmount.h"
#include "service/spawner/layers/give.h"
#include "service/spawner/plan.h"

struct sb_filter;
struct sb_host;
struct sb_ids_pool;
struct sb_lanes;
struct sb_layer;
struct sb_layers;
struct sb_peer;
struct sb_sandbox;

/** What a sandbox is made of. */
struct sb_launch_request {
    const struct sb_host *host;
    struct sb_ids_pool *pool;
    struct sb_lanes *lanes;
    struct sb_layers *layers;
    struct sb_layer *layer; /* what its writable places begin with; NULL: nothing */
    const struct sb_plan *plan;
    ProtobufCMessage **message; /* that the plan's strings are of; taken when the clone begins */
    const struct sb_filter *filter;
    const struct sb_peer *peer; /* NULL when the plan has no mounts of the caller */
    const int *of_worker;       /* a directory for each mount of the worker; borrowed */
};

/** All that the spawner and a child need until the child is another program. It does not move, as
 *  the child works with it in the spawner's memory. */
struct sb_launch {
    struct sb_launch_request request; /* lanes, host and layers count; the rest is borrowed for as
                                         long as sb_launch_begin takes */
    struct sb_sandbox *sandbox;
    struct sb_plan plan;
    ProtobufCMessage *message; /* owned */
    struct sb_hostmounts mounts;
    struct sb_given given;
    int child_sync_fd; /* owned, until the child is there; its ends */
    int child_report_fd;
    int child_ctl_fd;
    int cgroup_fd; /* owned; the child is cloned into that group; -1: into the spawner's */
    /* Written by the kernel or a lane while the loop runs; read when the child has been heard. */
    pid_t pid; /* 0: there is no child, yet */
    int pidfd; /* owned */
    int sys;   /* why there will be none */
    /* The child's own. */
    struct sb_child child;
};

/** Prepares all and begins to clone. On failure *ret_step names the step.
 *  Errors: by errno; SB_DENIED, SB_PRECONDITION, SB_EXHAUSTED. */
int sb_launch_begin(struct sb_launch *launch, const char **ret_step, struct sb_err *err);

/** Hears whether the child is there, when its socket is readable; if so, its id is known, and it is
 *  given what it waits for. Call until it is. 1: so it is; 0: not yet; -1 as above.
 *  What it says instead of waiting is left to be read. */
int sb_launch_hear(struct sb_launch *launch, const char **ret_step, struct sb_err *err);

/** An empty one for that sandbox. NULL: no memory. */
struct sb_launch *sb_launch_new(const struct sb_launch_request *request,
                                struct sb_sandbox *sandbox);

/** Frees; only when the child is another program, or dead, or has never been. NULL is fine. */
void sb_launch_free(struct sb_launch *launch);
