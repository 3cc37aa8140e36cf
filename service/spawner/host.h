#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "service/spawner/cgroup.h"

struct sb_bwrap;

/** What the spawner is and has; found once at start, then constant. */
struct sb_host {
    bool is_root;     /* real capabilities; else those of a user namespace of its own, in which
                         the caller is id 0 and sub-ids, if there are any, are 1..n_subids */
    uid_t caller_uid; /* as whom the spawner was started; ids of the namespace it was started in */
    gid_t caller_gid;
    uid_t first_subuid;    /* user mode: host id of id 1 */
    unsigned n_subids;     /* user mode; 0: there are none */
    bool has_no_new_privs; /* from whoever started us: execve may make the real uid the effective */
    bool has_setgroups;    /* sandboxes can drop supplementary groups */
    bool has_idmap;        /* idmapped mounts work */
    bool copies_snapshots; /* was asked to: sandboxes start with a copy, whatever the kernel can */
    int landlock;          /* version of Landlock that sandboxes use; 0: none */
    bool tells_paths; /* was asked to, and can: what Landlock denies to sandboxes is recorded */
    const char *paths_why; /* was asked to, and cannot; NULL: neither */
    int *audit_fd;         /* for the worker, who takes it with its greeting; -1: there is none */
    pid_t parent;          /* the worker */
    int self_fd;           /* a pidfd of the spawner, for its children; owned */
    char *const *sockets;  /* where it listens: absolute paths, as it binds them; borrowed */
    size_t n_sockets;
    int init_fd;   /* sealed copy of aisbx-init; owned */
    int egress_fd; /* aisbx-egress; owned; -1: it is not installed */
    struct sb_cgroups cgroups;
    struct sb_bwrap *bwrap; /* what is known of bubblewrap; filled when it is first needed */
};
