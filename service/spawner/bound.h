#pragma once
/** Which files of the host a sandbox was given: for who asks later whether it would be given the
 * same. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sb_err;
struct sb_plan;

enum { SB_BOUND_MAX = 4 }; /* a sandbox with more mounts of the caller is not remembered */

struct sb_bound_file {
    char *source; /* owned */
    bool is_writable;
    uint64_t device;
    uint64_t inode;
    uint64_t mount; /* id of the mount of the host that it was found on */
    uint32_t uid;   /* its owner, whose files become the job's when root asks */
    uint32_t gid;
};

struct sb_bound {
    struct sb_bound_file files[SB_BOUND_MAX];
    size_t n; /* 0: nothing is remembered */
};

/** Remembers the caller's mounts of a plan, as they were opened.
 *  @fds  one for each, opened; borrowed. Errors: SB_EXHAUSTED; by errno. */
int sb_bound_keep(struct sb_bound *ret_bound,
                  const struct sb_plan *plan,
                  const int *fds,
                  struct sb_err *err);
void sb_bound_done(struct sb_bound *bound);

/** Whether an opened file is the one that is remembered. */
bool sb_bound_is(const struct sb_bound_file *file, int fd);
