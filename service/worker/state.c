#include "service/worker/state.h"

#include "base/err.h"

#define TO(state) (1U << SB_STATE_##state)

static const struct {
    const char *name;
    unsigned next;
} states[SB_STATE_END_] = {
    [SB_STATE_STARTING] = {"starting", TO(RUNNING) | TO(STOPPING) | TO(DESTROYED)},
    [SB_STATE_RUNNING] = {"running", TO(STARTING) | TO(PAUSED) | TO(STOPPING) | TO(DESTROYED)},
    [SB_STATE_PAUSED] = {"paused", TO(RUNNING) | TO(STOPPING) | TO(DESTROYED)},
    [SB_STATE_STOPPING] = {"stopping", TO(DESTROYED)},
    [SB_STATE_DESTROYED] = {"destroyed", 0},
};

static bool is_known(enum sb_state state)
{
    return state >= SB_STATE_STARTING && state < SB_STATE_END_;
}

const char *sb_state_name(enum sb_state state)
{
    return is_known(state) ? states[state].name : "unknown";
}

bool sb_state_may(enum sb_state from, enum sb_state to)
{
    return is_known(from) && is_known(to) && (states[from].next & (1U << to)) != 0;
}

int sb_state_move(enum sb_state *state, enum sb_state to, struct sb_err *err)
{
    if (!sb_state_may(*state, to)) {
        return sb_err_set(err, SB_PRECONDITION, "a sandbox that is %s cannot become %s",
                          sb_state_name(*state), sb_state_name(to));
    }
    *state = to;
    return 0;
}
