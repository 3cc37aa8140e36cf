#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct sb_err;
struct sb_host;

enum {
    SB_IDS_FIRST = 0x70000000, /* root mode: above what people, services and sub-id tools use */
    SB_IDS_LAST = 0x7fffffff,
    SB_IDS_RANGE = 1024, /* ids of one sandbox in root mode; inside 0..1023 */
};

/** The host ids of one sandbox. Ids are those of the spawner's user namespace. */
struct sb_ids {
    struct sb_list link;  /* in the pool's list while taken */
    uint64_t range;       /* which range, while taken */
    uint32_t inside;      /* first id inside */
    uint32_t outside_uid; /* what it is outside */
    uint32_t outside_gid;
    uint32_t count;
    uint32_t init_uid; /* outside: real uid of init, of the range; 0: there is none, it has the
                          job's */
    bool is_shared;    /* the job's id is not of the range, but someone's */
};

/** Gives out ranges round robin, so that a range rests as long as possible before it is used again.
 *  Never one that is taken. */
struct sb_ids_pool {
    uint64_t n_ranges;
    uint64_t next;
    uint32_t per_range; /* SB_IDS_RANGE; in user mode 2, the job's and init's, or 1 */
    uint32_t first;
    struct sb_list taken;
};

void sb_ids_pool_init(struct sb_ids_pool *pool, const struct sb_host *host);

/** Takes a range. Errors: SB_EXHAUSTED. */
int sb_ids_take(struct sb_ids_pool *pool, struct sb_ids *ids, struct sb_err *err);

/** Gives the job a pair of ids that it shares with someone else. Of a range that is taken init's
 *  own remains.
 *  @ids  taken, or zeroed. */
void sb_ids_share(struct sb_ids *ids, uint32_t uid, uint32_t gid);

/** Gives back; nothing of the sandbox lives any more. Harmless for shared and zeroed ids. */
void sb_ids_release(struct sb_ids *ids);

/** True when this process may give away all ids of root mode: it is not in a user namespace that
 *  lacks them. */
bool sb_ids_are_ours(void);

/** User and group id of the job outside. */
uint32_t sb_ids_job_uid(const struct sb_ids *ids);
uint32_t sb_ids_job_gid(const struct sb_ids *ids);

/** True when nobody else has the job's id. */
static inline bool sb_ids_are_distinct(const struct sb_ids *ids)
{
    return !ids->is_shared;
}
