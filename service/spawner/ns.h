#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sb_child;
struct sb_err;

/** The seven namespaces of every sandbox, CLONE_NEW*: there is no way to ask for fewer. */
extern const uint64_t sb_ns_all;

/** Clones this process into new namespaces, like fork: the child gets 0, the parent the process id,
 *  and a pidfd (O_CLOEXEC) in *ret_pidfd. The child must not return to code that expects to be the
 *  parent. Its id maps are still to be written.
 *  @is_root  of sb_host.   Errors: by errno, in the parent; the text says what to change. */
pid_t sb_ns_clone(uint64_t namespaces, bool is_root, int *ret_pidfd, struct sb_err *err);

/* Steps of the child. */

/** Host name. */
int sb_ns_hostname(struct sb_child *child, struct sb_err *err);
/** Brings the loopback interface up: programs talk to themselves over it. */
int sb_ns_loopback(struct sb_child *child, struct sb_err *err);
/** A session without terminal, and an empty session keyring. */
int sb_ns_session(struct sb_child *child, struct sb_err *err);
