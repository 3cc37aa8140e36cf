#pragma once
#include "aisbx/v1/verdict.pb-c.h"

struct sb_out;

/** Exit status of aisbx for a program that ended so: its own status where it has one, 124 timed
 *  out, 125 sandbox or worker failed, 126 and 127 not startable, 128 + N ended by signal N.
 *  @verdict  NULL: 125. */
int sb_status_of(const Aisbx__V1__Verdict *verdict);

/** Says on stderr why a program did not end by itself, with the next step; nothing for EXITED and
 * SIGPIPE. */
void sb_status_say(const Aisbx__V1__Verdict *verdict);

/** One line for people: "exited 0, 1.2s, cpu 0.9s user 0.1s system, memory 31MiB". */
void sb_status_put(struct sb_out *out, const Aisbx__V1__Verdict *verdict);
