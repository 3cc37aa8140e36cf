#pragma once
/** The worker's side of the conversation with aisbx-spawner.
 *
 *  Theory of operation. The spawner is started first, before any thread, over a SOCK_SEQPACKET
 * pair; its end of file ends the other. Requests carry a tag and wait in a bounded queue until the
 * socket takes them; each is answered once, by its reply or by the spawner's death. Gone comes
 * unasked. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "spawn/v1/spawn.pb-c.h"

struct event_base;
struct sb_err;
struct sb_options;
struct sb_filter;
struct sb_frame;
struct sb_spawner;

/** @reply  NULL when the request failed; then *err says why. Both borrowed for the call.
 *  @frame  descriptors of the reply, to be taken with sb_frame_take_fd; NULL with reply NULL. */
typedef void sb_spawner_reply_fn(void *ctx,
                                 const Spawn__V1__Reply *reply,
                                 struct sb_frame *frame,
                                 const struct sb_err *err);

struct sb_spawner_events {
    /** The last process of a sandbox is gone. */
    void (*gone)(void *ctx, const Spawn__V1__Gone *gone);
    /** The spawner is dead; every request under way was answered before. The spawner may be freed
     *  later, not from inside. */
    void (*lost)(void *ctx, const struct sb_err *err);
};

/** Starts aisbx-spawner (beside this program, or in ../libexec/aisbx) and greets it. It gets ready
 *  while the caller does other things, until sb_spawner_await.
 *  @options  where this worker listens: what it leaves there the spawner removes.
 *  Call before any thread, with SIGPIPE ignored.
 *  Errors: SB_NOT_FOUND: no such program. */
int sb_spawner_start(const struct sb_options *options,
                     struct sb_spawner **ret_spawner,
                     struct sb_err *err);
/** Waits until it has greeted back. Blocks. Once, before sb_spawner_attach.
 *  Errors: SB_PRECONDITION: from another build; SB_UNAVAILABLE: it ended; what it says. */
int sb_spawner_await(struct sb_spawner *spawner, struct sb_err *err);
/** For tests: takes the socket of something that talks like a spawner, and shakes hands. */
int sb_spawner_adopt(int sock, struct sb_spawner **ret_spawner, struct sb_err *err);
/** Says that nothing is to be kept of this worker, its log included. Before sb_spawner_free. */
void sb_spawner_end(struct sb_spawner *spawner);
/** Closes the socket, which ends the spawner with everything it made. NULL is fine. */
void sb_spawner_free(struct sb_spawner *spawner);

/** Lets the loop serve the socket. Once.   @events  copied. */
int sb_spawner_attach(struct sb_spawner *spawner,
                      struct event_base *base,
                      const struct sb_spawner_events *events,
                      void *ctx,
                      struct sb_err *err);

/** What the spawner said of itself; borrowed. */
const Spawn__V1__Welcome *sb_spawner_welcome(const struct sb_spawner *spawner);
bool sb_spawner_is_lost(const struct sb_spawner *spawner);

/** The socket on which the kernel tells what Landlock denies: the caller's from now on; -1: there
 * is none. */
int sb_spawner_take_audit(struct sb_spawner *spawner);

/* Requests: loop thread. -1: nothing was asked, and on_reply will not run: SB_EXHAUSTED, or
 * SB_UNAVAILABLE when the spawner is dead. on_reply never runs from inside these. */

/** True when the filter was loaded before: then it need not be again. */
bool sb_spawner_knows_filter(const struct sb_spawner *spawner,
                             const struct sb_filter *filter,
                             uint64_t *ret_id);
/** @filter  a reference is held. The reply is FilterLoaded. */
int sb_spawner_load_filter(struct sb_spawner *spawner,
                           struct sb_filter *filter,
                           sb_spawner_reply_fn *on_reply,
                           void *ctx,
                           struct sb_err *err);
enum { SB_SPAWNER_MAX_FDS = 4 };

/** @plan  taken in every case.
 *  @fds  the caller's connection, when the plan has mounts of the caller; then a directory for each
 *        mount of the worker. Taken in every case.   @n_fds  at most SB_SPAWNER_MAX_FDS */
int sb_spawner_spawn(struct sb_spawner *spawner,
                     Spawn__V1__Plan *plan,
                     int *fds,
                     size_t n_fds,
                     sb_spawner_reply_fn *on_reply,
                     void *ctx,
                     struct sb_err *err);
/** Asks for the end of a sandbox; Gone tells when. Failure means the spawner is dead. */
void sb_spawner_kill(struct sb_spawner *spawner, uint64_t slot);
/** Asks what was counted in the control group of a sandbox, or, for slot 0, of all together. The
 * reply is Counters. */
int sb_spawner_count(struct sb_spawner *spawner,
                     uint64_t slot,
                     sb_spawner_reply_fn *on_reply,
                     void *ctx,
                     struct sb_err *err);
/** Freezes a sandbox, or thaws it. The reply is Frozen; ask again until it is done. */
int sb_spawner_freeze(struct sb_spawner *spawner,
                      uint64_t slot,
                      bool is_frozen,
                      sb_spawner_reply_fn *on_reply,
                      void *ctx,
                      struct sb_err *err);
/** Starts aisbx-egress; fails until the one before has ended. The reply is EgressStarted, with its
 *  socket. */
int sb_spawner_start_egress(struct sb_spawner *spawner,
                            sb_spawner_reply_fn *on_reply,
                            void *ctx,
                            struct sb_err *err);
/** Keeps what the sandbox in that slot has written. The reply is LayerTaken.
 *  @max_bytes  that it may take.   @is_frozen  nothing in it runs. */
int sb_spawner_take_layer(struct sb_spawner *spawner,
                          uint64_t slot,
                          uint64_t max_bytes,
                          bool is_frozen,
                          sb_spawner_reply_fn *on_reply,
                          void *ctx,
                          struct sb_err *err);
/** Compares what the sandbox in that slot has written.
 *  @of  the slot is set here; borrowed for the call. The reply is ChangesOpened, with a socket. */
int sb_spawner_read_changes(struct sb_spawner *spawner,
                            uint64_t slot,
                            const Spawn__V1__ReadChanges *of,
                            sb_spawner_reply_fn *on_reply,
                            void *ctx,
                            struct sb_err *err);
/** Lets go of a layer; nobody is told when. */
void sb_spawner_drop_layer(struct sb_spawner *spawner, uint64_t layer_id);
/** Asks whether that sandbox has what its plan would bind now, for that caller. The reply is
 * Compared.
 *  @peer_fd  the caller's unix connection; taken in every case. */
int sb_spawner_compare(struct sb_spawner *spawner,
                       uint64_t slot,
                       int peer_fd,
                       sb_spawner_reply_fn *on_reply,
                       void *ctx,
                       struct sb_err *err);
int sb_spawner_probe(struct sb_spawner *spawner,
                     sb_spawner_reply_fn *on_reply,
                     void *ctx,
                     struct sb_err *err);
