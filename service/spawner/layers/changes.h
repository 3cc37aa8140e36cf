#pragma once
#include <stdint.h>
#include <sys/types.h>

struct sb_err;
struct sb_layer;
struct sb_layers;
struct sb_sandbox;

/** Starts a child inside a sandbox that compares what is in its writable places with a layer, and
 *  tells what differs as packets of a socket (service/shared/changeproto.h).
 *  @layer  NULL: with nothing, so all there is was made.   @ret_sock  for the worker; owned by the
 *  caller.   Returns the child's process id, or -1.
 *  Errors: SB_PRECONDITION: the driver cannot; by errno. */
pid_t sb_changes_start(struct sb_layers *layers,
                       const struct sb_sandbox *sandbox,
                       const struct sb_layer *layer,
                       int *ret_sock,
                       struct sb_err *err);
