#pragma once
#include <stddef.h>

#include "service/spawner/layers/layer.h"

struct sb_child;
struct sb_err;
struct sb_plan;
struct sb_sandbox;

#define SB_GIVEN_NONE                                                                              \
    (struct sb_given)                                                                              \
    {                                                                                              \
        .ground = -1, .uppers = {-1, -1}, .wait_fd = -1, .report_fd = -1                           \
    }

/** What a child that starts from a layer, or has a workspace of the host copy-on-write, needs. */
struct sb_given {
    int layers[SB_LAYERS_MAX];    /* owned; detached, read-only, the top one first */
    unsigned of_place[SB_PLACES]; /* bits: which of them lie below the place */
    size_t n_layers;              /* 0: it starts from nothing */
    int ground;                   /* borrowed; detached, read-only: the host's directory that
                                     lies below all at /workspace; -1: none */
    int uppers[SB_PLACES];        /* owned; detached tmpfs for what it writes; -1: none */
    int wait_fd;                  /* owned; says when they have been filled with a copy, see
                                     fill.h; -1: they lie on top of layers */
    int report_fd;                /* owned; the other end */
};

/** In the parent: opens what lies below the new sandbox, and makes what lies on top.
 *  @layer  NULL: none.   @sandbox  its ground_fd is what lies below the workspace, or -1.
 *  @ret_given  sb_given_done in every case.
 *  Errors: by errno; SB_PRECONDITION: the kernel cannot, or layer and ground do not go together. */
int sb_given_make(struct sb_layers *layers,
                  struct sb_layer *layer,
                  const struct sb_plan *plan,
                  struct sb_sandbox *sandbox,
                  struct sb_given *ret_given,
                  struct sb_err *err);
void sb_given_done(struct sb_given *given);

/** In the child: mounts the places that layers have, relative to the new root, as overlays of them
 *  or when they have been filled. The directories exist. @ret_places  bits of those that it
 * mounted. Errors: by errno. */
int sb_given_mount(const struct sb_child *child, unsigned *ret_places, struct sb_err *err);
