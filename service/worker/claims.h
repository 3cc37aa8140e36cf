#pragma once
/** Calls with a request_id that went to other workers.
 *
 *  Theory of operation. request_id works within one worker (idem.h). A gateway before many sends
 *  calls with the same one to the same worker, and lets the worker that would be the next to get
 *  them remember that: a claim. When the first is lost, the repeated call comes here and is
 * refused, for nobody knows how far it got. In memory only, and bounded as those: the oldest go
 * first. */
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/list.h"
#include "base/map.h"

struct sb_err;
struct sb_idem_call;

struct sb_claims {
    struct sb_map entries; /* key of the call -> claim */
    struct sb_list by_age;
    size_t max;
    uint64_t max_age_ms;
};

void sb_claims_init(struct sb_claims *claims, size_t max, uint64_t max_age_ms);
void sb_claims_done(struct sb_claims *claims);

/** Remembers that the call (its content is not looked at) goes to @worker_id, unless it is claimed.
 *  @ret_id  the worker that has it.   Errors: SB_INVALID: request_id is too long; SB_EXHAUSTED. */
int sb_claims_take(struct sb_claims *claims,
                   const struct sb_idem_call *call,
                   const char *worker_id,
                   uint64_t now_ms,
                   char ret_id[SB_ID_SIZE],
                   struct sb_err *err);
/** Forgets the claim, when it is that worker's. */
void sb_claims_release(struct sb_claims *claims,
                       const struct sb_idem_call *call,
                       const char *worker_id);
/** Of a call that came here. Errors: SB_PRECONDITION: it went to a worker other than @worker_id. */
int sb_claims_check(struct sb_claims *claims,
                    const struct sb_idem_call *call,
                    const char *worker_id,
                    uint64_t now_ms,
                    struct sb_err *err);
