#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "service/spawner/layers/layer.h"

struct sb_err;
struct sb_sandbox;

enum { SB_TAKE_MAX = 8 }; /* snapshots that are being taken at one time */

/** A snapshot that is being taken, by a child inside the sandbox. */
struct sb_take {
    struct sb_list link;
    uint64_t tag; /* of the request */
    pid_t pid;
    int report_fd;   /* owned; readable when there is something to say */
    int target_fd;   /* owned; the new layer's file system, detached */
    unsigned places; /* of the sandbox */
    struct sb_ids ids;
    struct sb_ground ground;
    struct sb_layer *below; /* a reference, or NULL */
};

/** What a snapshot came to. */
struct sb_taken {
    uint64_t size_bytes;   /* space that it takes alone */
    uint64_t copied_bytes; /* of content */
    uint64_t files;        /* and directories, copied */
};

/** Stops what runs in a sandbox, copies what it has written, and lets it go on. Of one that started
 *  from a snapshot only what has changed since is copied; of a workspace of the host only what has
 *  changed there.
 *  @max_bytes  that the copy may take.   @is_frozen  it stands still already.
 *  Errors: SB_PRECONDITION: the driver, or the kernel, cannot; by errno. */
struct sb_take *sb_take_start(struct sb_layers *layers,
                              const struct sb_sandbox *sandbox,
                              uint64_t max_bytes,
                              bool is_frozen,
                              uint64_t tag,
                              struct sb_err *err);

/** Reads what the child says; call when report_fd is readable, then free it.
 *  Returns the new layer, with one reference, or NULL. */
struct sb_layer *sb_take_finish(struct sb_layers *layers,
                                struct sb_take *take,
                                struct sb_taken *ret_taken,
                                struct sb_err *err);

/** NULL is fine. */
void sb_take_free(struct sb_layers *layers, struct sb_take *take);
