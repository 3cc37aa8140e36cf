#pragma once
/** What this host really gives, asked of the spawner and remembered for SB_MAX_PROBE_AGE_MS. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "service/worker/policy/profile.h"

struct sb_err;
struct sb_worker;

enum { SB_PROBE_CONTROLS = 16 }; /* one more than the largest aisbx.v1.Control */

/** The numbers of aisbx.v1.ControlState. */
enum sb_control_state {
    SB_CONTROL_UNKNOWN,
    SB_CONTROL_ENFORCED,
    SB_CONTROL_DEGRADED,
    SB_CONTROL_ABSENT,
};

struct sb_control {
    enum sb_control_state state;
    char *detail; /* owned */
    char *fix;    /* owned */
};

/** What a driver is here. */
struct sb_probe_driver {
    bool is_available;
    char *detail;                                  /* owned; NULL: this build has no such driver */
    struct sb_control controls[SB_PROBE_CONTROLS]; /* UNKNOWN: as the host */
};

struct sb_probe {
    struct sb_worker *worker;
    struct sb_probe_driver drivers[SB_DRIVER_END_];
    struct sb_control controls[SB_PROBE_CONTROLS]; /* by aisbx.v1.Control number; [0] is unused */
    const char *snapshots; /* how sandboxes start from them: "overlay", "copy", "none" */
    char *snapshots_why;   /* owned; why no better; NULL: not known */
    uint64_t time_ms;      /* monotonic; 0: never */
    bool is_under_way;
    struct sb_list waiters;
};

/** Waits for a fresh probe. */
struct sb_probe_waiter {
    struct sb_list link;
    /** @err  NULL: sb_probe_* answer freshly. The waiter has left already. */
    void (*ready)(struct sb_probe_waiter *waiter, const struct sb_err *err);
};

void sb_probe_init(struct sb_probe *probe, struct sb_worker *worker);
void sb_probe_done(struct sb_probe *probe);

bool sb_probe_was_made(const struct sb_probe *probe);
/** True when the last probe is fresh enough. */
bool sb_probe_is_fresh(const struct sb_probe *probe);
/** Asks (unless somebody did) and lets the waiter know, never from inside. Errors: spawner dead. */
int sb_probe_refresh(struct sb_probe *probe, struct sb_probe_waiter *waiter, struct sb_err *err);
void sb_probe_leave(struct sb_probe_waiter *waiter);
/** Asks unless somebody did: what is asked of the spawner from now on is answered after it.
 *  Errors: spawner dead. */
int sb_probe_want(struct sb_probe *probe, struct sb_err *err);

/** That control under a driver; UNSET: of the host. For egress, how the proxy really does.
 *  Borrowed. */
const struct sb_control *
sb_probe_control(const struct sb_probe *probe, enum sb_driver driver, unsigned number);

/** SB_PRECONDITION naming, as --require does, the first control of the floor that is not enforced
 * here under that driver, and the fix.
 *  @require  bit n: aisbx.v1.Control number n. */
int sb_probe_require(const struct sb_probe *probe,
                     enum sb_driver driver,
                     uint64_t require,
                     struct sb_err *err);
