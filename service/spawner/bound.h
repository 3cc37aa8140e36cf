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
    size_t n;       /* 0: nothing is remembered */
    int changes_fd; /* tells that a mount of the host came or went; owned where n is not 0 */
};

/** Opens what tells, from now on, that a mount of the host came or went; -1: nothing does. */
int sb_bound_watch(void);

/** Remembers the caller's mounts of a plan, as they were opened.
 *  @fds  one for each, opened; borrowed.
 *  @changes_fd  of sb_bound_watch, from before they were opened; taken where something is
 *  remembered; -1: then nothing is. Errors: SB_EXHAUSTED; by errno. */
int sb_bound_keep(struct sb_bound *ret_bound,
                  const struct sb_plan *plan,
                  const int *fds,
                  int *changes_fd,
                  struct sb_err *err);
void sb_bound_done(struct sb_bound *bound);

/** Whether the host has the mounts that it had then: what lies below a directory was bound with it,
 * and does not follow. Once a change is told it is not told again. */
bool sb_bound_mounts_stay(const struct sb_bound *bound);
/** Whether an opened file is the one that is remembered. */
bool sb_bound_is(const struct sb_bound_file *file, int fd);
