#pragma once
/** Modules (shared libraries of ours) that lie beside the program, for what few need. */

struct sb_err;

/** Opens one, so that it can be loaded later, without the rights to get there.
 *  @file  its name. *ret_fd is close-on-exec. Errors: SB_NOT_FOUND: it is not there. */
int sb_module_find(const char *file, int *ret_fd, struct sb_err *err);

/** Loads it, for ever. Returns the address of @symbol, or NULL with SB_UNAVAILABLE.
 *  @fd  borrowed. */
void *sb_module_load(int fd, const char *file, const char *symbol, struct sb_err *err);
