#pragma once
#include "base/err.h"
#include "service/spawner/driver.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_child;
struct sb_host;
struct sb_userns_map;

/* The numbers of aisbx.v1.ControlState; the public contract is not part of this program. */
enum sb_probe_state { SB_PROBE_ENFORCED = 1, SB_PROBE_DEGRADED = 2, SB_PROBE_ABSENT = 3 };

enum { SB_PROBE_MAX_CONTROLS = 16 };

/** Controls of a message, and their memory. */
struct sb_probe_controls {
    size_t n;
    Spawn__V1__ProbedControl controls[SB_PROBE_MAX_CONTROLS];
    Spawn__V1__ProbedControl *pointers[SB_PROBE_MAX_CONTROLS];
    char details[SB_PROBE_MAX_CONTROLS][SB_ERR_TEXT_SIZE];
};

/** One driver of a message, and its memory. */
struct sb_probe_driver {
    Spawn__V1__ProbedDriver message; /* points into the rest */
    struct sb_probe_controls controls;
    char detail[SB_ERR_TEXT_SIZE];
};

/** What this host gives, and the memory of the message that says so. */
struct sb_probe_result {
    Spawn__V1__Probed message; /* points into the rest: do not copy */
    struct sb_probe_controls controls;
    struct sb_probe_driver drivers[SB_DRIVER_MAX];
    Spawn__V1__ProbedDriver *pointers[SB_DRIVER_MAX];
};

/** What a child that tries something in a user namespace needs, and the ids it gets there. */
void sb_probe_prepare(const struct sb_host *host,
                      struct sb_child *ret_child,
                      struct sb_userns_map *ret_map);

/** Tries whether a sandbox can have an overlay of tmpfs on which directories can be removed and
 * made again. Errors: what failed. */
int sb_probe_overlay(const struct sb_host *host, struct sb_err *err);

/** Tries each control in a child of its own, as sandboxes would use it, and each driver. Takes some
 *  milliseconds. */
void sb_probe_run(const struct sb_host *host, struct sb_probe_result *ret_result);
