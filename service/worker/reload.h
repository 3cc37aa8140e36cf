#pragma once

struct sb_err;
struct sb_worker;

/** Reads the configuration, at the start and again on SIGHUP. What sandboxes have stays theirs;
 *  profiles, callers and tenants count from the next call on. A file that is wrong or cannot be
 *  read (any more: a worker started by root is another user by then) changes nothing.
 *  Errors: SB_INVALID with the first problem; by errno. Blocks on the disk. */
int sb_worker_configure(struct sb_worker *worker, struct sb_err *err);

/** The same, and logs how it went; keys of --keys, too, for which what key_watch.h says holds. */
void sb_worker_reload(struct sb_worker *worker);
