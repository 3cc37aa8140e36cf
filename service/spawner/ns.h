#pragma once
#include <linux/sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sb_child;
struct sb_err;

/** Clones this process into new namespaces, like fork: the child gets 0, the parent the process id,
 *  and a pidfd (O_CLOEXEC) in *ret_pidfd. The child must not return to code that expects to be the
 *  parent. Its id maps are still to be written.
 *  @namespaces  CLONE_NEW*; the cgroup namespace is sb_ns_cgroup's.
 *  @cgroup_fd  it starts in that group of version 2; -1: in the parent's.
 *  @is_root  of sb_host.   Errors: by errno, in the parent; the text says what to change. */
pid_t sb_ns_clone(
    uint64_t namespaces, int cgroup_fd, bool is_root, int *ret_pidfd, struct sb_err *err);

/** clone3 with a copy of our memory, like fork: 0 in the child, -1 with errno. When it returns, the
 *  parent can open namespaces and maps of the child. The kernel shows those of dumpable processes
 *  only, so the child makes itself one: what it inherits changes with every other child that
 *  shares our memory and takes ids of its own. In user mode the caller can look into the spawner by
 *  other ways anyway; as root only who has all its capabilities could. */
long sb_ns_fork(struct clone_args *args);

/** What to give clone3 for sb_ns_clone.
 *  @ret_pid, @ret_pidfd  where the kernel puts them before the child runs. */
struct clone_args
sb_ns_clone_args(uint64_t namespaces, int cgroup_fd, pid_t *ret_pid, int *ret_pidfd);

/** -1, with the error that the errno of such a clone is. */
int sb_ns_clone_error(int sys, uint64_t namespaces, bool is_root, struct sb_err *err);

/* Steps of the child. */

/** A cgroup namespace whose root is the group the sandbox is in by then: a clone into one would
 * show the way from the spawner's. */
int sb_ns_cgroup(struct sb_child *child, struct sb_err *err);
/** Host name. */
int sb_ns_hostname(struct sb_child *child, struct sb_err *err);
/** Brings the loopback interface up: programs talk to themselves over it. */
int sb_ns_loopback(struct sb_child *child, struct sb_err *err);
/** A session without terminal, and an empty session keyring. */
int sb_ns_session(struct sb_child *child, struct sb_err *err);
