#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "service/shared/changeproto.h"

struct sb_err;
struct sb_layer;
struct sb_layers;
struct sb_sandbox;

/** What is compared. */
struct sb_changes_of {
    const struct sb_layer *layer; /* since that; NULL: since nothing, so all there is was made */
    bool since_host;              /* since the host's directory, of the workspace alone */
    enum sb_change_content content;
};

/** Starts a child inside a sandbox that compares what is in its writable places, and tells what
 *  differs as packets of a socket (service/shared/changeproto.h).
 *  @ret_sock  for the worker; owned by the caller.   Returns the child's process id, or -1.
 *  Errors: SB_PRECONDITION: the driver cannot, or there is no such directory; by errno. */
pid_t sb_changes_start(struct sb_layers *layers,
                       const struct sb_sandbox *sandbox,
                       const struct sb_changes_of *of,
                       int *ret_sock,
                       struct sb_err *err);
