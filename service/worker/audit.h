#pragma once
/** Hears what Landlock denies to programs in sandboxes, and counts it.
 *
 *  Theory of operation. The spawner opened the socket while it had the right to, with a filter that
 *  lets Landlock's records through alone, of all walls on the host. A record of a denial names the
 *  wall by a number; another, which follows what the wall denies first, says which process put it
 *  up. That is PID 1 of a sandbox, by its process id and its user id, which no process of another
 *  sandbox has: no program can be taken for another sandbox's. Denials of walls that are not known
 *  yet wait, few of them; what nobody claims makes room for the next. Each turn of the loop reads
 *  some and lets others have theirs; what does not fit into the socket meanwhile the kernel drops,
 *  and the log says so. Records come a little after the denial: one that comes when its exec is
 *  over counts for the sandbox alone, if that is still there. Loop thread. */
#include "base/str.h"

struct sb_audit;
struct sb_sandbox;
struct sb_worker;

/** @fd  taken; -1: nothing is heard. NULL: memory is out. */
struct sb_audit *sb_audit_new(struct sb_worker *worker, int fd);
/** NULL is fine, here and below: nothing is heard. */
void sb_audit_free(struct sb_audit *audit);
/** Reads what lies there. */
void sb_audit_settle(struct sb_audit *audit);
/** The sandbox has got its init_pid: records may have come before. */
void sb_audit_join(struct sb_audit *audit);
/** One record. For tests, and what reads the socket. */
void sb_audit_hear(struct sb_audit *audit, unsigned type, struct sb_str text);
