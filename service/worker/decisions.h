#pragma once
/** Which connections of a sandbox the log lists one by one: a burst, and then one a second. The
 * others are added up and told with the next that is listed, or at the end: no program can fill the
 * file system that the log lies on by connecting often. */
#include <stdbool.h>
#include <stdint.h>

enum {
    SB_DECISIONS_BURST = 64,
    SB_DECISIONS_EACH_MS = 1000,
};

/** Zeroed: none yet. */
struct sb_decisions {
    uint64_t rested_ms; /* monotonic: when another burst may come */
    uint64_t n_more;    /* not listed since the last that was */
    uint64_t out_bytes; /* of those */
    uint64_t in_bytes;
};

/** True: list it, then sb_decisions_told. False: it is added up. @now_ms  monotonic. */
bool sb_decisions_note(struct sb_decisions *decisions,
                       uint64_t now_ms,
                       uint64_t out_bytes,
                       uint64_t in_bytes);
/** What was added up has been listed, too. */
void sb_decisions_told(struct sb_decisions *decisions);
