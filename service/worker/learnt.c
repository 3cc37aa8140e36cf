#include "service/worker/learnt.h"

void sb_learnt_add(struct sb_learnt *learnt, int number)
{
    if (number >= 0 && number < SB_LEARNT_MAX && learnt->counts[number] < UINT32_MAX) {
        learnt->counts[number]++;
    }
}

bool sb_learnt_has(const struct sb_learnt *learnt, int number)
{
    return number >= 0 && number < SB_LEARNT_MAX && learnt->counts[number] > 0;
}
