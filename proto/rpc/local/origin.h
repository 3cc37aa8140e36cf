#pragma once
/** Where the other end of a unix connection runs. Any thread. */

struct sb_err;

/** Refuses (SB_DENIED) an end that was opened by a process of a PID namespace nested in ours: a
 * sandbox that sees a directory with our socket in it could otherwise be served as its owner, or
 * put a socket of its own in that place. An end whose process has ended is refused too, since
 * nobody can say any more where it ran. */
int sb_origin_check(int sock, struct sb_err *err);
