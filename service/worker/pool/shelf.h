#pragma once
/** The parked sandboxes of one plan, and how many there should be. For pool.c; loop thread. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "service/shared/frame.h"
#include "service/worker/handover.h"
#include "service/worker/pool/warm.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_err;
struct sb_pool;
struct sb_shelf;

enum {
    SB_SHELF_UNUSED_MS = 300000,       /* after that it is taken down */
    SB_SHELF_BOUND_UNUSED_MS = 30000,  /* likewise, with mounts: they keep file systems in use */
    SB_SHELF_STALE_MS = 600000,        /* a parked sandbox has the host's /etc of its making */
    SB_SHELF_PARKED_BYTES = 512 << 10, /* of one without an interpreter; about 320 KiB are used */
};

struct sb_parked {
    struct sb_list link;
    uint64_t slot;
    struct sb_frame frame;       /* the spawner's answer, with its descriptors; owned */
    struct sb_handover handover; /* what its init has given over: left in the socket it would count
                                  * as in flight, of which a user may have few */
    struct sb_warm warm;         /* an interpreter that waits in it */
    bool is_heard;               /* said is in the loop */
    bool is_late;                /* its interpreter takes so long that nobody waits for it */
    struct event said;    /* that interpreter has something to say: it is ready, or has ended */
    struct sb_pool *pool; /* for the event */
    struct sb_shelf *shelf;
    uint64_t asked_ns; /* monotonic; warming */
    uint64_t made_ms;  /* monotonic */
};

/** Takes over what the spawner has made for a shelf.  @frame  emptied. Errors: SB_EXHAUSTED;
 *  as sb_handover_read, and the frame is lost. */
int sb_parked_new(struct sb_frame *frame,
                  struct sb_shelf *shelf,
                  struct sb_pool *pool,
                  struct sb_parked **ret_parked,
                  struct sb_err *err);
/** It is somebody's from now on: its interpreter is not listened to any more. */
void sb_parked_leave(struct sb_parked *parked);
/** Whoever owns it ends the sandbox. NULL is fine. */
void sb_parked_free(struct sb_parked *parked);
const Spawn__V1__Reply *sb_parked_reply(const struct sb_parked *parked);

/** What decides whether one sandbox can stand for another. */
struct sb_shelf_key {
    uint8_t *bytes; /* owned; whose it is, who the caller is, then the plan, packed, without the
                       sandbox's name */
    size_t len;
    size_t plan_at;           /* where the plan begins; 0: it binds nothing of a caller's */
    struct sb_warm_plan warm; /* what waits in it */
};

/** @plan  as it was when it returns.   @tenant  whose it is.
 *  @peer_fd  the caller's unix connection; -1: it binds nothing.   @warm  copied.
 *  Errors: SB_EXHAUSTED; by errno, when it has no peer. */
int sb_shelf_key_make(Spawn__V1__Plan *plan,
                      const char *tenant,
                      int peer_fd,
                      const struct sb_warm_plan *warm,
                      struct sb_shelf_key *ret_key,
                      struct sb_err *err);
bool sb_shelf_key_eq(const struct sb_shelf_key *a, const struct sb_shelf_key *b);
void sb_shelf_key_done(struct sb_shelf_key *key);

struct sb_shelf {
    struct sb_list link; /* pool; used most recently first */
    struct sb_shelf_key key;
    int peer_fd;            /* somebody of the key's caller; owned; -1: none is needed */
    struct sb_list parked;  /* oldest first */
    struct sb_list awaited; /* of who waits for one on its way, in order */
    unsigned n_parked;
    struct sb_list warming; /* their interpreters start */
    unsigned n_coming;      /* asked of the spawner or warming, awaited and late ones included */
    unsigned n_late;        /* of them; nobody is promised one */
    unsigned n_awaited;
    bool is_cold;     /* no interpreter waits there, as one did not come to */
    bool has_told;    /* which modules they wait without */
    uint64_t bytes;   /* of memory that one is reckoned with */
    unsigned target;  /* how many are to be there */
    unsigned low;     /* least n_parked since the last look */
    uint64_t used_ms; /* monotonic */
};

/** @key  taken over.   @peer_fd  copied. Errors: SB_EXHAUSTED; by errno; then the key is not taken.
 */
int sb_shelf_new(struct sb_shelf_key *key,
                 int peer_fd,
                 struct sb_shelf **ret_shelf,
                 struct sb_err *err);
/** Frees what is parked in it, too. NULL is fine. */
void sb_shelf_free(struct sb_shelf *shelf);

/** The plan of the next sandbox, of that name. NULL: no memory. */
Spawn__V1__Plan *sb_shelf_plan(const struct sb_shelf *shelf, const char *sandbox_id);

/** Parks it. */
void sb_shelf_put(struct sb_shelf *shelf, struct sb_parked *parked, uint64_t now_ms);
/** Takes the oldest one; NULL: none is there. It was asked for: demand is noted.
 *  @max  that the shelf may ever hold. */
struct sb_parked *sb_shelf_take(struct sb_shelf *shelf, unsigned max, uint64_t now_ms);
/** Takes the oldest away without a request for it; NULL: none is there. */
struct sb_parked *sb_shelf_drop(struct sb_shelf *shelf);
/** Takes away the one in that slot; NULL: it is not here. */
struct sb_parked *sb_shelf_find(struct sb_shelf *shelf, uint64_t slot);

/** How many more are to be asked for now. */
unsigned sb_shelf_lacks(const struct sb_shelf *shelf);
/** Looks back, now and then: what was not needed since the last look lowers the target. */
void sb_shelf_look(struct sb_shelf *shelf, uint64_t now_ms);
/** The oldest is too old to be given away. */
bool sb_shelf_is_stale(const struct sb_shelf *shelf, uint64_t now_ms);
