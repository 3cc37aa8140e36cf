#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sb_err;
struct sb_host;

/** Ids of a user namespace, as seen from its parent. */
struct sb_userns_map {
    uint32_t inside_uid;
    uint32_t outside_uid;
    uint32_t inside_gid;
    uint32_t outside_gid;
    uint32_t count;
    uint32_t more_inside; /* one more uid; more_outside 0: none */
    uint32_t more_outside;
    uint32_t others; /* ids below this one, but for inside_*, are the same outside; 0: none */
    uint32_t beside; /* ids of somebody else begin there inside; those that are the same outside
                        as the ones above are not mapped twice */
    uint32_t beside_uid;
    uint32_t beside_gid;
    uint32_t beside_count; /* 0: none */
    bool has_setgroups;
};

/** A new user namespace with that map and nobody in it. The loop's thread, or a process of one
 *  thread. Returns its descriptor, O_CLOEXEC. Errors: by errno. */
int sb_userns_open(const struct sb_userns_map *map, struct sb_err *err);

/** Writes the maps of process @pid. Errors: by errno. */
int sb_userns_write(pid_t pid, const struct sb_userns_map *map, struct sb_err *err);

/** User mode, at start: moves this process into a user and a mount namespace of its own, with the
 *  caller's sub-ids by newuidmap and newgidmap when there are any, and fills the ids of *host.
 *  Errors: SB_PRECONDITION: not permitted on this host; the text says what to change. */
int sb_userns_enter(struct sb_host *host, struct sb_err *err);
