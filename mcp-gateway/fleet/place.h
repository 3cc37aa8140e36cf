#pragma once
/** Where to make something, and who remembers that it was made. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What is known of one worker. */
struct sb_place_worker {
    const char *id;            /* of its life, "wk_..." */
    bool can_take;             /* serves and was not tried yet */
    uint32_t slots;            /* sandboxes that can live at once */
    uint32_t taken;            /* alive, and those sent there since that was told */
    uint64_t available_memory; /* bytes; UINT64_MAX: not told */
};

enum { SB_PLACE_NOWHERE = -1 };

/** The better of two that are drawn, or of one and itself: all gateways together then spread what
 *  they make without knowing of each other, and none floods the one that is emptiest just now.
 *  @random  uniform.   Returns an index, or SB_PLACE_NOWHERE. */
int sb_place_pick(const struct sb_place_worker *workers, size_t n, uint64_t random);

/** For what must come to the same worker from every gateway: the first in an order that @what gives
 *  to the workers' ids alone, so that one that comes or goes moves no more than its own share.
 *  @ret_second  the first when that one is gone: it remembers. SB_PLACE_NOWHERE: there is none. */
int sb_place_of(const struct sb_place_worker *workers, size_t n, const char *what, int *ret_second);
