#pragma once
/** Where the workers of a fleet are: addresses, and names whose addresses change.
 *
 *  Theory of operation. Names are looked up again every few seconds by a thread of their own, since
 *  libc's resolver blocks; what it found comes to the loop by an eventfd. A look-up that fails
 *  changes nothing: a name service that is away takes no worker with it. A name that has no address
 *  (any more) is an answer. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct event_base;
struct sb_err;
struct sb_members;

enum {
    SB_MEMBERS_MAX = 64, /* workers of one gateway */
    SB_MEMBERS_LOOK_MS = 2000,
    SB_MEMBERS_ADDRESS_SIZE = 272,
};

/** One of a list, "ipv4:10.0.0.1:7443,dns:///workers:7443". */
struct sb_members_entry {
    struct sb_str address; /* as it stands; of a name without "dns:///" and port */
    struct sb_str port;    /* of a name; empty: it is an address */
};

/** The entries of a list, borrowed from it. Errors: SB_INVALID: empty, more than SB_MEMBERS_MAX, or
 *  a name without a port; whether an address is one is told by who connects. */
int sb_members_parse(struct sb_str text,
                     struct sb_members_entry ret_entries[SB_MEMBERS_MAX],
                     size_t *ret_n,
                     struct sb_err *err);

/** All addresses that are known now, without doubles, and the name that each came of (NULL: none),
 *  which its certificate has. From the loop. Borrowed for the call. */
typedef void
sb_members_changed(void *ctx, const char *const *addresses, const char *const *names, size_t n);

/** Begins to look. Called back from the loop, first soon, and then on each change.
 *  @text  see sb_members_parse; copied.   Errors: as that; those of threads and descriptors. */
int sb_members_new(struct event_base *base,
                   const char *text,
                   sb_members_changed *changed,
                   void *ctx,
                   struct sb_members **ret_members,
                   struct sb_err *err);
/** Does not wait for a look-up that is under way. NULL is fine. */
void sb_members_free(struct sb_members *members);
