#pragma once
/** Failures of a call that this worker has not begun and another one may do: it drains, or is full.
 *  A gateway before many workers asks the next one then, and is told by a trailer (api_gate.c). */
#include <errno.h>
#include <stdbool.h>

#include "base/err.h"

/** Marks *err. Returns @rc, so that callers write `return sb_elsewhere(err, sb_err_set(err, ...))`.
 */
static inline int sb_elsewhere(struct sb_err *err, int rc)
{
    err->sys = EUSERS;
    return rc;
}

static inline bool sb_elsewhere_is(const struct sb_err *err)
{
    return err->sys == EUSERS && (err->code == SB_UNAVAILABLE || err->code == SB_EXHAUSTED);
}
