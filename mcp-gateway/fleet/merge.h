#pragma once
/** One call to all workers, and one answer of what they say.
 *
 *  Lists come in the order of the contract, page by page; a page's token holds where each worker's
 *  own pages stand (page.h). A worker that does not answer is left out, and a list says so in
 *  missing_workers. Of profiles, which workers may have by the same name and not alike, each stands
 *  once, with those that differ (profiles.c). */
#include <stdbool.h>

struct sb_fleet_call;
struct sb_merge;

/** Asks all that are there. */
void sb_merge_start(struct sb_fleet_call *call);
void sb_merge_read(struct sb_fleet_call *call);
/** From the loop, after sb_merge_read or sb_merge_start asked for it by the call's timer. */
void sb_merge_due(struct sb_fleet_call *call);
void sb_merge_cancel(struct sb_fleet_call *call);
/** Members have changed: streams take in what is new. */
void sb_merge_widen(struct sb_fleet_call *call);
/** Its legs have ended. */
void sb_merge_free(struct sb_merge *merge);
