#pragma once
#include <sys/types.h>

#include "service/spawner/layers/layer.h"

struct sb_cgroup;
struct sb_err;
struct sb_given;
struct sb_plan;
struct sb_sandbox;

/** In the parent, before the clone: makes the writable places of a sandbox that starts with a copy
 *  of a layer. @ret_given  sb_given_done in every case. Errors: by errno; SB_EXHAUSTED: its memory
 *  limit is less than what the layer takes. */
int sb_fill_make(struct sb_layers *layers,
                 const struct sb_layer *layer,
                 const struct sb_plan *plan,
                 struct sb_sandbox *sandbox,
                 struct sb_given *ret_given,
                 struct sb_err *err);

/** In the parent, when the sandbox has its group and its ids: starts who copies, in that group. The
 *  sandbox's own child waits for it (sb_fill_wait). Errors: by errno. */
int sb_fill_start(struct sb_layers *layers,
                  const struct sb_layer *layer,
                  struct sb_sandbox *sandbox,
                  struct sb_given *given,
                  struct sb_err *err);

/** In the sandbox's child: until all is copied. Errors: what the copy failed with; SB_EXHAUSTED:
 *  who copied was killed, for the memory limit. */
int sb_fill_wait(const struct sb_given *given, struct sb_err *err);

/** In the parent, before the first program starts: the places have the bounds of the plan from now
 *  on. Nothing to do is fine. Errors: SB_EXHAUSTED: more files than the sandbox may have. */
int sb_fill_settle(struct sb_sandbox *sandbox, struct sb_err *err);
