#pragma once
/** The actions that records have. Every one that is written is in this list: who asks for another
 *  made a mistake, and is told so instead of finding nothing. */
#include <stdbool.h>

#include "base/str.h"

struct sb_err;

/** "exec.start" */
bool sb_trail_action_is_known(struct sb_str action);

/** For what is asked for: an action, or what comes before the dots of some ("exec"); "": all.
 *  Errors: SB_INVALID with text that names the nearest action, or those that there are. */
int sb_trail_action_check(struct sb_str action, struct sb_err *err);
