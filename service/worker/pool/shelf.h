#pragma once
/** The parked sandboxes of one plan, and how many there should be. No I/O; for pool.c. Loop thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "service/shared/frame.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_err;

enum {
    SB_SHELF_UNUSED_MS = 300000, /* after that it is taken down */
    SB_SHELF_STALE_MS = 600000,  /* a parked sandbox has the host's /etc of when it was made */
};

struct sb_parked {
    struct sb_list link;
    uint64_t slot;
    struct sb_frame frame; /* the spawner's answer, with its descriptors; owned */
    uint64_t made_ms;      /* monotonic */
};

struct sb_shelf {
    struct sb_list link; /* pool; used most recently first */
    uint8_t *key;        /* the plan, packed, without the sandbox's name; owned */
    size_t key_len;
    struct sb_list parked;  /* oldest first */
    struct sb_list awaited; /* of who waits for one on its way, in order */
    unsigned n_parked;
    unsigned n_coming; /* asked of the spawner, awaited ones included */
    unsigned n_awaited;
    unsigned target;  /* how many are to be there */
    unsigned low;     /* least n_parked since the last look */
    uint64_t used_ms; /* monotonic */
};

/** Errors: SB_EXHAUSTED.  @key  taken in every case. */
int sb_shelf_new(uint8_t *key, size_t key_len, struct sb_shelf **ret_shelf, struct sb_err *err);
/** Frees what is parked in it, too; whoever owns it ends the sandboxes. NULL is fine. */
void sb_shelf_free(struct sb_shelf *shelf);

/** Packs what decides whether one sandbox can stand for another. Errors: SB_EXHAUSTED. */
int sb_shelf_key(Spawn__V1__Plan *plan, uint8_t **ret_key, size_t *ret_len, struct sb_err *err);
bool sb_shelf_is_for(const struct sb_shelf *shelf, const uint8_t *key, size_t key_len);
/** The plan of the next sandbox. NULL: no memory. */
Spawn__V1__Plan *sb_shelf_plan(const struct sb_shelf *shelf);

/** Parks one.  @frame  emptied. Errors: SB_EXHAUSTED. */
int sb_shelf_put(struct sb_shelf *shelf,
                 struct sb_frame *frame,
                 uint64_t now_ms,
                 struct sb_err *err);
/** Takes the oldest one; NULL: none is there. It was asked for: demand is noted.
 *  @max  that the shelf may ever hold. */
struct sb_parked *sb_shelf_take(struct sb_shelf *shelf, unsigned max, uint64_t now_ms);
/** Takes the oldest away without a request for it; NULL: none is there. */
struct sb_parked *sb_shelf_drop(struct sb_shelf *shelf);
/** Takes away the one in that slot; NULL: it is not here. */
struct sb_parked *sb_shelf_find(struct sb_shelf *shelf, uint64_t slot);
void sb_parked_free(struct sb_parked *parked);

/** How many more are to be asked for now. */
unsigned sb_shelf_lacks(const struct sb_shelf *shelf);
/** Looks back, now and then: what was not needed since the last look lowers the target. */
void sb_shelf_look(struct sb_shelf *shelf, uint64_t now_ms);
/** The oldest is too old to be given away. */
bool sb_shelf_is_stale(const struct sb_shelf *shelf, uint64_t now_ms);
