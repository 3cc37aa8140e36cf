#pragma once
#include "base/err.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_host;

enum { SB_PROBE_MAX_CONTROLS = 16 };

/** What this host gives, and the memory of the message that says so. */
struct sb_probe_result {
    Spawn__V1__Probed message; /* points into the rest: do not copy */
    Spawn__V1__ProbedControl controls[SB_PROBE_MAX_CONTROLS];
    Spawn__V1__ProbedControl *pointers[SB_PROBE_MAX_CONTROLS];
    char details[SB_PROBE_MAX_CONTROLS][SB_ERR_TEXT_SIZE];
};

/** Tries each control in a child of its own, as sandboxes would use it. Takes some milliseconds. */
void sb_probe_run(const struct sb_host *host, struct sb_probe_result *ret_result);
