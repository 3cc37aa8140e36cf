#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/list.h"
#include "service/spawner/ids.h"
#include "service/spawner/layers/keeper.h"
#include "service/spawner/layers/way.h"

struct sb_err;
struct sb_host;

/** Places of a sandbox that snapshots keep. */
enum sb_place {
    SB_PLACE_TMP,
    SB_PLACE_WORKSPACE,
    SB_PLACES,
};

/** Their names below the root of a sandbox, and in a layer. */
extern const char *const sb_place_names[SB_PLACES];

enum { SB_LAYERS_MAX = 16 }; /* on top of each other; one more is made by copying all of them */

/** Which directory of the host lies below the workspace of a sandbox that has it copy-on-write, or
 * of a layer. ino 0: none does. */
struct sb_ground {
    dev_t dev;
    ino_t ino;
};

/** What was in the writable places of a sandbox when a snapshot was taken, or what had changed
 * there since the layer below. Nothing changes in it any more: its file system is read-only. */
struct sb_layer {
    struct sb_list link;
    uint64_t id;             /* its name towards the worker; never used twice */
    bool is_known;           /* to the worker, which has a reference then */
    unsigned refs;           /* the worker, sandboxes that stand on it, layers above it */
    uint64_t kept;           /* by the keeper */
    uint64_t size_bytes;     /* space that it takes alone; of who made it */
    unsigned places;         /* bits */
    struct sb_ids ids;       /* of the sandbox that wrote it: what owners in it mean */
    struct sb_ground ground; /* what its workspace stands on, besides layers that do as well */
    struct sb_layer *below;  /* a reference; NULL: it is whole */
    unsigned depth;          /* layers with those below */
};

/** All of a spawner. */
struct sb_layers {
    const struct sb_host *host; /* borrowed */
    enum sb_layers_way way;     /* sb_layers_way finds it out */
    struct sb_err why;          /* it is no better one */
    struct sb_keeper keeper;
    struct sb_list list;
    uint64_t last_id;
};

void sb_layers_init(struct sb_layers *layers, const struct sb_host *host);
/** Ends the keeper, and with it all of them. */
void sb_layers_done(struct sb_layers *layers);

/** NULL: there is none, or the worker let go of it. */
struct sb_layer *sb_layer_find(const struct sb_layers *layers, uint64_t id);
/** How sandboxes start from layers here, tried once. SB_LAYERS_NONE: layers->why. */
enum sb_layers_way sb_layers_way(struct sb_layers *layers);

/** A layer with one reference. @mount_fd  its file system, borrowed; becomes read-only.
 *  Errors: by errno; SB_PRECONDITION: somebody can still write to it. */
struct sb_layer *sb_layer_new(struct sb_layers *layers,
                              int mount_fd,
                              unsigned places,
                              const struct sb_ids *ids,
                              const struct sb_ground *ground,
                              struct sb_layer *below,
                              struct sb_err *err);
/** The worker lets go of the one reference that it has. Twice is harmless. */
void sb_layer_release(struct sb_layers *layers, uint64_t id);
struct sb_layer *sb_layer_ref(struct sb_layer *layer);
/** True when what a layer has of a place lies below what a sandbox writes there.
 *  @ground  of the sandbox. */
bool sb_layer_is_below(const struct sb_layer *layer,
                       enum sb_place place,
                       const struct sb_ground *ground);
/** The last one ends it. NULL is fine. */
void sb_layer_unref(struct sb_layers *layers, struct sb_layer *layer);

/** Detached read-only mounts of a layer and those below, the top one first, in which the owners are
 *  those of a sandbox with @ids; NULL: of who wrote it.
 *  @ret_fds  room for SB_LAYERS_MAX; owned by the caller.
 *  Errors: by errno; SB_PRECONDITION: the kernel cannot map the ids of a tmpfs. */
int sb_layer_open(struct sb_layers *layers,
                  const struct sb_layer *top,
                  const struct sb_ids *ids,
                  int *ret_fds,
                  size_t *ret_n,
                  struct sb_err *err);
