#include "service/worker/decisions.h"

bool sb_decisions_note(struct sb_decisions *decisions,
                       uint64_t now_ms,
                       uint64_t out_bytes,
                       uint64_t in_bytes)
{
    uint64_t rested = decisions->rested_ms > now_ms ? decisions->rested_ms : now_ms;
    if (rested - now_ms > (uint64_t)(SB_DECISIONS_BURST - 1) * SB_DECISIONS_EACH_MS) {
        decisions->n_more++;
        decisions->out_bytes += out_bytes;
        decisions->in_bytes += in_bytes;
        return false;
    }
    decisions->rested_ms = rested + SB_DECISIONS_EACH_MS;
    return true;
}

void sb_decisions_told(struct sb_decisions *decisions)
{
    decisions->n_more = 0;
    decisions->out_bytes = 0;
    decisions->in_bytes = 0;
}
