#pragma once
/** The interpreters that keep their state, and what they run: a file of this folder each, which is
 *  part of the program. */
#include "base/str.h"

enum { SB_INTERPRETER_MAX_ARGS = 6 };

struct sb_interpreter {
    const char *name;                            /* "python" */
    const char *before[SB_INTERPRETER_MAX_ARGS]; /* program and options, up to the text it runs */
    /** Milliseconds after which the signal is sent again, until the piece ends. node loses one at
     * the very end of what it breaks, in its watchdog; bash waits for a program that it was about
     * to start when the signal came to it alone. 0: once is enough, and again would hit handlers.
     */
    unsigned interrupt_again_ms;
    const char *start; /* of that text, which ends with a NUL */
};

/** NULL: there is none of that name. */
const struct sb_interpreter *sb_interpreter_find(const char *name);
/** What there is, for errors: "python, node, bash". */
const char *sb_interpreter_names(void);
